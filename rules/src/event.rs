//! The event as rules see it: a source of field values.

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
