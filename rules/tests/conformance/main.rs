//! Runs the conformance cases about conditions, outputs and event types.
//!
//! `CASEBOOK_CONFORMANCE` names the directories that hold the case files, separated by colons; without it the tests
//! say so and pass. Each kind of case lives in a module of its own and is told the schema to use, so that it does
//! not matter whose field catalogue that is.
#![allow(clippy::unwrap_used)] // a case that cannot be read is a failure of the test

mod eval;
mod evttypes;
mod format;
mod parser;
mod table;

use std::path::PathBuf;

use serde_json::Value as Json;

/// The cases of one kind from all directories.
fn cases(kind: &str) -> Vec<Json> {
    let Ok(dirs) = std::env::var("CASEBOOK_CONFORMANCE") else {
        eprintln!("skipped: CASEBOOK_CONFORMANCE is not set");
        return Vec::new();
    };
    let mut cases = Vec::new();
    for dir in dirs.split(':').filter(|dir| !dir.is_empty()) {
        let path = PathBuf::from(dir).join(format!("{kind}.jsonl"));
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        cases.extend(
            text.lines().filter(|line| !line.trim().is_empty()).map(|line| serde_json::from_str(line).unwrap()),
        );
    }
    cases
}

/// Runs all cases of a kind, prints every failure in full and fails when there was one.
fn run(kind: &str, test: impl Fn(&Json) -> Result<(), String>) {
    let cases = cases(kind);
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
fn parser_cases() {
    run("parser", parser::test);
}

/// The reference's tables lie beside the directories of cases.
fn table() -> Option<table::Table> {
    let dirs = std::env::var("CASEBOOK_CONFORMANCE").ok()?;
    let first = dirs.split(':').find(|dir| !dir.is_empty())?;
    let dir = PathBuf::from(first).join("..");
    if !dir.join("fields.tsv").exists() {
        eprintln!("skipped: no fields.tsv beside {first}");
        return None;
    }
    Some(table::Table::read(&dir))
}

/// Runs the cases of a kind that have an event.
fn run_on_events(
    kind: &str,
    test: fn(
        &Json,
        &dyn casebook_rules::schema::Schema,
        &str,
        &dyn casebook_rules::event::EventFields,
    ) -> Result<(), String>,
) {
    if let Some(table) = table() {
        run(kind, |case| {
            let event = table::Event { table: &table, values: &case["event"] };
            test(case, &table, table::SOURCE, &event)
        });
    }
}

#[test]
fn eval_cases() {
    run_on_events("eval", eval::test);
}

#[test]
fn format_cases() {
    run_on_events("format", format::test);
}

#[test]
fn evttypes_cases() {
    if let Some(table) = table() {
        run("evttypes", |case| evttypes::test(case, &table));
    }
}
