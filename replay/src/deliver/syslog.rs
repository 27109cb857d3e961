//! An alert as a syslog message: RFC 5424.
//!
//! Facility `user` as Falco's own syslog output, severity the priority (the numbers are the same), time and host those of
//! the capture. Rule, source and tags stand as structured data too, so that a collector needs not parse the text.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value as Json;

use super::Parcel;
use crate::summary::SEVERITIES;

/// Facility `user`.
const FACILITY: usize = 1;
/// Longest message in one datagram: what UDP over IPv4 can carry.
const LONGEST: usize = 65_507;
/// Longest host name.
const HOST: usize = 255;
/// Name of the structured data. 32473 is the enterprise number that documents and private uses are told to take.
const DATA: &str = "casebook@32473";

/// The message of an alert.
pub(super) fn message(parcel: &Parcel) -> Vec<u8> {
    let json: Json = serde_json::from_slice(&parcel.json).unwrap_or_default();
    let text = |name: &str| json[name].as_str().unwrap_or_default();
    let severity = text("priority").to_ascii_uppercase();
    // `Informational` is cut in the summary's table.
    let severity = SEVERITIES.iter().position(|name| severity.starts_with(name)).unwrap_or(SEVERITIES.len() - 1);
    let tags: Vec<&str> = json["tags"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    let data = [("rule", text("rule")), ("source", text("source")), ("tags", &tags.join(","))];
    let data: String = data.map(|(name, value)| format!(" {name}=\"{}\"", param(value))).concat();
    let head =
        format!("<{}>1 {} {} casebook - alert", FACILITY * 8 + severity, time(text("time")), host(text("hostname")));
    let mut message = format!("{head} [{DATA}{data}] \u{feff}").into_bytes();
    message.extend_from_slice(&parcel.line);
    message
}

/// The message with its length in front, for a stream (RFC 6587, octet counting).
pub(super) fn framed(parcel: &Parcel) -> Vec<u8> {
    let message = message(parcel);
    [format!("{} ", message.len()).into_bytes(), message].concat()
}

/// As much of a message as fits into a datagram, cut between characters.
pub(super) fn fitting(message: &[u8]) -> &[u8] {
    let mut end = message.len().min(LONGEST);
    while end < message.len() && end > 0 && message.get(end).is_some_and(|byte| byte & 0xC0 == 0x80) {
        end -= 1;
    }
    message.get(..end).unwrap_or(message)
}

/// Six digits of a fraction at most; `-` where there is no time.
fn time(iso: &str) -> String {
    let Ok(time) = iso.parse::<Timestamp>() else { return "-".to_owned() };
    time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// Printable ASCII; `-` where there is no host.
fn host(name: &str) -> String {
    let name: String =
        name.chars().take(HOST).map(|letter| if letter.is_ascii_graphic() { letter } else { '_' }).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

/// The value of a parameter.
fn param(value: &str) -> String {
    value.chars().fold(String::new(), |mut text, letter| {
        if matches!(letter, '"' | '\\' | ']') {
            text.push('\\');
        }
        text.push(letter);
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_those_of_the_standard() {
        let json = r#"{"hostname":"node 1","priority":"Informational","rule":"a \"b\" ]","source":"syscall","tags":["x","y"],"time":"2026-03-02T09:00:33.221750999Z"}"#;
        let parcel = Parcel { json: json.into(), line: "09:00: Wärnung".into() };
        let expected = "<14>1 2026-03-02T09:00:33.221750Z node_1 casebook - alert [casebook@32473 rule=\"a \\\"b\\\" \\]\" source=\"syscall\" tags=\"x,y\"] \u{feff}09:00: Wärnung";
        assert_eq!(String::from_utf8_lossy(&message(&parcel)), expected);
        assert_eq!(framed(&parcel), format!("{} {expected}", expected.len()).into_bytes());
        let broken = Parcel { json: b"{}".into(), line: Vec::new() };
        let expected = "<15>1 - - casebook - alert [casebook@32473 rule=\"\" source=\"\" tags=\"\"] \u{feff}";
        assert_eq!(String::from_utf8_lossy(&message(&broken)), expected);
        let long = "ä".repeat(40_000).into_bytes();
        assert_eq!((fitting(&long).len(), fitting(b"short")), (65_506, &b"short"[..]));
    }
}
