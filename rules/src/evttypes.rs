//! The event type index: on which event types can a condition be true at all?
//!
//! The answer comes from the tree alone, as in Falco, because it decides two visible things: which events a rule
//! sees, and whether the load warns about too many. `and` intersects, `or` unites, `not` goes down to the checks.
//! Only plain comparisons of `evt.type` and `syscall.type` narrow the set, and comparisons of `evt.num` that its
//! first value, 1, decides; all other checks leave it alone, negated or not.

use crate::ast::{Call, CallArg, Check, Expr, Field, Node, Operand, Operator, Right};
use crate::compile::{self, CompileError, CompileErrorKind};
use crate::constant;
use crate::schema::Schema;

/// Types beyond which a syscall rule gives `LOAD_NO_EVTTYPE`.
pub const MAX_TYPES_WITHOUT_WARNING: usize = 100;

/// A set of event types.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventTypeSet {
    words: Box<[u64]>,
    count: usize,
}

impl EventTypeSet {
    /// No type out of `count`.
    pub fn none(count: usize) -> Self {
        Self { words: vec![0; count.div_ceil(64)].into(), count }
    }

    /// All types below `count`.
    pub fn all(count: usize) -> Self {
        Self { words: vec![u64::MAX; count.div_ceil(64)].into(), count }.within()
    }

    /// Without what lies beyond the count in the last word.
    fn within(mut self) -> Self {
        if let (Some(last), rest @ 1..) = (self.words.last_mut(), self.count % 64) {
            *last &= (1 << rest) - 1;
        }
        self
    }

    /// Adds a type; one beyond the count is ignored.
    pub fn insert(&mut self, ty: u16) {
        let index = usize::from(ty);
        if index < self.count {
            self.words[index / 64] |= 1 << (index % 64);
        }
    }

    /// Whether a type is in the set.
    pub fn contains(&self, ty: u16) -> bool {
        let index = usize::from(ty);
        index < self.count && self.words[index / 64] >> (index % 64) & 1 == 1
    }

    /// How many types are in the set.
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether no type is in the set.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// The types in the set, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        (0..self.count as u32).map(|ty| ty as u16).filter(|ty| self.contains(*ty))
    }

    /// Types that are in one of the two.
    pub fn union(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word |= other);
    }

    /// Types that are in both.
    pub fn intersect(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= other);
    }

    /// Types that are not in the set.
    #[must_use]
    pub fn complement(&self) -> Self {
        Self { words: self.words.iter().map(|word| !word).collect(), count: self.count }.within()
    }
}

/// The event types on which a condition of the syscall source can be true. Identifiers count as any event. What every
/// rule sees besides, asynchronous events, is not in the set.
///
/// # Errors
/// All uses of `evt.type` or `syscall.type` that the index cannot read: calls on them, or fields on their right side.
/// A tree that is nested too deeply.
pub fn event_types(expr: &Expr, schema: &dyn Schema) -> Result<EventTypeSet, Vec<CompileError>> {
    compile::check_depth(expr)?;
    let mut index = Index { schema, errors: Vec::new() };
    let types = index.types(expr, false);
    if index.errors.is_empty() { Ok(types) } else { Err(index.errors) }
}

/// The event types that one comparison leaves, or `None` when it is not about event types.
pub(crate) fn of_check(check: &Check, schema: &dyn Schema) -> Option<EventTypeSet> {
    Index { schema, errors: Vec::new() }.check(check)
}

struct Index<'s> {
    schema: &'s dyn Schema,
    errors: Vec<CompileError>,
}

impl Index<'_> {
    fn all(&self) -> EventTypeSet {
        EventTypeSet::all(self.schema.event_type_count())
    }

    fn none(&self) -> EventTypeSet {
        EventTypeSet::none(self.schema.event_type_count())
    }

    fn types(&mut self, expr: &Expr, negated: bool) -> EventTypeSet {
        match (&expr.node, negated) {
            (Node::And(children), false) | (Node::Or(children), true) => {
                let mut types = self.all();
                for child in children {
                    types.intersect(&self.types(child, negated));
                }
                types
            }
            (Node::And(children), true) | (Node::Or(children), false) => {
                let mut types = self.none();
                for child in children {
                    types.union(&self.types(child, negated));
                }
                types
            }
            (Node::Not(child), _) => self.types(child, !negated),
            (Node::Identifier(_), _) => self.all(),
            (Node::Check(check), _) => match self.check(check) {
                Some(types) if negated => types.complement(),
                Some(types) => types,
                None => self.all(),
            },
        }
    }

    /// The types of one check, or `None` when it is not about event types.
    fn check(&mut self, check: &Check) -> Option<EventTypeSet> {
        let op = compile::plain(check.op);
        if op == Operator::Exists {
            return self.is_type(&check.left).map(|_| self.all());
        }
        if let Some(decided) = number_decides(check) {
            return Some(if decided { self.all() } else { self.none() });
        }
        if check.modifier.is_some() || !matches!(op, Operator::Equal | Operator::NotEqual | Operator::In) {
            return None;
        }
        let named = self.is_type(&check.left)?;
        match &check.right {
            Right::Field(span, _) => self.unreadable(*span, "a field or call on the right side"),
            Right::Call(call) => {
                self.unreadable(call.span, "a field or call on the right side");
            }
            Right::Nothing | Right::Constant(_) | Right::List(..) => {}
        }
        let mut types = self.none();
        for constant in compile::constants(check) {
            for ty in named(self.schema, &constant.text()) {
                types.insert(ty);
            }
        }
        Some(if op == Operator::NotEqual { types.complement() } else { types })
    }

    /// How to look names up, when the left side is one of the two type fields. Notes calls on them.
    fn is_type(&mut self, left: &Operand) -> Option<LookUp> {
        match left {
            Operand::Field(field) if is_type_field(field) => Some(if field.name == "evt.type" {
                |schema, name| schema.event_types_named(name)
            } else {
                |schema, name| schema.syscall_types_named(name)
            }),
            Operand::Field(_) => None,
            Operand::Call(call) => {
                if call_on_type(call) {
                    self.unreadable(call.span, "a call");
                }
                None
            }
        }
    }

    fn unreadable(&mut self, span: crate::ast::Span, what: &str) {
        self.errors.push(CompileError {
            span,
            kind: CompileErrorKind::EventTypeForm,
            message: format!("`evt.type` and `syscall.type` do not work with {what}"),
            hint: Some("compare them with constants: they decide which events a rule sees".to_owned()),
        });
    }
}

/// How the names of a type field are looked up.
type LookUp = fn(&dyn Schema, &str) -> Vec<u16>;

fn is_type_field(field: &Field) -> bool {
    field.arg.is_none() && matches!(field.name.as_str(), "evt.type" | "syscall.type")
}

/// Whether a call works on a type field. Of a list only the last member is looked at, as in Falco.
fn call_on_type(call: &Call) -> bool {
    call.args.iter().any(|arg| match arg {
        CallArg::Field(field) => is_type_field(field),
        CallArg::Call(call) => call_on_type(call),
        CallArg::Constant(_) => false,
        CallArg::List(_, members) => {
            matches!(members.last(), Some(CallArg::Field(field)) if is_type_field(field))
                || members.iter().any(|member| matches!(member, CallArg::Call(call) if call_on_type(call)))
        }
    })
}

/// What a comparison of `evt.num` always gives, if that follows from its being 1 or more.
pub(crate) fn number_decides(check: &Check) -> Option<bool> {
    let Operand::Field(field) = &check.left else { return None };
    if field.name != "evt.num" || field.arg.is_some() || check.modifier.is_some() {
        return None;
    }
    let number = match (&check.right, check.op) {
        (Right::List(_, items), Operator::In) => {
            let zero = |item: &crate::ast::Constant| constant::uint64(&item.bytes) == Some(0);
            return items.iter().all(zero).then_some(false);
        }
        (Right::Constant(constant), _) => constant::uint64(&constant.bytes)?,
        _ => return None,
    };
    match (compile::plain(check.op), number) {
        (Operator::Equal | Operator::LessEqual, 0) | (Operator::Less, 0 | 1) => Some(false),
        (Operator::NotEqual | Operator::Greater, 0) | (Operator::GreaterEqual, 0 | 1) => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::EventTypeSet;

    #[test]
    fn sets() {
        let mut set = EventTypeSet::none(130);
        set.insert(0);
        set.insert(129);
        set.insert(130);
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 129]);
        assert_eq!(set.complement().len(), 128);
        assert!(!set.complement().contains(129));
        set.intersect(&EventTypeSet::all(130));
        assert_eq!(set.len(), 2);
        set.union(&EventTypeSet::all(130));
        assert_eq!(set, EventTypeSet::all(130));
        assert!(set.complement().is_empty());
    }
}
