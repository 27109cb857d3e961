//! Event blocks: header, parameter lengths, values (`reference/scap-format.md` section 8).
//!
//! Decodes what is stored and checks that it fits; what the type means today is the business of [`crate::convert`].

use super::{Cursor, EventLayout, round4, section};
use crate::event::EventType;
use crate::limits::MAX_PARAMS;
use crate::tables::{self, EventFlags, ppme};

/// Length of the event header: ts, tid, len, type and, in version 2, the parameter count.
pub(crate) const fn header_len(layout: EventLayout) -> usize {
    if layout.counted { 26 } else { 22 }
}

/// An event as stored. The lengths of its parameters are known to fit the payload only up to the count that
/// [`Stored::lengths`] was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stored<'a> {
    pub cpu: u16,
    pub dump_flags: u32,
    pub ts: u64,
    pub tid: i64,
    pub etype: u16,
    pub nparams: u32,
    /// Bytes of one parameter length: 2, or 4 for types of large payload.
    pub width: usize,
    /// Length array and values.
    pub payload: &'a [u8],
    /// Where the payload begins in the body.
    pub payload_at: usize,
}

/// Why an event block gives no event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// Its lengths do not fit.
    Damaged,
    /// Its type is newer than our table.
    UnknownType,
}

/// Bytes of one parameter length of this type.
pub(crate) fn width(etype: u16) -> usize {
    match tables::event(EventType(etype)) {
        Some(def) if def.flags.has(EventFlags::LARGE_PAYLOAD) => 4,
        _ => 2,
    }
}

/// Decodes the body of an event block.
#[inline]
pub(crate) fn decode(body: &[u8], layout: EventLayout) -> Result<Stored<'_>, Fault> {
    let (cpu, dump_flags, event) = split(body, layout).ok_or(Fault::Damaged)?;
    let header = header_len(layout);
    let head: &[u8; 22] = event.first_chunk().ok_or(Fault::Damaged)?;
    let (ts, tid) = (u64_at(head, 0), u64_at(head, 8) as i64);
    let len = u32_at(head, 16) as usize;
    let etype = u16::from_le_bytes([head[20], head[21]]);
    if len < header || len > event.len() {
        return Err(Fault::Damaged);
    }
    let Some(def) = tables::event(EventType(etype)) else { return Err(Fault::UnknownType) };
    let width = if def.flags.has(EventFlags::LARGE_PAYLOAD) { 4 } else { 2 };
    let mut payload = &event[header..len];
    let payload_at = body.len() - event.len() + header;
    let nparams = if layout.counted {
        let count: &[u8; 4] = event[22..].first_chunk().ok_or(Fault::Damaged)?;
        u32::from_le_bytes(*count)
    } else {
        // Recorders of that time counted three bytes too many for two types.
        if matches!(EventType(etype), ppme::PPME_NOTIFICATION_E | ppme::PPME_INFRASTRUCTURE_EVENT_E) {
            payload = payload.get(..payload.len().saturating_sub(3)).unwrap_or(payload);
        }
        guess_count(payload, width, def.params.len()).ok_or(Fault::Damaged)?
    };
    if (nparams as usize).checked_mul(width).is_none_or(|lengths| lengths > payload.len()) {
        return Err(Fault::Damaged);
    }
    Ok(Stored { cpu, dump_flags, ts, tid, etype, nparams, width, payload, payload_at })
}

/// Where the payload begins in a block of [`super::EV_V2`].
pub(crate) const PAYLOAD: usize = 36;

/// Header of a whole block of [`super::EV_V2`], read at its fixed places.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub cpu: u16,
    pub ts: u64,
    pub tid: i64,
    pub etype: EventType,
    pub nparams: u32,
    /// Where the payload ends in the block.
    pub end: usize,
}

/// Reads the header of such a block, which is `len` bytes long and begins with `bytes`; `None` where its own length does
/// not fit.
#[allow(clippy::inline_always)] // as that of `frame::split_event`
#[inline(always)]
pub(crate) fn head(bytes: &[u8; PAYLOAD], len: usize) -> Option<Head> {
    let end = 10 + u32::from_le_bytes(field(bytes, 26)) as usize;
    (end >= PAYLOAD && end + 4 <= len).then_some(Head {
        cpu: u16::from_le_bytes(field(bytes, 8)),
        ts: u64::from_le_bytes(field(bytes, 10)),
        tid: i64::from_le_bytes(field(bytes, 18)),
        etype: EventType(u16::from_le_bytes(field(bytes, 30))),
        nparams: u32::from_le_bytes(field(bytes, 32)),
        end,
    })
}

/// The bytes at a fixed place, each field by itself: copies of all bytes at once are taken apart with many instructions.
#[allow(clippy::inline_always)] // its place is known and its check gone only where it is called
#[inline(always)]
pub(crate) fn field<const N: usize>(bytes: &[u8; PAYLOAD], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[at..at + N]);
    field
}

/// Cpu id, dump flags, and the event from its header on.
#[inline]
fn split(body: &[u8], layout: EventLayout) -> Option<(u16, u32, &[u8])> {
    let (cpu, rest) = body.split_first_chunk::<2>()?;
    let (flags, event) = if layout.flags {
        let (flags, event) = rest.split_first_chunk::<4>()?;
        (u32::from_le_bytes(*flags), event)
    } else {
        (0, rest)
    };
    Some((u16::from_le_bytes(*cpu), flags, event))
}

#[inline]
fn u64_at(head: &[u8; 22], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&head[at..at + 8]);
    u64::from_le_bytes(bytes)
}

#[inline]
fn u32_at(head: &[u8; 22], at: usize) -> u32 {
    u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]])
}

/// Parameter count of a version 1 event: the one for which length array and values fill the payload exactly.
/// The size grows with the count, so there is one at most; the table's own count is tried first.
fn guess_count(payload: &[u8], width: usize, table: usize) -> Option<u32> {
    let fills = |count: usize| -> bool {
        let mut at = Cursor::new(payload);
        let mut size = count * width;
        for _ in 0..count {
            let len = if width == 4 { at.u32().map(|len| len as usize) } else { at.u16().map(usize::from) };
            let Some(len) = len else { return false };
            size += len;
        }
        size == payload.len()
    };
    let mut counts = std::iter::once(table).chain((0..table).rev()).chain(table + 1..=MAX_PARAMS);
    counts.find(|&count| fills(count)).map(|count| count as u32)
}

impl Stored<'_> {
    /// Length of parameter `index`, which has to be below `nparams`.
    #[inline]
    pub(crate) fn length(&self, index: usize) -> usize {
        let at = index * self.width;
        match (self.width, self.payload.get(at..at + self.width)) {
            (2, Some(bytes)) => u16::from_le_bytes([bytes[0], bytes[1]]) as usize,
            (_, Some(bytes)) => u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize,
            _ => 0,
        }
    }
}

/// Whether a body is that of an event in every respect: the test for a place where reading may resume.
pub(crate) fn is_sound(body: &[u8], layout: EventLayout) -> bool {
    let Some((_, _, event)) = split(body, layout) else { return false };
    let Some(head) = event.first_chunk::<22>() else { return false };
    let len = u32_at(head, 16) as usize;
    let start = body.len() - event.len();
    let Some(options) = body.get(round4(start + len)..) else { return false };
    if !options.is_empty() && !are_options(options) {
        return false;
    }
    match decode(body, layout) {
        // The bound keeps a hostile file from making every byte of a search expensive.
        Ok(stored) if stored.nparams as usize > MAX_PARAMS => false,
        Ok(stored) => {
            let mut size = stored.nparams as usize * stored.width;
            for index in 0..stored.nparams as usize {
                size += stored.length(index);
            }
            size == stored.payload.len()
        }
        // A type of the future: its parameters are out of reach, a number far beyond the table is no type at all.
        Err(Fault::UnknownType) => usize::from(u16::from_le_bytes([head[20], head[21]])) < 4 * tables::EVENT_TYPES,
        Err(Fault::Damaged) => false,
    }
}

fn are_options(bytes: &[u8]) -> bool {
    let mut at = Cursor::new(bytes);
    while at.left() > 0 {
        match section::option(&mut at) {
            Some((0, _)) => return at.left() == 0,
            Some(_) => {}
            None => return false,
        }
    }
    true
}

/// Appends the body of an event block (version 2, without flags). Lengths are known to fit their width.
pub(crate) fn encode(out: &mut Vec<u8>, ts: u64, tid: i64, cpu: u16, etype: EventType, params: &[&[u8]]) {
    out.extend_from_slice(&cpu.to_le_bytes());
    encode_event(out, ts, tid, etype, params);
}

/// Same, without the cpu id (and the dump flags) before it.
pub(crate) fn encode_event(out: &mut Vec<u8>, ts: u64, tid: i64, etype: EventType, params: &[&[u8]]) {
    let width = width(etype.0);
    let len = 26 + params.iter().map(|value| width + value.len()).sum::<usize>();
    out.extend_from_slice(&ts.to_le_bytes());
    out.extend_from_slice(&tid.to_le_bytes());
    out.extend_from_slice(&(len as u32).to_le_bytes());
    out.extend_from_slice(&etype.0.to_le_bytes());
    out.extend_from_slice(&(params.len() as u32).to_le_bytes());
    for value in params {
        out.extend_from_slice(&(value.len() as u32).to_le_bytes()[..width]);
    }
    for value in params {
        out.extend_from_slice(value);
    }
}
