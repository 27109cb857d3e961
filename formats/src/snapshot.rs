//! What a capture says about the system at its start: machine, interfaces, users, processes, descriptors.
//!
//! Plain owned records, one per list entry, decoded by the block readers and consumed by `casebook-replay` to seed
//! its state; the writer encodes the same records. Layouts and versions: `reference/scap-format.md` sections 3 to 7.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Machine info block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineInfo {
    /// Number of CPUs.
    pub num_cpus: u32,
    /// Memory in bytes.
    pub memory: u64,
    /// Highest pid the kernel hands out; often 0.
    pub max_pid: u64,
    /// Host name, without padding.
    pub hostname: Vec<u8>,
    /// Boot time in ns since the epoch; 0 in older captures.
    pub boot_ts: u64,
}

/// One network interface address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interface {
    /// An IPv4 address.
    V4 {
        /// Interface name.
        name: Vec<u8>,
        /// Address.
        addr: Ipv4Addr,
        /// Netmask.
        netmask: Ipv4Addr,
        /// Broadcast address.
        broadcast: Ipv4Addr,
        /// Link speed; 0 where the entry has none.
        link_speed: u64,
    },
    /// An IPv6 address.
    V6 {
        /// Interface name.
        name: Vec<u8>,
        /// Address.
        addr: Ipv6Addr,
        /// Netmask.
        netmask: Ipv6Addr,
        /// Broadcast address.
        broadcast: Ipv6Addr,
        /// Link speed; 0 where the entry has none.
        link_speed: u64,
    },
}

/// One entry of the user list block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserEntry {
    /// A user of the host.
    User {
        /// User id.
        uid: u32,
        /// Primary group id.
        gid: u32,
        /// Name.
        name: Vec<u8>,
        /// Home directory.
        home: Vec<u8>,
        /// Login shell.
        shell: Vec<u8>,
    },
    /// A group of the host.
    Group {
        /// Group id.
        gid: u32,
        /// Name.
        name: Vec<u8>,
    },
}

/// One thread of the process list. Fields that a version lacks hold the default that libs gives (see each).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // the file has them as four flags of one byte each
pub struct ThreadEntry {
    /// Thread id in the host namespace.
    pub tid: i64,
    /// Process id (thread group leader) in the host namespace.
    pub pid: i64,
    /// Parent's thread id.
    pub ptid: i64,
    /// Session id; -1 when the version has none.
    pub sid: i64,
    /// Process group inside the pid namespace; -1 when the version has none.
    pub vpgid: i64,
    /// Process group in the host namespace; -1 when the entry has none.
    pub pgid: i64,
    /// Thread id inside the pid namespace; -1 when the version has none.
    pub vtid: i64,
    /// Process id inside the pid namespace; -1 when the version has none.
    pub vpid: i64,
    /// Kernel comm, 15 bytes at most on Linux.
    pub comm: Vec<u8>,
    /// `argv[0]` as given.
    pub exe: Vec<u8>,
    /// Resolved executable path; empty when unknown.
    pub exepath: Vec<u8>,
    /// `argv[1..]`, each NUL-terminated.
    pub args: Vec<u8>,
    /// Environment, each NUL-terminated.
    pub env: Vec<u8>,
    /// Working directory.
    pub cwd: Vec<u8>,
    /// Root directory; empty when the version has none.
    pub root: Vec<u8>,
    /// `subsystem=path`, each NUL-terminated.
    pub cgroups: Vec<u8>,
    /// Descriptor limit.
    pub fdlimit: i64,
    /// `clone_flags` plus private bits (`reference/scap-format.md` section 6).
    pub flags: u32,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Audit login uid; 0xFFFFFFFF when unset or absent.
    pub loginuid: u32,
    /// Virtual memory in KiB.
    pub vm_size: u32,
    /// Resident memory in KiB.
    pub vm_rss: u32,
    /// Swapped memory in KiB.
    pub vm_swap: u32,
    /// Major faults.
    pub pf_major: u64,
    /// Minor faults.
    pub pf_minor: u64,
    /// Start time of the pid namespace's init, ns since the epoch; 0 when absent.
    pub pidns_init_start_ts: u64,
    /// Controlling terminal; 0 when none or absent.
    pub tty: u32,
    /// Executable writable by the user that runs it.
    pub exe_writable: bool,
    /// Executable on the upper layer of an overlay.
    pub exe_upper_layer: bool,
    /// Executable on the lower layer of an overlay.
    pub exe_lower_layer: bool,
    /// Executable is a memfd.
    pub exe_from_memfd: bool,
    /// Inheritable capabilities.
    pub cap_inheritable: u64,
    /// Permitted capabilities.
    pub cap_permitted: u64,
    /// Effective capabilities.
    pub cap_effective: u64,
    /// Inode of the executable; 0 when absent.
    pub exe_ino: u64,
    /// Change time of the executable's inode, ns since the epoch; 0 when absent.
    pub exe_ino_ctime: u64,
    /// Modification time of the executable's inode, ns since the epoch; 0 when absent.
    pub exe_ino_mtime: u64,
}

impl Default for ThreadEntry {
    /// What libs assumes of fields that an entry lacks: ids of namespaces and groups -1, the audit login uid unset,
    /// everything else zero or empty.
    fn default() -> Self {
        Self {
            tid: 0,
            pid: 0,
            ptid: 0,
            sid: -1,
            vpgid: -1,
            pgid: -1,
            vtid: -1,
            vpid: -1,
            comm: Vec::new(),
            exe: Vec::new(),
            exepath: Vec::new(),
            args: Vec::new(),
            env: Vec::new(),
            cwd: Vec::new(),
            root: Vec::new(),
            cgroups: Vec::new(),
            fdlimit: 0,
            flags: 0,
            uid: 0,
            gid: 0,
            loginuid: u32::MAX,
            vm_size: 0,
            vm_rss: 0,
            vm_swap: 0,
            pf_major: 0,
            pf_minor: 0,
            pidns_init_start_ts: 0,
            tty: 0,
            exe_writable: false,
            exe_upper_layer: false,
            exe_lower_layer: false,
            exe_from_memfd: false,
            cap_inheritable: 0,
            cap_permitted: 0,
            cap_effective: 0,
            exe_ino: 0,
            exe_ino_ctime: 0,
            exe_ino_mtime: 0,
        }
    }
}

/// The descriptors of one thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FdList {
    /// Thread that owns the table.
    pub tid: i64,
    /// Its descriptors, in file order.
    pub fds: Vec<FdEntry>,
}

/// One descriptor of an fd list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FdEntry {
    /// Descriptor number.
    pub fd: i64,
    /// Inode.
    pub ino: u64,
    /// `scap_fd_type` code (0 to 21 known).
    pub fd_type: u8,
    /// What the type brings along.
    pub info: FdInfo,
}

/// Type-dependent part of a descriptor entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FdInfo {
    /// A named thing: file (1, 16), directory, pipe, eventfd, epoll, …
    Named {
        /// Path or label.
        name: Vec<u8>,
        /// Open flags (`file_flags`), type 16 only.
        open_flags: u32,
        /// Device, type 16 only, where the entry reaches it.
        dev: u32,
    },
    /// IPv4 connection.
    V4 {
        /// Source address.
        sip: Ipv4Addr,
        /// Destination address.
        dip: Ipv4Addr,
        /// Source port.
        sport: u16,
        /// Destination port.
        dport: u16,
        /// 0 unknown, 1 not a socket, 2 TCP, 3 UDP, 4 ICMP, 5 raw.
        l4: u8,
    },
    /// IPv6 connection.
    V6 {
        /// Source address.
        sip: Ipv6Addr,
        /// Destination address.
        dip: Ipv6Addr,
        /// Source port.
        sport: u16,
        /// Destination port.
        dport: u16,
        /// As in `V4`.
        l4: u8,
    },
    /// IPv4 listening or unconnected socket.
    V4Server {
        /// Address.
        ip: Ipv4Addr,
        /// Port.
        port: u16,
        /// As in `V4`.
        l4: u8,
    },
    /// IPv6 listening or unconnected socket.
    V6Server {
        /// Address.
        ip: Ipv6Addr,
        /// Port.
        port: u16,
        /// As in `V4`.
        l4: u8,
    },
    /// Unix socket.
    Unix {
        /// Kernel address of the local end.
        source: u64,
        /// Kernel address of the peer.
        destination: u64,
        /// Path; empty when unnamed.
        path: Vec<u8>,
    },
    /// Nothing known.
    None,
}
