//! Coverage: what of the rules captures have exercised.
//!
//! A comparison is *covered* when it was seen true and seen false, each on an event on which the evaluation came to it:
//! behind a false `evt.type` nothing is exercised. A macro or an exception counts the same way as a whole; an element of a
//! list when a value was it while its comparison decided something, an entry of an exception when it was true.
//!
//! `record` watches captures, [`annotate`] lays the verdicts over the rule files, [`text`] and [`html`] show them.

pub mod annotate;
pub mod html;
mod record;
pub mod text;

use std::collections::{BTreeMap, BTreeSet};

use casebook_rules::ast::{Right, Span};
use casebook_rules::ruleset::RuleSet;
use casebook_rules::source::{FileSpan, Sources};
use serde::Serialize;

use super::verdicts::{Kind, Place, Tree};
use crate::run::Source;
use crate::summary::{CaptureReport, Completeness};

/// How often something was true and false where the evaluation came to it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Debug)]
pub struct Seen {
    /// Times true.
    pub yes: u64,
    /// Times false.
    pub no: u64,
}

impl Seen {
    /// Verdicts seen, 0 to 2.
    pub fn verdicts(self) -> usize {
        usize::from(self.yes > 0) + usize::from(self.no > 0)
    }

    fn add(&mut self, other: Self) {
        self.yes += other.yes;
        self.no += other.no;
    }
}

/// Shares of things seen.
#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Debug)]
pub struct Share {
    /// Seen.
    pub seen: usize,
    /// There are.
    pub of: usize,
}

impl Share {
    fn add(&mut self, seen: usize, of: usize) {
        self.seen += seen;
        self.of += of;
    }

    /// In percent, rounded down to tenths; 100 of nothing.
    pub fn percent(self) -> f64 {
        (self.seen * 1000).checked_div(self.of).map_or(100.0, |tenths| tenths as f64 / 10.0)
    }
}

/// What a piece of a rule file is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum PieceKind {
    /// A macro as a whole, where it is used.
    Macro,
    /// An exception as a whole.
    Exception,
    /// A comparison.
    Comparison,
    /// An element of a list.
    Element,
    /// A value of an exception's entry.
    Entry,
}

/// A piece of a rule file and what was seen of it, in all rules that contain it together.
#[derive(Clone, Serialize, Debug)]
pub struct PieceSeen {
    /// What it is.
    pub kind: PieceKind,
    /// Its text.
    pub text: String,
    /// Its bytes.
    #[serde(skip)]
    pub span: FileSpan,
    /// Where it stands.
    pub place: Place,
    /// What was seen. Of elements and entries only the times they were true count.
    pub seen: Seen,
    /// Numbers of the rules.
    #[serde(skip)]
    pub rules: Vec<u32>,
}

impl PieceSeen {
    /// Whether everything was seen that there is to see.
    pub fn covered(&self) -> bool {
        match self.kind {
            PieceKind::Element | PieceKind::Entry => self.seen.yes > 0,
            _ => self.seen.verdicts() == 2,
        }
    }
}

/// A rule and what was seen of it.
#[derive(Clone, Serialize, Debug)]
pub struct RuleSeen {
    /// Its name.
    pub name: String,
    /// Where it is defined.
    pub place: Option<Place>,
    /// The bytes of its name.
    #[serde(skip)]
    pub span: FileSpan,
    /// Events it was asked about.
    pub asked: u64,
    /// Events on which it was true.
    pub matched: u64,
    /// Events on which it was the first that was true.
    pub reported: u64,
    /// Verdicts of its comparisons: two for each.
    pub verdicts: Share,
    /// Elements of its lists.
    pub elements: Share,
}

/// What captures have exercised of a ruleset.
#[derive(Debug)]
pub struct Coverage {
    /// The rules that run, in load order.
    pub rules: Vec<RuleSeen>,
    /// Pieces of the rule files, by place.
    pub pieces: Vec<PieceSeen>,
    /// How the captures fared.
    pub reports: Vec<CaptureReport>,
}

impl Coverage {
    /// Captures that could be read, to their end or not.
    pub fn read(&self) -> usize {
        self.reports.iter().filter(|report| report.completeness != Completeness::Unreadable).count()
    }

    /// Rules that were reported at least once.
    pub fn fired(&self) -> Share {
        Share { seen: self.rules.iter().filter(|rule| rule.reported > 0).count(), of: self.rules.len() }
    }

    /// Pieces of a kind; of comparisons, macros and exceptions both verdicts count.
    pub fn share(&self, kind: PieceKind) -> Share {
        let mut share = Share::default();
        for piece in self.pieces.iter().filter(|piece| piece.kind == kind) {
            match kind {
                PieceKind::Element | PieceKind::Entry => share.add(usize::from(piece.seen.yes > 0), 1),
                _ => share.add(piece.seen.verdicts(), 2),
            }
        }
        share
    }
}

/// Replays captures, `jobs` at a time, and tells what of the rules they exercise; of those in `only`, if it is there.
pub fn run(
    rules: &RuleSet,
    sources: &Sources,
    only: Option<&BTreeSet<u32>>,
    captures: &[Source],
    jobs: usize,
    advance: &(dyn Fn(u64, u64) + Sync),
) -> Coverage {
    let (records, reports) = record::run(rules, captures, jobs, advance);
    let mut pieces: BTreeMap<(FileSpan, PieceKind), PieceSeen> = BTreeMap::new();
    let mut seen_rules = Vec::new();
    for record in records.iter().filter(|record| only.is_none_or(|only| only.contains(&record.number))) {
        let Some(rule) = rules.rules().get(record.number as usize) else { continue };
        let tree = Tree::new(rule, rules);
        let mut add = Adding { rules, sources, pieces: &mut pieces, number: record.number };
        add.rule(&tree, record);
        let mut verdicts = Share::default();
        for at in &tree.leaves {
            verdicts.add(record.parts.get(*at).map_or(0, |seen| seen.verdicts()), 2);
        }
        let mut elements = Share::default();
        for list in record.elements.iter().flatten() {
            elements.add(list.iter().filter(|count| **count > 0).count(), list.len());
        }
        seen_rules.push(RuleSeen {
            name: rule.name.clone(),
            place: Place::of(rule.span, sources),
            span: rule.span,
            asked: record.asked,
            matched: record.matched,
            reported: record.reported,
            verdicts,
            elements,
        });
    }
    let mut pieces: Vec<PieceSeen> = pieces.into_values().collect();
    pieces.sort_by(|a, b| (&a.place, a.kind).cmp(&(&b.place, b.kind)));
    Coverage { rules: seen_rules, pieces, reports }
}

/// Whether coverage is about a rule.
fn concerns(rules: &RuleSet, number: usize) -> bool {
    rules.is_active(number)
}

/// Puts what was seen of one rule to the pieces of the files.
struct Adding<'a> {
    rules: &'a RuleSet,
    sources: &'a Sources,
    pieces: &'a mut BTreeMap<(FileSpan, PieceKind), PieceSeen>,
    number: u32,
}

impl Adding<'_> {
    fn rule(&mut self, tree: &Tree<'_>, record: &record::Record) {
        for (at, (part, seen)) in tree.parts.iter().zip(&record.parts).enumerate() {
            if let Some((name, used)) = &part.begins_macro {
                self.piece(PieceKind::Macro, *used, name.clone(), *seen);
            }
            if let Some(name) = &part.begins_exception {
                // `not (...)`: what was seen is about the exception itself.
                self.piece(PieceKind::Exception, part.span, name.clone(), Seen { yes: seen.no, no: seen.yes });
            }
            let Some(check) = part.check.filter(|_| part.kind == Kind::Leaf) else { continue };
            self.piece(PieceKind::Comparison, part.span, casebook_rules::print::check(check), *seen);
            let in_exception = self.rules.exception_around(part.span).is_some();
            if let (Right::Constant(constant), true) = (&check.right, in_exception) {
                self.piece(PieceKind::Entry, constant.span, constant.text().into_owned(), *seen);
            }
            let leaf = tree.leaves.binary_search(&at).ok();
            if let (Right::List(_, items), Some(Some(counts))) =
                (&check.right, leaf.and_then(|n| record.elements.get(n)))
            {
                for (item, count) in items.iter().zip(counts) {
                    let kind = if in_exception { PieceKind::Entry } else { PieceKind::Element };
                    self.piece(kind, item.span, item.text().into_owned(), Seen { yes: *count, no: 0 });
                }
            }
        }
    }

    fn piece(&mut self, kind: PieceKind, span: Span, text: String, seen: Seen) {
        let Some(span) = self.rules.written(span, self.sources).map(|written| written.span) else { return };
        let Some(place) = Place::of(span, self.sources) else { return };
        let piece = self.pieces.entry((span, kind)).or_insert_with(|| PieceSeen {
            kind,
            text,
            span,
            place,
            seen: Seen::default(),
            rules: Vec::new(),
        });
        piece.seen.add(seen);
        if piece.rules.last() != Some(&self.number) {
            piece.rules.push(self.number);
        }
    }
}
