//! `audit:` of a case: Kubernetes audit events, told by the few keys that matter.
//!
//! YAML with places → JSON lines, as an API server writes them. Everything that a key does not say has a value that an
//! ordinary request has, so that a case shows what it is about and nothing else. One table, [`KEYS`], says what each
//! key becomes.

use std::fmt::Write as _;
use std::sync::Arc;

use casebook_rules::text::Style;
use casebook_rules::yaml::{Kind, Node};
use serde_json::{Map, Value as Json, json};

use super::tree::{Entries, Notes};
use crate::summary::iso_time;

/// Most events of a case.
const MAX_EVENTS: usize = 10_000;
/// Time of the first event: 2026-01-01T12:00:00Z.
const START: u64 = 1_767_268_800_000_000_000;
/// Time between two events that do not say.
const STEP: u64 = 1_000_000_000;

/// A key of an event: its name, where its value goes, what it says.
const KEYS: &[(&str, &[&str], &str)] = &[
    ("user", &["user", "username"], "who asks [`alice`]"),
    ("groups", &["user", "groups"], "the groups of the user [`[system:authenticated]`]"),
    ("as", &["impersonatedUser", "username"], "whom the user poses as"),
    ("agent", &["userAgent"], "the client [`kubectl/v1.31.0`]"),
    ("verb", &["verb"], "what is asked [`get`]"),
    ("uri", &["requestURI"], "the path and query of the request [made from `on`, `namespace` and `name`]"),
    ("namespace", &["objectRef", "namespace"], "the namespace of the object"),
    ("name", &["objectRef", "name"], "the name of the object"),
    ("stage", &["stage"], "the stage of the request [`ResponseComplete`]"),
    ("code", &["responseStatus", "code"], "the code of the answer [`200`]"),
    ("decision", &["annotations", "authorization.k8s.io/decision"], "the verdict of authorization [`allow`]"),
    ("request", &["requestObject"], "the object that was sent"),
    ("response", &["responseObject"], "the object that was answered"),
];

/// Keys that become something else than a value in its place.
const OTHERS: &[(&str, &str)] = &[
    ("on", "the kind of object, with its subresource: `pods`, `pods/exec`"),
    ("after", "time since the event before [`1s`]"),
    ("json", "members of the event as they are, on top of all that"),
];

/// JSON lines of the events of a case; what cannot be meant is noted.
pub(super) fn tell(node: &Arc<Node>, notes: &mut Notes) -> Option<Vec<u8>> {
    let Some(events) = node.sequence() else {
        return notes.wrong(node.span, "`audit` is a sequence of events");
    };
    if events.len() > MAX_EVENTS {
        return notes.wrong(node.span, format!("more than {MAX_EVENTS} events in a case"));
    }
    let mut now = START;
    let mut lines = String::new();
    let mut well = true;
    for (number, event) in (1_u32..).zip(events) {
        match one(event, number, &mut now, notes) {
            Some(json) => {
                // Writing to a string does not fail.
                let _ = writeln!(lines, "{json}");
            }
            None => well = false,
        }
    }
    well.then(|| lines.into_bytes())
}

fn one(node: &Arc<Node>, number: u32, now: &mut u64, notes: &mut Notes) -> Option<Json> {
    let mut entries = Entries::of(node, "an audit event", notes)?;
    let after = match entries.take("after") {
        Some(node) => notes.span(node)?,
        None => STEP,
    };
    *now = now.saturating_add(after);
    let mut event = json!({
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "RequestResponse",
        "auditID": format!("00000000-0000-4000-8000-{number:012}"),
        "stage": "ResponseComplete",
        "requestURI": "",
        "verb": "get",
        "user": {"username": "alice", "groups": ["system:authenticated"]},
        "sourceIPs": ["10.8.0.4"],
        "userAgent": "kubectl/v1.31.0",
        "objectRef": {"apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 200},
        "requestReceivedTimestamp": iso_time(now.saturating_sub(STEP / 100)),
        "stageTimestamp": iso_time(*now),
        "annotations": {"authorization.k8s.io/decision": "allow"},
    });
    let mut said_uri = false;
    for (key, path, _) in KEYS {
        if let Some(node) = entries.take(key) {
            said_uri |= *key == "uri";
            put(&mut event, path, json(node));
        }
    }
    if let Some(kind) = entries.take("on").and_then(|node| notes.words(node)) {
        let (resource, subresource) = kind.split_once('/').map_or((kind, None), |(kind, sub)| (kind, Some(sub)));
        put(&mut event, &["objectRef", "resource"], resource.into());
        if let Some(subresource) = subresource {
            put(&mut event, &["objectRef", "subresource"], subresource.into());
        }
    }
    if !said_uri {
        let uri = uri(&event["objectRef"]);
        put(&mut event, &["requestURI"], uri.into());
    }
    if let Some(members) = entries.take("json") {
        let Json::Object(members) = json(members) else {
            return notes.wrong(members.span, "`json` is a mapping");
        };
        for (name, value) in members {
            put(&mut event, &[&name], value);
        }
    }
    entries.end("an audit event", notes);
    Some(event)
}

/// The path of a request about an object.
fn uri(object: &Json) -> String {
    let part = |name: &str| object[name].as_str().map(str::to_owned);
    let namespace = part("namespace").map(|namespace| format!("namespaces/{namespace}"));
    let parts = [namespace, part("resource"), part("name"), part("subresource")];
    format!("/api/v1/{}", parts.into_iter().flatten().collect::<Vec<_>>().join("/"))
}

/// Puts a value below several members, one inside the other; `null` takes the member away.
fn put(json: &mut Json, path: &[&str], value: Json) {
    let Some((last, way)) = path.split_last() else { return };
    let mut place = json;
    for name in way {
        place = &mut place[*name];
    }
    if let Some(members) = place.as_object_mut()
        && value.is_null()
    {
        members.remove(*last);
    } else {
        place[*last] = value;
    }
}

/// A node as JSON: plain `true`, `false` and numbers are what they look like.
fn json(node: &Node) -> Json {
    match &node.kind {
        Kind::Null => Json::Null,
        Kind::Sequence(items) => items.iter().map(|item| json(item)).collect(),
        Kind::Mapping(entries) => {
            let member = |(key, value): &(Arc<Node>, Arc<Node>)| {
                let name = key.scalar().map(|scalar| scalar.value.clone()).unwrap_or_default();
                (name, json(value))
            };
            Json::Object(entries.iter().map(member).collect::<Map<String, Json>>())
        }
        Kind::Scalar(scalar) if scalar.style == Style::Plain => match scalar.value.as_str() {
            "true" => Json::Bool(true),
            "false" => Json::Bool(false),
            text => text.parse::<i64>().map_or_else(|_| text.into(), Json::from),
        },
        Kind::Scalar(scalar) => scalar.value.as_str().into(),
    }
}

/// The tables as a part of the reference page.
pub(super) fn page() -> String {
    let mut page = String::from(
        "\n## Audit events\n\n`audit` is a sequence of Kubernetes audit events, each a mapping of these keys. Rules of \
         the source `k8s_audit` see them;\nin `fields`, their rules name `ka.*` and `json.*` fields.\n\n| key | what it \
         says |\n|---|---|\n",
    );
    let keys = KEYS.iter().map(|(key, _, what)| (key, what)).chain(OTHERS.iter().map(|(key, what)| (key, what)));
    for (key, what) in keys {
        let _ = writeln!(page, "| `{key}` | {what} |");
    }
    page
}
