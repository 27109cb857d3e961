//! `explain` on a small story: comparisons through macros, lists and exceptions, rules that hide each other, near misses.
//! The expected texts stand in `explain/*.txt`; `CASEBOOK_BLESS=1` writes them anew, for a look at what changed.
#![allow(clippy::unwrap_used)] // a test ends at the first surprise

mod program;

use std::fs;
use std::path::PathBuf;

use casebook_fixtures::{Exec, Proc, Trace, flags};
use casebook_replay::cli::{self, Exit, Terminals};
use program::{Answer, within};
use serde_json::Value;
use tempfile::TempDir;

struct Story {
    root: TempDir,
}

impl Story {
    fn new() -> Self {
        let mut trace = Trace::new("host");
        trace.user(1000, "alice", "/home/alice", "/bin/bash");
        let root = trace.process(Proc::new(4000, "/bin/sh").argv(&["sh"]));
        let alice = trace.process(Proc::new(4100, "/usr/sbin/sshd").argv(&["sshd"]).uid(1000));
        let cron = trace.process(Proc::new(610, "/usr/sbin/cron"));
        let starts: [(_, &str, &[&str]); 6] = [
            (root, "/bin/bash", &["bash", "-i"]),
            (cron, "/bin/bash", &["bash", "-c", "job"]),
            (alice, "/bin/zsh", &["zsh"]),
            (root, "/bin/bash", &["bash", "/opt/run"]),
            (root, "/usr/bin/id", &["id"]),
            (root, "/bin/bash", &["bash", "-c", "healthcheck; true"]),
        ];
        for (parent, path, argv) in starts {
            let child = trace.fork(parent);
            trace.exec(child, &Exec::new(path).argv(argv));
            trace.open(child, "/etc/hosts", flags::READ);
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("story.scap"), trace.finish().unwrap()).unwrap();
        fs::copy(data("rules.yaml"), folder.path().join("rules.yaml")).unwrap();
        Self { root: folder }
    }

    fn run(&self, args: &[&str]) -> Answer {
        let path = |name: &str| self.root.path().join(name).display().to_string();
        let (capture, rules) = (path("story.scap"), path("rules.yaml"));
        let args: Vec<String> = args
            .iter()
            .map(|&arg| match arg {
                "CAPTURE" => capture.clone(),
                "RULES" => rules.clone(),
                other => other.to_owned(),
            })
            .collect();
        within(&args).without(&format!("{}/", self.root.path().display()))
    }

    /// Number of the event on which a program was started with this command line.
    fn start(&self, cmdline: &str) -> String {
        let filter = format!("evt.type = execve and proc.cmdline = \"{cmdline}\"");
        let found = self.run(&["events", "-p", "%evt.num", "--filter", &filter, "CAPTURE"]);
        found.out.trim().to_owned()
    }

    fn explain(&self, rule: &str, cmdline: &str, more: &[&str]) -> Answer {
        let event = self.start(cmdline);
        let mut args = vec!["explain", rule, "-r", "RULES", "--event", &event];
        args.extend(more);
        args.push("CAPTURE");
        self.run(&args)
    }
}

fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/explain").join(name)
}

/// Compares an output with its file.
fn golden(name: &str, found: &Answer) {
    assert_eq!(found.exit, Exit::Complete, "{}", found.err);
    assert_eq!(found.err, "");
    let path = data(&format!("{name}.txt"));
    if std::env::var_os("CASEBOOK_BLESS").is_some() {
        fs::write(&path, &found.out).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == found.out, "{} differs:\n{}", path.display(), found.out);
}

#[test]
fn a_rule_that_failed_by_one_comparison_names_it_with_its_value_and_place() {
    let story = Story::new();
    golden("one-missing", &story.explain("Shell started", "id", &[]));
}

#[test]
fn macros_and_lists_of_lists_are_followed() {
    let story = Story::new();
    golden("reported", &story.explain("Shell started", "bash -i", &[]));
    golden("through-a-macro", &story.explain("Shell started", "bash -c job", &[]));
}

#[test]
fn the_exception_that_suppressed_is_named_with_its_values() {
    let story = Story::new();
    golden("exception", &story.explain("Shell started", "zsh", &[]));
    golden("exception-of-one-field", &story.explain("Shell started", "bash /opt/run", &[]));
}

#[test]
fn the_earlier_rule_that_is_reported_in_its_place_is_named() {
    let story = Story::new();
    golden("shadowed", &story.explain("Any program started", "bash -i", &[]));
    golden("off", &story.explain("Switched off", "bash -i", &[]));
}

#[test]
fn near_misses_are_listed_with_the_values_seen() {
    let story = Story::new();
    golden("nearest", &story.run(&["explain", "Shell started", "-r", "RULES", "--nearest", "CAPTURE"]));
}

#[test]
fn json_tells_the_same() {
    let story = Story::new();
    let found = story.explain("Shell started", "zsh", &["--output", "json"]);
    let told: Value = serde_json::from_str(&found.out).unwrap();
    assert_eq!((&told["fate"], &told["distance"]), (&Value::from("not_true"), &Value::from(1)));
    let mut leaves = Vec::new();
    collect(&told["condition"], &mut leaves);
    let shell = leaves.iter().find(|leaf| leaf["text"].as_str().unwrap().starts_with("proc.name in")).unwrap();
    assert_eq!(shell["values"][0]["value"], "zsh");
    assert_eq!(shell["list"]["matching"][0]["place"]["line"], 2);
    let through: Vec<_> = shell["list"]["matching"][0]["through"].as_array().unwrap().iter().collect();
    assert_eq!(through.iter().map(|step| step["name"].as_str().unwrap()).collect::<Vec<_>>(), ["interactive"]);
    assert_eq!(shell["through"][0]["name"], "a_shell");
    let decisive: Vec<_> = leaves.iter().filter(|leaf| leaf["decisive"] == true).map(|leaf| &leaf["text"]).collect();
    assert_eq!(decisive, ["user.name = alice", "proc.pname in (sshd, login)"]);
}

fn collect<'v>(part: &'v Value, leaves: &mut Vec<&'v Value>) {
    if part["kind"] == "comparison" {
        leaves.push(part);
    }
    part["parts"].as_array().into_iter().flatten().for_each(|part| collect(part, leaves));
}

#[test]
fn what_cannot_be_explained_is_said() {
    let story = Story::new();
    let cases: [(&[&str], Exit, &str); 4] = [
        (&["explain", "Shel started", "-r", "RULES", "CAPTURE"], Exit::Usage, "did you mean 'Shell started'?"),
        (
            &["explain", "Shell started", "-r", "RULES", "--event", "9999", "CAPTURE"],
            Exit::Usage,
            "story.scap has no event 9999",
        ),
        (&["explain", "Shell started", "-r", "RULES", "--time", "+9h", "CAPTURE"], Exit::Usage, "is not asked about"),
        (&["explain", "Shell started", "-r", "RULES", "/nowhere.scap"], Exit::Unreadable, "nowhere"),
    ];
    for (args, exit, words) in cases {
        let found = story.run(args);
        assert_eq!(found.exit, exit, "{args:?}: {}", found.err);
        assert!(found.err.contains(words), "{args:?}: {}", found.err);
    }
}

/// On a terminal there are colours, and what a capture says cannot add any.
#[test]
fn colours_are_ours_only() {
    let mut trace = Trace::new("host");
    let shell = trace.process(Proc::new(4000, "/bin/sh").argv(&["sh"]));
    let child = trace.fork(shell);
    trace.exec(child, &Exec::new("/bin/bash").argv(&["bash", "\x1b]0;owned\x07"]));
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("c.scap").display().to_string();
    fs::write(&capture, trace.finish().unwrap()).unwrap();
    let rules = data("rules.yaml").display().to_string();
    let args = ["casebook-replay", "explain", "Shell started", "-r", &rules, &capture];
    for terminal in [false, true] {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        cli::run_on(args, &mut out, &mut err, Terminals { out: terminal, err: false });
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.contains("\x1b["), terminal);
        assert!(!text.contains("\x1b]") && !text.contains('\x07'), "{text:?}");
    }
}

#[test]
fn a_log_has_no_event_that_a_rule_for_system_calls_is_asked_about() {
    let story = Story::new();
    let log = story.root.path().join("audit.jsonl");
    let request = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"1","stage":"ResponseComplete","verb":"get",
        "requestReceivedTimestamp":"2026-03-02T09:00:00.000000Z","stageTimestamp":"2026-03-02T09:00:00.000000Z"}"#;
    fs::write(&log, request.replace('\n', "")).unwrap();
    let found = story.run(&["explain", "Shell started", log.to_str().unwrap(), "-r", "RULES"]);
    assert!(found.out.contains("none is of the source syscall"), "{}{}", found.out, found.err);
}
