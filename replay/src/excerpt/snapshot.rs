//! The state of a replay as the snapshot blocks of a capture: the way back of `state/seed.rs`.
//!
//! A snapshot has fewer members than the state: times of clones and execs, names given with `prctl`, former parents,
//! descriptors' raw names and close-on-exec marks of sockets have no place in it. What that changes is not guessed here but
//! measured ([`super::proof`]).

use std::collections::BTreeSet;
use std::io::Write;
use std::net::IpAddr;

use casebook_formats::limits::{MAX_ARGS, MAX_PATH, MAX_USER_TEXT};
use casebook_formats::snapshot::{FdEntry, FdInfo, FdList, Interface, MachineInfo, ThreadEntry, UserEntry};
use casebook_formats::write::{CaptureWriter, WriteError};

use crate::state::flags::CLOSED;
use crate::state::{Fd, FdKind, State, Thread, Tuple};

/// What stands before the events of a capture.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The machine.
    pub machine: MachineInfo,
    /// Its interfaces.
    pub interfaces: Vec<Interface>,
    /// Users and groups of the host.
    pub users: Vec<UserEntry>,
    /// Threads.
    pub threads: Vec<ThreadEntry>,
    /// Their descriptors.
    pub fds: Vec<FdList>,
}

impl Snapshot {
    /// The machine at a moment, with the threads that `wanted` lets through.
    pub fn of(state: &State, wanted: impl Fn(&Thread) -> bool) -> Self {
        let threads: Vec<&Thread> =
            state.threads().into_iter().filter(|thread| !thread.placeholder && wanted(thread)).collect();
        let known: BTreeSet<i64> = threads.iter().map(|thread| thread.tid).collect();
        let owns_table = |thread: &&&Thread| thread.is_main() || !known.contains(&thread.pid);
        Self {
            machine: state.machine().clone(),
            interfaces: state.interfaces().to_vec(),
            users: users(state),
            fds: threads.iter().filter(owns_table).filter_map(|thread| fds(state, thread)).collect(),
            threads: threads.into_iter().map(|thread| entry(state, thread)).collect(),
        }
    }

    /// Writes section header and snapshot blocks.
    ///
    /// # Errors
    ///
    /// When the sink does not take them.
    pub fn write(&self, out: &mut dyn Write) -> Result<(), WriteError> {
        let mut writer = CaptureWriter::new(out);
        writer.section()?;
        writer.machine(&self.machine)?;
        writer.interfaces(&self.interfaces)?;
        writer.threads(&self.threads)?;
        for list in &self.fds {
            writer.fds(list)?;
        }
        writer.users(&self.users)?;
        writer.into_inner().map(|_| ())
    }
}

fn cut(text: &[u8], limit: usize) -> Vec<u8> {
    text[..text.len().min(limit)].to_vec()
}

fn users(state: &State) -> Vec<UserEntry> {
    let (users, groups) = state.host_names();
    let user = |user: &crate::state::User| UserEntry::User {
        uid: user.uid,
        gid: user.gid,
        name: cut(&user.name, MAX_USER_TEXT),
        home: cut(&user.home, MAX_USER_TEXT),
        shell: cut(&user.shell, MAX_USER_TEXT),
    };
    let group =
        |group: &crate::state::Group| UserEntry::Group { gid: group.gid, name: cut(&group.name, MAX_USER_TEXT) };
    users.into_iter().map(user).chain(groups.into_iter().map(group)).collect()
}

fn entry(state: &State, thread: &Thread) -> ThreadEntry {
    let Thread { usage, .. } = thread;
    ThreadEntry {
        tid: thread.tid,
        pid: thread.pid,
        ptid: thread.ptid,
        sid: thread.sid,
        vpgid: thread.vpgid,
        pgid: thread.pgid,
        vtid: thread.vtid,
        vpid: thread.vpid,
        comm: cut(&thread.comm, MAX_PATH),
        exe: cut(&thread.exe, MAX_PATH),
        exepath: cut(&thread.exepath, MAX_PATH),
        args: cut(&thread.args, MAX_ARGS),
        env: cut(state.env(thread), MAX_ARGS),
        cwd: cut(state.cwd(thread).unwrap_or_default(), MAX_PATH),
        root: cut(&thread.root, MAX_PATH),
        cgroups: cut(&thread.cgroups, MAX_ARGS),
        fdlimit: thread.fdlimit,
        flags: if thread.dead { thread.flags | CLOSED } else { thread.flags },
        uid: thread.uid.unwrap_or(u32::MAX),
        gid: thread.gid.unwrap_or(u32::MAX),
        loginuid: thread.loginuid,
        vm_size: usage.vm_size as u32,
        vm_rss: usage.vm_rss as u32,
        vm_swap: usage.vm_swap as u32,
        pf_major: usage.pf_major,
        pf_minor: usage.pf_minor,
        pidns_init_start_ts: thread.pidns_init_start_ts,
        tty: thread.tty,
        exe_writable: thread.exe_writable,
        exe_upper_layer: thread.exe_upper_layer,
        exe_lower_layer: thread.exe_lower_layer,
        exe_from_memfd: thread.exe_from_memfd,
        cap_inheritable: thread.cap_inheritable,
        cap_permitted: thread.cap_permitted,
        cap_effective: thread.cap_effective,
        exe_ino: thread.exe_ino,
        exe_ino_ctime: thread.exe_ino_ctime,
        exe_ino_mtime: thread.exe_ino_mtime,
    }
}

fn fds(state: &State, thread: &Thread) -> Option<FdList> {
    let table = state.fd_table(thread)?;
    let fds = table.iter().map(|(number, fd)| fd_entry(number, state.as_known(fd))).collect::<Vec<_>>();
    (!fds.is_empty()).then_some(FdList { tid: thread.tid, fds })
}

/// One descriptor; the numbers are those of `state/seed.rs`.
fn fd_entry(number: i64, fd: &Fd) -> FdEntry {
    let name = || cut(&fd.name, MAX_PATH - 1);
    let named = |code: u8| (code, FdInfo::Named { name: name(), open_flags: 0, dev: 0 });
    let (fd_type, info) = match fd.kind {
        FdKind::File => (16, FdInfo::Named { name: name(), open_flags: fd.open_flags, dev: fd.dev }),
        FdKind::Directory => named(2),
        FdKind::Ipv4 | FdKind::Ipv6 => connection(fd).unwrap_or((0, FdInfo::None)),
        FdKind::Ipv4Server | FdKind::Ipv6Server => listener(fd).unwrap_or((0, FdInfo::None)),
        FdKind::Unix => {
            let (source, destination) = fd.unix_ends;
            (8, FdInfo::Unix { source, destination, path: cut(&fd.name, MAX_PATH - 1) })
        }
        FdKind::Fifo => named(7),
        FdKind::Event => named(9),
        FdKind::Signalfd => named(11),
        FdKind::Eventpoll => named(12),
        FdKind::Inotify => named(13),
        FdKind::Timerfd => named(14),
        FdKind::Netlink => named(15),
        FdKind::Bpf => named(17),
        FdKind::Userfaultfd => named(18),
        FdKind::IoUring => named(19),
        FdKind::Memfd => named(20),
        FdKind::Pidfd => named(21),
        FdKind::Unknown => (0, FdInfo::None),
        FdKind::Unsupported => named(10),
    };
    FdEntry { fd: number, ino: fd.ino, fd_type, info }
}

/// The local end first, as process lists have it: a server's own end is the server's.
fn connection(fd: &Fd) -> Option<(u8, FdInfo)> {
    let Tuple { client, server } = fd.tuple?;
    let (own, other) = if fd.is_server { (server, client) } else { (client, server) };
    let (sport, dport, l4) = (own.1, other.1, fd.l4);
    match (own.0, other.0) {
        (IpAddr::V4(sip), IpAddr::V4(dip)) => Some((3, FdInfo::V4 { sip, dip, sport, dport, l4 })),
        (IpAddr::V6(sip), IpAddr::V6(dip)) => Some((4, FdInfo::V6 { sip, dip, sport, dport, l4 })),
        _ => None,
    }
}

fn listener(fd: &Fd) -> Option<(u8, FdInfo)> {
    let (ip, port) = fd.tuple?.server;
    Some(match ip {
        IpAddr::V4(ip) => (5, FdInfo::V4Server { ip, port, l4: fd.l4 }),
        IpAddr::V6(ip) => (6, FdInfo::V6Server { ip, port, l4: fd.l4 }),
    })
}
