//! procexit: a thread ends.

use crate::state::State;
use crate::state::flags::CLOSED;
use crate::state::step::Step;

const REAPER_TID: usize = 4;

/// The thread is dead at once and leaves when the next event is applied, so that rules on its exit see it.
pub(super) fn exited(state: &mut State, step: &mut Step<'_, '_>) {
    let event = step.event;
    let Some(id) = step.thread else {
        if event.tid > 0 {
            step.ledger.count(casebook_formats::ledger::Counter::UnknownThreads);
        }
        return;
    };
    let Some(thread) = state.change(id) else { return };
    let was_alive = !thread.dead && thread.linked;
    thread.dead = true;
    thread.flags |= CLOSED;
    thread.reaper_tid = event.i64(REAPER_TID).unwrap_or(-1);
    let (tid, pid, ptid) = (thread.tid, thread.pid, thread.ptid);
    if was_alive && let Some(group) = state.groups.get_mut(&pid) {
        group.alive = group.alive.saturating_sub(1);
    }
    state.remember_exit(tid, ptid, event.ts);
    state.leave_later(tid);
}
