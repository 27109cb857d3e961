//! The stream of chosen frames: what [`crate::capture::CaptureReader`] reads instead of a whole file.
//!
//! Frames that follow each other in the stream make a *run*, read as one piece; between runs the reader starts anew, and
//! is told where it stands: offset in the stream, number of the next event, and, frame by frame, which enter halves
//! outside of the run are still waited for.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use super::frames::Frame;
use super::storage::Storage;
use super::supply::{Order, Supply, Unpacker};
use crate::ledger::{Counter, Ledger};

/// Where a run begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// Offset in the uncompressed stream.
    pub raw_offset: u64,
    /// Events that the frames left out before it deliver.
    pub passed: u64,
}

/// Frames to be read, in order.
pub(crate) struct Feed {
    storage: Arc<dyn Storage>,
    /// All frames of the file: enter halves may stand in any.
    frames: Arc<[Frame]>,
    orders: Arc<[Order]>,
    supply: Supply,
    /// Next order.
    next: usize,
    content: Vec<u8>,
    /// Bytes of `content` that have been read.
    at: usize,
    /// Stream offset at which the run under way goes on; `None` between runs.
    place: Option<u64>,
    /// Where the run under way began.
    run_start: u64,
    /// Events of the file up to the end of the last frame that was read.
    passed: u64,
    /// Enter halves that frames need, with the frames' places; taken as the reader gets there.
    carried: VecDeque<(u64, Vec<u64>)>,
    damaged: u64,
    /// File offset behind the last frame taken.
    file_offset: u64,
    /// Frame unpacked for an enter half, by its place in `frames`.
    origin: Option<(usize, Vec<u8>)>,
    unpacker: Unpacker,
}

impl Feed {
    /// The frames that `chosen` lists (ascending places in `frames`). `passed`: events that the file has before the first
    /// of them, in place of what the frames say.
    pub(crate) fn new(
        storage: &Arc<dyn Storage>,
        frames: &Arc<[Frame]>,
        chosen: &[usize],
        passed: Option<u64>,
        threads: usize,
    ) -> Self {
        let chosen: Vec<&Frame> = chosen.iter().filter_map(|&at| frames.get(at)).collect();
        let (mut orders, mut end) = (Vec::new(), 0);
        let mut from_start = true;
        for frame in &chosen {
            from_start &= frame.raw_offset == end;
            end = frame.raw_end();
            // Where nothing was left out, every enter half comes by itself.
            orders.push(Order { frame: (*frame).clone(), carried: !from_start });
        }
        let orders: Arc<[Order]> = orders.into();
        let before = chosen.first().map_or(0, |frame| frame.delivered_before);
        Self {
            storage: Arc::clone(storage),
            frames: Arc::clone(frames),
            supply: Supply::new(storage, &orders, threads),
            orders,
            next: 0,
            content: Vec::new(),
            at: 0,
            place: None,
            run_start: 0,
            // Wraps where a caller numbers from elsewhere; the difference is all that is used.
            passed: passed.map_or(0, |passed| before.wrapping_sub(passed)),
            carried: VecDeque::new(),
            damaged: 0,
            file_offset: 0,
            origin: None,
            unpacker: Unpacker::default(),
        }
    }

    /// Goes on to the next run; `None` at the end.
    pub(crate) fn next_run(&mut self, ledger: &mut Ledger) -> io::Result<Option<Run>> {
        self.place = None;
        self.carried.clear();
        loop {
            ledger.add(Counter::DamagedFrames, std::mem::take(&mut self.damaged));
            let Some(frame) = self.orders.get(self.next).map(|order| &order.frame) else { return Ok(None) };
            let (raw_offset, before, after) =
                (frame.raw_offset, frame.delivered_before, frame.delivered_before.saturating_add(frame.delivered));
            self.run_start = raw_offset;
            if self.take()? {
                let passed = before.wrapping_sub(std::mem::replace(&mut self.passed, after));
                return Ok(Some(Run { raw_offset, passed }));
            }
        }
    }

    /// Unpacks the next frame; false when it is damaged.
    fn take(&mut self) -> io::Result<bool> {
        let old = std::mem::take(&mut self.content);
        self.at = 0;
        let unpacked = self.supply.get(&*self.storage, &self.orders, self.next, old)?;
        let Some(Order { frame, .. }) = self.orders.get(self.next) else { return Ok(false) };
        self.next += 1;
        self.file_offset = frame.offset + frame.packed_len + frame.record_len;
        let Some(unpacked) = unpacked else {
            self.damaged += 1;
            return Ok(false);
        };
        self.content = unpacked.content;
        self.place = Some(frame.raw_end());
        let before_run = unpacked.carried.into_iter().filter(|&at| at < self.run_start).collect();
        self.carried.push_back((frame.raw_offset, before_run));
        Ok(true)
    }

    /// Reads some bytes of the run; 0 at its end.
    pub(crate) fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.at == self.content.len() {
            let Some(place) = self.place else { return Ok(0) };
            let Some(frame) = self.orders.get(self.next).map(|order| &order.frame) else { return Ok(0) };
            if frame.raw_offset != place {
                return Ok(0);
            }
            let after = frame.delivered_before.saturating_add(frame.delivered);
            if !self.take()? {
                self.place = None;
                return Ok(0);
            }
            self.passed = after;
        }
        let rest = &self.content[self.at..];
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        self.at += len;
        Ok(len)
    }

    /// The enter halves that frames up to this place need and that stand before the run, by their offsets; and from
    /// where on to ask again.
    pub(crate) fn carried(&mut self, offset: u64) -> (Vec<u64>, u64) {
        let mut halves = Vec::new();
        while let Some((at, list)) = self.carried.front_mut() {
            if *at > offset {
                return (halves, *at);
            }
            halves.append(list);
            self.carried.pop_front();
        }
        halves.sort_unstable();
        (halves, self.place.unwrap_or(u64::MAX))
    }

    /// The stream from `at` to the end of its frame; empty where that frame is not there.
    pub(crate) fn rest_of_frame(&mut self, at: u64) -> io::Result<&[u8]> {
        let index = self.frames.partition_point(|frame| frame.raw_end() <= at);
        let Some(frame) = self.frames.get(index).filter(|frame| frame.raw_offset <= at) else { return Ok(&[]) };
        if self.origin.as_ref().is_none_or(|(unpacked, _)| *unpacked != index) {
            let mut content = self.origin.take().map(|(_, content)| content).unwrap_or_default();
            if !self.unpacker.unpack(&*self.storage, frame, &mut content)? {
                return Ok(&[]);
            }
            self.origin = Some((index, content));
        }
        let content = self.origin.as_ref().map_or(&[][..], |(_, content)| content);
        Ok(content.get((at - frame.raw_offset) as usize..).unwrap_or_default())
    }

    /// Gives back what was needed for enter halves only.
    pub(crate) fn forget_origin(&mut self) {
        self.origin = None;
    }

    /// Where in the file the last frame taken ends.
    pub(crate) fn file_offset(&self) -> u64 {
        self.file_offset
    }
}
