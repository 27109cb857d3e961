//! `casebook-compare` finds what differs: over a small corpus made of the built-in example and of our own output, which
//! agrees with itself until a value is changed.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use casebook_replay::cli::{self, Terminals};
use casebook_tests::cli as compare;

const FIELDS: [&str; 6] = ["evt.num", "evt.rawtime", "thread.tid", "evt.type", "proc.name", "fd.name"];

/// Stands in no text of the example.
const SEPARATOR: &str = "@@";

const RULES: &str = "
- rule: shell
  desc: a shell was started
  condition: evt.type = execve and proc.name = bash
  output: shell (user=%user.name command=%proc.cmdline)
  priority: WARNING
";

fn replay(args: &[&str]) -> String {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    cli::run_on([&["casebook-replay"], args].concat(), &mut out, &mut err, Terminals::default());
    String::from_utf8(out).expect("output is UTF-8")
}

fn compare(root: &Path, args: &[&str]) -> (ExitCode, String) {
    let root = root.to_str().expect("a UTF-8 path");
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = compare::run([&["casebook-compare", "--corpora", root], args].concat(), &mut out, &mut err);
    assert_eq!(err, b"");
    (code, String::from_utf8(out).expect("output is UTF-8"))
}

fn write(root: &Path, path: &str, bytes: &[u8]) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be made");
    fs::write(path, bytes).expect("the file can be written");
}

/// A corpus whose goldens are our own output, passed through `change`.
fn corpus(change: impl Fn(String) -> String) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a temporary folder");
    write(root.path(), "captures/synthetic/example.scap", casebook_fixtures::EXAMPLE);
    write(root.path(), "probe-rules/probe_rules.yaml", RULES.as_bytes());
    let format: Vec<String> = FIELDS.iter().map(|field| format!("%{field}")).collect();
    let events = replay(&["events", "--example", "-p", &format!("*{}", format.join(SEPARATOR))]);
    let mut golden = String::new();
    for line in events.lines() {
        let texts = FIELDS.iter().zip(line.split(SEPARATOR)).filter(|(_, text)| *text != "<NA>");
        let object: serde_json::Map<_, _> = texts.map(|(field, text)| ((*field).to_owned(), text.into())).collect();
        golden += &serde_json::Value::Object(object).to_string();
        golden.push('\n');
    }
    let golden = zstd::encode_all(change(golden).as_bytes(), 1).expect("memory can be written");
    write(root.path(), "falco-goldens/fields/example.jsonl.zst", &golden);
    let rules = root.path().join("probe-rules/probe_rules.yaml");
    let run = ["--example", "-q", "-r", rules.to_str().expect("a UTF-8 path")];
    let alerts = replay(&[&run[..], &["--output", "json"]].concat());
    let alerts: Vec<&str> = alerts.lines().filter(|line| !line.starts_with("{\"summary\"")).collect();
    let text = replay(&run);
    let summary = &text[text.find("Events detected:").expect("a summary")..];
    let golden = change(format!("{}\n{summary}", alerts.join("\n")));
    write(root.path(), "falco-goldens/alerts/example.probe.jsonl", golden.as_bytes());
    root
}

#[test]
fn our_own_output_agrees_with_itself() {
    let root = corpus(|golden| golden);
    for command in ["fields", "alerts"] {
        let (code, out) = compare(root.path(), &[command]);
        assert_eq!(code, ExitCode::SUCCESS, "{out}");
        assert!(out.contains("example"), "{out}");
    }
}

#[test]
fn a_changed_value_is_found_and_shown() {
    let root = corpus(|golden| golden.replacen("bash", "dash", 1));
    let (code, out) = compare(root.path(), &["fields", "--show", "1"]);
    assert_eq!(code, ExitCode::from(1), "{out}");
    assert!(out.contains("golden \"dash\" ours \"bash\""), "{out}");
    let (code, out) = compare(root.path(), &["alerts", "--show", "1"]);
    assert_eq!(code, ExitCode::from(1), "{out}");
    assert!(out.contains("different: shell"), "{out}");
}

#[test]
fn a_lost_event_and_a_lost_alert_are_found() {
    let root = corpus(|golden| golden.split_once('\n').map(|(_, rest)| rest.to_owned()).unwrap_or_default());
    let (code, out) = compare(root.path(), &["fields"]);
    assert_eq!(code, ExitCode::from(1), "{out}");
    assert!(out.contains("events that the goldens lack"), "{out}");
    let (code, out) = compare(root.path(), &["alerts", "--show", "1"]);
    assert_eq!(code, ExitCode::from(1), "{out}");
    assert!(out.contains("extra: shell"), "{out}");
}

#[test]
fn nothing_to_compare_is_trouble_not_agreement() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let args = ["casebook-compare", "--corpora", root.path().to_str().expect("a UTF-8 path"), "fields"];
    let (mut out, mut err) = (Vec::new(), Vec::new());
    assert_eq!(compare::run(args, &mut out, &mut err), ExitCode::from(2));
    assert!(!err.is_empty());
}
