//! What becomes of a recording: rows of files, the flight recorder, disks that are full or slow, pipes that nobody reads.
//! Every file has to be whole, or cut at a whole frame, and to make sense to somebody who has nothing else.
//!
//! Needs permission to use eBPF, and bash. Everything is limited to the processes of the test.
#![allow(clippy::unwrap_used)] // a failing test may panic

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use casebook_formats::seekable::verify;

mod recorder;

use recorder::{Beside, alone, lost, permitted, record, recorder, say, skip, sound};

/// Short-lived processes that make and remove files, as fast as they can, for so many seconds.
fn busy(folder: &Path, seconds: u32) -> String {
    let folder = folder.display();
    format!("cd {folder}; end=$((SECONDS+{seconds})); while [ $SECONDS -lt $end ]; do /bin/true; : > a; rm -f a; done")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Files of a folder whose names begin so, by name.
fn files(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let ours = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(prefix);
    entries.filter(ours).collect::<BTreeSet<_>>().into_iter().collect()
}

fn names(files: &[PathBuf]) -> Vec<&str> {
    files.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect()
}

/// The events that a run says it recorded.
fn told(output: &Output) -> u64 {
    let said = said(output);
    let line = said.lines().find(|line| line.contains(" events in ")).unwrap_or_else(|| panic!("{said}"));
    line.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn each_file_of_a_row_tells_all_by_itself_and_none_loses_an_event() {
    if !permitted("each_file_of_a_row_tells_all_by_itself_and_none_loses_an_event") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let output = record(&folder.path().join("x.scap"), &["-G", "1"], &["bash", "-c", &busy(folder.path(), 7)]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let files = files(folder.path(), "x.scap");
    assert!(files.len() >= 4 && names(&files)[..3] == ["x.scap0", "x.scap1", "x.scap2"], "{files:?}");
    let (mut events, mut last, mut execs, mut programs) = (0, 0, 0, BTreeSet::new());
    for (n, file) in files.iter().enumerate() {
        events += sound(file);
        let read = alone(file);
        assert_eq!(read.strangers, [], "{}: threads that nobody introduced", file.display());
        assert!(read.span.0 >= last, "what one file holds no other does");
        last = read.span.1;
        execs += read.programs.len();
        programs.extend(read.programs);
        // The length of a file but the last: a second, and what it takes to notice on a busy machine.
        let length = Duration::from_nanos(read.span.1 - read.span.0);
        assert!(n + 1 == files.len() || length < Duration::from_millis(2500), "{length:?}");
    }
    assert_eq!(events, told(&output));
    assert!(execs > 100 && programs.iter().any(|program| program.ends_with("/true")), "{execs} {programs:?}");
}

#[test]
fn a_row_is_named_as_sysdig_names_it_and_overwrites_its_oldest_file() {
    if !permitted("a_row_is_named_as_sysdig_names_it_and_overwrites_its_oldest_file") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("y-%S-.scap.zst");
    let output = record(&file, &["-G", "1", "-W", "2", "-q"], &["bash", "-c", &busy(folder.path(), 4)]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let by_time = files(folder.path(), "y-");
    assert_eq!(by_time.len(), 2, "{by_time:?}");
    assert!(by_time.iter().all(|path| sound(path) > 0 && !path.display().to_string().contains('%')));
    // Data that does not compress, so that a file is full soon.
    let file = folder.path().join("z.scap.zst");
    let options = ["-C", "1", "-W", "10", "-s", "4096", "-q"];
    let noise = "for i in $(seq 40); do dd if=/dev/urandom of=/dev/null bs=4096 count=90 status=none; sleep 0.15; done";
    let output = record(&file, &options, &["bash", "-c", noise]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let by_size = files(folder.path(), "z.scap.zst");
    assert_eq!(by_size.len(), 10, "{by_size:?}");
    assert!(names(&by_size)[0].ends_with("zst00") && names(&by_size)[9].ends_with("zst09"), "{by_size:?}");
    let mut full = 0;
    for path in &by_size {
        sound(path);
        assert_eq!(alone(path).strangers, []);
        let len = std::fs::metadata(path).unwrap().len();
        full += u32::from((900_000..1_600_000).contains(&len));
        assert!(len < 2_000_000, "{}: {len} bytes", path.display());
    }
    assert!(full >= 8, "about a million bytes each");
}

fn start(options: &[&str]) -> Beside {
    Beside::start(recorder().arg("record").args(options).stderr(Stdio::piped()))
}

fn signal(process: u32, name: &str) {
    assert!(Command::new("kill").args(["-s", name, &process.to_string()]).status().unwrap().success());
}

fn wait_for(what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_mins(1), "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_flight_recorder_writes_what_was_before_and_after() {
    if !permitted("the_flight_recorder_writes_what_was_before_and_after") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let bait = folder.path().join("bait");
    std::fs::copy("/bin/true", &bait).unwrap();
    let file = folder.path().join("f.scap.zst");
    let trigger = format!("exec:{}", bait.display());
    // Six seconds of life, the bait in the middle; two seconds before and one after it are wanted.
    let script = format!(
        "for i in 1 2 3 4 5 6 7 8 9; do {}; [ $i = 4 ] && {}; done",
        "for j in 1 2 3 4 5 6; do /bin/true; sleep 0.1; done",
        bait.display()
    );
    let options = ["--ring", "16MiB", "--before", "2", "--after", "1", "--trigger", &trigger];
    let output = record(&file, &options, &["bash", "-c", &script]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let made = files(folder.path(), "f");
    assert_eq!(names(&made), ["f-001.scap.zst", "f-002.scap.zst"], "{}", said(&output));
    for path in &made {
        assert!(sound(path) > 0);
        assert_eq!(alone(path).strangers, [], "{}", path.display());
    }
    let first = alone(&made[0]);
    assert_eq!(first.programs.iter().filter(|program| program.ends_with("/bait")).count(), 1);
    let length = first.span.1 - first.span.0;
    assert!(
        (2_500_000_000..5_500_000_000).contains(&length),
        "two before, one after, and a snapshot's distance: {length}"
    );
    let last = alone(&made[1]);
    assert!(last.programs.iter().all(|program| !program.ends_with("/bait")), "the end is long after");
    assert_eq!(last.names.last(), Some(&"procexit"));
    let said = said(&output);
    assert!(said.contains(&trigger) && said.contains("the recording ended"), "{said}");
}

#[test]
fn a_signal_writes_memory_and_recording_goes_on() {
    if !permitted("a_signal_writes_memory_and_recording_goes_on") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let other = Beside::start(Command::new("bash").args(["-c", &busy(folder.path(), 60)]));
    let file = folder.path().join("s.scap.zst");
    let pid = other.id().to_string();
    let options = ["-w", file.to_str().unwrap(), "--ring", "4MiB", "--after", "0", "--pid", &pid];
    let mut recorder = start(&options);
    let at_work =
        || Path::new(&format!("/proc/{}/task", recorder.id())).read_dir().is_ok_and(|tasks| tasks.count() > 1);
    wait_for("the recorder's start", at_work);
    std::thread::sleep(Duration::from_millis(2500));
    for n in 1..=2 {
        signal(recorder.id(), "USR1");
        let path = folder.path().join(format!("s-00{n}.scap.zst"));
        wait_for("a file", || {
            let whole =
                |file| verify::verify(file).is_ok_and(|report| report.faults.is_empty() && report.seal.is_some());
            std::fs::File::open(&path).is_ok_and(whole)
        });
        let read = alone(&path);
        assert!(read.programs.len() > 10, "{n}");
        assert_eq!(read.strangers, []);
    }
    assert!(recorder.child().try_wait().unwrap().is_none(), "it goes on");
    signal(recorder.id(), "TERM");
    let output = recorder.output();
    drop(other);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(files(folder.path(), "s-").len(), 3, "the last one at the end");
    assert!(said(&output).contains("SIGUSR1"));
}

/// A limit of the file's size stands for a full disk: what is there stays, ends at a whole frame, and is told.
#[test]
fn a_file_that_must_not_grow_ends_at_a_whole_frame() {
    if !permitted("a_file_that_must_not_grow_ends_at_a_whole_frame") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.scap.zst");
    let program = env!("CARGO_BIN_EXE_casebook-capture");
    let script = format!(
        "ulimit -f 400; exec {program} record -w {} --until-exit -- bash -c '{}'",
        file.display(),
        busy(folder.path(), 20)
    );
    let output = Command::new("bash").args(["-c", &script]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert!(said(&output).contains("File too large") && said(&output).contains("events were not"), "{}", said(&output));
    let report = verify::verify(std::fs::File::open(&file).unwrap()).unwrap();
    assert!(report.intact > 0 && report.faults.iter().all(|fault| fault.wrong == verify::Wrong::Truncated));
    assert!(!alone(&file).programs.is_empty());
}

/// A row of files on a disk that is full for a while goes on when there is room, costs no more old files than it has to,
/// and says how much is missing.
#[test]
fn a_row_outlives_a_full_disk() {
    let test = "a_row_outlives_a_full_disk";
    if !permitted(test) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let small = folder.path().join("small");
    std::fs::create_dir(&small).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64m", "none"]).arg(&small).status();
    if !mounted.is_ok_and(|status| status.success()) {
        return skip(&format!("{test}: a file system cannot be mounted here"));
    }
    let result = std::panic::catch_unwind(|| on_a_disk_full_for_a_while(folder.path(), &small));
    let unmounted = Command::new("umount").arg(&small).status();
    assert!(unmounted.is_ok_and(|status| status.success()));
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

fn on_a_disk_full_for_a_while(folder: &Path, small: &Path) {
    let other = Beside::start(Command::new("bash").args(["-c", &busy(folder, 60)]));
    let pid = other.id().to_string();
    let file = small.join("x");
    let recorder = start(&["-w", file.to_str().unwrap(), "-G", "1", "-W", "30", "--pid", &pid]);
    wait_for("the second file", || small.join("x1").exists());
    let all = "dd if=/dev/zero of=filler bs=4096 2> /dev/null; true";
    assert!(Command::new("sh").args(["-c", all]).current_dir(small).status().unwrap().success());
    std::thread::sleep(Duration::from_secs(4));
    let before = files(small, "x");
    std::fs::remove_file(small.join("filler")).unwrap();
    let count = before.len();
    wait_for("another file", || files(small, "x").len() >= count + 2);
    signal(recorder.id(), "TERM");
    let output = recorder.output();
    drop(other);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert!(said(&output).contains("No space left"), "{}", said(&output));
    let after = files(small, "x");
    let missing: u64 = after.iter().map(|path| lost(path, "unwritten_events")).sum();
    assert!(missing > 0, "what is missing is told in a file");
    assert!(said(&output).contains(&format!("{missing} events were not")), "{missing}: {}", said(&output));
    let whole = |path: &PathBuf| verify::verify(std::fs::File::open(path).unwrap()).unwrap().seal.is_some();
    assert!(whole(&after[0]) && whole(after.last().unwrap()), "{after:?}");
    for path in &after {
        let report = verify::verify(std::fs::File::open(path).unwrap()).unwrap();
        let cut = report.faults.iter().all(|fault| fault.wrong == verify::Wrong::Truncated);
        assert!(cut && report.intact > 0, "{}: {:?}", path.display(), report.faults);
    }
}

/// A reader that stops reading holds up neither the recorded machine nor the recorder; what finds no room is counted, and
/// when the reader goes on the capture is whole.
#[test]
fn a_slow_reader_costs_events_and_every_one_is_counted() {
    if !permitted("a_slow_reader_costs_events_and_every_one_is_counted") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let noise = folder.path().join("noise");
    assert!(
        Command::new("dd")
            .args(["if=/dev/urandom", "bs=1M", "count=4", "status=none"])
            .arg(format!("of={}", noise.display()))
            .status()
            .unwrap()
            .success()
    );
    // 16 × 4 MiB of data that does not compress: more than the pipe, the queue and the ring hold.
    let script = format!(
        "for i in $(seq 32); do dd if={} of=/dev/null bs=4096 status=none; done; touch {}",
        noise.display(),
        folder.path().join("done").display()
    );
    let mut recorder = recorder();
    recorder.args(["record", "-w", "-", "-s", "4096", "--buffer", "1", "--until-exit", "--", "bash", "-c", &script]);
    let mut child = recorder.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Nobody reads, and the recorded command ends nevertheless.
    wait_for("the end of the recorded command", || folder.path().join("done").exists());
    let mut bytes = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = said(&output);
    assert!(matches!(output.status.code(), Some(0 | 3)), "{text}");
    assert!(!text.contains("MISTAKE"), "{text}");
    let file = folder.path().join("x.scap.zst");
    std::fs::write(&file, &bytes).unwrap();
    let (there, missing) = (sound(&file), lost(&file, "ring_full") + lost(&file, "program_busy"));
    assert_eq!(there, told(&output));
    assert_eq!(output.status.code() == Some(3), missing > 0, "{text}");
    let containers = alone(&file).names.iter().filter(|name| **name == "container").count() as u64;
    let sent: Option<u64> = text
        .lines()
        .find_map(|line| line.strip_prefix("LOST: ")?.split(" of ").nth(1)?.split(' ').next()?.parse().ok());
    if let Some(sent) = sent {
        assert_eq!(there - containers + missing, sent, "sent = recorded + lost: {text}");
    }
    say(&format!("{there} recorded, {missing} lost while nobody read"));
}

/// A pipe that nobody will ever read: the second signal ends the recorder.
#[test]
fn a_second_signal_gives_up_on_a_pipe() {
    if !permitted("a_second_signal_gives_up_on_a_pipe") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = format!("{}; touch {}", busy(folder.path(), 2), folder.path().join("done").display());
    let mut recorder = recorder();
    recorder.args(["record", "-w", "-", "-q", "-s", "4096", "--until-exit", "--", "bash", "-c", &script]);
    let mut child = recorder.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    wait_for("the end of the recorded command", || folder.path().join("done").exists());
    signal(child.id(), "INT");
    std::thread::sleep(Duration::from_millis(500));
    if child.try_wait().unwrap().is_none() {
        signal(child.id(), "INT");
    }
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(10), "it does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Killed at any moment: what is there is cut off, not broken, and is read up to its last frame.
#[test]
fn killed_at_any_moment_a_recorder_leaves_what_it_wrote() {
    if !permitted("killed_at_any_moment_a_recorder_leaves_what_it_wrote") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let other = Beside::start(Command::new("bash").args(["-c", &busy(folder.path(), 120)]));
    let pid = other.id().to_string();
    let (mut frames, mut cut) = (0, 0);
    for (n, moment) in [0u64, 10, 30, 70, 150, 300, 700, 1100, 1900, 2100, 2900, 4300].into_iter().enumerate() {
        let file = folder.path().join(format!("k{n}-"));
        let mut options = vec!["-w", file.to_str().unwrap(), "--pid", &pid, "-q"];
        if n % 2 == 1 {
            options.extend(["-G", "1"]);
        }
        let mut recorder = start(&options);
        let written = || {
            files(folder.path(), &format!("k{n}-")).iter().any(|path| path.metadata().is_ok_and(|file| file.len() > 0))
        };
        // The very first ones while it writes for the first time, the others so much later.
        wait_for("the first bytes", written);
        std::thread::sleep(Duration::from_millis(moment));
        assert!(recorder.child().try_wait().unwrap().is_none(), "it was at work");
        drop(recorder);
        for path in files(folder.path(), &format!("k{n}-")) {
            if std::fs::metadata(&path).unwrap().len() == 0 {
                continue;
            }
            let report = verify::verify(std::fs::File::open(&path).unwrap()).unwrap();
            if report.seal.is_none() {
                cut += 1;
                assert!(!report.faults.is_empty(), "a file without its end is no whole one");
            }
            assert!(
                report.faults.iter().all(|fault| fault.wrong == verify::Wrong::Truncated),
                "{} after {moment} ms: {:?}",
                path.display(),
                report.faults
            );
            frames += report.intact;
            let mut reader = casebook_formats::capture::CaptureReader::open(&path).unwrap();
            let mut events = 0;
            while let Some(item) = reader.next_item().unwrap() {
                events += u64::from(matches!(item, casebook_formats::capture::Item::Event(_)));
            }
            assert!(events >= report.records.iter().map(|noted| noted.events).sum::<u64>(), "{}", path.display());
        }
    }
    assert!(frames > 12 && cut > 4, "{frames} frames, {cut} files cut off");
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x");
    let name = file.to_str().unwrap();
    for (options, why) in [
        (vec!["-w", name, "-W", "3"], "-W needs"),
        (vec!["-w", "-", "-C", "1"], "several files need a name"),
        (vec!["-w", "-", "--ring", "8MiB"], "several files need a name"),
        (vec!["-w", name, "--ring", "8"], "a number and a unit"),
        (vec!["-w", name, "--ring", "1KiB"], "from 1MiB"),
        (vec!["-w", name, "--ring", "8MiB", "-G", "1"], "cannot be used with"),
        (vec!["-w", name, "--trigger", "exec:x"], "--ring"),
        (vec!["-w", name, "--ring", "8MiB", "--trigger", "x:y"], "not one of exec:FILE"),
        (vec!["-w", "/nonexistent/x", "--ring", "8MiB"], "no such folder"),
        (vec!["-w", "/nonexistent/x", "-G", "1"], "No such file"),
        (vec!["-w", name, "-C", "0"], "0 is not in"),
    ] {
        let output = recorder().arg("record").args(&options).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{options:?}: {}", said(&output));
        assert!(said(&output).contains(why), "{options:?}: {}", said(&output));
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
}
