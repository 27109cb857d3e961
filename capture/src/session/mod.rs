//! One recording from start to end: attach, describe what is there, follow what happens, account for what was lost.
//!
//! A single loop (`follow`) reads the ring, encodes and orders (`intake`), and hands batches to the writer
//! ([`crate::sink`]). Where a capture begins anew ([`Turns`](crate::sink::Turns)), the snapshot of a moment stands
//! before the events after it (`begin`). What was lost is told with each frame (`losses`); containers are followed as
//! they appear (`containers`). Here is what goes in ([`Until`], [`Watch`]), what comes out ([`Outcome`], [`Moment`]),
//! and the order of it all ([`run`]); what the kernel side does is [`crate::probe`]'s.

mod begin;
mod containers;
mod follow;
mod intake;
mod losses;

use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use casebook_formats::ledger::Ledger;
use casebook_formats::write::CaptureWriter;

use self::begin::Turn;
use self::losses::Losses;
use crate::appear::Appear;
use crate::calls::Calls;
use crate::containers::Containers;
use crate::encode::Encoder;
use crate::filter::Filters;
use crate::known::Known;
use crate::order::Order;
use crate::probe::{Counts, Probe, ProbeError, Settings};
use crate::sink::Sink;
use crate::snapshot::Listed;
use crate::sys;
use crate::trigger::Triggers;
use crate::undecided::Undecided;

/// Pause between two looks at the ring.
const PAUSE: Duration = Duration::from_millis(5);
/// A batch goes to the writer when it has this many bytes.
const BATCH: usize = 1 << 20;
/// Records read in one look, at most: the clock and the signals are to be heard too.
const LOOK: usize = 65536;

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
        unaccounted: session.losses.unaccounted(&counts),
        losses: session.losses.all,
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
    losses: Losses,
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
            losses: Losses::default(),
            sizes: (0, 0),
            forbidden: 0,
            listed: (Listed::default(), 0),
        }
    }
}
