//! `events.tsv`, and the flags and variants that its parameters refer to.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use crate::rows::{Row, rows};
use crate::words::{CATEGORIES, EVENT_FLAGS, FORMATS, ORIGINS, TYPES};

/// Flag tables: returns the code and the index of each table by name.
pub(crate) fn flag_tables(out: &mut String) -> BTreeMap<String, usize> {
    let (mut index, mut tables) = (BTreeMap::new(), Vec::<(String, Vec<String>)>::new());
    for row in rows("flags.tsv", 3) {
        let name = row.columns[0].clone();
        if tables.last().is_none_or(|(last, _)| *last != name) {
            if index.insert(name.clone(), tables.len()).is_some() {
                row.fail("the rows of one table must stand together");
            }
            tables.push((name, Vec::new()));
        }
        let value = row.number(2);
        let entry = format!("({:?}, 0x{:04x}_{:04x})", row.columns[1], value >> 16, value & 0xFFFF);
        tables.last_mut().expect("pushed above").1.push(entry);
    }
    let _ = writeln!(out, "pub(super) static FLAG_TABLES: [FlagTable; {}] = [", tables.len());
    for (name, entries) in &tables {
        let _ = writeln!(out, "FlagTable {{ name: {name:?}, entries: &[{}] }},", entries.join(", "));
    }
    out.push_str("];\n");
    index
}

/// Variants of DYN parameters, by table name: the code of each array.
fn variants() -> BTreeMap<String, Vec<String>> {
    let mut tables = BTreeMap::<String, Vec<String>>::new();
    for row in rows("variants.tsv", 4) {
        let table = tables.entry(row.columns[0].clone()).or_default();
        if row.number(1) as usize != table.len() {
            row.fail("variant indices must count up from 0");
        }
        let (ty, format) = (
            row.variant(TYPES, &row.columns[2], "parameter type"),
            row.variant(FORMATS, &row.columns[3], "print format"),
        );
        table.push(format!("DynVariant {{ ty: ParamType::{ty}, format: PrintFormat::{format} }}"));
    }
    tables
}

/// What the other tables need to know about the event table.
pub(crate) struct Events {
    pub(crate) by_symbol: HashMap<String, u32>,
    pub(crate) param_counts: Vec<usize>,
    pub(crate) names: Vec<String>,
}

pub(crate) fn events(out: &mut String, flags: &BTreeMap<String, usize>) -> Events {
    let variants = variants();
    let rows = rows("events.tsv", 7);
    let mut events = Events { by_symbol: HashMap::new(), param_counts: Vec::new(), names: Vec::new() };
    let mut constants = String::new();
    let _ = writeln!(out, "pub(super) static EVENTS: [EventDef; {}] = [", rows.len());
    for (id, row) in rows.iter().enumerate() {
        if row.number(0) as usize != id {
            row.fail(&format!("event id {}, expected {id}: ids count up without gaps", row.columns[0]));
        }
        let symbol = &row.columns[1];
        if events.by_symbol.insert(symbol.clone(), id as u32).is_some() {
            row.fail(&format!("second row for {symbol}"));
        }
        let _ = writeln!(
            constants,
            "/// `{} {}`\npub const {symbol}: EventType = EventType({id});",
            row.columns[3], row.columns[2]
        );
        let dir = row.variant(&[(">", "Enter"), ("<", "Exit")], &row.columns[3], "direction");
        let params: Vec<String> = match row.columns[6].as_str() {
            "-" => Vec::new(),
            list => list.split(';').map(|param| parameter(row, param, list, flags, &variants)).collect(),
        };
        events.param_counts.push(params.len());
        events.names.push(row.columns[2].clone());
        let _ = writeln!(
            out,
            "EventDef {{ symbol: {symbol:?}, name: {:?}, dir: Direction::{dir}, {}, flags: {}, params: &[{}] }},",
            row.columns[2],
            category(row),
            event_flags(row),
            params.join(", ")
        );
    }
    let _ = writeln!(out, "];\npub(super) mod symbols {{ use crate::event::EventType;\n{constants}}}");
    events
}

fn category(row: &Row) -> String {
    let (kind, origin) = match row.columns[4].split_once('|') {
        Some((kind, origin)) => (kind, row.variant(ORIGINS, origin, "origin")),
        None => (row.columns[4].as_str(), "None"),
    };
    format!("category: Category::{}, origin: EventOrigin::{origin}", row.variant(CATEGORIES, kind, "category"))
}

fn event_flags(row: &Row) -> String {
    let mut bits = Vec::new();
    for flag in row.columns[5].split('|').filter(|flag| *flag != "-") {
        match flag.strip_prefix("EF_").filter(|name| EVENT_FLAGS.contains(name)) {
            Some(name) => bits.push(format!("EventFlags::{name}.0")),
            None => row.fail(&format!("unknown event flag \"{flag}\"")),
        }
    }
    if bits.is_empty() { "EventFlags::NONE".to_owned() } else { format!("EventFlags({})", bits.join(" | ")) }
}

fn parameter(
    row: &Row,
    text: &str,
    list: &str,
    flags: &BTreeMap<String, usize>,
    variants: &BTreeMap<String, Vec<String>>,
) -> String {
    let parts: Vec<&str> = text.split(':').collect();
    let [name, ty, format, rest @ ..] = parts.as_slice() else {
        row.fail(&format!("parameter \"{text}\" is not name:type:format"))
    };
    let (mut table, mut dynamic, mut dirfd) = ("None".to_owned(), String::new(), "None".to_owned());
    match rest {
        [] => {}
        [extra] if extra.starts_with("dirfd=") => {
            let index = &extra["dirfd=".len()..];
            if index.parse().is_ok_and(|index: usize| index < list.split(';').count()) {
                dirfd = format!("Some({index})");
            } else {
                row.fail(&format!("parameter \"{name}\": no parameter {index} to be relative to"));
            }
        }
        [extra] if *ty == "DYN" => match variants.get(*extra) {
            Some(list) => dynamic = list.join(", "),
            None => row.fail(&format!("parameter \"{name}\": no variants \"{extra}\" in variants.tsv")),
        },
        [extra] => match flags.get(*extra) {
            Some(index) => table = format!("Some(&FLAG_TABLES[{index}])"),
            None => row.fail(&format!("parameter \"{name}\": no table \"{extra}\" in flags.tsv")),
        },
        _ => row.fail(&format!("parameter \"{text}\" has too many parts")),
    }
    format!(
        "ParamDef {{ name: {name:?}, ty: ParamType::{}, format: PrintFormat::{}, table: {table}, variants: &[{dynamic}], dirfd: {dirfd} }}",
        row.variant(TYPES, ty, "parameter type"),
        row.variant(FORMATS, format, "print format"),
    )
}
