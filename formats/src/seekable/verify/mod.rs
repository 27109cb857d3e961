//! Is this file what was written? Every frame, the chain of records and custody entries, index, seal and seek table.
//!
//! One pass takes the file apart ([`super::pieces`]) and hashes frames on all cores while it reads on; `survey` keeps
//! what stands in which place, `judge` compares: what was changed, what is missing, what is there twice. Nothing is
//! unpacked. A file that somebody wrote anew as a whole is consistent in itself: against that only a root hash, a SHA-256
//! or a signature helps (`crate::signature`).

mod judge;
mod survey;

use std::io::{self, Read};
use std::ops::Range;

use rayon::prelude::*;

use super::pieces::{Piece, Pieces, What};
use crate::record::{Custody, Digest, FrameRecord, Loss, Seal};
use survey::Survey;

/// Bytes that are read while those before them are hashed: enough frames for some cores, and little memory.
const BATCH: usize = 24 << 20;

/// What kind of thing is wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Wrong {
    /// Bytes were changed.
    Damaged,
    /// The file ends too early.
    Truncated,
    /// Something was taken out.
    Removed,
    /// Something stands in another's place.
    Swapped,
    /// Something is there more than once.
    Repeated,
    /// Something of another file, or of nobody.
    Foreign,
    /// A signature that does not fit the file.
    BadSignature,
    /// A signature by another key than the one that was asked for.
    ForeignSignature,
    /// A signature was asked for and there is none.
    Unsigned,
}

impl Wrong {
    /// One word, part of the JSON output.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Damaged => "damaged",
            Self::Truncated => "truncated",
            Self::Removed => "removed",
            Self::Swapped => "swapped",
            Self::Repeated => "repeated",
            Self::Foreign => "foreign",
            Self::BadSignature => "bad-signature",
            Self::ForeignSignature => "foreign-signature",
            Self::Unsigned => "unsigned",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Kind.
    pub wrong: Wrong,
    /// The data frame it concerns.
    pub frame: Option<u64>,
    /// Where in the file.
    pub offset: u64,
    /// A sentence for people.
    pub text: String,
}

/// What a file came to, in one word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// What was written.
    Sound,
    /// Everything that is there is what was written, and the end is missing: what a recorder leaves that was killed.
    Truncated,
    /// Something else.
    Broken,
}

/// What is kept of a frame record: not its filters, which would make memory follow the length of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// Number of the frame.
    pub sequence: u64,
    /// Event blocks in it.
    pub events: u64,
    /// Earliest time of an event; 0: none.
    pub earliest: u64,
    /// Latest time.
    pub latest: u64,
    /// What was lost in this interval.
    pub losses: Vec<Loss>,
    /// BLAKE3 of the frame.
    pub digest: Digest,
    /// Check of the record before.
    pub previous: Digest,
    /// Check of this record.
    pub check: Digest,
}

impl Noted {
    fn of(record: FrameRecord, check: Digest) -> Self {
        let FrameRecord { sequence, events, earliest, latest, losses, digest, previous, .. } = record;
        Self { sequence, events, earliest, latest, losses, digest, previous, check }
    }
}

/// What a file came to.
#[derive(Debug, Default)]
pub struct Report {
    /// Frame records or another piece of ours were found: a file of this format.
    pub is_ours: bool,
    /// Data frames whose bytes are those that were written.
    pub intact: u64,
    /// Data frames that the file should have, as far as it still says.
    pub expected: u64,
    /// Everything that is wrong, in file order.
    pub faults: Vec<Fault>,
    /// The seal, when its check holds.
    pub seal: Option<Seal>,
    /// The frame records that could be read, in file order.
    pub records: Vec<Noted>,
    /// The custody entries that could be read, in file order, with their checks.
    pub custody: Vec<(Custody, Digest)>,
    /// Length of the file.
    pub len: u64,
}

impl Report {
    /// All faults in one word.
    pub fn state(&self) -> State {
        if self.faults.is_empty() {
            State::Sound
        } else if self.faults.iter().all(|fault| fault.wrong == Wrong::Truncated) {
            State::Truncated
        } else {
            State::Broken
        }
    }
}

/// Checks a file. Errors are those of reading it; what is wrong with its content stands in the report.
pub fn verify(input: impl Read + Send) -> io::Result<Report> {
    verify_watched(input, |_| ())
}

/// Same; `watch` gets all bytes of the file in order, beside the hashing of frames (for other hashes, for progress).
pub fn verify_watched(input: impl Read + Send, mut watch: impl FnMut(&[u8]) + Send) -> io::Result<Report> {
    let mut pieces = Pieces::new(input);
    let mut survey = Survey::default();
    let mut batch = Batch::read(&mut pieces)?;
    while !batch.pieces.is_empty() {
        let (next, (digests, ())) =
            rayon::join(|| Batch::read(&mut pieces), || rayon::join(|| batch.digests(), || watch(&batch.bytes)));
        for ((piece, range), digest) in batch.pieces.iter().zip(digests) {
            survey.take(piece, batch.bytes.get(range.clone()).unwrap_or_default(), digest);
        }
        batch = next?;
    }
    Ok(survey.judge())
}

/// Some pieces that follow each other, with all their bytes.
struct Batch {
    bytes: Vec<u8>,
    pieces: Vec<(Piece, Range<usize>)>,
}

impl Batch {
    /// As many pieces as make a batch, one at least; none at the end.
    fn read<R: Read>(pieces: &mut Pieces<R>) -> io::Result<Self> {
        let mut batch = Self { bytes: Vec::new(), pieces: Vec::new() };
        while batch.bytes.len() < BATCH {
            let Some(piece) = pieces.next_piece()? else { break };
            let start = batch.bytes.len();
            batch.bytes.extend_from_slice(pieces.bytes());
            batch.pieces.push((piece, start..batch.bytes.len()));
        }
        Ok(batch)
    }

    /// BLAKE3 of each data frame; zeros for other pieces.
    fn digests(&self) -> Vec<Digest> {
        let digest = |(piece, range): &(Piece, Range<usize>)| match (piece.what, self.bytes.get(range.clone())) {
            (What::Data, Some(bytes)) => *blake3::hash(bytes).as_bytes(),
            _ => [0; 32],
        };
        self.pieces.par_iter().map(digest).collect()
    }
}
