//! What a report says, as plain structs: the one source of its HTML, JSON and Markdown form.
//!
//! `gather` fills it from the tables of `frames`; nothing here knows data frames, and nothing that shows a report looks
//! anything up. All lists are bounded when they are filled, and say how much they leave out ([`Listing`]); all texts
//! from captures and rules are [`Text`]s, bounded and harmless wherever they are shown.
//!
//! Serialized, this is the JSON form. Its version is [`SCHEMA`]; `analyze/REPORT.md` documents it.

use serde::{Serialize, Serializer};

use super::text::{Text, Time};
use super::timeline::Timeline;

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

/// Process trees around alerts.
#[derive(Debug, Default, Serialize)]
pub struct Forest {
    /// Processes with alerts.
    pub alerting: u64,
    /// Those of them that are shown.
    pub shown: u64,
    /// Trees, each from its eldest known ancestor.
    pub roots: Vec<Node>,
}

/// A process in a tree.
#[derive(Debug, Default, Serialize)]
pub struct Node {
    /// Key of its life, as in the tables.
    pub upid: u64,
    /// Its number.
    pub pid: i64,
    /// Its name.
    pub name: Text,
    /// Its command line.
    pub cmdline: Text,
    /// Its user.
    pub user: Text,
    /// The cluster's user whose request started it.
    #[serde(skip_serializing_if = "Text::is_empty")]
    pub k8s_user: Text,
    /// What it asked for: exec, attach or debug.
    #[serde(skip_serializing_if = "Text::is_empty")]
    pub k8s_user_via: Text,
    /// How sure that is: high, medium or low.
    #[serde(skip_serializing_if = "Text::is_empty")]
    pub k8s_user_confidence: Text,
    /// Who else it may be, in brackets.
    #[serde(skip_serializing_if = "Text::is_empty")]
    pub k8s_user_others: Text,
    /// Container, by its name or id; empty on the host.
    pub container: Text,
    /// Start; absent when it was there before the capture.
    pub start: Option<Time>,
    /// End.
    pub end: Option<Time>,
    /// Exit code or signal, in words.
    pub exit: Text,
    /// Alerts of the process itself, by rule, strongest first.
    pub alerts: Vec<NodeAlerts>,
    /// Alerts of it and of all below it.
    pub alerts_below: u64,
    /// Children that are shown, by start.
    pub children: Vec<Node>,
    /// Children that are not.
    pub left_out: u64,
    /// Generations between its parent in this tree and itself that are not shown.
    pub generations_left_out: u64,
    /// The capture; only at the root of a tree, and where there are several captures.
    #[serde(skip_serializing_if = "Text::is_empty")]
    pub capture: Text,
}

/// Alerts of one rule on one process.
#[derive(Debug, Serialize)]
pub struct NodeAlerts {
    /// The rule.
    pub rule: Text,
    /// Its priority.
    pub severity: Severity,
    /// How many.
    pub count: u64,
    /// The first.
    pub first: Time,
}

/// Processes of one name and whom they talked to; all ports of a client in one.
#[derive(Debug, Serialize)]
pub struct Connection {
    /// The process's name.
    pub process: Text,
    /// Container, by its name or id.
    pub container: Text,
    /// Protocol.
    pub protocol: Text,
    /// Client or server, as seen from the process.
    pub role: Text,
    /// Client: `address:port`, or the address alone where several ports were used.
    pub client: Text,
    /// Server, `address:port`.
    pub server: Text,
    /// Name that was resolved to the address of the other side.
    pub dns: Text,
    /// The other side lies outside private, local and multicast ranges.
    pub public: bool,
    /// Connections made or taken.
    pub connects: u64,
    /// Connections that failed.
    pub failed: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// First seen.
    pub first: Option<Time>,
    /// Last seen.
    pub last: Option<Time>,
    /// Alerts of these processes.
    pub alerts: u64,
}

/// Processes of one name and what they did to a file.
#[derive(Debug, Serialize)]
pub struct File {
    /// The file.
    pub path: Text,
    /// The process's name.
    pub process: Text,
    /// Container, by its name or id.
    pub container: Text,
    /// What was done, in words: `created, written, renamed`.
    pub did: Text,
    /// Opens, failed ones included.
    pub opens: u64,
    /// Opens that failed.
    pub failed: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// First touched.
    pub first: Option<Time>,
    /// Last touched.
    pub last: Option<Time>,
    /// Alerts of these processes.
    pub alerts: u64,
}

/// A container.
#[derive(Debug, Serialize)]
pub struct Container {
    /// Its short id.
    pub id: Text,
    /// Its name.
    pub name: Text,
    /// Engine.
    pub kind: Text,
    /// Image, with its tag.
    pub image: Text,
    /// `yes`, `no`, or empty when the capture does not tell.
    pub privileged: Text,
    /// Pod, as `namespace/name`.
    pub pod: Text,
    /// Lives of processes in it.
    pub processes: u64,
    /// Alerts in it.
    pub alerts: u64,
    /// The strongest of them.
    pub severity: Option<Severity>,
    /// The capture.
    pub capture: Text,
}

/// A request to the cluster.
#[derive(Debug, Serialize)]
pub struct Audit {
    /// When.
    pub time: Time,
    /// Who asked.
    pub user: Text,
    /// From where.
    pub source: Text,
    /// What for.
    pub verb: Text,
    /// Of what: `resource/subresource`.
    pub resource: Text,
    /// `namespace/name`.
    pub object: Text,
    /// What the cluster answered.
    pub response: Text,
    /// Alerts on it.
    pub alerts: u64,
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
