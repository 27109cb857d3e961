//! Where the capture goes: a thread that compresses and keeps, so that a slow disk does not hold up the reading of the
//! ring.
//!
//! Between reader and writer stands a short queue. When it is full the session stops reading, the ring fills, and the
//! kernel side counts what it has to drop: the recorded machine never waits, nor does the session, which goes on to
//! hear the clock and the signals. What is kept where is the [`Keeper`]'s: one file or several ([`crate::files`]), or
//! memory until somebody wants it ([`crate::flight`]).

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use casebook_formats::ledger::Ledger;

/// Batches that wait for the writer.
const QUEUE: usize = 16;
/// Pause between two attempts after a failure from which a keeper can recover, ns.
const AGAIN: u64 = 5_000_000_000;

/// What stands before events so that they can be read alone: snapshot and containers, as blocks.
pub(crate) struct Beginning {
    pub blocks: Vec<u8>,
    /// Its moment, ns since the epoch: events until then come before it.
    pub at: u64,
}

/// Something worth keeping happened.
pub(crate) struct Dump {
    /// Its moment, ns since the epoch.
    pub at: u64,
    /// What it was.
    pub reason: String,
}

pub(crate) enum Message {
    /// Blocks of the capture, and the number of events in them.
    Blocks(Vec<u8>, u64),
    /// Losses since the last such message, told before the blocks of their time.
    Losses(Box<Ledger>),
    /// What was handed over is to be safe.
    Cut,
    /// From here on the capture begins anew.
    Begin(Beginning),
    /// Keep what was before, and what comes, until [`Message::DumpEnd`].
    Dump(Dump),
    /// Enough.
    DumpEnd,
}

/// Keeps what was recorded. Lives in the writing thread.
pub(crate) trait Keeper: Send {
    /// Takes one message. An error is told and ends nothing: later messages come nevertheless, so that what is lost can
    /// be counted.
    fn take(&mut self, message: Message, progress: &Arc<Progress>) -> io::Result<()>;
    /// Nothing more comes. Returns when everything is down.
    fn finish(self: Box<Self>, progress: &Arc<Progress>) -> io::Result<()>;
}

/// When a capture has to begin anew.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Turns {
    /// Compressed bytes since the last beginning.
    pub bytes: Option<u64>,
    /// ns since the last beginning.
    pub every: Option<u64>,
}

/// What the writer has come to, readable at any time.
#[derive(Default)]
pub(crate) struct Progress {
    /// Bytes written to files.
    pub written: AtomicU64,
    /// Events that could not be written.
    pub unwritten: AtomicU64,
    /// Compressed bytes since the last beginning, and what they were before.
    packed: AtomicU64,
    packed_raw: AtomicU64,
    /// Beginnings so far.
    beginnings: AtomicU64,
    /// Compressed bytes in memory.
    pub held: AtomicU64,
    /// Files that were begun.
    pub files: AtomicU64,
    /// Nothing can be kept any more.
    ended: AtomicBool,
    /// Nothing can be kept until a new beginning.
    pub stalled: AtomicBool,
    why: Mutex<Option<String>>,
    notes: Mutex<Vec<String>>,
}

impl Progress {
    /// A beginning is taken up: lengths count from here.
    fn begin(&self) {
        self.packed.store(0, Ordering::Release);
        self.packed_raw.store(0, Ordering::Release);
        self.beginnings.fetch_add(1, Ordering::AcqRel);
    }

    /// So many bytes became so many compressed ones.
    pub(crate) fn packed(&self, raw: u64, packed: u64) {
        self.packed.fetch_add(packed, Ordering::AcqRel);
        self.packed_raw.fetch_add(raw, Ordering::AcqRel);
    }

    /// The disk, or whoever reads the pipe, refused, and there is no going on.
    pub(crate) fn failed(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Why something could not be written; the first reason.
    pub(crate) fn why(&self) -> Option<String> {
        self.why.lock().ok().and_then(|why| why.clone())
    }

    /// Something could not be written.
    pub(crate) fn refused(&self, why: String) {
        if let Ok(mut first) = self.why.lock() {
            first.get_or_insert(why);
        }
    }

    /// Something could not be written, and nothing more will be.
    pub(crate) fn fail(&self, why: String) {
        self.refused(why);
        self.ended.store(true, Ordering::Release);
    }

    /// Something that people want to read while recording goes on.
    pub(crate) fn note(&self, text: String) {
        if let Ok(mut notes) = self.notes.lock() {
            notes.push(text);
        }
    }

    /// Notes since the last call.
    pub(crate) fn notes(&self) -> Vec<String> {
        self.notes.lock().map(|mut notes| std::mem::take(&mut *notes)).unwrap_or_default()
    }
}

/// The writer's end that the recorder holds.
pub(crate) struct Sink {
    queue: SyncSender<Message>,
    /// Messages that found the queue full, in order.
    waiting: VecDeque<Message>,
    writer: JoinHandle<()>,
    turns: Turns,
    /// Uncompressed bytes handed over since the last beginning, and its moment, ns since boot.
    handed: u64,
    began: u64,
    beginnings: u64,
    /// No beginning before this moment, ns since boot.
    postponed: u64,
    pub progress: Arc<Progress>,
}

impl Sink {
    /// Starts the writer.
    pub(crate) fn start(keeper: Box<dyn Keeper>, turns: Turns) -> io::Result<Self> {
        let progress = Arc::new(Progress::default());
        let (queue, messages) = sync_channel(QUEUE);
        let shared = Arc::clone(&progress);
        let writer =
            std::thread::Builder::new().name("writer".to_owned()).spawn(move || keep(keeper, &messages, &shared))?;
        Ok(Self {
            queue,
            waiting: VecDeque::new(),
            writer,
            turns,
            handed: 0,
            began: 0,
            beginnings: 0,
            postponed: 0,
            progress,
        })
    }

    /// Is it time to begin anew? `now`: ns since boot; `pending`: uncompressed bytes that are not handed over yet.
    pub(crate) fn wants_turn(&self, now: u64, pending: usize) -> bool {
        let age = now.saturating_sub(self.began);
        if now < self.postponed {
            return false;
        }
        if self.progress.stalled.load(Ordering::Acquire) {
            return age >= AGAIN;
        }
        let size = || {
            if self.progress.beginnings.load(Ordering::Acquire) != self.beginnings {
                // The writer is still at what was before.
                return 0;
            }
            let packed = self.progress.packed.load(Ordering::Acquire);
            let raw = self.progress.packed_raw.load(Ordering::Acquire);
            // What is under way will compress as what is there did.
            let waiting = (self.handed + pending as u64).saturating_sub(raw);
            packed + (u128::from(waiting) * u128::from(packed) / u128::from(raw.max(1))) as u64
        };
        self.turns.every.is_some_and(|every| age >= every) || self.turns.bytes.is_some_and(|bytes| size() >= bytes)
    }

    /// It could not begin anew now; `now`: ns since boot.
    pub(crate) fn postpone(&mut self, now: u64) {
        self.postponed = now + AGAIN;
    }

    /// Hands blocks over.
    pub(crate) fn blocks(&mut self, blocks: Vec<u8>, events: u64) {
        self.handed += blocks.len() as u64;
        self.send(Message::Blocks(blocks, events));
    }

    /// Begins anew; `now`: ns since boot.
    pub(crate) fn begin(&mut self, beginning: Beginning, now: u64) {
        self.handed = beginning.blocks.len() as u64;
        self.began = now;
        self.beginnings += 1;
        self.send(Message::Begin(beginning));
    }

    /// Hands anything over, in order; never waits.
    pub(crate) fn send(&mut self, message: Message) {
        self.waiting.push_back(message);
        self.pump();
    }

    /// Does the writer lag behind? Whoever can should wait.
    pub(crate) fn lags(&mut self) -> bool {
        self.pump();
        !self.waiting.is_empty()
    }

    fn pump(&mut self) {
        while let Some(message) = self.waiting.pop_front() {
            match self.queue.try_send(message) {
                Ok(()) => {}
                Err(TrySendError::Full(message)) => return self.waiting.push_front(message),
                Err(TrySendError::Disconnected(message)) => self.gone(&message),
            }
        }
    }

    /// The writer has ended by a mistake of its own.
    fn gone(&self, message: &Message) {
        if let Message::Blocks(_, events) = message {
            self.progress.unwritten.fetch_add(*events, Ordering::Relaxed);
        }
        self.progress.fail("the writing thread has ended".to_owned());
    }

    /// Waits until everything is down.
    pub(crate) fn finish(mut self) -> Arc<Progress> {
        for message in std::mem::take(&mut self.waiting) {
            if let Err(refused) = self.queue.send(message) {
                self.gone(&refused.0);
            }
        }
        drop(self.queue);
        if self.writer.join().is_err() {
            self.progress.fail("the writing thread panicked".to_owned());
        }
        self.progress
    }
}

fn keep(mut keeper: Box<dyn Keeper>, messages: &Receiver<Message>, progress: &Arc<Progress>) {
    crate::sys::drop_for_writing();
    while let Ok(message) = messages.recv() {
        if matches!(message, Message::Begin(_)) {
            progress.begin();
        }
        if let Err(error) = keeper.take(message, progress) {
            progress.refused(error.to_string());
        }
    }
    if let Err(error) = keeper.finish(progress) {
        progress.refused(error.to_string());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failing test may panic

    use super::*;

    /// Takes a message when it is told to.
    struct Slow(std::sync::mpsc::Receiver<()>, Arc<AtomicU64>);

    impl Keeper for Slow {
        fn take(&mut self, message: Message, _: &Arc<Progress>) -> io::Result<()> {
            let _ = self.0.recv();
            if let Message::Blocks(_, events) = message {
                self.1.fetch_add(events, Ordering::Relaxed);
            }
            Ok(())
        }

        fn finish(self: Box<Self>, _: &Arc<Progress>) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_keeper_that_stands_still_holds_up_nobody_and_gets_all_in_the_end() {
        let (go, going) = std::sync::mpsc::channel();
        let taken = Arc::new(AtomicU64::new(0));
        let mut sink = Sink::start(Box::new(Slow(going, Arc::clone(&taken))), Turns::default()).unwrap();
        for _ in 0..3 * QUEUE {
            sink.blocks(vec![0; 8], 1);
        }
        assert!(sink.lags());
        drop(go);
        let progress = sink.finish();
        assert_eq!(taken.load(Ordering::Relaxed), 3 * QUEUE as u64);
        assert!(progress.why().is_none());
    }

    #[test]
    fn what_is_under_way_counts_at_the_rate_of_what_is_there() {
        let (go, going) = std::sync::mpsc::channel();
        let turns = Turns { bytes: Some(1000), every: None };
        let mut sink = Sink::start(Box::new(Slow(going, Arc::default())), turns).unwrap();
        sink.begin(Beginning { blocks: vec![0; 100], at: 0 }, 0);
        assert!(!sink.wants_turn(1, 1 << 30), "it has not begun");
        go.send(()).unwrap();
        while sink.progress.beginnings.load(Ordering::Acquire) == 0 {
            std::thread::yield_now();
        }
        sink.progress.packed(100, 10);
        assert!(!sink.wants_turn(1, 9000), "910 bytes");
        sink.blocks(vec![0; 1000], 1);
        assert!(sink.wants_turn(1, 9000), "1010 bytes");
        sink.progress.stalled.store(true, Ordering::Release);
        assert!(!sink.wants_turn(1, 9000) && sink.wants_turn(AGAIN, 0));
        drop(go);
        sink.finish();
    }
}
