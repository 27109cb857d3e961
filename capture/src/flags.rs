//! Kernel's flag values and the format's portable ones.
//!
//! A row names the symbols of one of the format's flag tables with the kernel's values (x86); the portable values come
//! from the table itself, so a symbol that the table does not have fails the tests. Tables whose values are the
//! kernel's own need no row.

use std::sync::OnceLock;

use casebook_formats::tables;

/// Kernel's mask, kernel's value under it, symbol.
type Row = (u64, u64, &'static str);

/// Translation of one flag table.
#[derive(Debug)]
pub(crate) struct FlagMap {
    /// Name of the format's table.
    table: &'static str,
    rows: &'static [Row],
    /// The rows with the portable values, looked up once.
    values: OnceLock<Box<[(u64, u64, u64)]>>,
}

const fn map(table: &'static str, rows: &'static [Row]) -> FlagMap {
    FlagMap { table, rows, values: OnceLock::new() }
}

/// A flag of its own bit.
const fn bit(value: u64, symbol: &'static str) -> Row {
    (value, value, symbol)
}

/// One of several values: all bits count.
const fn one(value: u64, symbol: &'static str) -> Row {
    (u64::MAX, value, symbol)
}

impl FlagMap {
    /// The portable value; what the format has no flag for is left out.
    pub(crate) fn portable(&self, native: u64) -> u64 {
        let values = self.values.get_or_init(|| self.look_up());
        values.iter().filter(|(mask, value, _)| native & mask == *value).fold(0, |all, row| all | row.2)
    }

    fn look_up(&self) -> Box<[(u64, u64, u64)]> {
        let table = tables::flag_table(self.table);
        let value = |symbol: &str| Some(u64::from(table?.value(symbol)?));
        self.rows.iter().filter_map(|&(mask, native, symbol)| Some((mask, native, value(symbol)?))).collect()
    }
}

/// Flags of open files.
pub(crate) static FILE: FlagMap = map(
    "file_flags",
    &[
        (0o3, 0o0, "O_RDONLY"),
        (0o3, 0o1, "O_WRONLY"),
        (0o3, 0o2, "O_RDWR"),
        bit(0o100, "O_CREAT"),
        bit(0o200, "O_EXCL"),
        bit(0o1000, "O_TRUNC"),
        bit(0o2000, "O_APPEND"),
        bit(0o4000, "O_NONBLOCK"),
        bit(0o10000, "O_DSYNC"),
        bit(0o40000, "O_DIRECT"),
        bit(0o10_0000, "O_LARGEFILE"),
        bit(0o20_0000, "O_DIRECTORY"),
        bit(0o200_0000, "O_CLOEXEC"),
        bit(0o401_0000, "O_SYNC"),
        bit(0o2020_0000, "O_TMPFILE"),
    ],
);

/// The few flags that calls take which make descriptors without opening files: no access mode among them.
pub(crate) static NEW_FD: FlagMap =
    map("file_flags", &[bit(0o4000, "O_NONBLOCK"), bit(0o40000, "O_DIRECT"), bit(0o200_0000, "O_CLOEXEC")]);

pub(crate) static CLONE: FlagMap = map(
    "clone_flags",
    &[
        bit(0x100, "CLONE_VM"),
        bit(0x200, "CLONE_FS"),
        bit(0x400, "CLONE_FILES"),
        bit(0x800, "CLONE_SIGHAND"),
        bit(0x2000, "CLONE_PTRACE"),
        bit(0x4000, "CLONE_VFORK"),
        bit(0x8000, "CLONE_PARENT"),
        bit(0x1_0000, "CLONE_THREAD"),
        bit(0x2_0000, "CLONE_NEWNS"),
        bit(0x4_0000, "CLONE_SYSVSEM"),
        bit(0x8_0000, "CLONE_SETTLS"),
        bit(0x10_0000, "CLONE_PARENT_SETTID"),
        bit(0x20_0000, "CLONE_CHILD_CLEARTID"),
        bit(0x80_0000, "CLONE_UNTRACED"),
        bit(0x100_0000, "CLONE_CHILD_SETTID"),
        bit(0x200_0000, "CLONE_NEWCGROUP"),
        bit(0x400_0000, "CLONE_NEWUTS"),
        bit(0x800_0000, "CLONE_NEWIPC"),
        bit(0x1000_0000, "CLONE_NEWUSER"),
        bit(0x2000_0000, "CLONE_NEWPID"),
        bit(0x4000_0000, "CLONE_NEWNET"),
        bit(0x8000_0000, "CLONE_IO"),
    ],
);

pub(crate) static FCNTL: FlagMap = map(
    "fcntl_commands",
    &[
        one(0, "F_DUPFD"),
        one(1, "F_GETFD"),
        one(2, "F_SETFD"),
        one(3, "F_GETFL"),
        one(4, "F_SETFL"),
        one(5, "F_GETLK"),
        one(6, "F_SETLK"),
        one(7, "F_SETLKW"),
        one(8, "F_SETOWN"),
        one(9, "F_GETOWN"),
        one(10, "F_SETSIG"),
        one(11, "F_GETSIG"),
        one(12, "F_GETLK64"),
        one(13, "F_SETLK64"),
        one(14, "F_SETLKW64"),
        one(15, "F_SETOWN_EX"),
        one(16, "F_GETOWN_EX"),
        one(36, "F_OFD_GETLK"),
        one(37, "F_OFD_SETLK"),
        one(38, "F_OFD_SETLKW"),
        one(1024, "F_SETLEASE"),
        one(1025, "F_GETLEASE"),
        one(1026, "F_NOTIFY"),
        one(1029, "F_CANCELLK"),
        one(1030, "F_DUPFD_CLOEXEC"),
        one(1031, "F_SETPIPE_SZ"),
        one(1032, "F_GETPIPE_SZ"),
    ],
);

pub(crate) static PROT: FlagMap = map(
    "prot_flags",
    &[
        bit(1, "PROT_READ"),
        bit(2, "PROT_WRITE"),
        bit(4, "PROT_EXEC"),
        bit(8, "PROT_SEM"),
        bit(0x0100_0000, "PROT_GROWSDOWN"),
        bit(0x0200_0000, "PROT_GROWSUP"),
    ],
);

pub(crate) static MMAP: FlagMap = map(
    "mmap_flags",
    &[
        bit(0x1, "MAP_SHARED"),
        bit(0x2, "MAP_PRIVATE"),
        bit(0x10, "MAP_FIXED"),
        bit(0x20, "MAP_ANONYMOUS"),
        bit(0x40, "MAP_32BIT"),
        bit(0x100, "MAP_GROWSDOWN"),
        bit(0x800, "MAP_DENYWRITE"),
        bit(0x1000, "MAP_EXECUTABLE"),
        bit(0x2000, "MAP_LOCKED"),
        bit(0x4000, "MAP_NORESERVE"),
        bit(0x8000, "MAP_POPULATE"),
        bit(0x1_0000, "MAP_NONBLOCK"),
    ],
);

pub(crate) static FCHOWNAT: FlagMap =
    map("fchownat_flags", &[bit(0x100, "AT_SYMLINK_NOFOLLOW"), bit(0x1000, "AT_EMPTY_PATH")]);

pub(crate) static OPENAT2: FlagMap = map(
    "openat2_flags",
    &[
        bit(0x01, "RESOLVE_NO_XDEV"),
        bit(0x02, "RESOLVE_NO_MAGICLINKS"),
        bit(0x04, "RESOLVE_NO_SYMLINKS"),
        bit(0x08, "RESOLVE_BENEATH"),
        bit(0x10, "RESOLVE_IN_ROOT"),
        bit(0x20, "RESOLVE_CACHED"),
    ],
);

pub(crate) static EPOLL_CREATE1: FlagMap = map("epoll_create1_flags", &[bit(0o200_0000, "EPOLL_CLOEXEC")]);

pub(crate) static PIDFD_OPEN: FlagMap = map("pidfd_open_flags", &[bit(0o4000, "PIDFD_NONBLOCK")]);

pub(crate) static DELETE_MODULE: FlagMap =
    map("delete_module_flags", &[bit(0o4000, "O_NONBLOCK"), bit(0o1000, "O_TRUNC")]);

pub(crate) static IO_URING_SETUP: FlagMap = map(
    "io_uring_setup_flags",
    &[
        bit(0x01, "IORING_SETUP_IOPOLL"),
        bit(0x02, "IORING_SETUP_SQPOLL"),
        bit(0x04, "IORING_SETUP_SQ_AFF"),
        bit(0x08, "IORING_SETUP_CQSIZE"),
        bit(0x10, "IORING_SETUP_CLAMP"),
        bit(0x20, "IORING_SETUP_ATTACH_RW"),
        bit(0x40, "IORING_SETUP_R_DISABLED"),
    ],
);

pub(crate) static SEMGET: FlagMap = map("semget_flags", &[bit(0o1000, "IPC_CREAT"), bit(0o2000, "IPC_EXCL")]);

pub(crate) static SEMOP: FlagMap = map("semop_flags", &[bit(0o4000, "IPC_NOWAIT"), bit(0x1000, "SEM_UNDO")]);

pub(crate) static SEMCTL: FlagMap = map(
    "semctl_commands",
    &[
        one(0, "IPC_RMID"),
        one(1, "IPC_SET"),
        one(2, "IPC_STAT"),
        one(3, "IPC_INFO"),
        one(11, "GETPID"),
        one(12, "GETVAL"),
        one(13, "GETALL"),
        one(14, "GETNCNT"),
        one(15, "GETZCNT"),
        one(16, "SETVAL"),
        one(17, "SETALL"),
        one(18, "SEM_STAT"),
        one(19, "SEM_INFO"),
    ],
);

pub(crate) static SOCKOPT_LEVEL: FlagMap = map("sockopt_levels", &[one(1, "SOL_SOCKET"), one(6, "SOL_TCP")]);

pub(crate) static POLL: FlagMap = map(
    "poll_flags",
    &[
        bit(0x001, "POLLIN"),
        bit(0x002, "POLLPRI"),
        bit(0x004, "POLLOUT"),
        bit(0x008, "POLLERR"),
        bit(0x010, "POLLHUP"),
        bit(0x020, "POLLNVAL"),
        bit(0x040, "POLLRDNORM"),
        bit(0x080, "POLLRDBAND"),
        bit(0x100, "POLLWRNORM"),
        bit(0x200, "POLLWRBAND"),
        bit(0x2000, "POLLRDHUP"),
    ],
);

pub(crate) static PTRACE: FlagMap = map(
    "ptrace_requests",
    &[
        one(0, "PTRACE_TRACEME"),
        one(1, "PTRACE_PEEKTEXT"),
        one(2, "PTRACE_PEEKDATA"),
        one(3, "PTRACE_PEEKUSR"),
        one(4, "PTRACE_POKETEXT"),
        one(5, "PTRACE_POKEDATA"),
        one(6, "PTRACE_POKEUSR"),
        one(7, "PTRACE_CONT"),
        one(8, "PTRACE_KILL"),
        one(9, "PTRACE_SINGLESTEP"),
        one(12, "PTRACE_GETREGS"),
        one(13, "PTRACE_SETREGS"),
        one(14, "PTRACE_GETFPREGS"),
        one(15, "PTRACE_SETFPREGS"),
        one(16, "PTRACE_ATTACH"),
        one(17, "PTRACE_DETACH"),
        one(18, "PTRACE_GETFPXREGS"),
        one(19, "PTRACE_SETFPXREGS"),
        one(21, "PTRACE_OLDSETOPTIONS"),
        one(24, "PTRACE_SYSCALL"),
        one(25, "PTRACE_GET_THREAD_AREA"),
        one(26, "PTRACE_SET_THREAD_AREA"),
        one(30, "PTRACE_ARCH_PRCTL"),
        one(31, "PTRACE_SYSEMU"),
        one(32, "PTRACE_SYSEMU_SINGLESTEP"),
        one(33, "PTRACE_SINGLEBLOCK"),
        one(0x4200, "PTRACE_SETOPTIONS"),
        one(0x4201, "PTRACE_GETEVENTMSG"),
        one(0x4202, "PTRACE_GETSIGINFO"),
        one(0x4203, "PTRACE_SETSIGINFO"),
        one(0x4204, "PTRACE_GETREGSET"),
        one(0x4205, "PTRACE_SETREGSET"),
        one(0x4206, "PTRACE_SEIZE"),
        one(0x4207, "PTRACE_INTERRUPT"),
        one(0x4208, "PTRACE_LISTEN"),
        one(0x4209, "PTRACE_PEEKSIGINFO"),
        one(0x420a, "PTRACE_GETSIGMASK"),
        one(0x420b, "PTRACE_SETSIGMASK"),
    ],
);

/// Options of `SOL_SOCKET`.
pub(crate) static SOCKOPT: FlagMap = map(
    "sockopt_options",
    &[
        one(1, "SO_DEBUG"),
        one(2, "SO_REUSEADDR"),
        one(3, "SO_TYPE"),
        one(4, "SO_ERROR"),
        one(5, "SO_DONTROUTE"),
        one(6, "SO_BROADCAST"),
        one(7, "SO_SNDBUF"),
        one(8, "SO_RCVBUF"),
        one(9, "SO_KEEPALIVE"),
        one(10, "SO_OOBINLINE"),
        one(11, "SO_NO_CHECK"),
        one(12, "SO_PRIORITY"),
        one(13, "SO_LINGER"),
        one(14, "SO_BSDCOMPAT"),
        one(15, "SO_REUSEPORT"),
        one(16, "SO_PASSCRED"),
        one(17, "SO_PEERCRED"),
        one(18, "SO_RCVLOWAT"),
        one(19, "SO_SNDLOWAT"),
        one(20, "SO_RCVTIMEO"),
        one(21, "SO_SNDTIMEO"),
        one(22, "SO_SECURITY_AUTHENTICATION"),
        one(23, "SO_SECURITY_ENCRYPTION_TRANSPORT"),
        one(24, "SO_SECURITY_ENCRYPTION_NETWORK"),
        one(25, "SO_BINDTODEVICE"),
        one(26, "SO_ATTACH_FILTER"),
        one(27, "SO_DETACH_FILTER"),
        one(28, "SO_PEERNAME"),
        one(29, "SO_TIMESTAMP"),
        one(30, "SO_ACCEPTCONN"),
        one(31, "SO_PEERSEC"),
        one(32, "SO_SNDBUFFORCE"),
        one(33, "SO_RCVBUFFORCE"),
        one(34, "SO_PASSSEC"),
        one(35, "SO_TIMESTAMPNS"),
        one(36, "SO_MARK"),
        one(37, "SO_TIMESTAMPING"),
        one(38, "SO_PROTOCOL"),
        one(39, "SO_DOMAIN"),
        one(40, "SO_RXQ_OVFL"),
        one(41, "SO_WIFI_STATUS"),
        one(42, "SO_PEEK_OFF"),
        one(43, "SO_NOFCS"),
        one(44, "SO_LOCK_FILTER"),
        one(45, "SO_SELECT_ERR_QUEUE"),
        one(46, "SO_BUSY_POLL"),
        one(47, "SO_MAX_PACING_RATE"),
        one(48, "SO_BPF_EXTENSIONS"),
        one(49, "SO_INCOMING_CPU"),
        one(50, "SO_ATTACH_BPF"),
        one(51, "SO_PEERGROUPS"),
        one(55, "SO_MEMINFO"),
        one(57, "SO_COOKIE"),
    ],
);

/// Everything above, for the tests.
#[cfg(test)]
static ALL: &[&FlagMap] = &[
    &FILE,
    &NEW_FD,
    &CLONE,
    &FCNTL,
    &PROT,
    &MMAP,
    &FCHOWNAT,
    &OPENAT2,
    &EPOLL_CREATE1,
    &PIDFD_OPEN,
    &DELETE_MODULE,
    &IO_URING_SETUP,
    &SEMGET,
    &SEMOP,
    &SEMCTL,
    &SOCKOPT_LEVEL,
    &POLL,
    &PTRACE,
    &SOCKOPT,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_symbol_stands_in_its_table() {
        for map in ALL {
            let table = tables::flag_table(map.table).unwrap_or_else(|| panic!("no table {}", map.table));
            for (_, _, symbol) in map.rows {
                assert!(table.value(symbol).is_some(), "{}: {symbol}", map.table);
            }
        }
    }

    #[test]
    fn values_are_the_portable_ones() {
        assert_eq!(FILE.portable(0), 1, "O_RDONLY");
        assert_eq!(FILE.portable(0o1101), 2 | 4 | 256, "O_WRONLY|O_CREAT|O_TRUNC");
        assert_eq!(FILE.portable(0o200_0002), 3 | 4096, "O_RDWR|O_CLOEXEC");
        assert_eq!(FILE.portable(0o401_0000) & 0x90, 0x90, "O_SYNC includes O_DSYNC");
        assert_eq!(FILE.portable(0o1_0000) & 0x90, 0x10, "O_DSYNC alone");
        assert_eq!(FILE.portable(0o2020_0002) & 0x2400, 0x2400, "O_TMPFILE includes O_DIRECTORY");
        assert_eq!(FCNTL.portable(1030), 26);
        assert_eq!(FCNTL.portable(0), 1);
        assert_eq!(FCNTL.portable(77), 0);
        assert_eq!(CLONE.portable(0x0120_0011), 0x0180_0000, "glibc's fork");
        assert_eq!(NEW_FD.portable(0), 0);
    }
}
