//! Events that describe containers.

use std::rc::Rc;

use casebook_formats::tables::ppme::{PPME_ASYNCEVENT_E, PPME_CONTAINER_E};

use crate::state::container_json::{Description, parse};
use crate::state::step::Step;
use crate::state::{Container, State, Text};

/// A container appeared, was described anew, or is gone.
pub(super) fn described(state: &mut State, step: &mut Step<'_, '_>) {
    let event = step.event;
    if event.etype == PPME_CONTAINER_E {
        let text = |at: usize| event.text(at).unwrap_or_default();
        let Some(kind) = event.u64(1) else { return };
        let described = Description::of_old_event(text(0), kind, text(2), text(3));
        take_in(state, step, described);
        return;
    }
    let json = if event.etype == PPME_ASYNCEVENT_E {
        match event.text(1) {
            Some(b"container") => event.param(2),
            Some(b"container_removed") => {
                if let Some(described) = event.param(2).and_then(parse) {
                    // Its threads may still be exiting: what is known of it stays until the table is full.
                    let id = described.short_id();
                    about(state, step, &id);
                    state.note_gone(id);
                }
                return;
            }
            _ => return,
        }
    } else {
        event.param(0)
    };
    if let Some(described) = json.and_then(parse) {
        take_in(state, step, described);
    }
}

fn take_in(state: &mut State, step: &mut Step<'_, '_>, described: Description) {
    let id = described.short_id();
    if id.is_empty() {
        return;
    }
    if !state.make_room_for(&id, step.ledger) {
        return;
    }
    let version = state.next_version();
    let container = Container { version, ..described.into_container() };
    about(state, step, &id);
    state.containers.insert(id, container);
}

/// The event is about this container, whatever thread it came from.
fn about(state: &mut State, step: &mut Step<'_, '_>, id: &Text) {
    step.fx.describes_container = true;
    state.described = Some(Rc::clone(id));
}
