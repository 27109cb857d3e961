//! `load.jsonl`: rule files to rules, warnings and errors.

use std::collections::BTreeMap;

use casebook_replay::fields::Catalogue;
use casebook_rules::ast::Expr;
use casebook_rules::condition;
use casebook_rules::load::{AppendOutput, LoadOptions, LoadOutcome, load};
use casebook_rules::print::canonical;
use casebook_rules::priority::Priority;
use casebook_rules::ruleset::Rule;
use casebook_rules::select::{Selector, Switch};
use casebook_rules::source::RuleFile;
use casebook_rules::version::Version;
use serde_json::{Value as Json, json};

pub(crate) fn text(value: &Json) -> String {
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

pub(crate) fn test(case: &Json) -> Result<(), String> {
    let files: Vec<RuleFile> = case["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| RuleFile::new(text(&file["name"]), text(&file["content"])))
        .collect();
    let expect = &case["expect"];
    let mut outcome = load(&files, &Catalogue::new(), &options(&case["config"]));
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
