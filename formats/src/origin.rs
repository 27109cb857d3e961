//! What an input file is, found out while it is read for something else: length, SHA-256, custody, seal.
//!
//! A tool that derives a file wraps its input in [`watch`], reads it as it always does, and asks the [`Watch`] at the end;
//! pipes, which can be read only once, work like files. [`crate::custody::derive`] takes the [`Origin`]s from here.
//!
//! ```no_run
//! # use casebook_formats::{capture::CaptureReader, custody, origin, seekable::SeekableWriter};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let mut writer = SeekableWriter::new(Vec::new(), Default::default())?;
//! let (mut reader, watch) = CaptureReader::open_watched(std::path::Path::new("in.scap.zst"))?;
//! // … read items, write what is derived from them …
//! drop(reader);
//! let step = custody::Entry::new("slice", concat!("casebook-replay ", env!("CARGO_PKG_VERSION")));
//! writer.custody(custody::derive(&[watch.finish()?], &step));
//! writer.finish()?;
//! # Ok(())
//! # }
//! ```

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use crate::custody::{Entry, MAX_ENTRIES, Origin, Parent};
use crate::limits::READ_BUFFER;
use crate::record::{self, Custody, Digest, FrameRecord, Kind, Loss, Seal};
use crate::seekable::follow::{Follower, Passing};

/// The input, read through.
pub struct Watched(Arc<Mutex<Input>>);

/// What is known of the input in the end.
pub struct Watch(Arc<Mutex<Input>>);

/// What a `.scap.zst` says about itself, as far as it has passed.
#[derive(Clone, Debug, Default)]
pub struct Passed {
    /// Data frames.
    pub frames: u64,
    /// Data frames that have the BLAKE3 which the record after them names.
    pub intact: u64,
    /// Frame records.
    pub records: u64,
    /// Intervals in which something was lost, up to a bound.
    pub intervals: Vec<Interval>,
    /// The seal.
    pub seal: Option<Seal>,
    /// A seek table came: the file has its end.
    pub ended: bool,
}

/// The time of one frame in which something was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Number of the frame.
    pub frame: u64,
    /// Earliest time of its events, ns since 1970; 0: none.
    pub earliest: u64,
    /// Latest time.
    pub latest: u64,
    /// What was lost, by cause.
    pub losses: Vec<Loss>,
}

/// Intervals kept.
const MAX_INTERVALS: usize = 10_000;

struct Input {
    inner: Box<dyn Read + Send>,
    bytes: u64,
    sha256: Sha256,
    follower: Follower,
    tally: Tally,
}

/// What the follower tells.
#[derive(Default)]
struct Tally {
    entries: Vec<Entry>,
    passed: Passed,
    /// BLAKE3 of the frame whose record has not come yet.
    data: Option<Digest>,
}

impl Tally {
    fn see(&mut self, passing: &Passing) {
        match passing {
            Passing::Data(digest) => {
                self.passed.frames += 1;
                self.data = Some(*digest);
            }
            Passing::Own(sound) => match sound.kind {
                Some(Kind::Record) => self.record(record::decode(sound.body).ok()),
                Some(Kind::Custody) if self.entries.len() < MAX_ENTRIES => {
                    self.entries.extend(record::decode::<Custody>(sound.body).ok().map(|custody| custody.entry));
                }
                Some(Kind::Seal) => self.passed.seal = record::decode(sound.body).ok(),
                _ => {}
            },
            Passing::SeekTable => self.passed.ended = true,
        }
    }

    fn record(&mut self, record: Option<FrameRecord>) {
        let Some(FrameRecord { sequence, earliest, latest, losses, digest, .. }) = record else { return };
        let passed = &mut self.passed;
        passed.records += 1;
        passed.intact += u64::from(self.data.take() == Some(digest));
        if !losses.is_empty() && passed.intervals.len() < MAX_INTERVALS {
            passed.intervals.push(Interval { frame: sequence, earliest, latest, losses });
        }
    }
}

/// Watches `input` while it is read through the first of the two.
pub fn watch(input: Box<dyn Read + Send>) -> (Watched, Watch) {
    let input =
        Input { inner: input, bytes: 0, sha256: Sha256::new(), follower: Follower::default(), tally: Tally::default() };
    let shared = Arc::new(Mutex::new(input));
    (Watched(Arc::clone(&shared)), Watch(shared))
}

/// The origin that a file on disk is.
pub fn of_file(path: &Path) -> io::Result<Origin> {
    let (_, watch) = watch(Box::new(File::open(path)?));
    watch.finish()
}

impl Input {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.inner.read(buf)?;
        let bytes = buf.get(..len).unwrap_or_default();
        self.bytes += len as u64;
        self.sha256.update(bytes);
        let tally = &mut self.tally;
        self.follower.push(bytes, &mut |passing| tally.see(&passing));
        Ok(len)
    }
}

impl Read for Watched {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).read(buf)
    }
}

impl Watch {
    /// Bytes read so far, for progress.
    pub fn bytes(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }

    /// Reads what nobody has read yet, and says what the input was. Entries are those whose own check holds; whether the
    /// whole file is what was written is what [`crate::seekable::verify`] says.
    pub fn finish(self) -> io::Result<Origin> {
        self.finish_all().map(|(origin, _)| origin)
    }

    /// Same, with what the file says about its frames.
    pub fn finish_all(self) -> io::Result<(Origin, Passed)> {
        let mut input = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = vec![0; READ_BUFFER];
        loop {
            match input.read(&mut buffer) {
                Ok(0) => break,
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
        }
        let tally = std::mem::take(&mut input.tally);
        let root = tally.passed.seal.as_ref().map(|seal| seal.root);
        let parent = Parent { bytes: input.bytes, sha256: input.sha256.clone().finalize().into(), root };
        Ok((Origin { parent, entries: tally.entries }, tally.passed))
    }
}
