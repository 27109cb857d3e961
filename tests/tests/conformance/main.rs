//! Conformance cases: inputs and expected results of Falco's engine, one kind a file.
//!
//! `CASEBOOK_CONFORMANCE` names the folders that hold the case files, separated by colons; without it the test says
//! that it skips. Each kind has a module with one function: a case in JSON → passed, or what was different. The cases
//! run through the real field catalogue and the real rule engine; there is no second schema. Cases marked `quirk`
//! (results that look unintended upstream) count like all others.
#![allow(clippy::unwrap_used)] // a case that cannot be read is a failure of the test

mod alert;
mod eval;
mod event;
mod evttypes;
mod format;
mod k8s_audit;
mod load;
mod parser;
mod select;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde_json::Value as Json;

use casebook_rules::event::EventFields;
use casebook_rules::schema::Schema;
use casebook_tests::table::{Align, Table};
use event::{CaseEvent, EverySource};

/// Environment variable that names the folders of cases, separated by colons.
const CONFORMANCE_VARIABLE: &str = "CASEBOOK_CONFORMANCE";

/// Runs one case: nothing to say, or what was different.
type Runner = fn(&Json) -> Result<(), String>;

/// A kind of cases.
#[derive(Clone, Copy)]
struct Kind {
    /// File name without extension.
    name: &'static str,
    /// How a case runs; a reason instead when this version has nothing to run it on.
    run: Result<Runner, &'static str>,
}

/// How the cases of a kind went.
#[derive(Debug, Default)]
struct KindReport {
    /// Cases that passed.
    passed: u64,
    /// Cases that did not run.
    skipped: u64,
    /// Cases that failed: id and what was different.
    failed: Vec<(String, String)>,
}

/// All kinds, in the order of the table.
fn kinds() -> [Kind; 8] {
    let audit: Result<Runner, _> = Ok(k8s_audit::test);
    let audit = k8s_audit::rules().map_or(Err("CASEBOOK_CORPORA has no audit rules"), |_| audit);
    [
        Kind { name: "parser", run: Ok(parser::test) },
        Kind { name: "load", run: Ok(load::test) },
        Kind { name: "eval", run: Ok(|case| on_event(case, eval::test)) },
        Kind { name: "format", run: Ok(|case| on_event(case, format::test)) },
        Kind { name: "select", run: Ok(select::test) },
        Kind { name: "evttypes", run: Ok(|case| evttypes::test(case, &EverySource::default())) },
        Kind { name: "alert", run: Ok(alert::test) },
        Kind { name: "k8s_audit", run: audit },
    ]
}

/// A case with an event: what its kind does with schema, source and event.
type EventRunner = fn(&Json, &dyn Schema, &str, &dyn EventFields) -> Result<(), String>;

fn on_event(case: &Json, test: EventRunner) -> Result<(), String> {
    test(case, &EverySource::default(), "syscall", &CaseEvent::read(&case["event"])?)
}

/// Folders named by [`CONFORMANCE_VARIABLE`]; `None` when the variable is unset or empty.
fn folders() -> Option<Vec<PathBuf>> {
    let value = std::env::var_os(CONFORMANCE_VARIABLE).filter(|value| !value.is_empty())?;
    Some(std::env::split_paths(&value).filter(|path| !path.as_os_str().is_empty()).collect())
}

/// Runs every case of `kinds` found in `folders`. A file of an unknown kind is an error: it would be passed over in
/// silence.
fn run(folders: &[PathBuf], kinds: &[Kind]) -> Result<BTreeMap<&'static str, KindReport>, String> {
    let mut reports: BTreeMap<&'static str, KindReport> = BTreeMap::new();
    for folder in folders {
        let listing = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut files: Vec<PathBuf> = listing.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
        files.sort();
        for file in files {
            let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            let kind = kinds.iter().find(|kind| kind.name == stem);
            let kind = kind.ok_or_else(|| format!("{}: no such kind of cases", file.display()))?;
            run_file(&file, kind, reports.entry(kind.name).or_default())?;
        }
    }
    Ok(reports)
}

fn run_file(file: &Path, kind: &Kind, report: &mut KindReport) -> Result<(), String> {
    let cases = read(file)?;
    let Ok(runner) = kind.run else {
        report.skipped += cases.len() as u64;
        return Ok(());
    };
    let results: Vec<_> = cases
        .par_iter()
        .map(|case| {
            let id = case.get("id").and_then(Json::as_str).unwrap_or("without id").to_owned();
            (id, runner(case))
        })
        .collect();
    for (id, result) in results {
        match result {
            Ok(()) => report.passed += 1,
            Err(message) => report.failed.push((id, message)),
        }
    }
    Ok(())
}

fn read(file: &Path) -> Result<Vec<Json>, String> {
    let error = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let mut cases = Vec::new();
    for line in BufReader::new(File::open(file).map_err(|e| error(&e))?).lines() {
        let line = line.map_err(|e| error(&e))?;
        if !line.trim().is_empty() {
            cases.push(serde_json::from_str(&line).map_err(|e| error(&e))?);
        }
    }
    Ok(cases)
}

/// The table of passed and failed cases, then every failure in full.
fn print(reports: &BTreeMap<&'static str, KindReport>, kinds: &[Kind]) -> String {
    let mut table = Table::new(&[
        ("kind", Align::Left),
        ("passed", Align::Right),
        ("failed", Align::Right),
        ("skipped", Align::Right),
        ("", Align::Left),
    ]);
    for kind in kinds {
        let Some(report) = reports.get(kind.name) else { continue };
        let counts = [report.passed, report.failed.len() as u64, report.skipped].map(|count| count.to_string());
        let reason = kind.run.err().unwrap_or_default().to_owned();
        table.row([kind.name.to_owned()].into_iter().chain(counts).chain([reason]));
    }
    let mut text = table.to_string();
    for report in reports.values() {
        for (id, message) in &report.failed {
            // Writing to a string cannot fail.
            let _ = write!(text, "\n{id}\n{message}\n");
        }
    }
    text
}

#[test]
fn all_cases_pass() {
    let Some(folders) = folders() else {
        writeln!(std::io::stderr(), "skipped: {CONFORMANCE_VARIABLE} is not set").ok(); // past the capture of passing tests
        return;
    };
    let kinds = kinds();
    let reports = run(&folders, &kinds).unwrap();
    writeln!(std::io::stderr(), "{}", print(&reports, &kinds)).ok(); // past the capture of passing tests
    assert!(reports.values().any(|report| report.passed > 0), "no cases in {folders:?}");
    let failed: usize = reports.values().map(|report| report.failed.len()).sum();
    assert_eq!(failed, 0, "cases failed, see above");
}
