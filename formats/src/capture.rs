//! Reading a capture: one pull interface over files, pipes, compression, sections, damage and old forms.
//!
//! Pipeline: byte source → decompression → blocks (with resynchronisation) → snapshots and raw events →
//! conversion to the normal form → [`Item`]s. Memory is bounded by the largest block, not by the file.

use std::io::Read;
use std::path::Path;

use crate::event::Event;
use crate::ledger::Ledger;
use crate::snapshot::{FdList, Interface, MachineInfo, ThreadEntry, UserEntry};

/// What a capture consists of, in file order.
#[derive(Debug)]
pub enum Item<'a> {
    /// A section begins: a stateful reader drops its threads, descriptors, users and interfaces (not its counters).
    Section(Section),
    /// Machine info.
    Machine(MachineInfo),
    /// Network interfaces.
    Interfaces(Vec<Interface>),
    /// Users and groups of the host.
    Users(Vec<UserEntry>),
    /// Threads.
    Threads(Vec<ThreadEntry>),
    /// Descriptors of one thread.
    Fds(FdList),
    /// A normal-form event.
    Event(Event<'a>),
}

/// Section header facts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// Major version.
    pub major: u16,
    /// Minor version.
    pub minor: u16,
    /// Comments among the pcapng options of the header, as written.
    pub comments: Vec<Vec<u8>>,
}

/// Why a capture cannot be read at all. Damage inside a capture is counted in the ledger instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The operating system refused.
    #[error("{name}: {source}")]
    Io {
        /// Input as the user named it.
        name: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// Nothing in the input.
    #[error("{name}: empty input, expected a scap capture")]
    Empty {
        /// Input as the user named it.
        name: String,
    },
    /// No section header where one has to be.
    #[error("{name}: not a scap capture: {found} at offset {offset}, expected a section header block (0a 0d 0d 0a)")]
    NotScap {
        /// Input as the user named it.
        name: String,
        /// Offset in the uncompressed stream.
        offset: u64,
        /// What is there instead.
        found: String,
    },
}

/// A capture being read.
pub struct CaptureReader {
    _private: (),
}

impl CaptureReader {
    /// Opens a file; `-` is standard input. Compression is found out from the bytes, not from the name.
    pub fn open(path: &Path) -> Result<Self, FormatError> {
        let _ = path;
        todo!()
    }

    /// Reads from any byte source; `name` appears in errors.
    pub fn from_reader(source: Box<dyn Read + Send>, name: &str) -> Result<Self, FormatError> {
        let _ = (source, name);
        todo!()
    }

    /// The next item, or `None` at the end. A cut or damaged tail is an end with a ledger entry, not an error.
    pub fn next_item(&mut self) -> Result<Option<Item<'_>>, FormatError> {
        todo!()
    }

    /// Anomalies so far.
    pub fn ledger(&self) -> &Ledger {
        todo!()
    }

    /// Bytes of the (compressed) input consumed so far, for progress.
    pub fn bytes_read(&self) -> u64 {
        todo!()
    }

    /// Size of the (compressed) input where it is known.
    pub fn bytes_total(&self) -> Option<u64> {
        todo!()
    }
}
