//! Which events an excerpt may have: those that the alerts are about, and those of the threads they rest on that can
//! change what is known; and the blocks of each. What can be left out of them is tried by [`super`].

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use casebook_formats::event::Event;
use casebook_formats::stored::StoredEvents;

use crate::context::EventContext;
use crate::engine::Visitor;
use crate::excerpt::select::DESCRIPTIONS;
use crate::excerpt::{ExcerptError, gap_marker};
use crate::run::Source;
use crate::state::State;

/// Events that one attempt begins with.
pub(super) const MAX_CANDIDATES: usize = 1 << 20;

/// An event that an excerpt may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) offset: u64,
    pub(super) enter: Option<u64>,
    pub(super) tid: i64,
    /// An alert is about it: it stays, and is shown.
    pub(super) alerts: bool,
    /// It tells of a container or a user.
    pub(super) describes: bool,
}

/// Finds the candidates.
pub(super) struct Collect<'w> {
    pub(super) about: &'w [u64],
    pub(super) kin: &'w BTreeSet<i64>,
    pub(super) last: u64,
    pub(super) found: Vec<Candidate>,
    /// Events are known to be missing.
    pub(super) lossy: bool,
    /// That was told before the next event: by damage, or the recorder's records.
    pub(super) told: bool,
    /// Offset of the first event after that.
    pub(super) gap: Option<u64>,
}

impl Collect<'_> {
    fn see(&mut self, event: &Event<'_>, state: &State) {
        let alerts = self.about.binary_search(&event.num).is_ok();
        let of_kin = || {
            self.kin.contains(&event.tid)
                || state.thread(event.tid).is_some_and(|thread| self.kin.contains(&thread.pid))
        };
        let begins_losses = !self.lossy && state.has_losses();
        if begins_losses {
            self.lossy = true;
            self.gap = self.told.then_some(event.raw.offset);
        }
        let describes = DESCRIPTIONS.contains(&event.etype);
        if alerts || describes || begins_losses || (state.feeds(event.etype) && of_kin()) {
            let (offset, enter, tid) = (event.raw.offset, event.raw.enter, event.tid);
            self.found.push(Candidate { offset, enter, tid, alerts, describes });
        }
    }
}

impl Visitor for Collect<'_> {
    fn event(&mut self, context: &EventContext<'_>) -> ControlFlow<()> {
        self.see(context.event, context.state);
        let over = context.event.num >= self.last || self.found.len() > MAX_CANDIDATES;
        if over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn hidden(&mut self, event: &Event<'_>, state: &State) {
        self.see(event, state);
    }

    fn gap(&mut self) {
        self.told |= !self.lossy;
    }
}

/// A candidate with its blocks.
pub(super) struct Piece {
    pub(super) tid: i64,
    pub(super) alerts: bool,
    pub(super) describes: bool,
    pub(super) bytes: Vec<u8>,
}

impl Piece {
    fn of(candidate: &Candidate) -> Self {
        let Candidate { tid, alerts, describes, .. } = *candidate;
        Self { tid, alerts, describes, bytes: Vec::new() }
    }
}

/// Takes the blocks of the candidates out of the stream, with a marker where there is a gap.
pub(super) fn pieces(source: &Source, candidates: &[Candidate], gap: Option<u64>) -> Result<Vec<Piece>, ExcerptError> {
    // Each block, by where it stands, with the piece that it belongs to.
    let mut wanted = BTreeMap::new();
    for (number, candidate) in candidates.iter().enumerate() {
        for offset in candidate.enter.into_iter().chain([candidate.offset]) {
            wanted.insert(offset, number);
        }
    }
    let mut pieces: Vec<Piece> = candidates.iter().map(Piece::of).collect();
    let mut events = StoredEvents::new(source.capture_bytes()?)?;
    let mut left = wanted.len();
    while left > 0 {
        let Some(event) = events.next_event()? else {
            return Err(ExcerptError::Capture("the capture changed while it was read".to_owned()));
        };
        let Some(piece) = wanted.get(&event.offset).and_then(|number| pieces.get_mut(*number)) else { continue };
        // Descriptions of the start are not shown anyway, and marked as such would not count as the start.
        event.append(!piece.alerts && (piece.tid >= 0 || !piece.describes), &mut piece.bytes);
        left -= 1;
    }
    // Not before what describes the start: it would be shown.
    let described = candidates.iter().take_while(|candidate| candidate.describes).count();
    if let Some(gap) = gap {
        let at = candidates.partition_point(|candidate| candidate.offset < gap).max(described);
        // A time of none: it belongs to no event.
        pieces.insert(at, Piece { tid: -1, alerts: false, describes: false, bytes: gap_marker(0)? });
    }
    Ok(pieces)
}
