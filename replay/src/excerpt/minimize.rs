//! The smallest capture on which the same alerts fire.
//!
//! Two readings of the whole find the alerts, the threads they rest on (the event's thread, its process, all above it, its
//! session and group), and every event of these threads before the last alert that can change what is known. Then delta
//! debugging: whole threads first, then halves, quarters and so on down to single events are left out as long as the alerts
//! stay the same; after that the same with the threads, descriptors, users and interfaces of the snapshot. Every attempt is
//! a replay of what is left, in memory, so what comes out is proved by the last of them.
//!
//! Alerts are the same when rule and text are, in the same order; numbers of events and distances to other events are
//! taken out of the texts, as they are others in any excerpt. The number of attempts is bounded, not the time: the
//! same capture and rules give the same bytes.

mod candidates;
mod shrink;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::ops::ControlFlow;

use casebook_formats::capture::CaptureReader;
use casebook_formats::event::Event;
use casebook_formats::ledger::Ledger;
use casebook_formats::snapshot::{FdEntry, FdList};

use self::candidates::{Collect, MAX_CANDIDATES, Piece, pieces};
use self::shrink::shrink;
use super::ExcerptError;
use super::select::kin_of;
use super::snapshot::Snapshot;
use crate::context::{Clock, EventContext};
use crate::detect::{Detector, Form, Session};
use crate::engine::{Replay, Visitor};
use crate::run::Source;
use crate::state::Thread;

/// Replays that are tried.
const MAX_ATTEMPTS: u32 = 20_000;

/// What is to be kept.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Only alerts of these rules, by name; all when empty.
    pub rules: Vec<String>,
    /// Only so many of them, the first.
    pub count: Option<usize>,
}

/// What came out.
#[derive(Clone, Debug)]
pub struct Minimal {
    /// The capture.
    pub bytes: Vec<u8>,
    /// Its events.
    pub events: u64,
    /// Events of the whole.
    pub of: u64,
    /// The alerts that fire on both.
    pub alerts: usize,
    /// Replays it took.
    pub attempts: u32,
    /// The bound on attempts was reached: it may be possible to leave out more.
    pub is_bounded: bool,
}

/// Alerts of one replay, as texts without places.
struct Watch<'d> {
    session: Session<'d>,
    names: &'d [String],
    wanted: &'d Wanted,
    /// Only alerts about these events.
    only: Option<&'d [u64]>,
    matched: Vec<u32>,
    alerts: Vec<String>,
    /// Numbers of the events they are about.
    about: Vec<u64>,
    kin: BTreeSet<i64>,
}

impl<'d> Watch<'d> {
    fn new(detector: &'d Detector, names: &'d [String], wanted: &'d Wanted) -> Self {
        let session = detector.session(Form::Text);
        let (matched, alerts, about) = (Vec::new(), Vec::new(), Vec::new());
        Self { session, names, wanted, only: None, matched, alerts, about, kin: BTreeSet::new() }
    }
}

impl Visitor for Watch<'_> {
    fn event(&mut self, context: &EventContext<'_>) -> ControlFlow<()> {
        let num = context.event.num;
        let left_out = self.only.is_some_and(|only| only.binary_search(&num).is_err());
        if left_out {
            return ControlFlow::Continue(());
        }
        self.session.matching(context, &mut Ledger::default(), &mut self.matched);
        for &rule in &self.matched {
            let name = self.names.get(rule as usize).map_or("", String::as_str);
            if !self.wanted.rules.is_empty() && !self.wanted.rules.iter().any(|wanted| wanted == name) {
                continue;
            }
            // What tells the place of the event in its capture is taken out.
            let event = Event { num: 0, ..*context.event };
            let clock = Clock { first_ts: event.ts, previous_ts: event.ts };
            let placeless = EventContext { event: &event, clock, ..*context };
            let mut line = Vec::new();
            self.session.render(rule, &placeless, Vec::new(), &mut line);
            self.alerts.push(format!("{name}: {}", String::from_utf8_lossy(&line)));
            if self.about.last() != Some(&num) {
                self.about.push(num);
            }
            if let Some(thread) = context.thread {
                kin_of(thread, context.state, &mut self.kin);
            }
            if self.wanted.count.is_some_and(|count| self.alerts.len() >= count) {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }
}

/// What attempts have in common.
struct Trial<'d> {
    detector: &'d Detector,
    names: &'d [String],
    wanted: &'d Wanted,
    expected: Vec<String>,
    attempts: u32,
}

impl Trial<'_> {
    /// Whether the alerts are the same on a capture of this snapshot (as bytes) and these events.
    fn holds<'p>(&mut self, snapshot: &[u8], pieces: impl Iterator<Item = &'p Piece>) -> bool {
        self.attempts += 1;
        let mut bytes = snapshot.to_vec();
        pieces.for_each(|piece| bytes.extend_from_slice(&piece.bytes));
        let mut watch = Watch::new(self.detector, self.names, self.wanted);
        let Ok(mut reader) = CaptureReader::from_reader(Box::new(Cursor::new(bytes)), "attempt") else { return false };
        Replay::new().run_with(&mut reader, &mut watch).is_ok() && watch.alerts == self.expected
    }

    fn is_spent(&self) -> bool {
        self.attempts >= MAX_ATTEMPTS
    }
}

/// All alerts of `detector` on a capture, or on those of its events whose numbers are in `only` (ascending), as texts
/// without what tells the place of an event: for comparing an excerpt with the whole.
///
/// # Errors
///
/// When the capture cannot be read.
pub fn alerts(source: &Source, detector: &Detector, only: Option<&[u64]>) -> Result<Vec<String>, ExcerptError> {
    let names: Vec<String> = detector.labels().into_iter().map(|label| label.name).collect();
    let wanted = Wanted { rules: Vec::new(), count: None };
    let mut watch = Watch::new(detector, &names, &wanted);
    watch.only = only;
    let mut reader = source.open().map_err(ExcerptError::Capture)?;
    let end = Replay::new().run_with(&mut reader, &mut watch);
    end.map_err(|error| ExcerptError::Capture(error.to_string()))?;
    Ok(watch.alerts)
}

/// Finds the smallest capture on which the wanted alerts of `source` fire. `names` are the rules of `detector` by number.
///
/// # Errors
///
/// When the capture cannot be read, no such alert fires, or they do not fire on what they are known to rest on.
pub fn minimize(
    source: &Source,
    detector: &Detector,
    names: &[String],
    wanted: &Wanted,
    progress: &mut dyn FnMut(u32, usize),
) -> Result<Minimal, ExcerptError> {
    let unreadable = |error: casebook_formats::capture::FormatError| ExcerptError::Capture(error.to_string());
    let mut watch = Watch::new(detector, names, wanted);
    let mut replay = Replay::new();
    let mut reader = source.open().map_err(ExcerptError::Capture)?;
    replay.run_with(&mut reader, &mut watch).map_err(unreadable)?;
    super::refuse_sections(&replay, &reader)?;
    let of = replay.position().events;
    let Watch { alerts: expected, about, kin, .. } = watch;
    let Some(&last) = about.last() else {
        return Err(ExcerptError::Nothing("no such alert fires on this capture".to_owned()));
    };
    let mut collect =
        Collect { about: &about, kin: &kin, last, found: Vec::new(), lossy: false, told: false, gap: None };
    Replay::new().run_with(&mut source.open().map_err(ExcerptError::Capture)?, &mut collect).map_err(unreadable)?;
    let Collect { found: candidates, gap, .. } = collect;
    if candidates.len() > MAX_CANDIDATES {
        let text = "the alerts rest on too many events; choose a rule, or fewer of its alerts";
        return Err(ExcerptError::Nothing(text.to_owned()));
    }
    let mut snapshot = start_of(source, &kin)?;
    let pieces = pieces(source, &candidates, gap)?;
    let mut trial = Trial { detector, names, wanted, expected, attempts: 0 };

    let header = bytes_of(&snapshot)?;
    if !trial.holds(&header, pieces.iter()) {
        let text = "the alerts do not fire on the events that they are known to rest on; `casebook-replay slice` by time \
                    may give a small capture";
        return Err(ExcerptError::Nothing(text.to_owned()));
    }
    let kept = shrink_events(&pieces, &header, &mut trial, progress);
    shrink_snapshot(&mut snapshot, &kept, &mut trial, progress)?;
    let mut bytes = bytes_of(&snapshot)?;
    for piece in &kept {
        bytes.extend_from_slice(&piece.bytes);
    }
    Ok(Minimal {
        bytes,
        events: kept.len() as u64,
        of,
        alerts: trial.expected.len(),
        attempts: trial.attempts,
        is_bounded: trial.is_spent(),
    })
}

/// The state at the start of the capture, as far as the alerts' threads are concerned.
fn start_of(source: &Source, kin: &BTreeSet<i64>) -> Result<Snapshot, ExcerptError> {
    let mut reader = source.open().map_err(ExcerptError::Capture)?;
    let mut replay = Replay::new();
    replay.until(&mut reader, 1).map_err(|error| ExcerptError::Capture(error.to_string()))?;
    let wanted = |thread: &Thread| kin.contains(&thread.tid) || kin.contains(&thread.pid);
    Ok(Snapshot::of(replay.state_at_rest(), wanted))
}

fn bytes_of(snapshot: &Snapshot) -> Result<Vec<u8>, ExcerptError> {
    let mut bytes = Vec::new();
    snapshot.write(&mut bytes)?;
    Ok(bytes)
}

fn shrink_events<'p>(
    pieces: &'p [Piece],
    header: &[u8],
    trial: &mut Trial<'_>,
    progress: &mut dyn FnMut(u32, usize),
) -> Vec<&'p Piece> {
    let mut left: BTreeSet<usize> = (0..pieces.len()).collect();
    let mut attempt = |trial: &mut Trial<'_>, kept: &BTreeSet<usize>| {
        progress(trial.attempts, kept.len());
        trial.holds(header, kept.iter().filter_map(|number| pieces.get(*number)))
    };
    // Whole threads, those with the most events first.
    let mut threads: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (number, piece) in pieces.iter().enumerate().filter(|(_, piece)| !piece.alerts) {
        threads.entry(piece.tid).or_default().push(number);
    }
    let mut threads: Vec<Vec<usize>> = threads.into_values().collect();
    threads.sort_by_key(|numbers| std::cmp::Reverse(numbers.len()));
    for numbers in threads {
        let mut rest = left.clone();
        for number in &numbers {
            rest.remove(number);
        }
        if !trial.is_spent() && attempt(trial, &rest) {
            left = rest;
        }
    }
    let fixed: BTreeSet<usize> = left.iter().copied().filter(|&number| pieces[number].alerts).collect();
    let free: Vec<usize> = left.difference(&fixed).copied().collect();
    let free = shrink(free, |free| {
        let kept = fixed.iter().chain(free).copied().collect();
        (!trial.is_spent()).then(|| attempt(trial, &kept))
    });
    fixed.iter().chain(&free).copied().collect::<BTreeSet<usize>>().iter().filter_map(|n| pieces.get(*n)).collect()
}

fn shrink_snapshot(
    snapshot: &mut Snapshot,
    kept: &[&Piece],
    trial: &mut Trial<'_>,
    progress: &mut dyn FnMut(u32, usize),
) -> Result<(), ExcerptError> {
    let mut attempt = |trial: &mut Trial<'_>, snapshot: &Snapshot| {
        if trial.is_spent() {
            return None;
        }
        progress(trial.attempts, kept.len());
        let header = bytes_of(snapshot).ok()?;
        Some(trial.holds(&header, kept.iter().copied()))
    };
    let whole = snapshot.clone();
    snapshot.users =
        shrink(whole.users.clone(), |users| attempt(trial, &Snapshot { users: users.to_vec(), ..snapshot.clone() }));
    snapshot.interfaces = shrink(whole.interfaces.clone(), |interfaces| {
        attempt(trial, &Snapshot { interfaces: interfaces.to_vec(), ..snapshot.clone() })
    });
    let fds: Vec<(i64, FdEntry)> =
        whole.fds.iter().flat_map(|list| list.fds.iter().map(|fd| (list.tid, fd.clone()))).collect();
    let fds = shrink(fds, |fds| attempt(trial, &Snapshot { fds: lists(fds), ..snapshot.clone() }));
    snapshot.fds = lists(&fds);
    snapshot.threads = shrink(whole.threads.clone(), |threads| {
        attempt(trial, &Snapshot { threads: threads.to_vec(), ..snapshot.clone() })
    });
    // Lists of threads that are not there any more say nothing.
    let there: BTreeSet<i64> = snapshot.threads.iter().map(|thread| thread.tid).collect();
    snapshot.fds.retain(|list| there.contains(&list.tid));
    let header = bytes_of(snapshot)?;
    if trial.holds(&header, kept.iter().copied()) {
        Ok(())
    } else {
        *snapshot = whole;
        Ok(())
    }
}

fn lists(fds: &[(i64, FdEntry)]) -> Vec<FdList> {
    let mut lists: BTreeMap<i64, Vec<FdEntry>> = BTreeMap::new();
    for (tid, fd) in fds {
        lists.entry(*tid).or_default().push(fd.clone());
    }
    lists.into_iter().map(|(tid, fds)| FdList { tid, fds }).collect()
}
