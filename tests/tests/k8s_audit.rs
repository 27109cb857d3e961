//! Kubernetes audit events: what Falco's own tests expect, in every form in which events come.
#![allow(clippy::unwrap_used)] // files of a temporary folder

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use casebook_replay::cli::Exit;
use casebook_tests::audit::{self, Form};
use casebook_tests::corpora::CORPORA_VARIABLE;
use serde_json::Value as Json;

/// Expectations that the rule file has moved on from, as `EXPECTED.md` says it may: case, what is there instead.
const MOVED_ON: &[(&str, &str)] = &[
    ("create_clusterrolebinding", "the rule is now called `K8s ClusterRoleBinding Created`"),
    ("delete_clusterrole", "the rule is now called `K8s ClusterRole Deleted`"),
    ("create_hostnetwork_trusted_pod", "the list that the override appends to is gone: the load fails, as in Falco"),
    ("create_nohostnetwork_trusted_pod", "the same list"),
    ("create_privileged_trusted_pod", "the same list"),
    ("create_unprivileged_trusted_pod", "the same list"),
    ("create_unsensitive_mount_trusted_pod", "the same list"),
];

/// A row of `EXPECTED.md`.
struct Expected {
    file: String,
    overrides: Vec<String>,
    /// Rule and count; `None`: no alert at all.
    alert: Option<(String, u64)>,
    case: String,
}

fn expected(page: &str) -> Vec<Expected> {
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [file, overrides, alert, case] = cells[..] else { return None };
        let file = file.strip_suffix(".json")?;
        let overrides = overrides.split(", ").filter(|name| *name != "-").map(str::to_owned).collect();
        let alert = match alert {
            "nothing" => None,
            alert => alert.rsplit_once(" = ").map(|(rule, count)| (rule.to_owned(), count.parse().unwrap())),
        };
        Some(Expected { file: format!("{file}.json"), overrides, alert, case: case.to_owned() })
    };
    page.lines().filter_map(row).collect()
}

/// All documents of a file, one a line or one over all lines.
fn documents(path: &Path) -> Vec<Json> {
    let text = fs::read_to_string(path).unwrap();
    serde_json::Deserializer::from_str(&text).into_iter().map(Result::unwrap).collect()
}

fn corpora() -> Option<PathBuf> {
    let root = std::env::var_os(CORPORA_VARIABLE).filter(|root| !root.is_empty());
    if root.is_none() {
        writeln!(std::io::stderr(), "skipped: {CORPORA_VARIABLE} is not set").ok(); // past the capture of passing tests
    }
    root.map(PathBuf::from)
}

#[test]
fn falcos_own_expectations_hold_in_every_form() {
    let Some(root) = corpora() else { return };
    let logs = root.join("k8s-audit");
    let rows = expected(&fs::read_to_string(logs.join("EXPECTED.md")).unwrap());
    assert!(!rows.is_empty());
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = String::new();
    for row in &rows {
        let events = documents(&logs.join(&row.file));
        let mut rules = vec![root.join(audit::RULES)];
        rules.extend(row.overrides.iter().map(|name| logs.join("overrides").join(name)));
        let moved_on = MOVED_ON.iter().any(|(case, _)| *case == row.case);
        for form in Form::EVERY {
            let input = folder.path().join(format!("{form:?}"));
            fs::write(&input, form.wrap(&events).unwrap()).unwrap();
            let outcome = audit::replay(&rules, &[&input], &[]);
            let holds = outcome.exit == Exit::Complete
                && match &row.alert {
                    None => outcome.alerts.is_empty(),
                    Some((rule, count)) => outcome.alerts.get(rule) == Some(count),
                };
            if holds == moved_on {
                let Expected { case, alert, .. } = row;
                writeln!(wrong, "{case} as {form:?}: expected {alert:?}, got {:?} {}", outcome.alerts, outcome.talk)
                    .unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// A request of a stage at a second.
fn request(id: u32, second: u32, verb: &str) -> Json {
    serde_json::json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": format!("id-{id}"), "stage": "ResponseComplete",
        "verb": verb, "requestURI": "/api/v1/namespaces/shop/secrets/db?watch=1", "user": {"username": "alice"},
        "objectRef": {"resource": "secrets", "namespace": "shop", "name": "db"},
        "stageTimestamp": format!("2025-03-01T10:00:{second:02}.000000Z"),
    })
}

const RULES: &str = r"
- rule: secret
  desc: a secret is read
  condition: ka.target.resource = secrets and ka.verb in (get, list) and ka.uri.param[watch] = 1
  output: secret read (user=%ka.user.name name=%ka.target.name source=%evt.source num=%evt.num)
  priority: WARNING
  source: k8s_audit
- rule: shell
  desc: a shell
  condition: evt.type = execve and proc.name = bash
  output: shell (source=%evt.source)
  priority: NOTICE
- rule: login
  desc: somebody logs in to the console
  condition: json.value[/eventName] = ConsoleLogin and json.value[/n/0] = 1.5
  output: login (who=%json.value[/user])
  priority: NOTICE
  source: aws_cloudtrail
- rule: own field
  desc: a field that only the plugin has leaves the rule out
  condition: ct.name = ConsoleLogin
  output: login
  priority: NOTICE
  source: aws_cloudtrail
";

#[test]
fn a_capture_and_a_log_come_in_the_order_of_time_and_each_sees_its_own_rules() {
    use casebook_fixtures::{Proc, Trace};
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("rules.yaml"), RULES).unwrap();
    let mut trace = Trace::new("node");
    let shell = trace.process(Proc::new(10, "/bin/sh"));
    let start = trace.now();
    for _ in 0..2 {
        let child = trace.fork(shell);
        trace.execve(child, "/bin/bash", &["bash"]);
        trace.wait_ms(2000);
    }
    fs::write(at("node.scap"), trace.finish().unwrap()).unwrap();
    // Between the two shells, and after them.
    let stamp = |ns: u64| {
        let mut event = request(ns as u32, 0, "get");
        event["stageTimestamp"] = casebook_replay::summary::iso_time(ns).into();
        event.to_string()
    };
    let log = [stamp(start + 1_500_000_000), stamp(start + 60_000_000_000)].join("\n");
    fs::write(at("audit.jsonl"), log).unwrap();
    let (capture, log) = (at("node.scap"), at("audit.jsonl"));
    for inputs in [[capture.as_path(), &log], [&log, &capture]] {
        for jobs in ["-j1", "-j4"] {
            let outcome = audit::replay(&[at("rules.yaml")], &inputs, &[jobs]);
            assert_eq!(outcome.order, ["shell", "secret", "shell", "secret"], "{}", outcome.talk);
        }
    }
    let by_input = audit::replay(&[at("rules.yaml")], &[&log, &capture], &["--order", "input"]);
    assert_eq!(by_input.order, ["secret", "secret", "shell", "shell"]);
    let filtered = audit::replay(&[at("rules.yaml")], &[&log, &capture], &["--filter", "ka.verb = get"]);
    assert_eq!(filtered.order, ["secret", "secret"], "system calls have no such field");
}

#[test]
fn other_json_sources_are_asked_by_json_fields_and_unknown_ones_are_counted() {
    use casebook_fixtures::{Trace, Value};
    use casebook_formats::tables::ppme;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("rules.yaml"), RULES).unwrap();
    let mut trace = Trace::new("node");
    for (plugin, data) in [
        (2, r#"{"eventName":"ConsoleLogin","user":"eve","n":[1.5]}"#),
        (2, r#"{"eventName":"ConsoleLogin","n":[2]}"#),
        (2, "no json"),
        (999, r#"{"eventName":"ConsoleLogin","n":[1.5]}"#),
    ] {
        let data = [("plugin_id", Value::Int(plugin)), ("event_data", Value::Bytes(data.as_bytes()))];
        trace.emit(-1, ppme::PPME_PLUGINEVENT_E, &data);
    }
    fs::write(at("cloud.scap"), trace.finish().unwrap()).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let (rules, capture) = (at("rules.yaml").display().to_string(), at("cloud.scap").display().to_string());
    let args = ["casebook-replay", "-r", &rules, &capture];
    let exit = casebook_replay::cli::run_on(args, &mut out, &mut err, casebook_replay::cli::Terminals::default());
    let (out, err) = (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap());
    assert_eq!(exit, Exit::Complete, "{err}");
    assert_eq!(out.lines().filter(|line| line.contains("login (who=eve)")).count(), 1, "{out}");
    assert!(out.contains("unsupported_source (data loss): 2."), "{out}");
    assert!(err.contains("LOAD_UNKNOWN_FILTER"), "{err}");
}
