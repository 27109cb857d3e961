//! Mutation score: which changes to the rules would no case notice?
//!
//! A *mutant* is the ruleset with one change at one place of its text: a comparison dropped or negated, `and` and `or`
//! swapped, an operator replaced by its neighbour, an element taken out of a list, an exception or one of its entries
//! removed. A change in a macro or a list changes every rule that uses it, as it does for the person who edits it.
//!
//! A case *notices* a mutant when its expectations, met with the rules as they are, would not be met with the mutant. A
//! capture without expectations stands for a case that expects exactly the alerts there are. What nobody notices
//! survives. Only what is reported counts: with first-match rules a difference behind an earlier rule is none.
//!
//! `operators` makes the mutants, `record` replays each capture once and asks for all of them at the same time,
//! [`text`] prints. No capture is replayed once per mutant: a mutant is one more condition over verdicts that are there.

mod operators;
mod record;
pub mod text;

use std::collections::{BTreeMap, BTreeSet};

use casebook_rules::ruleset::{Matching, RuleSet};
use casebook_rules::source::Sources;
use serde::Serialize;

use super::case::Case;
use super::verdicts::{Place, Step};
use crate::run::Source;

/// Kinds of changes, each with its name, what it does, and how to notice it.
macro_rules! kinds {
    ($($variant:ident $name:literal $does:literal $kill:literal;)*) => {
        /// What a mutant changes.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[allow(missing_docs)] // the table below is the documentation
        pub enum Kind { $($variant,)* }

        impl Kind {
            /// All of them, in the order of reports.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name in JSON.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What happened to the text at its place.
            pub const fn does(self) -> &'static str {
                match self { $(Self::$variant => $does,)* }
            }

            /// What test would notice it.
            pub const fn kill(self) -> &'static str {
                match self { $(Self::$variant => $kill,)* }
            }
        }
    };
}

kinds! {
    Drop "comparison_dropped" "dropped"
        "an event that differs from one that the rule fires on (or keeps silent on) in this comparison only";
    Negate "comparison_negated" "negated"
        "an event on which all rests on this comparison";
    Swap "and_or_swapped" "swapped and/or"
        "an event on which only some of these parts are true, and nothing else decides";
    Operator "operator_changed" "operator changed"
        "an event whose value lies between the two: it fits one operator and not the other";
    Element "element_removed" "removed from the list"
        "an event whose value is this element, and on which nothing else decides";
    Exception "exception_removed" "exception removed"
        "an event that the exception is made for: with it the rule keeps silent";
    ExceptionEntry "exception_entry_removed" "entry of an exception removed"
        "an event that fits this entry and no other: with it the rule keeps silent";
}

/// What became of a mutant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// A case notices it.
    Noticed,
    /// Alerts change in some case, whose expectations allow both.
    Allowed,
    /// A rule's verdict changes, but only where an earlier rule is reported.
    Hidden,
    /// No event tells it from the rules as they are.
    Unseen,
}

impl Fate {
    /// Why a mutant survived, in words.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Noticed => "a case notices it",
            Self::Allowed => {
                "alerts change, but the cases that see it allow both: pin the number of alerts or forbid others"
            }
            Self::Hidden => "the verdict changes, but only on events for which an earlier rule is reported",
            Self::Unseen => "no event of any case tells them apart",
        }
    }
}

/// A change to the rules, and what became of it.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// What kind of change.
    pub kind: Kind,
    /// The text that is changed, and for operators what it becomes.
    pub what: String,
    /// Where it stands.
    pub place: Option<Place>,
    /// What it came through in the first rule that it changes.
    pub way: Vec<Step>,
    /// The rules that it changes, by number.
    pub rules: Vec<u32>,
    /// What became of it.
    pub fate: Fate,
    /// The first case that notices it, or, of those that allow it, sees it.
    pub case: Option<usize>,
}

/// What is tried on the mutants.
#[derive(Clone, Copy, Debug)]
pub enum Trial<'c> {
    /// A case of the test runner.
    Case(&'c Case),
    /// A capture that expects exactly the alerts there are.
    Capture(&'c Source),
}

impl Trial<'_> {
    /// How it is called.
    pub fn name(&self) -> String {
        match self {
            Self::Case(case) => case.name.clone(),
            Self::Capture(source) => source.name(),
        }
    }

    fn matching(&self) -> Matching {
        match self {
            Self::Case(case) => case.matching,
            Self::Capture(_) => Matching::First,
        }
    }
}

/// The mutants of a ruleset after all trials.
#[derive(Debug)]
pub struct Score {
    /// The mutants, by place.
    pub mutants: Vec<Mutant>,
    /// Names of the trials.
    pub trials: Vec<String>,
    /// Trials that say nothing, and why: they fail with the rules as they are, or cannot be read.
    pub useless: Vec<(String, String)>,
    /// Changes that were not tried because there are too many.
    pub left_out: usize,
    /// Names of the rules.
    pub rules: Vec<String>,
    /// Events replayed.
    pub events: u64,
}

/// How many mutants there are, and how many were noticed.
#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Debug)]
pub struct Tally {
    /// Mutants.
    pub mutants: usize,
    /// Those that were noticed.
    pub noticed: usize,
}

impl Tally {
    fn count(&mut self, fate: Fate) {
        self.mutants += 1;
        self.noticed += usize::from(fate == Fate::Noticed);
    }

    /// In percent, rounded down to tenths so that 85 % is not claimed of 84.96; 100 where there is nothing to notice.
    pub fn percent(self) -> f64 {
        (self.noticed * 1000).checked_div(self.mutants).map_or(100.0, |tenths| tenths as f64 / 10.0)
    }
}

impl Score {
    /// Leaves only the mutants that change one of these rules, by number, and what they do to them.
    pub fn retain(&mut self, rules: &BTreeSet<u32>) {
        self.mutants.iter_mut().for_each(|mutant| mutant.rules.retain(|rule| rules.contains(rule)));
        self.mutants.retain(|mutant| !mutant.rules.is_empty());
    }

    /// All mutants together.
    pub fn total(&self) -> Tally {
        let mut tally = Tally::default();
        self.mutants.iter().for_each(|mutant| tally.count(mutant.fate));
        tally
    }

    /// By kind.
    pub fn kinds(&self) -> BTreeMap<Kind, Tally> {
        let mut kinds = BTreeMap::<_, Tally>::new();
        self.mutants.iter().for_each(|mutant| kinds.entry(mutant.kind).or_default().count(mutant.fate));
        kinds
    }

    /// By rule, in load order: a mutant of a macro counts for each rule that it changes.
    pub fn by_rule(&self) -> BTreeMap<u32, Tally> {
        let mut rules = BTreeMap::<_, Tally>::new();
        for mutant in &self.mutants {
            mutant.rules.iter().for_each(|rule| rules.entry(*rule).or_default().count(mutant.fate));
        }
        rules
    }

    /// Those that nobody noticed.
    pub fn survivors(&self) -> impl Iterator<Item = &Mutant> {
        self.mutants.iter().filter(|mutant| mutant.fate != Fate::Noticed)
    }
}

/// Makes the mutants of a ruleset and tries them, `jobs` trials at a time. `sources` are those of the load; `advance`
/// hears of bytes read and events replayed.
pub fn run(
    rules: &RuleSet,
    sources: &Sources,
    trials: &[Trial<'_>],
    jobs: usize,
    advance: &(dyn Fn(u64, u64) + Sync),
) -> Score {
    let plan = operators::plan(rules, sources);
    record::run(rules, plan, trials, jobs, advance)
}
