//! Alerts and summaries of a corpus agree with the real Falco, or differ for a listed reason.
//!
//! Needs `CASEBOOK_CORPORA`. `casebook-compare alerts --show 5` shows the differences behind a failure.

use casebook_tests::alerts::{self, AlertAgreement};
use casebook_tests::cli::alert_table;
use casebook_tests::corpora::{CORPORA_VARIABLE, Corpora, RuleSet};
use casebook_tests::known::KnownDifferences;

#[test]
fn alerts_agree_with_falco() {
    let corpora = Corpora::from_environment().expect("the corpus folder can be listed");
    let Some(corpora) = corpora else {
        println!("skipped: {CORPORA_VARIABLE} is not set");
        return;
    };
    let known = KnownDifferences::of_this_project().expect("known-differences.md can be read");
    let results = alerts::compare(&corpora, &known, &[], &RuleSet::EVERY).expect("the goldens can be read");
    println!("{}", alert_table(&results, 5));
    let bad: Vec<_> = results.iter().filter(|result| !result.agrees()).collect();
    let name = |result: &&AlertAgreement| format!("{} {}", result.capture, result.rules);
    assert!(bad.is_empty(), "alerts differ, see above: {:?}", bad.iter().map(name).collect::<Vec<_>>());
}
