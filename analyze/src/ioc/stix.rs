//! STIX 2.1 bundles: indicators by their patterns, and observed addresses, domains, URLs and files.
//!
//! Of the pattern language the comparisons `object:path = 'value'` and `IN (…)` are read; each becomes an indicator of
//! its own, also where the pattern asks for several at once (a capture rarely shows all), and the text about it says
//! so. Qualifiers (`WITHIN`, `REPEATS`) are left to the reader.

use serde_json::Value as Json;

use super::read::{Indicators, Kind, ReadError};

/// Objects of a bundle that are looked at.
const MAX_OBJECTS: usize = 1_000_000;

/// Reads a bundle, or an array of objects.
pub(super) fn read(text: &str, file: &str, into: &mut Indicators) -> Result<(), ReadError> {
    let json: Json = serde_json::from_str(text)
        .map_err(|error| ReadError::Json { path: file.to_owned(), message: error.to_string() })?;
    let ((Some(Json::Array(objects)), _) | (None, Json::Array(objects))) = (json.get("objects"), &json) else {
        let message = "JSON, but no STIX bundle: it has no list `objects`".to_owned();
        return Err(ReadError::Json { path: file.to_owned(), message });
    };
    for object in objects.iter().take(MAX_OBJECTS) {
        let text = |key: &str| object.get(key).and_then(Json::as_str).unwrap_or_default();
        let source = format!("{file}:{}", text("id"));
        match text("type") {
            "indicator" => {
                if text("pattern_type") != "stix" && !text("pattern_type").is_empty() {
                    into.refuse(&source, &format!("pattern of type {}", text("pattern_type")));
                    continue;
                }
                pattern(text("pattern"), text("name"), &source, into);
            }
            "ipv4-addr" | "ipv6-addr" => into.push(Kind::Address, text("value"), "", source),
            "domain-name" => into.push(Kind::Domain, text("value"), "", source),
            "url" => into.push(Kind::Url, text("value"), "", source),
            "file" => {
                if !text("name").is_empty() {
                    into.push(Kind::Name, text("name"), "", source.clone());
                }
                for hash in
                    object.get("hashes").and_then(Json::as_object).into_iter().flat_map(|hashes| hashes.values())
                {
                    into.push(Kind::Hash, hash.as_str().unwrap_or_default(), "", source.clone());
                }
            }
            // Relationships, reports, malware: what they say is for people.
            _ => {}
        }
    }
    Ok(())
}

/// The kind of indicator that an object path of a pattern compares.
fn kind_of(path: &str) -> Option<Kind> {
    let path = path.replace(['\'', '"'], "");
    Some(match path.as_str() {
        "ipv4-addr:value" | "ipv6-addr:value" | "network-traffic:dst_ref.value" | "network-traffic:src_ref.value" => {
            Kind::Address
        }
        "domain-name:value" => Kind::Domain,
        "url:value" => Kind::Url,
        "file:name" | "process:name" => Kind::Name,
        "directory:path" | "file:parent_directory_ref.path" | "process:binary_ref.path" => Kind::Path,
        other if other.starts_with("file:hashes.") => Kind::Hash,
        _ => return None,
    })
}

fn pattern(pattern: &str, name: &str, source: &str, into: &mut Indicators) {
    let comparisons = comparisons(pattern);
    if comparisons.is_empty() {
        into.refuse(source, pattern);
        return;
    }
    let together = pattern.contains(" AND ") || pattern.contains(" FOLLOWEDBY ");
    let about =
        if together { format!("{name} (part of a pattern that asks for several at once)") } else { name.to_owned() };
    for (path, value) in comparisons {
        match kind_of(&path) {
            // A file name that is a path is one.
            Some(Kind::Name) if value.starts_with('/') => into.push(Kind::Path, &value, &about, source.to_owned()),
            Some(kind) => into.push(kind, &value, &about, source.to_owned()),
            None => into.refuse(source, &path),
        }
    }
}

/// All `path = 'value'` and `path IN ('value', …)` of a pattern.
fn comparisons(pattern: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut path = String::new();
    let mut equals = false;
    for word in (Words { rest: pattern }) {
        match word {
            Word::Plain(text) if text.contains(':') => {
                text.clone_into(&mut path);
                equals = false;
            }
            Word::Plain("=" | "IN") => equals = true,
            // `!=`, `LIKE`, `MATCHES`, `ISSUBSET` are no indicators that can be looked up.
            Word::Plain(
                "AND" | "OR" | "FOLLOWEDBY" | "!=" | "LIKE" | "MATCHES" | "NOT" | "ISSUBSET" | "ISSUPERSET" | "WITHIN"
                | "REPEATS" | "START" | "STOP",
            ) => equals = false,
            Word::Plain(_) => {}
            Word::Quoted(value) => {
                if equals && !path.is_empty() {
                    found.push((path.clone(), value));
                }
            }
        }
    }
    found
}

enum Word<'t> {
    Plain(&'t str),
    Quoted(String),
}

/// Words of a pattern: quoted texts, and what stands between blanks, brackets and commas.
struct Words<'t> {
    rest: &'t str,
}

impl<'t> Iterator for Words<'t> {
    type Item = Word<'t>;

    fn next(&mut self) -> Option<Word<'t>> {
        let between = |c: char| c.is_whitespace() || "[](),".contains(c);
        self.rest = self.rest.trim_start_matches(between);
        if let Some(text) = self.rest.strip_prefix('\'') {
            let mut value = String::new();
            let mut characters = text.char_indices();
            while let Some((at, character)) = characters.next() {
                match character {
                    '\'' => {
                        self.rest = &text[at + 1..];
                        return Some(Word::Quoted(value));
                    }
                    '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
                    other => value.push(other),
                }
            }
            // Never closed: there is nothing behind it.
            self.rest = "";
            return Some(Word::Quoted(value));
        }
        // `file:hashes.'SHA-256'` holds quotes; `a='b'` is three words.
        let mut quoted = false;
        let mut end = self.rest.len();
        for (at, character) in self.rest.char_indices() {
            let before_name = self.rest[..at].ends_with('.');
            match character {
                '\'' if quoted => quoted = false,
                '\'' if before_name => quoted = true,
                '\'' => {
                    end = at;
                    break;
                }
                '=' if !quoted && at > 0 && !self.rest[..at].ends_with('!') => {
                    end = at;
                    break;
                }
                '=' if at == 0 => {
                    end = 1;
                    break;
                }
                c if !quoted && between(c) => {
                    end = at;
                    break;
                }
                _ => {}
            }
        }
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!word.is_empty()).then_some(Word::Plain(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pattern: &str) -> Vec<(String, String)> {
        comparisons(pattern)
    }

    #[test]
    fn comparisons_of_patterns_are_found() {
        let pair = |path: &str, value: &str| (path.to_owned(), value.to_owned());
        assert_eq!(found("[ipv4-addr:value = '198.51.100.1']"), [pair("ipv4-addr:value", "198.51.100.1")]);
        assert_eq!(
            found("[domain-name:value='a.example' OR url:value = 'http://b.example/\\'x']"),
            [pair("domain-name:value", "a.example"), pair("url:value", "http://b.example/'x")]
        );
        assert_eq!(
            found(
                "[file:hashes.'SHA-256' = 'aa' AND file:name != 'ok'] FOLLOWEDBY [ipv4-addr:value IN ('1.1.1.1', '2.2.2.2')]"
            ),
            [
                pair("file:hashes.'SHA-256'", "aa"),
                pair("ipv4-addr:value", "1.1.1.1"),
                pair("ipv4-addr:value", "2.2.2.2")
            ]
        );
        assert!(found("[file:name LIKE 'x%']").is_empty());
        assert!(found("'").is_empty() && found("[a:b = 'never closed").len() == 1);
    }
}
