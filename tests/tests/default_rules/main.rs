//! Casebook's own rules on trial: each fires on a small trace of what it is made for, and keeps silent on a twin that
//! looks like it. The traces are told with the builder of `casebook-fixtures`; no corpus is needed.
#![allow(clippy::unwrap_used)] // a test ends at the first surprise

mod credentials;
mod escape;
mod evasion;
mod example;
mod execution;
mod impact;
mod network;
mod persistence;
mod privilege;
mod recorded;
mod scene;
mod vocabulary;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use casebook_formats::capture::CaptureReader;
use casebook_replay::engine::Replay;
use casebook_replay::fields::Catalogue;
use casebook_rules::default_rules::{self, VOCABULARY};
use casebook_rules::diagnostics::Code;
use casebook_rules::load::{LoadOptions, LoadOutcome, load};
use casebook_rules::ruleset::{Matching, RuleSet};
use casebook_rules::source::RuleFile;

use scene::{Case, Scene};

/// Loads the default rules and files on top of them; what is wrong ends the test.
fn load_with(more: &[(&str, &str)]) -> RuleSet {
    let mut files = default_rules::default_rules();
    files.extend(more.iter().map(|&(name, text)| RuleFile::new(name, text)));
    let outcome = load(&files, &Catalogue::new(), &LoadOptions::default());
    let told: Vec<String> = outcome.distinct().iter().filter(|d| d.is_error()).map(|d| tell(&outcome, d)).collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
    outcome.ruleset.unwrap()
}

fn tell(outcome: &LoadOutcome, diagnostic: &casebook_rules::diagnostics::Diagnostic) -> String {
    casebook_rules::report::text(diagnostic, &outcome.sources, false)
}

/// An alert: number of the event, rule, output.
#[derive(Debug)]
struct Alert {
    num: u64,
    rule: String,
    output: String,
}

/// What the rules say about a capture.
fn alerts(rules: &RuleSet, capture: &[u8], mode: Matching) -> Vec<Alert> {
    let source = Box::new(std::io::Cursor::new(capture.to_vec()));
    let mut reader = CaptureReader::from_reader(source, "trace").unwrap();
    let (mut memo, mut out) = (rules.memo(), Vec::new());
    let syscalls = rules.source_id("syscall").unwrap();
    let look = |context: &casebook_replay::context::EventContext<'_>| {
        let mut hits = Vec::new();
        rules.matching(context, context.event.etype.0, syscalls, mode, &mut memo, &mut hits).unwrap();
        for hit in hits {
            let rule = &rules.rules()[hit as usize];
            let mut output = Vec::new();
            rule.output.render_text(context, &mut output);
            let output = String::from_utf8_lossy(&output).into_owned();
            out.push(Alert { num: context.event.num, rule: rule.name.clone(), output });
        }
        ControlFlow::Continue(())
    };
    Replay::new().run(&mut reader, look).unwrap();
    out
}

fn cases() -> Vec<Case> {
    let mut cases = escape::cases();
    cases.extend(privilege::cases());
    cases.extend(credentials::cases());
    cases.extend(evasion::cases());
    cases.extend(persistence::cases());
    cases.extend(impact::cases());
    cases.extend(network::cases());
    cases.extend(execution::cases());
    cases
}

/// The capture of a case: the stage and the calls of one side.
fn stage(case: &Case, play: fn(&mut Scene)) -> Vec<u8> {
    let mut scene = case.container.map_or_else(Scene::new, |container| Scene::with(container()));
    play(&mut scene);
    scene.t.finish().unwrap_or_else(|error| panic!("{}: {error}", case.rule))
}

#[test]
fn the_default_rules_load_without_a_word() {
    let outcome = load(&default_rules::default_rules(), &Catalogue::new(), &LoadOptions::default());
    let words: Vec<String> = outcome
        .distinct()
        .into_iter()
        .filter(|diagnostic| {
            // The vocabulary is there for people's own rules.
            let unused = matches!(diagnostic.code, Code::UnusedMacro | Code::UnusedList);
            let place = diagnostic.primary.as_ref().map(|label| outcome.sources.name(label.span.file));
            !(unused && place == Some(VOCABULARY))
        })
        .map(|diagnostic| tell(&outcome, diagnostic))
        .collect();
    assert!(words.is_empty(), "{}", words.join("\n"));
}

#[test]
fn every_rule_says_what_it_is_about() {
    let rules = load_with(&[]);
    assert!(rules.rules().len() >= 40, "{} rules", rules.rules().len());
    for rule in rules.rules() {
        let name = &rule.name;
        assert!(rule.enabled, "{name} is off");
        assert!(rule.desc.split_whitespace().count() >= 25, "{name}: what, why bad, what benign thing looks like it");
        assert!(rule.desc.matches(". ").count() >= 1, "{name}: more than one sentence");
        let has = |prefix: &str| rule.tags.iter().any(|tag| tag.starts_with(prefix));
        assert!(has("mitre_"), "{name}: a tactic");
        let technique =
            |tag: &String| tag.starts_with('T') && tag[1..].starts_with(|c: char| c == 'A' || c.is_ascii_digit());
        assert!(rule.tags.iter().any(technique), "{name}: a technique");
        assert!(has("host") || has("container"), "{name}: where it applies");
        assert!(rule.event_types.is_some(), "{name}: event types");
    }
}

#[test]
fn every_rule_has_a_case_and_every_case_a_rule() {
    let rules: BTreeSet<String> = load_with(&[]).rules().iter().map(|rule| rule.name.clone()).collect();
    let mut tried = BTreeMap::new();
    for case in cases() {
        *tried.entry(case.rule.to_owned()).or_insert(0) += 1;
    }
    let untried: Vec<_> = rules.iter().filter(|rule| !tried.contains_key(*rule)).collect();
    let unknown: Vec<_> = tried.keys().filter(|rule| !rules.contains(*rule)).collect();
    let twice: Vec<_> = tried.iter().filter(|(_, n)| **n > 1).collect();
    assert!(untried.is_empty() && unknown.is_empty() && twice.is_empty(), "{untried:?} {unknown:?} {twice:?}");
}

/// With the first matching rule only, as it is by default: an attack is reported by the rule that is made for it.
#[test]
fn every_rule_fires_on_its_attack() {
    let rules = load_with(&[]);
    let mut failures = Vec::new();
    for case in cases() {
        let found = alerts(&rules, &stage(&case, case.attack), Matching::First);
        if !found.iter().any(|alert| alert.rule == case.rule) {
            let others: Vec<_> = found.iter().map(|alert| &*alert.rule).collect();
            let all = alerts(&rules, &stage(&case, case.attack), Matching::All);
            let hidden = all.iter().any(|alert| alert.rule == case.rule);
            failures.push(format!("{}: silent (hidden by an earlier rule: {hidden}); {others:?} instead", case.rule));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// With all matching rules reported, so that no other rule hides a false alarm.
#[test]
fn no_rule_fires_on_its_benign_twin() {
    let rules = load_with(&[]);
    let mut failures = Vec::new();
    for case in cases() {
        let found = alerts(&rules, &stage(&case, case.benign), Matching::All);
        failures.extend(found.iter().filter(|alert| alert.rule == case.rule).map(|alert| format!("{alert:?}")));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// No twin raises what a responder would have to get up for.
#[test]
fn benign_twins_raise_no_critical_alert() {
    let rules = load_with(&[]);
    let critical: BTreeSet<&str> = rules
        .rules()
        .iter()
        .filter(|rule| rule.priority <= casebook_rules::priority::Priority::Critical)
        .map(|rule| &*rule.name)
        .collect();
    let mut failures = Vec::new();
    for case in cases() {
        let found = alerts(&rules, &stage(&case, case.benign), Matching::All);
        let bad = found.iter().filter(|alert| critical.contains(&*alert.rule));
        failures.extend(bad.map(|alert| format!("twin of {}: {alert:?}", case.rule)));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
