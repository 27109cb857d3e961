//! Call by call: the same run under strace and under the recorder; results, arguments, texts, credentials.
//!
//! What strace says is read in [`log`]; which calls and arguments are compared stands in [`calls`].

mod calls;
mod log;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use casebook_formats::capture::{CaptureReader, Item};
use casebook_formats::tables::{self, ParamType};

use self::calls::{ARGUMENTS, EXPECTED, NO_NAMES};
use self::log::{Traced, argument, traced};
use crate::hidden::find_operations;
use crate::recorder::{permitted, record, skip};
use crate::{Seen, events};

/// Compares arguments; gives how many there were to compare.
fn same_arguments(name: &str, call: &Traced, event: &Seen) -> usize {
    let Some((_, wanted)) = ARGUMENTS.iter().find(|(known, _)| *known == name) else { return 0 };
    let mut compared = 0;
    for (param, place) in *wanted {
        let Some(said) = call.args.get(*place).and_then(|arg| argument(arg)) else { continue };
        let Some(&(recorded, width)) = event.numbers.get(param) else {
            // What a failed call was given is not always kept.
            let mut known = tables::event_types_named(name).filter_map(tables::event);
            let is_parameter = known.any(|def| def.params.iter().any(|known| known.name == *param));
            assert!(!is_parameter || call.result < 0, "{name} says nothing of {param}: {event:?}");
            continue;
        };
        let mask = if width >= 8 { u64::MAX } else { (1 << (8 * width)) - 1 };
        assert_eq!(said as u64 & mask, recorded as u64 & mask, "{param} of {name}: {:?} {event:?}", call.args);
        compared += 1;
    }
    compared
}

#[test]
fn every_call_is_what_strace_says_it_was() {
    let test = "every_call_is_what_strace_says_it_was";
    for tool in [["python3", "-V"], ["strace", "-V"]] {
        if !Command::new(tool[0]).arg(tool[1]).output().is_ok_and(|output| output.status.success()) {
            skip(&format!("{test}: {} is not installed", tool[0]));
            return;
        }
    }
    if !permitted(test) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (file, log, work) = (folder.path().join("x.scap.zst"), folder.path().join("log"), folder.path().join("work"));
    std::fs::create_dir(&work).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/workload.py");
    let [log_text, work_text] = [&log, &work].map(|path| path.to_str().unwrap());
    let command = ["strace", "-f", "-s", "300", "-o", log_text, "python3", script, work_text];
    let output = record(&file, &["--syscalls", "all"], &command);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));

    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the command ended with exit status: 0"), "{said}");

    compare(&file, &log);
}

/// What `fixtures/vm/kernels` brought from other kernels, in the folder that the variable names: the same comparison, and
/// operations of `io_uring`.
#[test]
fn recordings_of_other_kernels_are_what_strace_saw_there() {
    let Some(folder) = std::env::var_os("CASEBOOK_KERNELS") else {
        return skip("recordings of other kernels: CASEBOOK_KERNELS is not set (fixtures/vm/kernels sets it)");
    };
    let mut kernels: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    kernels.sort();
    for kernel in kernels {
        let (calls, kinds) = compare(&kernel.join("workload.scap.zst"), &kernel.join("strace"));
        let operations = follow_rings(&std::fs::read_to_string(kernel.join("rings")).unwrap(), &kernel);
        let name = kernel.file_name().unwrap().to_string_lossy().into_owned();
        writeln!(std::io::stderr().lock(), "{name}: {calls} calls of {kinds} kinds, {operations} operations").unwrap();
    }
}

fn follow_rings(told: &str, kernel: &Path) -> usize {
    find_operations(told, &events(&kernel.join("workload.scap.zst")));
    told.lines().count()
}

/// Compares a recording with the log of strace, call by call: numbers of calls and of their kinds.
fn compare(file: &Path, log: &Path) -> (i32, usize) {
    let mut recorded: BTreeMap<(i64, String), Vec<Seen>> = BTreeMap::new();
    for event in events(file) {
        recorded.entry((event.tid, event.name.to_owned())).or_default().push(event);
    }
    let truth = traced(&std::fs::read_to_string(log).unwrap());
    let (mut compared, mut arguments) = (BTreeMap::new(), 0);
    for ((pid, name), calls) in &truth {
        // Puts back the registers of before the signal: at its end nothing tells that it was a call.
        if name == "rt_sigreturn" {
            continue;
        }
        let none = Vec::new();
        let seen = recorded.get(&(*pid, name.clone())).unwrap_or(&none);
        // An event of each message, with its size.
        if matches!(name.as_str(), "sendmmsg" | "recvmmsg") {
            let sizes: Vec<_> = seen.iter().filter_map(|event| event.result).collect();
            assert_eq!(sizes, [5, 10, 5], "{name} of {pid}");
            continue;
        }
        // strace follows a process from its first stop on, the recorder from its birth.
        assert!(seen.len() >= calls.len(), "{name} of {pid}: {} recorded, {} made", seen.len(), calls.len());
        let early = seen.len() - calls.len();
        assert!(early == 0 || early <= 3, "{name} of {pid}: {early} more recorded than made");
        for (call, event) in calls.iter().zip(&seen[early..]) {
            let is_number = !matches!(name.as_str(), "getsockname" | "getpeername") && event.name != "syscall";
            if is_number && tables::event_types_named(name).next().is_some() && !generic(name) {
                assert_eq!(event.result, Some(call.result), "{name} of {pid}: {event:?}");
            }
            arguments += same_arguments(name, call, event);
            if !NO_NAMES.contains(&name.as_str()) && has_texts(name) {
                for text in &call.texts {
                    let there = event.texts.iter().any(|known| known == text.as_bytes());
                    assert!(there || text.is_empty(), "{name} of {pid}: {text:?} is not in {event:?}");
                }
            }
            *compared.entry(name.as_str()).or_insert(0) += 1;
        }
    }
    // What a call is made through differs between libraries.
    let optional = ["stat", "getdents64", "clone3", "clone", "mprotect", "futex"];
    let made = |name: &&&str| compared.contains_key(**name) || optional.contains(*name);
    let missing: Vec<_> = EXPECTED.iter().filter(|name| !made(name)).collect();
    assert!(missing.is_empty(), "the workload did not make {missing:?}");
    let total: i32 = compared.values().sum();
    assert!(arguments > 500, "{arguments}");
    let kinds = compared.len();
    writeln!(std::io::stderr().lock(), "{total} calls of {kinds} kinds and {arguments} arguments agree with strace")
        .unwrap();
    programs_know_their_credentials(file);
    (total, kinds)
}

/// The workload's child gives up root, and starts a shell with an environment of its own.
fn programs_know_their_credentials(file: &Path) {
    let mut reader = CaptureReader::open(file).unwrap();
    let mut found = 0;
    while let Some(item) = reader.next_item().unwrap() {
        let Item::Event(event) = item else { continue };
        let def = tables::event(event.etype).unwrap();
        let place = |name: &str| def.params.iter().position(|param| param.name == name).unwrap();
        if event.name() != "execve" || event.param(place("env")) != Some(b"MARK=here\0") {
            continue;
        }
        found += 1;
        assert_eq!(event.i64(0), Some(0));
        assert_eq!(event.text(place("exe")), Some(&b"sh"[..]));
        assert_eq!(event.param(place("args")), Some(&b"-c\0exit 7\0"[..]));
        for (name, value) in [("uid", 1000), ("gid", 1000), ("cap_effective", 0), ("cap_permitted", 0)] {
            assert_eq!(event.i64(place(name)), Some(value), "{name}");
        }
    }
    assert_eq!(found, 1);
}

/// Has the call no event of its own?
fn generic(name: &str) -> bool {
    let generic: Vec<_> = tables::event_types_named("syscall").collect();
    tables::syscalls().iter().any(|call| call.name == name && call.exit.is_some_and(|exit| generic.contains(&exit)))
}

/// Does the call's event carry text?
fn has_texts(name: &str) -> bool {
    let text = |ty| matches!(ty, ParamType::Fspath | ParamType::Fsrelpath | ParamType::Charbuf);
    !generic(name)
        && tables::event_types_named(name)
            .filter_map(tables::event)
            .any(|def| def.params.iter().any(|param| text(param.ty)))
}
