//! Requests out of audit logs and out of captures of plugin events: several events tell of each.
//!
//! Lines that are none are [`AuditReader`]'s matter. What a request is good for is said in [`super::fitting`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use casebook_formats::capture::{CaptureReader, FormatError, Item};
use casebook_formats::seekable::{SeekableFile, Selection};
use casebook_formats::tables::ppme;

use super::{Clocks, Read, Request, Requests, Via};
use crate::audit::event::{AuditEvent, nanoseconds};
use crate::audit::json::Json;
use crate::audit::reader::AuditReader;
use crate::fields::catalogue::K8S_AUDIT_SOURCE;
use crate::run::Source;

/// Requests that are kept.
const MAX_REQUESTS: usize = 100_000;
/// Bytes of all their texts.
const MAX_TEXTS: usize = 64 << 20;
/// Events of a capture that are looked at to see whether it has plugin events: few, as most captures have none and would be read
/// twice for nothing.
const LOOK: u64 = 1_000;
/// Member that lists ephemeral containers.
const LIST: &str = "ephemeralContainers";

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
        let mut beside_events = false;
        for input in inputs {
            if input.is_log() && !input.is_lasting() {
                beside_events = true;
                notes.push(format!(
                    "warning: {}: too long to be held, so that its requests are not joined",
                    input.name()
                ));
            } else if let Some(audit) = of_plugins(input) {
                beside_events = true;
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
        Ok(Read { requests: Self { all, by_pod, skew: clocks.skew, beside_events }, notes })
    }
}

impl Requests {
    /// Whether one of the inputs they were looked for in is an audit log, or has plugin events in it.
    pub(crate) fn is_beside_events(&self) -> bool {
        self.beside_events
    }
}

impl Request {
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

/// A reader of an input's plugin events, and other events between them: of an audit log, which is read as a capture of them,
/// and of what Falco recorded. `None` where there are none. In captures without frame records they must be among the first
/// [`LOOK`] events: Falco records one source a capture.
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
