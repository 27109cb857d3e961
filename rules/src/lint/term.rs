//! Conditions as lint reads them: `and`, `or` and comparisons with a sign, groups of one kind flattened.
//!
//! Negation is pushed down to the comparisons. That is exact: a comparison on an absent field is false, and its
//! negation true, so both verdicts are ordinary truth values.

use crate::ast::{Check, Expr, Node, Span};
use crate::leaf::{Leaf, LeafId, Leaves};
use crate::ruleset::Rule;

/// A condition.
#[derive(Debug)]
pub(super) enum Term<'r> {
    And(Vec<Term<'r>>),
    Or(Vec<Term<'r>>),
    Is(Literal<'r>),
}

/// A comparison or its negation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Literal<'r> {
    pub(super) check: &'r Check,
    pub(super) span: Span,
    pub(super) id: LeafId,
    pub(super) leaf: &'r Leaf,
    /// False when it is negated.
    pub(super) positive: bool,
}

/// The condition of a rule.
pub(super) fn of_rule<'r>(rule: &'r Rule, leaves: &'r Leaves) -> Option<Term<'r>> {
    // The compiler numbers the comparisons in the order of the text, which is the order of this walk.
    let mut ids = rule.condition.leaves();
    build(&rule.expr, true, &mut ids, leaves)
}

fn build<'r>(
    expr: &'r Expr,
    positive: bool,
    ids: &mut dyn Iterator<Item = LeafId>,
    leaves: &'r Leaves,
) -> Option<Term<'r>> {
    match &expr.node {
        Node::Not(child) => build(child, !positive, ids, leaves),
        Node::Check(check) => {
            let id = ids.next()?;
            let leaf = leaves.get(id)?;
            Some(Term::Is(Literal { check, span: expr.span, id, leaf, positive }))
        }
        Node::Identifier(_) => None,
        Node::And(children) | Node::Or(children) => {
            let and = matches!(expr.node, Node::And(_)) == positive;
            let mut flat = Vec::new();
            for child in children {
                match (build(child, positive, ids, leaves)?, and) {
                    (Term::And(inner), true) | (Term::Or(inner), false) => flat.extend(inner),
                    (other, _) => flat.push(other),
                }
            }
            Some(if and { Term::And(flat) } else { Term::Or(flat) })
        }
    }
}

impl<'r> Term<'r> {
    /// The parts that all have to hold.
    pub(super) fn conjuncts(&self) -> &[Term<'r>] {
        match self {
            Term::And(children) => children,
            other => std::slice::from_ref(other),
        }
    }

    /// Calls `f` on every comparison, from left to right.
    pub(super) fn for_each(&self, f: &mut dyn FnMut(&Literal<'r>)) {
        match self {
            Term::And(children) | Term::Or(children) => children.iter().for_each(|child| child.for_each(f)),
            Term::Is(literal) => f(literal),
        }
    }
}
