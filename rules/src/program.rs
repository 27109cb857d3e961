//! The rules of one event type as one list of steps.
//!
//! [`RuleSet::matching`](crate::ruleset::RuleSet::matching) asks many rules about every event, and most of them begin
//! alike: the same event types, the same kind of descriptor, the same flags. Four things are therefore worked out once
//! per event type instead of once per event:
//!
//! - Comparisons whose result the type decides ([`EventFields::of_type`]) are put in; rules that are false by them
//!   alone are gone.
//! - The rules that are left stand one after the other: *false* of one leads to the first comparison of the next.
//! - Many comparisons of one field, one after the other, are one lookup (`switch`).
//! - Where a comparison has been answered on every way to a step, its answer is followed at once. A rule that asks
//!   what an earlier one has asked and found false is not entered at all.
//!
//! Of what is left, comparisons whose fields follow from a few facts of the event are asked once of all events that are
//! alike in these (`leaf/alike.rs`).
//!
//! Rules stay in their order, and within a rule that can end in an error so do its comparisons. In others those come first that
//! cost nothing (`order`).

mod marks;
mod order;
mod switch;

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::ast::Expr;
use crate::compile::{Condition, FALSE, Step, TRUE};
use crate::event::{EventFields, Extracted};
use crate::leaf::{Alike, EvalError, LeafId, Leaves, Memo, Verdicts};
use crate::schema::FieldRef;
use marks::{follows_from, mark_lasting, mark_own, mark_repeated};
use order::{From, ordered};
use switch::{Found, Switch, switches};

/// Comparisons that are followed along the ways; the rest, in larger programs, is asked again or remembered.
const MAX_FOLLOWED: usize = 2048;

/// Known answers that one jump takes into account, so that making a program stays linear in its length.
const MAX_HOPS: usize = 512;

/// The end of the program instead of a step.
const END: u32 = u32::MAX;

/// One step: asks a comparison, or reports a rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Line {
    what: What,
    /// Where *yes* leads; after a report, where it goes on.
    yes: u32,
    /// Where *no* leads.
    no: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    /// Asked once in the program: nobody needs to remember the answer.
    Once(LeafId),
    /// Asked in several places.
    Again(LeafId),
    /// About the process alone: the answer outlasts the event.
    Lasting(LeafId),
    /// The answer follows from facts of the event; its number among such comparisons.
    Own { leaf: LeafId, number: u32 },
    /// One of many comparisons of the same field, that are looked up together.
    Switch { switch: u32, position: u32, leaf: LeafId },
    /// A rule is true.
    Report(u32),
}

/// The rules of one event type.
#[derive(Clone, Debug, Default)]
pub(crate) struct Program {
    lines: Box<[Line]>,
    switches: Vec<Switch>,
    /// The facts that the answers of [`What::Own`] follow from; none where there is no such step.
    facts: u32,
}

impl Program {
    /// Puts rules together, in load order, each with the tree that its condition was compiled from. What their event type decides is asked of `event`, one of that type; `None`
    /// where events of several types come to these rules.
    pub(crate) fn new<'r, E: EventFields + ?Sized>(
        rules: impl Iterator<Item = (u32, &'r Expr, &'r Condition)>,
        leaves: &Leaves,
        event: Option<&E>,
    ) -> Self {
        let mut decided = Decided { leaves, event, known: HashMap::default() };
        let mut lines = Vec::new();
        let mut from: HashMap<LeafId, From, RandomState> = HashMap::default();
        for (number, expr, condition) in rules {
            let mut from = |leaf| *from.entry(leaf).or_insert_with(|| decided.from(leaf));
            let ordered = ordered(expr, condition, leaves, &mut from);
            lay(number, ordered.as_ref().unwrap_or(condition), &mut decided, &mut lines);
        }
        lines = Ways::new(&lines).follow(lines);
        mark_repeated(&mut lines);
        if let Some(event) = event {
            mark_lasting(&mut lines, leaves, event);
        }
        let switches = switches(&mut lines, leaves);
        let facts = event.map_or(0, |event| mark_own(&mut lines, leaves, event));
        Self { lines: lines.into(), switches, facts }
    }

    /// Whether there is nothing to ask.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Adds the rules that are true on an event to `out`; only the first one where `first`. `place` is the program's own
    /// in the memory.
    ///
    /// # Errors
    /// The first evaluation that Falco would abort.
    #[inline]
    pub(crate) fn run<E: EventFields + ?Sized>(
        &self,
        leaves: &Leaves,
        event: &E,
        memo: &mut Memo,
        place: usize,
        first: bool,
        out: &mut Vec<u32>,
    ) -> Result<(), EvalError> {
        let Some(kept) = self.enter(event, memo, place) else {
            return self.steps(leaves, event, memo, None, first, out);
        };
        let Some(before) = memo.alike.get(place).map(|alike| alike.verdicts(kept)) else { return Ok(()) };
        let mut verdicts = before;
        let result = self.steps(leaves, event, memo, Some(&mut verdicts), first, out);
        if verdicts != before
            && let Some(alike) = memo.alike.get_mut(place)
        {
            alike.learn(kept, verdicts);
        }
        result
    }

    /// Where verdicts on events like this one are kept.
    #[inline]
    fn enter<E: EventFields + ?Sized>(&self, event: &E, memo: &mut Memo, place: usize) -> Option<u32> {
        if self.facts == 0 {
            return None;
        }
        if memo.alike.len() <= place {
            memo.alike.resize_with(place + 1, Alike::default);
        }
        if memo.alike.get(place).is_some_and(Alike::is_fresh) {
            Alike::begin(&mut memo.alike, place);
        }
        let alike = memo.alike.get_mut(place).filter(|alike| alike.is_in_use())?;
        alike.enter(&event.facts(self.facts)?)
    }

    #[inline]
    fn steps<E: EventFields + ?Sized>(
        &self,
        leaves: &Leaves,
        event: &E,
        memo: &mut Memo,
        mut verdicts: Option<&mut Verdicts>,
        first: bool,
        out: &mut Vec<u32>,
    ) -> Result<(), EvalError> {
        let mut at = verdicts.as_ref().map_or(0, |verdicts| verdicts.start);
        // Whether facts alone have led here, on all events that are alike.
        let mut by_facts = verdicts.is_some();
        loop {
            if let Some(verdicts) = &mut verdicts {
                at = self.follow(at, verdicts);
                if by_facts {
                    verdicts.start = at;
                }
            }
            let Some(line) = self.lines.get(at as usize) else { return Ok(()) };
            let verdict = match line.what {
                What::Own { leaf, number } => {
                    let verdict = match &mut verdicts {
                        Some(verdicts) => {
                            let verdict = leaves.evaluate_known(leaf, event, memo)?;
                            verdicts.set(number, verdict);
                            verdict
                        }
                        None => leaves.ask(leaf, event, memo)?,
                    };
                    at = if verdict { line.yes } else { line.no };
                    continue;
                }
                What::Once(leaf) => leaves.evaluate_known(leaf, event, memo)?,
                What::Again(leaf) => leaves.ask(leaf, event, memo)?,
                What::Lasting(leaf) => leaves.ask_lasting(leaf, event, memo)?,
                What::Switch { switch, position, leaf } => {
                    by_facts = false;
                    match self.switches.get(switch as usize).map(|switch| switch.find(event, position)) {
                        Some(Found::Line(line)) => {
                            at = self.lines.get(line as usize).map_or(END, |line| line.yes);
                            continue;
                        }
                        Some(Found::End(end)) => {
                            at = end;
                            continue;
                        }
                        Some(Found::Unclear) | None => leaves.evaluate_known(leaf, event, memo)?,
                    }
                }
                What::Report(rule) => {
                    out.push(rule);
                    if first {
                        return Ok(());
                    }
                    true
                }
            };
            at = if verdict { line.yes } else { line.no };
            by_facts = false;
        }
    }

    /// Where the verdicts that are known lead from a step.
    #[inline]
    fn follow(&self, mut at: u32, verdicts: &Verdicts) -> u32 {
        while let Some(Line { what: What::Own { number, .. }, yes, no }) = self.lines.get(at as usize)
            && let Some(verdict) = verdicts.get(*number)
        {
            at = if verdict { *yes } else { *no };
        }
        at
    }
}

/// Appends the steps of one rule. Its *false* is what comes after them.
fn lay<E: EventFields + ?Sized>(
    number: u32,
    condition: &Condition,
    decided: &mut Decided<'_, E>,
    lines: &mut Vec<Line>,
) {
    let steps = condition.steps();
    if steps.is_empty() {
        return;
    }
    // The step that is really asked when one comes to a place.
    let mut resolve = |mut at: u32| {
        while let Some(step) = steps.get(at as usize)
            && let Some(verdict) = decided.verdict(step.leaf)
        {
            at = if verdict { step.yes } else { step.no };
        }
        at
    };
    let begin = resolve(0);
    if begin == FALSE {
        return;
    }
    // Jumps go forward: one pass finds what is reached, and gives it its place.
    let mut places: Vec<Option<u32>> = vec![None; steps.len()];
    let mut reached: Vec<(&Step, u32, u32)> = Vec::new();
    let mut wanted = vec![false; steps.len()];
    if let Some(first) = wanted.get_mut(begin as usize) {
        *first = true;
    }
    for (at, step) in steps.iter().enumerate() {
        if !wanted[at] {
            continue;
        }
        places[at] = Some((lines.len() + reached.len()) as u32);
        let (yes, no) = (resolve(step.yes), resolve(step.no));
        for target in [yes, no] {
            if let Some(wanted) = wanted.get_mut(target as usize) {
                *wanted = true;
            }
        }
        reached.push((step, yes, no));
    }
    let report = (lines.len() + reached.len()) as u32;
    let place = |target: u32| match target {
        TRUE => report,
        FALSE => report + 1,
        step => places.get(step as usize).copied().flatten().unwrap_or(report + 1),
    };
    lines.extend(reached.iter().map(|(step, yes, no)| Line {
        what: What::Again(step.leaf),
        yes: place(*yes),
        no: place(*no),
    }));
    lines.push(Line { what: What::Report(number), yes: report + 1, no: report + 1 });
}

/// What the event type decides.
struct Decided<'p, E: ?Sized> {
    leaves: &'p Leaves,
    event: Option<&'p E>,
    known: HashMap<LeafId, Option<bool>, RandomState>,
}

impl<E: EventFields + ?Sized> Decided<'_, E> {
    fn verdict(&mut self, leaf: LeafId) -> Option<bool> {
        let event = self.event?;
        *self.known.entry(leaf).or_insert_with(|| {
            if self.leaves.fields(leaf).iter().any(|field| event.of_type(field).is_none()) {
                return None;
            }
            self.leaves.evaluate(leaf, &OfType(event)).ok()
        })
    }

    /// What the answer of a comparison follows from.
    fn from(&mut self, leaf: LeafId) -> From {
        if self.verdict(leaf).is_some() {
            From::Type
        } else if self.event.is_some_and(|event| follows_from(leaf, self.leaves, event).is_some()) {
            From::Facts
        } else {
            From::Else
        }
    }
}

/// An event of which nothing is known but its type.
struct OfType<'e, E: ?Sized>(&'e E);

impl<E: EventFields + ?Sized> EventFields for OfType<'_, E> {
    fn extract<'e>(&'e self, field: &FieldRef) -> Extracted<'e> {
        self.0.of_type(field).unwrap_or(Extracted::Absent)
    }
}

/// What has been answered on the ways to each step.
struct Ways {
    /// Numbers of the comparisons that are followed: those written more than once.
    numbers: HashMap<LeafId, usize, RandomState>,
}

/// Answers by number of comparison: whether there is one, and which.
#[derive(Clone, PartialEq, Eq)]
struct Answers {
    known: Box<[u64]>,
    yes: Box<[u64]>,
}

impl Answers {
    fn get(&self, number: usize) -> Option<bool> {
        let (word, bit) = (number / 64, number % 64);
        (self.known[word] >> bit & 1 == 1).then(|| self.yes[word] >> bit & 1 == 1)
    }

    fn set(&mut self, number: usize, verdict: bool) {
        let (word, bit) = (number / 64, number % 64);
        self.known[word] |= 1 << bit;
        self.yes[word] = self.yes[word] & !(1 << bit) | u64::from(verdict) << bit;
    }

    /// Keeps what the other one says, too.
    fn agree(&mut self, other: &Self) {
        for (at, known) in self.known.iter_mut().enumerate() {
            *known &= other.known[at] & !(self.yes[at] ^ other.yes[at]);
        }
    }
}

impl Ways {
    fn new(lines: &[Line]) -> Self {
        let mut times: HashMap<LeafId, u32, RandomState> = HashMap::default();
        for line in lines {
            if let What::Again(leaf) = line.what {
                *times.entry(leaf).or_default() += 1;
            }
        }
        let mut repeated: Vec<(u32, LeafId)> =
            times.into_iter().filter(|(_, times)| *times > 1).map(|(leaf, times)| (times, leaf)).collect();
        repeated.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        repeated.truncate(MAX_FOLLOWED);
        Self { numbers: repeated.into_iter().enumerate().map(|(number, (_, leaf))| (leaf, number)).collect() }
    }

    /// Sends every jump to the first step whose answer is not known on the way, and leaves out what nobody comes to.
    fn follow(&self, mut lines: Vec<Line>) -> Vec<Line> {
        let words = self.numbers.len().div_ceil(64);
        // Answers on all ways to a step, as far as they are known; a step is looked at when all ways to it are.
        let mut before: Vec<Option<Answers>> = vec![None; lines.len()];
        if let Some(first) = before.first_mut() {
            *first = Some(Answers { known: vec![0; words].into(), yes: vec![0; words].into() });
        }
        let mut reached = vec![false; lines.len()];
        for at in 0..lines.len() {
            let Some(answers) = before[at].take() else { continue };
            reached[at] = true;
            let line = lines[at];
            let number = match line.what {
                What::Once(leaf) | What::Again(leaf) | What::Lasting(leaf) => self.numbers.get(&leaf).copied(),
                What::Report(_) | What::Own { .. } | What::Switch { .. } => None,
            };
            let both = matches!(line.what, What::Report(_));
            let yes = self.lead(&mut before, &lines, line.yes, &answers, number.map(|number| (number, true)));
            let no = if both {
                yes
            } else {
                self.lead(&mut before, &lines, line.no, &answers, number.map(|number| (number, false)))
            };
            lines[at] = Line { yes, no, ..line };
        }
        compact(&lines, &reached)
    }

    /// Where a jump to `target` leads with these answers; what is known there is what all ways agree upon.
    fn lead(
        &self,
        before: &mut [Option<Answers>],
        lines: &[Line],
        mut target: u32,
        answers: &Answers,
        news: Option<(usize, bool)>,
    ) -> u32 {
        let mut answers = answers.clone();
        if let Some((number, verdict)) = news {
            answers.set(number, verdict);
        }
        for _ in 0..MAX_HOPS {
            let Some(Line { what: What::Once(leaf) | What::Again(leaf), yes, no }) = lines.get(target as usize) else {
                break;
            };
            let Some(verdict) = self.numbers.get(leaf).and_then(|&number| answers.get(number)) else { break };
            target = if verdict { *yes } else { *no };
        }
        match before.get_mut(target as usize) {
            Some(Some(there)) => there.agree(&answers),
            Some(there) => *there = Some(answers),
            None => {}
        }
        target
    }
}

/// The steps that are reached, with new places.
fn compact(lines: &[Line], reached: &[bool]) -> Vec<Line> {
    let mut places = Vec::with_capacity(lines.len());
    let mut next = 0;
    for &reached in reached {
        places.push(next);
        next += u32::from(reached);
    }
    let place = |target: u32| places.get(target as usize).copied().unwrap_or(END);
    let kept = lines.iter().zip(reached).filter(|(_, reached)| **reached).map(|(line, _)| *line);
    kept.map(|line| Line { what: line.what, yes: place(line.yes), no: place(line.no) }).collect()
}

#[cfg(test)]
mod tests;
