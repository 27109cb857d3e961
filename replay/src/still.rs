//! Stills: the state of a captured machine at one moment, as tables.
//!
//! [`Source`] → [`crate::engine`] up to a moment → [`Still`], of which [`processes`] and [`descriptors`] make rows for
//! people and programs. Where a question has no answer, [`lives`] and [`span`] read the capture once more and say what
//! there would have been to ask for.

pub mod descriptors;
pub mod lives;
pub mod processes;

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::audit::join::Requests;
use crate::context::EventContext;
use crate::engine::{End, Replay, Visitor};
use crate::moment::Moment;
use crate::parts::{UNUSED, open_before};
use crate::run::Source;
use crate::state::State;
use crate::summary::CaptureReport;

/// A replay that stands still.
pub struct Still {
    replay: Replay,
    /// The moment, ns since the epoch: the one asked for, or that of the last event; 0 without events.
    pub ts: u64,
    /// How the capture was read until there.
    pub report: CaptureReport,
    /// What there is to say about that.
    pub notes: Vec<String>,
}

/// Why there is no still.
#[derive(Debug)]
pub enum NoStill {
    /// The capture cannot be opened, or its part before the moment cannot be read.
    Unreadable(String),
    /// The moment lies before the first event or after the last one.
    Outside {
        /// The moment asked for, ns since the epoch.
        asked: u64,
        /// Time of the first event.
        first: u64,
        /// Time of the last event; `None` when the capture can be read only once and its end was not reached.
        last: Option<u64>,
        /// What there is to say about how the capture was read: its end may be missing.
        notes: Vec<String>,
    },
    /// The capture holds no event, so that no moment lies in it.
    NoEvents,
}

/// Reads on and on, and tells how far.
struct Onward<'a>(&'a mut dyn FnMut(u64, u64));

impl Visitor for Onward<'_> {
    fn event(&mut self, _: &EventContext<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn progress(&mut self, bytes_read: u64, events: u64) {
        (self.0)(bytes_read, events);
    }
}

impl Still {
    /// The state of a capture after all events up to and at `moment`, or at its end, able to tell who made `requests`. `progress` hears of bytes read
    /// and events replayed so far.
    ///
    /// # Errors
    ///
    /// When the capture cannot be read so far, or `moment` is not within it.
    pub fn take(
        source: &Source,
        moment: Option<Moment>,
        requests: &Arc<Requests>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Self, NoStill> {
        let fresh = || Replay::new().stop_at(moment).joined(requests);
        let (mut reader, mut replay, unused) = open_before(source, moment, fresh).map_err(NoStill::Unreadable)?;
        let end = replay.run_with(&mut reader, &mut Onward(progress));
        let stopped = matches!(end, Ok(End::SpanOver));
        let mut report = CaptureReport::new(source.name());
        let note = report.conclude(end, &replay, &reader);
        if unused.is_some() {
            report.ledger.count(UNUSED);
        }
        let notes: Vec<String> = unused.into_iter().chain(note).collect();
        let position = replay.position();
        let Some(moment) = moment else { return Ok(Self { ts: position.last_ts, replay, report, notes }) };
        if position.first_ts == 0 {
            return Err(NoStill::NoEvents);
        }
        let (asked, first) = (moment.at(position.first_ts), position.first_ts);
        if asked < first {
            return Err(NoStill::Outside { asked, first, last: span(source).map(|(_, last)| last), notes });
        }
        if !stopped && asked > position.last_ts {
            return Err(NoStill::Outside { asked, first, last: Some(position.last_ts), notes });
        }
        Ok(Self { replay, ts: asked, report, notes })
    }

    /// The state at the moment.
    pub fn state(&mut self) -> &State {
        self.replay.state_at_rest()
    }
}

/// Times of the first and last event of a capture that can be read again, as far as it can be read.
pub fn span(source: &Source) -> Option<(u64, u64)> {
    let mut replay = Replay::new();
    // A capture that breaks off has a span, too.
    let _ = replay.run_with(&mut source.reopen()?, &mut Onward(&mut |_, _| {}));
    let position = replay.position();
    (position.first_ts != 0).then_some((position.first_ts, position.last_ts))
}
