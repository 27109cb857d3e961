//! Excerpts of the corpora: the smallest capture of a rule's alerts is below a hundredth of the events.
//!
//! Needs `CASEBOOK_CORPORA`.

// A failing test may stop at the first surprise.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::time::Instant;

use casebook_replay::detect::Detector;
use casebook_replay::excerpt::minimize::{Wanted, alerts, minimize};
use casebook_replay::fields::Catalogue;
use casebook_replay::run::Source;
use casebook_rules::inputs;
use casebook_rules::load::{LoadOptions, load};
use casebook_rules::ruleset::Matching;
use casebook_tests::corpora::{CORPORA_VARIABLE, Corpora, RuleSet};

fn corpora() -> Option<Corpora> {
    let corpora = Corpora::from_environment().unwrap();
    if corpora.is_none() {
        writeln!(std::io::stderr(), "skipped: {CORPORA_VARIABLE} is not set").ok(); // past the capture of passing tests
    }
    corpora
}

fn probe_rules(corpora: &Corpora) -> Detector {
    let files = inputs::read(&corpora.rule_files(RuleSet::ProbeAll));
    let outcome = load(&files, &Catalogue::new(), &LoadOptions::default());
    Detector::new(outcome.ruleset.unwrap(), Matching::All, None)
}

#[test]
fn the_smallest_capture_of_a_rule_is_below_a_hundredth() {
    let Some(corpora) = corpora() else { return };
    let rules = probe_rules(&corpora);
    let names: Vec<String> = rules.labels().into_iter().map(|label| label.name).collect();
    let mut captures = corpora.select(&[]);
    captures.sort_by_key(|capture| std::cmp::Reverse(fs::metadata(&capture.path).unwrap().len()));
    let largest = captures.first().unwrap();
    let source = Source::File(largest.path.clone());
    let folder = tempfile::tempdir().unwrap();
    let mut tried = BTreeSet::new();
    for name in ["probe_exec", "probe_sensitive", "probe_open_write"] {
        let wanted = Wanted { rules: vec![name.to_owned()], count: None };
        let start = Instant::now();
        let Ok(minimal) = minimize(&source, &rules, &names, &wanted, &mut |_, _| {}) else { continue };
        let seconds = start.elapsed().as_secs_f64();
        assert!(minimal.events * 100 < minimal.of, "{name}: {} of {}", minimal.events, minimal.of);
        assert!(!minimal.is_bounded, "{name}");
        let path = folder.path().join(format!("{name}.scap"));
        fs::write(&path, &minimal.bytes).unwrap();
        let of_rule = |source: &Source| -> Vec<String> {
            let all = alerts(source, &rules, None).unwrap();
            all.into_iter().filter(|alert| alert.starts_with(&format!("{name}: "))).collect()
        };
        let expected = of_rule(&source);
        assert_eq!(of_rule(&Source::File(path)), expected, "{name}");
        assert_eq!(expected.len(), minimal.alerts, "{name}");
        let (events, of) = (minimal.events, minimal.of);
        let line =
            format!("{}: {name}: {events} of {of} events, {} alerts, {seconds:.2} s", largest.name, minimal.alerts);
        writeln!(std::io::stderr(), "{line}").ok(); // past the capture of passing tests
        // The same capture and rules give the same bytes.
        let again = minimize(&source, &rules, &names, &wanted, &mut |_, _| {}).unwrap();
        assert_eq!(again.bytes, minimal.bytes, "{name}");
        tried.insert(name);
    }
    assert!(tried.len() >= 2, "{tried:?}");
}
