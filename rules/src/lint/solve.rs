//! Can these comparisons hold together? Does one follow from another?
//!
//! Incomplete by design and never wrong: what is called impossible is impossible. The constants of a comparison are
//! the only values looked at, and the compiled matchers of the ruleset themselves say what they match.

use std::borrow::Cow;

use crate::ast::{Function, Operator};
use crate::compile;
use crate::constant::{self, Kind};
use crate::evttypes;
use crate::leaf::{Test, Which};
use crate::matcher::Matcher;
use crate::operand::Source;
use crate::schema::{FieldDef, FieldRef, FieldType, Schema};
use crate::value::Value;

use super::term::{Literal, Term};

/// Comparisons of two literals after which a condition counts as possible.
const MAX_WORK: usize = 2_000_000;

/// Why a condition cannot be true.
#[derive(Clone, Debug)]
pub(super) struct Conflict<'r> {
    /// What cannot hold.
    pub(super) part: Literal<'r>,
    /// What it contradicts; absent when it can never hold.
    pub(super) with: Option<Literal<'r>>,
    /// Why it can never hold by itself.
    pub(super) alone: Option<Never>,
    /// It is one of several alternatives, none of which can hold.
    pub(super) alternative: bool,
}

/// Why a comparison is never true.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Never {
    /// `evt.num = 0` and its like: how rule files switch things off.
    Switch,
    /// A list without items.
    EmptyList,
    /// A property of the language or of the field.
    Quirk,
}

/// Definitions of fields by their number.
pub(super) struct Fields<'f>(Vec<Option<&'f FieldDef>>);

impl<'f> Fields<'f> {
    pub(super) fn new(schema: &'f dyn Schema) -> Self {
        let mut all = Vec::new();
        for source in schema.sources() {
            for (id, def) in schema.fields(source) {
                all.resize(all.len().max(usize::from(id) + 1), None);
                all[usize::from(id)] = Some(def);
            }
        }
        Self(all)
    }

    pub(super) fn get(&self, field: &FieldRef) -> Option<&'f FieldDef> {
        self.0.get(usize::from(field.id)).copied().flatten()
    }
}

/// What is assumed so far.
pub(super) struct Solver<'r, 'f> {
    fields: &'f Fields<'f>,
    assumed: Vec<Literal<'r>>,
    work: usize,
}

impl<'r, 'f> Solver<'r, 'f> {
    pub(super) fn new(fields: &'f Fields<'f>) -> Self {
        Self { fields, assumed: Vec::new(), work: 0 }
    }

    /// Assumes a condition. After an error, what was assumed is not to be used any more.
    pub(super) fn assume(&mut self, term: &Term<'r>) -> Result<(), Conflict<'r>> {
        match term {
            Term::Is(literal) => self.literal(*literal),
            Term::And(children) => {
                // What is certain first, so that alternatives are judged with all of it.
                for child in children {
                    if let Term::Is(literal) = child {
                        self.literal(*literal)?;
                    }
                }
                for child in children {
                    if let Term::Or(alternatives) = child {
                        self.some(alternatives)?;
                    } else if let Term::And(_) = child {
                        self.assume(child)?;
                    }
                }
                Ok(())
            }
            Term::Or(alternatives) => self.some(alternatives),
        }
    }

    /// Assumes that one of the alternatives holds.
    fn some(&mut self, alternatives: &[Term<'r>]) -> Result<(), Conflict<'r>> {
        let mark = self.assumed.len();
        let mut possible = Vec::new();
        let mut first = None;
        for alternative in alternatives {
            match self.assume(alternative) {
                Ok(()) => possible.push(alternative),
                Err(conflict) => first = first.or(Some(conflict)),
            }
            self.assumed.truncate(mark);
        }
        match (possible.as_slice(), first) {
            ([], Some(conflict)) => Err(Conflict { alternative: alternatives.len() > 1, ..conflict }),
            ([only], Some(_)) => self.assume(only),
            _ => Ok(()),
        }
    }

    fn literal(&mut self, new: Literal<'r>) -> Result<(), Conflict<'r>> {
        if let Some(why) = never(&new) {
            return Err(Conflict { part: new, with: None, alone: Some(why), alternative: false });
        }
        if let Some(with) = self.clash(&new) {
            return Err(Conflict { part: new, with: Some(with), alone: None, alternative: false });
        }
        self.assumed.push(new);
        Ok(())
    }

    /// What of the assumed the new literal contradicts.
    fn clash(&mut self, new: &Literal<'r>) -> Option<Literal<'r>> {
        self.work += self.assumed.len();
        if self.work > MAX_WORK {
            return None;
        }
        let same: Vec<Literal<'r>> =
            self.assumed.iter().filter(|old| old.leaf.left == new.leaf.left).copied().collect();
        for old in &same {
            if old.id == new.id && old.positive != new.positive {
                return Some(*old);
            }
            let absent = |a: &Literal<'_>, b: &Literal<'_>| is_absent(a) && b.positive;
            if absent(old, new) || absent(new, old) {
                return Some(*old);
            }
        }
        let ty = self.single(new)?;
        for old in &same {
            if apart(old, new) {
                return Some(*old);
            }
        }
        // The values one of them allows, less what the others refuse.
        let all = || same.iter().chain(std::iter::once(new));
        let (anchor, mut values) = all().find_map(|literal| Some((literal, finite(literal, ty)?)))?;
        for literal in all() {
            self.work += values.len();
            values.retain(|value| holds(literal, value));
            if values.is_empty() {
                let other = if anchor.id == new.id && anchor.positive == new.positive { literal } else { anchor };
                return (other.id != new.id).then_some(*other);
            }
        }
        None
    }

    /// The type of the literal's field, when it is a plain field with one value.
    fn single(&self, literal: &Literal<'r>) -> Option<FieldType> {
        let Source::Field(field) = &literal.leaf.left else { return None };
        let one = matches!(literal.leaf.test, Test::Exists | Test::Constants { which: Which::Only, .. });
        let def = self.fields.get(field)?;
        // Fields with comparisons of their own (host names, networks) are left alone.
        (one && !def.no_rhs && !def.filter_only).then_some(field.ty)
    }
}

fn is_absent(literal: &Literal<'_>) -> bool {
    !literal.positive && matches!(literal.leaf.test, Test::Exists)
}

/// Whether a comparison can never be true, whatever the event.
pub(super) fn never(literal: &Literal<'_>) -> Option<Never> {
    if let Some(decided) = evttypes::number_decides(literal.check) {
        return (decided != literal.positive).then_some(Never::Switch);
    }
    if !literal.positive {
        return None;
    }
    let constants = compile::constants(literal.check);
    let lists = literal.check.op.takes_list() || literal.check.modifier.is_some();
    match &literal.leaf.test {
        Test::Constants { .. } if lists && constants.is_empty() => Some(Never::EmptyList),
        Test::Constants { matcher: Matcher::Never, .. } | Test::Abort(_) => Some(Never::Quirk),
        Test::Constants { .. } if !constants.is_empty() && constants.iter().all(|c| wrong_case(literal, &c.bytes)) => {
            Some(Never::Quirk)
        }
        _ => None,
    }
}

/// Whether a constant has letters that the transformer on the left never gives.
pub(super) fn wrong_case(literal: &Literal<'_>, constant: &[u8]) -> bool {
    let exact = matches!(
        compile::plain(literal.check.op),
        Operator::Equal
            | Operator::In
            | Operator::Intersects
            | Operator::Contains
            | Operator::StartsWith
            | Operator::EndsWith
    );
    match &literal.leaf.left {
        Source::Apply { function: Function::ToLower, .. } if exact => constant.iter().any(u8::is_ascii_uppercase),
        Source::Apply { function: Function::ToUpper, .. } if exact => constant.iter().any(u8::is_ascii_lowercase),
        _ => false,
    }
}

/// The only values that make a literal true, when its constants say so.
fn finite<'l>(literal: &'l Literal<'_>, ty: FieldType) -> Option<Vec<Value<'l>>> {
    let op = compile::plain(literal.check.op);
    let listed =
        matches!(op, Operator::Equal | Operator::In | Operator::Intersects) && literal.check.modifier.is_none();
    let which = matches!(literal.leaf.test, Test::Constants { which: Which::Only, .. });
    if !literal.positive || !listed || !which {
        return None;
    }
    compile::constants(literal.check).iter().map(|constant| value(&constant.bytes, ty)).collect()
}

/// A constant as a value of the field.
fn value(bytes: &[u8], ty: FieldType) -> Option<Value<'_>> {
    Some(match constant::kind(ty) {
        Kind::Text => Value::Text(Cow::Borrowed(bytes)),
        Kind::Bytes => Value::Bytes(Cow::Borrowed(bytes)),
        Kind::Int { signed: true, .. } => Value::I64(constant::int(bytes, ty).ok()? as i64),
        Kind::Int { signed: false, .. } => Value::U64(constant::int(bytes, ty).ok()? as u64),
        Kind::Bool => Value::Bool(constant::boolean(bytes).ok()?),
        Kind::Ip => Value::Ip(constant::address(bytes).ok()?),
        Kind::Double | Kind::Net | Kind::Opaque => return None,
    })
}

/// Whether a literal can be true on a value of its field. What is not known is possible.
fn holds(literal: &Literal<'_>, value: &Value<'_>) -> bool {
    match &literal.leaf.test {
        Test::Exists => literal.positive,
        Test::Constants { which: Which::Only, matcher } => matcher.matches(value) == literal.positive,
        _ => true,
    }
}

/// Whether two comparisons of one field exclude each other: ranges and beginnings without a common value.
fn apart(a: &Literal<'_>, b: &Literal<'_>) -> bool {
    if !a.positive || !b.positive {
        return false;
    }
    if let (Some((low_a, high_a)), Some((low_b, high_b))) = (range(a), range(b)) {
        return low_a.max(low_b) > high_a.min(high_b);
    }
    match (affix(a), affix(b)) {
        (Some((Operator::StartsWith, a)), Some((Operator::StartsWith, b))) => !a.starts_with(b) && !b.starts_with(a),
        (Some((Operator::EndsWith, a)), Some((Operator::EndsWith, b))) => !a.ends_with(b) && !b.ends_with(a),
        _ => false,
    }
}

/// The least and the largest number a comparison allows.
fn range(literal: &Literal<'_>) -> Option<(i128, i128)> {
    let Source::Field(field) = &literal.leaf.left else { return None };
    let Kind::Int { .. } = constant::kind(field.ty) else { return None };
    let [only] = compile::constants(literal.check) else { return None };
    let number = constant::int(&only.bytes, field.ty).ok()?;
    Some(match literal.check.op {
        Operator::Less => (i128::MIN, number - 1),
        Operator::LessEqual => (i128::MIN, number),
        Operator::Greater => (number + 1, i128::MAX),
        Operator::GreaterEqual => (number, i128::MAX),
        _ => return None,
    })
}

/// The beginning or end that a comparison asks for.
fn affix<'l>(literal: &'l Literal<'_>) -> Option<(Operator, &'l [u8])> {
    let op = literal.check.op;
    let [only] = compile::constants(literal.check) else { return None };
    let plain = literal.check.modifier.is_none() && matches!(op, Operator::StartsWith | Operator::EndsWith);
    plain.then_some((op, only.bytes.as_slice()))
}

/// Whether `b` being true makes `a` true.
pub(super) fn implies(b: &Literal<'_>, a: &Literal<'_>) -> bool {
    if a.id == b.id {
        return a.positive == b.positive;
    }
    if a.leaf.left != b.leaf.left {
        return false;
    }
    let Source::Field(field) = &a.leaf.left else { return false };
    let only = |literal: &Literal<'_>| matches!(literal.leaf.test, Test::Constants { which: Which::Only, .. });
    if a.positive && matches!(a.leaf.test, Test::Exists) {
        return b.positive;
    }
    if !only(a) || !only(b) {
        return false;
    }
    match (a.positive, b.positive) {
        (_, true) => finite(b, field.ty).is_some_and(|values| values.iter().all(|value| holds(a, value))),
        // Not one of many: then not one of some of them.
        (false, false) => {
            let without = Literal { positive: true, ..*a };
            let wider = Literal { positive: true, ..*b };
            finite(&without, field.ty).is_some_and(|values| values.iter().all(|value| holds(&wider, value)))
        }
        (true, false) => false,
    }
}

/// Whether a condition that consists of these parts makes `a` true. `work` is taken from; at 0 nothing follows.
pub(super) fn follows(parts: &[&Term<'_>], a: &Term<'_>, work: &mut usize) -> bool {
    *work = work.saturating_sub(parts.len());
    if *work == 0 {
        return false;
    }
    match a {
        // The negation of what is never true is no condition at all.
        Term::Is(literal) if !literal.positive && never(&Literal { positive: true, ..*literal }).is_some() => true,
        Term::Is(literal) => parts.iter().any(|part| match part {
            Term::Is(known) => implies(known, literal),
            Term::Or(alternatives) => alternatives.iter().all(|one| follows(&conjuncts(one), a, work)),
            Term::And(_) => false,
        }),
        Term::And(children) => children.iter().all(|child| follows(parts, child, work)),
        Term::Or(children) => {
            children.iter().any(|child| follows(parts, child, work))
                || parts.iter().any(|part| match part {
                    Term::Or(alternatives) => alternatives.iter().all(|one| follows(&conjuncts(one), a, work)),
                    _ => false,
                })
        }
    }
}

/// References to the parts of a condition.
pub(super) fn conjuncts<'t, 'r>(term: &'t Term<'r>) -> Vec<&'t Term<'r>> {
    term.conjuncts().iter().collect()
}
