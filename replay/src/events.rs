//! Events as lines: each one that is asked for, in a format of the user's.
//!
//! [`EventContext`] → window of time → filter → format → a line of text or JSON into the capture's output. The default
//! is the line that sysdig prints; formats are those of rule outputs, and as with sysdig an event that lacks a value is
//! left out unless the format begins with `*`. How many were left out is said.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::ops::ControlFlow;
use std::sync::Arc;

use casebook_rules::output::Format;

use crate::audit::join::Requests;
use crate::context::EventContext;
use crate::detect::{Filter, Form, Gate};
use crate::engine::Replay;
use crate::output::{CaptureOutput, Sequencer, push_safe};
use crate::run::{Jobs, Look, Source, Work, look_at_each};
use crate::summary::{CaptureReport, iso_time};
use crate::window::{Opening, Place, Window};

/// sysdig's default line.
pub const DEFAULT_FORMAT: &str =
    "*%evt.num %evt.outputtime %evt.cpu %proc.name (%thread.tid) %evt.dir %evt.type %evt.info";
/// sysdig's line for people who look at containers (`-pc`).
pub const CONTAINER_FORMAT: &str = "*%evt.num %evt.outputtime %evt.cpu %container.name (%container.id) %proc.name \
                                    (%thread.tid:%thread.vtid) %evt.dir %evt.type %evt.info";
/// sysdig's line for people who look at pods (`-pk`).
pub const POD_FORMAT: &str = "*%evt.num %evt.outputtime %evt.cpu %k8s.pod.name (%container.id) %proc.name \
                              (%thread.tid:%thread.vtid) %evt.dir %evt.type %evt.info";

/// The line of audit events where one of those above stands for system calls.
pub const AUDIT_FORMAT: &str =
    "*%evt.num %evt.time %ka.stage %ka.verb %ka.uri (user=%ka.user.name code=%ka.response.code)";

/// What is printed of an event, by its source.
#[derive(Debug)]
pub struct Formats {
    /// Of system calls; `None`: nothing.
    pub calls: Option<Format>,
    /// Of audit events and other JSON documents; `None`: nothing.
    pub documents: Option<Format>,
}

impl Formats {
    fn of(&self, context: &EventContext<'_>) -> Option<&Format> {
        if context.document.is_some() { self.documents.as_ref() } else { self.calls.as_ref() }
    }
}

/// Which events of every capture are printed, and how.
#[derive(Debug)]
pub struct Plan {
    /// Text of a line; also names the fields of a JSON object.
    pub formats: Formats,
    /// Text or JSON.
    pub form: Form,
    /// Only events on which this is true.
    pub filter: Option<Filter>,
    /// Only events in this part of a capture's time.
    pub window: Window,
    /// As many events of each capture.
    pub count: Option<NonZeroU64>,
    /// Who asked the Kubernetes API for what runs in containers.
    pub requests: Arc<Requests>,
    /// Say how many events the format left out.
    pub remarks: bool,
}

impl Plan {
    /// Prints the events of all captures, `jobs.workers` at a time, each into its place of `output`; see [`look_at_each`].
    pub fn print(
        &self,
        captures: &[Source],
        jobs: Jobs,
        output: &Sequencer<'_>,
        advance: &(dyn Fn(u64, u64) + Sync),
    ) -> Vec<CaptureReport> {
        // Who counts events has to see them in order.
        let work = Work { jobs, window: self.window, divisible: self.count.is_none() };
        look_at_each(captures, work, output, advance, || (Replay::new().joined(&self.requests), Printer::new(self)))
    }
}

/// The events of one capture on their way into lines.
struct Printer<'p> {
    plan: &'p Plan,
    gate: Option<Gate<'p>>,
    opening: Opening,
    /// Some event was in the window.
    within: bool,
    printed: u64,
    /// Events without some value of the format.
    left_out: u64,
    /// Events of a source that has none of the format's fields.
    foreign: u64,
    line: Vec<u8>,
}

impl<'p> Printer<'p> {
    fn new(plan: &'p Plan) -> Self {
        let gate = plan.filter.as_ref().map(Filter::gate);
        let opening = plan.window.open();
        Self { plan, gate, opening, within: false, printed: 0, left_out: 0, foreign: 0, line: Vec::new() }
    }

    /// Makes the line of an event; false when the event lacks a value that the format needs.
    fn compose(&mut self, context: &EventContext<'_>, format: &Format) -> bool {
        self.line.clear();
        // Values are made safe one by one: what stands around them is the user's own.
        let complete = format.render_text_with(context, &mut self.line, |line, start| {
            if !line[start..].iter().all(|byte| matches!(byte, b' '..=b'~')) {
                let value = line.split_off(start);
                push_safe(line, &value);
            }
        });
        if complete && self.plan.form == Form::Json {
            self.line.clear();
            let fields: BTreeMap<_, _> = format.render_fields(context).into_iter().collect();
            // Texts, numbers and maps with text keys: there is nothing that could fail.
            self.line = serde_json::to_vec(&fields).unwrap_or_default();
        }
        complete
    }
}

impl Look for Printer<'_> {
    fn event(
        &mut self,
        context: &EventContext<'_>,
        output: &mut CaptureOutput<'_, '_>,
        report: &mut CaptureReport,
    ) -> ControlFlow<()> {
        let Plan { form, count, .. } = self.plan;
        match self.opening.place(context.clock.first_ts, context.event.ts) {
            Place::Inside => {}
            Place::Outside => return ControlFlow::Continue(()),
            // Audit logs are not in the order of time.
            Place::Over if context.document.is_some() => return ControlFlow::Continue(()),
            Place::Over => return ControlFlow::Break(()),
        }
        self.within = true;
        let ledger = &mut report.ledger;
        if self.gate.as_mut().is_some_and(|gate| !gate.passes(context, ledger)) {
            return ControlFlow::Continue(());
        }
        let Some(format) = self.plan.formats.of(context) else {
            self.foreign += 1;
            return ControlFlow::Continue(());
        };
        if !self.compose(context, format) {
            self.left_out += 1;
            return ControlFlow::Continue(());
        }
        let written = match form {
            Form::Text => output.safe_line(&self.line),
            Form::Json => output.line(&self.line),
        };
        self.printed += 1;
        if !written || count.is_some_and(|count| self.printed >= count.get()) {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn absorb(&mut self, next: Self) {
        self.within |= next.within;
        self.printed += next.printed;
        self.left_out += next.left_out;
        self.foreign += next.foreign;
    }

    fn end(&mut self, output: &mut CaptureOutput<'_, '_>, report: &CaptureReport) {
        if !self.plan.remarks {
            return;
        }
        if !self.within && self.plan.window != Window::default() && report.first_ts != 0 {
            let (first, last) = (iso_time(report.first_ts), iso_time(report.last_ts));
            let read = format!("events were read from {first} to {last}");
            output.note(format!("note: {}: no event is within --from and --to; {read}", report.name));
        }
        if self.foreign > 0 {
            let events = if self.foreign == 1 { "event is" } else { "events are" };
            let what = "of a source that has no such fields as -p names";
            output.note(format!("note: {}: {} {events} {what}", report.name, self.foreign));
        }
        if self.left_out > 0 {
            let events = if self.left_out == 1 { "event lacks" } else { "events lack" };
            let advice = "begin the format with * to see them, with <NA> for what is missing";
            output.note(format!("note: {}: {} {events} a value of the format; {advice}", report.name, self.left_out));
        }
    }
}
