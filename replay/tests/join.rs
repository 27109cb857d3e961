//! Pod execs in an audit log and in a capture: the Kubernetes user at the shell in alerts, events and process trees, with
//! the confidence that the evidence allows; the same whatever the workers, checkpoints, windows and the order of inputs.
#![allow(clippy::unwrap_used)] // files of a temporary folder, and captures made here

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use casebook_fixtures::{Container, Proc, Task, Trace, flags};
use casebook_formats::tables::ppme;
use casebook_formats::write::CaptureWriter;
use casebook_replay::audit::join::{Clocks, Requests};
use casebook_replay::cli::{self, Exit, Terminals};
use casebook_replay::engine::Replay;
use casebook_replay::run::Source;
use casebook_replay::summary::iso_time;
use serde_json::{Value as Json, json};

const SECOND: u64 = 1_000_000_000;

const RULES: &str = r"
- rule: program
  desc: every program
  condition: evt.type in (execve, execveat) and container.id != host
  output: started (program=%proc.name)
  priority: NOTICE
- rule: bob
  desc: what bob does
  condition: evt.type = openat and k8s.user.name = bob
  output: opened (file=%fd.name)
  priority: WARNING
- rule: exec
  desc: an exec
  condition: ka.target.subresource = exec and ka.stage = ResponseStarted
  output: exec (user=%ka.user.name)
  priority: INFO
  source: k8s_audit
";

/// A node, and what the API server logged of it.
struct Story {
    trace: Trace,
    runtime: Task,
    web: Container,
    /// The first process of `web`.
    init: Task,
    start: u64,
    log: Vec<Json>,
}

/// What differs between requests.
struct Asked<'a> {
    user: &'a str,
    second: f64,
    path: &'a str,
    code: u32,
}

impl Story {
    fn new() -> Self {
        let mut trace = Trace::new("node-1");
        let runtime = trace.process(Proc::new(300, "/usr/bin/runc"));
        let web = Container::docker(&"ab".repeat(32), "web", "nginx", "1").in_pod("shop", "web-0", "6a1d");
        let init = trace.process(Proc::new(400, "/usr/sbin/nginx").inside(&web, 1));
        trace.container(&web);
        let start = trace.now();
        Self { trace, runtime, web, init, start, log: Vec::new() }
    }

    fn until(&mut self, second: f64) {
        let at = self.start + (second * 1e9) as u64;
        self.trace.wait_ns(at.saturating_sub(self.trace.now()));
    }

    /// A process is started in a container from outside.
    fn enters(&mut self, second: f64, container: &Container, argv: &[&str]) -> Task {
        self.until(second);
        let task = self.trace.enter(self.runtime, container);
        // As runc does it: itself once more, then the program.
        self.trace.execve(task, "/proc/self/exe", &["/proc/self/exe", "init"]);
        self.trace.execve(task, &format!("/bin/{}", argv[0]), argv);
        task
    }

    /// The API server logs a request, in all its stages.
    fn asked(&mut self, asked: &Asked<'_>) -> String {
        let Asked { user, second, path, code } = *asked;
        let id = format!("id-{}", self.log.len());
        let received = iso_time(self.start + (second * 1e9) as u64);
        let subresource = path.split('?').next().unwrap().rsplit('/').next().unwrap();
        let pod = path.split("/pods/").nth(1).unwrap().split('/').next().unwrap();
        for (stage, after) in
            [("RequestReceived", 0), ("ResponseStarted", 30_000_000), ("ResponseComplete", 60 * SECOND)]
        {
            let status = if stage == "RequestReceived" { Json::Null } else { json!({"code": code}) };
            self.log.push(json!({
                "kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": id, "stage": stage, "verb": "create",
                "user": {"username": user, "groups": ["dev", "system:authenticated"]},
                "sourceIPs": ["10.8.0.4"], "userAgent": "kubectl/v1.31.0",
                "requestURI": format!("/api/v1/namespaces/shop{path}"),
                "objectRef": {"resource": "pods", "namespace": "shop", "name": pod, "subresource": subresource},
                "responseStatus": status, "requestReceivedTimestamp": received,
                "stageTimestamp": iso_time(self.start + (second * 1e9) as u64 + after),
            }));
        }
        id
    }

    fn execs(&mut self, user: &str, second: f64, command: &str) -> String {
        let path = format!("/pods/web-0/exec?{command}&container=web&stdin=true&tty=true");
        self.asked(&Asked { user, second, path: &path, code: 101 })
    }

    /// The same as a capture of plugin events, as Falco records them.
    fn plugin_capture(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = CaptureWriter::new(&mut bytes);
        writer.section().unwrap();
        for event in &self.log {
            let time: jiff::Timestamp = event["stageTimestamp"].as_str().unwrap().parse().unwrap();
            let ts = u64::try_from(time.as_nanosecond()).unwrap();
            let payload = event.to_string();
            let params: &[&[u8]] = &[&1u32.to_le_bytes(), payload.as_bytes()];
            writer.event(ts, -1, 0, ppme::PPME_PLUGINEVENT_E, params).unwrap();
        }
        drop(writer);
        bytes
    }

    fn written(&self) -> Files {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("rules.yaml"), RULES).unwrap();
        fs::write(at("node.scap"), self.trace.finish().unwrap()).unwrap();
        let log: Vec<String> = self.log.iter().map(Json::to_string).collect();
        fs::write(at("audit.jsonl"), log.join("\n")).unwrap();
        Files { folder }
    }
}

struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the tool; words that begin with `@` are files.
    fn run(&self, args: &[&str]) -> (Exit, String, String) {
        let word =
            |arg: &&str| arg.strip_prefix('@').map_or((*arg).to_owned(), |name| self.at(name).display().to_string());
        let args: Vec<String> = ["casebook-replay"].iter().chain(args).map(word).collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let exit = cli::run_on(args, &mut out, &mut err, Terminals::default());
        (exit, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    /// Programs with the users behind them, in the order of their starts.
    fn programs(&self, options: &[&str]) -> Vec<String> {
        let args = [
            "events",
            "--filter",
            "evt.type = execve and container.id != host",
            "-p",
            "*%proc.name %k8s.user.name %k8s.user.via %k8s.user.confidence",
            "@node.scap",
        ];
        let (exit, out, err) = self.run(&[&args[..], options].concat());
        assert_eq!(exit, Exit::Complete, "{err}");
        out.lines().filter(|line| !line.starts_with("exe ")).map(str::to_owned).collect()
    }
}

fn session() -> (Story, String) {
    let mut story = Story::new();
    let id = story.execs("alice", 5.0, "command=sh&command=-c&command=id%3B+cat");
    let web = story.web.clone();
    let shell = story.enters(5.2, &web, &["sh", "-c", "id; cat"]);
    story.trace.spawn(shell, "/usr/bin/id", &["id"]);
    let left = story.trace.fork(shell);
    story.trace.exit(shell, 0);
    story.trace.wait_ms(20_000);
    // Nobody is above it any more, and it is still alice's.
    story.trace.execve(left, "/usr/bin/nc", &["nc", "-l"]);
    story.trace.open(left, "/etc/passwd", flags::READ);
    // A probe, and something that the container does itself.
    story.enters(40.0, &web, &["probe"]);
    let init = story.init;
    story.trace.spawn(init, "/bin/logrotate", &["logrotate"]);
    // The same command as bob's, long before anybody asked for it.
    story.enters(50.0, &web, &["bash"]);
    story.execs("bob", 100.0, "command=bash");
    let bash = story.enters(100.4, &web, &["bash"]);
    story.trace.open(bash, "/etc/shadow", flags::READ);
    (story, id)
}

#[test]
fn the_user_is_at_the_shell_and_at_all_that_came_of_it() {
    let (story, id) = session();
    let files = story.written();
    let expected = [
        "sh alice exec high",
        "id alice exec high",
        "nc alice exec high",
        "probe <NA> <NA> <NA>",
        "logrotate <NA> <NA> <NA>",
        "bash <NA> <NA> <NA>",
        "bash bob exec high",
    ];
    assert_eq!(files.programs(&["--audit", "@audit.jsonl"]), expected);
    assert!(files.programs(&[]).iter().all(|line| line.ends_with("<NA> <NA> <NA>")), "nobody asked");

    let (exit, out, err) = files.run(&["-r", "@rules.yaml", "--output", "json", "@node.scap", "@audit.jsonl"]);
    assert_eq!(exit, Exit::Complete, "{err}");
    let alerts: Vec<Json> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let shell = alerts.iter().find(|alert| alert["output_fields"]["proc.name"] == "sh").unwrap();
    let fields = &shell["output_fields"];
    assert_eq!((&fields["k8s.user.name"], &fields["k8s.user.confidence"]), (&json!("alice"), &json!("high")));
    assert_eq!(
        (&fields["k8s.user.audit_id"], &fields["k8s.user.groups"]),
        (&json!(id), &json!(["dev", "system:authenticated"]))
    );
    assert_eq!(fields["k8s.user.source_ips"], json!(["10.8.0.4"]));
    let text = format!(
        "Notice started (program=sh) k8s_user_name=alice k8s_user_via=exec k8s_user_confidence=high k8s_user_audit_id={id}"
    );
    assert!(shell["output"].as_str().unwrap().ends_with(&text), "{shell}");
    let probe = alerts.iter().find(|alert| alert["output_fields"]["proc.name"] == "probe").unwrap();
    assert!(!probe.to_string().contains("k8s.user"), "{probe}");
    // A condition may ask for the user.
    let bobs: Vec<&Json> = alerts.iter().filter(|alert| alert["rule"] == "bob").collect();
    assert_eq!(bobs.len(), 1);
    assert_eq!(bobs[0]["output_fields"]["fd.name"], "/etc/shadow");

    let (exit, out, err) = files.run(&["ps", "--audit", "@audit.jsonl", "@node.scap"]);
    assert_eq!(exit, Exit::Complete, "{err}");
    let row = |program: &str| out.lines().find(|line| line.contains(program)).unwrap().to_owned();
    assert!(out.lines().next().unwrap().contains("K8S USER"), "{out}");
    assert!(row("nc -l").contains("alice (exec, high)") && row("nginx").contains(" - "), "{out}");
    let (_, out, _) = files.run(&["ps", "--output", "json", "--audit", "@audit.jsonl", "@node.scap"]);
    let rows: Vec<Json> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let nc = rows.iter().find(|row| row["comm"] == "nc").unwrap();
    assert_eq!((&nc["k8s_user"], &nc["k8s_user_confidence"]), (&json!("alice"), &json!("high")));
    let (_, out, _) = files.run(&["ps", "@node.scap"]);
    assert!(!out.contains("K8S USER"));
}

#[test]
fn workers_checkpoints_windows_and_orders_change_nothing() {
    let (story, _) = session();
    let files = story.written();
    let (_, expected, _) = files.run(&["-r", "@rules.yaml", "--output", "json", "-j1", "@node.scap", "@audit.jsonl"]);
    assert!(expected.contains("alice"));
    let (_, swapped, _) = files.run(&["-r", "@rules.yaml", "--output", "json", "-j4", "@audit.jsonl", "@node.scap"]);
    let alerts = |text: &str| {
        text.lines().filter(|line| !line.starts_with("{\"summary\"")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(alerts(&swapped), alerts(&expected));
    // The same capture in small frames with checkpoints, made without the log.
    let raw = fs::read(files.at("node.scap")).unwrap();
    let options = casebook_formats::seekable::Options { frame_bytes: 2048, level: 1 };
    let file = fs::File::create(files.at("framed.scap.zst")).unwrap();
    let mut writer = casebook_formats::seekable::SeekableWriter::new(file, options).unwrap();
    std::io::Write::write_all(&mut writer, &raw).unwrap();
    writer.finish().unwrap();
    let (exit, _, err) = files.run(&["index", "@framed.scap.zst"]);
    assert_eq!(exit, Exit::Complete, "{err}");
    let only = |options: &[&str]| {
        let args = ["-r", "@rules.yaml", "--output", "json", "--audit", "@audit.jsonl", "@framed.scap.zst"];
        alerts(&files.run(&[&args[..], options].concat()).1)
    };
    let whole = only(&["-j1"]);
    assert_eq!(whole.iter().filter(|line| line.contains("k8s.user.name")).count(), 5);
    assert_eq!(only(&["-j5"]), whole);
    let late: Vec<String> = whole.iter().filter(|line| line.contains("T09:01:4")).cloned().collect();
    assert_eq!(only(&["--from", "+90s"]), late);
}

#[test]
fn what_does_not_agree_does_not_bind() {
    for (second, path, code, why) in [
        (30.0, "/pods/web-0/exec?command=sh", 403, "refused"),
        (30.0, "/pods/web-0/exec?command=bash", 101, "another command"),
        (30.0, "/pods/web-0/exec?command=sh&command=-i", 101, "more of a command"),
        (30.0, "/pods/web-1/exec?command=sh", 101, "another pod"),
        (30.0, "/pods/web-0/exec?command=sh&container=sidecar", 101, "another container"),
        (35.0, "/pods/web-0/exec?command=sh", 101, "after it"),
        (5.0, "/pods/web-0/exec?command=sh", 101, "long before"),
        (30.0, "/pods/web-0/portforward?command=sh", 101, "no exec"),
    ] {
        let mut story = Story::new();
        story.asked(&Asked { user: "alice", second, path, code });
        let web = story.web.clone();
        story.enters(30.2, &web, &["sh"]);
        assert_eq!(story.written().programs(&["--audit", "@audit.jsonl"]), ["sh <NA> <NA> <NA>"], "{why}");
    }
}

#[test]
fn clocks_may_differ_by_what_is_allowed() {
    let mut story = Story::new();
    story.execs("alice", 6.5, "command=sh");
    let web = story.web.clone();
    story.enters(5.2, &web, &["sh"]);
    let files = story.written();
    assert_eq!(files.programs(&["--audit", "@audit.jsonl"]), ["sh alice exec high"]);
    assert_eq!(files.programs(&["--audit", "@audit.jsonl", "--audit-skew", "0.5"]), ["sh <NA> <NA> <NA>"]);
}

#[test]
fn several_users_and_unknown_pods_lower_the_confidence() {
    let mut story = Story::new();
    story.execs("carol", 5.0, "command=sh");
    story.execs("dave", 4.0, "command=sh");
    let web = story.web.clone();
    story.enters(5.2, &web, &["sh"]);
    // Nothing describes this one.
    let silent = Container::docker(&"cd".repeat(32), "x", "x", "1").in_pod("shop", "other", "77");
    story.asked(&Asked { user: "erin", second: 60.0, path: "/pods/other/exec?command=ash", code: 101 });
    story.enters(60.5, &silent, &["ash"]);
    let programs = story.written().programs(&["--audit", "@audit.jsonl"]);
    assert_eq!(programs, ["sh carol exec low", "ash erin exec low"]);
}

#[test]
fn a_clock_that_is_known_to_be_wrong_is_put_right() {
    let mut story = Story::new();
    story.execs("alice", 95.0, "command=sh");
    let web = story.web.clone();
    story.enters(5.2, &web, &["sh"]);
    let files = story.written();
    assert_eq!(files.programs(&["--audit", "@audit.jsonl"]), ["sh <NA> <NA> <NA>"]);
    for offset in ["-90", "-89.5"] {
        let corrected = files.programs(&["--audit", "@audit.jsonl", "--audit-skew", "0.5", "--audit-offset", offset]);
        assert_eq!(corrected, ["sh alice exec high"], "{offset}");
    }
    let (exit, _, err) = files.run(&["ps", "--audit-offset", "soon", "@node.scap"]);
    assert!(exit == Exit::Usage && err.contains("'soon' is not a number of seconds"), "{err}");
}

#[test]
fn who_else_it_may_be_is_named_and_the_end_of_a_session_excludes() {
    let mut story = Story::new();
    story.execs("carol", 5.0, "command=sh");
    story.execs("bob", 5.5, "command=sh");
    // Bob's session ends two seconds after it began.
    story.log[5]["stageTimestamp"] = iso_time(story.start + 7_500_000_000).into();
    let web = story.web.clone();
    story.enters(6.0, &web, &["sh"]);
    story.enters(9.8, &web, &["sh"]);
    let files = story.written();
    let shown =
        ["events", "-p", "*%proc.name %k8s.user.name %k8s.user.confidence %k8s.user.others", "--audit", "@audit.jsonl"];
    let filter = ["--filter", "evt.type = execve and proc.name = sh", "@node.scap"];
    let (_, out, err) = files.run(&[&shown[..], &filter].concat());
    assert_eq!(out, "sh bob low (carol)\nsh carol high <NA>\n", "{err}");
    let (_, out, _) = files.run(&["-r", "@rules.yaml", "--audit", "@audit.jsonl", "@node.scap"]);
    let line = out.lines().find(|line| line.contains("k8s_user_name=bob")).unwrap();
    assert!(line.ends_with(" k8s_user_confidence=low k8s_user_audit_id=id-3 k8s_user_others=carol"), "{line}");
    let (_, out, _) = files.run(&["ps", "--audit", "@audit.jsonl", "@node.scap"]);
    assert!(out.contains("bob (exec, low: or carol)") && out.contains("carol (exec, high)"), "{out}");
}

#[test]
fn audit_events_in_captures_and_on_standard_input_are_joined_too() {
    let (story, _) = session();
    let files = story.written();
    let expected = files.programs(&["--audit", "@audit.jsonl"]);
    let plugin = story.plugin_capture();
    fs::write(files.at("plugin.scap"), &plugin).unwrap();
    assert_eq!(files.programs(&["--audit", "@plugin.scap"]), expected);
    // In the order of time, as beside a log.
    let (_, beside_log, _) = files.run(&["-r", "@rules.yaml", "@node.scap", "@audit.jsonl"]);
    let (_, beside_capture, err) = files.run(&["-r", "@rules.yaml", "@node.scap", "@plugin.scap"]);
    assert!(beside_log.contains("k8s_user_name=alice"));
    assert_eq!(beside_capture, beside_log, "{err}");
    // Both in one capture, plain and with frame records.
    let both = [fs::read(files.at("node.scap")).unwrap(), plugin].concat();
    fs::write(files.at("both.scap"), &both).unwrap();
    let options = casebook_formats::seekable::Options { frame_bytes: 2048, level: 1 };
    let file = fs::File::create(files.at("both.scap.zst")).unwrap();
    let mut writer = casebook_formats::seekable::SeekableWriter::new(file, options).unwrap();
    std::io::Write::write_all(&mut writer, &both).unwrap();
    writer.finish().unwrap();
    for name in ["@both.scap", "@both.scap.zst"] {
        let (_, out, err) = files.run(&["ps", "--at", "+1m", name]);
        assert!(out.contains("alice (exec, high)"), "{name}\n{out}\n{err}");
    }
    // What standard input held.
    let log = fs::read(files.at("audit.jsonl")).unwrap();
    let held = Source::Input { head: log.clone().into(), whole: true };
    assert_eq!(Requests::read(&[held], &[], Clocks::default()).unwrap().requests.len(), 2);
    let endless = Source::Input { head: log.into(), whole: false };
    let read = Requests::read(&[endless], &[], Clocks::default()).unwrap();
    assert!(read.requests.is_empty() && read.notes[0].contains("too long to be held"), "{:?}", read.notes);
}

#[test]
fn what_runs_already_when_the_capture_begins_is_bound_without_its_time() {
    let mut story = Story::new();
    story.execs("alice", 600.0, "command=sh");
    story.start += 3600 * SECOND;
    let shell = story.trace.process(Proc::new(500, "/bin/sh").inside(&story.web.clone(), 77));
    story.until(1.0);
    story.trace.spawn(shell, "/usr/bin/id", &["id"]);
    // argv[0] of processes in the list is their path.
    for event in &mut story.log {
        event["requestURI"] = "/api/v1/namespaces/shop/pods/web-0/exec?command=/bin/sh".into();
    }
    assert_eq!(story.written().programs(&["--audit", "@audit.jsonl"]), ["id alice exec medium"]);
}

#[test]
fn attach_and_debug() {
    let mut story = Story::new();
    let init = story.init;
    story.until(2.0);
    story.trace.spawn(init, "/bin/before", &["before"]);
    story.asked(&Asked { user: "erin", second: 10.0, path: "/pods/web-0/attach?container=web&stdin=true", code: 101 });
    story.until(12.0);
    story.trace.spawn(init, "/bin/during", &["during"]);
    story.until(100.0);
    story.trace.spawn(init, "/bin/after", &["after"]);
    let debugger = Container::docker(&"ef".repeat(32), "debugger-x", "busybox", "1").in_pod("shop", "web-0", "6a1d");
    story.asked(&Asked { user: "frank", second: 200.0, path: "/pods/web-0/ephemeralcontainers", code: 200 });
    for event in story.log.iter_mut().skip(3) {
        event["verb"] = "patch".into();
        event["requestObject"] = json!({"spec": {"ephemeralContainers": [{"name": "debugger-x", "image": "busybox"}]}});
    }
    story.trace.container(&debugger);
    story.until(230.0);
    let first = story.trace.start(story.runtime, &debugger);
    story.trace.execve(first, "/bin/sh", &["sh"]);
    story.trace.spawn(first, "/bin/strings", &["strings"]);
    let programs = story.written().programs(&["--audit", "@audit.jsonl"]);
    let expected = [
        "before <NA> <NA> <NA>",
        "during erin attach low",
        "after <NA> <NA> <NA>",
        "sh frank debug high",
        "strings frank debug high",
    ];
    assert_eq!(programs, expected);
}

#[test]
fn events_of_both_sources_have_their_own_fields() {
    let (story, _) = session();
    let files = story.written();
    let lines = |args: &[&str]| {
        let (exit, out, err) = files.run(&[&["events"], args].concat());
        assert_eq!(exit, Exit::Complete, "{err}");
        (out.lines().map(str::to_owned).collect::<Vec<_>>(), err)
    };
    let format = "%evt.num %ka.user.name %ka.verb %ka.target.name";
    let (audit, said) = lines(&["-p", format, "--filter", "ka.stage = ResponseStarted", "@node.scap", "@audit.jsonl"]);
    assert_eq!(audit, ["2 alice create web-0", "5 bob create web-0"], "{said}");
    let (both, said) = lines(&["-p", "%evt.num %evt.source", "@node.scap", "@audit.jsonl"]);
    assert_eq!(both.iter().filter(|line| line.ends_with("k8s_audit")).count(), 6);
    assert!(both.len() > 20 && !said.contains("no such fields"), "{said}");
    let (calls, said) = lines(&["-p", "%proc.name", "@node.scap", "@audit.jsonl"]);
    assert!(calls.iter().all(|line| !line.contains("k8s")));
    assert!(said.contains("audit.jsonl: 6 events are of a source that has no such fields as -p names"), "{said}");
    let (default, _) = lines(&["-n", "1", "@audit.jsonl"]);
    assert!(default[0].ends_with("RequestReceived create /api/v1/namespaces/shop/pods/web-0/exec?command=sh&command=-c&command=id%3B+cat&container=web&stdin=true&tty=true (user=alice code=<NA>)"), "{default:?}");
    let (exit, _, err) = files.run(&["events", "-p", "%ka.verb %proc.name", "@node.scap"]);
    assert_eq!(exit, Exit::Rules, "{err}");
    // A folder with both gives both, and the user at the shell.
    let folder = files.folder.path().display().to_string();
    let (out, _) = lines(&["-p", "*%proc.name %k8s.user.name", "--filter", "proc.name = sh", &folder]);
    assert!(out.contains(&"sh alice".to_owned()), "{out:?}");
}

#[test]
fn malformed_lines_are_counted_with_their_numbers_and_stop_nothing() {
    let (mut story, _) = session();
    let good = story.log[1].to_string();
    let mut typed = story.log[4].clone();
    typed["user"] = json!("bob");
    typed["auditID"] = json!("typed");
    let mut nameless = story.log[4].clone();
    nameless.as_object_mut().unwrap().remove("auditID");
    let mut timeless = story.log[4].clone();
    timeless.as_object_mut().unwrap().remove("stageTimestamp");
    let mut mistimed = timeless.clone();
    mistimed["stageTimestamp"] = json!(5);
    story.log.clear();
    let files = story.written();
    let deep = format!("{{\"kind\":\"Event\",\"x\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let long = format!("{{\"kind\":\"Event\",\"x\":\"{}\"}}", "y".repeat(10 << 20));
    let lines = [
        good.clone(),
        "{\"kind\":".to_owned(),
        good.clone(),
        deep,
        long,
        "\u{0}\u{1}".to_owned(),
        typed.to_string(),
        nameless.to_string(),
        timeless.to_string(),
        mistimed.to_string(),
        "{\"kind\":\"Pod\"}".to_owned(),
        good,
    ];
    fs::write(files.at("audit.jsonl"), lines.join("\n")).unwrap();
    let (exit, out, err) = files.run(&["-r", "@rules.yaml", "--output", "json", "@audit.jsonl"]);
    assert_eq!(exit, Exit::Incomplete, "{err}");
    for note in [
        "broken_audit_documents 3 (line 2, 4, 6)",
        "oversized_audit_events 1 (line 5)",
        "untimed_audit_events 2 (line 9, 10)",
        "foreign_documents 1 (line 11)",
        "repeated_audit_events 2 (line 3, 12)",
        "mistyped_audit_events 1 (line 7)",
        "unidentified_audit_events 1 (line 8)",
    ] {
        assert!(err.contains(note), "{note}\n{err}");
    }
    let summary: Json = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!(summary["summary"]["captures"][0]["events"], 5);
}

#[test]
fn the_library_tells_as_the_fields_do() {
    let (story, id) = session();
    let files = story.written();
    let read = Requests::read(&[Source::File(files.at("audit.jsonl"))], &[], Clocks::default()).unwrap();
    assert_eq!((read.requests.len(), read.notes.len()), (2, 0));
    let mut replay = Replay::new().joined(&Arc::new(read.requests));
    let mut reader = casebook_formats::capture::CaptureReader::open(&files.at("node.scap")).unwrap();
    let mut bound = Vec::new();
    replay
        .run(&mut reader, |context| {
            if context.event.etype == ppme::PPME_SYSCALL_EXECVE_19_X
                && let Some(binding) = context.k8s_user()
            {
                bound.push((binding.request.user.clone(), binding.request.audit_id.clone()));
            }
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(bound.first(), Some(&("alice".to_owned(), id)));
}
