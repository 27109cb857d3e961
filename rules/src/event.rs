//! The event as rules see it: a source of field values.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::schema::{Display, FieldRef};
use crate::value::Value;

/// What a field gives on one event.
#[derive(Clone, PartialEq, Debug)]
pub enum Extracted<'e> {
    /// The field is absent: every comparison on it is false.
    Absent,
    /// One value.
    One(Value<'e>),
    /// Elements of a list field; the ancestors from the parent up; the ends of a connection (client, then server;
    /// one element on a listening socket). Empty counts as absent.
    Many(SmallVec<[Value<'e>; 4]>),
}

/// Somebody whose facts stay the same from event to event, and the version of these facts. Equal ones have equal facts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Holder {
    /// Small number of the holder.
    pub place: u32,
    /// Changes whenever any of its facts may have changed.
    pub version: u64,
}

/// Facts of an event from which values of its fields follow, in the order in which they were asked for. Two events of one
/// type with equal facts have equal values of those fields.
#[derive(Default, Debug)]
pub struct Facts<'e> {
    /// What each fact is, four bits each.
    pub(crate) shape: u64,
    numbers: [u64; Facts::NUMBERS],
    count: usize,
    pub(crate) texts: [Cow<'e, [u8]>; Facts::TEXTS],
    texts_count: usize,
}

impl<'e> Facts<'e> {
    /// Most numbers among the facts of an event.
    pub const NUMBERS: usize = 8;
    /// Most texts among them.
    pub const TEXTS: usize = 2;

    /// Codes of facts in `shape`; up to 8 is the length of a parameter.
    const ABSENT: u64 = 9;
    const NUMBER: u64 = 10;
    const TEXT: u64 = 11;
    const SAME: u64 = 12;

    #[inline]
    fn put(&mut self, code: u64) {
        self.shape = self.shape << 4 | code;
    }

    /// Adds a fact that is not there.
    #[inline]
    pub fn absent(&mut self) {
        self.put(Self::ABSENT);
    }

    /// Adds a number.
    #[inline]
    pub fn number(&mut self, number: u64) {
        self.numeric(Self::NUMBER, number);
    }

    #[inline]
    fn numeric(&mut self, code: u64, number: u64) {
        self.put(code);
        if let Some(place) = self.numbers.get_mut(self.count) {
            *place = number;
        }
        self.count += 1;
    }

    /// Adds bytes that are no more than a number has; false where they are more, and nothing follows from the facts.
    #[inline]
    #[must_use]
    pub fn bytes(&mut self, bytes: Option<&[u8]>) -> bool {
        let Some(bytes) = bytes else {
            self.absent();
            return true;
        };
        let number = match bytes.len() {
            0 => Some(0),
            1 => bytes.first().map(|byte| u64::from(*byte)),
            2 => bytes.first_chunk().map(|two| u64::from(u16::from_le_bytes(*two))),
            4 => bytes.first_chunk().map(|four| u64::from(u32::from_le_bytes(*four))),
            8 => bytes.first_chunk().map(|eight| u64::from_le_bytes(*eight)),
            _ => None,
        };
        let Some(number) = number else { return false };
        self.numeric(bytes.len() as u64, number);
        true
    }

    /// Adds a text.
    #[inline]
    pub fn text(&mut self, text: Option<Cow<'e, [u8]>>) {
        let Some(text) = text else { return self.absent() };
        self.put(Self::TEXT);
        if let Some(place) = self.texts.get_mut(self.texts_count) {
            *place = text;
        }
        self.texts_count += 1;
    }

    /// Adds a text that is the one before it.
    #[inline]
    pub fn same_text(&mut self) {
        self.put(Self::SAME);
    }

    /// The numbers.
    #[inline]
    pub(crate) fn numbers(&self) -> &[u64] {
        self.numbers.get(..self.count).unwrap_or(&[])
    }

    /// Whether there was room for everything.
    #[inline]
    pub(crate) fn is_whole(&self) -> bool {
        self.count <= Self::NUMBERS && self.texts_count <= Self::TEXTS
    }
}

/// An event with its state, as a rule sees it.
pub trait EventFields {
    /// The value of a field. Must not have side effects.
    fn extract<'e>(&'e self, field: &FieldRef) -> Extracted<'e>;

    /// The value of a field that is the same on all events of this event's type, such as `evt.type`; `None` where only the
    /// event itself can tell. It decides comparisons once per type.
    fn of_type<'e>(&'e self, field: &FieldRef) -> Option<Extracted<'e>> {
        let _ = field;
        None
    }

    /// Whether a field is about the process of the event, or its ancestors, user and container: its value stays the same
    /// from event to event as long as [`EventFields::holder`] does.
    fn outlasts(&self, field: &FieldRef) -> bool {
        let _ = field;
        false
    }

    /// A number from which the value of a field follows: on all events on which it is the same, the value is. It spares the
    /// making of texts that are made of numbers, such as names of flags.
    fn number_behind(&self, field: &FieldRef) -> Option<u64> {
        let _ = field;
        None
    }

    /// The facts from which the value of a field follows on all events of this one's type, as a set of bits of the
    /// implementation's own; `None` where it may follow from anything else. Never empty.
    fn follows_from(&self, field: &FieldRef) -> Option<u32> {
        let _ = field;
        None
    }

    /// The facts of a union of such sets; `None` where they cannot be told on this event.
    fn facts(&self, wanted: u32) -> Option<Facts<'_>> {
        let _ = wanted;
        None
    }

    /// Whom the fields that outlast the event belong to; `None` where they have to be asked for anew.
    fn holder(&self) -> Option<Holder> {
        None
    }

    /// How the field's numbers print on this event: `usual` ([`crate::schema::Schema::display`]) but for fields that
    /// are another parameter on every event (`evt.rawarg.res` is an address where memory was mapped).
    fn display(&self, field: &FieldRef, usual: Display) -> Display {
        let _ = field;
        usual
    }
}
