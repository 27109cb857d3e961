//! `casebook-replay events`, `ps` and `fds` as a user meets them, on the built-in example and on small stories: events as
//! lines ([`events`]), the state at a moment ([`moment`]), fields that a capture does not tell ([`absent`]).

// What fails in the set-up of a test is a failure of the test.
#![allow(clippy::unwrap_used)]

mod absent;
mod events;
mod moment;
#[path = "../program/mod.rs"]
mod program;

use std::fs;

use casebook_fixtures::{Endpoint, Proc, Trace, flags};
use program::{bench, run};
use tempfile::TempDir;

fn store(root: &TempDir, name: &str, trace: &Trace) {
    fs::write(root.path().join(name), trace.finish().unwrap()).unwrap();
}

/// A shell reads three files, a second apart, and says something to a web server in between.
fn story() -> Trace {
    let mut trace = Trace::new("desk");
    let shell = trace.process(Proc::new(500, "/bin/sh").argv(&["sh", "-i"]).uid(1000).login(1000, 0x8803));
    trace.open(shell, "/etc/hosts", flags::READ);
    trace.wait_ms(1000);
    trace.open(shell, "/etc/passwd", flags::READ);
    let curl = trace.fork(shell);
    trace.execve(curl, "/usr/bin/curl", &["curl", "http://example.org"]);
    trace.connect(curl, Endpoint::new("10.0.0.2", 40000), Endpoint::new("192.0.2.7", 80));
    trace.wait_ms(1000);
    trace.exit(curl, 0);
    trace.wait_ms(1000);
    trace.open(shell, "/etc/shadow", flags::READ);
    trace
}

#[test]
fn help_shows_examples_and_codes() {
    let root = bench();
    for command in ["events", "ps", "fds"] {
        let outcome = run(&root, &[command, "--help"]);
        assert_eq!((outcome.code, outcome.err.as_str()), (0, ""), "{command}");
        for part in ["Examples:\n", "Exit codes:\n", &format!("casebook-replay {command} ")] {
            assert!(outcome.out.contains(part), "{command}: {part}");
        }
    }
}
