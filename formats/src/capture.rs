//! Reading a capture: one pull interface over files, pipes, compression, sections, damage and old forms.
//!
//! Pipeline: byte source → decompression → blocks (with resynchronisation) → snapshots and raw events →
//! conversion to the normal form → [`Item`]s. Memory is bounded by the largest block, not by the file.

mod ahead;
mod at_hand;
mod batch;
mod item;
mod items;

use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::blocks::event::{self, Fault};
use crate::blocks::frame::{Block, Blocks, event_at};
use crate::blocks::{self, EventLayout, Kind, List, fds, interfaces, machine, section, threads, users};
use crate::convert::{Converter, Normal, Outcome};
use crate::event::{Event, EventType, RawEvent};
use crate::halves::Halves;
use crate::ledger::{Counter, Ledger};
use crate::limits::MAX_LIST_ENTRIES;
use crate::look;
use crate::resume::ReaderState;
use crate::source::Source;
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
    /// Opens a file; `-` is standard input. Compression is found out from the bytes, not from the name. An input
    /// that is no capture at all is an error here, before the first item.
    pub fn open(path: &Path) -> Result<Self, FormatError> {
        let name = if path.as_os_str() == "-" { "standard input".into() } else { path.display().to_string() };
        match Source::open(path) {
            Ok(source) => Self::start(source, name),
            Err(source) => Err(FormatError::Io { name, offset: 0, source }),
        }
    }

    /// Same, watched: the second of the two says in the end what the file was, for the custody of files derived from it.
    #[cfg(feature = "cli")]
    pub fn open_watched(path: &Path) -> Result<(Self, crate::origin::Watch), FormatError> {
        let name = if path.as_os_str() == "-" { "standard input".into() } else { path.display().to_string() };
        match Source::open_watched(path) {
            Ok((source, watch)) => Ok((Self::start(source, name)?, watch)),
            Err(source) => Err(FormatError::Io { name, offset: 0, source }),
        }
    }

    /// Reads from any byte source; `name` appears in errors.
    pub fn from_reader(source: Box<dyn Read + Send>, name: &str) -> Result<Self, FormatError> {
        match Source::new(source, None) {
            Ok(source) => Self::start(source, name.to_owned()),
            Err(source) => Err(FormatError::Io { name: name.to_owned(), offset: 0, source }),
        }
    }

    /// Reads chosen frames of a seekable file; `ledger` holds what its opening found.
    pub(crate) fn of_frames(source: Source, name: String, ledger: Ledger) -> Result<Self, FormatError> {
        let mut reader = Self::new(source, name);
        reader.ledger = ledger;
        if reader.next_run()? == Some(0) {
            return reader.begin();
        }
        // Not the beginning of a stream: what it is has been seen before.
        reader.is_scap = true;
        reader.sections = 1;
        Ok(reader)
    }

    fn start(source: Source, name: String) -> Result<Self, FormatError> {
        Self::new(source, name).begin()
    }

    fn new(source: Source, name: String) -> Self {
        Self {
            name,
            blocks: Blocks::new(source),
            converter: Converter::default(),
            ledger: Ledger::default(),
            events: 0,
            last_ts: 0,
            sections: 0,
            is_scap: false,
            pending_section: false,
            pause: u64::MAX,
            boundary: u64::MAX,
            upstream: None,
            gaps: Arc::default(),
        }
    }

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

    /// Looks at the first bytes of the stream.
    fn begin(mut self) -> Result<Self, FormatError> {
        let reader = &mut self;
        let head = reader.blocks.peek(look::ENOUGH, &mut reader.ledger);
        let (begins, found) = match head {
            Ok(head) => (head.starts_with(&blocks::SHB.to_le_bytes()), look::describe(head)),
            Err(error) => return Err(reader.io(error)),
        };
        if reader.bytes_read() == 0 {
            return Err(FormatError::Empty { name: self.name });
        }
        if !begins {
            // The head may be damaged or cut off; anything that holds a sound block is worth reading.
            let is_scap = reader.blocks.find_first(&mut reader.ledger);
            if !is_scap.map_err(|error| reader.io(error))? {
                return Err(FormatError::NotScap { name: self.name, offset: 0, found });
            }
            reader.pending_section = true;
        }
        Ok(self)
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

    /// Goes on with a file from the compressed frame that begins at byte `packed_offset` of it, as a reader would that
    /// has read everything before and remembers `state`. Whether the two belong together is for the caller to know.
    ///
    /// # Errors
    ///
    /// When the system refuses, or the ledger of `state` has a counter that does not exist.
    pub fn resume(path: &Path, packed_offset: u64, state: &ReaderState) -> Result<Self, FormatError> {
        let name = path.display().to_string();
        let io = |source| FormatError::Io { name: name.clone(), offset: packed_offset, source };
        let source = Source::open_at(path, packed_offset).map_err(io)?;
        let ReaderState { offset, events, last_ts, sections, is_scap, losses, halves, idle } = state;
        let ledger = Ledger::from_losses(losses)
            .ok_or_else(|| io(std::io::Error::other("its checkpoint counts anomalies of an unknown kind")))?;
        Ok(Self {
            blocks: Blocks::resume(source, *offset),
            converter: Converter::resume(Halves::resume(halves, idle)),
            ledger,
            events: *events,
            last_ts: *last_ts,
            sections: *sections,
            is_scap: *is_scap,
            pending_section: false,
            pause: u64::MAX,
            boundary: u64::MAX,
            upstream: None,
            gaps: Arc::default(),
            name,
        })
    }

    /// What this reader remembers between the last item and the next one; [`CaptureReader::resume`] goes on from it.
    pub fn state(&self) -> ReaderState {
        let Self {
            name: _,
            blocks,
            converter,
            ledger,
            events,
            last_ts,
            sections,
            is_scap,
            pending_section: _,
            pause: _,
            boundary: _,
            // An input made from something else cannot be resumed.
            upstream: _,
            // Whoever opens the file again learns of them again.
            gaps: _,
        } = self;
        let (halves, idle) = converter.halves().state();
        ReaderState {
            offset: blocks.offset(),
            events: *events,
            last_ts: *last_ts,
            sections: *sections,
            is_scap: *is_scap,
            losses: ledger.losses(),
            halves,
            idle,
        }
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
