//! Which wrong values the reduced capture itself gives away, found out without the state machine that is on trial.
//!
//! Three kinds of evidence, each read off the events alone:
//!
//! - **told**: an event of the thread carried the very fact (`TOLD`), and nothing about the process was lost after it;
//! - **the event**: the event at hand carries the fact itself, whatever was lost before;
//! - **history**: the value rests on a complete history (`HISTORY`), and certain signs of loss were seen before (a thread
//!   whose clone shows one half, a number opened twice by the same program).
//!
//! A wrong value with evidence is a mistake of ours. One without is what nobody could know from this capture: the event
//! that changed the fact is gone, and no other one tells of it.

use std::collections::HashMap;

use casebook_formats::event::Event;
use casebook_formats::tables;
use casebook_replay::context::EventContext;

use super::cause::Subject;

/// A fact and the events that carry it: fields, event names, parameter.
struct Tells {
    fields: &'static [&'static str],
    events: &'static [&'static str],
    param: &'static str,
}

const EXECS: &[&str] = &["execve", "execveat"];
const CLONES_TOO: &[&str] = &["execve", "execveat", "clone", "clone3", "fork", "vfork"];

/// What events tell about the thread that they belong to.
const TOLD: [Tells; 14] = [
    Tells { fields: &["proc.exepath"], events: EXECS, param: "trusted_exepath" },
    Tells { fields: &["proc.exe"], events: EXECS, param: "exe" },
    Tells { fields: &["proc.name"], events: EXECS, param: "comm" },
    Tells {
        fields: &["proc.args", "proc.args[0]", "proc.args[1]", "proc.cmdnargs", "proc.cmdlenargs"],
        events: EXECS,
        param: "args",
    },
    Tells { fields: &["proc.env", "proc.env[PATH]", "proc.env[HOME]"], events: EXECS, param: "env" },
    Tells { fields: &["proc.tty"], events: EXECS, param: "tty" },
    Tells { fields: &["proc.vpgid"], events: EXECS, param: "vpgid" },
    Tells { fields: &["proc.pgid"], events: EXECS, param: "pgid" },
    Tells { fields: &["thread.cap_effective"], events: EXECS, param: "cap_effective" },
    Tells { fields: &["proc.exe_ino"], events: EXECS, param: "exe_ino" },
    Tells { fields: &["user.uid"], events: CLONES_TOO, param: "uid" },
    Tells { fields: &["group.gid"], events: CLONES_TOO, param: "gid" },
    Tells { fields: &["container.id", "thread.cgroups"], events: EXECS, param: "cgroups" },
    Tells { fields: &["proc.vmsize", "proc.vmrss"], events: &["brk", "mmap", "munmap"], param: "vm_size" },
];

/// Values that rest on a complete history; `starts` below are those that rest on both halves of a clone.
const HISTORY: [&str; 16] = [
    "proc.fdopencount",
    "proc.fdusage",
    "fd.types",
    "proc.nthreads",
    "proc.nchilds",
    "proc.vmsize",
    "proc.vmrss",
    "proc.vmswap",
    "thread.vmsize",
    "thread.vmrss",
    "thread.vmsize.b",
    "thread.vmrss.b",
    "thread.pfmajor",
    "thread.pfminor",
    "proc.duration",
    "proc.pid.ts",
];

/// What is known of a thread from the events alone.
#[derive(Default)]
struct Seen {
    /// When each fact of [`TOLD`] was told last; 0 never.
    told: [u64; TOLD.len()],
    /// Descriptors opened since the last exec and not closed since.
    opened: Vec<i64>,
}

/// What the reduced capture has shown so far.
#[derive(Default)]
pub(super) struct Evidence {
    /// Events and losses so far.
    now: u64,
    threads: HashMap<i64, Seen>,
    /// When an event of a process was lost last.
    lost: HashMap<i64, u64>,
    /// When an event whose process is not known, or that concerns others, was lost last.
    lost_at_large: u64,
    /// A certain sign of loss was seen.
    signs: bool,
}

/// Calls that change other processes than the caller.
const AT_LARGE: [&str; 8] = ["procexit", "clone", "clone3", "fork", "vfork", "setpgid", "prlimit", "unshare"];

/// Calls whose result is the lowest free number.
const OPENS: [&str; 6] = ["open", "openat", "openat2", "creat", "socket", "dup"];

/// Most descriptors looked at per thread.
const MOST_OPENED: usize = 256;

fn param<'e>(event: &Event<'e>, name: &str) -> Option<&'e [u8]> {
    let def = tables::event(event.etype)?;
    let at = def.params.iter().position(|param| param.name == name)?;
    event.param(at)
}

impl Evidence {
    /// An event is missing.
    pub(super) fn lost(&mut self, kind: &str, subject: &Subject) {
        self.now += 1;
        self.lost.insert(subject.pid(), self.now);
        if AT_LARGE.contains(&kind) {
            self.lost_at_large = self.now;
        }
    }

    /// An event is there. `kind` is its name.
    pub(super) fn seen(&mut self, kind: &str, context: &EventContext<'_>) {
        self.now += 1;
        let (event, now) = (context.event, self.now);
        let result = event.i64(0);
        let seen = self.threads.entry(event.tid).or_default();
        if kind.starts_with("exec") || (result == Some(0) && kind.starts_with("clone")) {
            seen.opened.clear();
        }
        for (told, tells) in seen.told.iter_mut().zip(&TOLD) {
            if tells.events.contains(&kind)
                && result.is_some_and(|result| result >= 0)
                && param(event, tells.param).is_some()
            {
                *told = now;
            }
        }
        // Only of processes that are one thread by what the event's own ids say.
        if kind == "close" || kind.starts_with("dup") || kind.starts_with("close_range") {
            let closed = if kind == "close" { event.i64(1) } else { result };
            seen.opened.retain(|&number| Some(number) != closed && kind != "close_range");
        }
    }

    /// A number was opened by a process of one thread. The caller tells whether it is one.
    pub(super) fn given(&mut self, kind: &str, context: &EventContext<'_>) {
        let Some(number) = context.event.i64(0).filter(|&number| number >= 0 && OPENS.contains(&kind)) else { return };
        let seen = self.threads.entry(context.event.tid).or_default();
        if seen.opened.contains(&number) {
            self.signs = true;
        } else if seen.opened.len() < MOST_OPENED {
            seen.opened.push(number);
        }
    }

    /// Whether a wrong value of `field` on this event could have been known to be wrong.
    pub(super) fn against(&self, field: &str, kind: &str, context: &EventContext<'_>, subject: &Subject) -> bool {
        if HISTORY.contains(&field) && self.signs {
            // Not of usage that this very event carries.
            return true;
        }
        let Some(at) = TOLD.iter().position(|tells| tells.fields.contains(&field)) else { return false };
        let tells = &TOLD[at];
        let event = context.event;
        if tells.events.contains(&kind)
            && event.i64(0).is_some_and(|result| result >= 0)
            && param(event, tells.param).is_some()
        {
            return true;
        }
        let told = self.threads.get(&event.tid).map_or(0, |seen| seen.told[at]);
        let lost = self.lost.get(&subject.pid()).copied().unwrap_or(0);
        told > lost && told > self.lost_at_large
    }
}
