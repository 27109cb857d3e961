//! What `info` counts of every event: types, threads, times.
//!
//! Every event of a capture comes by here, so what is counted is numbers in arrays, and what was so last time is not looked
//! up again; names come when all is counted.

use std::collections::{BTreeMap, HashSet};

use foldhash::fast::RandomState;

use crate::event::{Event, EventType};
use crate::tables::{self, ppme};

/// Threads told apart; a hostile capture may name any number.
const MAX_THREADS: usize = 100_000;

/// Threads remembered as counted, one for each remainder of their numbers: those that run at one time.
const RECENT: usize = 64;

/// Stretches without an event that are kept.
const PAUSES_KEPT: usize = 5;

/// Shortest one of them, ns.
const PAUSE: u64 = 1_000_000_000;

/// What is counted of the events of a capture.
#[derive(Default)]
pub(super) struct Tally {
    /// Events.
    pub events: u64,
    types: ByNumber,
    calls: Calls,
    threads: Threads,
    times: Times,
}

impl Tally {
    /// Another event.
    #[inline]
    pub(super) fn event(&mut self, event: &Event<'_>) {
        self.events += 1;
        self.types.count(event.etype.0);
        if matches!(event.etype, ppme::PPME_GENERIC_E | ppme::PPME_GENERIC_X) {
            self.calls.count(event);
        }
        self.threads.see(event.tid);
        // Synthetic events of old recorders carry 0 or all ones instead of a time.
        if event.ts != 0 && event.ts != u64::MAX {
            self.times.see(event.ts);
        }
    }

    /// A section begins: what was before it is no neighbour of what comes.
    pub(super) fn section(&mut self) {
        self.times.part();
    }

    /// How many events there are of each type, by the name that `evt.type` shows.
    pub(super) fn types(&self) -> BTreeMap<&'static str, u64> {
        let generic = [ppme::PPME_GENERIC_E, ppme::PPME_GENERIC_X];
        let by_number = self.types.iter().map(|(number, count)| (EventType(number), count));
        let own = by_number.filter(|(etype, _)| !generic.contains(etype));
        let own = own.map(|(etype, count)| (tables::event(etype).map_or(UNKNOWN, |def| def.name), count));
        let mut types = BTreeMap::new();
        for (name, count) in own.chain(self.calls.names()) {
            *types.entry(name).or_default() += count;
        }
        types
    }

    /// How many threads the events are of, up to a bound.
    pub(super) fn threads(&self) -> usize {
        self.threads.seen.len()
    }

    /// Times of the earliest and the latest event, ns since 1970.
    pub(super) fn span(&self) -> Option<(u64, u64)> {
        self.times.span()
    }

    /// Longest stretches without an event: length, time of the event before.
    pub(super) fn pauses(&self) -> &[(u64, u64)] {
        &self.times.pauses
    }
}

/// Name of a type or call that nobody knows.
const UNKNOWN: &str = "unknown";

/// Counts by a number of two bytes: an array as long as the highest that was seen asks for.
#[derive(Default)]
struct ByNumber(Vec<u64>);

impl ByNumber {
    #[inline]
    fn count(&mut self, number: u16) {
        match self.0.get_mut(number as usize) {
            Some(count) => *count += 1,
            None => self.first(number),
        }
    }

    #[cold]
    fn first(&mut self, number: u16) {
        self.0.resize(number as usize + 1, 0);
        self.0[number as usize] = 1;
    }

    fn iter(&self) -> impl Iterator<Item = (u16, u64)> {
        let counts = self.0.iter().enumerate().map(|(number, count)| (number as u16, *count));
        counts.filter(|(_, count)| *count > 0)
    }
}

/// Calls without an event type of their own, by what [`tables::generic_syscall`] finds them by.
#[derive(Default)]
struct Calls {
    by_code: ByNumber,
    /// Those that the recorder had no code for.
    by_native: ByNumber,
    /// Events that do not even say that.
    nameless: u64,
}

impl Calls {
    fn count(&mut self, event: &Event<'_>) {
        match (event.u64(0).map(|code| code as u16), event.u64(1)) {
            (None, _) => self.nameless += 1,
            (Some(0), Some(native)) => self.by_native.count(native as u16),
            (Some(code), _) => self.by_code.count(code),
        }
    }

    fn names(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let by_code = self.by_code.iter().map(|(code, count)| (tables::generic_syscall(code, None), count));
        let by_native = self.by_native.iter().map(|(native, count)| (tables::generic_syscall(0, Some(native)), count));
        let named = by_code.chain(by_native).map(|(call, count)| (call.map_or(UNKNOWN, |call| call.name), count));
        named.chain((self.nameless > 0).then_some((UNKNOWN, self.nameless)))
    }
}

struct Threads {
    /// Only counted, so no order of hashes shows; at random, as the numbers are the capture's.
    seen: HashSet<i64, RandomState>,
    /// Threads counted lately.
    recent: [i64; RECENT],
}

impl Default for Threads {
    fn default() -> Self {
        Self { seen: HashSet::default(), recent: [NO_THREAD; RECENT] }
    }
}

/// Stands where no thread was seen yet. Events of no thread have a negative number, and are not counted either.
const NO_THREAD: i64 = -1;

impl Threads {
    #[inline]
    fn see(&mut self, tid: i64) {
        let recent = &mut self.recent[tid as usize % RECENT];
        if *recent != tid && tid >= 0 {
            *recent = tid;
            if self.seen.len() < MAX_THREADS {
                self.seen.insert(tid);
            }
        }
    }
}

/// Times of events, which nearly always come in order.
#[derive(Default)]
struct Times {
    /// Earliest and latest until the last section began or time went back.
    span: Option<(u64, u64)>,
    /// Latest of this section.
    last: Option<u64>,
    pauses: Vec<(u64, u64)>,
}

impl Times {
    #[inline]
    fn see(&mut self, ts: u64) {
        match &mut self.last {
            Some(last) if ts.wrapping_sub(*last) < PAUSE => *last = ts,
            _ => self.odd(ts),
        }
    }

    /// A time that is the first of a section, a long time after the last one, or before it.
    #[inline(never)]
    fn odd(&mut self, ts: u64) {
        self.reach(ts);
        let last = self.last.unwrap_or(ts);
        let pause = ts.saturating_sub(last);
        if pause >= PAUSE {
            self.pauses.push((pause, last));
            self.pauses.sort_unstable_by_key(|&(pause, at)| (u64::MAX - pause, at));
            self.pauses.truncate(PAUSES_KEPT);
        }
        self.last = Some(last.max(ts));
    }

    fn part(&mut self) {
        self.span = self.span();
        self.last = None;
    }

    fn reach(&mut self, ts: u64) {
        self.span = Some(self.span.map_or((ts, ts), |(earliest, latest)| (earliest.min(ts), latest.max(ts))));
    }

    fn span(&self) -> Option<(u64, u64)> {
        let (earliest, latest) = self.span?;
        Some((earliest, self.last.map_or(latest, |last| latest.max(last))))
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_THREADS, PAUSES_KEPT, RECENT, Tally, Threads, Times};
    use crate::event::{Event, EventType, ParamRange, RawEvent};
    use crate::tables::{self, ppme};

    const SECOND: u64 = 1_000_000_000;

    fn times(all: &[u64]) -> Times {
        let mut times = Times::default();
        for &ts in all {
            if ts == 0 { times.part() } else { times.see(ts * SECOND) }
        }
        times
    }

    /// 0 stands for a section that begins.
    #[test]
    fn the_longest_pauses_are_kept_and_none_reaches_over_sections() {
        let found = times(&[100, 101, 101, 90, 102, 0, 200, 202, 199, 203, 0, 50, 50]);
        assert_eq!(
            found.pauses,
            [(2 * SECOND, 200 * SECOND), (SECOND, 100 * SECOND), (SECOND, 101 * SECOND), (SECOND, 202 * SECOND)]
        );
        assert_eq!(found.span(), Some((50 * SECOND, 203 * SECOND)));
        assert_eq!(times(&[]).span(), None);
        assert_eq!(times(&[7]).span(), Some((7 * SECOND, 7 * SECOND)));
        let many: Vec<u64> = (1..50).map(|n| n * n).collect();
        let longest: Vec<u64> = times(&many).pauses.iter().map(|(pause, _)| pause / SECOND).collect();
        assert_eq!(longest, (0..PAUSES_KEPT as u64).map(|n| 97 - 2 * n).collect::<Vec<_>>());
    }

    #[test]
    fn threads_are_counted_once_each_and_up_to_a_bound() {
        let mut threads = Threads::default();
        for tid in [7, 7, -1, 7 + RECENT as i64, 7, i64::MIN, 0, -1, 63] {
            threads.see(tid);
        }
        assert_eq!(threads.seen.len(), 4);
        (0..2 * MAX_THREADS as i64).for_each(|tid| threads.see(tid));
        assert_eq!(threads.seen.len(), MAX_THREADS);
    }

    /// Each way in which a generic event names its call, beside what the event itself says.
    #[test]
    fn types_have_the_names_of_their_events() {
        let mut tally = Tally::default();
        let mut expected = std::collections::BTreeMap::new();
        let codes = 0..=tables::syscalls().len() as u16 + 1;
        let generic = codes.flat_map(|code| [None, Some(0_u16), Some(59), Some(u16::MAX)].map(|native| (code, native)));
        let named = generic.map(|(code, native)| (ppme::PPME_GENERIC_X, vec![Some(code), native]));
        let typed = tables::events().map(|(etype, _)| (etype, Vec::new()));
        let beyond = [(EventType(u16::MAX), Vec::new()), (ppme::PPME_GENERIC_X, Vec::new())];
        for (etype, numbers) in named.chain(typed).chain(beyond) {
            let numbers: Vec<u16> = numbers.into_iter().flatten().collect();
            let data: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            let ranges: Vec<ParamRange> =
                (0..numbers.len() as u32).map(|at| ParamRange { start: 2 * at, len: 2 }).collect();
            let raw = RawEvent { offset: 0, enter: None, etype: etype.0, nparams: ranges.len() as u32, payload: &data };
            let (data, ranges) = (&data[..], &ranges[..]);
            let event =
                Event { num: 1, ts: 1, tid: 1, cpu: 0, etype, state_only: false, enter_ts: None, data, ranges, raw };
            tally.event(&event);
            *expected.entry(event.name()).or_default() += 1;
        }
        assert_eq!(tally.types(), expected);
        assert!(expected.contains_key("execve") && expected.contains_key("unknown"));
    }
}
