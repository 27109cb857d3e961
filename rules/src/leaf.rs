//! Leaves: the comparisons of a ruleset, each kept once and evaluated once per event.
//!
//! Rules repeat each other: every rule on file access asks for the same event types and flags. The compiler therefore
//! puts each comparison into a common table, [`Leaves`], where equal ones share a number; [`Memo`] remembers which
//! numbers were answered for the event at hand.

mod alike;
mod lasting;
mod texts;

use std::collections::HashMap;

use crate::ast::{Modifier, Operator, Span};
use crate::constant::{self, Kind};
use crate::event::{EventFields, Extracted};
use crate::matcher::{self, Matcher};
use crate::operand::Source;
use crate::schema::{FieldRef, FieldType};
use crate::value::Value;
pub(crate) use alike::{Alike, MAX_OWN, Verdicts};
use lasting::{Entered, Lasting};
use texts::{Asked, Known, Texts};

/// Why an evaluation has no result: Falco aborts here, too.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EvalError {
    /// `intersects` on `fd.ip`, `fd.port` or `fd.proto`.
    #[error("`intersects` does not work on fields that look at both ends of a connection")]
    TwoEndsIntersects,
    /// `len` of something that gave several values without being a list, which `getopt` does.
    #[error("a comparison of one value was given several")]
    SeveralValues,
}

/// Number of a leaf in its table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LeafId(pub u32);

/// One comparison.
#[derive(Debug)]
pub(crate) struct Leaf {
    pub(crate) left: Source,
    pub(crate) test: Test,
    /// As first written, in display form.
    pub(crate) text: Box<str>,
    /// Where it was first written.
    pub(crate) span: Span,
    /// Its number among the comparisons of its field, where it compares one text with constants.
    asked: Option<Asked>,
}

/// What is asked about the values on the left.
#[derive(Debug)]
pub(crate) enum Test {
    /// Is there one?
    Exists,
    /// Does some value match, or each, as [`Which`] says?
    Constants { which: Which, matcher: Matcher },
    /// How does it compare to other values of the event?
    Right { op: Operator, list: bool, ty: FieldType, right: Source },
    /// Is the event's time within so many nanoseconds of another? (`evt.around`)
    Around { time: u64, distance: u64 },
    /// Falco aborts unless the left side is absent.
    Abort(EvalError),
}

/// Which of several values count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Which {
    /// There is only one.
    Only,
    /// Some.
    Some,
    /// Each.
    Each,
    /// The value of a listening socket; connections never match.
    Listening,
}

/// What makes two leaves the same.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct LeafKey {
    pub(crate) left: Source,
    pub(crate) op: Operator,
    pub(crate) modifier: Option<Modifier>,
    pub(crate) right: RightKey,
}

/// The right side as far as it makes a difference.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum RightKey {
    Nothing,
    Constants(Box<[Box<[u8]>]>),
    Source(Source),
}

/// All leaves of a ruleset.
#[derive(Default, Debug)]
pub struct Leaves {
    all: Vec<Leaf>,
    index: HashMap<LeafKey, LeafId, foldhash::fast::RandomState>,
    /// Numbers of the fields that are compared as texts.
    fields: HashMap<FieldRef, u32, foldhash::fast::RandomState>,
    /// How many comparisons each of these has.
    asked: Vec<u32>,
}

impl Leaves {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many different leaves there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// A leaf in display form, as first written.
    pub fn text(&self, id: LeafId) -> &str {
        self.get(id).map_or("", |leaf| &leaf.text)
    }

    /// Where a leaf was first written.
    pub fn span(&self, id: LeafId) -> Span {
        self.get(id).map_or(Span::default(), |leaf| leaf.span)
    }

    /// The fields a leaf reads, from left to right.
    pub fn fields(&self, id: LeafId) -> Vec<FieldRef> {
        let mut fields = Vec::new();
        if let Some(leaf) = self.get(id) {
            leaf.left.for_each_field(&mut |field| fields.push(field.clone()));
            if let Test::Right { right, .. } = &leaf.test {
                right.for_each_field(&mut |field| fields.push(field.clone()));
            }
        }
        fields
    }

    /// The verdict of one leaf on an event, without memory.
    ///
    /// # Errors
    /// Where Falco aborts the evaluation.
    pub fn evaluate<E: EventFields + ?Sized>(&self, id: LeafId, event: &E) -> Result<bool, EvalError> {
        self.get(id).map_or(Ok(false), |leaf| leaf.evaluate(event))
    }

    /// The same with memory: a leaf that was asked on this event is not asked again.
    ///
    /// # Errors
    /// Where Falco aborts the evaluation. Nothing is remembered then.
    #[inline]
    pub fn ask<E: EventFields + ?Sized>(&self, id: LeafId, event: &E, memo: &mut Memo) -> Result<bool, EvalError> {
        if let Some(verdict) = memo.get(id) {
            return Ok(verdict);
        }
        let verdict = self.evaluate_known(id, event, memo)?;
        memo.set(id, verdict);
        Ok(verdict)
    }

    /// The same as [`Leaves::evaluate`], with what is known of texts; the verdict itself is not remembered.
    #[inline]
    pub(crate) fn evaluate_known<E: EventFields + ?Sized>(
        &self,
        id: LeafId,
        event: &E,
        memo: &mut Memo,
    ) -> Result<bool, EvalError> {
        let Some(leaf) = self.get(id) else { return Ok(false) };
        let Some((asked, known)) = leaf.asked.and_then(|asked| Some((asked, memo.texts.field(asked)?))) else {
            return leaf.evaluate(event);
        };
        let (Source::Field(field), Test::Constants { matcher, .. }) = (&leaf.left, &leaf.test) else {
            return leaf.evaluate(event);
        };
        if !known.is_at(memo.epoch) {
            known.enter(memo.epoch, event.number_behind(field), || event.extract(field));
        }
        let verdict = match known.get(asked.comparison) {
            Known::Verdict(verdict) => return Ok(verdict),
            Known::Text(text) => matcher.matches(&Value::text(text)),
            Known::Nothing => return leaf.evaluate(event),
        };
        known.learn(asked.comparison, verdict);
        Ok(verdict)
    }

    /// The same for a leaf whose fields outlast the event ([`EventFields::outlasts`]): it is not asked again as long as
    /// their holder is the same.
    #[inline]
    pub(crate) fn ask_lasting<E: EventFields + ?Sized>(
        &self,
        id: LeafId,
        event: &E,
        memo: &mut Memo,
    ) -> Result<bool, EvalError> {
        let lasting = &mut memo.lasting;
        if matches!(lasting.at, Entered::NotYet) {
            lasting.at = lasting.enter(event.holder()).map_or(Entered::Nobody, Entered::At);
        }
        let Entered::At(at) = lasting.at else { return self.ask(id, event, memo) };
        if let Some(verdict) = lasting.get(at, id) {
            return Ok(verdict);
        }
        let verdict = self.evaluate_known(id, event, memo)?;
        memo.lasting.set(at, id, verdict);
        Ok(verdict)
    }

    /// Whether all fields of a leaf outlast the event.
    pub(crate) fn outlasts<E: EventFields + ?Sized>(&self, id: LeafId, event: &E) -> bool {
        let fields = self.fields(id);
        !fields.is_empty() && fields.iter().all(|field| event.outlasts(field))
    }

    /// Enters a verdict that is known without asking.
    pub fn settle(&self, id: LeafId, verdict: bool, memo: &mut Memo) {
        if self.get(id).is_some() {
            memo.set(id, verdict);
        }
    }

    pub(crate) fn get(&self, id: LeafId) -> Option<&Leaf> {
        self.all.get(id.0 as usize)
    }

    /// The number of the leaf with this key, if the table has it.
    pub(crate) fn find(&self, key: &LeafKey) -> Option<LeafId> {
        self.index.get(key).copied()
    }

    pub(crate) fn insert(&mut self, key: LeafKey, leaf: Leaf) -> LeafId {
        let id = LeafId(self.all.len() as u32);
        let asked = self.number(&leaf);
        self.all.push(Leaf { asked, ..leaf });
        self.index.insert(key, id);
        id
    }

    /// The number of a comparison among those of its field.
    fn number(&mut self, leaf: &Leaf) -> Option<Asked> {
        let (
            Source::Field(field),
            Test::Constants { matcher: Matcher::Text(_) | Matcher::Not(_) | Matcher::Any(_), .. },
        ) = (&leaf.left, &leaf.test)
        else {
            return None;
        };
        if constant::kind(field.ty) != Kind::Text {
            return None;
        }
        let next = self.asked.len() as u32;
        let number = *self.fields.entry(field.clone()).or_insert(next);
        if number == next {
            self.asked.push(0);
        }
        let count = self.asked.get_mut(number as usize)?;
        *count += 1;
        Some(Asked { field: number, comparison: *count - 1 })
    }
}

impl Leaf {
    pub(crate) fn new(left: Source, test: Test, display: Box<str>, span: Span) -> Self {
        Self { left, test, text: display, span, asked: None }
    }

    pub(crate) fn evaluate<E: EventFields + ?Sized>(&self, event: &E) -> Result<bool, EvalError> {
        // The common case, a field against constants, needs no list of values.
        if let (Source::Field(field), Test::Constants { which, matcher }) = (&self.left, &self.test) {
            return Ok(match event.extract(field) {
                Extracted::Absent => false,
                Extracted::One(value) => matcher.matches(&value),
                Extracted::Many(values) if values.is_empty() => false,
                Extracted::Many(values) => which.matches(&values, matcher),
            });
        }
        let Some(values) = self.left.values(event)? else { return Ok(false) };
        match &self.test {
            Test::Exists => Ok(true),
            Test::Constants { which: Which::Only, .. } if values.len() > 1 => Err(EvalError::SeveralValues),
            Test::Constants { which, matcher } => Ok(which.matches(&values, matcher)),
            Test::Abort(error) => Err(*error),
            Test::Around { time, distance } => Ok(match values.first() {
                Some(Value::U64(now)) => now.abs_diff(*time) <= *distance,
                _ => false,
            }),
            Test::Right { op, list, ty, right } => {
                let Some(right) = right.values(event)? else { return Ok(false) };
                if *list {
                    let found = |left: &Value<'_>| right.contains(left);
                    return Ok(if *op == Operator::In { values.iter().all(found) } else { values.iter().any(found) });
                }
                if values.len() > 1 {
                    return Err(EvalError::SeveralValues);
                }
                Ok(match (values.first(), right.first()) {
                    (Some(left), Some(right)) => matcher::compare(*ty, *op, left, right),
                    _ => false,
                })
            }
        }
    }
}

impl Which {
    fn matches(self, values: &[Value<'_>], matcher: &Matcher) -> bool {
        match self {
            Self::Only => values.first().is_some_and(|value| matcher.matches(value)),
            Self::Some => values.iter().any(|value| matcher.matches(value)),
            Self::Each => values.iter().all(|value| matcher.matches(value)),
            Self::Listening => values.len() == 1 && matcher.matches(&values[0]),
        }
    }
}

/// Verdicts of leaves on the event at hand. Starting an event costs nothing: old verdicts are told by their epoch.
#[derive(Clone, Debug)]
pub struct Memo {
    /// Epoch and verdict of each leaf: `epoch << 1 | verdict`.
    slots: Vec<u32>,
    epoch: u32,
    lasting: Lasting,
    texts: Texts,
    /// Answers on events that came alike, by program.
    pub(crate) alike: Vec<Alike>,
}

impl Default for Memo {
    fn default() -> Self {
        Self { slots: Vec::new(), epoch: 1, lasting: Lasting::default(), texts: Texts::default(), alike: Vec::new() }
    }
}

impl Memo {
    /// A memory for the leaves of this table.
    pub fn new(leaves: &Leaves) -> Self {
        Self {
            slots: vec![0; leaves.len()],
            epoch: 1,
            lasting: Lasting::new(leaves.len()),
            texts: Texts::new(&leaves.asked),
            alike: Vec::new(),
        }
    }

    /// Forgets all verdicts: to be called before each event.
    pub fn start_event(&mut self) {
        self.lasting.at = Entered::NotYet;
        self.epoch += 1;
        if self.epoch >= u32::MAX >> 1 {
            self.slots.fill(0);
            self.texts.forget_events();
            self.epoch = 1;
        }
    }

    /// The verdict of a leaf on this event, if it was asked for.
    pub fn get(&self, id: LeafId) -> Option<bool> {
        let slot = *self.slots.get(id.0 as usize)?;
        (slot >> 1 == self.epoch).then_some(slot & 1 == 1)
    }

    pub(crate) fn set(&mut self, id: LeafId, verdict: bool) {
        let index = id.0 as usize;
        if index >= self.slots.len() {
            self.slots.resize(index + 1, 0);
        }
        self.slots[index] = self.epoch << 1 | u32::from(verdict);
    }
}
