//! `casebook-replay test` as people use it: cases in a folder, lines and exit codes.
#![allow(clippy::unwrap_used)] // a test ends at the first surprise

mod program;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use casebook_replay::cli::Exit;
use program::{Answer, within};

/// The head of most cases.
const HEAD: &str = "purpose: what this is for\nsynthetic:\n  processes:\n    root: {exe: /bin/bash}\n";
/// A rule file with two rules.
const RULES: &str = "\
- rule: Reads secrets
  desc: x
  condition: evt.type = openat and evt.is_open_read = true and fd.name startswith /secret/ and not proc.name in (vault)
  output: read %fd.name
  priority: WARNING
- rule: Starts things
  desc: x
  condition: evt.type = execve and evt.rawres >= 0
  output: start %proc.cmdline
  priority: NOTICE
";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("rules.yaml", RULES);
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A case with these events and this rest.
    fn case(&self, name: &str, events: &[&str], rest: &str) {
        let mut text = format!("{HEAD}  events:\n");
        for event in events {
            text.push_str(&["    - ", event, "\n"].concat());
        }
        self.write(&format!("{name}/case.yaml"), &format!("{text}rules: ../rules.yaml\n{rest}"));
    }

    fn test(&self, args: &[&str]) -> (Exit, String, String) {
        let path = self.0.path().to_str().unwrap();
        let Answer { exit, out, err } = within(&[&["test", path], args].concat()).without(&format!("{path}/"));
        (exit, out, err)
    }
}

#[test]
fn cases_pass_and_fail_with_a_diff_that_names_the_comparison() {
    let folder = Folder::new();
    folder.case(
        "good",
        &["{by: root, open: /secret/key}"],
        "expect:\n- {rule: Reads secrets, exactly: 1, fields: {fd.name: /secret/key}}\n",
    );
    folder.case("bad", &["{by: root, open: /public/key}"], "expect:\n- {rule: Reads secrets, exactly: 1}\n");
    let (exit, out, _) = folder.test(&[]);
    assert_eq!(exit, Exit::Alerts);
    let expected = "\
FAILED   bad
         what this is for
       bad/case.yaml:9:3: Reads secrets
         expected  exactly once
         got       not at all
         nearest   event 1, openat by bash (bash)
           false: fd.name startswith /secret/   (fd.name = /public/key)  rules.yaml:3:64
ok       good
2 cases: 1 passed, 1 failed
";
    assert_eq!(out, expected);
    assert_eq!(folder.test(&["--filter", "good", "-q"]).1, "1 case: 1 passed\n");
    assert_eq!(folder.test(&["--filter", "nothing"]).0, Exit::Usage);
}

#[test]
fn fields_take_every_operator_and_conditions() {
    let folder = Folder::new();
    let events = ["{by: root, open: /secret/a}", "{by: root, open: /secret/b}", "{by: root, open: /secret/c}"];
    for (at, (fields, count)) in [
        ("{fd.name: /secret/a}", 1),
        ("{fd.name: [/secret/a, /secret/b]}", 2),
        ("{fd.name: {endswith: c}, proc.name: bash}", 1),
        ("{fd.name: {pmatch: [/secret]}}", 3),
        ("{fd.name: {'!=': /secret/a}, fd.num: {'>': 3}}", 2),
        ("{k8s.pod.name: {exists: false}}", 3),
        ("'fd.name = /secret/a or fd.name = /secret/b'", 2),
    ]
    .into_iter()
    .enumerate()
    {
        let rest = format!(
            "expect:\n- {{rule: Reads secrets, exactly: {count}, fields: {fields}}}\n- {{rule: Reads secrets, exactly: 3}}\n"
        );
        folder.case(&format!("c{at}"), &events, &rest);
    }
    let (exit, out, err) = folder.test(&[]);
    assert_eq!(exit, Exit::Complete, "{out}{err}");
}

#[test]
fn sequences_have_an_order_and_a_time() {
    let folder = Folder::new();
    let events = ["{by: root, open: /secret/a}", "{by: root, spawn: /bin/ls, after: 3s}"];
    let steps = |first: &str, second: &str, within: &str| {
        format!("expect:\n- sequence:\n  - rule: {first}\n  - rule: {second}\n  within: {within}\n")
    };
    folder.case("in-order", &events, &steps("Reads secrets", "Starts things", "4s"));
    folder.case("other-order", &events, &steps("Starts things", "Reads secrets", "4s"));
    folder.case("too-slow", &events, &steps("Reads secrets", "Starts things", "2s"));
    let (exit, out, _) = folder.test(&[]);
    assert_eq!(exit, Exit::Alerts);
    assert!(out.contains("ok       in-order\n"), "{out}");
    assert!(out.contains("FAILED   other-order\n") && out.contains("step 2 did not follow"), "{out}");
    assert!(out.contains("FAILED   too-slow\n") && out.contains("it took longer"), "{out}");
}

#[test]
fn what_nobody_expects_fails_warns_or_is_ignored() {
    let folder = Folder::new();
    let events = ["{by: root, open: /secret/a}", "{by: root, spawn: /bin/ls}"];
    for word in ["fail", "warn", "ignore"] {
        folder.case(word, &events, &format!("unexpected: {word}\nexpect:\n- rule: Reads secrets\n"));
    }
    let (exit, out, _) = folder.test(&[]);
    assert_eq!(exit, Exit::Alerts);
    assert!(out.contains("FAILED   fail\n") && out.contains("Starts things\n         expected  no alert"), "{out}");
    assert!(out.contains("ok       ignore\n"), "{out}");
    assert!(out.contains("ok       warn\n       unexpected: Starts things once\n"), "{out}");
}

#[test]
fn mistakes_are_told_with_their_places_and_nothing_runs() {
    for (rest, message, place) in [
        ("expect:\n- rule: Read secrets\n", "there is no rule `Read secrets`", "7:9"),
        ("expect:\n- {rule: Reads secrets, fields: {fd.nam: x}}\n", "fd.nam", "7:34"),
        ("expect:\n- {rule: Reads secrets, fields: 'fd.nam = x'}\n", "fd.nam", "7:34"),
        ("expect:\n- {rule: Reads secrets, exactly: often}\n", "`often` is no number", "7:34"),
        ("expect:\n- {rule: Reads secrets, exactly: 1, never: true}\n", "do not go together", "7:3"),
        ("unexpectd: fail\n", "a case has no key `unexpectd`", "6:1"),
        ("unexpected: perhaps\n", "`perhaps` is none of fail, warn, ignore", "6:13"),
        ("capture: /etc/passwd\n", "is relative to the case", "6:10"),
        ("capture: nothing.scap\n", "no such file", "6:10"),
        ("technique: phishing\n", "is no ATT&CK id", "6:12"),
    ] {
        let folder = Folder::new();
        let head = "purpose: x\nsynthetic:\n  events: []\n# filler\nrules: ../rules.yaml\n";
        folder.write("c/case.yaml", &format!("{head}{rest}"));
        let (exit, out, err) = folder.test(&[]);
        assert_eq!((exit, out.as_str()), (Exit::Rules, ""), "{rest}\n{err}");
        assert!(err.contains(message) && err.contains(&format!("c/case.yaml:{place}\n")), "{rest}\n{err}");
    }
}

#[test]
fn mistakes_of_scripts_have_places_too() {
    for (event, message) in [
        ("{by: nobody, open: /x}", "there is no process `nobody` here"),
        ("{by: root, opne: /x}", "nobody can `opne`"),
        ("{by: root, open: /x, fro: write}", "`open` has no key `fro`"),
        ("{open: /x}", "`open` needs `by`"),
        ("{by: root, connect: example.org}", "is no address and port"),
        ("{by: root, setuid: 0, res: EWHAT}", "is no result"),
        ("{by: root, openat: {nam: /x}}", "`openat` has no parameter `nam`"),
        ("{by: root, openat: {flags: O_WHAT}}", "file_flags has no `O_WHAT`"),
        ("{by: root, spawn: \"sh -c 'x\"}", "a single quote is not closed"),
        ("{by: root, read: key}", "there is no descriptor `key`"),
        ("{by: root, open: /x, at: 0s}", "is no length of time"),
        ("{by: root, unshare: CLONE_NEWUSR}", "clone_flags has no `CLONE_NEWUSR`"),
    ] {
        let event = event.replace("at: 0s", "after: soon");
        let folder = Folder::new();
        folder.case("c", &[&event], "");
        let (exit, _, err) = folder.test(&[]);
        assert_eq!(exit, Exit::Rules, "{event}");
        assert!(err.contains(message) && err.contains("c/case.yaml:6:"), "{event}\n{err}");
    }
}

#[test]
fn hostile_cases_are_bounded() {
    let loops = "- {each: [a, a, a, a, a, a, a, a, a, a, a, a], do: ".repeat(4);
    let deep = format!("{loops}[{{by: root, open: /x}}]{}", "}".repeat(4));
    let wide = format!("{{by: root, write: 1, data: \"{}\"}}", "x".repeat(60_000));
    let many = format!("each: [{}]", vec!["a"; 40].join(", "));
    let loops = format!("    - {many}\n      do:\n        - {many}\n          do:\n            - {wide}\n");
    let events = format!("{HEAD}  events:\n{loops}");
    for (text, message) in [
        (events.as_str(), "20000 events or 64 MiB"),
        (&"[".repeat(100), "nested deeper"),
        ("a: &a [x, x]\nb: &b [*a, *a]\npurpose: *b\n", "a text is expected"),
        (&"x".repeat((1 << 20) + 1), "larger than 1 MiB"),
        ("purpose: \u{1b}[31mred\nsynthetic: {events: [{by: \"\u{1b}[2J\", open: x}]}\n", "there is no process"),
        (&deep, ""),
    ] {
        let folder = Folder::new();
        folder.write("c/case.yaml", text);
        let (exit, out, err) = folder.test(&[]);
        assert_ne!(exit, Exit::Complete, "{}", &text[..text.len().min(80)]);
        assert!(err.contains(message), "{message}: {err}");
        assert!(!out.contains('\u{1b}') && !err.contains('\u{1b}'), "{err}");
    }
}

#[test]
fn what_is_required_and_not_there_skips() {
    let folder = Folder::new();
    let text = "purpose: x\nrequires: {env: CASEBOOK_NO_SUCH_VARIABLE}\ncapture: ${CASEBOOK_NO_SUCH_VARIABLE}/x.scap\n";
    folder.write("c/case.yaml", text);
    folder.write("d/case.yaml", &format!("{HEAD}  events: []\nrequires: {{version: 99.0.0}}\n"));
    let (exit, out, _) = folder.test(&[]);
    assert_eq!(exit, Exit::Complete);
    assert!(out.contains("skipped  c (CASEBOOK_NO_SUCH_VARIABLE is not set)"), "{out}");
    assert!(out.contains("skipped  d (version 99.0.0 is needed)"), "{out}");
}

#[test]
fn expected_warnings_are_exact() {
    let folder = Folder::new();
    folder.write("odd.yaml", &RULES.replace("desc: x", "desc: x\n  unknown_key: 1"));
    let case = |name: &str, warnings: &str| {
        let text = format!("{HEAD}  events:\n    - {{by: root, read: 77}}\nrules: ../odd.yaml\n{warnings}");
        folder.write(&format!("{name}/case.yaml"), &text);
    };
    case("right", "warnings: [LOAD_UNKNOWN_KEY, unknown_fds]\n");
    case("shown", "");
    case("wrong", "warnings: [unknown_fds]\n");
    let (exit, out, err) = folder.test(&[]);
    assert_eq!(exit, Exit::Alerts, "{out}{err}");
    assert!(out.contains("ok       right\n"), "{out}");
    assert!(out.contains("ok       shown\n       warning "), "{out}");
    assert!(out.contains("FAILED   wrong\n"), "{out}");
}

#[test]
fn captures_that_cannot_be_read_break_their_case_only() {
    let folder = Folder::new();
    folder.write("bad/x.scap", "no capture");
    folder.write("bad/case.yaml", "purpose: x\ncapture: x.scap\n");
    folder.write("file/example.scap", "");
    fs::write(folder.path("file/example.scap"), casebook_fixtures::EXAMPLE).unwrap();
    folder.write(
        "file/case.yaml",
        "purpose: x\ncapture: example.scap\nunexpected: ignore\nexpect:\n- {rule: Log cleared}\n",
    );
    let (exit, out, _) = folder.test(&[]);
    assert_eq!(exit, Exit::Unreadable);
    assert!(out.contains("BROKEN   bad: ") && out.contains("ok       file\n"), "{out}");
}

#[test]
fn blessing_changes_what_is_wrong_and_nothing_else() {
    let folder = Folder::new();
    let text = "\
# A comment at the top.
purpose: x   # and one beside
rules: ../rules.yaml
synthetic:
  processes: {root: {exe: /bin/bash}}
  events:
    - {by: root, open: /secret/a}
    - {by: root, open: /secret/b}
    - {by: root, spawn: /bin/ls}
expect:
  # why three
  - rule: Reads secrets
    exactly: 3  # three
  - {rule: Reads secrets, fields: {fd.name: /secret/z}}
";
    folder.write("c/case.yaml", text);
    let (exit, _, err) = folder.test(&["--bless"]);
    assert_eq!(exit, Exit::Complete, "{err}");
    let blessed = text.replace("exactly: 3 ", "exactly: 2 ").replace("/secret/z}}", "/secret/z}, never: true}")
        + "  - rule: Starts things\n    exactly: 1\n";
    assert_eq!(fs::read_to_string(folder.path("c/case.yaml")).unwrap(), blessed);
    let (exit, _, err) = folder.test(&["--bless"]);
    assert_eq!((exit, err.contains("blessed")), (Exit::Complete, false), "a case that passes stays as it is");
}

#[test]
fn json_junit_and_digest_say_the_same_every_time() {
    let folder = Folder::new();
    folder.case(
        "a<b",
        &["{by: root, open: /secret/\"\\x1b\"}".replace("/secret/\"\\x1b\"", "\"/secret/\\x1b&\"").as_str()],
        "",
    );
    folder.case("ok", &["{by: root, open: /secret/a}"], "expect: [{rule: Reads secrets}]\n");
    let xml = folder.path("out.xml");
    let (exit, out, err) =
        folder.test(&["--json", "--digest", "--verify-determinism", "4", "--junit", xml.to_str().unwrap()]);
    assert_eq!(exit, Exit::Alerts, "{err}");
    assert!(err.contains("5 runs gave the same bytes"), "{err}");
    let lines: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["verdict"], "failed");
    assert_eq!(lines[0]["failures"][0]["rule"], "Reads secrets");
    assert_eq!(lines[1]["alerts"][0]["output"], "read /secret/a");
    assert_eq!(lines[2]["summary"]["failed"], 1);
    assert_eq!(lines[2]["summary"]["digest"].as_str().unwrap().len(), 64);
    let xml = fs::read_to_string(xml).unwrap();
    assert!(xml.contains("<testsuites name=\"casebook-replay test\" tests=\"2\" failures=\"1\""), "{xml}");
    assert!(xml.contains("name=\"a&lt;b\"") && !xml.contains('\u{1b}'), "{xml}");
    let again = folder.test(&["--json", "--digest", "-j", "1"]).1;
    assert_eq!(out, again);
    // In place of the lines.
    let (exit, printed, _) = folder.test(&["--junit", "-"]);
    let xml = xml.replace(&format!("{}/", folder.0.path().display()), "");
    assert_eq!((exit, printed), (Exit::Alerts, xml));
}

#[test]
fn a_baseline_is_noisy_or_quiet() {
    let folder = Folder::new();
    fs::create_dir(folder.path("benign")).unwrap();
    fs::write(folder.path("benign/example.scap"), casebook_fixtures::EXAMPLE).unwrap();
    let (benign, rules) = (folder.path("benign"), folder.path("rules.yaml"));
    let (benign, rules) = (benign.to_str().unwrap(), rules.to_str().unwrap());
    let run = |args: &[&str]| {
        let answer = within(&[&["test", "--baseline", benign, "-r", rules], args].concat());
        (answer.exit, answer.out)
    };
    let (exit, out) = run(&[]);
    assert_eq!(exit, Exit::Complete, "{out}");
    assert!(out.contains("Starts things") && out.ends_with("rules from Warning up must not fire\n"), "{out}");
    let (exit, out) = run(&["--baseline-limit", "notice"]);
    assert_eq!(exit, Exit::Alerts, "{out}");
    assert!(out.contains("too noisy") && out.contains("the baseline is noisy"), "{out}");
    fs::write(folder.path("benign/example.scap"), "no capture").unwrap();
    let (exit, out) = run(&[]);
    assert_eq!(exit, Exit::Unreadable, "{out}");
    assert!(out.contains("0 captures") && out.contains("the baseline is unknown"), "{out}");
    fs::write(folder.path("benign/example.scap"), casebook_fixtures::EXAMPLE).unwrap();
    let (_, out) = run(&["--json"]);
    let body: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(body["baseline"]["noise"][0]["rule"], "Starts things");
}

/// The first line of a command's output for which this holds.
fn wait_for(lines: &mut impl Iterator<Item = std::io::Result<String>>, wanted: impl Fn(&str) -> bool) -> String {
    lines.map(Result::unwrap).find(|line| wanted(line)).unwrap()
}

#[test]
fn watching_runs_again_when_a_case_changes() {
    let folder = Folder::new();
    folder.case("c", &["{by: root, open: /secret/a}"], "");
    let mut child = Command::new(env!("CARGO_BIN_EXE_casebook-replay"))
        .args(["test", "--watch"])
        .arg(folder.0.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut err = BufReader::new(child.stderr.take().unwrap()).lines();
    wait_for(&mut out, |line| line == "1 case: 0 passed, 1 failed");
    wait_for(&mut err, |line| line == "waiting for changes");
    folder.case("c", &["{by: root, open: /secret/a}"], "expect: [{rule: Reads secrets}]\n");
    wait_for(&mut out, |line| line == "1 case: 1 passed");
    wait_for(&mut err, |line| line == "waiting for changes");
    folder.write("rules.yaml", &RULES.replace("/secret/", "/hidden/"));
    wait_for(&mut out, |line| line == "1 case: 0 passed, 1 failed");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn pages_are_current() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
    let page = |args: &[&str]| {
        let answer = within(&[&["test"], args].concat());
        assert_eq!(answer.exit, Exit::Complete);
        answer.out
    };
    let cases = fixtures.join("cases");
    for (name, text) in
        [("CASES.md", page(&["--docs"])), ("PROVENANCE.md", page(&["--provenance", cases.to_str().unwrap()]))]
    {
        let path = fixtures.join(name);
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == text, "{name} is out of date: BLESS=1 cargo test -p casebook-replay --test lab");
    }
}
