//! Where captures come from: files, standard input, memory; audit logs among them become captures on the way.

use std::fs::{self, File};
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use casebook_formats::capture::{CaptureReader, FormatError};
use casebook_formats::ledger::Ledger;
use casebook_formats::seekable::SeekableFile;

use crate::audit::reader::look_into;
use crate::audit::{AuditReader, stream};

/// Where a capture comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file; `-` is standard input.
    File(PathBuf),
    /// A capture in memory.
    Memory {
        /// How it is called in headings, notes and the summary.
        name: String,
        /// Its bytes.
        bytes: Arc<[u8]>,
    },
    /// An argument that names no capture; it is reported in its place.
    Missing {
        /// The argument.
        name: String,
        /// Why it names none.
        reason: String,
    },
}

impl Source {
    /// How it is called in headings, notes and the summary.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Memory { name, .. } | Self::Missing { name, .. } => name.clone(),
        }
    }

    /// Whether it is a file with an audit log. Standard input is not looked into.
    pub fn is_log(&self) -> bool {
        let Self::File(path) = self else { return false };
        let regular = fs::metadata(path).is_ok_and(|file| file.is_file());
        regular && File::open(path).and_then(|mut file| look_into(&mut file)).is_ok_and(|(_, is_json)| is_json)
    }

    /// Opens it: a capture, or an audit log as one.
    ///
    /// # Errors
    ///
    /// What cannot be opened, in a sentence that names it.
    pub fn open(&self) -> Result<CaptureReader, String> {
        let opened = match self {
            Self::Missing { name, reason } => return Err(format!("{name}: {reason}")),
            Self::File(path) if path.as_os_str() == "-" => {
                let mut input = io::stdin();
                let (head, is_json) = look_into(&mut input).map_err(|error| format!("standard input: {error}"))?;
                open_stream(Box::new(Cursor::new(head).chain(input)), is_json, "standard input")?
            }
            Self::File(path) if self.is_log() => stream::capture(AuditReader::open(path)?, &self.name()),
            Self::File(path) => open_file(path),
            Self::Memory { name, bytes } => {
                let (_, is_json) = look_into(&mut &bytes[..]).map_err(|error| format!("{name}: {error}"))?;
                open_stream(Box::new(Cursor::new(Arc::clone(bytes))), is_json, name)?
            }
        };
        opened.map_err(|error: FormatError| error.to_string())
    }

    /// Its bytes, as often as one likes; only files and memory have them.
    ///
    /// # Errors
    ///
    /// Of the file; of standard input, which can be read only once; of what is missing.
    pub fn bytes(&self) -> io::Result<Box<dyn Read + Send>> {
        match self {
            Self::File(path) if path.as_os_str() != "-" => Ok(Box::new(File::open(path)?)),
            Self::Memory { bytes, .. } => Ok(Box::new(Cursor::new(Arc::clone(bytes)))),
            Self::File(_) => Err(io::Error::other("standard input can be read only once")),
            Self::Missing { reason, .. } => Err(io::Error::other(reason.clone())),
        }
    }

    /// Same, as those of a capture, packed or not: an audit log becomes one on the way.
    pub(crate) fn capture_bytes(&self) -> io::Result<Box<dyn Read + Send>> {
        match self {
            Self::File(path) if self.is_log() => {
                Ok(Box::new(stream::bytes(AuditReader::open(path).map_err(io::Error::other)?)))
            }
            Self::Memory { name, bytes } if look_into(&mut &bytes[..])?.1 => {
                let log = AuditReader::from_reader(self.bytes()?, name);
                Ok(Box::new(stream::bytes(log.map_err(io::Error::other)?)))
            }
            _ => self.bytes(),
        }
    }

    /// What its recorder lost, where it is a file that says so beside its stream: at which time how much.
    pub fn recorded_losses(&self) -> Vec<(u64, Ledger)> {
        let Self::File(path) = self else { return Vec::new() };
        let file = SeekableFile::open(path).ok().flatten();
        file.and_then(|file| file.losses_by_frame().ok()).unwrap_or_default()
    }

    /// Opens it once more; `None` when it can be read only once, or not at all.
    pub(crate) fn reopen(&self) -> Option<CaptureReader> {
        let again = match self {
            Self::File(path) => fs::metadata(path).is_ok_and(|file| file.is_file()),
            Self::Memory { .. } => true,
            Self::Missing { .. } => false,
        };
        if again { self.open().ok() } else { None }
    }
}

/// Opens a capture file, with what its frame records tell of the recorder's losses.
pub(crate) fn open_file(path: &Path) -> Result<CaptureReader, FormatError> {
    CaptureReader::open(path).map(|reader| reader.with_gaps(recorded_gaps(path)))
}

/// Where the recorder of a file lost events, if it says so beside the stream.
pub(crate) fn recorded_gaps(path: &Path) -> Arc<[u64]> {
    let file = SeekableFile::open(path).ok().flatten();
    file.and_then(|file| file.recorded_gaps().ok()).unwrap_or_default().into()
}

/// Opens what was looked into.
fn open_stream(
    bytes: Box<dyn Read + Send>,
    is_json: bool,
    name: &str,
) -> Result<Result<CaptureReader, FormatError>, String> {
    if is_json {
        return AuditReader::from_reader(bytes, name).map(|log| stream::capture(log, name));
    }
    Ok(CaptureReader::from_reader(bytes, name))
}
