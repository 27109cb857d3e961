//! Where requests come from: logs, captures of plugin events, standard input, with lines that are none.

use std::fs;

use casebook_replay::audit::join::{Clocks, Requests};
use casebook_replay::cli::Exit;
use casebook_replay::run::Source;
use serde_json::{Value as Json, json};

use crate::story::session;

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
