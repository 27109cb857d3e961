//! Running cases: captures through state and rules, what fired held against what was expected.
//!
//! [`Suite`] → one [`Outcome`] a case, in the order of the cases, whatever the number of threads and the order in which
//! they are run. An outcome says nothing about the machine it was made on.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use casebook_formats::ledger::{Counter, Ledger, Severity};
use casebook_rules::default_rules::is_about_vocabulary;
use casebook_rules::ruleset::RuleSet;

use super::case::{Case, CaseCapture};
use super::expect::{Failure, Fired, Unexpected};
use super::suite::Suite;
use super::why;
use crate::audit::join::{Clocks, Requests};
use crate::context::EventContext;
use crate::detect::source_of;
use crate::engine::Replay;
use crate::run::Source;

/// Stack of a worker: conditions nest, and the depth that the rule language allows has to fit with room to spare.
const STACK: usize = 16 << 20;
/// Alerts of a case whose text is kept; more are counted.
const MAX_TEXTS: usize = 10_000;

/// How a case ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Everything is as expected.
    Passed,
    /// Something is not.
    Failed,
    /// Something it requires is not there.
    Skipped(String),
    /// A capture cannot be read.
    Broken(String),
}

/// An alert of a case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alert {
    /// Its time, ns since the epoch.
    pub time: u64,
    /// Its output.
    pub output: String,
}

/// What became of a case.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub verdict: Verdict,
    /// Expectations that are not met, and alerts that nobody expects.
    pub failures: Vec<Failure>,
    /// What is worth knowing and no failure.
    pub warnings: Vec<String>,
    /// Codes and counters that `warnings:` of the case is about, sorted.
    pub anomalies: Vec<String>,
    /// What fired, with its alert.
    pub alerts: BTreeMap<Fired, Alert>,
    /// Events of all captures.
    pub events: u64,
}

impl Outcome {
    fn ended(verdict: Verdict) -> Self {
        Self {
            verdict,
            failures: Vec::new(),
            warnings: Vec::new(),
            anomalies: Vec::new(),
            alerts: BTreeMap::new(),
            events: 0,
        }
    }
}

/// Runs all cases, `jobs` at a time, begun in the order given; outcomes come in the order of the cases. `done` hears of
/// each.
pub fn run(suite: &Suite, jobs: usize, order: &[usize], done: &(dyn Fn(usize) + Sync)) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let outcomes: Vec<Mutex<Option<Outcome>>> = suite.cases.iter().map(|_| Mutex::new(None)).collect();
    let work = || {
        while let Some(&number) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (Some(case), Some(outcome)) = (suite.cases.get(number), outcomes.get(number)) else { continue };
            let result = run_case(suite, case);
            *outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            done(number);
        }
    };
    thread::scope(|scope| {
        let started = (0..jobs.clamp(1, order.len().max(1)))
            .filter(|n| {
                thread::Builder::new().name(format!("case-{n}")).stack_size(STACK).spawn_scoped(scope, work).is_ok()
            })
            .count();
        if started == 0 {
            // The system gives us no thread: this one has to do.
            work();
        }
    });
    outcomes
        .into_iter()
        .map(|outcome| outcome.into_inner().unwrap_or_else(PoisonError::into_inner))
        .map(|outcome| outcome.unwrap_or_else(|| Outcome::ended(Verdict::Skipped("not asked for".to_owned()))))
        .collect()
}

/// Runs one case.
pub fn run_case(suite: &Suite, case: &Case) -> Outcome {
    if let Some(reason) = &case.skip {
        return Outcome::ended(Verdict::Skipped(reason.clone()));
    }
    let Some(rules) = suite.ruleset(case) else {
        return Outcome::ended(Verdict::Broken("its rules do not load".to_owned()));
    };
    let (mut facts, mut alerts, mut ledger, mut events) = (case.expect.facts(), BTreeMap::new(), Ledger::default(), 0);
    let requests = requests(case);
    for (number, capture) in (0_u32..).zip(&case.captures) {
        let facts = &mut facts;
        let mut look =
            Look { rules, case, capture: number, facts, alerts: &mut alerts, aborted: 0, requests: &requests };
        match look.replay(capture, rules, &mut ledger) {
            Ok(seen) => events += seen,
            Err(error) => return Outcome::ended(Verdict::Broken(error)),
        }
    }
    let fired: BTreeSet<Fired> = alerts.keys().copied().collect();
    let mut failures = case.expect.failures(&fired, &facts);
    let mut warnings = Vec::new();
    if case.expect.unexpected != Unexpected::Fail {
        let name = |failure: &Failure| rules.rules().get(failure.rule as usize).map_or("", |rule| &rule.name);
        let others = failures.iter().filter(|failure| failure.expectation.is_none());
        if case.expect.unexpected == Unexpected::Warn {
            warnings.extend(others.map(|failure| format!("unexpected: {} {}", name(failure), failure.got)));
        }
        failures.retain(|failure| failure.expectation.is_some());
    }
    for failure in failures.iter_mut().filter(|failure| failure.missed) {
        failure.nearest = why::too_few(suite, case, failure);
    }
    let anomalies = anomalies(suite, case, &ledger);
    let mut verdict = if failures.is_empty() { Verdict::Passed } else { Verdict::Failed };
    match &case.warnings {
        None => warnings.extend(anomalies.iter().map(|anomaly| format!("warning {anomaly}"))),
        Some(expected) => {
            let expected: BTreeSet<&str> = expected.iter().map(String::as_str).collect();
            let got: BTreeSet<&str> = anomalies.iter().map(String::as_str).collect();
            let missing = expected.difference(&got).map(|name| format!("expected the warning {name}; it did not come"));
            let other = got.difference(&expected).map(|name| format!("the warning {name} is not expected"));
            let wrong: Vec<String> = missing.chain(other).collect();
            if !wrong.is_empty() {
                verdict = Verdict::Failed;
            }
            warnings.extend(wrong);
        }
    }
    drop(facts);
    Outcome { verdict, failures, warnings, anomalies, alerts, events }
}

/// Who asked for what runs in the pods of a case that has an audit log beside a capture.
fn requests(case: &Case) -> Arc<Requests> {
    if case.captures.len() < 2 {
        return Arc::default();
    }
    let sources: Vec<Source> = case.captures.iter().map(CaseCapture::source).collect();
    Arc::new(Requests::read(&sources, &[], Clocks::default()).map(|read| read.requests).unwrap_or_default())
}

/// Warnings about the rules of a case, and findings of the ledger that are worse than information.
fn anomalies(suite: &Suite, case: &Case, ledger: &Ledger) -> Vec<String> {
    let mut names = BTreeSet::new();
    if let Some(book) = suite.rules.get(case.rules) {
        for diagnostic in book.outcome.distinct() {
            if !diagnostic.is_error() && !is_about_vocabulary(diagnostic, &book.outcome) {
                names.insert(diagnostic.code.name().to_owned());
            }
        }
    }
    let findings = ledger.findings().filter(|(counter, _)| counter.severity != Severity::Info);
    names.extend(findings.map(|(counter, _)| counter.name.to_owned()));
    names.into_iter().collect()
}

/// One capture of a case at work.
struct Look<'l, 'e> {
    rules: &'l RuleSet,
    case: &'l Case,
    capture: u32,
    facts: &'l mut super::expect::Facts<'e>,
    alerts: &'l mut BTreeMap<Fired, Alert>,
    aborted: u64,
    requests: &'l Arc<Requests>,
}

impl Look<'_, '_> {
    fn replay(&mut self, capture: &CaseCapture, rules: &RuleSet, ledger: &mut Ledger) -> Result<u64, String> {
        let mut reader = capture.source().open()?;
        let mut replay = Replay::new().joined(self.requests);
        let (mut memo, mut hits) = (rules.memo(), Vec::new());
        let end = replay.run(&mut reader, |context| {
            hits.clear();
            let Some(source) = source_of(rules, context) else { return ControlFlow::Continue(()) };
            let etype = context.event.etype.0;
            if rules.matching(context, etype, source, self.case.matching, &mut memo, &mut hits).is_err() {
                self.aborted += 1;
            }
            if !hits.is_empty() {
                self.alert(context, &hits);
            }
            ControlFlow::Continue(())
        });
        ledger.merge(&replay.ledger(&reader));
        ledger.add(Counter::EvaluationErrors, self.aborted);
        end.map(|_| replay.position().events).map_err(|error| error.to_string())
    }

    fn alert(&mut self, context: &EventContext<'_>, hits: &[u32]) {
        self.facts.see(self.capture, context);
        for &rule in hits {
            let mut output = Vec::new();
            if self.alerts.len() < MAX_TEXTS
                && let Some(rule) = self.rules.rules().get(rule as usize)
            {
                rule.output.render_text(context, &mut output);
            }
            let fired = Fired { capture: self.capture, event: context.event.num, rule };
            let output = String::from_utf8_lossy(&output).into_owned();
            self.alerts.insert(fired, Alert { time: context.event.ts, output });
        }
    }
}
