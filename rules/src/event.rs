//! The event as rules see it: a source of field values.

use smallvec::SmallVec;

use crate::schema::FieldRef;
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

/// An event with its state, as a rule sees it.
pub trait EventFields {
    /// The value of a field. Must not have side effects.
    fn extract<'e>(&'e self, field: &FieldRef) -> Extracted<'e>;
}
