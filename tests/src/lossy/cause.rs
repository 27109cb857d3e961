//! Which removed event a wrong value goes back to, as far as that can be told from outside.
//!
//! A guess for people who read the table: the last removed event about the same descriptor of the same process, else
//! the last one of the process that can change it, else the last one of its parent, else of any process.

use std::collections::HashMap;

use casebook_replay::context::EventContext;

/// Calls that change descriptors only when they name the number; for other values they explain nothing.
const ABOUT_FDS: [&str; 20] = [
    "open",
    "openat",
    "openat2",
    "creat",
    "close",
    "close_range",
    "dup",
    "dup2",
    "dup3",
    "pipe",
    "pipe2",
    "socket",
    "socketpair",
    "connect",
    "accept",
    "accept4",
    "bind",
    "fcntl",
    "eventfd2",
    "epoll_create1",
];
/// Calls that change a process.
const ABOUT_PROCESSES: [&str; 20] = [
    "clone",
    "clone3",
    "fork",
    "vfork",
    "execve",
    "execveat",
    "procexit",
    "chdir",
    "fchdir",
    "setuid",
    "setgid",
    "setresuid",
    "setresgid",
    "setsid",
    "setpgid",
    "prctl",
    "capset",
    "prlimit",
    "setrlimit",
    "unshare",
];

/// Whom and what an event is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Subject {
    /// Process.
    pid: i64,
    /// Its parent.
    ptid: i64,
    /// Descriptor.
    fd: Option<i64>,
}

impl Subject {
    /// Process.
    pub(super) fn pid(&self) -> i64 {
        self.pid
    }

    /// That of an event, by the state after it.
    pub(super) fn of(context: &EventContext<'_>) -> Self {
        let thread = context.thread;
        let pid = thread.map(|thread| thread.pid).filter(|&pid| pid >= 0).unwrap_or(context.event.tid);
        Self { pid, ptid: thread.map_or(-1, |thread| thread.ptid), fd: context.effects.fd.filter(|&fd| fd >= 0) }
    }
}

/// A removed event.
pub(super) struct Deleted {
    /// Its `evt.type`.
    pub(super) kind: String,
    /// Whom and what it was about.
    pub(super) subject: Subject,
}

/// The removed events so far.
#[derive(Default)]
pub(super) struct Causes {
    by_fd: HashMap<(i64, i64), String>,
    of_fds: HashMap<i64, String>,
    of_process: HashMap<i64, String>,
}

impl Causes {
    /// Notes a removed event.
    pub(super) fn removed(&mut self, event: Deleted) {
        let Deleted { kind, subject } = event;
        if ABOUT_PROCESSES.contains(&kind.as_str()) {
            self.of_process.insert(subject.pid, kind);
            return;
        }
        if let Some(fd) = subject.fd {
            self.by_fd.insert((subject.pid, fd), kind.clone());
        }
        if ABOUT_FDS.contains(&kind.as_str()) {
            self.of_fds.insert(subject.pid, kind);
        }
    }

    /// What explains a wrong value of `field` on an event of `subject`.
    pub(super) fn of(&self, field: &str, subject: &Subject) -> String {
        let family = field.split('.').next().unwrap_or(field);
        let of_fd = matches!(family, "fd" | "evt" | "fs");
        let by_number = subject.fd.and_then(|fd| self.by_fd.get(&(subject.pid, fd))).filter(|_| of_fd);
        let process = self.of_process.get(&subject.pid);
        let fds = self.of_fds.get(&subject.pid);
        let parent = || self.of_process.get(&subject.ptid).map(|kind| format!("{kind} of the parent"));
        let own = if of_fd || field.contains("std") || field.contains("fd") {
            by_number.or(fds).or(process)
        } else {
            process.or(fds)
        };
        let other = own.cloned().or_else(parent).unwrap_or_else(|| "of another process".to_owned());
        format!("{family}: {other}")
    }
}
