//! A run: captures through the engine and the rules, to alerts and reports.
//!
//! [`Source`]s → [`crate::engine`] → fields → `casebook-rules` → alert lines into the [`Sequencer`], one
//! [`CaptureReport`] a capture. Captures are independent of each other: each starts with fresh state, so any number
//! of them is replayed at the same time, and the sequencer puts their lines into the order of the captures. A capture with
//! checkpoints is divided itself (`crate::parts`).
//!
//! What to run comes in a [`Plan`]; where it comes from (options, files) is the business of [`crate::cli`].

mod alerts;
mod ending;
mod source;
mod turns;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use casebook_formats::event::EventType;
use casebook_formats::ledger::Ledger;

use crate::audit::join::Requests;
use crate::context::EventContext;
use crate::detect::{Detector, Form};
use crate::engine::{Replay, Visitor};
use crate::metrics::Board;
use crate::moment::Moment;
use crate::output::{CaptureOutput, Sequencer};
use crate::parts::{Divided, Gathering, Helpers, UNUSED, parts_each};
use crate::summary::CaptureReport;
use crate::window::Window;
use alerts::Alerts;
pub use source::Source;
pub(crate) use source::{open_file, recorded_gaps};
pub use turns::ByTurns;

/// Stack of a worker: conditions nest, and the depth that the rule language allows has to fit with room to spare.
const STACK: usize = 16 << 20;

/// What every capture is put through.
#[derive(Debug)]
pub struct Plan {
    /// Rules, and what is reported of them.
    pub rules: Detector,
    /// Form of the alerts.
    pub form: Form,
    /// Only events in this part of each capture's time are asked about.
    pub window: Window,
    /// Nanoseconds of capture time after which each capture stops.
    pub span: Option<u64>,
    /// Workers.
    pub jobs: Jobs,
    /// Who asked the Kubernetes API for what runs in containers.
    pub requests: Arc<Requests>,
    /// Lines of the output carry the JSON of their alerts ([`crate::deliver`]).
    pub deliver: bool,
    /// Where alerts, events and losses are counted over time, if anywhere.
    pub board: Option<Board>,
}

/// What is made of the events of one capture.
pub trait Look: Send {
    /// Whether events of this type are of interest; the others need not be shown.
    #[inline]
    fn wants(&self, etype: EventType) -> bool {
        let _ = etype;
        true
    }

    /// One event, with the state after it: lines go to `output`, counts to `report`. Breaking ends the capture.
    fn event(
        &mut self,
        context: &EventContext<'_>,
        output: &mut CaptureOutput<'_, '_>,
        report: &mut CaptureReport,
    ) -> ControlFlow<()>;

    /// A part of a capture begins, on this host, and before it this was lost. Not told at the start of a capture.
    fn begin(&mut self, hostname: &[u8], lost: &Ledger) {
        let _ = (hostname, lost);
    }

    /// Whether it wants to hear of losses: [`Visitor::is_due`].
    fn is_due(&self, previous: u64, ts: u64) -> bool {
        let _ = (previous, ts);
        false
    }

    /// What was lost until `ts`: [`Visitor::lost`]. Also told at the end of a part.
    fn lost(&mut self, ts: u64, ledger: &Ledger) {
        let _ = (ts, ledger);
    }

    /// What the recorder lost until `ts`, besides; told when the capture is over.
    fn recorder_lost(&mut self, ts: u64, ledger: &Ledger) {
        let _ = (ts, ledger);
    }

    /// Whether several can take turns with the events of one capture, and it is worth it: what each of them sees of an event
    /// comes out in lines and counts alone, and nothing has to be told, absorbed or ended.
    fn takes_turns(&self) -> bool {
        false
    }

    /// Takes over what another one has seen of the part of the capture that follows.
    fn absorb(&mut self, next: Self)
    where
        Self: Sized;

    /// The capture is over.
    fn end(&mut self, output: &mut CaptureOutput<'_, '_>, report: &CaptureReport) {
        let _ = (output, report);
    }
}

/// Replays all captures, `plan.jobs` workers at a time, each into its place of `output`. `advance` hears of bytes read
/// and events replayed since it was last called. The reports come in the order of the captures.
pub fn replay(
    plan: &Plan,
    captures: &[Source],
    output: &Sequencer<'_>,
    advance: &(dyn Fn(u64, u64) + Sync),
) -> Vec<CaptureReport> {
    // Beyond the end of the span there is nothing either.
    let to = plan.window.to.or(plan.span.map(Moment::AfterStart));
    let work = Work { jobs: plan.jobs, window: Window { to, ..plan.window }, divisible: true };
    look_at_each(captures, work, output, advance, || {
        (Replay::new().stop_after(plan.span).joined(&plan.requests), Alerts::new(plan))
    })
}

/// Workers for captures.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Jobs {
    /// How many; 0 counts as 1.
    pub workers: usize,
    /// Workers that are left over decode plain captures ahead, too. That takes a quarter more CPU time in all for a sixth
    /// less time of waiting, where a processor is free; with packed captures, where they always do, it is a tenth more for a
    /// third less.
    pub decode_plain_ahead: bool,
    /// How several that are left over ask the rules of one capture.
    pub turns: ByTurns,
}

/// How captures are shared out.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Workers.
    pub jobs: Jobs,
    /// What is looked at: of a capture with checkpoints, what comes before is not read.
    pub window: Window,
    /// What several of the lookers see of a capture, one part each, is what one would see of all of it.
    pub divisible: bool,
}

/// Replays all captures before the eyes of what `begin` makes for each part of a capture; the rest is as in [`replay`].
pub fn look_at_each<L: Look>(
    captures: &[Source],
    work: Work,
    output: &Sequencer<'_>,
    advance: &(dyn Fn(u64, u64) + Sync),
    begin: impl Fn() -> (Replay, L) + Sync,
) -> Vec<CaptureReport> {
    let parts_each =
        if work.divisible && !output.is_by_time() { parts_each(captures.len(), work.jobs.workers) } else { 1 };
    let mut tasks: Vec<Task<'_, L>> =
        captures.iter().enumerate().map(|(index, source)| Task::new(index, source, work, parts_each)).collect();
    let together: usize = tasks.iter().map(|task| task.divided.parts()).sum();
    // Workers without a part of their own: their processors read and unpack for the others.
    let threads = work.jobs.workers.saturating_sub(together).div_ceil(together.max(1));
    for task in &mut tasks {
        task.helpers.threads = threads;
        if output.is_by_time() {
            task.helpers.turns = ByTurns::NEVER;
        }
    }
    for task in tasks.iter().filter(|task| task.divided.parts() > 1) {
        // The last one is for what there is to say when all of them are done.
        output.divide(task.index, task.divided.parts() + 1);
    }
    let parts: Vec<(&Task<'_, L>, usize)> =
        tasks.iter().flat_map(|task| (0..task.divided.parts()).map(move |part| (task, part))).collect();
    let next = AtomicUsize::new(0);
    // Parts are taken in order: the sequencer relies on the first unfinished one being worked on.
    let work_on = || {
        while let Some((task, part)) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
            task.replay(*part, output, advance, &begin);
        }
    };
    thread::scope(|scope| {
        // By time, an input waits for all others: each needs a worker.
        let workers = if output.is_by_time() { parts.len() } else { work.jobs.workers.clamp(1, parts.len().max(1)) };
        let started = (0..workers)
            .filter(|n| {
                let worker = thread::Builder::new().name(format!("replay-{n}")).stack_size(STACK);
                worker.spawn_scoped(scope, work_on).is_ok()
            })
            .count();
        if started < workers {
            output.wait_for_nobody();
        }
        if started == 0 {
            // The system gives us no thread: this one has to do.
            work_on();
        }
    });
    drop(parts);
    tasks.into_iter().filter_map(|task| task.report.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
}

/// One capture: its parts, what they have given so far, and at last its report.
struct Task<'c, L> {
    index: usize,
    source: &'c Source,
    divided: Divided,
    gathering: Gathering<Done<L>>,
    /// Threads for each part besides its worker.
    helpers: Helpers,
    report: Mutex<Option<CaptureReport>>,
}

/// What one part gave.
struct Done<L> {
    /// `None`: it could not even begin.
    look: Option<L>,
    report: CaptureReport,
    /// The next part goes on where this one ended; else this is the end of the capture.
    handed_on: bool,
    notes: Vec<String>,
}

impl<'c, L: Look> Task<'c, L> {
    fn new(index: usize, source: &'c Source, work: Work, parts_each: usize) -> Self {
        let divided = Divided::new(source, work.window, parts_each);
        let gathering = Gathering::new(divided.parts());
        let Jobs { decode_plain_ahead, turns, .. } = work.jobs;
        let helpers = Helpers { threads: 0, decode_plain_ahead, turns };
        Self { index, source, divided, gathering, helpers, report: Mutex::new(None) }
    }

    /// Replays a part into its output; the last one that is done closes the capture.
    fn replay(
        &self,
        part: usize,
        output: &Sequencer<'_>,
        advance: &(dyn Fn(u64, u64) + Sync),
        begin: &(impl Fn() -> (Replay, L) + Sync),
    ) {
        let mut own = output.part(self.index, part);
        let done = self.part(part, &mut own, advance, begin);
        let Some(all) = self.gathering.put(part, done) else { return };
        if self.divided.parts() == 1 {
            self.report(self.close(all, &mut own));
        } else {
            drop(own);
            self.report(self.close(all, &mut output.part(self.index, self.divided.parts())));
        }
    }

    fn report(&self, report: CaptureReport) {
        *self.report.lock().unwrap_or_else(PoisonError::into_inner) = Some(report);
    }

    /// Replays a part.
    fn part(
        &self,
        part: usize,
        output: &mut CaptureOutput<'_, '_>,
        advance: &(dyn Fn(u64, u64) + Sync),
        begin: &(impl Fn() -> (Replay, L) + Sync),
    ) -> Done<L> {
        let name = self.source.name();
        let mut done =
            Done { look: None, report: CaptureReport::new(name.clone()), handed_on: false, notes: Vec::new() };
        if !self.divided.is_of_use(part) {
            return done;
        }
        let (mut entered, note) = match self.divided.enter(self.source, part, || begin().0) {
            Ok(entered) => entered,
            Err(error) => {
                done.notes.push(format!("error: {error}"));
                done.report = CaptureReport::unreadable(name, error);
                return done;
            }
        };
        done.notes.extend(note);
        let mut told = Told { advance, told: (entered.reader.bytes_read(), entered.replay.position().events) };
        if part == 0 {
            advance(told.told.0, 0);
        }
        let mut look = begin().1;
        let seats = self.seats(&entered.reader, &look);
        if seats > 1 {
            (entered, look, told) = match self.by_turns(entered, look, seats, output, told, begin) {
                Ok(done) => return done,
                Err(refused) => *refused,
            };
        }
        let rest = output.rest();
        if part > 0 {
            look.begin(&entered.replay.state().machine.hostname, &entered.replay.lost(&entered.reader));
        }
        let mut desk = Desk { look: &mut look, output, report: done.report, told: Some(&mut told) };
        let ran = self.divided.run(part, entered, self.helpers, &mut desk, || rest.drop());
        desk.look.lost(ran.replay.position().last_ts, &ran.replay.lost(&*ran.reader));
        done.report = desk.report;
        done.look = Some(look);
        done.handed_on = ran.handed_on;
        done.notes.extend(ran.note);
        if !ran.handed_on {
            done.notes.extend(done.report.conclude(ran.end, &ran.replay, &*ran.reader));
            done.notes.extend(ran.reader.upstream().notes);
        }
        done
    }

    /// Puts the parts together.
    fn close(&self, parts: Vec<Done<L>>, output: &mut CaptureOutput<'_, '_>) -> CaptureReport {
        let mut parts = parts.into_iter();
        let Some(mut all) = parts.next() else { return CaptureReport::new(self.source.name()) };
        while all.handed_on {
            let Some(next) = parts.next() else { break };
            all.report.absorb(&next.report);
            all.handed_on = next.handed_on;
            all.notes.extend(next.notes);
            match (&mut all.look, next.look) {
                (Some(look), Some(next)) => look.absorb(next),
                (look, next) => *look = next,
            }
        }
        for (ts, losses) in self.source.recorded_losses() {
            all.report.ledger.merge(&losses);
            if let Some(look) = &mut all.look {
                look.recorder_lost(ts, &losses);
            }
        }
        if let Some(unused) = &self.divided.unused {
            all.report.ledger.count(UNUSED);
            output.note(unused.clone());
        }
        if let Some(look) = &mut all.look {
            look.end(output, &all.report);
        }
        for note in all.notes {
            output.note(note);
        }
        all.report
    }
}

/// Progress of one capture, as it was told.
struct Told<'a> {
    advance: &'a (dyn Fn(u64, u64) + Sync),
    /// Bytes and events that `advance` has heard of.
    told: (u64, u64),
}

impl Told<'_> {
    fn tell(&mut self, bytes_read: u64, events: u64) {
        let (bytes_told, events_told) = self.told;
        (self.advance)(bytes_read.saturating_sub(bytes_told), events.saturating_sub(events_told));
        self.told = (bytes_read, events);
    }
}

/// Between the engine and a [`Look`]: one capture's output and report.
struct Desk<'a, 't, 's, 'w, L> {
    look: &'a mut L,
    output: &'a mut CaptureOutput<'s, 'w>,
    report: CaptureReport,
    /// None: somebody else tells of progress.
    told: Option<&'a mut Told<'t>>,
}

impl<L: Look> Visitor for Desk<'_, '_, '_, '_, L> {
    #[inline]
    fn wants(&self, etype: EventType) -> bool {
        self.look.wants(etype)
    }

    #[inline]
    fn event(&mut self, context: &EventContext<'_>) -> ControlFlow<()> {
        self.look.event(context, self.output, &mut self.report)
    }

    #[inline]
    fn is_due(&self, previous: u64, ts: u64) -> bool {
        self.look.is_due(previous, ts)
    }

    fn lost(&mut self, ts: u64, ledger: &Ledger) {
        self.look.lost(ts, ledger);
    }

    fn progress(&mut self, bytes_read: u64, events: u64) {
        if let Some(told) = &mut self.told {
            told.tell(bytes_read, events);
        }
    }
}
