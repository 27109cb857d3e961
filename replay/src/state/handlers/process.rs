//! What a process changes about itself: directory, root, session, group, names, limits, memory.

use casebook_formats::event::Event;
use casebook_formats::tables::ppme::PPME_SYSCALL_BRK_4_X;

use crate::state::limits::MAX_CHILDREN_SEARCHED;
use crate::state::path::{as_directory, join};
use crate::state::step::Step;
use crate::state::table::ThreadId;
use crate::state::{State, Usage};

/// Reads major faults, minor faults, size, resident size and swap, which follow each other; all or none are there
/// (false).
pub(super) fn read_usage(usage: &mut Usage, event: &Event<'_>, first: usize) -> bool {
    if event.param(first + 4).is_none() {
        return false;
    }
    let number = |at: usize| event.u64(first + at).unwrap_or(0);
    *usage =
        Usage { pf_major: number(0), pf_minor: number(1), vm_size: number(2), vm_rss: number(3), vm_swap: number(4) };
    true
}

/// chdir; getcwd as well, which repairs what a lost chdir left wrong.
pub(super) fn chdir(state: &mut State, step: &mut Step<'_, '_>) {
    if step.succeeded()
        && let (Some(id), Some(path)) = (step.thread, step.event.text(1))
    {
        set_cwd(state, id, path);
    }
}

pub(super) fn fchdir(state: &mut State, step: &mut Step<'_, '_>) {
    if !step.succeeded() {
        return;
    }
    let (Some(id), Some((table, number))) = (step.thread, step.fx.record) else { return };
    let name = state.tables.get(table.0).and_then(|entry| entry.table.get(number)).map(|fd| fd.name.clone());
    if let Some(name) = name {
        set_cwd(state, id, &name);
    }
}

/// The directory belongs to the process: threads change it for all.
fn set_cwd(state: &mut State, id: ThreadId, path: &[u8]) {
    let Some(main) = state.main_id_of(id) else { return };
    let Some(old) = state.threads.get(main.0).map(|thread| &thread.cwd) else { return };
    let new = as_directory(join(old, path));
    if **old == *new {
        return;
    }
    let new = state.text(&new);
    if let Some(thread) = state.change(main) {
        thread.cwd = new;
    }
}

pub(super) fn chroot(state: &mut State, step: &mut Step<'_, '_>) {
    let (Some(id), Some(path), Some(0)) = (step.thread, step.event.text(1), step.res()) else { return };
    let Some(thread) = state.threads.get(id.0) else { return };
    let base = if path.starts_with(b"/") { b"" } else { state.cwd(thread).unwrap_or_default() };
    let root = state.text(&join(base, path));
    if let Some(thread) = state.change(id) {
        thread.root = root;
    }
}

/// A new session: the process leads it, and a process group of the same number.
pub(super) fn setsid(state: &mut State, step: &mut Step<'_, '_>) {
    let (Some(id), Some(sid)) = (step.thread, step.res().filter(|&sid| sid >= 0)) else { return };
    if let Some(thread) = state.change(id) {
        thread.sid = sid;
        // libs leaves group and terminal as they were until the next exec says otherwise.
        thread.vpgid = sid;
        thread.pgid = if thread.pgid == -1 { -1 } else { thread.pid };
        thread.tty = 0;
    }
}

/// libs does not follow setpgid and learns of it at the next exec.
pub(super) fn setpgid(state: &mut State, step: &mut Step<'_, '_>) {
    let (Some(id), Some(0)) = (step.thread, step.res()) else { return };
    let (Some(pid), Some(pgid)) = (step.event.i64(1), step.event.i64(2)) else { return };
    let Some(caller) = state.threads.get(id.0).map(AsRef::as_ref) else { return };
    // Ids are those of the caller's namespace: 0 and its own are itself, all others can only be its children.
    let target = if pid == 0 || pid == caller.vpid || (pid == caller.pid && !caller.in_pid_namespace()) {
        state.main_id_of(id)
    } else {
        let is_it = |tid: &&i64| state.thread(**tid).is_some_and(|child| child.vpid == pid && child.is_main());
        caller.children.iter().take(MAX_CHILDREN_SEARCHED).find(is_it).and_then(|&tid| state.id_of(tid))
    };
    let Some(target) = target else { return };
    let Some(thread) = state.threads.get(target.0) else { return };
    let host_group = if pgid == 0 || pgid == thread.vpid {
        thread.pid
    } else if thread.in_pid_namespace() {
        // A group joined, not made: one of those around the caller is in it already.
        let family = state.parent(caller).into_iter().chain([caller]);
        let family =
            family.chain(caller.children.iter().take(MAX_CHILDREN_SEARCHED).filter_map(|&tid| state.thread(tid)));
        let joined = family.into_iter().find(|other| other.sid == caller.sid && other.vpgid == pgid);
        joined.map_or(-1, |other| other.pgid)
    } else {
        pgid
    };
    let leads = host_group == thread.pid;
    // Captures of old have no groups of the host at all; where events are missing both may have been given up.
    let given_up = thread.vpgid == -1 && leads && state.losses.any();
    if let Some(thread) = state.change(target) {
        thread.vpgid = if pgid == 0 { thread.vpid } else { pgid };
        if thread.pgid != -1 || given_up {
            thread.pgid = host_group;
        }
    }
    if leads && state.main_id_of(id) != Some(target) {
        super::lost::job_control_shown(state, id);
    }
}

const PR_SET_NAME: u64 = 15;
const PR_SET_CHILD_SUBREAPER: u64 = 36;
const PR_GET_CHILD_SUBREAPER: u64 = 37;

pub(super) fn prctl(state: &mut State, step: &mut Step<'_, '_>) {
    let (Some(id), true) = (step.thread, step.succeeded()) else { return };
    match step.event.u64(1) {
        Some(PR_SET_NAME) => {
            let Some(name) = step.event.text(2).map(|name| state.text(name)) else { return };
            if let Some(thread) = state.change(id) {
                thread.set_name = Some(name);
            }
        }
        Some(PR_SET_CHILD_SUBREAPER | PR_GET_CHILD_SUBREAPER) => {
            let Some(value) = step.event.i64(3) else { return };
            let pid = state.threads.get(id.0).filter(|thread| thread.linked).map(|thread| thread.pid);
            if let Some(group) = pid.and_then(|pid| state.groups.get_mut(&pid)) {
                group.reaper = value != 0;
            }
        }
        _ => {}
    }
}

const RLIMIT_NOFILE: u64 = 7;

pub(super) fn rlimit(state: &mut State, step: &mut Step<'_, '_>) {
    if step.succeeded()
        && step.event.u64(3) == Some(RLIMIT_NOFILE)
        && let (Some(id), Some(limit)) = (step.thread, step.event.i64(1))
    {
        set_fdlimit(state, id, limit);
    }
}

pub(super) fn prlimit(state: &mut State, step: &mut Step<'_, '_>) {
    let event = step.event;
    if step.res() != Some(0) || event.u64(6) != Some(RLIMIT_NOFILE) {
        return;
    }
    let (Some(limit), Some(pid)) = (event.i64(1), event.i64(5)) else { return };
    let Some(id) = (if pid == 0 { step.thread } else { state.id_of(pid) }) else { return };
    if limit != NO_LIMIT {
        set_fdlimit(state, id, limit);
    } else if let (Some(told), true) = (event.i64(3), state.losses.any()) {
        // Who only asks is told what it is. libs does not listen; it is news only where the call that set it is missing.
        set_fdlimit(state, id, told);
    }
}

/// No new limit; also *unlimited*, which nobody can have for descriptors.
const NO_LIMIT: i64 = -1;

/// A limit of a process, unless it is none.
pub(super) fn set_fdlimit(state: &mut State, id: ThreadId, limit: i64) {
    if limit != NO_LIMIT
        && let Some(main) = state.main_id_of(id)
        && state.threads.get(main.0).is_some_and(|thread| thread.fdlimit != limit)
        && let Some(thread) = state.change(main)
    {
        thread.fdlimit = limit;
    }
}

/// Ticks of processor time in user and kernel mode since the thread began, as recorders of old told of every thread once a
/// second.
pub(super) fn ticks_told(state: &mut State, step: &mut Step<'_, '_>) {
    let (Some(user), Some(system)) = (step.event.u64(0), step.event.u64(1)) else { return };
    let now = state.steps;
    let Some(thread) = step.thread.and_then(|id| state.threads.get_mut(id.0)) else { return };
    if let Some((user_before, system_before)) = thread.ticks.replace((user, system)) {
        thread.ticks_spent = Some(((user.saturating_sub(user_before), system.saturating_sub(system_before)), now));
    }
}

/// The thread leaves its processor, on which it has been since the switch before.
///
/// If that one was to another thread, switches are missing in between: neither of the two has been told of all its time.
fn left_processor(state: &mut State, step: &Step<'_, '_>, id: Option<ThreadId>) {
    let event = step.event;
    let next = event.i64(0).unwrap_or(-1);
    let Some((since, to)) = state.switched.insert(event.cpu, (event.ts, next)) else { return };
    if to != -1 && to != event.tid {
        for lost in [id, state.id_of(to)].into_iter().flatten() {
            if let Some(thread) = state.threads.get_mut(lost.0) {
                thread.ran_lost = true;
            }
        }
        return;
    }
    let (Some(ran), now) = (event.ts.checked_sub(since), state.steps) else { return };
    if let Some(thread) = id.and_then(|id| state.threads.get_mut(id.0)) {
        thread.ran = thread.ran.saturating_add(ran);
        thread.ran_last = Some((ran, now));
    }
}

/// Faults are the thread's, memory is the process's.
pub(super) fn switched(state: &mut State, step: &mut Step<'_, '_>) {
    left_processor(state, step, step.thread);
    let Some(id) = step.thread else { return };
    let mut seen = Usage::default();
    if step.event.param(5).is_none() {
        return;
    }
    read_usage(&mut seen, step.event, 1);
    let now = state.steps;
    if let Some(thread) = state.threads.get_mut(id.0) {
        thread.faults_step = now;
        thread.usage.pf_major = seen.pf_major;
        thread.usage.pf_minor = seen.pf_minor;
    }
    if let Some(main) = state.main_id_of(id).and_then(|main| state.threads.get_mut(main.0)) {
        main.memory_step = now;
        main.usage.vm_size = seen.vm_size;
        main.usage.vm_rss = seen.vm_rss;
        main.usage.vm_swap = seen.vm_swap;
    }
}

/// brk, mmap, munmap tell the memory after the call.
pub(super) fn memory_changed(state: &mut State, step: &mut Step<'_, '_>) {
    if step.event.etype == PPME_SYSCALL_BRK_4_X {
        super::lost::program_started(state, step);
    }
    let event = step.event;
    let now = state.steps;
    let Some(thread) = step.thread.and_then(|id| state.threads.get_mut(id.0)) else { return };
    if let Some(size) = event.u64(1) {
        thread.usage.vm_size = size;
    }
    if let (Some(rss), Some(swap)) = (event.u64(2), event.u64(3)) {
        thread.usage.vm_rss = rss;
        thread.usage.vm_swap = swap;
        thread.memory_step = now;
    }
}

/// The recorder lost or sampled events from here on. The reader counts these markers.
pub(super) fn dropped(state: &mut State, _: &mut Step<'_, '_>) {
    state.losses.shown();
}
