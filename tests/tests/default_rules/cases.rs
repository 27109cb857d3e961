//! The cases of `fixtures/`: each of our rules fires on an attack and keeps silent on a twin that looks like it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use casebook_replay::lab::repeat;
use casebook_replay::lab::runner::{self, Outcome, Verdict};
use casebook_replay::lab::suite::Suite;
use casebook_rules::priority::Priority;
use casebook_rules::ruleset::Matching;

/// Reads the cases and runs them; what is wrong with them ends the test.
fn outcomes() -> (Suite, Vec<Outcome>) {
    let suite = Suite::load(&[folder()]);
    assert!(suite.missing.is_empty() && suite.mistakes.is_empty(), "{}", suite.complaints(false).join("\n"));
    let order: Vec<usize> = (0..suite.cases.len()).collect();
    let outcomes = runner::run(&suite, 2, &order, &|_| {});
    (suite, outcomes)
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures/cases")
}

#[test]
fn every_case_passes_and_its_capture_is_whole() {
    let (suite, outcomes) = outcomes();
    let mut wrong = Vec::new();
    for (case, outcome) in suite.cases.iter().zip(&outcomes) {
        // A script that makes the reader complain is told wrongly.
        if outcome.verdict != Verdict::Passed || (!outcome.warnings.is_empty() && case.source == "synthetic") {
            wrong.push(suite.text(case, outcome, false));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(suite.cases.len() >= 200, "{} cases", suite.cases.len());
}

#[test]
fn other_threads_and_orders_give_the_same_bytes() {
    let (suite, outcomes) = outcomes();
    let lines = repeat::lines(&suite, &outcomes);
    assert_eq!(repeat::verify(&lines, 3, || Suite::load(&[folder()])), Ok(()));
}

/// Fires as it is by default (the first matching rule only): an attack is reported by the rule that is made for it.
/// Keeps silent with all matching rules reported, so that no other rule hides a false alarm.
#[test]
fn every_rule_fires_in_a_case_and_is_silent_in_a_twin() {
    let (suite, outcomes) = outcomes();
    let rules = crate::load_with(&[]);
    let mut missing: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (number, rule) in (0_u32..).zip(rules.rules()) {
        let own = || suite.cases.iter().zip(&outcomes).filter(|(case, _)| suite.rules[case.rules].name() == "default");
        let fires = own().any(|(case, outcome)| {
            case.matching == Matching::First
                && case.expect.wanted_rules().contains(&number)
                && outcome.alerts.keys().any(|fired| fired.rule == number)
        });
        let silent =
            own().any(|(case, _)| case.matching == Matching::All && case.expect.forbidden_rules().contains(&number));
        if !fires {
            missing.entry(&rule.name).or_default().push("an attack");
        }
        if !silent {
            missing.entry(&rule.name).or_default().push("a benign twin");
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
}

/// No twin raises what a responder would have to get up for.
#[test]
fn benign_twins_raise_no_critical_alert() {
    let (suite, outcomes) = outcomes();
    let mut failures = Vec::new();
    for (case, outcome) in suite.cases.iter().zip(&outcomes).filter(|(case, _)| case.name.ends_with("/benign")) {
        let rules = suite.ruleset(case).unwrap();
        let strong: BTreeSet<&str> = outcome
            .alerts
            .keys()
            .map(|fired| &rules.rules()[fired.rule as usize])
            .filter(|rule| rule.priority <= Priority::Critical)
            .map(|rule| rule.name.as_str())
            .collect();
        failures.extend(strong.into_iter().map(|rule| format!("{}: {rule}", case.name)));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Attacks by many techniques, and a purpose of their own for each.
#[test]
fn cases_are_about_many_techniques_and_say_what_for() {
    let suite = Suite::load(&[folder()]);
    let techniques: BTreeSet<&str> = suite.cases.iter().flat_map(|case| &case.techniques).map(String::as_str).collect();
    assert!(techniques.len() >= 40, "{} techniques", techniques.len());
    for case in &suite.cases {
        assert!(case.purpose.split_whitespace().count() >= 5, "{}: {}", case.name, case.purpose);
        assert!(!case.techniques.is_empty(), "{}", case.name);
    }
}
