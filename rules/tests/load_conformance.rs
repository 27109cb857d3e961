//! Runs the conformance cases about loading, selecting and alerts.
//!
//! `CASEBOOK_CONFORMANCE` names the directories that hold the case files, separated by colons; without it the tests
//! say so and pass.
#![allow(clippy::unwrap_used)] // a case that cannot be read is a failure of the test

mod schema;

use casebook_rules::select::name_fits;
use serde_json::Value as Json;

/// Runs all cases of a kind, prints every failure in full and fails when there was one.
fn run(kind: &str, test: impl Fn(&Json) -> Result<(), String>) {
    let cases = schema::cases(kind);
    let mut failed = 0;
    for case in &cases {
        if let Err(what) = test(case) {
            failed += 1;
            println!("{} ({}): {what}\n    {case}", case["id"], case["group"]);
        }
    }
    println!("{kind}: {} passed, {failed} failed", cases.len() - failed);
    assert_eq!(failed, 0, "{kind} cases failed");
}

#[test]
fn select_cases() {
    run("select", |case| {
        let fits = name_fits(case["pattern"].as_str().unwrap(), case["name"].as_str().unwrap());
        if Json::Bool(fits) == case["expect"] { Ok(()) } else { Err(format!("gives {fits}")) }
    });
}
