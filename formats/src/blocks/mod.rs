//! The block layer: what each block type holds, how its bytes become records and records become bytes.
//!
//! [`KINDS`] is the one table of block numbers (`reference/scap-format.md` section 2); framing ([`frame`]), snapshot
//! codecs and the writer derive from it. A codec decodes a whole body that the frame layer has bounded, and encodes
//! the same layout; what a list entry cannot hold is reported, never guessed.

pub(crate) mod event;
pub(crate) mod fds;
pub(crate) mod frame;
pub(crate) mod interfaces;
pub(crate) mod machine;
pub(crate) mod section;
pub(crate) mod threads;
pub(crate) mod users;

#[cfg(feature = "cli")]
use std::io::{self, Write};

use crate::limits::{MAX_BLOCK, MAX_EVENT_BLOCK, MAX_LIST_ENTRIES};

/// What a block holds, with the version of its layout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Section header.
    Section,
    /// Machine info.
    Machine,
    /// Process list, versions 1 to 9.
    Threads(u8),
    /// Descriptors of one thread; entries of version 2 carry their length.
    Fds(u8),
    /// Interfaces, likewise.
    Interfaces(u8),
    /// Users and groups, likewise.
    Users(u8),
    /// One event.
    Event(EventLayout),
}

/// Layout of an event block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct EventLayout {
    /// Dump flags follow the cpu id.
    pub flags: bool,
    /// The header has a parameter count (version 2).
    pub counted: bool,
    /// The block may exceed [`MAX_EVENT_BLOCK`].
    pub large: bool,
}

const fn ev(flags: bool, counted: bool, large: bool) -> Kind {
    Kind::Event(EventLayout { flags, counted, large })
}

/// What [`EV_V2`] holds.
pub(crate) const EVENT: Kind = ev(false, true, false);

/// Section header.
pub(crate) const SHB: u32 = 0x0A0D_0D0A;
/// Machine info.
pub(crate) const MI: u32 = 0x201;
/// Interfaces, version 2.
pub(crate) const IL_V2: u32 = 0x219;
/// Users, version 2.
pub(crate) const UL_V2: u32 = 0x220;
/// Processes, version 9.
pub(crate) const PL_V9: u32 = 0x215;
/// Descriptors, version 2.
pub(crate) const FDL_V2: u32 = 0x218;
/// Event with parameter count.
pub(crate) const EV_V2: u32 = 0x216;
/// Event with flags and parameter count.
pub(crate) const EVF_V2: u32 = 0x217;
/// Event that may exceed 64 KiB.
pub(crate) const EV_V2_LARGE: u32 = 0x221;
/// Event with flags that may exceed 64 KiB.
pub(crate) const EVF_V2_LARGE: u32 = 0x222;

/// Every block number ever written, and what it holds. The second group are the numbers of early 2014.
pub(crate) const KINDS: &[(u32, Kind)] = &[
    (EV_V2, EVENT),
    (EVF_V2, ev(true, true, false)),
    (EV_V2_LARGE, ev(false, true, true)),
    (EVF_V2_LARGE, ev(true, true, true)),
    (0x204, ev(false, false, false)),
    (0x208, ev(true, false, false)),
    (FDL_V2, Kind::Fds(2)),
    (0x203, Kind::Fds(1)),
    (SHB, Kind::Section),
    (MI, Kind::Machine),
    (IL_V2, Kind::Interfaces(2)),
    (0x205, Kind::Interfaces(1)),
    (UL_V2, Kind::Users(2)),
    (0x206, Kind::Users(1)),
    (PL_V9, Kind::Threads(9)),
    (0x214, Kind::Threads(8)),
    (0x213, Kind::Threads(7)),
    (0x212, Kind::Threads(6)),
    (0x211, Kind::Threads(5)),
    (0x210, Kind::Threads(4)),
    (0x209, Kind::Threads(3)),
    (0x207, Kind::Threads(2)),
    (0x202, Kind::Threads(1)),
    (0x8002_ABCD, Kind::Machine),
    (0x8000_ABCD, Kind::Threads(1)),
    (0x8013_ABCD, Kind::Threads(2)),
    (0x8014_ABCD, Kind::Threads(3)),
    (0x8001_ABCD, Kind::Fds(1)),
    (0x8010_ABCD, ev(false, false, false)),
    (0x8011_ABCD, Kind::Interfaces(1)),
    (0x8012_ABCD, Kind::Users(1)),
];

impl Kind {
    /// What a block number stands for; `None` for numbers this version does not know.
    #[inline]
    pub(crate) fn of(number: u32) -> Option<Self> {
        KINDS.iter().find(|(known, _)| *known == number).map(|&(_, kind)| kind)
    }

    /// Total lengths a block of this kind can have.
    pub(crate) const fn bounds(self) -> (usize, usize) {
        match self {
            Self::Section => (28, MAX_BLOCK),
            Self::Machine => (12, MAX_BLOCK),
            Self::Fds(_) => (20, MAX_BLOCK),
            Self::Threads(_) | Self::Interfaces(_) | Self::Users(_) => (12, MAX_BLOCK),
            Self::Event(layout) => (
                12 + 2 + event::header_len(layout) + if layout.flags { 4 } else { 0 },
                if layout.large { MAX_BLOCK } else { MAX_EVENT_BLOCK },
            ),
        }
    }
}

/// Rounds up to a multiple of four.
pub(crate) const fn round4(n: usize) -> usize {
    (n + 3) & !3
}

/// Writes a block in the framing of today: number and length, the padded body, the length again.
#[cfg(feature = "cli")]
pub(crate) fn write_block(out: &mut (impl Write + ?Sized), number: u32, body: &[u8]) -> io::Result<()> {
    let len = (round4(body.len()) + 12) as u32;
    // Three pieces and not five: most blocks are small, and `out` is far away.
    let mut head = [0; 8];
    head[..4].copy_from_slice(&number.to_le_bytes());
    head[4..].copy_from_slice(&len.to_le_bytes());
    let mut tail = [0; 7];
    tail[3..].copy_from_slice(&len.to_le_bytes());
    out.write_all(&head)?;
    out.write_all(body)?;
    out.write_all(&tail[3 - (round4(body.len()) - body.len())..])
}

/// Little-endian reads over a bounded slice; every read says `None` instead of going past the end.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(data: &'a [u8]) -> Self {
        Self { rest: data }
    }

    pub(crate) const fn left(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    /// A text with a u16 byte count before it, at most `limit` bytes.
    pub(crate) fn text(&mut self, limit: usize) -> Option<Vec<u8>> {
        let len = self.u16()? as usize;
        if len > limit { None } else { self.take(len).map(<[u8]>::to_vec) }
    }
}

/// A record that its block cannot hold.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} of {len} bytes, the format allows {limit}")]
pub struct TooLong {
    /// The offending field.
    pub what: &'static str,
    /// Its length in bytes.
    pub len: usize,
    /// Longest the format allows.
    pub limit: usize,
}

/// Appends a text with its u16 byte count.
pub(crate) fn put_text(out: &mut Vec<u8>, what: &'static str, text: &[u8], limit: usize) -> Result<(), TooLong> {
    let limit = limit.min(u16::MAX as usize);
    if text.len() > limit {
        return Err(TooLong { what, len: text.len(), limit });
    }
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(text);
    Ok(())
}

/// Records of a list block, and how many entries were given up.
#[derive(Debug)]
pub(crate) struct List<T> {
    pub entries: Vec<T>,
    pub damaged: u64,
}

/// What an entry's own length prefix counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prefix {
    /// No prefix: entries follow each other by their content.
    None,
    /// The bytes after the prefix.
    After,
    /// The prefix and the bytes after it.
    WithItself,
}

/// Decodes at most `limit` list entries, until fewer than four bytes (padding) are left. With a prefix, an entry that does not
/// decode is skipped by its length; without one, nothing after it can be found, and the list ends there.
pub(crate) fn list<T>(
    body: &[u8],
    prefix: Prefix,
    limit: usize,
    mut entry: impl FnMut(&mut Cursor) -> Option<T>,
) -> List<T> {
    let mut at = Cursor::new(body);
    let mut list = List { entries: Vec::new(), damaged: 0 };
    while at.left() >= 4 {
        if list.entries.len() == limit {
            list.damaged += u64::from(limit == MAX_LIST_ENTRIES);
            break;
        }
        let decoded = if prefix == Prefix::None {
            let decoded = entry(&mut at);
            if decoded.is_none() {
                list.damaged += 1;
                break;
            }
            decoded
        } else {
            let own = if prefix == Prefix::WithItself { 4 } else { 0 };
            let Some(mut inner) =
                at.u32().and_then(|len| (len as usize).checked_sub(own)).and_then(|len| at.take(len)).map(Cursor::new)
            else {
                list.damaged += 1;
                break;
            };
            entry(&mut inner)
        };
        match decoded {
            Some(decoded) => list.entries.push(decoded),
            None => list.damaged += 1,
        }
    }
    list
}

/// Appends list entries, each with its length before it.
pub(crate) fn put_list<T>(
    out: &mut Vec<u8>,
    entries: &[T],
    prefix: Prefix,
    mut put: impl FnMut(&mut Vec<u8>, &T) -> Result<(), TooLong>,
) -> Result<(), TooLong> {
    for entry in entries {
        let start = out.len();
        if prefix != Prefix::None {
            out.extend_from_slice(&[0; 4]);
        }
        put(out, entry)?;
        if prefix != Prefix::None {
            let counted = out.len() - start - if prefix == Prefix::After { 4 } else { 0 };
            out[start..start + 4].copy_from_slice(&(counted as u32).to_le_bytes());
        }
    }
    Ok(())
}
