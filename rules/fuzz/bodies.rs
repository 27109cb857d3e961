//! What the fuzz targets do with their input. The plain test `fuzz_regressions` does the same with inputs kept in
//! `regressions/`, so that what was found once stays fixed on every compiler.
#![allow(dead_code)] // each target uses its own body

use casebook_rules::compile;
use casebook_rules::condition;
use casebook_rules::evttypes;
use casebook_rules::leaf::Leaves;
use casebook_rules::lint::{self, Absence, FieldFacts};
use casebook_rules::load::{LoadOptions, load};
use casebook_rules::schema::FieldRef;
use casebook_rules::source::RuleFile;
use casebook_rules::{inputs, print, report, sarif};

use crate::schema::TableSchema;

/// Nothing is known, but that names have an end: enough to run every check of lint.
impl FieldFacts for TableSchema {
    fn never_on(&self, field: &FieldRef, etype: u16) -> bool {
        (field.id + etype).is_multiple_of(7)
    }

    fn offline(&self, field: &FieldRef) -> Option<&str> {
        field.id.is_multiple_of(5).then_some("for the test")
    }

    fn absence(&self, name: &str) -> Option<Absence> {
        name.starts_with("fd.").then_some(Absence { when: "for the test", family: "fd." })
    }

    fn never_na_text(&self, name: &str) -> bool {
        name.starts_with("fd.")
    }

    fn longest(&self, name: &str) -> Option<usize> {
        name.starts_with("proc.").then_some(15)
    }

    fn needs_metadata(&self, name: &str) -> bool {
        name.starts_with("container.")
    }

    fn event_type_name(&self, etype: u16) -> Option<&str> {
        etype.is_multiple_of(2).then_some("even")
    }
}

/// Bytes as a rule file, plain or in Helm values: loaded, checked, and everything there is to say shown.
pub(crate) fn ruleset(data: &[u8], schema: &TableSchema) {
    let files = inputs::unpack(RuleFile::new("fuzz.yaml", data));
    let outcome = load(&files, schema, &LoadOptions::default());
    assert_eq!(outcome.ruleset.is_some(), outcome.failed.is_none());
    let findings = lint::lint(&outcome, schema);
    let all: Vec<_> = outcome.distinct().into_iter().chain(&findings).collect();
    for diagnostic in &all {
        for label in diagnostic.primary.iter().chain(&diagnostic.secondary) {
            let place = outcome.sources.locate(label.span).expect("every place is in a file");
            assert!(place.text.get(place.start..place.end).is_some(), "{diagnostic:?}");
        }
        let text = report::text(diagnostic, &outcome.sources, false);
        assert!(!text.contains('\x1b'), "an escape sequence would reach the terminal");
        let _ = report::json(diagnostic, &outcome.sources);
    }
    let _ = sarif::log(&all, &outcome.sources, "fuzz", "0");
    let Some(set) = &outcome.ruleset else { return };
    for rule in set.rules() {
        let _ = lint::show::resolved(rule);
        let _ = lint::show::compiled(rule, set);
        let _ = lint::show::event_types(rule, schema);
    }
}

/// Bytes as a condition: parsed, printed so that it parses back to the same tree, and compiled.
pub(crate) fn condition(data: &[u8], schema: &TableSchema) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(tree) = condition::parse(text) else { return };
    let printed = print::source(&tree);
    let again = condition::parse(&printed).unwrap_or_else(|errors| panic!("{printed}: {errors:?}"));
    assert_eq!(again.without_spans(), tree.clone().without_spans(), "{printed}");
    let mut leaves = Leaves::new();
    if let Ok(compiled) = compile::compile(&tree, "syscall", schema, &mut leaves) {
        let _ = compiled.condition.listing(&leaves);
        let _ = evttypes::event_types(&tree, schema);
    }
}
