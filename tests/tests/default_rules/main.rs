//! Casebook's own rules on trial: each fires on a case of what it is made for, and keeps silent on a twin that looks like
//! it. The cases stand in `fixtures/cases`; no corpus is needed.
#![allow(clippy::unwrap_used)] // a test ends at the first surprise

mod cases;
mod example;
mod recorded;
mod scene;
mod vocabulary;

use std::ops::ControlFlow;

use casebook_formats::capture::CaptureReader;
use casebook_replay::engine::Replay;
use casebook_replay::fields::Catalogue;
use casebook_rules::default_rules::{self, VOCABULARY};
use casebook_rules::diagnostics::Code;
use casebook_rules::load::{LoadOptions, LoadOutcome, load};
use casebook_rules::ruleset::{Matching, RuleSet};
use casebook_rules::source::RuleFile;

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
        assert!(has("host") || has("container") || has("k8s"), "{name}: where it applies");
        assert!(rule.event_types.is_some() || rule.source == "k8s_audit", "{name}: event types");
    }
}
