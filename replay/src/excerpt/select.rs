//! Which events of a capture go into a slice, and which others they rest on.
//!
//! One replay of the whole: every event is inside the [`Selection`] or not. Where the selection is one of processes, events
//! of their ancestors that can change anything come along as *state only*, from the first selected event on, because fields
//! look up the tree; so do descriptions of containers and users, also those from before.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use casebook_formats::event::{Event, EventType};
use casebook_formats::tables::ppme;

use super::snapshot::Snapshot;
use super::{Block, ExcerptError};
use crate::context::EventContext;
use crate::engine::{Replay, Visitor};
use crate::run::Source;
use crate::state::{State, Thread};
use crate::window::{Opening, Place, Window};

/// What is wanted; all conditions together.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// A part of the capture's time.
    pub window: Window,
    /// Numbers of events, first and last.
    pub numbers: Option<(u64, u64)>,
    /// A process, its threads, and all processes that came of it.
    pub pid: Option<i64>,
    /// A container, by the id that `container.id` shows, or more characters of it.
    pub container: Option<String>,
}

/// What a slice will be made of.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Blocks in the order of the stream.
    pub blocks: Vec<Block>,
    /// Number of the first event that the slice has, in the whole.
    pub first: u64,
    /// Numbers of the selected events, in the whole.
    pub selected: Vec<u64>,
    /// Events of the whole.
    pub events: u64,
    /// Threads of the selection and above it, where it is one of processes.
    kin: Option<BTreeSet<i64>>,
}

/// Types that tell of containers and users: of no thread.
pub(super) const DESCRIPTIONS: &[EventType] = &[
    ppme::PPME_CONTAINER_E,
    ppme::PPME_CONTAINER_JSON_E,
    ppme::PPME_CONTAINER_JSON_2_E,
    ppme::PPME_USER_ADDED_E,
    ppme::PPME_USER_DELETED_E,
    ppme::PPME_GROUP_ADDED_E,
    ppme::PPME_GROUP_DELETED_E,
];

/// Calls that make a process.
const CLONES: &[EventType] = &[
    ppme::PPME_SYSCALL_CLONE_20_X,
    ppme::PPME_SYSCALL_CLONE3_X,
    ppme::PPME_SYSCALL_FORK_20_X,
    ppme::PPME_SYSCALL_VFORK_20_X,
];

/// Adds the threads that fields of a thread's events look up: itself, its leader, all above it, session and group.
pub(super) fn kin_of(thread: &Thread, state: &State, kin: &mut BTreeSet<i64>) {
    kin.extend([thread.tid, thread.pid, thread.ptid]);
    kin.extend(state.ancestors(thread).map(|above| above.tid));
    let leaders = [state.session_leader(thread), state.pgid_leader(thread), state.vpgid_leader(thread)];
    kin.extend(leaders.into_iter().flatten().map(|leader| leader.tid));
}

impl Selection {
    /// It is one of processes.
    fn is_of_processes(&self) -> bool {
        self.pid.is_some() || self.container.is_some()
    }
}

/// The selection at work.
struct Selector<'s> {
    selection: &'s Selection,
    opening: Opening,
    /// Threads that belong to the tree.
    members: BTreeSet<i64>,
    /// They and all above them.
    kin: BTreeSet<i64>,
    plan: Plan,
    /// Blocks before the first selected event that describe containers and users.
    before: Vec<Block>,
}

impl Selector<'_> {
    fn add(&mut self, event: &Event<'_>, state_only: bool) {
        if self.plan.first == 0 {
            self.plan.first = event.num;
        }
        self.plan.blocks.extend(event.raw.enter.map(|offset| Block { offset, state_only: false }));
        self.plan.blocks.push(Block { offset: event.raw.offset, state_only });
        if !state_only {
            self.plan.selected.push(event.num);
        }
    }

    fn belongs(&mut self, thread: &Thread, state: &State) -> bool {
        let in_tree = match self.selection.pid {
            None => true,
            Some(pid) => {
                self.members.contains(&thread.tid)
                    || thread.pid == pid
                    || self.members.contains(&thread.pid)
                    || self.members.contains(&thread.ptid)
                    || state.ancestors(thread).any(|above| above.pid == pid)
            }
        };
        let in_container = self.selection.container.as_ref().is_none_or(|wanted| {
            let id = &thread.container_id;
            !id.is_empty() && (wanted.as_bytes().starts_with(id) || id.starts_with(wanted.as_bytes()))
        });
        let belongs = in_tree && in_container;
        if belongs {
            self.members.insert(thread.tid);
            kin_of(thread, state, &mut self.kin);
        }
        belongs
    }

    /// The parent's half of the call that made the tree's first process: the slice has to begin with it.
    fn begins_tree(&self, event: &Event<'_>) -> bool {
        self.selection.pid.is_some() && CLONES.contains(&event.etype) && event.i64(0) == self.selection.pid
    }

    fn in_time(&mut self, event: &Event<'_>, first_ts: u64) -> bool {
        self.opening.place(first_ts, event.ts) == Place::Inside
            && self.selection.numbers.is_none_or(|(first, last)| (first..=last).contains(&event.num))
    }

    /// An event that is not selected itself.
    fn support(&mut self, event: &Event<'_>, state: &State) {
        if DESCRIPTIONS.contains(&event.etype) {
            if self.plan.first == 0 {
                self.before.push(Block { offset: event.raw.offset, state_only: false });
            } else {
                self.add(event, true);
            }
            return;
        }
        let of_kin = || {
            let thread = state.thread(event.tid);
            self.kin.contains(&event.tid) || thread.is_some_and(|thread| self.kin.contains(&thread.pid))
        };
        let begun = self.plan.first != 0;
        if self.begins_tree(event)
            || (begun && self.selection.is_of_processes() && state.feeds(event.etype) && of_kin())
        {
            self.add(event, true);
        }
    }
}

impl Visitor for Selector<'_> {
    fn event(&mut self, context: &EventContext<'_>) -> ControlFlow<()> {
        let event = context.event;
        let belongs = match context.thread {
            Some(thread) => self.belongs(thread, context.state),
            None => !self.selection.is_of_processes(),
        };
        if belongs && self.in_time(event, context.clock.first_ts) {
            self.add(event, false);
        } else {
            self.support(event, context.state);
        }
        if event.etype == ppme::PPME_PROCEXIT_1_E {
            self.members.remove(&event.tid);
        }
        ControlFlow::Continue(())
    }

    fn hidden(&mut self, event: &Event<'_>, state: &State) {
        let within = self.plan.first != 0 && !self.selection.is_of_processes();
        if within && state.feeds(event.etype) && !DESCRIPTIONS.contains(&event.etype) {
            self.add(event, true);
        } else {
            self.support(event, state);
        }
    }
}

/// Finds out what a slice of `source` is made of.
///
/// # Errors
///
/// When the capture cannot be read, or nothing is selected.
pub fn plan(source: &Source, selection: &Selection) -> Result<Plan, ExcerptError> {
    let mut reader = source.open().map_err(ExcerptError::Capture)?;
    let mut selector = Selector {
        selection,
        opening: selection.window.open(),
        members: BTreeSet::new(),
        kin: BTreeSet::new(),
        plan: Plan::default(),
        before: Vec::new(),
    };
    let mut replay = Replay::new();
    let end = replay.run_with(&mut reader, &mut selector);
    end.map_err(|error| ExcerptError::Capture(error.to_string()))?;
    super::refuse_sections(&replay, &reader)?;
    let Selector { mut plan, before, kin, .. } = selector;
    plan.events = replay.position().events;
    if plan.selected.is_empty() {
        return Err(ExcerptError::Nothing("no event is selected".to_owned()));
    }
    // What follows the last selected event feeds nothing that is shown.
    let last = plan.blocks.iter().rposition(|block| !block.state_only).map_or(0, |last| last + 1);
    plan.blocks.truncate(last);
    plan.blocks.extend(before);
    plan.blocks.sort_unstable();
    plan.blocks.dedup_by_key(|block| block.offset);
    plan.kin = selection.is_of_processes().then_some(kin);
    Ok(plan)
}

/// The state before the first event of a slice, as far as the slice needs it.
///
/// # Errors
///
/// When the capture cannot be read.
pub fn snapshot(source: &Source, plan: &Plan) -> Result<Snapshot, ExcerptError> {
    let mut reader = source.open().map_err(ExcerptError::Capture)?;
    let mut replay = Replay::new();
    replay.until(&mut reader, plan.first).map_err(|error| ExcerptError::Capture(error.to_string()))?;
    let wanted =
        |thread: &Thread| plan.kin.as_ref().is_none_or(|kin| kin.contains(&thread.tid) || kin.contains(&thread.pid));
    Ok(Snapshot::of(replay.state_at_rest(), wanted))
}
