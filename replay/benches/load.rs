//! How long rule files take from text to a ruleset that runs, and lint on top of it.
//!
//! With `CASEBOOK_CORPORA` set: the five rule files of the Falco project in its `falco-rules/`, together. Without: the
//! default ruleset. The aim is well under 50 ms.

// A bench that cannot read its input has nothing to measure.
#![allow(clippy::unwrap_used)]

use std::hint::black_box;
use std::path::PathBuf;

use casebook_replay::fields::Catalogue;
use casebook_rules::load::{LoadOptions, load};
use casebook_rules::source::RuleFile;
use casebook_rules::{default_rules, inputs, lint};
use criterion::{Criterion, criterion_group, criterion_main};

/// The rule files, and what to call them.
fn files() -> (String, Vec<RuleFile>) {
    let Some(corpora) = std::env::var_os("CASEBOOK_CORPORA") else {
        return ("default ruleset".to_owned(), default_rules::default_rules());
    };
    let files = inputs::read(&[PathBuf::from(corpora).join("falco-rules")]);
    (format!("{} Falco files", files.len()), files)
}

fn bench(criterion: &mut Criterion) {
    let (name, files) = files();
    let (schema, options) = (Catalogue::new(), LoadOptions::default());
    let outcome = load(&files, &schema, &options);
    assert!(outcome.ruleset.is_some(), "the rules do not load");
    criterion.bench_function(&format!("load/{name}"), |bencher| {
        bencher.iter(|| load(black_box(&files), &schema, &options));
    });
    criterion.bench_function(&format!("lint/{name}"), |bencher| {
        bencher.iter(|| lint::lint(black_box(&outcome), &schema));
    });
}

criterion_group!(benches, bench);
criterion_main!(benches);
