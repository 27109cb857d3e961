//! Whether the rules say the same of a redacted capture: both are replayed, alerts are compared by event and rule.
//!
//! Texts of alerts are others by their nature; which rule is true on which event is not.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use casebook_formats::capture::CaptureReader;
use casebook_formats::ledger::Ledger;

use crate::context::EventContext;
use crate::detect::{Detector, Form, Session};
use crate::engine::{Replay, Visitor};
use crate::excerpt::ExcerptError;
use crate::run::Source;

/// A rule that is true on an event.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Alert {
    /// Number of the event.
    pub event: u64,
    /// Number of the rule.
    pub rule: u32,
}

/// How the alerts compare.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// Alerts of the original.
    pub before: usize,
    /// Alerts of the redacted capture.
    pub after: usize,
    /// Events of both; they differ when pieces could not be read.
    pub events: (u64, u64),
    /// Alerts that are gone.
    pub lost: Vec<Alert>,
    /// Alerts that are new.
    pub gained: Vec<Alert>,
}

impl Proof {
    /// The rules say the same.
    pub fn is_equal(&self) -> bool {
        self.lost.is_empty() && self.gained.is_empty()
    }
}

struct Listen<'d> {
    session: Session<'d>,
    matched: Vec<u32>,
    alerts: BTreeSet<Alert>,
}

impl Visitor for Listen<'_> {
    fn event(&mut self, context: &EventContext<'_>) -> ControlFlow<()> {
        self.session.matching(context, &mut Ledger::default(), &mut self.matched);
        let event = context.event.num;
        self.alerts.extend(self.matched.iter().map(|&rule| Alert { event, rule }));
        ControlFlow::Continue(())
    }
}

fn alerts(reader: &mut CaptureReader, detector: &Detector) -> Result<(BTreeSet<Alert>, u64), ExcerptError> {
    let mut listen = Listen { session: detector.session(Form::Text), matched: Vec::new(), alerts: BTreeSet::new() };
    let mut replay = Replay::new();
    let end = replay.run_with(reader, &mut listen);
    end.map_err(|error| ExcerptError::Capture(error.to_string()))?;
    Ok((listen.alerts, replay.position().events))
}

/// Replays both captures and compares what `detector` says of them.
///
/// # Errors
///
/// When one of them cannot be read.
pub fn compare(original: &Source, redacted: &Source, detector: &Detector) -> Result<Proof, ExcerptError> {
    let read = |source: &Source| {
        let mut reader = source.open().map_err(ExcerptError::Capture)?;
        alerts(&mut reader, detector)
    };
    let (before, events_before) = read(original)?;
    let (after, events_after) = read(redacted)?;
    Ok(Proof {
        before: before.len(),
        after: after.len(),
        events: (events_before, events_after),
        lost: before.difference(&after).copied().collect(),
        gained: after.difference(&before).copied().collect(),
    })
}
