//! Captures for readers of 2022: what `casebook convert --for sysdig` writes (`reference/scap-format.md` section 10.1).
//!
//! Debian ships sysdig 0.29.3 with libs of March 2022. It wants calls as an enter and an exit half and takes the
//! descriptor of a call from the enter half; it does not see types above 335, refuses descriptor types above 16, reads
//! longer process entries wrongly, and crashes on calls beyond its table. Blocks come in as they are stored and go out so
//! that it reads them; what it reads rightly as stored is copied byte for byte. [`forms`] says how an event is told,
//! [`lists`] what a snapshot may hold; this module decides, block by block.
//!
//! The result is a capture that today's readers open too: an exit half keeps all parameters that its type has today.

mod forms;
mod lists;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;

use crate::blocks::event::{self, Fault, Stored};
use crate::blocks::frame::{Block, Blocks};
use crate::blocks::{self, EventLayout, Kind, section, write_block};
use crate::convert::{Converter, Normal, Outcome};
use crate::event::{EventType, ParamRange};
use crate::ledger::{Counter, Ledger};
use crate::limits::MAX_EVENT_BLOCK;
use crate::source::Source;
use crate::tables::{self, Direction, EventFlags, EventOrigin, SysdigForm, ppme};
use forms::{Form, Half, Origin};

/// Calls that it has names for: portable codes below this one. It looks up larger ones behind the end of its table.
const CALLS: u16 = 329;

/// Name of the asynchronous event that tells of a container; others are not for it.
const CONTAINER: &[u8] = b"container";

/// What became of a capture's events and lists: what a user should know about the result.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Events copied byte for byte.
    pub copied: u64,
    /// Calls that got an enter half.
    pub paired: u64,
    /// Calls written under an older type of the same call.
    pub older: u64,
    /// Calls written with their name alone.
    pub generic: u64,
    /// Calls it has no name for.
    pub nameless: u64,
    /// Events of no call, written with all parameters it wants.
    pub single: u64,
    /// Events left out, by type.
    pub left_out: BTreeMap<&'static str, u64>,
    /// Descriptors of a kind it does not know, written as unsupported.
    pub fd_types: u64,
    /// Texts longer than it reads.
    pub cut: u64,
    /// What was wrong with the input.
    pub ledger: Ledger,
}

impl Told {
    fn damaged(&mut self, entries: u64) {
        self.ledger.add(Counter::DamagedSnapshotEntries, entries);
    }

    fn cut(&mut self, text: &mut Vec<u8>, limit: usize) {
        if text.len() > limit {
            text.truncate(limit);
            self.cut += 1;
        }
    }

    fn leave_out(&mut self, etype: EventType) {
        let symbol = tables::event(etype).map_or("unknown", |def| def.symbol);
        *self.left_out.entry(symbol).or_default() += 1;
    }

    fn count(&mut self, etype: EventType, form: &Form, values: &Values<'_>) {
        if form.enter.is_none() {
            self.single += 1;
            return;
        }
        self.paired += 1;
        match tables::sysdig(etype) {
            SysdigForm::As(_) => self.older += 1,
            SysdigForm::Call(code) => {
                self.generic += 1;
                self.nameless += u64::from(code >= CALLS);
            }
            SysdigForm::Known(_) if etype == ppme::PPME_GENERIC_X => {
                self.nameless += u64::from(code(values.get(0)) >= CALLS);
            }
            SysdigForm::Known(_) | SysdigForm::None => {}
        }
    }

    /// Events of the input.
    pub(crate) fn events(&self) -> u64 {
        self.copied + self.paired + self.single + self.left_out.values().sum::<u64>()
    }
}

/// A capture being rewritten.
pub(crate) struct Translator {
    blocks: Blocks,
    converter: Converter,
    /// The section holds exit halves only, so that each of them needs a first half; said by the first exit that carries
    /// what would otherwise stand in one, and taken back by the first enter half of old form.
    exits_only: bool,
    told: Told,
    /// Block under construction, and values that had to be made.
    body: Vec<u8>,
    made: Vec<u8>,
}

/// What an event's halves have in common.
#[derive(Clone, Copy)]
struct Head {
    cpu: u16,
    flags: u32,
    ts: u64,
    tid: i64,
}

impl Translator {
    pub(crate) fn new(source: Source) -> Self {
        Self {
            blocks: Blocks::new(source),
            converter: Converter::default(),
            exits_only: false,
            told: Told::default(),
            body: Vec::new(),
            made: Vec::new(),
        }
    }

    /// The first bytes of the stream.
    pub(crate) fn peek(&mut self, len: usize) -> io::Result<&[u8]> {
        self.blocks.peek(len, &mut self.told.ledger)
    }

    pub(crate) fn source(&self) -> &Source {
        self.blocks.source()
    }

    pub(crate) fn told(&self) -> &Told {
        &self.told
    }

    /// What became of it all; gives up the input.
    pub(crate) fn finish(self) -> Told {
        self.told
    }

    /// The next block; false at the end of the input. The outer error is the input's, the inner one the output's.
    pub(crate) fn step(&mut self, out: &mut dyn Write) -> io::Result<io::Result<bool>> {
        let Some(block) = self.blocks.next(&mut self.told.ledger)? else { return Ok(Ok(false)) };
        Ok(self.block(&block, out).map(|()| true))
    }

    fn block(&mut self, block: &Block, out: &mut dyn Write) -> io::Result<()> {
        let body = self.blocks.bytes(block.body.clone());
        match block.kind {
            Kind::Event(layout) => self.event(block, layout, out),
            Kind::Section => {
                self.converter.clear();
                self.exits_only = false;
                self.body.clear();
                section::encode(&mut self.body);
                write_block(out, blocks::SHB, &self.body)
            }
            kind => {
                self.body.clear();
                match lists::rewrite(kind, body, &mut self.body, &mut self.told) {
                    lists::Block::Written(number) => write_block(out, number, &self.body),
                    lists::Block::LeftOut => Ok(()),
                    lists::Block::Copied => self.copy(block, out),
                }
            }
        }
    }

    fn copy(&self, block: &Block, out: &mut dyn Write) -> io::Result<()> {
        let number = self.blocks.bytes(block.body.start.saturating_sub(8)..block.body.start);
        let number = number.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        write_block(out, number, self.blocks.bytes(block.body.clone()))
    }

    fn event(&mut self, block: &Block, layout: EventLayout, out: &mut dyn Write) -> io::Result<()> {
        let body = self.blocks.bytes(block.body.clone());
        let stored = match event::decode(body, layout) {
            Ok(stored) => stored,
            Err(fault) => {
                self.told.ledger.count(match fault {
                    Fault::Damaged => Counter::DamagedEvents,
                    Fault::UnknownType => Counter::UnknownEventTypes,
                });
                return Ok(());
            }
        };
        let etype = EventType(stored.etype);
        let normal = match self.converter.convert(&stored, block.offset, &mut self.told.ledger) {
            Outcome::Deliver(normal) => Some(normal),
            Outcome::Gone => None,
            Outcome::Damaged => {
                self.told.ledger.count(Counter::DamagedEvents);
                return Ok(());
            }
        };
        let whole = is_whole_alone(etype, &stored, normal.as_ref(), &mut self.exits_only);
        if self.can_be_copied(etype, &stored, whole) {
            self.told.copied += 1;
            return self.copy(block, out);
        }
        let payload = block.body.start + stored.payload_at..block.body.start + stored.payload_at + stored.payload.len();
        let head = Head { cpu: stored.cpu, flags: stored.dump_flags, ts: stored.ts, tid: stored.tid };
        if let Some(normal) = normal {
            let known = matches!(tables::sysdig(etype), SysdigForm::Known(_));
            self.tell(&normal, head, known && normal.enter_ts.is_some(), payload, out)
        } else {
            let ranges = stored_ranges(&stored);
            self.gone(etype, head, &ranges, payload, out)
        }
    }

    /// Whether the old reader takes the event as it is stored for what it is.
    fn can_be_copied(&self, etype: EventType, stored: &Stored<'_>, whole: bool) -> bool {
        let nameless = matches!(etype, ppme::PPME_GENERIC_E | ppme::PPME_GENERIC_X)
            && stored_ranges(stored).first().is_some_and(|range| code(&stored.payload[bounds(*range)]) >= CALLS);
        let known = matches!(tables::sysdig(etype), SysdigForm::Known(_));
        // Where exits say everything, they say unknown by empty values, which it would misread in any event.
        let alone = whole && forms::form(etype).is_some_and(|form| form.merged || says_unknown(&form.main, stored));
        known && !nameless && !self.exits_only && !alone
    }

    /// Events that conversion keeps for itself: enter halves, and what today's readers have no use for.
    fn gone(
        &mut self,
        etype: EventType,
        head: Head,
        ranges: &[ParamRange],
        payload: Range<usize>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let is_call = tables::event(etype).is_some_and(|def| def.origin == EventOrigin::Syscall);
        match forms::form(etype) {
            Some(form) => {
                self.told.single += 1;
                let values = Values { etype, data: self.blocks.bytes(payload), ranges };
                put(&form.main, &values, head, &mut self.body, &mut self.made, out)
            }
            // Its exit gets one of a type that is known.
            None if is_call => Ok(()),
            None => {
                self.told.leave_out(etype);
                Ok(())
            }
        }
    }

    /// Writes an event of today's form.
    fn tell(
        &mut self,
        normal: &Normal,
        head: Head,
        has_enter: bool,
        payload: Range<usize>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let data = if normal.in_scratch { self.converter.scratch() } else { self.blocks.bytes(payload) };
        let values = Values { etype: normal.etype, data, ranges: self.converter.ranges() };
        if normal.etype == ppme::PPME_ASYNCEVENT_E && values.text(1) == CONTAINER {
            self.told.single += 1;
            self.made.clear();
            self.made.extend_from_slice(values.text(2));
            self.made.push(0);
            let json = ppme::PPME_CONTAINER_JSON_2_E;
            return put_event(json, &[&self.made], head, &mut self.body, out);
        }
        let Some(form) = forms::form(normal.etype) else {
            self.told.leave_out(normal.etype);
            return Ok(());
        };
        self.told.count(normal.etype, form, &values);
        // The child of a clone comes out of a call that it has not gone into.
        let is_child = BIRTHS.contains(&normal.etype) && values.number(0) == Some(0);
        if let Some(enter) = form.enter.as_ref().filter(|_| !has_enter && !is_child) {
            let head = Head { ts: normal.enter_ts.unwrap_or(head.ts), ..head };
            put(enter, &values, head, &mut self.body, &mut self.made, out)?;
        }
        put(&form.main, &values, head, &mut self.body, &mut self.made, out)
    }
}

/// An exit half that carries all that its type has today, without an enter half before it. Notes on the way whether
/// calls of this section come in halves.
fn is_whole_alone(etype: EventType, stored: &Stored<'_>, normal: Option<&Normal>, exits_only: &mut bool) -> bool {
    let Some(def) = tables::event(etype).filter(|def| def.origin == EventOrigin::Syscall) else { return false };
    if def.dir == Direction::Enter {
        // Recorders of today still send a few enter halves, but none of an old form.
        *exits_only &= !def.flags.has(EventFlags::OLD_VERSION);
        return false;
    }
    let whole = stored.nparams as usize >= def.params.len() && normal.is_some_and(|normal| normal.enter_ts.is_none());
    *exits_only |= whole && forms::form(etype).is_some_and(|form| form.merged);
    whole
}

/// A number that it looks at is empty.
fn says_unknown(half: &Half, stored: &Stored<'_>) -> bool {
    let needed = half.params.iter().take(half.needed).zip(stored_ranges(stored));
    needed.into_iter().any(|((_, to), range)| range.len == 0 && to.ty.width().is_some())
}

/// Exits of calls that come twice, in the caller and in the new thread.
const BIRTHS: &[EventType] = &[
    ppme::PPME_SYSCALL_CLONE_20_X,
    ppme::PPME_SYSCALL_FORK_20_X,
    ppme::PPME_SYSCALL_VFORK_20_X,
    ppme::PPME_SYSCALL_CLONE3_X,
];

/// Parameters of an event.
struct Values<'a> {
    etype: EventType,
    data: &'a [u8],
    ranges: &'a [ParamRange],
}

impl<'a> Values<'a> {
    /// Bytes of a parameter; none where it is not known.
    fn get(&self, index: usize) -> &'a [u8] {
        self.ranges.get(index).and_then(|range| self.data.get(bounds(*range))).unwrap_or_default()
    }

    fn text(&self, index: usize) -> &'a [u8] {
        self.get(index).split(|&byte| byte == 0).next().unwrap_or_default()
    }

    fn number(&self, index: usize) -> Option<i64> {
        self.get(index).first_chunk().map(|bytes| i64::from_le_bytes(*bytes))
    }
}

fn bounds(range: ParamRange) -> Range<usize> {
    range.start as usize..range.start as usize + range.len as usize
}

/// Where the parameters of a stored event are; the converter has checked that they fit.
fn stored_ranges(stored: &Stored<'_>) -> Vec<ParamRange> {
    let known = tables::event(EventType(stored.etype)).map_or(0, |def| def.params.len());
    let mut start = stored.nparams as usize * stored.width;
    let mut ranges = Vec::with_capacity(known);
    for index in 0..known.min(stored.nparams as usize) {
        let len = stored.length(index);
        ranges.push(ParamRange { start: start as u32, len: len as u32 });
        start += len;
    }
    ranges
}

fn code(value: &[u8]) -> u16 {
    value.first_chunk().map_or(0, |bytes| u16::from_le_bytes(*bytes))
}

/// Writes one half.
fn put(
    half: &Half,
    values: &Values<'_>,
    head: Head,
    body: &mut Vec<u8>,
    made: &mut Vec<u8>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let today = tables::event(values.etype).map_or(&[][..], |def| def.params);
    made.clear();
    // Made values lie in one buffer that grows: places first, slices when it is complete.
    let mut places = Vec::with_capacity(half.params.len());
    for (index, (origin, to)) in half.params.iter().enumerate() {
        let start = made.len();
        match *origin {
            Origin::Param(place) => {
                let value = values.get(place as usize);
                if index >= half.needed || forms::fits(value, today.get(place as usize), to) {
                    places.push(Err(value));
                    continue;
                }
                forms::fit(value, today.get(place as usize), to, made);
            }
            Origin::Code(code) => forms::fit(&code.to_le_bytes(), None, to, made),
            Origin::Native(number) => made.extend_from_slice(&number.unwrap_or(0).to_le_bytes()),
            Origin::Unknown => forms::fit(&[], None, to, made),
        }
        places.push(Ok(start..made.len()));
    }
    let params: Vec<&[u8]> = places.into_iter().map(|place| place.map_or_else(|value| value, |at| &made[at])).collect();
    put_event(half.etype, &params, head, body, out)
}

fn put_event(
    etype: EventType,
    params: &[&[u8]],
    head: Head,
    body: &mut Vec<u8>,
    out: &mut dyn Write,
) -> io::Result<()> {
    body.clear();
    body.extend_from_slice(&head.cpu.to_le_bytes());
    if head.flags != 0 {
        body.extend_from_slice(&head.flags.to_le_bytes());
    }
    event::encode_event(body, head.ts, head.tid, etype, params);
    let large = event::width(etype.0) == 4 || blocks::round4(body.len()) + 12 > MAX_EVENT_BLOCK;
    let number = match (head.flags != 0, large) {
        (false, false) => blocks::EV_V2,
        (false, true) => blocks::EV_V2_LARGE,
        (true, false) => blocks::EVF_V2,
        (true, true) => blocks::EVF_V2_LARGE,
    };
    write_block(out, number, body)
}
