//! One event together with the state after it: what fields are extracted from.

use casebook_formats::event::Event;

use crate::state::{Fd, State, Thread};

/// What applying an event to the state found out about the event itself.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    /// Descriptor the event is about: used, created or closed; as a number even when no record of it exists.
    pub fd: Option<i64>,
    /// Descriptor record at the time of the event: kept here because a close removes it from the table only when
    /// the next event is applied, as libs does, so that rules still see it.
    pub fd_known: bool,
    /// This event changed the descriptor's name (a tuple learned late).
    pub fd_name_changed: bool,
}

/// An event as fields see it: header, parameters, and the state *after* the event was applied.
#[derive(Clone, Copy)]
pub struct EventContext<'a> {
    /// The event.
    pub event: &'a Event<'a>,
    /// System state after the event. Threads that exited and descriptors that were closed by this event are still
    /// in their tables; they go when the next event is applied.
    pub state: &'a State,
    /// Thread of the event, if known.
    pub thread: Option<&'a Thread>,
    /// Descriptor record of the event, if known.
    pub fd: Option<&'a Fd>,
    /// What applying the event found out.
    pub effects: &'a Effects,
}
