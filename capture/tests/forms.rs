//! The same calls in other forms: with x32 numbers, on files that are registered with a ring, and recorded by the programs
//! for kernels that take none with types.
#![allow(clippy::unwrap_used)] // a failing test may panic

mod recorder;

use std::path::Path;
use std::process::Stdio;

use casebook_formats::capture::{CaptureReader, Item};
use recorder::{alone, permitted, record, recorder, skip, sound};

/// What a test asks of an event: call, result, descriptor, and its bytes.
struct Seen {
    name: &'static str,
    result: Option<i64>,
    fd: Option<i64>,
    data: Vec<u8>,
}

fn seen(file: &Path) -> Vec<Seen> {
    let mut reader = CaptureReader::open(file).unwrap();
    let mut all = Vec::new();
    while let Some(item) = reader.next_item().unwrap() {
        let Item::Event(event) = item else { continue };
        let name = event.name();
        let (fd, data) = match name {
            "openat" => (0, 2),
            "close" => (1, 9),
            "write" | "read" => (2, 1),
            "writev" => (2, 1),
            _ => continue,
        };
        let data = event.param(data).unwrap_or_default().to_vec();
        all.push(Seen { name, result: event.i64(0), fd: event.i64(fd), data });
    }
    all
}

/// Records a Python program that works in a folder of its own; what it printed, and its events.
fn recorded_python(script: &str) -> Option<(String, Vec<Seen>)> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.scap.zst");
    let work = folder.path().join("work");
    std::fs::create_dir(&work).unwrap();
    let said = record(&file, &["--buffer", "8"], &["python3", "-B", script, work.to_str().unwrap()]);
    if said.status.code() == Some(2) {
        skip("python3 is not installed");
        return None;
    }
    assert_eq!(said.status.code(), Some(0), "{}", String::from_utf8_lossy(&said.stderr));
    if String::from_utf8_lossy(&said.stderr).contains("io_uring cannot be followed") {
        skip("io_uring cannot be followed here");
        return None;
    }
    Some((String::from_utf8_lossy(&said.stdout).into_owned(), seen(&file)))
}

#[test]
fn files_that_are_registered_with_a_ring_are_told_by_descriptor_or_place() {
    if !permitted("registered files") {
        return;
    }
    let Some((told, events)) = recorded_python(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/registered.py")) else {
        return;
    };
    let operations: Vec<Vec<&str>> =
        told.lines().filter(|line| line.starts_with("registered ")).map(|line| line.split(' ').collect()).collect();
    if operations.is_empty() {
        return skip(&format!("no io_uring here: {told}"));
    }
    let mut rest = events.iter();
    for operation in &operations {
        let [_, call, fd, result] = operation[..] else { panic!("{operation:?}") };
        let (fd, result) = (fd.parse().ok(), result.parse().ok());
        assert!(
            rest.any(|event| event.name == call && event.fd == fd && event.result == result),
            "no event says {operation:?}"
        );
    }
}

/// Where the kernel has no x32 calls they fail, and are recorded all the same; what they were given shows how they are
/// taken apart.
#[test]
fn x32_calls_have_names_and_arguments() {
    if !permitted("x32 calls") {
        return;
    }
    let script = "
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
X32 = 0x40000000
low = libc.mmap(None, 4096, 3, 0x62, -1, 0)  # below 4 GiB: MAP_PRIVATE, ANONYMOUS, 32BIT
ctypes.memmove(low, (low + 64).to_bytes(4, 'little') + (5).to_bytes(4, 'little'), 8)
ctypes.memmove(low + 64, b'small', 5)
ctypes.memmove(low + 128, b'/x32/name', 10)
libc.syscall(X32 | 257, -100, ctypes.c_long(low + 128), 0)
libc.syscall(X32 | 516, 1, ctypes.c_long(low), 1)
";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x32.py");
    std::fs::write(&path, script).unwrap();
    let Some((_, events)) = recorded_python(path.to_str().unwrap()) else { return };
    let opened: Vec<_> =
        events.iter().filter(|event| event.name == "openat" && event.data.starts_with(b"/x32/name")).collect();
    assert_eq!(opened.len(), 1, "by its number without the bit");
    assert!(opened[0].fd.is_some_and(|fd| fd < 0), "there is no such file, or no such call");
    let written = events.iter().find(|event| event.name == "writev" && event.data == b"small");
    assert!(written.is_some(), "by its own number, with vectors of 32 bits");
}

#[test]
fn raw_tracepoints_record_the_same() {
    if !permitted("raw tracepoints") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let names = |raw: bool| {
        let file = folder.path().join(format!("{raw}.scap.zst"));
        let mut recorder = recorder();
        recorder.arg("record").arg("-w").arg(&file).args(["--until-exit", "--", "sh", "-c", "cat /etc/hostname | cat"]);
        if raw {
            recorder.env("CASEBOOK_RAW_TRACEPOINTS", "1");
        }
        let said = recorder.stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        assert_eq!(said.status.code(), Some(0), "{text}");
        assert_eq!(text.contains("raw tracepoints"), raw, "{text}");
        sound(&file);
        let mut names = alone(&file).names;
        // Two programs run at once: which is first differs.
        names.sort_unstable();
        names
    };
    assert_eq!(names(true), names(false));
}
