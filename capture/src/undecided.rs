//! What containers do before it is known whether the filter names them.
//!
//! The kernel side knows a container by its id at once. What runtimes call it stands in files that may be written a moment
//! after its first program began, and those are the moments that matter. Such records come marked, and wait here; the
//! events after them wait too ([`Undecided::oldest`]), so that all leave in order. Who decides: [`crate::appear`].

use std::collections::BTreeMap;

use crate::filter::Mode;
use crate::record::Record;

/// How long records wait for a name, ns.
const PATIENCE: u64 = 5_000_000_000;
/// Bytes that wait, at most; what comes beyond is judged as if the container were not named.
const BYTES_MAX: usize = 64 << 20;
/// Containers whose decision is remembered for records that were under way meanwhile.
const REMEMBERED: usize = 4096;

/// What becomes of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// It belongs into the recording.
    Keep,
    /// It does not.
    Leave,
    /// It waits.
    Wait,
}

/// Records that wait, by the number of their container's cgroup.
#[derive(Default)]
pub(crate) struct Undecided {
    waiting: BTreeMap<u32, Waiting>,
    bytes: usize,
    decided: BTreeMap<u32, Option<Mode>>,
}

struct Waiting {
    /// Time of the first, ns since boot.
    since: u64,
    /// One after the other.
    records: Vec<u8>,
}

impl Undecided {
    /// Takes a record in that is marked as undecided; `bytes`: the whole record.
    pub(crate) fn take(&mut self, record: &Record<'_>, bytes: &[u8]) -> Fate {
        let number = record.head.cgroup;
        if let Some(&mode) = self.decided.get(&number) {
            return if belongs(record, mode) { Fate::Keep } else { Fate::Leave };
        }
        if self.bytes + bytes.len() > BYTES_MAX {
            return if record.otherwise() { Fate::Keep } else { Fate::Leave };
        }
        let waiting =
            self.waiting.entry(number).or_insert_with(|| Waiting { since: record.head.ts, records: Vec::new() });
        waiting.since = waiting.since.min(record.head.ts);
        waiting.records.extend_from_slice(bytes);
        self.bytes += bytes.len();
        Fate::Wait
    }

    /// It is known now what the filter says of this container; its records that belong into the recording.
    pub(crate) fn decide(&mut self, number: u32, mode: Option<Mode>) -> Vec<Vec<u8>> {
        if self.decided.len() >= REMEMBERED {
            self.decided.clear();
        }
        self.decided.insert(number, mode);
        let Some(waiting) = self.waiting.remove(&number) else { return Vec::new() };
        self.bytes -= waiting.records.len();
        let mut kept = Vec::new();
        let mut rest = waiting.records.as_slice();
        while let Some((record, after)) = Record::len_at(rest).and_then(|len| rest.split_at_checked(len)) {
            if Record::parse(record).is_some_and(|record| belongs(&record, mode)) {
                kept.push(record.to_vec());
            }
            rest = after;
        }
        kept
    }

    /// Containers whose records have waited long enough at `now`, ns since boot.
    pub(crate) fn overdue(&self, now: u64) -> Vec<u32> {
        let late = |waiting: &Waiting| now.saturating_sub(waiting.since) > PATIENCE;
        self.waiting.iter().filter(|(_, waiting)| late(waiting)).map(|(number, _)| *number).collect()
    }

    /// Time of the oldest record that waits, ns since boot.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.waiting.values().map(|waiting| waiting.since).min()
    }
}

/// Does a record belong into the recording, now that it is known what the filter says of its container?
fn belongs(record: &Record<'_>, mode: Option<Mode>) -> bool {
    mode.map_or_else(|| record.otherwise(), |mode| mode == Mode::Only)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failing test may panic

    use super::*;
    use crate::record::tests::record;

    /// A record at a time, of a container that is not decided.
    fn marked(ts: u64, cgroup: u32, flags: u16) -> Vec<u8> {
        let mut bytes = record(1, 5, 0, [0; 6], &[(1, 0, b"text")]);
        bytes[8..16].copy_from_slice(&ts.to_le_bytes());
        bytes[26..28].copy_from_slice(&(16 | flags).to_le_bytes());
        bytes[36..40].copy_from_slice(&cgroup.to_le_bytes());
        bytes
    }

    fn take(undecided: &mut Undecided, bytes: &[u8]) -> Fate {
        let record = Record::parse(bytes).unwrap();
        assert!(record.undecided());
        undecided.take(&record, bytes)
    }

    #[test]
    fn records_wait_for_the_decision_and_no_longer() {
        let mut undecided = Undecided::default();
        let (first, second, other) = (marked(100, 7, 0), marked(101, 7, 0), marked(90, 8, 0));
        assert_eq!(take(&mut undecided, &first), Fate::Wait);
        assert_eq!(take(&mut undecided, &second), Fate::Wait);
        assert_eq!(take(&mut undecided, &other), Fate::Wait);
        assert_eq!(undecided.oldest(), Some(90));
        assert_eq!(undecided.decide(7, Some(Mode::Only)), [first.clone(), second]);
        assert_eq!(take(&mut undecided, &first), Fate::Keep, "what was under way");
        assert!(undecided.overdue(90 + PATIENCE).is_empty());
        assert_eq!(undecided.overdue(91 + PATIENCE), [8]);
        assert!(undecided.decide(8, None).is_empty());
        assert_eq!((undecided.oldest(), undecided.bytes), (None, 0));
        assert_eq!(take(&mut undecided, &other), Fate::Leave);
    }

    #[test]
    fn what_belongs_otherwise_stays_unless_the_container_is_left_out() {
        const OTHERWISE: u16 = 64;
        let mut undecided = Undecided::default();
        let (kept, left) = (marked(1, 7, OTHERWISE), marked(1, 8, OTHERWISE));
        take(&mut undecided, &kept);
        take(&mut undecided, &left);
        assert_eq!(undecided.decide(7, None), [kept]);
        assert!(undecided.decide(8, Some(Mode::Except)).is_empty());
    }
}
