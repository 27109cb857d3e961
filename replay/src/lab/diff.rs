//! Diff: what new rules say of captures that the old ones did not, and the other way round.
//!
//! Both rulesets look at every event of one replay. Alerts are the same when event and rule are; then their text and
//! priority are compared. [`meaning`] compares the rules themselves by what they come to, so that a reordered list, a
//! renamed macro or a condition laid out anew is no change. [`text`] prints. Cost is counted in comparisons that the
//! evaluation comes to: a number that does not depend on the machine.

pub mod meaning;
pub mod text;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use casebook_formats::ledger::{Counter, Ledger};
use casebook_rules::leaf::{LeafId, Memo};
use casebook_rules::ruleset::{Matching, RuleSet};
use serde::Serialize;

use super::verdicts::{Watcher, watch};
use crate::context::EventContext;
use crate::detect::source_of;
use crate::run::Source;
use crate::summary::{CaptureReport, iso_time};

/// Alerts of one capture that differ and are kept with their texts; more are counted only.
const MAX_KEPT: usize = 20_000;
/// Longest text of an alert that is kept, in bytes.
const MAX_TEXT: usize = 16 << 10;

/// How an alert differs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// Only the new rules give it.
    Gained,
    /// Only the old rules give it.
    Lost,
    /// Both do, with another text or priority.
    Changed,
}

impl Difference {
    /// One word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gained => "gained",
            Self::Lost => "lost",
            Self::Changed => "changed",
        }
    }
}

/// An alert that differs.
#[derive(Clone, Serialize, Debug)]
pub struct AlertChange {
    /// How.
    pub difference: Difference,
    /// The capture.
    pub capture: String,
    /// `evt.num`.
    pub event: u64,
    /// Time, UTC.
    pub time: String,
    /// The rule.
    pub rule: String,
    /// What the old rules say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// What the new rules say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
    /// The rules that the other side reports on the event.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub instead: Vec<String>,
}

/// What a rule says and costs, before and after.
#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Debug)]
pub struct Noise {
    /// Alerts with the old rules.
    pub old: u64,
    /// Alerts with the new rules.
    pub new: u64,
    /// Alerts that only the new rules give.
    pub gained: u64,
    /// Alerts that only the old rules give.
    pub lost: u64,
    /// Alerts that read otherwise.
    pub changed: u64,
    /// Comparisons that the evaluation of the old rule came to.
    pub old_cost: u64,
    /// Those of the new one.
    pub new_cost: u64,
}

/// What differs.
#[derive(Debug)]
pub struct Diff {
    /// By rule.
    pub rules: BTreeMap<String, Noise>,
    /// The alerts that differ, in the order of captures and events.
    pub alerts: Vec<AlertChange>,
    /// Those that were counted only.
    pub not_kept: u64,
    /// How the captures fared.
    pub reports: Vec<CaptureReport>,
}

impl Diff {
    /// How many alerts were gained, lost and changed.
    pub fn totals(&self) -> [u64; 3] {
        self.rules.values().fold([0; 3], |[gained, lost, changed], noise| {
            [gained + noise.gained, lost + noise.lost, changed + noise.changed]
        })
    }
}

/// Replays captures, `jobs` at a time, before both rulesets.
pub fn run(
    old: &RuleSet,
    new: &RuleSet,
    matching: Matching,
    captures: &[Source],
    jobs: usize,
    advance: &(dyn Fn(u64, u64) + Sync),
) -> Diff {
    let watched = watch(captures, jobs, advance, |index| Both {
        capture: captures.get(index).map(Source::name).unwrap_or_default(),
        old: Side::new(old, matching),
        new: Side::new(new, matching),
        rules: BTreeMap::new(),
        alerts: Vec::new(),
        not_kept: 0,
    });
    let mut diff = Diff { rules: BTreeMap::new(), alerts: Vec::new(), not_kept: 0, reports: Vec::new() };
    for rule in old.rules().iter().chain(new.rules()) {
        diff.rules.entry(rule.name.clone()).or_default();
    }
    for (report, both) in watched {
        for (name, noise) in both.rules {
            let entry = diff.rules.entry(name).or_default();
            entry.old += noise.old;
            entry.new += noise.new;
            entry.gained += noise.gained;
            entry.lost += noise.lost;
            entry.changed += noise.changed;
        }
        for (side, is_new) in [(both.old, false), (both.new, true)] {
            for (rule, cost) in side.rules.rules().iter().zip(side.cost) {
                let entry = diff.rules.entry(rule.name.clone()).or_default();
                *(if is_new { &mut entry.new_cost } else { &mut entry.old_cost }) += cost;
            }
        }
        diff.alerts.extend(both.alerts);
        diff.not_kept += both.not_kept;
        diff.reports.push(report);
    }
    diff
}

/// One ruleset at work on one capture.
struct Side<'r> {
    rules: &'r RuleSet,
    matching: Matching,
    memo: Memo,
    /// Comparisons come to, by rule.
    cost: Vec<u64>,
    fired: Vec<u32>,
}

impl<'r> Side<'r> {
    fn new(rules: &'r RuleSet, matching: Matching) -> Self {
        Self { rules, matching, memo: rules.memo(), cost: vec![0; rules.rules().len()], fired: Vec::new() }
    }

    /// The rules to report on an event; false where Falco aborts.
    fn ask(&mut self, context: &EventContext<'_>) -> bool {
        self.fired.clear();
        let Self { rules, memo, .. } = self;
        let Some(source) = source_of(rules, context) else { return true };
        memo.start_event();
        for &number in rules.candidates(source, context.event.etype.0) {
            let Some(rule) = rules.rules().get(number as usize) else { continue };
            let mut steps = 0;
            let verdict = rule.condition.walk(&mut |_, leaf: LeafId| {
                steps += 1;
                rules.leaves().ask(leaf, context, memo)
            });
            if let Some(cost) = self.cost.get_mut(number as usize) {
                *cost += steps;
            }
            match verdict {
                Err(_) => return false,
                Ok(false) => {}
                Ok(true) => {
                    self.fired.push(number);
                    if self.matching == Matching::First {
                        break;
                    }
                }
            }
        }
        true
    }

    /// What the rules say that fired, by their names.
    fn alerts(&self, context: &EventContext<'_>) -> BTreeMap<&'r str, String> {
        let alert = |number: &u32| {
            let rule = self.rules.rules().get(*number as usize)?;
            let mut text = format!("{} ", rule.priority.name()).into_bytes();
            rule.output.render_text(context, &mut text);
            text.truncate(MAX_TEXT);
            Some((rule.name.as_str(), String::from_utf8_lossy(&text).into_owned()))
        };
        self.fired.iter().filter_map(alert).collect()
    }
}

/// Both rulesets at work on one capture.
struct Both<'r> {
    capture: String,
    old: Side<'r>,
    new: Side<'r>,
    rules: BTreeMap<String, Noise>,
    alerts: Vec<AlertChange>,
    not_kept: u64,
}

impl Watcher for Both<'_> {
    fn event(&mut self, context: &EventContext<'_>, ledger: &mut Ledger) -> ControlFlow<()> {
        let whole = self.old.ask(context) & self.new.ask(context);
        if !whole {
            ledger.count(Counter::EvaluationErrors);
        }
        if !self.old.fired.is_empty() || !self.new.fired.is_empty() {
            self.compare(context);
        }
        ControlFlow::Continue(())
    }
}

impl Both<'_> {
    fn compare(&mut self, context: &EventContext<'_>) {
        let (old, new) = (self.old.alerts(context), self.new.alerts(context));
        let names: std::collections::BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
        for name in names {
            let noise = self.rules.entry(name.to_owned()).or_default();
            let (before, after) = (old.get(name), new.get(name));
            noise.old += u64::from(before.is_some());
            noise.new += u64::from(after.is_some());
            let difference = match (before, after) {
                (None, Some(_)) => Difference::Gained,
                (Some(_), None) => Difference::Lost,
                (Some(before), Some(after)) if before != after => Difference::Changed,
                _ => continue,
            };
            match difference {
                Difference::Gained => noise.gained += 1,
                Difference::Lost => noise.lost += 1,
                Difference::Changed => noise.changed += 1,
            }
            if self.alerts.len() >= MAX_KEPT {
                self.not_kept += 1;
                continue;
            }
            let others = match difference {
                Difference::Gained => &old,
                Difference::Lost => &new,
                Difference::Changed => &BTreeMap::new(),
            };
            self.alerts.push(AlertChange {
                difference,
                capture: self.capture.clone(),
                event: context.event.num,
                time: iso_time(context.event.ts),
                rule: name.to_owned(),
                old: before.cloned(),
                new: after.cloned(),
                instead: others.keys().map(|name| (*name).to_owned()).collect(),
            });
        }
    }
}
