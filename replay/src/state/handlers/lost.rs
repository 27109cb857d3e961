//! Signs of events that the capture lacks: what they prove wrong becomes unknown, or what the event says instead.
//!
//! A complete capture shows none of these signs; libs, which does not look for them, goes on with what was before.

use std::sync::Arc;

use casebook_formats::ledger::Counter;

use super::exec::{close_on_exec, leave_threads_behind};
use crate::state::State;
use crate::state::step::Step;
use crate::state::table::ThreadId;

// Parameters of brk.
const VM_SIZE: usize = 1;
const ADDR: usize = 4;

// Parameters of the clone family.
const EXE: usize = 1;
const ARGS: usize = 2;
const COMM: usize = 13;

/// `brk(0)` asks where the heap begins, which the C libraries do when a program starts: before they ever take memory,
/// and never again in it. Where no start was seen, there was an exec, if either
///
/// - the process is the child of a fork and runs, as far as is known, its parent's program, in whose memory the
///   question was answered long ago; or
/// - it is much smaller than it was a moment before (glibc asks twice, and once more does not make it smaller).
pub(super) fn program_started(state: &mut State, step: &mut Step<'_, '_>) {
    if step.event.u64(ADDR) != Some(0) {
        return;
    }
    let Some(id) = step.thread else { return };
    let Some(thread) = state.threads.get(id.0).filter(|thread| thread.is_main() && !thread.dead) else { return };
    let shrunk = || step.event.u64(VM_SIZE).is_some_and(|size| size > 0 && size < thread.usage.vm_size / 4 * 3);
    if thread.program_inherited || shrunk() {
        step.ledger.count(Counter::LostExecs);
        forget_program(state, id);
    }
}

/// An exec was lost: what it replaced is over, what came instead is not known. Directory, ids, session and
/// credentials stay as an exec leaves them, as a rule.
fn forget_program(state: &mut State, id: ThreadId) {
    let (unknown, empty) = (Arc::clone(&state.texts.unknown), Arc::clone(&state.texts.empty));
    let Some(thread) = state.change(id) else { return };
    thread.program_lost = true;
    thread.program_inherited = false;
    thread.set_name = None;
    thread.comm = Arc::clone(&unknown);
    thread.exe = unknown;
    for text in [&mut thread.exepath, &mut thread.args, &mut thread.env] {
        *text = Arc::clone(&empty);
    }
    thread.exe_ino = 0;
    thread.exe_ino_ctime = 0;
    thread.exe_ino_mtime = 0;
    thread.exe_ino_ctime_to_clone = 0;
    thread.exe_ino_ctime_after_pidns = 0;
    thread.exe_writable = false;
    thread.exe_upper_layer = false;
    thread.exe_lower_layer = false;
    thread.exe_from_memfd = false;
    leave_threads_behind(state, id);
    close_on_exec(state, id);
}

/// A clone tells name and arguments of its caller, which at that moment are the child's. They are news where the
/// program was not known. They prove a lost exec where both names differ: a process may rewrite its arguments, and a
/// thread its comm, but programs that change both at once are rare, and then the event is right all the same.
pub(super) fn program_told(state: &mut State, step: &mut Step<'_, '_>, caller: ThreadId) {
    let (Some(exe), Some(comm)) = (step.event.text(EXE), step.event.text(COMM)) else { return };
    let Some(thread) = state.threads.get(caller.0).filter(|thread| !thread.placeholder && thread.is_main()) else {
        return;
    };
    if Arc::ptr_eq(&thread.comm, &state.texts.unknown) {
        let (exe, comm) = (state.text(exe), state.text(comm));
        let args = state.list(step.event.param(ARGS).unwrap_or_default());
        if let Some(thread) = state.change(caller) {
            thread.exe = exe;
            thread.comm = comm;
            thread.args = args;
        }
        return;
    }
    let renamed = thread.set_name.is_some() || *thread.comm == *comm || *thread.exe == *exe;
    if renamed || thread.comm.is_empty() || exe.is_empty() || comm.is_empty() {
        return;
    }
    step.ledger.count(Counter::LostExecs);
    forget_program(state, caller);
    program_told(state, step, caller);
}
