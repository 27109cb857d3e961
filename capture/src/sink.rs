//! Where the capture goes: a thread that compresses and writes, so that a slow disk does not hold up the reading of
//! the ring.
//!
//! Between reader and writer stands a short queue. When it is full the reader waits, the ring fills, and the kernel
//! side counts what it has to drop: the recorded machine never waits. When the disk refuses, what is written stays,
//! cut at the last whole frame, and everything after it is counted as lost.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use casebook_formats::ledger::Ledger;
use casebook_formats::record::MAGIC;
use casebook_formats::seekable::{Options, SeekableWriter};

/// Batches that wait for the writer.
const QUEUE: usize = 16;

/// Where to write.
pub(crate) enum Target {
    /// A file, new or emptied.
    File(File),
    /// A pipe: nothing in it can be taken back.
    Pipe(File),
}

enum Message {
    /// Blocks of the capture, and the number of events in them.
    Blocks(Vec<u8>, u64),
    /// Losses of the interval.
    Losses(Box<Ledger>),
    /// End the frame: it is to be on disk.
    Cut,
}

/// What the writer has come to, readable at any time.
#[derive(Default)]
pub(crate) struct Progress {
    /// Bytes written.
    pub written: AtomicU64,
    /// Events that could not be written.
    pub unwritten: AtomicU64,
    failed: AtomicBool,
    why: Mutex<Option<String>>,
}

impl Progress {
    /// The disk, or whoever reads the pipe, refused.
    pub(crate) fn failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Why.
    pub(crate) fn why(&self) -> Option<String> {
        self.why.lock().ok().and_then(|why| why.clone())
    }

    fn fail(&self, error: &io::Error) {
        if let Ok(mut why) = self.why.lock() {
            why.get_or_insert_with(|| error.to_string());
        }
        self.failed.store(true, Ordering::Release);
    }
}

/// The writer's end that the recorder holds.
pub(crate) struct Sink {
    queue: SyncSender<Message>,
    writer: JoinHandle<()>,
    pub progress: Arc<Progress>,
}

impl Sink {
    /// Starts the writer.
    pub(crate) fn start(target: Target, level: i32) -> io::Result<Self> {
        let progress = Arc::new(Progress::default());
        let out = Counted { target, good: 0, progress: Arc::clone(&progress) };
        let writer = SeekableWriter::new(out, Options { level, ..Options::default() })?;
        let (queue, messages) = sync_channel(QUEUE);
        let shared = Arc::clone(&progress);
        let thread = std::thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || write_all(writer, &messages, &shared))?;
        Ok(Self { queue, writer: thread, progress })
    }

    /// Hands blocks over; waits while the queue is full.
    pub(crate) fn blocks(&self, blocks: Vec<u8>, events: u64) {
        self.send(Message::Blocks(blocks, events), events);
    }

    /// Something was lost since the last call.
    pub(crate) fn losses(&self, losses: Ledger) {
        self.send(Message::Losses(Box::new(losses)), 0);
    }

    /// Ends the frame under way.
    pub(crate) fn cut(&self) {
        self.send(Message::Cut, 0);
    }

    fn send(&self, message: Message, events: u64) {
        if self.queue.send(message).is_err() {
            self.progress.unwritten.fetch_add(events, Ordering::Relaxed);
        }
    }

    /// Writes index and seal, and waits until everything is down.
    pub(crate) fn finish(self) -> Arc<Progress> {
        drop(self.queue);
        if self.writer.join().is_err() {
            self.progress.fail(&io::Error::other("the writing thread panicked"));
        }
        self.progress
    }
}

fn write_all(mut writer: SeekableWriter<Counted>, messages: &std::sync::mpsc::Receiver<Message>, progress: &Progress) {
    // Events handed over since the last frame that is known to be whole.
    let mut open = 0;
    while let Ok(message) = messages.recv() {
        let result = match message {
            Message::Blocks(blocks, events) => {
                open += events;
                if progress.failed() { Ok(()) } else { writer.write_all(&blocks) }
            }
            Message::Losses(losses) => {
                for &counter in casebook_formats::ledger::ALL {
                    if losses.get(counter) > 0 {
                        writer.lost(counter, losses.get(counter));
                    }
                }
                Ok(())
            }
            Message::Cut if progress.failed() => Ok(()),
            Message::Cut => writer.cut().inspect(|()| open = 0),
        };
        if let Err(error) = result {
            progress.fail(&error);
        }
    }
    if !progress.failed() {
        match writer.finish() {
            Ok(_) => return,
            Err(error) => progress.fail(&error),
        }
    }
    progress.unwritten.fetch_add(open, Ordering::Relaxed);
}

/// Counts bytes, and remembers where the last frame record ended.
struct Counted {
    target: Target,
    /// Length of the file up to which everything is whole.
    good: u64,
    progress: Arc<Progress>,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = match &mut self.target {
            Target::File(file) | Target::Pipe(file) => file.write_all(bytes),
        };
        if let Err(error) = result {
            if let Target::File(file) = &mut self.target {
                // Without the rest of a frame the file is cut, not damaged. Were this to fail too, `verify` would say so.
                let _ = file.set_len(self.good).and_then(|()| file.seek(SeekFrom::End(0)));
            }
            return Err(error);
        }
        let written = self.progress.written.fetch_add(bytes.len() as u64, Ordering::Relaxed) + bytes.len() as u64;
        if bytes.starts_with(&MAGIC.to_le_bytes()) {
            self.good = written;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.target {
            Target::File(file) | Target::Pipe(file) => file.flush(),
        }
    }
}
