//! Captures by hand: blocks byte by byte, and everything a reader makes of them as owned values.

#![allow(dead_code)] // each test file uses its own part

use std::io::{Cursor, Read, Write};

use casebook_formats::capture::{CaptureReader, FormatError, Item, Section};
use casebook_formats::event::EventType;
use casebook_formats::ledger::{Counter, Ledger};
use casebook_formats::snapshot::{FdList, Interface, MachineInfo, ThreadEntry, UserEntry};

/// An event with its borrowed parts copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnedEvent {
    pub(crate) num: u64,
    pub(crate) ts: u64,
    pub(crate) tid: i64,
    pub(crate) cpu: u16,
    pub(crate) etype: EventType,
    pub(crate) state_only: bool,
    pub(crate) enter_ts: Option<u64>,
    pub(crate) params: Vec<Vec<u8>>,
    pub(crate) raw_type: u16,
    pub(crate) raw_nparams: u32,
    /// Bytes are lent from the payload as stored, not from a copy.
    pub(crate) zero_copy: bool,
}

/// One item of a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owned {
    Section(Section),
    Machine(MachineInfo),
    Interfaces(Vec<Interface>),
    Users(Vec<UserEntry>),
    Threads(Vec<ThreadEntry>),
    Fds(FdList),
    Event(OwnedEvent),
}

/// Everything a capture holds.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) items: Vec<Owned>,
    pub(crate) ledger: Ledger,
}

impl Outcome {
    pub(crate) fn events(&self) -> Vec<&OwnedEvent> {
        self.items.iter().filter_map(|item| if let Owned::Event(event) = item { Some(event) } else { None }).collect()
    }

    pub(crate) fn count(&self, counter: Counter) -> u64 {
        self.ledger.get(counter)
    }

    /// No anomaly at all.
    pub(crate) fn clean(&self) -> bool {
        self.ledger.findings().next().is_none()
    }
}

pub(crate) fn own(item: &Item) -> Owned {
    match item {
        Item::Section(section) => Owned::Section(section.clone()),
        Item::Machine(info) => Owned::Machine(info.clone()),
        Item::Interfaces(list) => Owned::Interfaces(list.clone()),
        Item::Users(list) => Owned::Users(list.clone()),
        Item::Threads(list) => Owned::Threads(list.clone()),
        Item::Fds(list) => Owned::Fds(list.clone()),
        Item::Event(event) => Owned::Event(OwnedEvent {
            num: event.num,
            ts: event.ts,
            tid: event.tid,
            cpu: event.cpu,
            etype: event.etype,
            state_only: event.state_only,
            enter_ts: event.enter_ts,
            params: (0..event.ranges.len()).map(|index| event.param_raw(index).expect("in range").to_vec()).collect(),
            raw_type: event.raw.etype,
            raw_nparams: event.raw.nparams,
            zero_copy: std::ptr::eq(event.data, event.raw.payload),
        }),
    }
}

/// Reads everything, or the error.
pub(crate) fn try_read(bytes: &[u8]) -> Result<Outcome, FormatError> {
    let mut reader = CaptureReader::from_reader(Box::new(Cursor::new(bytes.to_vec())), "test")?;
    drain(&mut reader)
}

pub(crate) fn drain(reader: &mut CaptureReader) -> Result<Outcome, FormatError> {
    let mut items = Vec::new();
    while let Some(item) = reader.next_item()? {
        items.push(own(&item));
    }
    assert!(reader.next_item()?.is_none(), "the end stays the end");
    Ok(Outcome { items, ledger: reader.ledger().clone() })
}

pub(crate) fn read(bytes: &[u8]) -> Outcome {
    try_read(bytes).unwrap_or_else(|error| panic!("{error}"))
}

/// A block of any type around a body.
pub(crate) fn block(number: u32, body: &[u8]) -> Vec<u8> {
    let padded = body.len().next_multiple_of(4);
    let mut out = number.to_le_bytes().to_vec();
    out.extend(((padded + 12) as u32).to_le_bytes());
    out.extend(body);
    out.resize(8 + padded, 0);
    out.extend(((padded + 12) as u32).to_le_bytes());
    out
}

/// Section header of a version, with options as they stand in the file.
pub(crate) fn shb_with(major: u16, minor: u16, options: &[u8]) -> Vec<u8> {
    let mut body = 0x1A2B_3C4D_u32.to_le_bytes().to_vec();
    body.extend(major.to_le_bytes());
    body.extend(minor.to_le_bytes());
    body.extend((-1_i64).to_le_bytes());
    body.extend(options);
    block(0x0A0D_0D0A, &body)
}

pub(crate) fn shb() -> Vec<u8> {
    shb_with(1, 2, &[])
}

/// Body of an event: cpu 0, u16 lengths; `counted` gives the header its parameter count (version 2).
pub(crate) fn event_body(
    ts: u64,
    tid: i64,
    etype: u16,
    params: &[&[u8]],
    counted: bool,
    flags: Option<u32>,
) -> Vec<u8> {
    let header = if counted { 26 } else { 22 };
    let len = header + params.iter().map(|value| 2 + value.len()).sum::<usize>();
    let mut out = 0_u16.to_le_bytes().to_vec(); // cpu id
    out.extend(flags.iter().flat_map(|flags| flags.to_le_bytes()));
    out.extend(ts.to_le_bytes());
    out.extend(tid.to_le_bytes());
    out.extend((len as u32).to_le_bytes());
    out.extend(etype.to_le_bytes());
    if counted {
        out.extend((params.len() as u32).to_le_bytes());
    }
    for value in params {
        out.extend((value.len() as u16).to_le_bytes());
    }
    out.extend(params.concat());
    out
}

/// An event block of today.
pub(crate) fn ev(ts: u64, tid: i64, etype: EventType, params: &[&[u8]]) -> Vec<u8> {
    block(0x216, &event_body(ts, tid, etype.0, params, true, None))
}

/// An event block of before August 2018.
pub(crate) fn ev_v1(ts: u64, tid: i64, etype: EventType, params: &[&[u8]]) -> Vec<u8> {
    block(0x204, &event_body(ts, tid, etype.0, params, false, None))
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).expect("memory");
    out.finish().expect("memory")
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut out = zstd::stream::Encoder::new(Vec::new(), 1).expect("memory");
    out.include_checksum(true).expect("a fresh encoder");
    out.write_all(bytes).expect("memory");
    out.finish().expect("memory")
}

/// A reader that gives one byte at a time: pipes and sockets may.
pub(crate) struct Trickle(pub(crate) Cursor<Vec<u8>>);

impl Read for Trickle {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let one = buf.len().min(1);
        self.0.read(&mut buf[..one])
    }
}
