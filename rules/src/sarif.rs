//! Diagnostics as SARIF 2.1.0, the form in which code hosting sites take results of static analysis.
//!
//! One run with a table of the rules that occur, and a result for each diagnostic: its region, and the places of
//! macros, lists and exceptions as related locations. Columns count characters; regions are those of the file that
//! people edit, also for rule files inside of Helm values.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::diagnostics::{Code, Diagnostic, Label, Severity};
use crate::source::Sources;

/// Where the schema of the format stands.
const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// A log with one run.
pub fn log(diagnostics: &[&Diagnostic], sources: &Sources, tool: &str, version: &str) -> Value {
    let mut codes: BTreeMap<&str, Code> = BTreeMap::new();
    for diagnostic in diagnostics {
        codes.insert(diagnostic.code.name(), diagnostic.code);
    }
    let index: BTreeMap<&str, usize> = codes.keys().enumerate().map(|(n, name)| (*name, n)).collect();
    let results: Vec<Value> = diagnostics
        .iter()
        .map(|diagnostic| result(diagnostic, index.get(diagnostic.code.name()).copied().unwrap_or_default(), sources))
        .collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": tool,
                "version": version,
                "rules": codes.values().map(|code| rule(*code)).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

fn rule(code: Code) -> Value {
    json!({
        "id": code.name(),
        "shortDescription": { "text": code.title() },
        "fullDescription": { "text": code.explanation() },
        "defaultConfiguration": { "level": level(code.severity()) },
    })
}

fn result(diagnostic: &Diagnostic, index: usize, sources: &Sources) -> Value {
    let mut text = diagnostic.message.clone();
    if let Some(item) = diagnostic.item.as_ref().filter(|item| !item.name.is_empty()) {
        text = format!("{} '{}': {text}", item.kind.name(), item.name);
    }
    if let Some(hint) = &diagnostic.hint {
        text = format!("{text} ({hint})");
    }
    let locations: Vec<Value> = diagnostic.primary.iter().filter_map(|label| location(label, sources)).collect();
    let related: Vec<Value> = diagnostic.secondary.iter().filter_map(|label| location(label, sources)).collect();
    let mut result = json!({
        "ruleId": diagnostic.code.name(),
        "ruleIndex": index,
        "level": level(diagnostic.code.severity()),
        "message": { "text": text },
        "locations": locations,
    });
    if !related.is_empty()
        && let Some(object) = result.as_object_mut()
    {
        object.insert("relatedLocations".to_owned(), json!(related));
    }
    result
}

fn location(label: &Label, sources: &Sources) -> Option<Value> {
    let place = sources.locate(label.span)?;
    let inside = place.text.get(place.start..place.end).unwrap_or_default();
    let (line, column) = match inside.rsplit_once('\n') {
        None => (place.position.line, place.position.column + inside.chars().count()),
        Some((before, last)) => (place.position.line + before.matches('\n').count() + 1, last.chars().count() + 1),
    };
    let mut location = json!({
        "physicalLocation": {
            "artifactLocation": { "uri": uri(place.name) },
            "region": {
                "startLine": place.position.line,
                "startColumn": place.position.column,
                "endLine": line,
                "endColumn": column,
            },
        },
    });
    if !label.text.is_empty()
        && let Some(object) = location.as_object_mut()
    {
        object.insert("message".to_owned(), json!({ "text": label.text }));
    }
    Some(location)
}

/// A path as a URI reference: what has a meaning in URIs is escaped. Absolute paths get the scheme of files.
fn uri(path: &str) -> String {
    let mut out = String::new();
    if path.starts_with('/') {
        out.push_str("file://");
    }
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::uri;

    #[test]
    fn paths_become_uris() {
        assert_eq!(uri("rules/a b.yaml"), "rules/a%20b.yaml");
        assert_eq!(uri("/etc/falco/rules.yaml"), "file:///etc/falco/rules.yaml");
        assert_eq!(uri("C:x#y"), "C%3Ax%23y");
    }
}
