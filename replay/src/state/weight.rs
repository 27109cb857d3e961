//! One budget for all texts of the state.
//!
//! Every single text is bounded, and so is the number of threads and descriptors; but all of them at their bounds would be
//! many times the memory of any machine. So the bytes of the texts made are counted, and once in a while those that are
//! still there are weighed. While they are more than [`TEXT_BUDGET`], new texts are cut to [`SHORT_TEXT`] bytes, and the
//! ledger counts it. Ordinary captures never come near it: their texts are shared and go with their owners.

use std::cell::Cell;
use std::collections::HashSet;
use std::rc::Rc;

use casebook_formats::ledger::{Counter, Ledger};

use super::keep::{Keep, Keeper, Malformed, Taker};
use super::limits::{MAX_TEXT, SHORT_TEXT, TEXT_BUDGET, TEXT_CHECK};
use super::{State, Text};

/// Bytes of texts made since they were weighed last, and how long one may be.
#[derive(Clone, Debug)]
pub(crate) struct Weight {
    made: Cell<usize>,
    longest: usize,
}

impl Default for Weight {
    fn default() -> Self {
        Self { made: Cell::new(0), longest: MAX_TEXT }
    }
}

impl Keep for Weight {
    fn keep(&self, to: &mut Keeper) {
        self.made.get().keep(to);
        self.longest.keep(to);
    }

    fn take(from: &mut Taker<'_>) -> Result<Self, Malformed> {
        let weight = Self { made: Cell::new(usize::take(from)?), longest: usize::take(from)? };
        let sound = [SHORT_TEXT, MAX_TEXT].contains(&weight.longest) && weight.made.get() <= TEXT_CHECK + MAX_TEXT;
        if sound { Ok(weight) } else { Err(Malformed::Contradiction("the weight of the texts")) }
    }

    fn layout(to: &mut String) {
        to.push_str("weight,");
    }
}

impl Weight {
    /// A text of so many bytes is made: how many of them it may have.
    #[inline]
    pub(crate) fn take_in(&self, len: usize) -> usize {
        let len = len.min(self.longest);
        self.made.set(self.made.get().saturating_add(len));
        len
    }

    /// It is time to weigh.
    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        self.made.get() >= TEXT_CHECK
    }
}

impl State {
    /// Weighs all texts that are still there.
    #[cold]
    pub(crate) fn weigh(&mut self, ledger: &mut Ledger) {
        let mut seen: HashSet<*const u8> = HashSet::new();
        let mut weight = 0;
        let mut add = |text: &Text| {
            if seen.insert(Rc::as_ptr(text).cast()) {
                weight += text.len();
            }
        };
        for thread in self.threads.iter() {
            let texts =
                [&thread.comm, &thread.exe, &thread.exepath, &thread.args, &thread.env, &thread.cwd, &thread.root];
            texts.into_iter().chain([&thread.cgroups]).chain(&thread.set_name).for_each(&mut add);
        }
        for entry in self.tables.iter() {
            entry.table.iter().flat_map(|(_, fd)| [&fd.name, &fd.name_raw]).for_each(&mut add);
        }
        let full = weight > TEXT_BUDGET;
        ledger.add(Counter::StateLimit, u64::from(full));
        self.weight = Weight { made: Cell::new(0), longest: if full { SHORT_TEXT } else { MAX_TEXT } };
    }
}
