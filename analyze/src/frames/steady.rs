//! What stays the same from one event of a thread to the next: names of the process, its parent, user and container.
//!
//! Threads carry a version that changes with them. As long as those of a thread, its leader and its parent are the same,
//! the codes of these columns are; only lists of users can change beside them, and events of those forget everything.

use std::collections::HashMap;

use casebook_formats::event::EventType;
use casebook_formats::tables::ppme;
use casebook_replay::context::EventContext;
use foldhash::fast::FixedState;

/// Threads that are remembered; beyond it everything is forgotten, and memory begins anew.
const MAX_THREADS: usize = 1 << 16;
/// Fields that follow from thread, leader and parent alone.
const FIELDS: &[&str] = &["proc.name", "proc.exepath", "proc.pname", "user.name", "container.id"];
/// Events after which a user's number may have another name.
const LISTS: &[EventType] =
    &[ppme::PPME_USER_ADDED_E, ppme::PPME_USER_DELETED_E, ppme::PPME_GROUP_ADDED_E, ppme::PPME_GROUP_DELETED_E];

/// Versions of thread, leader and parent; 0 where there is none.
type Versions = [u64; 3];

/// Codes of the steady columns of each thread.
#[derive(Default)]
pub(super) struct Steady {
    threads: HashMap<i64, (Versions, Vec<Option<u32>>), FixedState>,
}

impl Steady {
    /// Whether a field is steady.
    pub(super) fn is_steady(field: &str) -> bool {
        FIELDS.contains(&field)
    }

    /// What identifies the thread of an event as it is; `None` when its columns have to be asked.
    pub(super) fn key(&mut self, context: &EventContext<'_>) -> Option<(i64, Versions)> {
        if LISTS.contains(&context.event.etype) {
            self.threads.clear();
            return None;
        }
        let thread = context.thread.filter(|_| !context.effects.is_about_container())?;
        let leader = context.state.main_thread_of(thread);
        let parent = context.state.parent(leader.unwrap_or(thread));
        let above = parent.and_then(|parent| context.state.main_thread_of(parent)).or(parent);
        let version = |thread: Option<&casebook_replay::state::Thread>| thread.map_or(0, |thread| thread.version);
        Some((thread.tid, [thread.version, version(leader), version(above)]))
    }

    /// The codes of a thread, in the order of the columns.
    pub(super) fn codes(&self, (tid, versions): (i64, Versions)) -> Option<&[Option<u32>]> {
        self.threads.get(&tid).filter(|(known, _)| *known == versions).map(|(_, codes)| codes.as_slice())
    }

    /// Remembers them.
    pub(super) fn keep(&mut self, (tid, versions): (i64, Versions), codes: Vec<Option<u32>>) {
        if self.threads.len() >= MAX_THREADS {
            self.threads.clear();
        }
        self.threads.insert(tid, (versions, codes));
    }

    /// A section begins: other users.
    pub(super) fn forget(&mut self) {
        self.threads.clear();
    }
}
