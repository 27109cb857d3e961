//! `casebook-replay fields`: the field catalogue as a list.

use std::io::{self, Write};

use serde_json::Value;

use super::args::{FieldsArgs, FieldsFormat};
use super::exit::Exit;
use super::talk::say;
use crate::fields::Catalogue;
use crate::fields::catalogue::{FieldRow, K8S_AUDIT_SOURCE, SYSCALL_SOURCE};
use crate::fields::page;

/// Lists the fields asked for, grouped by class in the order of the catalogue.
pub(super) fn run(args: &FieldsArgs, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    if let Some(source) = args.source.as_deref().filter(|source| ![SYSCALL_SOURCE, K8S_AUDIT_SOURCE].contains(source)) {
        say(err, &format!("error: there is no source {source}; there are {SYSCALL_SOURCE} and {K8S_AUDIT_SOURCE}"));
        return Exit::Usage;
    }
    let rows = Catalogue::new().rows();
    if let Some(class) = args.class.as_deref().filter(|class| rows.iter().all(|row| row.class != *class)) {
        let mut classes: Vec<&str> = rows.iter().map(|row| row.class).collect();
        classes.sort_unstable();
        classes.dedup();
        say(err, &format!("error: there is no class {class}; there are {}", classes.join(", ")));
        return Exit::Usage;
    }
    let chosen: Vec<&FieldRow> = rows.iter().filter(|row| wanted(args, row)).collect();
    if chosen.is_empty() {
        say(err, "error: no such field; `casebook-replay fields` lists all of them");
        return Exit::Usage;
    }
    let written = match args.format {
        _ if args.docs => write!(out, "{}", page::reference()),
        FieldsFormat::Text => list(&chosen, out),
        FieldsFormat::Json => {
            let rows: Vec<Value> = chosen.iter().map(|row| page::json(row)).collect();
            writeln!(out, "{:#}", Value::from(rows))
        }
        FieldsFormat::Markdown => write!(out, "{}", page::markdown(&chosen)),
    };
    match written.and_then(|()| out.flush()) {
        Ok(()) => Exit::Complete,
        Err(error) => Exit::of_output(&error),
    }
}

fn wanted(args: &FieldsArgs, row: &FieldRow) -> bool {
    let contains = |text: &String| {
        row.def.name.contains(text.as_str()) || row.meaning.to_ascii_lowercase().contains(&text.to_ascii_lowercase())
    };
    args.source.as_deref().is_none_or(|source| row.scope.has(source))
        && args.class.as_deref().is_none_or(|class| row.class == class)
        && (args.contains.is_empty() || args.contains.iter().any(contains))
}

fn list(rows: &[&FieldRow], out: &mut dyn Write) -> io::Result<()> {
    let mut class = "";
    for row in page::by_class(rows) {
        if row.class != class {
            let gap = if class.is_empty() { "" } else { "\n" };
            class = row.class;
            writeln!(out, "{gap}{class} ({})", page::sources(row.scope))?;
        }
        let name = format!("{}{}", row.def.name, page::argument(&row.def));
        write!(out, "  {name:<44} {:<9} {}", page::type_name(&row.def), row.meaning)?;
        if let Some(reason) = row.offline() {
            write!(out, " [no value offline: {reason}]")?;
        }
        writeln!(out)?;
    }
    Ok(())
}
