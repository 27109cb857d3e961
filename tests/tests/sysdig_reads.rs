//! Debian's sysdig reads what `casebook convert --for sysdig` wrote.
//!
//! Needs `CASEBOOK_CORPORA` and sysdig 0.29.3 (`.ci/install`); says that it skips where either is missing.
//! `casebook-compare sysdig --show 5` shows the differences behind a failure.

use std::io::Write as _;

use casebook_tests::cli::sysdig_tables;
use casebook_tests::corpora::{CORPORA_VARIABLE, Corpora};
use casebook_tests::sysdig::{Options, compare, version};

/// Past the capture of passing tests: whoever reads the log should know what was not tested.
fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").ok();
}

#[test]
fn sysdig_shows_what_the_captures_hold() {
    let Some(corpora) = Corpora::from_environment().expect("the corpus folder can be listed") else {
        return say(&format!("skipped: {CORPORA_VARIABLE} is not set"));
    };
    let Some(version) = version() else { return say("skipped: no sysdig on the path (.ci/install)") };
    if !version.contains("0.29.3") {
        return say(&format!("skipped: this is {version:?}, the table of differences is that of 0.29.3"));
    }
    let outcomes =
        compare(&corpora, &Options { samples: 3, ..Options::default() }).expect("the captures can be compared");
    say(&sysdig_tables(&outcomes));
    let left: Vec<&str> =
        outcomes.iter().filter(|outcome| !outcome.agrees()).map(|outcome| outcome.capture.as_str()).collect();
    assert_eq!(left, [""; 0], "see the tables above");
}
