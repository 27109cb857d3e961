//! Kernel iterators: the initial state as events, in recorders of 2026 on.
//!
//! Their header holds process and thread id in one number. They come before or between other events and describe what
//! is there now; nothing they say is a change.

use std::net::IpAddr;

use casebook_formats::event::Event;
use casebook_formats::tables::ppme::*;

use crate::state::address::{kind_of, server_kind_of, server_text, tuple_text, unmapped};
use crate::state::flags::{
    ACTIVE, CLONE_FILES, CLONE_THREAD, EXE_FROM_MEMFD, EXE_LOWER_LAYER, EXE_UPPER_LAYER, EXE_WRITABLE, L4_UNKNOWN,
    NAME_CHANGED, O_CLOEXEC,
};
use crate::state::path::{as_directory, join, without_deleted_mark};
use crate::state::seed::unspecified_like;
use crate::state::step::Step;
use crate::state::{Fd, FdKind, State, Thread, Tuple, Usage};

/// Process and thread id of the header.
fn ids(event: &Event<'_>) -> (i64, i64) {
    (event.tid >> 32, event.tid & 0xffff_ffff)
}

/// One thread.
pub(super) fn task(state: &mut State, step: &mut Step<'_, '_>) {
    let event = step.event;
    let (pid, tid) = ids(event);
    if tid <= 0 {
        return;
    }
    let text = |at: usize| event.text(at).unwrap_or_default();
    let number = |at: usize| event.u64(at).unwrap_or(0);
    let id_at = |at: usize| event.i64(at).unwrap_or(-1);
    let (exe, args) = split_argv(event.param(5).unwrap_or_default());
    let mut thread = Thread::new(tid, &state.texts.empty);
    thread.pid = pid;
    thread.ptid = id_at(0);
    thread.pgid = id_at(1);
    thread.vpgid = id_at(2);
    thread.sid = id_at(3);
    thread.comm = state.text(text(4));
    thread.exe = state.text(exe);
    thread.args = state.list(args);
    thread.exepath = state.text(without_deleted_mark(text(6)));
    let exe_flags = number(7) as u32;
    thread.exe_writable = exe_flags & EXE_WRITABLE != 0;
    thread.exe_upper_layer = exe_flags & EXE_UPPER_LAYER != 0;
    thread.exe_from_memfd = exe_flags & EXE_FROM_MEMFD != 0;
    thread.exe_lower_layer = exe_flags & EXE_LOWER_LAYER != 0;
    thread.flags = ACTIVE | NAME_CHANGED;
    if thread.is_main() {
        thread.env = state.list(event.param(8).unwrap_or_default());
        thread.cwd = state.text(&as_directory(join(b"", text(9))));
    } else {
        thread.flags |= CLONE_THREAD | CLONE_FILES;
    }
    thread.fdlimit = event.i64(10).unwrap_or(-1);
    thread.uid = event.u64(11).map(|uid| uid as u32);
    thread.gid = event.u64(12).map(|gid| gid as u32);
    thread.cap_permitted = number(13);
    thread.cap_effective = number(14);
    thread.cap_inheritable = number(15);
    thread.exe_ino = number(16);
    thread.exe_ino_ctime = number(17);
    thread.exe_ino_mtime = number(18);
    thread.usage = Usage {
        vm_size: number(19),
        vm_rss: number(20),
        vm_swap: number(21),
        pf_major: number(22),
        pf_minor: number(23),
    };
    thread.vpid = id_at(24);
    thread.vtid = id_at(25);
    thread.pidns_init_start_ts = event.u64(26).map_or(0, |start| start.wrapping_add(state.machine.boot_ts));
    let place = state.place_of(event.param(27).unwrap_or_default(), step.ledger);
    thread.cgroups = place.cgroups;
    thread.container_id = place.container_id;
    thread.root = state.text(text(28));
    thread.clone_ts = number(29);
    thread.tty = number(30) as u32;
    thread.loginuid = event.u64(31).map_or(u32::MAX, |uid| uid as u32);
    thread.placeholder = thread.is_invalid();
    // What events told of the thread's descriptors meanwhile is at least as new.
    let old = state.id_of(tid).and_then(|id| state.threads.get_mut(id.0)).and_then(|old| old.files.take());
    thread.files = old;
    if let Some(id) = state.add_thread(thread, step.ledger) {
        state.link(id);
    }
}

/// `argv[0]` and the rest.
fn split_argv(argv: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(0, argv) {
        Some(at) => (&argv[..at], &argv[at + 1..]),
        None => (argv, &[]),
    }
}

/// One descriptor of a thread.
pub(super) fn file(state: &mut State, step: &mut Step<'_, '_>) {
    let event = step.event;
    let (pid, tid) = ids(event);
    let Some(number) = event.i64(0).filter(|&number| number >= 0) else { return };
    let Some(thread) = state.id_of(tid).or_else(|| state.id_of(pid)) else { return };
    let Some(mut fd) = describe(state, event) else { return };
    fd.version = state.next_version();
    let Some(table) = state.table_for(thread) else { return };
    let known = state.tables.get(table.0).is_some_and(|entry| entry.table.get(number).is_some());
    if !known {
        state.put_fd(table, number, std::rc::Rc::new(fd), step.ledger);
        state.unsettle();
    }
}

fn describe(state: &State, event: &Event<'_>) -> Option<Fd> {
    let named = |kind: FdKind, ino: usize| {
        let mut fd = Fd::new(kind, &state.texts.empty);
        fd.name = state.text(event.text(1).unwrap_or_default());
        fd.ino = event.u64(ino).unwrap_or(0);
        fd
    };
    Some(match event.etype {
        PPME_ITER_TASK_FILE_PIPE_E => named(FdKind::Fifo, 2),
        PPME_ITER_TASK_FILE_MEMFD_E => named(FdKind::Memfd, 2),
        PPME_ITER_TASK_FILE_DIRECTORY_E => named(FdKind::Directory, 2),
        PPME_ITER_TASK_FILE_REGULAR_E => {
            let mut fd = named(FdKind::File, 4);
            fd.open_flags = event.u64(2).unwrap_or(0) as u32;
            fd.cloexec = fd.open_flags & O_CLOEXEC != 0;
            fd
        }
        PPME_ITER_TASK_FILE_ANON_INODE_E => {
            let kind = match event.u64(1) {
                Some(1) => FdKind::Event,
                Some(2) => FdKind::Eventpoll,
                Some(3) => FdKind::Inotify,
                Some(4) => FdKind::Signalfd,
                Some(5) => FdKind::Timerfd,
                Some(6) => FdKind::IoUring,
                Some(7) => FdKind::Userfaultfd,
                Some(8) => FdKind::Pidfd,
                Some(9..=12) => FdKind::Bpf,
                _ => FdKind::Unsupported,
            };
            let mut fd = Fd::new(kind, &state.texts.empty);
            fd.name = state.text(event.text(2).unwrap_or_default());
            fd.ino = event.u64(3).unwrap_or(0);
            fd
        }
        PPME_ITER_TASK_FILE_SOCKET_NETLINK_E => {
            let mut fd = Fd::new(FdKind::Netlink, &state.texts.empty);
            fd.ino = event.u64(3).unwrap_or(0);
            fd
        }
        PPME_ITER_TASK_FILE_SOCKET_UNIX_E => {
            let mut fd = Fd::new(FdKind::Unix, &state.texts.empty);
            fd.unix_ends = (event.u64(3).unwrap_or(0), 0);
            fd.name = state.text(event.text(4).unwrap_or_default());
            fd.ino = event.u64(5).unwrap_or(0);
            fd.is_server = !fd.name.is_empty();
            fd.is_client = fd.name.is_empty();
            fd
        }
        PPME_ITER_TASK_FILE_SOCKET_INET_E | PPME_ITER_TASK_FILE_SOCKET_INET6_E => inet(state, event)?,
        _ => return None,
    })
}

fn inet(state: &State, event: &Event<'_>) -> Option<Fd> {
    let address = |at: usize| -> Option<IpAddr> {
        let bytes = event.param(at)?;
        if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
            return Some(IpAddr::from(v4));
        }
        <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
    };
    let (local, remote) = match (address(3)?, address(5)?) {
        (IpAddr::V6(local), IpAddr::V6(remote)) => unmapped(local, remote),
        ends => ends,
    };
    let local = (local, event.u64(4).unwrap_or(0) as u16);
    let remote = (remote, event.u64(6).unwrap_or(0) as u16);
    let mut fd = super::socket::new_socket(state, 0, 0, 0);
    fd.l4 = super::socket::new_socket(
        state,
        u64::from(crate::state::flags::AF_INET),
        event.u64(1).unwrap_or(0),
        event.u64(2).unwrap_or(0),
    )
    .l4;
    fd.ino = event.u64(7).unwrap_or(0);
    if remote.1 == 0 && local.1 != 0 {
        fd.kind = server_kind_of(local.0);
        fd.tuple = Some(Tuple { client: (unspecified_like(local.0), 0), server: local });
        fd.is_server = true;
        fd.name = state.text(&server_text(local));
    } else {
        let mut tuple = Tuple { client: local, server: remote };
        state.complete(&mut tuple);
        fd.kind = kind_of(tuple.client.0);
        fd.tuple = Some(tuple);
        fd.connected = fd.l4 == crate::state::flags::L4_TCP;
        fd.name = if fd.l4 == L4_UNKNOWN {
            std::rc::Rc::clone(&state.texts.empty)
        } else {
            state.text(&tuple_text(&tuple, fd.l4))
        };
    }
    Some(fd)
}
