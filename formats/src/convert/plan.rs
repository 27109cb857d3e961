//! What conversion does with each event type before it looks at parameters: one row a type, made from the event table when the
//! program is compiled.

use crate::event::EventType;
use crate::tables::{self, Direction, EVENT_TYPES, EventFlags, EventOrigin, ppme};

/// What conversion does with events of a type, before it looks at their parameters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Class {
    /// Never delivered.
    Unused,
    /// Delivered as it is.
    Pass,
    /// Old enter half that no exit needs.
    OldEnter,
    /// Enter half with rules.
    Enter,
    /// Exit half with rules, current when all its parameters are there.
    Exit,
    /// Exit half of an old type.
    OldExit,
}

/// What the hot path needs to know of a type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) class: Class,
    /// Parameters of today's form.
    pub(super) params: u8,
    /// A call's half: enter halves are remembered, exit halves end them.
    pub(super) call: bool,
    /// Counts of parameters with which [`super::Converter::pass`] takes it; none, where the two are the wrong way round.
    pub(super) plain: (u8, u8),
}

/// No count at all.
const NEVER: (u8, u8) = (1, 0);

/// Rows by event type number.
pub(super) static PLANS: [Plan; EVENT_TYPES] = {
    let mut plans = [Plan { class: Class::Unused, params: 0, call: false, plain: NEVER }; EVENT_TYPES];
    let mut id = 0;
    while id < EVENT_TYPES {
        let def = tables::event_at(id);
        let enter = matches!(def.dir, Direction::Enter);
        let old = def.flags.has(EventFlags::OLD_VERSION);
        let class = if def.flags.has(EventFlags::UNUSED) {
            Class::Unused
        } else if !def.flags.has(EventFlags::CONVERTER_MANAGED) {
            if old { Class::OldEnter } else { Class::Pass }
        } else if enter {
            Class::Enter
        } else if old {
            Class::OldExit
        } else {
            Class::Exit
        };
        let params = def.params.len() as u8;
        plans[id] = Plan {
            class,
            params,
            call: matches!(def.origin, EventOrigin::Syscall),
            plain: match class {
                // Lengths of four bytes.
                _ if def.flags.has(EventFlags::LARGE_PAYLOAD) => NEVER,
                // What the recorder lost is counted.
                _ if matches!(EventType(id as u16), ppme::PPME_DROP_E | ppme::PPME_DROP_X) => NEVER,
                Class::Pass => (0, params),
                Class::Exit => (params, params),
                _ => NEVER,
            },
        };
        id += 1;
    }
    plans
};
