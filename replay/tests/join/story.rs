//! A node, what the API server logged of it, and both as files.

use std::fs;
use std::path::PathBuf;

use casebook_fixtures::{Container, Proc, Task, Trace, flags};
use casebook_formats::tables::ppme;
use casebook_formats::write::CaptureWriter;
use casebook_replay::cli::Exit;
use casebook_replay::summary::iso_time;
use serde_json::{Value as Json, json};

use crate::program::{Answer, within};

pub(crate) const SECOND: u64 = 1_000_000_000;

pub(crate) const RULES: &str = r"
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
pub(crate) struct Story {
    pub(crate) trace: Trace,
    pub(crate) runtime: Task,
    pub(crate) web: Container,
    /// The first process of `web`.
    pub(crate) init: Task,
    pub(crate) start: u64,
    pub(crate) log: Vec<Json>,
}

/// What differs between requests.
pub(crate) struct Asked<'a> {
    pub(crate) user: &'a str,
    pub(crate) second: f64,
    pub(crate) path: &'a str,
    pub(crate) code: u32,
}

impl Story {
    pub(crate) fn new() -> Self {
        let mut trace = Trace::new("node-1");
        let runtime = trace.process(Proc::new(300, "/usr/bin/runc"));
        let web = Container::docker(&"ab".repeat(32), "web", "nginx", "1").in_pod("shop", "web-0", "6a1d");
        let init = trace.process(Proc::new(400, "/usr/sbin/nginx").inside(&web, 1));
        trace.container(&web);
        let start = trace.now();
        Self { trace, runtime, web, init, start, log: Vec::new() }
    }

    pub(crate) fn until(&mut self, second: f64) {
        let at = self.start + (second * 1e9) as u64;
        self.trace.wait_ns(at.saturating_sub(self.trace.now()));
    }

    /// A process is started in a container from outside.
    pub(crate) fn enters(&mut self, second: f64, container: &Container, argv: &[&str]) -> Task {
        self.until(second);
        let task = self.trace.enter(self.runtime, container);
        // As runc does it: itself once more, then the program.
        self.trace.execve(task, "/proc/self/exe", &["/proc/self/exe", "init"]);
        self.trace.execve(task, &format!("/bin/{}", argv[0]), argv);
        task
    }

    /// The API server logs a request, in all its stages.
    pub(crate) fn asked(&mut self, asked: &Asked<'_>) -> String {
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

    pub(crate) fn execs(&mut self, user: &str, second: f64, command: &str) -> String {
        let path = format!("/pods/web-0/exec?{command}&container=web&stdin=true&tty=true");
        self.asked(&Asked { user, second, path: &path, code: 101 })
    }

    /// The same as a capture of plugin events, as Falco records them.
    pub(crate) fn plugin_capture(&self) -> Vec<u8> {
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

    pub(crate) fn written(&self) -> Files {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("rules.yaml"), RULES).unwrap();
        fs::write(at("node.scap"), self.trace.finish().unwrap()).unwrap();
        let log: Vec<String> = self.log.iter().map(Json::to_string).collect();
        fs::write(at("audit.jsonl"), log.join("\n")).unwrap();
        Files { folder }
    }
}

pub(crate) struct Files {
    pub(crate) folder: tempfile::TempDir,
}

impl Files {
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the tool; words that begin with `@` are files.
    pub(crate) fn run(&self, args: &[&str]) -> (Exit, String, String) {
        let word =
            |arg: &&str| arg.strip_prefix('@').map_or((*arg).to_owned(), |name| self.at(name).display().to_string());
        let Answer { exit, out, err } = within(&args.iter().map(word).collect::<Vec<_>>());
        (exit, out, err)
    }

    /// Programs with the users behind them, in the order of their starts.
    pub(crate) fn programs(&self, options: &[&str]) -> Vec<String> {
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

pub(crate) fn session() -> (Story, String) {
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
