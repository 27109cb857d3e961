//! Questions that fields and commands ask the state: who, whose parent, which descriptors, how many.

use std::cell::Cell;
use std::net::IpAddr;

use casebook_formats::snapshot::{Interface, MachineInfo};

use super::{Container, Effects, Fd, FdTable, Group, State, Thread, User};

/// Longest walk up the tree of processes: beyond it a loop is certain.
pub(crate) const MAX_ANCESTORS: usize = 1024;

/// Threads of which the places are remembered, by the last bits of their tids.
const SEEN: usize = 256;

/// Where threads were found last, so that most lookups need no hash. A guess: the thread in that place says itself whether
/// it is the one, so nothing has to be forgotten when threads come and go.
#[derive(Clone)]
pub(crate) struct Seen([Cell<u32>; SEEN]);

impl Default for Seen {
    fn default() -> Self {
        Self([const { Cell::new(0) }; SEEN])
    }
}

impl Seen {
    /// Where a thread may be.
    #[inline]
    pub(crate) fn guess(&self, tid: i64) -> u32 {
        self.0[tid as usize % SEEN].get()
    }
}

impl State {
    /// Index of a thread, by its host tid.
    #[inline]
    pub(crate) fn index_of(&self, tid: i64) -> Option<u32> {
        let Seen(seen) = &self.seen;
        let guess = &seen[tid as usize % SEEN];
        if self.threads.get(guess.get()).is_some_and(|thread| thread.tid == tid) {
            return Some(guess.get());
        }
        let index = *self.by_tid.get(&tid)?;
        guess.set(index);
        Some(index)
    }

    /// Thread of the event that `effects` came from.
    #[inline]
    pub fn event_thread(&self, effects: &Effects) -> Option<&Thread> {
        self.threads.get(effects.thread?.0).map(AsRef::as_ref)
    }

    /// Descriptor record of the event that `effects` came from.
    #[inline]
    pub fn event_fd(&self, effects: &Effects) -> Option<&Fd> {
        let (table, number) = effects.record?;
        self.tables.get(table.0)?.table.get(number).map(|fd| self.as_known(fd))
    }

    /// A descriptor as far as it is known: one that is doubtful in a capture with losses is open, and no more.
    #[inline]
    pub(crate) fn as_known<'s>(&'s self, fd: &'s Fd) -> &'s Fd {
        if fd.doubtful && self.losses.any() { &self.texts.some_fd } else { fd }
    }

    /// Container of the event that `effects` came from: the one that a container event describes, also as it goes,
    /// else that of the event's thread; `None` on the host.
    pub fn event_container(&self, effects: &Effects) -> Option<&Container> {
        if effects.describes_container {
            return self.described.as_ref().and_then(|id| self.container(id));
        }
        self.container_of(self.event_thread(effects)?)
    }

    /// Version of what is known of processes, users and containers together; counters and times of processes aside.
    #[inline]
    pub(crate) fn people(&self) -> u64 {
        self.people
    }

    /// A thread by its host tid.
    #[inline]
    pub fn thread(&self, tid: i64) -> Option<&Thread> {
        self.threads.get(self.index_of(tid)?).map(AsRef::as_ref)
    }

    /// All threads by tid.
    pub fn threads(&self) -> Vec<&Thread> {
        let mut all: Vec<&Thread> = self.threads.iter().map(AsRef::as_ref).collect();
        all.sort_unstable_by_key(|thread| thread.tid);
        all
    }

    /// Leader of the thread group, the thread itself if it is one; `None` when the leader is unknown.
    #[inline]
    pub fn main_thread_of<'s>(&'s self, thread: &'s Thread) -> Option<&'s Thread> {
        if thread.is_main() { Some(thread) } else { self.thread(thread.pid) }
    }

    /// Thread that the parent id of this thread names.
    pub fn parent(&self, thread: &Thread) -> Option<&Thread> {
        self.thread(thread.ptid)
    }

    /// Processes above a thread, the parent first: leader, its parent's leader and so on, as `proc.aname[n]` counts.
    pub fn ancestors<'s>(&'s self, thread: &'s Thread) -> Ancestors<'s> {
        Ancestors { state: self, last: self.main_thread_of(thread), first: thread.tid, left: MAX_ANCESTORS }
    }

    /// Session leader (`proc.sname`): the thread with the session's id, else the oldest of an unbroken line of
    /// ancestors in the same session. Inside a pid namespace only the latter, as the id may be one of the namespace.
    pub fn session_leader<'s>(&'s self, thread: &'s Thread) -> Option<&'s Thread> {
        self.oldest_sharing(thread, true, |t| t.sid)
    }

    /// Leader of the process group by its id inside the pid namespace (`proc.vpgid.name`).
    pub fn vpgid_leader<'s>(&'s self, thread: &'s Thread) -> Option<&'s Thread> {
        self.oldest_sharing(thread, true, |t| t.vpgid)
    }

    /// Leader of the process group by its host id (`proc.pgid.name`).
    pub fn pgid_leader<'s>(&'s self, thread: &'s Thread) -> Option<&'s Thread> {
        self.oldest_sharing(thread, false, |t| t.pgid)
    }

    /// The thread whose tid is the shared id; where that is impossible or unknown, the last of the parents that share it
    /// without a gap.
    fn oldest_sharing<'s>(
        &'s self,
        thread: &'s Thread,
        virtual_id: bool,
        id_of: fn(&Thread) -> i64,
    ) -> Option<&'s Thread> {
        let id = id_of(thread);
        if id == -1 {
            return None;
        }
        if (!virtual_id || !thread.in_pid_namespace())
            && let Some(leader) = self.thread(id)
        {
            return Some(leader);
        }
        let mut oldest = None;
        let mut at = self.parent(thread);
        for _ in 0..MAX_ANCESTORS {
            let Some(parent) = at.filter(|parent| id_of(parent) == id) else { break };
            oldest = Some(parent);
            if parent.ptid == parent.tid {
                break;
            }
            at = self.parent(parent);
        }
        oldest
    }

    /// Working directory of the process, with a trailing slash; `None` when its leader is unknown.
    pub fn cwd<'s>(&'s self, thread: &'s Thread) -> Option<&'s [u8]> {
        self.main_thread_of(thread).map(|main| main.cwd.as_ref())
    }

    /// Environment of the process; that of its leader.
    pub fn env<'s>(&'s self, thread: &'s Thread) -> &'s [u8] {
        self.main_thread_of(thread).map_or(&thread.env, |main| &main.env)
    }

    /// Descriptors of the process that the thread belongs to.
    #[inline]
    pub fn fd_table(&self, thread: &Thread) -> Option<&FdTable> {
        let id = self.files_of(thread)?;
        self.tables.get(id.0).map(|entry| entry.table.as_ref())
    }

    /// One descriptor of the process.
    #[inline]
    pub fn fd(&self, thread: &Thread, number: i64) -> Option<&Fd> {
        if number < 0 {
            return None;
        }
        self.fd_table(thread)?.get(number).map(|fd| self.as_known(fd))
    }

    /// `proc.fdopencount`: descriptors open in the process.
    pub fn fd_count(&self, thread: &Thread) -> usize {
        self.main_thread_of(thread).and_then(|main| self.fd_table(main)).map_or(0, FdTable::len)
    }

    /// Events are certainly missing so far: what rests on a complete history is unknown (`doubt`).
    #[inline]
    pub fn has_losses(&self) -> bool {
        self.losses.any()
    }

    /// The capture tells that events are missing here.
    pub fn tell_of_gap(&mut self) {
        self.losses.shown();
    }

    /// Memory of a thread as an event told it; `None` where losses may have left it behind, and of a thread of which only
    /// the number is known.
    pub fn memory<'s>(&self, thread: &'s Thread) -> Option<&'s super::Usage> {
        self.is_current(thread, thread.memory_step).then_some(&thread.usage)
    }

    /// Faults of a thread; otherwise as [`State::memory`].
    pub fn faults<'s>(&self, thread: &'s Thread) -> Option<&'s super::Usage> {
        self.is_current(thread, thread.faults_step).then_some(&thread.usage)
    }

    fn is_current(&self, thread: &Thread, step: u64) -> bool {
        !thread.placeholder && (!self.losses.any() || step == self.steps)
    }

    /// Ticks of processor time (user, system) that the thread spent between two events that tell them, on the second one.
    pub fn ticks_spent(&self, thread: &Thread) -> Option<(u64, u64)> {
        let (spent, step) = thread.ticks_spent?;
        (step == self.steps && !self.losses.any()).then_some(spent)
    }

    /// Time in ns that the thread was on its processor, on the event that takes it away: since the switch before, and
    /// over all, if no switch of it is missing.
    pub fn time_on_processor(&self, thread: &Thread) -> Option<(u64, Option<u64>)> {
        let (last, step) = thread.ran_last?;
        let all = Some(thread.ran).filter(|_| !thread.ran_lost);
        (step == self.steps && !self.losses.any()).then_some((last, all))
    }

    /// When a thread began, ns since the epoch: the first half of its clone. `None` unknown; where events are missing,
    /// one half alone may have been the second.
    pub fn start_of(&self, thread: &Thread) -> Option<u64> {
        let certain = !self.losses.any() || thread.halves == super::thread::Halves::Both;
        Some(thread.clone_ts).filter(|&ts| ts != 0 && certain)
    }

    /// `proc.fdlimit`: limit of the process; -1 unknown.
    pub fn fd_limit(&self, thread: &Thread) -> i64 {
        self.main_thread_of(thread).map_or(-1, |main| main.fdlimit)
    }

    /// `proc.nthreads`: living threads of the process; 0 for a placeholder.
    pub fn thread_count(&self, thread: &Thread) -> usize {
        if thread.linked { self.groups.get(&thread.pid).map_or(0, |group| group.alive) } else { 0 }
    }

    /// `proc.nchilds`: threads of the process besides its leader.
    pub fn other_thread_count(&self, thread: &Thread) -> usize {
        let alive = self.thread_count(thread);
        let leader_alive = self.main_thread_of(thread).is_some_and(|main| !main.dead);
        alive - usize::from(leader_alive && alive > 0)
    }

    /// A user: of the container, `""` being the host. A container has users of its own; where the capture does not
    /// hold them, who a number is stays unknown (Falco's alerts say `<NA>` then, and `root` for 0).
    pub fn user(&self, container_id: &[u8], uid: u32) -> Option<&User> {
        self.users.user(container_id, uid)
    }

    /// A group: of the container, `""` being the host; otherwise as [`State::user`].
    pub fn group(&self, container_id: &[u8], gid: u32) -> Option<&Group> {
        self.users.group(container_id, gid)
    }

    /// A container by the id that `container.id` shows.
    pub fn container(&self, id: &[u8]) -> Option<&Container> {
        self.containers.get(id)
    }

    /// All containers that are known now, by id.
    pub fn containers(&self) -> Vec<&Container> {
        let mut all: Vec<&Container> = self.containers.values().collect();
        all.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// Container of a thread; `None` on the host.
    pub fn container_of(&self, thread: &Thread) -> Option<&Container> {
        if thread.container_id.is_empty() { None } else { self.container(&thread.container_id) }
    }

    /// Users and groups of the host, by number.
    pub(crate) fn host_names(&self) -> (Vec<&User>, Vec<&Group>) {
        self.users.host()
    }

    /// All users and groups, of the host first, then by container id; by number.
    pub fn name_lists(&self) -> Vec<(&[u8], Vec<&User>, Vec<&Group>)> {
        self.users.lists()
    }

    /// A thread as if an event of its own had come that found out nothing: for fields of it between events.
    pub fn as_seen_by(&self, tid: i64) -> Effects {
        let thread = self.by_tid.get(&tid).map(|&index| super::table::ThreadId(index));
        Effects { thread, ..Effects::default() }
    }

    /// An address of one of the machine's interfaces.
    pub fn is_local_address(&self, ip: IpAddr) -> bool {
        self.interfaces.iter().any(|interface| match interface {
            Interface::V4 { addr, .. } => ip == IpAddr::V4(*addr),
            Interface::V6 { addr, .. } => ip == IpAddr::V6(*addr),
        })
    }

    /// Network interfaces of the machine.
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// The machine.
    pub fn machine(&self) -> &MachineInfo {
        &self.machine
    }

    /// Boot time in ns since the epoch; 0 unknown.
    pub fn boot_ts(&self) -> u64 {
        self.machine.boot_ts
    }
}

/// Processes above a thread, the nearest first. Ends at an unknown parent and at a loop.
pub struct Ancestors<'s> {
    state: &'s State,
    last: Option<&'s Thread>,
    first: i64,
    left: usize,
}

impl<'s> Iterator for Ancestors<'s> {
    type Item = &'s Thread;

    fn next(&mut self) -> Option<&'s Thread> {
        let below = self.last?;
        self.left = self.left.checked_sub(1)?;
        let parent = self.state.parent(below)?;
        self.last = self.state.main_thread_of(parent).filter(|main| main.tid != below.tid && main.tid != self.first);
        self.last
    }
}
