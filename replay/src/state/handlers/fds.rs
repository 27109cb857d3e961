//! Descriptors in general: close, dup, fcntl, pipes, and those that are neither file nor socket.

use std::rc::Rc;

use casebook_formats::tables::ppme::*;

use crate::state::flags::O_CLOEXEC;
use crate::state::step::Step;
use crate::state::table::TableId;
use crate::state::{Fd, FdKind, State};

/// Closed when the next event is applied, so that rules on the close see what was closed.
pub(super) fn closed(state: &mut State, step: &mut Step<'_, '_>) {
    let res = step.res();
    super::lost::not_open(state, step, res);
    if res.is_some_and(|res| res >= 0)
        && let Some((table, number)) = step.fx.record
    {
        super::streams::closed(state, step, table, number);
        state.close_later(table, number);
    }
}

const CLOSE_RANGE_UNSHARE: u64 = 2;
const CLOSE_RANGE_CLOEXEC: u64 = 4;

/// Closes or marks a range of numbers; `first` and `last` included.
pub(super) fn close_range(state: &mut State, step: &mut Step<'_, '_>) {
    let event = step.event;
    let (Some(id), true) = (step.thread, step.succeeded()) else { return };
    let (Some(first), Some(last)) = (event.u64(1), event.u64(2)) else { return };
    let flags = event.u64(3).unwrap_or(0);
    if flags & CLOSE_RANGE_UNSHARE != 0 {
        state.leave_shared_table(id, step.ledger);
    }
    let Some(table) = state.table_for(id) else { return };
    let Some(entry) = state.tables.get(table.0) else { return };
    let (first, last) = (i64::try_from(first).unwrap_or(i64::MAX), i64::try_from(last).unwrap_or(i64::MAX));
    if flags & CLOSE_RANGE_CLOEXEC != 0 {
        for number in entry.table.staying_within(first, last) {
            state.set_cloexec(table, number, true);
        }
        return;
    }
    for number in entry.table.numbers_within(first, last) {
        // At once: the event is about no single descriptor that rules would still want to see.
        state.drop_fd(table, number);
    }
}

/// dup, dup2, dup3: a second number for the same thing; what had that number is closed.
pub(super) fn duplicated(state: &mut State, step: &mut Step<'_, '_>) {
    let res = step.res();
    super::lost::not_open(state, step, res);
    let Some(number) = res.filter(|&number| number >= 0) else { return };
    // As libs marks the ends of a shell pipe.
    if let Some(thread) = step.thread.and_then(|id| state.threads.get_mut(id.0)) {
        match number {
            0 => thread.flags |= crate::state::flags::PIPE_DST,
            1 => thread.flags |= crate::state::flags::PIPE_SRC,
            _ => {}
        }
    }
    let cloexec = match step.event.etype {
        PPME_SYSCALL_DUP3_X => step.event.u64(3).is_some_and(|flags| flags as u32 & O_CLOEXEC != 0),
        _ => false,
    };
    copy_to(state, step, number, cloexec);
}

/// Gives the event's descriptor a second number.
fn copy_to(state: &mut State, step: &mut Step<'_, '_>, number: i64, cloexec: bool) {
    let Some((table, old)) = step.fx.record else {
        // What the new number was is over, and what it is now is unknown, but for being open. libs goes on with what
        // it was. Of a number that nobody knew there is nothing to correct.
        let known = step.thread.and_then(|id| state.threads.get(id.0)).is_some_and(|t| state.fd(t, number).is_some());
        if known && step.fx.fd != Some(number) {
            let mut fd = Fd::new(FdKind::Unknown, &state.texts.empty);
            fd.cloexec = cloexec;
            state.share_fd(step, number, Rc::new(fd), false);
        }
        return;
    };
    let Some(fd) = state.tables.get(table.0).and_then(|entry| entry.table.share(old)) else { return };
    if old == number {
        step.fx.fd = Some(number);
        return; // dup2 of a number onto itself does nothing.
    }
    super::streams::copied(state, step.thread, old, number);
    let fd = if fd.cloexec == cloexec && fd.opened == state.steps {
        fd
    } else {
        let mut copy = Fd::clone(&fd);
        copy.opened = state.steps;
        if copy.cloexec != cloexec {
            copy.version = state.next_version();
        }
        copy.cloexec = cloexec;
        if cloexec {
            copy.open_flags |= O_CLOEXEC;
        } else {
            copy.open_flags &= !O_CLOEXEC;
        }
        Rc::new(copy)
    };
    state.share_fd(step, number, fd, false);
}

const F_DUPFD: u64 = 1;
const F_GETFD: u64 = 2;
const F_SETFD: u64 = 3;
const F_DUPFD_CLOEXEC: u64 = 26;
const FD_CLOEXEC: u64 = 1;

pub(super) fn fcntl(state: &mut State, step: &mut Step<'_, '_>) {
    let res = step.res();
    super::lost::not_open(state, step, res);
    let Some(res) = res.filter(|&res| res >= 0) else { return };
    match step.event.u64(2) {
        Some(F_DUPFD) => copy_to(state, step, res, false),
        Some(F_DUPFD_CLOEXEC) => copy_to(state, step, res, true),
        Some(F_GETFD) => set_cloexec(state, step.fx.record, res & FD_CLOEXEC as i64 != 0),
        Some(F_SETFD) => {
            let Some(cloexec) = step.event.u64(3).map(|arg| arg & FD_CLOEXEC != 0) else { return };
            set_cloexec(state, step.fx.record, cloexec);
        }
        _ => {}
    }
}

fn set_cloexec(state: &mut State, record: Option<(TableId, i64)>, cloexec: bool) {
    let Some((table, number)) = record else { return };
    let differs =
        state.tables.get(table.0).and_then(|entry| entry.table.get(number)).is_some_and(|fd| fd.cloexec != cloexec);
    if differs {
        state.set_cloexec(table, number, cloexec);
    }
}

/// pipe, pipe2: two ends with one inode.
pub(super) fn pipe(state: &mut State, step: &mut Step<'_, '_>) {
    let event = step.event;
    if !step.succeeded() {
        return;
    }
    let flags = if event.etype == PPME_SYSCALL_PIPE2_X { event.u64(4).unwrap_or(0) as u32 } else { 0 };
    for number in [1, 2].into_iter().filter_map(|at| event.i64(at)).filter(|&number| number >= 0) {
        let mut fd = Fd::new(FdKind::Fifo, &state.texts.empty);
        fd.ino = event.u64(3).unwrap_or(0);
        fd.open_flags = flags;
        fd.cloexec = flags & O_CLOEXEC != 0;
        state.open_fd(step, number, fd);
    }
}

/// Kernel values of the CLOEXEC flag where the event stores the kernel's own flags.
const KERNEL_CLOEXEC: u64 = 0x8_0000;

/// Commands of bpf whose result is a descriptor: maps, programs, links, their likes, and those got by id or path.
const BPF_MAKES_FD: [u64; 14] = [0, 5, 7, 13, 14, 17, 18, 19, 28, 30, 32, 33, 36, 37];

/// bpf has one result for many commands. libs takes every one that is not an error for a descriptor, and with it the
/// 0 of a plain success for standard input.
pub(super) fn bpf(state: &mut State, step: &mut Step<'_, '_>) {
    let Some(number) = step.res().filter(|&number| number >= 0) else { return };
    if step.event.u64(1).is_none_or(|command| BPF_MAKES_FD.contains(&command)) {
        let mut fd = Fd::new(FdKind::Bpf, &state.texts.empty);
        fd.cloexec = true; // The kernel always sets it.
        state.open_fd(step, number, fd);
    }
}

/// Descriptors that are nothing but their kind: eventfd, signalfd, timerfd, inotify, epoll, userfaultfd,
/// `io_uring`.
pub(super) fn special(state: &mut State, step: &mut Step<'_, '_>) {
    let event = step.event;
    let Some(number) = step.res().filter(|&number| number >= 0) else { return };
    let portable = |at: usize| event.u64(at).unwrap_or(0) as u32;
    let (kind, open_flags, cloexec) = match event.etype {
        PPME_SYSCALL_EVENTFD_X => (FdKind::Event, 0, false),
        PPME_SYSCALL_EVENTFD2_X => (FdKind::Event, portable(1), portable(1) & O_CLOEXEC != 0),
        PPME_SYSCALL_SIGNALFD_X => (FdKind::Signalfd, 0, false),
        PPME_SYSCALL_SIGNALFD4_X => (FdKind::Signalfd, portable(1), portable(1) & O_CLOEXEC != 0),
        // One byte cannot hold the kernel's flag; nearly every timer is made with it, but that is not known.
        PPME_SYSCALL_TIMERFD_CREATE_X => (FdKind::Timerfd, 0, false),
        PPME_SYSCALL_INOTIFY_INIT_X => (FdKind::Inotify, 0, false),
        PPME_SYSCALL_INOTIFY_INIT1_X => (FdKind::Inotify, portable(1), portable(1) & O_CLOEXEC != 0),
        // The kernel always sets close-on-exec.
        PPME_SYSCALL_IO_URING_SETUP_X => (FdKind::IoUring, 0, true),
        PPME_SYSCALL_USERFAULTFD_X => {
            // The kernel's own flags in files of some recorders.
            (FdKind::Userfaultfd, 0, portable(1) & (O_CLOEXEC | KERNEL_CLOEXEC as u32) != 0)
        }
        PPME_SYSCALL_EPOLL_CREATE1_X => {
            // 1 in the format's own table, the kernel's value in files of some recorders.
            (FdKind::Eventpoll, 0, event.u64(1).is_some_and(|flags| flags & (1 | KERNEL_CLOEXEC) != 0))
        }
        _ => (FdKind::Eventpoll, 0, false),
    };
    let mut fd = Fd::new(kind, &state.texts.empty);
    fd.open_flags = open_flags;
    fd.cloexec = cloexec;
    state.open_fd(step, number, fd);
}

const MFD_CLOEXEC: u32 = 1;

pub(super) fn memfd(state: &mut State, step: &mut Step<'_, '_>) {
    let event = step.event;
    let Some(number) = step.res().filter(|&number| number >= 0) else { return };
    let mut fd = Fd::new(FdKind::Memfd, &state.texts.empty);
    fd.name = state.text(event.text(1).unwrap_or_default());
    fd.open_flags = event.u64(2).unwrap_or(0) as u32;
    fd.cloexec = fd.open_flags & MFD_CLOEXEC != 0;
    state.open_fd(step, number, fd);
}

pub(super) fn pidfd_open(state: &mut State, step: &mut Step<'_, '_>) {
    let event = step.event;
    let Some(number) = step.res().filter(|&number| number >= 0) else { return };
    let mut fd = Fd::new(FdKind::Pidfd, &state.texts.empty);
    fd.pid = event.i64(1).unwrap_or(0);
    fd.name = state.text(format!("/proc/{}", fd.pid).as_bytes());
    fd.open_flags = event.u64(2).unwrap_or(0) as u32;
    fd.cloexec = true; // The kernel always sets it.
    state.open_fd(step, number, fd);
}

/// A descriptor taken out of another process.
pub(super) fn pidfd_getfd(state: &mut State, step: &mut Step<'_, '_>) {
    let event = step.event;
    let Some(number) = step.res().filter(|&number| number >= 0) else { return };
    let (Some(pidfd), Some(target)) = (event.i64(1), event.i64(2)) else { return };
    let Some(thread) = step.thread.and_then(|id| state.threads.get(id.0)) else { return };
    let owner = state.fd(thread, pidfd).filter(|fd| fd.kind == FdKind::Pidfd).and_then(|fd| state.thread(fd.pid));
    let taken = owner.and_then(|owner| state.fd_table(owner)).and_then(|table| table.share(target));
    match taken {
        Some(fd) => {
            let mut copy = Fd::clone(&fd);
            copy.cloexec = true; // The kernel always sets it.
            copy.version = state.next_version();
            state.share_fd(step, number, Rc::new(copy), false);
        }
        None => step.fx.fd = Some(number),
    }
}
