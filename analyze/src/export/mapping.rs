//! Rows as nested JSON records, by tables of attributes.
//!
//! A [`Mapping`] says for a table of frames which attribute is filled from which column, and how; [`records`] makes a
//! JSON object of each row. Attributes are dotted paths, as ECS and OCSF document them.

use casebook_replay::summary::iso_time;
use polars::prelude::DataFrame;
use serde_json::{Map, Value as Json};

use crate::frames::Error;
use crate::print::values::Values;

/// How an attribute gets its value.
#[derive(Clone, Copy, Debug)]
pub enum Value {
    /// A text that is the same in every row.
    Text(&'static str),
    /// A number that is the same in every row.
    Number(i64),
    /// A list of texts that is the same in every row.
    List(&'static [&'static str]),
    /// A column, as it is.
    Column(&'static str),
    /// A column as text: ids that are numbers here and keywords there.
    AsText(&'static str),
    /// A time column in RFC 3339 with nanoseconds.
    Time(&'static str),
    /// A time column in milliseconds since the epoch.
    Millis(&'static str),
    /// A column of texts joined by commas, as a list.
    Split(&'static str),
    /// A column's value through a table; what is not in it becomes the last entry.
    Through(&'static str, &'static [(&'static str, i64)]),
    /// The last part of a path.
    FileName(&'static str),
    /// Techniques of ATT&CK (T1059.004) among tags joined by commas.
    Techniques(&'static str),
    /// An id of the row: table, capture and a column.
    RowId(&'static str),
}

impl Value {
    /// As the documentation says it.
    pub fn told(self) -> String {
        match self {
            Self::Text(text) => format!("always `{text}`"),
            Self::Number(number) => format!("always {number}"),
            Self::List(list) => format!("always `{}`", list.join("`, `")),
            Self::Column(name) => format!("`{name}`"),
            Self::AsText(name) => format!("`{name}` as text"),
            Self::Time(name) => format!("`{name}`, RFC 3339"),
            Self::Millis(name) => format!("`{name}`, ms since the epoch"),
            Self::Split(name) => format!("`{name}`, cut at commas"),
            Self::Through(name, pairs) => {
                let pairs: Vec<String> = pairs.iter().map(|(from, to)| format!("{from} {to}")).collect();
                format!("`{name}`: {}", pairs.join(", "))
            }
            Self::FileName(name) => format!("last part of `{name}`"),
            Self::Techniques(name) => format!("techniques of ATT&CK in `{name}`"),
            Self::RowId(name) => format!("table, `capture` and `{name}`"),
        }
    }

    fn column(self) -> Option<&'static str> {
        match self {
            Self::Text(_) | Self::Number(_) | Self::List(_) => None,
            Self::Column(name)
            | Self::AsText(name)
            | Self::Time(name)
            | Self::Millis(name)
            | Self::Split(name)
            | Self::Through(name, _)
            | Self::FileName(name)
            | Self::Techniques(name)
            | Self::RowId(name) => Some(name),
        }
    }
}

/// What becomes of the rows of a table.
#[derive(Debug)]
pub struct Mapping {
    /// The table.
    pub table: &'static str,
    /// What a record says.
    pub about: &'static str,
    /// Only rows that have this column, and that are larger than 0 where it is a number.
    pub only_with: Option<&'static str>,
    /// Attribute and value, in the order of the record.
    pub values: &'static [(&'static str, Value)],
}

/// Makes records of all rows and hands them to `each`.
///
/// # Errors
///
/// Those of `each`, and when the data frame library refuses.
pub fn records(
    mapping: &Mapping,
    frame: &DataFrame,
    each: &mut dyn FnMut(&Json) -> std::io::Result<()>,
) -> Result<(), Error> {
    for slice in crate::print::slices(frame) {
        let read = |name: &str| slice.column(name).ok().map(Values::of).transpose();
        let columns: Vec<Option<Values<'_>>> =
            mapping.values.iter().map(|(_, value)| value.column().map_or(Ok(None), read)).collect::<Result<_, _>>()?;
        let only = mapping.only_with.map_or(Ok(None), read)?;
        let captures = read("capture")?;
        for row in 0..slice.height() {
            if mapping.only_with.is_some() && !only.as_ref().is_some_and(|values| is_some(values, row)) {
                continue;
            }
            let mut record = Map::new();
            for ((path, value), column) in mapping.values.iter().zip(&columns) {
                let capture = captures.as_ref().and_then(|values| text(values, row)).unwrap_or_default();
                if let Some(json) = made(*value, column.as_ref(), row, mapping.table, &capture) {
                    insert(&mut record, path, json);
                }
            }
            each(&Json::Object(record))?;
        }
    }
    Ok(())
}

fn made(value: Value, column: Option<&Values<'_>>, row: usize, table: &str, capture: &str) -> Option<Json> {
    Some(match value {
        Value::Text(text) => Json::from(text),
        Value::Number(number) => Json::from(number),
        Value::List(list) => Json::from(list.to_vec()),
        Value::Column(_) => json(column?, row)?,
        Value::AsText(_) => Json::from(text(column?, row)?),
        Value::Time(_) => Json::from(iso_time(u64::try_from(nanoseconds(column?, row)?).ok()?)),
        Value::Millis(_) => Json::from(nanoseconds(column?, row)?.div_euclid(1_000_000)),
        Value::Split(_) => {
            let text = text(column?, row).filter(|text| !text.is_empty())?;
            Json::from(text.split(',').map(str::trim).collect::<Vec<_>>())
        }
        Value::Through(_, pairs) => {
            let text = text(column?, row)?;
            let (_, number) = pairs.iter().find(|(from, _)| *from == text).or(pairs.last())?;
            Json::from(*number)
        }
        Value::FileName(_) => Json::from(text(column?, row)?.rsplit('/').next()?.to_owned()),
        Value::Techniques(_) => {
            let text = text(column?, row)?;
            let found: Vec<&str> = text.split(',').map(str::trim).filter(|tag| is_technique(tag)).collect();
            if found.is_empty() {
                return None;
            }
            Json::from(found)
        }
        Value::RowId(_) => Json::from(format!("{table}:{capture}:{}", text(column?, row)?)),
    })
}

/// `T1059` or `T1059.004`.
pub(super) fn is_technique(tag: &str) -> bool {
    let digits = |text: &str, count| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    tag.strip_prefix('T').is_some_and(|rest| match rest.split_once('.') {
        Some((technique, sub)) => digits(technique, 4) && digits(sub, 3),
        None => digits(rest, 4),
    })
}

/// Puts a value at a dotted path.
fn insert(record: &mut Map<String, Json>, path: &str, value: Json) {
    match path.split_once('.') {
        None => {
            record.insert(path.to_owned(), value);
        }
        Some((first, rest)) => {
            let below = record.entry(first).or_insert_with(|| Json::Object(Map::new()));
            if let Json::Object(below) = below {
                insert(below, rest, value);
            }
        }
    }
}

fn is_some(values: &Values<'_>, row: usize) -> bool {
    match values {
        Values::Uint(numbers) => numbers[row].is_some_and(|number| number > 0),
        Values::Int(numbers) => numbers[row].is_some_and(|number| number > 0),
        other => json(other, row).is_some(),
    }
}

fn json(values: &Values<'_>, row: usize) -> Option<Json> {
    match values {
        Values::Text(texts) => texts[row].filter(|text| !text.is_empty()).map(Json::from),
        Values::Made(texts) => texts[row].clone().map(Json::from),
        Values::Int(numbers) | Values::Span(numbers) => numbers[row].map(Json::from),
        Values::Uint(numbers) => numbers[row].map(Json::from),
        Values::Float(numbers) => numbers[row].map(Json::from),
        Values::Bool(values) => values[row].map(Json::from),
        Values::Time(times) => times[row].and_then(|ns| u64::try_from(ns).ok()).map(|ns| Json::from(iso_time(ns))),
    }
}

fn text(values: &Values<'_>, row: usize) -> Option<String> {
    match json(values, row)? {
        Json::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

fn nanoseconds(values: &Values<'_>, row: usize) -> Option<i64> {
    match values {
        Values::Time(times) => times[row],
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotted_paths_nest() {
        let mut record = Map::new();
        insert(&mut record, "process.parent.name", Json::from("sh"));
        insert(&mut record, "process.name", Json::from("id"));
        assert_eq!(Json::Object(record).to_string(), r#"{"process":{"name":"id","parent":{"name":"sh"}}}"#);
    }

    #[test]
    fn techniques_are_told_from_other_tags() {
        assert!(is_technique("T1059") && is_technique("T1059.004"));
        assert!(!is_technique("TA0002") && !is_technique("T105") && !is_technique("mitre_execution"));
    }
}
