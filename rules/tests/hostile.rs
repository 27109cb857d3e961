//! Rule files from nobody's friend: whatever the bytes, loading ends with an answer, and every message has a place
//! that can be shown.
#![allow(clippy::unwrap_used)] // a test ends at the first surprise

mod schema;

use casebook_rules::inputs;
use casebook_rules::load::{LoadOptions, LoadOutcome, load};
use casebook_rules::report;
use casebook_rules::source::RuleFile;
use proptest::prelude::*;
use schema::TableSchema;

/// A bit of everything.
const SEED: &str = r#"- required_engine_version: 0.31.0
- required_plugin_versions:
    - name: container
      version: 0.2.0
- list: shells
  items: [bash, "a b", "\"q\""]
- list: more
  items: [shells, ksh]
  override:
    items: append
- macro: opens
  condition: evt.type in (open, openat) and not proc.name in (shells)
- rule: "r1"
  desc: >
    folded
    text
  condition: >-
    opens and
    (fd.name startswith "/etc" or proc.aname[2] exists)
  output: "%fd.name by %proc.name (%toupper(user.name))"
  priority: WARNING
  tags: [a, b]
  exceptions:
    - name: e
      fields: [proc.name, fd.name]
      comps: [in, startswith]
      values:
        - [[a, shells], /x]
- rule: r1
  condition: |
    or evt.type = close
  tags: [c]
  override: {condition: append, tags: replace}
---
- rule: é
  enabled: no
"#;

fn loaded(bytes: Vec<u8>) -> LoadOutcome {
    let files = inputs::unpack(RuleFile::new("seed.yaml", bytes));
    load(&files, &TableSchema::small(), &LoadOptions::default())
}

/// Loads and shows everything there is to show.
fn survives(bytes: Vec<u8>) -> LoadOutcome {
    let outcome = loaded(bytes);
    for diagnostic in outcome.distinct().into_iter().take(50) {
        let text = report::text(diagnostic, &outcome.sources, false);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        report::json(diagnostic, &outcome.sources);
    }
    assert_eq!(outcome.ruleset.is_some(), outcome.failed.is_none());
    outcome
}

fn error(bytes: impl Into<Vec<u8>>) -> String {
    let outcome = survives(bytes.into());
    let first = outcome.diagnostics.iter().find(|diagnostic| diagnostic.is_error());
    first.map(|error| format!("{}: {}", error.code.name(), error.message)).unwrap_or_default()
}

fn rule(condition: &str) -> String {
    format!("- rule: r\n  desc: d\n  condition: {condition}\n  output: o\n  priority: INFO\n")
}

#[test]
fn lists_and_macros_do_not_multiply_without_end() {
    let list = |n: usize| format!("- list: l{n}\n  items: [{}]\n", vec![format!("l{}", n + 1); 10].join(", "));
    let lists: Vec<String> = (0..12).map(list).collect();
    assert!(error(lists.concat() + &rule("proc.name in (l0)")).contains("longer than"));
    let first = "- macro: m0\n  condition: evt.type = open\n".to_owned();
    let twice = |n: usize| format!("- macro: m{n}\n  condition: m{m} and m{m}\n", m = n - 1);
    let macros: Vec<String> = (1..40).map(twice).collect();
    assert!(error(first.clone() + &macros.concat() + &rule("m39")).contains("larger than"));
    let once = |n: usize| format!("- macro: m{n}\n  condition: not m{} or fd.num = 1\n", n - 1);
    let deep: Vec<String> = (1..2000).map(once).collect();
    assert!(error(first + &deep.concat() + &rule("m1999")).contains("deep"));
}

#[test]
fn long_lists_are_not_put_in_without_end() {
    let names: Vec<String> = (0..15_000).map(|n| format!("n{n:0>200}")).collect();
    let long = format!("- list: l\n  items: [{}]\n", names.join(","));
    let rules: Vec<String> =
        (0..90).map(|n| rule("evt.type = open and proc.name in (l)").replace(": r\n", &format!(": r{n}\n"))).collect();
    assert!(error(long.clone() + &rules.concat()).contains("all conditions together"));
    let twice = format!("- list: ll\n  items: [{}]\n", vec!["l"; 100_000].join(","));
    assert!(error(long + &twice + &rule("evt.type = open and proc.name in (ll)")).contains("longer than"));
}

#[test]
fn deep_and_large_texts_are_refused_or_read() {
    assert!(error(rule(&"(".repeat(100_000))).contains("LOAD_ERR_COMPILE_CONDITION"));
    assert!(error(rule(&format!("evt.type = open and proc.name = {}", "x".repeat(10 << 20)))).contains("CONDITION"));
    let names = vec!["a"; 200_000].join(", ");
    assert_eq!(error(rule(&format!("evt.type = open and proc.name in ({names})"))), "");
    let many = "- note: x\n".repeat(50_000);
    assert_eq!(error(many), "");
}

#[test]
fn no_escape_sequence_reaches_a_terminal() {
    let text = rule("evt.type = open and proc.name = \u{1b}[31m").replace("rule: r", "rule: \"\\e[31mr\\u202e\"");
    let outcome = survives(text.replace("proc.name", "proc.nmae").into_bytes());
    assert!(outcome.failed.is_some());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_rule_files_are_survived(
        edits in prop::collection::vec((0..SEED.len(), 0_u8..3, any::<u8>()), 1..6)
    ) {
        let mut bytes = SEED.as_bytes().to_vec();
        for (at, what, byte) in edits {
            let at = at % bytes.len().max(1);
            match what {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => { bytes.remove(at); }
            }
        }
        survives(bytes);
    }

    #[test]
    fn shuffled_rule_files_are_survived(pieces in prop::collection::vec((0..SEED.len(), 1_usize..60), 1..12)) {
        let mut bytes = Vec::new();
        for (at, length) in pieces {
            bytes.extend(SEED.bytes().skip(at).take(length));
        }
        survives(bytes);
    }

    #[test]
    fn words_of_yaml_are_survived(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "- ", "rule: ", "list: ", "macro: ", "items: ", "[", "]", "{", "}", ",", "\n", "\n  ", "\n    ", "\"", "'",
                ">", "|", "|2", "&a ", "*a", "!x ", "#", ": ", "? ", "\t", "---\n", "...\n", "%", "a", "condition: ", "x.y",
                "customRules: ", "kind: ConfigMap", "data: ", "\\", "\u{e9}", "\u{feff}",
            ]),
            1..40,
        )
    ) {
        survives(words.concat().into_bytes());
    }
}

#[test]
fn the_seed_itself_loads() {
    let seed = SEED.replace("shells, ksh]\n  override:\n    items: append", "shells, ksh]");
    assert_eq!(error(seed.replace("\u{e9}", "r1")), "");
}
