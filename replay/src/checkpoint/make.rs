//! The indexing pass: a sealed `.scap.zst` read once from start to end, checkpoints taken at its frame boundaries.
//!
//! Where the reader does not come to stand at a boundary (inside damage that was there when the capture was written,
//! or behind a block that nobody knows), there is no checkpoint; the next boundary will do.

use std::fs::File;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;

use casebook_formats::capture::FormatError;
use casebook_formats::seekable::ends::{Ends, NoEnds};
use casebook_formats::seekable::verify::{Fault, verify};

use super::sidecar::{Table, Writer};
use super::{Checkpoint, MAX_CHECKPOINT};
use crate::context::EventContext;
use crate::engine::{Replay, Visitor};

/// How many times longer than a checkpoint the stream after it is at least: what checkpoints of a large machine take
/// stays small beside the capture.
const SHARE: u64 = 8;

/// Which boundaries get a checkpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spacing {
    /// All of them.
    Every,
    /// Those that are so many bytes of the uncompressed stream after the last one, and further where states are large.
    Apart(u64),
}

/// What indexing gave.
#[derive(Clone, Debug)]
pub struct Made {
    /// The table that was written.
    pub table: Table,
    /// Frames of the capture.
    pub frames: u64,
    /// Boundaries at which the reader did not come to stand.
    pub missed: u64,
    /// States that were too large to be kept.
    pub too_large: u64,
}

/// Why there are no checkpoints.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Only sealed files have frames that can be relied on.
    #[error("{0}; `casebook convert` makes one of any capture")]
    NoEnds(#[from] NoEnds),
    /// What stands there is not what was written.
    #[error("{}; `casebook verify` says all of it", .0.text)]
    Faulty(Fault),
    /// The reader gave up.
    #[error(transparent)]
    Format(#[from] FormatError),
}

/// Nobody looks at the events; only progress is told.
struct Unseen<'a>(&'a mut dyn FnMut(u64, u64));

impl Visitor for Unseen<'_> {
    fn event(&mut self, _: &EventContext<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn progress(&mut self, bytes_read: u64, events: u64) {
        (self.0)(bytes_read, events);
    }
}

/// Reads a capture and writes its checkpoints. `progress` hears of bytes read and events replayed so far.
///
/// # Errors
///
/// When the capture is none that can have checkpoints, is damaged, or something cannot be read or written.
pub fn make<W: Write>(
    capture: &Path,
    spacing: Spacing,
    out: W,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(W, Made), MakeError> {
    let ends = Ends::read(&mut File::open(capture)?)?;
    let report = verify(File::open(capture)?)?;
    if let Some(fault) = report.faults.first() {
        return Err(MakeError::Faulty(fault.clone()));
    }
    let mut writer = Writer::new(out, ends.seal.root)?;
    let mut reader = crate::run::open_file(capture)?;
    let mut replay = Replay::new();
    let (mut missed, mut too_large, mut last, mut apart) = (0, 0, 0_u64, 0_u64);
    if let Spacing::Apart(bytes) = spacing {
        apart = bytes;
    }
    for (frame, boundary) in ends.raw_offsets().enumerate().skip(1) {
        if boundary.saturating_sub(last) < apart {
            continue;
        }
        reader.pause_at(Some(boundary));
        replay.run_with(&mut reader, &mut Unseen(progress))?;
        if reader.stream_bytes() != boundary {
            missed += 1;
            continue;
        }
        let bytes = Checkpoint::bytes(&reader, &replay);
        if bytes.len() > MAX_CHECKPOINT {
            too_large += 1;
            continue;
        }
        writer.add(frame as u64, boundary, &replay, &bytes)?;
        last = boundary;
        if let Spacing::Apart(least) = spacing {
            apart = least.max(bytes.len() as u64 * SHARE);
        }
    }
    let (out, table) = writer.finish()?;
    Ok((out, Made { table, frames: ends.seal.frames, missed, too_large }))
}
