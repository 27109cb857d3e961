//! One audit log before the eyes of a [`Look`]: what `engine` is to captures.

use std::ops::ControlFlow;

use super::{AuditContext, AuditReader};
use crate::context::Clock;
use crate::engine::Replay;
use crate::output::CaptureOutput;
use crate::run::{Look, damage};
use crate::summary::{CaptureReport, Completeness, iso_time};

/// Events between two calls of `advance`.
const PROGRESS_INTERVAL: u64 = 256;

/// Replays a log into its output. `limits` says when it ends.
pub(crate) fn replay<L: Look>(
    reader: AuditReader,
    name: String,
    limits: &Replay,
    look: L,
    output: CaptureOutput<'_, '_>,
    advance: &(dyn Fn(u64, u64) + Sync),
) -> CaptureReport {
    let (mut reader, mut look, mut output) = (reader, look, output);
    let mut report = CaptureReport::new(name);
    let end = events(&mut reader, limits, &mut look, &mut output, &mut report, advance);
    look.end(&mut output, &report);
    report.ledger.merge(&reader.ledger());
    let damage = damage(&report.ledger);
    (report.completeness, report.error) = match end {
        Err(error) => (Completeness::Unreadable, Some(error)),
        Ok(_) if damage.is_some() => (Completeness::Incomplete, damage),
        Ok(End::Stopped) => (Completeness::Stopped, None),
        Ok(End::Finished) => (Completeness::Complete, None),
    };
    conclude(&report, &reader, &mut output);
    report
}

/// Why there are no more events.
enum End {
    Finished,
    Stopped,
}

fn events<L: Look>(
    reader: &mut AuditReader,
    limits: &Replay,
    look: &mut L,
    output: &mut CaptureOutput<'_, '_>,
    report: &mut CaptureReport,
    advance: &(dyn Fn(u64, u64) + Sync),
) -> Result<End, String> {
    let (mut bytes_told, mut events_told) = (0, 0);
    let mut tell = |reader: &AuditReader, events: u64| {
        let bytes = reader.bytes_read();
        advance(bytes - bytes_told, events - events_told);
        (bytes_told, events_told) = (bytes, events);
    };
    let mut deadline = None;
    let mut previous_ts = None;
    let end = loop {
        let Some(event) = reader.next_event()? else { break End::Finished };
        if report.events == 0 {
            (report.first_ts, deadline) = (event.ts, limits.deadline_from(event.ts));
        }
        if deadline.is_some_and(|deadline| event.ts > deadline) {
            break End::Stopped;
        }
        (report.events, report.last_ts) = (report.events + 1, event.ts);
        let clock = Clock { first_ts: report.first_ts, previous_ts: previous_ts.unwrap_or(event.ts) };
        previous_ts = Some(event.ts);
        match look.audit(&AuditContext { event: &event, clock }, output, report) {
            Some(ControlFlow::Continue(())) => {}
            Some(ControlFlow::Break(())) => break End::Stopped,
            None => return Err(format!("{}: an audit log; this command reads captures of system calls", report.name)),
        }
        if report.events.is_multiple_of(PROGRESS_INTERVAL) {
            tell(reader, report.events);
        }
    };
    tell(reader, report.events);
    Ok(end)
}

/// Says how far it came, if not to the end, and where documents were passed over.
fn conclude(report: &CaptureReport, reader: &AuditReader, output: &mut CaptureOutput<'_, '_>) {
    let reached = match report.events {
        0 => "no event was replayed".to_owned(),
        n => format!("{n} events were replayed, the last one at {}", iso_time(report.last_ts)),
    };
    match (&report.completeness, &report.error) {
        (Completeness::Unreadable, Some(error)) => output.note(format!("error: {error}")),
        (_, Some(error)) => output.note(format!("warning: {}: {error}; {reached}", report.name)),
        _ => {}
    }
    for trouble in reader.troubles() {
        let lines: Vec<String> = trouble.lines.iter().map(u64::to_string).collect();
        let more = if trouble.count > lines.len() as u64 { ", …" } else { "" };
        let what = trouble.counter.def().name;
        output.note(format!("note: {}: {what} {} (line {}{more})", report.name, trouble.count, lines.join(", ")));
    }
}
