//! A capture as blocks: which ones are events, and the same stream without some of them.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use casebook_formats::tables::ppme::PPME_DROP_E;
use flate2::bufread::MultiGzDecoder;

/// Block types of events: version 1, with flags, version 2, version 2 large, and the flagged forms of these.
const EVENT_BLOCKS: [u32; 6] = [0x204, 0x208, 0x216, 0x217, 0x221, 0x222];
/// Block type of an event, version 2.
const EVENT_BLOCK: u32 = 0x216;
/// Type and length in front, length behind.
const FRAME: usize = 12;

/// Bytes of a capture file, unpacked.
///
/// # Errors
///
/// When the file cannot be read or unpacked.
pub(super) fn unpacked(path: &Path) -> io::Result<Vec<u8>> {
    let mut packed = Vec::new();
    BufReader::new(File::open(path)?).read_to_end(&mut packed)?;
    let mut bytes = Vec::new();
    match packed.as_slice() {
        [0x1F, 0x8B, ..] => {
            MultiGzDecoder::new(packed.as_slice()).read_to_end(&mut bytes)?;
        }
        [0x28, 0xB5, 0x2F, 0xFD, ..] => {
            zstd::stream::read::Decoder::with_buffer(packed.as_slice())?.read_to_end(&mut bytes)?;
        }
        _ => bytes = packed,
    }
    Ok(bytes)
}

/// A stream from which event blocks were removed.
pub(super) struct Blocks {
    /// What remains.
    pub(super) bytes: Vec<u8>,
    /// Offsets of the removed blocks in the whole stream, ascending.
    pub(super) removed: Vec<u64>,
    /// Places where the two streams part: offset in the reduced one, and bytes removed before it (less those put there,
    /// modulo 2⁶⁴). Ascending.
    shifts: Vec<(u64, u64)>,
}

impl Blocks {
    /// `told`: a drop marker stands in the place of each. Removes the `every`-th event block, the one after `every` more, and so on. A place that is no block ends the
    /// walk: from there on everything stays.
    pub(super) fn without_every(whole: &[u8], every: u64, told: bool) -> Self {
        let mut reduced = Self { bytes: Vec::with_capacity(whole.len()), removed: Vec::new(), shifts: Vec::new() };
        let (mut at, mut events, mut gone) = (0, 0_u64, 0_u64);
        while let Some((kind, length)) = head(&whole[at..]) {
            let is_event = EVENT_BLOCKS.contains(&kind);
            events += u64::from(is_event);
            if is_event && events.is_multiple_of(every) {
                reduced.removed.push(at as u64);
                gone = gone.wrapping_add(length as u64);
                if told {
                    let marker = drop_marker();
                    reduced.bytes.extend_from_slice(&marker);
                    gone = gone.wrapping_sub(marker.len() as u64);
                }
                reduced.shifts.push((reduced.bytes.len() as u64, gone));
            } else {
                reduced.bytes.extend_from_slice(&whole[at..at + length]);
            }
            at += length;
        }
        reduced.bytes.extend_from_slice(&whole[at..]);
        reduced
    }

    /// Where a block of the reduced stream stands in the whole one.
    pub(super) fn whole_offset(&self, offset: u64) -> u64 {
        let before = self.shifts.partition_point(|&(place, _)| place <= offset);
        offset.wrapping_add(before.checked_sub(1).map_or(0, |last| self.shifts[last].1))
    }
}

/// A drop marker as recorders write it, but without a time, so that it is later than nothing.
fn drop_marker() -> Vec<u8> {
    // CPU, time, thread, length of the event, its type, its parameters, one length, `ratio`.
    let (length, params) = (26_u32 + 2 + 4, 1_u32);
    let mut body = vec![0, 0];
    body.extend(0_u64.to_le_bytes());
    body.extend((-1_i64).to_le_bytes());
    body.extend(length.to_le_bytes());
    body.extend(PPME_DROP_E.0.to_le_bytes());
    body.extend(params.to_le_bytes());
    body.extend(4_u16.to_le_bytes());
    body.extend(2_u32.to_le_bytes());
    body.resize(body.len().next_multiple_of(4), 0);
    let total = (FRAME + body.len()) as u32;
    [EVENT_BLOCK.to_le_bytes().as_slice(), &total.to_le_bytes(), &body, &total.to_le_bytes()].concat()
}

/// Type and length of the block at the beginning of `rest`, if one is there whole.
fn head(rest: &[u8]) -> Option<(u32, usize)> {
    let word = |at: usize| Some(u32::from_le_bytes(rest.get(at..at + 4)?.try_into().ok()?));
    let (kind, length) = (word(0)?, word(4)? as usize);
    (length >= FRAME && length <= rest.len()).then_some((kind, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(kind: u32, body: usize) -> Vec<u8> {
        let length = (FRAME + body) as u32;
        let mut bytes = [kind.to_le_bytes(), length.to_le_bytes()].concat();
        bytes.resize(8 + body, 7);
        bytes.extend(length.to_le_bytes());
        bytes
    }

    #[test]
    fn every_second_event_goes_and_the_places_are_known() {
        let parts = [block(0x0A0D_0D0A, 4), block(0x216, 8), block(0x216, 4), block(0x201, 4), block(0x222, 12)];
        let whole: Vec<u8> = [&parts[..], &[block(0x216, 16), block(0x216, 4), b"rest".to_vec()]].concat().concat();
        let reduced = Blocks::without_every(&whole, 2, false);
        assert_eq!(reduced.removed.len(), 2);
        let mut at = 0;
        while let Some((kind, length)) = head(&reduced.bytes[at..]) {
            let place = reduced.whole_offset(at as u64) as usize;
            assert_eq!(head(&whole[place..]), Some((kind, length)));
            assert_eq!(whole[place..place + length], reduced.bytes[at..at + length]);
            at += length;
        }
        assert_eq!(&reduced.bytes[at..], b"rest");
        assert_eq!(whole.len() - reduced.bytes.len(), parts[2].len() + block(0x216, 16).len());
    }
}
