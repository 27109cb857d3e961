//! `casebook-replay explain`: why a rule was true on an event, or was not, and where it came near.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;

use casebook_formats::ledger::Ledger;
use casebook_rules::leaf::Memo;
use clap::Args;
use serde_json::json;

use super::Terminals;
use super::args::FormArg;
use super::captures;
use super::exit::{self, Exit};
use super::ruleset::{LabArgs, RuleArgs};
use super::talk::say;
use crate::context::EventContext;
use crate::lab::explain::near::Search;
use crate::lab::explain::text::{self, Paint};
use crate::lab::explain::{Explainer, Explanation};
use crate::lab::verdicts::{Watched, Watcher, watch};
use crate::moment::Moment;
use crate::output::push_safe;
use crate::run::Source;
use crate::summary::CaptureReport;

/// Options of `explain`.
#[derive(Args, Debug)]
pub(super) struct ExplainArgs {
    /// The rule, by its name
    #[arg(value_name = "RULE")]
    rule: String,

    /// Captures; `-` for standard input. With --event or --time it is one capture
    #[arg(value_name = "CAPTURE", required_unless_present = "example")]
    captures: Vec<PathBuf>,

    /// The example capture that is built into this program
    #[arg(long, conflicts_with = "captures")]
    example: bool,

    /// The event, by its number (`evt.num`, as `events` prints it)
    #[arg(short = 'e', long, value_name = "N", conflicts_with_all = ["time", "nearest"])]
    event: Option<u64>,

    /// The first event at or after this time about which the rule is asked
    ///
    /// 2026-11-21T10:00:00Z (without a zone: UTC), 10:00:00.5 (on the day the capture begins), seconds or nanoseconds
    /// since the epoch, or +12.5s, +250ms, +2m after the first event.
    #[arg(long, value_name = "TIME", conflicts_with = "nearest")]
    time: Option<Moment>,

    /// The events on which the rule failed by the fewest comparisons, the nearest explained (the default)
    #[arg(long)]
    nearest: bool,

    #[command(flatten)]
    rules: RuleArgs,

    /// A tree for people, or JSON
    #[arg(long, value_name = "FORM", default_value = "text", help_heading = "Output")]
    output: FormArg,

    #[command(flatten)]
    lab: LabArgs,
}

/// Explains.
pub(super) fn run(
    args: &ExplainArgs,
    out: &mut (dyn Write + Send),
    err: &mut (dyn Write + Send),
    terminals: Terminals,
) -> Exit {
    let Some(loaded) = args.rules.load(args.lab.quiet, err, terminals) else { return Exit::Rules };
    let Some(number) = loaded.rule(&args.rule, err) else { return Exit::Usage };
    let Some(explainer) = Explainer::new(&loaded.rules, &loaded.outcome.sources, number) else { return Exit::Usage };
    let captures = captures::named(&args.captures, args.example, args.lab.quiet, err);
    let paint = Paint(terminals.out);
    let mut meter = args.lab.hearing(terminals).meter(&captures);
    if args.event.is_none() && args.time.is_none() {
        let advance = |bytes, events| meter.advance(bytes, events);
        let found = watch(&captures, args.lab.jobs(), &advance, |_| Search::new(&explainer));
        meter.finish();
        return nearest(args, found, &captures, &explainer, paint, out, err);
    }
    let [capture] = captures.as_slice() else {
        say(err, &format!("error: these are {} captures: name the one that has the event", captures.len()));
        return Exit::Usage;
    };
    let wanted = |_| Wanted::new(&explainer, args);
    let advance = |bytes, events| meter.advance(bytes, events);
    let mut watched = watch(std::slice::from_ref(capture), 1, &advance, wanted);
    meter.finish();
    let Some((report, wanted)) = watched.pop() else { return Exit::Unreadable };
    tell(&report, err);
    let Some(explanation) = wanted.found else {
        if report.events > 0 {
            say(err, &wanted.missing(&report));
            return Exit::Usage;
        }
        return captures::exit([&report]);
    };
    let text = match args.output {
        FormArg::Text => text::explanation(&explanation, paint),
        FormArg::Json => json_line(&explanation),
    };
    written(&text, captures::exit([&report]), out, err)
}

/// Prints what a search found.
fn nearest(
    args: &ExplainArgs,
    found: Vec<Watched<Search<'_>>>,
    captures: &[Source],
    explainer: &Explainer<'_>,
    paint: Paint,
    out: &mut (dyn Write + Send),
    err: &mut (dyn Write + Send),
) -> Exit {
    let (mut text, mut reports) = (String::new(), Vec::new());
    for (report, search) in found {
        tell(&report, err);
        let found = search.finish();
        match args.output {
            FormArg::Text => {
                if captures.len() > 1 {
                    let name = text::short(&report.name, usize::MAX);
                    text.extend([if text.is_empty() { "" } else { "\n" }, "== ", &name, "\n"]);
                }
                text.push_str(&text::found(&found, &explainer.rule().name, &explainer.rule().source, paint));
            }
            FormArg::Json => {
                let line = json!({ "capture": report.name, "rule": explainer.note(explainer.rule()), "found": found });
                text.push_str(&json_line(&line));
            }
        }
        reports.push(report);
    }
    written(&text, captures::exit(&reports), out, err)
}

/// Says what is wrong with a capture.
pub(super) fn tell(report: &CaptureReport, err: &mut dyn Write) {
    if let Some(error) = &report.error {
        say(err, &format!("warning: {error}")); // it names the capture
    }
}

/// A value as one line of JSON that is harmless on a terminal.
pub(super) fn json_line(value: &impl serde::Serialize) -> String {
    let mut line = Vec::new();
    push_safe(&mut line, &serde_json::to_vec(value).unwrap_or_default());
    line.push(b'\n');
    String::from_utf8_lossy(&line).into_owned()
}

/// Writes text to the output; gives `exit`, or how that failed.
pub(super) fn written(text: &str, exit: Exit, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => exit,
        Err(error) => captures::broken(&error, err),
    }
}

/// Waits for the event that was asked for.
struct Wanted<'e> {
    explainer: &'e Explainer<'e>,
    memo: Memo,
    event: Option<u64>,
    time: Option<Moment>,
    first_ts: Option<u64>,
    last: u64,
    found: Option<Explanation>,
}

impl<'e> Wanted<'e> {
    fn new(explainer: &'e Explainer<'e>, args: &ExplainArgs) -> Self {
        Self {
            explainer,
            memo: explainer.memo(),
            event: args.event,
            time: args.time,
            first_ts: None,
            last: 0,
            found: None,
        }
    }

    /// Why there is nothing to explain.
    fn missing(&self, report: &CaptureReport) -> String {
        match self.event {
            Some(event) if event <= self.last => {
                format!("error: event {event} of {} only feeds the state, and rules do not see it", report.name)
            }
            Some(event) => format!("error: {} has no event {event}; the last one is {}", report.name, self.last),
            None => format!("error: the rule is not asked about any event of {} at or after that time", report.name),
        }
    }
}

impl Watcher for Wanted<'_> {
    fn event(&mut self, context: &EventContext<'_>, _: &mut Ledger) -> ControlFlow<()> {
        let event = context.event;
        self.last = event.num;
        let first_ts = *self.first_ts.get_or_insert(context.clock.first_ts);
        let here = match (self.event, self.time) {
            (Some(wanted), _) if event.num > wanted => return ControlFlow::Break(()),
            (Some(wanted), _) => event.num == wanted,
            (None, Some(time)) => event.ts >= time.at(first_ts) && self.explainer.asks(context),
            (None, None) => false,
        };
        if !here {
            return ControlFlow::Continue(());
        }
        self.found = Some(self.explainer.explain(context, &mut self.memo));
        ControlFlow::Break(())
    }
}

pub(super) fn after_help() -> String {
    format!(
        "\
Examples:
  casebook-replay explain 'Shell started by a web server' --nearest incident.scap
      on which events the rule failed by one comparison, and by which
  casebook-replay explain 'Shell started by a web server' --event 4711 incident.scap
      every comparison with its value and verdict on one event
  casebook-replay explain 'My rule' --default-rules -r mine.yaml --time +12.5s incident.scap
      the first event after that time about which the rule is asked
  casebook-replay explain 'Sensitive file read' --example

{}
In the tree, ✓ is true and ✗ is false; ◀ marks the comparisons that keep the condition from being true. Comparisons are
shown also where the evaluation stops before them. Of all rules that are true on an event the first in load order is
reported: an earlier one hides the later ones.",
        exit::help(exit::EXPLAIN_EXITS)
    )
}
