//! Who looks at a replay: what the engine asks and tells.

use std::ops::ControlFlow;

use casebook_formats::event::{Event, EventType};
use casebook_formats::ledger::Ledger;

use crate::context::EventContext;
use crate::state::State;

/// Who looks at the events of a replay.
pub trait Visitor {
    /// The first event of a section comes next: `state` is what the snapshots say of the machine before it.
    fn section(&mut self, state: &State) {
        let _ = state;
    }

    /// Whether events of this type are of interest: if not, they are applied and not shown, which is cheaper. Those that
    /// are not of interest any more stay so.
    #[inline]
    fn wants(&self, etype: EventType) -> bool {
        let _ = etype;
        true
    }

    /// One event, with the state after it. Breaking ends the replay.
    fn event(&mut self, context: &EventContext<'_>) -> ControlFlow<()>;

    /// One event that only feeds the state, with the state after it.
    fn hidden(&mut self, event: &Event<'_>, state: &State) {
        let _ = (event, state);
    }

    /// Events are missing between the last event that it was shown or heard of and the next one: the reader had to leave
    /// something out, or the recorder tells so beside the stream. The state knows.
    fn gap(&mut self) {}

    /// Whether it wants to hear what was lost until an event at `previous`, now that one at `ts` has come.
    fn is_due(&self, previous: u64, ts: u64) -> bool {
        let _ = (previous, ts);
        false
    }

    /// What was lost since the capture began, until `ts`; see [`Visitor::is_due`].
    fn lost(&mut self, ts: u64, ledger: &Ledger) {
        let _ = (ts, ledger);
    }

    /// Now and then, and at the end: bytes of the (compressed) input consumed, and events replayed.
    fn progress(&mut self, bytes_read: u64, events: u64) {
        let _ = (bytes_read, events);
    }
}

/// A function as a visitor.
pub(super) struct Each<F>(pub(super) F);

impl<F: FnMut(&EventContext<'_>) -> ControlFlow<()>> Visitor for Each<F> {
    fn event(&mut self, context: &EventContext<'_>) -> ControlFlow<()> {
        (self.0)(context)
    }
}
