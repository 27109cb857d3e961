//! Events at hand: those that stand whole in the window, one after another, taken with as little ado as can be.
//!
//! The way of nearly every event: a block of today's kind holds an event of today's form, and nothing about it has to be
//! counted. Whatever is different in any respect is left to the rest of the reader, which gives the same item for it.

use std::ops::ControlFlow;

use super::{CaptureReader, Delivered};
use crate::blocks::event::{Head, PAYLOAD};
use crate::blocks::frame::split_event;
use crate::convert::{Pass, leave};
use crate::event::{Event, ParamRange, RawEvent};
use crate::halves::Ended;

/// An event of today's form, still in the window.
pub(super) struct Plain {
    head: Head,
    half: Option<Ended>,
    offset: u64,
    /// Where its block begins in the window.
    start: usize,
}

/// Who takes the events at hand.
pub trait Take {
    /// Why it has enough.
    type Break;

    /// The next event.
    fn event(&mut self, event: &Event<'_>) -> ControlFlow<Self::Break>;
}

/// An event that is not of today's form, or was recorded in two halves: not the loop that is to be short.
#[inline(never)]
pub(super) fn hand_over<T: Take>(taker: &mut T, event: &Event<'_>) -> ControlFlow<T::Break> {
    taker.event(event)
}

impl CaptureReader {
    /// Hands over the events that are at hand, in order, until `taker` has enough. `Continue` says nothing about what
    /// comes, ask [`CaptureReader::next_item`]; it gives the same items, only with more ado. Before each of these events
    /// nothing was left out.
    pub fn events_at_hand<T: Take>(&mut self, taker: &mut T) -> ControlFlow<T::Break> {
        loop {
            self.plain_events(taker)?;
            let Some(delivered) = self.event_at_hand() else { return ControlFlow::Continue(()) };
            hand_over(taker, &self.lend(&delivered))?;
        }
    }

    /// Those of today's form, as far as they follow each other. What is known of the place in the stream stays in
    /// registers meanwhile.
    #[inline]
    pub(super) fn plain_events<T: Take>(&mut self, taker: &mut T) -> ControlFlow<T::Break> {
        let mut flow = ControlFlow::Continue(());
        if self.pending_section {
            return flow;
        }
        let limit = self.pause.min(self.boundary);
        let (mut num, mut previous) = (self.events, self.last_ts.max(1));
        let mut unread = self.blocks.unread();
        let all = unread.len();
        let end = self.blocks.offset() + all as u64;
        while let Some((head, payload, rest)) = split_event(unread) {
            let offset = end - unread.len() as u64;
            if offset >= limit || !goes_on(previous, head.ts) {
                break;
            }
            let Some(Pass { ranges, halves }) = self.converter.pass(&head, payload) else { break };
            unread = rest;
            num += 1;
            previous = head.ts;
            // Before the event is put together: what is in registers by then stays known to be what is in the event.
            let half = halves.and_then(|halves| leave(halves, head.tid, head.etype));
            let mut event = event(num, offset, &head, payload, ranges);
            flow = match half {
                None => taker.event(&event),
                Some(half) => {
                    end_half(&mut event, half);
                    hand_over(taker, &event)
                }
            };
            if flow.is_break() {
                break;
            }
        }
        let passed = all - unread.len();
        if passed > 0 {
            self.is_scap = true;
            (self.events, self.last_ts) = (num, previous);
            self.blocks.pass_by(passed);
        }
        flow
    }

    /// The next one of today's form.
    // Its result would be copied twice otherwise, for every event.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    pub(super) fn plain(&mut self) -> Option<Plain> {
        let offset = self.blocks.offset();
        if offset >= self.pause.min(self.boundary) || self.pending_section {
            return None;
        }
        let unread = self.blocks.unread();
        let (head, payload, rest) = split_event(unread)?;
        if !goes_on(self.last_ts.max(1), head.ts) {
            return None;
        }
        let halves = self.converter.pass(&head, payload)?.halves;
        let half = halves.and_then(|halves| leave(halves, head.tid, head.etype));
        let (len, start) = (unread.len() - rest.len(), self.blocks.start());
        self.blocks.pass_by(len);
        self.is_scap = true;
        self.events += 1;
        self.last_ts = head.ts;
        Some(Plain { head, half, offset, start })
    }

    #[allow(clippy::inline_always)] // as above
    #[inline(always)]
    pub(super) fn lend_plain(&self, plain: &Plain) -> Event<'_> {
        let Plain { head, half, offset, start } = plain;
        let payload = self.blocks.bytes(start + PAYLOAD..start + head.end);
        let mut event = event(self.events, *offset, head, payload, self.converter.passed(head.nparams as usize));
        if let Some(half) = half {
            end_half(&mut event, *half);
        }
        event
    }

    /// The next event of any form, where it is at hand and nothing is left out before it.
    #[inline]
    pub(super) fn event_at_hand(&mut self) -> Option<Delivered> {
        loop {
            let offset = self.blocks.offset();
            if offset >= self.pause.min(self.boundary) || self.pending_section {
                return None;
            }
            let (layout, body) = self.blocks.any_event()?;
            self.is_scap = true;
            if let Some(delivered) = self.event(&body, layout, offset).ok()? {
                return Some(delivered);
            }
        }
    }
}

/// Whether an event has a time, and none before that of the event before, `previous`, at least 1. An older one may be a step
/// back of the clock that has to be counted.
#[inline]
fn goes_on(previous: u64, ts: u64) -> bool {
    ts >= previous && ts != u64::MAX
}

/// An event that is the exit half of a call ends its enter half.
fn end_half(event: &mut Event<'_>, half: Ended) {
    (event.enter_ts, event.raw.enter) = (half.ts, Some(half.at));
}

#[allow(clippy::inline_always)] // built in place
#[inline(always)]
fn event<'a>(num: u64, offset: u64, head: &Head, payload: &'a [u8], ranges: &'a [ParamRange]) -> Event<'a> {
    let Head { cpu, ts, tid, etype, nparams, end: _ } = *head;
    Event {
        num,
        ts,
        tid,
        cpu,
        etype,
        state_only: false,
        enter_ts: None,
        data: payload,
        ranges,
        raw: RawEvent { offset, enter: None, etype: etype.0, nparams, payload },
    }
}
