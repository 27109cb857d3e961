//! One audit event, and the sources that plugin events can have.

use casebook_formats::event::Event;
use casebook_formats::tables::ppme;
use jiff::Timestamp;

use super::json::Json;
use super::split::MAX_DOCUMENT;
use crate::fields::catalogue::K8S_AUDIT_SOURCE;

/// Longest event that is looked at, as compact JSON; the default of Falco's plugin (`maxEventSize`).
pub const MAX_EVENT: usize = 262_144;

/// Number of the plugin that audit logs are from.
pub const PLUGIN: u32 = 1;

/// Plugins whose events are JSON, by the number that a capture names, and the source of their events. From the plugin
/// registry of Falco; plugins whose payload is no JSON are left out, and their events are counted.
pub const PLUGINS: &[(u32, &str)] = &[
    (PLUGIN, K8S_AUDIT_SOURCE),
    (2, "aws_cloudtrail"),
    (5, "docker"),
    (7, "okta"),
    (8, "github"),
    (9, K8S_AUDIT_SOURCE),
    (10, "nomad"),
    (12, "gcp_auditlog"),
    (14, "salesforce"),
    (15, "box"),
    (16, K8S_AUDIT_SOURCE),
    (18, "kafka"),
    (19, "gitlab"),
    (20, "keycloak"),
    (21, K8S_AUDIT_SOURCE),
    (22, K8S_AUDIT_SOURCE),
    (24, "collector"),
];

/// Members of an audit event that are texts, objects and lists.
const TEXTS: &[&str] = &["auditID", "stage", "verb", "requestURI", "userAgent", "requestReceivedTimestamp"];
/// See [`TEXTS`].
const OBJECTS: &[&str] = &["user", "impersonatedUser", "objectRef", "responseStatus", "annotations"];
/// See [`TEXTS`].
const LISTS: &[&str] = &["sourceIPs"];

/// The source of a plugin's events; `None` for plugins that are not in the table.
pub fn source_of(plugin: u32) -> Option<&'static str> {
    PLUGINS.iter().find(|(number, _)| *number == plugin).map(|(_, source)| *source)
}

/// An event whose content is a JSON document.
#[derive(Clone, PartialEq, Debug)]
pub struct AuditEvent {
    /// Nanoseconds since the epoch.
    pub ts: u64,
    /// Its source: [`K8S_AUDIT_SOURCE`], or that of another plugin.
    pub source: &'static str,
    /// The document.
    pub json: Json,
}

/// Why a document gives no event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoEvent {
    /// It is not of kind `Event`.
    Foreign,
    /// It has no `stageTimestamp`, or one that is no time after 1970.
    Untimed,
    /// Longer than [`MAX_EVENT`].
    Oversized,
}

impl AuditEvent {
    /// A document of an audit log; `item` when it comes from the `items` of a list, where the kind may be missing.
    ///
    /// # Errors
    /// Why it is no event.
    pub fn from_log(json: Json, item: bool) -> Result<Self, NoEvent> {
        let kind = json.get("kind").and_then(Json::str);
        if kind != Some("Event") && !(item && kind.is_none() && json.get("stageTimestamp").is_some()) {
            return Err(NoEvent::Foreign);
        }
        let ts = json.get("stageTimestamp").and_then(Json::str).and_then(nanoseconds).ok_or(NoEvent::Untimed)?;
        if json.to_string().len() > MAX_EVENT {
            return Err(NoEvent::Oversized);
        }
        Ok(Self { ts, source: K8S_AUDIT_SOURCE, json })
    }

    /// Whether a member that fields rely on is of another type than `audit.k8s.io/v1` gives it.
    pub fn is_mistyped(&self) -> bool {
        let wrong = |names: &[&str], is_right: fn(&Json) -> bool| {
            let present = names.iter().filter_map(|name| self.json.get(name)).filter(|value| **value != Json::Null);
            present.into_iter().any(|value| !is_right(value))
        };
        wrong(TEXTS, |value| matches!(value, Json::Text(_)))
            || wrong(OBJECTS, |value| matches!(value, Json::Object(_)))
            || wrong(LISTS, |value| matches!(value, Json::List(_)))
    }

    /// The payload of a plugin event in a capture (`PPME_PLUGINEVENT_E`: number of the plugin, data); `None` when the
    /// plugin is not known or the payload is no JSON, or longer than a document may be.
    pub fn from_plugin(event: &Event<'_>) -> Option<Self> {
        if event.etype != ppme::PPME_PLUGINEVENT_E {
            return None;
        }
        let source = source_of(event.u64(0)? as u32)?;
        let payload = event.param(1).filter(|payload| payload.len() <= MAX_DOCUMENT)?;
        let json = Json::parse(payload)?;
        Some(Self { ts: event.ts, source, json })
    }
}

/// RFC 3339 to nanoseconds since the epoch.
pub(crate) fn nanoseconds(text: &str) -> Option<u64> {
    u64::try_from(text.parse::<Timestamp>().ok()?.as_nanosecond()).ok()
}

#[cfg(test)]
mod tests {
    // Documents of the tests are valid.
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn event(text: &str, item: bool) -> Result<u64, NoEvent> {
        AuditEvent::from_log(Json::parse(text.as_bytes()).unwrap(), item).map(|event| event.ts)
    }

    #[test]
    fn what_is_an_event() {
        let time = r#""stageTimestamp":"2018-10-26T13:38:34.902914Z""#;
        let ts = Ok(1_540_561_114_902_914_000);
        assert_eq!(event(&format!(r#"{{"kind":"Event",{time}}}"#), false), ts);
        assert_eq!(event(&format!("{{{time}}}"), true), ts, "items need no kind");
        assert_eq!(event(&format!("{{{time}}}"), false), Err(NoEvent::Foreign));
        assert_eq!(event(&format!(r#"{{"kind":"Pod",{time}}}"#), true), Err(NoEvent::Foreign));
        assert_eq!(event(r#"{"kind":"Event"}"#, false), Err(NoEvent::Untimed));
        for bad in ["0", "\"\"", "\"yesterday\"", "\"1969-12-31T23:59:59Z\"", "\"9999-01-01T00:00:00Z\""] {
            let text = format!(r#"{{"kind":"Event","stageTimestamp":{bad}}}"#);
            assert_eq!(event(&text, false), Err(NoEvent::Untimed), "{bad}");
        }
        let long = format!(r#"{{"kind":"Event",{time},"x":"{}"}}"#, "y".repeat(MAX_EVENT));
        assert_eq!(event(&long, false), Err(NoEvent::Oversized));
    }
}
