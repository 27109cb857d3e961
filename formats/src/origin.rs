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
use crate::record::{self, Custody, Digest, Kind, Seal};
use crate::seekable::follow::{Follower, Passing};

/// The input, read through.
pub struct Watched(Arc<Mutex<Input>>);

/// What is known of the input in the end.
pub struct Watch(Arc<Mutex<Input>>);

struct Input {
    inner: Box<dyn Read + Send>,
    bytes: u64,
    sha256: Sha256,
    follower: Follower,
    entries: Vec<Entry>,
    root: Option<Digest>,
}

/// Watches `input` while it is read through the first of the two.
pub fn watch(input: Box<dyn Read + Send>) -> (Watched, Watch) {
    let input = Input {
        inner: input,
        bytes: 0,
        sha256: Sha256::new(),
        follower: Follower::default(),
        entries: Vec::new(),
        root: None,
    };
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
        let (entries, root) = (&mut self.entries, &mut self.root);
        self.follower.push(bytes, &mut |passing| {
            let Passing::Own(sound) = passing else { return };
            match sound.kind {
                Some(Kind::Custody) if entries.len() < MAX_ENTRIES => {
                    entries.extend(record::decode::<Custody>(sound.body).ok().map(|custody| custody.entry));
                }
                Some(Kind::Seal) => *root = record::decode::<Seal>(sound.body).ok().map(|seal| seal.root),
                _ => {}
            }
        });
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
        let mut input = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = vec![0; READ_BUFFER];
        loop {
            match input.read(&mut buffer) {
                Ok(0) => break,
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
        }
        let parent = Parent { bytes: input.bytes, sha256: input.sha256.clone().finalize().into(), root: input.root };
        Ok(Origin { parent, entries: std::mem::take(&mut input.entries) })
    }
}
