//! Rows as lines for machines: CSV and JSON Lines.
//!
//! Texts come from captures. In CSV, what a terminal or a spreadsheet would act on is made visible (escapes as in all our
//! tools; a quote in front of what a spreadsheet takes for a formula). In JSON everything that is not plainly shown is
//! escaped, and nothing is lost.

use std::fmt::Write as _;
use std::io::{self, Write};

use casebook_formats::terminal::{Safe, is_harmful};
use casebook_replay::summary::iso_time;

use super::values::Values;

/// First characters by which spreadsheets know formulas, the wide forms too.
const FORMULA: &[char] = &['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'];

/// The header line of a CSV file.
pub fn csv_header(names: &[&str], out: &mut dyn Write) -> io::Result<()> {
    for (at, name) in names.iter().enumerate() {
        if at > 0 {
            out.write_all(b",")?;
        }
        csv_text(name, out)?;
    }
    out.write_all(b"\r\n")
}

/// Rows as CSV (RFC 4180); null is empty, an empty text is `""`.
pub fn csv_rows(columns: &[Values<'_>], rows: usize, out: &mut dyn Write) -> io::Result<()> {
    for row in 0..rows {
        for (at, column) in columns.iter().enumerate() {
            if at > 0 {
                out.write_all(b",")?;
            }
            csv_cell(column, row, out)?;
        }
        out.write_all(b"\r\n")?;
    }
    Ok(())
}

fn csv_cell(column: &Values<'_>, row: usize, out: &mut dyn Write) -> io::Result<()> {
    match column {
        Values::Text(texts) => texts[row].map_or(Ok(()), |text| csv_text(text, out)),
        Values::Made(texts) => texts[row].as_deref().map_or(Ok(()), |text| csv_text(text, out)),
        Values::Int(values) | Values::Span(values) => values[row].map_or(Ok(()), |value| write!(out, "{value}")),
        Values::Uint(values) => values[row].map_or(Ok(()), |value| write!(out, "{value}")),
        Values::Float(values) => values[row].map_or(Ok(()), |value| write!(out, "{value}")),
        Values::Bool(values) => values[row].map_or(Ok(()), |value| write!(out, "{value}")),
        Values::Time(values) => values[row].map_or(Ok(()), |value| out.write_all(time(value).as_bytes())),
    }
}

/// A text of CSV: harmless, quoted where that is needed, never a formula.
pub fn csv_text(text: &str, out: &mut dyn Write) -> io::Result<()> {
    let guarded = text.starts_with(FORMULA);
    let safe = Safe(text.as_bytes()).to_string();
    if !guarded && !safe.is_empty() && !safe.contains([',', '"', ';', '\'']) && safe.trim() == safe {
        return out.write_all(safe.as_bytes());
    }
    write!(out, "\"{}{}\"", if guarded { "'" } else { "" }, safe.replace('"', "\"\""))
}

/// A moment in ISO 8601 with nanoseconds.
pub fn time(ns: i64) -> String {
    match u64::try_from(ns) {
        Ok(ns) => iso_time(ns),
        // Before 1970: no capture has it, a query can make it.
        Err(_) => format!("{ns} ns"),
    }
}

/// Rows as JSON objects, one a line, columns in order, null as `null`.
pub fn json_rows(names: &[&str], columns: &[Values<'_>], rows: usize, out: &mut dyn Write) -> io::Result<()> {
    let keys: Vec<String> = names.iter().map(|name| json_text(name)).collect();
    let mut line = String::new();
    for row in 0..rows {
        line.clear();
        line.push('{');
        for (at, (key, column)) in keys.iter().zip(columns).enumerate() {
            if at > 0 {
                line.push(',');
            }
            line.push_str(key);
            line.push(':');
            json_cell(column, row, &mut line);
        }
        line.push_str("}\n");
        out.write_all(line.as_bytes())?;
    }
    Ok(())
}

fn json_cell(column: &Values<'_>, row: usize, line: &mut String) {
    // Writing to a string cannot fail.
    let _ = match column {
        Values::Text(texts) => match texts[row] {
            Some(text) => write!(line, "{}", json_text(text)),
            None => line.write_str("null"),
        },
        Values::Made(texts) => match &texts[row] {
            Some(text) => write!(line, "{}", json_text(text)),
            None => line.write_str("null"),
        },
        Values::Int(values) | Values::Span(values) => number(line, values[row]),
        Values::Uint(values) => number(line, values[row]),
        // JSON has no NaN and no infinity.
        Values::Float(values) => number(line, values[row].filter(|value| value.is_finite())),
        Values::Bool(values) => number(line, values[row]),
        Values::Time(values) => match values[row] {
            Some(value) => write!(line, "\"{}\"", time(value)),
            None => line.write_str("null"),
        },
    };
}

fn number(line: &mut String, value: Option<impl std::fmt::Display>) -> std::fmt::Result {
    match value {
        Some(value) => write!(line, "{value}"),
        None => line.write_str("null"),
    }
}

/// A text as a JSON string in which nothing is left that a terminal acts on.
pub fn json_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            harmful if is_harmful(harmful) => {
                for unit in harmful.encode_utf16(&mut [0; 2]) {
                    // Writing to a string cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            plain => out.push(plain),
        }
    }
    out.push('"');
    out
}

/// A JSON value on a line, in which nothing is left that a terminal acts on.
///
/// Outside of strings JSON is plain ASCII, so what is harmful beyond that stands inside of one and has an escape.
pub fn json_line(value: &serde_json::Value) -> String {
    let plain = value.to_string();
    if !plain.chars().any(is_harmful) {
        return plain;
    }
    let mut out = String::with_capacity(plain.len() + 16);
    for character in plain.chars() {
        if is_harmful(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(text: &str) -> String {
        let mut out = Vec::new();
        csv_text(text, &mut out).expect("memory");
        String::from_utf8(out).expect("utf-8")
    }

    #[test]
    fn json_lines_have_no_marks_and_say_the_same() {
        let value = serde_json::json!({ "a\u{202e}": "\u{1b}[2J\u{9b}\u{e0041}ä" });
        let line = json_line(&value);
        assert!(!line.chars().any(is_harmful), "{line}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).ok(), Some(value));
    }

    #[test]
    fn csv_quotes_what_needs_it_and_defuses_formulas() {
        assert_eq!(csv("bash"), "bash");
        assert_eq!(csv("a,b"), "\"a,b\"");
        assert_eq!(csv("say \"hi\""), "\"say \"\"hi\"\"\"");
        assert_eq!(csv("=HYPERLINK(1)"), "\"'=HYPERLINK(1)\"");
        assert_eq!(csv("-rf"), "\"'-rf\"");
        assert_eq!(csv(""), "\"\"");
        assert_eq!(csv("a\x1b[2J\nb"), "a\\x1b[2J\\nb");
    }

    #[test]
    fn json_loses_nothing_and_shows_everything() {
        let text = "a\"\\\n\x1b\u{202e}\u{e0001}é";
        let json = json_text(text);
        assert_eq!(json, "\"a\\\"\\\\\\n\\u001b\\u202e\\udb40\\udc01é\"");
        assert_eq!(serde_json::from_str::<String>(&json).expect("JSON"), text);
    }
}
