//! Absent is visible: which alerts rest on facts that the capture does not tell.
//!
//! A comparison with a field that has no value is false, and `not container.image.repository in (...)` is then true of
//! a container of which no image is known. Falco alerts, and so do we; this module finds out whether the verdict could
//! have been the other way round, and by which fields. It is asked about alerts only, so events that match no rule
//! cost nothing; and only about what container events tell, because that is what whole captures lack.

use std::collections::BTreeSet;

use casebook_rules::leaf::{LeafId, Memo};
use casebook_rules::ruleset::RuleSet;
use casebook_rules::schema::FieldRef;

use crate::context::EventContext;
use crate::fields::{Catalogue, container};

/// Where in a ruleset the fields stand that a capture may not tell.
#[derive(Debug)]
pub(crate) struct Untold {
    /// Fields of each leaf that are about containers, by the leaf's number.
    by_leaf: Vec<Box<[FieldRef]>>,
    /// Whether a rule has such a leaf, by the rule's number.
    concerned: Vec<bool>,
}

impl Untold {
    pub(crate) fn new(rules: &RuleSet) -> Self {
        let about_containers =
            |leaf| rules.leaves().fields(LeafId(leaf)).into_iter().filter(container::is_about).collect();
        let by_leaf: Vec<Box<[FieldRef]>> = (0..rules.leaves().len() as u32).map(about_containers).collect();
        let names_some = |leaf: LeafId| by_leaf.get(leaf.0 as usize).is_some_and(|fields| !fields.is_empty());
        let concerned = rules.rules().iter().map(|rule| rule.condition.leaves().any(names_some)).collect();
        Self { by_leaf, concerned }
    }

    /// The fields without a value on which the verdict of `rule` rests, which is true on the event: with other values
    /// of theirs it could be false. `memo` holds the verdicts of the event. Names as written, sorted.
    pub(crate) fn fields(&self, rules: &RuleSet, rule: u32, memo: &Memo, context: &EventContext<'_>) -> Vec<String> {
        let number = rule as usize;
        let Some(rule) = rules.rules().get(number).filter(|_| self.concerned.get(number) == Some(&true)) else {
            return Vec::new();
        };
        let untold = |leaf: LeafId| {
            let fields = self.by_leaf.get(leaf.0 as usize).map_or(&[][..], |fields| fields);
            fields.iter().filter(|field| container::is_untold(context, field))
        };
        let leaves = rule.condition.undecided(&mut |leaf| {
            if untold(leaf).next().is_some() {
                return None;
            }
            // A leaf behind an untold one may not have been asked yet; where Falco would abort, nothing is certain.
            memo.get(leaf).or_else(|| rules.leaves().evaluate(leaf, context).ok())
        });
        let names: BTreeSet<String> =
            leaves.into_iter().flat_map(untold).map(|field| Catalogue::new().written(field)).collect();
        names.into_iter().collect()
    }
}
