//! Where a capture begins, or begins anew: a moment is fixed, the snapshot of it is taken, and when all events until the
//! moment are out, snapshot and containers go to the writer ([`crate::sink`]).
//!
//! When a capture has to begin anew is for the sink to say; what a snapshot holds, for [`crate::snapshot`].

use aya::maps::{MapData, RingBuf};
use casebook_formats::ledger::Counter;

use super::{PAUSE, Session};
use crate::probe::{Probe, ProbeError};
use crate::sink::Beginning;
use crate::snapshot::{Scope, Snapshot};
use crate::sys;

/// Bytes that may wait while the snapshot is taken; beyond that the ring fills, and the kernel side counts.
const BEFORE_SNAPSHOT: usize = 256 << 20;

/// A new beginning that waits until all events before it are out.
pub(super) struct Turn {
    /// ns since boot.
    pub at: u64,
    pub snapshot: Snapshot,
}

impl Session {
    /// Takes a snapshot of the moment `at`, which is over, while what happens meanwhile is read and waits.
    pub(super) fn snapshot(
        &mut self,
        probe: &mut Probe,
        ring: &mut RingBuf<MapData>,
        at: u64,
    ) -> Result<(), ProbeError> {
        let boot = self.boot;
        self.known.watch(at);
        let told = self.known.processes();
        let filters = self.filters.clone();
        let scope = Scope { filters: &filters, at, boot, told: &told, from_proc: self.watch.proc_snapshot };
        let snapshot = std::thread::scope(|threads| {
            let taking = threads.spawn(|| Snapshot::take(probe, &scope));
            while !taking.is_finished() {
                if self.order.len() < BEFORE_SNAPSHOT {
                    self.look(ring);
                }
                std::thread::sleep(PAUSE);
            }
            taking.join().map_err(|_| {
                let (what, why) = ("the snapshot".to_owned(), "the thread that took it panicked".to_owned());
                ProbeError::Refused { what, why }
            })
        })?;
        self.turn = Some(Turn { at, snapshot });
        Ok(())
    }

    /// From here on threads that come into the recording tell who they are; the snapshot tells of the others.
    pub(super) fn meet(&mut self, probe: &mut Probe) {
        if self.filters.can_join()
            && let Some(turn) = &self.turn
            && let Err(error) = probe.meet(&turn.snapshot.described)
        {
            self.sink.progress.note(error.to_string());
        }
    }

    /// Writes what stands before the events after the moment that was fixed.
    pub(super) fn begin(&mut self) {
        let Some(Turn { at, mut snapshot }) = self.turn.take() else { return };
        snapshot.complete(&self.known, self.boot);
        self.known.forget_except(&snapshot.there);
        self.known.rest();
        self.writer.get_mut().clear();
        if snapshot.write(&mut self.writer).is_err() {
            self.losses.all.count(Counter::UnsoundRecords);
        }
        let mut blocks = std::mem::take(self.writer.get_mut());
        if snapshot.left_out > 0 {
            self.losses.all.add(Counter::DamagedSnapshotEntries, snapshot.left_out);
        }
        let cgroups = snapshot.cgroups();
        let mut described = self.containers.again(&cgroups);
        described.extend(cgroups.iter().filter_map(|path| Some(self.containers.first_seen(path, at)?.0)));
        for description in described {
            blocks.extend_from_slice(&self.container_event(&description, at));
        }
        if self.sizes == (0, 0) {
            self.sizes = snapshot.sizes();
            self.forbidden = snapshot.forbidden;
            self.listed = (std::mem::take(&mut snapshot.listed), snapshot.closed);
        }
        self.sink.begin(Beginning { blocks, at: self.boot.wrapping_add(at) }, sys::since_boot());
    }
}
