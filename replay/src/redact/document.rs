//! JSON documents: descriptions of containers, events of audit logs.
//!
//! Keys are the schema and stay, but for those that people choose: keys of maps such as labels, and keys that no schema
//! would have, are masked as texts are. Strings are masked, times excepted; numbers stay, unless they are addresses.

use crate::audit::json::Json;

/// Members whose own members are named by people.
const MAPS: &[&str] = &[
    "labels",
    "annotations",
    "data",
    "stringData",
    "binaryData",
    "matchLabels",
    "nodeSelector",
    "extra",
    "pod_sandbox_labels",
    "selector",
    "requests",
    "limits",
];

/// Members whose numbers are addresses.
const ADDRESSES: &[&str] = &["ip"];

/// Longest key of a schema.
const MAX_KEY: usize = 48;

/// The document with `text` applied to what people wrote; `None` when it is no JSON.
pub(super) fn mask(document: &[u8], text: &mut dyn FnMut(&str) -> String) -> Option<String> {
    Some(value(Json::parse(document)?, false, "", text).to_string())
}

fn value(json: Json, in_map: bool, key: &str, text: &mut dyn FnMut(&str) -> String) -> Json {
    match json {
        Json::Null | Json::Bool(_) => json,
        Json::Number(number) => match number.parse::<u32>() {
            // The oldest container events have the address as a number in network order.
            Ok(ip) if ADDRESSES.contains(&key) && ip != 0 => {
                let ip = std::net::Ipv4Addr::from(ip.to_be_bytes());
                let masked = text(&ip.to_string()).parse().unwrap_or(std::net::Ipv4Addr::UNSPECIFIED);
                Json::Number(u32::from_be_bytes(masked.octets()).to_string().into())
            }
            _ => Json::Number(number),
        },
        Json::Text(content) => Json::Text(if is_time(&content) { content } else { text(&content).into() }),
        Json::List(items) => Json::List(items.into_iter().map(|item| value(item, false, key, text)).collect()),
        Json::Object(members) => {
            let member = |(name, inner): (Box<str>, Json)| {
                let inner = value(inner, MAPS.contains(&&*name), &name, text);
                let name = if !in_map && is_schema(&name) { name } else { text(&name).into() };
                (name, inner)
            };
            Json::Object(members.into_iter().map(member).collect())
        }
    }
}

fn is_schema(key: &str) -> bool {
    key.len() <= MAX_KEY && key.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_')
}

/// A time as RFC 3339 has it: rules and readers need it, and the events around it have it anyway.
fn is_time(text: &str) -> bool {
    text.len() <= 40
        && text.starts_with(|first: char| first.is_ascii_digit())
        && text.parse::<jiff::Timestamp>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::mask;

    #[test]
    fn people_s_words_go_and_the_schema_stays() {
        let document = br#"{"container":{"name":"shop","labels":{"team/owner":"anna"},"ip":168427779,"n":[1,"x"]},
            "stageTimestamp":"2025-03-01T10:00:00.5Z","user-7":null}"#;
        let got = mask(document, &mut |text| match text.parse::<std::net::Ipv4Addr>() {
            Ok(_) => "10.0.0.1".to_owned(),
            Err(_) => format!("<{text}>"),
        });
        let expected = r#"{"container":{"name":"<shop>","labels":{"<team/owner>":"<anna>"},"ip":167772161,"n":[1,"<x>"]},"stageTimestamp":"2025-03-01T10:00:00.5Z","<user-7>":null}"#;
        assert_eq!(got.as_deref(), Some(expected));
        assert_eq!(mask(b"no json", &mut str::to_owned), None);
    }
}
