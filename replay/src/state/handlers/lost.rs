//! Signs of events that the capture lacks: what they prove wrong becomes unknown, or what the event says instead.
//!
//! A complete capture shows none of these signs; libs, which does not look for them, goes on with what was before.

mod identity;

use std::rc::Rc;
use std::sync::LazyLock;

use casebook_formats::event::{Event, EventType};
use casebook_formats::ledger::{Counter, Ledger};
use casebook_formats::tables;
use casebook_formats::tables::ppme::{
    PPME_PROCEXIT_1_E, PPME_SYSCALL_ACCESS_X, PPME_SYSCALL_CLONE_20_X, PPME_SYSCALL_CLONE3_X, PPME_SYSCALL_FORK_20_X,
    PPME_SYSCALL_IOCTL_3_X, PPME_SYSCALL_LSEEK_X, PPME_SYSCALL_VFORK_20_X,
};

use identity::session_told;
pub(super) use identity::{group_told, ids_asked, ids_told, job_control_shown, parent_told};

use super::exec::{close_on_exec, leave_threads_behind};
use crate::state::limits::{MAX_FDS, MAX_FDS_PASSED_OVER};
use crate::state::path::without_deleted_mark;
use crate::state::step::Step;
use crate::state::table::{TableId, ThreadId};
use crate::state::thread::{Halves, Startup};
use crate::state::{Fd, FdKind, State, Text, Thread};

/// Clone calls, as seen by the one who returns from them.
const CLONES: [EventType; 4] =
    [PPME_SYSCALL_CLONE_20_X, PPME_SYSCALL_CLONE3_X, PPME_SYSCALL_FORK_20_X, PPME_SYSCALL_VFORK_20_X];

impl State {
    /// What a thread has to do before anything else, and may not do any more: it returns from the clone that made it,
    /// or from the clone that it called, and it does nothing after its exit.
    pub(crate) fn check_order(&mut self, step: &mut Step<'_, '_>) {
        let Some(thread) = step.thread.and_then(|id| self.threads.get_mut(id.0)) else { return };
        if !thread.is_bound() {
            return;
        }
        let result = if CLONES.contains(&step.event.etype) { step.event.i64(0) } else { None };
        if thread.halves == Halves::Parents && result != Some(0) {
            thread.half_lost();
            self.lost(step.ledger, Counter::LostClones);
        } else if thread.awaited != 0 && result.is_none_or(|child| child <= 0) {
            let child = std::mem::take(&mut thread.awaited);
            if step.event.etype == PPME_PROCEXIT_1_E {
                return; // Killed before the call returned.
            }
            if let Some(child) = self.id_of(child).and_then(|id| self.threads.get_mut(id.0))
                && child.halves == Halves::Childs
            {
                child.half_lost();
            }
            self.lost(step.ledger, Counter::LostClones);
        }
    }

    /// The kernel gives the lowest number that is free (but for places in a ring's table, which programs choose). A number
    /// that this very program opened, and that is given out again, was closed unseen. (Of what was there before the
    /// program, lists and parents may have told too much.)
    ///
    /// Only where a single thread can open and close: of several, the events may stand in another order than the
    /// numbers were given out and back.
    pub(crate) fn number_given(&mut self, step: &mut Step<'_, '_>, number: i64) {
        if number >= RING_PLACES {
            return;
        }
        let Some(thread) = step.thread.and_then(|id| self.threads.get(id.0)).filter(|thread| thread.is_main()) else {
            return;
        };
        let Some(table) = self.files_of(thread) else { return };
        let Some(entry) = self.tables.get(table.0) else { return };
        let given_twice = entry.table.get(number).is_some_and(|fd| fd.opened > thread.image_step);
        let passes = || self.losses.any() && thread.lastexec_ts != 0 && !entry.table.is_full_below(number);
        // As a rule there is nothing to tell: the rest is looked at where there is.
        if (!given_twice && !passes()) || entry.owners != 1 || self.thread_count(thread) != 1 {
            return;
        }
        if given_twice {
            self.lost(step.ledger, Counter::LostCloses);
        } else {
            self.numbers_passed_over(step, table, number);
        }
    }

    /// Lower numbers that were not given are open: what they are is not known. Only where events are missing, as there are
    /// calls that open and that no recorder knows. No more than [`MAX_FDS_PASSED_OVER`] of them, the lowest ones.
    #[cold]
    fn numbers_passed_over(&mut self, step: &mut Step<'_, '_>, table: TableId, number: i64) {
        let Some(entry) = self.tables.get_mut(table.0).filter(|entry| entry.table.len() < MAX_FDS) else { return };
        let end = number.min(MAX_FDS as i64);
        let passed = Rc::make_mut(&mut entry.table).lowest_free(end, MAX_FDS_PASSED_OVER);
        if passed.is_empty() {
            return;
        }
        step.ledger.add(Counter::LostOpens, passed.len() as u64);
        // One record for all, as nothing is known of any.
        let fd = Rc::new(self.unknown_fd());
        for lower in passed {
            if !self.put_fd(table, lower, Rc::clone(&fd), step.ledger) {
                return;
            }
        }
    }

    /// A descriptor that is open, and of which nothing is known.
    fn unknown_fd(&mut self) -> Fd {
        let mut fd = Fd::new(FdKind::Unknown, &self.texts.empty);
        fd.version = self.next_version();
        fd
    }

    /// A certain sign that an event is missing.
    pub(crate) fn lost(&mut self, ledger: &mut Ledger, counter: Counter) {
        ledger.count(counter);
        self.losses.shown();
    }
}

/// From here on numbers stand for places in the table of files of an `io_uring`: how our recorder tells of files without a
/// descriptor (`capture/README.md`).
const RING_PLACES: i64 = 1 << 30;

// Parameters of brk.
const VM_SIZE: usize = 1;
const ADDR: usize = 4;

// Parameters of the clone family.
const EXE: usize = 1;
const ARGS: usize = 2;
const PTID: usize = 5;
const COMM: usize = 13;
const CGROUPS: usize = 14;

// Parameters of the exec family besides.
const VPGID: usize = 17;
const EXE_INO: usize = 23;
const TRUSTED_EXEPATH: usize = 27;
const PGID: usize = 28;

/// `brk(0)` asks where the heap begins, which the C libraries do when a program starts: before they ever take memory,
/// and never again in it. Where no start was seen, there was an exec, if either
///
/// - the process is the child of a fork and runs, as far as is known, its parent's program, in whose memory the
///   question was answered long ago; or
/// - it is much smaller than it was a moment before (glibc asks twice, and once more does not make it smaller); or
/// - in a capture with losses, its program has asked often enough.
pub(super) fn program_started(state: &mut State, step: &mut Step<'_, '_>) {
    if step.event.u64(ADDR) != Some(0) {
        return;
    }
    let Some(id) = step.thread else { return };
    let Some(thread) = state.threads.get(id.0).filter(|thread| thread.is_main() && !thread.dead) else { return };
    let again = state.losses.any() && thread.lastexec_ts != 0 && thread.startup.heap_asked >= HEAP_QUESTIONS;
    let shrunk = || step.event.u64(VM_SIZE).is_some_and(|size| size > 0 && size < thread.usage.vm_size / 4 * 3);
    if thread.program_inherited || again || shrunk() {
        state.lost(step.ledger, Counter::LostExecs);
        forget_program(state, id);
    }
    if let Some(thread) = state.threads.get_mut(id.0) {
        thread.startup.heap_asked = thread.startup.heap_asked.saturating_add(1);
    }
}

/// How often the C libraries ask where the heap begins, at most: the loader and the library.
const HEAP_QUESTIONS: u8 = 2;

/// An exec was lost: what it replaced is over, what came instead is not known. Directory, ids, session and users
/// stay as an exec leaves them, as a rule; capabilities do not.
fn forget_program(state: &mut State, id: ThreadId) {
    super::streams::before_exec(state, id);
    let (unknown, empty) = (Rc::clone(&state.texts.unknown), Rc::clone(&state.texts.empty));
    let Some(thread) = state.change(id) else { return };
    thread.program_lost = true;
    thread.program_inherited = false;
    thread.set_name = None;
    thread.startup = Startup::default();
    thread.caps_lost = true;
    // A runtime puts a new process into its container before the exec, which is what tells of it.
    if thread.container_id.is_empty() && thread.in_pid_namespace() {
        thread.cgroups = Rc::clone(&empty);
    }
    thread.comm = Rc::clone(&unknown);
    thread.exe = unknown;
    for text in [&mut thread.exepath, &mut thread.args, &mut thread.env] {
        *text = Rc::clone(&empty);
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
    if Rc::ptr_eq(&thread.comm, &state.texts.unknown) {
        let (exe, comm) = (state.text(exe), state.comm_told(exe, comm));
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
    state.lost(step.ledger, Counter::LostExecs);
    forget_program(state, caller);
    program_told(state, step, caller);
}

impl State {
    /// Name of a program as an event tells it after its exec: what the thread calls itself by then. It is the name that
    /// the exec gave only if it is that of the file; in a capture without losses there is no other reason why the
    /// program is not known than that it is older than the capture.
    pub(crate) fn comm_told(&self, exe: &[u8], comm: &[u8]) -> Text {
        let file = exe.rsplit(|&byte| byte == b'/').next().unwrap_or(exe);
        if self.losses.any() && !file.starts_with(comm) {
            return Rc::clone(&self.texts.unknown);
        }
        self.text(comm)
    }
}

/// A loader that starts a program looks for `/etc/ld.so.preload`, and no program does later. Where the thread runs its
/// parent's program as far as is known, there was an exec; in a capture with losses also where its program has done so.
pub(super) fn file_asked_for(state: &mut State, step: &mut Step<'_, '_>) {
    let asked = if step.event.etype == PPME_SYSCALL_ACCESS_X { step.event.text(1) } else { None };
    if asked == Some(b"/etc/ld.so.preload") {
        started_anew(state, step, |startup| &mut startup.preload_asked);
    }
}

const SET_TID_ADDRESS: &str = "set_tid_address";
static SET_TID_ADDRESS_CODE: LazyLock<u16> = LazyLock::new(|| {
    let code = tables::syscalls().iter().position(|call| call.name == SET_TID_ADDRESS);
    code.map_or(0, |code| code as u16)
});

/// Whether a call that the table has no type for may be one that tells something. Its name is asked for only where the code,
/// which is 0 where the recorder had none, allows for it.
#[inline]
pub(crate) fn may_be_told_by(event: &Event<'_>) -> bool {
    match event.param_raw(0) {
        Some(&[low, high]) => {
            let code = u16::from_le_bytes([low, high]);
            code == 0 || code == *SET_TID_ADDRESS_CODE
        }
        _ => true,
    }
}

/// Calls that the table has no type for: the C libraries call `set_tid_address` once in the life of a program.
pub(super) fn other_call(state: &mut State, step: &mut Step<'_, '_>) {
    if !may_be_told_by(step.event) {
        return;
    }
    if (state.losses.any() || runs_parents_program(state, step)) && step.event.name() == SET_TID_ADDRESS {
        started_anew(state, step, |startup| &mut startup.tid_address_set);
    }
}

fn runs_parents_program(state: &State, step: &Step<'_, '_>) -> bool {
    let thread = step.thread.and_then(|id| state.threads.get(id.0));
    thread.is_some_and(|thread| thread.program_inherited && thread.is_main() && !thread.dead)
}

/// Something was done that programs do once, when they start.
fn started_anew(state: &mut State, step: &mut Step<'_, '_>, sign: fn(&mut Startup) -> &mut bool) {
    let Some(id) = step.thread else { return };
    let Some(thread) = state.threads.get_mut(id.0) else { return };
    let done = std::mem::replace(sign(&mut thread.startup), true);
    let again = done && thread.lastexec_ts != 0 && thread.is_main() && !thread.dead && state.losses.any();
    if again || runs_parents_program(state, step) {
        state.lost(step.ledger, Counter::LostExecs);
        forget_program(state, id);
        if let Some(thread) = state.threads.get_mut(id.0) {
            *sign(&mut thread.startup) = true;
        }
    }
}

/// An attempt to execute something that failed tells of the caller as it is. In a capture with losses that is news: a file
/// that is not the one it runs proves a lost exec, and then the event says what that would have said; but for the
/// arguments and the environment, which are those of the attempt.
pub(super) fn attempt_told(state: &mut State, step: &mut Step<'_, '_>, id: ThreadId) {
    let Some(thread) = state.threads.get(id.0).filter(|thread| thread.linked && state.losses.any()) else { return };
    let event = step.event;
    let other_file = event.u64(EXE_INO).is_some_and(|ino| ino != 0 && thread.exe_ino != 0 && ino != thread.exe_ino);
    if other_file && !thread.program_lost {
        state.lost(step.ledger, Counter::LostExecs);
        forget_program(state, id);
    }
    group_told(state, step, id, event.i64(VPGID), event.i64(PGID));
    parent_told(state, step, id, event.i64(PTID));
    place_told(state, step, id);
    let path = event.text(TRUSTED_EXEPATH).map(|path| state.text(without_deleted_mark(path)));
    let Some(thread) = state.change(id) else { return };
    let times = (thread.exe_ino_ctime_to_clone, thread.exe_ino_ctime_after_pidns);
    super::exec::put_facts(thread, event);
    if !thread.program_lost {
        (thread.exe_ino_ctime_to_clone, thread.exe_ino_ctime_after_pidns) = times;
    } else if let Some(path) = path {
        thread.exepath = path;
    }
}

/// Control groups of the caller, where a lost exec left none.
pub(super) fn place_told(state: &mut State, step: &mut Step<'_, '_>, id: ThreadId) {
    let untold = |thread: &Thread| thread.caps_lost && thread.cgroups.is_empty();
    let Some(cgroups) =
        step.event.param(CGROUPS).filter(|_| state.threads.get(id.0).is_some_and(|thread| untold(thread)))
    else {
        return;
    };
    let place = state.place_of(cgroups, step.ledger);
    if let Some(thread) = state.change(id) {
        (thread.cgroups, thread.container_id) = (place.cgroups, place.container_id);
    }
}

const ESPIPE: i64 = -29;
const ENOTTY: i64 = -25;
/// `TCGETS`: what a terminal is set to.
const TCGETS: u64 = 0x5401;
/// `TIOCSCTTY`: make it the terminal of the session.
const TIOCSCTTY: u64 = 0x540e;

/// What a call found out about its descriptor that is not so for what is known of it: the number means something else by
/// now. Then it is open, and unknown.
pub(super) fn nature_told(state: &mut State, step: &mut Step<'_, '_>) {
    if step.event.etype == PPME_SYSCALL_IOCTL_3_X && step.event.u64(2) == Some(TIOCSCTTY) && step.res() == Some(0) {
        session_told(state, step);
    }
    let (Some((table, number)), Some(result)) = (step.fx.record, step.res()) else { return };
    let Some(fd) = state.tables.get(table.0).and_then(|entry| entry.table.get(number)) else { return };
    let on_terminal = [&b"/dev/pts/"[..], b"/dev/tty"].iter().any(|terminal| fd.name.starts_with(terminal));
    let contradicts = match step.event.etype {
        PPME_SYSCALL_LSEEK_X => {
            let streams = matches!(fd.kind, FdKind::Fifo | FdKind::Unix | FdKind::Ipv4 | FdKind::Ipv6);
            (streams && result >= 0) || (fd.kind == FdKind::Directory && result == ESPIPE)
        }
        PPME_SYSCALL_IOCTL_3_X if step.event.u64(2) == Some(TCGETS) => {
            let terminal = fd.kind == FdKind::File && on_terminal;
            (terminal && result == ENOTTY) || (result == 0 && !fd.name.is_empty() && !fd.name.starts_with(b"/dev/"))
        }
        _ => false,
    };
    if contradicts {
        forget_fd(state, step.ledger, table, number);
        state.lost(step.ledger, Counter::LostChanges);
    }
}

fn forget_fd(state: &mut State, ledger: &mut Ledger, table: TableId, number: i64) {
    let fd = Rc::new(state.unknown_fd());
    state.put_fd(table, number, fd, ledger);
}

/// `EBADF` of a call that takes any open descriptor: it is closed.
#[inline]
pub(super) fn not_open(state: &mut State, step: &mut Step<'_, '_>, res: Option<i64>) {
    if res == Some(EBADF) {
        forget_record(state, step);
    }
}

#[cold]
fn forget_record(state: &mut State, step: &mut Step<'_, '_>) {
    if let Some((table, number)) = step.fx.record {
        state.drop_fd(table, number);
        step.fx.record = None;
        state.lost(step.ledger, Counter::LostCloses);
    }
}

const EBADF: i64 = -9;
