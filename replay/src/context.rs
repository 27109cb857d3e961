//! One event together with the state after it: what fields are extracted from.

use casebook_formats::event::Event;
use casebook_formats::tables::ppme;

use crate::audit::AuditEvent;
use crate::audit::join::Binding;
use crate::fields::catalogue::SYSCALL_SOURCE;
use crate::state::{Effects, Fd, State, Thread};

/// Where in the capture's time an event stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Clock {
    /// Timestamp of the first event of the capture, ns since the epoch.
    pub first_ts: u64,
    /// Timestamp of the event before this one; of the first event its own.
    pub previous_ts: u64,
}

/// An event as fields see it: header, parameters, and the state *after* the event was applied.
#[derive(Clone, Copy)]
pub struct EventContext<'a> {
    /// The event.
    pub event: &'a Event<'a>,
    /// System state after the event. Threads that exited and descriptors that were closed by this event are still
    /// in their tables; they go when the next event is applied.
    pub state: &'a State,
    /// Thread of the event, if known; a placeholder ([`Thread::placeholder`]) where only its id is known.
    pub thread: Option<&'a Thread>,
    /// Descriptor record of the event, if known.
    pub fd: Option<&'a Fd>,
    /// What applying the event found out.
    pub effects: &'a Effects,
    /// Its place in time; see [`EventContext::at`].
    pub clock: Clock,
    /// What a plugin event says; `None` on all others, and where the payload cannot be read. See [`EventContext::saying`].
    pub document: Option<&'a AuditEvent>,
}

impl<'a> EventContext<'a> {
    /// Joins an event with the state it was just applied to.
    pub fn new(event: &'a Event<'a>, state: &'a State, effects: &'a Effects) -> Self {
        let clock = Clock { first_ts: event.ts, previous_ts: event.ts };
        let (thread, fd) = (state.event_thread(effects), state.event_fd(effects));
        Self { event, state, thread, fd, effects, clock, document: None }
    }

    /// The same, with the payload of a plugin event.
    #[must_use]
    pub fn saying(self, document: Option<&'a AuditEvent>) -> Self {
        Self { document, ..self }
    }

    /// Who asked the Kubernetes API for what the thread of the event, or an ancestor of it, runs.
    pub fn k8s_user(&self) -> Option<Binding<'_>> {
        self.state.k8s_user(self.thread?)
    }

    /// The source whose rules are asked about the event; `None` for a plugin event that nobody here can read.
    #[inline]
    pub fn source(&self) -> Option<&'static str> {
        if self.event.etype == ppme::PPME_PLUGINEVENT_E {
            return self.document.map(|document| document.source);
        }
        Some(SYSCALL_SOURCE)
    }

    /// The same, with its place in the time of the capture.
    #[must_use]
    pub fn at(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }
}
