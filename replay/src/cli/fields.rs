//! `casebook-replay fields`: the field catalogue as a list.

use std::io::{self, Write};

use casebook_rules::schema::{FieldDef, FieldType, Multiplicity};

use super::args::FieldsArgs;
use super::exit::Exit;
use super::talk::say;
use crate::fields::Catalogue;
use crate::fields::catalogue::{FieldRow, K8S_AUDIT_SOURCE, SYSCALL_SOURCE, Scope};

/// Lists the fields asked for, grouped by class in the order of the catalogue.
pub(super) fn run(args: &FieldsArgs, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    let chosen: Vec<&FieldRow> = Catalogue::new().rows().iter().filter(|row| wanted(args, row)).collect();
    if chosen.is_empty() {
        say(err, "error: no such field; `casebook-replay fields` lists all of them");
        return Exit::Usage;
    }
    match list(&chosen, out) {
        Ok(()) => Exit::Complete,
        Err(error) => Exit::of_output(&error),
    }
}

fn wanted(args: &FieldsArgs, row: &FieldRow) -> bool {
    let source = match args.source.as_deref() {
        None => true,
        Some(SYSCALL_SOURCE) => matches!(row.scope, Scope::Any | Scope::Syscall),
        Some(K8S_AUDIT_SOURCE) => !matches!(row.scope, Scope::Syscall),
        Some(_) => false,
    };
    source && (args.contains.is_empty() || args.contains.iter().any(|text| row.def.name.contains(text.as_str())))
}

fn list(rows: &[&FieldRow], out: &mut dyn Write) -> io::Result<()> {
    let mut class = "";
    for row in rows {
        if row.class != class {
            let gap = if class.is_empty() { "" } else { "\n" };
            class = row.class;
            writeln!(out, "{gap}{class} ({})", sources(row.scope))?;
        }
        let name = format!("{}{}", row.def.name, argument(&row.def));
        write!(out, "  {name:<44} {:<9} {}", type_name(&row.def), row.meaning)?;
        if let Some(reason) = row.offline() {
            write!(out, " [no value offline: {reason}]")?;
        }
        writeln!(out)?;
    }
    out.flush()
}

fn sources(scope: Scope) -> &'static str {
    match scope {
        Scope::Any => "all sources",
        Scope::Syscall => "syscall",
        Scope::K8sAudit => "k8s_audit",
        Scope::Plugin => "all sources but syscall",
    }
}

/// The forms of argument, as one writes them; round what can be left out.
fn argument(field: &FieldDef) -> String {
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
fn type_name(field: &FieldDef) -> String {
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
