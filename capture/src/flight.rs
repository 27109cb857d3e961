//! The flight recorder: the last events in memory, as compressed frames, and files of them when something happens.
//!
//! Memory is a row of *stretches*. Each begins with a snapshot, so that a file can begin with any of them; the oldest
//! goes when the memory is used up, or when nobody would ask for it any more. A dump takes the stretches that reach far
//! enough back, and then what comes, as it comes ([`writing`]). Frames go from memory into the file as they are,
//! compressed once.

mod writing;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use casebook_formats::ledger::{Counter, Ledger};
use casebook_formats::seekable::{FramePacker, LooseFrame};

use self::writing::Writing;
use crate::files::create;
use crate::sink::{Beginning, Dump, Keeper, Message, Progress};

/// Memory that a frame takes beside its bytes.
const FRAME_COST: usize = 1 << 10;

/// How to fly.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    /// Bytes of compressed frames that are kept.
    pub bytes: usize,
    /// ns before what happened that are wanted; `None`: all there is.
    pub before: Option<u64>,
    /// The name that files are numbered after.
    pub base: PathBuf,
    /// So many files stay, the oldest goes. 0: all.
    pub count: u64,
    pub level: i32,
}

/// A snapshot, and what happened until the next one.
struct Stretch {
    /// ns since the epoch.
    at: u64,
    snapshot: Arc<LooseFrame>,
    frames: VecDeque<Arc<LooseFrame>>,
    bytes: usize,
}

fn cost(frame: &LooseFrame) -> usize {
    frame.packed_len() + FRAME_COST
}

/// Keeps frames in memory.
pub(crate) struct Memory {
    flight: Flight,
    packer: FramePacker,
    stretches: VecDeque<Stretch>,
    bytes: usize,
    /// Losses that no frame has been told.
    losses: Ledger,
    /// Events since the last file ended.
    since: u64,
    dump: Option<Writing>,
    /// Files that are being finished.
    ending: Vec<JoinHandle<()>>,
    /// Files of this run, oldest first.
    past: VecDeque<PathBuf>,
    number: u64,
}

impl Memory {
    pub(crate) fn new(flight: Flight) -> io::Result<Self> {
        let packer = FramePacker::new(flight.level)?;
        Ok(Self {
            flight,
            packer,
            stretches: VecDeque::new(),
            bytes: 0,
            losses: Ledger::default(),
            since: 0,
            dump: None,
            ending: Vec::new(),
            past: VecDeque::new(),
            number: 0,
        })
    }

    fn begin(&mut self, beginning: &Beginning) -> io::Result<()> {
        let packed = self.packer.pack(&beginning.blocks, &Ledger::default(), None::<[&[u8]; 0]>)?;
        let Some(snapshot) = packed.map(Arc::new) else { return Ok(()) };
        let bytes = cost(&snapshot);
        self.bytes += bytes;
        self.stretches.push_back(Stretch { at: beginning.at, snapshot, frames: VecDeque::new(), bytes });
        self.forget(beginning.at);
        Ok(())
    }

    fn blocks(&mut self, blocks: &[u8], events: u64, progress: &Progress) -> io::Result<()> {
        self.since += events;
        let losses = std::mem::take(&mut self.losses);
        let Some(frame) = self.packer.pack(blocks, &losses, None::<[&[u8]; 0]>)?.map(Arc::new) else { return Ok(()) };
        progress.packed(blocks.len() as u64, frame.packed_len() as u64);
        if let Some(dump) = &mut self.dump {
            dump.frame(&frame, self.flight.bytes);
        }
        let latest = frame.latest();
        if let Some(stretch) = self.stretches.back_mut() {
            stretch.bytes += cost(&frame);
            self.bytes += cost(&frame);
            stretch.frames.push_back(frame);
        }
        self.forget(latest);
        progress.held.store(self.bytes as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Lets go of what finds no room, and of what nobody will ask for at `now`.
    fn forget(&mut self, now: u64) {
        let old = |stretches: &VecDeque<Stretch>, before: Option<u64>| {
            before.is_some_and(|before| stretches[1].at <= now.saturating_sub(before))
        };
        while self.stretches.len() > 1 && (self.bytes > self.flight.bytes || old(&self.stretches, self.flight.before)) {
            if let Some(stretch) = self.stretches.pop_front() {
                self.bytes -= stretch.bytes;
            }
        }
        // A new snapshot should have come long ago. What goes now is missing between the snapshot and the rest.
        while self.bytes > self.flight.bytes
            && let Some(stretch) = self.stretches.front_mut()
            && let Some(frame) = stretch.frames.pop_front()
        {
            stretch.bytes -= cost(&frame);
            self.bytes -= cost(&frame);
            self.losses.merge(frame.losses());
            self.losses.add(Counter::UnwrittenEvents, frame.events());
        }
    }

    fn dump(&mut self, dump: &Dump, progress: &Arc<Progress>) -> io::Result<()> {
        if let Some(under_way) = &mut self.dump {
            under_way.reason(&dump.reason);
            return Ok(());
        }
        let from = self.flight.before.map_or(0, |before| dump.at.saturating_sub(before));
        let first = self.stretches.iter().rposition(|stretch| stretch.at <= from).unwrap_or(0);
        let mut writing = Writing::start(self.file()?, self.flight.level, Arc::clone(progress))?;
        writing.reason(&dump.reason);
        for (n, stretch) in self.stretches.iter().skip(first).enumerate() {
            if n == 0 {
                writing.frame(&stretch.snapshot, usize::MAX);
            }
            stretch.frames.iter().for_each(|frame| writing.frame(frame, usize::MAX));
        }
        self.dump = Some(writing);
        Ok(())
    }

    /// The next name that nobody uses.
    fn file(&mut self) -> io::Result<(PathBuf, std::fs::File)> {
        loop {
            self.number += 1;
            let path = numbered(&self.flight.base, self.number);
            match create(&path, true) {
                Ok(file) => {
                    self.past.push_back(path.clone());
                    if self.flight.count > 0 && self.past.len() as u64 > self.flight.count {
                        // Somebody else may have taken it away.
                        let _ = self.past.pop_front().map(std::fs::remove_file);
                    }
                    return Ok((path, file));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
            }
        }
    }

    fn end_dump(&mut self) {
        if let Some(dump) = self.dump.take() {
            self.since = 0;
            self.ending.retain(|thread| !thread.is_finished());
            self.ending.push(dump.end());
        }
    }
}

/// `incident-002.scap.zst` for the second file of `incident.scap.zst`, as `casebook split` numbers its parts.
fn numbered(base: &Path, number: u64) -> PathBuf {
    const ENDINGS: [&str; 3] = [".scap.zst", ".scap", ".zst"];
    let name = base.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let ending = ENDINGS.into_iter().find(|ending| name.len() > ending.len() && name.ends_with(ending)).unwrap_or("");
    base.with_file_name(format!("{}-{number:03}{ending}", &name[..name.len() - ending.len()]))
}

impl Keeper for Memory {
    fn take(&mut self, message: Message, progress: &Arc<Progress>) -> io::Result<()> {
        match message {
            Message::Blocks(blocks, events) => self.blocks(&blocks, events, progress),
            Message::Losses(losses) => {
                self.losses.merge(&losses);
                Ok(())
            }
            Message::Cut => Ok(()),
            Message::Begin(beginning) => self.begin(&beginning),
            Message::Dump(dump) => self.dump(&dump, progress),
            Message::DumpEnd => {
                self.end_dump();
                Ok(())
            }
        }
    }

    fn finish(mut self: Box<Self>, progress: &Arc<Progress>) -> io::Result<()> {
        let mut result = Ok(());
        if self.dump.is_none() && (self.since > 0 || self.number == 0) {
            let at = self.stretches.back().and_then(|stretch| Some(stretch.frames.back()?.latest().max(stretch.at)));
            let dump = Dump { at: at.unwrap_or(0), reason: "the recording ended".to_owned() };
            result = self.dump(&dump, progress);
        }
        self.end_dump();
        for thread in self.ending.drain(..) {
            if thread.join().is_err() {
                progress.refused("a thread that wrote a file panicked".to_owned());
            }
        }
        result
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failing test may panic

    use casebook_formats::capture::{CaptureReader, Item};
    use casebook_formats::seekable::verify;
    use casebook_formats::tables::ppme::PPME_PROCEXIT_1_E;
    use casebook_formats::write::CaptureWriter;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn flight(folder: &Path, bytes: usize, before: Option<u64>) -> Memory {
        let base = folder.join("x.scap.zst");
        Memory::new(Flight { bytes, before, base, count: 0, level: 1 }).unwrap()
    }

    fn beginning(at: u64) -> Message {
        let mut writer = CaptureWriter::new(Vec::new());
        writer.section().unwrap();
        Message::Begin(Beginning { blocks: std::mem::take(writer.get_mut()), at })
    }

    /// One event a second, each in a frame of its own; bytes that do not compress.
    fn event(second: u64) -> Message {
        let mut writer = CaptureWriter::new(Vec::new());
        writer.section().unwrap();
        writer.get_mut().clear();
        let noise: Vec<u8> = (0..8u64).map(|n| (second * 0x9e37_79b9 + n * 77) as u8).collect();
        writer.event(second * SECOND, 1, 0, PPME_PROCEXIT_1_E, &[&noise, &[], &[], &[], &[]]).unwrap();
        Message::Blocks(std::mem::take(writer.get_mut()), 1)
    }

    /// Seconds of the events of a file, which has to be whole.
    fn seconds(path: &Path) -> Vec<u64> {
        let report = verify::verify(std::fs::File::open(path).unwrap()).unwrap();
        assert!(report.faults.is_empty() && report.seal.is_some(), "{:?}", report.faults);
        let mut reader = CaptureReader::open(path).unwrap();
        let mut found = Vec::new();
        while let Some(item) = reader.next_item().unwrap() {
            if let Item::Event(event) = item {
                found.push(event.ts / SECOND);
            }
        }
        assert_eq!(reader.ledger().findings().count(), 0);
        found
    }

    fn fly(memory: &mut Memory, seconds: std::ops::Range<u64>, progress: &Arc<Progress>) {
        for second in seconds {
            if second % 10 == 0 {
                memory.take(beginning(second * SECOND), progress).unwrap();
            }
            memory.take(event(second), progress).unwrap();
        }
    }

    fn dump(at: u64) -> Message {
        Message::Dump(Dump { at: at * SECOND, reason: format!("at {at}") })
    }

    #[test]
    fn files_begin_with_the_stretch_that_reaches_back_far_enough_and_overlapping_ones_extend() {
        let folder = tempfile::tempdir().unwrap();
        let progress = Arc::new(Progress::default());
        let mut memory = Box::new(flight(folder.path(), 1 << 20, Some(15 * SECOND)));
        fly(&mut memory, 0..47, &progress);
        memory.take(dump(46), &progress).unwrap();
        fly(&mut memory, 47..49, &progress);
        memory.take(dump(48), &progress).unwrap();
        fly(&mut memory, 49..52, &progress);
        memory.take(Message::DumpEnd, &progress).unwrap();
        fly(&mut memory, 52..80, &progress);
        memory.finish(&progress).unwrap();
        assert_eq!(seconds(&folder.path().join("x-001.scap.zst")), (30..52).collect::<Vec<_>>());
        assert_eq!(
            seconds(&folder.path().join("x-002.scap.zst")),
            (60..80).collect::<Vec<_>>(),
            "what came at the end"
        );
        let mut notes = progress.notes();
        // Each file is written by a thread of its own: whichever is done first tells first.
        notes.sort();
        assert!(notes[0].ends_with("at 46; at 48") && notes[1].ends_with("the recording ended"), "{notes:?}");
        assert!(progress.why().is_none());
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let progress = Arc::new(Progress::default());
        let limit = 40 * FRAME_COST;
        let mut memory = Box::new(flight(folder.path(), limit, None));
        for second in 0..200 {
            fly(&mut memory, second..second + 1, &progress);
            assert!(memory.bytes <= limit);
        }
        memory.finish(&progress).unwrap();
        let seconds = seconds(&folder.path().join("x-001.scap.zst"));
        assert!(seconds.len() >= 20 && seconds[0].is_multiple_of(10) && seconds.last() == Some(&199), "{seconds:?}");
    }

    /// Without a new snapshot the memory is bounded too, and what is missing is told.
    #[test]
    fn a_stretch_that_does_not_end_loses_its_oldest_frames_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let progress = Arc::new(Progress::default());
        let mut memory = Box::new(flight(folder.path(), 20 * FRAME_COST, None));
        fly(&mut memory, 1..2, &progress);
        memory.take(beginning(2 * SECOND), &progress).unwrap();
        for second in 2..100 {
            memory.take(event(second), &progress).unwrap();
        }
        memory.take(dump(100), &progress).unwrap();
        memory.finish(&progress).unwrap();
        let path = folder.path().join("x-001.scap.zst");
        let there = seconds(&path).len() as u64;
        let report = verify::verify(std::fs::File::open(&path).unwrap()).unwrap();
        let losses = report.records.iter().flat_map(|record| &record.losses);
        let missing: u64 = losses.filter(|loss| loss.cause == "unwritten_events").map(|loss| loss.count).sum();
        assert!(there < 20 && missing > 70 && there + missing <= 98, "{there} there, {missing} missing");
    }

    #[test]
    fn files_of_others_are_left_alone_and_no_more_are_kept_than_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let progress = Arc::new(Progress::default());
        std::fs::write(folder.path().join("x-001.scap.zst"), "somebody's").unwrap();
        let mut memory = Box::new(flight(folder.path(), 1 << 20, None));
        memory.flight.count = 2;
        fly(&mut memory, 0..3, &progress);
        for at in 3..6 {
            memory.take(dump(at), &progress).unwrap();
            fly(&mut memory, at..at + 1, &progress);
            memory.take(Message::DumpEnd, &progress).unwrap();
        }
        memory.finish(&progress).unwrap();
        let mut names: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["x-001.scap.zst", "x-003.scap.zst", "x-004.scap.zst"]);
    }
}
