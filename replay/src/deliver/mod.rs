//! Delivery: alerts sent on while they are found, to where somebody asked for (`--deliver`); else nothing here runs.
//!
//! Alerts in the order of the output → [`Parcel`]s → one bounded queue and one worker thread a target → [`target`]. A
//! target that takes its time makes the replay wait: a replay finds alerts faster than anybody takes them, and none should be
//! lost for that. A target that *fails* makes nobody wait: its parcels queue up while the worker tries again, with growing
//! pauses, and what finds the queue full is dropped and counted. A target that has let [`GIVE_UP`] alerts in a row fail
//! is left alone. What became of all alerts is in the [`Report`], which summary and exit code tell.
//!
//! How alerts come here: lines of the output carry them behind a NUL ([`split`]), through everything that keeps the output
//! in order.

pub mod split;
pub mod syslog;
pub mod target;

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::Serialize;

pub use target::Target;
use target::{Failure, Transport};

/// Alerts that may wait for a target, unless told otherwise.
pub const DEFAULT_QUEUE: usize = 1000;
/// Attempts for each alert, unless told otherwise.
pub const DEFAULT_ATTEMPTS: u32 = 6;
/// Time after the end of the replay for what still waits, in seconds, unless told otherwise.
pub const DEFAULT_PATIENCE: u64 = 30;
/// Pause before the second attempt; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Longest pause, also where a server asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Alerts in a row whose attempts all failed, after which no more are made.
pub const GIVE_UP: u32 = 3;

/// An alert on its way.
#[derive(Debug)]
pub struct Parcel {
    /// Falco's JSON object.
    pub json: Vec<u8>,
    /// The line that the output has, in the form that was chosen.
    pub line: Vec<u8>,
}

/// How hard to try.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Alerts that may wait for a target.
    pub queue: usize,
    /// Attempts for each.
    pub attempts: u32,
    /// Time after the end of the replay for what still waits.
    pub patience: Duration,
}

/// What became of the alerts for one target.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Report {
    /// The target, without what could be a secret in its address.
    pub target: String,
    /// Alerts that it took.
    pub delivered: u64,
    /// Alerts that it refused for good.
    pub refused: u64,
    /// Alerts for which all attempts failed, or time ran out.
    pub failed: u64,
    /// Alerts dropped because the queue was full while the target failed.
    pub overflowed: u64,
    /// Further attempts that were made.
    pub retries: u64,
    /// What went wrong last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Report {
    /// Alerts that did not arrive.
    pub fn undelivered(&self) -> u64 {
        self.refused + self.failed + self.overflowed
    }

    /// In words.
    pub fn text(&self) -> String {
        // Writing to a string cannot fail.
        let mut text = format!("{}: {} delivered", self.target, self.delivered);
        for (n, what) in
            [(self.refused, "refused"), (self.failed, "failed"), (self.overflowed, "dropped, the queue was full")]
        {
            if n > 0 {
                let _ = write!(text, ", {n} {what}");
            }
        }
        if self.undelivered() > 0
            && let Some(error) = &self.error
        {
            let _ = write!(text, " ({error})");
        }
        text
    }
}

/// All targets of a run.
#[derive(Debug)]
pub struct Delivery {
    lanes: Vec<Lane>,
    patience: Duration,
}

/// One target: its queue and the worker behind it.
#[derive(Debug)]
struct Lane {
    queue: Arc<Queue>,
    worker: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    capacity: usize,
}

#[derive(Debug, Default)]
struct State {
    parcels: VecDeque<Arc<Parcel>>,
    /// The last attempt failed: nobody waits for this target.
    failing: bool,
    /// There will be no more parcels; what waits after this moment is not sent.
    deadline: Option<Instant>,
    report: Report,
}

impl Delivery {
    /// Opens the targets and starts a worker for each. `authorities`: certificates (PEM) of those who may vouch for HTTPS
    /// servers, in place of the ones that browsers know.
    ///
    /// # Errors
    /// What cannot be opened, and why. Servers are not asked yet.
    pub fn start(targets: &[Target], policy: Policy, authorities: Option<&[u8]>) -> Result<Self, String> {
        let mut lanes = Vec::new();
        for target in targets {
            let transport = target.open(authorities)?;
            let report = Report { target: target.to_string(), ..Report::default() };
            let state = Mutex::new(State { report, ..State::default() });
            let queue = Arc::new(Queue { state, changed: Condvar::new(), capacity: policy.queue.max(1) });
            let mut worker =
                Worker { queue: Arc::clone(&queue), transport, attempts: policy.attempts.max(1), failed_in_a_row: 0 };
            let worker = thread::Builder::new().name(format!("deliver {target}")).spawn(move || worker.run());
            let worker = worker.map_err(|error| format!("{target}: no thread for it: {error}"))?;
            lanes.push(Lane { queue, worker: Some(worker) });
        }
        Ok(Self { lanes, patience: policy.patience })
    }

    /// Sends an alert to all targets, one day.
    pub fn send(&self, parcel: Parcel) {
        let parcel = Arc::new(parcel);
        for lane in &self.lanes {
            lane.queue.offer(&parcel);
        }
    }

    /// The replay is over: waits for what is on its way, as long as the policy says.
    pub fn finish(mut self) -> Vec<Report> {
        let deadline = Instant::now() + self.patience;
        for lane in &self.lanes {
            lane.queue.lock().deadline = Some(deadline);
            lane.queue.changed.notify_all();
        }
        let end = |lane: &mut Lane| {
            // A worker that panicked has not delivered what its queue still holds.
            let _ = lane.worker.take().map(JoinHandle::join);
            let mut state = lane.queue.lock();
            state.report.failed += state.parcels.len() as u64;
            state.report.clone()
        };
        self.lanes.iter_mut().map(end).collect()
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a parcel in, after waiting for room where the target works.
    fn offer(&self, parcel: &Arc<Parcel>) {
        let mut state = self.lock();
        while state.parcels.len() >= self.capacity && !state.failing {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.parcels.len() >= self.capacity {
            state.report.overflowed += 1;
        } else {
            state.parcels.push_back(Arc::clone(parcel));
        }
        drop(state);
        self.changed.notify_all();
    }

    /// The next parcel; `None` when there will be no more.
    fn next(&self) -> Option<Arc<Parcel>> {
        let mut state = self.lock();
        loop {
            if let Some(parcel) = state.parcels.pop_front() {
                self.changed.notify_all();
                return Some(parcel);
            }
            if state.deadline.is_some() {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits; false when time has run out.
    fn pause(&self, length: Duration) -> bool {
        let until = Instant::now() + length;
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            if state.deadline.is_some_and(|deadline| now >= deadline) {
                return false;
            }
            if now >= until {
                return true;
            }
            let end = state.deadline.map_or(until, |deadline| deadline.min(until));
            state = self.changed.wait_timeout(state, end - now).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn note(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

struct Worker {
    queue: Arc<Queue>,
    transport: Transport,
    attempts: u32,
    failed_in_a_row: u32,
}

impl Worker {
    fn run(&mut self) {
        while let Some(parcel) = self.queue.next() {
            self.deliver(&parcel);
        }
        if let Err(error) = self.transport.finish() {
            self.queue.note(|state| {
                // The last ones were only handed over.
                let report = &mut state.report;
                (report.failed, report.delivered) = (report.failed + 1, report.delivered.saturating_sub(1));
                report.error = Some(error);
            });
        }
    }

    /// Tries until it is delivered, refused, or given up.
    fn deliver(&mut self, parcel: &Parcel) {
        let mut pause = FIRST_PAUSE;
        // Whoever has let an alert fail gets one attempt for each of the next ones.
        let attempts = match self.failed_in_a_row {
            0 => self.attempts,
            GIVE_UP.. => 0,
            _ => 1,
        };
        for attempt in 0..attempts {
            if attempt > 0 {
                if !self.queue.pause(pause) {
                    break;
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
                self.queue.note(|state| state.report.retries += 1);
            }
            if self.queue.lock().deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                break;
            }
            match self.transport.send(parcel) {
                Ok(()) => {
                    self.failed_in_a_row = 0;
                    return self.queue.note(|state| {
                        state.failing = false;
                        state.report.delivered += 1;
                    });
                }
                Err(Failure::Refused(error)) => {
                    self.failed_in_a_row = 0;
                    return self.queue.note(|state| {
                        state.failing = false;
                        state.report.refused += 1;
                        state.report.error = Some(error);
                    });
                }
                Err(Failure::Temporary { error, wait }) => {
                    if let Some(wait) = wait {
                        pause = pause.max(wait).min(LONGEST_PAUSE);
                    }
                    self.queue.note(|state| {
                        state.failing = true;
                        state.report.error = Some(error);
                    });
                }
            }
        }
        self.failed_in_a_row += 1;
        self.queue.note(|state| {
            state.failing = true;
            state.report.failed += 1;
        });
    }
}
