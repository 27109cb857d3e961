//! Call by call: the same run under strace and under the recorder; results, arguments, texts, credentials.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use casebook_formats::capture::{CaptureReader, Item};
use casebook_formats::tables::{self, ParamType};

use crate::hidden::find_operations;
use crate::recorder::{permitted, record, skip};
use crate::{Seen, events};

/// One line of strace.
struct Traced {
    result: i64,
    texts: Vec<String>,
    args: Vec<String>,
}

/// Arguments as strace prints them: commas part them, but not inside texts, lists and structures.
fn split_args(args: &str) -> Vec<String> {
    let (mut all, mut depth, mut quoted, mut escaped) = (vec![String::new()], 0, false, false);
    for c in args.chars() {
        match c {
            '"' if !escaped => quoted = !quoted,
            '[' | '{' | '(' if !quoted => depth += 1,
            ']' | '}' | ')' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                all.push(String::new());
                continue;
            }
            _ => {}
        }
        escaped = c == '\\' && !escaped;
        all.last_mut().unwrap().push(c);
    }
    all.iter().map(|arg| arg.trim().to_owned()).collect()
}

/// A number as strace prints it: decimal, octal, hexadecimal, or the word for the working directory.
fn argument(text: &str) -> Option<i64> {
    match text {
        "AT_FDCWD" => Some(-100),
        _ if text.starts_with("0x") => u64::from_str_radix(&text[2..], 16).ok().map(|value| value as i64),
        _ if text.len() > 1 && text.starts_with('0') => i64::from_str_radix(text, 8).ok(),
        _ => text.parse().ok(),
    }
}

/// Parameters that are arguments as they are: call, then parameter and place of the argument.
const ARGUMENTS: &[(&str, &[(&str, usize)])] = &[
    ("read", &[("fd", 0), ("size", 2)]),
    ("write", &[("fd", 0), ("size", 2)]),
    ("pread", &[("fd", 0), ("size", 2), ("pos", 3)]),
    ("pwrite", &[("fd", 0), ("size", 2), ("pos", 3)]),
    ("readv", &[("fd", 0)]),
    ("writev", &[("fd", 0)]),
    ("openat", &[("dirfd", 0)]),
    ("openat2", &[("dirfd", 0)]),
    ("close", &[("fd", 0)]),
    ("close_range", &[("first", 0), ("last", 1)]),
    ("lseek", &[("fd", 0), ("offset", 1)]),
    ("dup", &[("oldfd", 0)]),
    ("dup2", &[("oldfd", 0), ("newfd", 1)]),
    ("dup3", &[("oldfd", 0), ("newfd", 1)]),
    ("fcntl", &[("fd", 0)]),
    ("fchmod", &[("fd", 0)]),
    ("fchmodat", &[("dirfd", 0)]),
    ("chown", &[("uid", 1), ("gid", 2)]),
    ("lchown", &[("uid", 1), ("gid", 2)]),
    ("fchown", &[("fd", 0), ("uid", 1), ("gid", 2)]),
    ("fchownat", &[("dirfd", 0), ("uid", 2), ("gid", 3)]),
    ("mkdir", &[("mode", 1)]),
    ("mkdirat", &[("dirfd", 0), ("mode", 2)]),
    ("unlinkat", &[("dirfd", 0)]),
    ("renameat", &[("olddirfd", 0), ("newdirfd", 2)]),
    ("renameat2", &[("olddirfd", 0), ("newdirfd", 2)]),
    ("bind", &[("fd", 0)]),
    ("connect", &[("fd", 0)]),
    ("listen", &[("fd", 0), ("backlog", 1)]),
    ("shutdown", &[("fd", 0)]),
    ("sendto", &[("fd", 0), ("size", 2)]),
    ("recvfrom", &[("fd", 0), ("size", 2)]),
    ("sendmsg", &[("fd", 0)]),
    ("recvmsg", &[("fd", 0)]),
    ("getsockopt", &[("fd", 0)]),
    ("setsockopt", &[("fd", 0)]),
    ("kill", &[("pid", 0)]),
    ("tkill", &[("tid", 0)]),
    ("tgkill", &[("pid", 0), ("tid", 1)]),
    ("prlimit", &[("pid", 0)]),
    ("fchdir", &[("fd", 0)]),
    ("finit_module", &[("fd", 0)]),
    ("pidfd_open", &[("pid", 0)]),
    ("pidfd_getfd", &[("pid_fd", 0), ("target_fd", 1)]),
    ("setpgid", &[("pid", 0), ("pgid", 1)]),
    ("setuid", &[("uid", 0)]),
    ("setgid", &[("gid", 0)]),
    ("setresuid", &[("ruid", 0), ("euid", 1), ("suid", 2)]),
    ("setresgid", &[("rgid", 0), ("egid", 1), ("sgid", 2)]),
    ("setreuid", &[("ruid", 0), ("euid", 1)]),
    ("setregid", &[("rgid", 0), ("egid", 1)]),
    ("setns", &[("fd", 0)]),
    ("eventfd2", &[("initval", 0)]),
    ("epoll_create", &[("size", 0)]),
    ("process_vm_readv", &[("pid", 0)]),
    ("fstat", &[("fd", 0)]),
    ("newfstatat", &[("dirfd", 0)]),
];

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

/// What strace wrote, by process and call, in order.
fn traced(log: &str) -> BTreeMap<(i64, String), Vec<Traced>> {
    let mut all: BTreeMap<_, Vec<Traced>> = BTreeMap::new();
    let mut unfinished: BTreeMap<i64, String> = BTreeMap::new();
    for line in log.lines() {
        let Some((pid, rest)) = line.split_once(' ') else { continue };
        let pid: i64 = pid.parse().unwrap();
        let mut rest = rest.trim_start().to_owned();
        if let Some(begin) = rest.strip_suffix("<unfinished ...>") {
            unfinished.insert(pid, begin.to_owned());
            continue;
        }
        if let Some(resumed) = rest.strip_prefix("<... ") {
            let end = resumed.split_once(" resumed>").unwrap().1.to_owned();
            rest = unfinished.remove(&pid).unwrap_or_default() + &end;
        }
        let (Some((name, _)), Some((args, end))) = (rest.split_once('('), rest.rsplit_once(" = ")) else { continue };
        let mut words = end.split_whitespace();
        let result = match (words.next(), words.next()) {
            (Some("-1"), Some(errno)) => -error_number(errno),
            (Some(hex), _) if hex.starts_with("0x") => i64::from_str_radix(&hex[2..], 16).unwrap(),
            (Some(number), _) => match number.parse() {
                Ok(number) => number,
                Err(_) => continue,
            },
            _ => continue,
        };
        // Texts with escapes are buffers.
        let texts = args.split('"').skip(1).step_by(2).filter(|text| !text.contains('\\')).map(str::to_owned).collect();
        let args = args.split_once('(').map_or(args, |(_, args)| args);
        let args = split_args(args.rsplit_once(')').map_or(args, |(args, _)| args));
        all.entry((pid, event_name(name).to_owned())).or_default().push(Traced { result, texts, args });
    }
    all
}

fn event_name(call: &str) -> &str {
    match call {
        "pread64" => "pread",
        "pwrite64" => "pwrite",
        "prlimit64" => "prlimit",
        other => other,
    }
}

/// Numbers of `asm-generic/errno.h`.
fn error_number(name: &str) -> i64 {
    const NAMES: &[(&str, i64)] = &[
        ("EPERM", 1),
        ("ENOENT", 2),
        ("ESRCH", 3),
        ("EINTR", 4),
        ("EIO", 5),
        ("ENXIO", 6),
        ("E2BIG", 7),
        ("ENOEXEC", 8),
        ("EBADF", 9),
        ("ECHILD", 10),
        ("EAGAIN", 11),
        ("ENOMEM", 12),
        ("EACCES", 13),
        ("EFAULT", 14),
        ("ENOTBLK", 15),
        ("EBUSY", 16),
        ("EEXIST", 17),
        ("EXDEV", 18),
        ("ENODEV", 19),
        ("ENOTDIR", 20),
        ("EISDIR", 21),
        ("EINVAL", 22),
        ("ENFILE", 23),
        ("EMFILE", 24),
        ("ENOTTY", 25),
        ("ETXTBSY", 26),
        ("EFBIG", 27),
        ("ENOSPC", 28),
        ("ESPIPE", 29),
        ("EROFS", 30),
        ("EPIPE", 32),
        ("ERANGE", 34),
        ("ENAMETOOLONG", 36),
        ("ENOSYS", 38),
        ("ENOTEMPTY", 39),
        ("ELOOP", 40),
        ("ENODATA", 61),
        ("EOVERFLOW", 75),
        ("ENOTSOCK", 88),
        ("ENOPROTOOPT", 92),
        ("EOPNOTSUPP", 95),
        ("EAFNOSUPPORT", 97),
        ("EADDRINUSE", 98),
        ("EADDRNOTAVAIL", 99),
        ("ENETUNREACH", 101),
        ("ECONNRESET", 104),
        ("EISCONN", 106),
        ("ENOTCONN", 107),
        ("ETIMEDOUT", 110),
        ("ECONNREFUSED", 111),
        ("EHOSTUNREACH", 113),
        ("EALREADY", 114),
        ("EINPROGRESS", 115),
    ];
    NAMES.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("which number is {name}?")).1
}

/// Calls whose arguments are buffers rather than names, or whose names are not parameters of their events.
const NO_NAMES: [&str; 14] = [
    "read",
    "write",
    "pread",
    "pwrite",
    "readv",
    "writev",
    "sendto",
    "recvfrom",
    "sendmsg",
    "recvmsg",
    "execve",
    "execveat",
    "init_module",
    "bpf",
];

/// Calls with an event of their own that the workload makes beside what every program makes.
const EXPECTED: &[&str] = &[
    "open",
    "openat",
    "openat2",
    "creat",
    "close",
    "close_range",
    "read",
    "write",
    "pread",
    "pwrite",
    "readv",
    "writev",
    "lseek",
    "rename",
    "renameat",
    "renameat2",
    "mkdir",
    "mkdirat",
    "rmdir",
    "link",
    "symlink",
    "unlink",
    "unlinkat",
    "chmod",
    "fchmod",
    "fchmodat",
    "chown",
    "lchown",
    "fchown",
    "fchownat",
    "mknod",
    "mknodat",
    "dup",
    "dup2",
    "dup3",
    "fcntl",
    "pipe",
    "pipe2",
    "eventfd",
    "eventfd2",
    "epoll_create",
    "epoll_create1",
    "inotify_init",
    "inotify_init1",
    "timerfd_create",
    "signalfd",
    "signalfd4",
    "memfd_create",
    "pidfd_open",
    "pidfd_getfd",
    "userfaultfd",
    "bpf",
    "io_uring_setup",
    "socketpair",
    "socket",
    "bind",
    "listen",
    "connect",
    "accept",
    "accept4",
    "sendto",
    "recvfrom",
    "sendmsg",
    "recvmsg",
    "getsockopt",
    "setsockopt",
    "shutdown",
    "kill",
    "tkill",
    "tgkill",
    "prctl",
    "prlimit",
    "setrlimit",
    "getrlimit",
    "chdir",
    "fchdir",
    "chroot",
    "capset",
    "mount",
    "umount2",
    "init_module",
    "finit_module",
    "delete_module",
    "ptrace",
    "setns",
    "unshare",
    "process_vm_readv",
    "clone",
    "clone3",
    "execve",
    "execveat",
    "setsid",
    "setpgid",
    "setresuid",
    "setresgid",
    "setuid",
    "setgid",
    "setreuid",
    "setregid",
    "stat",
    "newfstatat",
    "access",
    "getcwd",
    "getdents64",
    "mmap",
    "munmap",
    "mprotect",
    "brk",
    "futex",
    "ioctl",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
];

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
