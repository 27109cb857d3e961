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

/// Bytes of standard input that are held for the join: what an API server logs in hours.
const MAX_HELD: usize = 256 << 20;

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
    /// Standard input, read ahead ([`Source::hold`]).
    Input {
        /// Its beginning.
        head: Arc<[u8]>,
        /// That is all of it.
        whole: bool,
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
            Self::Input { .. } => "-".to_owned(),
        }
    }

    /// Whether it is an audit log, as far as that can be seen without reading what can be read only once.
    pub fn is_log(&self) -> bool {
        match self {
            Self::File(path) => {
                let regular = fs::metadata(path).is_ok_and(|file| file.is_file());
                regular && File::open(path).and_then(|mut file| look_into(&mut file)).is_ok_and(|(_, is_json)| is_json)
            }
            Self::Input { head, .. } => look_into(&mut &head[..]).is_ok_and(|(_, is_json)| is_json),
            Self::Memory { .. } | Self::Missing { .. } => false,
        }
    }

    /// Whether it can be read as often as one likes.
    pub(crate) fn is_lasting(&self) -> bool {
        match self {
            Self::File(path) => fs::metadata(path).is_ok_and(|file| file.is_file()),
            Self::Memory { .. } | Self::Input { whole: true, .. } => true,
            Self::Input { .. } | Self::Missing { .. } => false,
        }
    }

    /// Reads standard input ahead where it is an audit log beside something else, so that it can be joined with that and
    /// then be replayed: up to 256 MiB, packed as they come.
    ///
    /// # Errors
    ///
    /// What the operating system says about standard input.
    pub fn hold(sources: &mut [Self]) -> Result<(), String> {
        let is_stdin = |source: &Self| matches!(source, Self::File(path) if path.as_os_str() == "-");
        let Some(at) = sources.iter().position(is_stdin) else { return Ok(()) };
        if sources.iter().all(|source| is_stdin(source) || source.is_log()) {
            return Ok(());
        }
        let mut input = io::stdin();
        let mut read = || -> io::Result<Self> {
            let (mut head, is_json) = look_into(&mut input)?;
            let room = if is_json { MAX_HELD.saturating_sub(head.len()) } else { 0 };
            let got = (&mut input).take(room as u64).read_to_end(&mut head)?;
            Ok(Self::Input { head: head.into(), whole: got < room })
        };
        sources[at] = read().map_err(|error| format!("standard input: {error}"))?;
        Ok(())
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
            Self::Input { head, whole } => {
                let held = Cursor::new(Arc::clone(head));
                let bytes: Box<dyn Read + Send> =
                    if *whole { Box::new(held) } else { Box::new(held.chain(io::stdin())) };
                open_stream(bytes, self.is_log(), "standard input")?
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
            Self::Memory { bytes, .. } | Self::Input { head: bytes, whole: true } => {
                Ok(Box::new(Cursor::new(Arc::clone(bytes))))
            }
            Self::File(_) | Self::Input { .. } => Err(io::Error::other("standard input can be read only once")),
            Self::Missing { reason, .. } => Err(io::Error::other(reason.clone())),
        }
    }

    /// Same, as those of a capture, packed or not: an audit log becomes one on the way.
    pub(crate) fn capture_bytes(&self) -> io::Result<Box<dyn Read + Send>> {
        match self {
            Self::File(path) if self.is_log() => {
                Ok(Box::new(stream::bytes(AuditReader::open(path).map_err(io::Error::other)?)))
            }
            Self::Memory { bytes, .. } | Self::Input { head: bytes, .. } if look_into(&mut &bytes[..])?.1 => {
                let log = AuditReader::from_reader(self.bytes()?, &self.name());
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
        if self.is_lasting() { self.open().ok() } else { None }
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
