//! Verdicts: what the comparisons of rules say about the events of captures.
//!
//! Everything of the lab that looks into rules begins here. [`watch`] replays captures before the eyes of a [`Watcher`],
//! several at a time; a [`Tree`] is a rule's condition with the places where its parts were written; [`Bits`] and
//! [`Vectors`] keep verdicts: each combination once, with its count and an example, so that memory follows the number
//! of different combinations and not the length of a capture. What the verdicts mean is for others to say.

mod entries;
mod tree;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use casebook_formats::ledger::Ledger;
use casebook_rules::event::EventFields;
use casebook_rules::render;
use casebook_rules::schema::{FieldRef, Schema};
use smallvec::SmallVec;

use crate::context::EventContext;
use crate::engine::{Replay, Visitor};
use crate::fields::Catalogue;
use crate::run::Source;
use crate::summary::CaptureReport;

pub use entries::{Entries, Entry};
pub use tree::{Kind, Part, Place, Step, Tree};

/// Stack of a worker, as for [`crate::run`]: conditions nest.
const STACK: usize = 16 << 20;
/// Longest value that is kept for people, in bytes.
pub const MAX_VALUE: usize = 4096;

/// Who looks at the events of one capture.
pub trait Watcher: Send {
    /// One event, with the state after it. Breaking ends the capture.
    fn event(&mut self, context: &EventContext<'_>, ledger: &mut Ledger) -> ControlFlow<()>;
}

/// A capture that was replayed: how that went, and what the watcher knows now. A capture that cannot be read at all
/// has a watcher that saw nothing.
pub type Watched<W> = (CaptureReport, W);

/// Replays captures, `jobs` at a time, each with fresh state, before the eyes of what `begin` makes for it (it gets the
/// capture's position in the list). The results come in the order of the captures. `advance` hears of bytes read and
/// events replayed since it was last called.
pub fn watch<W: Watcher>(
    captures: &[Source],
    jobs: usize,
    advance: &(dyn Fn(u64, u64) + Sync),
    begin: impl Fn(usize) -> W + Sync,
) -> Vec<Watched<W>> {
    let watched =
        each(captures.len(), jobs, |index| captures.get(index).map(|source| one(source, advance, begin(index))));
    watched.into_iter().flatten().collect()
}

/// Does something for each number below `count`, `jobs` at a time. The results come in the order of the numbers.
pub(super) fn each<T: Send>(count: usize, jobs: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let done: Vec<Mutex<Option<T>>> = (0..count).map(|_| Mutex::new(None)).collect();
    let run = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(slot) = done.get(index) else { return };
            let result = work(index);
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        }
    };
    thread::scope(|scope| {
        let started = (0..jobs.clamp(1, count.max(1)))
            .filter(|n| {
                thread::Builder::new().name(format!("lab-{n}")).stack_size(STACK).spawn_scoped(scope, run).is_ok()
            })
            .count();
        if started == 0 {
            // The system gives us no thread: this one has to do.
            run();
        }
    });
    done.into_iter().filter_map(|slot| slot.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
}

/// Replays one capture before a watcher.
pub(super) fn one<W: Watcher>(source: &Source, advance: &(dyn Fn(u64, u64) + Sync), watcher: W) -> Watched<W> {
    let name = source.name();
    let mut reader = match source.open() {
        Ok(reader) => reader,
        Err(error) => return (CaptureReport::unreadable(name, error), watcher),
    };
    let mut seat = Seat { watcher, report: CaptureReport::new(name), advance, told: (0, 0) };
    let mut replay = Replay::new();
    let end = replay.run_with(&mut reader, &mut seat);
    let Seat { watcher, mut report, .. } = seat;
    report.conclude(end, &replay, &reader);
    (report, watcher)
}

/// Between the engine and a [`Watcher`].
struct Seat<'a, W> {
    watcher: W,
    report: CaptureReport,
    advance: &'a (dyn Fn(u64, u64) + Sync),
    /// Bytes and events that `advance` has heard of.
    told: (u64, u64),
}

impl<W: Watcher> Visitor for Seat<'_, W> {
    #[inline]
    fn event(&mut self, context: &EventContext<'_>) -> ControlFlow<()> {
        self.watcher.event(context, &mut self.report.ledger)
    }

    fn progress(&mut self, bytes_read: u64, events: u64) {
        let (bytes_told, events_told) = self.told;
        (self.advance)(bytes_read.saturating_sub(bytes_told), events.saturating_sub(events_told));
        self.told = (bytes_read, events);
    }
}

/// A row of verdicts, one bit each.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Bits(SmallVec<[u64; 2]>);

impl Bits {
    /// `count` verdicts, all *no*.
    pub fn none(count: usize) -> Self {
        Self(SmallVec::from_elem(0, count.div_ceil(64)))
    }

    /// Whether verdict `at` is *yes*.
    pub fn get(&self, at: usize) -> bool {
        self.0.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    /// Makes verdict `at` *yes*. Beyond the end nothing happens.
    pub fn set(&mut self, at: usize) {
        if let Some(word) = self.0.get_mut(at / 64) {
            *word |= 1 << (at % 64);
        }
    }

    /// Adds a verdict behind `at` others.
    pub fn push(&mut self, at: usize, verdict: bool) {
        if at / 64 >= self.0.len() {
            self.0.push(0);
        }
        if verdict {
            self.set(at);
        }
    }

    /// Makes all verdicts *no* and their number 0.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// An event by which something can be shown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Example {
    /// Position of the capture in its list.
    pub capture: usize,
    /// `evt.num`.
    pub num: u64,
    /// Time, ns since the epoch.
    pub ts: u64,
}

/// Combinations of verdicts, each with a count and the first event on which it was seen.
#[derive(Clone, Debug)]
pub struct Vectors<K> {
    seen: HashMap<K, (u64, Example), foldhash::fast::FixedState>,
    /// Events whose combination had no place any more.
    pub passed_over: u64,
}

impl<K> Default for Vectors<K> {
    fn default() -> Self {
        Self { seen: HashMap::default(), passed_over: 0 }
    }
}

/// Most combinations that are kept of one rule; more are only counted. The largest public rule has 60 comparisons and
/// shows some hundred combinations in a day of a busy machine.
pub const MAX_VECTORS: usize = 1 << 16;

impl<K: std::hash::Hash + Eq + Clone + Ord> Vectors<K> {
    /// Counts a combination on an event.
    pub fn count(&mut self, key: &K, event: Example) {
        if let Some((count, _)) = self.seen.get_mut(key) {
            *count += 1;
        } else if self.seen.len() < MAX_VECTORS {
            self.seen.insert(key.clone(), (1, event));
        } else {
            self.passed_over += 1;
        }
    }

    /// The combinations with their counts and examples, in the order of the examples.
    pub fn sorted(&self) -> Vec<(&K, u64, Example)> {
        let mut all: Vec<_> = self.seen.iter().map(|(key, (count, example))| (key, *count, *example)).collect();
        all.sort_by(|a, b| (a.2, a.0).cmp(&(b.2, b.0)));
        all
    }
}

/// A field of an event as people see it: its text, `None` when it has no value.
pub fn value(context: &EventContext<'_>, field: &FieldRef) -> Option<String> {
    let mut text = Vec::new();
    let display = context.display(field, Catalogue::new().display(field));
    if !render::extracted(&context.extract(field), display, &mut text) {
        return None;
    }
    let mut text = String::from_utf8_lossy(&text).into_owned();
    if text.len() > MAX_VALUE {
        let end = (0..=MAX_VALUE).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    Some(text)
}
