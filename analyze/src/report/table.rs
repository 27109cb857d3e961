//! The tables of a report: each declared once, as columns, for HTML and Markdown.
//!
//! A column says how it is headed, how it is set (texts to the left, numbers to the right) and what stands in its cells;
//! a [`Cell`] knows its text, and the key by which the page's script sorts it. Adding a column is adding a row here and
//! a field in `model` (which is what JSON shows).

use super::model::{Alert, Audit, Capture, Connection, Container, File, Finding, Hit, RuleFile, Severity, Triggered};
use super::text::{Text, Time, counted, grouped, lasting, sized};

/// A column of a table of `T`s.
pub struct Column<T> {
    /// Heading.
    pub heading: &'static str,
    /// How it is set.
    pub set: Set,
    /// Left out in narrow windows, where it would push others over the edge.
    pub extra: bool,
    /// What stands in it.
    pub cell: fn(&T) -> Cell,
}

/// How a column is set; also its CSS class.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Set {
    /// Running text.
    Text,
    /// A word or two, in one line.
    Short,
    /// Names, paths, addresses: in a face with even widths; long ones break anywhere.
    Code,
    /// The same with more room: paths, names of captures.
    Path,
    /// Addresses with ports: the same, in one line where that is possible.
    Address,
    /// Numbers, to the right.
    Number,
    /// Times.
    Time,
}

impl Set {
    /// Name of its CSS class.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Text => "t",
            Self::Short => "s",
            Self::Code => "c",
            Self::Path => "c p",
            Self::Address => "c a",
            Self::Number => "n",
            Self::Time => "w",
        }
    }
}

/// What stands in a cell.
pub enum Cell {
    /// A text.
    Text(Text),
    /// A number.
    Number(u64),
    /// A number of bytes.
    Bytes(u64),
    /// A moment.
    Time(Option<Time>),
    /// From a moment to a moment: shown as its length.
    Lasting(Option<(Time, Time)>),
    /// A severity.
    Severity(Option<Severity>),
    /// A heading with text below it, and a remark below that.
    Stacked(Text, Text, Option<Text>),
    /// A process that has a place among the trees: its name and the key of its life.
    Process(Text, Option<u64>),
}

impl Cell {
    /// What the script sorts by: a number where the cell is one, nothing where the shown text will do.
    pub fn key(&self) -> Option<String> {
        match self {
            Self::Number(number) | Self::Bytes(number) => Some(number.to_string()),
            // Padded: beyond 2^53 a script compares them as texts.
            Self::Time(time) => Some(time.map_or_else(String::new, |time| format!("t{:020}", time.0))),
            Self::Lasting(span) => Some(span.map_or(0, |(from, to)| to.0.saturating_sub(from.0)).to_string()),
            Self::Severity(severity) => Some(severity.map_or(0, |severity| 8 - u64::from(severity.0)).to_string()),
            Self::Text(_) | Self::Stacked(..) | Self::Process(..) => None,
        }
    }

    /// Whether nothing stands in it: a column of such cells is left out.
    pub fn is_nothing(&self) -> bool {
        match self {
            Self::Text(text) | Self::Process(text, _) => text.is_empty(),
            Self::Number(number) | Self::Bytes(number) => *number == 0,
            Self::Time(time) => time.is_none(),
            Self::Lasting(span) => span.is_none(),
            Self::Severity(severity) => severity.is_none(),
            Self::Stacked(..) => false,
        }
    }

    /// As text, for Markdown.
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) | Self::Process(text, _) => text.to_string(),
            Self::Number(number) => grouped(*number),
            Self::Bytes(bytes) => sized(*bytes),
            Self::Time(time) => time.map(Time::full).unwrap_or_default(),
            Self::Lasting(span) => span.map(|(from, to)| lasting(to.0.saturating_sub(from.0))).unwrap_or_default(),
            Self::Severity(severity) => severity.map(Severity::word).unwrap_or_default().to_owned(),
            Self::Stacked(head, below, remark) => {
                let remark = remark.as_ref().map(|remark| format!(" ({remark})")).unwrap_or_default();
                format!("{head}: {below}{remark}")
            }
        }
    }
}

/// What can be shown as a table.
pub trait Tabular: Sized + 'static {
    /// Its columns.
    const COLUMNS: &'static [Column<Self>];
}

macro_rules! is_extra {
    () => {
        false
    };
    (extra) => {
        true
    };
}

macro_rules! table {
    ($row:ty: $($heading:literal, $set:ident $(, $extra:ident)?, |$it:ident| $cell:expr;)*) => {
        impl Tabular for $row {
            const COLUMNS: &'static [Column<Self>] =
                &[$(Column { heading: $heading, set: Set::$set, extra: is_extra!($($extra)?), cell: |$it| $cell }),*];
        }
    };
}

table! { Triggered:
    "Severity", Text, |row| Cell::Severity(Some(row.severity));
    "Rule", Text, |row| Cell::Text(row.rule.clone());
    "Alerts", Number, |row| Cell::Number(row.count);
    "First", Time, |row| Cell::Time(Some(row.first));
    "Last", Time, extra, |row| Cell::Time(Some(row.last));
    "ATT&CK", Code, |row| Cell::Text(joined(&row.techniques));
    "On unknown facts", Number, |row| Cell::Number(row.absent);
}

table! { Capture:
    "Capture", Path, |row| Cell::Text(row.label.clone());
    "Host", Code, extra, |row| Cell::Text(row.host.clone());
    "First event", Time, |row| Cell::Time(row.first);
    "Length", Number, |row| Cell::Lasting(row.first.zip(row.last));
    "Events", Number, |row| Cell::Number(row.events);
    "Lost", Number, |row| Cell::Number(row.dropped);
    "Processes", Number, extra, |row| Cell::Number(row.processes);
    "Alerts", Number, |row| Cell::Number(row.alerts);
    "Strongest", Text, |row| Cell::Severity(row.by_severity.iter().filter(|of| of.count > 0).map(|of| of.severity).min());
    "By severity", Text, extra, |row| Cell::Text(by_severity(row));
    "Read", Text, |row| Cell::Text(row.state.clone());
}

table! { Alert:
    "Time", Time, |row| Cell::Time(Some(row.time));
    "Severity", Text, |row| Cell::Severity(Some(row.severity));
    "Rule and output", Text, |row| Cell::Stacked(row.rule.clone(), row.output.clone(), absent(&row.absent));
    "Process", Code, |row| Cell::Process(row.process.clone(), row.upid);
    "Container", Code, |row| Cell::Text(row.container.clone());
    "Pod", Code, extra, |row| Cell::Text(row.pod.clone());
    "Capture", Code, |row| Cell::Text(row.capture.clone());
}

table! { Connection:
    "Process", Code, |row| Cell::Text(row.process.clone());
    "Role", Short, |row| Cell::Text(spaced(&row.protocol, &row.role));
    "Client", Address, |row| Cell::Text(row.client.clone());
    "Server", Address, |row| Cell::Text(row.server.clone());
    "DNS name", Code, |row| Cell::Text(row.dns.clone());
    "Connects", Number, extra, |row| Cell::Number(row.connects);
    "Failed", Number, extra, |row| Cell::Number(row.failed);
    "Sent", Number, |row| Cell::Bytes(row.bytes_out);
    "Received", Number, |row| Cell::Bytes(row.bytes_in);
    "First", Time, |row| Cell::Time(row.first);
    "Last", Time, extra, |row| Cell::Time(row.last);
    "Container", Code, |row| Cell::Text(row.container.clone());
    "Alerts", Number, |row| Cell::Number(row.alerts);
}

table! { File:
    "Path", Path, |row| Cell::Text(row.path.clone());
    "Process", Code, |row| Cell::Text(row.process.clone());
    "What was done", Text, |row| Cell::Text(row.did.clone());
    "Opens", Number, extra, |row| Cell::Number(row.opens);
    "Failed", Number, extra, |row| Cell::Number(row.failed);
    "Read", Number, |row| Cell::Bytes(row.bytes_read);
    "Written", Number, |row| Cell::Bytes(row.bytes_written);
    "First", Time, |row| Cell::Time(row.first);
    "Last", Time, extra, |row| Cell::Time(row.last);
    "Container", Code, |row| Cell::Text(row.container.clone());
    "Alerts", Number, |row| Cell::Number(row.alerts);
}

table! { Container:
    "Container", Code, |row| Cell::Text(row.id.clone());
    "Name", Code, |row| Cell::Text(row.name.clone());
    "Engine", Text, extra, |row| Cell::Text(row.kind.clone());
    "Image", Code, |row| Cell::Text(row.image.clone());
    "Pod", Code, |row| Cell::Text(row.pod.clone());
    "Privileged", Text, |row| Cell::Text(row.privileged.clone());
    "Processes", Number, |row| Cell::Number(row.processes);
    "Alerts", Number, |row| Cell::Number(row.alerts);
    "Strongest", Text, |row| Cell::Severity(row.severity);
    "Capture", Code, |row| Cell::Text(row.capture.clone());
}

table! { Audit:
    "Time", Time, |row| Cell::Time(Some(row.time));
    "User", Code, |row| Cell::Text(row.user.clone());
    "Verb", Text, |row| Cell::Text(row.verb.clone());
    "Resource", Address, |row| Cell::Text(row.resource.clone());
    "Object", Code, |row| Cell::Text(row.object.clone());
    "From", Address, |row| Cell::Text(row.source.clone());
    "Answer", Text, |row| Cell::Text(row.response.clone());
    "Alerts", Number, |row| Cell::Number(row.alerts);
}

table! { Hit:
    "Indicator", Code, |row| Cell::Text(row.indicator.clone());
    "Kind", Short, |row| Cell::Text(row.kind.clone());
    "About", Text, |row| Cell::Text(row.about.clone());
    "Found in", Address, |row| Cell::Text(row.found.clone());
    "Value", Path, |row| Cell::Text(row.value.clone());
    "Process", Code, |row| Cell::Text(row.process.clone());
    "First", Time, |row| Cell::Time(row.first);
    "Rows", Number, |row| Cell::Number(row.rows);
    "List", Address, |row| Cell::Text(row.list.clone());
}

table! { RuleFile:
    "File", Code, |row| Cell::Text(row.name.clone());
    "Rules", Number, |row| Cell::Number(row.rules);
    "Fired", Number, |row| Cell::Number(row.fired);
    "Warnings", Number, |row| Cell::Number(row.warnings);
    "Size", Number, |row| Cell::Bytes(row.bytes);
    "SHA-256", Code, extra, |row| Cell::Text(row.sha256.clone());
}

table! { Finding:
    "Severity", Text, |row| Cell::Text(row.severity.clone());
    "Counter", Code, |row| Cell::Text(row.counter.clone());
    "Count", Number, |row| Cell::Number(row.count);
    "Captures", Number, |row| Cell::Number(row.captures);
    "Noticed by", Text, |row| Cell::Text(row.origin.clone());
    "What it means", Text, |row| Cell::Text(row.meaning.clone());
}

/// Alerts of a capture by severity, the strongest first: `10 Critical, 1 Error`.
fn by_severity(capture: &Capture) -> Text {
    let mut counts: Vec<_> = capture.by_severity.iter().filter(|of| of.count > 0).collect();
    counts.sort_by_key(|of| of.severity);
    let told: Vec<String> =
        counts.iter().map(|of| format!("{}\u{a0}{}", grouped(of.count), of.severity.word())).collect();
    Text::new(&told.join(", "))
}

fn spaced(first: &Text, second: &Text) -> Text {
    Text::new([first.raw(), second.raw()].join(" ").trim())
}

fn joined(texts: &[Text]) -> Text {
    let shown: Vec<&str> = texts.iter().map(Text::raw).collect();
    Text::new(&shown.join(" "))
}

fn absent(fields: &Text) -> Option<Text> {
    (!fields.is_empty()).then(|| Text::new(&format!("rests on what the capture does not tell: {}", fields.raw())))
}

/// "25 of 3,000 are listed …": what a table leaves out; `None` when it is whole.
pub fn what_is_missing<T>(listing: &super::model::Listing<T>, noun: (&str, &str)) -> Option<String> {
    let chosen = listing.chosen.filter(|_| listing.left_out() > 0)?;
    let total = counted(listing.total, noun.0, noun.1);
    Some(format!("{} of {total} are listed: {chosen}. ", grouped(listing.rows.len() as u64)))
}
