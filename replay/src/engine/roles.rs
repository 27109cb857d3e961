//! Which event types only feed the state, and which of the others are of interest.

use casebook_formats::event::EventType;
use casebook_formats::tables::{self, Direction, EVENT_TYPES, EventDef, EventOrigin, ppme};

use super::Visitor;
use crate::state::is_idle;

/// Types by which recorders describe the machine at the start of a capture.
const INITIAL_STATE: &[EventType] = &[
    ppme::PPME_CONTAINER_E,
    ppme::PPME_CONTAINER_JSON_E,
    ppme::PPME_CONTAINER_JSON_2_E,
    ppme::PPME_USER_ADDED_E,
    ppme::PPME_USER_DELETED_E,
    ppme::PPME_GROUP_ADDED_E,
    ppme::PPME_GROUP_DELETED_E,
];

/// What is done with an event of a type once it is applied, unless it is marked as one that only feeds the state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Interest {
    /// Nothing: it would be shown, but the visitor does not want it.
    No,
    /// As with [`Interest::No`], and the state hardly has anything to do with it ([`crate::state::State::pass_over`]).
    Idle,
    /// It is shown.
    Yes,
    /// It is shown if the capture has begun by then: before that it describes the state at the start.
    OnceBegun,
    /// It is not shown.
    Hidden,
}

impl Interest {
    fn of(etype: EventType, def: &EventDef, visitor: &impl Visitor) -> Self {
        if INITIAL_STATE.contains(&etype) {
            Self::OnceBegun
        } else if def.dir == Direction::Enter && def.origin == EventOrigin::Syscall {
            Self::Hidden
        } else if visitor.wants(etype) {
            Self::Yes
        } else {
            Self::unwanted(etype)
        }
    }

    /// That in a type that would be shown, and that the visitor does not want.
    fn unwanted(etype: EventType) -> Self {
        if is_idle(etype) { Self::Idle } else { Self::No }
    }
}

/// The interest in each event type, by its number: asked for once, not on every event.
pub(super) struct Interests([Interest; EVENT_TYPES]);

impl Interests {
    pub(super) fn of(visitor: &impl Visitor) -> Self {
        let mut interests = [Interest::Yes; EVENT_TYPES];
        for (interest, (etype, def)) in interests.iter_mut().zip(tables::events()) {
            *interest = Interest::of(etype, def, visitor);
        }
        Self(interests)
    }

    /// That in a type; one that is not in the table, which no reader gives, would be shown.
    #[inline]
    pub(super) fn get(&self, etype: EventType) -> Interest {
        self.0.get(usize::from(etype.0)).copied().unwrap_or(Interest::Yes)
    }

    /// The visitor does not want this type any more, which would be shown.
    #[cold]
    pub(super) fn lose(&mut self, etype: EventType) {
        if let Some(interest) = self.0.get_mut(usize::from(etype.0)) {
            *interest = Interest::unwanted(etype);
        }
    }
}
