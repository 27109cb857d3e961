//! Fields that the event types of a rule do not have, or that no capture has: in conditions and in outputs.

use crate::diagnostics::{Code, Diagnostic, ItemKind};
use crate::evttypes::{self, EventTypeSet};
use crate::print;
use crate::schema::FieldRef;
use crate::source::FileSpan;

use super::never::operand;
use super::term::{Literal, Term};
use super::{Lint, MAX_FINDINGS, Subject};

/// Comparisons beyond which a condition is not looked at.
const MAX_LITERALS: usize = 20_000;
/// Names of event types shown in a message.
const MAX_NAMES: usize = 4;

pub(super) fn check(lint: &Lint<'_>, subject: &Subject<'_>, out: &mut Vec<Diagnostic>) {
    let Some(types) = &subject.rule.event_types else { return };
    let mut literals = 0;
    subject.term.for_each(&mut |_| literals += 1);
    if literals <= MAX_LITERALS && !types.is_empty() {
        condition(lint, subject, &subject.term, types, false, out);
    }
    output(lint, subject, types, out);
    metadata(lint, subject, out);
}

/// Says when a part that must hold needs metadata of containers. That part alone is shown, the first of its kind.
fn metadata(lint: &Lint<'_>, subject: &Subject<'_>, out: &mut Vec<Diagnostic>) {
    let needs = |literal: &Literal<'_>| {
        let mut needs = false;
        literal.leaf.left.for_each_field(&mut |field| {
            needs |= lint.fields.get(field).is_some_and(|def| lint.facts.needs_metadata(def.name));
        });
        literal.positive && needs
    };
    let first = subject.term.conjuncts().iter().find_map(|part| match part {
        Term::Is(literal) if needs(literal) => Some(literal),
        _ => None,
    });
    if let Some(literal) = first {
        let name = operand(&literal.check.left);
        let message = format!("the rule is true only where {name} is known from a container runtime");
        out.push(lint.finding(Code::NeedsMetadata, message, subject.rule, literal.span));
    }
}

/// The event types on which a part of a condition can be true.
fn types(lint: &Lint<'_>, term: &Term<'_>) -> EventTypeSet {
    let count = lint.facts.event_type_count();
    match term {
        Term::And(children) => children.iter().fold(EventTypeSet::all(count), |mut set, child| {
            set.intersect(&types(lint, child));
            set
        }),
        Term::Or(children) => children.iter().fold(EventTypeSet::none(count), |mut set, child| {
            set.union(&types(lint, child));
            set
        }),
        Term::Is(literal) => match evttypes::of_check(literal.check, lint.facts) {
            Some(set) if literal.positive => set,
            Some(set) => set.complement(),
            None => EventTypeSet::all(count),
        },
    }
}

/// Looks at comparisons with the event types that are left where they stand. `optional` inside of alternatives.
fn condition(
    lint: &Lint<'_>,
    subject: &Subject<'_>,
    term: &Term<'_>,
    around: &EventTypeSet,
    optional: bool,
    out: &mut Vec<Diagnostic>,
) {
    match term {
        Term::And(children) => {
            let mut here = around.clone();
            for child in children {
                here.intersect(&types(lint, child));
            }
            if !here.is_empty() {
                for child in children {
                    condition(lint, subject, child, &here, optional, out);
                }
            }
        }
        Term::Or(children) => {
            for child in children {
                condition(lint, subject, child, around, true, out);
            }
        }
        Term::Is(literal) => literal_fields(lint, subject, literal, around, optional, out),
    }
}

fn literal_fields(
    lint: &Lint<'_>,
    subject: &Subject<'_>,
    literal: &Literal<'_>,
    types: &EventTypeSet,
    optional: bool,
    out: &mut Vec<Diagnostic>,
) {
    // A macro serves several rules; what it offers as an alternative need not suit each of them.
    let shared = optional && literal.span.text != subject.rule.text;
    if !literal.positive || shared || out.len() >= MAX_FINDINGS {
        return;
    }
    let mut fields: Vec<FieldRef> = Vec::new();
    literal.leaf.left.for_each_field(&mut |field| fields.push(field.clone()));
    for field in fields {
        let name = match &literal.check.left {
            crate::ast::Operand::Field(written) => print::field(written),
            crate::ast::Operand::Call(_) => lint.fields.get(&field).map_or("", |def| def.name).to_owned(),
        };
        if missing(lint, &field, types) {
            let message = format!("{name} has no value on {}, so this is never true", names(lint, types));
            out.push(lint.finding(Code::FieldNotInEvent, message, subject.rule, literal.span));
        } else if let Some(reason) = lint.facts.offline(&field) {
            let message = format!("{name} never has a value on captures: {reason}");
            out.push(lint.finding(Code::NoValueOffline, message, subject.rule, literal.span));
        }
    }
}

/// Whether none of the types has the field.
fn missing(lint: &Lint<'_>, field: &FieldRef, types: &EventTypeSet) -> bool {
    !types.is_empty() && types.iter().all(|etype| lint.facts.never_on(field, etype))
}

/// Some names of event types.
fn names(lint: &Lint<'_>, types: &EventTypeSet) -> String {
    let mut names: Vec<&str> = types.iter().filter_map(|etype| lint.facts.event_type_name(etype)).collect();
    names.sort_unstable();
    names.dedup();
    match names.len() {
        0 => "these events".to_owned(),
        n if n <= MAX_NAMES => names.join(", "),
        n => format!("{} and {} more event types", names[..MAX_NAMES - 1].join(", "), n - MAX_NAMES + 1),
    }
}

fn output(lint: &Lint<'_>, subject: &Subject<'_>, types: &EventTypeSet, out: &mut Vec<Diagnostic>) {
    let mut absent: Vec<(&str, FileSpan)> = Vec::new();
    let mut offline: Vec<(&str, FileSpan)> = Vec::new();
    let mut why = "";
    for (name, field) in subject.rule.output.named_fields() {
        let reason = lint.facts.offline(field);
        let found = match reason {
            _ if missing(lint, field, types) => &mut absent,
            Some(reason) if why.is_empty() || why == reason => {
                why = reason;
                &mut offline
            }
            _ => continue,
        };
        // What the configuration adds to outputs stands in no rule file.
        let text = &subject.def.output;
        let Some(at) = find(text.text(), name) else { continue };
        let Some(place) = text.place(at, at + name.len(), &lint.outcome.sources) else { continue };
        found.push((name, place.span));
    }
    let events = names(lint, types);
    out.extend(output_finding(subject, Code::OutputNoValue, &absent, &format!("has no value on {events}")));
    let never = format!("never has a value on captures: {why}");
    out.extend(output_finding(subject, Code::NoValueOffline, &offline, &never));
}

/// One finding about the fields of an output that share a reason.
fn output_finding(subject: &Subject<'_>, code: Code, fields: &[(&str, FileSpan)], why: &str) -> Option<Diagnostic> {
    let ((first, span), rest) = fields.split_first()?;
    let mut list = (*first).to_owned();
    for (name, _) in rest {
        list.push_str(", ");
        list.push_str(name);
    }
    let which = if rest.is_empty() { "which" } else { "each of which" };
    let finding = Diagnostic::new(code, format!("the output names {list}, {which} {why}"))
        .at(*span)
        .of(ItemKind::Rule, subject.rule.name.clone());
    Some(rest.iter().fold(finding, |finding, (_, span)| finding.and_at(*span, "")))
}

/// Where a field stands in an output.
fn find(text: &str, name: &str) -> Option<usize> {
    let mut places = text.match_indices(name).map(|(at, _)| at);
    places.find(|at| {
        let before = text[..*at].bytes().next_back();
        let after = text[at + name.len()..].bytes().next();
        before.is_some_and(|byte| byte == b'%' || byte == b'(' || byte == b',' || byte.is_ascii_digit())
            && !after.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'[')
    })
}
