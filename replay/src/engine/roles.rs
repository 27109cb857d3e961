//! Which event types only feed the state.

use std::sync::LazyLock;

use casebook_formats::event::EventType;
use casebook_formats::tables::{self, Direction, EventDef, EventOrigin, ppme};

/// What a type of event means for showing it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    Shown,
    InitialState,
    EnterHalf,
}

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

/// The role of each event type, by its number.
#[derive(Clone, Copy)]
pub(super) struct Roles(&'static [Role]);

impl Default for Roles {
    fn default() -> Self {
        static ROLES: LazyLock<Vec<Role>> = LazyLock::new(|| {
            let role = |(etype, def): (EventType, &EventDef)| {
                if INITIAL_STATE.contains(&etype) {
                    Role::InitialState
                } else if def.dir == Direction::Enter && def.origin == EventOrigin::Syscall {
                    Role::EnterHalf
                } else {
                    Role::Shown
                }
            };
            tables::events().map(role).collect()
        });
        Self(&ROLES)
    }
}

impl Roles {
    /// That of a type; one that is not in the table is shown.
    #[inline]
    pub(super) fn of(self, etype: EventType) -> Role {
        self.0.get(usize::from(etype.0)).copied().unwrap_or(Role::Shown)
    }
}
