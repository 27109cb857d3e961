//! Field agreement: every field of every event of a capture, ours against the golden.
//!
//! For each capture: [`survey`](crate::golden::fields::survey) of its golden → replay → [`Alignment`] pairs our events
//! with the golden's → each pair is compared over all columns → counts, classes of [`crate::known`], samples.
//! Captures run in parallel; a report's content does not depend on their timing.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;

use casebook_formats::capture::CaptureReader;
use casebook_replay::context::EventContext;
use casebook_replay::engine::Replay;
use rayon::prelude::*;
use serde::Serialize;

use crate::corpora::{Capture, Corpora};
use crate::golden::fields::{ABSENT, Columns, EventKey, Row, Rows, kind_of, survey};
use crate::known::{Against, Glob, KnownDifferences, any};
use crate::ours::{Conditions, OurFields};

/// Golden events looked through for one of ours that is not the next one.
const LOOKAHEAD: usize = 512;

/// What to compare.
#[derive(Clone, Default, Debug)]
pub struct Options {
    /// Capture names (patterns); all when empty.
    pub captures: Vec<String>,
    /// Field names (patterns); all when empty.
    pub fields: Vec<String>,
    /// Differences to keep of each field.
    pub samples: usize,
    /// Keep differences that a class explains, too.
    pub explained_samples: bool,
}

/// How one field agrees. Events on which both sides lack the field do not count.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Agreement {
    /// Events on which one side at least has a value.
    pub values: u64,
    /// Of these, with equal text.
    pub equal: u64,
    /// Different, and covered by a class of known differences.
    pub explained: u64,
    /// Different without a reason.
    pub unexplained: u64,
}

impl Agreement {
    fn add(&mut self, other: Self) {
        self.values += other.values;
        self.equal += other.equal;
        self.explained += other.explained;
        self.unexplained += other.unexplained;
    }
}

/// One difference.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Sample {
    /// Capture name.
    pub capture: String,
    /// `evt.num` of the golden.
    pub num: u64,
    /// `evt.type` of our event.
    pub kind: String,
    /// The field.
    pub field: String,
    /// Golden text.
    pub golden: String,
    /// Our text.
    pub ours: String,
    /// Class that explains it.
    pub class: Option<String>,
}

/// How one capture agrees.
#[derive(Clone, Default, Debug, Serialize)]
pub struct CaptureAgreement {
    /// Capture name.
    pub capture: String,
    /// What stopped the comparison, if something did.
    pub error: Option<String>,
    /// Events of the golden.
    pub golden_events: u64,
    /// Events of ours.
    pub our_events: u64,
    /// Events found on both sides, in the same order.
    pub paired: u64,
    /// Of these, with the same number.
    pub same_number: u64,
    /// Values of all fields.
    pub values: Agreement,
    #[serde(skip)]
    columns: Vec<Agreement>,
    #[serde(skip)]
    samples: Vec<Vec<Sample>>,
    #[serde(skip)]
    classes: Vec<u64>,
}

/// How everything agrees.
#[derive(Clone, Default, Debug, Serialize)]
pub struct Report {
    /// By capture, in order of names.
    pub captures: Vec<CaptureAgreement>,
    /// By field.
    pub fields: BTreeMap<String, Agreement>,
    /// Differences explained, by class: every class of the page, also those that explained nothing.
    pub classes: BTreeMap<String, u64>,
    /// Golden fields that our catalogue cannot bind, with the reason.
    pub unknown_fields: BTreeMap<String, String>,
    /// Differences, by field.
    pub samples: BTreeMap<String, Vec<Sample>>,
}

impl Report {
    /// All values.
    pub fn total(&self) -> Agreement {
        let mut total = Agreement::default();
        self.fields.values().for_each(|field| total.add(*field));
        total
    }

    /// Everything that should fail a strict test, in words.
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        for capture in &self.captures {
            let name = &capture.capture;
            if let Some(error) = &capture.error {
                complaints.push(format!("{name}: {error}"));
            } else if [capture.our_events, capture.paired, capture.same_number] != [capture.golden_events; 3] {
                complaints.push(format!(
                    "{name}: {} events instead of {}, {} the same, {} with the same number",
                    capture.our_events, capture.golden_events, capture.paired, capture.same_number
                ));
            }
        }
        complaints.extend(self.unknown_fields.iter().map(|(name, reason)| format!("{name}: {reason}")));
        let fields = self.fields.iter().filter(|(_, field)| field.unexplained > 0);
        complaints.extend(fields.map(|(name, field)| format!("{name}: {} unexplained differences", field.unexplained)));
        complaints
    }
}

/// Compares all chosen captures that have a golden.
pub fn compare(corpora: &Corpora, known: &KnownDifferences, options: &Options) -> Result<Report, String> {
    let conditions = Conditions::of_fields(known)?;
    let captures: Vec<_> = corpora
        .select(&options.captures)
        .into_iter()
        .filter_map(|capture| corpora.field_golden(&capture).map(|golden| (capture, golden)))
        .collect();
    // First what there is to compare: a field that only one capture shows is absent in the others, which counts too.
    let surveys: Vec<_> = captures
        .par_iter()
        .map(|(_, golden)| survey(golden).map_err(|error| format!("{}: {error}", golden.display())))
        .collect::<Result<_, _>>()?;
    let chosen: Vec<Glob> = options.fields.iter().map(|pattern| Glob::new(pattern)).collect();
    let names: BTreeSet<&String> = surveys.iter().flat_map(|survey| &survey.keys).collect();
    let names = names.into_iter().filter(|name| chosen.is_empty() || any(&chosen, name)).cloned();
    let (ours, unknown_fields) = OurFields::bind(names);
    let columns = Columns::new(ours.names().map(str::to_owned));
    let comparison = Comparison { ours: &ours, columns: &columns, known, conditions: &conditions, options };
    let results: Vec<CaptureAgreement> = captures
        .par_iter()
        .zip(&surveys)
        .map(|((capture, golden), survey)| comparison.capture(capture, golden, &survey.events))
        .collect();
    Ok(report(results, &columns, known, unknown_fields, options.samples))
}

/// Joins the captures' results in their order.
fn report(
    captures: Vec<CaptureAgreement>,
    columns: &Columns,
    known: &KnownDifferences,
    unknown_fields: BTreeMap<String, String>,
    samples: usize,
) -> Report {
    let mut report = Report { unknown_fields, ..Report::default() };
    for (column, name) in columns.names().iter().enumerate() {
        let field = report.fields.entry(name.clone()).or_default();
        captures.iter().filter_map(|capture| capture.columns.get(column)).for_each(|counts| field.add(*counts));
        let kept: Vec<Sample> =
            captures.iter().filter_map(|capture| capture.samples.get(column)).flatten().take(samples).cloned().collect();
        if !kept.is_empty() {
            report.samples.insert(name.clone(), kept);
        }
    }
    for (index, class) in known.fields.iter().enumerate() {
        let count = captures.iter().filter_map(|capture| capture.classes.get(index)).sum();
        report.classes.insert(class.id.clone(), count);
    }
    report.captures = captures;
    report
}

/// What all captures of a run share.
struct Comparison<'r> {
    ours: &'r OurFields,
    columns: &'r Columns,
    known: &'r KnownDifferences,
    conditions: &'r Conditions,
    options: &'r Options,
}

impl Comparison<'_> {
    fn capture(&self, capture: &Capture, golden: &Path, events: &[EventKey]) -> CaptureAgreement {
        let width = self.columns.names().len();
        let mut result = CaptureAgreement {
            capture: capture.name.clone(),
            golden_events: events.len() as u64,
            columns: vec![Agreement::default(); width],
            samples: vec![Vec::new(); width],
            classes: vec![0; self.known.fields.len()],
            ..CaptureAgreement::default()
        };
        if let Err(error) = self.replay(capture, golden, events, &mut result) {
            result.error = Some(error);
        }
        let mut values = Agreement::default();
        result.columns.iter().for_each(|column| values.add(*column));
        result.values = values;
        result
    }

    fn replay(
        &self,
        capture: &Capture,
        golden: &Path,
        events: &[EventKey],
        result: &mut CaptureAgreement,
    ) -> Result<(), String> {
        let golden_error = |error: std::io::Error| format!("{}: {error}", golden.display());
        let mut rows = Rows::open(golden, self.columns).map_err(golden_error)?;
        let mut read = 0;
        let mut alignment = Alignment::new(events);
        let mut text = Vec::new();
        let mut failure = None;
        let mut reader = CaptureReader::open(&capture.path).map_err(|error| error.to_string())?;
        let end = Replay::new().run(&mut reader, |context| {
            result.our_events += 1;
            let Some(index) = alignment.pair(&key(context)) else { return ControlFlow::Continue(()) };
            result.paired += 1;
            result.same_number += u64::from(events[index].num == context.event.num);
            while read < index {
                read += 1;
                if let Err(error) = rows.next_row() {
                    failure = Some(golden_error(error));
                    return ControlFlow::Break(());
                }
            }
            read += 1;
            match rows.next_row() {
                Ok(Some(row)) => self.event(context, row, events[index].num, &mut text, result),
                Ok(None) => failure = Some(format!("{}: shorter than its survey", golden.display())),
                Err(error) => failure = Some(golden_error(error)),
            }
            if failure.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        end.map_err(|error| error.to_string())?;
        failure.map_or(Ok(()), Err)
    }

    fn event(&self, context: &EventContext<'_>, row: &Row, num: u64, text: &mut Vec<u8>, result: &mut CaptureAgreement) {
        let event = self.ours.event(context);
        for column in 0..self.columns.names().len() {
            text.clear();
            let ours = event.text(column, text).then_some(text.as_slice()).filter(|text| *text != ABSENT.as_bytes());
            let golden = row.text(column);
            let counts = &mut result.columns[column];
            match (golden, ours) {
                (None, None) => {}
                (Some(golden), Some(ours)) if golden.as_bytes() == ours => {
                    counts.values += 1;
                    counts.equal += 1;
                }
                _ => {
                    counts.values += 1;
                    self.difference(context, column, num, (golden, ours), result);
                }
            }
        }
    }

    #[cold]
    fn difference(
        &self,
        context: &EventContext<'_>,
        column: usize,
        num: u64,
        (golden, ours): (Option<&str>, Option<&[u8]>),
        result: &mut CaptureAgreement,
    ) {
        let field = self.columns.names()[column].as_str();
        let golden = golden.unwrap_or(ABSENT);
        let ours = ours.map_or(ABSENT.into(), String::from_utf8_lossy);
        let class = self.known.fields.iter().enumerate().find(|(index, class)| {
            class.covers(Against::Falco, &result.capture, field, golden, &ours) && self.conditions.holds(*index, context)
        });
        let counts = &mut result.columns[column];
        if let Some((index, _)) = class {
            counts.explained += 1;
            result.classes[index] += 1;
        } else {
            counts.unexplained += 1;
        }
        let samples = &mut result.samples[column];
        if samples.len() < self.options.samples && (class.is_none() || self.options.explained_samples) {
            samples.push(Sample {
                capture: result.capture.clone(),
                num,
                kind: self.ours.event_type(context),
                field: field.to_owned(),
                golden: golden.to_owned(),
                ours: ours.into_owned(),
                class: class.map(|(_, class)| class.id.clone()),
            });
        }
    }
}

/// The key of one of our events.
fn key(context: &EventContext<'_>) -> EventKey {
    let event = context.event;
    EventKey { num: event.num, time: event.ts, tid: event.tid, kind: kind_of(&crate::ours::type_name(event)) }
}

/// Pairs our events with the golden's, both in order: the same number, time and thread, or else the next golden event
/// of the same time, thread and type.
struct Alignment<'g> {
    golden: &'g [EventKey],
    next: usize,
}

impl<'g> Alignment<'g> {
    fn new(golden: &'g [EventKey]) -> Self {
        Self { golden, next: 0 }
    }

    /// Position of the golden event that is this one; `None` when the golden lacks it.
    fn pair(&mut self, ours: &EventKey) -> Option<usize> {
        let rest = self.golden.get(self.next..)?;
        let found = rest.iter().take(LOOKAHEAD).position(|golden| {
            golden.same_event(ours) || (golden.num, golden.time, golden.tid) == (ours.num, ours.time, ours.tid)
        })?;
        self.next += found + 1;
        Some(self.next - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(num: u64, time: u64, kind: u64) -> EventKey {
        EventKey { num, time, tid: 1, kind }
    }

    #[test]
    fn events_are_paired_in_order_over_gaps() {
        let golden = [event(1, 10, 5), event(2, 20, 5), event(3, 20, 6), event(4, 30, 5)];
        let mut alignment = Alignment::new(&golden);
        assert_eq!(alignment.pair(&event(1, 10, 5)), Some(0));
        // The golden has no such event: it must not use up one of its own.
        assert_eq!(alignment.pair(&event(2, 15, 5)), None);
        // Event 2 is missing from ours.
        assert_eq!(alignment.pair(&event(7, 20, 6)), Some(2));
        // Same number, time and thread: the difference of types is a difference of a field.
        assert_eq!(alignment.pair(&event(4, 30, 9)), Some(3));
        assert_eq!(alignment.pair(&event(5, 40, 9)), None);
    }
}
