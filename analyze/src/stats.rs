//! Counts of events by the values of fields.

pub mod cli;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;

use casebook_formats::capture::{CaptureReader, FormatError};
use casebook_formats::ledger::Ledger;
use casebook_replay::context::EventContext;
use casebook_replay::engine::{Position, Replay};
use casebook_replay::fields::Catalogue;
use casebook_rules::event::EventFields as _;
use casebook_rules::render;
use casebook_rules::schema::{BindError, Display, FieldRef, Schema as _};
use foldhash::fast::FixedState;

/// Fields that are counted when none are asked for: event types, processes, containers, users.
pub const DEFAULT_FIELDS: [&str; 4] = ["evt.type", "proc.name", "container.id", "user.name"];

/// Distinct values of one field that are counted apart; a capture decides how many there are, so there is an end.
pub const MAX_VALUES: usize = 1 << 20;

/// Event source whose fields can be counted.
const SYSCALL: &str = "syscall";

/// Fields to count by.
pub struct Question {
    fields: Vec<(String, FieldRef, Display)>,
}

impl Question {
    /// Binds fields as written, for example `proc.name` or `evt.arg.flags`.
    ///
    /// # Errors
    ///
    /// The first field that the catalogue does not know, or whose argument is wrong.
    pub fn new<'f>(names: impl IntoIterator<Item = &'f str>) -> Result<Self, (String, BindError)> {
        let catalogue = Catalogue::new();
        let bind = |name: &str| match catalogue.parse(SYSCALL, name) {
            Ok(field) => Ok((name.to_owned(), field.clone(), catalogue.display(&field))),
            Err(error) => Err((name.to_owned(), error)),
        };
        Ok(Self { fields: names.into_iter().map(bind).collect::<Result<_, _>>()? })
    }
}

/// What one capture gave.
#[derive(Debug)]
pub struct Stats {
    /// How far it was read.
    pub position: Position,
    /// Anomalies.
    pub ledger: Ledger,
    /// Counts of each field of the question, in its order.
    pub fields: Vec<FieldCounts>,
    /// Why it was not read further, if it was not.
    pub error: Option<FormatError>,
}

/// Counts by the values of one field.
#[derive(Debug, Default)]
pub struct FieldCounts {
    /// The field as written.
    pub field: String,
    /// Events that do not have it.
    pub absent: u64,
    /// Events whose value came after [`MAX_VALUES`] others.
    pub uncounted: u64,
    values: HashMap<Box<[u8]>, u64, FixedState>,
}

impl FieldCounts {
    /// Values and their counts, the most frequent first, then by the bytes of the value.
    pub fn ranking(&self) -> Vec<(&[u8], u64)> {
        let mut ranking: Vec<_> = self.values.iter().map(|(value, count)| (value.as_ref(), *count)).collect();
        ranking.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        ranking
    }

    fn count(&mut self, value: &[u8]) {
        if let Some(count) = self.values.get_mut(value) {
            *count += 1;
        } else if self.values.len() < MAX_VALUES {
            self.values.insert(value.into(), 1);
        } else {
            self.uncounted += 1;
        }
    }
}

/// Replays a capture (`-` is standard input) and counts.
///
/// # Errors
///
/// When the input cannot be opened as a capture. An input that breaks later gives what was counted until then, with
/// [`Stats::error`].
pub fn of_capture(path: &Path, question: &Question) -> Result<Stats, FormatError> {
    let mut reader = CaptureReader::open(path)?;
    let fields = question.fields.iter().map(|(name, ..)| FieldCounts { field: name.clone(), ..FieldCounts::default() });
    let mut counts: Vec<FieldCounts> = fields.collect();
    let mut replay = Replay::new();
    let mut text = Vec::new();
    let end = replay.run(&mut reader, |context| {
        count_event(context, question, &mut counts, &mut text);
        ControlFlow::Continue(())
    });
    Ok(Stats { position: replay.position(), ledger: replay.ledger(&reader), fields: counts, error: end.err() })
}

fn count_event(context: &EventContext<'_>, question: &Question, counts: &mut [FieldCounts], text: &mut Vec<u8>) {
    for ((_, field, display), counts) in question.fields.iter().zip(counts) {
        text.clear();
        if render::extracted(&context.extract(field), context.display(field, *display), text) {
            counts.count(text);
        } else {
            counts.absent += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_are_named() {
        let Err((name, error)) = Question::new(["proc.name", "proc.nome"]) else { panic!("proc.nome is no field") };
        assert_eq!((name.as_str(), error), ("proc.nome", BindError::Unknown));
    }

    #[test]
    fn rankings_are_by_count_then_value() {
        let mut counts = FieldCounts::default();
        for value in [b"b", b"a", b"c", b"c"] {
            counts.count(value);
        }
        let expected: [(&[u8], u64); 3] = [(b"c", 2), (b"a", 1), (b"b", 1)];
        assert_eq!(counts.ranking(), expected);
    }
}
