//! The join: who asked the Kubernetes API for what runs in a container.
//!
//! Audit logs, and captures of the plugin events that Falco makes of them → [`Requests`]: `exec`, `attach` and ephemeral
//! containers (`kubectl debug`), read before any capture is replayed → with a [`State`], the [`Binding`] of a thread to the request that started it or what it descends from. Fields
//! (`k8s.user.*`), alerts and process trees show it.
//!
//! **For other crates**: make `Arc<Requests>` with [`Requests::read`], give it to each replay
//! ([`crate::engine::Replay::joined`], or [`crate::run::Plan::requests`]), and call [`State::k8s_user`] with any thread of the
//! state after an event; [`crate::context::EventContext::k8s_user`] is the same for the thread of an event. A binding is a
//! function of the thread's [`Origin`] (which the state keeps whether or not there are requests), its container's metadata and
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

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use casebook_formats::capture::{CaptureReader, FormatError, Item};
use casebook_formats::seekable::{SeekableFile, Selection};
use casebook_formats::tables::ppme;

use super::event::{AuditEvent, nanoseconds};
use super::json::Json;
use super::reader::AuditReader;
use crate::fields::catalogue::K8S_AUDIT_SOURCE;
use crate::run::Source;
use crate::state::container::Container;
use crate::state::origin::Origin;
use crate::state::{State, Thread};

/// How much the clocks of API server and node may differ, unless told otherwise: 2 s.
pub const DEFAULT_SKEW: u64 = 2_000_000_000;
/// Time from the request of an exec to the exec: 10 s.
pub const WINDOW: u64 = 10_000_000_000;
/// Time from the request of an ephemeral container to its first process: 10 min, as an image may have to be fetched.
pub const DEBUG_WINDOW: u64 = 600_000_000_000;
/// Requests that are kept.
const MAX_REQUESTS: usize = 100_000;
/// Bytes of all their texts.
const MAX_TEXTS: usize = 64 << 20;
/// Events of a capture that are looked at to see whether it has plugin events.
const LOOK: u64 = 10_000;
/// Member that lists ephemeral containers.
const LIST: &str = "ephemeralContainers";
/// Label by which runtimes name a container of a pod.
const CONTAINER_NAME: &[u8] = b"io.kubernetes.container.name";

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
    /// Reads the requests of `logs` and of those `inputs` that are audit logs or have audit events as plugin events in them.
    /// What can be read only once is not read: [`Source::hold`] makes a log on standard input last.
    ///
    /// # Errors
    /// When one of `logs` cannot be read; inputs are somebody else's to report.
    pub fn read(inputs: &[Source], logs: &[PathBuf], clocks: Clocks) -> Result<Read, String> {
        let mut gathering = Gathering::default();
        let mut notes = Vec::new();
        for log in logs {
            match of_plugins(&Source::File(log.clone())).filter(|_| !Source::File(log.clone()).is_log()) {
                Some(audit) => gathering.capture(audit).map_err(|error| error.to_string())?,
                None => notes.extend(gathering.log(log)?),
            }
        }
        for input in inputs {
            if input.is_log() && !input.is_lasting() {
                notes.push(format!(
                    "warning: {}: too long to be held, so that its requests are not joined",
                    input.name()
                ));
            } else if let Some(audit) = of_plugins(input) {
                // What is wrong with it is told when it is replayed.
                let _ = gathering.capture(audit);
            }
        }
        if gathering.left_out > 0 {
            let n = gathering.left_out;
            notes.push(format!(
                "warning: {n} exec, attach and debug requests of audit logs are too many and not joined"
            ));
        }
        let mut all: Vec<Request> = gathering.by_id.into_values().flatten().collect();
        for request in &mut all {
            request.received = request.received.saturating_add_signed(clocks.offset);
            request.completed = request.completed.map(|end| end.saturating_add_signed(clocks.offset));
        }
        all.sort();
        let mut by_pod: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (at, request) in all.iter().enumerate() {
            by_pod.entry((request.namespace.clone(), request.pod.clone())).or_default().push(at);
        }
        Ok(Read { requests: Self { all, by_pod, skew: clocks.skew }, notes })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The request behind a thread.
    fn behind(&self, state: &State, thread: &Thread) -> Option<Binding<'_>> {
        let origin = state.origin_of(thread)?;
        let container = state.container_of(thread).filter(|container| container.has_metadata);
        let began = if thread.lastexec_ts == 0 { thread.clone_ts } else { thread.lastexec_ts };
        let fit = |request| self.fit(request, &origin, container, began);
        let mut fitting: Vec<Binding<'_>> = match container {
            Some(container) => self.for_pod_of(container).filter_map(fit).collect(),
            None => self.around(origin.ts).filter_map(fit).collect(),
        };
        let time = if origin.ts == 0 { began } else { origin.ts };
        // The surest, then the nearest; requests are in the order of time.
        let best = fitting.iter().map(|binding| binding.confidence).max()?;
        fitting.retain(|binding| binding.confidence == best);
        let distance = |binding: &&Binding<'_>| (time.abs_diff(binding.request.received), binding.request.received);
        let nearest = fitting.iter().min_by_key(distance)?.request;
        let users: BTreeSet<&str> = fitting.iter().map(|binding| binding.request.user.as_str()).collect();
        let others: Vec<&str> = users.into_iter().filter(|user| *user != nearest.user).collect();
        let confidence = if others.is_empty() { best } else { Confidence::Low };
        Some(Binding { request: nearest, confidence, others })
    }

    /// Requests for the pod that a container is of.
    fn for_pod_of(&self, container: &Container) -> impl Iterator<Item = &Request> {
        let text = |text: Option<&crate::state::Text>| text.map(|text| String::from_utf8_lossy(text).into_owned());
        let pod = text(container.pod_namespace()).zip(text(container.pod_name()));
        let numbers = pod.and_then(|pod| self.by_pod.get(&pod)).map_or(&[][..], Vec::as_slice);
        numbers.iter().filter_map(|at| self.all.get(*at))
    }

    /// Requests whose exec can have been at a time.
    fn around(&self, ts: u64) -> impl Iterator<Item = &Request> {
        let first = ts.saturating_sub(WINDOW).saturating_sub(self.skew);
        let begin = self.all.partition_point(|request| request.received < first);
        let last = ts.saturating_add(self.skew);
        self.all.iter().skip(begin).take_while(move |request| request.received <= last)
    }

    /// How well a request fits a process that came into its container so; `began` is the thread's own start.
    fn fit<'r>(
        &self,
        request: &'r Request,
        origin: &Origin,
        container: Option<&Container>,
        began: u64,
    ) -> Option<Binding<'r>> {
        let pod = container.map_or(Some(false), |container| request.is_for(container).then_some(true))?;
        let name = container.and_then(|container| container.label(CONTAINER_NAME));
        let named = |name: &[u8]| request.containers.iter().any(|wanted| wanted.as_bytes() == name);
        let confidence = match request.via {
            Via::Exec => {
                if origin.first
                    || !request.asks_for(origin)
                    || name.is_some_and(|name| !request.containers.is_empty() && !named(name))
                {
                    return None;
                }
                // What a session starts is there before it ends.
                let ended = request.completed.is_some_and(|end| origin.ts > end.saturating_add(self.skew));
                match (pod, origin.ts) {
                    _ if ended => return None,
                    // Everything of before the capture would do.
                    (false, 0) => return None,
                    (true, 0) => Confidence::Medium,
                    (_, ts) if !self.is_within(ts, request.received, WINDOW) => return None,
                    (false, _) => Confidence::Low,
                    (true, _) => Confidence::High,
                }
            }
            Via::Debug => {
                let is_it = pod && origin.first && name.is_some_and(|name| named(name));
                if !is_it || !self.is_within(origin.ts, request.received, DEBUG_WINDOW) {
                    return None;
                }
                Confidence::High
            }
            Via::Attach => {
                let elsewhere = name.is_some_and(|name| !request.containers.is_empty() && !named(name));
                let end = request.completed.map_or(u64::MAX, |end| end.saturating_add(self.skew));
                let during = began.saturating_add(self.skew) >= request.received && began <= end;
                // The first process itself was there before.
                if !pod || !origin.first || elsewhere || !during || began <= origin.ts {
                    return None;
                }
                Confidence::Low
            }
        };
        Some(Binding { request, confidence, others: Vec::new() })
    }

    fn is_within(&self, ts: u64, received: u64, window: u64) -> bool {
        ts.saturating_add(self.skew) >= received && ts <= received.saturating_add(window).saturating_add(self.skew)
    }
}

impl Request {
    /// Whether a container is of the pod that was asked for.
    fn is_for(&self, container: &Container) -> bool {
        if let (Some(asked), Some(uid)) = (&self.pod_uid, container.pod_uid()) {
            return asked.as_bytes() == &uid[..];
        }
        container.pod_namespace().is_some_and(|it| self.namespace.as_bytes() == &it[..])
            && container.pod_name().is_some_and(|it| self.pod.as_bytes() == &it[..])
    }

    /// Whether a program is the one that was asked for.
    fn asks_for(&self, origin: &Origin) -> bool {
        self.command.iter().map(String::as_bytes).eq(origin.command())
    }

    /// Bytes that it takes.
    fn weight(&self) -> usize {
        let lists = [&self.groups, &self.source_ips, &self.containers, &self.command];
        let texts = [&self.audit_id, &self.user, &self.agent, &self.namespace, &self.pod];
        lists.into_iter().flatten().chain(texts).map(|text| text.len() + size_of::<String>()).sum()
    }

    /// What an audit event asks for; `None` when it is about something else.
    fn of(event: &AuditEvent) -> Option<Self> {
        let json = &event.json;
        let text = |path: &[&str]| json.at(path).and_then(Json::str);
        let via = match (text(&["objectRef", "resource"])?, text(&["objectRef", "subresource"])?) {
            ("pods", "exec") => Via::Exec,
            ("pods", "attach") => Via::Attach,
            ("pods", "ephemeralcontainers") if !matches!(text(&["verb"]), Some("get")) => Via::Debug,
            _ => return None,
        };
        let uri = text(&["requestURI"]).unwrap_or_default();
        let containers = match via {
            Via::Debug => {
                // Before Kubernetes 1.22 the list was an object of its own.
                let body = json.get("requestObject");
                let list = body.and_then(|body| body.at(&["spec", LIST]).or_else(|| body.get(LIST))?.list());
                list.unwrap_or_default().iter().filter_map(|it| it.get("name")?.str()).map(str::to_owned).collect()
            }
            _ => crate::fields::audit::parameters(uri, "container"),
        };
        let list = |path: &[&str]| -> Vec<String> {
            let items = json.at(path).and_then(Json::list).unwrap_or_default();
            items.iter().filter_map(Json::str).map(str::to_owned).collect()
        };
        let owned = |path: &[&str]| text(path).map(str::to_owned);
        Some(Self {
            received: text(&["requestReceivedTimestamp"]).and_then(nanoseconds).unwrap_or(event.ts),
            audit_id: owned(&["auditID"])?,
            completed: (text(&["stage"]) == Some("ResponseComplete")).then_some(event.ts),
            via,
            user: owned(&["user", "username"])?,
            groups: list(&["user", "groups"]),
            impersonated: owned(&["impersonatedUser", "username"]),
            source_ips: list(&["sourceIPs"]),
            agent: owned(&["userAgent"]).unwrap_or_default(),
            namespace: owned(&["objectRef", "namespace"]).unwrap_or_default(),
            pod: owned(&["objectRef", "name"])?,
            pod_uid: owned(&["objectRef", "uid"]),
            containers,
            command: crate::fields::audit::parameters(uri, "command"),
        })
    }
}

/// Whether an input has plugin events in it: an audit log, which is read as a capture of them, or what Falco recorded.
/// In captures without frame records they must be among the first [`LOOK`] events: Falco records one source a capture.
pub(crate) fn is_of_plugins(input: &Source) -> bool {
    of_plugins(input).is_some()
}

/// A reader of an input's plugin events, and other events between them; `None` where there are none.
fn of_plugins(input: &Source) -> Option<CaptureReader> {
    if let Source::File(path) = input
        && let Ok(Some(file)) = SeekableFile::open(path)
    {
        let held = file.frames().iter().any(|frame| frame.types.contains(ppme::PPME_PLUGINEVENT_E));
        return held.then(|| file.select(&Selection::all().types([ppme::PPME_PLUGINEVENT_E]), 0).ok()).flatten();
    }
    let mut reader = input.is_lasting().then(|| input.open().ok()).flatten()?;
    let mut events = 0;
    while events < LOOK {
        if let Item::Event(event) = reader.next_item().ok()?? {
            if event.etype == ppme::PPME_PLUGINEVENT_E {
                return input.open().ok();
            }
            events += 1;
        }
    }
    None
}

/// Requests while logs are read: several events tell of each.
#[derive(Default)]
struct Gathering {
    /// `None`: the API server refused it.
    by_id: BTreeMap<String, Option<Request>>,
    weight: usize,
    left_out: u64,
}

impl Gathering {
    /// Reads a log to its end. Gives what there is to say about it.
    fn log(&mut self, path: &Path) -> Result<Vec<String>, String> {
        let mut log = AuditReader::open(path)?;
        loop {
            match log.next_event() {
                Ok(Some(event)) => self.event(&event),
                Ok(None) => return Ok(log.found().notes),
                Err(error) => return Err(format!("{}: {error}", path.display())),
            }
        }
    }

    /// Reads the audit events among the plugin events of a capture.
    fn capture(&mut self, mut capture: CaptureReader) -> Result<(), FormatError> {
        while let Some(item) = capture.next_item()? {
            if let Item::Event(event) = item
                && let Some(event) = AuditEvent::from_plugin(&event)
                && event.source == K8S_AUDIT_SOURCE
            {
                self.event(&event);
            }
        }
        Ok(())
    }

    fn event(&mut self, event: &AuditEvent) {
        let Some(request) = Request::of(event) else { return };
        let code = event.json.at(&["responseStatus", "code"]).map(Json::text).and_then(|code| code.parse::<u32>().ok());
        if code.is_some_and(|code| code >= 400) {
            self.by_id.insert(request.audit_id, None);
            return;
        }
        match self.by_id.get_mut(&request.audit_id) {
            Some(Some(known)) => {
                known.received = known.received.min(request.received);
                known.completed = known.completed.max(request.completed);
            }
            Some(None) => {}
            None => {
                self.weight += request.weight();
                if self.by_id.len() >= MAX_REQUESTS || self.weight > MAX_TEXTS {
                    self.left_out += 1;
                } else {
                    self.by_id.insert(request.audit_id.clone(), Some(request));
                }
            }
        }
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
