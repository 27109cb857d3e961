//! clone, clone3, fork and vfork. The call comes back twice, in the parent and in the child, in either order, and
//! either half may be missing; whichever comes first makes the thread.

use std::rc::Rc;

use casebook_formats::event::Event;
use casebook_formats::ledger::Counter;
use casebook_formats::tables::ppme::{PPME_SYSCALL_CLONE3_X, PPME_SYSCALL_VFORK_20_X};

use crate::state::cgroup::Place;
use crate::state::flags::{
    CHILD_IN_PIDNS, CLONE_FILES, CLONE_INVERTED, CLONE_NEWPID, CLONE_PARENT, CLONE_THREAD, CLONE_VFORK,
};
use crate::state::limits::STALE_AFTER;
use crate::state::step::Step;
use crate::state::table::ThreadId;
use crate::state::thread::Halves;
use crate::state::{State, Thread};

// Parameters of the exit event.
const EXE: usize = 1;
const ARGS: usize = 2;
const TID: usize = 3;
const PID: usize = 4;
const PTID: usize = 5;
const FDLIMIT: usize = 7;
const PGFT_MAJ: usize = 8;
const COMM: usize = 13;
const CGROUPS: usize = 14;
const FLAGS: usize = 15;
const UID: usize = 16;
const GID: usize = 17;
const VTID: usize = 18;
const VPID: usize = 19;
const PIDNS_INIT_START_TS: usize = 20;

pub(super) fn cloned(state: &mut State, step: &mut Step<'_, '_>) {
    match step.res() {
        Some(0) => child_half(state, step),
        Some(child) if child > 0 => parent_half(state, step, child),
        _ => {}
    }
}

fn flags_of(event: &Event<'_>) -> u32 {
    event.u64(FLAGS).unwrap_or(0) as u32
}

/// Flags as the child's half has them. Of clone3 the recorder reads them from the caller's memory, which the child may
/// have written over by then; its own ids tell whether it is a thread. Flags that deny it are none.
fn flags_of_child(event: &Event<'_>) -> u32 {
    let flags = flags_of(event);
    let is_thread = match (event.i64(PID), event.i64(TID)) {
        (Some(pid), Some(tid)) if event.etype == PPME_SYSCALL_CLONE3_X => pid != tid,
        _ => return flags,
    };
    match (is_thread, flags & CLONE_THREAD != 0) {
        (true, false) => CLONE_THREAD | CLONE_FILES | (flags & CHILD_IN_PIDNS),
        (false, true) => flags & CHILD_IN_PIDNS,
        _ => flags,
    }
}

/// Virtual ids; -1 for the process where the event has none (before 2014's end).
fn virtual_ids(event: &Event<'_>) -> (i64, i64) {
    match (event.i64(VTID), event.i64(VPID)) {
        (Some(vtid), Some(vpid)) => (vtid, vpid),
        _ => (event.tid, -1),
    }
}

/// The call returned in the parent. It makes the child unless the child's half did so before, or must do it because
/// only it knows the child's host ids.
fn parent_half(state: &mut State, step: &mut Step<'_, '_>, child_tid: i64) {
    let event = step.event;
    let Some(caller) = step.thread.or_else(|| introduce(state, step, event.tid)) else { return };
    step.thread = Some(caller);
    step.fx.thread = Some(caller);
    let caller_was_known = state.threads.get(caller.0).is_some_and(|thread| !thread.is_invalid());
    if caller_was_known {
        super::lost::place_told(state, step, caller);
        super::lost::program_told(state, step, caller);
        super::lost::parent_told(state, step, caller, event.i64(PTID));
        let id_at = |at: usize| event.u64(at).map(|id| id as u32);
        super::lost::ids_told(state, step, caller, id_at(UID), id_at(GID));
        // Its control groups as well; but Falco, and the rules written for it, hear of a move at the next exec only.
        if let Some(limit) = event.i64(FDLIMIT) {
            super::process::set_fdlimit(state, caller, limit);
        }
    } else {
        describe_caller(state, step, caller);
    }
    let awaited = note_half(state, step, caller, child_tid);
    let Some(parent) = state.threads.get(caller.0) else { return };
    let flags = flags_of(event);
    // The result is the child's id as the parent's namespace sees it. Files from before the flag existed show a
    // namespace by these other signs.
    if flags & (CHILD_IN_PIDNS | CLONE_NEWPID | CLONE_PARENT) != 0 || parent.vtid != parent.tid {
        if !awaited && flags & CLONE_PARENT == 0 {
            owe_half(state, caller);
        }
        return;
    }
    // The parent of a vfork wakes up only when the child has executed or exited: the child's half came long before.
    if flags & CLONE_VFORK != 0 || event.etype == PPME_SYSCALL_VFORK_20_X {
        return;
    }
    let (caller_tid, caller_pid, caller_ptid) = (parent.tid, parent.pid, parent.ptid);
    let child_ptid = if flags & CLONE_THREAD == 0 { caller_tid } else { caller_ptid };
    match state.thread(child_tid) {
        Some(known) if known.flags & CLONE_INVERTED != 0 => {
            // Its own half was first; unless that was another thread of the same number, whose exit was lost.
            let fresh = event.ts.saturating_sub(known.clone_ts) < STALE_AFTER;
            if fresh || known.ptid == child_ptid || known.pid == caller_pid {
                both_halves(state, child_tid);
                return;
            }
        }
        Some(_) => {}
        None if state.exited_just_now(child_tid, child_ptid, event.ts) => return,
        None => {}
    }
    state.remove_thread(child_tid);

    let pid = if flags & CLONE_THREAD == 0 { child_tid } else { caller_pid };
    let mut child = new_thread(state, event, child_tid, flags, Some(caller));
    child.pid = pid;
    child.ptid = child_ptid;
    child.vtid = child_tid;
    child.vpid = pid;
    child.pidns_init_start_ts = state.machine.boot_ts;
    child.halves = Halves::Parents;
    child.wary = true;
    inherit(state, step, &mut child, caller, caller_was_known);
    finish(state, step, child);
}

/// A placeholder for a thread that a clone event is the first to mention.
fn introduce(state: &mut State, step: &mut Step<'_, '_>, tid: i64) -> Option<ThreadId> {
    if let Some(id) = state.id_of(tid) {
        return Some(id);
    }
    step.ledger.count(Counter::UnknownParents);
    if tid < 0 { None } else { state.add_placeholder(tid, step.ledger) }
}

/// The event describes its caller too, as parent and child are equal at this moment. libs takes over the program only
/// where it goes on to make the child; what a container runtime runs is known here also when its children are in a
/// pid namespace of their own.
fn describe_caller(state: &mut State, step: &mut Step<'_, '_>, caller: ThreadId) {
    let event = step.event;
    let id_at = |at: usize| event.u64(at).map(|id| id as u32).filter(|&id| id != u32::MAX);
    let place = place_of_unknown(state, step);
    let (vtid, vpid) = virtual_ids(event);
    let exe = state.text(event.text(EXE).unwrap_or_default());
    let comm = event.text(COMM).map_or_else(|| Rc::clone(&exe), |comm| state.comm_told(&exe, comm));
    let args = state.list(event.param(ARGS).unwrap_or_default());
    if let Some(thread) = state.change(caller) {
        if event.param(EXE).is_some() {
            (thread.exe, thread.comm, thread.args) = (exe, comm, args);
        }
        thread.pid = event.i64(PID).unwrap_or(-1);
        thread.ptid = event.i64(PTID).unwrap_or(-1);
        thread.vtid = vtid;
        thread.vpid = vpid;
        (thread.uid, thread.gid) = (id_at(UID).or(thread.uid), id_at(GID).or(thread.gid));
        thread.fdlimit = event.i64(FDLIMIT).unwrap_or(thread.fdlimit);
        if let Some(place) = place {
            thread.cgroups = place.cgroups;
            thread.container_id = place.container_id;
        }
        thread.program_lost = true; // Which file it runs, nothing has told.
    }
    state.link(caller);
}

/// Control groups that a clone tells of a thread which nothing introduced. They are those of now, and what is kept of a
/// thread are those of its last exec, so they stand for these only where no exec can have been missed.
fn place_of_unknown(state: &mut State, step: &mut Step<'_, '_>) -> Option<Place> {
    if state.losses.any() {
        return None;
    }
    step.event.param(CGROUPS).map(|cgroups| state.place_of(cgroups, step.ledger))
}

/// The call returned in the child.
fn child_half(state: &mut State, step: &mut Step<'_, '_>) {
    let event = step.event;
    let known = step.thread.and_then(|id| state.threads.get(id.0));
    if let Some(known) = known
        && known.clone_ts != 0
        && event.ts.saturating_sub(known.clone_ts) < STALE_AFTER
    {
        both_halves(state, event.tid);
        return; // The parent's half made it.
    }
    // Whoever has this tid now exited without our seeing it.
    state.remove_thread(event.tid);
    step.thread = None;
    step.fx.thread = None;

    let flags = flags_of_child(event) | CLONE_INVERTED;
    let parent = event.i64(PTID).and_then(|ptid| state.id_of(ptid));
    let mut child = new_thread(state, event, event.tid, flags, parent);
    child.pid = event.i64(PID).unwrap_or(-1);
    child.ptid = event.i64(PTID).unwrap_or(-1);
    (child.vtid, child.vpid) = virtual_ids(event);
    let is_thread = flags & CLONE_THREAD != 0;
    // A new process is like its parent, a new thread like its leader; either may differ from the thread that called.
    let model_tid = if is_thread { child.pid } else { child.ptid };
    let Some(model) = introduce(state, step, model_tid) else {
        // Nobody to be like; the child itself is as good as its event.
        finish_child(state, step, child, event);
        return;
    };
    let model_was_known = state.threads.get(model.0).is_some_and(|thread| !thread.is_invalid());
    if !model_was_known && is_thread {
        let place = place_of_unknown(state, step);
        describe_leader(state, model, &child, place);
    }
    inherit(state, step, &mut child, model, model_was_known);
    // Who called is the parent, but for a thread, and for a child that the caller gave its own parent.
    let by_parent = flags & (CLONE_THREAD | CLONE_PARENT) == 0 && child.pid == child.tid;
    child.halves = if by_parent { await_half(state, model, child.tid) } else { Halves::Childs };
    finish_child(state, step, child, event);
}

/// The second half of a clone came.
fn both_halves(state: &mut State, child: i64) {
    if let Some(thread) = state.id_of(child).and_then(|id| state.threads.get_mut(id.0)) {
        thread.halves = Halves::Both;
    }
}

/// A parent's half came; whether its child's came before. A half that names another child is not the one that was
/// awaited: that one is lost.
fn note_half(state: &mut State, step: &mut Step<'_, '_>, caller: ThreadId, result: i64) -> bool {
    let Some(parent) = state.threads.get_mut(caller.0) else { return false };
    let awaited = std::mem::take(&mut parent.awaited);
    if awaited == 0 {
        return false;
    }
    let Some(child) = state.id_of(awaited).and_then(|id| state.threads.get_mut(id.0)) else { return true };
    let is_it = child.tid == result || child.vtid == result || child.in_pid_namespace();
    if is_it {
        child.halves = Halves::Both;
    } else {
        child.half_lost();
        state.lost(step.ledger, Counter::LostClones);
    }
    is_it
}

/// A parent's half came that does not name its child by a number of the host: the child's will match it.
fn owe_half(state: &mut State, caller: ThreadId) {
    if let Some(parent) = state.threads.get_mut(caller.0) {
        parent.owed = parent.owed.saturating_add(1);
    }
}

/// A child's half came: its parent's came before, or has to be the next thing that the parent does.
fn await_half(state: &mut State, parent: ThreadId, child: i64) -> Halves {
    let Some(parent) = state.threads.get_mut(parent.0) else { return Halves::Childs };
    if let Some(rest) = parent.owed.checked_sub(1) {
        parent.owed = rest;
        return Halves::Both;
    }
    parent.awaited = child;
    parent.wary = true;
    Halves::Childs
}

/// An unknown leader gets what it shares with its new thread.
fn describe_leader(state: &mut State, leader: ThreadId, child: &Thread, place: Option<Place>) {
    let comm = state.comm_told(&child.exe, &child.comm);
    if let Some(thread) = state.change(leader) {
        thread.pid = child.pid;
        thread.ptid = child.ptid;
        thread.vpid = child.vpid;
        thread.vtid = child.vpid;
        thread.exe = Rc::clone(&child.exe);
        thread.comm = comm;
        thread.args = Rc::clone(&child.args);
        thread.fdlimit = child.fdlimit;
        if let Some(place) = place {
            thread.cgroups = place.cgroups;
            thread.container_id = place.container_id;
        }
        thread.program_lost = true;
    }
    state.link(leader);
}

fn finish_child(state: &mut State, step: &mut Step<'_, '_>, mut child: Box<Thread>, event: &Event<'_>) {
    if child.flags & (CHILD_IN_PIDNS | CLONE_NEWPID) != 0 || child.tid != child.vtid {
        child.pidns_init_start_ts =
            event.u64(PIDNS_INIT_START_TS).map_or(0, |start| start.wrapping_add(state.machine.boot_ts));
    } else {
        child.pidns_init_start_ts = state.machine.boot_ts;
    }
    if let Some(id) = finish(state, step, child) {
        step.thread = Some(id);
        step.fx.thread = Some(id);
    }
}

/// What both halves say of the child, which shares its texts with whom it is like as a rule.
fn new_thread(state: &mut State, event: &Event<'_>, tid: i64, flags: u32, like: Option<ThreadId>) -> Box<Thread> {
    let like = like.and_then(|id| state.threads.get(id.0));
    let mut child = Thread::new(tid, &state.texts.empty);
    child.flags = flags;
    if flags & CLONE_THREAD != 0 {
        child.flags |= CLONE_FILES;
    }
    child.exe = state.text_like(like.map(|like| &like.exe), event.text(EXE).unwrap_or_default());
    let comm = event.text(COMM).map(|comm| state.text_like(like.map(|like| &like.comm), comm));
    child.comm = comm.unwrap_or_else(|| Rc::clone(&child.exe));
    child.args = state.list_like(like.map(|like| &like.args), event.param(ARGS).unwrap_or_default());
    child.fdlimit = event.i64(FDLIMIT).unwrap_or(-1);
    super::process::read_usage(&mut child.usage, event, PGFT_MAJ);
    child.image_step = state.steps;
    child.uid = event.u64(UID).map(|uid| uid as u32).filter(|&uid| uid != u32::MAX);
    child.gid = event.u64(GID).map(|gid| gid as u32).filter(|&gid| gid != u32::MAX);
    child.clone_ts = event.ts;
    child.program_inherited = flags & CLONE_THREAD == 0;
    child
}

/// What the child has from its parent or leader.
fn inherit(state: &mut State, step: &mut Step<'_, '_>, child: &mut Thread, from: ThreadId, from_is_known: bool) {
    let is_thread = child.flags & CLONE_THREAD != 0;
    if from_is_known && let Some(model) = state.threads.get(from.0) {
        child.program_lost = model.program_lost;
        child.origin = state.origin_of(model);
        child.exepath = Rc::clone(&model.exepath);
        child.exe_writable = model.exe_writable;
        child.exe_upper_layer = model.exe_upper_layer;
        child.exe_lower_layer = model.exe_lower_layer;
        child.exe_from_memfd = model.exe_from_memfd;
        child.root = Rc::clone(&model.root);
        child.sid = model.sid;
        child.vpgid = model.vpgid;
        child.pgid = model.pgid;
        child.tty = model.tty;
        child.loginuid = model.loginuid;
        child.cap_permitted = model.cap_permitted;
        child.cap_inheritable = model.cap_inheritable;
        child.cap_effective = model.cap_effective;
        child.caps_lost = model.caps_lost;
        child.exe_ino = model.exe_ino;
        child.exe_ino_ctime = model.exe_ino_ctime;
        child.exe_ino_mtime = model.exe_ino_mtime;
        child.exe_ino_ctime_to_clone = model.exe_ino_ctime_to_clone;
        child.uid = child.uid.or(model.uid);
        child.gid = child.gid.or(model.gid);
        if is_thread {
            child.lastexec_ts = model.lastexec_ts;
        } else {
            let leader = state.main_thread_of(model);
            child.cwd = leader.map_or_else(|| Rc::clone(&state.texts.empty), |leader| Rc::clone(&leader.cwd));
            child.env = leader.map_or_else(|| Rc::clone(&model.env), |leader| Rc::clone(&leader.env));
        }
    }
    if from_is_known && !is_thread {
        child.files = if child.flags & CLONE_FILES == 0 {
            state.copy_of_table(from, step.ledger)
        } else {
            // libs copies here too; but what one of the two opens, the other one has.
            state.share_of_table(from)
        };
    }
    // Files too old to have them in the event keep the parent's.
    if let (None, Some(model)) = (step.event.param(CGROUPS), state.threads.get(from.0)) {
        child.cgroups = Rc::clone(&model.cgroups);
        child.container_id = Rc::clone(&model.container_id);
    }
}

fn finish(state: &mut State, step: &mut Step<'_, '_>, mut child: Box<Thread>) -> Option<ThreadId> {
    if let Some(cgroups) = step.event.param(CGROUPS) {
        let place = state.place_of(cgroups, step.ledger);
        child.cgroups = place.cgroups;
        child.container_id = place.container_id;
    }
    child.placeholder = child.is_invalid();
    let id = state.add_thread(child, step.ledger)?;
    state.link(id);
    Some(id)
}
