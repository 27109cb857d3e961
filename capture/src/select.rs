//! Which calls to record: `--syscalls`.
//!
//! Words are separated by commas: names of sets and of calls add, `!` in front takes away, from left to right. What the
//! state of a replay rests on (processes, descriptors, credentials, directories) is always there unless it is taken
//! away by name: without it nobody could tell which file a descriptor is. What rules look at: [`rules`].

#[cfg(feature = "rules")]
mod rules;

use std::collections::BTreeSet;

use casebook_formats::tables;

use crate::calls::{Calls, named};

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
    #[error("--syscalls {0}: neither a set (default, all, state, io, rules, rules:FILE) nor a call")]
    Unknown(String),
    /// Rules that cannot be read: where, and why.
    #[cfg(feature = "rules")]
    #[error("--syscalls rules: {0}")]
    Rules(String),
    /// Built without the rule language.
    #[cfg(not(feature = "rules"))]
    #[error("--syscalls {0}: this casebook-capture was built without the rule language (cargo feature `rules`)")]
    NoRules(String),
}

/// Calls, and what is worth saying about how they were found.
#[derive(Default, Debug)]
pub(crate) struct Found {
    /// Portable codes.
    pub codes: BTreeSet<u16>,
    pub notes: Vec<String>,
}

/// The calls to record.
pub(crate) fn select(text: &str, calls: &Calls) -> Result<Found, SelectError> {
    let mut wanted = Found { codes: named(STATE), notes: Vec::new() };
    let words: Vec<&str> = text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    let mut together = Vec::new();
    for word in &words {
        let (remove, name) = match word.strip_prefix('!') {
            Some(name) => (true, name),
            None => (false, *word),
        };
        let set = if !is_rules(name) {
            set(name, calls)?
        } else if remove {
            of_rules(&[name], calls)?.codes
        } else if together.is_empty() {
            // Later files may change what earlier ones say: all are read as one, in the place of the first.
            together = words.iter().copied().filter(|word| is_rules(word)).collect();
            let found = of_rules(&together, calls)?;
            wanted.notes = found.notes;
            found.codes
        } else {
            continue;
        };
        if remove {
            wanted.codes.retain(|code| !set.contains(code));
        } else {
            wanted.codes.extend(set);
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
    let set = named(&[name]);
    if set.is_empty() { Err(SelectError::Unknown(name.to_owned())) } else { Ok(set) }
}

fn is_rules(word: &str) -> bool {
    word == "rules" || word.starts_with("rules:")
}

#[cfg(feature = "rules")]
fn of_rules(words: &[&str], calls: &Calls) -> Result<Found, SelectError> {
    let from = |word: &&str| match word.strip_prefix("rules:") {
        Some(path) => rules::Origin::Path(path.into()),
        None => rules::Origin::Default,
    };
    rules::of_rules(&words.iter().map(from).collect::<Vec<_>>(), calls)
}

#[cfg(not(feature = "rules"))]
fn of_rules(words: &[&str], _: &Calls) -> Result<Found, SelectError> {
    Err(SelectError::NoRules(words.join(",")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failing test may panic

    use super::*;

    fn names(text: &str) -> BTreeSet<&'static str> {
        select(text, &Calls::new()).unwrap().codes.into_iter().map(|code| tables::syscall(code).unwrap().name).collect()
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
}
