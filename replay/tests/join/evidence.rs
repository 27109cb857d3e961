//! How sure it is who asked: what agrees, how far clocks may differ, who else it may be.

use casebook_fixtures::{Container, Proc};
use casebook_replay::cli::Exit;
use casebook_replay::summary::iso_time;
use serde_json::json;

use crate::story::{Asked, SECOND, Story};

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
