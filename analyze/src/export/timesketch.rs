//! Timesketch: entries of the timeline as JSON Lines.
//!
//! Each line has the three attributes that Timesketch asks for (`message`, `datetime`, `timestamp_desc`) and what the
//! entry knows beyond them.

use std::collections::BTreeSet;
use std::io::{self, Write};

use casebook_replay::summary::iso_time;
use clap::ValueEnum as _;
use serde_json::json;

use crate::frames::Frames;
use crate::print::text::json_line;
use crate::views::entries;
use crate::views::timeline::Kind;

/// Writes all entries of one capture in the order of time.
pub(super) fn write(frames: &Frames, out: &mut dyn Write) -> io::Result<u64> {
    let kinds: BTreeSet<Kind> = Kind::value_variants().iter().copied().collect();
    let mut all = entries::of(frames, &kinds);
    all.sort_by_key(|entry| (entry.time, entry.order, entry.kind));
    for entry in &all {
        let Ok(ns) = u64::try_from(entry.time) else { continue };
        let described = match entry.kind {
            Kind::Alert => "Rule matched",
            Kind::Exec => "Program started",
            Kind::Exit => "Process ended",
            Kind::File => "File changed first",
            Kind::Network => "Connection first used",
            Kind::Dns => "Name resolution",
            Kind::Container => "Container first seen",
            Kind::Audit => "Kubernetes request",
        };
        let record = json!({
            "message": entry.text,
            "datetime": iso_time(ns).replace('Z', "+00:00"),
            "timestamp": ns / 1000,
            "timestamp_desc": described,
            "data_type": format!("casebook:{}", entry.kind.name()),
            "source_short": "CASEBOOK",
            "capture": entry.capture,
            "event_number": entry.num,
            "process_name": entry.process,
            "pid": entry.pid,
            "upid": entry.upid,
            "priority": entry.priority,
        });
        writeln!(out, "{}", json_line(&record))?;
    }
    Ok(all.len() as u64)
}
