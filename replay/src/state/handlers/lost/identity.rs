//! Who a process is, told by events after the one that made it so was lost: group, session, parent, ids.

use casebook_formats::ledger::Counter;
use casebook_formats::tables::ppme::{
    PPME_SYSCALL_GETEGID_X, PPME_SYSCALL_GETEUID_X, PPME_SYSCALL_GETRESGID_X, PPME_SYSCALL_GETRESUID_X,
};

use crate::state::step::Step;
use crate::state::table::ThreadId;
use crate::state::{State, Thread};

/// An exec tells the process group. Where it is another one than was known, `setsid` or `setpgid` is missing: the session
/// may be another one as well.
pub(in crate::state::handlers) fn group_told(
    state: &mut State,
    step: &mut Step<'_, '_>,
    id: ThreadId,
    vpgid: Option<i64>,
    pgid: Option<i64>,
) {
    let Some(thread) = state.threads.get_mut(id.0) else { return };
    let differs = |known: i64, told: Option<i64>| known != -1 && told.is_some_and(|told| told != known);
    if !differs(thread.vpgid, vpgid) && !differs(thread.pgid, pgid) {
        return;
    }
    let stale = thread.vpgid;
    thread.sid = -1;
    if pgid.is_none() {
        thread.pgid = -1;
    }
    state.lost(step.ledger, Counter::LostChanges);
    // A group that is called like the parent is the parent's own: it made one, and handed it down.
    let parent = state.threads.get(id.0).map(|thread| thread.ptid).and_then(|ptid| state.id_of(ptid));
    let is_its_own = |parent: &Thread| parent.is_main() && parent.vpgid == stale && Some(parent.vpid) == vpgid;
    if let Some(parent) = parent.filter(|parent| state.threads.get(parent.0).is_some_and(|parent| is_its_own(parent)))
        && let Some(parent) = state.change(parent)
    {
        parent.vpgid = parent.vpid;
        parent.pgid = parent.pid;
        parent.sid = -1;
    }
}

/// A process gives its child a group of the child's own, as shells with job control do, which have made one for themselves
/// before. Of one that has not, as far as is known, that call may be missing: the group is doubtful.
pub(in crate::state::handlers) fn job_control_shown(state: &mut State, id: ThreadId) {
    let Some(shell) = state.main_id_of(id).filter(|_| state.losses.any()) else { return };
    if state.threads.get(shell.0).is_some_and(|thread| thread.vpgid != thread.vpid && thread.vpgid != -1)
        && let Some(thread) = state.change(shell)
    {
        (thread.vpgid, thread.pgid) = (-1, -1);
    }
}

/// An event of the thread's own tells its parent. Where it is another one than was known, the known one is gone, and its
/// other children are orphans as well; unless it was a guess who takes the orphans.
pub(in crate::state::handlers) fn parent_told(
    state: &mut State,
    step: &mut Step<'_, '_>,
    id: ThreadId,
    told: Option<i64>,
) {
    let Some(told) = told.filter(|&told| told > 0) else { return };
    let Some(thread) = state.threads.get(id.0).filter(|thread| thread.linked && !thread.dead) else { return };
    let (tid, known) = (thread.tid, thread.ptid);
    if known == told || told == tid || known <= 0 {
        return;
    }
    let guessed = thread.former_parent.is_some();
    let Some(old) = state.id_of(known) else { return };
    state.lost(step.ledger, Counter::LostExits);
    if !guessed && let Some(parent) = state.change(old) {
        parent.reaper_tid = told;
        state.remove_thread(known);
    }
    if state.threads.get(id.0).is_some_and(|thread| thread.ptid != told) {
        state.adopt(id, told);
    }
}

/// Effective ids of the caller, told by calls that ask for them and by clones.
pub(in crate::state::handlers) fn ids_told(
    state: &mut State,
    step: &mut Step<'_, '_>,
    id: ThreadId,
    uid: Option<u32>,
    gid: Option<u32>,
) {
    let known = |id: Option<u32>| id.filter(|&id| id != u32::MAX);
    let (uid, gid) = (known(uid), known(gid));
    let Some(thread) = state.threads.get(id.0) else { return };
    let differs = |known: Option<u32>, told: Option<u32>| told.is_some() && told != known;
    if !differs(thread.uid, uid) && !differs(thread.gid, gid) {
        return;
    }
    let news = (thread.uid.is_some() && differs(thread.uid, uid)) || (thread.gid.is_some() && differs(thread.gid, gid));
    if let Some(thread) = state.change(id) {
        thread.uid = uid.or(thread.uid);
        thread.gid = gid.or(thread.gid);
    }
    if news {
        state.lost(step.ledger, Counter::LostChanges);
    }
}

/// Only the leader of a session may give it a terminal: who does so has called `setsid`, and leads a group as well.
pub(super) fn session_told(state: &mut State, step: &mut Step<'_, '_>) {
    let Some(id) = step.thread.and_then(|id| state.main_id_of(id)) else { return };
    let Some(thread) = state.threads.get(id.0).filter(|thread| thread.linked && thread.vpid > 0) else { return };
    // Process lists have the host's number of a session. Inside a pid namespace the number inherited is none of its own.
    if thread.sid == thread.vpid || thread.sid == thread.pid || (thread.in_pid_namespace() && !state.losses.any()) {
        return;
    }
    if thread.sid != -1 {
        state.lost(step.ledger, Counter::LostChanges);
    }
    if let Some(thread) = state.change(id) {
        (thread.sid, thread.vpgid, thread.pgid) = (thread.vpid, thread.vpid, thread.pid);
    }
}

/// `geteuid`, `getegid`, `getresuid`, `getresgid`.
pub(in crate::state::handlers) fn ids_asked(state: &mut State, step: &mut Step<'_, '_>) {
    let Some(id) = step.thread else { return };
    let at = |param: usize| step.event.u64(param).map(|id| id as u32);
    let (uid, gid) = match step.event.etype {
        PPME_SYSCALL_GETEUID_X => (at(0), None),
        PPME_SYSCALL_GETEGID_X => (None, at(0)),
        PPME_SYSCALL_GETRESUID_X if step.succeeded() => (at(2), None),
        PPME_SYSCALL_GETRESGID_X if step.succeeded() => (None, at(2)),
        _ => return,
    };
    ids_told(state, step, id, uid, gid);
}
