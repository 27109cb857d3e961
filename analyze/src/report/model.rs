//! What a report says, as plain structs: the one source of its HTML, JSON and Markdown form.
//!
//! `gather` fills it from the tables of `frames`; nothing here knows data frames, and nothing that shows a report looks
//! anything up. All lists are bounded when they are filled, and say how much they leave out ([`Listing`]); all texts
//! from captures and rules are [`Text`]s, bounded and harmless wherever they are shown.
//!
//! Here is the whole with what its parts share; the parts are what was found ([`findings`]), the processes around it
//! ([`trees`]), what else processes did ([`activity`]), and what all of it rests on ([`basis`]).
//!
//! Serialized, this is the JSON form. Its version is [`SCHEMA`]; `analyze/REPORT.md` documents it.

pub mod activity;
pub mod basis;
pub mod findings;
pub mod trees;

use serde::{Serialize, Serializer};

use super::text::{Text, Time};
use super::timeline::Timeline;
pub use activity::{Audit, Connection, Container, File};
pub use basis::{Capture, Finding, Ledger, RuleFile, Rules, Warning};
pub use findings::{Alert, Hit, SeverityCount, Summary, Tactic, Technique, Triggered};
pub use trees::{Forest, Node, NodeAlerts};

/// Name and version of the JSON form. Fields may be added under the same version; a change of what is there makes a
/// new one.
pub const SCHEMA: &str = "casebook-report/1";

/// A report.
#[derive(Debug, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Headline of the page.
    pub title: Text,
    /// The case it belongs to, as the user names it.
    pub case: Option<Text>,
    /// What wrote it.
    pub program: Program,
    /// What happened.
    pub summary: Summary,
    /// What the captures could not show.
    pub ledger: Ledger,
    /// The captures.
    pub captures: Listing<Capture>,
    /// When it happened.
    pub timeline: Timeline,
    /// Hits of indicators of compromise; absent when none were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub indicators: Option<Listing<Hit>>,
    /// Techniques that fired rules name.
    pub attack: Vec<Tactic>,
    /// Alerts, a fair choice of them.
    pub alerts: Listing<Alert>,
    /// Processes around the alerts.
    pub trees: Forest,
    /// Who talked to whom.
    pub network: Listing<Connection>,
    /// What was done to files.
    pub files: Listing<File>,
    /// Containers, with their pods.
    pub containers: Listing<Container>,
    /// What the cluster's audit log says; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit: Option<Listing<Audit>>,
    /// The rules that were asked.
    pub rules: Rules,
}

impl Report {
    /// Whether times need their day: when the report covers more than one.
    pub fn is_dated(&self) -> bool {
        self.summary.first.map(Time::date) != self.summary.last.map(Time::date)
    }
}

/// What wrote the report.
#[derive(Debug, Serialize)]
pub struct Program {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
}

/// Rows of a table, as many as a page can bear, and how many there are.
#[derive(Debug, Serialize)]
pub struct Listing<T> {
    /// Rows there are.
    pub total: u64,
    /// How the listed ones were chosen, where they are not all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chosen: Option<&'static str>,
    /// The question that gives all of them to `casebook-analyze sql`.
    pub query: &'static str,
    /// The listed ones.
    pub rows: Vec<T>,
}

impl<T> Listing<T> {
    /// The first rows of `rows`, which are in the order of their weight: `limit` of them.
    pub fn first(mut rows: Vec<T>, limit: usize, chosen: &'static str, query: &'static str) -> Self {
        let total = rows.len() as u64;
        rows.truncate(limit);
        let chosen = ((rows.len() as u64) < total).then_some(chosen);
        Self { total, chosen, query, rows }
    }

    /// Rows that are not listed.
    pub fn left_out(&self) -> u64 {
        self.total.saturating_sub(self.rows.len() as u64)
    }
}

/// A priority: index into the words of [`casebook_replay::summary::SEVERITIES`], 0 the strongest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Severity(pub u8);

impl Severity {
    /// The word in alerts, `Critical`.
    pub fn word(self) -> &'static str {
        casebook_rules::priority::Priority::ALL.get(usize::from(self.0)).map_or("Debug", |priority| priority.name())
    }
}

impl Serialize for Severity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}
