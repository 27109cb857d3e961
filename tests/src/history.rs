//! What happened before an event: the `after` conditions of known differences.
//!
//! Some differences have a cause that lies back: libs does not follow a call, and from then on its idea of the process,
//! and of all that comes from that process, is another one than ours. Here is kept which classes a process may claim
//! because the condition held on an event of its own or of an ancestor.

use std::collections::{BTreeMap, BTreeSet};

use casebook_replay::context::EventContext;

use crate::ours::Conditions;

/// Of one replay. Each event is noted before it is asked about.
#[derive(Default, Debug)]
pub struct History {
    /// By process: when the one that has this number now was made, and the classes.
    processes: BTreeMap<i64, (u64, BTreeSet<usize>)>,
}

impl History {
    /// Takes note of an event.
    pub fn note(&mut self, conditions: &Conditions, context: &EventContext<'_>) {
        let Some(thread) = context.thread else { return };
        let Some(process) = context.state.main_thread_of(thread) else { return };
        let mut classes = conditions.happening(context);
        for ancestor in context.state.ancestors(thread) {
            if let Some((_, its)) = self.processes.get(&ancestor.pid) {
                classes.extend(its);
            }
        }
        let (made, known) = self.processes.entry(process.pid).or_default();
        if *made != process.clone_ts {
            // Another process of the same number.
            *made = process.clone_ts;
            known.clear();
        }
        known.extend(classes);
    }

    /// Whether the class's condition held before this event, in its process or in one that it comes from.
    pub fn knows(&self, context: &EventContext<'_>, class: usize) -> bool {
        let process = context.thread.and_then(|thread| context.state.main_thread_of(thread));
        process.and_then(|process| self.processes.get(&process.pid)).is_some_and(|(_, known)| known.contains(&class))
    }
}
