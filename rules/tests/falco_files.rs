//! Loads the rule files of the Falco project, alone, together and on top of each other.
//!
//! `CASEBOOK_CORPORA` and `CASEBOOK_CONFORMANCE` say where the files and the tables are; without them the tests say so
//! and pass.
#![allow(clippy::unwrap_used)] // a file that cannot be read is a failure of the test

mod schema;

use std::io::Write as _;
use std::path::PathBuf;

use casebook_rules::inputs;
use casebook_rules::load::{LoadOptions, LoadOutcome, load};
use casebook_rules::report;

fn rules(names: &[&str]) -> Option<LoadOutcome> {
    let schema = schema::from_environment()?;
    let Ok(corpora) = std::env::var("CASEBOOK_CORPORA") else {
        writeln!(std::io::stderr(), "skipped: CASEBOOK_CORPORA is not set").ok(); // past the capture of passing tests
        return None;
    };
    let folder = PathBuf::from(corpora).join("falco-rules");
    let paths: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
    Some(load(&inputs::read(&paths), &schema, &LoadOptions::default()))
}

/// Loads files that Falco loads without a warning.
fn clean(names: &[&str], count: usize) {
    let Some(outcome) = rules(names) else { return };
    for diagnostic in &outcome.diagnostics {
        print!("{}", report::text(diagnostic, &outcome.sources, false));
    }
    assert!(outcome.diagnostics.is_empty(), "{names:?} have diagnostics");
    assert!(outcome.plugins_ok);
    assert_eq!(outcome.ruleset.unwrap().rules().len(), count, "{names:?}");
}

#[test]
fn falco_rules_load_without_a_warning() {
    clean(&["falco_rules.yaml"], 25);
    clean(&["falco-incubating_rules.yaml"], 31);
    clean(&["falco-sandbox_rules.yaml"], 37);
    clean(&["k8s_audit_rules.yaml"], 48);
    clean(&["falco_rules.yaml", "falco-incubating_rules.yaml", "falco-sandbox_rules.yaml"], 93);
}

#[test]
fn deprecated_rules_warn_about_evt_dir_only() {
    let Some(outcome) = rules(&["falco-deprecated_rules.yaml"]) else { return };
    let ruleset = outcome.ruleset.unwrap();
    assert!(!ruleset.rules().is_empty());
    for diagnostic in &outcome.diagnostics {
        assert_eq!(diagnostic.code.name(), "LOAD_DEPRECATED_ITEM");
        assert!(diagnostic.message.contains("evt.dir"), "{}", diagnostic.message);
    }
}

#[test]
fn a_directory_is_its_files_in_order() {
    let Some(outcome) = rules(&["."]) else { return };
    let names: Vec<_> = outcome.sources.ids().map(|id| outcome.sources.name(id).to_owned()).collect();
    assert_eq!(names.len(), 5);
    assert!(names.is_sorted());
    assert!(outcome.ruleset.is_some());
}
