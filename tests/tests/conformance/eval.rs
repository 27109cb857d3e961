//! `eval.jsonl`: the truth value of a condition on an event, or that it is refused.

use casebook_rules::compile;
use casebook_rules::event::EventFields;
use casebook_rules::leaf::{Leaves, Memo};
use casebook_rules::schema::Schema;
use serde_json::Value as Json;

pub(crate) fn test(case: &Json, schema: &dyn Schema, source: &str, event: &dyn EventFields) -> Result<(), String> {
    let condition = case["condition"].as_str().unwrap();
    let mut leaves = Leaves::new();
    let result = match compile::condition_from_text(condition, source, schema, &mut leaves) {
        Err(errors) => Err(("compile_error", format!("{errors:?}"))),
        Ok(compiled) => {
            let mut memo = Memo::new(&leaves);
            let first = compiled.condition.eval(&leaves, event, &mut memo);
            if let Ok(verdict) = first {
                // The second time all comes from memory.
                assert_eq!(compiled.condition.eval(&leaves, event, &mut memo), Ok(verdict));
            }
            first.map_err(|error| ("runtime_error", error.to_string()))
        }
    };
    let expect = match &case["expect"] {
        Json::Bool(truth) => Ok(*truth),
        Json::String(text) if text == "true" => Ok(true),
        Json::String(text) if text == "false" => Ok(false),
        Json::String(text) => Err(text.as_str()),
        other => panic!("what is {other}?"),
    };
    match (&result, expect) {
        (Ok(verdict), Ok(expected)) if *verdict == expected => Ok(()),
        (Err((kind, _)), Err(expected)) if *kind == expected => Ok(()),
        _ => Err(format!("got {result:?}")),
    }
}
