//! What a replay still knows when events are missing: the same capture whole and with every n-th event block removed.
//!
//! Capture → `Blocks` (unpacked, event blocks counted) → two replays side by side, of the whole stream and of the
//! reduced one → every event that both show is compared over the fields of the catalogue. Events are matched by the
//! place of their block in the whole stream. What the reduced replay says may be *equal* to what the whole one says,
//! *unknown* (absent, or a marker for it), or **wrong**: another value, or a value where the whole one has none.
//!
//! Fields that speak of the stream itself and not of the system are left out (`OF_THE_STREAM`).

mod blocks;
mod cause;
mod evidence;
mod unknown;

use std::collections::BTreeMap;
use std::io::Cursor;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use casebook_formats::capture::CaptureReader;
use casebook_replay::context::EventContext;
use casebook_replay::engine::Replay;
use casebook_replay::fields::Catalogue;
use casebook_replay::fields::catalogue::{FieldRow, Scope};
use rayon::prelude::*;
use serde::Serialize;

use crate::corpora::Corpora;
use crate::glob::{Glob, any};
use crate::golden::fields::ABSENT;
use crate::ours::OurFields;
use blocks::Blocks;
use cause::{Causes, Deleted, Subject};
use evidence::Evidence;

/// Fields that are another value in another stream by their meaning: the number of an event, the time since the event
/// before it.
const OF_THE_STREAM: [&str; 4] = ["evt.num", "evt.deltatime", "evt.deltatime.s", "evt.deltatime.ns"];

/// Fields with an argument that take part, besides all that can do without.
const WITH_ARGUMENT: [&str; 26] = [
    "evt.arg.res",
    "evt.arg.fd",
    "evt.arg.name",
    "evt.arg.path",
    "evt.rawarg.res",
    "evt.rawarg.fd",
    "evt.abspath.src",
    "evt.abspath.dst",
    "proc.aname[1]",
    "proc.aname[2]",
    "proc.aname[3]",
    "proc.aexe[1]",
    "proc.aexe[2]",
    "proc.aexepath[1]",
    "proc.aexepath[2]",
    "proc.acmdline[1]",
    "proc.acmdline[2]",
    "proc.apid[1]",
    "proc.apid[2]",
    "proc.args[0]",
    "proc.args[1]",
    "proc.env[PATH]",
    "proc.env[HOME]",
    "thread.cgroup.cpu",
    "thread.cgroup.memory",
    "container.mount[0]",
];

/// Rows that may wait between the two replays.
const WAITING_ROWS: usize = 512;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Every how many-th event block is removed; at least 2.
    pub every: u64,
    /// Capture names (patterns); all when empty.
    pub captures: Vec<String>,
    /// Field names (patterns); all when empty.
    pub fields: Vec<String>,
    /// Wrong values to keep of each field.
    pub samples: usize,
    /// A drop marker stands in the place of every removed event: the capture tells its losses.
    pub told: bool,
}

/// How values of a field came out.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Outcome {
    /// Events on which one of the replays has a value.
    pub values: u64,
    /// The same value.
    pub equal: u64,
    /// Known to the whole replay only.
    pub unknown: u64,
    /// Another value.
    pub different: u64,
    /// Known to the reduced replay only.
    pub surplus: u64,
    /// Of the wrong ones, those that an event of the reduced capture gives away.
    pub evident: u64,
}

impl Outcome {
    /// Values that are neither right nor unknown.
    pub fn wrong(&self) -> u64 {
        self.different + self.surplus
    }

    fn add(&mut self, other: Self) {
        self.values += other.values;
        self.equal += other.equal;
        self.unknown += other.unknown;
        self.different += other.different;
        self.surplus += other.surplus;
        self.evident += other.evident;
    }
}

/// One wrong value.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Sample {
    /// Capture name.
    pub capture: String,
    /// `evt.num` of the event in the whole capture.
    pub num: u64,
    /// Its `evt.type`.
    pub kind: String,
    /// What the whole replay says.
    pub whole: String,
    /// What the reduced one says.
    pub reduced: String,
    /// The removed event that explains it.
    pub cause: String,
    /// An event of the reduced capture gives it away.
    pub evident: bool,
}

/// How one capture, or all of them, came out.
#[derive(Clone, Default, Debug, Serialize)]
pub struct Report {
    /// Captures replayed twice.
    pub captures: u64,
    /// Event blocks removed.
    pub removed: u64,
    /// Events compared.
    pub compared: u64,
    /// Outcome of each field.
    pub fields: BTreeMap<String, Outcome>,
    /// Wrong values by the type of the removed event that explains them.
    pub causes: BTreeMap<String, u64>,
    /// Wrong values by field.
    pub samples: BTreeMap<String, Vec<Sample>>,
    /// What could not be replayed.
    pub errors: Vec<String>,
}

impl Report {
    /// All fields together.
    pub fn total(&self) -> Outcome {
        let mut total = Outcome::default();
        self.fields.values().for_each(|field| total.add(*field));
        total
    }

    fn merge(&mut self, other: Self, samples: usize) {
        self.captures += other.captures;
        self.removed += other.removed;
        self.compared += other.compared;
        for (name, outcome) in other.fields {
            self.fields.entry(name).or_default().add(outcome);
        }
        for (cause, count) in other.causes {
            *self.causes.entry(cause).or_default() += count;
        }
        for (name, more) in other.samples {
            let kept = self.samples.entry(name).or_default();
            let room = samples.saturating_sub(kept.len());
            kept.extend(more.into_iter().take(room));
        }
        self.errors.extend(other.errors);
    }
}

/// The fields that take part.
fn fields(patterns: &[String]) -> OurFields {
    let chosen: Vec<Glob> = patterns.iter().map(|pattern| Glob::new(pattern)).collect();
    let asked = |row: &&FieldRow| {
        matches!(row.scope, Scope::Any | Scope::Syscall)
            && row.offline().is_none()
            && !row.def.arg.required
            && !row.def.filter_only
            && !OF_THE_STREAM.contains(&row.def.name)
    };
    let names = Catalogue::new().rows().iter().filter(asked).map(|row| row.def.name).chain(WITH_ARGUMENT);
    let names = names.filter(|name| chosen.is_empty() || any(&chosen, name));
    OurFields::bind(names.map(str::to_owned)).0
}

/// Measures the chosen captures of a corpus.
///
/// # Errors
///
/// When no capture was chosen.
pub fn corpus(corpora: &Corpora, options: &Options) -> Result<Report, String> {
    let captures = corpora.select(&options.captures);
    if captures.is_empty() {
        return Err("no capture matches".to_owned());
    }
    let fields = fields(&options.fields);
    let measure = |path: &Path, name: &str| {
        let bytes = blocks::unpacked(path).map_err(|error| error.to_string())?;
        measure(name, &bytes, &fields, options)
    };
    let reports: Vec<Report> = captures
        .par_iter()
        .map(|capture| {
            measure(&capture.path, &capture.name).unwrap_or_else(|error| Report {
                errors: vec![format!("{}: {error}", capture.name)],
                ..Report::default()
            })
        })
        .collect();
    let mut all = Report::default();
    for report in reports {
        all.merge(report, options.samples);
    }
    Ok(all)
}

/// Measures one capture in memory, unpacked.
///
/// # Errors
///
/// When one of the two streams cannot be replayed.
pub fn capture(name: &str, bytes: &[u8], options: &Options) -> Result<Report, String> {
    measure(name, bytes, &fields(&options.fields), options)
}

/// Texts of one event of the whole replay.
struct WholeRow {
    offset: u64,
    num: u64,
    subject: Subject,
    kind: String,
    bytes: Vec<u8>,
    /// End of each column's text in `bytes`; `None` where the field is not known.
    ends: Vec<Option<usize>>,
}

impl WholeRow {
    fn of(context: &EventContext<'_>, fields: &OurFields) -> Self {
        let mut row = Self {
            offset: context.event.raw.offset,
            num: context.event.num,
            subject: Subject::of(context),
            kind: fields.event_type(context),
            bytes: Vec::new(),
            ends: Vec::with_capacity(fields.names().len()),
        };
        for column in 0..fields.names().len() {
            let start = row.bytes.len();
            let known = fields.text(column, context, &mut row.bytes) && !unknown::is_marker(&row.bytes[start..]);
            if !known {
                row.bytes.truncate(start);
            }
            row.ends.push(known.then_some(row.bytes.len()));
        }
        row
    }

    /// Texts by column.
    fn texts(&self) -> impl Iterator<Item = Option<&[u8]>> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let end = (*end)?;
            let text = &self.bytes[start..end];
            start = end;
            Some(text)
        })
    }
}

fn reader(bytes: &[u8], name: &str) -> Result<CaptureReader, String> {
    CaptureReader::from_reader(Box::new(Cursor::new(bytes.to_vec())), name).map_err(|error| error.to_string())
}

fn measure(name: &str, bytes: &[u8], fields: &OurFields, options: &Options) -> Result<Report, String> {
    let reduced = Blocks::without_every(bytes, options.every.max(2), options.told);
    let (mut whole_reader, mut reduced_reader) = (reader(bytes, name)?, reader(&reduced.bytes, name)?);
    let (sender, rows) = sync_channel(WAITING_ROWS);
    thread::scope(|scope| {
        let whole = scope.spawn(move || {
            Replay::new().run(&mut whole_reader, |context| match sender.send(WholeRow::of(context, fields)) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            })
        });
        let mut comparison = Comparison::new(name, fields, &reduced, rows, options.samples);
        let end = Replay::new().run(&mut reduced_reader, |context| {
            comparison.event(context);
            ControlFlow::Continue(())
        });
        let report = comparison.finish();
        end.map_err(|error| error.to_string())?;
        match whole.join() {
            Ok(end) => end.map(|_| report).map_err(|error| error.to_string()),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// The reduced replay against the rows of the whole one.
struct Comparison<'r> {
    name: &'r str,
    fields: &'r OurFields,
    names: Vec<&'r str>,
    reduced: &'r Blocks,
    rows: Receiver<WholeRow>,
    next: Option<WholeRow>,
    causes: Causes,
    evidence: Evidence,
    outcomes: Vec<Outcome>,
    samples: usize,
    text: Vec<u8>,
    report: Report,
}

impl<'r> Comparison<'r> {
    fn new(
        name: &'r str,
        fields: &'r OurFields,
        reduced: &'r Blocks,
        rows: Receiver<WholeRow>,
        samples: usize,
    ) -> Self {
        Self {
            name,
            fields,
            names: fields.names().collect(),
            reduced,
            rows,
            next: None,
            causes: Causes::default(),
            evidence: Evidence::default(),
            outcomes: vec![Outcome::default(); fields.names().len()],
            samples,
            text: Vec::new(),
            report: Report { captures: 1, removed: reduced.removed.len() as u64, ..Report::default() },
        }
    }

    fn event(&mut self, context: &EventContext<'_>) {
        let offset = self.reduced.whole_offset(context.event.raw.offset);
        if self.reduced.removed.binary_search(&offset).is_ok() {
            return; // The marker in the place of a removed event.
        }
        while let Some(row) = self.next.take().or_else(|| self.rows.recv().ok()) {
            if row.offset > offset {
                self.next = Some(row);
                return;
            }
            if row.offset == offset {
                return self.compare(context, &row);
            }
            if self.reduced.removed.binary_search(&row.offset).is_ok() {
                self.evidence.lost(&row.kind, &row.subject);
                self.causes.removed(Deleted { kind: row.kind, subject: row.subject });
            }
        }
    }

    fn compare(&mut self, context: &EventContext<'_>, row: &WholeRow) {
        self.report.compared += 1;
        self.evidence.seen(&row.kind, context);
        let alone = context.thread.is_some_and(|thread| thread.is_main() && context.state.thread_count(thread) == 1);
        if alone {
            self.evidence.given(&row.kind, context);
        }
        for (column, whole) in row.texts().enumerate() {
            self.text.clear();
            let known = self.fields.text(column, context, &mut self.text) && !unknown::is_marker(&self.text);
            let known = known && (whole == Some(&self.text) || !self.says_less(column, whole, context));
            let outcome = &mut self.outcomes[column];
            match (whole, known) {
                (None, false) => continue,
                (Some(_), false) => outcome.unknown += 1,
                (Some(whole), true) if whole == self.text => outcome.equal += 1,
                (Some(_), true) => outcome.different += 1,
                (None, true) => outcome.surplus += 1,
            }
            outcome.values += 1;
            if known && whole != Some(&self.text) {
                self.wrong(column, whole, row, context);
            }
        }
    }

    /// The text differs, but only where it says that something is not known.
    fn says_less(&self, column: usize, whole: Option<&[u8]>, context: &EventContext<'_>) -> bool {
        let has_name = context.fd.is_some_and(|fd| !fd.name.is_empty());
        self.names.get(column).is_some_and(|field| unknown::says_less(field, whole, &self.text, has_name))
    }

    #[cold]
    fn wrong(&mut self, column: usize, whole: Option<&[u8]>, row: &WholeRow, context: &EventContext<'_>) {
        let Some(&field) = self.names.get(column) else { return };
        let evident = self.evidence.against(field, &row.kind, context, &row.subject);
        self.outcomes[column].evident += u64::from(evident);
        let cause = self.causes.of(field, &row.subject);
        *self.report.causes.entry(cause.clone()).or_default() += 1;
        let samples = self.report.samples.entry(field.to_owned()).or_default();
        // What is evident comes first: it is a mistake.
        if evident && samples.len() >= self.samples && self.samples > 0 {
            samples.retain(|sample| sample.evident);
        }
        if samples.len() < self.samples {
            samples.push(Sample {
                capture: self.name.to_owned(),
                num: row.num,
                kind: row.kind.clone(),
                whole: whole.map_or(ABSENT.into(), String::from_utf8_lossy).into_owned(),
                reduced: String::from_utf8_lossy(&self.text).into_owned(),
                cause,
                evident,
            });
        }
    }

    /// The report; the whole replay's remaining rows are not waited for.
    fn finish(self) -> Report {
        let Self { fields, outcomes, mut report, .. } = self;
        report.fields = fields.names().map(str::to_owned).zip(outcomes).collect();
        report
    }
}
