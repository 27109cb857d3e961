//! Inputs and rules that some implementations choke on: nanoseconds an event, beside those of an ordinary capture.
//!
//! `cargo bench -p casebook-replay --bench pathological [-- PERCENT]`; PERCENT shrinks the inputs. Each case is told twice:
//! with a rule for no event of it (decoding and state), and with the rules it is about. What is asked for is that no
//! event costs more than five times what it costs in an ordinary capture with Falco-like rules.

// What fails in the set-up of a bench ends it.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::io::Cursor;
use std::ops::ControlFlow;
use std::time::Instant;

use casebook_fixtures::{Proc, Trace, flags};
use casebook_formats::capture::CaptureReader;
use casebook_formats::ledger::Ledger;
use casebook_replay::context::EventContext;
use casebook_replay::detect::{Detector, Form};
use casebook_replay::engine::Replay;
use casebook_replay::fields::Catalogue;
use casebook_rules::load::{LoadOptions, load};
use casebook_rules::ruleset::Matching;
use casebook_rules::source::RuleFile;

/// Runs of each measurement; the fastest counts.
const RUNS: usize = 3;

/// A capture, and the rules for it.
struct Case {
    name: &'static str,
    capture: Vec<u8>,
    rules: String,
}

fn rule(name: &str, condition: &str) -> String {
    format!("- rule: {name}\n  desc: d\n  condition: {condition}\n  output: o\n  priority: INFO\n")
}

fn detector(rules: &str) -> Detector {
    let outcome = load(&[RuleFile::new("bench.yaml", rules)], &Catalogue::new(), &LoadOptions::default());
    Detector::new(outcome.ruleset.unwrap(), Matching::First, None)
}

/// Nanoseconds an event, events and matches.
fn measure(capture: &[u8], rules: &Detector) -> (f64, u64, u64) {
    let mut best = f64::MAX;
    let (mut events, mut matches) = (0, 0);
    for _ in 0..RUNS {
        let mut reader = CaptureReader::from_reader(Box::new(Cursor::new(capture.to_vec())), "bench").unwrap();
        let (mut session, mut ledger, mut fired) = (rules.session(Form::Text), Ledger::default(), Vec::new());
        let mut replay = Replay::new();
        (events, matches) = (0, 0);
        let start = Instant::now();
        replay
            .run(&mut reader, |context: &EventContext<'_>| {
                session.matching(context, &mut ledger, &mut fired);
                events += 1;
                matches += fired.len() as u64;
                ControlFlow::Continue(())
            })
            .unwrap();
        best = best.min(start.elapsed().as_nanos() as f64 / events.max(1) as f64);
    }
    (best, events, matches)
}

/// A shell that opens, reads and closes files.
fn reads(trace: &mut Trace, task: casebook_fixtures::Task, count: usize) {
    for n in 0..count / 3 {
        let fd = trace.open(task, &format!("/srv/data/{}", n % 1000), flags::READ);
        trace.read(task, fd, b"some bytes of a file");
        trace.close(task, fd);
    }
}

fn ordinary(count: usize) -> Case {
    let mut trace = Trace::new("host");
    let shell = trace.process(Proc::new(100, "/bin/bash"));
    reads(&mut trace, shell, count);
    let rules = [
        rule("a", "evt.type in (open, openat) and fd.name startswith /etc/ and proc.name = cat"),
        rule("b", "evt.type = read and proc.name in (nc, ncat) and fd.num >= 0"),
        rule("c", "evt.type = close and fd.name contains shadow and not proc.name = bash"),
    ];
    Case { name: "ordinary: files read by one shell", capture: trace.finish().unwrap(), rules: rules.concat() }
}

fn short_processes(count: usize) -> Case {
    let mut trace = Trace::new("host");
    let shell = trace.process(Proc::new(100, "/bin/bash"));
    for n in 0..count {
        let child = trace.spawn(shell, "/usr/bin/tool", &["tool", &n.to_string()]);
        trace.exit(child, 0);
    }
    let rules = rule("a", "evt.type = execve and proc.name = nc and proc.pname = bash");
    Case { name: "a million short-lived processes", capture: trace.finish().unwrap(), rules }
}

fn descriptors(open: usize, count: usize) -> Case {
    let mut trace = Trace::new("host");
    let server = trace.process(Proc::new(100, "/usr/bin/server"));
    let numbers: Vec<i64> = (0..open).map(|n| trace.open(server, &format!("/srv/{n}"), flags::READ)).collect();
    for n in 0..count {
        trace.read(server, numbers[n * 7919 % numbers.len()], b"x");
    }
    let rules = rule("a", "evt.type = read and fd.name startswith /etc/ and proc.fdopencount > 10");
    Case { name: "100,000 open descriptors in one process", capture: trace.finish().unwrap(), rules }
}

fn chain(depth: usize, count: usize) -> Case {
    let mut trace = Trace::new("host");
    let mut task = trace.process(Proc::new(100, "/bin/bash"));
    for n in 0..depth {
        task = trace.spawn(task, &format!("/bin/p{n}"), &["p"]);
    }
    reads(&mut trace, task, count);
    let rules = [
        rule("a", "evt.type in (open, openat) and proc.aname in (nginx, apache2)"),
        rule("b", "evt.type = read and proc.aname contains zsh"),
        rule("c", "evt.type in (read, close) and proc.aname[250] = sshd"),
        rule("d", "evt.type = close and proc.acmdline startswith sudo"),
    ];
    Case {
        name: "a chain of 300 processes, `proc.aname` on every event",
        capture: trace.finish().unwrap(),
        rules: rules.concat(),
    }
}

/// One process with very many threads at once, which end in the order in which they came.
fn threads(count: usize) -> Case {
    let mut trace = Trace::new("host");
    let server = trace.process(Proc::new(100, "/usr/bin/server"));
    let all: Vec<_> = (0..count).map(|_| trace.thread(server)).collect();
    for thread in all {
        trace.exit(thread, 0);
    }
    let rules = rule("a", "evt.type = procexit and proc.name = nobody and proc.nthreads > 3");
    Case { name: "200,000 threads in one process", capture: trace.finish().unwrap(), rules }
}

/// Rules that differ in one text each.
fn many_rules(name: &'static str, rules: usize, count: usize, condition: impl Fn(usize) -> String) -> Case {
    let text = (0..rules).fold(String::new(), |mut text, n| {
        let _ = write!(text, "{}", rule(&format!("r{n}"), &condition(n)));
        text
    });
    Case { name, rules: text, ..ordinary(count) }
}

fn long_list(entries: usize, count: usize) -> Case {
    let mut items = String::new();
    for n in 0..entries {
        let _ = write!(items, "{}/opt/files/{n}", if n > 0 { ", " } else { "" });
    }
    let rules = format!(
        "- list: files\n  items: [{items}]\n{}",
        rule("a", "evt.type in (open, openat, read) and fd.name in (files)")
    );
    Case { name: "a list of a million entries", rules, ..ordinary(count) }
}

fn regular_expressions(count: usize) -> Case {
    let rules = rule("a", r"evt.type = read and fd.name regex '.*/(secret|hidden)[0-9]+/.*[.](key|pem)'");
    Case { name: "a regular expression on every read", rules, ..ordinary(count) }
}

fn main() {
    // `cargo bench` passes `--bench`; `cargo test --benches` passes nothing that counts, and gets a small run.
    let percent = std::env::args().skip(1).find_map(|arg| arg.parse::<usize>().ok()).unwrap_or(100);
    let of = |count: usize| (count * percent / 100).max(10);
    let events = of(600_000);
    let cases = [
        ordinary(events),
        short_processes(of(1_000_000)),
        descriptors(of(100_000), events),
        threads(of(200_000)),
        chain(300, events),
        many_rules("10,000 rules, one name each (`fd.name = …`)", of(10_000), events, |n| {
            format!("evt.type in (open, openat) and fd.name = /srv/data/none{n} and proc.name = x{n}")
        }),
        many_rules("10,000 rules, one beginning each (`startswith`)", of(10_000), events, |n| {
            format!("evt.type in (open, openat) and fd.name startswith /var/none{n}/")
        }),
        many_rules("10,000 rules, one word each (`contains`)", of(10_000), events / 30, |n| {
            format!("evt.type = close and fd.name contains none{n}x")
        }),
        long_list(of(1_000_000), events),
        regular_expressions(events),
    ];
    let nothing = detector(&rule("none", "evt.type = tgkill and proc.name = nobody"));
    let mut base = None;
    println!("| input | events | state only, ns | with rules, ns | of ordinary | matches |\n|---|---|---|---|---|---|");
    for Case { name, capture, rules } in cases {
        let (alone, events, _) = measure(&capture, &nothing);
        let (ns, _, matches) = measure(&capture, &detector(&rules));
        let base = *base.get_or_insert(ns);
        println!("| {name} | {events} | {alone:.0} | {ns:.0} | {:.1} | {matches} |", ns / base);
    }
}
