//! `select.jsonl`: which rule names a pattern selects.

use casebook_rules::select::name_fits;
use serde_json::Value as Json;

pub(crate) fn test(case: &Json) -> Result<(), String> {
    let fits = name_fits(case["pattern"].as_str().unwrap(), case["name"].as_str().unwrap());
    if Json::Bool(fits) == case["expect"] { Ok(()) } else { Err(format!("gives {fits}")) }
}
