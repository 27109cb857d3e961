//! Enter halves of old captures that wait for their exit, by thread.
//!
//! Bounded in number and bytes, because a capture may hold as many enters without exits as it likes. A half is
//! forgotten when its thread ends, enters another call, or leaves one: a thread is inside one call at a time, so an
//! exit of another type means that this half's own exit was lost.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::event::{EventType, ParamRange};
use crate::limits::{MAX_ENTER_BYTES, MAX_ENTER_HALVES};
use crate::resume::WaitingHalf;
use crate::tables::ppme;

/// Buffers larger than this are given back when their half is done with.
const KEPT_CAPACITY: usize = 512;

/// Head of an enter half.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Half {
    /// Type as stored in the file.
    raw: EventType,
    /// Type after conversion: the one whose parameters are kept.
    etype: EventType,
    ts: u64,
    /// Offset of its block in the uncompressed stream.
    at: u64,
}

impl Half {
    pub(crate) const fn new(raw: EventType, etype: EventType, ts: u64, at: u64) -> Self {
        Self { raw, etype, ts, at }
    }
}

/// A half that its thread has left behind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    /// When the call began, where the exit belongs to this half.
    pub ts: Option<u64>,
    /// Offset of the half's block in the uncompressed stream.
    pub at: u64,
}

/// Threads of which the places are remembered, by the last bits of their tids.
const SEEN: usize = 64;

/// One thread's place: reused from call to call.
#[derive(Debug, Default)]
struct Slot {
    tid: i64,
    half: Option<Half>,
    ranges: Vec<ParamRange>,
    bytes: Vec<u8>,
}

impl Slot {
    /// Bytes of a parameter.
    fn value(&self, range: ParamRange) -> Option<&[u8]> {
        self.bytes.get(range.start as usize..)?.get(..range.len as usize)
    }
}

/// All waiting halves.
pub(crate) struct Halves {
    slots: Vec<Slot>,
    /// Which slot is whose.
    places: HashMap<i64, u32, RandomState>,
    /// Where threads were found last, so that most look-ups need no hash: an exit mostly follows its enter. A guess: the
    /// slot says itself whose it is.
    seen: [u32; SEEN],
    /// Slots that hold a half.
    waiting: usize,
    /// Bytes held by them.
    bytes: usize,
}

impl Default for Halves {
    fn default() -> Self {
        Self { slots: Vec::new(), places: HashMap::default(), seen: [0; SEEN], waiting: 0, bytes: 0 }
    }
}

/// Whether this exit type belongs to this enter type. A successful execveat leaves as execve.
fn pairs(enter: EventType, exit: EventType) -> bool {
    enter.0.checked_add(1) == Some(exit.0)
        || (enter == ppme::PPME_SYSCALL_EXECVEAT_E && exit == ppme::PPME_SYSCALL_EXECVE_19_X)
}

impl Halves {
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The place of a thread, if it has one.
    #[inline]
    fn find(&self, tid: i64) -> Option<usize> {
        let guess = self.seen[tid as usize % SEEN] as usize;
        if self.slots.get(guess).is_some_and(|slot| slot.tid == tid) {
            return Some(guess);
        }
        self.places.get(&tid).map(|&place| place as usize)
    }

    /// The place of a thread, which gets one if it has none.
    fn place(&mut self, tid: i64) -> usize {
        let place = self.find(tid).unwrap_or_else(|| {
            let place = self.slots.len();
            self.slots.push(Slot { tid, ..Slot::default() });
            self.places.insert(tid, place as u32);
            place
        });
        self.seen[tid as usize % SEEN] = place as u32;
        place
    }

    /// Remembers when a call of no further use to its exit began.
    pub(crate) fn note(&mut self, tid: i64, etype: EventType, ts: u64, at: u64) {
        self.store(tid, Half::new(etype, etype, ts, at), std::iter::empty());
    }

    /// Keeps an enter half with its parameters, in place of an older one of the thread.
    pub(crate) fn store<'a>(&mut self, tid: i64, half: Half, params: impl Iterator<Item = &'a [u8]>) {
        self.forget(tid);
        if self.bytes > MAX_ENTER_BYTES || (self.slots.len() >= MAX_ENTER_HALVES && self.find(tid).is_none()) {
            self.give_up_older_half();
        }
        let place = self.place(tid);
        let slot = &mut self.slots[place];
        slot.ranges.clear();
        slot.bytes.clear();
        for value in params {
            slot.ranges.push(ParamRange { start: slot.bytes.len() as u32, len: value.len() as u32 });
            slot.bytes.extend_from_slice(value);
        }
        slot.half = Some(half);
        self.waiting += 1;
        self.bytes += slot.bytes.len();
    }

    /// Parameters of the half waiting for this thread, when it is of type `etype`.
    pub(crate) fn params(&self, tid: i64, etype: EventType) -> Option<&[ParamRange]> {
        let slot = self.slots.get(self.find(tid)?)?;
        slot.half.filter(|half| half.etype == etype).map(|_| slot.ranges.as_slice())
    }

    /// Bytes of one of those parameters.
    pub(crate) fn bytes(&self, tid: i64, range: ParamRange) -> &[u8] {
        self.find(tid).and_then(|place| self.slots.get(place)?.value(range)).unwrap_or_default()
    }

    /// Nothing waits.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// A thread leaves a call: its half, of whatever type, is done with.
    #[inline]
    pub(crate) fn end(&mut self, tid: i64, exit: EventType) -> Option<Ended> {
        if self.waiting == 0 {
            return None;
        }
        let half = self.take(tid)?;
        Some(Ended { ts: pairs(half.raw, exit).then_some(half.ts), at: half.at })
    }

    /// A thread is gone, or begins something new.
    pub(crate) fn forget(&mut self, tid: i64) {
        if self.waiting > 0 {
            self.take(tid);
        }
    }

    fn take(&mut self, tid: i64) -> Option<Half> {
        let place = self.find(tid)?;
        let slot = self.slots.get_mut(place)?;
        let half = slot.half.take()?;
        self.waiting -= 1;
        self.bytes -= slot.bytes.len();
        if slot.bytes.capacity() > KEPT_CAPACITY {
            slot.bytes = Vec::new();
        }
        Some(half)
    }

    /// What waits, by thread, and the threads whose places are empty.
    pub(crate) fn state(&self) -> (Vec<WaitingHalf>, Vec<i64>) {
        let Self { slots, places: _, seen: _, waiting: _, bytes: _ } = self;
        let (mut halves, mut idle) = (Vec::new(), Vec::new());
        for slot in slots {
            let Some(Half { raw, etype, ts, at: _ }) = slot.half else {
                idle.push(slot.tid);
                continue;
            };
            let params = slot.ranges.iter().map(|&range| slot.value(range).unwrap_or_default().to_vec()).collect();
            halves.push(WaitingHalf { tid: slot.tid, raw: raw.0, etype: etype.0, ts, params });
        }
        halves.sort_unstable_by_key(|half| half.tid);
        idle.sort_unstable();
        (halves, idle)
    }

    /// The halves that [`Halves::state`] told of.
    pub(crate) fn resume(halves: &[WaitingHalf], idle: &[i64]) -> Self {
        let mut all = Self::default();
        for half in halves {
            // Where it stood is of interest to writers only.
            let head = Half::new(EventType(half.raw), EventType(half.etype), half.ts, 0);
            all.store(half.tid, head, half.params.iter().map(Vec::as_slice));
        }
        for &tid in idle.iter().take(MAX_ENTER_HALVES) {
            all.place(tid);
        }
        all
    }

    /// Makes room: drops empty slots, and where that is not enough, the older ones of the waiting halves.
    fn give_up_older_half(&mut self) {
        self.keep(|slot| slot.half.is_some());
        if self.slots.len() < MAX_ENTER_HALVES / 2 && self.bytes < MAX_ENTER_BYTES / 2 {
            return;
        }
        let mut times: Vec<u64> = self.slots.iter().filter_map(|slot| slot.half).map(|half| half.ts).collect();
        times.sort_unstable();
        let middle = times.get(times.len() / 2).copied().unwrap_or(0);
        self.keep(|slot| slot.half.is_some_and(|half| half.ts > middle));
        self.waiting = self.slots.len();
        self.bytes = self.slots.iter().map(|slot| slot.bytes.len()).sum();
    }

    /// Drops the other slots; those that stay have other places.
    fn keep(&mut self, keep: impl Fn(&Slot) -> bool) {
        self.slots.retain(keep);
        self.places.clear();
        self.places.extend(self.slots.iter().enumerate().map(|(place, slot)| (slot.tid, place as u32)));
    }
}
