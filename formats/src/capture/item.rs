//! What reading a capture gives: items, or the reason why there are none.

use std::io;

use crate::event::Event;
use crate::ledger::Ledger;
use crate::snapshot::{FdList, Interface, MachineInfo, ThreadEntry, UserEntry};

/// What a capture consists of, in file order.
#[derive(Clone, Debug)]
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

impl Item<'_> {
    /// Shows an event to `look`; gives anything else, which borrows nothing.
    pub(super) fn apart(self, look: impl FnOnce(&Event<'_>)) -> Option<Item<'static>> {
        Some(match self {
            Self::Event(event) => {
                look(&event);
                return None;
            }
            Self::Section(section) => Item::Section(section),
            Self::Machine(machine) => Item::Machine(machine),
            Self::Interfaces(interfaces) => Item::Interfaces(interfaces),
            Self::Users(users) => Item::Users(users),
            Self::Threads(threads) => Item::Threads(threads),
            Self::Fds(list) => Item::Fds(list),
        })
    }
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
    #[error("{name}: {source} (at byte {offset} of the input)")]
    Io {
        /// Input as the user named it.
        name: String,
        /// Bytes of the input read before.
        offset: u64,
        /// The system's error.
        source: io::Error,
    },
    /// Nothing in the input.
    #[error("{name}: empty input, expected a scap capture")]
    Empty {
        /// Input as the user named it.
        name: String,
    },
    /// No section header where one has to be, nor any other block near it.
    #[error("{name}: not a scap capture: {found} at offset {offset}, expected a section header block (0a 0d 0d 0a)")]
    NotScap {
        /// Input as the user named it.
        name: String,
        /// Offset in the uncompressed stream.
        offset: u64,
        /// What is there instead.
        found: String,
    },
    /// A section of the other byte order.
    #[error(
        "{name}: big-endian capture: byte order magic 1a 2b 3c 4d in the section header at offset {offset}, expected \
         little-endian 4d 3c 2b 1a; captures of big-endian machines cannot be read"
    )]
    ForeignByteOrder {
        /// Input as the user named it.
        name: String,
        /// Offset of the section header in the uncompressed stream.
        offset: u64,
    },
    /// A section of a format that does not exist yet.
    #[error("{name}: scap version {major}.{minor} in the section header at offset {offset}, expected 1.x")]
    UnsupportedVersion {
        /// Input as the user named it.
        name: String,
        /// Offset of the section header in the uncompressed stream.
        offset: u64,
        /// Major version found.
        major: u16,
        /// Minor version found.
        minor: u16,
    },
}

impl FormatError {
    /// The same once more, for somebody else who reads along: of the system's error its kind and what it says.
    pub(super) fn again(&self) -> Self {
        match self {
            Self::Io { name, offset, source } => {
                let source = match source.raw_os_error() {
                    Some(code) => io::Error::from_raw_os_error(code),
                    None => io::Error::new(source.kind(), source.to_string()),
                };
                Self::Io { name: name.clone(), offset: *offset, source }
            }
            Self::Empty { name } => Self::Empty { name: name.clone() },
            Self::NotScap { name, offset, found } => {
                Self::NotScap { name: name.clone(), offset: *offset, found: found.clone() }
            }
            Self::ForeignByteOrder { name, offset } => Self::ForeignByteOrder { name: name.clone(), offset: *offset },
            Self::UnsupportedVersion { name, offset, major, minor } => {
                Self::UnsupportedVersion { name: name.clone(), offset: *offset, major: *major, minor: *minor }
            }
        }
    }
}

/// What a reader found out about an input that it turns into a capture: an audit log, for example.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upstream {
    /// Its anomalies.
    pub ledger: Ledger,
    /// Lines about them for people.
    pub notes: Vec<String>,
}
