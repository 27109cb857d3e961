//! What a recording lost: records whose numbers are missing, what the kernel side counts, what was unsound.
//!
//! Sums come from those who count ([`crate::probe`], [`crate::order`], [`crate::encode`]); here they become what each
//! frame is told, and what the whole recording came to. When a frame is told is for the loop to say (`follow.rs`).

use casebook_formats::ledger::{Counter, Ledger};

use crate::probe::{Count, Counts};

/// Losses of a recording, and what of them was told.
#[derive(Default)]
pub(super) struct Losses {
    /// Of the whole recording by cause: what frames were told, and records that were unsound.
    pub all: Ledger,
    told: Sums,
    /// Records missing between those that arrived.
    gaps: u64,
    /// Next number expected of each CPU.
    expected: Vec<Option<u64>>,
}

/// What is counted elsewhere, since the recording began.
#[derive(Default)]
pub(super) struct Sums {
    pub counts: Counts,
    /// Runs of programs that the kernel skipped.
    pub misses: u64,
    /// Events that came after younger ones had been let go.
    pub late: u64,
    /// Calls whose arguments were changed while they were under way.
    pub changed: u64,
}

impl Losses {
    /// Numbers that are missing are records that the kernel side could not deliver.
    pub(super) fn arrived(&mut self, cpu: u16, number: u64) {
        let cpu = usize::from(cpu);
        if self.expected.len() <= cpu {
            self.expected.resize(cpu + 1, None);
        }
        let expected = self.expected[cpu].replace(number + 1).unwrap_or(0);
        self.gaps += number.saturating_sub(expected);
    }

    /// By the numbers of the records, against what the kernel side says it dropped: see
    /// [`Outcome::unaccounted`](super::Outcome::unaccounted).
    pub(super) fn unaccounted(&self, counts: &Counts) -> i64 {
        self.missing(counts) as i64 - counts.lost() as i64
    }

    /// Records that the kernel side began and that did not arrive: gaps between those that did, and numbers after the
    /// last of each CPU.
    fn missing(&self, counts: &Counts) -> u64 {
        let seen: u64 = self.expected.iter().flatten().sum();
        self.gaps + counts.begun.saturating_sub(seen)
    }

    /// What was lost since the last time that this was asked.
    pub(super) fn since_told(&mut self, sums: Sums) -> Ledger {
        let told = std::mem::replace(&mut self.told, sums);
        let now = &self.told;
        let since = |count: Count| now.counts.get(count) - told.counts.get(count);
        let mut lost = Ledger::default();
        lost.add(Counter::RingFull, since(Count::RingFull));
        lost.add(Counter::ProgramBusy, since(Count::Scratch) + since(Count::TailCall) + now.misses - told.misses);
        lost.add(Counter::CutArguments, since(Count::Cut));
        lost.add(Counter::UnreadableArguments, since(Count::Fault));
        lost.add(Counter::UnknownCalls, since(Count::Unknown));
        lost.add(Counter::LateEvents, now.late - told.late);
        lost.add(Counter::ChangedArguments, now.changed - told.changed);
        self.all.merge(&lost);
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_numbers_are_gaps_and_what_comes_after_the_last() {
        let mut losses = Losses::default();
        for (cpu, number) in [(0, 0), (0, 1), (0, 4), (2, 1), (2, 2)] {
            losses.arrived(cpu, number);
        }
        // Between those that arrived: 2 and 3 of the first CPU, 0 of the third. Seen 5 and 3; one was begun after them.
        let mut counts = Counts::default();
        counts.begun = 8;
        assert_eq!(losses.missing(&counts), 3);
        counts.begun = 9;
        assert_eq!(losses.missing(&counts), 4);
        assert_eq!(losses.unaccounted(&counts), 4, "the kernel side says that it dropped none");
    }

    #[test]
    fn a_loss_is_told_once() {
        let mut losses = Losses::default();
        let first = losses.since_told(Sums { misses: 2, late: 1, ..Sums::default() });
        assert_eq!((first.get(Counter::ProgramBusy), first.get(Counter::LateEvents)), (2, 1));
        let second = losses.since_told(Sums { misses: 5, late: 1, ..Sums::default() });
        assert_eq!((second.get(Counter::ProgramBusy), second.get(Counter::LateEvents)), (3, 0));
        assert_eq!(losses.all.get(Counter::ProgramBusy), 5);
    }
}
