//! Reading a capture: one pull interface over files, pipes, compression, sections, damage and old forms.
//!
//! Pipeline: byte source → decompression → blocks (with resynchronisation) → snapshots and raw events →
//! conversion to the normal form → [`Item`]s. Memory is bounded by the largest block, not by the file.

mod ahead;
mod at_hand;
mod batch;
mod item;
mod items;
mod opening;

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use crate::blocks::event::{self, Fault};
use crate::blocks::frame::{Block, Blocks, event_at};
use crate::blocks::{EventLayout, Kind, List, fds, interfaces, machine, section, threads, users};
use crate::convert::{Converter, Normal, Outcome};
use crate::event::{Event, EventType, RawEvent};
use crate::ledger::{Counter, Ledger};
use crate::limits::MAX_LIST_ENTRIES;
use crate::tables::ppme;
pub use ahead::ReadAhead;
pub use at_hand::Take;
pub use item::{FormatError, Item, Section, Upstream};
pub use items::Items;

/// A capture being read.
///
/// Event numbers run on across sections. Memory is bounded by the largest block and by the enter halves of calls
/// under way ([`crate::limits`]), not by the file.
pub struct CaptureReader {
    name: String,
    blocks: Blocks,
    converter: Converter,
    ledger: Ledger,
    /// Events delivered so far.
    events: u64,
    /// Time of the last event that has one.
    last_ts: u64,
    sections: u64,
    /// A scap block other than a section header has been seen.
    is_scap: bool,
    /// A section that stands in for one whose header is lost.
    pending_section: bool,
    /// No block at this place of the uncompressed stream or beyond it is read.
    pause: u64,
    /// Chosen frames: stream offset from which on enter halves outside of them are to be asked for.
    boundary: u64,
    /// What the reader found that makes this stream from something else.
    upstream: Option<Arc<Mutex<Upstream>>>,
    /// See [`CaptureReader::gaps`].
    gaps: Arc<[u64]>,
}

/// What one block came to; events stay in the window until they are borrowed.
enum Step {
    Item(Item<'static>),
    Event(Box<Delivered>),
    Nothing,
    End,
}

/// An event ready to be lent out.
struct Delivered {
    normal: Normal,
    head: Head,
    payload: Range<usize>,
}

/// An event had to be left out.
struct LeftOut;

/// The stored header, without its borrowed parts.
#[derive(Clone, Copy)]
struct Head {
    offset: u64,
    ts: u64,
    tid: i64,
    cpu: u16,
    dump_flags: u32,
    etype: u16,
    nparams: u32,
}

/// Dump flag: feeds the state, is not shown.
const STATE_ONLY: u32 = 1;

/// A step back of more than this between two events is counted.
const CLOCK_STEP: u64 = 1_000_000_000;

impl CaptureReader {
    /// Tells it of gaps that the stream itself does not show.
    #[must_use]
    pub fn with_gaps(mut self, gaps: Arc<[u64]>) -> Self {
        self.gaps = gaps;
        self
    }

    /// Offsets of the uncompressed stream, ascending, from which on events are missing, as somebody who knows more than
    /// the stream has told ([`CaptureReader::with_gaps`]; [`crate::seekable::SeekableFile::recorded_gaps`]).
    pub fn gaps(&self) -> &Arc<[u64]> {
        &self.gaps
    }

    /// Goes on to the next run of chosen frames; where it begins in the stream.
    fn next_run(&mut self) -> Result<Option<u64>, FormatError> {
        let run = self.blocks.next_run(&mut self.ledger).map_err(|error| self.io(error))?;
        Ok(run.map(|run| {
            self.converter.clear();
            self.events = self.events.wrapping_add(run.passed);
            self.boundary = run.raw_offset;
            run.raw_offset
        }))
    }

    /// A frame begins: enter halves that stand outside of the run and whose exits are in this frame.
    #[cold]
    fn carry(&mut self, offset: u64) -> std::io::Result<()> {
        self.boundary = u64::MAX;
        let Some(frames) = self.blocks.frames() else { return Ok(()) };
        let (halves, boundary) = frames.carried(offset);
        self.boundary = boundary;
        // What was odd about them was counted, or not, where they stand.
        let mut aside = Ledger::default();
        for at in halves {
            if let Some((body, layout)) = event_at(frames.rest_of_frame(at)?)
                && let Ok(stored) = event::decode(body, layout)
            {
                self.converter.convert(&stored, at, &mut aside);
            }
        }
        frames.forget_origin();
        Ok(())
    }

    /// Unpacks a compressed capture on a thread of its own from here on, ahead of the reading: worth it where a processor
    /// has nothing else to do. The same items come.
    pub fn unpack_ahead(&mut self) {
        self.blocks.unpack_ahead();
    }

    /// Reads no block that begins at this offset of the uncompressed stream or beyond it: [`CaptureReader::next_item`]
    /// gives `None` there, until another offset is set; `None` is the end of the stream.
    pub fn pause_at(&mut self, offset: Option<u64>) {
        self.pause = offset.unwrap_or(u64::MAX);
    }

    /// The next item, or `None` at the end. A cut or damaged tail is an end with a ledger entry, not an error.
    #[inline]
    pub fn next_item(&mut self) -> Result<Option<Item<'_>>, FormatError> {
        loop {
            if let Some(plain) = self.plain() {
                return Ok(Some(Item::Event(self.lend_plain(&plain))));
            }
            if let Some(delivered) = self.event_at_hand() {
                return Ok(Some(Item::Event(self.lend(&delivered))));
            }
            match self.step()? {
                Step::Event(delivered) => return Ok(Some(Item::Event(self.lend(&delivered)))),
                Step::Item(item) => return Ok(Some(item)),
                Step::Nothing => {}
                Step::End => return Ok(None),
            }
        }
    }

    /// The next item, where it is an event of today's form that is at hand; `None` says nothing about what comes, ask
    /// [`CaptureReader::next_item`]. Gives no item that `next_item` would not give, only with less ado.
    #[allow(clippy::inline_always)] // as below
    #[inline(always)]
    pub fn plain_event(&mut self) -> Option<Event<'_>> {
        let plain = self.plain()?;
        Some(self.lend_plain(&plain))
    }

    #[inline]
    fn lend(&self, delivered: &Delivered) -> Event<'_> {
        let Delivered { normal, head, payload } = delivered;
        let payload = self.blocks.bytes(payload.clone());
        Event {
            num: self.events,
            ts: head.ts,
            tid: head.tid,
            cpu: head.cpu,
            etype: normal.etype,
            state_only: head.dump_flags & STATE_ONLY != 0,
            enter_ts: normal.enter_ts,
            data: if normal.in_scratch { self.converter.scratch() } else { payload },
            ranges: self.converter.ranges(),
            raw: RawEvent {
                offset: head.offset,
                enter: self.converter.used(),
                etype: head.etype,
                nparams: head.nparams,
                payload,
            },
        }
    }

    /// Whatever is not an event whole in the window.
    #[cold]
    #[inline(never)]
    fn step(&mut self) -> Result<Step, FormatError> {
        if self.pending_section {
            self.pending_section = false;
            return Ok(self.enter_section(Section::default()));
        }
        if self.blocks.offset() >= self.pause {
            return Ok(Step::End);
        }
        match self.blocks.next(&mut self.ledger) {
            Ok(Some(Block { kind: Kind::Event(layout), body, offset })) => {
                self.is_scap = true;
                if offset >= self.boundary {
                    self.carry(offset).map_err(|error| self.io(error))?;
                }
                let event = self.event(&body, layout, offset).ok().flatten();
                Ok(event.map_or(Step::Nothing, |event| Step::Event(Box::new(event))))
            }
            Ok(Some(block)) => self.snapshot(&block),
            Ok(None) => match self.next_run()? {
                Some(_) => Ok(Step::Nothing),
                None => self.end(),
            },
            Err(error) => Err(self.io(error)),
        }
    }

    /// What a stored event comes to: nothing where it is merged into a later one, or of no use. One that had to be left
    /// out was counted, and is an error.
    #[inline]
    fn event(&mut self, body: &Range<usize>, layout: EventLayout, offset: u64) -> Result<Option<Delivered>, LeftOut> {
        let stored = match event::decode(self.blocks.bytes(body.clone()), layout) {
            Ok(stored) => stored,
            Err(Fault::Damaged) => return Err(self.leave_out(Counter::DamagedEvents)),
            Err(Fault::UnknownType) => return Err(self.leave_out(Counter::UnknownEventTypes)),
        };
        let normal = match self.converter.convert(&stored, offset, &mut self.ledger) {
            Outcome::Deliver(normal) => normal,
            Outcome::Gone => return Ok(None),
            Outcome::Damaged => return Err(self.leave_out(Counter::DamagedEvents)),
        };
        let payload = body.start + stored.payload_at;
        let delivered = Delivered {
            normal,
            head: Head {
                offset,
                ts: stored.ts,
                tid: stored.tid,
                cpu: stored.cpu,
                dump_flags: stored.dump_flags,
                etype: stored.etype,
                nparams: stored.nparams,
            },
            payload: payload..payload + stored.payload.len(),
        };
        self.events += 1;
        self.watch(delivered.head.ts, normal.etype);
        Ok(Some(delivered))
    }

    #[cold]
    fn leave_out(&mut self, counter: Counter) -> LeftOut {
        self.ledger.count(counter);
        LeftOut
    }

    /// Counts what the events say about the recording itself.
    #[inline]
    fn watch(&mut self, ts: u64, etype: EventType) {
        // Synthetic events of old recorders carry 0 or all ones instead of a time.
        if ts != 0 && ts != u64::MAX {
            if ts.saturating_add(CLOCK_STEP) < self.last_ts {
                self.ledger.count(Counter::ClockSteps);
            }
            self.last_ts = ts;
        }
        if matches!(etype, ppme::PPME_DROP_E | ppme::PPME_DROP_X) {
            self.ledger.count(Counter::KernelDrops);
        }
    }

    #[inline(never)]
    fn snapshot(&mut self, block: &Block) -> Result<Step, FormatError> {
        let body = self.blocks.bytes(block.body.clone());
        if block.kind == Kind::Section {
            return match section::decode(body) {
                section::Header::Native(section) if section.major <= 1 => Ok(self.enter_section(section)),
                section::Header::Native(Section { major, minor, .. }) => {
                    Err(FormatError::UnsupportedVersion { name: self.name.clone(), offset: block.offset, major, minor })
                }
                section::Header::Foreign => {
                    Err(FormatError::ForeignByteOrder { name: self.name.clone(), offset: block.offset })
                }
                section::Header::Broken => {
                    self.ledger.count(Counter::DamagedBlocks);
                    Ok(Step::Nothing)
                }
            };
        }
        self.is_scap = true;
        let (item, damaged) = match block.kind {
            Kind::Machine => match machine::decode(body) {
                Some(info) => (Some(Item::Machine(info)), 0),
                None => (None, 1),
            },
            Kind::Interfaces(version) => list(interfaces::decode(body, version, MAX_LIST_ENTRIES), Item::Interfaces),
            Kind::Users(version) => list(users::decode(body, version, MAX_LIST_ENTRIES), Item::Users),
            Kind::Threads(version) => list(threads::decode(body, version, MAX_LIST_ENTRIES), Item::Threads),
            Kind::Fds(version) => match fds::decode(body, version, MAX_LIST_ENTRIES) {
                Some((list, damaged)) => (Some(Item::Fds(list)), damaged),
                None => (None, 1),
            },
            Kind::Section | Kind::Event(_) => (None, 0),
        };
        self.ledger.add(Counter::DamagedSnapshotEntries, damaged);
        Ok(item.map_or(Step::Nothing, Step::Item))
    }

    fn enter_section(&mut self, section: Section) -> Step {
        if self.sections > 0 {
            self.ledger.count(Counter::Sections);
        }
        self.sections += 1;
        self.converter.clear();
        self.last_ts = 0;
        Step::Item(Item::Section(section))
    }

    /// A file of section headers and blocks that are all unknown is a capture of network packets.
    fn end(&mut self) -> Result<Step, FormatError> {
        let damaged = self.ledger.get(Counter::DamagedBlocks) + self.ledger.get(Counter::DamagedFrames) > 0;
        if self.is_scap || damaged || self.ledger.get(Counter::UnknownBlocks) == 0 {
            return Ok(Step::End);
        }
        self.is_scap = true; // said once
        let found = "a pcapng file without a single scap block".to_owned();
        Err(FormatError::NotScap { name: self.name.clone(), offset: self.blocks.offset(), found })
    }

    fn io(&self, source: std::io::Error) -> FormatError {
        FormatError::Io { name: self.name.clone(), offset: self.bytes_read(), source }
    }

    /// Anomalies so far.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Makes known what the reader in front of this one finds; it goes on adding to it.
    pub fn made_from(&mut self, upstream: Arc<Mutex<Upstream>>) {
        self.upstream = Some(upstream);
    }

    /// Whether there is such a reader: the input becomes a capture on the way.
    pub fn is_made(&self) -> bool {
        self.upstream.is_some()
    }

    /// What the reader in front of this one has found so far; nothing for captures as such.
    pub fn upstream(&self) -> Upstream {
        self.upstream
            .as_ref()
            .map(|found| found.lock().unwrap_or_else(PoisonError::into_inner).clone())
            .unwrap_or_default()
    }

    /// Bytes of the (compressed) input consumed so far, for progress.
    pub fn bytes_read(&self) -> u64 {
        self.blocks.source().bytes_read()
    }

    /// Bytes of the uncompressed stream read so far.
    pub fn stream_bytes(&self) -> u64 {
        self.blocks.offset()
    }

    /// How the input is wrapped: `gzip`, `zstd` or `none`.
    pub fn packing(&self) -> &'static str {
        self.blocks.source().packing()
    }

    /// Size of the (compressed) input where it is known.
    pub fn bytes_total(&self) -> Option<u64> {
        self.blocks.source().bytes_total()
    }
}

fn list<T>(list: List<T>, item: fn(Vec<T>) -> Item<'static>) -> (Option<Item<'static>>, u64) {
    (Some(item(list.entries)), list.damaged)
}
