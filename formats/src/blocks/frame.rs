//! Framing: one window over the uncompressed stream, blocks found in it, and a way on where a block is broken.
//!
//! The window grows only as bytes arrive, so a length field alone never costs memory. Blocks are handed out as
//! ranges of the window, valid until the next one is asked for.

use std::io;
use std::ops::Range;

use super::{EV_V2, EVENT, EventLayout, Kind, SHB, event, fds, interfaces, round4, section, threads, users};
use crate::ledger::{Counter, Ledger};
use crate::limits::{HEAD_SEARCH, MAX_BLOCK, MAX_EVENT_BLOCK, READ_BUFFER};
use crate::seekable::{Feed, Run};
use crate::source::{Chunk, Source};

/// Bytes of a line of the caches of most processors.
const CACHE_LINE: usize = 64;

/// A block in the window.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub kind: Kind,
    /// The body, as a range for [`Blocks::bytes`].
    pub body: Range<usize>,
    /// Offset of the block in the uncompressed stream.
    pub offset: u64,
}

/// The stream of blocks.
pub(crate) struct Blocks {
    source: Source,
    window: Vec<u8>,
    /// Unread part of the window.
    start: usize,
    end: usize,
    /// Stream offset of the window's first byte.
    base: u64,
    ended: bool,
    /// The input's cut end has been counted.
    cut: bool,
}

/// Result of looking at the place where a block has to begin.
enum Look {
    Block(Block),
    /// An intact block of unknown type, of this length.
    Unknown(usize),
    Broken,
    End,
}

impl Blocks {
    pub(crate) fn new(source: Source) -> Self {
        Self { source, window: vec![0; READ_BUFFER], start: 0, end: 0, base: 0, ended: false, cut: false }
    }

    /// A stream that begins at `offset` of a longer one.
    pub(crate) fn resume(source: Source, offset: u64) -> Self {
        Self { base: offset, ..Self::new(source) }
    }

    /// See [`Source::unpack_ahead`].
    pub(crate) fn unpack_ahead(&mut self) {
        self.source.unpack_ahead();
    }

    /// Goes on to the next run of chosen frames, after the end of one; `None` where there is none.
    pub(crate) fn next_run(&mut self, ledger: &mut Ledger) -> io::Result<Option<Run>> {
        let run = self.source.next_run(ledger)?;
        if let Some(run) = run {
            (self.start, self.end, self.base, self.ended) = (0, 0, run.raw_offset, false);
        }
        Ok(run)
    }

    /// The frames that the stream is made of, where it is made of such.
    pub(crate) fn frames(&mut self) -> Option<&mut Feed> {
        self.source.frames()
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// Bytes of a block that [`Blocks::next`] has just given.
    #[inline]
    pub(crate) fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.window.get(range).unwrap_or_else(nothing)
    }

    /// The first bytes of the stream, at most `len`, unread.
    pub(crate) fn peek(&mut self, len: usize, ledger: &mut Ledger) -> io::Result<&[u8]> {
        self.fill(len, ledger)?;
        Ok(&self.window[self.start..self.end.min(self.start + len)])
    }

    /// Offset of the next unread byte in the uncompressed stream.
    #[inline]
    pub(crate) fn offset(&self) -> u64 {
        self.base + self.start as u64
    }

    /// What is in the window and not yet taken.
    #[inline]
    pub(crate) fn unread(&self) -> &[u8] {
        self.window.get(self.start..self.end).unwrap_or_else(nothing)
    }

    /// Whether what comes next is here: a whole block, or more bytes than most blocks have. Else its reading may have to wait
    /// for the input.
    pub(crate) fn is_at_hand(&self) -> bool {
        let unread = self.window.get(self.start..self.end).unwrap_or_default();
        unread.len() > MAX_EVENT_BLOCK || sized(unread).is_some_and(|(_, len)| len <= unread.len())
    }

    /// The next block, where it is an event of any kind, and whole in the window.
    #[inline]
    pub(crate) fn any_event(&mut self) -> Option<(EventLayout, Range<usize>)> {
        let unread = self.unread();
        let (Kind::Event(layout), len) = sized(unread)? else { return None };
        if trailer(unread.get(..len)?) != len as u32 {
            return None;
        }
        let body = self.start + 8..self.start + len - 4;
        self.start += len;
        Some((layout, body))
    }

    /// Where the unread bytes begin among those of [`Blocks::bytes`].
    #[inline]
    pub(crate) fn start(&self) -> usize {
        self.start
    }

    /// Takes the first `len` of the unread bytes, whole blocks.
    #[inline]
    pub(crate) fn pass_by(&mut self, len: usize) {
        self.start = self.end.min(self.start + len);
    }

    /// The next block of a known type. Unknown types are skipped, broken places passed over; both are counted.
    #[inline]
    pub(crate) fn next(&mut self, ledger: &mut Ledger) -> io::Result<Option<Block>> {
        let unread = self.unread();
        if let Some((kind, len)) = sized(unread)
            && let Some(block) = unread.get(..len)
            && trailer(block) == len as u32
        {
            return Ok(Some(self.take(kind, len)));
        }
        self.next_slow(ledger)
    }

    /// Goes to the first sound block near the start of a stream that does not begin with one. False: there is none.
    pub(crate) fn find_first(&mut self, ledger: &mut Ledger) -> io::Result<bool> {
        if self.is_sound_here(ledger)? {
            ledger.count(Counter::DamagedBlocks);
            return Ok(true);
        }
        Ok(match self.find_sound(Some(HEAD_SEARCH), ledger)? {
            (skipped, true) => {
                ledger.count(Counter::DamagedBlocks);
                ledger.add(Counter::DamagedBytes, skipped);
                true
            }
            (_, false) => false,
        })
    }

    #[inline]
    fn take(&mut self, kind: Kind, len: usize) -> Block {
        let block = Block { kind, body: self.start + 8..self.start + len - 4, offset: self.offset() };
        self.start += len;
        block
    }

    #[cold]
    fn next_slow(&mut self, ledger: &mut Ledger) -> io::Result<Option<Block>> {
        loop {
            match self.look(ledger)? {
                Look::Block(block) => return Ok(Some(block)),
                Look::Unknown(len) => {
                    ledger.count(Counter::UnknownBlocks);
                    self.start += len;
                }
                Look::Broken => {
                    if let Some(block) = self.repair(ledger)? {
                        return Ok(Some(block));
                    }
                    self.pass_over(ledger)?;
                }
                Look::End => return Ok(None),
            }
        }
    }

    /// Judges the place at the start of the unread bytes, reading as much as its length field asks for.
    fn look(&mut self, ledger: &mut Ledger) -> io::Result<Look> {
        if !self.fill(8, ledger)? && self.start == self.end {
            return Ok(Look::End);
        }
        let unread = &self.window[self.start..self.end];
        let Some((number, len)) = header(unread) else { return Ok(Look::Broken) };
        if number == SHB && self.fill(16, ledger)? && section::is_foreign(&self.window[self.start + 8..self.end]) {
            // Every length in this section is of the other byte order too; its magic is all that can be read.
            return Ok(Look::Block(self.take(Kind::Section, 16)));
        }
        let kind = Kind::of(number);
        let (least, most) = kind.map_or((12, MAX_BLOCK), Kind::bounds);
        if len % 4 != 0 || len < least || len > most || !self.fill(len, ledger)? {
            return Ok(Look::Broken);
        }
        if trailer(&self.window[self.start..self.start + len]) != len as u32 {
            return Ok(Look::Broken);
        }
        Ok(kind.map_or(Look::Unknown(len), |kind| Look::Block(self.take(kind, len))))
    }

    /// Blocks that are readable although their frame is wrong: interface lists of a known defect, and events of which
    /// nothing but the trailer is wrong; libs does not compare that either.
    fn repair(&mut self, ledger: &mut Ledger) -> io::Result<Option<Block>> {
        let Some((kind, len)) = sized(&self.window[self.start..self.end]) else { return Ok(None) };
        match kind {
            Kind::Interfaces(2) => {
                // The defect makes the block at most twice as long as it says.
                self.fill(2 * len, ledger)?;
                let block = &self.window[self.start..self.end.min(self.start + 2 * len)];
                Ok(interfaces::repaired_length(block).map(|len| self.take(kind, len)))
            }
            Kind::Event(layout) => {
                self.fill(len + 8, ledger)?;
                let unread = &self.window[self.start..self.end];
                let Some((block, after)) = unread.split_at_checked(len) else { return Ok(None) };
                // Where the next block is not in its place, bytes are missing or too many, perhaps inside this one.
                let follows = after.is_empty() || sized(after).is_some();
                if !follows || !event::is_sound(&block[8..len - 4], layout) {
                    return Ok(None);
                }
                ledger.count(Counter::DamagedBlocks);
                Ok(Some(self.take(kind, len)))
            }
            _ => Ok(None),
        }
    }

    /// Skips to the next sound block, or to the end: a block cut off by the end of the file is a truncation, anything
    /// else damage.
    fn pass_over(&mut self, ledger: &mut Ledger) -> io::Result<()> {
        let unread = &self.window[self.start..self.end];
        let at_end = self.ended;
        let cut = at_end && (header(unread).is_none() || cut_event(unread));
        if cut {
            self.start = self.end;
            self.count_cut(ledger);
            return Ok(());
        }
        let may_be_cut = at_end && sized(unread).is_some_and(|(_, len)| len > unread.len());
        let (skipped, found) = self.find_sound(None, ledger)?;
        if may_be_cut && !found {
            self.count_cut(ledger);
        } else {
            ledger.count(Counter::DamagedBlocks);
            ledger.add(Counter::DamagedBytes, skipped);
        }
        Ok(())
    }

    /// Moves forward to the next sound block, at least one byte, at most `limit`; how far, and whether there is one.
    fn find_sound(&mut self, limit: Option<usize>, ledger: &mut Ledger) -> io::Result<(u64, bool)> {
        let mut skipped = 0;
        let mut step = 1;
        loop {
            let whole = self.fill(step + 12, ledger)?;
            let step_to = step.min(self.end - self.start);
            self.start += step_to;
            skipped += step_to as u64;
            if !whole || limit.is_some_and(|limit| skipped > limit as u64) {
                if limit.is_none() {
                    skipped += (self.end - self.start) as u64;
                    self.start = self.end;
                }
                return Ok((skipped, false));
            }
            step = match candidate(&self.window[self.start..self.end]) {
                Some(0) if self.is_sound_here(ledger)? => return Ok((skipped, true)),
                Some(0) => 1,
                Some(distance) => distance,
                // A block number may straddle the end of what is there.
                None => self.end - self.start - 3,
            };
        }
    }

    /// Whether a sound block begins at the start of the unread bytes.
    fn is_sound_here(&mut self, ledger: &mut Ledger) -> io::Result<bool> {
        let Some((kind, len)) = sized(&self.window[self.start..self.end]) else { return Ok(false) };
        if !self.fill(len, ledger)? {
            return Ok(false);
        }
        let block = &self.window[self.start..self.start + len];
        Ok(trailer(block) == len as u32 && is_sound(kind, &block[8..len - 4]))
    }

    /// Reads until `len` unread bytes are there; false when the stream ends before.
    fn fill(&mut self, len: usize, ledger: &mut Ledger) -> io::Result<bool> {
        while self.end - self.start < len {
            if self.ended {
                return Ok(false);
            }
            self.make_room();
            match self.source.read(&mut self.window[self.end..])? {
                Chunk::Bytes(n) => self.end += n,
                Chunk::End => self.ended = true,
                Chunk::Cut => {
                    self.ended = true;
                    self.count_cut(ledger);
                }
                Chunk::Broken => {
                    self.ended = true;
                    ledger.count(Counter::BrokenCompression);
                }
            }
        }
        Ok(true)
    }

    /// Counts the cut end once, whether the compression or the framing noticed it, or both.
    fn count_cut(&mut self, ledger: &mut Ledger) {
        if !std::mem::replace(&mut self.cut, true) {
            ledger.count(Counter::TruncatedInput);
        }
    }

    /// Frees space behind the unread bytes: by moving them to the front, or, when they fill more than half of the
    /// window already, by doubling it. Either costs no more than what has been read since. Gives memory back when a
    /// large block is behind us.
    fn make_room(&mut self) {
        if self.end < self.window.len() {
            return;
        }
        let unread = self.end - self.start;
        if unread > self.window.len() / 2 {
            self.window.resize(self.window.len() * 2, 0);
            return;
        }
        let smaller = self.window.len() > READ_BUFFER && unread <= READ_BUFFER / 2;
        let mut other = smaller.then(|| vec![0; READ_BUFFER]);
        // The next bytes begin on a cache line: so the kernel copies them faster.
        let address = other.as_ref().unwrap_or(&self.window).as_ptr().addr();
        let front = (address + unread).wrapping_neg() % CACHE_LINE;
        match &mut other {
            Some(window) => window[front..front + unread].copy_from_slice(&self.window[self.start..self.end]),
            None => self.window.copy_within(self.start..self.end, front),
        }
        self.window = other.unwrap_or_else(|| std::mem::take(&mut self.window));
        // At least half of the window was behind us.
        self.base += (self.start - front) as u64;
        (self.start, self.end) = (front, front + unread);
    }
}

/// An event of the first block, its payload, and what follows the block: where that is of today's kind, whole and sound.
/// Any other is for [`Blocks::next`].
#[allow(clippy::inline_always)] // its results are many, and go into registers where it is part of a loop
#[inline(always)]
pub(crate) fn split_event(unread: &[u8]) -> Option<(event::Head, &[u8], &[u8])> {
    let bytes: &[u8; event::PAYLOAD] = unread.first_chunk()?;
    let (number, len) = (u32::from_le_bytes(event::field(bytes, 0)), u32::from_le_bytes(event::field(bytes, 4)));
    let size = len as usize;
    if number != EV_V2 || !len.is_multiple_of(4) || size > MAX_EVENT_BLOCK {
        return None;
    }
    let head = event::head(bytes, size)?;
    let (block, rest) = unread.split_at_checked(size)?;
    if u32::from_le_bytes(*block.get(size - 4..)?.first_chunk()?) != len {
        return None;
    }
    Some((head, block.get(event::PAYLOAD..head.end)?, rest))
}

/// Number and total length of a block.
#[inline]
pub(crate) fn header(bytes: &[u8]) -> Option<(u32, usize)> {
    let head: &[u8; 8] = bytes.first_chunk()?;
    let number = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
    Some((number, u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize))
}

/// Kind and total length, when the kind is known and the length is one it can have.
#[inline]
pub(crate) fn sized(bytes: &[u8]) -> Option<(Kind, usize)> {
    let (number, len) = header(bytes)?;
    let fitting = |kind: Kind| {
        let (least, most) = kind.bounds();
        (len % 4 == 0 && (least..=most).contains(&len)).then_some((kind, len))
    };
    // Of nearly every block nothing has to be looked up.
    if number == EV_V2 { fitting(EVENT) } else { fitting(Kind::of(number)?) }
}

/// What a range outside of the window holds. Told apart from what is inside by a jump that is never taken.
#[cold]
const fn nothing<'a>() -> &'a [u8] {
    &[]
}

/// The body of the event block that these bytes begin with, and its layout.
pub(crate) fn event_at(bytes: &[u8]) -> Option<(&[u8], EventLayout)> {
    let Some((Kind::Event(layout), len)) = sized(bytes) else { return None };
    Some((bytes.get(8..len - 4)?, layout))
}

/// The length at the end of a block.
#[inline]
pub(crate) fn trailer(block: &[u8]) -> u32 {
    block.last_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// Whether these bytes, which run to the end of the file, are the beginning of a sound event block: its own length
/// and the block's say the same.
pub(crate) fn cut_event(unread: &[u8]) -> bool {
    let Some((Kind::Event(layout), len)) = sized(unread) else { return false };
    let ahead = if layout.flags { 6 } else { 2 };
    let Some(own) = unread.get(8 + ahead + 16..).and_then(|bytes| bytes.first_chunk()) else {
        return len > unread.len();
    };
    len > unread.len() && 12 + round4(ahead + u32::from_le_bytes(*own) as usize) == len
}

/// Where the next block number might stand.
pub(crate) fn candidate(bytes: &[u8]) -> Option<usize> {
    // Every number has one of these as its second byte.
    memchr::memchr3_iter(0x02, 0x0D, 0xAB, bytes)
        .filter(|&at| at > 0)
        .map(|at| at - 1)
        .find(|&at| bytes[at..].first_chunk().is_some_and(|number| Kind::of(u32::from_le_bytes(*number)).is_some()))
}

/// Whether a body is what its kind says, judged at a cost that does not depend on its length.
pub(crate) fn is_sound(kind: Kind, body: &[u8]) -> bool {
    match kind {
        Kind::Section => section::decode(body) != section::Header::Broken,
        Kind::Machine => body.len() == 180,
        Kind::Threads(version) => threads::decode(body, version, 1).damaged == 0,
        Kind::Fds(version) => fds::decode(body, version, 1).is_some_and(|(_, damaged)| damaged == 0),
        Kind::Interfaces(version) => interfaces::decode(body, version, 1).damaged == 0,
        Kind::Users(version) => users::decode(body, version, 1).damaged == 0,
        Kind::Event(layout) => event::is_sound(body, layout),
    }
}
