//! Excerpts: captures made of a part of another one, complete in themselves.
//!
//! ```text
//! capture → select.rs (which events, and which others feed what they show) → plan
//! plan    → snapshot.rs (the state before the first of them as snapshot blocks) + blocks copied as stored → excerpt
//! excerpt → proof.rs (both replayed, all fields of all events compared)
//! rules   → minimize.rs (the smallest excerpt on which the same alerts fire)
//! ```
//!
//! Event blocks are copied as they were recorded, enter halves included; what is only there to feed the state is marked
//! *state only*, so that no reader shows it. Numbers of events begin at 1 again.

pub mod minimize;
pub mod proof;
pub mod select;
pub mod snapshot;

use std::io::{self, Read, Write};

use casebook_formats::capture::CaptureReader;
use casebook_formats::ledger::Counter;
use casebook_formats::stored::StoredEvents;
use casebook_formats::tables::ppme;
use casebook_formats::write::{CaptureWriter, WriteError};

use crate::engine::Replay;
use snapshot::Snapshot;

/// A block that goes into an excerpt.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Block {
    /// Offset in the uncompressed stream of the whole.
    pub offset: u64,
    /// Only feeds the state.
    pub state_only: bool,
}

/// Where an excerpt goes.
pub trait Sink: Write {
    /// From here on the whole lost events. A file that tells of losses beside its stream tells so of what follows.
    ///
    /// # Errors
    ///
    /// When the sink does not take what it was given so far.
    fn gap(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for Vec<u8> {}

/// Why there is no excerpt.
#[derive(Debug, thiserror::Error)]
pub enum ExcerptError {
    /// The capture cannot be read.
    #[error("{0}")]
    Capture(String),
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The snapshot has no place for something.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Nothing is left.
    #[error("{0}")]
    Nothing(String),
}

/// Concatenated captures have a state for each section, an excerpt has one.
fn refuse_sections(replay: &Replay, reader: &CaptureReader) -> Result<(), ExcerptError> {
    if replay.ledger(reader).get(Counter::Sections) == 0 {
        return Ok(());
    }
    Err(ExcerptError::Capture(
        "this capture is several, one after the other: take it apart with `casebook split`".to_owned(),
    ))
}

/// A marker of a gap, as recorders write it: readers of all kinds know that events are missing from here on, and none
/// shows it. What the whole lost otherwise than by a marker (damage, the recorder's records) is told so in an excerpt.
fn gap_marker(ts: u64) -> Result<Vec<u8>, WriteError> {
    let mut writer = CaptureWriter::new(Vec::new());
    // Of each one event, one was kept: nothing was left out on purpose.
    writer.hidden_event(ts, 0, ppme::PPME_DROP_E, &[&1_u32.to_le_bytes()])?;
    writer.into_inner()
}

/// Writes an excerpt: the snapshot, then the wanted blocks of `source` (the whole capture, packed or not) in order.
/// `wanted` ascends; before the first of them that stands at `gap` or after it, the excerpt tells of a gap.
///
/// # Errors
///
/// When something cannot be read or written, or a wanted block is not there.
pub fn write(
    snapshot: &Snapshot,
    source: Box<dyn Read + Send>,
    wanted: &[Block],
    gap: Option<u64>,
    out: &mut dyn Sink,
) -> Result<(), ExcerptError> {
    snapshot.write(out)?;
    let mut gap = gap;
    let mut last_ts = None;
    let mut events = StoredEvents::new(source)?;
    let mut wanted = wanted.iter().peekable();
    let mut bytes = Vec::new();
    while let (Some(next), Some(event)) = (wanted.peek(), events.next_event()?) {
        if event.offset != next.offset {
            continue;
        }
        if gap.take_if(|gap| *gap <= event.offset).is_some() {
            out.gap()?;
            // No time of its own: it is no later than what it follows, and the first event keeps its place in time.
            out.write_all(&gap_marker(last_ts.unwrap_or(event.ts()))?)?;
        }
        last_ts = Some(event.ts());
        bytes.clear();
        event.append(next.state_only, &mut bytes);
        out.write_all(&bytes)?;
        wanted.next();
    }
    if wanted.peek().is_some() {
        return Err(ExcerptError::Capture("the capture changed while it was read".to_owned()));
    }
    Ok(())
}
