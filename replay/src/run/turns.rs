//! Rules by turns: where workers are left over for one capture that is read from its start.
//!
//! Rules look at the state as it is after each event, so they cannot be taken away from it. But the state is the cheaper
//! half: each of several workers keeps **all of it**, on its own thread and for itself, from the same decoded batches
//! ([`ReadAhead::shared`]), and asks the rules only when it is its turn: some thousand events long. What a worker has put
//! out and counted in one turn goes to its place among the others ([`Turns`], [`Joint`]).
//!
//! What comes out is that of one worker:
//!
//! - Lines stand in the order of the turns. What the rules counted (alerts, guesses, evaluations given up) is summed up over
//!   the turns. What the reader and the state counted is that of **one** worker: of the one in whose turn the replay ended.
//! - The replay ends in the first turn in which somebody wants it to end (no output any more, the window is over), or in
//!   which it ends by itself (the capture, its span, an error of reading): every worker comes to that place, the one whose
//!   turn it is speaks of it. What others have made of later turns by then is dropped.
//! - Memory is bounded: the slowest worker holds the reader, and through it the others; lines that wait for their place
//!   are counted with those of all captures.
//!
//! It is not for those whose result depends on the order of what they see beyond the turn ([`Look::takes_turns`]): metrics
//! say of losses when they were heard of. Nor for parts from checkpoint to checkpoint, which cost less; nor for several
//! inputs in the order of time.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use casebook_formats::capture::{CaptureReader, FormatError, Items as _, ReadAhead};
use casebook_formats::event::EventType;
use casebook_formats::tables::ppme;

use super::{Desk, Done, Look, STACK, Task, Told};
use crate::context::EventContext;
use crate::engine::{End, Replay, Visitor};
use crate::output::{CaptureOutput, Turns};
use crate::parts::{Entered, is_worth_a_thread};
use crate::summary::CaptureReport;

/// How rules are asked by turns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ByTurns {
    /// So many workers for one capture at most; 1: nobody takes turns.
    pub workers: usize,
    /// Events of a turn.
    pub events: usize,
}

impl ByTurns {
    /// One worker does all.
    pub const NEVER: Self = Self { workers: 1, events: Self::EVENTS };
    /// Events of a turn, where nothing else is asked for: four batches. From 512 to 16,384 it makes no difference to processor
    /// time; a turn of each worker is between the first and the last of them, in memory.
    pub const EVENTS: usize = 2048;
    /// Workers beyond these add little but memory: each keeps the whole state, which is half of the work or more.
    pub const WORKERS: usize = 4;
}

/// A place among those who take turns.
struct Seat<'s, 'w> {
    reader: ReadAhead,
    number: usize,
    seats: usize,
    turns: Turns<'s, 'w>,
}

impl<L: Look> Task<'_, L> {
    /// How many workers take turns with this capture, this one included.
    pub(super) fn seats(&self, reader: &CaptureReader, look: &L) -> usize {
        if !self.divided.is_whole() || !look.takes_turns() || reader.is_made() || !is_worth_a_thread(reader) {
            return 1;
        }
        // One thread reads, and unpacks, unless that is another one's.
        let unpacking = usize::from(reader.packing() != "none");
        self.helpers.turns.workers.min(self.helpers.threads.saturating_sub(unpacking))
    }

    /// Replays the whole capture by turns. Gives everything back where the system refuses threads.
    pub(super) fn by_turns<'t>(
        &self,
        entered: Entered,
        look: L,
        seats: usize,
        output: &mut CaptureOutput<'_, '_>,
        mut told: Told<'t>,
        begin: &(impl Fn() -> (Replay, L) + Sync),
    ) -> Result<Done<L>, Box<(Entered, L, Told<'t>)>> {
        let all = Joint::new();
        let joint = &all;
        let refused = thread::scope(|scope| {
            let mut others = Vec::new();
            for number in 1..seats {
                let (to, from) = channel::<Seat<'_, '_>>();
                let work = move || {
                    if let Ok(seat) = from.recv() {
                        // A state stays on its thread.
                        let (replay, look) = begin();
                        self.work(seat, replay, look, None, joint);
                    }
                };
                let worker = thread::Builder::new().name(format!("turns-{number}")).stack_size(STACK);
                if worker.spawn_scoped(scope, work).is_ok() {
                    others.push(to);
                }
            }
            let Entered { reader, replay, .. } = entered;
            let seats = others.len() + 1;
            let readers = if seats > 1 {
                ReadAhead::shared(reader, others.len(), self.helpers.turns.events)
            } else {
                Err(Box::new(reader))
            };
            let (reader, readers) = match readers {
                Ok(readers) => readers,
                Err(reader) => return Some((reader, replay, look)),
            };
            let turns = output.by_turns();
            for (number, (to, reader)) in (1..).zip(others.iter().zip(readers)) {
                // It waits for this.
                let _ = to.send(Seat { reader, number, seats, turns });
            }
            self.work(Seat { reader, number: 0, seats, turns }, replay, look, Some(&mut told), joint);
            None
        });
        if let Some((reader, replay, look)) = refused {
            return Err(Box::new((Entered::at_start(*reader, replay), look, told)));
        }
        let (counts, Some(ending)) = all.close() else {
            // No worker comes here without one.
            let report = CaptureReport::unreadable(self.source.name(), "its replay came to no end".to_owned());
            return Ok(Done { look: None, report, handed_on: false, notes: Vec::new() });
        };
        output.end_turns(ending.turn);
        told.tell(ending.bytes_read, ending.report.events);
        let mut report = ending.report;
        report.add_counts(&counts);
        Ok(Done { look: None, report, handed_on: false, notes: ending.notes })
    }

    /// One worker, from the start of the capture to its end: the state all the time, the rules when it is its turn.
    fn work(
        &self,
        seat: Seat<'_, '_>,
        mut replay: Replay,
        mut look: L,
        mut told: Option<&mut Told<'_>>,
        joint: &Joint,
    ) {
        let Seat { mut reader, number, seats, turns } = seat;
        loop {
            let turn = reader.turn();
            let last = joint.last();
            let is_own = turn % seats == number;
            if turn > last || turn == last && !is_own {
                return;
            }
            if is_own {
                let mut output = turns.turn(turn);
                let report = CaptureReport::new(String::new());
                let mut desk = Desk { look: &mut look, output: &mut output, report, told: told.as_deref_mut() };
                let end = replay.run_with(&mut reader, &mut desk);
                let counts = desk.report;
                if !is_paused(&end, &reader) {
                    let mut report = CaptureReport::new(self.source.name());
                    let mut notes: Vec<String> = report.conclude(end, &replay, &reader).into_iter().collect();
                    notes.extend(reader.upstream().notes);
                    joint.end(Ending { turn, bytes_read: reader.bytes_read(), report, notes }, counts);
                    // Before this turn is done: behind it stands what comes next.
                    output.rest().drop();
                    reader.end_all();
                    return;
                }
                joint.put(turn, counts);
            } else {
                let end = replay.run_with(&mut reader, &mut Skimming { told: told.as_deref_mut() });
                if !is_paused(&end, &reader) {
                    return;
                }
            }
            reader.begin_turn();
        }
    }
}

/// Whether only the turn is over.
fn is_paused(end: &Result<End, FormatError>, reader: &ReadAhead) -> bool {
    matches!(end, Ok(End::Finished)) && reader.is_between_turns()
}

/// Keeps the state in the turns of others.
struct Skimming<'t, 'a> {
    told: Option<&'t mut Told<'a>>,
}

impl Visitor for Skimming<'_, '_> {
    #[inline]
    fn wants(&self, etype: EventType) -> bool {
        // The engine counts payloads that it cannot read, as it reads those that are shown.
        etype == ppme::PPME_PLUGINEVENT_E
    }

    #[inline]
    fn event(&mut self, _: &EventContext<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn progress(&mut self, bytes_read: u64, events: u64) {
        if let Some(told) = &mut self.told {
            told.tell(bytes_read, events);
        }
    }
}

/// How a replay ended, in which turn.
struct Ending {
    turn: usize,
    /// Bytes of the input consumed by then.
    bytes_read: u64,
    /// All but what the rules counted.
    report: CaptureReport,
    notes: Vec<String>,
}

/// What all workers of a capture know of each other.
struct Joint {
    /// Turns behind this one are of no use; as in [`Shared::last`].
    last: AtomicUsize,
    shared: Mutex<Shared>,
}

struct Shared {
    last: usize,
    /// What the rules counted in all turns before `next`.
    counts: CaptureReport,
    next: usize,
    /// The same of later turns that are done already. They are few: the slowest worker holds the others.
    waiting: BTreeMap<usize, CaptureReport>,
    ending: Option<Ending>,
}

impl Joint {
    fn new() -> Self {
        let (last, counts) = (usize::MAX, CaptureReport::new(String::new()));
        let shared = Shared { last, counts, next: 0, waiting: BTreeMap::new(), ending: None };
        Self { last: AtomicUsize::new(last), shared: Mutex::new(shared) }
    }

    fn last(&self) -> usize {
        self.last.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A turn is over, and this is what the rules counted.
    fn put(&self, turn: usize, counts: CaptureReport) {
        self.lock().put(turn, counts);
    }

    /// The replay ended. Of several ends the one that comes first is that of the replay.
    fn end(&self, ending: Ending, counts: CaptureReport) {
        let mut shared = self.lock();
        if ending.turn < shared.last {
            shared.last = ending.turn;
            self.last.store(ending.turn, Ordering::Relaxed);
            shared.put(ending.turn, counts);
            shared.ending = Some(ending);
        }
    }

    /// What was counted until the end, and the end.
    fn close(self) -> (CaptureReport, Option<Ending>) {
        let Shared { counts, ending, .. } = self.shared.into_inner().unwrap_or_else(PoisonError::into_inner);
        (counts, ending)
    }
}

impl Shared {
    fn put(&mut self, turn: usize, counts: CaptureReport) {
        self.waiting.insert(turn, counts);
        while self.next <= self.last
            && let Some(counts) = self.waiting.remove(&self.next)
        {
            self.counts.add_counts(&counts);
            self.next += 1;
        }
    }
}
