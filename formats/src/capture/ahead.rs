//! Reading on a thread of its own: for whoever has a processor to spare.
//!
//! The [`CaptureReader`] moves to the thread, with all that it does (reading, unpacking, framing, conversion, counting), and
//! hands over [`Batch`]es, [`BATCHES`] at most, which come back to be filled again: no memory is asked for while it goes
//! on. [`ReadAhead`] gives the same items as the reader would, and at each of them the same ledger.
//!
//! Who stops reading lets it fall. The thread ends when it next has something to hand over; nobody waits for it, as it may
//! itself be waiting for a pipe that nobody writes to.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel, sync_channel};
use std::thread;

use super::batch::{Batch, Found, Pack, Then};
use super::{CaptureReader, FormatError, Item, Items, Take, Upstream};
use crate::event::Event;
use crate::ledger::Ledger;

/// Batches of one capture: one is filled, one is read, the others wait for either.
const BATCHES: usize = 8;
/// So many go back together: waking the other thread costs more than filling a batch.
const TOGETHER: usize = BATCHES / 2;
/// Bytes of the stream in one batch from which on it is waited for: so large are lists of a whole machine.
const LARGE: u64 = 1 << 20;

/// A capture that is read ahead.
pub struct ReadAhead {
    filled: Receiver<Batch>,
    done: Sender<Vec<Batch>>,
    batch: Batch,
    /// Batches that were read and have not been given back.
    read: Vec<Batch>,
    /// Events of the batch that have been lent.
    at: usize,
    /// So many can be lent before anything has to be looked after.
    until: usize,
    /// Changes of what was found that have been heard of.
    marks: usize,
    found: Found,
    /// The end, or an error, has been told.
    over: bool,
    name: String,
    gaps: Arc<[u64]>,
}

impl ReadAhead {
    /// Moves a reader to a thread of its own; gives it back where the system refuses one.
    ///
    /// # Errors
    ///
    /// The reader itself.
    pub fn new(reader: CaptureReader) -> Result<Self, Box<CaptureReader>> {
        let (to_thread, from_here) = sync_channel::<CaptureReader>(1);
        let (to_read, filled) = channel();
        let (done, to_fill) = channel();
        let work = move || {
            if let Ok(reader) = from_here.recv() {
                Filler::new(reader, to_read, to_fill).work();
            }
        };
        if thread::Builder::new().name("read".to_owned()).spawn(work).is_err() {
            return Err(Box::new(reader));
        }
        let (name, gaps, found) = (reader.name.clone(), Arc::clone(&reader.gaps), found_by(&reader));
        let batch = Batch::at(reader.bytes_read());
        to_thread.send(reader).map_err(|refused| Box::new(refused.0))?;
        Ok(Self { filled, done, batch, read: Vec::new(), at: 0, until: 0, marks: 0, found, over: false, name, gaps })
    }

    /// Goes on to the next batch. False: there is none.
    fn advance(&mut self) -> Result<bool, FormatError> {
        self.put_away();
        let next = self.filled.try_recv().or_else(|_| {
            // The thread may wait for these.
            self.give_back();
            self.filled.recv()
        });
        let Ok(next) = next else {
            // It ends after the end or an error, which we have seen; or in a panic.
            let source = io::Error::other("the thread that reads it has died");
            let died = FormatError::Io { name: self.name.clone(), offset: self.batch.bytes_read, source };
            return if std::mem::replace(&mut self.over, true) { Ok(false) } else { Err(died) };
        };
        self.batch = next;
        self.until = self.batch.until(0);
        Ok(true)
    }

    /// Is done with a batch.
    fn put_away(&mut self) {
        let empty = Batch::at(self.batch.bytes_read);
        self.read.push(std::mem::replace(&mut self.batch, empty));
        (self.at, self.until, self.marks) = (0, 0, 0);
        if self.read.len() >= TOGETHER {
            self.give_back();
        }
    }

    /// Gives batches back to be filled again.
    fn give_back(&mut self) {
        if !self.read.is_empty() {
            // The thread may have ended by now.
            let _ = self.done.send(std::mem::take(&mut self.read));
        }
    }
}

impl Items for ReadAhead {
    fn plain_event(&mut self) -> Option<Event<'_>> {
        let at = self.at;
        if at >= self.until {
            return None;
        }
        self.at = at + 1;
        self.batch.event(at)
    }

    #[inline]
    fn events_at_hand<T: Take>(&mut self, taker: &mut T) -> ControlFlow<T::Break> {
        let flow;
        (self.at, flow) = self.batch.lend(self.at, self.until, taker);
        flow
    }

    fn next_item(&mut self) -> Result<Option<Item<'_>>, FormatError> {
        while self.at >= self.until {
            if let Some(found) = self.batch.found(self.marks, self.at) {
                self.found = found;
                self.marks += 1;
                self.until = self.batch.until(self.marks);
                continue;
            }
            match self.batch.then.take() {
                Some(Then::Item(item)) => return Ok(Some(item)),
                Some(Then::End) => self.over = true,
                Some(Then::Error(error)) => {
                    self.over = true;
                    return Err(error);
                }
                None => {}
            }
            if self.over {
                return Ok(None);
            }
            if !self.advance()? {
                return Ok(None);
            }
        }
        Ok(self.plain_event().map(Item::Event))
    }

    fn ledger(&self) -> &Ledger {
        &self.found.ledger
    }

    fn upstream(&self) -> Upstream {
        self.found.upstream.clone()
    }

    fn gaps(&self) -> &Arc<[u64]> {
        &self.gaps
    }

    fn bytes_read(&self) -> u64 {
        self.batch.bytes_read
    }
}

/// What a reader has found out so far.
fn found_by(reader: &CaptureReader) -> Found {
    Found { ledger: reader.ledger.clone(), upstream: reader.upstream() }
}

/// The side of the thread.
struct Filler {
    reader: CaptureReader,
    to_read: Sender<Batch>,
    to_fill: Receiver<Vec<Batch>>,
    /// Batches that came back and are not filled yet.
    empty: Vec<Batch>,
    /// Batches that have not come back; the reader begins with an empty one.
    away: usize,
    /// What has been told of, and how often the ledger had changed by then.
    found: Found,
    changes: u64,
}

impl Filler {
    fn new(reader: CaptureReader, to_read: Sender<Batch>, to_fill: Receiver<Vec<Batch>>) -> Self {
        let (found, changes) = (found_by(&reader), reader.ledger.changes());
        Self { reader, to_read, to_fill, empty: Vec::new(), away: 1, found, changes }
    }

    /// Hands over batches until the capture ends or nobody reads any more.
    fn work(mut self) {
        while let Some(mut batch) = self.empty() {
            let start = self.reader.stream_bytes();
            self.fill(&mut batch);
            batch.bytes_read = self.reader.bytes_read();
            let is_last = matches!(batch.then, Some(Then::End | Then::Error(_)));
            if self.to_read.send(batch).is_err() || is_last {
                return;
            }
            self.away += 1;
            // What takes much memory is not there several times.
            let is_large = self.reader.stream_bytes().saturating_sub(start) > LARGE;
            if is_large && !self.wait_for_all() {
                return;
            }
        }
    }

    /// A batch to be filled; `None` when nobody reads any more.
    fn empty(&mut self) -> Option<Batch> {
        while self.empty.is_empty() {
            match self.to_fill.try_recv() {
                Ok(batches) => self.take_back(batches),
                Err(TryRecvError::Empty) if self.away < BATCHES => return Some(Batch::default()),
                Err(TryRecvError::Empty) => {
                    let batches = self.to_fill.recv().ok()?;
                    self.take_back(batches);
                }
                Err(TryRecvError::Disconnected) => return None,
            }
        }
        let mut batch = self.empty.pop()?;
        batch.clear();
        Some(batch)
    }

    fn take_back(&mut self, batches: Vec<Batch>) {
        self.away = self.away.saturating_sub(batches.len());
        self.empty = batches;
    }

    /// Waits until all that was handed over is done with, and lets go of it. False: nobody reads any more.
    fn wait_for_all(&mut self) -> bool {
        while self.away > 0 {
            let Ok(batches) = self.to_fill.recv() else { return false };
            self.take_back(batches);
        }
        self.empty.clear();
        true
    }

    /// Fills a batch: until it is full, another item comes, or the input has to be waited for.
    fn fill(&mut self, batch: &mut Batch) {
        loop {
            // Nothing is counted about these.
            if self.reader.plain_events(&mut Pack(batch)).is_break() {
                return;
            }
            let at = batch.len();
            if at > 0 && !self.reader.blocks.is_at_hand() {
                return;
            }
            batch.then = match self.reader.next_item() {
                Ok(Some(item)) => item.apart(|event| batch.push(event)).map(Then::Item),
                Ok(None) => Some(Then::End),
                Err(error) => Some(Then::Error(error)),
            };
            if self.reader.upstream.is_some() || self.reader.ledger.changes() != self.changes {
                self.mark(batch, at);
            }
            if batch.then.is_some() || batch.is_full() {
                return;
            }
        }
    }

    /// Tells what was found on the way to the item before which `at` events are in the batch.
    fn mark(&mut self, batch: &mut Batch, at: usize) {
        let found = found_by(&self.reader);
        self.changes = found.ledger.changes();
        if found != self.found {
            batch.mark(at, found.clone());
            self.found = found;
        }
    }
}
