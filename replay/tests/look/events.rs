//! `events`: lines, formats, JSON, filters and windows, pipes.

use std::fs;
use std::io::Read as _;
use std::process::Stdio;

use casebook_fixtures::{EXAMPLE, Proc, START, Trace, flags};

use super::{store, story};
use crate::program::{bench, command, run};

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
