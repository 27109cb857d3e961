//! Writing `.scap.zst`: bytes of a scap stream in, frames and records out, in one pass.

use std::collections::{BTreeSet, VecDeque};
use std::io::{self, Write};

use super::cut::{Cutter, Seen};
use super::filter::{Filter, text_member};
use super::loose::LooseFrame;
use super::press::Press;
use super::table::{self, SeekEntry};
use crate::custody::Entry;
use crate::ledger::{Counter, Ledger};
use crate::record::{self, Custody, Digest, FrameRecord, IndexEntry, Kind, MAX_CARRIED, NUMBERING, Seal};

/// Content of a data frame, where nothing else is asked for.
pub const FRAME_BYTES: usize = 4 << 20;

/// How to write.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// A data frame ends with the block that makes its content this long, in bytes.
    pub frame_bytes: usize,
    /// zstd's compression level.
    pub level: i32,
}

impl Default for Options {
    fn default() -> Self {
        Self { frame_bytes: FRAME_BYTES, level: 3 }
    }
}

/// Writes a seekable capture to a file or a pipe: nothing is read back, nothing is sought.
///
/// It takes the bytes of a scap stream through [`Write`], in pieces of any size (so a
/// [`CaptureWriter`](crate::write::CaptureWriter) writes into it), and keeps them as they are, damage included. A
/// finished data frame goes out together with its record; [`SeekableWriter::finish`] has to be called for the rest.
pub struct SeekableWriter<W: Write> {
    out: W,
    options: Options,
    press: Press,
    /// Records of the frames in the press.
    records: VecDeque<FrameRecord>,
    cutter: Cutter,
    containers: Option<BTreeSet<u64>>,
    index: Vec<IndexEntry>,
    offset: u64,
    raw_offset: u64,
    delivered: u64,
    previous: Digest,
    losses: Ledger,
    custody: Vec<Entry>,
}

impl<W: Write> SeekableWriter<W> {
    /// A writer onto `out`; nothing is written yet.
    pub fn new(out: W, options: Options) -> io::Result<Self> {
        Self::with_threads(out, options, 1)
    }

    /// Same, with so many threads that compress beside the caller's. What is written does not depend on it.
    pub fn with_threads(out: W, options: Options, threads: usize) -> io::Result<Self> {
        Ok(Self {
            out,
            options,
            press: Press::new(options.level, threads)?,
            records: VecDeque::new(),
            cutter: Cutter::default(),
            containers: None,
            index: Vec::new(),
            offset: 0,
            raw_offset: 0,
            delivered: 0,
            previous: [0; 32],
            losses: Ledger::default(),
            custody: Vec::new(),
        })
    }

    /// The sink.
    pub fn get_ref(&self) -> &W {
        &self.out
    }

    /// Something was lost in the interval of the frame under way.
    pub fn lost(&mut self, counter: Counter, count: u64) {
        self.cutter.losses().add(counter, count);
    }

    /// Events of a container are in the frame under way. Who calls this has to call it for every container of every
    /// frame, once at least with an empty id for the host: readers skip what is not in the filter.
    pub fn container(&mut self, id: &[u8]) {
        self.containers.get_or_insert_default().insert(text_member(id));
    }

    /// How the file came to be, oldest step first ([`crate::custody`]); written by [`SeekableWriter::finish`], so that
    /// what is known only when the input has been read can still be said.
    pub fn custody(&mut self, entries: impl IntoIterator<Item = Entry>) {
        self.custody.extend(entries.into_iter().map(Entry::bounded));
    }

    /// Ends the frame under way at the last block boundary: for a recorder that wants its frames on disk in time.
    pub fn cut(&mut self) -> io::Result<()> {
        self.cutter.follow(usize::MAX, false);
        self.write_frame(false)?;
        self.write_pressed(0)
    }

    /// Writes a frame that was packed before, after all that was given until now. `also`: losses of its interval beside
    /// those that it knows.
    pub fn append(&mut self, frame: &LooseFrame, also: &Ledger) -> io::Result<()> {
        self.cut()?;
        let mut losses = frame.losses.clone();
        losses.merge(also);
        let record = FrameRecord {
            sequence: self.index.len() as u64,
            raw_offset: self.raw_offset,
            delivered_before: self.delivered,
            losses: losses.losses(),
            ..frame.record.clone()
        };
        self.raw_offset += record.raw_len;
        self.delivered += record.delivered;
        self.losses.merge(&losses);
        self.write_packed(&frame.bytes, frame.digest, record)
    }

    /// Writes the last frame, index, seal and seek table, flushes, and gives the sink and the seal back.
    pub fn finish(mut self) -> io::Result<(W, Seal)> {
        while self.cutter.follow(self.options.frame_bytes, true) {
            self.write_frame(false)?;
        }
        self.write_frame(true)?;
        self.write_pressed(0)?;
        let custody = self.write_custody()?;
        let (index, index_check) = record::frame(Kind::Index, &record::encode_index(&self.index));
        let mut seal = self.seal(index_check);
        // The seal's length does not depend on the seek table's hash, the seek table does on the seal's length.
        let seal_len = record::frame(Kind::Seal, &record::encode(&seal)).0.len();
        let seek_table = self.seek_table(custody.into_iter().chain([index.len(), seal_len]));
        seal.seek_table = *blake3::hash(&seek_table).as_bytes();
        let (sealed, _) = record::frame(Kind::Seal, &record::encode(&seal));
        self.out.write_all(&index)?;
        self.out.write_all(&sealed)?;
        self.out.write_all(&seek_table)?;
        self.out.flush()?;
        Ok((self.out, seal))
    }

    fn seal(&self, index: Digest) -> Seal {
        let sum = |of: fn(&IndexEntry) -> u64| self.index.iter().map(of).sum();
        Seal {
            frames: self.index.len() as u64,
            raw_len: self.raw_offset,
            packed_len: sum(|entry| entry.packed_len),
            events: sum(|entry| entry.events),
            earliest: self.index.iter().map(|entry| entry.earliest).filter(|&ts| ts > 0).min().unwrap_or(0),
            latest: self.index.iter().map(|entry| entry.latest).max().unwrap_or(0),
            losses: self.losses.losses(),
            root: self.previous,
            index,
            seek_table: [0; 32],
            signature: None,
        }
    }

    /// Writes the custody entries into the chain; their lengths.
    fn write_custody(&mut self) -> io::Result<Vec<usize>> {
        let mut lengths = Vec::new();
        for entry in std::mem::take(&mut self.custody) {
            let body = record::encode(&Custody { entry, previous: self.previous });
            let (piece, check) = record::frame(Kind::Custody, &body);
            self.out.write_all(&piece)?;
            self.previous = check;
            lengths.push(piece.len());
        }
        Ok(lengths)
    }

    /// The seek table of all frames written, and of pieces of these lengths after them.
    fn seek_table(&self, tail: impl Iterator<Item = usize>) -> Vec<u8> {
        let skipped = |len: u64| SeekEntry { packed_len: len as u32, raw_len: 0 };
        let mut entries = Vec::with_capacity(self.index.len() * 2 + 2);
        for entry in &self.index {
            entries.push(SeekEntry { packed_len: entry.packed_len as u32, raw_len: entry.raw_len as u32 });
            entries.push(skipped(entry.record_len));
        }
        entries.extend(tail.map(|len| skipped(len as u64)));
        table::encode(&entries)
    }

    /// Hands the frame under way to the press, and writes those that leave it.
    fn write_frame(&mut self, at_end: bool) -> io::Result<()> {
        let Some((raw, seen)) = self.cutter.take(at_end) else { return Ok(()) };
        let record = self.record(raw.len() as u64, &seen);
        self.raw_offset += record.raw_len;
        self.delivered += record.delivered;
        self.losses.merge(&seen.losses);
        self.records.push_back(record);
        self.press.submit(raw)?;
        self.write_pressed(self.press.depth())
    }

    /// Writes finished frames and their records until no more than `most` are under way.
    fn write_pressed(&mut self, most: usize) -> io::Result<()> {
        while let Some(packed) = self.press.next(most)? {
            let Some(record) = self.records.pop_front() else { break };
            self.write_packed(&packed.bytes, packed.digest, record)?;
        }
        Ok(())
    }

    /// Writes a frame and its record, and remembers them for the index.
    fn write_packed(&mut self, bytes: &[u8], digest: Digest, record: FrameRecord) -> io::Result<()> {
        let packed_len = bytes.len() as u64;
        let entry = FrameRecord { packed_len, digest, previous: self.previous, ..record };
        let (piece, chain) = record::frame(Kind::Record, &record::encode(&entry));
        self.out.write_all(bytes)?;
        self.out.write_all(&piece)?;
        self.index.push(IndexEntry {
            offset: self.offset,
            packed_len,
            record_len: piece.len() as u64,
            raw_len: entry.raw_len,
            events: entry.events,
            delivered: entry.delivered,
            numbering: entry.numbering,
            earliest: entry.earliest,
            latest: entry.latest,
            irregular: entry.irregular,
            snapshots: entry.snapshots,
            stands_alone: entry.carried.is_some(),
            types: entry.types,
            digest: entry.digest,
            chain,
        });
        self.offset += packed_len + piece.len() as u64;
        self.previous = chain;
        Ok(())
    }

    /// The record of the frame under way, but for what compression gives.
    fn record(&mut self, raw_len: u64, seen: &Seen) -> FrameRecord {
        let containers = self.containers.as_mut().map(std::mem::take);
        FrameRecord {
            sequence: (self.index.len() + self.records.len()) as u64,
            raw_offset: self.raw_offset,
            delivered_before: self.delivered,
            ..described(seen, raw_len, self.raw_offset, containers.map(|ids| Filter::of(ids.iter())))
        }
    }
}

/// What a frame's content says of it, wherever the frame comes to stand; its content begins at `raw_offset` of the stream
/// in which it was seen.
pub(super) fn described(seen: &Seen, raw_len: u64, raw_offset: u64, containers: Option<Filter>) -> FrameRecord {
    FrameRecord {
        sequence: 0,
        raw_offset: 0,
        raw_len,
        packed_len: 0,
        events: seen.events,
        delivered: seen.delivered,
        delivered_before: 0,
        numbering: NUMBERING,
        earliest: seen.earliest.unwrap_or(0),
        latest: seen.latest.unwrap_or(0),
        irregular: seen.irregular,
        snapshots: seen.snapshots,
        types: seen.types.clone(),
        threads: Filter::of(seen.threads.iter()),
        containers,
        carried: (seen.carried.len() <= MAX_CARRIED)
            .then(|| seen.carried.iter().map(|at| raw_offset.saturating_sub(*at)).collect()),
        losses: seen.losses.losses(),
        digest: [0; 32],
        previous: [0; 32],
    }
}

impl<W: Write> Write for SeekableWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.cutter.push(bytes);
        while self.cutter.follow(self.options.frame_bytes, false) {
            self.write_frame(false)?;
        }
        Ok(bytes.len())
    }

    /// Flushes what has been written; the frame under way stays open (see [`SeekableWriter::cut`]).
    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
