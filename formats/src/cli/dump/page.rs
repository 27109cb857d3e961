//! The lines of a dump: offset, bytes, meaning; blocks of fixed fields and events.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr};

use super::super::time;
use super::lists::Walk;
use crate::blocks::event::{self, Stored};
use crate::blocks::frame::{Block, Blocks};
use crate::blocks::{EventLayout, Kind};
use crate::event::EventType;
use crate::tables::{self, Direction, ParamType};
use crate::terminal::Safe;

/// Bytes on a line.
const WIDTH: usize = 8;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Bytes shown of a long value without --raw.
const SHOWN: usize = 64;

/// Characters shown of its text.
const TEXT_SHOWN: usize = 200;

/// Lines waiting to be written.
pub(super) struct Page {
    pub text: String,
    shown: usize,
}

impl Page {
    /// An empty page; with `raw` it shows all bytes of long values.
    pub(super) fn new(raw: bool) -> Self {
        Self { text: String::new(), shown: if raw { usize::MAX } else { SHOWN } }
    }

    pub(super) fn write(&mut self, out: &mut (dyn Write + Send)) -> io::Result<()> {
        let result = out.write_all(self.text.as_bytes());
        self.text.clear();
        result
    }

    /// A line for bytes that are no block of a known type, where there are any.
    pub(super) fn passed_over(&mut self, bytes: std::ops::Range<u64>) {
        if !bytes.is_empty() {
            let (from, count) = (bytes.start, bytes.end - bytes.start);
            // Writing to a string cannot fail.
            let _ = writeln!(self.text, "{from:08x}  {count} bytes passed over: damaged, or blocks of unknown type");
        }
    }

    /// One field: as many lines as its bytes take, the meaning on the first.
    pub(super) fn field(&mut self, offset: u64, bytes: &[u8], meaning: &str) {
        let shown = &bytes[..bytes.len().min(self.shown)];
        let mut lines = shown.chunks(WIDTH);
        self.row(offset, lines.next().unwrap_or_default());
        self.mean(meaning);
        for (at, line) in lines.enumerate() {
            self.row(offset + ((at + 1) * WIDTH) as u64, line);
            self.text.truncate(self.text.trim_end_matches(' ').len());
            self.text.push('\n');
        }
        if shown.len() < bytes.len() {
            let _ = writeln!(self.text, "          … {} more bytes (--raw shows all)", bytes.len() - shown.len());
        }
    }

    /// Offset and bytes, as wide as those of a whole line. A capture has dozens of rows for each event: digits are made
    /// here, without the machinery of formats.
    fn row(&mut self, offset: u64, bytes: &[u8]) {
        let digit = |number: u64| char::from(DIGITS[number as usize & 0xF]);
        let width = (16 - offset.leading_zeros() / 4).max(8);
        self.text.extend((0..width).rev().map(|place| digit(offset >> (4 * place))));
        self.text.push_str("  ");
        let before = self.text.len();
        for &byte in bytes {
            self.text.extend([digit(u64::from(byte >> 4)), digit(u64::from(byte)), ' ']);
        }
        if bytes.is_empty() {
            self.text.push('-');
        }
        self.text.extend(std::iter::repeat_n(' ', 3 * WIDTH - (self.text.len() - before)));
    }

    /// What the bytes of a row mean: the end of its line.
    fn mean(&mut self, meaning: &str) {
        self.text.push_str("  ");
        if meaning.bytes().all(|byte| (0x20..0x7F).contains(&byte)) {
            self.text.push_str(meaning);
        } else {
            // Writing to a string cannot fail.
            let _ = write!(self.text, "{}", Safe(meaning.as_bytes()));
        }
        self.text.push('\n');
    }

    pub(super) fn block(&mut self, stream: &Blocks, block: &Block) {
        let body = stream.bytes(block.body.clone());
        let head = stream.bytes(block.body.start.saturating_sub(8)..block.body.start);
        let tail = stream.bytes(block.body.end..block.body.end + 4);
        let (number, len) = head.split_at_checked(4).unwrap_or_default();
        self.field(block.offset, number, &format!("block: {}", title(block.kind)));
        self.field(block.offset + 4, len, &format!("total length {}", body.len() + 12));
        let offset = block.offset + 8;
        match block.kind {
            Kind::Event(layout) => self.event(offset, body, layout),
            Kind::Section => self.fixed(offset, body, SECTION, "options"),
            Kind::Machine => self.fixed(offset, body, MACHINE, "reserved"),
            Kind::Threads(version) => Walk::new(self, offset, body).threads(version),
            Kind::Fds(version) => Walk::new(self, offset, body).fds(version),
            Kind::Interfaces(version) => Walk::new(self, offset, body).interfaces(version),
            Kind::Users(version) => Walk::new(self, offset, body).users(version),
        }
        self.field(offset + body.len() as u64, tail, "total length again");
        self.text.push('\n');
    }

    /// A body of fixed fields, and what comes after them.
    pub(super) fn fixed(&mut self, offset: u64, body: &[u8], layout: &[(&str, usize, Shape)], rest: &str) {
        let mut at = 0;
        for (name, len, shape) in layout {
            let Some(bytes) = body.get(at..at + len) else { break };
            self.field(offset + at as u64, bytes, &format!("{name}: {}", shape.show(bytes)));
            at += len;
        }
        if at < body.len() {
            self.field(offset + at as u64, &body[at..], rest);
        }
    }

    fn event(&mut self, offset: u64, body: &[u8], layout: EventLayout) {
        let mut at = 0;
        let mut next = |page: &mut Self, len: usize, name: &str, show: &dyn Fn(u64) -> String| {
            if let Some(bytes) = body.get(at..at + len) {
                page.field(offset + at as u64, bytes, &format!("{name} {}", show(number(bytes))));
                at += len;
            }
        };
        let plain = |value: u64| value.to_string();
        next(self, 2, "cpu", &plain);
        if layout.flags {
            next(self, 4, "dump flags", &|value| format!("0x{value:x}"));
        }
        next(self, 8, "time", &|value| format!("{value} = {}", time::utc(value)));
        next(self, 8, "thread", &|value| (value as i64).to_string());
        next(self, 4, "event length", &plain);
        next(self, 2, "event type", &|value| kind_name(value as u16));
        if layout.counted {
            next(self, 4, "parameters", &plain);
        }
        match event::decode(body, layout) {
            Ok(stored) => self.parameters(offset, body, &stored),
            Err(_) => {
                self.field(offset + at as u64, body.get(at..).unwrap_or_default(), "cannot be read: damaged or newer");
            }
        }
    }

    fn parameters(&mut self, offset: u64, body: &[u8], stored: &Stored) {
        let params = tables::event(EventType(stored.etype)).map_or(&[][..], |def| def.params);
        let name = |index: usize| params.get(index).map_or("(not in the table)", |param| param.name);
        let count = stored.nparams as usize;
        let mut at = stored.payload_at;
        for index in 0..count {
            let bytes = body.get(at..at + stored.width).unwrap_or_default();
            self.field(offset + at as u64, bytes, &format!("length of {}: {}", name(index), stored.length(index)));
            at += stored.width;
        }
        for index in 0..count {
            let Some(bytes) = body.get(at..at + stored.length(index)) else {
                let rest = body.get(at..).unwrap_or_default();
                self.field(offset + at as u64, rest, &format!("{}: does not fit the event", name(index)));
                return;
            };
            let ty = params.get(index).map(|param| param.ty);
            self.field(offset + at as u64, bytes, &format!("{}: {}", name(index), value(ty, bytes)));
            at += bytes.len();
        }
        if at < body.len() {
            self.field(offset + at as u64, &body[at..], "padding or options");
        }
    }
}

/// How the bytes of a fixed field read.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    Number,
    Signed,
    Hex,
    Text,
    Time,
    V4,
    V6,
}

impl Shape {
    pub(super) fn show(self, bytes: &[u8]) -> String {
        match self {
            Self::Number => number(bytes).to_string(),
            Self::Hex => format!("0x{:x}", number(bytes)),
            Self::Text => text(bytes),
            Self::Time => time::utc(number(bytes)),
            Self::Signed => signed(bytes).to_string(),
            Self::V4 => bytes.first_chunk::<4>().map_or_else(String::new, |ip| Ipv4Addr::from(*ip).to_string()),
            Self::V6 => bytes.first_chunk::<16>().map_or_else(String::new, |ip| Ipv6Addr::from(*ip).to_string()),
        }
    }
}

/// Fields of a section header (`reference/scap-format.md` section 1.2).
const SECTION: &[(&str, usize, Shape)] = &[
    ("byte order", 4, Shape::Hex),
    ("major version", 2, Shape::Number),
    ("minor version", 2, Shape::Number),
    ("section length", 8, Shape::Hex),
];

/// Fields of machine info (section 3).
const MACHINE: &[(&str, usize, Shape)] = &[
    ("CPUs", 4, Shape::Number),
    ("memory", 8, Shape::Number),
    ("highest pid", 8, Shape::Number),
    ("host name", 128, Shape::Text),
    ("boot time", 8, Shape::Time),
];

fn title(kind: Kind) -> String {
    match kind {
        Kind::Section => "section header".to_owned(),
        Kind::Machine => "machine info".to_owned(),
        Kind::Threads(version) => format!("process list, version {version}"),
        Kind::Fds(version) => format!("descriptors of a thread, version {version}"),
        Kind::Interfaces(version) => format!("interfaces, version {version}"),
        Kind::Users(version) => format!("users and groups, version {version}"),
        Kind::Event(EventLayout { flags, counted, large }) => {
            let (counted, large) = (if counted { 2 } else { 1 }, if large { ", large" } else { "" });
            format!("event, version {counted}{}{large}", if flags { ", with flags" } else { "" })
        }
    }
}

/// A little-endian number of up to eight bytes.
pub(super) fn number(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
}

/// A little-endian number of up to eight bytes, sign extended.
fn signed(bytes: &[u8]) -> i64 {
    match bytes.len() {
        0 => 0,
        len @ 1..=8 => (number(bytes) << (64 - 8 * len)) as i64 >> (64 - 8 * len),
        _ => 0,
    }
}

/// Texts that follow each other, each with a NUL at its end, on one line.
pub(super) fn texts(bytes: &[u8]) -> String {
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    let text: String = String::from_utf8_lossy(bytes).chars().map(|c| if c == '\0' { ' ' } else { c }).collect();
    match text.char_indices().nth(TEXT_SHOWN) {
        Some((end, _)) => format!("\"{}…", &text[..end]),
        None => format!("\"{text}\""),
    }
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    format!("\"{}\"", String::from_utf8_lossy(&bytes[..end]))
}

pub(super) fn kind_name(etype: u16) -> String {
    match tables::event(EventType(etype)) {
        Some(def) => {
            let direction = if def.dir == Direction::Enter { '>' } else { '<' };
            format!("{etype} = {} ({direction} {})", def.symbol, def.name)
        }
        None => format!("{etype}, not in the table"),
    }
}

/// A parameter as its type reads; what takes more than its bytes to read is left to the field catalogue.
fn value(ty: Option<ParamType>, bytes: &[u8]) -> String {
    match ty {
        _ if bytes.is_empty() => "unknown".to_owned(),
        Some(ParamType::Charbuf | ParamType::Fspath | ParamType::Fsrelpath) => text(bytes),
        Some(
            ParamType::Int8
            | ParamType::Int16
            | ParamType::Int32
            | ParamType::Int64
            | ParamType::Errno
            | ParamType::Fd
            | ParamType::Pid
            | ParamType::Fd32
            | ParamType::Pid32,
        ) if bytes.len() <= 8 => signed(bytes).to_string(),
        Some(ty) if ty.width().is_some() && bytes.len() <= 8 => format!("{0} = 0x{0:x}", number(bytes)),
        _ => format!("{} bytes", bytes.len()),
    }
}
