//! The changes: from the resolved conditions of a ruleset to mutants, each compiled for every rule that it changes.
//!
//! Leaves of mutants go into one table with those of the rules, where equal ones share a number: `proc.name in (a, b)`
//! without `a` is one leaf, however many rules contain it.

use std::collections::{BTreeMap, HashMap, HashSet};

use casebook_rules::ast::{Check, Expr, Modifier, Node, Operand, Operator, Right, Span};
use casebook_rules::compile::{Condition, compile};
use casebook_rules::evttypes::{EventTypeSet, event_types};
use casebook_rules::leaf::{LeafId, Leaves};
use casebook_rules::print;
use casebook_rules::ruleset::{Rule, RuleSet};
use casebook_rules::source::Sources;
use casebook_rules::written::Piece;

use super::{Fate, Kind, Mutant};
use crate::fields::Catalogue;
use crate::lab::verdicts::{Place, Step, Tree};

/// Most mutants of a ruleset; the default rules have some thousand.
const MAX_MUTANTS: usize = 100_000;
/// Most mutants of one rule together with what they share; a rule with a list of thousands of elements has more.
const MAX_OF_RULE: usize = 10_000;
/// Most nodes of all mutated conditions together: what they cost to make.
const MAX_NODES: usize = 20_000_000;

/// Operators and the neighbours that take their places. Negation has a kind of its own, so `=` and `!=` are not here.
const NEIGHBOURS: &[(Operator, Operator)] = &[
    (Operator::Less, Operator::LessEqual),
    (Operator::LessEqual, Operator::Less),
    (Operator::Greater, Operator::GreaterEqual),
    (Operator::GreaterEqual, Operator::Greater),
    (Operator::Contains, Operator::StartsWith),
    (Operator::IContains, Operator::Contains),
    (Operator::StartsWith, Operator::EndsWith),
    (Operator::EndsWith, Operator::StartsWith),
    (Operator::BContains, Operator::BStartsWith),
    (Operator::BStartsWith, Operator::BContains),
    (Operator::Glob, Operator::Equal),
    (Operator::IGlob, Operator::Glob),
    (Operator::PMatch, Operator::In),
    (Operator::Intersects, Operator::In),
];

/// The place of a change: equal ones are the same text, whatever rules it came into.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Target {
    /// A part of a condition, by its span and whether it is a comparison.
    Part(u32, u32, u32, bool),
    /// An element of a list.
    Element(Piece),
}

/// A question about events.
#[derive(Clone, Copy, Debug)]
pub(super) struct Atom {
    pub(super) leaf: LeafId,
    /// Another leaf, asked before: where its verdict is not this one, ours is the same.
    pub(super) only_if: Option<(LeafId, bool)>,
}

/// A mutant's condition in one rule.
#[derive(Debug)]
pub(super) struct Variant {
    /// The mutant's number.
    pub(super) mutant: u32,
    pub(super) condition: Condition,
    /// Event types, where the change has an effect on them.
    pub(super) types: Option<EventTypeSet>,
}

/// A rule with all its mutants.
#[derive(Debug)]
pub(super) struct RulePlan {
    /// The rule's number.
    pub(super) number: u32,
    /// The source of the events it is asked about.
    pub(super) source: Box<str>,
    pub(super) condition: Condition,
    pub(super) types: Option<EventTypeSet>,
    /// All leaves of the condition and its variants, those asked of others after them.
    pub(super) atoms: Vec<Atom>,
    pub(super) variants: Vec<Variant>,
}

/// A ruleset with all its mutants.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) leaves: Leaves,
    pub(super) rules: Vec<RulePlan>,
    pub(super) mutants: Vec<Mutant>,
    pub(super) left_out: usize,
}

/// A change to make: where, what, and how it is told.
struct Change {
    target: Target,
    kind: Kind,
    operator: Option<Operator>,
    what: String,
    /// The part that is shown.
    span: Span,
    /// Position of the part in the tree.
    at: usize,
}

/// Makes all mutants of the rules that run.
pub(super) fn plan(rules: &RuleSet, sources: &Sources) -> Plan {
    let mut plan = Plan { leaves: Leaves::new(), rules: Vec::new(), mutants: Vec::new(), left_out: 0 };
    let mut numbers: HashMap<(Target, Kind, Option<Operator>), u32, foldhash::fast::FixedState> = HashMap::default();
    let mut nodes = 0;
    for (number, rule) in (0_u32..).zip(rules.rules()) {
        if !rules.is_active(number as usize) {
            continue;
        }
        let Ok(compiled) = compile(&rule.expr, &rule.source, &Catalogue::new(), &mut plan.leaves) else { continue };
        let mut making = Making {
            rules,
            rule,
            plan: RulePlan {
                number,
                source: rule.source.as_str().into(),
                condition: compiled.condition,
                types: rule.event_types.clone(),
                atoms: Vec::new(),
                variants: Vec::new(),
            },
            asked: HashSet::default(),
        };
        making.ask_all_of_rule();
        let tree = Tree::new(rule, rules);
        for change in changes(&tree, rules) {
            let known = numbers.get(&(change.target, change.kind, change.operator)).copied();
            nodes += tree.parts.len();
            if known.is_none() && plan.mutants.len() >= MAX_MUTANTS
                || making.plan.variants.len() >= MAX_OF_RULE
                || nodes > MAX_NODES
            {
                plan.left_out += 1;
                continue;
            }
            let mutant = known.unwrap_or(plan.mutants.len() as u32);
            if !making.make(&change, mutant, &mut plan.leaves) {
                continue;
            }
            if let Some(known) = plan.mutants.get_mut(mutant as usize) {
                known.rules.push(number);
                continue;
            }
            numbers.insert((change.target, change.kind, change.operator), mutant);
            plan.mutants.push(described(change, &tree, rules, sources, number));
        }
        plan.rules.push(making.plan);
    }
    plan
}

/// A mutant before its trials.
fn described(change: Change, tree: &Tree<'_>, rules: &RuleSet, sources: &Sources, number: u32) -> Mutant {
    let written = rules.written(change.span, sources);
    let mut way = tree.way(change.at, rules, sources);
    if matches!(change.target, Target::Element(_)) {
        way.retain(|step| step.way == "macro");
        let through = written.as_ref().map(|written| written.through.clone()).unwrap_or_default();
        way.extend(through.into_iter().map(|through| Step {
            way: through.way.name(),
            name: through.name,
            used: through.used.and_then(|used| Place::of(used, sources)),
        }));
    }
    Mutant {
        kind: change.kind,
        what: change.what,
        place: written.and_then(|written| Place::of(written.span, sources)),
        way,
        rules: vec![number],
        fate: Fate::Unseen,
        case: None,
    }
}

/// All changes to a rule, in the order of its text; each once, however often its text is in the condition.
fn changes(tree: &Tree<'_>, rules: &RuleSet) -> Vec<Change> {
    use crate::lab::verdicts::Kind as Part;
    let mut changes: BTreeMap<(usize, Kind, Target, u8), Change> = BTreeMap::new();
    let mut seen = HashSet::<_, foldhash::fast::FixedState>::default();
    let mut add = |change: Change| {
        let operator = change.operator.map_or(0, |operator| operator as u8);
        if seen.insert((change.target, change.kind, operator)) {
            changes.insert((change.at, change.kind, change.target, operator), change);
        }
    };
    let exceptions: HashMap<usize, &str, foldhash::fast::FixedState> =
        tree.parts.iter().enumerate().filter_map(|(at, part)| Some((at, part.begins_exception.as_deref()?))).collect();
    for (at, part) in tree.parts.iter().enumerate() {
        let target = target(part.span, part.check.is_some());
        let above = exceptions.get(&part.parent).copied();
        let two_above = exceptions.get(&tree.parts[part.parent].parent).copied();
        match part.kind {
            Part::Not => {
                if let Some(name) = exceptions.get(&at) {
                    add(Change {
                        target,
                        kind: Kind::Exception,
                        operator: None,
                        what: format!("exception {name}"),
                        span: part.span,
                        at,
                    });
                }
            }
            Part::All | Part::Any => {
                let loaders = exceptions.keys().any(|&exception| tree.parts[exception].parent == at);
                if !loaders && rules.exception_around(part.span).is_none() {
                    let what = if part.kind == Part::All { "and" } else { "or" };
                    add(Change {
                        target,
                        kind: Kind::Swap,
                        operator: None,
                        what: format!("`{what}` of {} parts", part.children.len()),
                        span: part.span,
                        at,
                    });
                }
            }
            Part::Leaf => {}
        }
        // An entry of an exception: one alternative of several below it.
        if let Some(name) = two_above.filter(|_| above.is_none())
            && tree.parts[part.parent].kind == Part::Any
        {
            add(Change {
                target,
                kind: Kind::ExceptionEntry,
                operator: None,
                what: format!("an entry of exception {name}"),
                span: last_constant(tree, at).unwrap_or(part.span),
                at,
            });
        }
        if let Some(check) = part.check {
            let whole_exception = above.is_some();
            for change in of_check(check, part.span, at, target, whole_exception, rules) {
                add(change);
            }
        }
    }
    changes.into_values().collect()
}

fn target(span: Span, leaf: bool) -> Target {
    Target::Part(span.text, span.start, span.end, leaf)
}

/// A constant below a part: the place of an exception's entry, whose fields stand elsewhere.
fn last_constant(tree: &Tree<'_>, at: usize) -> Option<Span> {
    let part = tree.parts.get(at)?;
    match (part.check, part.children.first()) {
        (Some(check), _) => match &check.right {
            Right::Constant(constant) => Some(constant.span),
            Right::List(_, items) => items.first().map(|item| item.span),
            _ => None,
        },
        (None, Some(&child)) => last_constant(tree, child),
        (None, None) => None,
    }
}

/// The changes to a comparison.
fn of_check(check: &Check, span: Span, at: usize, target: Target, whole: bool, rules: &RuleSet) -> Vec<Change> {
    let text = short_check(check);
    let change = |kind, operator, what, target, span| Change { target, kind, operator, what, span, at };
    let mut changes = Vec::new();
    if !whole {
        // Of an exception with one comparison it is the exception that is removed.
        changes.push(change(Kind::Drop, None, text.clone(), target, span));
    }
    changes.push(change(Kind::Negate, None, text.clone(), target, span));
    for (_, other) in NEIGHBOURS.iter().filter(|(op, _)| *op == check.op) {
        let what = format!("{text} ({} for {})", other.text(), check.op.text());
        changes.push(change(Kind::Operator, Some(*other), what, target, span));
    }
    if let Right::List(_, items) = &check.right
        && items.len() > 1
    {
        for item in items {
            if let Some(piece) = rules.piece(item.span) {
                let list = rules.list_around(item.span).map(|list| format!(" of list {list}"));
                let what = format!("{}{}", item.text(), list.unwrap_or_default());
                changes.push(change(Kind::Element, None, what, Target::Element(piece), item.span));
            }
        }
    }
    changes
}

/// A comparison as text; of long lists the beginning.
fn short_check(check: &Check) -> String {
    let Right::List(span, items) = &check.right else { return print::check(check) };
    if items.len() <= 5 {
        return print::check(check);
    }
    let first = Check { right: Right::List(*span, items[..3].to_vec()), ..check.clone() };
    let text = print::check(&first);
    format!("{}, … {} in all)", text.trim_end_matches(')'), items.len())
}

/// One rule's mutants in the making.
struct Making<'m> {
    rules: &'m RuleSet,
    rule: &'m Rule,
    plan: RulePlan,
    asked: HashSet<LeafId, foldhash::fast::FixedState>,
}

impl Making<'_> {
    /// The leaves of the rule itself come first: others are asked after them.
    fn ask_all_of_rule(&mut self) {
        let leaves: Vec<LeafId> = self.plan.condition.leaves().collect();
        for leaf in leaves {
            if self.asked.insert(leaf) {
                self.plan.atoms.push(Atom { leaf, only_if: None });
            }
        }
    }

    /// Makes one mutant's condition; false when there is none: the change leaves nothing, or does not fit the types.
    fn make(&mut self, change: &Change, mutant: u32, leaves: &mut Leaves) -> bool {
        let Some(expr) = self.applied(&self.rule.expr, change) else { return false };
        let Ok(compiled) = compile(&expr, &self.rule.source, &Catalogue::new(), leaves) else { return false };
        if compiled.condition == self.plan.condition {
            return false;
        }
        let types = match (&self.plan.types, event_types(&expr, &Catalogue::new())) {
            (Some(own), Ok(types)) if types != *own => Some(types),
            (Some(_), Err(_)) => return false,
            _ => None,
        };
        let base = self.base(change, &compiled.condition);
        let new: Vec<LeafId> = compiled.condition.leaves().filter(|leaf| self.asked.insert(*leaf)).collect();
        let only_one = new.len() == 1;
        for leaf in new {
            self.plan.atoms.push(Atom { leaf, only_if: base.filter(|_| only_one) });
        }
        self.plan.variants.push(Variant { mutant, condition: compiled.condition, types });
        true
    }

    /// Where a list lost an element: the leaf that it was, and the verdict of it without which the loss means nothing.
    fn base(&self, change: &Change, condition: &Condition) -> Option<(LeafId, bool)> {
        if change.kind != Kind::Element {
            return None;
        }
        let mut differing = None;
        for (own, other) in self.plan.condition.leaves().zip(condition.leaves()) {
            if own != other {
                if differing.is_some_and(|known| known != own) {
                    return None;
                }
                differing = Some(own);
            }
        }
        let mut check = None;
        self.rule.expr.for_each_check(&mut |other| {
            if let Right::List(_, items) = &other.right
                && items.iter().any(|item| self.rules.piece(item.span).map(Target::Element) == Some(change.target))
            {
                check = Some(other);
            }
        });
        let check = check?;
        // More elements can only make these true, but for fields that look at two ends and have rules of their own.
        let two_ends = matches!(&check.left, Operand::Field(field)
            if matches!(&*field.name, "fd.ip" | "fd.net" | "fd.port" | "fd.proto"));
        let plain = matches!(check.op, Operator::In | Operator::PMatch | Operator::Intersects);
        let any = check.modifier == Some(Modifier::AnyOf) && check.op != Operator::NotEqual;
        ((plain || any) && !two_ends).then_some((differing?, true))
    }

    /// A condition with the change made wherever its target stands; `None` when nothing is left.
    fn applied(&self, expr: &Expr, change: &Change) -> Option<Expr> {
        let here = target(expr.span, matches!(expr.node, Node::Check(_))) == change.target;
        let with = |node| Expr { span: expr.span, node };
        match (&expr.node, change.kind) {
            (_, Kind::Drop | Kind::Exception | Kind::ExceptionEntry) if here => None,
            (_, Kind::Negate) if here => Some(with(Node::Not(Box::new(expr.clone())))),
            (Node::Check(check), Kind::Operator) if here => {
                let op = change.operator.unwrap_or(check.op);
                Some(with(Node::Check(Box::new(Check { op, ..Check::clone(check) }))))
            }
            (Node::Check(check), Kind::Element) => {
                let Right::List(span, items) = &check.right else { return Some(expr.clone()) };
                let kept: Vec<_> = items
                    .iter()
                    .filter(|item| self.rules.piece(item.span).map(Target::Element) != Some(change.target))
                    .cloned()
                    .collect();
                if kept.is_empty() || kept.len() == items.len() {
                    return Some(expr.clone());
                }
                let right = Right::List(*span, kept);
                Some(with(Node::Check(Box::new(Check { right, ..Check::clone(check) }))))
            }
            (Node::Check(_) | Node::Identifier(_), _) => Some(expr.clone()),
            (Node::Not(child), _) => Some(with(Node::Not(Box::new(self.applied(child, change)?)))),
            (Node::And(children) | Node::Or(children), kind) => {
                let mut children: Vec<Expr> = children.iter().filter_map(|child| self.applied(child, change)).collect();
                let and = matches!(expr.node, Node::And(_)) != (here && kind == Kind::Swap);
                match children.len() {
                    0 => None,
                    1 => children.pop(),
                    _ if and => Some(with(Node::And(children))),
                    _ => Some(with(Node::Or(children))),
                }
            }
        }
    }
}
