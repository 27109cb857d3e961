//! Where a stream of scap blocks may be cut, and what stands in the blocks before that place.
//!
//! Fed with bytes in pieces of any size, it follows the blocks' lengths. Every byte is kept as it came: a damaged
//! stretch belongs to the frame it stands in, and makes that frame's record irregular.

use std::collections::BTreeSet;

use crate::blocks::event::{self, Fault};
use crate::blocks::frame::{candidate, cut_event, header, is_sound, sized, trailer};
use crate::blocks::{EventLayout, Kind, interfaces, section};
use crate::convert::{Converter, Outcome};
use crate::event::EventType;
use crate::ledger::{Counter, Ledger};
use crate::limits::MAX_BLOCK;
use crate::seekable::filter::TypeSet;
use crate::tables::ppme;

/// What was seen in the blocks of one frame.
#[derive(Default)]
pub(crate) struct Seen {
    pub events: u64,
    /// Events after conversion.
    pub delivered: u64,
    /// Stream offsets of enter halves before this frame that were waiting for exits in it.
    pub carried: BTreeSet<u64>,
    pub earliest: Option<u64>,
    pub latest: Option<u64>,
    pub irregular: bool,
    pub snapshots: bool,
    pub types: TypeSet,
    pub threads: BTreeSet<u64>,
    last_thread: Option<i64>,
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
    /// Stream offset of the first byte of `pending`.
    base: u64,
    converter: Converter,
    /// What conversion counts: every reader counts it again.
    aside: Ledger,
}

/// What stands at the next unread place.
enum Place {
    Block(Option<Kind>, usize),
    /// An event whose frame is damaged and whose content is not.
    Repaired(EventLayout, usize),
    Broken,
    /// It takes more bytes to say.
    Open,
}

/// Whether the end of the stream cuts this block off, rather than that its length is wrong: no sound block stands behind it.
fn is_cut(rest: &[u8]) -> bool {
    let mut at = 1;
    cut_event(rest)
        || sized(rest).is_some()
            && loop {
                let Some(distance) = rest.get(at..).and_then(candidate) else { break true };
                at += distance;
                let block = rest.get(at..).unwrap_or_default();
                if let Some((kind, len)) = sized(block)
                    && let Some(block) = block.get(..len)
                    && trailer(block) == len as u32
                    && is_sound(kind, &block[8..len - 4])
                {
                    break false;
                }
                at += 1;
            }
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
                Place::Repaired(layout, len) => {
                    self.seen.losses.count(Counter::DamagedBlocks);
                    self.note(Some(Kind::Event(layout)), self.scanned..self.scanned + len);
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
        self.base += self.scanned as u64;
        self.scanned = 0;
        Some((std::mem::replace(&mut self.pending, rest), std::mem::take(&mut self.seen)))
    }

    /// Losses that the caller knows of, in the frame under way.
    pub(crate) fn losses(&mut self) -> &mut Ledger {
        &mut self.seen.losses
    }

    /// Judges as the reader does ([`crate::blocks::frame`]), so that both find the same blocks.
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
            return if at_end && (self.lost || !is_cut(rest)) { Place::Broken } else { Place::Open };
        };
        if trailer(block) == len as u32 {
            let sound = !self.lost || kind.is_some_and(|kind| is_sound(kind, &block[8..len - 4]));
            return if sound { Place::Block(kind, len) } else { Place::Broken };
        }
        if let Some(Kind::Event(layout)) = kind
            && !self.lost
        {
            // Nothing but the trailer is wrong, and the next block stands where it has to.
            let after = rest.get(len..).unwrap_or_default();
            if after.len() < 8 && !at_end {
                return Place::Open;
            }
            let follows = after.is_empty() || sized(after).is_some();
            let sound = follows && event::is_sound(&block[8..len - 4], layout);
            return if sound { Place::Repaired(layout, len) } else { Place::Broken };
        }
        if kind == Some(Kind::Interfaces(2)) && !self.lost {
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
            Some(kind) => {
                self.seen.snapshots = true;
                let begins = kind == Kind::Section
                    && section::decode(&self.pending[block.start + 8..block.end - 4]) != section::Header::Broken;
                if begins {
                    self.converter.clear();
                }
            }
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
        let at = self.base + block.start as u64;
        match self.converter.convert(&stored, at, &mut self.aside) {
            Outcome::Deliver(_) => seen.delivered += 1,
            Outcome::Gone => {}
            Outcome::Damaged => seen.losses.count(Counter::DamagedEvents),
        }
        seen.carried.extend(self.converter.used().filter(|&half| half < self.base));
        let etype = EventType(stored.etype);
        seen.types.insert(etype);
        // Events come in stretches of one thread.
        if seen.last_thread != Some(stored.tid) {
            seen.last_thread = Some(stored.tid);
            seen.threads.insert(stored.tid as u64);
        }
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
