//! An exception as YAML that can be put into a rule file.
//!
//! Values pass two grammars: the scalar of YAML, and inside of it the constant of the rule language. What is plain in
//! both is written plainly.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// The change to a rule that adds an exception. `lists` are the names of lists: a value that is one has to be quoted.
pub fn exception(rule: &str, name: &str, fields: &[String], values: &[Vec<String>], lists: &BTreeSet<&str>) -> String {
    let constant = |value: &str| constant(value, lists);
    let mut out = String::new();
    // Writing to a string cannot fail, here and below.
    let _ = write!(out, "- rule: {}\n  exceptions:\n    - name: {name}\n", scalar(rule));
    if let [field] = fields {
        let _ = write!(out, "      fields: {}\n      comps: in\n      values:\n", scalar(field));
        for value in values.iter().flatten() {
            let _ = writeln!(out, "        - {}", scalar(&constant(value)));
        }
    } else {
        let names = fields.iter().map(|field| scalar(field)).collect::<Vec<_>>().join(", ");
        let comps = vec!["="; fields.len()].join(", ");
        let _ = write!(out, "      fields: [{names}]\n      comps: [{comps}]\n      values:\n");
        for tuple in values {
            let tuple: Vec<String> = tuple.iter().map(|value| scalar(&constant(value))).collect();
            let _ = writeln!(out, "        - [{}]", tuple.join(", "));
        }
    }
    out.push_str("  override:\n    exceptions: append\n");
    out
}

/// A value as a constant of the rule language. Quotes keep blanks, brackets and the names of lists from being read.
fn constant(value: &str, lists: &BTreeSet<&str>) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._:@%+-".contains(c);
    if !value.is_empty() && value.chars().all(plain) && !lists.contains(value) {
        return value.to_owned();
    }
    let mut out = String::from("\"");
    for c in value.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_ascii_control() => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A scalar of YAML.
fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._ -".contains(c);
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let word = matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
    );
    if starts && !word && !text.ends_with(' ') && text.chars().all(plain) {
        return text.to_owned();
    }
    // Single quotes know no escapes but their own: what stands in them reads best.
    if text.chars().all(|c| !c.is_control() && !matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}')) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    serde_json::to_string(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_plain_is_written_plainly() {
        let values = [vec!["bash".to_owned(), "/opt/a b".to_owned()], vec!["it's".to_owned(), "shells".to_owned()]];
        let fields = ["proc.name".to_owned(), "proc.aname[2]".to_owned()];
        let text = exception("A rule", "known", &fields, &values, &BTreeSet::from(["shells"]));
        assert_eq!(
            text,
            "- rule: A rule\n  exceptions:\n    - name: known\n      fields: [proc.name, 'proc.aname[2]']\n      \
             comps: [=, =]\n      values:\n        - [bash, '\"/opt/a b\"']\n        - ['\"it''s\"', '\"shells\"']\n  \
             override:\n    exceptions: append\n"
        );
    }
}
