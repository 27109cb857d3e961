//! `alert.jsonl`: one finding as a line of text or JSON.

use casebook_rules::alert::{Alert, AlertOptions};
use casebook_rules::load::{AppendOutput, ExtraField, LoadOptions, load};
use casebook_rules::source::RuleFile;
use serde_json::{Value as Json, json};

use crate::event::{CaseEvent, EverySource};
use crate::load::text;

pub(crate) fn test(case: &Json) -> Result<(), String> {
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
    let outcome = load(&[RuleFile::new("rules.json", item.to_string())], &EverySource::default(), &options);
    let Some(ruleset) = &outcome.ruleset else { return Err(format!("{:?}", outcome.diagnostics)) };
    let event = CaseEvent::read(&case["event"])?;
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
