//! The JSON object of `info`: everything, without the cuts of the page.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::custody;
use super::facts::Facts;
use crate::record::{Loss, hex};
use crate::snapshot::{Interface, MachineInfo};

/// Everything about one capture.
pub(super) fn object(facts: &Facts, name: &str) -> Value {
    let versions = facts.sections.iter().map(|section| format!("{}.{}", section.major, section.minor));
    let comments = facts.sections.iter().flat_map(|section| &section.comments);
    let programs = facts
        .program_ranking()
        .into_iter()
        .map(|(name, program)| json!({"name": text(name), "started": program.started, "at_start": program.listed}));
    let containers = facts.containers.iter().map(|(id, container)| {
        json!({
            "id": id,
            "name": container.name,
            "image": container.image,
            "started": container.started,
            "threads_at_start": container.listed,
        })
    });
    let ledger = facts.ledger.findings().map(|(def, count)| {
        let row = json!({
            "count": count,
            "severity": def.severity.word(),
            "source": def.origin.word(),
            "advice": def.advice,
        });
        (def.name, row)
    });
    let pauses = facts.tally.pauses().iter().map(|(pause, from)| json!({"ns": pause, "from_ns": from}));
    let (origin, span) = (facts.origin.as_ref(), facts.tally.span());
    json!({
        "file": name,
        "compression": facts.packing,
        "file_bytes": facts.file_bytes,
        "stream_bytes": facts.stream_bytes,
        "sha256": origin.map(|origin| hex(&origin.parent.sha256)),
        "sections": versions.collect::<Vec<_>>(),
        "comments": comments.map(|comment| text(comment)).collect::<Vec<_>>(),
        "hosts": facts.machines.iter().map(host).collect::<Vec<_>>(),
        "interfaces": facts.interfaces.iter().map(interface).collect::<Vec<_>>(),
        "users": facts.users,
        "groups": facts.groups,
        "processes_at_start": facts.listed_processes.len(),
        "threads_at_start": facts.listed_threads,
        "descriptors_at_start": facts.listed_fds,
        "events": facts.tally.events,
        "event_types": facts.tally.types(),
        "threads": facts.tally.threads(),
        "earliest_ns": span.map(|(earliest, _)| earliest),
        "latest_ns": span.map(|(_, latest)| latest),
        "quiet": pauses.collect::<Vec<_>>(),
        "programs": programs.collect::<Vec<_>>(),
        "containers": containers.collect::<Vec<_>>(),
        "frames": frames(facts),
        "part": facts.part.map(|(read, all)| json!({"frames_read": read, "frames": all})),
        "custody": origin.map(|origin| origin.entries.iter().map(custody::as_json).collect::<Vec<_>>()),
        "ledger": ledger.collect::<BTreeMap<_, _>>(),
    })
}

fn frames(facts: &Facts) -> Value {
    let passed = &facts.passed;
    if passed.records == 0 {
        return Value::Null;
    }
    let losses =
        |losses: &[Loss]| losses.iter().map(|loss| (loss.cause.clone(), loss.count)).collect::<BTreeMap<_, _>>();
    let interval = |interval: &crate::origin::Interval| {
        json!({
            "frame": interval.frame,
            "earliest_ns": interval.earliest,
            "latest_ns": interval.latest,
            "losses": losses(&interval.losses),
        })
    };
    json!({
        "expected": facts.expected_frames(),
        "intact": passed.intact,
        "sealed": passed.seal.is_some(),
        "root": passed.seal.as_ref().map(|seal| hex(&seal.root)),
        "losses": passed.seal.as_ref().map(|seal| losses(&seal.losses)),
        "intervals": passed.intervals.iter().map(interval).collect::<Vec<_>>(),
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn host(machine: &MachineInfo) -> Value {
    json!({
        "hostname": text(&machine.hostname),
        "cpus": machine.num_cpus,
        "memory": machine.memory,
        "boot_ns": machine.boot_ts,
    })
}

fn interface(interface: &Interface) -> Value {
    match interface {
        Interface::V4 { name, addr, netmask, .. } => {
            json!({"name": text(name), "address": addr.to_string(), "netmask": netmask.to_string()})
        }
        Interface::V6 { name, addr, .. } => json!({"name": text(name), "address": addr.to_string()}),
    }
}
