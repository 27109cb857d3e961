//! Blessing: a case is made to expect what happened.
//!
//! The file is edited, not written anew: numbers are replaced where they stand, alerts that nobody expected are added
//! to `expect`, everything else stays, comments and order included. What cannot be said by a number (a sequence that
//! did not happen) is left for people.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use casebook_rules::source::FileSpan;

use super::case::Case;
use super::runner::{Outcome, Verdict};
use super::suite::Suite;

/// What blessing did.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Blessing {
    /// Files that were changed.
    pub files: Vec<PathBuf>,
    /// Cases with something that cannot be blessed, and what.
    pub left: Vec<String>,
}

/// A change of a file.
struct Edit {
    range: Range<usize>,
    text: String,
}

/// Changes the files of cases that failed.
///
/// # Errors
/// When a file cannot be written; those before it are.
pub fn bless(suite: &Suite, outcomes: &[Outcome]) -> io::Result<Blessing> {
    let mut blessing = Blessing::default();
    let mut edits: BTreeMap<&Path, (FileSpan, Vec<Edit>)> = BTreeMap::new();
    for (case, outcome) in suite.cases.iter().zip(outcomes) {
        match &outcome.verdict {
            Verdict::Failed => {}
            Verdict::Broken(why) => {
                blessing.left.push(format!("{}: {why}", case.name));
                continue;
            }
            Verdict::Passed | Verdict::Skipped(_) => continue,
        }
        let text = suite.sources.text(case.places.document.file);
        let file = edits.entry(&case.file).or_insert_with(|| (case.places.document, Vec::new()));
        case_edits(suite, case, outcome, text, &mut file.1, &mut blessing.left);
    }
    for (path, (span, edits)) in edits {
        if edits.is_empty() {
            continue;
        }
        fs::write(path, applied(suite.sources.text(span.file), edits))?;
        blessing.files.push(path.to_path_buf());
    }
    Ok(blessing)
}

/// The changes for one case.
fn case_edits(
    suite: &Suite,
    case: &Case,
    outcome: &Outcome,
    text: &str,
    edits: &mut Vec<Edit>,
    left: &mut Vec<String>,
) {
    let mut added = Vec::new();
    for failure in &outcome.failures {
        let rule = suite.rule_name(case, failure.rule);
        let Some(count) = failure.count else {
            left.push(format!("{}: {rule}: {}, {}", case.name, failure.expected, failure.got));
            continue;
        };
        let says = if count == 0 { "never: true".to_owned() } else { format!("exactly: {count}") };
        match failure.expectation.and_then(|at| case.expect.items.get(at)) {
            None => added.push((quoted(rule), says)),
            Some(item) => match item.count_place {
                Some((key, value)) => edits.push(Edit { range: range(key).start..range(value).end, text: says }),
                None => edits.push(insertion(text, item.place, &says)),
            },
        }
    }
    if !added.is_empty() {
        edits.push(addition(case, text, &added));
    }
    let wrong_warnings = case.warnings.as_ref().is_some_and(|warnings| {
        let mut sorted = warnings.clone();
        sorted.sort();
        sorted.dedup();
        sorted != outcome.anomalies
    });
    if let Some(place) = case.places.warnings.filter(|_| wrong_warnings) {
        edits.push(Edit { range: range(place), text: format!("[{}]", outcome.anomalies.join(", ")) });
    }
}

fn range(span: FileSpan) -> Range<usize> {
    span.start as usize..span.end as usize
}

/// A key put at the end of an expectation that has none for the number.
fn insertion(text: &str, place: FileSpan, says: &str) -> Edit {
    let range = range(place);
    if text.get(range.clone()).is_some_and(|node| node.starts_with('{')) {
        let at = range.end.saturating_sub(1);
        return Edit { range: at..at, text: format!(", {says}") };
    }
    let indent = " ".repeat(column(text, range.start));
    let at = end_of_node(text, &range);
    Edit { range: at..at, text: format!("\n{indent}{says}") }
}

/// Expectations put at the end of `expect`.
fn addition(case: &Case, text: &str, added: &[(String, String)]) -> Edit {
    let flow = |separator: &str| {
        let items: Vec<String> = added.iter().map(|(rule, says)| format!("{{rule: {rule}, {says}}}")).collect();
        items.join(separator)
    };
    let block = |indent: &str| {
        let items = added.iter().map(|(rule, says)| format!("\n{indent}- rule: {rule}\n{indent}  {says}"));
        items.collect::<String>()
    };
    match case.places.expect {
        None => {
            let at = end_of_node(text, &range(case.places.document));
            Edit { range: at..at, text: format!("\nexpect:{}", block("  ")) }
        }
        Some((key, value)) => {
            let (key, value) = (range(key), range(value));
            let written = text.get(value.clone()).unwrap_or_default();
            // What is behind the colon when there is nothing, or nothing in brackets.
            let colon = key.end + text.get(key.end..).and_then(|rest| rest.find(':')).map_or(0, |at| at + 1);
            if written.starts_with('[') && written.trim_matches(['[', ']']).trim().is_empty() {
                return Edit { range: colon..value.end, text: block("  ") };
            }
            if written.starts_with('[') {
                let at = value.end.saturating_sub(1);
                return Edit { range: at..at, text: format!(", {}", flow(", ")) };
            }
            if written.trim().is_empty() {
                return Edit { range: colon..colon, text: block("  ") };
            }
            let indent = " ".repeat(column(text, value.start));
            let at = end_of_node(text, &value);
            Edit { range: at..at, text: block(&indent) }
        }
    }
}

/// Characters before a byte on its line.
fn column(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or_default();
    before.rsplit('\n').next().map_or(0, |line| line.chars().count())
}

/// The end of a block node's text, without the blanks behind it, after a comment on its last line.
fn end_of_node(text: &str, range: &Range<usize>) -> usize {
    let node = text.get(range.clone()).unwrap_or_default();
    let end = range.start + node.trim_end().len();
    let rest = text.get(end..).unwrap_or_default();
    let line = rest.split('\n').next().unwrap_or_default();
    if line.trim_start().starts_with('#') { end + line.trim_end().len() } else { end }
}

/// A rule's name as a YAML scalar.
fn quoted(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | '_' | '-' | '/' | '(' | ')' | '.'))
        && !name.ends_with(' ')
        && !matches!(name, "null" | "true" | "false");
    if plain {
        return name.to_owned();
    }
    serde_json::to_string(name).unwrap_or_default()
}

/// The text with all edits, which do not overlap.
fn applied(text: &str, mut edits: Vec<Edit>) -> String {
    // Of two insertions at one place the first comes first in the result.
    edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
    let (mut out, mut done) = (String::with_capacity(text.len() + 256), 0);
    for edit in edits {
        if edit.range.start < done {
            continue;
        }
        out.push_str(text.get(done..edit.range.start).unwrap_or_default());
        out.push_str(&edit.text);
        done = edit.range.end;
    }
    out.push_str(text.get(done..).unwrap_or_default());
    out
}
