//! The findings of lint, with the real catalogue, against the files in `rules/tests/diagnostics/`: one directory per
//! code, files that provoke it, and beside each the text that is shown. `CASEBOOK_BLESS=1` writes the texts.
#![allow(clippy::unwrap_used)] // a file that cannot be read is a failure of the test

use std::path::{Path, PathBuf};

use casebook_replay::fields::Catalogue;
use casebook_rules::diagnostics::{Code, Diagnostic};
use casebook_rules::load::{LoadOptions, LoadOutcome, load};
use casebook_rules::{default_rules, inputs, lint, report, sarif};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules/tests/diagnostics")
}

fn entries(path: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

fn findings(file: &Path) -> (LoadOutcome, Vec<Diagnostic>) {
    let outcome = load(&inputs::read(&[file]), &Catalogue::new(), &LoadOptions::default());
    assert!(!outcome.has_errors(), "{}: {:?}", file.display(), outcome.diagnostics);
    let findings = lint::lint(&outcome, &Catalogue::new());
    (outcome, findings)
}

#[test]
fn each_finding_looks_as_expected() {
    let mut wrong = Vec::new();
    for code in Code::ALL.iter().filter(|code| code.is_lint()) {
        let files: Vec<PathBuf> = entries(&folder().join(code.name()))
            .into_iter()
            .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
            .collect();
        assert!(!files.is_empty(), "{} has no file", code.name());
        for file in files {
            let (outcome, findings) = findings(&file);
            let directory = format!("{}/", file.parent().unwrap().display());
            let mut text = String::new();
            for finding in &findings {
                text.push_str(&report::text(finding, &outcome.sources, false));
                text.push('\n');
            }
            let text = text.replace(&directory, "");
            assert!(findings.iter().any(|finding| finding.code == *code), "{}:\n{text}", file.display());
            let expected = file.with_extension("txt");
            if std::env::var_os("CASEBOOK_BLESS").is_some() {
                std::fs::write(&expected, &text).unwrap();
            } else if std::fs::read_to_string(&expected).unwrap_or_default() != text {
                wrong.push(format!("{} is now:\n{text}", expected.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_default_ruleset_has_no_findings_but_notes_about_metadata() {
    let outcome = load(&default_rules::default_rules(), &Catalogue::new(), &LoadOptions::default());
    for finding in lint::lint(&outcome, &Catalogue::new()) {
        let text = report::text(&finding, &outcome.sources, false);
        assert_eq!(finding.code, Code::NeedsMetadata, "{text}");
    }
}

#[test]
fn sarif_names_places_in_the_file_that_people_edit() {
    let (outcome, findings) = findings(&folder().join("CB_NEVER_TRUE/helm_values.yaml"));
    let refer: Vec<&Diagnostic> = findings.iter().collect();
    let log = sarif::log(&refer, &outcome.sources, "casebook-replay", "0");
    let run = &log["runs"][0];
    assert_eq!(log["version"], "2.1.0");
    let result = &run["results"][0];
    assert_eq!(result["ruleId"], "CB_NEVER_TRUE");
    let rule = result["ruleIndex"].as_u64().unwrap() as usize;
    assert_eq!(run["tool"]["driver"]["rules"][rule]["id"], "CB_NEVER_TRUE");
    let place = &result["locations"][0]["physicalLocation"];
    assert!(place["artifactLocation"]["uri"].as_str().unwrap().ends_with("CB_NEVER_TRUE/helm_values.yaml"));
    let text = std::fs::read_to_string(folder().join("CB_NEVER_TRUE/helm_values.yaml")).unwrap();
    let region = |name: &str| place["region"][name].as_u64().unwrap() as usize;
    assert_eq!(region("startLine"), region("endLine"));
    let line = text.lines().nth(region("startLine") - 1).unwrap();
    let marked = &line[region("startColumn") - 1..region("endColumn") - 1];
    assert!(marked.starts_with("proc.name"), "{marked}");
    assert!(result["relatedLocations"].as_array().unwrap().len() >= 2, "the macro and where it is used");
}
