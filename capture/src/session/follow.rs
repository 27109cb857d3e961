//! The loop of a recording: looks at the ring, lets go what nothing older can precede, and does in between what is due.
//!
//! It looks at the ring every few milliseconds instead of being woken: that is what keeps recording cheap for the
//! recorded machine. How records become events is said in `intake.rs`, what was lost in `losses.rs`; what becomes of
//! the batches, in [`crate::sink`].

use std::process::{Child, ExitStatus};
use std::time::Duration;

use aya::maps::{MapData, RingBuf};

use super::losses::Sums;
use super::{BATCH, LOOK, Moment, PAUSE, Session, Until};
use crate::appear::Appear;
use crate::order::WINDOW;
use crate::probe::Probe;
use crate::sink::{Dump, Message};
use crate::sys;

/// Pause when the last look found nothing.
const IDLE_PAUSE: Duration = Duration::from_millis(20);
/// A frame is ended at least this often, ns: what a crash can cost.
const FRAME_EVERY: u64 = 2_000_000_000;

impl Session {
    /// Until something says stop. `began`: when everything was attached.
    pub(super) fn follow(
        &mut self,
        probe: &mut Probe,
        ring: &mut RingBuf<MapData>,
        until: Until,
        began: u64,
        tell: &mut dyn FnMut(&Moment),
    ) -> Option<Result<ExitStatus, String>> {
        let mut child: Option<Child> = match until.command.map(sys::Waiting::release) {
            Some(Ok(child)) => Some(child),
            Some(Err(error)) => return Some(Err(error.to_string())),
            None => None,
        };
        let mut framed = sys::since_boot();
        let mut told = framed;
        loop {
            // As long as the writer lags behind the ring keeps what comes, and counts what finds no room.
            let lags = self.sink.lags();
            let found = if lags { 0 } else { self.look(ring) };
            let now = sys::since_boot();
            self.advance(probe, self.horizon(now));
            if now.saturating_sub(framed) >= FRAME_EVERY {
                self.flush(probe);
                self.sink.send(Message::Cut);
                framed = now;
            }
            if sys::dump_wanted() {
                self.dump(now, "SIGUSR1".to_owned());
            }
            if !lags {
                self.turn_where_due(probe, ring, now);
            }
            self.find_containers(probe);
            for (description, since) in self.containers.ask_again() {
                self.introduce(&description, since);
            }
            if now.saturating_sub(told) >= 1_000_000_000 {
                tell(&self.moment(probe, now - began));
                told = now;
            }
            let ended = child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            let over = until.duration.is_some_and(|duration| now - began >= duration);
            if ended.is_some() || over || sys::stopped() || self.sink.progress.failed() {
                return ended.map(Ok);
            }
            if found < LOOK {
                // Containers start fast.
                let soon = found > 0
                    || self.undecided.oldest().is_some()
                    || self.watch.appear.as_ref().is_some_and(Appear::waits);
                std::thread::sleep(if soon { PAUSE } else { IDLE_PAUSE });
            }
        }
    }

    /// Where the capture has to begin anew, takes the snapshot for it.
    fn turn_where_due(&mut self, probe: &mut Probe, ring: &mut RingBuf<MapData>, now: u64) {
        if self.turn.is_some() || !self.sink.wants_turn(now, self.order.len() + self.batch.len()) {
            return;
        }
        // Where none can be had the capture goes on, and the next attempt comes when it is due again.
        if let Err(error) = self.snapshot(probe, ring, sys::since_boot()) {
            self.known.rest();
            self.sink.progress.refused(error.to_string());
            self.sink.postpone(now);
        }
    }

    /// Until when, ns since boot, events can be let go.
    fn horizon(&self, now: u64) -> u64 {
        let ordered = now.saturating_sub(WINDOW);
        self.undecided.oldest().map_or(ordered, |oldest| ordered.min(oldest.saturating_sub(1)))
    }

    /// Something happened at `at`, ns since boot, that is worth a file.
    pub(super) fn dump(&mut self, at: u64, reason: String) {
        let until = at.saturating_add(self.watch.after);
        self.dump_until = Some(self.dump_until.map_or(until, |before| before.max(until)));
        self.sink.send(Message::Dump(Dump { at: self.boot.wrapping_add(at), reason }));
    }

    /// Lets events go until `horizon`, ns since boot, and does what is due in between.
    fn advance(&mut self, probe: &Probe, horizon: u64) {
        loop {
            let turn = self.turn.as_ref().map(|turn| turn.at);
            let due = turn.into_iter().chain(self.dump_until).min().filter(|&due| due <= horizon);
            let Some(due) = due else { return self.release(probe, horizon) };
            self.release(probe, due);
            self.flush(probe);
            if self.dump_until == Some(due) {
                self.dump_until = None;
                self.sink.send(Message::DumpEnd);
            }
            if turn == Some(due) {
                self.begin();
            }
        }
    }

    fn release(&mut self, probe: &Probe, horizon: u64) {
        if self.order.is_empty() {
            return;
        }
        let released = self.order.release(horizon, &mut self.batch);
        self.events += released;
        self.batched += released;
        if self.batch.len() >= BATCH {
            self.flush(probe);
        }
    }

    /// Hands the batch over. Losses go ahead: whatever found no room was lost while older events waited to be read, so
    /// there is always a frame to tell it.
    fn flush(&mut self, probe: &Probe) {
        if !self.batch.is_empty() {
            self.account(probe);
            let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH + BATCH / 4));
            self.sink.blocks(batch, std::mem::take(&mut self.batched));
        }
    }

    /// Tells the frame under way what was lost since the last time.
    fn account(&mut self, probe: &Probe) {
        let (late, changed) = (self.order.late, self.encoder.changed);
        let lost = self.losses.since_told(Sums { counts: probe.counts(), misses: probe.misses(), late, changed });
        if lost.findings().count() > 0 {
            self.sink.send(Message::Losses(Box::new(lost)));
        }
    }

    fn moment(&self, probe: &Probe, elapsed: u64) -> Moment {
        use std::sync::atomic::Ordering::Relaxed;
        Moment {
            elapsed,
            events: self.events,
            written: self.sink.progress.written.load(Relaxed),
            held: self.sink.progress.held.load(Relaxed),
            lost: probe.counts().lost(),
            cpu: sys::cpu_used(),
            notes: self.sink.progress.notes(),
        }
    }

    /// What is left in the ring, in order, and the last losses.
    pub(super) fn finish(&mut self, probe: &mut Probe, ring: &mut RingBuf<MapData>) {
        while self.look(ring) > 0 {
            self.advance(probe, self.horizon(sys::since_boot()));
        }
        // What is not decided now never will be.
        self.find_containers(probe);
        for number in self.undecided.overdue(u64::MAX) {
            self.decide(number, None);
        }
        // No event will need another beginning.
        self.turn = None;
        self.advance(probe, u64::MAX);
        self.flush(probe);
        self.account(probe);
    }
}
