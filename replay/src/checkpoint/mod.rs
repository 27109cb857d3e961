//! Checkpoints: all that a replay knows at one place of a capture, so that another one can start there.
//!
//! A checkpoint is what the reader remembers ([`ReaderState`]: numbers, ledger, waiting enter halves) and what the engine
//! does ([`Replay`]: the state of the machine, its ledger, the times so far). Both together are a function of the bytes
//! before that place, and everything that follows is a function of both and of the bytes after it. So reading from a
//! checkpoint gives what reading from the start gives, and equal checkpoints prove equal futures: that is how
//! `crate::parts` knows that the checkpoints it uses are true.
//!
//! [`make`] takes checkpoints at the frame boundaries of a `.scap.zst`; [`sidecar`] is the file that they are in, beside the
//! capture, which stays as it is. They are a cache and no evidence: `casebook-replay index --check` makes them again and
//! compares.

pub mod make;
pub mod sidecar;

use casebook_formats::capture::CaptureReader;
use casebook_formats::record::Digest;
use casebook_formats::resume::ReaderState;

use crate::engine::Replay;
use crate::state::keep::{Keep, Keeper, Malformed, Taker};

/// Longest checkpoint, unpacked: a machine at all bounds of [`crate::state::limits`] takes about as much.
pub const MAX_CHECKPOINT: usize = 256 << 20;

/// Counters that only grow stay below this in any capture there could be.
const FAR: u64 = 1 << 62;

/// A hash of everything that a replay and its reader know between two events; replays with equal hashes go on alike.
pub fn fingerprint(reader: &CaptureReader, replay: &Replay) -> Digest {
    Checkpoint::digest(&Checkpoint::bytes(reader, replay))
}

/// A replay between two events, and its reader's memory.
pub(crate) struct Checkpoint {
    pub(crate) reader: ReaderState,
    pub(crate) replay: Replay,
}

impl Checkpoint {
    /// As bytes; equal for equal checkpoints.
    pub(crate) fn bytes(reader: &CaptureReader, replay: &Replay) -> Vec<u8> {
        let mut keeper = Keeper::default();
        reader.state().encode().keep(&mut keeper);
        replay.keep(&mut keeper);
        keeper.finish()
    }

    /// What a checkpoint's name is: a hash of its bytes.
    pub(crate) fn digest(bytes: &[u8]) -> Digest {
        casebook_formats::record::digest(bytes)
    }

    /// The checkpoint that [`Checkpoint::bytes`] wrote.
    ///
    /// # Errors
    ///
    /// When the bytes are none, or contradict themselves.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut taker = Taker::new(bytes);
        let reader = Vec::<u8>::take(&mut taker)?;
        let reader = ReaderState::decode(&reader).map_err(|_| Malformed::Format)?;
        let replay = Replay::take(&mut taker)?;
        taker.finish()?;
        replay.state().check()?;
        if replay.position().events > FAR || reader.events > FAR || reader.sections > FAR {
            return Err(Malformed::Contradiction("more events than there can be"));
        }
        Ok(Self { reader, replay })
    }

    /// A hash of the names and types of everything that a checkpoint holds: bytes of another layout are of no use.
    pub(crate) fn layout() -> Digest {
        let mut layout = String::from("ReaderState 1;");
        <Replay as Keep>::layout(&mut layout);
        Self::digest(layout.as_bytes())
    }
}
