//! How processes came into their containers: the program that somebody started in it from outside.
//!
//! A container's own processes descend from its first one. Whatever else comes in is started by a runtime from outside:
//! `kubectl exec`, probes, `docker exec`. Its exec is kept with it and all that descends from it, also where the line of
//! parents is cut later, so that whoever knows who asked for it ([`crate::audit::join`]) finds what came of it. Nothing here
//! depends on who asked.

use super::keep::keep;
use super::table::ThreadId;
use super::{State, Text, Thread};
use crate::fields::process::words;

/// Parents looked at; lines of parents in captures can be circles.
const MAX_LINE: usize = 1024;
/// What runs in a container on behalf of a runtime, until the program that was asked for takes its place.
const RUNTIMES: [&[u8]; 5] = [b"runc", b"crun", b"youki", b"conmon", b"exe"];

/// How a process, or an ancestor of it, came into its container.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin {
    /// Container, as `container.id`.
    pub container: Text,
    /// Time of the exec in ns, or else of the clone; 0 where it was before the capture.
    pub ts: u64,
    /// Process that came in.
    pub pid: i64,
    /// It is the first process of the container, by its pid namespace.
    pub first: bool,
    /// Its `argv[0]`.
    pub exe: Text,
    /// Its `argv[1..]`, each NUL-terminated.
    pub args: Text,
}

keep!(Origin { container, ts, pid, first, exe, args });

impl Origin {
    fn of(thread: &Thread) -> Self {
        Self {
            container: Text::clone(&thread.container_id),
            ts: if thread.lastexec_ts == 0 { thread.clone_ts } else { thread.lastexec_ts },
            pid: thread.pid,
            first: thread.vpid == 1,
            exe: Text::clone(&thread.exe),
            args: Text::clone(&thread.args),
        }
    }

    /// `argv`.
    pub fn command(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(&self.exe[..]).chain(words(&self.args))
    }

    /// The runtime's own program, which will execute another one.
    fn is_runtime(&self) -> bool {
        self.exe.rsplit(|byte| *byte == b'/').next().is_some_and(|name| RUNTIMES.contains(&name))
    }
}

impl State {
    /// How a thread, or an ancestor of it, came into its container; `None` on the host. What was there before the capture
    /// began came in as the oldest of its line that is in the same container.
    pub fn origin_of(&self, thread: &Thread) -> Option<Origin> {
        if thread.container_id.is_empty() {
            return None;
        }
        let mut top = thread;
        for _ in 0..MAX_LINE {
            if let Some(origin) = &top.origin
                && origin.container == thread.container_id
            {
                return Some(origin.clone());
            }
            match self.parent_inside(top) {
                Some(parent) => top = parent,
                None => break,
            }
        }
        Some(Origin::of(top))
    }

    /// The process above, where it is in the same container.
    fn parent_inside<'s>(&'s self, thread: &'s Thread) -> Option<&'s Thread> {
        let above = self.main_thread_of(thread).filter(|leader| leader.tid != thread.tid);
        let above = above.or_else(|| self.parent(thread))?;
        (above.tid != thread.tid && !above.is_invalid() && above.container_id == thread.container_id).then_some(above)
    }

    /// A thread has executed a program: it may have come into a container by that.
    pub(crate) fn note_origin(&mut self, id: ThreadId) {
        let Some(thread) = self.threads.get(id.0) else { return };
        let known = thread.origin.as_ref().filter(|origin| origin.container == thread.container_id);
        let origin = match known {
            _ if thread.container_id.is_empty() => None,
            // The program that was asked for follows the runtime's; what the process executes later changes nothing.
            Some(origin) if origin.pid != thread.pid || !origin.is_runtime() => return,
            None if self.parent_inside(thread).is_some() => self.origin_of(thread),
            _ => Some(Origin::of(thread)),
        };
        if let Some(thread) = self.threads.get_mut(id.0) {
            thread.origin = origin;
        }
    }
}
