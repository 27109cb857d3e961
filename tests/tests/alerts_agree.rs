//! Alerts and summaries of a corpus agree with the real Falco, or differ for a listed reason.
//!
//! Needs `CASEBOOK_CORPORA`. `casebook-compare alerts --show 5` shows the differences behind a failure.

use casebook_tests::alerts::{self, AlertAgreement};
use casebook_tests::cli::alert_table;
use casebook_tests::corpora::{CORPORA_VARIABLE, Corpora, RuleSet};
use casebook_tests::golden::alerts::Run;
use casebook_tests::known::KnownDifferences;
use std::io::Write as _;

#[test]
fn alerts_agree_with_falco() {
    let corpora = Corpora::from_environment().expect("the corpus folder can be listed");
    let Some(corpora) = corpora else {
        writeln!(std::io::stderr(), "skipped: {CORPORA_VARIABLE} is not set").ok(); // past the capture of passing tests
        return;
    };
    let known = KnownDifferences::of_this_project().expect("known-differences.md can be read");
    let results = alerts::compare(&corpora, &known, &[], &RuleSet::EVERY).expect("the goldens can be read");
    writeln!(std::io::stderr(), "{}", alert_table(&results, 5)).ok(); // past the capture of passing tests
    let bad: Vec<_> = results.iter().filter(|result| !result.agrees()).collect();
    let name = |result: &&AlertAgreement| format!("{} {}", result.capture, result.rules);
    assert!(bad.is_empty(), "alerts differ, see above: {:?}", bad.iter().map(name).collect::<Vec<_>>());
}

/// Where the real Falco crashed there is no golden; we must not.
#[test]
fn captures_without_a_golden_are_replayed_too() {
    let corpora = Corpora::from_environment().expect("the corpus folder can be listed");
    let Some(corpora) = corpora else {
        writeln!(std::io::stderr(), "skipped: {CORPORA_VARIABLE} is not set").ok(); // past the capture of passing tests
        return;
    };
    for capture in &corpora.captures {
        for rules in RuleSet::EVERY.into_iter().filter(|rules| corpora.alert_golden(capture, *rules).is_none()) {
            let out = alerts::run_tool(&corpora, capture, rules, "json");
            let out = out.unwrap_or_else(|error| panic!("{} {}: {error}", capture.name, rules.name()));
            let run = Run::parse(&out).expect("what was printed can be read");
            let summary = run.summary.expect("a summary at the end");
            assert_eq!(summary.events, run.alerts.len() as u64, "{} {}", capture.name, rules.name());
        }
    }
}
