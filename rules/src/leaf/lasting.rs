//! Verdicts about processes, which outlast their event.

use super::LeafId;
use crate::event::Holder;

/// Holders whose verdicts are kept at a time.
const HOLDERS: usize = 512;
/// Of larger rulesets no verdicts outlast their event: they would take more room than they save time.
const MAX_LASTING: usize = 1 << 16;

/// Verdicts that outlast their event: those that depend on its process alone, until that changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Lasting {
    /// Whose verdicts stand in each place.
    holders: Vec<Option<Holder>>,
    /// For each place two bits a leaf: words of *known*, then words of *yes*.
    bits: Vec<u64>,
    /// Words of *known* in each place.
    words: usize,
    /// Where the bits of the event's own holder begin.
    pub(super) at: Entered,
}

/// Whether the holder of an event has been asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Entered {
    /// Not yet.
    #[default]
    NotYet,
    /// It has none.
    Nobody,
    /// Its bits begin here.
    At(usize),
}

impl Lasting {
    pub(super) fn new(leaves: usize) -> Self {
        let words = if leaves > MAX_LASTING { 0 } else { leaves.div_ceil(64) };
        Self { holders: vec![None; HOLDERS], bits: vec![0; 2 * words * HOLDERS], words, at: Entered::NotYet }
    }

    /// Where the bits of an event's holder begin.
    pub(super) fn enter(&mut self, holder: Option<Holder>) -> Option<usize> {
        let holder = holder.filter(|_| self.words > 0)?;
        let place = holder.place as usize % HOLDERS;
        let at = place * 2 * self.words;
        let kept = self.holders.get_mut(place)?;
        if *kept != Some(holder) {
            *kept = Some(holder);
            // Bits of *yes* count only where there is one of *known*.
            self.bits.get_mut(at..at + self.words)?.fill(0);
        }
        Some(at)
    }

    pub(super) fn get(&self, at: usize, id: LeafId) -> Option<bool> {
        let (word, bit) = (id.0 as usize / 64, id.0 % 64);
        let known = self.bits.get(at + word)?;
        (known >> bit & 1 == 1).then(|| self.bits.get(at + self.words + word).is_some_and(|yes| yes >> bit & 1 == 1))
    }

    pub(super) fn set(&mut self, at: usize, id: LeafId, verdict: bool) {
        let (word, bit) = (id.0 as usize / 64, id.0 % 64);
        if word >= self.words {
            return; // A leaf that came to the table later.
        }
        if let Some(known) = self.bits.get_mut(at + word) {
            *known |= 1 << bit;
        }
        if let Some(yes) = self.bits.get_mut(at + self.words + word) {
            *yes = *yes & !(1 << bit) | u64::from(verdict) << bit;
        }
    }
}
