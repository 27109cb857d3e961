//! Every field of the catalogue with every form of argument that it takes, on every event of the example and on events
//! whose parameters are cut short or absurd: a value is of the type that the table says, prints, and nothing panics.

#![allow(clippy::unwrap_used)] // a story that cannot be told or read is a mistake of the test

use std::collections::BTreeMap;
use std::io::Cursor;
use std::ops::ControlFlow;

use casebook_fixtures::{EXAMPLE, Proc, Trace, Value as Param};
use casebook_formats::capture::CaptureReader;
use casebook_formats::tables;
use casebook_replay::context::EventContext;
use casebook_replay::engine::Replay;
use casebook_replay::fields::Catalogue;
use casebook_rules::event::{EventFields as _, Extracted};
use casebook_rules::render;
use casebook_rules::schema::{FieldRef, FieldType, Schema as _};
use casebook_rules::value::Value;

const SOURCES: [&str; 2] = ["syscall", "k8s_audit"];

/// What may stand behind a field's name: indices and keys that something has, and that nothing has.
const ARGUMENTS: [&str; 26] = [
    "",
    "[0]",
    "[1]",
    "[2]",
    "[99]",
    "[18446744073709551615]",
    "[PATH]",
    "[/]",
    "[/etc]",
    "[*]",
    "[app]",
    "[]",
    "[1-3]",
    ".cpu",
    ".memory",
    ".nosuch",
    ".src",
    ".dst",
    ".res",
    ".fd",
    ".name",
    ".flags",
    ".tuple",
    ".open",
    ".257",
    ".data",
];

/// All that binds, by the text that binds it.
fn bound(source: &str) -> BTreeMap<String, FieldRef> {
    let catalogue = Catalogue::new();
    let names = catalogue.rows().iter().flat_map(|row| ARGUMENTS.map(|argument| format!("{}{argument}", row.def.name)));
    names.filter_map(|name| catalogue.parse(source, &name).ok().map(|field| (name, field))).collect()
}

fn fits(value: &Value<'_>, ty: FieldType) -> bool {
    use FieldType as T;
    match value {
        Value::Text(_) => ty == T::Text,
        Value::Bytes(_) => ty == T::Bytes,
        Value::I64(_) | Value::U64(_) => !matches!(ty, T::Text | T::Bytes | T::Bool | T::Double | T::IpAddr | T::IpNet),
        Value::Double(_) => ty == T::Double,
        Value::Bool(_) => ty == T::Bool,
        Value::Ip(_) => matches!(ty, T::IpAddr | T::IpNet),
    }
}

/// Asks every field on every event; how many values there were.
fn ask_all(bytes: Vec<u8>, fields: &BTreeMap<String, FieldRef>) -> u64 {
    let catalogue = Catalogue::new();
    let mut reader = CaptureReader::from_reader(Box::new(Cursor::new(bytes)), "story").unwrap();
    let (mut values, mut text) = (0, Vec::new());
    let look = |context: &EventContext<'_>| {
        for (name, field) in fields {
            let extracted = context.extract(field);
            let all: &[Value<'_>] = match &extracted {
                Extracted::Absent => &[],
                Extracted::One(value) => std::slice::from_ref(value),
                Extracted::Many(all) => all,
            };
            for value in all {
                assert!(fits(value, field.ty), "{name} is {:?} and gives {value:?}", field.ty);
            }
            values += all.len() as u64;
            text.clear();
            render::extracted(&extracted, context.display(field, catalogue.display(field)), &mut text);
        }
        ControlFlow::Continue(())
    };
    Replay::new().run(&mut reader, look).unwrap();
    values
}

#[test]
fn on_the_example() {
    for source in SOURCES {
        let fields = bound(source);
        assert!(fields.len() > 100, "{} fields bind", fields.len());
        assert!(ask_all(EXAMPLE.to_vec(), &fields) > 1000);
    }
}

#[test]
fn on_events_of_every_type_with_odd_parameters() {
    let fields = bound("syscall");
    let mut story = Trace::new("desk");
    let shell = story.process(Proc::new(500, "/bin/sh"));
    for (etype, def) in tables::events() {
        for fill in [&[][..], &[0xff], &[0, 0, 0], &[0xff; 8], &[1; 13]] {
            story.stored(shell.0, etype, &vec![Param::Bytes(fill); def.params.len()]);
        }
    }
    // A type that readers refuse ends nothing.
    assert!(ask_all(story.finish().unwrap(), &fields) > 1000);
}
