//! Single comparisons that do not do what they seem to: peculiarities of the language, constants that match nothing,
//! `!=` where a field is absent.

use std::collections::{HashMap, HashSet};

use crate::ast::{Constant, Operator, Right, Span};
use crate::compile;
use crate::diagnostics::{Code, Diagnostic};
use crate::leaf::Test;
use crate::operand::Source;
use crate::schema::{FieldArg, FieldDef, FieldType, Multiplicity};
use crate::text::Via;

use super::never::{operand, shown};
use super::solve::{Never, never, wrong_case};
use super::term::{Literal, Term};
use super::{Lint, MAX_FINDINGS, Subject};

/// Repeated items of one list that are shown.
const MAX_REPEATS: usize = 16;

pub(super) fn check(lint: &Lint<'_>, subject: &Subject<'_>, out: &mut Vec<Diagnostic>) {
    let mut seen = HashSet::new();
    let mut checker = Checker { lint, subject, out };
    subject.term.for_each(&mut |literal| {
        if seen.insert(literal.span) {
            checker.literal(literal);
        }
    });
    checker.absent(&subject.term, &mut Vec::new());
}

struct Checker<'c, 'l> {
    lint: &'c Lint<'l>,
    subject: &'c Subject<'l>,
    out: &'c mut Vec<Diagnostic>,
}

impl Checker<'_, '_> {
    fn add(&mut self, code: Code, part: Span, message: String, hint: Option<String>) {
        if self.out.len() < MAX_FINDINGS {
            let finding = self.lint.finding(code, message, self.subject.rule, part).hint(hint);
            self.out.push(finding);
        }
    }

    /// The field on the left and its definition, when there is no call around it.
    fn field(&self, literal: &Literal<'_>) -> Option<(&FieldDef, bool)> {
        let Source::Field(field) = &literal.leaf.left else { return None };
        Some((self.lint.fields.get(field)?, matches!(field.arg, FieldArg::Index(_))))
    }

    fn literal(&mut self, literal: &Literal<'_>) {
        let positive = Literal { positive: true, ..*literal };
        match never(&positive) {
            Some(Never::Quirk) => return self.quirk(&positive),
            Some(Never::EmptyList) => return self.empty_list(&positive),
            Some(Never::Switch) | None => {}
        }
        self.constants(&positive);
        self.repeated(&positive);
        let def = self.field(literal).map(|(def, indexed)| (def.name, def.multiplicity, indexed));
        let Some((name, multiplicity, indexed)) = def else { return };
        let check = literal.check;
        let several = compile::constants(check).len() > 1;
        match multiplicity {
            Multiplicity::Ancestors if indexed => {}
            Multiplicity::Ancestors if check.op == Operator::NotEqual => self.add(
                Code::AncestorNotEqual,
                literal.span,
                format!("{} is true when some ancestor differs, which is nearly always so", shown(&positive)),
                Some(format!("`not {name} = ...` is true when no ancestor equals")),
            ),
            Multiplicity::Ancestors | Multiplicity::TwoEnds
                if several && (check.modifier.is_some() || (check.op == Operator::In && name == "fd.net")) =>
            {
                let op = check.modifier.map_or(check.op.to_string(), |modifier| format!("{} {modifier}", check.op));
                self.add(
                    Code::OverlookedConstants,
                    literal.span,
                    format!("only the first constant counts: `{op}` on {name} does not look at the others"),
                    Some(format!("write one comparison for each: {name} = A or {name} = B")),
                );
            }
            _ => {}
        }
    }

    /// A comparison that is never true by a peculiarity of the language.
    fn quirk(&mut self, literal: &Literal<'_>) {
        let check = literal.check;
        let name = operand(&check.left);
        let each = format!("write one comparison for each: {name} = A or {name} = B");
        let (message, hint) = match (&literal.leaf.left, &literal.leaf.test) {
            (_, Test::Abort(error)) => (format!("Falco aborts the evaluation of this event here: {error}"), each),
            (Source::Apply { .. }, _) => {
                let message = format!("`{name}` never gives such letters, so {} is never true", shown(literal));
                (message, "write the constant in the letters that the transformer gives".to_owned())
            }
            (Source::Field(field), _) if field.ty == FieldType::IpNet => (
                format!("`{} {}` never matches a network", check.op, check.modifier.map_or("", |m| m.text())),
                "use in, or one comparison for each network".to_owned(),
            ),
            _ => (format!("{} is never true: Falco does not look {name} up in lists", shown(literal)), each),
        };
        self.add(Code::DeadComparison, literal.span, message, Some(hint));
    }

    /// `in ()`, when it is written so; a list that is empty is a place for somebody's own values.
    fn empty_list(&mut self, literal: &Literal<'_>) {
        let Right::List(span, _) = &literal.check.right else { return };
        let Some(place) = self.lint.set.places().place(*span, &self.lint.outcome.sources) else { return };
        let Some(located) = self.lint.outcome.sources.locate(place.span) else { return };
        let written = located.text.get(located.start..located.end).unwrap_or_default();
        let bare = written.bytes().all(|byte| byte.is_ascii_whitespace() || matches!(byte, b'(' | b')'));
        if bare && place.via == Via::Own {
            let message = format!("{} is never true: the list is empty", shown(literal));
            self.add(Code::DeadComparison, literal.span, message, None);
        }
    }

    /// Constants that no value equals.
    fn constants(&mut self, literal: &Literal<'_>) {
        let op = compile::plain(literal.check.op);
        let exact = matches!(
            op,
            Operator::Equal | Operator::NotEqual | Operator::In | Operator::Intersects | Operator::StartsWith
        );
        let longest = match self.field(literal) {
            Some((def, _)) if exact => self.lint.facts.longest(def.name).map(|longest| (def.name, longest)),
            _ => None,
        };
        for constant in compile::constants(literal.check) {
            if wrong_case(literal, &constant.bytes) {
                let message = format!("the transformer never gives `{}`", constant.text());
                self.add(Code::DeadComparison, constant.span, message, None);
            }
            if let Some((name, longest)) = longest
                && constant.bytes.len() > longest
                && !is_kernel_thread(&constant.bytes)
            {
                let cut = String::from_utf8_lossy(&constant.bytes[..longest]).into_owned();
                self.add(
                    Code::ConstantTooLong,
                    constant.span,
                    format!("{name} has at most {longest} bytes, so it is never `{}`", constant.text()),
                    Some(format!("the kernel cuts it to `{cut}`")),
                );
            }
            let not_available = constant.bytes == b"<NA>" && exact;
            if not_available
                && let Some((def, _)) = self.field(literal)
                && self.lint.facts.never_na_text(def.name)
            {
                let message = format!("{} is absent there, not the text `<NA>`", def.name);
                let hint = format!("write `{0} exists` or `not {0} exists`", def.name);
                self.add(Code::NaText, constant.span, message, Some(hint));
            }
        }
    }

    /// Constants that one list, written in one place, has twice.
    fn repeated(&mut self, literal: &Literal<'_>) {
        let Right::List(_, items) = &literal.check.right else { return };
        if literal.check.modifier == Some(crate::ast::Modifier::OneOf) {
            return;
        }
        let mut seen: HashMap<&[u8], &Constant> = HashMap::new();
        let again = items.iter().filter_map(|item| Some((item, seen.insert(&item.bytes, item)?)));
        for (item, earlier) in again.take(MAX_REPEATS) {
            let own = |constant: &Constant| {
                let place = self.lint.set.places().place(constant.span, &self.lint.outcome.sources)?;
                matches!(place.via, Via::Own).then_some(place.span)
            };
            if let (Some(_), Some(first)) = (own(item), own(earlier)) {
                let message = format!("`{}` occurs twice in this list", item.text());
                let finding = self.lint.finding(Code::RepeatedItem, message, self.subject.rule, item.span);
                self.out.push(finding.and_at(first, "first here"));
            }
        }
    }

    /// `!=` on fields that are absent where the rule should probably be true. `known` are the literals that hold
    /// besides.
    fn absent<'t>(&mut self, term: &'t Term<'_>, known: &mut Vec<&'t Literal<'t>>) {
        match term {
            Term::Is(literal) => self.not_equal(literal, known),
            Term::Or(children) => {
                for child in children {
                    self.absent(child, known);
                }
            }
            Term::And(children) => {
                let mark = known.len();
                known.extend(children.iter().filter_map(|child| match child {
                    Term::Is(literal) => Some(literal),
                    _ => None,
                }));
                for child in children {
                    self.absent(child, known);
                }
                known.truncate(mark);
            }
        }
    }

    fn not_equal(&mut self, literal: &Literal<'_>, known: &[&Literal<'_>]) {
        if !literal.positive || literal.check.op != Operator::NotEqual {
            return;
        }
        let Some((def, indexed)) = self.field(literal) else { return };
        let Some(absence) = self.lint.facts.absence(def.name) else { return };
        if (def.multiplicity == Multiplicity::Ancestors) != indexed {
            return;
        }
        let present = known.iter().any(|other| {
            let Source::Field(field) = &other.leaf.left else { return false };
            let same = self.lint.fields.get(field).is_some_and(|def| def.name.starts_with(absence.family));
            other.positive && same && other.id != literal.id
        });
        if present {
            return;
        }
        let name = def.name;
        let message = format!("{} is false where {name} is absent: {}", shown(literal), absence.when);
        let hint = format!("write `not {name} = ...` if the rule is meant to be true there");
        self.add(Code::AbsentNotEqual, literal.span, message, Some(hint));
    }
}

/// Whether a name looks like `kworker/u8:3-events_unbound`: in snapshots, kernel threads have names of any length.
fn is_kernel_thread(name: &[u8]) -> bool {
    let slash = memchr::memchr(b'/', name);
    slash.is_some_and(|at| at > 0 && name[..at].iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()))
}
