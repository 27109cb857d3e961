//! One recording from start to end: attach, describe what is there, follow what happens, account for what was lost.
//!
//! A single loop reads the ring, encodes, orders and hands batches to the writer ([`crate::sink`]). It looks at the
//! ring every few milliseconds instead of being woken: that is what keeps recording cheap for the recorded machine.
//!
//! Where a capture begins anew ([`Turns`](crate::sink::Turns)), a moment is fixed, the snapshot is taken, and when all
//! events until the moment are out, snapshot and containers follow, and then the events after it.

use std::path::Path;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use aya::maps::{MapData, RingBuf};
use casebook_formats::ledger::{Counter, Ledger};
use casebook_formats::tables::ppme::PPME_CONTAINER_JSON_2_E;
use casebook_formats::write::CaptureWriter;

use crate::appear::Appear;
use crate::calls::Calls;
use crate::containers::Containers;
use crate::encode::Encoder;
use crate::filter::{Entry, Filters, Mode};
use crate::known::Known;
use crate::order::{Order, WINDOW};
use crate::probe::{Count, Counts, Probe, ProbeError, Settings};
use crate::record::{Item, Record};
use crate::sink::{Beginning, Dump, Message, Sink};
use crate::snapshot::{Listed, Scope, Snapshot};
use crate::sys;
use crate::trigger::Triggers;
use crate::undecided::{Fate, Undecided};

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

/// What is looked for while recording: what makes the flight recorder write, and containers.
#[derive(Default)]
pub(crate) struct Watch {
    pub triggers: Triggers,
    /// ns after the last of them that belong into the file.
    pub after: u64,
    /// Containers that the filter names and that may appear.
    pub appear: Option<Appear>,
    /// Snapshots are read from `/proc`, also where the kernel would list threads and descriptors.
    pub proc_snapshot: bool,
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
    /// How the command ended, or why it could not begin.
    pub command: Option<Result<ExitStatus, String>>,
    /// Threads and descriptors of the snapshot.
    pub snapshot: (usize, usize),
    /// Command lines and environments that could not be read for want of permission.
    pub forbidden: u64,
    /// Where the first snapshot came from, and how many processes kept their descriptors to themselves.
    pub listed: (Listed, u64),
    /// Containers of which nobody told more than the id.
    pub undescribed: usize,
    pub raw: bool,
    /// Operations of `io_uring` were followed.
    pub rings: bool,
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
    /// Compressed bytes in memory.
    pub held: u64,
    pub lost: u64,
    pub cpu: u64,
    /// What the writer has to tell.
    pub notes: Vec<String>,
}

/// Runs a recording. `tell` is called about once a second.
pub(crate) fn run(
    settings: &Settings,
    until: Until,
    watch: Watch,
    sink: Sink,
    tell: &mut dyn FnMut(&Moment),
) -> Result<(Outcome, Sink), ProbeError> {
    let boot = sys::boot_time();
    sys::raise_memlock();
    let mut session = Session::new(boot, watch, sink, settings.filters.clone());
    let (mut probe, mut ring) = Probe::start(session.encoder.calls(), settings)?;
    let attached = sys::since_boot();
    session.find_containers(&mut probe);
    session.snapshot(&mut probe, &mut ring, attached)?;
    session.meet(&mut probe);
    session.begin();
    // Only now: /proc of other users' processes was read.
    let kept_capabilities = sys::drop_capabilities().err().map(|error| error.to_string());
    let (raw, rings) = (probe.raw, probe.follows_rings());
    let command = session.follow(&mut probe, &mut ring, until, attached, tell);
    probe.detach();
    session.finish(&mut probe, &mut ring);
    let counts = probe.counts();
    let outcome = Outcome {
        events: session.events,
        counts,
        // By the numbers of the records, against what the kernel side says it dropped.
        unaccounted: session.missing(&counts) as i64 - counts.lost() as i64,
        losses: session.losses,
        command,
        snapshot: session.sizes,
        forbidden: session.forbidden,
        listed: session.listed,
        raw,
        rings,
        kept_capabilities,
        undescribed: session.containers.undescribed(),
        // The kernel's check of the programs before it can take seconds on a busy machine.
        took: sys::since_boot() - attached,
        cpu: sys::cpu_used(),
    };
    Ok((outcome, session.sink))
}

/// A new beginning that waits until all events before it are out.
struct Turn {
    /// ns since boot.
    at: u64,
    snapshot: Snapshot,
}

struct Session {
    encoder: Encoder,
    writer: CaptureWriter<Vec<u8>>,
    containers: Containers,
    known: Known,
    undecided: Undecided,
    watch: Watch,
    filters: Filters,
    boot: u64,
    order: Order,
    sink: Sink,
    turn: Option<Turn>,
    /// Until when, ns since boot, events belong into the file that the flight recorder writes.
    dump_until: Option<u64>,
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
    told_changed: u64,
    /// Threads and descriptors of the first snapshot.
    sizes: (usize, usize),
    forbidden: u64,
    listed: (Listed, u64),
}

impl Session {
    fn new(boot: u64, watch: Watch, sink: Sink, filters: Filters) -> Self {
        let mut calls = Calls::new();
        calls.fetch_paths(&watch.triggers.paths());
        Self {
            encoder: Encoder::new(boot, calls),
            writer: CaptureWriter::new(Vec::new()),
            containers: Containers::new(Path::new("/")),
            known: Known::default(),
            undecided: Undecided::default(),
            watch,
            filters,
            boot,
            order: Order::default(),
            sink,
            turn: None,
            dump_until: None,
            batch: Vec::with_capacity(BATCH + BATCH / 4),
            batched: 0,
            events: 0,
            gaps: 0,
            expected: Vec::new(),
            losses: Ledger::default(),
            told: Counts::default(),
            told_misses: 0,
            told_late: 0,
            told_changed: 0,
            sizes: (0, 0),
            forbidden: 0,
            listed: (Listed::default(), 0),
        }
    }

    /// Takes a snapshot of the moment `at`, which is over, while what happens meanwhile is read and waits.
    fn snapshot(&mut self, probe: &mut Probe, ring: &mut RingBuf<MapData>, at: u64) -> Result<(), ProbeError> {
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

    /// Writes what stands before the events after the moment that was fixed.
    fn begin(&mut self) {
        let Some(Turn { at, mut snapshot }) = self.turn.take() else { return };
        snapshot.complete(&self.known, self.boot);
        self.known.forget_except(&snapshot.there);
        self.known.rest();
        self.writer.get_mut().clear();
        if snapshot.write(&mut self.writer).is_err() {
            self.losses.count(Counter::UnsoundRecords);
        }
        let mut blocks = std::mem::take(self.writer.get_mut());
        if snapshot.left_out > 0 {
            self.losses.add(Counter::DamagedSnapshotEntries, snapshot.left_out);
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

    /// Until something says stop. `began`: when everything was attached.
    fn follow(
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
            if self.turn.is_none() && !lags && self.sink.wants_turn(now, self.order.len() + self.batch.len()) {
                // Where none can be had the capture goes on, and the next attempt comes when it is due again.
                if let Err(error) = self.snapshot(probe, ring, sys::since_boot()) {
                    self.known.rest();
                    self.sink.progress.refused(error.to_string());
                    self.sink.postpone(now);
                }
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

    /// Lets the kernel side know what became known of containers, and what waited for it go its way.
    fn find_containers(&mut self, probe: &mut Probe) {
        let Some(appear) = &mut self.watch.appear else { return };
        for judged in appear.look() {
            if (judged.mode.is_some() || self.filters.by_name())
                && let Err(error) = probe.judge_cgroup(&judged)
            {
                self.sink.progress.note(error.to_string());
            }
            if let Some(mode) = judged.mode {
                self.filters.cgroups.push(Entry { value: judged.cgroup, mode });
            }
            // The lower half of its number is what the records have.
            self.decide(judged.cgroup.id as u32, judged.mode);
        }
        for number in self.undecided.overdue(sys::since_boot()) {
            self.sink.progress.note(
                "a container's name did not become known; it is taken for none that --container names".to_owned(),
            );
            self.decide(number, None);
        }
    }

    /// It is known now what the filter says of a container.
    fn decide(&mut self, number: u32, mode: Option<Mode>) {
        for record in self.undecided.decide(number, mode) {
            if let Some(parsed) = Record::parse(&record) {
                self.accept(&parsed, &record);
            }
        }
    }

    /// From here on threads that come into the recording tell who they are; the snapshot tells of the others.
    fn meet(&mut self, probe: &mut Probe) {
        if self.filters.can_join()
            && let Some(turn) = &self.turn
            && let Err(error) = probe.meet(&turn.snapshot.described)
        {
            self.sink.progress.note(error.to_string());
        }
    }

    /// Until when, ns since boot, events can be let go.
    fn horizon(&self, now: u64) -> u64 {
        let ordered = now.saturating_sub(WINDOW);
        self.undecided.oldest().map_or(ordered, |oldest| ordered.min(oldest.saturating_sub(1)))
    }

    /// Something happened at `at`, ns since boot, that is worth a file.
    fn dump(&mut self, at: u64, reason: String) {
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
        if record.undecided() {
            match self.undecided.take(&record, bytes) {
                Fate::Keep => {}
                Fate::Leave => return,
                Fate::Wait => return self.consider(&record),
            }
        }
        self.accept(&record, bytes);
    }

    /// Whose container is that? Some records tell its cgroup's path.
    fn consider(&mut self, record: &Record<'_>) {
        let Some(appear) = &mut self.watch.appear else { return };
        if let Some(path) = record.path(Item::Cgroup) {
            appear.consider(&path, record.head.cgroup);
        }
    }

    /// A record that belongs into the recording.
    fn accept(&mut self, record: &Record<'_>, bytes: &[u8]) {
        self.known.note(record, bytes, self.encoder.calls());
        if !record.joined()
            && let Some(reason) = self.watch.triggers.fires(record)
        {
            self.dump(record.head.ts, reason);
        }
        for kind in [Item::Cgroup, Item::CgroupV1] {
            if let Some(path) = record.path(kind) {
                self.contained(&path, record.head.ts);
            }
        }
        self.writer.get_mut().clear();
        match self.encoder.encode(record, &mut self.writer) {
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
        if let Some((description, since)) = self.containers.first_seen(path, ts) {
            self.introduce(&description, since);
        }
    }

    /// Puts a container's description before the first of its events that still waits.
    fn introduce(&mut self, description: &str, since: u64) {
        let ts = since.saturating_sub(1).max(self.order.released());
        let event = self.container_event(description, ts);
        if !event.is_empty() {
            self.order.push(ts, &event);
        }
    }

    /// The event that describes a container; nothing where it does not fit the format.
    fn container_event(&mut self, description: &str, ts: u64) -> Vec<u8> {
        let text = [description.as_bytes(), b"\0"].concat();
        self.writer.get_mut().clear();
        let written = self.writer.event(self.boot.wrapping_add(ts), -1, 0, PPME_CONTAINER_JSON_2_E, &[&text]);
        if written.is_err() {
            self.losses.count(Counter::UnsoundRecords);
            self.writer.get_mut().clear();
        }
        std::mem::take(self.writer.get_mut())
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
        let counts = probe.counts();
        let misses = probe.misses();
        let since = |count: Count| counts.get(count) - self.told.get(count);
        let mut lost = Ledger::default();
        lost.add(Counter::RingFull, since(Count::RingFull));
        lost.add(Counter::ProgramBusy, since(Count::Scratch) + since(Count::TailCall) + misses - self.told_misses);
        lost.add(Counter::CutArguments, since(Count::Cut));
        lost.add(Counter::UnreadableArguments, since(Count::Fault));
        lost.add(Counter::UnknownCalls, since(Count::Unknown));
        lost.add(Counter::LateEvents, self.order.late - self.told_late);
        lost.add(Counter::ChangedArguments, self.encoder.changed - self.told_changed);
        self.told = counts;
        self.told_misses = misses;
        self.told_late = self.order.late;
        self.told_changed = self.encoder.changed;
        self.losses.merge(&lost);
        if lost.findings().count() > 0 {
            self.sink.send(Message::Losses(Box::new(lost)));
        }
    }

    /// What is left in the ring, in order, and the last losses.
    fn finish(&mut self, probe: &mut Probe, ring: &mut RingBuf<MapData>) {
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
