//! The trials: every capture is replayed once, and every event asked for the rules and all their mutants.
//!
//! On an event each rule gives a combination of verdicts; what follows from a combination (is the rule true, which
//! mutants disagree) is found out once and remembered, for all captures together. Kept are the events on which some rule
//! is true or some mutant disagrees. Then each mutant's alerts are worked out from these rows and held against the
//! expectations.

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use casebook_formats::ledger::{Counter, Ledger};
use casebook_rules::compile::Condition;
use casebook_rules::evttypes::EventTypeSet;
use casebook_rules::leaf::{LeafId, Memo};
use casebook_rules::ruleset::{Matching, RuleSet};
use casebook_rules::schema::Schema;

use super::operators::{Plan, RulePlan};
use super::{Fate, Score, Trial};
use crate::context::EventContext;
use crate::fields::Catalogue;
use crate::lab::case::CaseCapture;
use crate::lab::expect::{Facts, Fired};
use crate::lab::verdicts::{Bits, MAX_VECTORS, Watcher, each, one};
use crate::run::Source;
use crate::summary::Completeness;

/// Rows of all captures of a trial; more are left out, and the trial says so.
const MAX_ROWS: usize = 4_000_000;

/// What follows from a combination of verdicts of one rule.
#[derive(Debug)]
struct Sequel {
    /// The rule is true.
    truth: bool,
    /// Mutants that disagree, sorted.
    mutants: Box<[u32]>,
}

/// What each combination comes to; `None` where the rule is false and nobody disagrees.
type Known = HashMap<(u16, Bits), Option<Arc<Sequel>>, foldhash::fast::FixedState>;

/// A rule of interest on an event.
struct Row {
    capture: u32,
    event: u64,
    rule: u32,
    sequel: Arc<Sequel>,
}

/// What all trials share.
struct Shared<'s> {
    plan: &'s Plan,
    known: Vec<Mutex<Known>>,
    asynchronous: Vec<u16>,
}

/// One capture at work.
struct Recorder<'r, 'f> {
    shared: &'r Shared<'r>,
    capture: u32,
    facts: Option<&'r mut Facts<'f>>,
    memo: Memo,
    rows: Vec<Row>,
    overflow: bool,
}

impl Watcher for Recorder<'_, '_> {
    fn event(&mut self, context: &EventContext<'_>, ledger: &mut Ledger) -> ControlFlow<()> {
        let etype = context.event.etype;
        let Some(source) = context.source() else { return ControlFlow::Continue(()) };
        self.memo.start_event();
        let before = self.rows.len();
        let mut aborted = false;
        for (rule, known) in self.shared.plan.rules.iter().zip(&self.shared.known) {
            if *rule.source != *source {
                continue;
            }
            let (bits, error) = self.ask(rule, context);
            aborted |= error;
            let Some(sequel) = self.sequel(rule, known, etype.0, bits) else { continue };
            if self.rows.len() >= MAX_ROWS {
                self.overflow = true;
                break;
            }
            self.rows.push(Row { capture: self.capture, event: context.event.num, rule: rule.number, sequel });
        }
        if aborted {
            ledger.count(Counter::EvaluationErrors);
        }
        if self.rows.len() > before
            && let Some(facts) = &mut self.facts
        {
            facts.see(self.capture, context);
        }
        ControlFlow::Continue(())
    }
}

impl Recorder<'_, '_> {
    /// The verdicts of a rule's atoms; also whether Falco aborts at one, which counts as *no* here.
    fn ask(&mut self, rule: &RulePlan, context: &EventContext<'_>) -> (Bits, bool) {
        let leaves = &self.shared.plan.leaves;
        let mut bits = Bits::none(rule.atoms.len());
        let mut aborted = false;
        for (at, atom) in rule.atoms.iter().enumerate() {
            let settled = atom.only_if.filter(|_| self.memo.get(atom.leaf).is_none()).and_then(|(leaf, verdict)| {
                let other = self.memo.get(leaf)?;
                (other != verdict).then_some(other)
            });
            let verdict = match settled {
                Some(verdict) => {
                    leaves.settle(atom.leaf, verdict, &mut self.memo);
                    verdict
                }
                None => leaves.ask(atom.leaf, context, &mut self.memo).unwrap_or_else(|_| {
                    aborted = true;
                    leaves.settle(atom.leaf, false, &mut self.memo);
                    false
                }),
            };
            if verdict {
                bits.set(at);
            }
        }
        (bits, aborted)
    }

    fn sequel(&self, rule: &RulePlan, known: &Mutex<Known>, etype: u16, bits: Bits) -> Option<Arc<Sequel>> {
        let key = (etype, bits);
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sequel) = known.get(&key) {
            return sequel.clone();
        }
        let is_asked = |types: Option<&EventTypeSet>| {
            types.is_none_or(|types| types.contains(etype)) || self.shared.asynchronous.contains(&etype)
        };
        // The memory holds the verdicts of this very event.
        let holds = |condition: &Condition| condition.decide(&mut |leaf: LeafId| self.memo.get(leaf).unwrap_or(false));
        let truth = is_asked(rule.types.as_ref()) && holds(&rule.condition);
        let disagrees = |variant: &&super::operators::Variant| {
            let types = variant.types.as_ref().or(rule.types.as_ref());
            (is_asked(types) && holds(&variant.condition)) != truth
        };
        let mut mutants: Box<[u32]> = rule.variants.iter().filter(disagrees).map(|variant| variant.mutant).collect();
        // Those that the rule shares with earlier ones have smaller numbers.
        mutants.sort_unstable();
        let sequel = (truth || !mutants.is_empty()).then(|| Arc::new(Sequel { truth, mutants }));
        if known.len() < MAX_VECTORS {
            known.insert(key, sequel.clone());
        }
        sequel
    }
}

/// What one trial says.
struct Said {
    /// Why it says nothing.
    useless: Option<String>,
    events: u64,
    /// Mutants of which alerts change, and those that are hidden.
    allowed: BTreeSet<u32>,
    hidden: BTreeSet<u32>,
}

/// Tries all mutants.
pub(super) fn run(
    rules: &RuleSet,
    mut plan: Plan,
    trials: &[Trial<'_>],
    jobs: usize,
    advance: &(dyn Fn(u64, u64) + Sync),
) -> Score {
    let shared = Shared {
        known: plan.rules.iter().map(|_| Mutex::default()).collect(),
        plan: &plan,
        asynchronous: Catalogue::new().async_event_types(),
    };
    // The first trial that notices each mutant.
    let noticed: Vec<AtomicU32> = plan.mutants.iter().map(|_| AtomicU32::new(u32::MAX)).collect();
    let said = each(trials.len(), jobs, |number| {
        trials.get(number).map(|trial| shared.try_one(number as u32, trial, &noticed, advance))
    });
    let said: Vec<Said> = said.into_iter().flatten().collect();
    let (mut useless, mut events) = (Vec::new(), 0);
    let mut mutants = std::mem::take(&mut plan.mutants);
    for ((number, trial), said) in trials.iter().enumerate().zip(&said) {
        events += said.events;
        useless.extend(said.useless.clone().map(|why| (trial.name(), why)));
        for (fates, fate) in [(&said.allowed, Fate::Allowed), (&said.hidden, Fate::Hidden)] {
            for &mutant in fates {
                if let Some(mutant) = mutants.get_mut(mutant as usize)
                    && fate < mutant.fate
                {
                    (mutant.fate, mutant.case) = (fate, Some(number));
                }
            }
        }
    }
    for (mutant, noticed) in mutants.iter_mut().zip(noticed) {
        let trial = noticed.into_inner();
        if trial != u32::MAX {
            (mutant.fate, mutant.case) = (Fate::Noticed, Some(trial as usize));
        }
    }
    mutants.sort_by(|a, b| (&a.place, a.kind, &a.what).cmp(&(&b.place, b.kind, &b.what)));
    Score {
        mutants,
        trials: trials.iter().map(Trial::name).collect(),
        useless,
        left_out: plan.left_out,
        rules: rules.rules().iter().map(|rule| rule.name.clone()).collect(),
        events,
    }
}

impl Shared<'_> {
    fn try_one(
        &self,
        number: u32,
        trial: &Trial<'_>,
        noticed: &[AtomicU32],
        advance: &(dyn Fn(u64, u64) + Sync),
    ) -> Said {
        let mut said = Said { useless: None, events: 0, allowed: BTreeSet::new(), hidden: BTreeSet::new() };
        let captures: Vec<Source> = match trial {
            Trial::Case(case) => {
                if let Some(reason) = &case.skip {
                    said.useless = Some(format!("skipped: {reason}"));
                    return said;
                }
                case.captures.iter().map(CaseCapture::source).collect()
            }
            Trial::Capture(source) => vec![Source::clone(source)],
        };
        let mut facts = match trial {
            Trial::Case(case) => Some(case.expect.facts()),
            Trial::Capture(_) => None,
        };
        let mut rows = Vec::new();
        for (capture, source) in (0_u32..).zip(&captures) {
            let recorder = Recorder {
                shared: self,
                capture,
                facts: facts.as_mut(),
                memo: Memo::new(&self.plan.leaves),
                rows: std::mem::take(&mut rows),
                overflow: false,
            };
            let (report, recorder) = one(source, advance, recorder);
            said.events += report.events;
            rows = recorder.rows;
            if recorder.overflow {
                said.useless = Some("too many events on which rules or mutants are true".to_owned());
                return said;
            }
            if report.completeness == Completeness::Unreadable {
                said.useless = Some(report.error.unwrap_or_else(|| "unreadable".to_owned()));
                return said;
            }
        }
        Judge { trial, facts: facts.as_ref(), rows: &rows }.judge(number, noticed, &mut said);
        said
    }
}

/// Works out the alerts of mutants.
struct Judge<'j, 'f> {
    trial: &'j Trial<'j>,
    facts: Option<&'j Facts<'f>>,
    /// In the order of captures, events and rules.
    rows: &'j [Row],
}

impl Judge<'_, '_> {
    fn judge(&self, number: u32, noticed: &[AtomicU32], said: &mut Said) {
        let events: Vec<&[Row]> = self.rows.chunk_by(|a, b| (a.capture, a.event) == (b.capture, b.event)).collect();
        let alerts: BTreeSet<Fired> = events.iter().flat_map(|rows| self.alerts(rows, None)).collect();
        if !self.met_by(&alerts) {
            said.useless = Some("it fails with the rules as they are".to_owned());
            return;
        }
        // Where each mutant disagrees.
        let mut disagreements: HashMap<u32, Vec<usize>, foldhash::fast::FixedState> = HashMap::default();
        for (at, rows) in events.iter().enumerate() {
            for mutant in rows.iter().flat_map(|row| row.sequel.mutants.iter()) {
                let of_mutant = disagreements.entry(*mutant).or_default();
                if of_mutant.last() != Some(&at) {
                    of_mutant.push(at);
                }
            }
        }
        for (mutant, places) in disagreements {
            let Some(first) = noticed.get(mutant as usize) else { continue };
            if first.load(Ordering::Relaxed) < number {
                continue;
            }
            let (mut lost, mut gained) = (Vec::new(), Vec::new());
            for rows in places.iter().filter_map(|at| events.get(*at)) {
                let (before, after) = (self.alerts(rows, None), self.alerts(rows, Some(mutant)));
                if before != after {
                    lost.extend(before);
                    gained.extend(after);
                }
            }
            if lost.is_empty() && gained.is_empty() {
                said.hidden.insert(mutant);
            } else if self.notices(&alerts, &lost, &gained) {
                first.fetch_min(number, Ordering::Relaxed);
            } else {
                said.allowed.insert(mutant);
            }
        }
    }

    /// The alerts on one event: of the rules as they are, or of a mutant.
    fn alerts(&self, rows: &[Row], mutant: Option<u32>) -> Vec<Fired> {
        let disagrees = |row: &&Row| mutant.is_some_and(|mutant| row.sequel.mutants.binary_search(&mutant).is_ok());
        let fires = rows.iter().filter(|row| row.sequel.truth != disagrees(row)).map(|row| Fired {
            capture: row.capture,
            event: row.event,
            rule: row.rule,
        });
        match self.trial.matching() {
            Matching::First => fires.take(1).collect(),
            Matching::All => fires.collect(),
        }
    }

    fn notices(&self, alerts: &BTreeSet<Fired>, lost: &[Fired], gained: &[Fired]) -> bool {
        match self.trial {
            Trial::Capture(_) => true,
            Trial::Case(_) => {
                let mut changed = alerts.clone();
                for alert in lost {
                    changed.remove(alert);
                }
                changed.extend(gained);
                !self.met_by(&changed)
            }
        }
    }

    fn met_by(&self, alerts: &BTreeSet<Fired>) -> bool {
        match (self.trial, self.facts) {
            (Trial::Case(case), Some(facts)) => case.expect.met_by(alerts, facts),
            _ => true,
        }
    }
}
