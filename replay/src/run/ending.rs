//! How the replay of a capture ended, for its report: in numbers, and in words where there is something to say.

use casebook_formats::capture::{FormatError, Items};
use casebook_formats::ledger::{Ledger, Origin, Severity};

use crate::engine::{End, Position, Replay};
use crate::summary::{CaptureReport, Completeness, iso_time};

impl CaptureReport {
    /// Enters how a replay ended, how far it came and its ledger. Gives what there is to say about it.
    pub(crate) fn conclude(
        &mut self,
        end: Result<End, FormatError>,
        replay: &Replay,
        reader: &dyn Items,
    ) -> Option<String> {
        let position = replay.position();
        (self.events, self.first_ts, self.last_ts) = (position.events, position.first_ts, position.last_ts);
        self.ledger.merge(&replay.ledger(reader));
        let damage = damage(&self.ledger);
        self.completeness = match &end {
            Err(_) => Completeness::Unreadable,
            Ok(_) if damage.is_some() => Completeness::Incomplete,
            Ok(End::SpanOver | End::Stopped) => Completeness::Stopped,
            Ok(End::Finished) => Completeness::Complete,
        };
        if let Err(error) = end {
            let error = format!("{error}, {}", reached(&position));
            self.error = Some(error.clone());
            return Some(format!("error: {error}"));
        }
        self.error.clone_from(&damage);
        damage.map(|damage| format!("warning: {}: {damage}; {}", self.name, reached(&position)))
    }
}

/// What the file itself has lost, in words; `None` when it is whole.
fn damage(ledger: &Ledger) -> Option<String> {
    let losses: Vec<String> = ledger
        .findings()
        .filter(|(counter, _)| counter.severity == Severity::DataLoss && counter.origin == Origin::File)
        .map(|(counter, n)| format!("{} {n}", counter.name))
        .collect();
    if losses.is_empty() { None } else { Some(format!("cut off or damaged ({})", losses.join(", "))) }
}

/// How far a replay came, in words.
fn reached(position: &Position) -> String {
    if position.events == 0 {
        return "no event was replayed".to_owned();
    }
    format!(
        "{} events were replayed, the last one at {} from offset {}",
        position.events,
        iso_time(position.last_ts),
        position.offset
    )
}
