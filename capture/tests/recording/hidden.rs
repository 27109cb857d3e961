//! What passes other recorders by: calls of 32 bits, operations of `io_uring`, paths that change under way, execveat.

use std::process::Command;

use crate::recorder::{permitted, record, skip};
use crate::{Seen, events};

/// 32-bit calls on a 64-bit kernel are what they are, not what their numbers mean to 64-bit programs.
#[test]
fn calls_of_32_bits_are_recognised() {
    let test = "calls_of_32_bits_are_recognised";
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("compat");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/compat.c");
    let flags = ["-O1", "-nostdlib", "-static", "-no-pie", "-fno-stack-protector", "-o"];
    if !Command::new("gcc").args(flags).arg(&program).arg(source).output().is_ok_and(|gcc| gcc.status.success()) {
        return skip(&format!("{test}: gcc is not installed"));
    }
    if Command::new(&program).status().unwrap().code() != Some(3) {
        return skip(&format!("{test}: this kernel takes no 32-bit calls"));
    }
    if !permitted(test) {
        return;
    }
    let file = folder.path().join("x.scap.zst");
    let output = record(&file, &[], &[program.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let events = events(&file);
    let own = events.iter().skip_while(|event| event.name != "execve").skip(1).collect::<Vec<_>>();
    let names: Vec<_> = own.iter().map(|event| event.name).collect();
    assert_eq!(names, ["open", "read", "socket", "connect", "setuid", "procexit"]);
    assert_eq!(own[0].texts, [b"/etc/hostname"]);
    assert_eq!(own[3].result, Some(-111), "nobody listens there");
    assert_eq!(own[5].result, Some(3 << 8));
}

/// Where python3 is there and eBPF is permitted: runs a program of the tests in a folder of its own under the recorder.
/// Its output, the capture's events, and what the recorder said.
fn recorded_python(test: &str, program: &[&str]) -> Option<(String, Vec<Seen>, String)> {
    if !Command::new("python3").arg("-V").output().is_ok_and(|output| output.status.success()) {
        skip(&format!("{test}: python3 is not installed"));
        return None;
    }
    if !permitted(test) {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let (file, work) = (folder.path().join("x.scap.zst"), folder.path().join("work"));
    std::fs::create_dir(&work).unwrap();
    let mut command = vec!["python3"];
    command.extend(program);
    command.push(work.to_str().unwrap());
    let output = record(&file, &["--syscalls", "all"], &command);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    Some((String::from_utf8_lossy(&output.stdout).into_owned(), events(&file), said))
}

/// What is asked for through `io_uring` passes no tracepoint of calls, and is there all the same.
#[test]
fn operations_of_io_uring_are_events_of_calls() {
    let test = "operations_of_io_uring_are_events_of_calls";
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rings.py");
    let Some((told, events, said)) = recorded_python(test, &[script]) else { return };
    if told.is_empty() || said.contains("io_uring cannot be followed") {
        return skip(&format!("{test}: no io_uring here, or none that can be followed: {said}"));
    }
    find_operations(&told, &events);
}

/// Each operation that the program tells is there, in their order.
pub(crate) fn find_operations(told: &str, events: &[Seen]) {
    let mut rest = events;
    for line in told.lines() {
        let words: Vec<_> = line.split(' ').collect();
        let [call, result, name] = words[..] else { panic!("{line}") };
        let result: i64 = result.parse().unwrap();
        // In their order: names of files are among the texts, other names are not.
        let is_it = |event: &Seen| {
            let named = event.texts.is_empty() || event.texts.iter().any(|text| text == name.as_bytes());
            event.name == call && event.result == Some(result) && named
        };
        let at = rest.iter().position(is_it).unwrap_or_else(|| panic!("no event says {line}"));
        rest = &rest[at + 1..];
    }
}

/// A program changes the path while its call waits: the event has what the call was given, and the change is counted.
#[test]
fn a_path_that_is_changed_meanwhile_is_the_one_that_was_given() {
    let test = "a_path_that_is_changed_meanwhile_is_the_one_that_was_given";
    let script = "
import ctypes, os, sys, threading, time
os.chdir(sys.argv[1])
os.mkfifo('truly')
path = ctypes.create_string_buffer(b'truly')
def change():
    time.sleep(0.3)
    path.value = b'liar!'
    os.close(os.open('truly', os.O_WRONLY))
thread = threading.Thread(target=change)
thread.start()
print(ctypes.CDLL(None).syscall(257, -100, path, os.O_RDONLY))
thread.join()
";
    let Some((told, events, said)) = recorded_python(test, &["-c", script]) else { return };
    let result: i64 = told.trim().parse().unwrap();
    let named = |name: &[u8]| events.iter().filter(|event| event.name == "openat" && event.texts == [name]).count();
    assert!(result >= 0, "{told}");
    assert_eq!((named(b"truly"), named(b"liar!")), (2, 0), "one opened it to read, the other to write");
    assert!(said.contains("changed_arguments"), "{said}");
}

/// An execveat is told from an execve also where it names its program by a path.
#[test]
fn an_execveat_without_descriptor_is_one() {
    let script = "
import ctypes, os, sys
argv = (ctypes.c_char_p * 2)(b'tr', None)
if os.fork() == 0:
    ctypes.CDLL(None).syscall(322, -100, b'/bin/true', argv, None, 0)
os.wait()
if os.fork() == 0:
    os.execv('/bin/true', ['true'])
os.wait()
";
    let Some((_, events, _)) = recorded_python("an_execveat_without_descriptor_is_one", &["-c", script]) else {
        return;
    };
    let of = |name: &str, program: &[u8]| {
        let named = |event: &&Seen| event.name == name && event.texts.iter().any(|text| text == program);
        events.iter().filter(named).filter(|event| event.result == Some(0)).count()
    };
    assert_eq!((of("execveat", b"tr"), of("execve", b"tr"), of("execve", b"true")), (1, 0, 1));
}
