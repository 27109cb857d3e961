//! execve and execveat: the process becomes another program.

use std::rc::Rc;

use casebook_formats::event::Event;
use casebook_formats::tables::ppme::{PPME_SYSCALL_EXECVE_19_E, PPME_SYSCALL_EXECVE_19_X, PPME_SYSCALL_EXECVEAT_E};

use super::open::{Directory, directory_of};
use crate::state::enter::Enter;
use crate::state::flags::{
    ACTIVE, AT_EMPTY_PATH, CLONE_INVERTED, EXE_FROM_MEMFD, EXE_LOWER_LAYER, EXE_UPPER_LAYER, EXE_WRITABLE,
    NAME_CHANGED, PIPE_DST, PIPE_SRC,
};
use crate::state::path::{join, without_deleted_mark};
use crate::state::step::Step;
use crate::state::table::ThreadId;
use crate::state::thread::Startup;
use crate::state::{State, Text, Thread};

// Parameters of the exit event.
const EXE: usize = 1;
const ARGS: usize = 2;
const PID: usize = 4;
const PTID: usize = 5;
const FDLIMIT: usize = 7;
const PGFT_MAJ: usize = 8;
const COMM: usize = 13;
const CGROUPS: usize = 14;
const ENV: usize = 15;
const TTY: usize = 16;
const VPGID: usize = 17;
const LOGINUID: usize = 18;
const FLAGS: usize = 19;
const CAP_INHERITABLE: usize = 20;
const CAP_PERMITTED: usize = 21;
const CAP_EFFECTIVE: usize = 22;
const EXE_INO: usize = 23;
const EXE_INO_CTIME: usize = 24;
const EXE_INO_MTIME: usize = 25;
const UID: usize = 26;
const TRUSTED_EXEPATH: usize = 27;
const PGID: usize = 28;
const GID: usize = 29;

/// A successful exec. A failed one changes nothing; what an old event does not hold stays as it was.
pub(super) fn executed(state: &mut State, step: &mut Step<'_, '_>) {
    let Some(id) = step.thread else { return };
    let enter = state.take_enter(id, step.event.etype.0);
    if !step.succeeded() {
        super::lost::attempt_told(state, step, id);
        return;
    }
    let event = step.event;
    revive(state, id);
    let texts = Program::of(state, id, event, enter.as_deref());
    let place = event.param(CGROUPS).map(|cgroups| state.place_of(cgroups, step.ledger));
    let pid = event.i64(PID);
    if state.threads.get(id.0).is_some_and(|thread| pid.is_some_and(|pid| pid != thread.pid)) {
        state.unlink(id);
    }
    super::lost::group_told(state, step, id, event.i64(VPGID), event.i64(PGID));
    super::lost::parent_told(state, step, id, event.i64(PTID));
    let now = state.steps;
    super::streams::before_exec(state, id);
    let Some(thread) = state.change(id) else { return };
    texts.put(thread);
    thread.set_name = None;
    thread.startup = Startup::default();
    thread.program_lost = false;
    thread.program_inherited = false;
    thread.lastexec_ts = event.ts;
    thread.pid = pid.unwrap_or(thread.pid);
    if thread.is_invalid() {
        thread.ptid = event.i64(PTID).unwrap_or(thread.ptid);
        if thread.flags & crate::state::flags::CHILD_IN_PIDNS == 0 {
            thread.vtid = thread.tid;
            thread.vpid = thread.pid;
        }
    }
    if let Some(place) = place {
        thread.cgroups = place.cgroups;
        thread.container_id = place.container_id;
    }
    put_usage(thread, event, now);
    put_facts(thread, event);
    thread.image_step = now;
    let kept = thread.flags & (PIPE_SRC | PIPE_DST | CLONE_INVERTED);
    thread.flags = ACTIVE | NAME_CHANGED | kept;
    state.link(id);
    state.note_origin(id);
    leave_threads_behind(state, id);
    close_on_exec(state, id);
}

/// A second thread executed when its leader was gone: it takes the leader's id over, which lives again.
fn revive(state: &mut State, id: ThreadId) {
    let Some(thread) = state.change(id).filter(|thread| thread.dead) else { return };
    thread.dead = false;
    thread.flags &= !crate::state::flags::CLOSED;
    let pid = thread.pid;
    if let Some(group) = state.groups.get_mut(&pid) {
        group.alive += 1;
    }
}

/// Texts of the new program; `None` keeps the old one.
struct Program {
    exe: Option<Text>,
    comm: Option<Text>,
    args: Option<Text>,
    env: Option<Text>,
    exepath: Option<Text>,
}

impl Program {
    fn of(state: &State, id: ThreadId, event: &Event<'_>, enter: Option<&Enter>) -> Self {
        let thread = state.threads.get(id.0);
        let exe = event.text(EXE).map(|exe| state.text(exe));
        // Events of before 2014 have no comm.
        let comm = event.text(COMM).map(|comm| state.text(comm)).or_else(|| exe.clone());
        let args = event.param_raw(ARGS).map(|args| state.list(args));
        // Most programs inherit their environment: no second copy of it.
        let env = event.param(ENV).map(|env| {
            let old = thread.map(|thread| &thread.env).filter(|old| ***old == *env);
            old.map_or_else(|| state.list(env), Rc::clone)
        });
        let exepath = match event.text(TRUSTED_EXEPATH) {
            Some(path) => Some(state.text(without_deleted_mark(path))),
            None => enter
                .and_then(|enter| path_of_enter(state, id, enter))
                .map(|path| state.text(without_deleted_mark(&path))),
        };
        Self { exe, comm, args, env, exepath }
    }

    fn put(self, thread: &mut Thread) {
        let replace = |old: &mut Text, new: Option<Text>| {
            if let Some(new) = new {
                *old = new;
            }
        };
        replace(&mut thread.exe, self.exe);
        replace(&mut thread.comm, self.comm);
        replace(&mut thread.args, self.args);
        replace(&mut thread.env, self.env);
        replace(&mut thread.exepath, self.exepath);
    }
}

/// Before 2022 the exit does not say which file was executed: the enter half named it, relative to the working
/// directory or to a descriptor.
fn path_of_enter(state: &State, id: ThreadId, enter: &Enter) -> Option<Vec<u8>> {
    let thread = state.threads.get(id.0)?;
    if enter.etype == PPME_SYSCALL_EXECVE_19_E.0 {
        let name = enter.text(0)?;
        let base = if name.starts_with(b"/") { b"" } else { state.cwd(thread)? };
        return Some(join(base, name));
    }
    let name = enter.text(1).unwrap_or_default();
    let by_descriptor = enter.u32(2).is_some_and(|flags| flags & AT_EMPTY_PATH != 0);
    match directory_of(state, thread, name, enter.i64(0)) {
        Directory::Unknown => None,
        Directory::At(directory) if by_descriptor && name.is_empty() => Some(join(b"", directory.as_ref())),
        _ if name.is_empty() => None,
        Directory::NotNeeded => Some(join(b"", name)),
        Directory::At(directory) => Some(join(&directory, name)),
    }
}

fn put_usage(thread: &mut Thread, event: &Event<'_>, now: u64) {
    if super::process::read_usage(&mut thread.usage, event, PGFT_MAJ) {
        (thread.memory_step, thread.faults_step) = (now, now);
    }
}

/// Numbers that an exec tells of its process, also one that failed.
pub(super) fn put_facts(thread: &mut Thread, event: &Event<'_>) {
    let u32_of = |at: usize| event.u64(at).map(|value| value as u32);
    thread.fdlimit = event.i64(FDLIMIT).unwrap_or(thread.fdlimit);
    thread.tty = u32_of(TTY).unwrap_or(thread.tty);
    thread.vpgid = event.i64(VPGID).unwrap_or(thread.vpgid);
    // All ones is a value here: no login.
    thread.loginuid = u32_of(LOGINUID).unwrap_or(thread.loginuid);
    if let Some(flags) = u32_of(FLAGS) {
        thread.exe_writable = flags & EXE_WRITABLE != 0;
        thread.exe_upper_layer = flags & EXE_UPPER_LAYER != 0;
        thread.exe_from_memfd = flags & EXE_FROM_MEMFD != 0;
        thread.exe_lower_layer = flags & EXE_LOWER_LAYER != 0;
    }
    if let Some(effective) = event.u64(CAP_EFFECTIVE) {
        thread.cap_effective = effective;
        thread.caps_lost = false;
        thread.cap_inheritable = event.u64(CAP_INHERITABLE).unwrap_or(thread.cap_inheritable);
        thread.cap_permitted = event.u64(CAP_PERMITTED).unwrap_or(thread.cap_permitted);
    }
    if let Some(mtime) = event.u64(EXE_INO_MTIME) {
        thread.exe_ino = event.u64(EXE_INO).unwrap_or(0);
        thread.exe_ino_ctime = event.u64(EXE_INO_CTIME).unwrap_or(0);
        thread.exe_ino_mtime = mtime;
        // What a fork left of the parent's program file says nothing about this one.
        thread.exe_ino_ctime_to_clone =
            if thread.clone_ts == 0 { 0 } else { thread.clone_ts.wrapping_sub(thread.exe_ino_ctime) };
        if thread.pidns_init_start_ts != 0 && thread.exe_ino_ctime > thread.pidns_init_start_ts {
            thread.exe_ino_ctime_after_pidns = thread.exe_ino_ctime - thread.pidns_init_start_ts;
        }
    }
    thread.uid = u32_of(UID).filter(|&uid| uid != u32::MAX).or(thread.uid);
    thread.gid = u32_of(GID).filter(|&gid| gid != u32::MAX).or(thread.gid);
    // libs forgets the group here when an event has none; the group does not change by an exec.
    thread.pgid = event.i64(PGID).unwrap_or(thread.pgid);
}

/// All other threads of the process end with an exec.
pub(super) fn leave_threads_behind(state: &mut State, id: ThreadId) {
    let Some(thread) = state.threads.get(id.0) else { return };
    let (tid, pid) = (thread.tid, thread.pid);
    let Some(group) = state.groups.get(&pid).filter(|group| group.tids.len() > 1) else { return };
    let others: Vec<i64> = group.tids.values().copied().filter(|&other| other != tid && other != pid).collect();
    for other in others {
        state.remove_thread(other);
    }
}

/// libs keeps descriptors that the exec closed; a rule must not see them again.
pub(super) fn close_on_exec(state: &mut State, id: ThreadId) {
    state.unshare_table(id);
    let table = state.threads.get(id.0).and_then(|thread| state.files_of(thread));
    if let Some(table) = table {
        state.drop_closed_on_exec(table);
    }
}

impl State {
    /// The stored enter half that belongs to an exit of this type, if there is one. It is used up either way. A
    /// successful execveat comes back as an execve.
    pub(crate) fn take_enter(&mut self, id: ThreadId, exit: u16) -> Option<Box<Enter>> {
        let thread = self.threads.get_mut(id.0)?;
        let enter = thread.enter.take()?;
        let is_half =
            enter.etype + 1 == exit || (enter.etype == PPME_SYSCALL_EXECVEAT_E.0 && exit == PPME_SYSCALL_EXECVE_19_X.0);
        (is_half && thread.last_enter == enter.etype).then_some(enter)
    }
}
