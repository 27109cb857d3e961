//! The list of a file's data frames: from its index, or, where that is missing or damaged, by a scan.
//!
//! Nothing is believed before it is checked: an index counts only when its frames follow each other without gap or
//! overlap inside the file, so that no offset leads anywhere else. What a list cannot know (frames without a record) is
//! found out by unpacking them once.

use std::io::{self, Read};

use super::cut::{Cutter, Seen};
use super::filter::TypeSet;
use super::pieces::{self, FRAME_HEADER, MAX_FRAME, Pieces, What};
use super::storage::{From, Storage, read_into};
use super::{table, zstd_frame};
use crate::limits::MAX_BLOCK;
use crate::record::{self, Digest, FrameRecord, HEAD, IndexEntry, Kind, MAX_PAYLOAD, NUMBERING};

/// Most bytes of one frame's content: a block of the largest size, and room for those before it.
pub(crate) const MAX_CONTENT: u64 = (MAX_BLOCK as u64) + (64 << 20);

/// Longest frame record that is looked at: the largest body, and what stands around it.
const MAX_RECORD: u64 = 192 << 10;

/// Pieces looked at from the end of a file to find its index.
const MAX_AFTER_INDEX: usize = 4096;

/// One data frame, and what is known of it without unpacking it.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // independent facts, not a state in disguise
pub struct Frame {
    /// Its number in the file as it was written, from 0.
    pub number: u64,
    /// Where the compressed frame begins in the file.
    pub offset: u64,
    /// Its compressed length; its record follows it.
    pub packed_len: u64,
    /// Length of the record, the whole skippable frame; 0 when there is none that can be used.
    pub record_len: u64,
    /// Where its content begins in the uncompressed stream.
    pub raw_offset: u64,
    /// Length of its content.
    pub raw_len: u64,
    /// Event blocks in it, as stored.
    pub events: u64,
    /// Events that all frames before it deliver: the number of its first event, less one.
    pub delivered_before: u64,
    /// Events that it delivers after conversion to the normal form.
    pub delivered: u64,
    /// Earliest time of an event, ns since the epoch; 0 when no event has a time.
    pub earliest: u64,
    /// Latest time of an event; 0 likewise.
    pub latest: u64,
    /// Holds damage or events of unknown type: nothing that is said of its events is complete.
    pub irregular: bool,
    /// Holds blocks that are no events: section header, machine, processes, descriptors, users, interfaces.
    pub snapshots: bool,
    /// Event types as stored.
    pub types: TypeSet,
    /// Its events can be read without all frames before it: the enter halves they need are listed.
    pub stands_alone: bool,
    /// The counts of delivered events follow today's rules.
    pub(crate) counted: bool,
    /// Cut off by the end of the file: only the beginning of its content is there.
    pub(crate) is_cut: bool,
    /// Check of its record.
    pub(crate) chain: Digest,
}

impl Frame {
    /// Where its content ends in the uncompressed stream.
    pub fn raw_end(&self) -> u64 {
        self.raw_offset + self.raw_len
    }

    fn of_entry(number: u64, entry: IndexEntry, raw_offset: u64, delivered_before: u64) -> Self {
        Self {
            number,
            offset: entry.offset,
            packed_len: entry.packed_len,
            record_len: entry.record_len,
            raw_offset,
            raw_len: entry.raw_len,
            events: entry.events,
            delivered_before,
            delivered: entry.delivered,
            earliest: entry.earliest,
            latest: entry.latest,
            irregular: entry.irregular,
            snapshots: entry.snapshots,
            types: entry.types,
            stands_alone: entry.stands_alone,
            counted: entry.numbering == NUMBERING,
            is_cut: false,
            chain: entry.chain,
        }
    }

    fn of_record(record: FrameRecord, offset: u64, packed_len: u64, record_len: u64, chain: Digest) -> Self {
        Self {
            number: record.sequence,
            offset,
            packed_len,
            record_len,
            raw_offset: record.raw_offset,
            raw_len: record.raw_len,
            events: record.events,
            delivered_before: record.delivered_before,
            delivered: record.delivered,
            earliest: record.earliest,
            latest: record.latest,
            irregular: record.irregular,
            snapshots: record.snapshots,
            types: record.types,
            stands_alone: record.carried.is_some(),
            counted: record.numbering == NUMBERING,
            is_cut: false,
            chain,
        }
    }

    /// A frame without a record, by what its content shows. It follows `before`.
    fn of_content(offset: u64, packed_len: u64, seen: Seen, raw_len: u64, before: Option<&Self>) -> Self {
        Self {
            number: before.map_or(0, |frame| frame.number.saturating_add(1)),
            offset,
            packed_len,
            record_len: 0,
            raw_offset: before.map_or(0, Self::raw_end),
            raw_len,
            events: seen.events,
            delivered_before: before.map_or(0, |frame| frame.delivered_before.saturating_add(frame.delivered)),
            delivered: seen.delivered,
            earliest: seen.earliest.unwrap_or(0),
            latest: seen.latest.unwrap_or(0),
            irregular: seen.irregular,
            snapshots: seen.snapshots,
            types: seen.types,
            stands_alone: false,
            counted: true,
            is_cut: false,
            chain: [0; 32],
        }
    }

    /// Whether lengths and counts are such that sums of them stay in range.
    fn is_sane(&self) -> bool {
        self.packed_len <= MAX_FRAME as u64
            && self.record_len <= MAX_RECORD
            && self.raw_len <= MAX_CONTENT
            && self.raw_offset.checked_add(self.raw_len).is_some()
            && self.delivered_before.checked_add(self.delivered).is_some()
    }
}

/// A frame's record, when it is the one that the list knows.
pub(crate) fn read_record(storage: &dyn Storage, frame: &Frame) -> io::Result<Option<FrameRecord>> {
    if frame.record_len < HEAD as u64 || frame.record_len > MAX_RECORD {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let whole = read_into(storage, &mut bytes, frame.offset + frame.packed_len, frame.record_len)?;
    Ok(whole.then(|| parse_record(&bytes, frame)).flatten())
}

fn parse_record(bytes: &[u8], frame: &Frame) -> Option<FrameRecord> {
    let sound = record::open(bytes.get(HEAD..)?).ok()?;
    if !bytes.starts_with(&record::MAGIC.to_le_bytes())
        || sound.kind != Some(Kind::Record)
        || sound.check != frame.chain
    {
        return None;
    }
    record::decode(sound.body).ok()
}

/// The frames by the index of a finished file; `None` when there is none that can be used.
pub(crate) fn by_index(storage: &dyn Storage, size: u64) -> io::Result<Option<Vec<Frame>>> {
    let Some((offset, len)) = find_index(storage, size)? else { return Ok(None) };
    let mut bytes = Vec::new();
    if len > MAX_PAYLOAD as u64 || !read_into(storage, &mut bytes, offset, len)? {
        return Ok(None);
    }
    let sound = bytes.get(HEAD..).and_then(|payload| record::open(payload).ok());
    let entries = sound.and_then(|sound| record::decode_index(sound.body).ok());
    Ok(entries.and_then(|entries| follow(entries, offset)))
}

/// Frames of entries that lie one behind the other, from the start of the file, before `end`.
fn follow(entries: Vec<IndexEntry>, end: u64) -> Option<Vec<Frame>> {
    let (mut offset, mut raw_offset, mut delivered) = (0_u64, 0_u64, 0_u64);
    let mut frames = Vec::with_capacity(entries.len());
    for (number, entry) in (0..).zip(entries) {
        let frame = Frame::of_entry(number, entry, raw_offset, delivered);
        if frame.offset != offset || !frame.is_sane() {
            return None;
        }
        // Sane lengths are far below the range of a u64.
        offset += frame.packed_len + frame.record_len;
        if offset > end {
            return None;
        }
        raw_offset = frame.raw_end();
        delivered = frame.delivered_before + frame.delivered;
        frames.push(frame);
    }
    (offset <= end).then_some(frames)
}

/// Place and length of the index: one of the last frames that the seek table lists.
fn find_index(storage: &dyn Storage, size: u64) -> io::Result<Option<(u64, u64)>> {
    let mut bytes = Vec::new();
    let Some(tail) = size.checked_sub(table::FOOTER as u64) else { return Ok(None) };
    if !read_into(storage, &mut bytes, tail, table::FOOTER as u64)? {
        return Ok(None);
    }
    let Some(len) = table::len_by_footer(&bytes) else { return Ok(None) };
    let Some(start) = size.checked_sub(len).filter(|_| len <= MAX_PAYLOAD as u64) else { return Ok(None) };
    if !read_into(storage, &mut bytes, start, len)? || !bytes.starts_with(&table::MAGIC.to_le_bytes()) {
        return Ok(None);
    }
    let Some(entries) = bytes.get(HEAD..).and_then(table::decode) else { return Ok(None) };
    let mut end = start;
    for entry in entries.iter().rev().take(MAX_AFTER_INDEX) {
        let Some(offset) = end.checked_sub(u64::from(entry.packed_len)) else { return Ok(None) };
        if entry.raw_len > 0 {
            return Ok(None);
        }
        if read_into(storage, &mut bytes, offset, (HEAD + 5) as u64)?
            && bytes.starts_with(&record::MAGIC.to_le_bytes())
            && bytes.ends_with(&[record::MARK.as_slice(), &[Kind::Index as u8]].concat())
        {
            return Ok(Some((offset, u64::from(entry.packed_len))));
        }
        end = offset;
    }
    Ok(None)
}

/// Whether a file begins as ours do: a data frame, or none, and a piece with our mark behind it.
pub(crate) fn begins_as_ours(storage: &dyn Storage) -> io::Result<bool> {
    let mut bytes = Vec::new();
    let mut end = 0;
    if read_into(storage, &mut bytes, 0, FRAME_HEADER)? && pieces::is_data(&bytes) {
        let descriptor = bytes.last().copied().unwrap_or_default();
        let Some(len) = zstd_frame::header_len(descriptor) else { return Ok(false) };
        end = len as u64;
        loop {
            read_into(storage, &mut bytes, end, zstd_frame::BLOCK_HEADER as u64)?;
            let Some((len, last)) = bytes.first_chunk().and_then(|header| zstd_frame::block(*header)) else {
                return Ok(false);
            };
            end += (zstd_frame::BLOCK_HEADER + len) as u64;
            if end > MAX_FRAME as u64 {
                return Ok(false);
            }
            if last {
                break;
            }
        }
        end += zstd_frame::trailer_len(descriptor) as u64;
    }
    let mark = [&record::MAGIC.to_le_bytes()[..], &[0; 4], &record::MARK].concat();
    let whole = read_into(storage, &mut bytes, end, mark.len() as u64)?;
    Ok(whole && bytes.starts_with(&mark[..4]) && bytes.ends_with(&record::MARK))
}

/// The frames by a pass over the whole file, in the order of the stream. Frames whose place in the stream another one
/// has already are left out. Also whether anything of ours was found.
pub(crate) fn by_scan(storage: &dyn Storage) -> io::Result<(Vec<Frame>, bool)> {
    let mut pieces = Pieces::new(From { storage, at: 0 });
    let mut frames: Vec<Frame> = Vec::new();
    let mut open: Option<(u64, u64)> = None;
    let mut is_ours = false;
    while let Some(piece) = pieces.next_piece()? {
        is_ours |= matches!(piece.what, What::Own(..) | What::Unusable(_));
        match piece.what {
            What::Data | What::Stray => {
                settle(storage, &mut frames, open.take(), false)?;
                open = Some((piece.offset, piece.len));
            }
            What::Own(Some(Kind::Record), chain) => {
                let Ok(record) = record::decode::<FrameRecord>(pieces.body()) else { continue };
                if let Some((offset, len)) = open.take() {
                    frames.push(Frame::of_record(record, offset, len, piece.len, chain));
                }
            }
            What::Cut => {
                settle(storage, &mut frames, open.take(), false)?;
                settle(storage, &mut frames, Some((piece.offset, piece.len)), true)?;
            }
            What::Own(..) | What::Unusable(_) | What::SeekTable | What::Skippable => {
                settle(storage, &mut frames, open.take(), false)?;
            }
        }
    }
    settle(storage, &mut frames, open, false)?;
    frames.retain(Frame::is_sane);
    frames.sort_by_key(|frame| (frame.raw_offset, frame.offset));
    let mut end = 0;
    frames.retain(|frame| {
        let is_free = frame.raw_offset >= end;
        end = if is_free { frame.raw_end() } else { end };
        is_free
    });
    Ok((frames, is_ours))
}

/// Takes in data that has no record, by unpacking it.
fn settle(storage: &dyn Storage, frames: &mut Vec<Frame>, open: Option<(u64, u64)>, is_cut: bool) -> io::Result<()> {
    let Some((offset, len)) = open else { return Ok(()) };
    let mut packed = Vec::new();
    read_into(storage, &mut packed, offset, len)?;
    let stream = zstd::stream::read::Decoder::with_buffer(&packed[..]);
    let mut content = Vec::new();
    let whole = stream.and_then(|stream| stream.single_frame().take(MAX_CONTENT).read_to_end(&mut content));
    if content.is_empty() || (whole.is_err() && !is_cut) {
        return Ok(());
    }
    let raw_len = content.len() as u64;
    let mut cutter = Cutter::default();
    cutter.push(&content);
    cutter.follow(usize::MAX, true);
    let seen = cutter.take(true).map(|(_, seen)| seen).unwrap_or_default();
    let mut frame = Frame::of_content(offset, len, seen, raw_len, frames.last());
    frame.is_cut = is_cut;
    frames.push(frame);
    Ok(())
}
