//! What `--metrics` and `--textfile` write, judged by promtool and by a Prometheus that is asked over HTTP; and the
//! dashboards of `replay/grafana`, each expression of which is evaluated there.
#![allow(clippy::unwrap_used)] // files of a temporary folder, and captures made here

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use casebook_fixtures::{Container, Proc, Trace, Value};
use casebook_formats::tables::ppme;
use casebook_replay::cli::{self, Exit, Terminals};
use casebook_tests::prometheus::{self, Prometheus};
use serde_json::Value as Json;

const RULES: &str = r"
- rule: shell
  desc: a shell
  condition: evt.type = execve and proc.name = sh
  output: shell
  priority: WARNING
  tags: [container, mitre-x]
- rule: mail
  desc: a mailer
  condition: evt.type = execve and proc.name = sendmail
  output: mail
  priority: CRITICAL
- rule: secret
  desc: a secret
  condition: ka.target.resource = secrets
  output: secret
  priority: NOTICE
  source: k8s_audit
";

const SECOND: u64 = 1_000_000_000;

/// A pod that starts shells at times, on a node that loses events; with one that has a pause of a day.
fn node(hostname: &str, shells: &[u64], pause: bool) -> Vec<u8> {
    let mut trace = Trace::new(hostname);
    let web = Container::docker(&"ab".repeat(32), "web", "nginx", "1").in_pod("shop", "web-0", "6a1d");
    let runtime = trace.process(Proc::new(300, "/usr/bin/runc"));
    trace.container(&web);
    let start = trace.now();
    let entered = trace.enter(runtime, &web);
    trace.execve(entered, "/bin/dash", &["dash"]);
    for (n, second) in shells.iter().enumerate() {
        trace.wait_ns((start + second * SECOND).saturating_sub(trace.now()));
        let child = trace.fork(entered);
        trace.execve(child, "/bin/sh", &["sh"]);
        if n % 2 == 0 {
            trace.emit(-1, ppme::PPME_DROP_E, &[("ratio", Value::Int(2))]);
        }
        if n % 3 == 0 {
            let host = trace.fork(runtime);
            trace.execve(host, "/usr/sbin/sendmail", &["sendmail"]);
        }
    }
    if pause {
        trace.wait_ms(86_400_000);
        let child = trace.fork(entered);
        trace.execve(child, "/bin/sh", &["sh"]);
    }
    trace.finish().unwrap()
}

fn audit_log(start: u64) -> String {
    let event = |second: u64| {
        let time = casebook_replay::summary::iso_time(start + second * SECOND);
        serde_json::json!({
            "kind": "Event", "auditID": second.to_string(), "stage": "ResponseComplete", "verb": "get",
            "objectRef": {"resource": "secrets", "namespace": "shop", "name": "db"}, "stageTimestamp": time,
        })
        .to_string()
    };
    [event(20), event(47), "no json".to_owned(), event(90)].join("\n")
}

struct Inputs {
    folder: tempfile::TempDir,
    inputs: Vec<PathBuf>,
}

fn inputs() -> Inputs {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("rules.yaml"), RULES).unwrap();
    let shells = [1, 7, 8, 9, 40, 41, 100, 101, 102, 103, 104, 300];
    fs::write(at("one.scap"), node("node-1", &shells, true)).unwrap();
    fs::write(at("two.scap"), node("node-2", &[3, 200], false)).unwrap();
    fs::write(at("audit.jsonl"), audit_log(Trace::new("").now())).unwrap();
    let inputs = ["one.scap", "two.scap", "audit.jsonl"].map(at).to_vec();
    Inputs { folder, inputs }
}

impl Inputs {
    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.at(name)).unwrap()
    }

    /// Runs the tool; gives its alerts.
    fn run(&self, options: &[&str]) -> (Vec<Json>, String) {
        let mut args: Vec<String> = ["casebook-replay", "--output", "json", "-r"].map(str::to_owned).into();
        args.push(self.at("rules.yaml").display().to_string());
        for option in options {
            args.push(
                option.strip_prefix('@').map_or((*option).to_owned(), |name| self.at(name).display().to_string()),
            );
        }
        args.extend(self.inputs.iter().map(|input| input.display().to_string()));
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let exit = cli::run_on(args, &mut out, &mut err, Terminals::default());
        let err = String::from_utf8(err).unwrap();
        assert_eq!(exit, Exit::Incomplete, "a line of the log is no JSON: {err}");
        let lines = String::from_utf8(out).unwrap();
        (
            lines
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .filter(|line: &Json| line["rule"] != Json::Null)
                .collect(),
            err,
        )
    }
}

/// Samples of a text: series, value, and time where there is one.
fn samples(text: &str) -> Vec<(&str, u64, Option<f64>)> {
    let sample = |line: &'_ str| -> Option<(usize, u64, Option<f64>)> {
        let end = line.rfind('}')? + 1;
        let mut rest = line[end..].split_whitespace();
        Some((end, rest.next()?.parse().ok()?, rest.next().and_then(|time| time.parse().ok())))
    };
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| sample(line).map(|(end, value, time)| (&line[..end], value, time)).unwrap()).collect()
}

#[test]
fn the_file_is_the_same_whatever_the_number_of_workers_and_its_totals_are_those_of_the_alerts() {
    let inputs = inputs();
    let (alerts, _) = inputs.run(&["--metrics", "@a.om", "--textfile", "@a.prom", "--metrics-names", "all", "-j1"]);
    inputs.run(&["--metrics", "@b.om", "--textfile", "@b.prom", "--metrics-names", "all", "-j4", "--order", "input"]);
    assert_eq!((inputs.text("a.om"), inputs.text("a.prom")), (inputs.text("b.om"), inputs.text("b.prom")));
    assert!(!inputs.at("a.om.part").exists() && !inputs.at("a.prom.part").exists());

    let totals = inputs.text("a.prom");
    let of = |family: &str, labels: &[&str]| -> u64 {
        let has =
            |series: &str| series.starts_with(&format!("{family}{{")) && labels.iter().all(|it| series.contains(it));
        samples(&totals).iter().filter(|(series, ..)| has(series)).map(|(_, value, _)| value).sum()
    };
    let count = |rule: &str, host: &str| {
        alerts.iter().filter(|alert| alert["rule"] == rule && alert["hostname"] == host).count() as u64
    };
    for (rule, host) in [("shell", "node-1"), ("shell", "node-2"), ("mail", "node-1"), ("secret", "")] {
        let (rule_label, host_label) = (format!("rule=\"{rule}\""), format!("hostname=\"{host}\""));
        assert!(count(rule, host) > 0);
        assert_eq!(of("falco_events", &[&rule_label, &host_label]), count(rule, host), "{rule} {host}");
    }
    let exporter = r#"falco_events{hostname="node-1",k8s_ns_name="shop",k8s_pod_name="web-0",priority="4",rule="shell",source="syscall",tags=",container,mitre-x,"} 13"#;
    let sidekick = r#"falcosecurity_falcosidekick_falco_events_total{hostname="unknown",k8s_ns_name="shop",k8s_pod_name="",priority="3",priority_raw="notice",rule="secret",source="k8s_audit"} 3"#;
    let falco = r#"falcosecurity_falco_rules_matches_total{instance="node-1",priority="4",rule_name="shell",source="syscall",tag_container="true",tag_mitre_x="true"} 13"#;
    for line in [exporter, sidekick, falco] {
        assert!(totals.lines().any(|it| it == line), "{line}\n{totals}");
    }
    assert_eq!(of("casebook_drops_total", &["node-1"]), 6);
    assert_eq!(of("falcosecurity_scap_n_drops_total", &["node-2"]), 1);
    assert_eq!(of("casebook_ledger_total", &["broken_audit_documents"]), 1);
    assert_eq!(of("falcosecurity_falcosidekick_inputs_total", &["accepted"]), alerts.len() as u64);

    // The last sample of each series is its total, the first one is 0, and none goes down.
    let timed = inputs.text("a.om");
    let mut lines: BTreeMap<&str, Vec<(f64, u64)>> = BTreeMap::new();
    for (series, value, time) in samples(&timed) {
        lines.entry(series).or_default().push((time.unwrap(), value));
    }
    for (series, total, _) in samples(&totals) {
        let line = &lines[series];
        assert_eq!((line.first().unwrap().1, line.last().unwrap().1), (0, total), "{series}");
        assert!(line.is_sorted(), "{series}");
    }
    // A day without events is a day without samples.
    let recorded = &lines[r#"casebook_recorded{hostname="node-1"}"#];
    assert!(recorded.windows(2).any(|pair| pair[1].0 - pair[0].0 > 80_000.0));
    assert!(recorded.len() < 100);
}

#[test]
fn too_many_pods_and_too_many_samples_are_said() {
    let inputs = inputs();
    let (alerts, said) = inputs.run(&["--metrics", "@a.om", "--textfile", "@a.prom", "--metrics-series", "1"]);
    assert!(said.contains("alerts are counted without their pod (--metrics-series 1)"), "{said}");
    let text = inputs.text("a.prom");
    let total: u64 =
        samples(&text).iter().filter(|(series, ..)| series.starts_with("falco_events{")).map(|(_, n, _)| n).sum();
    assert_eq!(total, alerts.len() as u64, "every alert is counted somewhere");
    let (_, said) = inputs.run(&["--metrics", "@fine.om", "--metrics-step", "0.001"]);
    assert!(said.contains("note: metrics: a sample every"), "{said}");
    assert!(samples(&inputs.text("fine.om")).len() <= 2_000_000);
}

/// The rest of this file asks others' programs.
fn installed() -> bool {
    let available = prometheus::available();
    if let Err(why) = &available {
        writeln!(std::io::stderr(), "{why}").ok(); // past the capture of passing tests
    }
    available.is_ok()
}

#[test]
fn prometheus_answers_with_the_right_values_at_the_right_times() {
    if !installed() {
        return;
    }
    let inputs = inputs();
    let (alerts, _) = inputs.run(&["--metrics", "@m.om", "--textfile", "@m.prom", "--metrics-names", "all"]);
    let (content, said) = prometheus::promtool(&["check", "metrics"], inputs.text("m.prom").as_bytes()).unwrap();
    assert!(content, "{said}");
    let prometheus = backfilled(&inputs);

    // A sample says what happened until its time: asked at the end of a step, the answer is exact.
    let step = 5 * SECOND;
    let times: Vec<u64> = alerts.iter().map(|alert| alert["output_fields"]["evt.time"].as_u64().unwrap()).collect();
    let begin = times.iter().min().unwrap() / step;
    let query = r#"sum(falco_events{k8s_pod_name="web-0",hostname="node-1"})"#;
    let in_pod = |alert: &Json| alert["rule"] == "shell" && alert["hostname"] == "node-1";
    for at in (begin..begin + 61).map(|n| n * step) {
        let expected = alerts.iter().zip(&times).filter(|(alert, ts)| in_pod(alert) && **ts <= at).count();
        let answer = prometheus.instant(query, at as f64 / 1e9).unwrap();
        let value: Option<f64> = answer.first().and_then(|series| series["value"][1].as_str()?.parse().ok());
        assert_eq!(value, Some(expected as f64), "{at}");
    }
    let after = (times.iter().max().unwrap() / step + 1) * step;
    let answer = prometheus.instant("falco_events", after as f64 / 1e9).unwrap();
    let labels: BTreeSet<&str> =
        answer.iter().flat_map(|series| series["metric"].as_object().unwrap().keys()).map(String::as_str).collect();
    let wanted = ["__name__", "hostname", "k8s_ns_name", "k8s_pod_name", "priority", "rule", "source", "tags"];
    assert_eq!(labels, wanted.into(), "as falco-exporter");
    // In the middle of the pause nothing is known.
    let middle = (after - 43_200 * SECOND) as f64 / 1e9;
    assert_eq!(prometheus.instant("falco_events", middle).unwrap(), Vec::<Json>::new());
    // Rates work: the five shells from second 100 on.
    let at = (Trace::new("").now() + 120 * SECOND) as f64 / 1e9;
    let answer = prometheus.instant(r#"increase(falco_events{rule="shell",hostname="node-1"}[1m])"#, at).unwrap();
    let increase: f64 = answer[0]["value"][1].as_str().unwrap().parse().unwrap();
    assert!((4.5..6.0).contains(&increase), "{increase}");
}

/// A Prometheus on the blocks of `m.om`.
fn backfilled(inputs: &Inputs) -> Prometheus {
    let (file, data) = (inputs.at("m.om").display().to_string(), inputs.at("data"));
    let args = ["tsdb", "create-blocks-from", "openmetrics", &file, &data.display().to_string()];
    let (content, said) = prometheus::promtool(&args, b"").unwrap();
    assert!(content, "{said}");
    Prometheus::start(&data).unwrap()
}

/// An expression of a dashboard with its place.
struct Expression {
    place: String,
    text: String,
}

/// All expressions below a value.
fn expressions(place: &str, value: &Json, found: &mut Vec<Expression>) {
    match value {
        Json::Array(items) => items.iter().for_each(|item| expressions(place, item, found)),
        Json::Object(members) => {
            let title = members.get("title").and_then(Json::as_str);
            let place = title.map_or(place.to_owned(), |title| format!("{place}, {title}"));
            for (name, member) in members {
                match member.as_str() {
                    Some(text) if name == "expr" => {
                        found.push(Expression { place: place.clone(), text: text.to_owned() });
                    }
                    _ => expressions(&place, member, found),
                }
            }
        }
        _ => {}
    }
}

/// Puts in what Grafana puts in for its variables.
fn filled(text: &str, variables: &[String]) -> String {
    let mut text = text.replace("$__rate_interval", "1m").replace("$__range", "1h");
    for name in variables {
        text = text.replace(&format!("${name}"), ".*");
    }
    assert!(!text.contains('$'), "a variable that the dashboard does not have: {text}");
    text
}

#[test]
fn every_expression_of_the_dashboards_gives_data() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../replay/grafana");
    let boards: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let boards: Vec<&PathBuf> = boards.iter().filter(|path| path.extension().is_some_and(|it| it == "json")).collect();
    assert!(boards.len() >= 2);
    if !installed() {
        return;
    }
    let inputs = inputs();
    inputs.run(&["--metrics", "@m.om", "--metrics-names", "all"]);
    let prometheus = backfilled(&inputs);
    let start = Trace::new("").now() as f64 / 1e9;
    let span = (start, start + 400.0);
    for path in boards {
        let board: Json = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        let variables = board["templating"]["list"].as_array().unwrap();
        let names: Vec<String> = variables.iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect();
        for query in variables.iter().filter_map(|variable| variable["query"]["query"].as_str()) {
            let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')).unwrap();
            let (series, label) = inner.split_once(", ").unwrap();
            assert!(!prometheus.label_values(label, series, span).unwrap().is_empty(), "{query}");
        }
        let mut found = Vec::new();
        expressions(&path.display().to_string(), &board, &mut found);
        let panels = board["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row").count();
        assert!(found.len() >= panels, "every panel asks something");
        for Expression { place, text } in found {
            let text = filled(&text, &names);
            let answer = prometheus.range(&text, span, 15.0).unwrap_or_else(|error| panic!("{place}: {error}"));
            let has_data = answer.iter().flat_map(|series| series["values"].as_array().unwrap()).count() > 0;
            assert!(has_data, "{place}: no data: {text}");
        }
    }
}
