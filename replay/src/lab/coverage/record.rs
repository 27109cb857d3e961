//! What a ruleset says while captures are replayed: for each rule the ways its evaluation took, each once with a count.
//!
//! The verdicts on the way, in order, tell the way: what comes next follows from them. So a row of bits is all that is
//! kept of an event, and everything else is worked out afterwards.

use std::ops::ControlFlow;

use casebook_formats::ledger::{Counter, Ledger};
use casebook_rules::ast::Modifier;
use casebook_rules::leaf::{EvalError, LeafId, Leaves, Memo};
use casebook_rules::ruleset::RuleSet;

use super::{Seen, concerns};
use crate::context::EventContext;
use crate::detect::source_of;
use crate::fields::Catalogue;
use crate::lab::verdicts::{Bits, Entries, Example, Kind, Tree, Vectors, Watcher, watch};
use crate::run::Source;
use crate::summary::CaptureReport;

/// What was seen of one rule.
pub(super) struct Record {
    /// Its number.
    pub(super) number: u32,
    /// By part of its tree.
    pub(super) parts: Vec<Seen>,
    /// By comparison, in the order of the text: how often each element of its list was the one.
    pub(super) elements: Vec<Option<Vec<u64>>>,
    pub(super) asked: u64,
    pub(super) matched: u64,
    pub(super) reported: u64,
}

/// What is asked of all captures.
struct Questions<'q> {
    rules: &'q RuleSet,
    /// By rule, then by comparison.
    entries: Vec<Vec<Option<Asked>>>,
    /// Those of the elements.
    leaves: Leaves,
}

/// A list.
struct Asked {
    entries: Entries,
    /// Elements match whatever the verdict of the comparison is.
    always: bool,
}

/// Watches one capture.
struct Watch<'q> {
    questions: &'q Questions<'q>,
    memo: Memo,
    elements_memo: Memo,
    way: Bits,
    /// By rule.
    ways: Vec<Vectors<Bits>>,
    counts: Vec<[u64; 3]>,
    elements: Vec<Vec<Option<Vec<u64>>>>,
}

pub(super) fn run(
    rules: &RuleSet,
    captures: &[Source],
    jobs: usize,
    advance: &(dyn Fn(u64, u64) + Sync),
) -> (Vec<Record>, Vec<CaptureReport>) {
    let mut leaves = Leaves::new();
    let trees: Vec<Tree<'_>> = rules.rules().iter().map(|rule| Tree::new(rule, rules)).collect();
    let entries = trees
        .iter()
        .enumerate()
        .map(|(number, tree)| {
            let mut of = |at: &usize| {
                let check = tree.parts[*at].check?;
                let always = matches!(check.modifier, Some(Modifier::AllOf | Modifier::OneOf));
                let entries = Entries::of(check, &tree.rule.source, &Catalogue::new(), &mut leaves)?;
                Some(Asked { entries, always })
            };
            if concerns(rules, number) { tree.leaves.iter().map(&mut of).collect() } else { Vec::new() }
        })
        .collect();
    let questions = Questions { rules, entries, leaves };
    let watched = watch(captures, jobs, advance, |_| Watch::new(&questions));
    let mut records: Vec<Record> = trees
        .iter()
        .enumerate()
        .map(|(number, tree)| Record {
            number: number as u32,
            parts: vec![Seen::default(); tree.parts.len()],
            elements: questions.counters(number),
            asked: 0,
            matched: 0,
            reported: 0,
        })
        .collect();
    let mut reports = Vec::new();
    for (report, watch) in watched {
        reports.push(report);
        for ((record, tree), number) in records.iter_mut().zip(&trees).zip(0..) {
            record.take(tree, &watch, number);
        }
    }
    records.retain(|record| concerns(rules, record.number as usize));
    (records, reports)
}

impl Questions<'_> {
    /// Counters for the elements of a rule's lists.
    fn counters(&self, number: usize) -> Vec<Option<Vec<u64>>> {
        let lists = self.entries.get(number).map_or(&[][..], Vec::as_slice);
        lists.iter().map(|list| list.as_ref().map(|list| vec![0; list.entries.all.len()])).collect()
    }
}

impl<'q> Watch<'q> {
    fn new(questions: &'q Questions<'q>) -> Self {
        let count = questions.rules.rules().len();
        Self {
            memo: questions.rules.memo(),
            elements_memo: Memo::new(&questions.leaves),
            way: Bits::default(),
            ways: vec![Vectors::default(); count],
            counts: vec![[0; 3]; count],
            elements: (0..count).map(|number| questions.counters(number)).collect(),
            questions,
        }
    }

    /// Asks one rule. `None` where Falco aborts.
    fn ask(&mut self, number: u32, context: &EventContext<'_>) -> Option<bool> {
        let questions = self.questions;
        let (rules, rule) = (questions.rules, questions.rules.rules().get(number as usize)?);
        let lists = questions.entries.get(number as usize)?;
        let Self { memo, elements_memo, way, elements, .. } = self;
        way.clear();
        let mut steps = 0;
        let mut verdict = |n: usize, leaf: LeafId| {
            let verdict = rules.leaves().ask(leaf, context, memo)?;
            way.push(steps, verdict);
            steps += 1;
            if let Some(Some(list)) = lists.get(n)
                && (verdict || list.always)
                && let Some(Some(counts)) = elements.get_mut(number as usize).and_then(|of| of.get_mut(n))
            {
                count(list, counts, &questions.leaves, context, elements_memo);
            }
            Ok::<_, EvalError>(verdict)
        };
        rule.condition.walk(&mut verdict).ok()
    }
}

/// Counts the elements that match on an event. Those seen before are not asked again: that they matter is known.
fn count(list: &Asked, counts: &mut [u64], leaves: &Leaves, context: &EventContext<'_>, memo: &mut Memo) {
    for (entry, count) in list.entries.all.iter().zip(counts) {
        if *count == 0 && entry.alone.iter().any(|&leaf| leaves.ask(leaf, context, memo).unwrap_or(false)) {
            *count = 1;
        }
    }
}

impl Watcher for Watch<'_> {
    fn event(&mut self, context: &EventContext<'_>, ledger: &mut Ledger) -> ControlFlow<()> {
        let etype = context.event.etype;
        let Some(source) = source_of(self.questions.rules, context) else { return ControlFlow::Continue(()) };
        let candidates = self.questions.rules.candidates(source, etype.0);
        if candidates.is_empty() {
            return ControlFlow::Continue(());
        }
        self.memo.start_event();
        self.elements_memo.start_event();
        let example = Example { capture: 0, num: context.event.num, ts: context.event.ts };
        let mut reported = false;
        for &number in candidates {
            let Some(verdict) = self.ask(number, context) else {
                ledger.count(Counter::EvaluationErrors);
                break;
            };
            let Some(ways) = self.ways.get_mut(number as usize) else { continue };
            ways.count(&self.way, example);
            if let Some([asked, matched, first]) = self.counts.get_mut(number as usize) {
                *asked += 1;
                *matched += u64::from(verdict);
                *first += u64::from(verdict && !reported);
            }
            reported |= verdict;
        }
        ControlFlow::Continue(())
    }
}

impl Record {
    /// Adds what one capture showed.
    fn take(&mut self, tree: &Tree<'_>, watch: &Watch<'_>, number: usize) {
        let [asked, matched, reported] = watch.counts.get(number).copied().unwrap_or_default();
        self.asked += asked;
        self.matched += matched;
        self.reported += reported;
        for (own, other) in self.elements.iter_mut().zip(watch.elements.get(number).into_iter().flatten()) {
            if let (Some(own), Some(other)) = (own, other) {
                own.iter_mut().zip(other).for_each(|(own, other)| *own += other);
            }
        }
        let Some(ways) = watch.ways.get(number) else { return };
        for (way, count, _) in ways.sorted() {
            for (seen, verdict) in self.parts.iter_mut().zip(along(tree, way)) {
                match verdict {
                    Some(true) => seen.yes += count,
                    Some(false) => seen.no += count,
                    None => {}
                }
            }
        }
    }
}

/// The verdicts of the parts that a way came to.
fn along(tree: &Tree<'_>, way: &Bits) -> Vec<Option<bool>> {
    let mut leaves: Vec<Option<bool>> = vec![None; tree.leaves.len()];
    let mut steps = 0;
    let _ = tree.rule.condition.walk(&mut |n: usize, _| {
        let verdict = way.get(steps);
        steps += 1;
        if let Some(leaf) = leaves.get_mut(n) {
            *leaf = Some(verdict);
        }
        Ok::<_, ()>(verdict)
    });
    let mut parts = vec![None; tree.parts.len()];
    for (leaf, &at) in leaves.into_iter().zip(&tree.leaves) {
        parts[at] = leaf;
    }
    for (at, part) in tree.parts.iter().enumerate().rev() {
        let of = |child: &usize| parts[*child];
        let reached = || part.children.iter().any(|child| parts[*child].is_some());
        // A group is come to when something in it is; its verdict is then known, as the evaluation goes on by it.
        parts[at] = match part.kind {
            Kind::Leaf => parts[at],
            Kind::Not => part.children.first().and_then(of).map(|verdict| !verdict),
            Kind::All if reached() => Some(!part.children.iter().any(|child| of(child) == Some(false))),
            Kind::Any if reached() => Some(part.children.iter().any(|child| of(child) == Some(true))),
            Kind::All | Kind::Any => None,
        };
    }
    parts
}
