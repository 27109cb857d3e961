//! Where the values of an event's parameters are while it is converted: ranges of what is stored, bounded before they are used.

use crate::blocks::event::Stored;
use crate::event::ParamRange;
use crate::tables::ParamType;

/// Where a parameter's bytes are while an event is being converted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    /// Not known.
    Empty,
    /// In the event's own payload.
    Own(ParamRange),
    /// In the stored enter half.
    Half(ParamRange),
    /// Zero, so many bytes wide.
    Zero(u8),
    /// JSON made from the oldest container event.
    Container,
}

pub(super) const ZEROS: [u8; 8] = [0; 8];

/// Ranges of the first `table` parameters inside the payload; false when one does not fit.
#[inline]
pub(super) fn own_ranges(stored: &Stored, table: usize, ranges: &mut Vec<ParamRange>) -> bool {
    ranges.clear();
    let mut start = stored.nparams as usize * stored.width;
    let lengths = &stored.payload[..start];
    if stored.width == 2 {
        // At most `MAX_BLOCK` bytes of payload have fewer than 2^27 lengths of 2 bytes: the sum stays in range.
        ranges.extend(lengths.chunks_exact(2).take(table).map(|len| {
            let len = usize::from(u16::from_le_bytes([len[0], len[1]]));
            let range = ParamRange { start: start as u32, len: len as u32 };
            start += len;
            range
        }));
    } else {
        for len in lengths.chunks_exact(4).take(table) {
            let len = u32::from_le_bytes([len[0], len[1], len[2], len[3]]);
            ranges.push(ParamRange { start: start as u32, len });
            start = start.saturating_add(len as usize);
            if start > stored.payload.len() {
                return false;
            }
        }
    }
    start <= stored.payload.len()
}

pub(super) fn slice(bytes: &[u8], range: ParamRange) -> &[u8] {
    bytes.get(range.start as usize..).and_then(|bytes| bytes.get(..range.len as usize)).unwrap_or_default()
}

/// Values that a narrower type takes over lose their upper bytes.
pub(super) fn cut(value: Value, ty: ParamType) -> Value {
    let narrow = |range: ParamRange| ParamRange {
        len: ty.width().map_or(range.len, |width| range.len.min(width as u32)),
        ..range
    };
    match value {
        Value::Own(range) => Value::Own(narrow(range)),
        Value::Half(range) => Value::Half(narrow(range)),
        other => other,
    }
}
