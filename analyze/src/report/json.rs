//! The report for machines: the model as JSON.
//!
//! Texts from captures are in it as they are (`analyze/REPORT.md` documents the fields), but no character that would
//! do something on a terminal stands in it unescaped: JSON has escapes for all of them.

use std::fmt::Write as _;

use casebook_formats::terminal::is_harmful;

use super::model::Report;

/// The report as indented JSON with a final line end.
///
/// # Errors
///
/// None that the model can cause.
pub fn text(report: &Report) -> serde_json::Result<String> {
    let plain = serde_json::to_string_pretty(report)?;
    let mut safe = String::with_capacity(plain.len() + 1);
    for character in plain.chars() {
        // Control characters below 32 are escaped already but for the line ends between the fields; the others can
        // only stand inside of strings.
        if character != '\n' && is_harmful(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(character);
        }
    }
    safe.push('\n');
    Ok(safe)
}
