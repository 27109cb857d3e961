//! Outcomes as text and as JSON.
//!
//! One line a case for people, with a diff below it where the case failed; one object a case for programs. Neither says
//! anything about the machine or the time: the same cases give the same bytes.

use std::fmt::Write as _;

use casebook_rules::source::FileSpan;
use serde_json::{Value, json};

use super::case::Case;
use super::expect::{Failure, Fired};
use super::runner::{Outcome, Verdict};
use super::suite::Suite;
use crate::summary::iso_time;

/// Alerts listed under a failure.
const MAX_LISTED: usize = 5;

impl Verdict {
    /// One word.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Skipped(_) => "skipped",
            Self::Broken(_) => "broken",
        }
    }
}

/// How many cases ended how.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Tally {
    /// As expected.
    pub passed: usize,
    /// Not as expected.
    pub failed: usize,
    /// Something required is not there.
    pub skipped: usize,
    /// With a capture that cannot be read.
    pub broken: usize,
}

impl Tally {
    /// Counts outcomes.
    pub fn of(outcomes: &[Outcome]) -> Self {
        let mut tally = Self::default();
        for outcome in outcomes {
            match outcome.verdict {
                Verdict::Passed => tally.passed += 1,
                Verdict::Failed => tally.failed += 1,
                Verdict::Skipped(_) => tally.skipped += 1,
                Verdict::Broken(_) => tally.broken += 1,
            }
        }
        tally
    }

    /// In a line.
    pub fn text(&self) -> String {
        let total = self.passed + self.failed + self.skipped + self.broken;
        let mut text = format!("{total} {}: {} passed", if total == 1 { "case" } else { "cases" }, self.passed);
        for (count, word) in [(self.failed, "failed"), (self.broken, "broken"), (self.skipped, "skipped")] {
            if count > 0 {
                let _ = write!(text, ", {count} {word}");
            }
        }
        text
    }
}

impl Suite {
    /// Where a span stands, as `file:line:column`.
    pub fn place(&self, span: FileSpan) -> String {
        self.sources.locate(span).map_or_else(String::new, |place| {
            format!("{}:{}:{}", place.name, place.position.line, place.position.column)
        })
    }

    /// The name of a rule of a case.
    pub fn rule_name(&self, case: &Case, rule: u32) -> &str {
        let rules = self.ruleset(case);
        rules.and_then(|rules| rules.rules().get(rule as usize)).map_or("", |rule| rule.name.as_str())
    }

    /// The lines about a case, without the end of the last. `verbose` also lists what a case that passed saw.
    pub fn text(&self, case: &Case, outcome: &Outcome, verbose: bool) -> String {
        let mut text = match &outcome.verdict {
            Verdict::Passed => format!("ok       {}", case.name),
            Verdict::Failed => format!("FAILED   {}", case.name),
            Verdict::Skipped(why) => format!("skipped  {} ({why})", case.name),
            Verdict::Broken(why) => format!("BROKEN   {}: {why}", case.name),
        };
        // Writing to a string cannot fail.
        if outcome.verdict == Verdict::Failed {
            let _ = write!(text, "\n         {}", case.purpose);
        }
        for failure in &outcome.failures {
            self.failure(&mut text, case, outcome, failure);
        }
        for warning in &outcome.warnings {
            let _ = write!(text, "\n       {warning}");
        }
        if verbose && outcome.verdict == Verdict::Passed {
            for (fired, alert) in &outcome.alerts {
                let _ = write!(text, "\n       event {} {}", fired.event, alert.output);
            }
        }
        text
    }

    fn failure(&self, text: &mut String, case: &Case, outcome: &Outcome, failure: &Failure) {
        let place = failure
            .expectation
            .and_then(|at| case.expect.items.get(at))
            .map_or_else(|| case.file.display().to_string(), |item| self.place(item.place));
        let _ = write!(text, "\n       {place}: {}", self.rule_name(case, failure.rule));
        let _ = write!(text, "\n         expected  {}", failure.expected);
        let _ = write!(text, "\n         got       {}", failure.got);
        for fired in failure.alerts.iter().take(MAX_LISTED) {
            let Some(alert) = outcome.alerts.get(fired) else { continue };
            let _ = write!(text, "\n           event {} {}", Self::event_name(case, fired), alert.output);
        }
        for line in &failure.nearest {
            let _ = write!(text, "\n         {line}");
        }
        if failure.alerts.len() > MAX_LISTED {
            let _ = write!(text, "\n           and {} more", failure.alerts.len() - MAX_LISTED);
        }
    }

    /// The number of an event, with its capture where the case has several.
    fn event_name(case: &Case, fired: &Fired) -> String {
        match case.captures.get(fired.capture as usize) {
            Some(capture) if case.captures.len() > 1 => format!("{} of {}", fired.event, capture.name()),
            _ => fired.event.to_string(),
        }
    }

    /// The object about a case.
    pub fn json(&self, case: &Case, outcome: &Outcome) -> Value {
        let alerts: Vec<Value> = outcome
            .alerts
            .iter()
            .map(|(fired, alert)| {
                json!({
                    "capture": fired.capture,
                    "event": fired.event,
                    "time": iso_time(alert.time),
                    "rule": self.rule_name(case, fired.rule),
                    "output": alert.output,
                })
            })
            .collect();
        let failures: Vec<Value> = outcome
            .failures
            .iter()
            .map(|failure| {
                let place = failure.expectation.and_then(|at| case.expect.items.get(at));
                json!({
                    "rule": self.rule_name(case, failure.rule),
                    "expected": failure.expected,
                    "got": failure.got,
                    "place": place.map(|item| self.place(item.place)),
                    "nearest": failure.nearest,
                    "events": failure.alerts.iter().map(|fired| fired.event).collect::<Vec<_>>(),
                })
            })
            .collect();
        let reason = match &outcome.verdict {
            Verdict::Skipped(why) | Verdict::Broken(why) => Some(why),
            Verdict::Passed | Verdict::Failed => None,
        };
        json!({
            "case": case.name,
            "verdict": outcome.verdict.name(),
            "reason": reason,
            "purpose": case.purpose,
            "technique": case.techniques,
            "events": outcome.events,
            "alerts": alerts,
            "failures": failures,
            "warnings": outcome.warnings,
        })
    }
}
