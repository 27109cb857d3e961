//! Which calls to record: `--syscalls`.
//!
//! Words are separated by commas: names of sets and of calls add, `!` in front takes away, from left to right. What the
//! state of a replay rests on (processes, descriptors, credentials, directories) is always there unless it is taken
//! away by name: without it nobody could tell which file a descriptor is.

use std::collections::BTreeSet;
use std::path::Path;

use casebook_formats::tables;

use crate::calls::{Calls, natives};

/// What the state of a replay rests on.
const STATE: &[&str] = &[
    "clone",
    "clone3",
    "fork",
    "vfork",
    "execve",
    "execveat",
    "chdir",
    "fchdir",
    "chroot",
    "setuid",
    "setgid",
    "setreuid",
    "setregid",
    "setresuid",
    "setresgid",
    "setuid32",
    "setgid32",
    "setresuid32",
    "setresgid32",
    "capset",
    "setsid",
    "setpgid",
    "prctl",
    "unshare",
    "setns",
    "open",
    "openat",
    "openat2",
    "open_by_handle_at",
    "creat",
    "close",
    "close_range",
    "dup",
    "dup2",
    "dup3",
    "socket",
    "socketpair",
    "bind",
    "connect",
    "accept",
    "accept4",
    "listen",
    "pipe",
    "pipe2",
    "eventfd",
    "eventfd2",
    "epoll_create",
    "epoll_create1",
    "timerfd_create",
    "signalfd",
    "signalfd4",
    "inotify_init",
    "inotify_init1",
    "memfd_create",
    "pidfd_open",
    "pidfd_getfd",
    "io_uring_setup",
    "bpf",
    "userfaultfd",
    "fcntl",
    "fcntl64",
    "shutdown",
    "getsockopt",
    "prlimit64",
    "setrlimit",
];

/// Data through descriptors.
const IO: &[&str] = &[
    "read",
    "write",
    "pread64",
    "pwrite64",
    "readv",
    "writev",
    "preadv",
    "pwritev",
    "send",
    "recv",
    "sendto",
    "recvfrom",
    "sendmsg",
    "recvmsg",
    "sendmmsg",
    "recvmmsg",
    "sendfile",
    "sendfile64",
    "splice",
    "copy_file_range",
];

/// Calls with an event of their own that programs make all the time and that hardly ever tell anything: not in
/// `default`.
const NOISE: &[&str] = &[
    "mmap",
    "mmap2",
    "munmap",
    "mprotect",
    "brk",
    "mlock",
    "mlock2",
    "munlock",
    "mlockall",
    "munlockall",
    "futex",
    "poll",
    "ppoll",
    "select",
    "epoll_wait",
    "nanosleep",
    "stat",
    "lstat",
    "fstat",
    "stat64",
    "lstat64",
    "fstat64",
    "newfstatat",
    "access",
    "lseek",
    "_llseek",
    "getdents",
    "getdents64",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getuid32",
    "geteuid32",
    "getgid32",
    "getegid32",
    "getresuid",
    "getresgid",
    "getresuid32",
    "getresgid32",
    "getrlimit",
    "ugetrlimit",
    "getcwd",
    "ioctl",
    "getsockname",
    "getpeername",
    "semop",
    "semget",
    "semctl",
    "flock",
    "io_uring_enter",
];

/// Why a selection cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SelectError {
    /// Neither a set nor a call.
    #[error("--syscalls {0}: neither a set (default, all, state, io, rules:FILE) nor a call")]
    Unknown(String),
    /// The file cannot be read.
    #[error("--syscalls rules:{0}: {1}")]
    File(String, std::io::Error),
    /// The file names no call.
    #[error("--syscalls rules:{0}: no call is named in it")]
    Empty(String),
}

/// Portable codes of the calls to record.
pub(crate) fn select(text: &str, calls: &Calls) -> Result<BTreeSet<u16>, SelectError> {
    let mut wanted = named(STATE);
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let (remove, name) = match word.strip_prefix('!') {
            Some(name) => (true, name),
            None => (false, word),
        };
        let set = set(name, calls)?;
        if remove {
            wanted.retain(|code| !set.contains(code));
        } else {
            wanted.extend(set);
        }
    }
    Ok(wanted)
}

fn set(name: &str, calls: &Calls) -> Result<BTreeSet<u16>, SelectError> {
    let own = |code: &u16| calls.get(*code).is_some();
    let all = 0..crate::calls::CODES as u16;
    match name {
        "all" => return Ok(all.filter(|&code| tables::syscall(code).is_some()).collect()),
        "state" => return Ok(named(STATE)),
        "io" => return Ok(named(IO)),
        "default" => {
            let noise = named(NOISE);
            // Code 0 stands for calls that are not known: those too.
            return Ok(all.filter(|code| own(code) || *code == 0).filter(|code| !noise.contains(code)).collect());
        }
        _ => {}
    }
    if let Some(path) = name.strip_prefix("rules:") {
        return of_rules(path);
    }
    let set = named(&[name]);
    if set.is_empty() { Err(SelectError::Unknown(name.to_owned())) } else { Ok(set) }
}

/// Every call whose name is a word anywhere in the file: more than rules need, never less, as long as they say which
/// events they are about. The recorder knows no rule language, and a plain list is such a file too.
fn of_rules(path: &str) -> Result<BTreeSet<u16>, SelectError> {
    let text = std::fs::read(Path::new(path)).map_err(|error| SelectError::File(path.to_owned(), error))?;
    let text = String::from_utf8_lossy(&text);
    let words: BTreeSet<&str> = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).collect();
    let words: Vec<&str> = words.into_iter().collect();
    let set = named(&words);
    if set.is_empty() { Err(SelectError::Empty(path.to_owned())) } else { Ok(set) }
}

/// Codes of the calls of these names that this machine has.
fn named(names: &[&str]) -> BTreeSet<u16> {
    let here = natives().into_iter().map(|(_, code)| code).filter(|&code| code > 0);
    here.filter(|&code| tables::syscall(code).is_some_and(|call| names.contains(&call.name))).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failing test may panic

    use super::*;

    fn names(text: &str) -> BTreeSet<&'static str> {
        select(text, &Calls::new()).unwrap().into_iter().map(|code| tables::syscall(code).unwrap().name).collect()
    }

    #[test]
    fn names_in_the_sets_are_calls() {
        let known: BTreeSet<_> = tables::syscalls().iter().map(|call| call.name).collect();
        for name in STATE.iter().chain(IO).chain(NOISE) {
            assert!(known.contains(name), "{name}");
        }
    }

    #[test]
    fn words_add_and_take_away_from_left_to_right() {
        assert!(names("state").contains("execve"));
        assert!(!names("state").contains("read"));
        assert!(names("io").contains("read") && names("io").contains("openat"));
        assert!(!names("default,!write").contains("write"));
        assert!(names("!write,write").contains("write"));
        assert!(!names("state,!close").contains("close"));
        assert!(names("default").contains("unlinkat") && !names("default").contains("futex"));
        assert!(names("all").contains("futex") && names("all").contains("getppid"));
        assert!(select("opne", &Calls::new()).is_err());
    }

    #[test]
    fn a_rule_file_asks_for_the_calls_that_it_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules.yaml");
        std::fs::write(&path, "- macro: m\n  condition: evt.type in (kill, renameat2) and fd.name=x\n").unwrap();
        let names = names(&format!("rules:{}", path.display()));
        assert!(names.contains("kill") && names.contains("renameat2") && !names.contains("read"));
        std::fs::write(&path, "nothing of use").unwrap();
        assert!(select(&format!("rules:{}", path.display()), &Calls::new()).is_err());
        assert!(select("rules:/nonexistent", &Calls::new()).is_err());
    }
}
