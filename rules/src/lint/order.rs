//! Costly terms before cheap ones.
//!
//! Evaluation is from left to right with short circuit. Terms about the event type are left out: the index by event
//! type has decided them before the condition is looked at.

use crate::ast::Operator;
use crate::compile;
use crate::diagnostics::{Code, Diagnostic};
use crate::operand::Source;
use crate::schema::{FieldArg, Multiplicity};

use super::never::shown;
use super::term::{Literal, Term};
use super::{Lint, MAX_FINDINGS, Subject};

pub(super) fn check(lint: &Lint<'_>, subject: &Subject<'_>, out: &mut Vec<Diagnostic>) {
    visit(lint, subject, &subject.term, out);
}

fn visit(lint: &Lint<'_>, subject: &Subject<'_>, term: &Term<'_>, out: &mut Vec<Diagnostic>) {
    let (Term::And(children) | Term::Or(children)) = term else { return };
    if let Term::And(_) = term {
        let first = children.iter().enumerate().find_map(|(at, child)| Some((at, costly(lint, child)?)));
        if let Some((at, costly)) = first
            && let Some(cheap) = children[at + 1..].iter().find_map(|child| cheap(lint, child))
            && costly.0.span.text == subject.rule.text
            && out.len() < MAX_FINDINGS
        {
            let message = format!("{} ({}) is evaluated before {}", shown(costly.0), costly.1, shown(cheap));
            let finding = lint.finding(Code::ExpensiveFirst, message, subject.rule, costly.0.span);
            let other = lint.finding(Code::ExpensiveFirst, "", subject.rule, cheap.span).primary;
            let finding = match other {
                Some(label) => finding.and_at(label.span, "cheap"),
                None => finding,
            };
            out.push(finding.hint("put the cheap comparison first".to_owned()));
        }
    }
    for child in children {
        visit(lint, subject, child, out);
    }
}

/// A comparison that costs more than a lookup, and why; of a group, when all of it does.
fn costly<'t, 'r>(lint: &Lint<'_>, term: &'t Term<'r>) -> Option<(&'t Literal<'r>, &'static str)> {
    match term {
        Term::And(children) | Term::Or(children) => {
            let found: Option<Vec<_>> = children.iter().map(|child| costly(lint, child)).collect();
            found?.into_iter().next()
        }
        Term::Is(literal) => {
            if literal.check.op == Operator::Regex {
                return Some((literal, "a regular expression"));
            }
            let Source::Field(field) = &literal.leaf.left else { return None };
            let def = lint.fields.get(field)?;
            let walks = def.multiplicity == Multiplicity::Ancestors && !matches!(field.arg, FieldArg::Index(_));
            walks.then_some((literal, "a walk over all ancestors"))
        }
    }
}

/// A comparison of one plain field by equality.
fn cheap<'t, 'r>(lint: &Lint<'_>, term: &'t Term<'r>) -> Option<&'t Literal<'r>> {
    let Term::Is(literal) = term else { return None };
    let Source::Field(field) = &literal.leaf.left else { return None };
    let def = lint.fields.get(field)?;
    let equality = matches!(compile::plain(literal.check.op), Operator::Equal | Operator::In);
    let typed = matches!(def.name, "evt.type" | "syscall.type" | "evt.dir" | "evt.num");
    (literal.positive && equality && def.multiplicity == Multiplicity::One && !typed).then_some(literal)
}
