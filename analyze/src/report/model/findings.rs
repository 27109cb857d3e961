//! What was found: the summary, alerts and the rules and techniques behind them, hits of indicators.
//!
//! Filled by `gather` and its `alerts`, `story`; which rules were asked stands in [`super::basis`].

use serde::Serialize;

use super::Severity;
use crate::report::text::{Text, Time};

/// What happened: numbers in Falco's words, then sentences.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    /// Alerts of all captures.
    pub events_detected: u64,
    /// Alerts by severity, strongest first, those that occurred.
    pub rule_counts_by_severity: Vec<SeverityCount>,
    /// Rules that fired, strongest first, then by name.
    pub triggered_rules: Vec<Triggered>,
    /// Events that were read.
    pub events: u64,
    /// Lives of processes.
    pub processes: u64,
    /// Hosts, by name.
    pub hosts: Vec<Text>,
    /// First event of all captures.
    pub first: Option<Time>,
    /// Last event of all captures.
    pub last: Option<Time>,
    /// Captures that were read.
    pub captures: u64,
    /// What happened, in sentences.
    pub sentences: Vec<Text>,
}

/// Alerts of one severity.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SeverityCount {
    /// Which.
    pub severity: Severity,
    /// How many.
    pub count: u64,
}

/// A rule that fired.
#[derive(Debug, Serialize)]
pub struct Triggered {
    /// Its name.
    pub rule: Text,
    /// Its priority.
    pub severity: Severity,
    /// Alerts.
    pub count: u64,
    /// Those of them that rest on fields which the capture does not tell.
    pub absent: u64,
    /// First alert.
    pub first: Time,
    /// Last alert.
    pub last: Time,
    /// Its techniques (`T1059.004`).
    pub techniques: Vec<Text>,
}

/// An alert.
#[derive(Debug, Serialize)]
pub struct Alert {
    /// When.
    pub time: Time,
    /// The rule's priority.
    pub severity: Severity,
    /// The rule.
    pub rule: Text,
    /// The rule's output, without the time and the priority that Falco puts before it.
    pub output: Text,
    /// The process's name.
    pub process: Text,
    /// Key of the process's life, where it is known.
    pub upid: Option<u64>,
    /// Container, by its name or id; `host` outside of any.
    pub container: Text,
    /// Pod, as `namespace/name`.
    pub pod: Text,
    /// The capture.
    pub capture: Text,
    /// Number of its event.
    pub num: u64,
    /// Fields on which it rests and which the capture does not tell.
    pub absent: Text,
}

/// A tactic of ATT&CK with the techniques that loaded rules name.
#[derive(Debug, Serialize)]
pub struct Tactic {
    /// Its name.
    pub name: &'static str,
    /// Alerts of all its techniques.
    pub count: u64,
    /// Fired ones first.
    pub techniques: Vec<Technique>,
}

/// A technique that loaded rules name.
#[derive(Debug, Serialize)]
pub struct Technique {
    /// Its number, `T1059.004`; empty for rules that name the tactic only.
    pub id: Text,
    /// Its name; empty when our table does not have it.
    pub name: Text,
    /// Alerts of its rules.
    pub count: u64,
    /// The strongest of them.
    pub severity: Option<Severity>,
    /// Rules that fired.
    pub rules: Vec<Text>,
    /// Rules that were loaded for it.
    pub loaded: u64,
}

/// A hit of an indicator of compromise.
#[derive(Debug, Serialize)]
pub struct Hit {
    /// The indicator.
    pub indicator: Text,
    /// What kind it is of (address, domain, path, name, hash).
    pub kind: Text,
    /// What its list says about it.
    pub about: Text,
    /// The list that it stands in.
    pub list: Text,
    /// The table and column in which it was found.
    pub found: Text,
    /// The value that it matched.
    pub value: Text,
    /// The process, where there is one.
    pub process: Text,
    /// First seen.
    pub first: Option<Time>,
    /// Rows with it.
    pub rows: u64,
}
