//! Whether a state that came as bytes agrees with itself, as every state does that events have made.
//!
//! Only what other code relies on is looked at: numbers that count other things, references that have to exist, counters
//! that must have room. What a reference may miss (a parent, a member of a group) is looked up with that in mind
//! everywhere.

use std::collections::HashMap;

use super::State;
use super::keep::Malformed;
use super::limits::MAX_THREADS;

/// Counters that only grow stay below this in any capture there could be.
const FAR: u64 = 1 << 62;

impl State {
    /// Refuses contradictions.
    pub(crate) fn check(&self) -> Result<(), Malformed> {
        let contradiction = |what| Err(Malformed::Contradiction(what));
        if self.changes > FAR || self.steps > FAR {
            return contradiction("more changes than there can be");
        }
        if self.by_tid.len() != self.threads.len() || self.threads.len() > MAX_THREADS {
            return contradiction("threads and their numbers");
        }
        for (tid, &index) in &self.by_tid {
            if self.threads.get(index).is_none_or(|thread| thread.tid != *tid) {
                return contradiction("a number of another thread");
            }
        }
        self.check_tables()?;
        if self.groups.values().any(|group| group.alive > MAX_THREADS || group.next_place > FAR) {
            return contradiction("a process of too many threads");
        }
        Ok(())
    }

    fn check_tables(&self) -> Result<(), Malformed> {
        let mut owners: HashMap<u32, u32> = HashMap::new();
        for table in self.threads.iter().filter_map(|thread| thread.files) {
            *owners.entry(table.0).or_default() += 1;
        }
        let mut open = 0;
        for (index, entry) in (0..self.tables.end()).filter_map(|index| Some((index, self.tables.get(index)?))) {
            open += entry.table.len();
            if owners.remove(&index) != Some(entry.owners) {
                return Err(Malformed::Contradiction("a descriptor table and its owners"));
            }
        }
        if !owners.is_empty() {
            return Err(Malformed::Contradiction("a thread without its descriptor table"));
        }
        if open != self.open_fds {
            return Err(Malformed::Contradiction("the number of open descriptors"));
        }
        Ok(())
    }
}
