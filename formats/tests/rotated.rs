//! `cat` and `split`: what goes apart comes together again, in order, and says what is not there.

#![allow(clippy::unwrap_used)] // a failing test may panic

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use casebook_formats::capture::{CaptureReader, Item};
use casebook_formats::cli::{Exit, run_to};
use casebook_formats::snapshot::{MachineInfo, ThreadEntry};
use casebook_formats::tables::ppme::PPME_SYSCALL_CHDIR_X;
use casebook_formats::write::CaptureWriter;

const SECOND: u64 = 1_000_000_000;

/// A capture of a host with an event at each of these seconds.
fn capture(path: &Path, host: &str, seconds: &[u64]) {
    let mut writer = CaptureWriter::new(Vec::new());
    writer.section().unwrap();
    writer.machine(&MachineInfo { hostname: host.into(), boot_ts: 5, ..MachineInfo::default() }).unwrap();
    writer.threads(&[ThreadEntry { tid: 7, pid: 7, comm: b"init".to_vec(), ..ThreadEntry::default() }]).unwrap();
    for second in seconds {
        let path = [vec![b'x'; 60_000], vec![0]].concat();
        writer.event(second * SECOND, 7, 0, PPME_SYSCALL_CHDIR_X, &[&[0; 8], &path]).unwrap();
    }
    std::fs::write(path, writer.into_inner().unwrap()).unwrap();
}

/// Runs `casebook` and gives exit, standard output and standard error.
fn casebook(args: &[&str], files: &[&Path]) -> (Exit, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let args = ["casebook"].iter().chain(args).map(OsString::from).chain(files.iter().map(OsString::from));
    let exit = run_to(args, &mut out, &mut err);
    (exit, String::from_utf8_lossy(&out).into_owned(), String::from_utf8(err).unwrap())
}

/// Seconds of a capture's events, and how many sections and threads at the start of sections it has.
fn read(path: &Path) -> (Vec<u64>, usize, usize) {
    let mut reader = CaptureReader::open(path).unwrap();
    let (mut seconds, mut sections, mut threads) = (Vec::new(), 0, 0);
    while let Some(item) = reader.next_item().unwrap() {
        match item {
            Item::Event(event) => seconds.push(event.ts / SECOND),
            Item::Section(_) => sections += 1,
            Item::Threads(list) => threads += list.len(),
            _ => {}
        }
    }
    (seconds, sections, threads)
}

fn parts(out: &str) -> Vec<PathBuf> {
    out.lines().map(PathBuf::from).collect()
}

#[test]
fn parts_by_time_begin_with_the_snapshots_and_come_together_again() {
    let folder = tempfile::tempdir().unwrap();
    let (input, all) = (folder.path().join("x.scap"), folder.path().join("all.scap.zst"));
    capture(&input, "host", &[100, 101, 109, 110, 111, 135]);
    let output = format!("-o{}", folder.path().join("part.scap.zst").display());
    let (exit, out, err) = casebook(&["split", "--every", "10s", &output], &[&input]);
    assert_eq!(exit, Exit::Complete, "{err}");
    let parts = parts(&out);
    let read_parts: Vec<_> = parts.iter().map(|part| read(part)).collect();
    let expected = [vec![100, 101, 109], vec![110, 111], vec![135]];
    assert_eq!(read_parts, expected.map(|seconds| (seconds, 1, 1)));
    assert!(err.contains("casebook-replay slice"), "{err}");

    let files: Vec<&Path> = [&parts[2], &parts[0], &parts[1]].map(PathBuf::as_path).to_vec();
    let (exit, _, err) = casebook(&["cat", "--max-gap", "5s", &format!("-o{}", all.display())], &files);
    assert_eq!(exit, Exit::Complete, "{err}");
    assert_eq!(read(&all), (vec![100, 101, 109, 110, 111, 135], 3, 3));
    assert!(err.contains("not as they were named"), "{err}");
    assert!(err.contains("nothing is known of 24.000 s between"), "{err}");
    let (exit, told, err) = casebook(&["verify"], &[&all]);
    assert_eq!(exit, Exit::Complete, "{told}{err}");
    assert!(told.contains("split") && told.contains("cat"), "custody entries are handed on: {told}");
}

#[test]
fn parts_by_size_hold_at_most_that_much() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("x.scap");
    capture(&input, "host", &(1..=40).collect::<Vec<_>>());
    let output = format!("-o{}", folder.path().join("part.scap").display());
    let (exit, out, err) = casebook(&["split", "--size", "1", "--json", &output], &[&input]);
    assert_eq!(exit, Exit::Complete, "{err}");
    assert!(out.lines().all(|line| line.contains("\"events\":") && line.contains("\"earliest_ns\":")), "{out}");
    let mut seconds = Vec::new();
    for number in 1..=out.lines().count() {
        let part = folder.path().join(format!("part-{number:03}.scap"));
        assert!(std::fs::metadata(&part).unwrap().len() <= 1 << 20);
        seconds.extend(read(&part).0);
    }
    assert_eq!(seconds, (1..=40).collect::<Vec<_>>());
    let (exit, _, err) = casebook(&["split", "--size", "1", &output], &[&input]);
    assert_eq!(exit, Exit::Output, "a part that is there already is not replaced unasked: {err}");
}

#[test]
fn files_of_two_hosts_are_not_put_together_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("a.scap"), folder.path().join("b.scap"));
    capture(&one, "web", &[100]);
    capture(&other, "db", &[101]);
    let (exit, out, err) = casebook(&["cat"], &[&one, &other]);
    assert_eq!((exit, out.as_str()), (Exit::Usage, ""), "{err}");
    assert!(err.contains("web") && err.contains("db"), "{err}");
    let (exit, out, _) = casebook(&["cat", "--any-host", "--to", "scap"], &[&one, &other]);
    assert_eq!(exit, Exit::Complete);
    assert!(!out.is_empty());
}

#[test]
fn the_same_time_twice_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("a.scap"), folder.path().join("b.scap"));
    capture(&one, "web", &[100, 110]);
    capture(&other, "web", &[105, 111]);
    let all = folder.path().join("all.scap.zst");
    let (exit, _, err) = casebook(&["cat", &format!("-o{}", all.display())], &[&one, &other]);
    assert_eq!(exit, Exit::Complete, "{err}");
    assert!(err.contains("5.000 s are in both"), "{err}");
    assert!(err.contains("file_overlaps: 1"), "{err}");
    let bytes = std::fs::read(&all).unwrap();
    let cause = b"file_overlaps";
    assert!(bytes.windows(cause.len()).any(|window| window == cause), "a frame record and the seal name the loss");
}

#[test]
fn a_cut_file_ends_at_its_last_whole_block() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("a.scap"), folder.path().join("b.scap"));
    capture(&one, "web", &[100, 101]);
    capture(&other, "web", &[102]);
    let bytes = std::fs::read(&one).unwrap();
    std::fs::write(&one, &bytes[..bytes.len() - 100]).unwrap();
    let all = folder.path().join("all.scap.zst");
    let (exit, _, err) = casebook(&["cat", "--max-gap", "1m", &format!("-o{}", all.display())], &[&one, &other]);
    assert_eq!(exit, Exit::Incomplete, "{err}");
    assert!(err.contains("truncated_input"), "{err}");
    assert_eq!(read(&all).0, [100, 102]);
    assert_eq!(casebook(&["verify"], &[&all]).0, Exit::Complete, "what was written is whole");
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("x.scap");
    capture(&input, "host", &[1]);
    assert_eq!(casebook(&["split"], &[&input]).0, Exit::Usage);
    assert_eq!(casebook(&["split", "--size", "1"], &[&input]).0, Exit::Usage);
    assert_eq!(casebook(&["split", "--every", "0s", "-ox.scap"], &[&input]).0, Exit::Usage);
    assert_eq!(casebook(&["cat", "-", "-"], &[]).0, Exit::Usage);
    assert_eq!(casebook(&["cat"], &[&folder.path().join("absent.scap")]).0, Exit::Unreadable);
}
