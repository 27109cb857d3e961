//! Exact counts: of what a script does, of nothing else, and of what found no room.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use casebook_formats::capture::{CaptureReader, Item};
use casebook_formats::ledger::Counter;
use casebook_formats::seekable::verify;

use crate::recorder::{permitted, record};
use crate::{Seen, events};

#[test]
fn counts_are_exact_and_events_in_order() {
    if !permitted("counts_are_exact_and_events_in_order") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.scap.zst");
    let script = "i=0; while [ $i -lt 200 ]; do /bin/true; : > mark$i; rm -f mark$i; i=$((i+1)); done";
    let script = format!("cd {} && {script}", folder.path().display());
    let output = record(&file, &["--syscalls", "default"], &["sh", "-c", &script]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let events = events(&file);
    let count = |name: &str, holds: &dyn Fn(&Seen) -> bool| {
        events.iter().filter(|event| event.name == name && holds(event)).count()
    };
    let done = |event: &Seen| event.result == Some(0);
    assert_eq!(count("execve", &done), 1 + 200 + 200, "sh, true, rm");
    assert_eq!(count("procexit", &|_| true), 1 + 200 + 200);
    let marks = |event: &Seen| event.texts.iter().any(|text| text.starts_with(b"mark"));
    assert_eq!(count("openat", &marks) + count("open", &marks), 200);
    assert_eq!(count("unlinkat", &marks) + count("unlink", &marks), 200);
    assert!(events.windows(2).all(|pair| pair[0].ts <= pair[1].ts), "in the order of their times");
}

#[test]
fn a_file_of_one_process_tells_nothing_of_others() {
    if !permitted("a_file_of_one_process_tells_nothing_of_others") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.scap.zst");
    let mut other = Command::new("sh")
        .args(["-c", "while :; do /bin/true; done"])
        .env("A_SECRET", "of somebody else")
        .spawn()
        .unwrap();
    let output = record(&file, &[], &["sh", "-c", "/bin/true; /bin/true"]);
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(events(&file).iter().filter(|event| event.name == "execve").count(), 3);
    let mut reader = CaptureReader::open(&file).unwrap();
    let mut stranger = false;
    while let Some(item) = reader.next_item().unwrap() {
        if let Item::Threads(threads) = item {
            assert!(
                threads.iter().any(|thread| thread.pid == i64::from(std::process::id())),
                "its ancestors are there"
            );
            stranger |= threads.iter().any(|thread| thread.pid == i64::from(other.id()));
            assert!(threads.iter().all(|thread| !thread.env.windows(8).any(|text| text == b"A_SECRET")));
        }
    }
    assert!(!stranger);
}

/// With the smallest buffer a loop of small reads loses events; every one of them is accounted for.
#[test]
fn sent_is_recorded_plus_lost() {
    if !permitted("sent_is_recorded_plus_lost") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.scap.zst");
    let blocks = 300_000;
    let count = format!("count={blocks}");
    let options = ["--buffer", "1", "--syscalls", "state,read,write"];
    let output = record(&file, &options, &["dd", "if=/dev/zero", "of=/dev/null", "bs=1", &count]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(matches!(output.status.code(), Some(0 | 3)), "{text}");
    assert!(!text.contains("MISTAKE"), "gaps in the numbers equal the kernel side's counters: {text}");
    let report = verify::verify(std::fs::File::open(&file).unwrap()).unwrap();
    let lost = |counter: Counter| {
        let name = casebook_formats::ledger::COUNTERS[counter as usize].name;
        let losses = report.records.iter().flat_map(|noted| &noted.losses);
        losses.filter(|loss| loss.cause == name).map(|loss| loss.count).sum::<u64>()
    };
    let lost = lost(Counter::RingFull) + lost(Counter::ProgramBusy);
    assert_eq!(output.status.code() == Some(3), lost > 0, "{text}");
    // dd makes a few calls beside its loop; the same run without losses says how many.
    let calm = folder.path().join("calm.scap.zst");
    let output = record(
        &calm,
        &["--buffer", "64", "--syscalls", "state,read,write"],
        &["dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count=1"],
    );
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let without_loop = |file: &Path| events(file).len() as u64;
    let beside = without_loop(&calm) - 2;
    let recorded = without_loop(&file);
    // Its report on standard error differs in a digit, not in calls.
    assert_eq!(recorded + lost, beside + 2 * blocks, "recorded {recorded}, lost {lost}: {text}");
    writeln!(std::io::stderr().lock(), "{recorded} recorded, {lost} lost of {}", beside + 2 * blocks).unwrap();
}
