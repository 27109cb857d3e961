//! Which events are shown, and where a replay ends.

// A story that cannot be told or read is a mistake of the test.
#![allow(clippy::unwrap_used)]

use std::io::Cursor;

use casebook_fixtures::{Container, Proc, Trace, Value, flags};
use casebook_formats::event::EventType;
use casebook_formats::ledger::Ledger;
use casebook_formats::tables;

use super::*;

fn reader(trace: &Trace) -> CaptureReader {
    CaptureReader::from_reader(Box::new(Cursor::new(trace.finish().unwrap())), "story").unwrap()
}

/// Symbols of the events that are shown.
fn shown(trace: &Trace) -> Vec<&'static str> {
    let mut symbols = Vec::new();
    let end = Replay::new().run(&mut reader(trace), |context: &EventContext<'_>| {
        symbols.push(tables::event(context.event.etype).map_or("?", |def| def.symbol));
        ControlFlow::Continue(())
    });
    assert_eq!(end.unwrap(), End::Finished);
    symbols
}

fn add_user(trace: &mut Trace, name: &str) {
    trace.emit(-1, ppme::PPME_USER_ADDED_E, &[("uid", Value::Int(1000)), ("name", Value::Text(name))]);
}

#[test]
fn what_describes_the_start_is_not_shown_and_what_happens_later_is() {
    let mut trace = Trace::new("host");
    let shell = trace.process(Proc::new(10, "/bin/sh"));
    add_user(&mut trace, "alice");
    trace.container(&Container::docker(&"ab".repeat(32), "web", "nginx", "1"));
    trace.open(shell, "/etc/hosts", flags::READ);
    add_user(&mut trace, "bob");
    assert_eq!(shown(&trace), ["PPME_SYSCALL_OPENAT_2_X", "PPME_USER_ADDED_E"]);
}

#[test]
fn enter_halves_feed_the_state_only() {
    let mut trace = Trace::new("host");
    let shell = trace.process(Proc::new(10, "/bin/sh"));
    trace.stored(
        10,
        ppme::PPME_SYSCALL_OPENAT_2_E,
        &[Value::Int(-100), Value::Text("/etc/hosts"), Value::Int(1), Value::Int(0)],
    );
    trace.open(shell, "/etc/hosts", flags::READ);
    trace.exit(shell, 0);
    assert_eq!(shown(&trace), ["PPME_SYSCALL_OPENAT_2_X", "PPME_PROCEXIT_1_E"]);
}

#[test]
fn a_span_ends_at_the_first_event_beyond_it() {
    let mut trace = Trace::new("host");
    let shell = trace.process(Proc::new(10, "/bin/sh"));
    trace.open(shell, "/1", flags::READ);
    trace.wait_ms(1000);
    trace.open(shell, "/2", flags::READ);
    let whole = {
        let mut replay = Replay::new();
        replay.run(&mut reader(&trace), |_: &EventContext<'_>| ControlFlow::Continue(())).unwrap();
        replay.position()
    };
    let length = whole.last_ts - whole.first_ts;
    assert_eq!(whole.events, 2);
    for (span, events, end) in [(length, 1, End::SpanOver), (length + 1, 2, End::Finished)] {
        let mut replay = Replay::new().stop_after(Some(span));
        let ended = replay.run(&mut reader(&trace), |_: &EventContext<'_>| ControlFlow::Continue(()));
        assert_eq!((ended.unwrap(), replay.position().events), (end, events));
    }
}

#[test]
fn a_moment_ends_after_the_last_event_at_it() {
    let mut trace = Trace::new("host");
    let shell = trace.process(Proc::new(10, "/bin/sh"));
    let fd = trace.open(shell, "/1", flags::READ);
    let close = trace.now();
    trace.close(shell, fd);
    trace.exit(shell, 0);
    for (ts, events, open) in [(close - 1, 1, true), (close, 2, false)] {
        let mut replay = Replay::new().stop_at(Some(Moment::Absolute(ts)));
        let end = replay.run(&mut reader(&trace), |_: &EventContext<'_>| ControlFlow::Continue(()));
        assert_eq!((end.unwrap(), replay.position().events), (End::SpanOver, events));
        let state = replay.state_at_rest();
        assert_eq!(state.thread(10).is_some_and(|shell| state.fd(shell, fd).is_some()), open);
    }
}

#[test]
fn a_visitor_can_stop() {
    let mut trace = Trace::new("host");
    let shell = trace.process(Proc::new(10, "/bin/sh"));
    trace.open(shell, "/1", flags::READ);
    trace.open(shell, "/2", flags::READ);
    let mut replay = Replay::new();
    let end = replay.run(&mut reader(&trace), |_: &EventContext<'_>| ControlFlow::Break(()));
    assert_eq!((end.unwrap(), replay.position().events), (End::Stopped, 1));
}

/// Wants no event at all, so that whatever can be passed over is.
struct Nothing;

impl Visitor for Nothing {
    fn wants(&self, _: EventType) -> bool {
        false
    }

    fn event(&mut self, _: &EventContext<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Position, state and anomalies after a capture.
fn left_by(capture: &[u8], visitor: &mut impl Visitor) -> (Vec<u8>, Ledger) {
    let mut reader = CaptureReader::from_reader(Box::new(Cursor::new(capture.to_vec())), "story").unwrap();
    let mut replay = Replay::new();
    assert_eq!(replay.run_with(&mut reader, visitor).unwrap(), End::Finished);
    let ledger = replay.ledger(&reader);
    (crate::checkpoint::Checkpoint::bytes(&reader, &replay), ledger)
}

#[test]
fn events_that_nobody_looks_at_leave_the_same_state() {
    let mut trace = Trace::new("host");
    let shell = trace.process(Proc::new(10, "/bin/sh"));
    let generic = |code| [Value::Int(code), Value::Int(code)];
    let signal = [Value::Int(1), Value::Int(2), Value::Int(15)];
    // Of a known thread and of an unknown one, which gets a placeholder.
    for tid in [10, 77, 10] {
        trace.stored(tid, ppme::PPME_SIGNALDELIVER_E, &signal);
        for code in 0..400 {
            trace.stored(tid, ppme::PPME_GENERIC_X, &generic(code));
        }
        trace.open(shell, "/etc/hosts", flags::READ);
    }
    let child = trace.fork(shell);
    for code in 0..400 {
        trace.stored(child.0, ppme::PPME_GENERIC_X, &generic(code));
    }
    trace.exit(child, 0);
    trace.stored(10, ppme::PPME_SIGNALDELIVER_E, &signal);
    for capture in [trace.finish().unwrap(), casebook_fixtures::EXAMPLE.to_vec()] {
        let everybody = &mut Each(|_: &EventContext<'_>| ControlFlow::Continue(()));
        assert_eq!(left_by(&capture, &mut Nothing), left_by(&capture, everybody));
    }
}
