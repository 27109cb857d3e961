//! Rules and alerts: what `run` makes of the events of a capture.

use std::ops::ControlFlow;

use casebook_formats::event::EventType;
use casebook_formats::ledger::Ledger;

use super::{Look, Plan};
use crate::context::EventContext;
use crate::detect::Session;
use crate::metrics::{Board, Tally};
use crate::output::CaptureOutput;
use crate::summary::CaptureReport;
use crate::window::{Opening, Place};

/// Evaluates the rules on the events of one capture and writes the alerts.
pub(super) struct Alerts<'d> {
    session: Session<'d>,
    opening: Opening,
    matched: Vec<u32>,
    line: Vec<u8>,
    tally: Option<Tally<'d>>,
    /// Every event is of interest, not only those with rules.
    sees_all: bool,
    /// JSON of an alert that is to be delivered.
    carried: Option<Vec<u8>>,
}

impl Look for Alerts<'_> {
    #[inline]
    fn wants(&self, etype: EventType) -> bool {
        // The end of a window may show on any event, and metrics count them all.
        self.sees_all || self.session.asks(etype)
    }

    #[inline]
    fn event(
        &mut self,
        context: &EventContext<'_>,
        output: &mut CaptureOutput<'_, '_>,
        report: &mut CaptureReport,
    ) -> ControlFlow<()> {
        if let Some(tally) = &mut self.tally {
            tally.on(&context.state.machine.hostname);
        }
        match self.opening.place(context.clock.first_ts, context.event.ts) {
            Place::Inside => {}
            Place::Outside => return ControlFlow::Continue(()),
            // Audit logs are not in the order of time as captures are: nothing in them says that the window is over.
            Place::Over if context.document.is_some() => return ControlFlow::Continue(()),
            Place::Over => return ControlFlow::Break(()),
        }
        if let Some(tally) = &mut self.tally {
            tally.event(context);
        }
        self.session.matching(context, &mut report.ledger, &mut self.matched);
        if self.matched.is_empty() { ControlFlow::Continue(()) } else { self.write(context, output, report) }
    }

    fn begin(&mut self, hostname: &[u8], lost: &Ledger) {
        if let Some(tally) = &mut self.tally {
            tally.begin(hostname, lost);
        }
    }

    #[inline]
    fn is_due(&self, previous: u64, ts: u64) -> bool {
        self.tally.as_ref().is_some_and(|tally| tally.is_due(previous, ts))
    }

    fn lost(&mut self, ts: u64, ledger: &Ledger) {
        if let Some(tally) = &mut self.tally {
            tally.lost(ts, ledger);
        }
    }

    fn recorder_lost(&mut self, ts: u64, ledger: &Ledger) {
        if let Some(tally) = &mut self.tally {
            tally.recorder_lost(ts, ledger);
        }
    }

    fn takes_turns(&self) -> bool {
        // Losses are entered when they are heard of; and without rules there is nothing to take turns with.
        self.tally.is_none() && self.session.asks_anything()
    }

    fn absorb(&mut self, next: Self) {
        if let (Some(tally), Some(next)) = (&mut self.tally, next.tally) {
            tally.absorb(next);
        }
    }

    fn end(&mut self, _: &mut CaptureOutput<'_, '_>, report: &CaptureReport) {
        if let Some(tally) = &mut self.tally {
            tally.end(report);
        }
    }
}

impl<'d> Alerts<'d> {
    /// Begins a capture, or a part of one.
    pub(super) fn new(plan: &'d Plan) -> Self {
        let opening = plan.window.open();
        Self {
            session: plan.rules.session(plan.form),
            sees_all: !opening.is_whole() || plan.board.is_some(),
            opening,
            matched: Vec::new(),
            line: Vec::new(),
            tally: plan.board.as_ref().map(Board::tally),
            carried: plan.deliver.then(Vec::new),
        }
    }
}

impl Alerts<'_> {
    /// Writes the alerts of the matched rules. Breaks when there is nobody to write for.
    fn write(
        &mut self,
        context: &EventContext<'_>,
        output: &mut CaptureOutput<'_, '_>,
        report: &mut CaptureReport,
    ) -> ControlFlow<()> {
        for &rule in &self.matched {
            report.count(rule as usize);
            if let Some(tally) = &mut self.tally {
                tally.alert(rule, context);
            }
            let absent = self.session.untold(rule, context);
            if !absent.is_empty() {
                report.count_guess(rule as usize);
            }
            self.line.clear();
            let ts = context.event.ts;
            let written = if let Some(json) = &mut self.carried {
                json.clear();
                self.session.render_with(rule, context, absent, &mut self.line, Some(json));
                output.line_with(ts, &self.line, json)
            } else {
                self.session.render(rule, context, absent, &mut self.line);
                output.line_at(ts, &self.line)
            };
            if !written {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }
}
