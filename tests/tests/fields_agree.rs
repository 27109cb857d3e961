//! Every field of every event of a corpus agrees with the real Falco, or differs for a listed reason.
//!
//! Needs `CASEBOOK_CORPORA`. `casebook-compare fields --show 5` shows the differences behind a failure.

use casebook_tests::agreement::{self, Options, Report};
use casebook_tests::cli::field_tables;
use casebook_tests::corpora::{CORPORA_VARIABLE, Corpora};
use casebook_tests::known::{Against, KnownDifferences};
use std::io::Write as _;

/// Compares, prints the tables and returns the report; `None` without a corpus.
fn compare(against: Against) -> Option<Report> {
    let corpora = Corpora::from_environment().expect("the corpus folder can be listed");
    let Some(corpora) = corpora else {
        writeln!(std::io::stderr(), "skipped: {CORPORA_VARIABLE} is not set").ok(); // past the capture of passing tests
        return None;
    };
    let known = KnownDifferences::of_this_project().expect("known-differences.md can be read");
    let options = Options { samples: 3, ..Options::default() };
    let report = agreement::compare(&corpora, against, &known, &options).expect("the goldens can be read");
    writeln!(std::io::stderr(), "{}", field_tables(&report)).ok(); // past the capture of passing tests
    Some(report)
}

#[test]
fn fields_agree_with_falco() {
    let Some(report) = compare(Against::Falco) else { return };
    assert_eq!(report.complaints(), [""; 0], "see the tables above");
}

#[test]
fn containers_agree_with_sysdig() {
    let Some(report) = compare(Against::Sysdig) else { return };
    assert_eq!(report.complaints(), [""; 0], "see the tables above");
}
