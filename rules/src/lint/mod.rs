//! Lint: what is wrong with rules that load.
//!
//! Works on a finished load: the rules' trees and compiled comparisons, and the items they were built from. A finding
//! is a [`Diagnostic`] like those of loading, with a code of the same table and the places in the files. Falco knows
//! none of these findings. Silence is better than a wrong one: what is reported follows from the language, from the
//! event table, or from what [`FieldFacts`] is sure of.

mod attack;
mod comparisons;
mod events;
mod facts;
mod items;
mod never;
mod order;
mod shadow;
pub mod show;
mod solve;
mod term;

pub use facts::{Absence, FieldFacts};

use crate::ast::Span;
use crate::collector::RuleDef;
use crate::diagnostics::{Code, Diagnostic};
use crate::load::LoadOutcome;
use crate::ruleset::{Rule, RuleSet};
use solve::Fields;
use term::Term;

/// Most findings of one run; a hostile file could have millions, each with a way back through a long text.
const MAX_FINDINGS: usize = 2_000;

/// A rule with everything the checks ask about.
struct Subject<'l> {
    rule: &'l Rule,
    def: &'l RuleDef,
    term: Term<'l>,
}

/// What all checks share.
struct Lint<'l> {
    outcome: &'l LoadOutcome,
    set: &'l RuleSet,
    facts: &'l dyn FieldFacts,
    fields: Fields<'l>,
    subjects: Vec<Subject<'l>>,
}

impl Lint<'_> {
    /// A finding about a part of a rule's condition.
    fn finding(&self, code: Code, message: impl Into<String>, rule: &Rule, part: Span) -> Diagnostic {
        self.set.diagnostic(code, message, rule, part, &self.outcome.sources)
    }
}

/// All findings about the rules of a load, sorted by place. Empty when loading failed: a file with an error says
/// nothing reliable about the rest.
pub fn lint(outcome: &LoadOutcome, facts: &dyn FieldFacts) -> Vec<Diagnostic> {
    let Some(set) = &outcome.ruleset else { return Vec::new() };
    let subjects = set.rules().iter().filter_map(|rule| {
        let def = outcome.collector.rules.get(&rule.name)?;
        Some(Subject { rule, def, term: term::of_rule(rule, set.leaves())? })
    });
    let subjects = subjects.collect();
    let lint = Lint { outcome, set, facts, fields: Fields::new(facts), subjects };
    let mut out = Vec::new();
    for subject in &lint.subjects {
        if out.len() >= MAX_FINDINGS {
            break;
        }
        never::check(&lint, subject, &mut out);
        comparisons::check(&lint, subject, &mut out);
        events::check(&lint, subject, &mut out);
        order::check(&lint, subject, &mut out);
    }
    shadow::check(&lint, &mut out);
    items::check(&lint, &mut out);
    attack::check(&lint, &mut out);
    tidy(out)
}

/// Sorted by place, and each said once: a comparison in a macro is seen in every rule that uses the macro.
fn tidy(mut findings: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let place = |finding: &Diagnostic| finding.primary.as_ref().map(|label| (label.span, finding.code));
    findings.sort_by_key(place);
    let mut out: Vec<Diagnostic> = Vec::new();
    for finding in findings {
        let same = |earlier: &Diagnostic| earlier.message == finding.message && finding.primary.is_some();
        if !out.iter().rev().take_while(|earlier| place(earlier) == place(&finding)).any(same) {
            out.push(finding);
        }
        if out.len() == MAX_FINDINGS {
            break;
        }
    }
    out
}
