//! Snapshots of a section become the first state.

use std::net::IpAddr;
use std::rc::Rc;

use casebook_formats::ledger::{Counter, Ledger};
use casebook_formats::snapshot::{FdEntry, FdInfo, FdList, Interface, MachineInfo, ThreadEntry, UserEntry};

use super::address::{kind_of, server_kind_of, server_text, tuple_text, unmapped};
use super::flags::{ACTIVE, CLONE_FILES, CLOSED, L4_TCP, L4_UDP, NAME_CHANGED, O_CLOEXEC};
use super::limits::SETTLED_PER_EVENT;
use super::path::{as_directory, join, without_deleted_mark};
use super::table::{TableId, ThreadId};
use super::{Fd, FdKind, State, Thread, Tuple, Usage};

impl State {
    /// Machine info.
    pub fn seed_machine(&mut self, machine: MachineInfo) {
        self.people += 1;
        self.machine = machine;
    }

    /// Network interfaces.
    pub fn seed_interfaces(&mut self, interfaces: Vec<Interface>) {
        self.interfaces = interfaces;
    }

    /// Users and groups of the host.
    pub fn seed_users(&mut self, entries: Vec<UserEntry>, ledger: &mut Ledger) {
        self.people += 1;
        for entry in entries {
            match entry {
                UserEntry::User { uid, gid, name, home, shell } => {
                    let user = super::User {
                        uid,
                        gid,
                        name: self.text(&name),
                        home: self.text(&home),
                        shell: self.text(&shell),
                    };
                    self.users.add_user(&[], user, ledger);
                }
                UserEntry::Group { gid, name } => {
                    let group = super::Group { gid, name: self.text(&name) };
                    self.users.add_group(&[], group, ledger);
                }
            }
        }
    }

    /// The process list.
    pub fn seed_threads(&mut self, entries: &[ThreadEntry], ledger: &mut Ledger) {
        self.people += 1;
        let ids: Vec<ThreadId> = entries.iter().filter_map(|entry| self.seed_thread(entry, ledger)).collect();
        // Only now, as parents may come after their children.
        for id in ids {
            self.link(id);
        }
    }

    fn seed_thread(&mut self, entry: &ThreadEntry, ledger: &mut Ledger) -> Option<ThreadId> {
        let mut thread = Thread::new(entry.tid, &self.texts.empty);
        thread.pid = entry.pid;
        thread.ptid = entry.ptid;
        thread.sid = entry.sid;
        thread.vpgid = entry.vpgid;
        thread.pgid = entry.pgid;
        thread.vtid = entry.vtid;
        thread.vpid = entry.vpid;
        thread.comm = self.text(&entry.comm);
        thread.exe = self.text(&entry.exe);
        thread.exepath = self.text(without_deleted_mark(&entry.exepath));
        thread.args = self.list(&entry.args);
        if thread.is_main() {
            thread.env = self.list(&entry.env);
            thread.cwd = self.text(&as_directory(join(b"", &entry.cwd)));
        }
        thread.root = self.text(&entry.root);
        let place = self.place_of(&entry.cgroups, ledger);
        thread.cgroups = place.cgroups;
        thread.container_id = place.container_id;
        thread.fdlimit = entry.fdlimit;
        thread.flags = entry.flags | ACTIVE | NAME_CHANGED;
        thread.dead = entry.flags & CLOSED != 0;
        // The format has no "unknown" but this, the number that the kernel uses for "none".
        thread.uid = Some(entry.uid).filter(|&uid| uid != u32::MAX);
        thread.gid = Some(entry.gid).filter(|&gid| gid != u32::MAX);
        thread.loginuid = entry.loginuid;
        thread.usage = Usage {
            vm_size: u64::from(entry.vm_size),
            vm_rss: u64::from(entry.vm_rss),
            vm_swap: u64::from(entry.vm_swap),
            pf_major: entry.pf_major,
            pf_minor: entry.pf_minor,
        };
        thread.pidns_init_start_ts = entry.pidns_init_start_ts;
        thread.tty = entry.tty;
        thread.exe_writable = entry.exe_writable;
        thread.exe_upper_layer = entry.exe_upper_layer;
        thread.exe_lower_layer = entry.exe_lower_layer;
        thread.exe_from_memfd = entry.exe_from_memfd;
        thread.cap_inheritable = entry.cap_inheritable;
        thread.cap_permitted = entry.cap_permitted;
        thread.cap_effective = entry.cap_effective;
        thread.exe_ino = entry.exe_ino;
        thread.exe_ino_ctime = entry.exe_ino_ctime;
        thread.exe_ino_mtime = entry.exe_ino_mtime;
        thread.placeholder = thread.is_invalid();
        self.add_thread(thread, ledger)
    }

    /// The descriptors of one thread.
    pub fn seed_fds(&mut self, list: &FdList, ledger: &mut Ledger) {
        let Some(id) = self.id_of(list.tid) else {
            if !list.fds.is_empty() {
                ledger.count(Counter::UnknownThreads);
            }
            return;
        };
        let Some(thread) = self.threads.get(id.0) else { return };
        // The list of a thread that shares its leader's table repeats the leader's, as far as it is not empty.
        if list.fds.is_empty() || (!thread.is_main() && thread.flags & CLONE_FILES != 0) {
            return;
        }
        let Some(table) = self.table_for(id) else { return };
        for entry in &list.fds {
            let fd = self.fd_from_entry(entry);
            self.put_fd(table, entry.fd, Rc::new(fd), ledger);
        }
        self.unsettle();
    }

    fn fd_from_entry(&mut self, entry: &FdEntry) -> Fd {
        let mut fd = Fd::new(kind_of_code(entry.fd_type), &self.texts.empty);
        fd.version = self.next_version();
        fd.ino = entry.ino;
        match &entry.info {
            FdInfo::Named { name, open_flags, dev } => {
                fd.name = self.text(name);
                fd.open_flags = *open_flags;
                fd.dev = *dev;
                fd.cloexec = open_flags & O_CLOEXEC != 0;
            }
            FdInfo::V4 { sip, dip, sport, dport, l4 } => {
                let ends = ((IpAddr::V4(*sip), *sport), (IpAddr::V4(*dip), *dport));
                self.seed_connection(&mut fd, ends, *l4);
            }
            FdInfo::V6 { sip, dip, sport, dport, l4 } => {
                let (source, destination) = unmapped(*sip, *dip);
                self.seed_connection(&mut fd, ((source, *sport), (destination, *dport)), *l4);
            }
            FdInfo::V4Server { ip, port, l4 } => self.seed_listener(&mut fd, (IpAddr::V4(*ip), *port), *l4),
            FdInfo::V6Server { ip, port, l4 } => self.seed_listener(&mut fd, (IpAddr::V6(*ip), *port), *l4),
            FdInfo::Unix { source, destination, path } => {
                fd.unix_ends = (*source, *destination);
                fd.name = self.text(path);
                // Whoever has a path made it.
                fd.is_server = !path.is_empty();
                fd.is_client = path.is_empty();
            }
            FdInfo::None => {}
        }
        fd
    }

    fn seed_connection(&mut self, fd: &mut Fd, ends: ((IpAddr, u16), (IpAddr, u16)), l4: u8) {
        let mut tuple = Tuple { client: ends.0, server: ends.1 };
        fd.kind = kind_of(tuple.client.0);
        fd.l4 = l4;
        fd.connected = l4 == L4_TCP;
        if fd.kind == FdKind::Ipv4 {
            self.complete(&mut tuple);
        }
        fd.tuple = Some(tuple);
        fd.name = self.connection_name(&tuple);
    }

    fn seed_listener(&mut self, fd: &mut Fd, end: (IpAddr, u16), l4: u8) {
        fd.kind = server_kind_of(end.0);
        fd.l4 = l4;
        fd.tuple = Some(Tuple { client: (unspecified_like(end.0), 0), server: end });
        fd.name = self.text(&server_text(end));
    }

    /// Process lists always show ports, whatever the transport.
    fn connection_name(&self, tuple: &Tuple) -> super::Text {
        self.text(&tuple_text(tuple, L4_UDP))
    }

    /// Once all snapshots are in: a connection whose own port is one that somebody on this machine listens on is a
    /// server's; the list has the local end first, so its ends change places. IPv4 only, as in libs.
    #[cold]
    pub(crate) fn settle(&mut self) {
        self.unsettled = false;
        self.settle_again = self.steps + (self.open_fds / SETTLED_PER_EVENT) as u64;
        let is_listener = |fd: &Fd| matches!(fd.kind, FdKind::Ipv4Server | FdKind::Ipv6Server);
        let ports: std::collections::HashSet<u16> = self
            .tables
            .iter()
            .flat_map(|entry| entry.table.iter())
            .filter(|(_, fd)| is_listener(fd))
            .filter_map(|(_, fd)| fd.tuple.map(|tuple| tuple.server.1))
            .collect();
        for index in 0..self.tables.end() {
            let Some(entry) = self.tables.get(index) else { continue };
            for number in entry.table.numbers_where(|_, fd| fd.kind == FdKind::Ipv4 && fd.has_no_role()) {
                self.settle_fd(TableId(index), number, &ports);
            }
        }
    }

    fn settle_fd(&mut self, table: TableId, number: i64, ports: &std::collections::HashSet<u16>) {
        let tuple = self.tables.get(table.0).and_then(|entry| entry.table.get(number)).and_then(|fd| fd.tuple);
        let Some(mut tuple) = tuple else { return };
        let server = ports.contains(&tuple.client.1);
        let mut name = None;
        if server {
            std::mem::swap(&mut tuple.client, &mut tuple.server);
            name = Some(self.connection_name(&tuple));
        }
        let Some(fd) = self.change_fd(table, number) else { return };
        fd.tuple = Some(tuple);
        fd.is_server = server;
        fd.is_client = !server;
        if let Some(name) = name {
            fd.name = name;
        }
    }
}

/// `0.0.0.0` or `::`.
pub(crate) fn unspecified_like(ip: IpAddr) -> IpAddr {
    if ip.is_ipv4() { IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED) }
}

/// Kind of a descriptor list's type code.
fn kind_of_code(code: u8) -> FdKind {
    match code {
        0 => FdKind::Unknown,
        1 | 16 => FdKind::File,
        2 => FdKind::Directory,
        3 => FdKind::Ipv4,
        4 => FdKind::Ipv6,
        5 => FdKind::Ipv4Server,
        6 => FdKind::Ipv6Server,
        7 => FdKind::Fifo,
        8 => FdKind::Unix,
        9 => FdKind::Event,
        11 => FdKind::Signalfd,
        12 => FdKind::Eventpoll,
        13 => FdKind::Inotify,
        14 => FdKind::Timerfd,
        15 => FdKind::Netlink,
        17 => FdKind::Bpf,
        18 => FdKind::Userfaultfd,
        19 => FdKind::IoUring,
        20 => FdKind::Memfd,
        21 => FdKind::Pidfd,
        _ => FdKind::Unsupported,
    }
}
