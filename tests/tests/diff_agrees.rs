//! What `diff` of Falco's stable rules against stable and incubating ones gains over a corpus is what the real Falco
//! reports of the incubating rules there.
//!
//! Needs `CASEBOOK_CORPORA`. The goldens were measured with the sandbox rules loaded, too; these stand last and hide
//! nothing that stands before them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;

use casebook_replay::cli::{self, Exit, Terminals};
use casebook_tests::corpora::{CORPORA_VARIABLE, Corpora, RuleSet};
use casebook_tests::golden::alerts::Run;
use serde_json::Value;

/// Capture, time, rule: how often.
type Alerts = BTreeMap<(String, String, String), usize>;

#[test]
fn gains_of_the_incubating_rules_are_those_of_falco() {
    let corpora = Corpora::from_environment().expect("the corpus folder can be listed");
    let Some(corpora) = corpora else {
        writeln!(std::io::stderr(), "skipped: {CORPORA_VARIABLE} is not set").ok(); // past the capture of passing tests
        return;
    };
    let file = |name: &str| corpora.root.join("falco-rules").join(name).display().to_string();
    let (stable, incubating) = (file("falco_rules.yaml"), file("falco-incubating_rules.yaml"));
    let mut args = vec!["casebook-replay", "diff", "-q", "--output", "json", "--old", &stable, "--new", &stable];
    args.extend(["--new", &incubating]);
    let paths: Vec<String> = corpora.captures.iter().map(|capture| capture.path.display().to_string()).collect();
    args.extend(paths.iter().map(String::as_str));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = cli::run_on(args, &mut out, &mut err, Terminals::default());
    let err = String::from_utf8_lossy(&err);
    assert!(matches!(exit, Exit::Complete | Exit::Incomplete), "{exit:?} {err}");
    let diff: Value = serde_json::from_slice(&out).expect("the diff is JSON");
    assert_eq!((&diff["totals"]["lost"], &diff["totals"]["changed"]), (&0.into(), &0.into()));

    let rules: BTreeSet<&str> = diff["rules"]
        .as_array()
        .expect("the rules that differ")
        .iter()
        .filter(|rule| rule["change"] == "added")
        .filter_map(|rule| rule["rule"].as_str())
        .collect();
    assert!(rules.len() > 25, "{rules:?}");
    let mut expected = Alerts::new();
    let mut with_golden = BTreeSet::new();
    for capture in &corpora.captures {
        let Some(golden) = corpora.alert_golden(capture, RuleSet::All) else { continue };
        with_golden.insert(capture.path.display().to_string());
        let run = fs::read_to_string(golden).map_err(|error| error.to_string()).and_then(|text| Run::parse(&text));
        for alert in run.expect("a golden can be read").alerts {
            if rules.contains(&*alert.rule) {
                *expected.entry((capture.path.display().to_string(), alert.time, alert.rule)).or_default() += 1;
            }
        }
    }
    let mut gained = Alerts::new();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for alert in diff["alerts"].as_array().expect("the alerts that differ") {
        let capture = text(&alert["capture"]);
        if with_golden.contains(&capture) {
            *gained.entry((capture, text(&alert["time"]), text(&alert["rule"]))).or_default() += 1;
        }
    }
    assert!(expected.len() > 100, "{}", expected.len());
    let lacking: Vec<_> = expected.iter().filter(|(key, count)| gained.get(*key) != Some(*count)).collect();
    let surplus: Vec<_> = gained.iter().filter(|(key, count)| expected.get(*key) != Some(*count)).collect();
    assert!(lacking.is_empty() && surplus.is_empty(), "lacking {lacking:#?}\nsurplus {surplus:#?}");
}
