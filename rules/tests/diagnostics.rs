//! One directory per code, named by it: files that provoke the code, and beside each the text that is shown.
//!
//! `NAME.txt` belongs to `NAME.yaml`. With `CASEBOOK_BLESS` set the texts are written instead of compared.
#![allow(clippy::unwrap_used)] // a file that cannot be read is a failure of the test

mod schema;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use casebook_rules::diagnostics::Code;
use casebook_rules::inputs;
use casebook_rules::load::{LoadOptions, load};
use casebook_rules::report;
use schema::TableSchema;

/// Codes that loading rules does not give: two without a meaning yet, and the one of test cases.
const RESERVED: [Code; 3] = [Code::Extension, Code::WarningExtension, Code::TestCase];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics")
}

fn entries(path: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

/// What loading a file says, with the folder's path left out, and the codes in it.
fn shown(file: &Path, schema: &TableSchema) -> (String, BTreeSet<Code>) {
    let outcome = load(&inputs::read(&[file]), schema, &LoadOptions::default());
    let mut text = String::new();
    for diagnostic in outcome.distinct() {
        text.push_str(&report::text(diagnostic, &outcome.sources, false));
        text.push('\n');
        let json = report::json(diagnostic, &outcome.sources);
        assert_eq!(json["code"], diagnostic.code.name());
    }
    let codes = outcome.diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
    (text.replace(&format!("{}/", file.parent().unwrap().display()), ""), codes)
}

#[test]
fn each_code_looks_as_expected() {
    let schema = TableSchema::small();
    let mut wrong = Vec::new();
    for code in entries(&folder()) {
        let name = code.file_name().unwrap().to_str().unwrap();
        // Findings of lint are tested where the field catalogue is: in casebook-replay.
        if Code::from_name(name).is_some_and(Code::is_lint) {
            continue;
        }
        for expected in entries(&code).into_iter().filter(|path| path.extension().is_some_and(|e| e == "txt")) {
            let (text, codes) = shown(&expected.with_extension("yaml"), &schema);
            assert!(
                codes.iter().any(|code| code.name() == name),
                "{} does not give {name}:\n{text}",
                expected.display()
            );
            if std::env::var_os("CASEBOOK_BLESS").is_some() {
                std::fs::write(&expected, &text).unwrap();
            } else if std::fs::read_to_string(&expected).unwrap() != text {
                wrong.push(format!("{} is now:\n{text}", expected.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_file_has_its_text_and_each_code_its_files() {
    let mut names = BTreeSet::new();
    for code in entries(&folder()) {
        names.insert(code.file_name().unwrap().to_str().unwrap().to_owned());
        for file in entries(&code).into_iter().filter(|path| path.extension().is_some_and(|e| e == "yaml")) {
            assert!(file.with_extension("txt").exists(), "{} has no text", file.display());
        }
    }
    let codes: BTreeSet<_> =
        Code::ALL.iter().filter(|code| !RESERVED.contains(code)).map(|code| code.name().to_owned()).collect();
    assert_eq!(names, codes);
}
