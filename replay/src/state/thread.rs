//! One thread of the traced system.

use super::Text;

/// A thread as the kernel knew it. Ids of the host namespace unless the name begins with `v`.
#[derive(Clone, Debug)]
pub struct Thread {
    /// Changes whenever anything below changes.
    pub version: u64,
    /// Thread id.
    pub tid: i64,
    /// Thread group leader.
    pub pid: i64,
    /// Parent's tid; -1 unknown.
    pub ptid: i64,
    /// Who takes the children when this thread exits, where an exit event said so.
    pub reaper_tid: i64,
    /// Session; -1 unknown.
    pub sid: i64,
    /// Process group; -1 unknown.
    pub pgid: i64,
    /// Process group inside the pid namespace; -1 unknown.
    pub vpgid: i64,
    /// Thread id inside the pid namespace; -1 unknown.
    pub vtid: i64,
    /// Process id inside the pid namespace; -1 unknown.
    pub vpid: i64,
    /// Kernel comm.
    pub comm: Text,
    /// `argv[0]` as given.
    pub exe: Text,
    /// Resolved path of the executable.
    pub exepath: Text,
    /// `argv[1..]`, each NUL-terminated.
    pub args: Text,
    /// Environment, each NUL-terminated.
    pub env: Text,
    /// Working directory with trailing slash.
    pub cwd: Text,
    /// Root directory.
    pub root: Text,
    /// `subsystem=path`, each NUL-terminated.
    pub cgroups: Text,
    /// Container id as `container.id` shows it; empty on the host.
    pub container_id: Text,
    /// User id; `None` unknown.
    pub uid: Option<u32>,
    /// Group id; `None` unknown.
    pub gid: Option<u32>,
    /// Audit login uid; `u32::MAX` unset.
    pub loginuid: u32,
    /// Controlling terminal; 0 none.
    pub tty: u32,
    /// `clone_flags` and private bits.
    pub flags: u32,
    /// Descriptor limit.
    pub fdlimit: i64,
    /// Permitted capabilities.
    pub cap_permitted: u64,
    /// Effective capabilities.
    pub cap_effective: u64,
    /// Inheritable capabilities.
    pub cap_inheritable: u64,
    /// Inode of the executable; 0 unknown.
    pub exe_ino: u64,
    /// Change time of that inode in ns; 0 unknown.
    pub exe_ino_ctime: u64,
    /// Modification time of that inode in ns; 0 unknown.
    pub exe_ino_mtime: u64,
    /// Executable writable by its user.
    pub exe_writable: bool,
    /// Executable on the upper layer of an overlay.
    pub exe_upper_layer: bool,
    /// Executable on the lower layer of an overlay.
    pub exe_lower_layer: bool,
    /// Executable is a memfd.
    pub exe_from_memfd: bool,
    /// Virtual memory in KiB.
    pub vm_size: u64,
    /// Resident memory in KiB.
    pub vm_rss: u64,
    /// Swapped memory in KiB.
    pub vm_swap: u64,
    /// Major faults.
    pub pf_major: u64,
    /// Minor faults.
    pub pf_minor: u64,
    /// Time of the clone that made it, in ns; 0 unknown.
    pub clone_ts: u64,
    /// Start of the pid namespace's init, in ns; 0 unknown.
    pub pidns_init_start_ts: u64,
    /// Exited; removed when the next event is applied (or kept while children refer to it).
    pub dead: bool,
}
