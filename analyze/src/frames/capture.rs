//! One capture into a sink: replayed once, its own row and ledger included.

use std::sync::Arc;

use casebook_formats::ledger::{Counter, Ledger, Origin, Severity};
use casebook_replay::audit::join::Requests;
use casebook_replay::detect::Detector;
use casebook_replay::engine::Replay;
use casebook_replay::run::Source;

use super::cells::Cell;
use super::collect::Collector;
use super::table::{Builder, Sink};
use super::{Error, Wanted};

/// What is known of a capture after it was read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Capture {
    /// Name of the host.
    pub(crate) host: Option<String>,
    /// It could not be opened, or not be read to its end.
    pub(crate) unreadable: Option<String>,
    /// Something of it is cut off or damaged.
    pub(crate) damage: Option<String>,
    /// Rows for which tables had no room.
    pub(crate) left_out: u64,
}

/// How a capture is read.
pub(crate) struct Reading<'a> {
    pub(crate) wanted: &'a Wanted,
    /// Those that stay in memory, and count towards the limit.
    pub(crate) counted: &'a Wanted,
    pub(crate) detector: Option<&'a Detector>,
    /// Bytes that `events` and what is kept beside it may take.
    pub(crate) limit: u64,
    /// Who asked the Kubernetes API for what runs in containers.
    pub(crate) requests: &'a Arc<Requests>,
    /// SHA-256 of the file, where it is one.
    pub(crate) digest: Option<&'a str>,
    /// Hears of bytes read and events replayed since it was last called.
    pub(crate) advance: &'a (dyn Fn(u64, u64) + Sync),
}

/// Replays a capture into a sink.
///
/// # Errors
///
/// When the sink takes no more. A capture that cannot be read is no error: it has a row that says so.
pub(crate) fn read<'a>(source: &Source, reading: &Reading<'a>, sink: &'a mut dyn Sink) -> Result<Capture, Error> {
    let mut collector = Collector::new(reading, sink);
    let mut replay = Replay::new().joined(reading.requests);
    let mut capture = Capture::default();
    let mut ledger = Ledger::default();
    for (_, losses) in source.recorded_losses() {
        ledger.merge(&losses);
    }
    match source.open() {
        Err(error) => capture.unreadable = Some(error),
        Ok(mut reader) => {
            let end = replay.run_with(&mut reader, &mut collector);
            if let Some(error) = collector.error.take() {
                return Err(error);
            }
            capture.unreadable = end.err().map(|error| error.to_string());
            ledger.merge(&replay.ledger(&reader));
        }
    }
    let counts = collector.finish(replay.state_at_rest())?;
    ledger.merge(&collector.ledger);
    let (is_log, host, machine) = (collector.is_log, collector.host.take(), collector.machine);
    let Collector { mut words, sink, .. } = collector;
    capture.host = host.map(|host| super::utf8(&host).into_owned());
    capture.damage = damage(&ledger);
    capture.left_out = ledger.get(Counter::TablesFull);
    let position = replay.position();
    if let Some(mut table) = Builder::new("captures", reading.wanted, reading.counted) {
        let note = capture.unreadable.as_deref().or(capture.damage.as_deref());
        let format = if capture.unreadable.is_none() || position.events > 0 { format(source, is_log) } else { None };
        let calls = !is_log && position.events > 0;
        let made = |column: &str| match column {
            "digest" => reading.digest.into(),
            "format" => format.into(),
            "first" => Cell::Time(position.first_ts),
            "last" => Cell::Time(position.last_ts),
            "events" => Cell::Uint(position.events),
            "processes" => Cell::Uint(counts.processes),
            "alerts" if reading.detector.is_some() => Cell::Uint(counts.alerts),
            "dropped" => Cell::Uint(dropped(&ledger)),
            "complete" => Cell::Bool(note.is_none()),
            "os" if calls => Cell::Text("linux"),
            "cpus" => machine.map(|(cpus, _)| u64::from(cpus)).into(),
            "boot" => machine.map_or(Cell::Null, |(_, boot)| Cell::Time(boot)),
            "note" => note.into(),
            _ => Cell::Null,
        };
        table.made(&mut words, made, sink)?;
        table.finish(&words, sink)?;
    }
    if let Some(mut table) = Builder::new("ledger", reading.wanted, reading.counted) {
        for (counter, count) in ledger.findings() {
            let made = |column: &str| match column {
                "counter" => Cell::Text(counter.name),
                "severity" => Cell::Text(counter.severity.word()),
                "origin" => Cell::Text(counter.origin.word()),
                "count" => Cell::Uint(count),
                "meaning" => Cell::Text(counter.advice),
                _ => Cell::Null,
            };
            table.made(&mut words, made, sink)?;
        }
        table.finish(&words, sink)?;
    }
    Ok(capture)
}

/// What the file itself has lost, in words; `None` when it is whole.
fn damage(ledger: &Ledger) -> Option<String> {
    let losses: Vec<String> = ledger
        .findings()
        .filter(|(counter, _)| counter.severity == Severity::DataLoss && counter.origin == Origin::File)
        .map(|(counter, n)| format!("{} {n}", counter.name))
        .collect();
    (!losses.is_empty()).then(|| format!("cut off or damaged ({})", losses.join(", ")))
}

/// Losses on the side of the recorder.
fn dropped(ledger: &Ledger) -> u64 {
    let lost = ledger.findings().filter(|(counter, _)| {
        counter.severity == Severity::DataLoss && matches!(counter.origin, Origin::Kernel | Origin::Recorder)
    });
    lost.map(|(_, count)| count).fold(0, u64::saturating_add)
}

/// The form of the file, by its first bytes.
fn format(source: &Source, is_log: bool) -> Option<&'static str> {
    let mut head = [0; 4];
    let mut bytes = source.bytes().ok()?;
    std::io::Read::read_exact(&mut bytes, &mut head).ok()?;
    Some(match head {
        _ if is_log || source.is_log() => "audit log",
        [0x1f, 0x8b, ..] => "scap.gz",
        [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => "scap.zst",
        _ => "scap",
    })
}
