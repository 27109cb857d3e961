//! What is said while recording, and at its end.

use std::io::Write;

use super::SECOND;
use crate::cli::printable;
use crate::probe::Count;
use crate::session::{Moment, Outcome};
use crate::snapshot::Listed;

/// The line that is renewed while recording.
pub(super) struct Status {
    shown: bool,
    quiet: bool,
    last: Option<(u64, u64, u64, u64)>,
}

impl Status {
    pub(super) fn new(shown: bool, quiet: bool) -> Self {
        Self { shown, quiet, last: None }
    }

    pub(super) fn tell(&mut self, now: &Moment, err: &mut dyn Write) {
        let (elapsed, events, written, cpu) = self.last.unwrap_or_default();
        self.clear(err);
        self.notes(&now.notes, err);
        let kept = now.written + now.held;
        self.last = Some((now.elapsed, now.events, kept, now.cpu));
        if !self.shown {
            return;
        }
        let seconds = (now.elapsed.saturating_sub(elapsed) as f64 / 1e9).max(1e-3);
        let rate = |new: u64, old: u64| new.saturating_sub(old) as f64 / seconds;
        let held = if now.held > 0 { format!("  {:.1} MB in memory", now.held as f64 / 1e6) } else { String::new() };
        // A terminal that is gone ends nothing.
        let _ = write!(
            err,
            "{} s  {} events  {:.0} events/s  {:.2} MB/s{held}  {} lost  {:.0} % CPU",
            now.elapsed / SECOND,
            now.events,
            rate(now.events, events),
            rate(kept, written) / 1e6,
            now.lost,
            rate(now.cpu, cpu) / 1e7,
        );
        let _ = err.flush();
    }

    pub(super) fn clear(&self, err: &mut dyn Write) {
        if self.shown && self.last.is_some() {
            let _ = write!(err, "\r\x1b[K");
        }
    }

    pub(super) fn notes(&self, notes: &[String], err: &mut dyn Write) {
        for note in notes.iter().filter(|_| !self.quiet) {
            let _ = writeln!(err, "{}", printable(note));
        }
    }
}

/// What a recording came to.
pub(super) fn summary(outcome: &Outcome, written: u64, shown: &str, err: &mut dyn Write) -> std::io::Result<()> {
    let seconds = outcome.took as f64 / 1e9;
    let events = outcome.events;
    let (threads, fds) = outcome.snapshot;
    writeln!(
        err,
        "{events} events in {seconds:.1} s, {written} bytes in {}; at the start {threads} threads, {fds} descriptors",
        printable(shown)
    )?;
    writeln!(err, "CPU of the recorder: {:.2} s", outcome.cpu as f64 / 1e9)?;
    if outcome.forbidden > 0 {
        writeln!(
            err,
            "note: {} environments of other users' processes may not be read by this user",
            outcome.forbidden
        )?;
    }
    let (listed, closed) = &outcome.listed;
    match listed {
        Listed::Kernel => {}
        Listed::Proc => writeln!(err, "note: processes and descriptors at the start were read from /proc")?,
        Listed::Refused(why) => {
            writeln!(err, "note: processes and descriptors at the start were read from /proc: {}", printable(why))?;
        }
    }
    if *closed > 0 {
        writeln!(err, "note: descriptors of {closed} processes of other users may not be seen by this user")?;
    }
    if outcome.undescribed > 0 {
        writeln!(
            err,
            "note: {} containers have no name: no file of a runtime that this user may read describes them",
            outcome.undescribed
        )?;
    }
    if outcome.raw {
        writeln!(err, "note: the kernel took only programs without types (raw tracepoints)")?;
    }
    if !outcome.rings {
        writeln!(
            err,
            "note: this kernel's io_uring cannot be followed: what programs ask for through it is not recorded"
        )?;
    }
    if let Some(why) = &outcome.kept_capabilities {
        writeln!(err, "note: capabilities could not be given up: {why}")?;
    }
    if let Some(Ok(status)) = &outcome.command {
        writeln!(err, "the command ended with {status}")?;
    }
    let lost = outcome.counts.lost();
    if lost > 0 {
        let sent = outcome.counts.begun;
        writeln!(
            err,
            "LOST: {lost} of {sent} events did not reach the recorder ({} found the buffer full)",
            outcome.counts.get(Count::RingFull)
        )?;
    } else {
        writeln!(err, "nothing was lost")?;
    }
    for (counter, count) in outcome.losses.findings() {
        writeln!(err, "  {count:>10}  {}: {}", counter.name, counter.advice)?;
    }
    if outcome.unaccounted != 0 {
        writeln!(err, "MISTAKE: {} events are unaccounted for", outcome.unaccounted)?;
    }
    Ok(())
}
