//! `casebook-replay events`, `ps` and `fds` as a user meets them, on the built-in example and on small stories.

// What fails in the set-up of a test is a failure of the test.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Read, Write};

use std::process::{Command, Stdio};

use casebook_fixtures::{Container, EXAMPLE, Endpoint, Proc, START, Task, Trace, flags};
use serde_json::Value as Json;
use tempfile::TempDir;

struct Outcome {
    code: i32,
    out: String,
    err: String,
}

impl Outcome {
    fn lines(&self) -> Vec<&str> {
        self.out.lines().collect()
    }

    fn json(&self) -> Vec<Json> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// A folder with the example capture; commands run in it.
fn bench() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("example.scap"), EXAMPLE).unwrap();
    root
}

fn command(root: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_casebook-replay"));
    command.current_dir(root.path()).stdin(Stdio::null());
    command
}

fn run(root: &TempDir, args: &[&str]) -> Outcome {
    let output = command(root).args(args).output().unwrap();
    Outcome {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn store(root: &TempDir, name: &str, trace: &Trace) {
    fs::write(root.path().join(name), trace.finish().unwrap()).unwrap();
}

/// A shell reads three files, a second apart, and says something to a web server in between.
fn story() -> Trace {
    let mut trace = Trace::new("desk");
    let shell = trace.process(Proc::new(500, "/bin/sh").argv(&["sh", "-i"]).uid(1000).login(1000, 0x8803));
    trace.open(shell, "/etc/hosts", flags::READ);
    trace.wait_ms(1000);
    trace.open(shell, "/etc/passwd", flags::READ);
    let curl = trace.fork(shell);
    trace.execve(curl, "/usr/bin/curl", &["curl", "http://example.org"]);
    trace.connect(curl, Endpoint::new("10.0.0.2", 40000), Endpoint::new("192.0.2.7", 80));
    trace.wait_ms(1000);
    trace.exit(curl, 0);
    trace.wait_ms(1000);
    trace.open(shell, "/etc/shadow", flags::READ);
    trace
}

#[test]
fn the_default_line_is_that_of_sysdig() {
    let root = bench();
    store(&root, "story.scap", &story());
    let outcome = run(&root, &["events", "story.scap"]);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    let lines = outcome.lines();
    assert!(
        lines[0].starts_with("1 09:00:00.000000000 0 sh (500) < openat fd=3(<f>/etc/hosts) dirfd=-100(AT_FDCWD)"),
        "{}",
        lines[0]
    );
    assert!(lines.iter().any(|line| line.contains(" curl (") && line.contains(" < connect ")), "{}", outcome.out);
    let example = run(&root, &["events", "--example", "-n", "5"]);
    assert_eq!((example.code, example.lines().len()), (0, 5));
    assert_eq!(run(&root, &["events", "example.scap", "-n5"]).out, example.out);
}

#[test]
fn formats_choose_fields_and_leave_out_events_without_them() {
    let root = bench();
    store(&root, "story.scap", &story());
    let names = run(&root, &["events", "-p", "%evt.type %fd.name", "story.scap"]);
    assert_eq!(names.lines()[..2], ["openat /etc/hosts", "openat /etc/passwd"]);
    assert!(names.lines().iter().all(|line| !line.starts_with("clone")), "{}", names.out);
    assert!(names.err.contains("story.scap: ") && names.err.contains("a value of the format"), "{}", names.err);
    let all = run(&root, &["events", "-p", "*%evt.type %fd.name", "story.scap"]);
    assert!(all.lines().contains(&"clone <NA>"), "{}", all.out);
    assert_eq!(all.err, "");
    let left_out = all.lines().len() - names.lines().len();
    assert!(names.err.contains(&format!(": {left_out} events lack")), "{}", names.err);
    assert_eq!(run(&root, &["events", "-q", "-p", "%evt.type %fd.name", "story.scap"]).err, "");
    let containers = run(&root, &["events", "-pc", "-n1", "story.scap"]);
    assert!(
        containers.out.starts_with("1 09:00:00.000000000 0 host (host) sh (500:500) < openat"),
        "{}",
        containers.out
    );
    for (format, message) in [("%evt.nmu", "evt.num"), ("", "empty"), ("100%", "%")] {
        let outcome = run(&root, &["events", "-p", format, "story.scap"]);
        assert_eq!((outcome.code, outcome.out.as_str()), (3, ""), "{format}");
        assert!(outcome.err.contains("error: -p: ") && outcome.err.contains(message), "{format}: {}", outcome.err);
    }
}

#[test]
fn json_has_the_fields_of_the_format() {
    let root = bench();
    store(&root, "story.scap", &story());
    let outcome = run(&root, &["events", "--output", "json", "-p", "*%evt.num %fd.name %proc.aname[1]", "story.scap"]);
    let text = run(&root, &["events", "story.scap"]);
    let objects = outcome.json();
    assert_eq!(objects.len(), text.lines().len());
    assert_eq!(objects[0], serde_json::json!({"evt.num": 1, "fd.name": "/etc/hosts", "proc.aname[1]": "systemd"}));
    assert!(objects.iter().any(|object| object["fd.name"].is_null()));
    let complete = run(&root, &["events", "--output", "json", "-p", "%evt.num %fd.name", "story.scap"]);
    assert!(complete.json().iter().all(|object| !object["fd.name"].is_null()) && complete.json().len() < objects.len());
}

#[test]
fn filter_and_window_choose_events() {
    let root = bench();
    store(&root, "story.scap", &story());
    let files = |options: &[&str]| -> Vec<String> {
        let mut args = vec!["events", "-q", "-p", "%fd.name", "--filter", "evt.type = openat", "story.scap"];
        args.extend(options);
        let outcome = run(&root, &args);
        assert_eq!(outcome.code, 0, "{options:?}: {}", outcome.err);
        outcome.lines().into_iter().map(str::to_owned).collect()
    };
    assert_eq!(files(&[]), ["/etc/hosts", "/etc/passwd", "/etc/shadow"]);
    assert_eq!(files(&["-n", "2"]), ["/etc/hosts", "/etc/passwd"]);
    assert_eq!(files(&["--from", "+0.5s"]), ["/etc/passwd", "/etc/shadow"]);
    assert_eq!(files(&["--to", "+0"]), ["/etc/hosts"]);
    assert_eq!(files(&["--from", "+500ms", "--to", "+2500ms"]), ["/etc/passwd"]);
    assert_eq!(files(&["--from", "09:00:00.5", "--to", "09:00:02"]), ["/etc/passwd"]);
    assert_eq!(files(&["--from", &START.to_string(), "--to", &START.to_string()]), ["/etc/hosts"]);
    assert_eq!(files(&["--from", "2026-03-02T10:00:02+01:00"]), ["/etc/shadow"]);
    assert_eq!(files(&["--from", "+1h"]), [""; 0]);
    let nothing = run(&root, &["events", "--from", "2030-01-01", "story.scap"]);
    let told =
        "story.scap: no event is within --from and --to; events were read from 2026-03-02T09:00:00.000000000Z to ";
    assert!(nothing.code == 0 && nothing.err.contains(told), "{}", nothing.err);
    assert_eq!(run(&root, &["events", "--from", "+3s", "story.scap"]).err, "");
    for (option, value, code) in [("--filter", "evt.tipe = open", 3), ("--from", "yesterday", 2), ("-n", "0", 2)] {
        let outcome = run(&root, &["events", option, value, "story.scap"]);
        assert_eq!((outcome.code, outcome.out.as_str()), (code, ""), "{option}: {}", outcome.err);
    }
}

/// Events out of order by less than a second are not lost behind the end of the window.
#[test]
fn the_end_of_the_window_allows_for_disorder() {
    let root = bench();
    let mut trace = Trace::new("desk");
    let shell = trace.process(Proc::new(500, "/bin/sh"));
    trace.open(shell, "/first", flags::READ);
    trace.wait_ms(900);
    trace.open(shell, "/late", flags::READ);
    store(&root, "order.scap", &trace);
    let mut bytes = fs::read(root.path().join("order.scap")).unwrap();
    // The second event's time, put in front of the first one's by swapping the two.
    let times: Vec<usize> = [START, START + 900_250_000]
        .iter()
        .map(|time| bytes.windows(8).position(|window| window == time.to_le_bytes()).unwrap())
        .collect();
    for at in 0..8 {
        bytes.swap(times[0] + at, times[1] + at);
    }
    fs::write(root.path().join("order.scap"), bytes).unwrap();
    let outcome = run(&root, &["events", "-p", "%fd.name", "--to", &START.to_string(), "order.scap"]);
    assert_eq!(outcome.lines(), ["/late"], "{}", outcome.err);
}

#[test]
fn values_cannot_act_and_the_format_can() {
    let root = bench();
    let mut trace = Trace::new("desk");
    let shell = trace.process(Proc::new(500, "/bin/sh"));
    trace.open(shell, "/tmp/\u{1b}[31mred\nline", flags::READ);
    store(&root, "evil.scap", &trace);
    let outcome = run(&root, &["events", "-p", "\u{1b}[1m%fd.name\t%evt.num", "evil.scap"]);
    assert_eq!(outcome.out, "\u{1b}[1m/tmp/\\u001b[31mred\\u000aline\t1\n");
    let json = run(&root, &["events", "--output", "json", "-p", "%fd.name", "evil.scap"]);
    assert_eq!(json.out, "{\"fd.name\":\"/tmp/\\u001b[31mred\\nline\"}\n");
    let fds = run(&root, &["fds", "--pid", "500", "evil.scap"]);
    assert!(
        fds.out.contains("/tmp/\\x1b[31mred\\x0aline") || fds.out.contains("/tmp/\\x1b[31mred\\nline"),
        "{}",
        fds.out
    );
    assert!(!fds.out.contains('\u{1b}'));
}

#[test]
fn events_take_inputs_and_end_as_run_does() {
    let root = bench();
    fs::create_dir(root.path().join("dir")).unwrap();
    for name in ["a.scap", "b.scap"] {
        fs::write(root.path().join("dir").join(name), EXAMPLE).unwrap();
    }
    let one = run(&root, &["events", "example.scap"]);
    let two = run(&root, &["events", "-j2", "dir"]);
    assert_eq!((two.code, two.out), (0, one.out.repeat(2)));
    assert!(two.err.contains("== dir/a.scap") && two.err.contains("== dir/b.scap"), "{}", two.err);
    let limited = run(&root, &["events", "-q", "-n", "3", "dir"]);
    assert_eq!(limited.lines().len(), 6);

    let cut = &EXAMPLE[..EXAMPLE.len() - 7];
    fs::write(root.path().join("cut.scap"), cut).unwrap();
    let outcome = run(&root, &["events", "cut.scap", "gone.scap"]);
    assert_eq!(outcome.code, 4);
    assert!(
        outcome.err.contains("gone.scap: No such file") && outcome.err.contains("truncated_input"),
        "{}",
        outcome.err
    );
    let outcome = run(&root, &["events", "cut.scap"]);
    assert_eq!(outcome.code, 5);
    assert!(outcome.err.contains("Ledger of anomalies:") && one.out.starts_with(&outcome.out), "{}", outcome.err);

    let file = run(&root, &["events", "-o", "out.txt", "example.scap"]);
    assert_eq!((file.code, file.out.as_str()), (0, ""));
    assert_eq!(fs::read_to_string(root.path().join("out.txt")).unwrap(), one.out);
    assert_eq!(run(&root, &["events", "-o", "example.scap", "example.scap"]).code, 2);
    assert_eq!(fs::read(root.path().join("example.scap")).unwrap(), EXAMPLE);
    assert_eq!(run(&root, &["events"]).code, 2);
}

#[test]
fn a_reader_that_goes_away_ends_events_quietly() {
    let root = bench();
    fs::create_dir(root.path().join("many")).unwrap();
    for copy in 0..30 {
        fs::write(root.path().join(format!("many/{copy}.scap")), EXAMPLE).unwrap();
    }
    let mut child =
        command(&root).args(["events", "-q", "many"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut [0; 10]).unwrap();
    drop(out);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(141), &b""[..]));
}

#[test]
fn ps_shows_who_was_there() {
    let root = bench();
    store(&root, "story.scap", &story());
    let during = run(&root, &["ps", "--at", "+1.5s", "story.scap"]);
    assert_eq!(during.code, 0, "{}", during.err);
    let lines = during.lines();
    assert_eq!(lines[0], " PID PPID USER  TTY   START               CONTAINER COMMAND");
    assert_eq!(lines[1], "   1    ? root  -     ?                   -         /sbin/init");
    assert_eq!(lines[2], " 500    1 alice pts/3 ?                   -           sh -i");
    assert!(
        lines[3].contains("  500 alice pts/3 2026-03-02 09:00:01 -             curl http://example.org"),
        "{}",
        lines[3]
    );
    assert_eq!(lines.len(), 4);
    // Before it was born, and after it died.
    for at in ["+0.5s", "+2.5s"] {
        assert_eq!(run(&root, &["ps", "--at", at, "story.scap"]).lines().len(), 3, "{at}");
    }
    let end = run(&root, &["ps", "story.scap"]);
    assert_eq!((end.code, end.lines().len()), (0, 3));
}

/// The process is gone with its last event, not with the event after it.
#[test]
fn what_the_last_event_ended_is_gone() {
    let root = bench();
    let mut trace = Trace::new("desk");
    let shell = trace.process(Proc::new(500, "/bin/sh"));
    let fd = trace.open(shell, "/etc/hosts", flags::READ);
    trace.wait_ms(10);
    trace.close(shell, fd);
    store(&root, "close.scap", &trace);
    assert!(run(&root, &["fds", "--pid", "500", "--at", "+1ms", "close.scap"]).out.contains("/etc/hosts"));
    let closed = run(&root, &["fds", "--pid", "500", "close.scap"]);
    assert_eq!((closed.code, closed.out.contains("/etc/hosts")), (0, false));
    trace.exit(shell, 0);
    store(&root, "exit.scap", &trace);
    assert!(!run(&root, &["ps", "exit.scap"]).out.contains("/bin/sh"));
}

#[test]
fn ps_in_json_and_with_threads() {
    let root = bench();
    let mut trace = Trace::new("desk");
    let web = Container::docker(&"ab".repeat(32), "web", "nginx", "1");
    let server = trace.process(Proc::new(500, "/usr/sbin/nginx").inside(&web, 1));
    trace.container(&web);
    let worker = trace.thread(server);
    trace.open(server, "/1", flags::READ);
    store(&root, "threads.scap", &trace);
    let rows = run(&root, &["ps", "--output", "json", "threads.scap"]).json();
    assert_eq!(rows.len(), 2);
    assert_eq!((&rows[1]["pid"], &rows[1]["ppid"], &rows[1]["depth"]), (&500.into(), &1.into(), &1.into()));
    assert_eq!((&rows[1]["container"], &rows[1]["container_name"]), (&web.id().into(), &"web".into()));
    assert_eq!(rows[0]["container"], Json::Null);
    let all = run(&root, &["ps", "--all", "--output", "json", "threads.scap"]).json();
    assert_eq!(all.len(), 3);
    assert_eq!((&all[2]["pid"], &all[2]["tid"], &all[2]["depth"]), (&500.into(), &worker.0.into(), &2.into()));
    let text = run(&root, &["ps", "--all", "threads.scap"]);
    assert!(text.lines()[0].starts_with("PID  TID PPID "), "{}", text.out);
    assert!(text.lines()[3].ends_with("    {nginx}"), "{}", text.out);
}

/// Ids are the capture's word: parents in a circle, and a line of descent of any length.
#[test]
fn ps_prints_any_graph_once_and_within_bounds() {
    let root = bench();
    let mut trace = Trace::new("desk");
    for (pid, parent) in [(10, 11), (11, 10), (12, 12), (13, 99)] {
        trace.process(Proc::new(pid, "/bin/sh").parent(Task(parent)));
    }
    for pid in 1000..3000 {
        trace.process(Proc::new(pid, "/bin/true").parent(Task(pid - 1)));
    }
    let last = Task(2999);
    trace.open(last, "/1", flags::READ);
    store(&root, "graph.scap", &trace);
    let rows = run(&root, &["ps", "--output", "json", "graph.scap"]).json();
    let mut pids: Vec<i64> = rows.iter().map(|row| row["pid"].as_i64().unwrap()).collect();
    assert_eq!(rows.iter().map(|row| row["depth"].as_u64().unwrap()).max(), Some(1999));
    pids.sort_unstable();
    let expected: Vec<i64> = [1, 10, 11, 12, 13].into_iter().chain(1000..3000).collect();
    assert_eq!(pids, expected);
    let text = run(&root, &["ps", "graph.scap"]);
    assert_eq!((text.code, text.lines().len()), (0, expected.len() + 1));
    assert!(text.lines().iter().all(|line| line.len() < 160), "the indentation has an end");
}

/// Malware likes to look like a kernel thread.
#[test]
fn ps_shows_the_program_behind_a_name_in_brackets() {
    let root = bench();
    let mut trace = Trace::new("desk");
    let miner = trace.process(Proc::new(600, "/tmp/.x").argv(&["[kworker/0:1]"]));
    trace.open(miner, "/1", flags::READ);
    store(&root, "fake.scap", &trace);
    let outcome = run(&root, &["ps", "fake.scap"]);
    assert!(outcome.lines()[2].ends_with(" [kworker/0:1] (/tmp/.x)"), "{}", outcome.out);
}

#[test]
fn captures_come_through_pipes() {
    let root = bench();
    let piped = |args: &[&str]| {
        let mut command = command(&root);
        let mut child =
            command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A command that has seen enough does not read to the end.
        let _ = child.stdin.take().unwrap().write_all(EXAMPLE);
        let output = child.wait_with_output().unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    assert_eq!(piped(&["events", "-n", "3", "-"]).1, run(&root, &["events", "-n", "3", "example.scap"]).out);
    assert_eq!(piped(&["ps", "--at", "+10s", "-"]).1, run(&root, &["ps", "--at", "+10s", "example.scap"]).out);
    // What was read cannot be read again: the end of the capture is not known.
    let (code, out, err) = piped(&["ps", "--at", "0", "-"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("which begins at 2026-03-02T09:00:00.000000000Z"), "{err}");
}

#[test]
fn fds_shows_what_was_open() {
    let root = bench();
    store(&root, "story.scap", &story());
    let shell = run(&root, &["fds", "--pid", "500", "--at", "+1.5s", "story.scap"]);
    assert_eq!(shell.code, 0, "{}", shell.err);
    let lines = shell.lines();
    assert!(lines[0].starts_with("FD TYPE FLAGS"), "{}", shell.out);
    assert!(
        lines.last().unwrap().ends_with(" /etc/passwd") && lines.last().unwrap().contains(" file O_RDONLY"),
        "{}",
        shell.out
    );
    assert!(!shell.out.contains("/etc/shadow"));
    let pid = run(&root, &["ps", "--output", "json", "--at", "+1.5s", "story.scap"]).json()[2]["pid"].to_string();
    let curl = run(&root, &["fds", "--pid", &pid, "--at", "+1.5s", "--output", "json", "story.scap"]).json();
    let socket = curl.iter().find(|row| row["type"] == "ipv4").unwrap();
    assert_eq!(socket["name"], "10.0.0.2:40000->192.0.2.7:80");
    assert_eq!(
        (&socket["role"], &socket["connected"], &socket["l4proto"]),
        (&"client".into(), &true.into(), &"tcp".into())
    );
    assert_eq!(socket["server"], serde_json::json!({"ip": "192.0.2.7", "port": 80}));
    let text = run(&root, &["fds", "--pid", &pid, "--at", "+1.5s", "story.scap"]);
    assert!(text.out.contains("tcp|client|connected 10.0.0.2:40000->192.0.2.7:80"), "{}", text.out);
}

#[test]
fn questions_without_an_answer_say_what_there_is() {
    let root = bench();
    store(&root, "story.scap", &story());
    let early = run(&root, &["ps", "--at", "2026-03-02T08:59:59Z", "story.scap"]);
    assert_eq!((early.code, early.out.as_str()), (2, ""));
    assert!(early.err.contains("lasts from 2026-03-02T09:00:00.000000000Z to 2026-03-02T09:00:03."), "{}", early.err);
    let late = run(&root, &["fds", "--pid", "500", "--at", "+1h", "story.scap"]);
    assert_eq!(late.code, 2);
    assert!(late.err.contains("2026-03-02T10:00:00.000000000Z is outside"), "{}", late.err);
    assert!(late.err.contains("(+3.00"), "{}", late.err);

    let pid = run(&root, &["ps", "--output", "json", "--at", "+1.5s", "story.scap"]).json()[2]["pid"].to_string();
    for at in ["+0.5s", "+3s"] {
        let gone = run(&root, &["fds", "--pid", &pid, "--at", at, "story.scap"]);
        assert_eq!((gone.code, gone.out.as_str()), (2, ""), "{at}");
        assert!(gone.err.contains(&format!("there is no process {pid} at ")), "{}", gone.err);
        let told = gone.err.lines().find(|line| line.contains("curl had this id from 2026-03-02T09:00:01.")).unwrap();
        assert!(told.contains(" to 2026-03-02T09:00:02."), "{told}");
    }
    let nobody = run(&root, &["fds", "--pid", "77", "story.scap"]);
    assert!(nobody.code == 2 && nobody.err.contains("ps --all"), "{}", nobody.err);
    assert!(!nobody.err.contains("had this id"), "{}", nobody.err);

    assert_eq!(run(&root, &["ps", "gone.scap"]).code, 4);
    assert_eq!(run(&root, &["ps"]).code, 2);
    assert_eq!(run(&root, &["fds", "story.scap"]).code, 2);
    assert_eq!(run(&root, &["fds", "--pid", "0", "story.scap"]).code, 2);
    let many = run(&root, &["ps", "."]);
    assert!(many.code == 2 && many.err.contains("2 captures"), "{}", many.err);
    fs::write(root.path().join("cut.scap"), &EXAMPLE[..EXAMPLE.len() - 7]).unwrap();
    let cut = run(&root, &["ps", "cut.scap"]);
    assert_eq!(cut.code, 5);
    assert!(cut.out.contains("/sbin/init") && cut.err.contains("truncated_input"), "{}", cut.err);
    assert_eq!(run(&root, &["ps", "--at", "+1s", "cut.scap"]).code, 0);
}

/// Rules that guess: on the image of a container, on mounts, on what decides nothing.
const GUESSES: &str = "\
- rule: Unknown image
  desc: guesses that the image is not among the known ones
  condition: evt.type = openat and container.id != host and not container.image.repository in (nginx, redis)
  output: opened %fd.name
  priority: NOTICE
- rule: Name first
  desc: the image decides nothing, as the program does
  condition: evt.type = openat and container.id != host and (container.image.tag = \"1\" or proc.name = nginx)
  output: opened %fd.name
  priority: NOTICE
- rule: Two unknowns
  desc: each of them could have made it false
  condition: >
    evt.type = openat and container.id != host and not (container.privileged = true or
    container.mount.dest[/etc*] exists) and not k8s.ns.name = kube-system
  output: opened %fd.name
  priority: NOTICE
";

fn guesses(root: &TempDir, described: bool, inside: bool) -> (Vec<Json>, Json) {
    let mut trace = Trace::new("desk");
    let other = Container::docker(&"cd".repeat(32), "other", "busybox", "1");
    let server = trace.process(Proc::new(500, "/usr/sbin/nginx"));
    let insider = trace.process(Proc::new(600, "/usr/sbin/nginx").inside(&other, 1));
    if described {
        trace.container(&other);
    }
    trace.open(if inside { insider } else { server }, "/1", flags::READ);
    store(root, "guess.scap", &trace);
    fs::write(root.path().join("guesses.yaml"), GUESSES).unwrap();
    let args = ["-q", "-r", "guesses.yaml", "--rule-matching", "all", "guess.scap", "--output", "json"];
    let mut lines = run(root, &args).json();
    let summary = lines.pop().unwrap()["summary"].clone();
    let text = run(root, &args[..6]);
    assert!(!text.out.contains("absent\""), "text alerts are Falco's");
    (lines, summary)
}

#[test]
fn alerts_name_the_fields_that_the_capture_does_not_tell() {
    let root = bench();
    let (alerts, summary) = guesses(&root, false, true);
    let absent: Vec<_> =
        alerts.iter().map(|alert| (alert["rule"].as_str().unwrap(), alert["absent"].clone())).collect();
    assert_eq!(
        absent,
        [
            ("Unknown image", serde_json::json!(["container.image.repository"])),
            ("Name first", Json::Null),
            ("Two unknowns", serde_json::json!(["container.mount.dest[/etc*]", "container.privileged", "k8s.ns.name"])),
        ]
    );
    assert!(alerts[1].get("absent").is_none(), "the key is there only with something in it");
    let counts: Vec<_> =
        summary["triggered_rules"].as_array().unwrap().iter().map(|rule| rule["absent"].clone()).collect();
    assert_eq!(counts, [1.into(), Json::Null, 1.into()]);
    let row = |ledger: &Json| {
        let rows = ledger.as_array().unwrap().clone();
        rows.into_iter().find(|row| row["counter"] == "alerts_on_absent_fields").map(|row| row["count"].clone())
    };
    assert_eq!(row(&summary["ledger"]), Some(2.into()));
    assert_eq!(row(&summary["captures"][0]["ledger"]), Some(2.into()));

    // With a container event all of it is known, and on the host there is no container to know of.
    for (described, inside, count) in [(true, true, 3), (false, false, 0)] {
        let (alerts, summary) = guesses(&root, described, inside);
        assert_eq!(alerts.len(), count);
        assert!(alerts.iter().all(|alert| alert.get("absent").is_none()), "{alerts:?}");
        assert_eq!(row(&summary["ledger"]), None);
    }
}

#[test]
fn help_shows_examples_and_codes() {
    let root = bench();
    for command in ["events", "ps", "fds"] {
        let outcome = run(&root, &[command, "--help"]);
        assert_eq!((outcome.code, outcome.err.as_str()), (0, ""), "{command}");
        for part in ["Examples:\n", "Exit codes:\n", &format!("casebook-replay {command} ")] {
            assert!(outcome.out.contains(part), "{command}: {part}");
        }
    }
}
