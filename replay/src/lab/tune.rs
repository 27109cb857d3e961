//! Tune: exceptions for a rule, from the alerts it gives on ordinary work, none of which may silence an attack.
//!
//! The rule's hits are collected on benign captures and on captures on which it must fire. Every combination of up to
//! two candidate fields (`FIELDS`) is tried: its value tuples on benign hits, without those that some attack hit has,
//! too. The best by `Candidate::worth` are written as YAML ([`yaml`]), loaded on top of the rules, and replayed: what a
//! proposal says of itself is what the replay gave, not what was hoped.

pub mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use casebook_formats::ledger::Ledger;
use casebook_rules::load::{LoadOptions, load};
use casebook_rules::ruleset::{Matching, RuleSet};
use casebook_rules::schema::FieldRef;
use casebook_rules::source::RuleFile;
use serde::Serialize;

use super::diff;
use super::explain::Explainer;
use super::verdicts::{Watcher, value, watch};
use crate::context::EventContext;
use crate::fields::Catalogue;
use crate::run::Source;
use crate::summary::{CaptureReport, Completeness};

/// Fields of which exceptions are made: name, how much passes an exception that asks for this field alone (0 to 100),
/// and how easily its values change without anything having happened (0 to 100).
const FIELDS: &[(&str, i64, i64)] = &[
    ("proc.name", 16, 0),
    ("proc.pname", 20, 0),
    ("proc.exepath", 10, 1),
    ("proc.cmdline", 4, 14),
    ("proc.pcmdline", 8, 14),
    ("proc.aname[2]", 24, 1),
    ("user.name", 45, 0),
    ("container.image.repository", 16, 0),
    ("container.name", 18, 6),
    ("k8s.ns.name", 35, 0),
    ("fd.name", 6, 5),
    ("fd.directory", 14, 1),
    ("fd.sip", 12, 6),
    ("fd.sport", 30, 0),
    ("fs.path.name", 6, 5),
    ("ka.user.name", 12, 0),
    ("ka.useragent", 24, 4),
    ("ka.target.namespace", 30, 0),
    ("ka.target.name", 14, 6),
    ("ka.target.resource", 40, 0),
];

/// Most hits of a capture that are looked at.
const MAX_HITS: usize = 20_000;
/// Most entries of an exception.
const MAX_ENTRIES: usize = 16;
/// Longest value of an entry, in bytes.
const MAX_VALUE: usize = 512;
/// Candidates that are written and replayed for each proposal that is asked for.
const TRIES: usize = 3;
/// Names tried for an exception before giving up: others may be taken.
const MAX_NAMES: usize = 8;

/// A hit of the rule: the values of [`FIELDS`], where they have any.
type Hit = Vec<Option<String>>;

/// An exception that was replayed.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct Proposal {
    /// Its name.
    pub name: String,
    /// Its fields.
    pub fields: Vec<String>,
    /// Its entries: a value for each field.
    pub values: Vec<Vec<String>>,
    /// Benign alerts that are gone with it.
    pub benign_gone: u64,
    /// Benign alerts that stay.
    pub benign_left: u64,
    /// Alerts on captures with attacks that stay: all of them.
    pub attack_kept: u64,
    /// Rules that were hidden behind this one on benign events and are reported now, with how often.
    pub uncovered: BTreeMap<String, u64>,
    /// What to put into a rule file that is loaded after the rule's.
    pub yaml: String,
}

/// What came of it.
#[derive(Debug)]
pub struct Tuning {
    /// Hits of the rule on benign captures, and on those with attacks.
    pub hits: [u64; 2],
    /// Captures with attacks on which the rule does not fire: they prove nothing.
    pub silent: Vec<String>,
    /// The best exceptions, the best first.
    pub proposals: Vec<Proposal>,
    /// Exceptions that would have silenced an attack when they were replayed.
    pub refused: usize,
    /// How the captures fared, the benign ones first.
    pub reports: Vec<CaptureReport>,
}

/// An exception that may be worth a replay.
struct Candidate {
    /// Positions in [`FIELDS`].
    fields: Vec<usize>,
    values: Vec<Vec<String>>,
    /// Benign hits that it fits.
    covered: usize,
}

impl Candidate {
    /// What it is worth among `total` benign hits: what it covers, less what else passes it, how soon it is out of date
    /// and how long it is.
    fn worth(&self, total: usize) -> i64 {
        let of = |at: &usize| FIELDS.get(*at).map_or((50, 50), |(_, width, fragile)| (*width, *fragile));
        let narrowest = self.fields.iter().map(|at| of(at).0).min().unwrap_or(100);
        let width = if self.fields.len() > 1 { narrowest / 2 } else { narrowest };
        let fragile: i64 = self.fields.iter().map(|at| of(at).1).sum();
        let share = (self.covered * 100 / total.max(1)) as i64;
        share - width - fragile - 3 * (self.values.len() as i64 - 1)
    }
}

/// What to tune.
pub struct Task<'t> {
    /// The files of the rules.
    pub files: &'t [RuleFile],
    /// What they come to.
    pub rules: &'t RuleSet,
    /// The rule, ready to be asked.
    pub explainer: &'t Explainer<'t>,
    /// Captures of ordinary work.
    pub benign: &'t [Source],
    /// Captures on which the rule must fire.
    pub attacks: &'t [Source],
    /// How many proposals are wanted.
    pub wanted: usize,
}

/// Collects hits, thinks of exceptions, replays the best; `jobs` captures at a time.
pub fn run(task: &Task<'_>, jobs: usize, advance: &(dyn Fn(u64, u64) + Sync)) -> Tuning {
    let all: Vec<Source> = task.benign.iter().chain(task.attacks).cloned().collect();
    let watched = watch(&all, jobs, advance, |_| Collector::new(task.explainer));
    let (mut benign, mut attack, mut silent, mut reports) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut hits = [0, 0];
    for (at, (report, collector)) in watched.into_iter().enumerate() {
        let is_attack = at >= task.benign.len();
        hits[usize::from(is_attack)] += collector.count;
        if is_attack {
            if collector.count == 0 && report.completeness != Completeness::Unreadable {
                silent.push(report.name.clone());
            }
            attack.extend(collector.hits);
        } else {
            benign.extend(collector.hits);
        }
        reports.push(report);
    }
    let mut tuning = Tuning { hits, silent, proposals: Vec::new(), refused: 0, reports };
    for candidate in candidates(&benign, &attack).into_iter().take(task.wanted * TRIES) {
        if tuning.proposals.len() == task.wanted {
            break;
        }
        match proven(task, &candidate, jobs) {
            Some(Proven::Good(proposal)) => tuning.proposals.push(*proposal),
            Some(Proven::Silences) => tuning.refused += 1,
            None => {}
        }
    }
    // Ranked by what the replay gave; worth, by which they come, decides among equals.
    tuning.proposals.sort_by_key(|proposal| std::cmp::Reverse(proposal.benign_gone));
    tuning
}

/// Every combination of one or two fields with the values that are benign only, the most worthy first.
fn candidates(benign: &[Hit], attack: &[Hit]) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for first in 0..FIELDS.len() {
        for second in first..FIELDS.len() {
            let fields = if first == second { vec![first] } else { vec![first, second] };
            let tuple = |hit: &Hit| -> Option<Vec<String>> {
                fields.iter().map(|at| hit.get(*at).cloned().flatten().filter(|value| usable(value))).collect()
            };
            let forbidden: BTreeSet<Vec<String>> = attack.iter().filter_map(tuple).collect();
            let mut counts: BTreeMap<Vec<String>, usize> = BTreeMap::new();
            for tuple in benign.iter().filter_map(tuple).filter(|tuple| !forbidden.contains(tuple)) {
                *counts.entry(tuple).or_default() += 1;
            }
            let mut values: Vec<(Vec<String>, usize)> = counts.into_iter().collect();
            values.sort_by(|a, b| (b.1, &a.0).cmp(&(a.1, &b.0)));
            values.truncate(MAX_ENTRIES);
            let covered = values.iter().map(|(_, count)| count).sum();
            if covered > 0 {
                let values = values.into_iter().map(|(tuple, _)| tuple).collect();
                candidates.push(Candidate { fields, values, covered });
            }
        }
    }
    candidates.sort_by_key(|candidate| (std::cmp::Reverse(candidate.worth(benign.len())), candidate.fields.clone()));
    candidates
}

/// Whether a value can stand in an exception: it says something, and is text.
fn usable(value: &str) -> bool {
    !value.is_empty() && value.len() <= MAX_VALUE && !value.contains(['\u{fffd}', '\0', '…']) && value != "<NA>"
}

/// What a replay proved.
enum Proven {
    Good(Box<Proposal>),
    Silences,
}

/// Writes a candidate, loads it on top of the rules and replays everything; `None` when it cannot be written or does
/// nothing.
fn proven(task: &Task<'_>, candidate: &Candidate, jobs: usize) -> Option<Proven> {
    let rule = &task.explainer.rule().name;
    let fields: Vec<String> = candidate.fields.iter().filter_map(|at| Some(FIELDS.get(*at)?.0.to_owned())).collect();
    let base = format!("known_{}", fields.join("_").replace(|c: char| !c.is_ascii_alphanumeric(), "_"));
    let base = base.trim_end_matches('_');
    let lists: BTreeSet<&str> = task.rules.lists().iter().map(|list| &*list.name).collect();
    let (name, yaml, tuned) = (1..=MAX_NAMES).find_map(|n| {
        let name = if n == 1 { base.to_owned() } else { format!("{base}_{n}") };
        let yaml = yaml::exception(rule, &name, &fields, &candidate.values, &lists);
        let mut files = task.files.to_vec();
        files.push(RuleFile::new("proposal", yaml.clone()));
        let outcome = load(&files, &Catalogue::new(), &LoadOptions::default());
        if outcome.has_errors() { None } else { Some((name, yaml, outcome.ruleset?)) }
    })?;
    let compare = |captures: &[Source], matching| {
        let diff = diff::run(task.rules, &tuned, matching, captures, jobs, &|_, _| {});
        let own = diff.rules.get(rule).copied().unwrap_or_default();
        (diff, own)
    };
    // Whatever the rule is hidden behind, it must stay true on attacks; and what is reported there must stay, too.
    let (_, attack) = compare(task.attacks, Matching::All);
    let (_, reported) = compare(task.attacks, Matching::First);
    if attack.lost + attack.changed + reported.lost + reported.changed > 0 {
        return Some(Proven::Silences);
    }
    let (_, benign) = compare(task.benign, Matching::All);
    if benign.lost == 0 {
        return None;
    }
    let (first, _) = compare(task.benign, Matching::First);
    let uncovered = first.rules.into_iter().filter(|(name, noise)| name != rule && noise.gained > 0);
    Some(Proven::Good(Box::new(Proposal {
        name,
        fields,
        values: candidate.values.clone(),
        benign_gone: benign.lost,
        benign_left: benign.new,
        attack_kept: attack.new,
        uncovered: uncovered.map(|(name, noise)| (name, noise.gained)).collect(),
        yaml,
    })))
}

/// Collects the hits of one capture.
struct Collector<'c> {
    explainer: &'c Explainer<'c>,
    memo: casebook_rules::leaf::Memo,
    fields: Vec<Option<FieldRef>>,
    hits: Vec<Hit>,
    count: u64,
}

impl<'c> Collector<'c> {
    fn new(explainer: &'c Explainer<'c>) -> Self {
        let catalogue = Catalogue::new();
        let fields = FIELDS.iter().map(|(name, ..)| catalogue.parse(&explainer.rule().source, name).ok()).collect();
        Self { memo: explainer.memo(), explainer, fields, hits: Vec::new(), count: 0 }
    }
}

impl Watcher for Collector<'_> {
    fn event(&mut self, context: &EventContext<'_>, _: &mut Ledger) -> ControlFlow<()> {
        if !self.explainer.asks(context) || !self.explainer.is_true(context, &mut self.memo) {
            return ControlFlow::Continue(());
        }
        self.count += 1;
        if self.hits.len() < MAX_HITS {
            let values = self.fields.iter().map(|field| value(context, field.as_ref()?));
            self.hits.push(values.collect());
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(name: &str, parent: &str) -> Hit {
        let mut hit = vec![None; FIELDS.len()];
        hit[0] = Some(name.to_owned());
        hit[1] = Some(parent.to_owned());
        hit
    }

    #[test]
    fn values_that_attacks_have_are_left_out() {
        let benign = [hit("sh", "cron"), hit("sh", "cron"), hit("sh", "backup"), hit("bash", "cron")];
        let attack = [hit("sh", "nginx"), hit("bash", "cron")];
        let candidates = candidates(&benign, &attack);
        let of = |fields: &[usize]| candidates.iter().find(|candidate| candidate.fields == fields);
        assert!(of(&[0]).is_none(), "sh and bash are both seen in attacks");
        assert_eq!(of(&[1]).map(|candidate| candidate.covered), Some(1), "only backup is benign");
        let pair = of(&[0, 1]);
        assert_eq!(pair.map(|candidate| candidate.covered), Some(3));
        assert_eq!(
            pair.map(|candidate| candidate.values.clone()),
            Some(vec![vec!["sh".to_owned(), "cron".to_owned()], vec!["sh".to_owned(), "backup".to_owned()],])
        );
    }
}
