//! A large capture from small ones, for benchmarks: `casebook-replicate --events N OUT CAPTURE...`.
//!
//! The snapshots of the first capture, then the events of all of them, over and over, as one stream of today's form in
//! which time goes on. Every round has other processes (thread ids in headers and parameters are moved) and other
//! files in the folders that programs write to, so that no cache is flattered; programs, arguments and the paths that
//! rules look for stay. Same arguments, same bytes.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufWriter, Cursor, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use casebook_formats::capture::{CaptureReader, FormatError, Item};
use casebook_formats::command_line::{Ended, parse};
use casebook_formats::event::Event;
use casebook_formats::tables::{self, ParamType};
use casebook_formats::write::{CaptureWriter, WriteError};
use clap::Parser;

/// Writes a large capture made of small ones, for benchmarks.
#[derive(Parser)]
#[command(name = "casebook-replicate", version)]
struct Cli {
    /// Events to write, at least; the last round is finished
    #[arg(long, default_value_t = 5_000_000, value_name = "N")]
    events: u64,
    /// Capture to write
    #[arg(value_name = "OUT")]
    out: PathBuf,
    /// Captures to repeat, in this order
    #[arg(required = true, value_name = "CAPTURE")]
    captures: Vec<PathBuf>,
}

/// Why there is no large capture.
#[derive(Debug)]
pub enum Failure {
    /// A capture cannot be read.
    Read(FormatError),
    /// The result cannot be written.
    Write(WriteError),
    /// No capture has an event.
    NoEvents,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Read(error) => error.fmt(to),
            Self::Write(error) => error.fmt(to),
            Self::NoEvents => to.write_str("these captures have no events"),
        }
    }
}

impl From<FormatError> for Failure {
    fn from(error: FormatError) -> Self {
        Self::Read(error)
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        Self::Write(error)
    }
}

/// Threads of the next round have ids higher by this.
const TID_STRIDE: i64 = 10_000_000;
/// Threads up to this one are the kernel's and init's in every round.
const SHARED_TIDS: i64 = 2;
/// Between two captures, ns.
const PAUSE: u64 = 1_000_000;
/// Below these folders every round has files of its own.
const VARIED: [&[u8]; 5] = [b"/tmp/", b"/var/tmp/", b"/home/", b"/run/", b"/proc/"];

/// Writes events of `captures` to `out` until there are `events` of them, and gives their number.
///
/// # Errors
/// When a capture cannot be read, the result cannot be written, or there is no event to repeat.
pub fn replicate(captures: &[Vec<u8>], events: u64, out: impl Write) -> Result<u64, Failure> {
    let mut writer = CaptureWriter::new(out);
    let (mut written, mut clock) = (0, 0);
    for round in 0.. {
        let before = written;
        for (n, bytes) in captures.iter().enumerate() {
            let mut reader = CaptureReader::from_reader(Box::new(Cursor::new(bytes.clone())), "capture")?;
            let mut shift = None;
            let mut latest = clock;
            while let Some(item) = reader.next_item()? {
                match item {
                    Item::Event(event) => {
                        let ts = moved(event.ts, clock, &mut shift);
                        latest = latest.max(ts.unwrap_or(0));
                        write_event(&mut writer, &event, ts.unwrap_or(event.ts), round)?;
                        written += 1;
                    }
                    snapshot if round == 0 && n == 0 => write_snapshot(&mut writer, snapshot)?,
                    _ => {}
                }
            }
            clock = latest + PAUSE;
        }
        if written == before {
            return Err(Failure::NoEvents);
        }
        if written >= events {
            break;
        }
    }
    writer.into_inner()?;
    Ok(written)
}

/// The time of an event in the new stream: its distance from the first one of its capture, after `clock`. Events
/// without a time keep that.
fn moved(ts: u64, clock: u64, shift: &mut Option<u64>) -> Option<u64> {
    if ts == 0 || ts == u64::MAX {
        return None;
    }
    let begin = if clock == 0 { ts } else { clock };
    let shift = *shift.get_or_insert(begin.wrapping_sub(ts));
    Some(ts.wrapping_add(shift))
}

fn write_snapshot(writer: &mut CaptureWriter<impl Write>, item: Item<'_>) -> Result<(), WriteError> {
    match item {
        Item::Section(_) => writer.section(),
        Item::Machine(machine) => writer.machine(&machine),
        Item::Interfaces(interfaces) => writer.interfaces(&interfaces),
        Item::Users(users) => writer.users(&users),
        Item::Threads(threads) => writer.threads(&threads),
        Item::Fds(list) => writer.fds(&list),
        Item::Event(_) => Ok(()),
    }
}

fn write_event(
    writer: &mut CaptureWriter<impl Write>,
    event: &Event<'_>,
    ts: u64,
    round: i64,
) -> Result<(), WriteError> {
    let types = tables::event(event.etype).map_or(&[][..], |def| def.params);
    let values: Vec<Vec<u8>> = (0..event.ranges.len())
        .map(|at| {
            let value = event.param_raw(at).unwrap_or_default().to_vec();
            types.get(at).map_or(value.clone(), |param| varied(param.ty, value, round))
        })
        .collect();
    let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
    writer.event(ts, other_tid(event.tid, round), event.cpu, event.etype, &values)
}

fn other_tid(tid: i64, round: i64) -> i64 {
    if tid > SHARED_TIDS { tid + round * TID_STRIDE } else { tid }
}

/// A parameter's value in this round.
fn varied(ty: ParamType, mut value: Vec<u8>, round: i64) -> Vec<u8> {
    match ty {
        ParamType::Pid => {
            if let Ok(bytes) = value.as_slice().try_into() {
                return other_tid(i64::from_le_bytes(bytes), round).to_le_bytes().to_vec();
            }
        }
        ParamType::Fspath if round > 0 && VARIED.iter().any(|folder| value.starts_with(folder)) => {
            while value.last() == Some(&0) {
                value.pop();
            }
            value.extend_from_slice(format!("-{round}\0").as_bytes());
        }
        _ => {}
    }
    value
}

/// Runs the command; `args` begin with the program's name.
pub fn run(
    args: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> ExitCode {
    let cli = match parse::<Cli>(args, out, err) {
        Ok(cli) => cli,
        Err(Ended::Answered) => return ExitCode::SUCCESS,
        Err(Ended::Refused | Ended::Unwritten(_)) => return ExitCode::FAILURE,
    };
    let captures: Result<Vec<_>, _> = cli
        .captures
        .iter()
        .map(|path| fs::read(path).map_err(|error| format!("{}: {error}", path.display())))
        .collect();
    let made = captures.and_then(|captures| {
        let file = File::create(&cli.out).map_err(|error| format!("{}: {error}", cli.out.display()))?;
        replicate(&captures, cli.events, BufWriter::with_capacity(1 << 20, file)).map_err(|error| error.to_string())
    });
    // A stream that cannot be written to is not worth a failure of its own.
    match made {
        Ok(events) => {
            let _ = writeln!(out, "{events} events");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(err, "casebook-replicate: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    // What fails here is the test.
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Times, thread ids and names of the events of a capture.
    fn events(bytes: &[u8]) -> Vec<(u64, i64, &'static str)> {
        let mut reader = CaptureReader::from_reader(Box::new(Cursor::new(bytes.to_vec())), "capture").unwrap();
        let mut events = Vec::new();
        while let Some(item) = reader.next_item().unwrap() {
            if let Item::Event(event) = item {
                events.push((event.ts, event.tid, event.name()));
            }
        }
        assert_eq!(reader.ledger().findings().count(), 0);
        events
    }

    #[test]
    fn rounds_have_other_threads_and_later_times() {
        let example = casebook_fixtures::EXAMPLE.to_vec();
        let once = events(&example);
        let mut out = Vec::new();
        let written = replicate(&[example], once.len() as u64 + 1, &mut out).unwrap();
        let twice = events(&out);
        assert_eq!((written as usize, twice.len()), (2 * once.len(), 2 * once.len()));
        let (first, second) = twice.split_at(once.len());
        assert_eq!(first, once);
        let latest = first.iter().map(|event| event.0).max();
        assert!(second.iter().all(|event| Some(event.0) > latest));
        for (a, b) in first.iter().zip(second) {
            assert_eq!((a.2, other_tid(a.1, 1)), (b.2, b.1));
        }
        assert!(matches!(replicate(&[], 1, Vec::new()), Err(Failure::NoEvents)));
    }

    #[test]
    fn paths_and_ids_vary_where_programs_write() {
        assert_eq!(varied(ParamType::Fspath, b"/tmp/a\0".to_vec(), 3), b"/tmp/a-3\0");
        assert_eq!(varied(ParamType::Fspath, b"/etc/shadow\0".to_vec(), 3), b"/etc/shadow\0");
        assert_eq!(varied(ParamType::Fspath, b"/tmp/a\0".to_vec(), 0), b"/tmp/a\0");
        assert_eq!(varied(ParamType::Pid, 50_i64.to_le_bytes().to_vec(), 1), 10_000_050_i64.to_le_bytes());
        assert_eq!(varied(ParamType::Pid, (-2_i64).to_le_bytes().to_vec(), 1), (-2_i64).to_le_bytes());
    }
}
