//! The join: who asked the Kubernetes API for what runs in a container.
//!
//! Audit logs, and captures of the plugin events that Falco makes of them → [`Requests`]: `exec`, `attach` and ephemeral
//! containers (`kubectl debug`), read before any capture is replayed → with a [`State`], the [`Binding`] of a thread to the request that started it or what it descends from. Fields
//! (`k8s.user.*`), alerts and process trees show it.
//!
//! **For other crates**: make `Arc<Requests>` with [`Requests::read`], give it to each replay
//! ([`crate::engine::Replay::joined`], or [`crate::run::Plan::requests`]), and call [`State::k8s_user`] with any thread of the
//! state after an event; [`crate::context::EventContext::k8s_user`] is the same for the thread of an event. A binding is a
//! function of the thread's [`Origin`](crate::state::origin::Origin) (which the state keeps whether or not there are requests), its container's metadata and
//! the requests: it does not depend on workers, windows or checkpoints, nor on which of log and capture is named first.
//!
//! | evidence | confidence |
//! |---|---|
//! | the pod is the same (uid, or else namespace and name), the container where both name it, `argv` is the requested command, the exec is within [`WINDOW`] of the request and before its session ended | high |
//! | the same, but the process was there before the capture began, so that its time is not known | medium |
//! | ephemeral container: the pod is the same, the container has a name that was requested, its first process began within [`DEBUG_WINDOW`] of the request | high |
//! | command and time are the same, but nothing describes the container, so that its pod is not known | low |
//! | requests of several users fit equally well: the nearest in time is taken, the others are named | low |
//! | attach: the process descends from the container's first one and was started while somebody was attached to it | low |
//!
//! Where a pod, container or command is another one, there is no binding. Clocks of API server and node may differ by
//! [`DEFAULT_SKEW`], or by what the user allows: by so much the process may come before the request, and later than the
//! window. A difference that is known is taken off first ([`Clocks`]). What kubelets start themselves (probes) is in no audit log; with the command and time of a request it would pass
//! for it.

mod fitting;
mod reading;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::state::{State, Thread};

/// How much the clocks of API server and node may differ, unless told otherwise: 2 s.
pub const DEFAULT_SKEW: u64 = 2_000_000_000;
/// Time from the request of an exec to the exec: 10 s.
pub const WINDOW: u64 = 10_000_000_000;
/// Time from the request of an ephemeral container to its first process: 10 min, as an image may have to be fetched.
pub const DEBUG_WINDOW: u64 = 600_000_000_000;

/// What was asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Via {
    /// A command in a running container.
    Exec,
    /// The terminal of a running container.
    Attach,
    /// An ephemeral container.
    Debug,
}

impl Via {
    /// As fields show it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::Attach => "attach",
            Self::Debug => "debug",
        }
    }
}

/// How sure a binding is: see the table above.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Confidence {
    /// It may be somebody else's.
    Low,
    /// Likely.
    Medium,
    /// Everything agrees.
    High,
}

impl Confidence {
    /// As fields show it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// A request that the API server granted.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Request {
    /// When it was received, ns since the epoch, by the clock of nodes ([`Clocks::offset`]).
    pub received: u64,
    /// Its id, the same in all its audit events.
    pub audit_id: String,
    /// When the session ended; `None` where no event tells.
    pub completed: Option<u64>,
    /// What was asked for.
    pub via: Via,
    /// Name of the user.
    pub user: String,
    /// Groups of the user.
    pub groups: Vec<String>,
    /// User as whom the request was made, where that is another one.
    pub impersonated: Option<String>,
    /// Addresses that it came from, the client's first.
    pub source_ips: Vec<String>,
    /// The client's name of itself.
    pub agent: String,
    /// Namespace of the pod.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// Its uid, where the event has it.
    pub pod_uid: Option<String>,
    /// Containers: the one of an exec or attach, if it names one, or those that are made.
    pub containers: Vec<String>,
    /// The command of an exec.
    pub command: Vec<String>,
}

/// A request and how sure it is that it started a process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Binding<'r> {
    /// The request.
    pub request: &'r Request,
    /// How sure.
    pub confidence: Confidence,
    /// Other users whose requests fit as well, each once, in alphabetical order.
    pub others: Vec<&'r str>,
}

/// How the clock of the API server is compared with those of nodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Clocks {
    /// How much they may differ, in ns.
    pub skew: u64,
    /// Added to the times of requests first, in ns: what is known of the difference.
    pub offset: i64,
}

impl Default for Clocks {
    fn default() -> Self {
        Self { skew: DEFAULT_SKEW, offset: 0 }
    }
}

/// The requests of some audit logs.
#[derive(Debug, Default)]
pub struct Requests {
    /// In the order of time.
    all: Vec<Request>,
    /// Those for each pod, by namespace and name: numbers in `all`.
    by_pod: BTreeMap<(String, String), Vec<usize>>,
    skew: u64,
    /// One of the inputs they were looked for in is an audit log, or has audit events in it.
    beside_events: bool,
}

/// What was read, and what there is to say about it.
#[derive(Debug, Default)]
pub struct Read {
    /// The requests.
    pub requests: Requests,
    /// Lines about logs that are not replayed otherwise, and about requests left out.
    pub notes: Vec<String>,
}

impl Requests {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

impl State {
    /// Who asked the Kubernetes API for what a thread, or an ancestor of it, runs; `None` where nothing tells.
    pub fn k8s_user(&self, thread: &Thread) -> Option<Binding<'_>> {
        let requests = self.requests.as_ref().filter(|requests| !requests.is_empty())?;
        requests.behind(self, thread)
    }

    /// From now on the state can tell who asked for what runs in its containers.
    pub(crate) fn join(&mut self, requests: Option<Arc<Requests>>) {
        self.requests = requests;
    }
}
