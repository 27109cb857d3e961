//! `ps` and `fds`: who was there and what was open, at a moment.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use casebook_fixtures::{Container, EXAMPLE, Proc, Task, Trace, flags};
use serde_json::Value as Json;

use super::{store, story};
use crate::program::{bench, command, run};

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
