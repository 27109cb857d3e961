//! Reading on a thread of its own: for whoever has a processor to spare.
//!
//! The [`CaptureReader`] moves to the thread, with all that it does (reading, unpacking, framing, conversion, counting), and
//! hands over [`Batch`]es, [`BATCHES`] at most, which come back to be filled again: no memory is asked for while it goes
//! on. [`ReadAhead`] gives the same items as the reader would, and at each of them the same ledger.
//!
//! Several can read along ([`ReadAhead::shared`]), each all of it and at its own pace: they look at the same batches, and the
//! slowest of them holds the thread. Such a capture comes in numbered **turns** of some thousand events, and between two
//! of them each reader says that there is nothing more until it is told to go on: what the readers do by turns is their
//! own business.
//!
//! Who stops reading lets it fall. The thread ends when it next has something to hand over; nobody waits for it, as it may
//! itself be waiting for a pipe that nobody writes to. Those who read along and wait as well are told by
//! [`ReadAhead::end_all`].

use std::io;
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel, sync_channel};
use std::sync::{Arc, Weak};
use std::thread;

use super::batch::{Batch, Found, MAX_EVENTS, Pack, Then};
use super::{CaptureReader, FormatError, Item, Items, Take, Upstream};
use crate::event::Event;
use crate::ledger::Ledger;

/// Batches of one capture: one is filled, one is read, the others wait for either.
const BATCHES: usize = 8;
/// So many go back together: waking the other thread costs more than filling a batch.
const TOGETHER: usize = BATCHES / 2;
/// Bytes of the stream in one batch from which on it is waited for: so large are lists of a whole machine.
const LARGE: u64 = 1 << 20;

/// More batches than that are not made, however long the turns of several who read along.
const MAX_BETWEEN: usize = 64;

/// A batch on loan. When nobody looks at it any more it goes back: with others ([`ReadAhead::give_back`]), or else by itself.
struct Lent {
    batch: Batch,
    /// None once it has been taken back.
    home: Option<Sender<Vec<Batch>>>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            // The thread may have ended by now.
            let _ = home.send(vec![std::mem::take(&mut self.batch)]);
        }
    }
}

/// What comes to a reader: a batch, or word that nobody wants any more of them.
type Message = Option<Arc<Lent>>;

/// A capture that is read ahead.
pub struct ReadAhead {
    filled: Receiver<Message>,
    /// Those of all who read along; the thread's.
    all: Weak<[Sender<Message>]>,
    /// None before the first one.
    batch: Option<Arc<Lent>>,
    /// Batches that were read and have not been given back.
    read: Vec<Arc<Lent>>,
    /// Events of the batch that have been lent.
    at: usize,
    /// So many can be lent before anything has to be looked after.
    until: usize,
    /// Changes of what was found that have been heard of.
    marks: usize,
    /// What comes after the events of the batch has been given.
    then_given: bool,
    found: Found,
    /// The end, or an error, has been told.
    over: bool,
    /// A turn is over, and nobody has said yet that the next one is to begin.
    between_turns: bool,
    turn: usize,
    /// Bytes of the (compressed) input consumed by the end of the batch.
    bytes_read: u64,
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
        // One turn without end.
        Self::shared(reader, 0, usize::MAX).map(|(this, _)| this)
    }

    /// The same for one who reads and so many others who read along, in turns of `turn` events, or few more.
    ///
    /// # Errors
    ///
    /// The reader itself.
    pub fn shared(reader: CaptureReader, others: usize, turn: usize) -> Result<(Self, Vec<Self>), Box<CaptureReader>> {
        let (to_thread, from_here) = sync_channel::<Filler>(1);
        let work = move || {
            if let Ok(filler) = from_here.recv() {
                filler.work();
            }
        };
        if thread::Builder::new().name("read".to_owned()).spawn(work).is_err() {
            return Err(Box::new(reader));
        }
        let (to_first, first) = channel();
        let (mut senders, receivers): (Vec<_>, Vec<_>) = (0..others).map(|_| channel()).unzip();
        senders.push(to_first);
        let all = senders.into();
        let first = Self::of(&reader, &all, first);
        let others = receivers.into_iter().map(|filled| Self::of(&reader, &all, filled)).collect();
        let filler = Filler::new(reader, all, turn.max(1));
        to_thread.send(filler).map_err(|refused| Box::new(refused.0.reader))?;
        Ok((first, others))
    }

    fn of(reader: &CaptureReader, all: &Arc<[Sender<Message>]>, filled: Receiver<Message>) -> Self {
        Self {
            filled,
            all: Arc::downgrade(all),
            batch: None,
            read: Vec::new(),
            at: 0,
            until: 0,
            marks: 0,
            then_given: false,
            found: found_by(reader),
            over: false,
            between_turns: false,
            turn: 0,
            bytes_read: reader.bytes_read(),
            name: reader.name.clone(),
            gaps: Arc::clone(&reader.gaps),
        }
    }

    /// The turn that is being read, or that comes next; the first is 0.
    pub fn turn(&self) -> usize {
        self.turn
    }

    /// Whether a turn is over, and nothing is given before [`ReadAhead::begin_turn`].
    pub fn is_between_turns(&self) -> bool {
        self.between_turns
    }

    /// Begins the next turn.
    pub fn begin_turn(&mut self) {
        if std::mem::replace(&mut self.between_turns, false) {
            self.turn += 1;
        }
    }

    /// All who read along come to an end after what was handed over to them by now, however long the input has to be waited
    /// for.
    pub fn end_all(&self) {
        for sender in self.all.upgrade().iter().flat_map(|all| all.iter()) {
            // Some may have stopped by themselves.
            let _ = sender.send(None);
        }
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
            let died = FormatError::Io { name: self.name.clone(), offset: self.bytes_read, source };
            return if std::mem::replace(&mut self.over, true) { Ok(false) } else { Err(died) };
        };
        let Some(lent) = next else {
            self.over = true;
            return Ok(false);
        };
        (self.bytes_read, self.until) = (lent.batch.bytes_read, lent.batch.until(0));
        self.batch = Some(lent);
        Ok(true)
    }

    /// Is done with a batch.
    fn put_away(&mut self) {
        self.read.extend(self.batch.take());
        (self.at, self.until, self.marks, self.then_given) = (0, 0, 0, false);
        if self.read.len() >= TOGETHER {
            self.give_back();
        }
    }

    /// Gives batches back that nobody else looks at: all in one message, which wakes the thread once.
    fn give_back(&mut self) {
        let mut home = None;
        let last = self.read.drain(..).filter_map(Arc::into_inner).map(|mut lent| {
            home = lent.home.take().or(home.take());
            std::mem::take(&mut lent.batch)
        });
        let batches: Vec<Batch> = last.collect();
        if let Some(home) = home {
            // The thread may have ended by now.
            let _ = home.send(batches);
        }
    }

    /// What comes after the events of the batch, once.
    fn then(&mut self) -> Option<Then> {
        if std::mem::replace(&mut self.then_given, true) {
            return None;
        }
        let lent = self.batch.as_mut()?;
        // The last one who looks at it needs no copy of a list of a whole machine.
        if let Some(lent) = Arc::get_mut(lent) {
            return lent.batch.then.take();
        }
        lent.batch.then()
    }
}

impl Items for ReadAhead {
    fn plain_event(&mut self) -> Option<Event<'_>> {
        let at = self.at;
        if at >= self.until {
            return None;
        }
        self.at = at + 1;
        self.batch.as_ref()?.batch.event(at)
    }

    #[inline]
    fn events_at_hand<T: Take>(&mut self, taker: &mut T) -> ControlFlow<T::Break> {
        let Some(lent) = &self.batch else { return ControlFlow::Continue(()) };
        let flow;
        (self.at, flow) = lent.batch.lend(self.at, self.until, taker);
        flow
    }

    fn next_item(&mut self) -> Result<Option<Item<'_>>, FormatError> {
        while self.at >= self.until {
            let batch = self.batch.as_ref().map(|lent| &lent.batch);
            if let Some((batch, found)) = batch.and_then(|batch| Some((batch, batch.found(self.marks, self.at)?))) {
                self.found = found;
                self.marks += 1;
                self.until = batch.until(self.marks);
                continue;
            }
            let ends_turn = batch.is_some_and(|batch| batch.ends_turn);
            match self.then() {
                Some(Then::Item(item)) => return Ok(Some(item)),
                Some(Then::End) => self.over = true,
                Some(Then::Error(error)) => {
                    self.over = true;
                    return Err(error);
                }
                None => {}
            }
            if self.over || self.between_turns {
                return Ok(None);
            }
            if ends_turn {
                self.put_away();
                self.between_turns = true;
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
        self.bytes_read
    }
}

/// What a reader has found out so far.
fn found_by(reader: &CaptureReader) -> Found {
    Found { ledger: reader.ledger.clone(), upstream: reader.upstream() }
}

/// The side of the thread.
struct Filler {
    reader: CaptureReader,
    to_read: Arc<[Sender<Message>]>,
    /// Where batches come back to.
    home: Sender<Vec<Batch>>,
    to_fill: Receiver<Vec<Batch>>,
    /// Batches that came back and are not filled yet.
    empty: Vec<Batch>,
    /// Batches that have not come back, and how many that may be.
    away: usize,
    batches: usize,
    /// Events of a turn, and of a batch; how many the turn has that is being filled.
    turn_events: usize,
    most: usize,
    in_turn: usize,
    /// What has been told of, and how often the ledger had changed by then.
    found: Found,
    changes: u64,
}

impl Filler {
    fn new(reader: CaptureReader, to_read: Arc<[Sender<Message>]>, turn_events: usize) -> Self {
        let (found, changes) = (found_by(&reader), reader.ledger.changes());
        let (home, to_fill) = channel();
        let most = turn_events.min(MAX_EVENTS);
        // A turn of each is between the first and the last of several.
        let between = if to_read.len() > 1 { to_read.len() * turn_events.div_ceil(MAX_EVENTS) } else { 0 };
        let batches = BATCHES + between.min(MAX_BETWEEN);
        Self {
            reader,
            to_read,
            home,
            to_fill,
            empty: Vec::new(),
            away: 0,
            batches,
            turn_events,
            most,
            in_turn: 0,
            found,
            changes,
        }
    }

    /// Hands over batches until the capture ends or nobody reads any more.
    fn work(mut self) {
        while let Some(mut batch) = self.empty() {
            let start = self.reader.stream_bytes();
            self.fill(&mut batch);
            batch.bytes_read = self.reader.bytes_read();
            self.count(&mut batch);
            let is_last = matches!(batch.then, Some(Then::End | Then::Error(_)));
            if !self.hand_over(batch) || is_last {
                return;
            }
            // What takes much memory is not there several times.
            let is_large = self.reader.stream_bytes().saturating_sub(start) > LARGE;
            if is_large {
                self.wait_for_all();
            }
        }
    }

    /// Hands a batch over to everybody. False: nobody reads any more.
    fn hand_over(&mut self, batch: Batch) -> bool {
        self.away += 1;
        let lent = Arc::new(Lent { batch, home: Some(self.home.clone()) });
        let sent = |sender: &Sender<Message>| sender.send(Some(Arc::clone(&lent))).is_ok();
        // To all of them, also behind one who stopped.
        self.to_read.iter().filter(|sender| sent(sender)).count() > 0
    }

    /// Counts the events of a turn.
    fn count(&mut self, batch: &mut Batch) {
        self.in_turn += batch.len();
        batch.ends_turn = self.in_turn >= self.turn_events;
        if batch.ends_turn {
            self.in_turn = 0;
        }
    }

    /// A batch to be filled. Those that are away come back, also when nobody reads any more.
    fn empty(&mut self) -> Option<Batch> {
        while self.empty.is_empty() {
            match self.to_fill.try_recv() {
                Ok(batches) => self.take_back(batches),
                Err(TryRecvError::Empty) if self.away < self.batches => return Some(Batch::default()),
                Err(_) => {
                    let batches = self.to_fill.recv().ok()?;
                    self.take_back(batches);
                }
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

    /// Waits until all that was handed over is done with, and lets go of it.
    fn wait_for_all(&mut self) {
        while self.away > 0 {
            let Ok(batches) = self.to_fill.recv() else { break };
            self.take_back(batches);
        }
        self.empty.clear();
    }

    /// Fills a batch: until it is full, another item comes, or the input has to be waited for.
    fn fill(&mut self, batch: &mut Batch) {
        loop {
            // Nothing is counted about these.
            if self.reader.plain_events(&mut Pack(batch, self.most)).is_break() {
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
            if batch.then.is_some() || batch.is_full(self.most) {
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
