//! A recording of `kubectl exec` from both sides, `fixtures/cases/recorded/T1609-kubectl-exec`: the audit log of a real API
//! server, and what our recorder saw on the node. The people in it did what `fixtures/vm/cluster/guest` says.
#![allow(clippy::unwrap_used)] // a recording that is there

mod program;

use std::fs;

use casebook_replay::cli::Exit;
use program::within;
use serde_json::{Value as Json, json};

const CAPTURE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/cases/recorded/T1609-kubectl-exec/node.scap.zst");
const LOG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/cases/recorded/T1609-kubectl-exec/audit.jsonl");

fn run(args: &[&str]) -> String {
    let answer = within(args);
    assert_eq!(answer.exit, Exit::Complete, "{}", answer.err);
    answer.out
}

/// What programs came into the pod's container from outside, with the user behind each.
fn entered(options: &[&str]) -> Vec<String> {
    let format = "*%proc.cmdline / %k8s.user.name %k8s.user.via %k8s.user.confidence %k8s.user.others";
    let filter = "evt.type = execve and container.name = web and proc.name != exe and not proc.ppid exists";
    let args = ["events", "-p", format, "--filter", filter, CAPTURE];
    run(&[&args[..], options].concat()).lines().map(str::to_owned).collect()
}

#[test]
fn each_command_has_its_user() {
    let lines = entered(&["--audit", LOG]);
    let people: Vec<&str> =
        lines.iter().map(String::as_str).filter(|line| !line.starts_with("cat /etc/hostname")).collect();
    let expected = [
        "sh / alice@example.org exec high <NA>",
        "sh -c id; ls /etc / bob@example.org exec high <NA>",
        "sh -c cat /etc/passwd; sleep 1 / carol@example.org exec high <NA>",
        // The same command at the same time: who else it may be is said, until the session of one has ended.
        "cat /etc/shadow / bob@example.org exec low (carol@example.org)",
        "cat /etc/shadow / carol@example.org exec high <NA>",
        // Past the API server, on the node itself.
        "id / <NA> <NA> <NA> <NA>",
    ];
    assert_eq!(people, expected);
    // The kubelet's probes are in no audit log.
    let probes = lines.iter().filter(|line| *line == "cat /etc/hostname / <NA> <NA> <NA> <NA>").count();
    assert!(probes >= 3 && probes + expected.len() == lines.len(), "{lines:?}");
    assert!(entered(&[]).iter().all(|line| line.ends_with("/ <NA> <NA> <NA> <NA>")), "nobody without the log");
}

#[test]
fn alerts_and_process_tables_show_the_user() {
    let out = run(&["--output", "json", CAPTURE, LOG]);
    let alerts: Vec<Json> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let shell = alerts.iter().find(|alert| alert["output_fields"]["k8s.user.name"] == "alice@example.org").unwrap();
    assert_eq!(shell["rule"], "Shell without a terminal started in a container");
    let fields = &shell["output_fields"];
    assert_eq!((&fields["k8s.user.via"], &fields["k8s.user.confidence"]), (&json!("exec"), &json!("high")));
    assert_eq!(fields["k8s.user.groups"], json!(["developers", "system:authenticated"]));
    assert_eq!(fields["k8s.user.source_ips"], json!(["10.0.0.10"]));
    // The request of the log, and what it started, one after the other.
    let request = fields["k8s.user.audit_id"].as_str().unwrap();
    let log = fs::read_to_string(LOG).unwrap();
    assert_eq!(log.lines().filter(|line| line.contains(request)).count(), 3, "three stages of {request}");
    let times: Vec<&str> = alerts.iter().filter_map(|alert| alert["time"].as_str()).collect();
    assert!(times.is_sorted() && times.len() > 10, "{times:?}");
    let text = run(&["-q", CAPTURE, LOG]);
    assert!(
        text.contains(&format!(
            "k8s_user_name=alice@example.org k8s_user_via=exec k8s_user_confidence=high k8s_user_audit_id={request}"
        )),
        "{text}"
    );

    let tree = run(&["ps", "--audit", LOG, "--at", shell["time"].as_str().unwrap(), CAPTURE]);
    let row = tree.lines().find(|line| line.contains("alice@example.org")).unwrap();
    assert!(row.contains("alice@example.org (exec, high)") && row.trim_end().ends_with("sh"), "{tree}");
}

#[test]
fn a_clock_that_is_off_is_put_right() {
    let shifted = fs::read_to_string(LOG).unwrap().replace("T08:2", "T07:2");
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("audit.jsonl");
    fs::write(&log, &shifted).unwrap();
    let log = log.display().to_string();
    assert!(entered(&["--audit", &log]).iter().all(|line| line.ends_with("/ <NA> <NA> <NA> <NA>")));
    assert_eq!(entered(&["--audit", &log, "--audit-offset", "3600"]), entered(&["--audit", LOG]));
}
