//! In which order the comparisons of a rule are asked.
//!
//! Inside `and` and `or`, operands whose answers stand beside the facts of the event (`leaf/alike.rs`) come before those
//! that have to be asked. Most opens are like one before, and on nearly all of them facts alone say that no rule is true: the
//! place of the facts then leads straight to the end, where a question about the process stood in between.
//!
//! All others stay as written. Whoever writes a rule puts first what makes it false most often, and rules that share a
//! macro begin alike; an order by cost and guessed frequency asked more than that (`replay/BENCH.md` has the numbers).
//!
//! A rule with a comparison that can abort is asked as written: there the order shows. Nothing else shows it, as comparisons
//! have no effects and what is absent is false wherever it is asked. `explain`, coverage and mutation go by the
//! condition as written ([`Condition`]), not by programs.

use crate::ast::{Expr, Node};
use crate::compile::{Condition, FALSE, Step, TRUE};
use crate::leaf::{Leaf, LeafId, Leaves, Test, Which};
use crate::operand::Source;

/// A part of a condition; its negations have come down to the comparisons.
enum Part {
    /// A comparison and the answer that makes it true.
    Leaf(LeafId, bool),
    /// All are true.
    All(Vec<Part>),
    /// Some are true.
    Any(Vec<Part>),
}

/// What the answer of a comparison follows from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    /// The event type: it is not asked at all.
    Type,
    /// Facts of the event: it costs nothing where they are known.
    Facts,
    /// Anything else: it has to be asked.
    Else,
}

/// A condition with the operands first that cost nothing. `None` where it stays as it is written. `expr` is what it was
/// compiled from.
pub(super) fn ordered(
    expr: &Expr,
    condition: &Condition,
    leaves: &Leaves,
    from: &mut dyn FnMut(LeafId) -> From,
) -> Option<Condition> {
    let (mut by_facts, mut by_else) = (false, false);
    for leaf in condition.leaves() {
        if leaves.get(leaf).is_none_or(can_abort) {
            return None;
        }
        let from = from(leaf);
        by_facts |= from == From::Facts;
        by_else |= from == From::Else;
    }
    if !by_facts || !by_else {
        return None;
    }
    let mut part = Part::of(expr, &mut condition.leaves(), true)?;
    part.sort(from);
    let mut steps = Vec::new();
    part.lay(TRUE, FALSE, &mut steps);
    Some(Condition::new(steps))
}

/// Whether asking a comparison can end in an error.
fn can_abort(leaf: &Leaf) -> bool {
    match &leaf.test {
        Test::Abort(_) => true,
        Test::Constants { which: Which::Only, .. } => !matches!(leaf.left, Source::Field(_)),
        Test::Right { list, .. } => !list,
        Test::Exists | Test::Constants { .. } | Test::Around { .. } => false,
    }
}

impl Part {
    /// A part of the tree, negated unless `wanted`. `ids` are its comparisons in the order of the text. Operands of operands of
    /// the same kind stand on one level.
    fn of(expr: &Expr, ids: &mut dyn Iterator<Item = LeafId>, wanted: bool) -> Option<Self> {
        let (children, all) = match &expr.node {
            Node::Not(child) => return Self::of(child, ids, !wanted),
            Node::Check(_) | Node::Identifier(_) => return Some(Self::Leaf(ids.next()?, wanted)),
            Node::And(children) => (children, wanted),
            Node::Or(children) => (children, !wanted),
        };
        let mut parts = Vec::with_capacity(children.len());
        for child in children {
            match (Self::of(child, ids, wanted)?, all) {
                (Self::All(inner), true) | (Self::Any(inner), false) => parts.extend(inner),
                (part, _) => parts.push(part),
            }
        }
        Some(if all { Self::All(parts) } else { Self::Any(parts) })
    }

    /// Puts operands that cost nothing before the others, on all levels; whether all of this part does.
    fn sort(&mut self, from: &mut dyn FnMut(LeafId) -> From) -> bool {
        let parts = match self {
            Self::Leaf(leaf, _) => return from(*leaf) != From::Else,
            Self::All(parts) | Self::Any(parts) => parts,
        };
        let (mut first, mut rest) = (Vec::with_capacity(parts.len()), Vec::new());
        for mut part in parts.drain(..) {
            if part.sort(from) { first.push(part) } else { rest.push(part) }
        }
        let all = rest.is_empty();
        first.append(&mut rest);
        *parts = first;
        all
    }

    /// Lays the steps of a part that goes on with `yes` or `no`, from the last to the first; gives where it begins.
    fn lay(&self, yes: u32, no: u32, steps: &mut Vec<Step>) -> u32 {
        match self {
            Self::Leaf(leaf, wanted) => {
                let (yes, no) = if *wanted { (yes, no) } else { (no, yes) };
                steps.push(Step { leaf: *leaf, yes, no });
                steps.len() as u32 - 1
            }
            Self::All(parts) => parts.iter().rev().fold(yes, |next, part| part.lay(next, no, steps)),
            Self::Any(parts) => parts.iter().rev().fold(no, |next, part| part.lay(yes, next, steps)),
        }
    }
}
