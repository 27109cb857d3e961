//! How each comparison of a program is asked: once, remembered for the event, kept with the process, or with the facts of the
//! event.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::{Line, What};
use crate::event::EventFields;
use crate::leaf::{LeafId, Leaves, MAX_OWN};

/// Comparisons that are asked in one place only need no memory.
pub(super) fn mark_repeated(lines: &mut [Line]) {
    let mut times: HashMap<LeafId, u32, RandomState> = HashMap::default();
    for line in lines.iter() {
        if let What::Again(leaf) = line.what {
            *times.entry(leaf).or_default() += 1;
        }
    }
    for line in lines {
        if let What::Again(leaf) = line.what
            && times.get(&leaf) == Some(&1)
        {
            line.what = What::Once(leaf);
        }
    }
}

/// Comparisons whose answers outlast the event.
pub(super) fn mark_lasting<E: EventFields + ?Sized>(lines: &mut [Line], leaves: &Leaves, event: &E) {
    for line in lines {
        if let What::Once(leaf) | What::Again(leaf) = line.what
            && leaves.outlasts(leaf, event)
        {
            line.what = What::Lasting(leaf);
        }
    }
}

/// Comparisons whose answers follow from facts of the event: gives these facts; none where looking them up costs more
/// than asking.
pub(super) fn mark_own<E: EventFields + ?Sized>(lines: &mut [Line], leaves: &Leaves, event: &E) -> u32 {
    let mut facts = 0;
    let mut numbers: HashMap<LeafId, u32, RandomState> = HashMap::default();
    for line in &*lines {
        if let What::Once(leaf) | What::Again(leaf) = line.what
            && numbers.len() < MAX_OWN
            && let Some(from) = follows_from(leaf, leaves, event)
        {
            facts |= from;
            let next = numbers.len() as u32;
            numbers.entry(leaf).or_insert(next);
        }
    }
    if facts == 0 || numbers.len() <= facts.count_ones() as usize {
        return 0;
    }
    for line in lines {
        if let What::Once(leaf) | What::Again(leaf) = line.what
            && let Some(&number) = numbers.get(&leaf)
        {
            line.what = What::Own { leaf, number };
        }
    }
    facts
}

/// The facts from which all fields of a leaf follow.
pub(super) fn follows_from<E: EventFields + ?Sized>(leaf: LeafId, leaves: &Leaves, event: &E) -> Option<u32> {
    let fields = leaves.fields(leaf);
    fields.iter().try_fold(0, |facts, field| Some(facts | event.follows_from(field)?)).filter(|facts| *facts != 0)
}
