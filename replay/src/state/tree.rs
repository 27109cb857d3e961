//! The tree of threads: groups, parents and children, and who takes the orphans.

use std::collections::VecDeque;
use std::rc::Rc;

use casebook_formats::ledger::{Counter, Ledger};

use super::keep::{Keep, Keeper, Malformed, Taker, keep};
use super::limits::{MAX_PARENTS, MAX_THREADS, MAX_THREADS_SEARCHED, RECENT_EXITS, STALE_AFTER};
use super::table::ThreadId;
use super::{State, Thread};

/// A thread that exited a moment ago.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecentExit {
    tid: i64,
    ptid: i64,
    ts: u64,
}

keep!(RecentExit { tid, ptid, ts });

/// Groups of tids in which recent exits are counted.
const TID_GROUPS: usize = 2048;

/// The last exits, and how many there are in each group of tids, so that most questions need no search.
#[derive(Clone, Debug)]
pub(crate) struct RecentExits {
    exits: VecDeque<RecentExit>,
    counts: Box<[u32]>,
}

impl Default for RecentExits {
    fn default() -> Self {
        Self { exits: VecDeque::new(), counts: vec![0; TID_GROUPS].into() }
    }
}

impl Keep for RecentExits {
    fn keep(&self, to: &mut Keeper) {
        self.exits.keep(to);
    }

    fn take(from: &mut Taker<'_>) -> Result<Self, Malformed> {
        let mut recent = Self::default();
        for exit in VecDeque::<RecentExit>::take(from)? {
            recent.push(exit);
        }
        Ok(recent)
    }

    fn layout(to: &mut String) {
        VecDeque::<RecentExit>::layout(to);
    }
}

impl RecentExits {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.exits.len()
    }

    fn push(&mut self, exit: RecentExit) {
        if self.exits.len() >= RECENT_EXITS
            && let Some(oldest) = self.exits.pop_front()
        {
            self.counts[oldest.tid as usize % TID_GROUPS] -= 1;
        }
        self.exits.push_back(exit);
        self.counts[exit.tid as usize % TID_GROUPS] += 1;
    }

    fn of(&self, tid: i64) -> impl Iterator<Item = &RecentExit> {
        let any = self.counts[tid as usize % TID_GROUPS] != 0;
        self.exits.iter().take(if any { RECENT_EXITS } else { 0 }).filter(move |exit| exit.tid == tid)
    }
}

impl State {
    /// The thread for changing it; it counts as changed.
    #[inline]
    pub(crate) fn change(&mut self, id: ThreadId) -> Option<&mut Thread> {
        self.changes += 1;
        self.people += 1;
        let thread = self.threads.get_mut(id.0)?;
        thread.version = self.changes;
        Some(thread)
    }

    pub(crate) fn id_of(&self, tid: i64) -> Option<ThreadId> {
        self.index_of(tid).map(ThreadId)
    }

    /// Leader of a thread's group.
    pub(crate) fn main_id_of(&self, id: ThreadId) -> Option<ThreadId> {
        let thread = self.threads.get(id.0)?;
        if thread.is_main() { Some(id) } else { self.id_of(thread.pid) }
    }

    /// Thread of an event; one that nothing introduced gets a placeholder, as in libs.
    pub(crate) fn known_or_placeholder(&mut self, tid: i64, ledger: &mut Ledger) -> Option<ThreadId> {
        if let Some(id) = self.id_of(tid) {
            return Some(id);
        }
        if tid < 0 {
            return None;
        }
        ledger.count(Counter::UnknownThreads);
        self.add_placeholder(tid, ledger)
    }

    /// A thread of which only the id is known.
    pub(crate) fn add_placeholder(&mut self, tid: i64, ledger: &mut Ledger) -> Option<ThreadId> {
        let mut thread = Thread::new(tid, &self.texts.empty);
        thread.comm = Rc::clone(&self.texts.unknown);
        thread.exe = Rc::clone(&self.texts.unknown);
        thread.placeholder = true;
        self.add_thread(thread, ledger)
    }

    /// Puts a thread into the table, in place of one with the same tid. It still has to be linked.
    pub(crate) fn add_thread(&mut self, mut thread: Box<Thread>, ledger: &mut Ledger) -> Option<ThreadId> {
        if self.by_tid.contains_key(&thread.tid) {
            self.remove_thread(thread.tid);
            self.forget_leader(thread.tid);
        }
        if self.threads.len() >= MAX_THREADS {
            ledger.count(Counter::StateLimit);
            if let Some(table) = thread.files.take() {
                self.release_table(table);
            }
            return None;
        }
        self.changes += 1;
        self.people += 1;
        thread.version = self.changes;
        let tid = thread.tid;
        let index = self.threads.insert(thread);
        self.by_tid.insert(tid, index);
        Some(ThreadId(index))
    }

    /// Makes a thread part of its group and a child of its parent. Placeholders and threads that are linked already
    /// stay as they are. A parent that is unknown leaves 0 as the parent.
    pub(crate) fn link(&mut self, id: ThreadId) {
        self.people += 1;
        let Some(thread) = self.threads.get_mut(id.0) else { return };
        if thread.linked || thread.is_invalid() {
            return;
        }
        thread.linked = true;
        thread.placeholder = false;
        let (tid, pid, ptid, dead) = (thread.tid, thread.pid, thread.ptid, thread.dead);
        let is_init = pid == 1 || thread.vpid == 1;
        let group = self.groups.entry(pid).or_default();
        group.reaper |= is_init;
        if !dead {
            group.alive += 1;
        }
        let place = group.join(tid, tid == pid);
        if let Some(thread) = self.threads.get_mut(id.0) {
            thread.place = place;
        }
        if pid == 1 {
            return;
        }
        let parent = self.id_of(ptid).filter(|&parent| parent != id);
        match parent.and_then(|parent| self.threads.get_mut(parent.0)).filter(|parent| !parent.is_invalid()) {
            Some(parent) => {
                parent.children.insert(tid);
            }
            None => {
                if let Some(thread) = self.change(id) {
                    thread.ptid = 0;
                }
            }
        }
    }

    /// Takes a thread out, as at its exit: its children go to a reaper, and its process goes with its last thread.
    /// The leader stays until then.
    pub(crate) fn remove_thread(&mut self, tid: i64) {
        let Some(id) = self.id_of(tid) else { return };
        let Some(thread) = self.threads.get_mut(id.0) else { return };
        let (pid, ptid, place, linked, was_dead) = (thread.pid, thread.ptid, thread.place, thread.linked, thread.dead);
        thread.dead = true;
        if !linked {
            self.leave_parent(tid, ptid);
            self.drop_thread(tid);
            return;
        }
        if !was_dead && let Some(group) = self.groups.get_mut(&pid) {
            group.alive = group.alive.saturating_sub(1);
        }
        self.hand_over_children(id);
        let alive = self.groups.get(&pid).map_or(0, |group| group.alive);
        if alive == 0 {
            let tids = self.groups.remove(&pid).map(|group| group.tids).unwrap_or_default();
            for member in tids.into_values() {
                if let Some(member_ptid) = self.thread(member).map(|t| t.ptid) {
                    self.leave_parent(member, member_ptid);
                    self.drop_thread(member);
                }
            }
        } else if tid != pid {
            if let Some(group) = self.groups.get_mut(&pid) {
                group.leave(place, tid);
            }
            self.leave_parent(tid, ptid);
            self.drop_thread(tid);
        }
    }

    /// Takes out a dead leader that stayed for the sake of its threads: its tid has a new owner.
    fn forget_leader(&mut self, tid: i64) {
        let Some((pid, ptid, place)) = self.thread(tid).map(|thread| (thread.pid, thread.ptid, thread.place)) else {
            return;
        };
        if let Some(group) = self.groups.get_mut(&pid) {
            group.leave(place, tid);
        }
        self.leave_parent(tid, ptid);
        self.drop_thread(tid);
    }

    /// Makes a thread a member of no group and nobody's child, so that it can be linked anew: an exec gave it another
    /// process id. No kernel does this, but a damaged capture may say so.
    pub(crate) fn unlink(&mut self, id: ThreadId) {
        let Some(thread) = self.threads.get_mut(id.0).filter(|thread| thread.linked) else { return };
        thread.linked = false;
        let (tid, pid, ptid, place, dead) = (thread.tid, thread.pid, thread.ptid, thread.place, thread.dead);
        if let Some(group) = self.groups.get_mut(&pid) {
            group.leave(place, tid);
            group.alive = group.alive.saturating_sub(usize::from(!dead));
            if group.tids.is_empty() {
                self.groups.remove(&pid);
            }
        }
        self.leave_parent(tid, ptid);
    }

    /// Gives a thread the parent that an event told.
    pub(crate) fn adopt(&mut self, id: ThreadId, ptid: i64) {
        let Some((tid, old)) = self.threads.get(id.0).map(|thread| (thread.tid, thread.ptid)) else { return };
        self.leave_parent(tid, old);
        let parent = self.id_of(ptid).filter(|&parent| parent != id);
        let known = parent.and_then(|parent| self.threads.get_mut(parent.0)).filter(|parent| !parent.is_invalid());
        let ptid = known.map_or(0, |parent| {
            parent.children.insert(tid);
            parent.tid
        });
        if let Some(thread) = self.change(id) {
            thread.ptid = ptid;
        }
    }

    fn leave_parent(&mut self, tid: i64, ptid: i64) {
        if let Some(parent) = self.id_of(ptid).and_then(|id| self.threads.get_mut(id.0)) {
            parent.children.remove(&tid);
        }
    }

    fn drop_thread(&mut self, tid: i64) {
        self.people += 1;
        let Some(index) = self.by_tid.remove(&tid) else { return };
        if let Some(table) = self.threads.remove(index).and_then(|thread| thread.files) {
            self.release_table(table);
        }
    }

    fn hand_over_children(&mut self, id: ThreadId) {
        let Some(thread) = self.threads.get_mut(id.0) else { return };
        if thread.children.is_empty() {
            return;
        }
        let children = std::mem::take(&mut thread.children);
        let (tid, pid, told) = (thread.tid, thread.pid, thread.reaper_tid);
        let reaper = self.reaper_of(id, told);
        let reaper_tid = reaper.and_then(|id| self.threads.get(id.0)).map(|reaper| (reaper.tid, reaper.pid));
        if let Some((_, reaper_pid)) = reaper_tid
            && reaper_pid != pid
            && let Some(group) = self.groups.get_mut(&reaper_pid)
        {
            group.reaper = true;
        }
        let comm = self.main_id_of(id).and_then(|main| self.threads.get(main.0)).map(|main| Rc::clone(&main.comm));
        let new_ptid = reaper_tid.map_or(0, |(tid, _)| tid);
        for child in children {
            let Some(child_id) = self.id_of(child) else { continue };
            let Some(orphan) = self.change(child_id).filter(|orphan| orphan.ptid == tid) else { continue };
            orphan.parents_lost = orphan.parents_lost.saturating_add(1);
            let is_taken = orphan.parents_lost <= MAX_PARENTS;
            orphan.ptid = if is_taken { new_ptid } else { 0 };
            // Orphans of a thread whose process lives on have not lost their parent process.
            if reaper_tid.is_none_or(|(_, reaper_pid)| reaper_pid != pid) && orphan.former_parent.is_none() {
                orphan.former_parent = comm.clone().map(|comm| (pid, comm));
            }
            if !is_taken {
                self.parents_given_up += 1;
            } else if let Some(reaper) = reaper.and_then(|id| self.threads.get_mut(id.0)) {
                reaper.children.insert(child);
            }
        }
    }

    /// Who takes the children of a dying thread: whom the kernel named, else as the kernel would choose.
    fn reaper_of(&self, id: ThreadId, told: i64) -> Option<ThreadId> {
        if told > 0
            && let Some(reaper) = self.id_of(told)
            && reaper != id
            && self.threads.get(reaper.0).is_some_and(|thread| !thread.is_invalid())
        {
            return Some(reaper);
        }
        let thread = self.threads.get(id.0)?;
        if let Some(sibling) = self.living_member(thread.pid, thread.tid) {
            return Some(sibling);
        }
        let inside = thread.in_pid_namespace();
        let mut at = self.parent(thread);
        for _ in 0..super::lookup::MAX_ANCESTORS {
            let ancestor = at.filter(|ancestor| ancestor.tid != thread.tid && ancestor.in_pid_namespace() == inside)?;
            if self.groups.get(&ancestor.pid).is_some_and(|group| group.reaper)
                && let Some(member) = self.living_member(ancestor.pid, thread.tid)
            {
                return Some(member);
            }
            at = self.parent(ancestor);
        }
        None
    }

    fn living_member(&self, pid: i64, except: i64) -> Option<ThreadId> {
        let group = self.groups.get(&pid).filter(|group| group.alive > 0)?;
        group.tids.values().take(MAX_THREADS_SEARCHED).filter(|&&tid| tid != except).find_map(|&tid| {
            let id = self.id_of(tid)?;
            self.threads.get(id.0).filter(|thread| !thread.dead).map(|_| id)
        })
    }

    pub(crate) fn remember_exit(&mut self, tid: i64, ptid: i64, ts: u64) {
        self.recent_exits.push(RecentExit { tid, ptid, ts });
    }

    /// The thread exited just now: a clone event that names it comes late and must not bring it back.
    pub(crate) fn exited_just_now(&self, tid: i64, ptid: i64, ts: u64) -> bool {
        let is_it = |exit: &RecentExit| exit.ptid == ptid && ts >= exit.ts && ts - exit.ts < STALE_AFTER;
        self.recent_exits.of(tid).any(is_it)
    }
}
