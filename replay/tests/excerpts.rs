//! `casebook-replay slice` and `minimize` as a user meets them, on the built-in example.

// What fails in the set-up of a test is a failure of the test.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use casebook_formats::origin;

/// Exit code, data and talk.
#[derive(PartialEq, Eq, Debug)]
struct Outcome {
    code: i32,
    out: String,
    err: String,
}

fn run(folder: &Path, args: &[&str]) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_casebook-replay"));
    let output = command.current_dir(folder).args(args).stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Outcome { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

fn bench() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("example.scap"), casebook_fixtures::EXAMPLE).unwrap();
    folder
}

const LINE: &str =
    "*%evt.rawtime %evt.type %proc.pid %proc.cmdline %proc.aname[2] %fd.name %user.name %container.name %evt.res";

fn events(folder: &Path, capture: &str, more: &[&str]) -> Vec<String> {
    let got = run(folder, &[&["events", "-q", "-p", LINE, capture][..], more].concat());
    assert_eq!(got.code, 0, "{got:?}");
    got.out.lines().map(str::to_owned).collect()
}

#[test]
fn a_container_is_cut_out_with_what_it_is_called() {
    let folder = bench();
    let sliced = run(folder.path(), &["slice", "--container", "7f3a90c41be2", "example.scap", "-o", "web.scap.zst"]);
    assert_eq!((sliced.code, sliced.out.as_str()), (0, ""), "{sliced:?}");
    assert!(sliced.err.contains("slice: ") && !sliced.err.contains("warning"), "{sliced:?}");
    let whole =
        events(folder.path(), "example.scap", &["--filter", "container.id = 7f3a90c41be2 and evt.type != container"]);
    assert!(whole.len() > 50 && whole.iter().all(|line| line.contains(" web ")), "{}", whole.len());
    assert_eq!(events(folder.path(), "web.scap.zst", &[]), whole);
}

#[test]
fn a_slice_says_where_it_comes_from() {
    let folder = bench();
    let sliced = run(folder.path(), &["slice", "-q", "--events", "10-40", "example.scap", "-o", "part.scap.zst"]);
    assert_eq!(sliced.code, 0, "{sliced:?}");
    let parent = origin::of_file(&folder.path().join("example.scap")).unwrap().parent;
    let entries = origin::of_file(&folder.path().join("part.scap.zst")).unwrap().entries;
    let [entry] = entries.as_slice() else { panic!("{entries:?}") };
    assert_eq!((entry.operation.as_str(), entry.note.as_deref()), ("slice", Some("events 10 to 40")));
    assert!(entry.tool.starts_with("casebook-replay "));
    assert_eq!(entry.parents.iter().map(|parent| parent.sha256).collect::<Vec<_>>(), [parent.sha256]);
}

#[test]
fn times_and_numbers_select_what_events_shows() {
    let folder = bench();
    for (selection, shown) in [
        (["--from", "+30s", "--to", "+45s"].as_slice(), ["--from", "+30s", "--to", "+45s"].as_slice()),
        (&["--events", "20-60"], &["--filter", "evt.num >= 20 and evt.num <= 60"]),
    ] {
        let line = [&["slice", "-q", "--force", "example.scap", "-o", "part.scap"], selection].concat();
        let sliced = run(folder.path(), &line);
        assert_eq!(sliced.code, 0, "{sliced:?}");
        let whole = events(folder.path(), "example.scap", shown);
        assert!(whole.len() > 10, "{selection:?}");
        assert_eq!(events(folder.path(), "part.scap", &[]), whole, "{selection:?}");
    }
}

#[test]
fn one_alert_needs_few_events() {
    let folder = bench();
    let rule = "Sensitive file read by an unexpected program";
    let line = ["minimize", "--rule", rule, "example.scap", "-o", "case.scap.zst"];
    let minimal = run(folder.path(), &line);
    assert_eq!(minimal.code, 0, "{minimal:?}");
    assert!(minimal.err.contains("1 alert as before"), "{minimal:?}");
    let alerts = |capture| -> Vec<String> {
        let out = run(folder.path(), &["-q", "--rule-matching", "all", capture]).out;
        out.lines().filter(|line| line.contains("Sensitive file read")).map(str::to_owned).collect()
    };
    let whole = alerts("example.scap");
    assert_eq!(alerts("case.scap.zst")[0], whole[0]);
    let left = events(folder.path(), "case.scap.zst", &[]).len();
    assert!(left <= 3, "{left} events are shown");
    let entries = origin::of_file(&folder.path().join("case.scap.zst")).unwrap().entries;
    assert_eq!(entries.last().map(|entry| entry.operation.as_str()), Some("minimize"));
}

#[test]
fn what_cannot_be_done_is_said() {
    let folder = bench();
    fs::write(folder.path().join("there.scap"), b"x").unwrap();
    for (line, code, words) in [
        (["slice", "example.scap", "-o", "o.scap"].as_slice(), 2, "nothing selects"),
        (&["slice", "--pid", "1", "-", "-o", "o.scap"], 4, "standard input: empty"),
        (&["slice", "--pid", "999999", "example.scap", "-o", "o.scap"], 2, "no event is selected"),
        (&["slice", "--pid", "1", "example.scap", "-o", "there.scap"], 6, "--force"),
        (&["slice", "--pid", "1", "--force", "example.scap", "-o", "example.scap"], 2, "overwrite the input"),
        (&["slice", "--pid", "1", "gone.scap", "-o", "o.scap"], 4, "gone.scap"),
        (&["slice", "--events", "9-3", "example.scap", "-o", "o.scap"], 2, "no range of numbers"),
        (&["minimize", "--rule", "No such rule", "example.scap", "-o", "o.scap"], 2, "No such rule"),
    ] {
        let got = run(folder.path(), line);
        assert_eq!(got.code, code, "{line:?} {got:?}");
        assert!(got.err.contains(words), "{line:?} {got:?}");
        assert!(!folder.path().join("o.scap").exists() && !folder.path().join("o.scap.partial").exists(), "{line:?}");
    }
    assert_eq!(fs::read(folder.path().join("there.scap")).unwrap(), b"x");
}
