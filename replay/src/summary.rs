//! What a run found, in Falco's words and in ours.
//!
//! Counts of each capture ([`CaptureReport`]) → [`Summary`] of the run → text with exactly the headings of Falco's
//! own summary, or one JSON object (`json`). Then the ledger, which Falco does not have: what the captures could not show.
//!
//! Falco prints severities from the strongest to the weakest and rules in the order in which they were loaded, each
//! only when it fired. So do we; both orders are functions of the rule text.

mod json;

use casebook_formats::ledger::{Counter, Ledger};
use serde::Serialize;

/// Names of the priorities in a summary, strongest first; the index is the priority's number.
pub const SEVERITIES: [&str; 8] = ["EMERGENCY", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG"];

/// How far a capture was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Completeness {
    /// To its end, and nothing was broken on the way.
    Complete,
    /// To the end of the requested span (`-M`).
    Stopped,
    /// Cut off or damaged: all that could be read was replayed.
    Incomplete,
    /// It could not be read, or not further.
    Unreadable,
}

/// What one capture gave.
#[derive(Clone, Debug)]
pub struct CaptureReport {
    /// The capture as the user named it.
    pub name: String,
    /// How far it was read.
    pub completeness: Completeness,
    /// Why not further.
    pub error: Option<String>,
    /// Events that were replayed, of all kinds.
    pub events: u64,
    /// Timestamp of the first event in ns since the epoch; 0 without events.
    pub first_ts: u64,
    /// Timestamp of the last event in ns since the epoch; 0 without events.
    pub last_ts: u64,
    /// Alerts by rule number.
    pub by_rule: Vec<u64>,
    /// Those of them that rest on fields which the capture does not tell.
    pub guesses_by_rule: Vec<u64>,
    /// Anomalies.
    pub ledger: Ledger,
}

impl CaptureReport {
    /// A capture that could not even be opened.
    pub fn unreadable(name: String, error: String) -> Self {
        Self { completeness: Completeness::Unreadable, error: Some(error), ..Self::new(name) }
    }

    /// A capture of which nothing is known yet.
    pub fn new(name: String) -> Self {
        Self {
            name,
            completeness: Completeness::Complete,
            error: None,
            events: 0,
            first_ts: 0,
            last_ts: 0,
            by_rule: Vec::new(),
            guesses_by_rule: Vec::new(),
            ledger: Ledger::default(),
        }
    }

    /// Adds what the part of the capture after this one gave: counts add up, where and how it ended is the later part's.
    pub fn absorb(&mut self, next: &Self) {
        self.completeness = next.completeness;
        self.error.clone_from(&next.error);
        (self.events, self.first_ts, self.last_ts) = (next.events, next.first_ts, next.last_ts);
        self.add_counts(next);
    }

    /// Adds only what was counted: alerts and anomalies.
    pub fn add_counts(&mut self, next: &Self) {
        let Self { by_rule, guesses_by_rule, ledger, .. } = self;
        add(by_rule, &next.by_rule);
        add(guesses_by_rule, &next.guesses_by_rule);
        ledger.merge(&next.ledger);
    }

    /// Alerts of all rules.
    pub fn alerts(&self) -> u64 {
        self.by_rule.iter().sum()
    }

    /// Anomalies of several captures.
    pub fn merged_ledger(reports: &[Self]) -> Ledger {
        let mut ledger = Ledger::default();
        for report in reports {
            ledger.merge(&report.ledger);
        }
        ledger
    }

    /// Counts an alert.
    pub fn count(&mut self, rule: usize) {
        count_at(&mut self.by_rule, rule);
    }

    /// Counts an alert, counted already, as one that rests on fields which the capture does not tell.
    pub fn count_guess(&mut self, rule: usize) {
        self.ledger.count(Counter::AlertsOnAbsentFields);
        count_at(&mut self.guesses_by_rule, rule);
    }
}

fn add(counts: &mut Vec<u64>, more: &[u64]) {
    counts.resize(counts.len().max(more.len()), 0);
    for (count, more) in counts.iter_mut().zip(more) {
        *count += more;
    }
}

fn count_at(counts: &mut Vec<u64>, at: usize) {
    if counts.len() <= at {
        counts.resize(at + 1, 0);
    }
    counts[at] += 1;
}

/// A rule as a summary names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleLabel {
    /// Its name.
    pub name: String,
    /// Index into [`SEVERITIES`].
    pub severity: usize,
}

/// What a run gave: reports in the order of the captures.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// All rules in load order; the position is the rule's number.
    pub rules: Vec<RuleLabel>,
    /// One report a capture, in input order.
    pub captures: Vec<CaptureReport>,
    /// One report a target that alerts were sent to.
    pub deliveries: Vec<crate::deliver::Report>,
}

impl Summary {
    /// Alerts of all captures.
    pub fn alerts(&self) -> u64 {
        self.captures.iter().map(CaptureReport::alerts).sum()
    }

    /// Alerts of each rule over all captures, for rules that fired, in load order.
    pub fn triggered(&self) -> Vec<(&RuleLabel, u64)> {
        self.triggered_numbers().map(|(_, label, n)| (label, n)).collect()
    }

    /// The same with the rules' numbers.
    fn triggered_numbers(&self) -> impl Iterator<Item = (usize, &RuleLabel, u64)> {
        let count = |rule: usize| self.captures.iter().filter_map(|capture| capture.by_rule.get(rule)).sum();
        self.rules.iter().enumerate().map(move |(rule, label)| (rule, label, count(rule))).filter(|(.., n)| *n > 0)
    }

    /// Alerts on fields that captures do not tell, of a rule over all captures.
    fn guesses(&self, rule: usize) -> u64 {
        self.captures.iter().filter_map(|capture| capture.guesses_by_rule.get(rule)).sum()
    }

    /// Alerts of each severity, for severities that occurred, strongest first.
    pub fn severities(&self) -> Vec<(&'static str, u64)> {
        let mut counts = [0; SEVERITIES.len()];
        for (label, n) in self.triggered() {
            if let Some(count) = counts.get_mut(label.severity) {
                *count += n;
            }
        }
        SEVERITIES.into_iter().zip(counts).filter(|(_, n)| *n > 0).collect()
    }

    /// Whether there were alerts at `severity` (index into [`SEVERITIES`]) or stronger.
    pub fn reached(&self, severity: usize) -> bool {
        self.triggered().iter().any(|(label, _)| label.severity <= severity)
    }

    /// Alerts that did not arrive where they were sent, over all targets.
    pub fn undelivered(&self) -> u64 {
        self.deliveries.iter().map(crate::deliver::Report::undelivered).sum()
    }

    /// Whether some capture was read only so far.
    pub fn any(&self, completeness: Completeness) -> bool {
        self.captures.iter().any(|capture| capture.completeness == completeness)
    }

    /// Anomalies of all captures.
    pub fn ledger(&self) -> Ledger {
        CaptureReport::merged_ledger(&self.captures)
    }

    /// The summary in Falco's form, then the ledger. One call of `line` a line, without its end.
    pub fn text(&self, mut line: impl FnMut(&str)) {
        line(&format!("Events detected: {}", self.alerts()));
        line("Rule counts by severity:");
        for (name, n) in self.severities() {
            line(&format!("   {name}: {n}"));
        }
        line("Triggered rules by rule name:");
        for (rule, n) in self.triggered() {
            line(&format!("   {}: {n}", rule.name));
        }
        ledger_text(&self.ledger(), &mut line);
        if !self.deliveries.is_empty() {
            line("Deliveries:");
        }
        for delivery in &self.deliveries {
            line(&format!("   {}", delivery.text()));
        }
    }
}

/// A ledger for people. One call of `line` a line, without its end.
pub fn ledger_text(ledger: &Ledger, mut line: impl FnMut(&str)) {
    if ledger.findings().next().is_none() {
        return line("Ledger of anomalies: empty");
    }
    line("Ledger of anomalies:");
    for (counter, n) in ledger.findings() {
        line(&format!("   {} ({}): {n}. {}", counter.name, counter.severity.word(), counter.advice));
    }
}

/// ISO 8601 in UTC with nanoseconds, as the `time` of a JSON alert.
pub fn iso_time(ns: u64) -> String {
    casebook_rules::alert::iso8601(ns, "Z")
}

#[cfg(test)]
mod tests {
    // A summary that cannot be written to memory is the failure these tests look for.
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn label(name: &str, severity: usize) -> RuleLabel {
        RuleLabel { name: name.to_owned(), severity }
    }

    fn sample() -> Summary {
        let rules = vec![label("zeta", 2), label("silent", 0), label("alpha", 6), label("beta", 2)];
        let mut first = CaptureReport::new("one.scap".to_owned());
        for rule in [0, 2, 2, 3] {
            first.count(rule);
        }
        (first.events, first.first_ts, first.last_ts) = (9, 1_470_327_477_881_730_713, 1_470_327_478_000_000_000);
        first.ledger.add(Counter::UnknownFds, 3);
        let mut second = CaptureReport::unreadable("two\"\n.scap".to_owned(), "not a capture".to_owned());
        second.count(2);
        Summary { rules, captures: vec![first, second], deliveries: Vec::new() }
    }

    fn lines(summary: &Summary) -> Vec<String> {
        let mut lines = Vec::new();
        summary.text(|line| lines.push(line.to_owned()));
        lines
    }

    #[test]
    fn text_has_falcos_headings_and_orders() {
        let lines = lines(&sample());
        assert_eq!(
            lines[..8],
            [
                "Events detected: 5",
                "Rule counts by severity:",
                "   CRITICAL: 2",
                "   INFO: 3",
                "Triggered rules by rule name:",
                "   zeta: 1",
                "   alpha: 3",
                "   beta: 1",
            ]
        );
        assert_eq!(lines[8], "Ledger of anomalies:");
        assert!(lines[9].starts_with("   unknown_fds (data loss): 3. Events on descriptors"));
        assert_eq!(lines.len(), 10);
    }

    #[test]
    fn an_empty_run_still_has_all_headings() {
        let expected = [
            "Events detected: 0",
            "Rule counts by severity:",
            "Triggered rules by rule name:",
            "Ledger of anomalies: empty",
        ];
        assert_eq!(lines(&Summary::default()), expected);
    }

    #[test]
    fn json_is_one_line_with_the_same_facts() {
        let mut bytes = Vec::new();
        sample().json(&mut bytes).unwrap();
        assert!(!bytes.contains(&b'\n'));
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let summary = &value["summary"];
        assert_eq!(summary["events_detected"], 5);
        assert_eq!(summary["rule_counts_by_severity"]["CRITICAL"], 2);
        assert_eq!(summary["triggered_rules"][1]["rule"], "alpha");
        assert_eq!(summary["triggered_rules"][1]["count"], 3);
        assert_eq!(summary["captures"][0]["first_event"], "2016-08-04T16:17:57.881730713Z");
        assert_eq!(summary["captures"][0]["completeness"], "complete");
        assert_eq!(summary["captures"][1]["completeness"], "unreadable");
        assert_eq!(summary["captures"][1]["error"], "not a capture");
        assert_eq!(summary["ledger"][0]["counter"], "unknown_fds");
        assert_eq!(summary["ledger"][0]["severity"], "data loss");
    }

    #[test]
    fn reached_compares_strength() {
        assert!(sample().reached(2));
        assert!(sample().reached(7));
        assert!(!sample().reached(1));
        assert!(!Summary::default().reached(7));
    }
}
