//! `casebook dump`: the bytes of a capture with their meaning, block by block.
//!
//! One line for each field: offset in the uncompressed stream, bytes, meaning. Events show their header, the length of
//! each parameter, and the values as stored, with the names that the event table has for them.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::args::DumpArgs;
use super::exit::Exit;
use super::window::{NoPart, Window};
use super::{say, time};
use crate::blocks::event::{self, Stored};
use crate::blocks::frame::{Block, Blocks};
use crate::blocks::{EventLayout, Kind};
use crate::event::EventType;
use crate::ledger::{Counter, Ledger};
use crate::source::Source;
use crate::tables::{self, Direction, ParamType};
use crate::terminal::Safe;

/// Bytes on a line.
const WIDTH: usize = 8;

/// Bytes shown of a long value without --raw.
const SHOWN: usize = 64;

/// Runs the subcommand.
pub(super) fn run(args: &DumpArgs, out: &mut (dyn Write + Send), err: &mut (dyn Write + Send)) -> Exit {
    let name = args.capture.display().to_string();
    let (source, mut window) = match open(args, &name) {
        Ok(opened) => opened,
        Err(why) => {
            say(err, &why);
            return Exit::Unreadable;
        }
    };
    let mut page = Page { text: String::new(), shown: if args.raw { usize::MAX } else { SHOWN } };
    let (mut stream, mut ledger) = (Blocks::new(source), Ledger::default());
    let (mut count, mut end, mut found) = (0, 0, false);
    while args.count.is_none_or(|limit| count < limit) {
        let block = match stream.next(&mut ledger) {
            Ok(Some(block)) => block,
            Ok(None) => match stream.next_run(&mut ledger) {
                Ok(Some(run)) => {
                    end = run.raw_offset;
                    continue;
                }
                Ok(None) => break,
                Err(error) => {
                    say(err, &format!("{name}: {error}"));
                    return Exit::Unreadable;
                }
            },
            Err(error) => {
                say(err, &format!("{name}: {error}"));
                return Exit::Unreadable;
            }
        };
        if block.offset > end {
            let _ = writeln!(
                page.text,
                "{end:08x}  {} bytes passed over: damaged, or blocks of unknown type",
                block.offset - end
            );
        }
        end = stream.offset();
        found = true;
        if !(window.is_open() || time_of(&stream, &block).is_some_and(|ts| window.holds(ts))) {
            page.text.clear();
            continue;
        }
        page.block(&stream, &block);
        count += 1;
        if let Err(error) = page.write(out) {
            return Exit::of_output(&error);
        }
    }
    if let Err(error) = out.flush() {
        return Exit::of_output(&error);
    }
    for (def, count) in ledger.findings() {
        say(err, &format!("{name}: {}: {count}  ({})", def.name, def.advice));
    }
    let damage = [Counter::TruncatedInput, Counter::BrokenCompression, Counter::DamagedBlocks, Counter::DamagedFrames];
    if !found && args.window.is_whole() {
        say(err, &format!("{name}: no block of a scap capture"));
        Exit::Unreadable
    } else if damage.iter().any(|&counter| ledger.get(counter) > 0) {
        Exit::Incomplete
    } else {
        Exit::Complete
    }
}

/// The stream to show, and which events of it.
fn open(args: &DumpArgs, name: &str) -> Result<(Source, Window), String> {
    match args.window.part(&args.capture) {
        Ok(Some(part)) => Ok((part.file.source(&part.frames), part.window)),
        Ok(None) => {
            let source = Source::open(&args.capture).map_err(|error| format!("{name}: {error}"))?;
            Ok((source, args.window.window()))
        }
        Err(NoPart::Unreadable(error)) => Err(error.to_string()),
        Err(NoPart::Frames(why)) => Err(format!("{name}: {why}")),
    }
}

/// Time of an event block that can be read.
fn time_of(stream: &Blocks, block: &Block) -> Option<u64> {
    let Kind::Event(layout) = block.kind else { return None };
    event::decode(stream.bytes(block.body.clone()), layout).ok().map(|stored| stored.ts)
}

/// Lines waiting to be written.
struct Page {
    text: String,
    shown: usize,
}

impl Page {
    fn write(&mut self, out: &mut (dyn Write + Send)) -> io::Result<()> {
        let result = out.write_all(self.text.as_bytes());
        self.text.clear();
        result
    }

    /// One field: as many lines as its bytes take, the meaning on the first.
    fn field(&mut self, offset: u64, bytes: &[u8], meaning: &str) {
        let shown = &bytes[..bytes.len().min(self.shown)];
        let meaning = Safe(meaning.as_bytes());
        // Writing to a string cannot fail.
        let _ = if shown.is_empty() { writeln!(self.text, "{offset:08x}  {:<24}  {meaning}", "-") } else { Ok(()) };
        for (at, line) in shown.chunks(WIDTH).enumerate() {
            let hex = line.iter().fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x} ");
                hex
            });
            let row = format!("{:08x}  {hex:<24}", offset + (at * WIDTH) as u64);
            let _ = if at == 0 {
                writeln!(self.text, "{row}  {meaning}")
            } else {
                writeln!(self.text, "{}", row.trim_end())
            };
        }
        if shown.len() < bytes.len() {
            let _ = writeln!(self.text, "          … {} more bytes (--raw shows all)", bytes.len() - shown.len());
        }
    }

    fn block(&mut self, stream: &Blocks, block: &Block) {
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
            _ => self.field(offset, body, "entries"),
        }
        self.field(offset + body.len() as u64, tail, "total length again");
        self.text.push('\n');
    }

    /// A body of fixed fields, and what comes after them.
    fn fixed(&mut self, offset: u64, body: &[u8], layout: &[(&str, usize, Shape)], rest: &str) {
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
                self.field(offset + at as u64, &[], &format!("{}: does not fit the event", name(index)));
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
enum Shape {
    Number,
    Hex,
    Text,
    Time,
}

impl Shape {
    fn show(self, bytes: &[u8]) -> String {
        match self {
            Self::Number => number(bytes).to_string(),
            Self::Hex => format!("0x{:x}", number(bytes)),
            Self::Text => text(bytes),
            Self::Time => time::utc(number(bytes)),
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
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    format!("\"{}\"", String::from_utf8_lossy(&bytes[..end]))
}

fn kind_name(etype: u16) -> String {
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
    let signed = || match bytes.len() {
        0 => 0,
        len @ 1..=8 => (number(bytes) << (64 - 8 * len)) as i64 >> (64 - 8 * len),
        _ => 0,
    };
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
        ) if bytes.len() <= 8 => signed().to_string(),
        Some(ty) if ty.width().is_some() && bytes.len() <= 8 => format!("{0} = 0x{0:x}", number(bytes)),
        _ => format!("{} bytes", bytes.len()),
    }
}
