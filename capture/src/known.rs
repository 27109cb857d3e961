//! Threads that began, or became another program, while recording: their last word about themselves.
//!
//! A capture that begins anew (the next file of a row, a stretch of the flight recorder) needs a snapshot of a moment at
//! which events go on. The iterators walk a little later: a thread may have ended in between, and what its program was
//! started with cannot be read any more. Both are known from its records. Descriptors that appeared in between are
//! noted too: the events that made them come after the snapshot and say it better.

use std::collections::{BTreeMap, BTreeSet};

use casebook_formats::tables::{EventFlags, ParamType};

use crate::calls::{Calls, Class};
use crate::record::{Item, Kind, Record};

/// Bytes of records that are kept; of threads beyond that only the iterators and `/proc` know.
const BYTES_MAX: usize = 32 << 20;
/// Descriptors that are noted between two moments.
const BIRTHS_MAX: usize = 1 << 20;

/// What is known.
#[derive(Default)]
pub(crate) struct Known {
    threads: BTreeMap<u32, Vec<u8>>,
    bytes: usize,
    /// Since when, ns since boot, threads that end are kept, and descriptors that are made are noted.
    since: Option<u64>,
    /// Records of threads that ended meanwhile.
    gone: BTreeMap<u32, Vec<u8>>,
    /// Process and number of descriptors made meanwhile.
    births: BTreeSet<(u32, i64)>,
    /// Threads that were made meanwhile.
    born: BTreeSet<u32>,
}

impl Known {
    /// From here on, ns since boot, keep what ends.
    pub(crate) fn watch(&mut self, since: u64) {
        self.since = Some(since);
        self.gone.clear();
        self.births.clear();
        self.born.clear();
    }

    /// Enough of that.
    pub(crate) fn rest(&mut self) {
        self.since = None;
        self.gone.clear();
        self.births.clear();
        self.born.clear();
    }

    /// Forgets threads whose end nobody saw: those that were not there at the moment for which it watched.
    pub(crate) fn forget_except(&mut self, there: &BTreeSet<u32>) {
        let since = self.since.unwrap_or(0);
        let bytes = &mut self.bytes;
        self.threads.retain(|tid, record| {
            let young = Record::parse(record).is_some_and(|record| record.head.ts >= since);
            let keep = young || there.contains(tid);
            if !keep {
                *bytes -= record.len();
            }
            keep
        });
    }

    /// Takes a record in; `bytes`: the whole record.
    pub(crate) fn note(&mut self, record: &Record<'_>, bytes: &[u8], calls: &Calls) {
        let head = &record.head;
        match head.kind {
            Kind::Exec => self.put(head.tid, bytes),
            Kind::Exit => {
                let ended = self.threads.remove(&head.tid);
                if let Some(ended) = ended {
                    self.bytes -= ended.len();
                    if self.since.is_some_and(|since| head.ts > since) {
                        self.gone.insert(head.tid, ended);
                    }
                }
            }
            Kind::Call => {
                let Some(known) = calls.get(head.code) else { return };
                // The child's own side.
                if known.class == Class::Clone && head.ret == 0 {
                    self.put(head.tid, bytes);
                    if self.since.is_some_and(|since| head.ts > since) && self.born.len() < BIRTHS_MAX {
                        self.born.insert(head.tid);
                    }
                }
                let makes = known.def.flags.has(EventFlags::CREATES_FD);
                if makes && head.ret >= 0 && self.since.is_some_and(|since| head.ts > since) {
                    self.note_births(record, known.def.params.first().map(|param| param.ty));
                }
            }
            Kind::Task | Kind::File => {}
        }
    }

    fn note_births(&mut self, record: &Record<'_>, first: Option<ParamType>) {
        if self.births.len() >= BIRTHS_MAX {
            return;
        }
        let tgid = record.head.tgid;
        if first == Some(ParamType::Fd) {
            self.births.insert((tgid, record.head.ret));
            return;
        }
        // Two of them, at an address.
        let pair = record.item(Item::Bytes).and_then(|content| content.bytes.first_chunk::<8>());
        if let Some(&[a, b, c, d, e, f, g, h]) = pair {
            self.births.insert((tgid, i64::from(i32::from_le_bytes([a, b, c, d]))));
            self.births.insert((tgid, i64::from(i32::from_le_bytes([e, f, g, h]))));
        }
    }

    fn put(&mut self, tid: u32, bytes: &[u8]) {
        if let Some(before) = self.threads.remove(&tid) {
            self.bytes -= before.len();
        }
        if self.bytes + bytes.len() <= BYTES_MAX {
            self.bytes += bytes.len();
            self.threads.insert(tid, bytes.to_vec());
        }
    }

    /// Processes whose arguments and environment need not be read.
    pub(crate) fn processes(&self) -> BTreeSet<u32> {
        self.threads.keys().copied().collect()
    }

    /// The last word of a thread that lives, or ended only now.
    pub(crate) fn thread(&self, tid: u32) -> Option<Record<'_>> {
        Record::parse(self.threads.get(&tid).or_else(|| self.gone.get(&tid))?)
    }

    /// Threads that were there at the moment and ended since.
    pub(crate) fn ended(&self) -> impl Iterator<Item = Record<'_>> {
        let since = self.since.unwrap_or(0);
        self.gone.values().filter_map(|bytes| Record::parse(bytes)).filter(move |record| record.head.ts <= since)
    }

    /// Did the call that made this thread return in it after the moment? Then its events say all about it.
    pub(crate) fn is_born(&self, tid: u32) -> bool {
        self.born.contains(&tid)
    }

    /// Was this descriptor made after the moment?
    pub(crate) fn is_new(&self, tgid: u32, fd: i64) -> bool {
        self.births.contains(&(tgid, fd))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failing test may panic

    use super::*;
    use crate::calls::code_of;
    use crate::record::tests::record;

    fn code(name: &str) -> u16 {
        code_of(name).unwrap()
    }

    fn at(mut bytes: Vec<u8>, ts: u64, tid: u32) -> Vec<u8> {
        bytes[8..16].copy_from_slice(&ts.to_le_bytes());
        bytes[28..32].copy_from_slice(&tid.to_le_bytes());
        bytes[32..36].copy_from_slice(&tid.to_le_bytes());
        bytes
    }

    #[test]
    fn those_that_end_after_the_moment_are_still_told() {
        let calls = Calls::new();
        let mut known = Known::default();
        let note = |known: &mut Known, bytes: Vec<u8>| {
            known.note(&Record::parse(&bytes).unwrap(), &bytes, &calls);
        };
        let clone = |ts, tid| at(record(1, code("clone"), 0, [0; 6], &[]), ts, tid);
        let exit = |ts, tid| at(record(3, 0, 0, [0; 6], &[]), ts, tid);
        note(&mut known, clone(1, 10));
        note(&mut known, clone(1, 11));
        note(&mut known, exit(2, 11));
        known.watch(5);
        note(&mut known, exit(6, 10));
        note(&mut known, clone(7, 12));
        note(&mut known, exit(8, 12));
        note(&mut known, clone(8, 13));
        let ended: Vec<_> = known.ended().map(|record| record.head.tid).collect();
        assert_eq!(ended, [10], "11 ended before, 12 began after");
        note(&mut known, at(record(1, code("openat"), 4, [0; 6], &[]), 6, 13));
        note(&mut known, at(record(1, code("pipe2"), 0, [0; 6], &[(3, 0, &[5, 0, 0, 0, 6, 0, 0, 0])]), 6, 13));
        note(&mut known, at(record(1, code("openat"), -2, [0; 6], &[]), 6, 13));
        assert!(known.is_new(13, 4) && known.is_new(13, 5) && known.is_new(13, 6));
        assert!(!known.is_new(13, -2) && !known.is_new(13, 0) && !known.is_new(12, 4));
        assert!(known.is_born(13) && !known.is_born(10));
        known.forget_except(&BTreeSet::new());
        assert_eq!(known.processes().into_iter().collect::<Vec<_>>(), [13], "13 is younger than the moment");
        known.watch(20);
        known.forget_except(&BTreeSet::new());
        assert_eq!((known.processes().len(), known.bytes), (0, 0));
    }
}
