//! One recording from start to end: attach, describe what is there, follow what happens, account for what was lost.
//!
//! A single loop reads the ring, encodes, orders and hands batches to the writer ([`crate::sink`]). It looks at the
//! ring every few milliseconds instead of being woken: that is what keeps recording cheap for the recorded machine.

use std::path::Path;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use aya::maps::{MapData, RingBuf};
use casebook_formats::ledger::{Counter, Ledger};
use casebook_formats::tables::ppme::PPME_CONTAINER_JSON_2_E;
use casebook_formats::write::CaptureWriter;

use crate::containers::Containers;
use crate::encode::Encoder;
use crate::order::{Order, WINDOW};
use crate::probe::{Count, Counts, Probe, ProbeError, Settings};
use crate::record::{Item, Record};
use crate::sink::Sink;
use crate::snapshot::Snapshot;
use crate::sys;

/// Pause between two looks at the ring.
const PAUSE: Duration = Duration::from_millis(5);
/// Pause when the last look found nothing.
const IDLE_PAUSE: Duration = Duration::from_millis(20);
/// A batch goes to the writer when it has this many bytes.
const BATCH: usize = 1 << 20;
/// A frame is ended at least this often, ns: what a crash can cost.
const FRAME_EVERY: u64 = 2_000_000_000;
/// Records read in one look, at most: the clock and the signals are to be heard too.
const LOOK: usize = 65536;
/// Bytes that may wait while the snapshot is taken; beyond that the ring fills, and the kernel side counts.
const BEFORE_SNAPSHOT: usize = 256 << 20;

/// When to stop, beside signals.
#[derive(Default)]
pub(crate) struct Until {
    /// After this time, ns.
    pub duration: Option<u64>,
    /// When this command ends.
    pub command: Option<sys::Waiting>,
}

/// What a recording came to.
pub(crate) struct Outcome {
    pub events: u64,
    pub counts: Counts,
    /// Losses of the whole recording by cause.
    pub losses: Ledger,
    /// Records that neither arrived nor were counted as lost by the kernel side, and the other way round: not 0 is a
    /// mistake in the recorder.
    pub unaccounted: i64,
    /// How the command ended.
    pub command: Option<ExitStatus>,
    /// Threads and descriptors of the snapshot.
    pub snapshot: (usize, usize),
    /// Command lines and environments that could not be read for want of permission.
    pub forbidden: u64,
    pub raw: bool,
    /// Capabilities could not be given up.
    pub kept_capabilities: Option<String>,
    /// ns.
    pub took: u64,
    pub cpu: u64,
}

/// Figures of a moment, for the status line.
pub(crate) struct Moment {
    pub elapsed: u64,
    pub events: u64,
    pub written: u64,
    pub lost: u64,
    pub cpu: u64,
}

/// Runs a recording. `tell` is called about once a second.
pub(crate) fn run(
    settings: &Settings,
    until: Until,
    sink: Sink,
    tell: &mut dyn FnMut(&Moment),
) -> Result<(Outcome, Sink), ProbeError> {
    let boot = sys::boot_time();
    let began = sys::since_boot();
    sys::raise_memlock();
    let mut session = Session::new(boot, sink);
    let (mut probe, mut ring) = Probe::start(session.encoder.calls(), settings)?;
    let attached = sys::since_boot();
    let mut snapshot = session.describe(&mut probe, &mut ring, settings, attached, boot)?;
    session.open(&mut snapshot);
    for path in snapshot.cgroups() {
        session.contained(&path, attached);
    }
    // Only now: /proc of other users' processes was read.
    let kept_capabilities = sys::drop_capabilities().err().map(|error| error.to_string());
    let raw = probe.raw;
    let command = session.follow(&mut probe, &mut ring, until, began, tell);
    probe.detach();
    session.finish(&probe, &mut ring);
    let counts = probe.counts();
    let outcome = Outcome {
        events: session.events,
        counts,
        // By the numbers of the records, against what the kernel side says it dropped.
        unaccounted: session.missing(&counts) as i64 - counts.lost() as i64,
        losses: session.losses,
        command,
        snapshot: snapshot.sizes(),
        forbidden: snapshot.forbidden,
        raw,
        kept_capabilities,
        took: sys::since_boot() - began,
        cpu: sys::cpu_used(),
    };
    Ok((outcome, session.sink))
}

struct Session {
    encoder: Encoder,
    writer: CaptureWriter<Vec<u8>>,
    containers: Containers,
    boot: u64,
    order: Order,
    sink: Sink,
    batch: Vec<u8>,
    /// Events in the batch.
    batched: u64,
    events: u64,
    /// Records missing between those that arrived.
    gaps: u64,
    /// Next number expected of each CPU.
    expected: Vec<Option<u64>>,
    losses: Ledger,
    /// Sums already told.
    told: Counts,
    told_misses: u64,
    told_late: u64,
}

impl Session {
    fn new(boot: u64, sink: Sink) -> Self {
        Self {
            encoder: Encoder::new(boot),
            writer: CaptureWriter::new(Vec::new()),
            containers: Containers::new(Path::new("/")),
            boot,
            order: Order::default(),
            sink,
            batch: Vec::with_capacity(BATCH + BATCH / 4),
            batched: 0,
            events: 0,
            gaps: 0,
            expected: Vec::new(),
            losses: Ledger::default(),
            told: Counts::default(),
            told_misses: 0,
            told_late: 0,
        }
    }

    /// Takes the snapshot, while what happens meanwhile is read and waits.
    fn describe(
        &mut self,
        probe: &mut Probe,
        ring: &mut RingBuf<MapData>,
        settings: &Settings,
        attached: u64,
        boot: u64,
    ) -> Result<Snapshot, ProbeError> {
        std::thread::scope(|scope| {
            let taking = scope.spawn(move || Snapshot::take(probe, &settings.filters, attached, boot));
            while !taking.is_finished() {
                if self.order.len() < BEFORE_SNAPSHOT {
                    self.look(ring);
                }
                std::thread::sleep(PAUSE);
            }
            taking.join().unwrap_or_else(|_| {
                let (what, why) = ("the snapshot".to_owned(), "the thread that took it panicked".to_owned());
                Err(ProbeError::Refused { what, why })
            })
        })
    }

    /// Writes what stands before the events.
    fn open(&mut self, snapshot: &mut Snapshot) {
        self.writer.get_mut().clear();
        if snapshot.write(&mut self.writer).is_err() {
            self.losses.count(Counter::UnsoundRecords);
        }
        let blocks = std::mem::take(self.writer.get_mut());
        self.sink.blocks(blocks, 0);
        if snapshot.left_out > 0 {
            self.losses.add(Counter::DamagedSnapshotEntries, snapshot.left_out);
        }
        self.sink.cut();
    }

    /// Until something says stop.
    fn follow(
        &mut self,
        probe: &mut Probe,
        ring: &mut RingBuf<MapData>,
        until: Until,
        began: u64,
        tell: &mut dyn FnMut(&Moment),
    ) -> Option<ExitStatus> {
        let mut child: Option<Child> = until.command.and_then(|waiting| waiting.release().ok());
        let mut framed = sys::since_boot();
        let mut told = framed;
        loop {
            let found = self.look(ring);
            let now = sys::since_boot();
            self.release(now.saturating_sub(WINDOW));
            if now.saturating_sub(framed) >= FRAME_EVERY {
                self.account(probe);
                self.flush();
                self.sink.cut();
                framed = now;
            }
            if now.saturating_sub(told) >= 1_000_000_000 {
                tell(&self.moment(probe, now - began));
                told = now;
            }
            let ended = child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            let over = until.duration.is_some_and(|duration| now - began >= duration);
            if ended.is_some() || over || sys::stopped() || self.sink.progress.failed() {
                return ended;
            }
            if found < LOOK {
                std::thread::sleep(if found == 0 { IDLE_PAUSE } else { PAUSE });
            }
        }
    }

    fn moment(&self, probe: &Probe, elapsed: u64) -> Moment {
        Moment {
            elapsed,
            events: self.events,
            written: self.sink.progress.written.load(std::sync::atomic::Ordering::Relaxed),
            lost: probe.counts().lost(),
            cpu: sys::cpu_used(),
        }
    }

    /// Reads what is in the ring; returns the number of records.
    fn look(&mut self, ring: &mut RingBuf<MapData>) -> usize {
        let mut found = 0;
        while found < LOOK
            && let Some(bytes) = ring.next()
        {
            found += 1;
            self.take(&bytes);
        }
        found
    }

    fn take(&mut self, bytes: &[u8]) {
        let Some(record) = Record::parse(bytes) else {
            self.losses.count(Counter::UnsoundRecords);
            return;
        };
        self.follow_number(record.head.cpu, record.head.seq);
        for kind in [Item::Cgroup, Item::CgroupV1] {
            if let Some(path) = record.path(kind) {
                self.contained(&path, record.head.ts);
            }
        }
        self.writer.get_mut().clear();
        match self.encoder.encode(&record, &mut self.writer) {
            Ok(true) => {
                let event = self.writer.get_mut();
                self.order.push(record.head.ts, event);
            }
            Ok(false) => {}
            Err(_) => self.losses.count(Counter::UnsoundRecords),
        }
    }

    /// Something happened in this cgroup: if it is that of a container that was not seen before, its description goes
    /// ahead.
    fn contained(&mut self, path: &[u8], ts: u64) {
        let Some(description) = self.containers.first_seen(path) else { return };
        let text = [description.as_bytes(), b"\0"].concat();
        self.writer.get_mut().clear();
        let written = self.writer.event(self.boot.wrapping_add(ts), -1, 0, PPME_CONTAINER_JSON_2_E, &[&text]);
        if written.is_ok() {
            let event = self.writer.get_mut();
            self.order.push(ts, event);
        } else {
            self.losses.count(Counter::UnsoundRecords);
        }
    }

    /// Numbers that are missing are records that the kernel side could not deliver.
    fn follow_number(&mut self, cpu: u16, number: u64) {
        let cpu = usize::from(cpu);
        if self.expected.len() <= cpu {
            self.expected.resize(cpu + 1, None);
        }
        let expected = self.expected[cpu].replace(number + 1).unwrap_or(0);
        self.gaps += number.saturating_sub(expected);
    }

    /// Records that the kernel side began and that did not arrive: gaps between those that did, and numbers after the
    /// last of each CPU.
    fn missing(&self, counts: &Counts) -> u64 {
        let seen: u64 = self.expected.iter().flatten().sum();
        self.gaps + counts.begun.saturating_sub(seen)
    }

    fn release(&mut self, horizon: u64) {
        if self.order.is_empty() {
            return;
        }
        let released = self.order.release(horizon, &mut self.batch);
        self.events += released;
        self.batched += released;
        if self.batch.len() >= BATCH {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if !self.batch.is_empty() {
            let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH + BATCH / 4));
            self.sink.blocks(batch, std::mem::take(&mut self.batched));
        }
    }

    /// Tells the frame under way what was lost since the last time.
    fn account(&mut self, probe: &Probe) {
        let counts = probe.counts();
        let misses = probe.misses();
        let since = |count: Count| counts.get(count) - self.told.get(count);
        let mut lost = Ledger::default();
        lost.add(Counter::RingFull, since(Count::RingFull));
        lost.add(Counter::ProgramBusy, since(Count::Scratch) + since(Count::TailCall) + misses - self.told_misses);
        lost.add(Counter::CutArguments, since(Count::Cut));
        lost.add(Counter::UnreadableArguments, since(Count::Fault));
        lost.add(Counter::UnknownCalls, since(Count::Unknown));
        lost.add(Counter::UntrackedProcesses, since(Count::PidsFull));
        lost.add(Counter::LateEvents, self.order.late - self.told_late);
        self.told = counts;
        self.told_misses = misses;
        self.told_late = self.order.late;
        self.losses.merge(&lost);
        self.sink.losses(lost);
    }

    /// What is left in the ring, in order, and the last losses.
    fn finish(&mut self, probe: &Probe, ring: &mut RingBuf<MapData>) {
        while self.look(ring) > 0 {
            self.release(sys::since_boot().saturating_sub(WINDOW));
        }
        self.release(u64::MAX);
        self.account(probe);
        self.flush();
    }
}
