//! `evttypes.jsonl`: the event types on which a condition can be true.

use casebook_rules::schema::Schema;
use casebook_rules::{condition, evttypes};
use serde_json::Value as Json;

pub(crate) fn test(case: &Json, schema: &dyn Schema) -> Result<(), String> {
    let expr = condition::parse(case["condition"].as_str().unwrap()).map_err(|errors| format!("{errors:?}"))?;
    let types = match evttypes::event_types(&expr, schema) {
        Err(_) if case["expect"] == "error" => return Ok(()),
        Err(errors) => return Err(format!("{errors:?}")),
        Ok(_) if case["expect"] == "error" => return Err("accepted".to_owned()),
        Ok(types) => types,
    };
    let probes = case["probe"].as_array().unwrap();
    let mut found: Vec<&str> = probes.iter().filter_map(Json::as_str).collect();
    found.retain(|name| schema.event_types_named(name).iter().any(|ty| types.contains(*ty)));
    found.sort_unstable();
    let mut expected: Vec<&str> = case["expect"].as_array().unwrap().iter().filter_map(Json::as_str).collect();
    expected.sort_unstable();
    if found == expected { Ok(()) } else { Err(format!("got {found:?}")) }
}
