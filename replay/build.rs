//! Turns `tables/fields.tsv` into the static table and the per-class enums that `src/fields/catalogue.rs` includes.
//!
//! One enum per class, with one variant per field that can be extracted: the class's extractor matches on it without
//! a wildcard, so that a row without an extractor does not compile. Rows with an `offline` reason get no variant.
//! Every row is checked here: known class, type, argument form and note, no name twice.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Classes and the enum of their fields; classes without an enum have no field that can be extracted.
const CLASSES: &[(&str, Option<&str>)] = &[
    ("event", Some("EventField")),
    ("process", Some("ProcessField")),
    ("user", Some("UserField")),
    ("fd", Some("FdField")),
    ("fspath", Some("FspathField")),
    ("fdlist", Some("FdlistField")),
    ("container", Some("ContainerField")),
    ("k8smeta", None),
    ("audit", Some("AuditField")),
    ("k8suser", Some("K8sUserField")),
];

/// Spelling of types in the table and the variant of `FieldType`.
const TYPES: &[(&str, &str)] = &[
    ("string", "Text"),
    ("bytes", "Bytes"),
    ("int16", "Int16"),
    ("int32", "Int32"),
    ("int64", "Int64"),
    ("uint32", "Uint32"),
    ("uint64", "Uint64"),
    ("double", "Double"),
    ("reltime", "Reltime"),
    ("abstime", "Abstime"),
    ("bool", "Bool"),
    ("port", "Port"),
    ("ipaddr", "IpAddr"),
    ("ipnet", "IpNet"),
    ("dyn", "Dyn"),
];

/// Notes: facts about a field besides its type.
const NOTES: &[&str] = &[
    "ancestors",
    "deprecated",
    "filter_only",
    "hex",
    "list",
    "no_rhs",
    "no_transformer",
    "pad9",
    "print_only",
    "suggested_output",
    "table_only",
    "two_ends",
    "warn",
];

fn main() {
    let source = Path::new("tables").join("fields.tsv");
    println!("cargo::rerun-if-changed={}", source.display());
    let text = fs::read_to_string(&source).unwrap_or_else(|error| panic!("{}: {error}", source.display()));
    let generated = generate(&text);
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("fields.rs");
    fs::write(&out, generated).unwrap_or_else(|error| panic!("{}: {error}", out.display()));
}

fn generate(text: &str) -> String {
    let mut rows = String::new();
    let mut variants: Vec<(&str, Vec<(String, String)>)> =
        CLASSES.iter().filter_map(|(_, name)| name.map(|name| (name, Vec::new()))).collect();
    let mut seen = BTreeSet::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.starts_with('#') && !line.is_empty()) {
        let fail = |what: &str| -> ! { panic!("tables/fields.tsv:{}: {what}", number + 1) };
        let cells: Vec<&str> = line.split('\t').collect();
        let [class, scope, provider, name, ty, argument, notes, offline, meaning] = cells[..] else {
            fail("nine cells wanted")
        };
        if !seen.insert(name) {
            fail("name twice");
        }
        let Some((_, class_enum)) = CLASSES.iter().find(|(known, _)| *known == class) else { fail("unknown class") };
        let Some((_, ty)) = TYPES.iter().find(|(known, _)| *known == ty) else { fail("unknown type") };
        let notes: Vec<&str> = notes.split(',').filter(|note| !note.is_empty()).collect();
        if let Some(note) = notes.iter().find(|note| !NOTES.contains(note)) {
            fail(&format!("unknown note {note}"));
        }
        if meaning.is_empty() {
            fail("no meaning");
        }
        let extractor = match (offline, class_enum) {
            ("", None) => fail("nothing extracts this class: give an offline reason"),
            ("", Some(class_enum)) => {
                let variant = variant_name(name);
                let wrapper = class_enum.trim_end_matches("Field");
                let list = variants.iter_mut().find(|(known, _)| known == class_enum);
                list.expect("made from the same table").1.push((variant.clone(), name.to_owned()));
                format!("Extractor::{wrapper}({class_enum}::{variant})")
            }
            (reason, _) => format!("Extractor::Offline({reason:?})"),
        };
        writeln!(
            rows,
            "    row({class:?}, Scope::{}, {provider:?}, {name:?}, FieldType::{ty}, {}, &{notes:?}, {extractor}, {meaning:?}),",
            scope_variant(scope).unwrap_or_else(|| fail("unknown source")),
            argument_forms(argument).unwrap_or_else(|| fail("unknown argument form")),
        )
        .expect("writing to a string");
    }
    let mut out = format!("pub(super) static ROWS: [FieldRow; {}] = [\n{rows}];\n", seen.len());
    for (name, variants) in variants {
        writeln!(out, "\n#[derive(Clone, Copy, PartialEq, Eq, Debug)]\npub(crate) enum {name} {{").expect("string");
        for (variant, field) in variants {
            writeln!(out, "    /// `{field}`\n    {variant},").expect("string");
        }
        out.push_str("}\n");
    }
    out
}

/// `proc.exe_ino.ctime` becomes `ProcExeInoCtime`.
fn variant_name(name: &str) -> String {
    name.split(['.', '_'])
        .map(|part| {
            let (head, tail) = part.split_at(1);
            head.to_uppercase() + tail
        })
        .collect()
}

fn scope_variant(source: &str) -> Option<&'static str> {
    Some(match source {
        "any" => "Any",
        "syscall" => "Syscall",
        "k8s_audit" => "K8sAudit",
        "plugin" => "Plugin",
        _ => return None,
    })
}

/// `![n]|[key]` and the like: `!` requires an argument, then the accepted forms.
fn argument_forms(cell: &str) -> Option<String> {
    let (required, forms) = match cell.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, cell),
    };
    let (mut index, mut key, mut dotted) = (false, false, "None");
    for form in forms.split('|').filter(|form| !form.is_empty()) {
        match form {
            "[n]" => index = true,
            "[key]" => key = true,
            ".param" => dotted = "Some(DottedForm::Param)",
            ".type" => dotted = "Some(DottedForm::EventType)",
            ".end" => dotted = "Some(DottedForm::End)",
            ".any" => dotted = "Some(DottedForm::Any)",
            _ => return None,
        }
    }
    Some(format!("Forms {{ required: {required}, index: {index}, key: {key}, dotted: {dotted} }}"))
}
