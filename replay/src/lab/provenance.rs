//! Where the captures of a suite come from, and under which licence: a table made from the cases themselves.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;

use super::case::{Case, CaseCapture};
use super::suite::Suite;

/// What the cases of a folder have in common.
#[derive(Default)]
struct Row {
    cases: Vec<String>,
    techniques: Vec<String>,
    licence: String,
    source: String,
    captures: Vec<String>,
}

/// The table as a page of Markdown, a row a case file.
pub fn page(suite: &Suite) -> String {
    let mut rows: BTreeMap<(String, String, String), Row> = BTreeMap::new();
    for case in &suite.cases {
        let folder = folder(case);
        let row = rows.entry((folder.clone(), case.source.clone(), case.licence.clone())).or_default();
        let own = case.name.strip_prefix(&folder).unwrap_or(&case.name).trim_start_matches('/');
        row.cases.push(if own.is_empty() { "one".to_owned() } else { own.to_owned() });
        for technique in &case.techniques {
            if !row.techniques.contains(technique) {
                row.techniques.push(technique.clone());
            }
        }
        (row.licence, row.source) = (case.licence.clone(), case.source.clone());
        row.captures.extend(case.captures.iter().filter_map(file));
    }
    let written = suite.cases.iter().filter(|case| !case.captures.iter().any(is_file)).count();
    let mut text = String::from(
        "# Where the cases come from\n\n\
         <!-- Made by `casebook-replay test --provenance fixtures/cases`; a test keeps it current. -->\n\n",
    );
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{} cases: {written} written in the case files themselves (event scripts, requests to a cluster), {} with \
         recorded captures.\n",
        suite.cases.len(),
        suite.cases.len() - written
    );
    text.push_str("| folder | cases | technique | source | licence | captures |\n|---|---|---|---|---|---|\n");
    for ((folder, ..), row) in rows {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            cell(&folder),
            cell(&row.cases.join(", ")),
            cell(&row.techniques.join(", ")),
            cell(&row.source),
            cell(&row.licence),
            cell(&row.captures.join("; "))
        );
    }
    text
}

/// The name of the case's folder, which the cases of one file share.
fn folder(case: &Case) -> String {
    let last = case.file.parent().and_then(|folder| folder.file_name()).map(|name| name.to_string_lossy().into_owned());
    let end = last.and_then(|last| case.name.rfind(&last).map(|at| at + last.len()));
    end.and_then(|end| case.name.get(..end)).unwrap_or(&case.name).to_owned()
}

fn is_file(capture: &CaseCapture) -> bool {
    matches!(capture, CaseCapture::File(_))
}

/// A capture's file name, length and digest.
fn file(capture: &CaseCapture) -> Option<String> {
    let CaseCapture::File(path) = capture else { return None };
    let mut hasher = blake3::Hasher::new();
    let length = File::open(path).and_then(|mut file| std::io::copy(&mut file, &mut hasher));
    Some(match length {
        Ok(length) => format!("{}, {length} bytes, blake3:{}", capture.name(), hasher.finalize().to_hex()),
        Err(error) => format!("{}: {error}", capture.name()),
    })
}

/// A text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
