//! Inputs of the fuzz targets that once failed, or nearly did, and all files that provoke diagnostics: run on every
//! compiler, without a fuzzer.
#![allow(clippy::unwrap_used)] // a test ends at the first surprise

#[path = "../fuzz/bodies.rs"]
mod bodies;
mod schema;

use std::path::{Path, PathBuf};

use schema::TableSchema;

/// All files below a folder of the crate.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut todo = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    let mut files = Vec::new();
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            todo.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            files.push(path);
        }
    }
    files.sort();
    assert!(!files.is_empty(), "{folder} is empty");
    files
}

#[test]
fn rule_files_survive_loading_lint_and_every_form_of_output() {
    let schema = TableSchema::small();
    for file in files("fuzz/regressions/ruleset").into_iter().chain(files("tests/diagnostics")) {
        let bytes = std::fs::read(&file).unwrap();
        bodies::ruleset(&bytes, &schema);
        // Cut off anywhere, it is another file.
        for cut in (0..bytes.len()).step_by(1 + bytes.len() / 32) {
            bodies::ruleset(&bytes[..cut], &schema);
        }
    }
}

#[test]
fn conditions_survive_and_print_to_what_parses_back() {
    let schema = TableSchema::small();
    for file in files("fuzz/regressions/condition") {
        for line in std::fs::read_to_string(&file).unwrap().lines() {
            bodies::condition(line.as_bytes(), &schema);
        }
    }
}
