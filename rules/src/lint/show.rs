//! What rules come to, for people: the resolved condition, the compiled steps, the event types.

use std::fmt::Write;

use crate::ast::{Expr, Node};
use crate::print;
use crate::ruleset::{Rule, RuleSet};

use super::facts::FieldFacts;

/// Longest condition that stays on one line.
const LINE: usize = 100;

/// A rule's condition with all macros, lists and exceptions put in, one operand a line where it is long.
pub fn resolved(rule: &Rule) -> String {
    let mut out = String::new();
    layout(&rule.expr, 0, &mut out);
    out.push('\n');
    out
}

fn layout(expr: &Expr, depth: usize, out: &mut String) {
    let whole = print::canonical(expr);
    let indent = "  ".repeat(depth);
    if whole.chars().count() + indent.len() <= LINE {
        out.push_str(&whole);
        return;
    }
    match &expr.node {
        Node::And(children) | Node::Or(children) => {
            let word = if matches!(expr.node, Node::And(_)) { "and" } else { "or" };
            out.push('(');
            for (n, child) in children.iter().enumerate() {
                if n > 0 {
                    let _ = write!(out, "\n{indent}  {word} ");
                }
                layout(child, depth + 1, out);
            }
            out.push(')');
        }
        Node::Not(child) => {
            out.push_str("not ");
            layout(child, depth, out);
        }
        Node::Check(_) | Node::Identifier(_) => out.push_str(&whole),
    }
}

/// The steps a rule's condition is compiled to: number, comparison, and where each verdict leads.
pub fn compiled(rule: &Rule, set: &RuleSet) -> String {
    rule.condition.listing(set.leaves())
}

/// The event types a rule is evaluated on.
pub fn event_types(rule: &Rule, facts: &dyn FieldFacts) -> String {
    let Some(types) = &rule.event_types else { return format!("all events of source {}\n", rule.source) };
    if types.len() == facts.event_type_count() {
        return "all event types\n".to_owned();
    }
    let mut names: Vec<&str> = types.iter().filter_map(|etype| facts.event_type_name(etype)).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() { "none\n".to_owned() } else { format!("{}\n", names.join(", ")) }
}
