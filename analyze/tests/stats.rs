//! `casebook-analyze stats` end to end, over the synthetic example and over what is no capture.
#![allow(clippy::unwrap_used)] // a failing test may panic

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use casebook_analyze::cli;

fn stats(args: &[&str]) -> (ExitCode, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = cli::run(["casebook-analyze", "stats"].iter().chain(args), &mut out, &mut err);
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

fn example(folder: &Path) -> String {
    let path = folder.join("example.scap");
    std::fs::write(&path, casebook_fixtures::EXAMPLE).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn events_are_counted_by_type_process_container_and_user() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, err) = stats(&["--json", "--top", "0", &example(folder.path())]);
    assert_eq!((code, err.as_str()), (ExitCode::SUCCESS, ""));
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    let fields: Vec<_> = report["counts"].as_array().unwrap().iter().map(|counts| &counts["field"]).collect();
    assert_eq!(fields, ["evt.type", "proc.name", "container.id", "user.name"]);
    // Every event has a type, so these counts add up to all events that rules see.
    let events = |counts: &serde_json::Value| -> u64 {
        counts["values"].as_array().unwrap().iter().map(|entry| entry["events"].as_u64().unwrap()).sum()
    };
    let by_type = events(&report["counts"][0]);
    assert!(by_type > 0 && by_type <= report["events"].as_u64().unwrap(), "{out}");
    for counts in report["counts"].as_array().unwrap() {
        assert_eq!(events(counts) + counts["absent"].as_u64().unwrap(), by_type, "{counts}");
    }
    let containers = report["counts"][2]["values"].as_array().unwrap();
    assert!(containers.iter().any(|entry| entry["value"] != "host"), "{out}");
}

#[test]
fn any_field_can_be_asked_for_and_top_sums_up_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, _) =
        stats(&["--by", "proc.aname[1]", "--by", "evt.category", "--top", "1", &example(folder.path())]);
    assert_eq!(code, ExitCode::SUCCESS);
    assert!(out.contains("  proc.aname[1]\n") && out.contains("  evt.category\n"), "{out}");
    assert!(out.contains("(other values)"), "{out}");
    assert!(out.contains("Ledger of anomalies:"), "{out}");
}

#[test]
fn what_is_no_capture_is_said_and_the_rest_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "not a capture\n").unwrap();
    let (code, out, err) = stats(&[text.to_str().unwrap(), &example(folder.path())]);
    assert_eq!(code, ExitCode::from(4));
    assert!(err.contains("notes.txt"), "{err}");
    assert!(out.contains("example.scap: "), "{out}");
}

#[test]
fn a_cut_capture_gives_what_it_holds_and_its_own_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.scap");
    let example = casebook_fixtures::EXAMPLE;
    std::fs::write(&path, &example[..example.len() - 7]).unwrap();
    let (code, out, _) = stats(&[path.to_str().unwrap()]);
    assert_eq!(code, ExitCode::from(5));
    assert!(out.contains("truncated_input"), "{out}");
}

#[test]
fn an_unknown_field_is_wrong_use() {
    let (code, out, err) = stats(&["--by", "proc.nome", "any.scap"]);
    assert_eq!(code, ExitCode::from(2));
    assert_eq!(out, "");
    assert!(err.contains("proc.nome"), "{err}");
}

/// An output whose reader went away.
struct Gone;

impl Write for Gone {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let folder = tempfile::tempdir().unwrap();
    let mut err = Vec::new();
    let code = cli::run(["casebook-analyze", "stats", &example(folder.path())], &mut Gone, &mut err);
    assert_eq!((code, err.len()), (ExitCode::from(141), 0));
}
