//! Tables end to end: pages, saved queries, SQL on the command line, the cache, hostile texts, a corpus. One binary, as
//! each of them links the data frame library.
#![allow(clippy::unwrap_used)] // a failing test may panic

mod cache;
mod goldens;
mod hostile;
mod incident;
mod pages;
mod queries;
mod sql;

use std::path::Path;
use std::process::ExitCode;

use casebook_analyze::cli;

/// Runs the tool: exit code, output, what it said.
fn analyze<S: AsRef<str>>(args: &[S]) -> (ExitCode, Vec<u8>, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let args = std::iter::once("casebook-analyze").chain(args.iter().map(AsRef::as_ref));
    let code = cli::run(args, &mut out, &mut err);
    (code, out, String::from_utf8(err).unwrap())
}

/// A query over captures as CSV, without the cache.
fn csv(captures: &[&str], query: &str) -> String {
    let mut args = vec!["sql", "--no-cache", "--format", "csv"];
    args.extend(captures);
    args.extend(["-c", query]);
    let (code, out, err) = analyze(&args);
    assert_eq!((code, err.as_str()), (ExitCode::SUCCESS, ""), "{query}");
    String::from_utf8(out).unwrap().replace("\r\n", "\n")
}

/// A file in a folder, as an argument.
fn file(folder: &Path, name: &str, bytes: &[u8]) -> String {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}
