//! The second reading for slices of processes: everything that their threads and those above them did before and meanwhile,
//! as far as it can change anything.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use casebook_formats::event::Event;
use casebook_formats::tables::ppme;

use super::{CLONES, DESCRIPTIONS, Plan, named};
use crate::context::EventContext;
use crate::engine::{Replay, Visitor};
use crate::excerpt::{Block, ExcerptError};
use crate::run::Source;
use crate::state::State;

/// Finds what the threads of a plan have done up to its last event.
struct History<'p> {
    kin: &'p BTreeSet<i64>,
    selected: &'p [u64],
    blocks: Vec<Block>,
    /// The first event that proves another one to be missing; 0: none does.
    witness: u64,
    /// The last switch of each processor.
    switches: BTreeMap<u16, Block>,
}

impl History<'_> {
    /// What another thread does to one of the kin: it sets its group or limits, or ends as its child. And what concerns
    /// all of them: events were lost.
    fn touches_kin(&self, event: &Event<'_>, state: &State) -> bool {
        match event.etype {
            ppme::PPME_DROP_E => true,
            // Children of theirs that are no kin: both halves of what made them, and their end.
            ppme::PPME_PROCEXIT_1_E => self.is_child(event.tid, state),
            etype if CLONES.contains(&etype) => event.i64(0) == Some(0) && self.is_child(event.tid, state),
            ppme::PPME_SYSCALL_SETPGID_X | ppme::PPME_SYSCALL_PRLIMIT_X => {
                named(event).any(|tid| self.kin.contains(&tid))
            }
            _ => false,
        }
    }

    fn is_child(&self, tid: i64, state: &State) -> bool {
        state.thread(tid).is_some_and(|thread| self.kin.contains(&thread.ptid))
    }

    fn add(&mut self, event: &Event<'_>, state_only: bool) {
        self.blocks.extend(event.raw.enter.map(|offset| Block { offset, state_only: false }));
        self.blocks.push(Block { offset: event.raw.offset, state_only });
        if event.etype == ppme::PPME_SCHEDSWITCH_6_E {
            // When it got the processor is when somebody else left it.
            self.blocks.extend(self.switches.get(&event.cpu));
        }
    }

    fn note_switch(&mut self, event: &Event<'_>) {
        if event.etype == ppme::PPME_SCHEDSWITCH_6_E {
            self.switches.insert(event.cpu, Block { offset: event.raw.offset, state_only: true });
        }
    }

    fn support(&mut self, event: &Event<'_>, state: &State, state_only: bool) {
        if DESCRIPTIONS.contains(&event.etype) {
            self.blocks.push(Block { offset: event.raw.offset, state_only });
            return;
        }
        let thread = || state.thread(event.tid).is_some_and(|thread| self.kin.contains(&thread.pid));
        let of_kin = || self.kin.contains(&event.tid) || thread() || self.touches_kin(event, state);
        if event.num == self.witness || (state.feeds(event.etype) && of_kin()) {
            self.add(event, true);
        }
    }
}

impl Visitor for History<'_> {
    fn event(&mut self, context: &EventContext<'_>) -> ControlFlow<()> {
        let event = context.event;
        match self.selected.split_first() {
            Some((first, rest)) if *first == event.num => {
                self.selected = rest;
                self.add(event, false);
            }
            _ => self.support(event, context.state, true),
        }
        self.note_switch(event);
        if self.selected.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn hidden(&mut self, event: &Event<'_>, state: &State) {
        // Descriptions at the start are not shown anyway, and stay what they are.
        self.support(event, state, false);
        self.note_switch(event);
    }
}

/// Puts the whole history of its threads into a plan, in the place of a snapshot at its first event.
pub(super) fn with_history(source: &Source, plan: &mut Plan) -> Result<(), ExcerptError> {
    let Some(kin) = &plan.kin else { return Ok(()) };
    let witness = plan.loss.filter(|loss| !loss.is_gap).map_or(0, |loss| loss.num);
    let mut history = History { kin, selected: &plan.selected, blocks: Vec::new(), witness, switches: BTreeMap::new() };
    let mut reader = source.open().map_err(ExcerptError::Capture)?;
    let end = Replay::new().run_with(&mut reader, &mut history);
    end.map_err(|error| ExcerptError::Capture(error.to_string()))?;
    let History { mut blocks, .. } = history;
    blocks.sort_unstable();
    blocks.dedup_by_key(|block| block.offset);
    (plan.blocks, plan.first) = (blocks, 1);
    Ok(())
}
