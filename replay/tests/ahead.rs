//! A capture that is read on a thread of its own gives what it gives on one: whatever `-j`, the same bytes on both outputs, the
//! same exit code and the same metrics.

// What fails in the set-up of a test is a failure of the test.
#![allow(clippy::unwrap_used)]

mod program;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use program::losing_host;
use tempfile::TempDir;

/// Longer than anything here takes, on a machine busy with other things.
const PATIENCE: Duration = Duration::from_mins(1);

/// Exit code, data and talk.
#[derive(PartialEq, Eq)]
struct Outcome {
    code: i32,
    out: Vec<u8>,
    err: String,
}

fn run(folder: &Path, args: &[&str], stdin: Option<&Path>) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_casebook-replay"));
    command.stdin(stdin.map_or(Stdio::null(), |path| File::open(path).unwrap().into()));
    let output = command.current_dir(folder).args(args).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    Outcome { code: output.status.code().unwrap(), out: output.stdout, err }
}

/// Workers as people ask for them.
const JOBS: &[&[&str]] = &[&["-j2"], &["-j3"], &["-j8"]];
/// Workers that take turns with the rules, however few processors there are; a turn of one event is the shortest.
const TURNS: &[&[&str]] = &[
    &["-j3", "--turn-workers", "2", "--turn-events", "1"],
    &["-j4", "--turn-workers", "3", "--turn-events", "50"],
    &["-j5", "--turn-workers", "4", "--turn-events", "7"],
    &["-j6", "--turn-workers", "9"],
    &["-j7", "--turn-workers", "5", "--turn-events", "300"],
];

/// The outcome with one worker, which is that with any number.
#[track_caller]
fn same(folder: &Path, args: &[&str], stdin: Option<&Path>) -> Outcome {
    let expected = run(folder, &[args, &["-j1"]].concat(), stdin);
    let turns = if args[0] == "run" { TURNS } else { &[] };
    for jobs in JOBS.iter().chain(turns) {
        let got = run(folder, &[args, jobs].concat(), stdin);
        assert_eq!(got.err, expected.err, "{jobs:?} {args:?}");
        assert_eq!(got.code, expected.code, "{jobs:?} {args:?}");
        assert!(got.out == expected.out, "{jobs:?} {args:?}: other alerts");
    }
    expected
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// Captures of every make: two hosts after each other, whole, packed, cut and damaged.
fn bench() -> (TempDir, Vec<&'static str>) {
    let folder = tempfile::tempdir().unwrap();
    let whole = [losing_host("node-1", 700), losing_host("node-2", 300)].concat();
    assert!(whole.len() > 300_000, "{}", whole.len());
    let mut damaged = whole.clone();
    for at in (5000..damaged.len()).step_by(7777) {
        damaged[at] ^= 0xFF;
    }
    let cut = whole[..whole.len() / 2 + 7].to_vec();
    let packed = zstd(&whole);
    let broken = gzip(&whole);
    let files = [
        ("plain.scap", whole.clone()),
        ("gzip.scap.gz", broken.clone()),
        ("zstd.scap.zst", packed.clone()),
        ("damaged.scap", damaged),
        ("cut.scap", cut),
        ("cut.scap.zst", packed[..packed.len() / 3].to_vec()),
        ("broken.scap.gz", [&broken[..broken.len() / 2], &[0xFF; 400]].concat()),
    ];
    let names = files.iter().map(|(name, _)| *name).collect();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    (folder, names)
}

#[test]
fn the_output_is_that_of_one_worker() {
    let (folder, names) = bench();
    for name in &names {
        let path = folder.path().join(name);
        let text = same(folder.path(), &["run", name], None);
        assert!(text.out.len() > 10_000, "{name}");
        assert_eq!(text.code != 0, name.starts_with(['d', 'c', 'b']), "{name}");
        same(folder.path(), &["run", "--output", "json", "--rule-matching", "all", "-"], Some(&path));
        same(folder.path(), &["events", name], None);
    }
    // More captures than some of these numbers of workers, and fewer than others.
    same(folder.path(), &[&["run", "--output", "json"], &names[..]].concat(), None);
}

#[test]
fn where_it_is_stopped() {
    let (folder, _) = bench();
    for args in [
        &["run", "--from", "+200s", "--to", "+400s"][..],
        &["run", "--to", "+20s"],
        &["run", "-M", "40"],
        &["events", "--from", "+300s", "-n", "5"],
        &["events", "-n", "1"],
        &["events", "--to", "+1s", "--output", "json", "-p", "%evt.num %evt.deltatime %proc.cmdline"],
    ] {
        for name in ["plain.scap", "damaged.scap", "zstd.scap.zst"] {
            let outcome = same(folder.path(), &[args, &[name]].concat(), None);
            assert!(!outcome.out.is_empty(), "{args:?} {name}");
        }
    }
}

#[test]
fn metrics_tell_of_losses_at_their_time() {
    let (folder, names) = bench();
    for name in names {
        let measured = |jobs: &[&str]| {
            let args = ["run", "-q", "--metrics", "m.om", "--metrics-step", "1", "--metrics-names", "all", name];
            run(folder.path(), &[&args[..], jobs].concat(), None);
            fs::read_to_string(folder.path().join("m.om")).unwrap()
        };
        let whole = measured(&["-j1"]);
        assert!(whole.contains("counter=\"kernel_drops\""), "{name}");
        for jobs in JOBS.iter().chain(&TURNS[1..3]) {
            assert_eq!(measured(jobs), whole, "{jobs:?} {name}");
        }
    }
}

#[test]
fn an_audit_log_is_told_of_as_far_as_it_was_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let mut log = File::create(&path).unwrap();
    for n in 0..3000 {
        let line = match n % 50 {
            7 => "{\"broken\": ".to_owned(),
            9 => "{\"kind\":\"Node\"}".to_owned(),
            _ => format!(
                "{{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"level\":\"Request\",\"auditID\":\"id-{n}\",\
                 \"stage\":\"ResponseComplete\",\"requestURI\":\"/api/v1/secrets\",\"verb\":\"list\",\
                 \"user\":{{\"username\":\"eve\"}},\"objectRef\":{{\"resource\":\"secrets\"}},\
                 \"stageTimestamp\":\"2026-01-02T03:{:02}:{:02}.000000Z\"}}",
                n / 60,
                n % 60
            ),
        };
        writeln!(log, "{line}").unwrap();
    }
    let args = ["run", "--metrics", "m.om", "--metrics-step", "1", "--metrics-names", "all", "audit.jsonl"];
    let measured = |jobs: &[&str]| {
        let outcome = run(folder.path(), &[&args[..], jobs].concat(), None);
        (outcome.code, outcome.out, outcome.err, fs::read_to_string(folder.path().join("m.om")).unwrap())
    };
    let expected = measured(&["-j1"]);
    assert!(expected.3.contains("broken_audit_documents"), "{}", expected.3);
    for jobs in JOBS.iter().chain(&TURNS[1..3]) {
        assert!(measured(jobs) == expected, "{jobs:?}");
    }
    // Without metrics, too, where turns would be taken with a capture.
    same(folder.path(), &["run", "--output", "json", "audit.jsonl"], None);
}

/// Who has heard enough of a pipe does not wait for what else may come through it.
fn leaves_its_pipe(args: &[&str], given: &[u8]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_casebook-replay"));
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    // It may have heard enough before that is written.
    let _ = pipe.write_all(given);
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(begin.elapsed() < PATIENCE, "{args:?}: it waits for the rest of its pipe");
        thread::sleep(Duration::from_millis(10));
    };
    let mut shown = String::new();
    child.stdout.take().unwrap().read_to_string(&mut shown).unwrap();
    assert!(status.success(), "{args:?} {shown}");
    drop(pipe);
    shown
}

#[test]
fn a_run_that_is_over_leaves_its_pipe() {
    let shown = leaves_its_pipe(&["events", "-n", "3", "-j2", "-"], &losing_host("node-1", 50));
    assert_eq!(shown.lines().count(), 3, "{shown}");
}

/// Nor do those wait who read along and are not the ones that found out.
#[test]
fn all_who_take_turns_leave_their_pipe() {
    let given = losing_host("node-1", 200);
    let args = ["run", "-q", "--to", "+10s", "-"];
    let alone = leaves_its_pipe(&[&args[..], &["-j1"]].concat(), &given);
    assert!(alone.lines().count() > 10);
    for jobs in TURNS {
        assert_eq!(leaves_its_pipe(&[&args[..], jobs].concat(), &given), alone, "{jobs:?}");
    }
}

/// Nobody waits for ever where there is no output any more.
#[test]
fn a_broken_output_ends_all_who_take_turns() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("many.scap");
    fs::write(&path, losing_host("node-1", 6000)).unwrap();
    for jobs in [&["-j1"][..], TURNS[1], TURNS[4]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_casebook-replay"));
        command.args(["run", "-q"]).args(jobs).arg(&path).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut some = [0; 10];
        let mut out = child.stdout.take().unwrap();
        out.read_exact(&mut some).unwrap();
        drop(out);
        let begin = Instant::now();
        while child.try_wait().unwrap().is_none() {
            assert!(begin.elapsed() < PATIENCE, "{jobs:?}");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn all_corpora() {
    let Some(folder) = env::var_os("CASEBOOK_CORPORA").map(PathBuf::from) else {
        writeln!(io::stderr(), "skipped: CASEBOOK_CORPORA is not set").ok(); // past the capture of passing tests
        return;
    };
    let scap = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "scap");
    let mut files: Vec<PathBuf> = fs::read_dir(folder.join("captures"))
        .unwrap()
        .flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .filter(scap)
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for path in files {
        same(&folder, &["run", "--output", "json", &path.display().to_string()], None);
    }
}
