//! Where events are missing: what the reader had to leave out, and what the recorder told of. The state has to doubt from there
//! on.

use std::sync::Arc;

use casebook_formats::capture::Items;
use casebook_formats::ledger::{Counter, Ledger};

use super::{Replay, Visitor};

impl Replay {
    /// Where the reader had to leave something out, the state has to doubt.
    pub(super) fn hear_of_gaps<V: Visitor>(&mut self, ledger: &Ledger, visitor: &mut V) {
        let gaps = [Counter::DamagedBlocks, Counter::DamagedEvents, Counter::UnknownEventTypes];
        let gaps = gaps.into_iter().map(|counter| ledger.get(counter)).fold(0, u64::saturating_add);
        if gaps > self.gaps {
            self.gaps = gaps;
            self.state.tell_of_gap();
            visitor.gap();
        }
    }

    /// Gaps at or before the last event have been told.
    pub(super) fn expect_recorded_gaps(&mut self, reader: &impl Items) {
        self.recorded = Arc::clone(reader.gaps());
        let told = if self.position.events == 0 { 0 } else { self.gaps_until(self.position.offset) };
        self.next_recorded = self.recorded.get(told).copied();
        self.attention = 0;
    }

    /// The recorder lost events from here on.
    #[cold]
    pub(super) fn tell_recorded_gap(&mut self, offset: u64) {
        self.state.tell_of_gap();
        self.next_recorded = self.recorded.get(self.gaps_until(offset)).copied();
    }

    /// How many of the recorder's gaps begin at an offset or before it.
    fn gaps_until(&self, offset: u64) -> usize {
        self.recorded.partition_point(|&gap| gap <= offset)
    }
}
