//! Flag values that the state itself looks at; the complete tables are in `casebook_formats::tables`.
//!
//! Names as in the format (`scap-flags.tsv`), grouped by the table they belong to. Bits that only live in memory
//! are marked so.

/// `CLONE_FILES`: shares its descriptor table.
pub const CLONE_FILES: u32 = 1;
/// `CLONE_NEWPID`: first process of a new pid namespace.
pub const CLONE_NEWPID: u32 = 1 << 6;
/// `CLONE_PARENT`: sibling instead of child.
pub const CLONE_PARENT: u32 = 1 << 8;
/// `CLONE_THREAD`: thread of the same process.
pub const CLONE_THREAD: u32 = 1 << 13;
/// `CLONE_INVERTED` (memory): the child's half came first and made the thread.
pub const CLONE_INVERTED: u32 = 1 << 16;
/// `NAME_CHANGED` (memory): executed since.
pub const NAME_CHANGED: u32 = 1 << 17;
/// `CLOSED` (memory): exited.
pub const CLOSED: u32 = 1 << 18;
/// `ACTIVE` (memory): seen in an event.
pub const ACTIVE: u32 = 1 << 19;
/// `CLONE_NEWUSER`: new user namespace.
pub const CLONE_NEWUSER: u32 = 1 << 20;
/// `PIPE_SRC` (memory): its standard output was redirected by a dup.
pub const PIPE_SRC: u32 = 1 << 21;
/// `PIPE_DST` (memory): its standard input was redirected by a dup.
pub const PIPE_DST: u32 = 1 << 22;
/// `CLONE_VFORK`: the parent sleeps until the child executes or exits.
pub const CLONE_VFORK: u32 = 1 << 27;
/// `CLONE_CHILD_IN_PIDNS`: the child is not in the initial pid namespace, so the parent's result is not a host tid.
pub const CHILD_IN_PIDNS: u32 = 1 << 29;

/// `O_RDONLY`: may be read; set with `O_WRONLY` for both.
pub const O_RDONLY: u32 = 1;
/// `O_WRONLY`: may be written.
pub const O_WRONLY: u32 = 2;
/// `O_DIRECTORY`.
pub const O_DIRECTORY: u32 = 1 << 10;
/// `O_CLOEXEC`.
pub const O_CLOEXEC: u32 = 1 << 12;
/// `O_F_CREATED`: the open created the file; this bit and all above it are found out by the recorder at the exit.
pub const O_F_CREATED: u32 = 1 << 14;
/// `FD_UPPER_LAYER`.
pub const FD_UPPER_LAYER: u32 = 1 << 15;
/// `FD_LOWER_LAYER`.
pub const FD_LOWER_LAYER: u32 = 1 << 16;

/// `EXE_WRITABLE` of `execve_flags`.
pub const EXE_WRITABLE: u32 = 1;
/// `EXE_UPPER_LAYER` of `execve_flags`.
pub const EXE_UPPER_LAYER: u32 = 2;
/// `EXE_FROM_MEMFD` of `execve_flags`.
pub const EXE_FROM_MEMFD: u32 = 4;
/// `EXE_LOWER_LAYER` of `execve_flags`.
pub const EXE_LOWER_LAYER: u32 = 8;

/// `AT_FDCWD` as the format stores it.
pub const AT_FDCWD: i64 = -100;
/// `AT_EMPTY_PATH` of `execveat_flags`.
pub const AT_EMPTY_PATH: u32 = 1;

/// `AF_UNIX`.
pub const AF_UNIX: u8 = 1;
/// `AF_INET`.
pub const AF_INET: u8 = 2;
/// `AF_INET6`.
pub const AF_INET6: u8 = 10;
/// `AF_NETLINK`.
pub const AF_NETLINK: u8 = 16;

/// `fd.l4proto`: unknown.
pub const L4_UNKNOWN: u8 = 0;
/// `fd.l4proto`: not an internet socket.
pub const L4_NA: u8 = 1;
/// `fd.l4proto`: tcp.
pub const L4_TCP: u8 = 2;
/// `fd.l4proto`: udp.
pub const L4_UDP: u8 = 3;
/// `fd.l4proto`: icmp.
pub const L4_ICMP: u8 = 4;
/// `fd.l4proto`: raw.
pub const L4_RAW: u8 = 5;
