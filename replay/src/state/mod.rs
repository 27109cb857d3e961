//! What the kernel knew: threads, descriptors, users, interfaces, containers, rebuilt event by event.
//!
//! Seeded by the snapshots of a section, kept by [`State::apply`]. Tables are indexed by number; texts are shared;
//! every thread, descriptor and container carries a version that changes with it, so that whoever caches a fact
//! about it (compiled predicates, command lines) knows when to look again.
//!
//! The transitions follow Falco libs' parsers, so that rules see here what they see there; where libs forgets what
//! the capture holds, it is kept, and where libs makes a value up, it stays unknown.

pub mod container;
pub mod effects;
mod enter;
pub mod fd;
pub mod flags;
pub mod lookup;
pub mod table;
pub mod thread;
pub mod user;

use std::collections::HashMap;
use std::sync::Arc;

use casebook_formats::event::Event;
use casebook_formats::ledger::Ledger;
use casebook_formats::snapshot::{FdList, Interface, MachineInfo, ThreadEntry, UserEntry};
use foldhash::fast::RandomState;

pub use container::{Container, ContainerKind, Mount, Probe};
pub use effects::Effects;
pub use fd::{Fd, FdKind, FdTable, Tuple};
pub use lookup::Ancestors;
use table::{Slots, TableId};
pub use thread::{Thread, Usage};
pub use user::{Group, User};

/// Shared byte string: names and paths of a capture are bytes, not UTF-8.
pub type Text = Arc<[u8]>;

/// Map keyed by small numbers of the capture itself; order never shows.
pub(crate) type Map<K, V> = HashMap<K, V, RandomState>;

/// A descriptor table and how many processes share it.
#[derive(Clone, Debug)]
pub(crate) struct SharedTable {
    pub(crate) table: Arc<FdTable>,
    pub(crate) owners: u32,
}

/// Threads of one process.
#[derive(Clone, Debug, Default)]
pub(crate) struct ThreadGroup {
    /// Living threads.
    pub(crate) alive: usize,
    /// Tids, the leader first where it is known.
    pub(crate) tids: Vec<i64>,
    /// Takes orphans: init of a namespace, or a subreaper.
    pub(crate) reaper: bool,
}

/// System state at one moment of a capture.
#[derive(Default)]
pub struct State {
    pub(crate) machine: MachineInfo,
    pub(crate) interfaces: Vec<Interface>,
    pub(crate) threads: Slots<Thread>,
    pub(crate) by_tid: Map<i64, u32>,
    pub(crate) groups: Map<i64, ThreadGroup>,
    pub(crate) tables: Slots<SharedTable>,
    pub(crate) users: user::Users,
    pub(crate) containers: Map<Text, Container>,
}

impl State {
    /// Nothing known.
    pub fn new() -> Self {
        Self::default()
    }

    /// A section begins: everything known belongs to the machine before it.
    pub fn section(&mut self) {
        *self = Self::new();
    }

    /// Machine info.
    pub fn seed_machine(&mut self, machine: MachineInfo) {
        self.machine = machine;
    }

    /// Network interfaces.
    pub fn seed_interfaces(&mut self, interfaces: Vec<Interface>) {
        self.interfaces = interfaces;
    }

    /// Users and groups of the host.
    pub fn seed_users(&mut self, entries: Vec<UserEntry>) {
        let _ = entries;
    }

    /// The process list.
    pub fn seed_threads(&mut self, entries: Vec<ThreadEntry>, ledger: &mut Ledger) {
        let _ = (entries, ledger);
    }

    /// The descriptors of one thread.
    pub fn seed_fds(&mut self, list: FdList, ledger: &mut Ledger) {
        let _ = (list, ledger);
    }

    /// Brings the state to the moment after `event`. First removes what the event before left: exited threads and
    /// closed descriptors, which rules on that event still had to see.
    pub fn apply(&mut self, event: &Event<'_>, ledger: &mut Ledger) -> Effects {
        let _ = (event, ledger);
        Effects::default()
    }

    /// Where the descriptors of a thread are: its own table, or its leader's.
    #[inline]
    pub(crate) fn files_of(&self, thread: &Thread) -> Option<TableId> {
        if thread.flags & flags::CLONE_FILES == 0 || thread.files.is_some() {
            thread.files
        } else {
            self.main_thread_of(thread)?.files
        }
    }
}
