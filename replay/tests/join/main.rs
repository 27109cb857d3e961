//! Pod execs in an audit log and in a capture: the Kubernetes user at the shell in alerts, events and process trees, with
//! the confidence that the evidence allows ([`evidence`]); the same whatever the workers, checkpoints, windows and the order
//! of inputs, and wherever the requests come from ([`inputs`]).
#![allow(clippy::unwrap_used)] // files of a temporary folder, and captures made here

mod evidence;
mod inputs;
#[path = "../program/mod.rs"]
mod program;
mod story;

use std::fs;
use std::sync::Arc;

use casebook_formats::tables::ppme;
use casebook_replay::audit::join::{Clocks, Requests};
use casebook_replay::cli::Exit;
use casebook_replay::engine::Replay;
use casebook_replay::run::Source;
use serde_json::{Value as Json, json};
use story::session;

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
