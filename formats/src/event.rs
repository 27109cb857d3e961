//! One event as the rest of the toolkit sees it: header and parameters, borrowed from the reader's buffer.
//!
//! The normal form is today's (event schema 4.x): exit events that carry all parameters of the call. Events stored
//! in older forms are converted when they are read; [`Event::raw`] keeps the event as stored reachable.

use crate::tables::{self, ppme};

/// Index into the event table (`PPME_*`); always below the table's length in an event the reader delivers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EventType(pub u16);

/// Byte range of one parameter's value inside [`Event::data`].
#[derive(Clone, Copy, Debug, Default)]
pub struct ParamRange {
    /// First byte of the value.
    pub start: u32,
    /// Length in bytes; 0 means *not known* (the format's convention since libs 0.20).
    pub len: u32,
}

/// A normal-form event. Borrows from the reader until the next event is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// Number of the event in the stream, from 1, counted after conversion as libs 0.20+ does (merged enter events
    /// do not count), running on across sections and concatenated captures.
    pub num: u64,
    /// Nanoseconds since the epoch, as stored.
    pub ts: u64,
    /// Thread the event belongs to; -1 for events of no thread (plugin, container, user and group events).
    pub tid: i64,
    /// Ring buffer the event came from.
    pub cpu: u16,
    /// Row of the event table.
    pub etype: EventType,
    /// Dump flag bit 0: feeds the state but is not shown.
    pub state_only: bool,
    /// Timestamp of the enter half where the capture holds one: the start of the call.
    pub enter_ts: Option<u64>,
    /// Buffer the parameter ranges point into.
    pub data: &'a [u8],
    /// One range per parameter present, in table order.
    pub ranges: &'a [ParamRange],
    /// The exit half as stored in the file, before conversion.
    pub raw: RawEvent<'a>,
}

/// An event as stored: nothing converted, nothing judged.
#[derive(Clone, Copy, Debug)]
pub struct RawEvent<'a> {
    /// Offset of the event's block in the *uncompressed* stream.
    pub offset: u64,
    /// Offset of the block of the enter half that this event ended, where there was one.
    pub enter: Option<u64>,
    /// Event type number as stored (may be one that is converted away).
    pub etype: u16,
    /// Number of parameters as stored (or as found out for v1 blocks).
    pub nparams: u32,
    /// Length array and values, as stored.
    pub payload: &'a [u8],
}

impl<'a> Event<'a> {
    /// Name as `evt.type` shows it: the table's, and for generic events that of their call (`unknown` where the
    /// recorder did not know it either).
    pub fn name(&self) -> &'static str {
        let generic = matches!(self.etype, ppme::PPME_GENERIC_E | ppme::PPME_GENERIC_X);
        let call = || tables::generic_syscall(self.u64(0)? as u16, self.u64(1).map(|native| native as u16));
        match tables::event(self.etype) {
            Some(_) if generic => call().map_or("unknown", |call| call.name),
            Some(def) => def.name,
            None => "unknown",
        }
    }

    /// Value of parameter `index`, or `None` when the event does not carry it or carries it empty (*not known*).
    #[inline]
    pub fn param(&self, index: usize) -> Option<&'a [u8]> {
        self.param_raw(index).filter(|value| !value.is_empty())
    }

    /// Value of parameter `index` even when empty; `None` only when the event has fewer parameters.
    #[inline]
    pub fn param_raw(&self, index: usize) -> Option<&'a [u8]> {
        let range = self.ranges.get(index)?;
        self.data.get(range.start as usize..)?.get(..range.len as usize)
    }

    /// Unsigned little-endian integer of 1, 2, 4 or 8 bytes.
    #[inline]
    pub fn u64(&self, index: usize) -> Option<u64> {
        let value = self.param_raw(index)?;
        match value.len() {
            8 => value.try_into().ok().map(u64::from_le_bytes),
            4 => value.try_into().ok().map(|bytes| u64::from(u32::from_le_bytes(bytes))),
            _ => narrow(value),
        }
    }

    /// Signed little-endian integer of 1, 2, 4 or 8 bytes, sign extended.
    #[inline]
    pub fn i64(&self, index: usize) -> Option<i64> {
        let value = self.param_raw(index)?;
        match value.try_into() {
            Ok(bytes) => Some(i64::from_le_bytes(bytes)),
            Err(_) => narrow_signed(value),
        }
    }

    /// Text parameter without its NUL terminator; `None` when not known (empty, or the old `(NULL)` marker).
    #[inline]
    pub fn text(&self, index: usize) -> Option<&'a [u8]> {
        let value = self.param(index)?;
        let text = memchr::memchr(0, value).map_or(value, |end| &value[..end]);
        if text == b"(NULL)" { None } else { Some(text) }
    }
}

/// An integer of 2 bytes or 1. Not inlined, so that the wide ones, which most are and which are read everywhere, take few
/// instructions.
#[inline(never)]
fn narrow(value: &[u8]) -> Option<u64> {
    match *value {
        [a, b] => Some(u64::from(u16::from_le_bytes([a, b]))),
        [a] => Some(u64::from(a)),
        _ => None,
    }
}

/// An integer of 4, 2 or 1 bytes with its sign, which are rarer than those without.
#[inline(never)]
fn narrow_signed(value: &[u8]) -> Option<i64> {
    match *value {
        [a, b, c, d] => Some(i64::from(i32::from_le_bytes([a, b, c, d]))),
        [a, b] => Some(i64::from(i16::from_le_bytes([a, b]))),
        [a] => Some(i64::from(a as i8)),
        _ => None,
    }
}
