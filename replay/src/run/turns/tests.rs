//! Turns change hands many times within a small capture, at every pace of the workers, and nobody can tell from what comes out.

// A story that cannot be told or read is a mistake of the test.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use casebook_fixtures::{Proc, Trace, Value, flags};
use casebook_formats::ledger::Counter;

use super::super::{Jobs, Source, Work, look_at_each};
use super::*;
use crate::output::{Sequencer, Talk};
use crate::window::Window;

/// Some thousand events, losses and damage among them.
fn story() -> Vec<u8> {
    let mut trace = Trace::new("host");
    let shell = trace.process(Proc::new(10, "/bin/sh"));
    for n in 0..600 {
        let child = trace.fork(shell);
        trace.execve(child, &format!("/bin/{}", n % 7), &["it"]);
        let fd = trace.open(child, "/etc/hosts", flags::READ);
        trace.read(child, 77, b"of a descriptor that nobody knows");
        trace.close(child, fd);
        trace.exit(child, 0);
        if n % 50 == 0 {
            trace.emit(-1, ppme::PPME_DROP_E, &[("ratio", Value::Int(2))]);
            // Nobody can read it, which the engine counts where it is shown.
            trace.stored(-1, ppme::PPME_PLUGINEVENT_E, &[Value::Int(999), Value::Bytes(b"no JSON")]);
        }
    }
    let mut bytes = trace.finish().unwrap();
    for at in [bytes.len() / 3, bytes.len() / 2] {
        bytes[at..at + 20].fill(0xFF);
    }
    bytes
}

/// Writes of each event what the state knows, at its own pace.
struct Writer<'t> {
    /// Events that each of the writers has seen.
    seen: &'t Mutex<Vec<u64>>,
    number: Option<usize>,
    stop: u64,
    pace: &'t AtomicU64,
}

impl Look for Writer<'_> {
    fn event(
        &mut self,
        context: &EventContext<'_>,
        output: &mut CaptureOutput<'_, '_>,
        report: &mut CaptureReport,
    ) -> ControlFlow<()> {
        {
            let mut seen = self.seen.lock().unwrap();
            let number = *self.number.get_or_insert(seen.len());
            if number == seen.len() {
                seen.push(0);
            }
            seen[number] += 1;
        }
        let num = context.event.num;
        // Now one is quick and now another.
        if self.pace.fetch_add(num, Ordering::Relaxed).is_multiple_of(61) {
            thread::sleep(Duration::from_micros(300));
        }
        report.count((num % 3) as usize);
        if num.is_multiple_of(100) {
            report.ledger.count(Counter::EvaluationErrors);
        }
        let name = context.thread.map(|thread| thread.comm.to_vec()).unwrap_or_default();
        let line = format!("{num} {:?} {} {}", context.clock, context.fd.is_some(), String::from_utf8_lossy(&name));
        if !output.line(line.as_bytes()) || num == self.stop {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn takes_turns(&self) -> bool {
        true
    }

    fn absorb(&mut self, _: Self) {}
}

#[derive(Default)]
struct Notes(Vec<String>);

impl Talk for Notes {
    fn begin(&mut self, _: usize) {}

    fn end(&mut self, index: usize, notes: &[String]) {
        self.0.push(format!("{index} {notes:?}"));
    }
}

/// What comes of a replay: lines, words and reports; and how many events each of the writers has seen.
struct Outcome {
    told: String,
    seen: Vec<u64>,
}

fn replayed(captures: &[Source], turns: ByTurns, stop: u64, span: Option<u64>) -> Outcome {
    let workers = if turns.workers == 1 { 1 } else { captures.len() * (turns.workers + 1) };
    let jobs = Jobs { workers, decode_plain_ahead: true, turns };
    let work = Work { jobs, window: Window::default(), divisible: true };
    let (mut out, mut notes, seen, pace) = (Vec::new(), Notes::default(), Mutex::default(), AtomicU64::new(0));
    let (bytes, events) = (AtomicU64::new(0), AtomicU64::new(0));
    let sequencer = Sequencer::new(&mut out, &mut notes, captures.len(), false);
    let advance = |more_bytes, more_events| {
        bytes.fetch_add(more_bytes, Ordering::Relaxed);
        events.fetch_add(more_events, Ordering::Relaxed);
    };
    let reports = look_at_each(captures, work, &sequencer, &advance, || {
        (Replay::new().stop_after(span), Writer { seen: &seen, number: None, stop, pace: &pace })
    });
    sequencer.into_result().unwrap();
    if stop == 0 && span.is_none() {
        assert_eq!(events.into_inner(), reports.iter().map(|report| report.events).sum::<u64>());
    }
    let told = format!("{}{:#?}{:#?}", String::from_utf8(out).unwrap(), notes.0, reports);
    Outcome { told, seen: seen.into_inner().unwrap() }
}

const ALONE: ByTurns = ByTurns::NEVER;

fn memory(name: &str, bytes: Vec<u8>) -> Source {
    Source::Memory { name: name.to_owned(), bytes: Arc::from(bytes) }
}

/// The same by turns of all lengths as alone; what it is alone.
#[track_caller]
fn same(captures: &[Source], stop: u64, span: Option<u64>) -> String {
    let alone = replayed(captures, ALONE, stop, span);
    for (workers, events) in [(2, 1), (2, 300), (3, 7), (4, 64), (5, 20), (3, 100_000)] {
        let got = replayed(captures, ByTurns { workers, events }, stop, span);
        let line = |of: &str, at: usize| of.lines().nth(at).map(str::to_owned);
        let lines = got.told.lines().count().max(alone.told.lines().count());
        if let Some(at) = (0..lines).find(|&at| line(&got.told, at) != line(&alone.told, at)) {
            panic!("{workers} {events}: {at}: {:?} {:?}", line(&got.told, at), line(&alone.told, at));
        }
        if stop == 0 && span.is_none() {
            assert_eq!(got.seen.iter().sum::<u64>(), alone.seen.iter().sum::<u64>());
        }
        // A capture has some thousand events, if it is not cut.
        if alone.seen.iter().sum::<u64>() > 3000 && events < 100 {
            assert!(got.seen.len() >= workers && got.seen.iter().all(|n| *n > 100), "not everybody had a turn");
        }
    }
    alone.told
}

#[test]
fn everybody_has_turns_and_nobody_can_tell() {
    let told = same(&[memory("story", story())], 0, None);
    assert!(told.lines().count() > 3000 && told.contains("Incomplete"));
    // Eleven or twelve: all of them, not only those of one worker's turns.
    assert!(told.contains("\"unsupported_source\": 1"));
}

#[test]
fn several_captures() {
    same(&[memory("one", story()), memory("two", story()), memory("none", Vec::new())], 0, None);
}

#[test]
fn it_ends_where_somebody_wants_it_to_end() {
    let story = story();
    for stop in [1, 2, 7, 64, 65, 300, 301, 1999] {
        let told = same(&[memory("story", story.clone())], stop, None);
        let numbers = told.lines().map_while(|line| line.split(' ').next()?.parse::<u64>().ok());
        assert_eq!(numbers.last(), Some(stop));
    }
}

#[test]
fn it_ends_where_its_span_does() {
    let source = [memory("story", story())];
    let whole = replayed(&source, ALONE, 0, None).told.lines().count();
    for span in [1, 1_000_000, 50_000_000] {
        let told = same(&source, 0, Some(span));
        assert!(told.contains("Stopped") && told.lines().count() < whole, "{span}");
    }
}

#[test]
fn it_ends_at_what_cannot_be_read() {
    let mut bytes = story();
    // A section of the other byte order.
    bytes.extend_from_slice(&0x0A0D_0D0A_u32.to_le_bytes());
    bytes.extend_from_slice(&28_u32.to_le_bytes());
    bytes.extend_from_slice(&[0x1A, 0x2B, 0x3C, 0x4D, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend_from_slice(&28_u32.to_le_bytes());
    let told = same(&[memory("story", bytes.clone())], 0, None);
    assert!(told.contains("big-endian") && told.contains("Unreadable"));
    for len in [100, bytes.len() / 5, bytes.len() / 2 + 3] {
        same(&[memory("cut", bytes[..len].to_vec())], 0, None);
    }
}
