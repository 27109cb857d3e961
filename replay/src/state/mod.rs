//! What the kernel knew: threads, descriptors, users, interfaces, containers, rebuilt event by event.
//!
//! Seeded by the snapshots of a section, kept by [`State::apply`]. Tables are indexed by number; texts are shared;
//! every thread, descriptor and container carries a version that changes with it, so that whoever caches a fact
//! about it (compiled predicates, command lines) knows when to look again.
//!
//! The transitions follow Falco libs' parsers, so that rules see here what they see there; where libs forgets what
//! the capture holds, it is kept, and where libs makes a value up, it stays unknown. Where an event proves that
//! another one was lost, what it proves wrong becomes unknown (`handlers/lost.rs`).
//!
//! **What is forgotten when.** Memory follows what lives, not what happened. The event after its exit removes a
//! thread (rules on the exit still see it); a leader waits for the last thread of its process, as its threads refer to
//! it. A thread whose exit was lost goes when its number is used again. A descriptor goes with the event after its
//! close, or when its number is opened again, and a table with its last owner. Of the dead remain the last
//! [`limits::RECENT_EXITS`] exits (numbers and times) and, with each orphan, id and name of the parent it had. A
//! container stays until its removal was reported and its place is needed. Texts that child and parent have in common,
//! and descriptor tables until one of them changes, exist once.

// pid, ptid, tid, vtid, sid: the kernel's names for what this module is about.
#![allow(clippy::similar_names)]

mod address;
mod cgroup;
mod check;
pub mod container;
mod container_json;
pub mod doubt;
pub mod effects;
mod enter;
pub mod fd;
mod fd_table;
mod files;
pub mod flags;
mod handlers;
pub(crate) mod keep;
pub mod limits;
pub mod lookup;
pub mod origin;
pub(crate) mod path;
mod paths;
mod seed;
mod step;
pub mod table;
pub mod thread;
mod tree;
pub mod user;
mod weight;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;

use casebook_formats::event::Event;
use casebook_formats::ledger::{Counter, Ledger};
use casebook_formats::snapshot::{Interface, MachineInfo};
use foldhash::fast::RandomState;

use crate::audit::join::Requests;
pub use container::{Container, ContainerKind, Mount, Probe};
pub use effects::Effects;
pub use fd::{Fd, FdKind, Tuple};
pub use fd_table::FdTable;
use keep::keep;
pub use lookup::Ancestors;
pub(crate) use step::is_idle;
use table::{Slots, TableId};
pub use thread::{Thread, Usage};
pub use user::{Group, User};

/// Shared byte string: names and paths of a capture are bytes, not UTF-8.
pub type Text = Rc<[u8]>;

/// Map keyed by small numbers of the capture itself; order never shows.
pub(crate) type Map<K, V> = HashMap<K, V, RandomState>;

/// A descriptor table and how many processes share it.
#[derive(Clone, Debug)]
pub(crate) struct SharedTable {
    pub(crate) table: Rc<FdTable>,
    pub(crate) owners: u32,
}

keep!(SharedTable { table, owners });

/// Threads of one process.
#[derive(Clone, Debug, Default)]
pub(crate) struct ThreadGroup {
    /// Living threads.
    pub(crate) alive: usize,
    /// Tids in the order in which they came, the leader first ([`Thread::place`]). Ordered by a key, so that a thread of
    /// a very large process leaves without a search.
    pub(crate) tids: BTreeMap<u64, i64>,
    /// Place of the next thread.
    pub(crate) next_place: u64,
    /// Takes orphans: init of a namespace, or a subreaper.
    pub(crate) reaper: bool,
}

keep!(ThreadGroup { alive, tids, next_place, reaper });

impl ThreadGroup {
    /// Takes a thread in and tells its place; the leader's is the first.
    pub(crate) fn join(&mut self, tid: i64, is_leader: bool) -> u64 {
        let place = if is_leader {
            0
        } else {
            self.next_place += 1;
            self.next_place
        };
        self.tids.insert(place, tid);
        place
    }

    /// Lets a thread go.
    pub(crate) fn leave(&mut self, place: u64, tid: i64) {
        if self.tids.get(&place) == Some(&tid) {
            self.tids.remove(&place);
        }
    }
}

/// Texts that many objects share.
#[derive(Clone, Debug)]
pub(crate) struct Texts {
    /// Nothing.
    pub(crate) empty: Text,
    /// comm and exe of placeholders.
    pub(crate) unknown: Text,
    /// A descriptor of which nothing is known but that it is open.
    pub(crate) some_fd: Rc<Fd>,
}

keep!(Texts { empty, unknown, some_fd });

impl Default for Texts {
    fn default() -> Self {
        let empty: Text = Rc::from([].as_slice());
        let some_fd = Rc::new(Fd::new(FdKind::Unknown, &empty));
        Self { empty, unknown: Rc::from(b"<NA>".as_slice()), some_fd }
    }
}

/// System state at one moment of a capture.
#[derive(Clone, Default)]
pub struct State {
    pub(crate) machine: MachineInfo,
    pub(crate) interfaces: Vec<Interface>,
    /// Boxed, as they are large and move a lot before they are in their place.
    pub(crate) threads: Slots<Box<Thread>>,
    pub(crate) by_tid: Map<i64, u32>,
    /// Where threads were found last.
    pub(crate) seen: lookup::Seen,
    pub(crate) groups: Map<i64, ThreadGroup>,
    pub(crate) tables: Slots<SharedTable>,
    /// Descriptors in all of `tables`.
    pub(crate) open_fds: usize,
    pub(crate) users: user::Users,
    pub(crate) containers: Map<Text, Container>,
    /// Control groups that occurred, by their bytes in the capture.
    pub(crate) places: Map<Box<[u8]>, cgroup::Place>,
    /// Container that the last container event was about.
    pub(crate) described: Option<Text>,
    /// Containers whose removal was reported, the first one first.
    pub(crate) containers_gone: VecDeque<Text>,
    pub(crate) texts: Texts,
    /// Paths that were opened lately.
    pub(crate) paths: paths::Paths,
    /// How much all texts weigh.
    pub(crate) weight: weight::Weight,
    /// Source of versions: how often anything changed.
    pub(crate) changes: u64,
    /// Version of everything that is known of processes, users and containers together, but for counters and times
    /// ([`State::people`]).
    pub(crate) people: u64,
    pub(crate) rows: step::Rows,
    /// Who asked the Kubernetes API for what, if an audit log was read along.
    pub(crate) requests: Option<std::sync::Arc<Requests>>,
    /// What the capture shows of its own losses.
    pub(crate) losses: doubt::Losses,
    /// Last switch of each processor: when, ns, and to which thread (-1 not known).
    pub(crate) switched: Map<u16, (u64, i64)>,
    /// Events applied so far: tells values of this event from those of earlier ones.
    pub(crate) steps: u64,
    /// Threads of which the parent was given up as they had too many ([`limits::MAX_PARENTS`]).
    pub(crate) parents_given_up: u64,
    /// Snapshots came in and the ends of their sockets are not sorted out yet.
    pub(crate) unsettled: bool,
    /// Step from which on they may be sorted out again: that looks at all descriptors.
    pub(crate) settle_again: u64,
    pub(crate) recent_exits: tree::RecentExits,
    /// There is something to do before the next event: one look at the three things that it may be.
    disturbed: bool,
    /// Thread to remove when the next event is applied.
    leaving: Option<i64>,
    /// Descriptors to remove when the next event is applied.
    closing: Vec<(TableId, i64)>,
}

keep!(State {
    machine, interfaces, threads, by_tid, groups, tables, open_fds, users, containers, places, described,
    containers_gone, texts, weight, changes, losses, switched, steps, parents_given_up, unsettled, settle_again, recent_exits, leaving, closing,
} else {
    // One for all states.
    rows: step::Rows::default(),
    // What was asked for, not what was found.
    requests: None,
    // Found out again.
    disturbed: true,
    seen: lookup::Seen::default(),
    paths: paths::Paths::default(),
    // Nobody remembers anything of a state that was taken back.
    people: 0,
});

impl State {
    /// Nothing known.
    pub fn new() -> Self {
        Self::default()
    }

    /// A section begins: everything known belongs to the machine before it. Counts what was still missing of that.
    pub fn section(&mut self, ledger: &mut Ledger) {
        self.count_missing(ledger);
        // Versions go on: what somebody cached about the old machine must not pass for the new one.
        let (changes, people, requests) = (self.changes, self.people, self.requests.take());
        *self = Self::new();
        (self.changes, self.people, self.requests) = (changes, people + 1, requests);
    }

    /// Counts what has not come until now and may still come, and what was given up where there was no ledger: for the ledger of a finished or interrupted replay.
    pub fn count_missing(&self, ledger: &mut Ledger) {
        let silent = self.containers.values().filter(|container| !container.has_metadata).count();
        ledger.add(Counter::MissingContainerMetadata, silent as u64);
        ledger.add(Counter::StateLimit, self.parents_given_up);
    }

    /// Brings the state to the moment after `event`. First removes what the event before left: exited threads and
    /// closed descriptors, which rules on that event still had to see.
    ///
    /// What was found out goes to `effects`, which is to be empty: returned, it would be copied right after it was written, in
    /// pieces that are wider than what was written, and a processor waits for that.
    #[inline]
    pub fn apply(&mut self, event: &Event<'_>, ledger: &mut Ledger, effects: &mut Effects) {
        if self.disturbed {
            self.calm(!step::is_listing(event.etype));
        }
        self.run(event, ledger, effects);
    }

    /// Brings the state to the moment between two events: what the event before ended goes.
    pub fn rest(&mut self) {
        if self.disturbed {
            self.calm(true);
        }
    }

    /// Does what the event before left to do; sockets are sorted out at the end of a list only.
    #[cold]
    fn calm(&mut self, lists_end: bool) {
        if self.unsettled && lists_end && self.steps >= self.settle_again {
            self.settle();
        }
        self.remove_ended();
        self.disturbed = self.unsettled;
    }

    /// Ends of sockets came in that have to be sorted out.
    pub(crate) fn unsettle(&mut self) {
        self.unsettled = true;
        self.disturbed = true;
    }

    fn remove_ended(&mut self) {
        while let Some((table, number)) = self.closing.pop() {
            self.drop_fd(table, number);
        }
        if let Some(tid) = self.leaving.take() {
            self.remove_thread(tid);
        }
    }

    /// Removes a thread when the next event is applied.
    pub(crate) fn leave_later(&mut self, tid: i64) {
        self.leaving = Some(tid);
        self.disturbed = true;
    }

    /// Removes a descriptor when the next event is applied.
    pub(crate) fn close_later(&mut self, table: TableId, number: i64) {
        self.closing.push((table, number));
        self.disturbed = true;
    }

    /// A number that no version had before.
    pub(crate) fn next_version(&mut self) -> u64 {
        self.changes += 1;
        self.changes
    }

    /// Shared copy of a text, cut at [`limits::MAX_TEXT`], or shorter where there are too many ([`weight`]).
    pub(crate) fn text(&self, bytes: &[u8]) -> Text {
        if bytes.is_empty() {
            return Rc::clone(&self.texts.empty);
        }
        Rc::from(&bytes[..self.weight.take_in(bytes.len())])
    }

    /// The same as [`State::text`], without a copy where a text at hand is that one.
    pub(crate) fn text_like(&self, like: Option<&Text>, bytes: &[u8]) -> Text {
        like.filter(|like| ***like == *bytes).map_or_else(|| self.text(bytes), Rc::clone)
    }

    /// The same as [`State::list`], without a copy where a list at hand is that one.
    pub(crate) fn list_like(&self, like: Option<&Text>, bytes: &[u8]) -> Text {
        like.filter(|like| ***like == *bytes).map_or_else(|| self.list(bytes), Rc::clone)
    }

    /// Shared copy of a list of NUL-terminated texts; the last NUL may be missing in an event. A lone NUL is an empty
    /// list, not a list of one empty text, as in libs.
    pub(crate) fn list(&self, bytes: &[u8]) -> Text {
        if bytes == [0] {
            return Rc::clone(&self.texts.empty);
        }
        if bytes.is_empty() || bytes.last() == Some(&0) {
            return self.text(bytes);
        }
        let mut terminated = bytes[..bytes.len().min(limits::MAX_TEXT - 1)].to_vec();
        terminated.push(0);
        self.text(&terminated)
    }
}
