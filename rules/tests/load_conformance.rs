//! Runs the conformance cases about loading, selecting and alerts.
//!
//! `CASEBOOK_CONFORMANCE` names the directories that hold the case files, separated by colons; without it the tests
//! say so and pass.
#![allow(clippy::unwrap_used)] // a case that cannot be read is a failure of the test

mod schema;

use std::collections::BTreeMap;

use casebook_rules::alert::{Alert, AlertOptions};
use casebook_rules::ast::Expr;
use casebook_rules::condition;
use casebook_rules::event::{EventFields, Extracted};
use casebook_rules::load::{AppendOutput, ExtraField, LoadOptions, LoadOutcome, load};
use casebook_rules::print::canonical;
use casebook_rules::priority::Priority;
use casebook_rules::ruleset::Rule;
use casebook_rules::schema::FieldRef;
use casebook_rules::select::{Selector, Switch, name_fits};
use casebook_rules::source::RuleFile;
use casebook_rules::value::Value;
use casebook_rules::version::Version;
use schema::TableSchema;
use serde_json::{Value as Json, json};

/// Runs all cases of a kind, prints every failure in full and fails when there was one.
fn run(kind: &str, test: impl Fn(&Json) -> Result<(), String>) {
    let cases = schema::cases(kind);
    let mut failed = 0;
    for case in &cases {
        if let Err(what) = test(case) {
            failed += 1;
            println!("{} ({}): {what}\n    {case}", case["id"], case["group"]);
        }
    }
    println!("{kind}: {} passed, {failed} failed", cases.len() - failed);
    assert_eq!(failed, 0, "{kind} cases failed");
}

#[test]
fn select_cases() {
    run("select", |case| {
        let fits = name_fits(case["pattern"].as_str().unwrap(), case["name"].as_str().unwrap());
        if Json::Bool(fits) == case["expect"] { Ok(()) } else { Err(format!("gives {fits}")) }
    });
}

/// An event whose fields are the entries of a JSON object.
struct Event<'e> {
    schema: &'e TableSchema,
    fields: &'e Json,
}

impl EventFields for Event<'_> {
    fn extract<'e>(&'e self, field: &FieldRef) -> Extracted<'e> {
        match &self.fields[self.schema.written(field)] {
            Json::String(text) => Extracted::One(Value::text(text.as_bytes())),
            Json::Number(number) => Extracted::One(match number.as_u64() {
                Some(number) => Value::U64(number),
                None => Value::I64(number.as_i64().unwrap()),
            }),
            Json::Null => Extracted::Absent,
            other => panic!("{other} in an alert case"),
        }
    }
}

#[test]
fn alert_cases() {
    let Some(schema) = schema::from_environment() else { return };
    run("alert", |case| alert_case(case, &schema));
}

fn alert_case(case: &Json, schema: &TableSchema) -> Result<(), String> {
    let on = |key: &str, default: bool| case["options"][key].as_bool().unwrap_or(default);
    let shown = AlertOptions {
        include_output: on("include_output", true),
        include_tags: on("include_tags", true),
        include_message: on("include_message", false),
        include_output_fields: on("include_output_fields", true),
        iso8601: on("iso8601", false),
    };
    let item = json!([{
        "rule": case["rule"],
        "desc": "d",
        "condition": "evt.num > 0",
        "output": case["format"],
        "priority": case["priority"],
        "source": case["source"],
        "tags": case["tags"],
    }]);
    let fields = case["extra_fields"].as_array().into_iter().flatten().map(|field| ExtraField {
        name: text(&field["name"]),
        format: text(&field["format"]),
        raw: field["raw"] == json!(true),
    });
    let addition = AppendOutput { fields: fields.collect(), ..AppendOutput::default() };
    let options = LoadOptions { append_output: vec![addition], ..LoadOptions::default() };
    // JSON is YAML.
    let outcome = load(&[RuleFile::new("rules.json", item.to_string())], schema, &options);
    let Some(ruleset) = &outcome.ruleset else { return Err(format!("{:?}", outcome.diagnostics)) };
    let event = Event { schema, fields: &case["event"] };
    let hostname = text(&case["hostname"]);
    let alert = Alert::new(&ruleset.rules()[0], &event, case["time_ns"].as_u64().unwrap(), &hostname);
    if case["json"] == json!(true) {
        let line = alert.json(shown);
        let ours: Json = serde_json::from_str(&line).unwrap();
        let expected = &case["expect"]["json"];
        if ours != *expected {
            return Err(format!("gives {line}"));
        }
        if line.contains('\n') {
            return Err(format!("gives more than one line: {line}"));
        }
    } else if alert.text(shown) != text(&case["expect"]["text"]) {
        return Err(format!("gives {}", alert.text(shown)));
    }
    Ok(())
}

#[test]
fn load_cases() {
    let Some(schema) = schema::from_environment() else { return };
    run("load", |case| load_case(case, &schema));
}

fn text(value: &Json) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Json) -> Vec<String> {
    value.as_array().map(|items| items.iter().map(text).collect()).unwrap_or_default()
}

fn options(config: &Json) -> LoadOptions {
    let mut options = LoadOptions::default();
    if let Some(priority) = config["min_priority"].as_str() {
        options.min_priority = Priority::parse(priority).unwrap();
    }
    for addition in config["append_output"].as_array().into_iter().flatten() {
        options.append_output.push(AppendOutput {
            format: Some(text(&addition["format"])),
            fields: Vec::new(),
            source: addition["source"].as_str().map(str::to_owned),
            tags: texts(&addition["tags"]),
            rule: addition["rule"].as_str().map(str::to_owned),
        });
    }
    if let Some(plugins) = config["plugins"].as_array() {
        let version = |plugin: &Json| Version::parse(&text(&plugin["version"])).unwrap();
        options.plugins = plugins.iter().map(|plugin| (text(&plugin["name"]), version(plugin))).collect();
    }
    options
}

/// The tree of a condition in display form.
fn tree(condition: &str) -> Result<Expr, String> {
    condition::parse(condition).map(Expr::without_spans).map_err(|errors| format!("{condition}: {errors:?}"))
}

fn same_condition(what: &str, ours: &Expr, expected: &Json) -> Result<(), String> {
    let ours = canonical(ours);
    if tree(&ours)? == tree(expected.as_str().unwrap())? {
        Ok(())
    } else {
        Err(format!("{what}: condition is {ours}, not {expected}"))
    }
}

fn load_case(case: &Json, schema: &TableSchema) -> Result<(), String> {
    let files: Vec<RuleFile> = case["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| RuleFile::new(text(&file["name"]), text(&file["content"])))
        .collect();
    let expect = &case["expect"];
    let mut outcome = load(&files, schema, &options(&case["config"]));
    // Plugins are checked apart.
    outcome.diagnostics.retain(|diagnostic| diagnostic.code.is_falco());
    let failed = outcome.failed.map(|file| outcome.sources.name(file).to_owned());
    let error = outcome.diagnostics.iter().find(|diagnostic| diagnostic.is_error()).map(|error| error.code.name());
    if expect["ok"] == json!(false) {
        if failed.as_deref() != expect["file"].as_str() {
            return Err(format!("fails at {failed:?}: {:?}", outcome.diagnostics));
        }
        if expect["error"] != json!("ANY") && error != expect["error"].as_str() {
            return Err(format!("fails with {error:?}: {:?}", outcome.diagnostics));
        }
        return warnings(&outcome, expect, false);
    }
    let Some(ruleset) = &mut outcome.ruleset else { return Err(format!("fails: {:?}", outcome.diagnostics)) };
    if let Some(plugins_ok) = expect["plugins_ok"].as_bool()
        && plugins_ok != outcome.plugins_ok
    {
        return Err(format!("plugins_ok is {}", outcome.plugins_ok));
    }
    for step in case["config"]["selection"].as_array().into_iter().flatten() {
        let switch = if step["op"] == json!("enable") { Switch::Enable } else { Switch::Disable };
        let selector = match step["rule"].as_str() {
            Some(pattern) => Selector::Name(pattern.to_owned()),
            None => Selector::Tag(text(&step["tag"])),
        };
        ruleset.select(switch, &selector);
    }
    if expect["enabled"].as_u64() != Some(ruleset.active_count() as u64) {
        return Err(format!("{} rules run", ruleset.active_count()));
    }
    if let Some(rules) = expect["rules"].as_array() {
        if rules.len() != ruleset.rules().len() {
            return Err(format!("{} rules", ruleset.rules().len()));
        }
        for (rule, expected) in ruleset.rules().iter().zip(rules) {
            same_rule(rule, expected)?;
        }
    }
    for (name, items) in expect["lists"].as_object().into_iter().flatten() {
        let list = ruleset.lists().iter().find(|list| list.name == *name);
        if list.map(|list| json!(list.items)).as_ref() != Some(items) {
            return Err(format!("list {name} is {list:?}"));
        }
    }
    for (name, condition) in expect["macros"].as_object().into_iter().flatten() {
        let Some(found) = ruleset.macros().iter().find(|found| found.name == *name) else {
            return Err(format!("no macro {name}"));
        };
        same_condition(name, &found.expr, condition)?;
    }
    warnings(&outcome, expect, true)
}

fn same_rule(rule: &Rule, expected: &Json) -> Result<(), String> {
    let ours = json!({
        "name": rule.name,
        "output": rule.output_text,
        "priority": rule.priority.name(),
        "source": rule.source,
        "desc": rule.desc,
        "tags": rule.tags,
        "exception_fields": rule.exception_fields,
        "capture": rule.capture,
        "capture_duration": rule.capture_duration_ms,
    });
    for (key, value) in expected.as_object().unwrap() {
        if key != "condition" && ours[key] != *value {
            return Err(format!("rule {}: {key} is {}, not {value}", rule.name, ours[key]));
        }
    }
    same_condition(&rule.name, &rule.expr, &expected["condition"])
}

/// Compares the warnings as sets; `exact` when there may be no others. A later file repeats those about items of
/// earlier files, which the cases may or may not list.
fn warnings(outcome: &LoadOutcome, expect: &Json, exact: bool) -> Result<(), String> {
    let mut ours: BTreeMap<(String, String, String), usize> = BTreeMap::new();
    let mut earlier: Vec<(String, String)> = Vec::new();
    let mut repeated: Vec<(String, String, String)> = Vec::new();
    for warning in outcome.diagnostics.iter().filter(|diagnostic| !diagnostic.is_error()) {
        let file = outcome.sources.name(warning.file.unwrap()).to_owned();
        let item = warning.item.as_ref().map(|item| item.name.clone()).unwrap_or_default();
        let code = warning.code.name().to_owned();
        let known = earlier.contains(&(code.clone(), item.clone()));
        let key = (file, code.clone(), item.clone());
        if known && !ours.contains_key(&key) {
            repeated.push(key.clone());
        }
        earlier.push((code, item));
        *ours.entry(key).or_default() += 1;
    }
    let mut expected: BTreeMap<(String, String, String), usize> = BTreeMap::new();
    for warning in expect["warnings"].as_array().into_iter().flatten() {
        *expected.entry((text(&warning["file"]), text(&warning["code"]), text(&warning["item"]))).or_default() += 1;
    }
    for (key, count) in &expected {
        if ours.get(key) != Some(count) {
            return Err(format!("expected {count} of {key:?}, got {ours:?}"));
        }
    }
    let surplus: Vec<_> = ours.keys().filter(|key| !expected.contains_key(key) && !repeated.contains(key)).collect();
    if exact && !surplus.is_empty() {
        return Err(format!("unexpected {surplus:?}"));
    }
    Ok(())
}
