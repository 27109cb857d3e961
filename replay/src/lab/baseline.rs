//! Benign baselines: captures of ordinary work, on which serious rules must not fire; how noisy each rule is there.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use casebook_formats::ledger::{Counter, Ledger};
use casebook_rules::leaf::Memo;
use casebook_rules::priority::Priority;
use casebook_rules::ruleset::{Matching, RuleSet};
use serde::Serialize;

use super::verdicts::{Watcher, watch};
use crate::context::EventContext;
use crate::detect::source_of;
use crate::run::Source;
use crate::summary::CaptureReport;

/// How noisy a rule is.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct Noise {
    /// Its name.
    pub rule: String,
    /// Its priority.
    pub priority: &'static str,
    /// Alerts on all captures.
    pub alerts: u64,
    /// Captures with alerts.
    pub captures: BTreeSet<String>,
    /// It is as strong as what must not fire.
    pub too_strong: bool,
}

/// What a baseline says.
#[derive(Debug)]
pub struct Baseline {
    /// How the captures were read, in their order.
    pub reports: Vec<CaptureReport>,
    /// Rules that fired, the strongest first, then the noisiest.
    pub noise: Vec<Noise>,
}

impl Baseline {
    /// Events of all captures.
    pub fn events(&self) -> u64 {
        self.reports.iter().map(|report| report.events).sum()
    }

    /// Whether a rule fired that must not.
    pub fn failed(&self) -> bool {
        self.noise.iter().any(|noise| noise.too_strong)
    }
}

/// Replays captures and counts the alerts of each rule; rules as strong as `limit` must not fire.
pub fn measure(
    rules: &RuleSet,
    captures: &[Source],
    matching: Matching,
    limit: Priority,
    jobs: usize,
    advance: &(dyn Fn(u64, u64) + Sync),
) -> Baseline {
    let begin =
        |_| Counts { rules, matching, memo: rules.memo(), hits: Vec::new(), by_rule: vec![0; rules.rules().len()] };
    let watched = watch(captures, jobs, advance, begin);
    let mut noise: Vec<Noise> = rules
        .rules()
        .iter()
        .map(|rule| Noise {
            rule: rule.name.clone(),
            priority: rule.priority.name(),
            alerts: 0,
            captures: BTreeSet::new(),
            too_strong: rule.priority <= limit,
        })
        .collect();
    let mut reports = Vec::new();
    for (report, counts) in watched {
        for (noise, count) in noise.iter_mut().zip(&counts.by_rule).filter(|(_, count)| **count > 0) {
            noise.alerts += count;
            noise.captures.insert(report.name.clone());
        }
        reports.push(report);
    }
    let strength = |noise: &Noise| Priority::parse(noise.priority);
    noise.retain(|noise| noise.alerts > 0);
    noise.sort_by(|a, b| {
        (strength(a), std::cmp::Reverse(a.alerts), &a.rule).cmp(&(strength(b), std::cmp::Reverse(b.alerts), &b.rule))
    });
    Baseline { reports, noise }
}

/// Alerts of each rule on one capture.
struct Counts<'r> {
    rules: &'r RuleSet,
    matching: Matching,
    memo: Memo,
    hits: Vec<u32>,
    by_rule: Vec<u64>,
}

impl Watcher for Counts<'_> {
    fn event(&mut self, context: &EventContext<'_>, ledger: &mut Ledger) -> ControlFlow<()> {
        let Some(source) = source_of(self.rules, context) else { return ControlFlow::Continue(()) };
        self.hits.clear();
        let etype = context.event.etype.0;
        let asked = self.rules.matching(context, etype, source, self.matching, &mut self.memo, &mut self.hits);
        if asked.is_err() {
            ledger.count(Counter::EvaluationErrors);
        }
        for hit in &self.hits {
            if let Some(count) = self.by_rule.get_mut(*hit as usize) {
                *count += 1;
            }
        }
        ControlFlow::Continue(())
    }
}
