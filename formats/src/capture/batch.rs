//! A run of events of a capture that owns its bytes, so that it can go from thread to thread and be filled again.
//!
//! A [`CaptureReader`](super::CaptureReader) lends one event after the other; [`super::ahead`] copies them into batches here
//! and lends them again elsewhere. What the reader had counted is part of it, event by event: whoever looks at the
//! ledger in the middle of a batch sees no anomaly of what comes later.

use std::ops::ControlFlow;

use super::at_hand::hand_over;
use super::{FormatError, Item, Take, Upstream};
use crate::event::{Event, EventType, ParamRange, RawEvent};
use crate::ledger::Ledger;

/// Events of a batch at most. With their bytes some 100 KiB: a few batches fit into a processor's own cache.
pub(super) const MAX_EVENTS: usize = 512;
/// Bytes of values after which a batch is full; one event more than that fits.
const ENOUGH_BYTES: usize = 128 << 10;
/// Changes of the counters after which it is full, in captures with anomalies on every event.
const MAX_MARKS: usize = 32;
/// The index of what an event does not have.
const NONE: u32 = u32::MAX;

/// A piece of the bytes.
#[derive(Clone, Copy, Debug)]
struct Piece {
    start: u32,
    len: u32,
}

/// An event without what it borrows: as nearly all are, stored in today's form and without an enter half.
#[derive(Debug)]
struct Record {
    num: u64,
    ts: u64,
    tid: i64,
    offset: u64,
    payload: Piece,
    /// First of its parameters.
    ranges: u32,
    /// What is different about it, or [`NONE`].
    other: u32,
    count: u16,
    cpu: u16,
    etype: EventType,
}

/// What is different about an event that was converted, or has an enter half.
#[derive(Clone, Copy, Debug)]
struct Other {
    data: Piece,
    state_only: bool,
    enter_ts: Option<u64>,
    enter: Option<u64>,
    nparams: u32,
    etype: u16,
}

/// What a reader has found out so far, besides items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub ledger: Ledger,
    pub upstream: Upstream,
}

/// From an item on the reader had found more than before.
#[derive(Debug)]
struct Mark {
    /// How many events of the batch come before that item.
    at: usize,
    found: Found,
}

/// What comes after the events of a batch.
#[derive(Debug)]
pub(super) enum Then {
    /// An item that is no event.
    Item(Item<'static>),
    /// The end of the capture, or the place where the reader was told to pause.
    End,
    /// The input cannot be read any further.
    Error(FormatError),
}

impl Then {
    /// The same for somebody else who reads along.
    fn again(&self) -> Self {
        match self {
            Self::Item(item) => Self::Item(item.clone()),
            Self::End => Self::End,
            Self::Error(error) => Self::Error(error.again()),
        }
    }
}

/// A run of events, and at most one other item behind them.
#[derive(Debug, Default)]
pub(super) struct Batch {
    records: Vec<Record>,
    ranges: Vec<ParamRange>,
    bytes: Vec<u8>,
    others: Vec<Other>,
    marks: Vec<Mark>,
    pub then: Option<Then>,
    /// Bytes of the (compressed) input consumed by the end of it.
    pub bytes_read: u64,
    /// The next batch is of another turn ([`super::ahead`]).
    pub ends_turn: bool,
}

impl Batch {
    /// Empties it for other events.
    pub(super) fn clear(&mut self) {
        // One large event does not make every batch large for good.
        if self.bytes.capacity() > 4 * ENOUGH_BYTES {
            self.bytes = Vec::new();
        }
        self.records.clear();
        self.ranges.clear();
        self.bytes.clear();
        self.others.clear();
        self.marks.clear();
        self.then = None;
    }

    /// Events in it.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether it holds `most` events, or as many as are good for one batch.
    #[inline]
    pub(super) fn is_full(&self, most: usize) -> bool {
        self.records.len() >= most || self.bytes.len() >= ENOUGH_BYTES || self.marks.len() >= MAX_MARKS
    }

    /// Notes what the reader has found by now: from the item on before which there are `at` events here.
    pub(super) fn mark(&mut self, at: usize, found: Found) {
        self.marks.push(Mark { at, found });
    }

    /// Takes a copy of an event.
    #[inline]
    pub(super) fn push(&mut self, event: &Event<'_>) {
        let Event { num, ts, tid, cpu, etype, state_only: _, enter_ts: _, data: _, ranges, raw } = *event;
        let payload = self.keep(raw.payload);
        let other = if is_plain(event) { NONE } else { self.push_other(event, payload) };
        let first = self.ranges.len() as u32;
        self.ranges.extend_from_slice(ranges);
        let count = ranges.len() as u16;
        self.records.push(Record {
            num,
            ts,
            tid,
            offset: raw.offset,
            payload,
            ranges: first,
            other,
            count,
            cpu,
            etype,
        });
    }

    fn push_other(&mut self, event: &Event<'_>, payload: Piece) -> u32 {
        let Event { state_only, enter_ts, data, raw, .. } = *event;
        let data = if std::ptr::eq(data, raw.payload) { payload } else { self.keep(data) };
        self.others.push(Other {
            data,
            state_only,
            enter_ts,
            enter: raw.enter,
            nparams: raw.nparams,
            etype: raw.etype,
        });
        self.others.len() as u32 - 1
    }

    #[inline]
    fn keep(&mut self, bytes: &[u8]) -> Piece {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        Piece { start, len: bytes.len() as u32 }
    }

    /// How many events can be lent before what was found changes, when `marks` changes have been heard of.
    pub(super) fn until(&self, marks: usize) -> usize {
        self.marks.get(marks).map_or(self.len(), |mark| mark.at)
    }

    /// What the reader had found before the item that comes after `at` events, where that is mark number `marks`.
    pub(super) fn found(&self, marks: usize, at: usize) -> Option<Found> {
        Some(self.marks.get(marks).filter(|mark| mark.at == at)?.found.clone())
    }

    /// What comes after the events.
    pub(super) fn then(&self) -> Option<Then> {
        self.then.as_ref().map(Then::again)
    }

    /// An event of it, as the reader lent it.
    pub(super) fn event(&self, index: usize) -> Option<Event<'_>> {
        let record = self.records.get(index)?;
        let plain = self.plain(record)?;
        if record.other == NONE { Some(plain) } else { self.other(plain, record.other) }
    }

    /// Lends a run of them to `taker` until it has enough; how many events of the batch have been lent then.
    #[inline]
    pub(super) fn lend<T: Take>(&self, from: usize, until: usize, taker: &mut T) -> (usize, ControlFlow<T::Break>) {
        for (record, lent) in self.records.get(from..until).unwrap_or_default().iter().zip(from + 1..) {
            let Some(plain) = self.plain(record) else { continue };
            let flow = if record.other == NONE {
                taker.event(&plain)
            } else {
                self.other(plain, record.other).map_or(ControlFlow::Continue(()), |event| hand_over(taker, &event))
            };
            if flow.is_break() {
                return (lent, flow);
            }
        }
        (until, ControlFlow::Continue(()))
    }

    #[allow(clippy::inline_always)] // built in place, for every event
    #[inline(always)]
    fn plain(&self, record: &Record) -> Option<Event<'_>> {
        let &Record { num, ts, tid, offset, payload, ranges, other: _, count, cpu, etype } = record;
        let payload = self.piece(payload)?;
        let ranges = self.ranges.get(ranges as usize..)?.get(..usize::from(count))?;
        let raw = RawEvent { offset, enter: None, etype: etype.0, nparams: u32::from(count), payload };
        Some(Event { num, ts, tid, cpu, etype, state_only: false, enter_ts: None, data: payload, ranges, raw })
    }

    #[inline(never)]
    fn other<'a>(&'a self, plain: Event<'a>, other: u32) -> Option<Event<'a>> {
        let &Other { data, state_only, enter_ts, enter, nparams, etype } = self.others.get(other as usize)?;
        let raw = RawEvent { enter, etype, nparams, ..plain.raw };
        Some(Event { data: self.piece(data)?, state_only, enter_ts, raw, ..plain })
    }

    #[inline]
    fn piece(&self, piece: Piece) -> Option<&[u8]> {
        self.bytes.get(piece.start as usize..)?.get(..piece.len as usize)
    }
}

/// Whether an event is all that a [`Record`] says.
#[inline]
fn is_plain(event: &Event<'_>) -> bool {
    let Event { etype, state_only, enter_ts, data, ranges, raw, .. } = event;
    !state_only
        && enter_ts.is_none()
        && raw.enter.is_none()
        && raw.etype == etype.0
        && raw.nparams as usize == ranges.len()
        && std::ptr::eq(*data, raw.payload)
}

/// Fills a batch with events that need nothing but a copy, up to so many.
pub(super) struct Pack<'b>(pub &'b mut Batch, pub usize);

impl Take for Pack<'_> {
    type Break = ();

    #[inline]
    fn event(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        self.0.push(event);
        if self.0.is_full(self.1) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
