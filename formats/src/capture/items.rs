//! What a replay needs of whoever reads a capture for it: items, and what was found out by the item given last.
//!
//! [`CaptureReader`] is one such reader; another hands over what a `CaptureReader` on another thread has read.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::{CaptureReader, FormatError, Item, Take, Upstream};
use crate::event::Event;
use crate::ledger::Ledger;

/// A capture that is being read, in this thread or in another.
pub trait Items {
    /// The next item, where it is an event that can be had without ado and before which nothing was counted that the
    /// state has to doubt for; `None` says nothing about what comes, ask [`Items::next_item`].
    fn plain_event(&mut self) -> Option<Event<'_>>;

    /// Such events, one after another until `taker` has enough; `Continue` says as little about what comes.
    #[inline]
    fn events_at_hand<T: Take>(&mut self, taker: &mut T) -> ControlFlow<T::Break>
    where
        Self: Sized,
    {
        while let Some(event) = self.plain_event() {
            taker.event(&event)?;
        }
        ControlFlow::Continue(())
    }

    /// The next item, or `None` at the end.
    ///
    /// # Errors
    ///
    /// As [`CaptureReader::next_item`].
    fn next_item(&mut self) -> Result<Option<Item<'_>>, FormatError>;

    /// Anomalies until the item given last, no further.
    fn ledger(&self) -> &Ledger;

    /// What the reader in front of it had found by then.
    fn upstream(&self) -> Upstream;

    /// See [`CaptureReader::gaps`].
    fn gaps(&self) -> &Arc<[u64]>;

    /// Bytes of the (compressed) input consumed so far, for progress.
    fn bytes_read(&self) -> u64;
}

impl Items for CaptureReader {
    #[allow(clippy::inline_always)] // as that of the reader
    #[inline(always)]
    fn plain_event(&mut self) -> Option<Event<'_>> {
        self.plain_event()
    }

    #[inline]
    fn events_at_hand<T: Take>(&mut self, taker: &mut T) -> ControlFlow<T::Break> {
        self.events_at_hand(taker)
    }

    fn next_item(&mut self) -> Result<Option<Item<'_>>, FormatError> {
        self.next_item()
    }

    fn ledger(&self) -> &Ledger {
        self.ledger()
    }

    fn upstream(&self) -> Upstream {
        self.upstream()
    }

    fn gaps(&self) -> &Arc<[u64]> {
        self.gaps()
    }

    fn bytes_read(&self) -> u64 {
        self.bytes_read()
    }
}
