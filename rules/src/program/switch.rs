//! Many comparisons of one field, one after the other, as one lookup.
//!
//! Rule sets made by machines have thousands of rules that differ in one text: `proc.name = a`, `proc.name = b`, … Where
//! *no* of each leads to the next, the value itself says which of them is true first. Equality, `in`, `startswith` and
//! `contains` on texts can be looked up; anything else ends such a run.

use std::collections::HashMap;

use aho_corasick::AhoCorasick;
use foldhash::fast::RandomState;

use super::{Line, What};
use crate::ast::Operator;
use crate::event::{EventFields, Extracted};
use crate::leaf::{Leaf, LeafId, Leaves, Test, Which};
use crate::matcher::{Matcher, TextTest};
use crate::operand::Source;
use crate::schema::FieldRef;
use crate::value::Value;

/// Shorter runs are asked one by one.
const MIN_RUN: usize = 8;
/// Larger lists stay comparisons of their own, so that no list is held twice in memory that is worth mentioning.
const MAX_LIST: usize = 1 << 12;
/// Different lengths of prefixes in one run; each costs a lookup.
const MAX_LENGTHS: usize = 32;

/// Positions by text.
type Table = HashMap<Box<[u8]>, Vec<u32>, RandomState>;

/// A run of comparisons.
#[derive(Clone, Debug)]
pub(super) struct Switch {
    field: FieldRef,
    /// The line of each position.
    lines: Vec<u32>,
    /// Where *no* of all leads.
    end: u32,
    /// Positions that are true of exactly this text.
    whole: Table,
    /// Positions that are true of texts that begin so.
    prefixes: Table,
    /// Lengths of these beginnings.
    lengths: Vec<usize>,
    /// Words that a text may contain, and the position of each.
    words: Vec<(Box<[u8]>, u32)>,
    /// All words at once, when the run is complete.
    automaton: Option<AhoCorasick>,
}

/// What the value of the field says about the rest of a run.
pub(super) enum Found {
    /// This line is the first that is true.
    Line(u32),
    /// None is true; it goes on here.
    End(u32),
    /// A value that has to be compared one by one.
    Unclear,
}

impl Switch {
    /// Looks the field's value up among the comparisons from `position` on.
    pub(super) fn find<E: EventFields + ?Sized>(&self, event: &E, position: u32) -> Found {
        let extracted = event.extract(&self.field);
        let text = match &extracted {
            Extracted::Absent => return Found::End(self.end),
            Extracted::One(Value::Text(text)) if !text.contains(&0) => &**text,
            _ => return Found::Unclear,
        };
        let from = |positions: &Vec<u32>| positions.get(positions.partition_point(|at| *at < position)).copied();
        let whole = self.whole.get(text).and_then(from);
        let begins = |length: &usize| self.prefixes.get(text.get(..*length)?).and_then(from);
        let word = self.automaton.as_ref().and_then(|words| {
            let found = words.find_overlapping_iter(text);
            found
                .filter_map(|found| self.words.get(found.pattern().as_usize()))
                .map(|(_, at)| *at)
                .filter(|at| *at >= position)
                .min()
        });
        let first = self.lengths.iter().filter_map(begins).chain(whole).chain(word).min();
        let line = first.and_then(|at| self.lines.get(at as usize));
        line.map_or(Found::End(self.end), |line| Found::Line(*line))
    }

    /// Makes what can be made only when all comparisons are there; false where that is too much.
    fn complete(&mut self) -> bool {
        if self.words.is_empty() {
            return true;
        }
        self.automaton = AhoCorasick::new(self.words.iter().map(|(word, _)| word)).ok();
        self.automaton.is_some()
    }

    /// Adds the comparison of the next line, if it can be looked up like those before it.
    fn add(&mut self, line: u32, asked: &TextTest) -> bool {
        let position = self.lines.len() as u32;
        match asked {
            TextTest::Order(_, text) => self.whole.entry(text.clone()).or_default().push(position),
            TextTest::In(texts) => {
                for text in texts {
                    self.whole.entry(text.clone()).or_default().push(position);
                }
            }
            TextTest::StartsWith(text) => {
                if !self.lengths.contains(&text.len()) {
                    if self.lengths.len() == MAX_LENGTHS {
                        return false;
                    }
                    self.lengths.push(text.len());
                }
                self.prefixes.entry(text.clone()).or_default().push(position);
            }
            TextTest::Contains(finder) => self.words.push((finder.needle().into(), position)),
            _ => return false,
        }
        self.lines.push(line);
        true
    }
}

/// The field and test of a leaf that can be looked up.
fn lookup(leaf: &Leaf) -> Option<(&FieldRef, &TextTest)> {
    let (Source::Field(field), Test::Constants { which: Which::Only, matcher: Matcher::Text(asked) }) =
        (&leaf.left, &leaf.test)
    else {
        return None;
    };
    let fits = match asked {
        TextTest::Order(Operator::Equal | Operator::DoubleEqual, text) | TextTest::StartsWith(text) => {
            !text.contains(&0)
        }
        TextTest::Contains(finder) => !finder.needle().contains(&0),
        TextTest::In(texts) => texts.len() <= MAX_LIST && !texts.iter().any(|text| text.contains(&0)),
        _ => false,
    };
    fits.then_some((field, asked))
}

/// The comparison that a line asks.
fn asked(line: &Line) -> Option<LeafId> {
    match line.what {
        What::Once(leaf) | What::Again(leaf) | What::Lasting(leaf) => Some(leaf),
        What::Report(_) | What::Own { .. } | What::Switch { .. } => None,
    }
}

/// Makes lookups of all runs that are long enough.
pub(super) fn switches(lines: &mut [Line], leaves: &Leaves) -> Vec<Switch> {
    let mut switches = Vec::new();
    let mut done = vec![false; lines.len()];
    for begin in 0..lines.len() {
        if done[begin] {
            continue;
        }
        let Some((field, _)) = asked(&lines[begin]).and_then(|leaf| leaves.get(leaf)).and_then(lookup) else {
            continue;
        };
        let mut switch = Switch {
            field: field.clone(),
            lines: Vec::new(),
            end: begin as u32,
            whole: Table::default(),
            prefixes: Table::default(),
            lengths: Vec::new(),
            words: Vec::new(),
            automaton: None,
        };
        while let Some(line) = lines.get(switch.end as usize)
            && let Some((field, test)) = asked(line).and_then(|leaf| leaves.get(leaf)).and_then(lookup)
            && *field == switch.field
            && switch.add(switch.end, test)
        {
            done[switch.end as usize] = true;
            switch.end = line.no;
        }
        if switch.lines.len() < MIN_RUN || !switch.complete() {
            continue;
        }
        for (position, &at) in (0..).zip(&switch.lines) {
            let line = &mut lines[at as usize];
            if let Some(leaf) = asked(line) {
                line.what = What::Switch { switch: switches.len() as u32, position, leaf };
            }
        }
        switches.push(switch);
    }
    switches
}
