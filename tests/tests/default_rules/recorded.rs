//! The default rules on attacks and ordinary work that were recorded live (`captures/attacks` of the corpora).

use casebook_rules::priority::Priority;
use casebook_rules::ruleset::Matching;
use casebook_tests::corpora::Corpora;
use std::io::Write as _;

use crate::{alerts, load_with};

/// Captures of attacks in which there is nothing for a rule to see: many short processes, and no more.
const SILENT: &[&str] = &["host-fork-burst"];

#[test]
fn recorded_attacks_raise_alerts_and_ordinary_work_no_serious_ones() {
    let Some(corpora) = Corpora::from_environment().unwrap() else {
        writeln!(std::io::stderr(), "skipped: CASEBOOK_CORPORA is not set").ok(); // past the capture of passing tests
        return;
    };
    let rules = load_with(&[]);
    let serious = |name: &str| rules.rules().iter().any(|rule| rule.name == name && rule.priority <= Priority::Warning);
    let (mut attacks, mut benign, mut failures) = (0, 0, Vec::new());
    let from_attacks = |path: &std::path::Path| path.parent().is_some_and(|folder| folder.ends_with("attacks"));
    for capture in corpora.select(&[]).iter().filter(|capture| from_attacks(&capture.path)) {
        let name = &*capture.name;
        let found = alerts(&rules, &std::fs::read(&capture.path).unwrap(), Matching::First);
        if name.starts_with("benign-") {
            benign += 1;
            failures
                .extend(found.iter().filter(|alert| serious(&alert.rule)).map(|alert| format!("{name}: {alert:?}")));
        } else {
            attacks += 1;
            if found.is_empty() && !SILENT.iter().any(|silent| name.starts_with(silent)) {
                failures.push(format!("{name}: no alert"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    eprintln!("{attacks} attacks and {benign} recordings of ordinary work");
}
