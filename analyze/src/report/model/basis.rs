//! What the report rests on: the captures, the rules that were asked, and the ledger of what both could not show.
//!
//! Filled by `gather` and its `rules`, `losses`; what was found in them stands in [`super::findings`].

use serde::Serialize;

use super::SeverityCount;
use crate::report::text::{Text, Time};

/// A capture.
#[derive(Debug, Serialize)]
pub struct Capture {
    /// As the user named it.
    pub name: Text,
    /// As the page calls it: without the folder that all captures share.
    pub label: Text,
    /// Host that it was recorded on.
    pub host: Text,
    /// SHA-256 of the file, in hex.
    pub sha256: Text,
    /// Kind of file.
    pub format: Text,
    /// First event.
    pub first: Option<Time>,
    /// Last event.
    pub last: Option<Time>,
    /// Events.
    pub events: u64,
    /// Lives of processes.
    pub processes: u64,
    /// Alerts.
    pub alerts: u64,
    /// Alerts by severity, strongest first, those that occurred.
    pub by_severity: Vec<SeverityCount>,
    /// Events that the recorder says it lost.
    pub dropped: u64,
    /// How far it was read, in words.
    pub state: Text,
    /// Whether it was read to its end and nothing in it was broken.
    pub complete: bool,
}

/// The rules that were asked.
#[derive(Debug, Default, Serialize)]
pub struct Rules {
    /// Files, in load order.
    pub files: Vec<RuleFile>,
    /// Active rules of all files.
    pub active: u64,
    /// Rules that are switched off, or weaker than asked for.
    pub inactive: u64,
    /// Rules that did not fire, by name.
    pub silent: Vec<Text>,
    /// Warnings of the load, bounded.
    pub warnings: Vec<Warning>,
    /// All of them.
    pub warnings_total: u64,
}

/// A rule file.
#[derive(Debug, Serialize)]
pub struct RuleFile {
    /// Its name.
    pub name: Text,
    /// SHA-256 of its text, in hex.
    pub sha256: Text,
    /// Bytes.
    pub bytes: u64,
    /// Rules in it.
    pub rules: u64,
    /// Those that fired.
    pub fired: u64,
    /// Warnings about it.
    pub warnings: u64,
}

/// A warning of the load.
#[derive(Debug, Serialize)]
pub struct Warning {
    /// Its code, `LOAD_UNKNOWN_FILTER`.
    pub code: &'static str,
    /// File, line and column.
    pub place: Text,
    /// What it says.
    pub message: Text,
}

/// What the captures could not show.
#[derive(Debug, Default, Serialize)]
pub struct Ledger {
    /// The sum of it, in sentences.
    pub sentences: Vec<Text>,
    /// Counters that are not zero: losses first.
    pub findings: Vec<Finding>,
}

/// An anomaly, counted over all captures.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// Name of the counter.
    pub counter: Text,
    /// `data loss`, `error` or `info`.
    pub severity: Text,
    /// Who noticed.
    pub origin: Text,
    /// How often.
    pub count: u64,
    /// Captures with it.
    pub captures: u64,
    /// What it means.
    pub meaning: Text,
}
