//! One thread of the traced system.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::Text;
use super::keep::{keep, keep_choice};
use super::origin::Origin;
use super::table::TableId;

/// A thread as the kernel knew it. Ids of the host namespace unless the name begins with `v`.
///
/// The members stand in memory as they do here: first what is looked at on every event, in one cache line, then what the
/// most frequent calls look at. Sorted by size, as a compiler does, the first would be in five.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // facts of the kernel, independent of each other
#[repr(C)]
pub struct Thread {
    /// Thread id.
    pub tid: i64,
    /// Its own descriptor table. Threads other than the leader use the leader's: ask [`super::State::fd_table`].
    pub(crate) files: Option<TableId>,
    /// Descriptor that its last open gave and that no call has named since, where events are missing; -1 none.
    pub(crate) fresh_fd: i64,
    /// Type of the last enter event of this thread; `u16::MAX` none.
    pub(crate) last_enter: u16,
    /// Its next event has to be looked at closer: it may be bound by a clone, or an enter event waits. It may also be
    /// neither any more.
    pub(crate) wary: bool,
    /// Only the id is known: events named a thread that nothing introduced. comm and exe are `<NA>`, as in libs.
    pub placeholder: bool,
    /// Registered with its thread group and its parent (everything but a placeholder).
    pub(crate) linked: bool,
    /// Exited; removed when the next event is applied (a leader only when its last thread goes).
    pub dead: bool,
    /// Runs its parent's program: it came from a clone that was seen, and has executed nothing since.
    pub(crate) program_inherited: bool,
    /// What its program did that programs do once, when they start.
    pub(crate) startup: Startup,
    /// `clone_flags` and private bits ([`super::flags`]).
    pub flags: u32,
    /// Memory and faults.
    pub usage: Usage,
    /// Step of the state at which an event told the memory in `usage`.
    pub(crate) memory_step: u64,
    /// Thread group leader; -1 in a placeholder.
    pub pid: i64,
    /// Changes whenever anything below changes, except the memory and fault counters of [`Thread::usage`].
    pub version: u64,
    /// Parent's tid; 0 or -1 unknown. After the parent's exit it is the reaper.
    pub ptid: i64,
    /// Parent before a reaper took over, with its comm: the last parent that this capture knew.
    pub former_parent: Option<(i64, Text)>,
    /// Who takes the children when this thread exits, where an exit event said so; 0 and -1 unknown.
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
    /// Name that the thread gave itself with `prctl(PR_SET_NAME)` since. libs, and with it `proc.name`, keeps the name
    /// of the last exec or clone, so that a process cannot rename itself out of a rule; this is the other one.
    pub set_name: Option<Text>,
    /// `argv[0]` as given.
    pub exe: Text,
    /// Resolved path of the executable.
    pub exepath: Text,
    /// `argv[1..]`, each NUL-terminated.
    pub args: Text,
    /// Environment, each NUL-terminated. Threads other than the leader have none of their own: ask
    /// [`super::State::main_thread_of`].
    pub env: Text,
    /// Working directory with trailing slash. Threads other than the leader have none of their own: ask
    /// [`super::State::cwd`].
    pub cwd: Text,
    /// Root directory.
    pub root: Text,
    /// `subsystem=path`, each NUL-terminated.
    pub cgroups: Text,
    /// Container id as `container.id` shows it (12 characters for hexadecimal ids); empty on the host.
    pub container_id: Text,
    /// Descriptor limit; -1 unknown.
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
    /// Time from the inode's change to the clone, ns, as found at the exec; 0 unknown.
    pub exe_ino_ctime_to_clone: u64,
    /// Time from the start of the pid namespace to the inode's change, ns, as found at the exec; 0 unknown.
    pub exe_ino_ctime_after_pidns: u64,
    /// Step of the state at which an event told the faults in `usage`.
    pub(crate) faults_step: u64,
    /// Processor time in ticks (user, system) as of the last event that told it, and how much more that was than the
    /// one before.
    pub(crate) ticks: Option<(u64, u64)>,
    /// See `ticks`; with the step of the state at which it was found.
    pub(crate) ticks_spent: Option<((u64, u64), u64)>,
    /// Time on a processor, in ns, over all switches seen; and of the last one, with the step of the state at it.
    pub(crate) ran: u64,
    /// See `ran`.
    pub(crate) ran_last: Option<(u64, u64)>,
    /// Step of the state at which its program began or was inherited; 0 before the capture.
    pub(crate) image_step: u64,
    /// Child whose half of the clone came first: this thread's half has to be its next event. 0 none.
    pub(crate) awaited: i64,
    /// Time of the clone that made it, in ns; 0 unknown.
    pub clone_ts: u64,
    /// Time of its last exec, in ns; 0 unknown. A new thread has that of its process.
    pub lastexec_ts: u64,
    /// Start of the pid namespace's init, in ns since the epoch; 0 unknown.
    pub pidns_init_start_ts: u64,
    /// Numbers under which a shell keeps its standard streams while others stand in their place, where events are
    /// missing; -1 none.
    pub(crate) saved_streams: [i64; 3],
    /// How it, or an ancestor of it, came into its container; `None` on the host, and where that is to be found out by
    /// [`super::State::origin_of`].
    pub(crate) origin: Option<Origin>,
    /// Children by tid (threads of the same process are their parent's children too, as in `/proc`).
    pub(crate) children: BTreeSet<i64>,
    /// Key among the threads of its process; 0 is the leader's.
    pub(crate) place: u64,
    /// The enter event that is still waiting for its exit.
    pub(crate) enter: Option<Box<super::enter::Enter>>,
    /// User id; `None` unknown.
    pub uid: Option<u32>,
    /// Group id; `None` unknown.
    pub gid: Option<u32>,
    /// Audit login uid; `u32::MAX` unset or unknown.
    pub loginuid: u32,
    /// Controlling terminal; 0 none.
    pub tty: u32,
    /// Its halves of clones whose children's are still to come, where only the child's tells the child's number.
    pub(crate) owed: u32,
    /// How many parents it has lost so far.
    pub(crate) parents_lost: u16,
    /// What of its clone was seen.
    pub(crate) halves: Halves,
    /// Executable writable by its user.
    pub exe_writable: bool,
    /// Executable on the upper layer of an overlay.
    pub exe_upper_layer: bool,
    /// Executable on the lower layer of an overlay.
    pub exe_lower_layer: bool,
    /// Executable is a memfd.
    pub exe_from_memfd: bool,
    /// A switch of it is missing: `ran` is too little.
    pub(crate) ran_lost: bool,
    /// An exec of it was lost: which program it runs is not known, except for what a later event told. comm and exe
    /// are `<NA>` until then.
    pub program_lost: bool,
    /// An exec of it was lost, and no event has told its capabilities since.
    pub caps_lost: bool,
}

keep!(Thread {
    version,
    tid,
    pid,
    ptid,
    former_parent,
    parents_lost,
    reaper_tid,
    sid,
    pgid,
    vpgid,
    vtid,
    vpid,
    comm,
    set_name,
    exe,
    exepath,
    args,
    env,
    cwd,
    root,
    cgroups,
    container_id,
    uid,
    gid,
    loginuid,
    tty,
    flags,
    fdlimit,
    cap_permitted,
    cap_effective,
    cap_inheritable,
    exe_ino,
    exe_ino_ctime,
    exe_ino_mtime,
    exe_ino_ctime_to_clone,
    exe_ino_ctime_after_pidns,
    exe_writable,
    exe_upper_layer,
    exe_lower_layer,
    exe_from_memfd,
    usage,
    memory_step,
    faults_step,
    ticks,
    ticks_spent,
    ran,
    ran_lost,
    ran_last,
    image_step,
    halves,
    awaited,
    owed,
    clone_ts,
    lastexec_ts,
    pidns_init_start_ts,
    program_lost,
    caps_lost,
    startup,
    fresh_fd,
    saved_streams,
    program_inherited,
    origin,
    dead,
    placeholder,
    files,
    linked,
    children,
    place,
    enter,
    last_enter,
} else {
    // Found out again.
    wary: true,
});

/// What was seen of the clone that made a thread. The call returns twice, in either order, and each of the two threads
/// does nothing else before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Halves {
    /// Both, or the thread was there before the capture began.
    Both,
    /// The parent's; the thread's own has to be its first event.
    Parents,
    /// The child's; its parent's has to be that one's next event.
    Childs,
    /// One is certainly lost, and it may have been the first.
    OneLost,
}

keep_choice!(Halves { Both, Parents, Childs, OneLost });

/// Memory in KiB and page faults. Changed by very frequent events, hence outside [`Thread::version`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
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
}

keep!(Usage { vm_size, vm_rss, vm_swap, pf_major, pf_minor });

/// What a program does at its start and never again: a second time is another program's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Startup {
    /// Questions where the heap begins; the C libraries ask once or twice.
    pub(crate) heap_asked: u8,
    /// The loader looked for libraries to load before all others.
    pub(crate) preload_asked: bool,
    /// `set_tid_address`.
    pub(crate) tid_address_set: bool,
}

keep!(Startup { heap_asked, preload_asked, tid_address_set });

impl Thread {
    /// A thread of which nothing is known but its id.
    pub(crate) fn new(tid: i64, empty: &Text) -> Box<Self> {
        let text = || Rc::clone(empty);
        Box::new(Self {
            version: 0,
            tid,
            pid: -1,
            ptid: -1,
            former_parent: None,
            parents_lost: 0,
            reaper_tid: -1,
            sid: -1,
            pgid: -1,
            vpgid: -1,
            vtid: -1,
            vpid: -1,
            comm: text(),
            set_name: None,
            exe: text(),
            exepath: text(),
            args: text(),
            env: text(),
            cwd: text(),
            root: text(),
            cgroups: text(),
            container_id: text(),
            uid: None,
            gid: None,
            loginuid: u32::MAX,
            tty: 0,
            flags: super::flags::NAME_CHANGED,
            fdlimit: -1,
            cap_permitted: 0,
            cap_effective: 0,
            cap_inheritable: 0,
            exe_ino: 0,
            exe_ino_ctime: 0,
            exe_ino_mtime: 0,
            exe_ino_ctime_to_clone: 0,
            exe_ino_ctime_after_pidns: 0,
            exe_writable: false,
            exe_upper_layer: false,
            exe_lower_layer: false,
            exe_from_memfd: false,
            usage: Usage::default(),
            memory_step: 0,
            faults_step: 0,
            ticks: None,
            ticks_spent: None,
            ran: 0,
            ran_lost: false,
            ran_last: None,
            image_step: 0,
            halves: Halves::Both,
            awaited: 0,
            owed: 0,
            clone_ts: 0,
            lastexec_ts: 0,
            pidns_init_start_ts: 0,
            program_lost: false,
            caps_lost: false,
            startup: Startup::default(),
            fresh_fd: -1,
            saved_streams: [-1; 3],
            program_inherited: false,
            origin: None,
            dead: false,
            placeholder: false,
            files: None,
            linked: false,
            children: BTreeSet::new(),
            place: 0,
            wary: false,
            enter: None,
            last_enter: u16::MAX,
        })
    }

    /// One half of its clone is lost, and it may have been the first: nobody knows when it began.
    pub(crate) fn half_lost(&mut self) {
        self.halves = Halves::OneLost;
        self.clone_ts = 0;
    }

    /// What it does next is bound by a clone: [`super::State::check_order`].
    #[inline]
    pub(crate) fn is_bound(&self) -> bool {
        self.halves == Halves::Parents || self.awaited != 0
    }

    /// Not enough is known to place it in the tree.
    pub(crate) fn is_invalid(&self) -> bool {
        self.tid < 0 || self.pid < 0 || self.ptid < 0
    }

    /// Leader of its thread group (`thread.ismain`).
    pub fn is_main(&self) -> bool {
        self.tid == self.pid
    }

    /// In a pid namespace other than the initial one, as far as the ids tell.
    pub fn in_pid_namespace(&self) -> bool {
        self.flags & super::flags::CHILD_IN_PIDNS != 0 || (self.vtid >= 0 && self.tid != self.vtid)
    }
}
