//! Where a stream of scap blocks may be cut, and what stands in the blocks before that place.
//!
//! Fed with bytes in pieces of any size, it follows the blocks' lengths. Every byte is kept as it came: a damaged
//! stretch belongs to the frame it stands in, and makes that frame's record irregular.

use std::collections::BTreeSet;

use crate::blocks::event::{self, Fault};
use crate::blocks::frame::{candidate, header, is_sound, sized, trailer};
use crate::blocks::{EventLayout, Kind, interfaces};
use crate::event::EventType;
use crate::ledger::{Counter, Ledger};
use crate::limits::MAX_BLOCK;
use crate::seekable::filter::TypeSet;
use crate::tables::ppme;

/// What was seen in the blocks of one frame.
#[derive(Default)]
pub(crate) struct Seen {
    pub events: u64,
    pub earliest: Option<u64>,
    pub latest: Option<u64>,
    pub irregular: bool,
    pub snapshots: bool,
    pub types: TypeSet,
    pub threads: BTreeSet<u64>,
    pub losses: Ledger,
}

/// Bytes not written yet, and how far they are understood.
#[derive(Default)]
pub(crate) struct Cutter {
    pending: Vec<u8>,
    /// Bytes of `pending` that have been followed; a frame may end there.
    scanned: usize,
    /// In a damaged stretch: only a block that is sound in every respect ends it.
    lost: bool,
    seen: Seen,
}

/// What stands at the next unread place.
enum Place {
    Block(Option<Kind>, usize),
    Broken,
    /// It takes more bytes to say.
    Open,
}

impl Cutter {
    /// Takes bytes in and follows the blocks in them, until `enough` have been followed; the rest waits.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// Follows blocks up to a frame of `enough` bytes; true when one is complete.
    pub(crate) fn follow(&mut self, enough: usize, at_end: bool) -> bool {
        while self.scanned < enough {
            match self.look(at_end) {
                Place::Block(kind, len) => {
                    self.lost = false;
                    self.note(kind, self.scanned..self.scanned + len);
                    self.scanned += len;
                }
                Place::Broken => self.pass_over(),
                Place::Open => return false,
            }
        }
        true
    }

    /// Bytes that can be cut off now, and what was seen in them; `None` when there are none.
    pub(crate) fn take(&mut self, at_end: bool) -> Option<(Vec<u8>, Seen)> {
        if at_end && self.scanned < self.pending.len() {
            // A block cut off by the end of the input.
            self.seen.irregular = true;
            // The caller may have noticed it too.
            if self.seen.losses.get(Counter::TruncatedInput) == 0 {
                self.seen.losses.count(Counter::TruncatedInput);
            }
            self.scanned = self.pending.len();
        }
        if self.scanned == 0 {
            return None;
        }
        let rest = self.pending.split_off(self.scanned);
        self.scanned = 0;
        Some((std::mem::replace(&mut self.pending, rest), std::mem::take(&mut self.seen)))
    }

    /// Losses that the caller knows of, in the frame under way.
    pub(crate) fn losses(&mut self) -> &mut Ledger {
        &mut self.seen.losses
    }

    fn look(&self, at_end: bool) -> Place {
        let rest = &self.pending[self.scanned..];
        let Some((number, len)) = header(rest) else {
            return Place::Open;
        };
        let kind = Kind::of(number);
        let plausible = if kind.is_some() {
            sized(rest).is_some()
        } else {
            !self.lost && len % 4 == 0 && (12..=MAX_BLOCK).contains(&len)
        };
        if !plausible {
            return Place::Broken;
        }
        let Some(block) = rest.get(..len) else {
            // At the end, a sound block may still stand behind a length that is wrong; a cut block has none.
            return if at_end && self.lost { Place::Broken } else { Place::Open };
        };
        if trailer(block) == len as u32 {
            let sound = !self.lost || kind.is_some_and(|kind| is_sound(kind, &block[8..len - 4]));
            return if sound { Place::Block(kind, len) } else { Place::Broken };
        }
        if kind == Some(Kind::Interfaces(2)) {
            // A known defect of libs makes these blocks at most twice as long as they say.
            return match interfaces::repaired_length(&rest[..rest.len().min(2 * len)]) {
                Some(len) => Place::Block(kind, len),
                None if rest.len() < 2 * len && !at_end => Place::Open,
                None => Place::Broken,
            };
        }
        Place::Broken
    }

    fn pass_over(&mut self) {
        if !std::mem::replace(&mut self.lost, true) {
            self.seen.losses.count(Counter::DamagedBlocks);
        }
        self.seen.irregular = true;
        let rest = &self.pending[self.scanned + 1..];
        // A block number may straddle the end of what is there.
        let step = 1 + candidate(rest).unwrap_or(rest.len().saturating_sub(3));
        self.seen.losses.add(Counter::DamagedBytes, step as u64);
        self.scanned += step;
    }

    fn note(&mut self, kind: Option<Kind>, block: std::ops::Range<usize>) {
        match kind {
            Some(Kind::Event(layout)) => self.note_event(layout, block),
            Some(_) => self.seen.snapshots = true,
            None => {}
        }
    }

    fn note_event(&mut self, layout: EventLayout, block: std::ops::Range<usize>) {
        let seen = &mut self.seen;
        seen.events += 1;
        let stored = match event::decode(&self.pending[block.start + 8..block.end - 4], layout) {
            Ok(stored) => stored,
            Err(fault) => {
                seen.irregular = true;
                if fault == Fault::Damaged {
                    seen.losses.count(Counter::DamagedEvents);
                }
                return;
            }
        };
        let etype = EventType(stored.etype);
        seen.types.insert(etype);
        seen.threads.insert(stored.tid as u64);
        if matches!(etype, ppme::PPME_DROP_E | ppme::PPME_DROP_X) {
            seen.losses.count(Counter::KernelDrops);
        }
        // Synthetic events of old recorders carry 0 or all ones instead of a time.
        if stored.ts != 0 && stored.ts != u64::MAX {
            seen.earliest = Some(seen.earliest.map_or(stored.ts, |ts| ts.min(stored.ts)));
            seen.latest = Some(seen.latest.map_or(stored.ts, |ts| ts.max(stored.ts)));
        }
    }
}
