//! Alerts name the fields on which they rest and which the capture does not tell.

use std::fs;

use casebook_fixtures::{Container, Proc, Trace, flags};
use serde_json::Value as Json;
use tempfile::TempDir;

use super::store;
use crate::program::{bench, run};

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
