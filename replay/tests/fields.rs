//! Every field of the catalogue with every form of argument that it takes, on every event of the example and on events
//! whose parameters are cut short or absurd: a value is of the type that the table says, prints, and nothing panics.
//! Values follow from the facts that are told of them, also on the corpora (`CASEBOOK_CORPORA`).

#![allow(clippy::unwrap_used)] // a story that cannot be told or read is a mistake of the test

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Cursor;
use std::ops::ControlFlow;
use std::path::PathBuf;

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

/// Values by event type, field and facts: two events with the same facts have the same value. How many came again.
fn values_follow(reader: &mut CaptureReader, fields: &BTreeMap<String, FieldRef>) -> u64 {
    let mut known: HashMap<(u16, &str, String), String> = HashMap::new();
    let mut again = 0;
    let look = |context: &EventContext<'_>| {
        for (name, field) in fields {
            let Some(wanted) = context.follows_from(field) else { continue };
            let Some(facts) = context.facts(wanted) else { continue };
            let value = format!("{:?}", context.extract(field));
            match known.entry((context.event.etype.0, name, format!("{facts:?}"))) {
                Entry::Vacant(place) => drop(place.insert(value)),
                Entry::Occupied(before) => {
                    assert_eq!(*before.get(), value, "{name} on event {}: {facts:?}", context.event.num);
                    again += 1;
                }
            }
        }
        ControlFlow::Continue(())
    };
    Replay::new().run(reader, look).unwrap();
    again
}

#[test]
fn values_follow_from_their_facts() {
    let fields = bound("syscall");
    let mut example = CaptureReader::from_reader(Box::new(Cursor::new(EXAMPLE)), "example").unwrap();
    assert!(values_follow(&mut example, &fields) > 100);
    let mut odd = CaptureReader::from_reader(Box::new(Cursor::new(odd_events())), "story").unwrap();
    assert!(values_follow(&mut odd, &fields) > 100);
    let Some(corpora) = std::env::var_os("CASEBOOK_CORPORA").map(PathBuf::from) else {
        println!("skipped the corpora: CASEBOOK_CORPORA is not set");
        return;
    };
    for folder in fs::read_dir(corpora.join("captures")).unwrap() {
        for file in fs::read_dir(folder.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "scap") {
                values_follow(&mut CaptureReader::open(&path).unwrap(), &fields);
            }
        }
    }
}

#[test]
fn on_events_of_every_type_with_odd_parameters() {
    // A type that readers refuse ends nothing.
    assert!(ask_all(odd_events(), &bound("syscall")) > 1000);
}

fn odd_events() -> Vec<u8> {
    let mut story = Trace::new("desk");
    let shell = story.process(Proc::new(500, "/bin/sh"));
    for (etype, def) in tables::events() {
        for fill in [&[][..], &[0xff], &[0, 0, 0], &[0xff; 8], &[1; 13]] {
            story.stored(shell.0, etype, &vec![Param::Bytes(fill); def.params.len()]);
        }
    }
    story.finish().unwrap()
}
