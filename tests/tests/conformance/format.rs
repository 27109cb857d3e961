//! `format.jsonl`: outputs on events.

use casebook_rules::event::EventFields;
use casebook_rules::output::Format;
use casebook_rules::schema::Schema;
use serde_json::{Map, Value as Json};

pub(crate) fn test(case: &Json, schema: &dyn Schema, source: &str, event: &dyn EventFields) -> Result<(), String> {
    let expect = &case["expect"];
    let format = match Format::parse(case["format"].as_str().unwrap(), source, schema) {
        Err(_) if expect["error"] == true => return Ok(()),
        Err(errors) => return Err(format!("refused: {errors:?}")),
        Ok(_) if expect["error"] == true => return Err("accepted".to_owned()),
        Ok(format) => format,
    };
    let rendered = format.render(event);
    if expect["complete"] != rendered.complete {
        return Err(format!("got {rendered:?}"));
    }
    if !rendered.complete {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&rendered.text).into_owned();
    let fields = rendered.fields.into_iter().collect::<Map<_, _>>();
    let fields = if fields.is_empty() { Json::Null } else { Json::Object(fields) };
    if expect["text"] == text && expect["fields"] == fields {
        Ok(())
    } else {
        Err(format!("got {text:?} with {fields}"))
    }
}
