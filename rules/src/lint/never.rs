//! Rules that can never be true, and exceptions that silence a whole rule.

use crate::ast::{Expr, Node, Operand};
use crate::diagnostics::{Code, Diagnostic, ItemKind};
use crate::evttypes::EventTypeSet;
use crate::print;
use crate::text::Via;

use super::solve::{Conflict, Never, Solver};
use super::term::Literal;
use super::{Lint, Subject};

pub(super) fn check(lint: &Lint<'_>, subject: &Subject<'_>, out: &mut Vec<Diagnostic>) {
    match Solver::new(&lint.fields).assume(&subject.term) {
        Err(conflict) => out.push(report(lint, subject, &conflict)),
        Ok(()) if subject.rule.event_types.as_ref().is_some_and(EventTypeSet::is_empty) => out.push(
            Diagnostic::new(Code::NeverTrue, "the condition leaves no event type")
                .at(subject.rule.span)
                .of(ItemKind::Rule, subject.rule.name.clone())
                .hint("see `lint --show evttypes`".to_owned()),
        ),
        Ok(()) => {}
    }
}

fn report(lint: &Lint<'_>, subject: &Subject<'_>, conflict: &Conflict<'_>) -> Diagnostic {
    let rule = subject.rule;
    let part = &conflict.part;
    let every = if conflict.alternative { "; every other alternative fails, too" } else { "" };
    match (&conflict.with, &conflict.alone) {
        (Some(with), _) => {
            let (code, last, first) = match (exception(lint, part), exception(lint, with)) {
                (Some(_), None) => (Code::ExceptionSilences, part, with),
                (None, Some(_)) => (Code::ExceptionSilences, with, part),
                _ => (Code::NeverTrue, part, with),
            };
            let message = match exception(lint, last) {
                Some(name) if code == Code::ExceptionSilences => {
                    format!("exception `{name}` silences the rule: whatever fulfils the condition is excepted")
                }
                _ => format!("the rule can never be true: {} contradicts {}{every}", shown(last), shown(first)),
            };
            let mut finding = lint.finding(code, message, rule, last.span);
            let other = lint.finding(code, "", rule, first.span);
            if let Some(mut label) = other.primary {
                if label.text.is_empty() {
                    let words =
                        if code == Code::NeverTrue { "contradicts this" } else { "this makes the exception apply" };
                    words.clone_into(&mut label.text);
                }
                finding.secondary.insert(0, label);
                finding.secondary.extend(other.secondary);
            }
            finding.hint(advice(last, first))
        }
        (None, Some(Never::Switch | Never::EmptyList)) => {
            let message = format!("the rule is off: {} is never true{every}", shown(part));
            lint.finding(Code::SwitchedOff, message, rule, part.span)
        }
        _ => {
            let message = format!("the rule can never be true: {} never is{every}", shown(part));
            lint.finding(Code::NeverTrue, message, rule, part.span)
        }
    }
}

/// The left side of a comparison for messages.
pub(super) fn operand(operand: &Operand) -> String {
    match operand {
        Operand::Field(field) => print::field(field),
        Operand::Call(call) => format!("{}(...)", call.function),
    }
}

/// A literal for messages.
pub(super) fn shown(literal: &Literal<'_>) -> String {
    const LONG: usize = 80;
    let expr = Expr { span: literal.span, node: Node::Check(Box::new(literal.check.clone())) };
    let mut text = print::canonical(&expr);
    if text.len() > LONG {
        text.truncate(crate::source::floor_char_boundary(&text, LONG));
        text.push('…');
    }
    if literal.positive { format!("`{text}`") } else { format!("`not {text}`") }
}

fn advice(a: &Literal<'_>, b: &Literal<'_>) -> Option<String> {
    let same = a.leaf.left == b.leaf.left && a.positive && b.positive;
    same.then(|| "a field has one value: join alternatives with `or`, or use `in`".to_owned())
}

/// The exception a literal belongs to.
fn exception(lint: &Lint<'_>, literal: &Literal<'_>) -> Option<String> {
    let place = lint.set.places().place(literal.span, &lint.outcome.sources)?;
    let mut via = &place.via;
    loop {
        match via {
            Via::Own => return None,
            Via::Exception(name) => return Some(name.to_string()),
            Via::List(used) => via = &used.place.via,
        }
    }
}
