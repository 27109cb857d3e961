//! One file of the flight recorder while it is written, by a thread of its own: a slow disk holds up neither the ring nor
//! the memory. Which frames belong into it is for the memory to say ([`super::Memory`]).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use casebook_formats::ledger::{Counter, Ledger};
use casebook_formats::seekable::{LooseFrame, Options, SeekableWriter};

use crate::files::{Counted, Target, sealed};
use crate::sink::Progress;

/// Reasons that are told of one file.
const REASONS_MAX: usize = 32;

enum Piece {
    /// A frame, and the number of events that are missing before it.
    Frame(Arc<LooseFrame>, u64),
    Reason(String),
    /// So many events are missing at the end.
    Missing(u64),
}

/// A file that is being written.
pub(super) struct Writing {
    pieces: Sender<Piece>,
    /// Bytes that wait for the disk.
    waiting: Arc<AtomicU64>,
    /// Events that were not handed over because too much waited.
    missing: u64,
    reasons: usize,
    thread: JoinHandle<()>,
}

impl Writing {
    pub(super) fn start(
        (path, file): (PathBuf, std::fs::File),
        level: i32,
        progress: Arc<Progress>,
    ) -> io::Result<Self> {
        let writer = SeekableWriter::new(Counted::new(Target::File(file)), Options { level, ..Options::default() })?;
        let waiting = Arc::new(AtomicU64::new(0));
        let (pieces, queue) = channel();
        let shared = Arc::clone(&waiting);
        let job = move || write(writer, &queue, &path, &shared, &progress);
        let thread = std::thread::Builder::new().name("dump".to_owned()).spawn(job)?;
        Ok(Self { pieces, waiting, missing: 0, reasons: 0, thread })
    }

    /// Hands a frame over, unless more than `most` bytes wait already: frames that wait are held in memory.
    pub(super) fn frame(&mut self, frame: &Arc<LooseFrame>, most: usize) {
        let len = frame.packed_len() as u64;
        if self.waiting.load(Ordering::Acquire) + len > most as u64 {
            self.missing += frame.events();
            return;
        }
        self.waiting.fetch_add(len, Ordering::AcqRel);
        // The thread takes everything until it is told that there is no more.
        let _ = self.pieces.send(Piece::Frame(Arc::clone(frame), std::mem::take(&mut self.missing)));
    }

    pub(super) fn reason(&mut self, text: &str) {
        self.reasons += 1;
        if self.reasons <= REASONS_MAX {
            let _ = self.pieces.send(Piece::Reason(text.to_owned()));
        }
    }

    pub(super) fn end(self) -> JoinHandle<()> {
        if self.missing > 0 {
            let _ = self.pieces.send(Piece::Missing(self.missing));
        }
        self.thread
    }
}

/// The thread that writes one file.
fn write(
    writer: SeekableWriter<Counted>,
    queue: &Receiver<Piece>,
    path: &Path,
    waiting: &AtomicU64,
    progress: &Progress,
) {
    let fresh = Arc::clone(&writer.get_ref().fresh);
    let mut writer = Some(writer);
    let (mut events, mut unwritten, mut reasons) = (0, 0, Vec::new());
    let mut failed = None;
    while let Ok(piece) = queue.recv() {
        match piece {
            Piece::Reason(reason) => reasons.push(reason),
            Piece::Missing(events) => {
                unwritten += events;
                reasons.push(format!("the last {events} events were not written: the disk is too slow"));
            }
            Piece::Frame(frame, missing) => {
                let mut also = Ledger::default();
                also.add(Counter::UnwrittenEvents, missing);
                unwritten += missing;
                match writer.as_mut().map(|writer| writer.append(&frame, &also)) {
                    Some(Ok(())) => events += frame.events(),
                    Some(Err(error)) => {
                        failed = Some(error);
                        writer = None;
                        unwritten += frame.events();
                    }
                    None => unwritten += frame.events(),
                }
                waiting.fetch_sub(frame.packed_len() as u64, Ordering::AcqRel);
            }
        }
    }
    let why = reasons.join("; ");
    if let Some(writer) = writer
        && let Err(error) = sealed(writer, Some(why.clone()))
    {
        failed = Some(error);
    }
    let written = fresh.load(Ordering::Acquire);
    progress.written.fetch_add(written, Ordering::Relaxed);
    progress.unwritten.fetch_add(unwritten, Ordering::Relaxed);
    progress.files.fetch_add(1, Ordering::Relaxed);
    let shown = path.display();
    if let Some(error) = failed {
        let text = format!("{shown}: {error}");
        progress.note(format!("{text}; {events} events were written, {unwritten} were not"));
        progress.refused(text);
    } else {
        progress.note(format!("{shown}: {events} events, {written} bytes: {why}"));
    }
}
