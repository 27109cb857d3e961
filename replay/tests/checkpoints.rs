//! Checkpoints as a user meets them: the same output to the byte with and without, for any number of workers, and never
//! from a file of checkpoints that is stale, foreign or damaged.

// What fails in the set-up of a test is a failure of the test.
#![allow(clippy::unwrap_used)]

mod program;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use casebook_formats::ledger::Counter;
use casebook_formats::seekable::{Options, SeekableWriter};
use program::{Outcome, example, run};
use tempfile::TempDir;

fn store(path: &Path, raw: &[u8]) {
    let options = Options { frame_bytes: 4096, level: 1 };
    let mut writer = SeekableWriter::new(File::create(path).unwrap(), options).unwrap();
    writer.write_all(raw).unwrap();
    writer.finish().unwrap();
}

/// The example twice: `with.scap.zst` with checkpoints at every frame, and `plain/with.scap.zst` without.
fn bench() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain");
    fs::create_dir(&plain).unwrap();
    store(&folder.path().join("with.scap.zst"), &example());
    fs::copy(folder.path().join("with.scap.zst"), plain.join("with.scap.zst")).unwrap();
    let made = run(folder.path(), &["index", "--spacing", "0", "with.scap.zst"]);
    assert_eq!(made.code, 0, "{made:?}");
    let count: usize = made.out.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(count > 8, "{made:?}");
    (folder, plain)
}

const SIDECAR: &str = "with.scap.zst.checkpoints";

/// Command lines whose output must not depend on checkpoints.
const LINES: &[&[&str]] = &[
    &["with.scap.zst"],
    &["run", "--output", "json", "with.scap.zst"],
    &["run", "--rule-matching", "all", "--from", "+20s", "with.scap.zst"],
    &["run", "--from", "+20s", "--to", "+60s", "with.scap.zst"],
    &["run", "-M", "40", "with.scap.zst"],
    &["events", "with.scap.zst"],
    &["events", "--from", "+30s", "with.scap.zst"],
    &[
        "events",
        "--from",
        "+30s",
        "--to",
        "+60s",
        "--output",
        "json",
        "-p",
        "%evt.num %evt.deltatime %proc.cmdline",
        "with.scap.zst",
    ],
    &["events", "--from", "+30s", "-n", "5", "with.scap.zst"],
    &["events", "--from", "+999999s", "with.scap.zst"],
    &["events", "-p", "%fd.name %evt.reltime", "--filter", "evt.is_io=true", "with.scap.zst"],
    &["ps", "with.scap.zst"],
    &["ps", "--all", "--at", "+0", "with.scap.zst"],
    &["ps", "--all", "--at", "+31s", "--output", "json", "with.scap.zst"],
    &["ps", "--at", "+999999s", "with.scap.zst"],
    &["fds", "--pid", "1", "--at", "+50s", "with.scap.zst"],
];

#[test]
fn the_output_is_the_same_with_and_without() {
    let (folder, plain) = bench();
    for line in LINES {
        let expected = run(&plain, line);
        assert_eq!(run(folder.path(), line), expected, "{line:?}");
        let workers: &[&str] = if matches!(line[0], "ps" | "fds") { &[] } else { &["1", "2", "3", "8", "64"] };
        for jobs in workers {
            let line = [*line, &["-j", jobs]].concat();
            assert_eq!(run(folder.path(), &line), expected, "{line:?}");
        }
    }
}

#[test]
fn every_second_of_the_capture_is_the_same_with_and_without() {
    let (folder, plain) = bench();
    for second in (0..130).step_by(13) {
        let at = format!("+{second}.5s");
        for line in [["events", "--from", &at, "with.scap.zst"], ["ps", "--at", &at, "with.scap.zst"]] {
            assert_eq!(run(folder.path(), &line), run(&plain, &line), "{line:?}");
        }
    }
}

#[test]
fn they_are_checked() {
    let (folder, _) = bench();
    let checked = run(folder.path(), &["index", "--check", "with.scap.zst"]);
    assert_eq!((checked.code, checked.err.as_str()), (0, ""));
    assert!(checked.out.contains("are what the capture says"), "{checked:?}");
    fs::remove_file(folder.path().join(SIDECAR)).unwrap();
    assert_eq!(run(folder.path(), &["index", "--check", "with.scap.zst"]).code, 4);
    for (name, bytes) in [("plain.scap", example()), ("empty.scap.zst", Vec::new())] {
        fs::write(folder.path().join(name), bytes).unwrap();
        let refused = run(folder.path(), &["index", name]);
        assert_eq!(refused.code, 4, "{refused:?}");
        assert!(refused.err.contains("casebook convert"), "{refused:?}");
        assert!(!folder.path().join(format!("{name}.checkpoints")).exists());
    }
}

/// Without the heading of the ledger and the line that tells of checkpoints that were not used.
fn without_remark(text: &str) -> Vec<&str> {
    text.lines()
        .filter(|line| !line.contains("unused_checkpoints") && !line.starts_with("Ledger of anomalies"))
        .collect()
}

/// Compares a run beside an unusable sidecar with one without; true when it was said that it was not used.
fn said(folder: &Path, line: &[&str], expected: &Outcome, what: &str) -> bool {
    let got = run(folder, line);
    assert_eq!(without_remark(&got.out), without_remark(&expected.out), "{what}");
    assert_eq!(got.code, expected.code, "{what}");
    got.err.contains("not used")
}

#[test]
fn checkpoints_of_another_capture_are_not_used_and_it_is_said() {
    let (folder, plain) = bench();
    // The same capture with one more event at its end is another one.
    let mut raw = example();
    let len = raw.len() - u32::from_le_bytes(*raw.last_chunk().unwrap()) as usize;
    let last = raw[len..].to_vec();
    raw.extend(last);
    for folder in [folder.path(), &plain] {
        store(&folder.join("with.scap.zst"), &raw);
    }
    let expected = run(&plain, &["with.scap.zst"]);
    assert!(said(folder.path(), &["-j", "4", "with.scap.zst"], &expected, "foreign"));
    let told = run(folder.path(), &["with.scap.zst"]);
    assert!(told.err.contains("of another capture") && told.out.contains("unused_checkpoints (info): 1"), "{told:?}");
    assert!(run(folder.path(), &["ps", "with.scap.zst"]).err.contains("of another capture"));
    assert_eq!(run(folder.path(), &["index", "--check", "with.scap.zst"]).code, 1);
}

#[test]
fn damaged_checkpoints_change_nothing() {
    let (folder, plain) = bench();
    let expected = run(&plain, &["with.scap.zst"]);
    let sidecar = folder.path().join(SIDECAR);
    let whole = fs::read(&sidecar).unwrap();
    let line = ["-j", "4", "with.scap.zst"];
    let mut told = 0;
    for step in 0..24 {
        let mut bytes = whole.clone();
        if step % 3 == 0 {
            bytes.truncate(whole.len() * step / 24);
        } else {
            // Spread over checkpoints and, in the last steps, the table.
            let at = whole.len() * (step + 1) / 25;
            bytes[at] ^= 1 << (step % 8);
        }
        fs::write(&sidecar, bytes).unwrap();
        told += u32::from(said(folder.path(), &line, &expected, &format!("step {step}")));
    }
    // A cut file and a damaged table always; a damaged checkpoint where a part begins with it.
    assert!(told >= 10, "{told}");
    let from = run(&plain, &["events", "--from", "+60s", "with.scap.zst"]);
    for at in (20..whole.len()).step_by(whole.len() / 12) {
        let mut bytes = whole.clone();
        bytes[at] = bytes[at].wrapping_add(3);
        fs::write(&sidecar, bytes).unwrap();
        assert_eq!(run(folder.path(), &["events", "--from", "+60s", "with.scap.zst"]).out, from.out, "byte {at}");
    }
}

#[test]
fn folders_pass_over_checkpoints_in_silence() {
    let (folder, _) = bench();
    fs::remove_dir_all(folder.path().join("plain")).unwrap();
    let all = run(folder.path(), &["-q", "."]);
    let one = run(folder.path(), &["-q", "with.scap.zst"]);
    assert_eq!((all.code, &all.out, all.err.as_str()), (0, &one.out, ""));
    assert_eq!(run(folder.path(), &["-q", "with.scap.zst*"]).out, one.out);
}

/// What the recorder lost stands beside the stream, in the frame records: a run says so, once, however it reads.
#[test]
fn losses_of_the_recorder_are_in_the_summary() {
    let folder = tempfile::tempdir().unwrap();
    let raw = example();
    let (first, second) = raw.split_at(raw.len() / 2);
    let options = Options { frame_bytes: 4096, level: 1 };
    let mut writer = SeekableWriter::new(File::create(folder.path().join("lossy.scap.zst")).unwrap(), options).unwrap();
    for (part, lost) in [(first, 3), (second, 4)] {
        writer.lost(Counter::RingFull, lost);
        // The reader finds markers in the stream itself; here are none.
        writer.lost(Counter::KernelDrops, 5);
        writer.write_all(part).unwrap();
    }
    writer.finish().unwrap();
    let says = |args: &[&str]| {
        let told = run(folder.path(), args);
        assert!(told.out.contains("ring_full (data loss): 7."), "{told:?}");
        assert!(!told.out.contains("kernel_drops"), "{told:?}");
    };
    says(&["lossy.scap.zst"]);
    assert_eq!(run(folder.path(), &["index", "--spacing", "0", "lossy.scap.zst"]).code, 0);
    says(&["-j4", "lossy.scap.zst"]);
}
