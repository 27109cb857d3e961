//! What each stage of a replay costs, apart: decode, state, rule evaluation.
//!
//! Throughput is in events. The input is the built-in example repeated to [`COPIES`] sections, so that the benches
//! run anywhere; with `CASEBOOK_CORPORA` also captures of today (`captures/attacks`) and of 2019
//! (`captures/sysflow`, enter and exit pairs). Everything is in memory: no disk is measured.

// What fails in the set-up of a bench ends it.
#![allow(clippy::unwrap_used)]

use std::hint::black_box;
use std::io::Cursor;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use casebook_fixtures::EXAMPLE;
use casebook_formats::capture::{CaptureReader, Item};
use casebook_formats::event::{Event, EventType, ParamRange, RawEvent};
use casebook_formats::ledger::Ledger;
use casebook_replay::context::EventContext;
use casebook_replay::detect::{Detector, Form};
use casebook_replay::engine::Replay;
use casebook_replay::state::{Effects, State};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Sections of the synthetic input.
const COPIES: usize = 40;
/// Captures of each corpus folder that take part.
const CAPTURES: usize = 12;

/// Captures that one iteration goes through.
struct Input {
    name: String,
    captures: Vec<Vec<u8>>,
    events: u64,
}

impl Input {
    fn new(name: &str, captures: Vec<Vec<u8>>) -> Self {
        let mut input = Self { name: name.to_owned(), captures, events: 0 };
        input.events = input.decode();
        input
    }

    fn readers(&self) -> impl Iterator<Item = CaptureReader> {
        let open = |bytes: &Vec<u8>| CaptureReader::from_reader(Box::new(Cursor::new(bytes.clone())), "bench").unwrap();
        self.captures.iter().map(open)
    }

    /// Decodes everything; the number of events.
    fn decode(&self) -> u64 {
        let mut events = 0;
        for mut reader in self.readers() {
            while let Some(item) = reader.next_item().unwrap() {
                if let Item::Event(event) = item {
                    black_box(&event);
                    events += 1;
                }
            }
        }
        events
    }

    /// Decodes everything and keeps the state.
    fn replay(&self) {
        for mut reader in self.readers() {
            let end = Replay::new().run(&mut reader, |context: &EventContext<'_>| {
                black_box(context);
                ControlFlow::Continue(())
            });
            black_box(end.unwrap());
        }
    }

    /// Same, with rules and the text of their alerts.
    fn detect(&self, rules: &Detector) {
        for mut reader in self.readers() {
            let (mut session, mut ledger) = (rules.session(Form::Text), Ledger::default());
            let (mut matched, mut line) = (Vec::new(), Vec::new());
            let end = Replay::new().run(&mut reader, |context: &EventContext<'_>| {
                session.matching(context, &mut ledger, &mut matched);
                for &rule in &matched {
                    line.clear();
                    session.render(rule, context, session.untold(rule, context), &mut line);
                    black_box(&line);
                }
                ControlFlow::Continue(())
            });
            black_box(end.unwrap());
        }
    }
}

/// Captures of a corpus folder, the first in the order of their names; none without the corpora.
fn corpus(folder: &str) -> Option<Input> {
    let root = std::env::var_os("CASEBOOK_CORPORA").filter(|root| !root.is_empty())?;
    let entries = std::fs::read_dir(Path::new(&root).join("captures").join(folder)).ok()?;
    let mut paths: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "scap"))
        .collect();
    paths.sort();
    paths.truncate(CAPTURES);
    Some(Input::new(folder, paths.iter().map(|path| std::fs::read(path).unwrap()).collect()))
}

fn inputs() -> Vec<Input> {
    let mut inputs = vec![Input::new("example", vec![EXAMPLE.repeat(COPIES)])];
    inputs.extend(["attacks", "sysflow"].into_iter().filter_map(corpus));
    inputs
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for input in inputs() {
        group.throughput(Throughput::Elements(input.events));
        group.bench_function(&input.name, |bencher| bencher.iter(|| input.decode()));
    }
}

/// An event that has left its reader.
struct Kept {
    num: u64,
    ts: u64,
    tid: i64,
    cpu: u16,
    etype: EventType,
    state_only: bool,
    data: Vec<u8>,
    ranges: Vec<ParamRange>,
}

impl Kept {
    fn of(event: &Event<'_>) -> Self {
        Self {
            num: event.num,
            ts: event.ts,
            tid: event.tid,
            cpu: event.cpu,
            etype: event.etype,
            state_only: event.state_only,
            data: event.data.to_vec(),
            ranges: event.ranges.to_vec(),
        }
    }

    fn event(&self) -> Event<'_> {
        Event {
            num: self.num,
            ts: self.ts,
            tid: self.tid,
            cpu: self.cpu,
            etype: self.etype,
            state_only: self.state_only,
            enter_ts: None,
            data: &self.data,
            ranges: &self.ranges,
            raw: RawEvent { offset: 0, enter: None, etype: self.etype.0, nparams: 0, payload: &[] },
        }
    }
}

/// A section: the state that its snapshots give, and its events.
type Section = (State, Vec<Kept>);

fn sections(input: &Input) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut ledger = Ledger::default();
    for mut reader in input.readers() {
        while let Some(item) = reader.next_item().unwrap() {
            if matches!(item, Item::Section(_)) {
                sections.push((State::new(), Vec::new()));
            }
            let Some((state, events)) = sections.last_mut() else { continue };
            match item {
                Item::Section(_) => {}
                Item::Machine(machine) => state.seed_machine(machine),
                Item::Interfaces(interfaces) => state.seed_interfaces(interfaces),
                Item::Users(users) => state.seed_users(users, &mut ledger),
                Item::Threads(threads) => state.seed_threads(&threads, &mut ledger),
                Item::Fds(list) => state.seed_fds(&list, &mut ledger),
                Item::Event(event) => events.push(Kept::of(&event)),
            }
        }
    }
    sections
}

/// State transitions alone: snapshots and events are decoded beforehand.
fn state(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("state");
    for input in inputs() {
        let sections = sections(&input);
        let round = || {
            let mut spent = Duration::ZERO;
            for (seeded, events) in &sections {
                let (mut state, mut ledger) = (seeded.clone(), Ledger::default());
                let start = Instant::now();
                for event in events {
                    let mut effects = Effects::default();
                    state.apply(&event.event(), &mut ledger, &mut effects);
                    black_box(&effects);
                }
                spent += start.elapsed();
            }
            spent
        };
        group.throughput(Throughput::Elements(input.events));
        group.bench_function(&input.name, |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| round()).sum());
        });
    }
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// Rule evaluation and alerts alone: the time of a replay with the built-in rules less that of one without.
fn rules(criterion: &mut Criterion) {
    let rules = Detector::built_in().unwrap();
    let mut group = criterion.benchmark_group("rules");
    for input in inputs() {
        group.throughput(Throughput::Elements(input.events));
        group.bench_function(&input.name, |bencher| {
            bencher.iter_custom(|rounds| {
                let with: Duration = (0..rounds).map(|_| timed(|| input.detect(&rules))).sum();
                let without: Duration = (0..rounds).map(|_| timed(|| input.replay())).sum();
                // Criterion takes no zero.
                with.saturating_sub(without).max(Duration::from_nanos(1))
            });
        });
    }
}

criterion_group! {
    name = stages;
    config = Criterion::default().sample_size(20);
    targets = decode, state, rules
}
criterion_main!(stages);
