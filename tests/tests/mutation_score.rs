//! The cases of this project notice nearly every small change to the built-in rules, and exercise every rule.

use std::path::Path;

use casebook_replay::cli::{self, Exit, Terminals};
use serde_json::Value;

/// What the cases have to notice, in percent.
const LEAST: &str = "85";

#[test]
fn changes_to_the_default_rules_are_noticed() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/cases").display().to_string();
    let args = ["casebook-replay", "coverage", "--mutants", "--min-score", LEAST, "--output", "json", &cases];
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = cli::run_on(args, &mut out, &mut err, Terminals::default());
    let found: Value = serde_json::from_slice(&out).unwrap_or_default();
    let mutation = &found["mutation"];
    assert_eq!(exit, Exit::Complete, "{} {}", mutation["total"], String::from_utf8_lossy(&err));
    assert_eq!(found["coverage"]["ruleset"], "default");
    assert_eq!(mutation["left_out_changes"], 0);
    assert!(mutation["total"]["mutants"].as_u64() > Some(3000), "{}", mutation["total"]);
    let rules = found["coverage"]["rules"].as_array().map_or(&[][..], Vec::as_slice);
    let silent: Vec<_> = rules.iter().filter(|rule| rule["reported"] == 0).map(|rule| &rule["name"]).collect();
    assert!(rules.len() > 90 && silent.is_empty(), "{silent:?}");
    // Each survivor says where it stands and what would notice it.
    for survivor in mutation["survivors"].as_array().map_or(&[][..], Vec::as_slice) {
        assert!(survivor["place"]["line"].as_u64() > Some(0), "{survivor}");
        assert!(survivor["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{survivor}");
    }
}
