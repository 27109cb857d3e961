//! Items that are structures: facts about a thread, a file, a socket, as the kernel has them.
//!
//! What an encoder or a snapshot makes of them is said there ([`crate::encode`], [`crate::snapshot`]).

use super::{u16_at, u32_at, u64_at};

/// Facts about a thread: `struct task_item`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TaskItem {
    /// ns since boot.
    pub start: u64,
    pub pidns_start: u64,
    pub cap_inheritable: u64,
    pub cap_permitted: u64,
    pub cap_effective: u64,
    pub fdlimit: u64,
    pub maj_flt: u64,
    pub min_flt: u64,
    pub cgroup_id: u64,
    pub tid: u32,
    pub tgid: u32,
    pub ptid: u32,
    pub sid: u32,
    pub pgid: u32,
    pub vpgid: u32,
    pub vtid: u32,
    pub vpid: u32,
    pub uid: u32,
    pub gid: u32,
    pub euid: u32,
    pub egid: u32,
    pub fsuid: u32,
    pub fsgid: u32,
    pub loginuid: u32,
    /// Kernel's device number; 0: none.
    pub tty: u32,
    /// KiB.
    pub vm_size: u32,
    pub vm_rss: u32,
    pub vm_swap: u32,
    /// Of the pid namespace; 0: the host's.
    pub level: u32,
    /// Of the pid namespace that its children are born into.
    pub children_level: u32,
    pub comm: Vec<u8>,
}

impl TaskItem {
    /// Bytes in a record.
    pub(crate) const LEN: usize = 9 * 8 + 22 * 4 + 16;

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let b: &[u8; Self::LEN] = bytes.first_chunk()?;
        let wide = |n: usize| u64_at(b, n * 8);
        let word = |n: usize| u32_at(b, 72 + n * 4);
        let comm = &b[160..176];
        Some(Self {
            start: wide(0),
            pidns_start: wide(1),
            cap_inheritable: wide(2),
            cap_permitted: wide(3),
            cap_effective: wide(4),
            fdlimit: wide(5),
            maj_flt: wide(6),
            min_flt: wide(7),
            cgroup_id: wide(8),
            tid: word(0),
            tgid: word(1),
            ptid: word(2),
            sid: word(3),
            pgid: word(4),
            vpgid: word(5),
            vtid: word(6),
            vpid: word(7),
            uid: word(8),
            gid: word(9),
            euid: word(10),
            egid: word(11),
            fsuid: word(12),
            fsgid: word(13),
            loginuid: word(14),
            tty: word(15),
            vm_size: word(16),
            vm_rss: word(17),
            vm_swap: word(18),
            level: word(19),
            children_level: word(21),
            comm: comm.split(|&byte| byte == 0).next().unwrap_or_default().to_vec(),
        })
    }
}

/// Facts about a file: `struct file_item`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileItem {
    pub ino: u64,
    /// ns since the epoch.
    pub ctime: u64,
    pub mtime: u64,
    /// Kernel's device number.
    pub dev: u32,
    pub uid: u32,
    pub gid: u32,
    pub nlink: u32,
    pub f_flags: u32,
    pub mode: u16,
    /// 0: no overlay, 1: lower, 2: upper.
    pub layer: u8,
    pub bits: u8,
    /// Magic number of the file system.
    pub magic: u32,
}

/// This open created the file.
pub(crate) const FILE_CREATED: u8 = 1;
/// File system or inode cannot be written.
pub(crate) const FILE_READONLY: u8 = 2;

impl FileItem {
    pub(crate) const LEN: usize = 56;

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let b: &[u8; Self::LEN] = bytes.first_chunk()?;
        Some(Self {
            ino: u64_at(b, 0),
            ctime: u64_at(b, 8),
            mtime: u64_at(b, 16),
            dev: u32_at(b, 24),
            uid: u32_at(b, 28),
            gid: u32_at(b, 32),
            nlink: u32_at(b, 36),
            f_flags: u32_at(b, 40),
            mode: u16_at(b, 44),
            layer: b[46],
            bits: b[47],
            magic: u32_at(b, 48),
        })
    }
}

/// A socket's ends: `struct sock_item`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SockItem {
    /// Kernel addresses; the peer's for unix sockets only.
    pub sk: u64,
    pub peer: u64,
    pub family: u16,
    pub kind: u16,
    pub protocol: u16,
    pub state: u8,
    pub lport: u16,
    pub rport: u16,
    pub queue: u32,
    pub queue_max: u32,
    pub laddr: [u8; 16],
    pub raddr: [u8; 16],
}

impl SockItem {
    pub(crate) const LEN: usize = 72;

    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let b: &[u8; Self::LEN] = bytes.first_chunk()?;
        let address = |at: usize| std::array::from_fn(|n| b[at + n]);
        Some(Self {
            sk: u64_at(b, 0),
            peer: u64_at(b, 8),
            family: u16_at(b, 16),
            kind: u16_at(b, 18),
            protocol: u16_at(b, 20),
            state: b[22],
            lport: u16_at(b, 24),
            rport: u16_at(b, 26).swap_bytes(),
            queue: u32_at(b, 28),
            queue_max: u32_at(b, 32),
            laddr: address(36),
            raddr: address(52),
        })
    }
}
