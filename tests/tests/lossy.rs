//! A capture with every tenth event gone replays without error, and what it still says is right or unknown. The principle
//! stands in `casebook_replay::state::doubt`.
//!
//! Every value of the reduced replay falls into one of four classes: right, unknown, wrong although an event of the
//! reduced capture gives it away (`evident`, which must be none; found out from the events alone, by
//! `casebook_tests::lossy`), and wrong without any evidence. The last class is the price of the loss, and does not become
//! more. It is made of
//!
//! - what a lost `dup2`, `fcntl`, `close` or `open` did to a descriptor that nothing contradicts and that no half of a
//!   redirection makes doubtful, until the number is given out again or a call finds out what it is;
//! - what a lost `setsid`, `setpgid`, `chdir`, `setuid` or `prlimit` changed, until an exec, a clone or a question to the
//!   kernel tells the new value;
//! - programs between a lost exec and the first thing that a new program does;
//! - parents between a lost exit and the next clone or exec of a child;
//! - counts, usage and starts before the first certain sign that anything is missing at all.
//!
//! Where the capture tells its losses by drop markers, the last item goes away from the first marker on.

#![allow(clippy::unwrap_used)] // a test stops at the first surprise

use casebook_fixtures::EXAMPLE;
use casebook_tests::cli::lossy_tables;
use casebook_tests::corpora::{CORPORA_VARIABLE, Corpora};
use casebook_tests::lossy::{Options, Report, capture, corpus};
use std::io::Write as _;

/// Wrong values of ten thousand: of everything, and of what rules ask first.
const MOST_WRONG: u64 = 14;
const MOST_WRONG_TOLD: u64 = 8;
const MOST_WRONG_OF_RULE_FIELDS: [(&str, u64); 8] = [
    ("proc.name", 11),
    ("proc.exepath", 11),
    ("proc.cmdline", 11),
    ("proc.pname", 6),
    ("fd.name", 40),
    ("user.uid", 2),
    ("container.id", 2),
    ("evt.type", 1),
];

fn options(every: u64) -> Options {
    Options { every, captures: Vec::new(), fields: Vec::new(), samples: 2, told: false }
}

#[track_caller]
fn at_most(report: &Report, name: &str, wrong: u64, values: u64, ten_thousandth: u64) {
    assert!(
        wrong * 10_000 <= values * ten_thousandth,
        "{name}: {wrong} of {values} values are wrong, more than {ten_thousandth} of ten thousand\n{}",
        lossy_tables(report)
    );
}

#[test]
fn the_example_with_every_tenth_event_gone() {
    // Other steps lose other events; each of them has to do.
    for every in 2..=10 {
        let report = capture("example", EXAMPLE, &options(every)).unwrap();
        assert!(report.removed > 0 && report.compared > report.removed / 2, "{}", lossy_tables(&report));
        let types = report.fields["evt.type"];
        assert_eq!((types.wrong(), types.unknown), (0, 0));
        if every == 10 {
            let total = report.total();
            at_most(&report, "all", total.wrong(), total.values, 300);
        }
        assert_eq!(report.total().evident, 0, "{}", lossy_tables(&report));
    }
}

#[test]
fn nothing_is_wrong_where_nothing_is_gone() {
    let report = capture("example", EXAMPLE, &options(u64::MAX)).unwrap();
    let total = report.total();
    assert_eq!((report.removed, total.wrong(), total.unknown), (0, 0, 0));
    assert!(total.equal > 1000);
}

#[test]
fn a_corpus_with_every_tenth_event_gone() {
    let Some(corpora) = Corpora::from_environment().unwrap() else {
        writeln!(std::io::stderr(), "skipped: {CORPORA_VARIABLE} is not set").ok(); // past the capture of passing tests
        return;
    };
    let report = corpus(&corpora, &options(10)).unwrap();
    assert!(report.errors.is_empty(), "{:?}", report.errors);
    let total = report.total();
    println!("{}", lossy_tables(&report));
    assert_eq!(total.evident, 0, "values that the reduced captures themselves give away");
    at_most(&report, "all", total.wrong(), total.values, MOST_WRONG);
    for (name, share) in MOST_WRONG_OF_RULE_FIELDS {
        let outcome = report.fields[name];
        at_most(&report, name, outcome.wrong(), outcome.values, share);
    }
}

#[test]
fn a_corpus_that_tells_its_losses() {
    let Some(corpora) = Corpora::from_environment().unwrap() else {
        writeln!(std::io::stderr(), "skipped: {CORPORA_VARIABLE} is not set").ok(); // past the capture of passing tests
        return;
    };
    let report = corpus(&corpora, &Options { told: true, ..options(10) }).unwrap();
    assert!(report.errors.is_empty(), "{:?}", report.errors);
    let total = report.total();
    println!("{}", lossy_tables(&report));
    assert_eq!(total.evident, 0, "values that the reduced captures themselves give away");
    at_most(&report, "all", total.wrong(), total.values, MOST_WRONG_TOLD);
    for name in ["proc.nthreads", "proc.nchilds", "proc.fdopencount", "fd.types"] {
        let outcome = report.fields[name];
        at_most(&report, name, outcome.wrong(), outcome.values, 1);
    }
}
