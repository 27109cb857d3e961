//! The catalogue as documentation: tables in Markdown, objects in JSON, and the words for types and arguments.
//!
//! `replay/FIELDS.md` is [`reference()`]; a test keeps it current.

use std::fmt::Write;

use casebook_rules::schema::{Display, FieldDef, FieldType, Multiplicity};
use serde_json::{Value, json};

use super::catalogue::{Catalogue, FieldRow, Scope};

/// The reference page of all fields, in Markdown.
pub fn reference() -> String {
    let rows: Vec<&FieldRow> = Catalogue::new().rows().iter().collect();
    let with_value = rows.iter().filter(|row| row.offline().is_none()).count();
    let mut out = format!(
        "# Fields\n\n\
         What conditions compare and outputs print: {} fields, {with_value} of which can have a value on captures \
         or audit logs. A `*` after a type stands for several values: a list, the ancestors of a process, or both ends of a \
         connection. Arguments in round brackets can be left out. The list is that of Falco's engine and its container \
         and Kubernetes plugins, so that every rule file loads.\n\n\
         `casebook-replay fields` prints this catalogue, filtered by `--class`, `--source` or text. This page is made \
         from the table in `tables/fields.tsv`; `BLESS=1 cargo test -p casebook-replay --test pages` writes it anew.\n",
        rows.len()
    );
    out.push_str(&markdown(&rows));
    out
}

/// Tables in Markdown, one for each class in the order of the catalogue.
pub fn markdown(rows: &[&FieldRow]) -> String {
    let mut out = String::new();
    let mut class = "";
    for row in by_class(rows) {
        if row.class != class {
            class = row.class;
            let _ = write!(out, "\n## {class}\n\n| field | type | sources | meaning |\n| --- | --- | --- | --- |\n");
        }
        let name = format!("{}{}", row.def.name, argument(&row.def)).replace('|', "\\|");
        let (ty, sources) = (type_name(&row.def), sources(row.scope));
        let _ = write!(out, "| `{name}` | {} | {sources} | {}", escaped(&ty), escaped(row.meaning));
        for note in notes(row) {
            let _ = write!(out, "; *{}*", escaped(&note));
        }
        out.push_str(" |\n");
    }
    out
}

/// Rows of one class next to each other, classes in the order in which they first come up.
pub(crate) fn by_class<'r>(rows: &[&'r FieldRow]) -> Vec<&'r FieldRow> {
    let first = |row: &FieldRow| rows.iter().position(|other| other.class == row.class);
    let mut sorted = rows.to_vec();
    sorted.sort_by_key(|row| first(row));
    sorted
}

/// Text for a cell of a table.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace('*', "\\*")
}

/// A field as an object.
pub fn json(row: &FieldRow) -> Value {
    let def = &row.def;
    json!({
        "name": def.name,
        "class": row.class,
        "sources": sources(row.scope),
        "provider": row.provider,
        "type": type_name(def).trim_end_matches('*'),
        "several": def.multiplicity != Multiplicity::One,
        "argument": {
            "required": def.arg.required,
            "index": def.arg.index,
            "key": def.arg.key,
            "name": def.arg.dotted,
        },
        "deprecated": def.deprecated,
        "filter_only": def.filter_only,
        "offline": row.offline(),
        "meaning": row.meaning,
    })
}

/// What is special about a field.
fn notes(row: &FieldRow) -> Vec<String> {
    let mut notes = Vec::new();
    if row.def.deprecated {
        notes.push("deprecated".to_owned());
    }
    if row.def.filter_only {
        notes.push("for conditions only".to_owned());
    }
    if row.def.display == Display::Hex {
        notes.push("printed in hexadecimal".to_owned());
    }
    if let Some(reason) = row.offline() {
        notes.push(format!("no value offline: {reason}"));
    }
    notes
}

/// The sources whose rules may use a field.
pub(crate) fn sources(scope: Scope) -> &'static str {
    match scope {
        Scope::Any => "all sources",
        Scope::Syscall => "syscall",
        Scope::K8sAudit => "k8s_audit",
        Scope::Plugin => "all sources but syscall",
    }
}

/// The forms of argument, as one writes them; in round brackets what can be left out.
pub(crate) fn argument(field: &FieldDef) -> String {
    let arg = field.arg;
    let form = match (arg.dotted, arg.key, arg.index) {
        (true, ..) => ".NAME",
        (_, true, true) => "[KEY|N]",
        (_, true, _) => "[KEY]",
        (_, _, true) => "[N]",
        _ => return String::new(),
    };
    if arg.required { form.to_owned() } else { format!("({form})") }
}

/// The type's name as rule writers know it.
pub(crate) fn type_name(field: &FieldDef) -> String {
    let name = match field.ty {
        FieldType::Text => "string".to_owned(),
        FieldType::Dyn => "any".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    };
    match field.multiplicity {
        Multiplicity::One => name,
        _ => format!("{name}*"),
    }
}
