//! `follow`: the bytes that processes read and wrote, in order, both directions told apart.
//!
//! Events with I/O from [`super::walk`] → a heading and the recorded bytes as text, hexadecimal or raw. A capture keeps
//! the first bytes of each call only (its snaplen), so what was not recorded is said each time. Data lines begin with
//! `< ` (read) or `> ` (written) and headings do not: data cannot pose as a heading.

use std::io::{self, Write};

use casebook_formats::terminal::Safe;
use casebook_replay::cli::Exit;
use casebook_replay::context::EventContext;
use casebook_replay::engine::Position;
use casebook_replay::fields::Catalogue;
use casebook_replay::summary::iso_time;
use casebook_rules::event::{EventFields as _, Extracted};
use casebook_rules::render;
use casebook_rules::schema::{FieldRef, Schema as _};
use casebook_rules::value::Value;
use clap::{Args, ValueEnum};

use super::walk::{Look, WalkArgs, say, walk};

/// Options of `follow`.
#[derive(Args, Debug)]
pub struct FollowArgs {
    #[command(flatten)]
    walk: WalkArgs,

    /// Only this process (as the host numbers them); repeat for more
    #[arg(long, value_name = "PID")]
    pid: Vec<i64>,

    /// Only descriptors with this number; repeat for more
    #[arg(long, value_name = "NUMBER")]
    fd: Vec<i64>,

    /// Only what was read, or only what was written
    #[arg(long, value_name = "DIRECTION", default_value = "both")]
    direction: Direction,

    /// How bytes are shown
    #[arg(long, value_name = "FORM", default_value = "text")]
    form: Form,

    /// When to colour: what was read is blue, what was written is green
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: When,
}

/// Which way bytes went, as the process sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Direction {
    /// Both ways
    Both,
    /// Into the process
    Read,
    /// Out of the process
    Write,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Form {
    /// Lines of text; what a terminal would act on is shown as an escape
    Text,
    /// Sixteen bytes a line with their characters
    Hex,
    /// The bytes and nothing else, for other programs; refused on a terminal
    Raw,
}

/// When to colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum When {
    /// On a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

const BLUE: &str = "\x1b[34m";
const GREEN: &str = "\x1b[32m";
const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// Runs `follow`; `terminal` says whether somebody looks at `out`.
///
/// # Errors
///
/// The output could not be written.
pub fn run(args: &FollowArgs, out: &mut dyn Write, err: &mut dyn Write, terminal: bool) -> io::Result<Exit> {
    if args.form == Form::Raw && terminal {
        say(
            err,
            "--form raw writes what a compromised host wrote: not to a terminal; redirect it into a file or a pipe",
        )?;
        return Ok(Exit::Usage);
    }
    let Some(fields) = Fields::bind() else {
        say(err, "a field of `follow` is missing in the catalogue")?;
        return Ok(Exit::Usage);
    };
    let colour = match args.color {
        When::Auto => terminal,
        When::Always => true,
        When::Never => false,
    };
    let mut follow = Follow { args, fields, colour, out, counts: Counts::default() };
    let exit = walk(&args.walk, &mut follow, err)?;
    let counts = follow.counts;
    follow.out.flush()?;
    if exit != Exit::Usage {
        say(err, &counts.sentence())?;
    }
    Ok(exit)
}

/// What is asked of each event.
struct Fields {
    direction: FieldRef,
    buffer: FieldRef,
    result: FieldRef,
    pid: FieldRef,
    fd: FieldRef,
    name: FieldRef,
    process: FieldRef,
    kind: FieldRef,
    sort: FieldRef,
}

impl Fields {
    fn bind() -> Option<Self> {
        let catalogue = Catalogue::new();
        let bind = |name| catalogue.parse("syscall", name).ok();
        Some(Self {
            direction: bind("evt.io_dir")?,
            buffer: bind("evt.buffer")?,
            result: bind("evt.rawres")?,
            pid: bind("proc.pid")?,
            fd: bind("fd.num")?,
            name: bind("fd.name")?,
            process: bind("proc.name")?,
            kind: bind("evt.type")?,
            sort: bind("fd.type")?,
        })
    }
}

/// What was shown.
#[derive(Clone, Copy, Default)]
struct Counts {
    reads: u64,
    writes: u64,
    bytes: u64,
    recorded: u64,
    /// Recorded bytes of the event that has most of them: where the capture cut.
    longest: u64,
}

impl Counts {
    fn sentence(&self) -> String {
        let Self { reads, writes, bytes, recorded, longest } = self;
        if reads + writes == 0 {
            return "nothing was read or written by what was asked about".to_owned();
        }
        let cut = if recorded < bytes {
            format!("; the capture kept at most {longest} bytes of a call")
        } else {
            String::new()
        };
        format!("{reads} reads and {writes} writes moved {bytes} bytes, of which {recorded} are recorded{cut}")
    }
}

struct Follow<'f> {
    args: &'f FollowArgs,
    fields: Fields,
    colour: bool,
    out: &'f mut dyn Write,
    counts: Counts,
}

impl Look for Follow<'_> {
    fn begin(&mut self, name: &str) -> io::Result<()> {
        if self.args.walk.captures.len() > 1 && self.args.form != Form::Raw {
            writeln!(self.out, "== {}", Safe(name.as_bytes()))?;
        }
        Ok(())
    }

    fn event(&mut self, context: &EventContext<'_>) -> io::Result<()> {
        let Some(written) = self.direction(context) else { return Ok(()) };
        let wanted = match self.args.direction {
            Direction::Both => true,
            Direction::Read => !written,
            Direction::Write => written,
        };
        let asked = |list: &[i64], field| list.is_empty() || number(context, field).is_some_and(|n| list.contains(&n));
        if !wanted || !asked(&self.args.pid, &self.fields.pid) || !asked(&self.args.fd, &self.fields.fd) {
            return Ok(());
        }
        // A call that failed moved nothing.
        let Some(moved) = number(context, &self.fields.result).and_then(|result| u64::try_from(result).ok()) else {
            return Ok(());
        };
        let recorded = match context.extract(&self.fields.buffer) {
            Extracted::One(Value::Bytes(bytes) | Value::Text(bytes)) => bytes.into_owned(),
            _ => Vec::new(),
        };
        let kept = (recorded.len() as u64).min(moved);
        let data = &recorded[..kept as usize];
        self.count(written, moved, kept);
        match self.args.form {
            Form::Raw => self.out.write_all(data),
            form => {
                self.heading(context, written, moved, kept)?;
                let (colour, end) = match (self.colour, written) {
                    (false, _) => ("", ""),
                    (true, true) => (GREEN, PLAIN),
                    (true, false) => (BLUE, PLAIN),
                };
                let mark = if written { '>' } else { '<' };
                let lines = if form == Form::Hex { hex_lines(data) } else { text_lines(data) };
                for line in lines {
                    writeln!(self.out, "{colour}{mark} {line}{end}")?;
                }
                Ok(())
            }
        }
    }

    fn end(&mut self, _: &Position) -> io::Result<()> {
        self.out.flush()
    }
}

impl Follow<'_> {
    /// True: written, false: read; `None` where nothing moves.
    fn direction(&self, context: &EventContext<'_>) -> Option<bool> {
        match context.extract(&self.fields.direction) {
            Extracted::One(Value::Text(word)) => Some(word.as_ref() == b"write"),
            _ => None,
        }
    }

    fn count(&mut self, written: bool, moved: u64, kept: u64) {
        let counts = &mut self.counts;
        *(if written { &mut counts.writes } else { &mut counts.reads }) += 1;
        counts.bytes = counts.bytes.saturating_add(moved);
        counts.recorded += kept;
        counts.longest = counts.longest.max(kept);
    }

    fn heading(&mut self, context: &EventContext<'_>, written: bool, moved: u64, kept: u64) -> io::Result<()> {
        let (dim, end) = if self.colour { (DIM, PLAIN) } else { ("", "") };
        let time = iso_time(context.event.ts);
        let verb = if written { "to" } else { "from" };
        let shown = |field| text(context, field);
        let (process, pid) = (shown(&self.fields.process), shown(&self.fields.pid));
        let (kind, fd) = (shown(&self.fields.kind), shown(&self.fields.fd));
        // Pipes and the like have no name; what they are is more than nothing.
        let name = match shown(&self.fields.name) {
            name if name.is_empty() || name == render::ABSENT => format!("({})", shown(&self.fields.sort)),
            name => name,
        };
        let cut = match moved - kept {
            0 => format!("{moved} bytes"),
            missing => format!("{moved} bytes, the last {missing} not recorded"),
        };
        writeln!(
            self.out,
            "{dim}{time} #{} {process}[{pid}] {kind} {verb} fd {fd} {name}: {cut}{end}",
            context.event.num
        )
    }
}

fn number(context: &EventContext<'_>, field: &FieldRef) -> Option<i64> {
    match context.extract(field) {
        Extracted::One(Value::I64(number)) => Some(number),
        Extracted::One(Value::U64(number)) => i64::try_from(number).ok(),
        _ => None,
    }
}

/// A value as harmless text; `<NA>` when there is none.
fn text(context: &EventContext<'_>, field: &FieldRef) -> String {
    let catalogue_display = Catalogue::new().display(field);
    let mut bytes = Vec::new();
    if render::extracted(&context.extract(field), catalogue_display, &mut bytes) {
        Safe(&bytes).to_string()
    } else {
        render::ABSENT.to_owned()
    }
}

/// Lines of text; a line end at the end makes no empty line.
fn text_lines(data: &[u8]) -> Vec<String> {
    if data.is_empty() {
        return Vec::new();
    }
    let data = data.strip_suffix(b"\n").unwrap_or(data);
    data.split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        // Tabs are harmless, and tables of text need them.
        .map(|line| line.split(|byte| *byte == b'\t').map(|part| Safe(part).to_string()).collect::<Vec<_>>().join("\t"))
        .collect()
}

/// Offset in the call, sixteen bytes, their ASCII characters.
fn hex_lines(data: &[u8]) -> Vec<String> {
    use std::fmt::Write as _;
    data.chunks(16)
        .enumerate()
        .map(|(at, chunk)| {
            let mut line = format!("{:08x} ", at * 16);
            for place in 0..16 {
                let gap = if place == 8 { " " } else { "" };
                // Writing to a string cannot fail.
                let _ = match chunk.get(place) {
                    Some(byte) => write!(line, "{gap} {byte:02x}"),
                    None => write!(line, "{gap}   "),
                };
            }
            line.push_str("  |");
            line.extend(chunk.iter().map(|byte| if (b' '..=b'~').contains(byte) { char::from(*byte) } else { '.' }));
            line.push('|');
            line
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_line_ends_and_harmless() {
        assert_eq!(text_lines(b"a\r\nb\x1b[2J\n"), ["a", "b\\x1b[2J"]);
        assert_eq!(text_lines(b"\n"), [""]);
        assert_eq!(text_lines(b"a\tb\\t"), ["a\tb\\t"]);
        assert!(text_lines(b"").is_empty());
    }

    #[test]
    fn hexadecimal_lines_are_aligned() {
        let lines = hex_lines(b"GET / HTTP/1.1\r\nHost");
        assert_eq!(lines[0], "00000000  47 45 54 20 2f 20 48 54  54 50 2f 31 2e 31 0d 0a  |GET / HTTP/1.1..|");
        assert_eq!(lines[1], "00000010  48 6f 73 74                                       |Host|");
    }

    #[test]
    fn what_was_cut_is_said() {
        let counts = Counts { reads: 1, writes: 2, bytes: 500, recorded: 240, longest: 80 };
        let expected = "1 reads and 2 writes moved 500 bytes, of which 240 are recorded; the capture kept at most 80 \
                        bytes of a call";
        assert_eq!(counts.sentence(), expected);
    }
}
