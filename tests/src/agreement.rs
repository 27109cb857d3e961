//! Field agreement: every field of every event of a capture, ours against the golden.
//!
//! For each capture: survey of its golden ([`crate::golden::events`]) → replay → `Alignment` pairs our events
//! with the golden's → each pair is compared over all columns → counts, classes of [`crate::known`], samples.
//! The container goldens of sysdig go the same way, only that they are matched without numbers.
//! Captures run in parallel; a report's content does not depend on their timing.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use casebook_formats::capture::CaptureReader;
use casebook_formats::tables;
use casebook_replay::context::EventContext;
use casebook_replay::engine::Replay;
use rayon::prelude::*;
use serde::Serialize;

use crate::corpora::Corpora;
use crate::glob::{Glob, any};
use crate::golden::events::{Golden, half};
use crate::golden::fields::{ABSENT, Columns, EventKey, Row, kind_of};
use crate::history::History;
use crate::known::{Against, Difference, FieldClass, KnownDifferences};
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
    /// `evt.num` of our event.
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
    /// Events of the golden that had to be found among ours and were not.
    pub lost: u64,
    /// Events of ours that the golden lacks, by `evt.type`.
    pub surplus: BTreeMap<String, u64>,
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
    /// The goldens count events as we do.
    pub numbered: bool,
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
            } else if capture.lost > 0 {
                complaints.push(format!("{name}: {} of {} events not found", capture.lost, capture.golden_events));
            } else if self.numbered && [capture.our_events, capture.same_number] != [capture.golden_events; 2] {
                complaints.push(format!(
                    "{name}: {} events instead of {}, {} with the same number",
                    capture.our_events, capture.golden_events, capture.same_number
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
pub fn compare(
    corpora: &Corpora,
    against: Against,
    known: &KnownDifferences,
    options: &Options,
) -> Result<Report, String> {
    let conditions = Conditions::of_fields(known)?;
    // First what there is to compare: a field that only one capture shows is absent in the others, which counts too.
    let goldens: Vec<Golden> = corpora
        .select(&options.captures)
        .into_par_iter()
        .filter_map(|capture| Golden::open(corpora, capture, against).transpose())
        .collect::<Result<_, _>>()?;
    let chosen: Vec<Glob> = options.fields.iter().map(|pattern| Glob::new(pattern)).collect();
    let names: BTreeSet<&String> = goldens.iter().flat_map(|golden| &golden.fields).collect();
    let names = names.into_iter().filter(|name| chosen.is_empty() || any(&chosen, name)).cloned();
    let (ours, unknown_fields) = OurFields::bind(names);
    // Behind the compared columns come those that classes ask about.
    let beside: BTreeSet<&str> = known.fields.iter().flat_map(FieldClass::asks).collect();
    let compared: BTreeSet<&str> = ours.names().collect();
    let asked = beside.difference(&compared).copied();
    let columns = Columns::new(ours.names().chain(asked).map(str::to_owned));
    let comparison = Comparison { ours: &ours, columns: &columns, against, known, conditions: &conditions, options };
    let results: Vec<CaptureAgreement> = goldens.par_iter().map(|golden| comparison.capture(golden)).collect();
    Ok(report(against, results, &columns, compared.len(), known, unknown_fields, options.samples))
}

/// Joins the captures' results in their order.
fn report(
    against: Against,
    captures: Vec<CaptureAgreement>,
    columns: &Columns,
    compared: usize,
    known: &KnownDifferences,
    unknown_fields: BTreeMap<String, String>,
    samples: usize,
) -> Report {
    let mut report = Report { numbered: against == Against::Falco, unknown_fields, ..Report::default() };
    for (column, name) in columns.names().iter().enumerate().take(compared) {
        let field = report.fields.entry(name.clone()).or_default();
        captures.iter().filter_map(|capture| capture.columns.get(column)).for_each(|counts| field.add(*counts));
        let kept: Vec<Sample> = captures
            .iter()
            .filter_map(|capture| capture.samples.get(column))
            .flatten()
            .take(samples)
            .cloned()
            .collect();
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
    against: Against,
    known: &'r KnownDifferences,
    conditions: &'r Conditions,
    options: &'r Options,
}

impl Comparison<'_> {
    fn capture(&self, golden: &Golden) -> CaptureAgreement {
        let width = self.ours.names().len();
        let mut result = CaptureAgreement {
            capture: golden.capture.name.clone(),
            golden_events: golden.events.len() as u64,
            columns: vec![Agreement::default(); width],
            samples: vec![Vec::new(); width],
            classes: vec![0; self.known.fields.len()],
            ..CaptureAgreement::default()
        };
        if let Err(error) = self.replay(golden, &mut result) {
            result.error = Some(error);
        }
        let mut values = Agreement::default();
        result.columns.iter().for_each(|column| values.add(*column));
        result.values = values;
        result
    }

    fn replay(&self, golden: &Golden, result: &mut CaptureAgreement) -> Result<(), String> {
        let mut rows = golden.rows(self.columns)?;
        let mut alignment = Alignment::new(&golden.events);
        let mut lost: u64 = golden.needed.iter().map(|needed| u64::from(*needed)).sum();
        let mut text = Vec::new();
        let mut failure = None;
        let mut reader = CaptureReader::open(&golden.capture.path).map_err(|error| error.to_string())?;
        let mut history = History::default();
        let end = Replay::new().run(&mut reader, |context| {
            history.note(self.conditions, context);
            result.our_events += 1;
            let Some(index) = alignment.pair(&self.key(context)) else {
                *result.surplus.entry(self.ours.event_type(context)).or_default() += 1;
                return ControlFlow::Continue(());
            };
            result.paired += 1;
            result.same_number += u64::from(golden.events[index].num == context.event.num);
            lost -= u64::from(golden.needed[index]);
            match rows.at(index) {
                Ok(row) => {
                    self.event(context, &history, row, &mut text, result);
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            }
        });
        result.lost = lost;
        end.map_err(|error| error.to_string())?;
        failure.map_or(Ok(()), Err)
    }

    /// The key by which one of our events is looked for in the golden.
    fn key(&self, context: &EventContext<'_>) -> EventKey {
        let event = context.event;
        let (num, kind) = match self.against {
            Against::Falco => (event.num, kind_of(&self.ours.event_type(context))),
            Against::Sysdig => {
                let enter = tables::event(event.etype).is_some_and(|def| def.dir == tables::Direction::Enter);
                (0, half(enter))
            }
        };
        EventKey { num, time: event.ts, tid: event.tid, kind }
    }

    fn event(
        &self,
        context: &EventContext<'_>,
        history: &History,
        row: &Row,
        text: &mut Vec<u8>,
        result: &mut CaptureAgreement,
    ) {
        for column in 0..self.ours.names().len() {
            text.clear();
            let ours = self
                .ours
                .text(column, context, text)
                .then_some(text.as_slice())
                .filter(|text| *text != ABSENT.as_bytes());
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
                    self.difference((context, history), column, row, ours, result);
                }
            }
        }
    }

    #[cold]
    fn difference(
        &self,
        (context, history): (&EventContext<'_>, &History),
        column: usize,
        row: &Row,
        ours: Option<&[u8]>,
        result: &mut CaptureAgreement,
    ) {
        let field = self.columns.names()[column].as_str();
        let golden = row.text(column).unwrap_or(ABSENT);
        let ours = ours.map_or(ABSENT.into(), String::from_utf8_lossy);
        let beside =
            |field: &str| self.columns.position(field).map(|column| row.text(column).unwrap_or(ABSENT).to_owned());
        let difference =
            Difference { against: self.against, capture: &result.capture, field, golden, ours: &ours, beside: &beside };
        let covers =
            |index, class: &FieldClass| class.covers(&difference) && self.conditions.hold(index, context, history);
        let class = self.known.fields.iter().enumerate().find(|(index, class)| covers(*index, class));
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
                num: context.event.num,
                kind: self.ours.event_type(context),
                field: field.to_owned(),
                golden: golden.to_owned(),
                ours: ours.into_owned(),
                class: class.map(|(_, class)| class.id.clone()),
            });
        }
    }
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
        let found = rest
            .iter()
            .take(LOOKAHEAD)
            .position(|golden| golden.same_event(ours) || golden.num != 0 && golden.same_place(ours))?;
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
