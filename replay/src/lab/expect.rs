//! Expectations: which rules fire how often, on what, in which order; and whether that is what happened.
//!
//! Read once per case; asked with what fired ([`Fired`]) and what is known of the events ([`Facts`]). That question needs
//! no capture, so it can be asked for every mutant of a rule.

mod read;

use std::collections::{BTreeMap, BTreeSet};

use casebook_rules::compile::Condition;
use casebook_rules::leaf::{Leaves, Memo};
use casebook_rules::schema::FieldRef;
use casebook_rules::source::FileSpan;

use crate::context::EventContext;
use crate::fields::Catalogue;

/// Most conditions of a case: verdicts on them are kept in the bits of a number.
const MAX_CONDITIONS: usize = 64;
/// Most expectations of a case.
const MAX_EXPECTATIONS: usize = 1000;

/// A rule that was true and reported on an event.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Fired {
    /// Number of the capture within the case.
    pub capture: u32,
    /// `evt.num`.
    pub event: u64,
    /// Number of the rule.
    pub rule: u32,
}

/// What happens with alerts that no expectation covers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unexpected {
    /// The case fails.
    Fail,
    /// They are told.
    Warn,
    /// Nothing.
    Ignore,
}

impl Unexpected {
    pub(super) const WORDS: &[(&str, Self)] = &[("fail", Self::Fail), ("warn", Self::Warn), ("ignore", Self::Ignore)];
}

/// A rule, on events on which a condition is true.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pattern {
    rule: u32,
    /// Number of the condition.
    fields: Option<u32>,
}

/// How often.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count {
    pattern: Pattern,
    least: u64,
    most: u64,
    /// Only within this time since the first event of the capture, ns.
    within: Option<u64>,
}

#[derive(Debug)]
pub(super) enum What {
    Count(Count),
    Sequence { steps: Vec<Pattern>, names: Vec<String>, within: Option<u64> },
}

/// One expectation.
#[derive(Debug)]
pub(super) struct Expectation {
    pub(super) what: What,
    /// The element of `expect`.
    pub(super) place: FileSpan,
    /// The key and the value that say how often; absent when neither is written.
    pub(super) count_place: Option<(FileSpan, FileSpan)>,
}

/// What a case expects.
#[derive(Debug)]
pub struct Expectations {
    pub(super) items: Vec<Expectation>,
    /// What happens with alerts that no expectation covers.
    pub unexpected: Unexpected,
    conditions: Vec<Condition>,
    leaves: Leaves,
}

/// What is known of an event beside which rules are true on it.
#[derive(Clone, Copy, Debug)]
struct Fact {
    /// Time since the first event of the capture, ns.
    time: u64,
    /// Verdicts of the conditions.
    verdicts: u64,
}

/// What expectations need to know of events. See [`Expectations::facts`].
#[derive(Debug)]
pub struct Facts<'e> {
    expectations: &'e Expectations,
    memo: Memo,
    of: BTreeMap<(u32, u64), Fact>,
}

impl Facts<'_> {
    /// Looks at an event of a capture of the case. Asked about events that were not shown, expectations with `fields` or
    /// `within` take them for events that do not match.
    pub fn see(&mut self, capture: u32, context: &EventContext<'_>) {
        self.memo.start_event();
        let Expectations { conditions, leaves, .. } = self.expectations;
        let verdict = |condition: &Condition, memo: &mut Memo| condition.eval(leaves, context, memo).unwrap_or(false);
        let mut verdicts = 0;
        for (at, condition) in conditions.iter().enumerate() {
            verdicts |= u64::from(verdict(condition, &mut self.memo)) << at;
        }
        let time = context.event.ts.saturating_sub(context.clock.first_ts);
        self.of.insert((capture, context.event.num), Fact { time, verdicts });
    }

    fn fact(&self, fired: &Fired) -> Option<Fact> {
        self.of.get(&(fired.capture, fired.event)).copied()
    }

    fn matches(&self, pattern: Pattern, fired: &Fired) -> bool {
        fired.rule == pattern.rule
            && pattern.fields.is_none_or(|bit| self.fact(fired).is_some_and(|fact| fact.verdicts >> bit & 1 == 1))
    }

    fn in_time(&self, within: Option<u64>, fired: &Fired) -> bool {
        within.is_none_or(|span| self.fact(fired).is_some_and(|fact| fact.time <= span))
    }
}

/// An expectation that is not met.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Number of the expectation; absent for alerts that none covers.
    pub expectation: Option<usize>,
    /// Number of the rule.
    pub rule: u32,
    /// What was expected, in words.
    pub expected: String,
    /// What there was, in words.
    pub got: String,
    /// The number of alerts it is about, where it is about a number.
    pub count: Option<u64>,
    /// Alerts are missing (there are too few, or a step did not happen).
    pub missed: bool,
    /// Alerts concerned: the ones too many, or those of the rule that did not match.
    pub alerts: Vec<Fired>,
    /// Where there were too few: what came nearest, in lines. Filled in by the runner.
    pub nearest: Vec<String>,
}

impl Expectations {
    pub(super) fn new(unexpected: Unexpected) -> Self {
        Self { items: Vec::new(), unexpected, conditions: Vec::new(), leaves: Leaves::new() }
    }

    /// A collection of facts about the events of a case, empty.
    pub fn facts(&self) -> Facts<'_> {
        Facts { expectations: self, memo: Memo::new(&self.leaves), of: BTreeMap::new() }
    }

    /// Whether these alerts are what is expected. Alerts that nobody expects count where the case says so.
    pub fn met_by(&self, fired: &BTreeSet<Fired>, facts: &Facts<'_>) -> bool {
        let unexpected = self.unexpected == Unexpected::Fail && !self.uncovered(fired, facts).is_empty();
        !unexpected && self.items.iter().all(|item| item.what.check(fired, facts).is_none())
    }

    /// The expectations that are not met; alerts that none covers come last, a failure a rule, whatever
    /// [`Expectations::unexpected`] makes of them.
    pub fn failures(&self, fired: &BTreeSet<Fired>, facts: &Facts<'_>) -> Vec<Failure> {
        let mut failures: Vec<Failure> = Vec::new();
        for (at, item) in self.items.iter().enumerate() {
            if let Some(failure) = item.what.check(fired, facts) {
                failures.push(Failure { expectation: Some(at), ..failure });
            }
        }
        let mut others: BTreeMap<u32, Vec<Fired>> = BTreeMap::new();
        for alert in self.uncovered(fired, facts) {
            others.entry(alert.rule).or_default().push(alert);
        }
        failures.extend(others.into_iter().map(|(rule, alerts)| Failure {
            expectation: None,
            rule,
            expected: "no alert that the case does not expect".to_owned(),
            got: times(alerts.len() as u64),
            count: Some(alerts.len() as u64),
            missed: false,
            alerts,
            nearest: Vec::new(),
        }));
        failures
    }

    /// Rules that some expectation wants to see.
    pub fn wanted_rules(&self) -> BTreeSet<u32> {
        self.items.iter().flat_map(|item| item.what.wanted()).map(|pattern| pattern.rule).collect()
    }

    /// Rules of which some expectation says that they never fire.
    pub fn forbidden_rules(&self) -> BTreeSet<u32> {
        let rule = |item: &Expectation| match &item.what {
            What::Count(count) if count.most == 0 => Some(count.pattern.rule),
            _ => None,
        };
        self.items.iter().filter_map(rule).collect()
    }

    /// The condition of an expectation's `fields`.
    pub(super) fn fields_of(&self, expectation: usize) -> Option<u32> {
        match &self.items.get(expectation)?.what {
            What::Count(count) => count.pattern.fields,
            What::Sequence { .. } => None,
        }
    }

    /// The comparisons of a condition on whose verdict its failure on an event rests, with the values of their fields.
    pub(super) fn failing(&self, condition: u32, context: &EventContext<'_>) -> Vec<String> {
        let Some(condition) = self.conditions.get(condition as usize) else { return Vec::new() };
        let verdict = |leaf| self.leaves.evaluate(leaf, context).unwrap_or(false);
        let decides = |leaf| condition.decide(&mut |other| verdict(other) != (other == leaf));
        let all: BTreeSet<_> = condition.leaves().collect();
        // One that alone would turn the verdict; where there is none, every one that is false.
        let alone: Vec<_> = all.iter().copied().filter(|leaf| decides(*leaf)).collect();
        let told = if alone.is_empty() { all.into_iter().filter(|leaf| !verdict(*leaf)).collect() } else { alone };
        let line = |leaf| {
            let values: Vec<String> = self.leaves.fields(leaf).iter().map(|field| seen(field, context)).collect();
            format!("  {}: {}   ({})", verdict(leaf), self.leaves.text(leaf), values.join(", "))
        };
        told.into_iter().map(line).collect()
    }

    /// Alerts that no expectation wants.
    fn uncovered(&self, fired: &BTreeSet<Fired>, facts: &Facts<'_>) -> Vec<Fired> {
        let wanted: Vec<Pattern> = self.items.iter().flat_map(|item| item.what.wanted()).collect();
        fired.iter().filter(|alert| !wanted.iter().any(|pattern| facts.matches(*pattern, alert))).copied().collect()
    }
}

impl What {
    /// The alerts it covers.
    fn wanted(&self) -> Vec<Pattern> {
        match self {
            Self::Count(count) if count.most == 0 => Vec::new(),
            Self::Count(count) => vec![count.pattern],
            Self::Sequence { steps, .. } => steps.clone(),
        }
    }

    /// Why it is not met; nothing when it is. Whoever asks knows the number of the expectation.
    fn check(&self, fired: &BTreeSet<Fired>, facts: &Facts<'_>) -> Option<Failure> {
        match self {
            Self::Count(count) => count.check(fired, facts),
            Self::Sequence { steps, names, within } => {
                let reached = in_order(steps, *within, fired, facts)?;
                let got = match steps.get(reached) {
                    Some(_) if reached == 0 => "the first step did not happen".to_owned(),
                    Some(_) => format!("step {} did not follow", reached + 1),
                    None => "it took longer".to_owned(),
                };
                let in_time = within.map_or_else(String::new, |within| format!(", within {}", seconds(within)));
                Some(Failure {
                    expectation: None,
                    rule: steps.get(reached).or(steps.first()).map_or(0, |step| step.rule),
                    expected: format!("in this order: {}{in_time}", names.join(", then ")),
                    got,
                    count: None,
                    missed: reached < steps.len(),
                    alerts: Vec::new(),
                    nearest: Vec::new(),
                })
            }
        }
    }
}

impl Count {
    fn check(&self, fired: &BTreeSet<Fired>, facts: &Facts<'_>) -> Option<Failure> {
        let Self { pattern, least, most, within } = *self;
        let fits = |alert: &Fired| facts.matches(pattern, alert) && facts.in_time(within, alert);
        let got = fired.iter().filter(|alert| fits(alert)).count() as u64;
        if (least..=most).contains(&got) {
            return None;
        }
        let mut expected = match (least, most) {
            (0, 0) => "never".to_owned(),
            (least, most) if least == most => format!("exactly {}", times(least)),
            (least, u64::MAX) => format!("at least {}", times(least)),
            (0, most) => format!("at most {}", times(most)),
            (least, most) => format!("{least} to {}", times(most)),
        };
        if pattern.fields.is_some() {
            expected.push_str(" where the fields match");
        }
        if let Some(within) = within {
            expected.push_str(" within ");
            expected.push_str(&seconds(within));
        }
        // Too many: those. Too few: the rule's others, of which one may have been meant.
        let too_many = got > most;
        let alerts =
            fired.iter().filter(|alert| alert.rule == pattern.rule && fits(alert) == too_many).copied().collect();
        let rule = pattern.rule;
        Some(Failure {
            expectation: None,
            rule,
            expected,
            got: times(got),
            count: Some(got),
            missed: !too_many,
            alerts,
            nearest: Vec::new(),
        })
    }
}

/// Whether the steps happen in order, on one capture, within the time; otherwise how many did at best. Steps may share an
/// event only where the order of the rules is that of the steps.
fn in_order(steps: &[Pattern], within: Option<u64>, fired: &BTreeSet<Fired>, facts: &Facts<'_>) -> Option<usize> {
    let (first, rest) = steps.split_first()?;
    let mut best = 0;
    for start in fired.iter().filter(|alert| facts.matches(*first, alert)) {
        let (mut last, mut reached) = (*start, 1);
        for step in rest {
            let mut later = fired.range((std::ops::Bound::Excluded(last), std::ops::Bound::Unbounded));
            let next = later.find(|alert| alert.capture == start.capture && facts.matches(*step, alert));
            let Some(next) = next else { break };
            last = *next;
            reached += 1;
        }
        best = best.max(reached);
        let time = |alert: &Fired| facts.fact(alert).map_or(0, |fact| fact.time);
        if reached == steps.len() && within.is_none_or(|span| time(&last).saturating_sub(time(start)) <= span) {
            return None;
        }
    }
    Some(best)
}

/// A field with its value.
fn seen(field: &FieldRef, context: &EventContext<'_>) -> String {
    let name = Catalogue::new().written(field);
    match super::verdicts::value(context, field) {
        Some(value) => format!("{name} = {value}"),
        None => format!("{name} has no value"),
    }
}

/// `once`, `3 times`.
fn times(n: u64) -> String {
    match n {
        0 => "not at all".to_owned(),
        1 => "once".to_owned(),
        n => format!("{n} times"),
    }
}

/// `1.5 s`.
fn seconds(ns: u64) -> String {
    let text = format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000);
    format!("{} s", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_words() {
        assert_eq!((times(0), times(1), times(2)), ("not at all".to_owned(), "once".to_owned(), "2 times".to_owned()));
        assert_eq!((seconds(1_500_000_000), seconds(10_000_000_000)), ("1.5 s".to_owned(), "10 s".to_owned()));
    }
}
