// Tests may stop at the first surprise.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::json;

use super::{Format, deprecated_fields};
use crate::compile::CompileErrorKind as Kind;
use crate::sample::{Event, SOURCE, Sample};
use crate::value::Value;

fn format(text: &str) -> Format {
    Format::parse(text, SOURCE, &Sample::new()).unwrap_or_else(|errors| panic!("{text}: {errors:?}"))
}

fn event() -> Event {
    Event::new()
        .text("proc.name", "nginx")
        .with("proc.pid", Value::I64(7))
        .with("fd.dev", Value::I64(255))
        .text("proc.aname[0]", "self")
        .text("proc.aname[2]", "sshd")
        .text("evt.arg.flags", "O_RDONLY")
        .many("fd.types", [Value::text(b"file"), Value::text(b"ipv4")])
        .many("fd.ip", [Value::Ip("10.0.0.1".parse().unwrap())])
}

fn text(output: &str) -> Option<String> {
    let rendered = format(output).render(&event());
    rendered.complete.then(|| String::from_utf8(rendered.text).unwrap())
}

#[test]
fn the_longest_known_field_is_taken() {
    for (output, expected) in [
        ("%proc.names", "nginxs"),
        ("%proc.name.x", "nginx.x"),
        ("%proc.name[1]", "nginx[1]"),
        ("%proc.aname[2]x", "sshdx"),
        ("%proc.aname[2", "self[2"),
        ("%evt.arg.flagsx", "O_RDONLYx"),
        ("%toupper(proc.name)[x]", "NGINX[x]"),
        ("%toupper(proc.name) (x)", "NGINX (x)"),
        ("%tolower(toupper(proc.name))!", "nginx!"),
        ("%fd.types %fd.dev", "(file,ipv4) FF"),
        ("%toupper(fd.types)", "(FILE,IPV4)"),
        ("%join(\",\", fd.types)", "file,ipv4"),
        ("%3proc.name|%7proc.name|", "ngi|nginx  |"),
        ("é%proc.nameé", "énginxé"),
    ] {
        assert_eq!(text(output).as_deref(), Some(expected), "{output}");
    }
}

#[test]
fn what_cannot_be_printed_is_missing() {
    for output in ["%fd.name", "%fd.ip", "%len(proc.name)", "%toupper(fd.name)"] {
        assert_eq!(text(output), None, "{output}");
        assert_eq!(text(&format!("*{output}|")).as_deref(), Some("<NA>|"), "{output}");
        assert!(format(output).lenient().render(&event()).complete);
    }
}

#[test]
fn fields_of_calls_are_listed_and_calls_are_not() {
    let rendered =
        format("*%proc.name %toupper(proc.name) %join(\"\", (proc.pid, fd.name)) %fd.types %fd.dev").render(&event());
    let expected = [
        ("proc.name", json!("nginx")),
        ("proc.pid", json!(7)),
        ("fd.name", json!(null)),
        ("fd.types", json!(["file", "ipv4"])),
        ("fd.dev", json!("FF")),
    ];
    assert_eq!(rendered.fields, expected.map(|(name, value)| (name.to_owned(), value)));
    let format = format("%proc.aname[2] %evt.arg.flags");
    let names: Vec<&str> = format.fields().map(|(name, _)| name).collect();
    assert_eq!(names, ["proc.aname[2]", "evt.arg.flags"]);
}

#[test]
fn every_mistake_is_shown_in_place() {
    let output = "100% of %proc.nmae and %proc.name and %toupper(proc.pid) %";
    let errors = Format::parse(output, SOURCE, &Sample::new()).unwrap_err();
    let found: Vec<_> = errors.iter().map(|error| (error.span.slice(output).unwrap(), error.kind)).collect();
    let expected =
        [("%", Kind::Syntax), ("proc.nmae", Kind::UnknownField), ("proc.pid", Kind::BadCall), ("%", Kind::Syntax)];
    assert_eq!(found, expected);
    assert_eq!(errors[1].hint.as_deref(), Some("did you mean `proc.name`?"));
    assert!(Format::parse("", SOURCE, &Sample::new()).is_err());
    assert!(Format::parse("%99999999proc.name", SOURCE, &Sample::new()).is_err());
}

#[test]
fn deprecated_names_count_as_words() {
    assert_eq!(deprecated_fields("the word evt.dir"), ["evt.dir"]);
    assert_eq!(deprecated_fields("%evt.latency.ns"), ["evt.latency", "evt.latency.ns"]);
    assert_eq!(deprecated_fields("%evt.time"), [""; 0]);
}

#[test]
fn hostile_outputs_end_soon() {
    for piece in ["%", "%a", "%proc.name[\"", "%tolower(\"", "%tolower(", "%tolower(proc.name)"] {
        let _ = Format::parse(&piece.repeat(5_000), SOURCE, &Sample::new());
    }
}

proptest! {
    #[test]
    fn any_output_is_survived(output in "[%a-z.0-9()\\[\\]\" ,é*]{0,60}") {
        if let Ok(format) = Format::parse(&output, SOURCE, &Sample::new()) {
            let _ = format.render(&event());
        }
    }
}
