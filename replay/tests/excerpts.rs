//! `casebook-replay slice` and `minimize` as a user meets them, on the built-in example.

// What fails in the set-up of a test is a failure of the test.
#![allow(clippy::unwrap_used)]

mod program;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use casebook_fixtures::{Proc, Trace, Value, flags};
use casebook_formats::ledger::Counter;
use casebook_formats::origin;
use casebook_formats::seekable::{Options, SeekableWriter};
use casebook_formats::tables::ppme;
use program::{bench, run};

const LINE: &str =
    "*%evt.rawtime %evt.type %proc.pid %proc.cmdline %proc.aname[2] %fd.name %user.name %container.name %evt.res";

fn events(folder: &Path, capture: &str, more: &[&str]) -> Vec<String> {
    let got = run(folder, &[&["events", "-q", "-p", LINE, capture][..], more].concat());
    assert_eq!(got.code, 0, "{got:?}");
    got.out.lines().map(str::to_owned).collect()
}

#[test]
fn a_container_is_cut_out_with_what_it_is_called() {
    let folder = bench();
    let sliced = run(folder.path(), &["slice", "--container", "7f3a90c41be2", "example.scap", "-o", "web.scap.zst"]);
    assert_eq!((sliced.code, sliced.out.as_str()), (0, ""), "{sliced:?}");
    assert!(sliced.err.contains("slice: ") && !sliced.err.contains("warning"), "{sliced:?}");
    let whole =
        events(folder.path(), "example.scap", &["--filter", "container.id = 7f3a90c41be2 and evt.type != container"]);
    assert!(whole.len() > 50 && whole.iter().all(|line| line.contains(" web ")), "{}", whole.len());
    assert_eq!(events(folder.path(), "web.scap.zst", &[]), whole);
}

#[test]
fn a_slice_says_where_it_comes_from() {
    let folder = bench();
    let sliced = run(folder.path(), &["slice", "-q", "--events", "10-40", "example.scap", "-o", "part.scap.zst"]);
    assert_eq!(sliced.code, 0, "{sliced:?}");
    let parent = origin::of_file(&folder.path().join("example.scap")).unwrap().parent;
    let entries = origin::of_file(&folder.path().join("part.scap.zst")).unwrap().entries;
    let [entry] = entries.as_slice() else { panic!("{entries:?}") };
    assert_eq!((entry.operation.as_str(), entry.note.as_deref()), ("slice", Some("events 10 to 40")));
    assert!(entry.tool.starts_with("casebook-replay "));
    assert_eq!(entry.parents.iter().map(|parent| parent.sha256).collect::<Vec<_>>(), [parent.sha256]);
}

#[test]
fn times_and_numbers_select_what_events_shows() {
    let folder = bench();
    for (selection, shown) in [
        (["--from", "+30s", "--to", "+45s"].as_slice(), ["--from", "+30s", "--to", "+45s"].as_slice()),
        (&["--events", "20-60"], &["--filter", "evt.num >= 20 and evt.num <= 60"]),
    ] {
        let line = [&["slice", "-q", "--force", "example.scap", "-o", "part.scap"], selection].concat();
        let sliced = run(folder.path(), &line);
        assert_eq!(sliced.code, 0, "{sliced:?}");
        let whole = events(folder.path(), "example.scap", shown);
        assert!(whole.len() > 10, "{selection:?}");
        assert_eq!(events(folder.path(), "part.scap", &[]), whole, "{selection:?}");
    }
}

#[test]
fn one_alert_needs_few_events() {
    let folder = bench();
    let rule = "Sensitive file read by an unexpected program";
    let line = ["minimize", "--rule", rule, "example.scap", "-o", "case.scap.zst"];
    let minimal = run(folder.path(), &line);
    assert_eq!(minimal.code, 0, "{minimal:?}");
    assert!(minimal.err.contains("1 alert as before"), "{minimal:?}");
    let alerts = |capture| -> Vec<String> {
        let out = run(folder.path(), &["-q", "--rule-matching", "all", capture]).out;
        out.lines().filter(|line| line.contains("Sensitive file read")).map(str::to_owned).collect()
    };
    let whole = alerts("example.scap");
    assert_eq!(alerts("case.scap.zst")[0], whole[0]);
    let left = events(folder.path(), "case.scap.zst", &[]).len();
    assert!(left <= 3, "{left} events are shown");
    let entries = origin::of_file(&folder.path().join("case.scap.zst")).unwrap().entries;
    assert_eq!(entries.last().map(|entry| entry.operation.as_str()), Some("minimize"));
}

#[test]
fn what_cannot_be_done_is_said() {
    let folder = bench();
    fs::write(folder.path().join("there.scap"), b"x").unwrap();
    for (line, code, words) in [
        (["slice", "example.scap", "-o", "o.scap"].as_slice(), 2, "nothing selects"),
        (&["slice", "--pid", "1", "-", "-o", "o.scap"], 4, "standard input: empty"),
        (&["slice", "--pid", "999999", "example.scap", "-o", "o.scap"], 2, "no event is selected"),
        (&["slice", "--pid", "1", "example.scap", "-o", "there.scap"], 6, "--force"),
        (&["slice", "--pid", "1", "--force", "example.scap", "-o", "example.scap"], 2, "overwrite the input"),
        (&["slice", "--pid", "1", "gone.scap", "-o", "o.scap"], 4, "gone.scap"),
        (&["slice", "--events", "9-3", "example.scap", "-o", "o.scap"], 2, "no range of numbers"),
        (&["minimize", "--rule", "No such rule", "example.scap", "-o", "o.scap"], 2, "No such rule"),
    ] {
        let got = run(folder.path(), line);
        assert_eq!(got.code, code, "{line:?} {got:?}");
        assert!(got.err.contains(words), "{line:?} {got:?}");
        assert!(!folder.path().join("o.scap").exists() && !folder.path().join("o.scap.partial").exists(), "{line:?}");
    }
    assert_eq!(fs::read(folder.path().join("there.scap")).unwrap(), b"x");
}

/// A shell of pid 300 that starts programs of pids 5000 and so on, and beside it a server that opens files. With `markers`,
/// the recorder says in the middle that it lost events.
fn story(markers: bool) -> Vec<u8> {
    let mut trace = Trace::new("lossy");
    let shell = trace.process(Proc::new(300, "/bin/bash").argv(&["bash"]));
    let server = trace.process(Proc::new(400, "/usr/sbin/nginx").argv(&["nginx"]));
    for n in 0..40 {
        trace.wait_ms(100);
        trace.open(server, "/var/log/access.log", flags::READ);
        let child = trace.fork(shell);
        trace.execve(child, "/bin/cat", &["cat", "/etc/passwd"]);
        trace.open(child, "/etc/passwd", flags::READ);
        trace.read(child, 77, b"root");
        if n % 4 != 0 {
            trace.exit(child, 0);
        }
        if markers && n == 20 {
            trace.emit(-1, ppme::PPME_DROP_E, &[("ratio", Value::Int(1))]);
            trace.wait_ms(5);
            trace.emit(-1, ppme::PPME_DROP_X, &[("ratio", Value::Int(1))]);
        }
    }
    trace.finish().unwrap()
}

/// Fields of when a process began.
const OF_STARTS: [&str; 5] =
    ["proc.duration:", "proc.ppid.duration:", "proc.exe_ino.ctime_duration", "proc.pid.ts:", "proc.ppid.ts:"];

/// Slices of before, around and after the middle of the capture, and of processes: what they show of their events is what
/// the whole shows, also of what nobody knows after a loss.
fn slices_know_of_losses(folder: &Path, capture: &str) {
    let line = "*%evt.rawtime %evt.type %proc.pid %proc.nthreads %proc.fdopencount %proc.nchilds %proc.cmdline";
    let shown = |capture: &str, filter: &str| {
        let mut args = vec!["events", "-q", "-p", line, capture];
        args.extend(["--filter", filter].into_iter().filter(|_| !filter.is_empty()));
        let got = run(folder, &args);
        assert!([0, 5].contains(&got.code), "read, perhaps with losses: {got:?}");
        got.out.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let all = shown(capture, "").len();
    let (ten, half, most) = (all / 10, all / 2, all * 8 / 10);
    let numbers = |first: usize, last: usize| {
        let filter = format!("evt.num >= {first} and evt.num <= {last}");
        (vec!["--events".to_owned(), format!("{first}-{last}")], filter)
    };
    let server = (["--pid", "400"].map(str::to_owned).to_vec(), "proc.pid = 400".to_owned());
    let late = (["--pid", "5038"].map(str::to_owned).to_vec(), String::new());
    let selections = [numbers(ten, half - ten), numbers(ten, most), numbers(most, all), numbers(half + ten, most)];
    let mut told = 0;
    for (selection, filter) in selections.into_iter().chain([server, late]) {
        for output in ["part.scap", "part.scap.zst"] {
            let mut args = vec!["slice", "--force", capture, "-o", output];
            args.extend(selection.iter().map(String::as_str));
            let sliced = run(folder, &args);
            assert_eq!(sliced.code, 0, "{sliced:?}");
            assert!(!sliced.err.contains("warning"), "{selection:?} {sliced:?}");
            let differing: Vec<&str> = sliced.err.lines().filter_map(|line| line.strip_prefix("  ")).collect();
            let of_processes = selection.contains(&"--pid".to_owned());
            // A snapshot does not say when its processes were cloned.
            let starts = |line: &&str| !of_processes && OF_STARTS.iter().any(|field| line.starts_with(field));
            assert!(differing.iter().all(starts), "{selection:?} {sliced:?}");
            let words = if differing.is_empty() { "are as in the whole" } else { "a snapshot has no place" };
            assert!(sliced.err.contains(words), "{sliced:?}");
            told += usize::from(run(folder, &["events", output]).err.contains("lost"));
            if !filter.is_empty() {
                assert_eq!(shown(output, ""), shown(capture, &filter), "{selection:?} {output}");
            }
        }
    }
    let early = shown(capture, &format!("evt.num < {}", half - ten));
    assert!(early.iter().any(|line| !line.contains("<NA>")), "the beginning is known");
    assert!(shown(capture, &format!("evt.num > {most}")).iter().all(|line| line.contains("<NA>")), "the end is not");
    assert!(told > 0, "a slice of a capture with losses is one");
}

#[test]
fn slices_of_a_capture_with_drop_markers() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("marked.scap"), story(true)).unwrap();
    slices_know_of_losses(folder.path(), "marked.scap");
}

#[test]
fn slices_of_a_damaged_capture() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = story(false);
    let middle = bytes.len() / 2;
    bytes[middle..middle + 300].fill(0xA5);
    fs::write(folder.path().join("damaged.scap"), bytes).unwrap();
    slices_know_of_losses(folder.path(), "damaged.scap");
}

#[test]
fn slices_of_a_recording_that_lost_events() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = story(false);
    let options = Options { frame_bytes: 2048, level: 1 };
    let file = File::create(folder.path().join("recorded.scap.zst")).unwrap();
    let mut writer = SeekableWriter::new(file, options).unwrap();
    let (early, late) = bytes.split_at(bytes.len() / 2);
    writer.write_all(early).unwrap();
    writer.cut().unwrap();
    writer.lost(Counter::RingFull, 17);
    writer.write_all(late).unwrap();
    writer.finish().unwrap();
    slices_know_of_losses(folder.path(), "recorded.scap.zst");
}

#[test]
fn the_smallest_capture_of_an_alert_after_a_loss() {
    let folder = tempfile::tempdir().unwrap();
    let mut damaged = story(false);
    let middle = damaged.len() / 2;
    damaged[middle..middle + 300].fill(0xA5);
    fs::write(folder.path().join("damaged.scap"), damaged).unwrap();
    fs::write(folder.path().join("marked.scap"), story(true)).unwrap();
    let rule = "- rule: late\n  desc: after the middle\n  priority: INFO\n  condition: evt.type = read and proc.pid = 5039\n  \
                output: threads %proc.nthreads open %proc.fdopencount\n";
    fs::write(folder.path().join("late.yaml"), rule).unwrap();
    for capture in ["damaged.scap", "marked.scap"] {
        let minimal = run(folder.path(), &["minimize", "--force", "-r", "late.yaml", capture, "-o", "case.scap.zst"]);
        assert_eq!(minimal.code, 0, "{minimal:?}");
        assert!(minimal.err.contains("1 alert as before"), "{minimal:?}");
        let alerts =
            |capture| run(folder.path(), &["-q", "-r", "late.yaml", capture]).out.lines().next().map(str::to_owned);
        let whole = alerts(capture);
        assert!(whole.as_ref().unwrap().contains("threads <NA> open <NA>"), "nobody knows: {whole:?}");
        assert_eq!(alerts("case.scap.zst"), whole);
        let shown = run(folder.path(), &["events", "-q", "-p", "%evt.type", "case.scap.zst"]).out;
        assert_eq!(shown, "read\n", "the marker is not shown");
    }
}
