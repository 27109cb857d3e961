//! The engine: one capture through the state, event by event.
//!
//! `formats::CaptureReader` items → [`State`] → [`EventContext`] → whoever asked. It knows neither rules nor output:
//! `run` evaluates rules in its visitor, the comparison harness extracts fields, later commands do something else.
//! Memory is bounded by the live state and the reader's largest block, not by the capture.
//!
//! Some events feed the state and are not shown, the same ones as in libs (`Replay::is_shown`): those marked so in
//! the capture, enter halves that stand alone, and what a recorder wrote at the start to describe the machine.
//! Everything else is shown, also events of no thread (tid -1) and asynchronous ones.

mod gaps;
mod roles;
#[cfg(test)]
mod tests;
mod visitor;

use std::ops::ControlFlow;
use std::sync::Arc;

use casebook_formats::capture::{CaptureReader, FormatError, Item, Items, Take};
use casebook_formats::event::Event;
use casebook_formats::ledger::{Counter, Ledger};
use casebook_formats::tables::ppme;

use crate::audit::AuditEvent;
use crate::audit::join::Requests;
use crate::context::{Clock, EventContext};
use crate::moment::Moment;
use crate::state::keep::keep;
use crate::state::{Effects, State};
use roles::{Interest, Interests};
use visitor::Each;
pub use visitor::Visitor;

/// Events between two calls of [`Visitor::progress`].
const PROGRESS_INTERVAL: u64 = 4096;

/// Why a replay ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The capture did.
    Finished,
    /// The span given with [`Replay::stop_after`] is over, or the moment of [`Replay::stop_at`].
    SpanOver,
    /// The visitor asked for it.
    Stopped,
}

/// Why the events at hand are not gone on with.
enum Pause {
    End(End),
    /// The visitor wants to hear what was lost; the time of the event before.
    Due {
        previous: u64,
    },
}

/// A visitor looks at the events at hand.
struct Looking<'r, V> {
    replay: &'r mut Replay,
    visitor: &'r mut V,
    interests: &'r mut Interests,
}

impl<V: Visitor> Take for Looking<'_, V> {
    type Break = Pause;

    #[allow(clippy::inline_always)] // the whole of a replay's loop in one function
    #[inline(always)]
    fn event(&mut self, event: &Event<'_>) -> ControlFlow<Pause> {
        let previous = self.replay.position.last_ts;
        if let ControlFlow::Break(end) = self.replay.event(event, self.visitor, self.interests) {
            return ControlFlow::Break(Pause::End(end));
        }
        if self.visitor.is_due(previous, self.replay.position.last_ts) {
            return ControlFlow::Break(Pause::Due { previous });
        }
        ControlFlow::Continue(())
    }
}

/// How far a replay has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Position {
    /// Events replayed, those that only feed the state included.
    pub events: u64,
    /// Timestamp of the first event that has one, ns since the epoch; 0 before it.
    pub first_ts: u64,
    /// Timestamp of the last event that has one, ns since the epoch; 0 before the first.
    pub last_ts: u64,
    /// Offset of the last event's block in the *uncompressed* stream.
    pub offset: u64,
}

keep!(Position { events, first_ts, last_ts, offset });

/// Whether a timestamp is one. Recorders of old wrote container events at the start of a capture with the time of
/// the event before them, which is 0, or the nanosecond before that.
#[inline]
const fn has_time(ts: u64) -> bool {
    ts != 0 && ts != u64::MAX
}

/// A replay of one capture.
#[derive(Default)]
pub struct Replay {
    state: State,
    ledger: Ledger,
    position: Position,
    span: Option<u64>,
    until: Option<Moment>,
    /// Events later than this end the replay, or are the first with a time.
    deadline: u64,
    /// Events at this offset or beyond it want more than the way of every event ([`Replay::attend`]).
    attention: u64,
    /// An event came that does not describe the state at the start.
    started: bool,
    /// Latest time of an event so far; events need not be in order.
    latest: u64,
    /// Gaps that the reader has found so far.
    gaps: u64,
    /// The visitor was shown the state before the first event of this section.
    introduced: bool,
    /// Gaps that the recorder told of, as the reader knows them.
    recorded: Arc<[u64]>,
    /// Offset of the first of them that has not come yet.
    next_recorded: Option<u64>,
}

keep!(Replay { state, ledger, position, started, latest, gaps } else {
    // What was asked for, not what was found.
    span: None,
    until: None,
    deadline: 0,
    attention: 0,
    // What a visitor was shown, and the next one is another.
    introduced: false,
    // The reader's.
    recorded: Arc::default(),
    next_recorded: None,
});

impl Replay {
    /// A replay that starts with nothing known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the replay at the first event that is `span` nanoseconds or more after the first one, by the clock of
    /// the capture.
    #[must_use]
    pub fn stop_after(mut self, span: Option<u64>) -> Self {
        self.span = span;
        self
    }

    /// Ends the replay at the first event that is later than `moment`.
    #[must_use]
    pub fn stop_at(mut self, moment: Option<Moment>) -> Self {
        self.until = moment;
        self
    }

    /// Lets the state tell who asked for what runs in containers ([`crate::audit::join`]).
    #[must_use]
    pub fn joined(mut self, requests: &Arc<Requests>) -> Self {
        self.state.join(Some(Arc::clone(requests)));
        self
    }

    /// The last time at which events are replayed, of an input that begins at `first_ts`.
    fn deadline_from(&self, first_ts: u64) -> u64 {
        let span_end = self.span.map(|span| first_ts.saturating_add(span).saturating_sub(1));
        let until = self.until.map(|moment| moment.at(first_ts));
        [span_end, until].into_iter().flatten().min().unwrap_or(u64::MAX)
    }

    /// Shows every event of the capture to `look`, in order.
    ///
    /// # Errors
    ///
    /// When the input cannot be read at all, or not further. What was replayed until then stays valid.
    pub fn run(
        &mut self,
        reader: &mut impl Items,
        look: impl FnMut(&EventContext<'_>) -> ControlFlow<()>,
    ) -> Result<End, FormatError> {
        self.run_with(reader, &mut Each(look))
    }

    /// Same, for a visitor that also wants to hear of progress.
    ///
    /// # Errors
    ///
    /// As [`Replay::run`].
    pub fn run_with<V: Visitor>(&mut self, reader: &mut impl Items, visitor: &mut V) -> Result<End, FormatError> {
        let end = self.events(reader, visitor);
        visitor.progress(reader.bytes_read(), self.position.events);
        end
    }

    /// Replays what comes before event number `num`, unseen. False: the capture ends before it.
    ///
    /// # Errors
    ///
    /// As [`Replay::run`].
    pub(crate) fn until(&mut self, reader: &mut CaptureReader, num: u64) -> Result<bool, FormatError> {
        self.expect_recorded_gaps(reader);
        // Nobody looks, so nobody stops.
        let nobody = &mut Each(|_: &EventContext<'_>| ControlFlow::Continue(()));
        let mut interests = Interests::of(nobody);
        while let Some(item) = reader.next_item()? {
            if matches!(&item, Item::Event(event) if event.num >= num) {
                return Ok(true);
            }
            let _ = self.item(item, nobody, &mut interests);
            self.hear_of_gaps(reader.ledger(), nobody);
        }
        Ok(false)
    }

    fn events<V: Visitor>(&mut self, reader: &mut impl Items, visitor: &mut V) -> Result<End, FormatError> {
        self.expect_recorded_gaps(reader);
        self.hear_of_gaps(reader.ledger(), visitor);
        let mut interests = Interests::of(visitor);
        let mut told = self.position.events;
        loop {
            let mut looking = Looking { replay: self, visitor, interests: &mut interests };
            let due = match reader.events_at_hand(&mut looking) {
                ControlFlow::Break(Pause::End(end)) => return Ok(end),
                ControlFlow::Break(Pause::Due { previous }) => Some(previous),
                ControlFlow::Continue(()) => {
                    let previous = self.position.last_ts;
                    if let ControlFlow::Break(end) = self.other(reader, visitor, &mut interests)? {
                        return Ok(end);
                    }
                    visitor.is_due(previous, self.position.last_ts).then_some(previous)
                }
            };
            if let Some(previous) = due {
                // What was lost before the first event was lost by then.
                let until = if previous == 0 { self.position.last_ts } else { previous };
                visitor.lost(until, &self.lost(reader));
            }
            if self.position.events - told >= PROGRESS_INTERVAL {
                told = self.position.events;
                visitor.progress(reader.bytes_read(), told);
            }
        }
    }

    /// The next item, whatever it is.
    #[inline(never)]
    fn other<V: Visitor>(
        &mut self,
        reader: &mut impl Items,
        visitor: &mut V,
        interests: &mut Interests,
    ) -> Result<ControlFlow<End>, FormatError> {
        let Some(item) = reader.next_item()? else { return Ok(ControlFlow::Break(End::Finished)) };
        let flow = self.item(item, visitor, interests);
        // Before an event at hand nothing is left out.
        self.hear_of_gaps(reader.ledger(), visitor);
        Ok(flow)
    }

    fn item<V: Visitor>(&mut self, item: Item<'_>, visitor: &mut V, interests: &mut Interests) -> ControlFlow<End> {
        match item {
            Item::Event(event) => self.event(&event, visitor, interests),
            other => {
                self.seed(other);
                ControlFlow::Continue(())
            }
        }
    }

    #[allow(clippy::inline_always)] // as above
    #[inline(always)]
    fn event<V: Visitor>(&mut self, event: &Event<'_>, visitor: &mut V, interests: &mut Interests) -> ControlFlow<End> {
        // Read before the state hears of it: that it changes nothing about the event is more than a compiler sees.
        let (interest, state_only) = (interests.get(event.etype), event.state_only);
        let previous = self.position.last_ts;
        if event.raw.offset >= self.attention || event.ts > self.deadline {
            self.attend(event, interest, visitor)?;
        }
        if has_time(event.ts) {
            self.position.last_ts = event.ts;
            self.latest = self.latest.max(event.ts);
        }
        self.position.events += 1;
        self.position.offset = event.raw.offset;
        if interest == Interest::Idle && !state_only && self.state.pass_over(event) {
            return ControlFlow::Continue(());
        }
        let mut effects = Effects::default();
        self.state.apply(event, &mut self.ledger, &mut effects);
        if matches!(interest, Interest::No | Interest::Idle) && !state_only {
            return ControlFlow::Continue(());
        }
        if !self.is_shown(event, interest) {
            visitor.hidden(event, &self.state);
            return ControlFlow::Continue(());
        }
        if !visitor.wants(event.etype) {
            interests.lose(event.etype);
            return ControlFlow::Continue(());
        }
        let previous_ts = if previous == 0 { event.ts } else { previous };
        let clock = Clock { first_ts: self.position.first_ts, previous_ts };
        let document = if event.etype == ppme::PPME_PLUGINEVENT_E { self.document(event) } else { None };
        let context = EventContext::new(event, &self.state, &effects).at(clock).saying(document.as_ref());
        match visitor.event(&context) {
            ControlFlow::Continue(()) => ControlFlow::Continue(()),
            ControlFlow::Break(()) => ControlFlow::Break(End::Stopped),
        }
    }

    /// What is to be done before an event is applied and hardly ever is: after a gap that the recorder told of, where a
    /// capture begins (with its first time, with the first event that does not describe the state at the start), where a
    /// section does, at the end of the span.
    #[cold]
    #[inline(never)]
    fn attend<V: Visitor>(&mut self, event: &Event<'_>, interest: Interest, visitor: &mut V) -> ControlFlow<End> {
        let offset = event.raw.offset;
        if self.next_recorded.is_some_and(|gap| offset >= gap) {
            self.tell_recorded_gap(offset);
            visitor.gap();
        }
        if has_time(event.ts) {
            if self.position.first_ts == 0 {
                self.position.first_ts = event.ts;
            }
            self.deadline = self.deadline_from(self.position.first_ts);
            if event.ts > self.deadline {
                return ControlFlow::Break(End::SpanOver);
            }
        }
        self.started |= interest != Interest::OnceBegun;
        if !self.introduced {
            self.introduced = true;
            self.state.rest();
            visitor.section(&self.state);
        }
        self.attention = if self.started { self.next_recorded.unwrap_or(u64::MAX) } else { 0 };
        ControlFlow::Continue(())
    }

    /// Whether the visitor sees an event. Not shown are
    ///
    /// - events with the dump flag *state only*;
    /// - containers, users and groups that a capture tells of before its first other event: they are the state at
    ///   its start in the form of events;
    /// - enter halves of system calls. Where the exit half follows it carries all parameters; recorders of today
    ///   send a few enter halves (open, connect, execve families) only for what they say about the state.
    #[inline]
    fn is_shown(&self, event: &Event<'_>, interest: Interest) -> bool {
        !event.state_only
            && match interest {
                Interest::No | Interest::Idle | Interest::Yes => true,
                Interest::OnceBegun => self.started,
                Interest::Hidden => false,
            }
    }

    /// The payload of a plugin event.
    #[cold]
    fn document(&mut self, event: &Event<'_>) -> Option<AuditEvent> {
        let document = AuditEvent::from_plugin(event);
        if document.is_none() {
            self.ledger.count(Counter::UnsupportedSource);
        }
        document
    }

    /// What is not an event feeds the state.
    #[cold]
    fn seed(&mut self, item: Item<'_>) {
        match item {
            Item::Section(_) => {
                self.introduced = false;
                self.attention = 0;
                self.state.section(&mut self.ledger);
            }
            Item::Machine(machine) => self.state.seed_machine(machine),
            Item::Interfaces(interfaces) => self.state.seed_interfaces(interfaces),
            Item::Users(users) => self.state.seed_users(users, &mut self.ledger),
            Item::Threads(threads) => self.state.seed_threads(&threads, &mut self.ledger),
            Item::Fds(list) => self.state.seed_fds(&list, &mut self.ledger),
            Item::Event(_) => {}
        }
    }

    /// The state after the last event.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The state, for tests that make it say something else.
    #[cfg(test)]
    pub(crate) fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }

    /// The state between the last event and the next one: what that event ended is gone.
    pub fn state_at_rest(&mut self) -> &State {
        self.state.rest();
        &self.state
    }

    /// Goes on from where another replay stood, for the same span and moment as before.
    #[must_use]
    pub(crate) fn going_on(self, from: Self) -> Self {
        let Self { span, until, state, .. } = self;
        let mut replay = Self { span, until, deadline: 0, ..from };
        replay.state.join(state.requests);
        replay
    }

    /// Latest time of an event so far, ns since the epoch.
    pub(crate) fn latest(&self) -> u64 {
        self.latest
    }

    /// How far the replay has come.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Anomalies so far: those of the state, and those of the reader that it reads from.
    pub fn ledger(&self, reader: &(impl Items + ?Sized)) -> Ledger {
        let mut ledger = self.lost(reader);
        self.state.count_missing(&mut ledger);
        ledger
    }

    /// The same without what may still come.
    pub(crate) fn lost(&self, reader: &(impl Items + ?Sized)) -> Ledger {
        let mut ledger = reader.ledger().clone();
        ledger.merge(&reader.upstream().ledger);
        ledger.merge(&self.ledger);
        ledger
    }
}
