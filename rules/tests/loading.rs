//! Loading end to end with a small schema: what expands to what, what is reported, which rules run on which events.
#![allow(clippy::unwrap_used)] // a test ends at the first surprise

mod schema;

use casebook_rules::event::{EventFields, Extracted};
use casebook_rules::load::{AppendOutput, ExtraField, LoadOptions, LoadOutcome, load};
use casebook_rules::print::canonical;
use casebook_rules::priority::Priority;
use casebook_rules::ruleset::{Matching, RuleSet};
use casebook_rules::schema::{FieldRef, Schema as _};
use casebook_rules::select::{OldSwitches, Selector, Switch};
use casebook_rules::source::RuleFile;
use casebook_rules::value::Value;
use schema::TableSchema;

fn files(texts: &[&str]) -> LoadOutcome {
    with(texts, &LoadOptions::default())
}

fn with(texts: &[&str], options: &LoadOptions) -> LoadOutcome {
    let files: Vec<_> = texts.iter().enumerate().map(|(n, text)| RuleFile::new(format!("{n}.yaml"), *text)).collect();
    load(&files, &TableSchema::small(), options)
}

fn rule(name: &str, condition: &str, rest: &str) -> String {
    format!("- rule: {name}\n  desc: d\n  condition: {condition}\n  output: o %proc.name\n  priority: WARNING\n{rest}")
}

fn ruleset(outcome: LoadOutcome) -> RuleSet {
    let said: Vec<_> = outcome.diagnostics.iter().map(|diagnostic| diagnostic.message.clone()).collect();
    outcome.ruleset.unwrap_or_else(|| panic!("{said:?}"))
}

/// The condition of the first rule after all expansion.
fn condition(texts: &[&str]) -> String {
    canonical(&ruleset(files(texts)).rules()[0].expr)
}

/// Codes with the names of their items.
fn codes(outcome: &LoadOutcome) -> Vec<(&'static str, String)> {
    let name = |item: &casebook_rules::diagnostics::ItemRef| item.name.clone();
    outcome.diagnostics.iter().map(|d| (d.code.name(), d.item.as_ref().map(name).unwrap_or_default())).collect()
}

#[test]
fn list_names_are_replaced_as_text() {
    let list = |items: &str, condition: &str| {
        let texts = format!("- list: l\n  items: {items}\n{}", rule("r", condition, ""));
        files(&[&texts]).ruleset.map(|ruleset| canonical(&ruleset.rules()[0].expr))
    };
    let is = |text: &str| Some(text.to_owned());
    assert_eq!(list("[a, b]", "evt.type=open and proc.name in(l)"), is("(evt.type = open and proc.name in (a, b))"));
    assert_eq!(list("[open]", "evt.type = l"), is("evt.type = open"));
    assert_eq!(list("[]", "evt.type = open and proc.name in (l, x)"), is("(evt.type = open and proc.name in (x))"));
    assert_eq!(list("[]", "evt.type = open and proc.name in (x , l)"), is("(evt.type = open and proc.name in (x))"));
    assert_eq!(
        list("[]", "evt.type = open and proc.name in (x, l, y)"),
        is("(evt.type = open and proc.name in (x, y))")
    );
    assert_eq!(list("['', a]", "evt.type = open and proc.name in (l)"), is("(evt.type = open and proc.name in (a))"));
    assert_eq!(
        list("[a b]", "evt.type = open and proc.name in (l,l)"),
        is("(evt.type = open and proc.name in (\"a b\", \"a b\"))")
    );
    assert_eq!(
        list("[a]", "evt.type = open and proc.name in (ll, xl, l-)"),
        is("(evt.type = open and proc.name in (ll, xl, l-))")
    );
    assert_eq!(list("[a, b]", "evt.type = open and proc.name = l"), None);
}

#[test]
fn order_of_definition_decides_about_references() {
    let uses = |definitions: &str| condition(&[&format!("{definitions}{}", rule("r", "proc.name in (c)", ""))]);
    let (a, b, c) = ("- list: a\n  items: [x]\n", "- list: b\n  items: [a]\n", "- list: c\n  items: [b]\n");
    assert_eq!(uses(&format!("{c}{b}{a}")), "proc.name in (x)");
    assert_eq!(uses(&format!("{a}{b}{c}")), "proc.name in (a)");
    let first = format!("- macro: m1\n  condition: m2\n{}", rule("r", "m1", ""));
    let outcome = files(&[&format!("{first}- macro: m2\n  condition: evt.type = open\n")]);
    assert_eq!(codes(&outcome)[0], ("LOAD_ERR_VALIDATE", "m1".to_owned()));
    let again = format!("{first}- macro: m2\n  condition: evt.type = open\n- macro: m1\n  condition: m2\n");
    assert_eq!(condition(&[&again]), "evt.type = open", "redefinition sees what came between");
}

#[test]
fn exceptions_are_put_behind_the_whole_condition() {
    let one = |exception: &str| {
        let rest = format!("  exceptions:\n    - {{name: e, {exception}}}\n");
        condition(&[&rule("r", "evt.type = open or evt.type = openat", &rest)])
    };
    let base = "((evt.type = open or evt.type = openat)";
    assert_eq!(one("fields: proc.name, values: [a, b c]"), format!("{base} and not proc.name in (a, \"b c\"))"));
    assert_eq!(
        one("fields: [proc.name, fd.name], comps: [' contains anyof ', =], values: [[a, /x], [[b, c], /y]]"),
        format!(
            "{base} and not ((proc.name contains anyof (a) and fd.name = /x) or (proc.name contains anyof (b, c) and fd.name = /y)))"
        )
    );
    assert_eq!(one("fields: proc.name"), "(evt.type = open or evt.type = openat)");
}

#[test]
fn one_mistake_is_one_error_and_the_rest_is_read() {
    let broken = format!(
        "- macro: m\n  condition: proc.nmae = x\n  override: {{condition: prepend}}\n- list: l\n  items: 3\n{}{}{}",
        rule("uses them", "evt.type = open and m and proc.name in (l)", ""),
        rule("other", "evt.type = open and proc.pid = abc", ""),
        "- macro: m\n  condition: or proc.name = y\n  override: {condition: append}\n",
    );
    let outcome = files(&[&broken, &rule("later", "evt.type = open and fd.nam = 1", "")]);
    assert_eq!(
        codes(&outcome),
        [
            ("LOAD_ERR_YAML_VALIDATE", "m".to_owned()),
            ("LOAD_ERR_YAML_VALIDATE", "l".to_owned()),
            ("LOAD_ERR_COMPILE_CONDITION", "other".to_owned()),
            ("LOAD_ERR_COMPILE_CONDITION", "later".to_owned()),
        ]
    );
    assert_eq!(outcome.failed.map(|file| outcome.sources.name(file).to_owned()).as_deref(), Some("0.yaml"));
    assert!(outcome.ruleset.is_none() && outcome.has_errors());
    let unreadable = files(&["- [", &rule("r", "evt.type = open and somewhere", "")]);
    assert_eq!(codes(&unreadable).len(), 1, "what an unreadable file defines is not missed");
}

#[test]
fn warnings_come_with_each_file_and_are_shown_once() {
    let outcome = files(&["- list: l\n  items: [a]\n", &rule("r", "evt.type = open", "")]);
    assert_eq!(outcome.diagnostics.len(), 2);
    assert_eq!(outcome.distinct().len(), 1);
}

#[test]
fn a_rule_left_out_by_its_output_uses_nothing() {
    let left_out = rule("r", "m", "  skip-if-unknown-filter: true\n").replace("%proc.name", "%proc.new");
    let outcome = files(&[&format!("- macro: m\n  condition: proc.name = a\n{left_out}")]);
    assert_eq!(codes(&outcome), [("LOAD_UNKNOWN_FILTER", "r".to_owned()), ("LOAD_UNUSED_MACRO", "m".to_owned())]);
    let condition = rule("r", "evt.type = open and evt.dir = < and proc.new = a", "  skip-if-unknown-filter: true\n");
    assert_eq!(
        codes(&files(&[&condition])),
        [("LOAD_DEPRECATED_ITEM", "r".to_owned()), ("LOAD_UNKNOWN_FILTER", "r".to_owned())]
    );
}

/// An event that has a process name and nothing else.
struct Named<'s>(&'s TableSchema, &'static str);

impl EventFields for Named<'_> {
    fn extract<'e>(&'e self, field: &FieldRef) -> Extracted<'e> {
        let name = self.0.field("syscall", "proc.name").map(|(id, _)| id);
        if Some(field.id) == name { Extracted::One(Value::text(self.1.as_bytes())) } else { Extracted::Absent }
    }
}

/// The rules that are true on an event of this type in a process of this name.
fn matched(ruleset: &RuleSet, event: &'static str, process: &'static str, mode: Matching) -> Vec<u32> {
    let schema = TableSchema::small();
    let etype = schema.event_types_named(event)[0];
    let mut out = Vec::new();
    let source = ruleset.source_id("syscall").unwrap();
    let mut memo = ruleset.memo();
    ruleset.matching(&Named(&schema, process), etype, source, mode, &mut memo, &mut out).unwrap();
    out
}

fn three() -> String {
    [
        rule("first", "evt.type != close and proc.name = a", "  tags: [x]\n"),
        rule("second", "evt.type exists and proc.name in (a, b)", "  tags: [x, y]\n"),
        rule("third", "evt.type exists and proc.name = a", "  enabled: false\n").replace("WARNING", "DEBUG"),
    ]
    .concat()
}

#[test]
fn rules_are_asked_in_load_order_on_their_event_types() {
    let mut ruleset = ruleset(files(&[&three()]));
    // The event's own evt.type is absent here, so only the index decides about it.
    assert_eq!(ruleset.candidates(ruleset.source_id("syscall").unwrap(), 0), [0, 1]);
    ruleset.select(Switch::Enable, &Selector::Name("th*".to_owned()));
    assert_eq!(ruleset.active_count(), 3);
    let close = TableSchema::small().event_types_named("close")[0];
    assert_eq!(ruleset.candidates(ruleset.source_id("syscall").unwrap(), close), [1, 2]);
    let asynchronous = TableSchema::small().async_event_types()[0];
    assert_eq!(ruleset.candidates(ruleset.source_id("syscall").unwrap(), asynchronous), [0, 1, 2]);
    assert!(ruleset.source_id("k8s_audit").is_none());
}

#[test]
fn the_first_or_all_rules_that_are_true_are_given() {
    let text = [rule("a", "proc.name = a", ""), rule("b", "proc.name in (a, b)", ""), rule("c", "proc.name = b", "")];
    let ruleset = ruleset(files(&[&text.concat()]));
    assert_eq!(matched(&ruleset, "open", "a", Matching::First), [0]);
    assert_eq!(matched(&ruleset, "open", "a", Matching::All), [0, 1]);
    assert_eq!(matched(&ruleset, "open", "b", Matching::All), [1, 2]);
    assert!(matched(&ruleset, "open", "z", Matching::All).is_empty());
}

#[test]
fn switches_and_the_threshold_decide_who_runs() {
    let mut weak = ruleset(with(&[&three()], &LoadOptions { min_priority: Priority::Error, ..LoadOptions::default() }));
    weak.select(Switch::Enable, &Selector::NamePart(String::new()));
    assert_eq!(weak.active_count(), 0, "weaker rules do not run even when they are enabled");
    let mut old = ruleset(files(&[&three()]));
    for (switch, selector) in (OldSwitches { only_tags: vec!["y".to_owned()], ..OldSwitches::default() }).switches() {
        old.select(switch, &selector);
    }
    assert!(!old.is_active(0) && old.is_active(1) && !old.is_active(2));
}

#[test]
fn configured_additions_reach_the_rules_they_are_for() {
    let addition = AppendOutput {
        format: Some("pid=%proc.pid".to_owned()),
        fields: vec![ExtraField { name: "who".to_owned(), format: "%user.name".to_owned(), raw: false }],
        tags: vec!["x".to_owned(), "y".to_owned()],
        ..AppendOutput::default()
    };
    let options = LoadOptions { append_output: vec![addition], ..LoadOptions::default() };
    let ruleset = ruleset(with(&[&three()], &options));
    assert_eq!(ruleset.rules()[0].output_text, "o %proc.name");
    assert_eq!(ruleset.rules()[1].output_text, "o %proc.name pid=%proc.pid");
    assert_eq!(ruleset.rules()[1].extra_outputs[0].name, "who");
    let wrong = AppendOutput { format: Some("%no.such".to_owned()), ..AppendOutput::default() };
    let outcome = with(&[&three()], &LoadOptions { append_output: vec![wrong], ..LoadOptions::default() });
    let errors: Vec<_> = outcome.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).collect();
    assert!(errors.len() == 3 && errors.iter().all(|error| error.code.name() == "LOAD_ERR_COMPILE_OUTPUT"));
}
