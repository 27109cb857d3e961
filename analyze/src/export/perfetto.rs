//! Perfetto: process lives as slices, alerts and execs as instants, in the JSON of Chrome traces.
//!
//! The page at ui.perfetto.dev opens it, and so does Chrome's own. Process ids are reused in captures, and several captures may be in
//! one trace; a track is therefore a process life, numbered from 1, and named by program and real pid.

use std::collections::HashMap;
use std::io::{self, Write};

use foldhash::fast::FixedState;
use serde_json::{Value as Json, json};

use crate::frames::Frames;
use crate::print::text::json_line;

/// Writes one trace over several captures.
pub(super) struct Trace<'o> {
    out: &'o mut dyn Write,
    started: bool,
    tracks: u64,
    /// Time of the first event of all, ns: viewers want small numbers.
    origin: Option<i64>,
}

impl<'o> Trace<'o> {
    pub(super) fn new(out: &'o mut dyn Write) -> Self {
        Self { out, started: false, tracks: 0, origin: None }
    }

    fn event(&mut self, event: &Json) -> io::Result<()> {
        let before = if self.started { ",\n" } else { "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n" };
        self.started = true;
        write!(self.out, "{before}{}", json_line(event))
    }

    /// Microseconds since the origin.
    fn micros(&self, ns: i64) -> f64 {
        ns.saturating_sub(self.origin.unwrap_or(0)) as f64 / 1e3
    }

    /// Adds a capture; gives the number of events written.
    pub(super) fn add(&mut self, frames: &Frames) -> io::Result<u64> {
        let captures = frames.view("captures");
        let (first, last) =
            (captures.ints("first").into_iter().flatten().min(), captures.ints("last").into_iter().flatten().max());
        let (Some(first), Some(last)) = (first, last) else { return Ok(0) };
        self.origin.get_or_insert(first);
        let mut written = 0;
        let tracks = self.lives(frames, first, last, &mut written)?;
        for (table, name, detail, category) in
            [("alerts", "rule", "output", "alert"), ("execs", "cmdline", "exepath", "exec")]
        {
            let view = frames.view(table);
            let (times, upids, nums) = (view.ints("time"), view.uints("upid"), view.uints("num"));
            let (names, details, levels) = (view.texts(name), view.texts(detail), view.texts("priority"));
            for row in 0..view.height() {
                let (Some(ns), Some(track)) = (times[row], upids[row].and_then(|upid| tracks.get(&upid))) else {
                    continue;
                };
                let event = json!({
                    "name": names[row], "cat": category, "ph": "i", "s": "p", "ts": self.micros(ns), "pid": track, "tid": track,
                    "args": { "num": nums[row], "detail": details[row], "priority": levels[row] },
                });
                self.event(&event)?;
                written += 1;
            }
        }
        Ok(written)
    }

    fn lives(
        &mut self,
        frames: &Frames,
        first: i64,
        last: i64,
        written: &mut u64,
    ) -> io::Result<HashMap<u64, u64, FixedState>> {
        let view = frames.view("processes");
        let (upids, pids, names) = (view.uints("upid"), view.ints("pid"), view.texts("name"));
        let (starts, ends, cmdlines) = (view.ints("start"), view.ints("end"), view.texts("cmdline"));
        let (users, containers, events) = (view.texts("user_name"), view.texts("container_id"), view.uints("events"));
        let snapshots = view.bools("from_snapshot");
        let mut tracks = HashMap::default();
        for row in 0..view.height() {
            // What only was there would bury what happened.
            let idle = events[row].unwrap_or(0) == 0 && snapshots[row] == Some(true);
            let Some(upid) = upids[row].filter(|_| !idle) else { continue };
            self.tracks += 1;
            let track = self.tracks;
            tracks.insert(upid, track);
            let name = names[row].unwrap_or("?");
            let shown = format!("{name} {}", pids[row].map(|pid| pid.to_string()).unwrap_or_default());
            self.event(
                &json!({ "name": "process_name", "ph": "M", "pid": track, "tid": track, "args": { "name": shown } }),
            )?;
            let start = starts[row].unwrap_or(first).max(first);
            let end = ends[row].unwrap_or(last).max(start);
            let slice = json!({
                "name": name, "cat": "process", "ph": "X", "ts": self.micros(start), "dur": end.saturating_sub(start) as f64 / 1e3,
                "pid": track, "tid": track,
                "args": { "cmdline": cmdlines[row], "pid": pids[row], "user": users[row], "container": containers[row], "upid": upid },
            });
            self.event(&slice)?;
            *written += 2;
        }
        Ok(tracks)
    }

    /// Closes the trace.
    pub(super) fn end(self) -> io::Result<()> {
        let before = if self.started { "" } else { "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[" };
        writeln!(self.out, "{before}\n]}}")
    }
}
