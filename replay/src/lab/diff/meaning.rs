//! Two rulesets compared by what their rules come to.
//!
//! Conditions are compared after macros, lists and exceptions were put in. Not a change: the order of parts of one
//! `and` or `or`, parentheses that say nothing, doubled parts, the order of a list, doubled elements, `==` for `=`,
//! quotes, layout, and the names of macros and lists. Everything else is one.

use std::collections::{BTreeMap, BTreeSet};

use casebook_rules::ast::{Check, Expr, Modifier, Node, Operator, Right};
use casebook_rules::print;
use casebook_rules::ruleset::{Rule, RuleSet};
use casebook_rules::source::Sources;
use serde::Serialize;

use crate::lab::verdicts::Place;

/// Parts of a condition up to which order is looked through; larger ones are compared as they stand.
const MAX_PARTS: usize = 20_000;
/// Nesting up to which order is looked through.
const MAX_DEPTH: usize = 200;

/// How a rule differs.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct RuleChange {
    /// Its name.
    pub rule: String,
    /// `added`, `removed` or `changed`.
    pub change: &'static str,
    /// Where it is defined: in the new rules, of a removed one in the old.
    pub place: Option<Place>,
    /// What differs, in words: one line each.
    pub what: Vec<String>,
}

/// The rules that differ, in load order of the new rules, then those that are gone.
pub fn compare(old: (&RuleSet, &Sources), new: (&RuleSet, &Sources)) -> Vec<RuleChange> {
    let known: BTreeMap<&str, &Rule> = old.0.rules().iter().map(|rule| (&*rule.name, rule)).collect();
    let mut changes = Vec::new();
    for rule in new.0.rules() {
        let place = Place::of(rule.span, new.1);
        let change = |change, what| RuleChange { rule: rule.name.clone(), change, place: place.clone(), what };
        match known.get(&*rule.name) {
            None => changes.push(change("added", Vec::new())),
            Some(before) => {
                let what = differences(before, rule);
                if !what.is_empty() {
                    changes.push(change("changed", what));
                }
            }
        }
    }
    let names: BTreeSet<&str> = new.0.rules().iter().map(|rule| &*rule.name).collect();
    for rule in old.0.rules().iter().filter(|rule| !names.contains(&*rule.name)) {
        let place = Place::of(rule.span, old.1);
        changes.push(RuleChange { rule: rule.name.clone(), change: "removed", place, what: Vec::new() });
    }
    changes
}

/// The first rule that both sides have and that stands elsewhere among the others that both have: which of several true
/// rules is reported can change with it.
pub fn reordered(old: &RuleSet, new: &RuleSet) -> Option<String> {
    fn common<'r>(rules: &'r RuleSet, other: &RuleSet) -> Vec<&'r str> {
        let names: BTreeSet<&str> = other.rules().iter().map(|rule| &*rule.name).collect();
        rules.rules().iter().map(|rule| &*rule.name).filter(|name| names.contains(name)).collect()
    }
    let (before, after) = (common(old, new), common(new, old));
    before.iter().zip(&after).find(|(before, after)| before != after).map(|(_, after)| (*after).to_owned())
}

/// What differs between two rules of one name.
fn differences(old: &Rule, new: &Rule) -> Vec<String> {
    let mut what = Vec::new();
    if meaning(&old.expr) != meaning(&new.expr) {
        what.extend(conditions(&old.expr, &new.expr));
    }
    if old.output_text.split_whitespace().ne(new.output_text.split_whitespace()) {
        what.push(format!("output: {}", new.output_text.split_whitespace().collect::<Vec<_>>().join(" ")));
    }
    if old.priority != new.priority {
        what.push(format!("priority: {} to {}", old.priority.name(), new.priority.name()));
    }
    if old.enabled != new.enabled {
        what.push(if new.enabled { "enabled".to_owned() } else { "disabled".to_owned() });
    }
    if old.source != new.source {
        what.push(format!("source: {} to {}", old.source, new.source));
    }
    let tags = list_change(&old.tags, &new.tags);
    if !tags.is_empty() {
        what.push(format!("tags: {tags}"));
    }
    what
}

/// What came and went, `+a, +b, -c`.
fn list_change(old: &BTreeSet<String>, new: &BTreeSet<String>) -> String {
    let came = new.difference(old).map(|name| format!("+{name}"));
    let went = old.difference(new).map(|name| format!("-{name}"));
    came.chain(went).collect::<Vec<_>>().join(", ")
}

/// A text that two conditions share exactly when they mean the same.
pub fn meaning(expr: &Expr) -> String {
    let mut parts = 0;
    expr.for_each_check(&mut |_| parts += 1);
    if parts > MAX_PARTS || expr.depth() > MAX_DEPTH {
        return print::source(expr);
    }
    normal(expr, false)
}

/// The normal form of a condition or of its negation.
fn normal(expr: &Expr, negated: bool) -> String {
    match &expr.node {
        Node::Not(child) => normal(child, !negated),
        Node::Check(check) => {
            let text = print::source(&Expr { span: expr.span, node: Node::Check(Box::new(plain(check))) });
            if negated { format!("not {text}") } else { text }
        }
        Node::Identifier(name) => name.clone(),
        Node::And(_) | Node::Or(_) => {
            // A negated `and` is an `or` of negations; this way `not (a or b)` and `not a and not b` are the same.
            let and = matches!(expr.node, Node::And(_)) != negated;
            let mut parts = BTreeSet::new();
            flatten(expr, negated, and, &mut parts);
            let parts: Vec<String> = parts.into_iter().collect();
            match parts.as_slice() {
                [only] => only.clone(),
                several => format!("({})", several.join(if and { " and " } else { " or " })),
            }
        }
    }
}

/// The parts of one level.
fn flatten(expr: &Expr, negated: bool, and: bool, parts: &mut BTreeSet<String>) {
    match &expr.node {
        Node::And(children) if negated != and => children.iter().for_each(|child| flatten(child, negated, and, parts)),
        Node::Or(children) if negated == and => children.iter().for_each(|child| flatten(child, negated, and, parts)),
        Node::Not(child) => flatten(child, !negated, and, parts),
        _ => {
            parts.insert(normal(expr, negated));
        }
    }
}

/// A comparison without what makes no difference.
fn plain(check: &Check) -> Check {
    let mut check = check.clone();
    if check.op == Operator::DoubleEqual {
        check.op = Operator::Equal;
    }
    if let Right::List(_, items) = &mut check.right {
        items.sort_by(|a, b| a.bytes.cmp(&b.bytes));
        // With `oneof` equal elements count each.
        if check.modifier != Some(Modifier::OneOf) {
            items.dedup_by(|a, b| a.bytes == b.bytes);
        }
    }
    check
}

/// The comparisons of a condition: what is asked of what, with the elements of lists.
fn comparisons(expr: &Expr) -> BTreeMap<(String, BTreeSet<String>), usize> {
    let mut all = BTreeMap::new();
    expr.for_each_check(&mut |check| {
        let check = plain(check);
        let entry = match &check.right {
            Right::List(span, items) => {
                let bare = Check { right: Right::List(*span, Vec::new()), ..check.clone() };
                let text = print::check(&bare);
                let elements = items.iter().map(|item| item.text().into_owned()).collect();
                (text.trim_end_matches("()").trim_end().to_owned(), elements)
            }
            _ => (print::check(&check), BTreeSet::new()),
        };
        *all.entry(entry).or_insert(0) += 1;
    });
    all
}

/// What differs between two conditions: lists by their elements, other comparisons as wholes.
fn conditions(old: &Expr, new: &Expr) -> Vec<String> {
    let (old, new) = (comparisons(old), comparisons(new));
    let mut gone: Vec<_> = old.keys().filter(|key| !new.contains_key(*key)).cloned().collect();
    let mut what = Vec::new();
    for (text, elements) in new.keys().filter(|key| !old.contains_key(*key)) {
        // Of the lists that the same was asked with, the most alike is what this one was.
        let alike = |(other, before): &(String, BTreeSet<String>)| {
            (other == text && !elements.is_empty()).then(|| before.intersection(elements).count())
        };
        let best = gone.iter().enumerate().filter_map(|(at, other)| Some((alike(other)?, at))).max();
        match best {
            Some((_, at)) => {
                let (_, before) = gone.remove(at);
                what.push(format!("condition: {text}: {}", list_change(&before, elements)));
            }
            None => what.push(format!("condition: + {}", whole(text, elements))),
        }
    }
    what.extend(gone.iter().map(|(text, elements)| format!("condition: - {}", whole(text, elements))));
    if what.is_empty() {
        what.push("condition: the same comparisons, joined otherwise".to_owned());
    }
    what
}

fn whole(text: &str, elements: &BTreeSet<String>) -> String {
    if elements.is_empty() {
        return text.to_owned();
    }
    format!("{text} ({})", elements.iter().cloned().collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    // A condition that does not parse is a mistake of the test.
    #![allow(clippy::unwrap_used)]

    use casebook_rules::condition;

    use super::*;

    fn same(a: &str, b: &str) -> bool {
        meaning(&condition::parse(a).unwrap()) == meaning(&condition::parse(b).unwrap())
    }

    #[test]
    fn order_layout_and_doubling_mean_nothing() {
        assert!(same(
            "a.b = 1 and (c.d in (x, y) and e.f exists)",
            "(e.f exists) and c.d in (y,x , x) and a.b == \"1\""
        ));
        assert!(same("not (a.b = 1 or c.d = 2)", "not a.b = 1 and not c.d = 2"));
        assert!(same("not not a.b = 1", "a.b = 1"));
        assert!(same("(a.b = 1 or a.b = 1)", "a.b = 1"));
    }

    #[test]
    fn what_changes_verdicts_is_a_change() {
        assert!(!same("a.b = 1 and c.d = 2", "a.b = 1 or c.d = 2"));
        assert!(!same("a.b in (x)", "a.b in (x, y)"));
        assert!(!same("a.b = 1", "not a.b = 1"));
        assert!(!same("a.b = 1", "not a.b != 1"));
        assert!(!same("a.b startswith oneof (x)", "a.b startswith oneof (x, x)"));
        assert!(!same("a.b = x and (c.d = 1 or e.f = 2)", "(a.b = x and c.d = 1) or e.f = 2"));
    }

    #[test]
    fn lists_are_compared_by_elements() {
        let of = |a, b| conditions(&condition::parse(a).unwrap(), &condition::parse(b).unwrap());
        assert_eq!(of("a.b in (x, y) and c.d = 1", "c.d = 1 and a.b in (y, z)"), ["condition: a.b in: +z, -x"]);
        assert_eq!(of("a.b = 1", "a.b = 2"), ["condition: + a.b = 2", "condition: - a.b = 1"]);
        assert_eq!(
            of("a.b = 1 and c.d = 2", "a.b = 1 or c.d = 2"),
            ["condition: the same comparisons, joined otherwise"]
        );
    }
}
