//! Near misses: the events on which a rule was not true by the least.
//!
//! [`Search`] watches a capture and keeps, for each smallest set of comparisons that would have had to turn out
//! otherwise, the count of events, the first of them explained, and the values that were seen in place of the wanted.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

use casebook_formats::ledger::{Counter, Ledger};
use casebook_rules::leaf::Memo;
use serde::Serialize;

use super::{EventNote, Explainer, Explanation, FieldNote};
use crate::context::EventContext;
use crate::lab::verdicts::{Bits, MAX_VECTORS, Watcher};

/// Sets of comparisons that are kept; of more, those that need the most turns go.
const MAX_MISSES: usize = 200;
/// Values in place of the wanted that are kept of one set.
const MAX_VALUES: usize = 8;

/// Events that missed in the same way.
#[derive(Clone, Serialize, Debug)]
pub struct Miss {
    /// Comparisons that have to turn for the condition to be true.
    pub distance: usize,
    /// All of them ask for the type of the event: the rule is made for other events.
    pub other_type: bool,
    /// How many events.
    pub events: u64,
    /// Values of the fields of the first of these comparisons, and on how many events; the first few.
    pub values: Vec<(Vec<FieldNote>, u64)>,
    /// The first of the events.
    pub example: Explanation,
}

/// What a search found in one capture.
#[derive(Clone, Default, Serialize, Debug)]
pub struct Found {
    /// Events of the rule's source.
    pub of_source: u64,
    /// Events on which the rule was reported.
    pub reported: u64,
    /// The first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_reported: Option<EventNote>,
    /// Events on which it was true but an earlier rule was reported.
    pub shadowed: u64,
    /// The first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_shadowed: Option<Explanation>,
    /// Near misses, the nearest first.
    pub misses: Vec<Miss>,
    /// Ways to miss that had no place in the list.
    pub left_out: u64,
}

/// Searches one capture for near misses of a rule.
pub struct Search<'e> {
    explainer: &'e Explainer<'e>,
    memo: Memo,
    /// What each combination of verdicts comes to.
    known: HashMap<Bits, Known, foldhash::fast::FixedState>,
    misses: BTreeMap<Vec<usize>, Miss>,
    found: Found,
}

#[derive(Clone)]
enum Known {
    True,
    Misses(Arc<[usize]>),
}

impl<'e> Search<'e> {
    /// Begins a capture.
    pub fn new(explainer: &'e Explainer<'e>) -> Self {
        Self {
            memo: explainer.memo(),
            explainer,
            known: HashMap::default(),
            misses: BTreeMap::new(),
            found: Found::default(),
        }
    }

    /// What was found.
    pub fn finish(mut self) -> Found {
        let mut misses: Vec<Miss> = self.misses.into_values().collect();
        misses.sort_by_key(|miss| (miss.distance, miss.other_type, miss.example.event.num));
        self.found.misses = misses;
        self.found
    }

    fn fired(&mut self, context: &EventContext<'_>) {
        let explainer = self.explainer;
        if !explainer.asks(context) {
            return;
        }
        if explainer.earlier(context, &mut self.memo).is_empty() {
            self.found.reported += 1;
            if self.found.first_reported.is_none() {
                self.found.first_reported = Some(explainer.event(context));
            }
        } else {
            self.found.shadowed += 1;
            if self.found.first_shadowed.is_none() {
                self.found.first_shadowed = Some(explainer.explain(context, &mut self.memo));
            }
        }
    }

    fn missed(&mut self, turns: &[usize], context: &EventContext<'_>) {
        let explainer = self.explainer;
        if let Some(miss) = self.misses.get_mut(turns) {
            miss.events += 1;
            miss.saw(explainer, turns, context);
            return;
        }
        if self.misses.len() >= MAX_MISSES {
            self.found.left_out += 1;
            let worst =
                self.misses.iter().max_by_key(|(_, miss)| (miss.distance, miss.other_type, miss.example.event.num));
            let Some((worst, distance)) = worst.map(|(key, miss)| (key.clone(), miss.distance)) else { return };
            if distance <= turns.len() {
                return;
            }
            self.misses.remove(&worst);
        }
        let about_type = |at: &usize| {
            let leaf = explainer.tree.leaves.binary_search(at).ok();
            let fields = leaf.and_then(|leaf| explainer.fields.get(leaf)).map_or(&[][..], Vec::as_slice);
            !fields.is_empty() && fields.iter().all(|(name, _)| matches!(&**name, "evt.type" | "syscall.type"))
        };
        let mut miss = Miss {
            distance: turns.len(),
            other_type: turns.iter().any(about_type),
            events: 1,
            values: Vec::new(),
            example: explainer.explain(context, &mut self.memo),
        };
        miss.saw(explainer, turns, context);
        self.misses.insert(turns.to_vec(), miss);
    }
}

impl Miss {
    /// Takes down the values on an event of the first comparison to turn.
    fn saw(&mut self, explainer: &Explainer<'_>, turns: &[usize], context: &EventContext<'_>) {
        let Some(leaf) = turns.first().and_then(|at| explainer.tree.leaves.binary_search(at).ok()) else { return };
        let values = explainer.values(leaf, context);
        if let Some((_, count)) = self.values.iter_mut().find(|(other, _)| *other == values) {
            *count += 1;
        } else if self.values.len() < MAX_VALUES {
            self.values.push((values, 1));
        }
    }
}

impl Watcher for Search<'_> {
    fn event(&mut self, context: &EventContext<'_>, ledger: &mut Ledger) -> ControlFlow<()> {
        if context.source() != Some(self.explainer.rule().source.as_str()) {
            return ControlFlow::Continue(());
        }
        self.found.of_source += 1;
        if !self.explainer.concerns(context) {
            return ControlFlow::Continue(());
        }
        let asked = self.explainer.ask(context, &mut self.memo);
        if !asked.errors.is_empty() {
            ledger.count(Counter::EvaluationErrors);
        }
        let known = if let Some(known) = self.known.get(&asked.leaves) {
            known.clone()
        } else {
            let verdicts = self.explainer.parts(&asked.leaves);
            let known = match self.explainer.tree.distance(&verdicts) {
                (0, _) => Known::True,
                (_, turns) => Known::Misses(turns.into()),
            };
            if self.known.len() < MAX_VECTORS {
                self.known.insert(asked.leaves, known.clone());
            }
            known
        };
        match known {
            Known::True => self.fired(context),
            Known::Misses(turns) => self.missed(&turns, context),
        }
        ControlFlow::Continue(())
    }
}
