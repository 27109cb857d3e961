//! A schema and an event made for the cases: fields from the reference's table beside the case files, values from the
//! map of a case. All sources' fields are there at once, because cases mix them.

use std::collections::BTreeMap;
use std::path::Path;

use casebook_rules::event::{EventFields, Extracted};
use casebook_rules::schema::{
    ArgSpec, ArgText, BindError, Display, FieldArg, FieldDef, FieldRef, FieldType, Multiplicity, Schema,
};
use casebook_rules::value::Value;
use serde_json::Value as Json;

/// The one source of this schema.
pub(crate) const SOURCE: &str = "syscall";

/// Number of a key that was written after a dot.
const DOTTED: u32 = 1;

/// Fields and event types as the reference lists them.
pub(crate) struct Table {
    fields: Vec<FieldDef>,
    /// Event names by type, and whether it is a syscall.
    events: Vec<(String, bool)>,
    /// Encoding and print format of parameters by name.
    params: BTreeMap<String, (FieldType, Display)>,
}

fn rows(path: &Path) -> Vec<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap().trim_start_matches('#').split('\t').collect();
    let row = |line: &str| header.iter().map(ToString::to_string).zip(line.split('\t').map(str::to_owned)).collect();
    lines.map(row).collect()
}

impl Table {
    /// Reads the tables in a directory.
    pub(crate) fn read(dir: &Path) -> Self {
        let fields = rows(&dir.join("fields.tsv")).iter().map(field).collect();
        let mut events = Vec::new();
        let mut params = BTreeMap::new();
        for row in rows(&dir.join("scap-events.tsv")) {
            events.push((row["name"].clone(), row["category"].contains("EC_SYSCALL")));
            for param in row["params"].split(';').filter(|param| param.contains(':')) {
                let parts: Vec<&str> = param.split(':').collect();
                let display = match parts.get(2) {
                    Some(&"PF_HEX") => Display::Hex,
                    Some(&"PF_OCT") => Display::Octal,
                    _ => Display::Plain,
                };
                params.entry(parts[0].to_owned()).or_insert((param_type(parts[1]), display));
            }
        }
        Self { fields, events, params }
    }
}

fn field(row: &BTreeMap<String, String>) -> FieldDef {
    let name = row["name"].clone().leak();
    let has = |note: &str| row["notes"].split(',').any(|n| n == note);
    let argument = &row["argument"];
    let multiplicity = match &*name {
        _ if has("list") => Multiplicity::List,
        "fd.ip" | "fd.port" | "fd.net" | "fd.proto" => Multiplicity::TwoEnds,
        "proc.aname" | "proc.apid" | "proc.aexe" | "proc.aexepath" | "proc.acmdline" | "proc.aenv" => {
            Multiplicity::Ancestors
        }
        _ => Multiplicity::One,
    };
    FieldDef {
        name,
        ty: type_named(&row["type"]),
        arg: ArgSpec {
            required: argument.starts_with("required"),
            index: ["[n]", "[level]", "[index]", "[fd]", "[timestamp_ns]"].iter().any(|form| argument.contains(form)),
            key: ["[key]", "[NAME]", "[pointer]"].iter().any(|form| argument.contains(form)),
            dotted: argument.contains(":.") || argument.contains(" ."),
        },
        multiplicity,
        display: if has("hex") {
            Display::Hex
        } else if has("pad9") {
            Display::Pad9
        } else {
            Display::Plain
        },
        filter_only: has("filter_only"),
        no_rhs: has("no_rhs"),
        no_transformer: has("no_transformer"),
        deprecated: has("deprecated"),
        plugin: row["provider"] != "core" && row["provider"] != "container",
    }
}

fn type_named(name: &str) -> FieldType {
    match name {
        "string" => FieldType::Text,
        "bytes" => FieldType::Bytes,
        "int16" => FieldType::Int16,
        "int32" => FieldType::Int32,
        "int64" => FieldType::Int64,
        "uint32" => FieldType::Uint32,
        "uint64" => FieldType::Uint64,
        "double" => FieldType::Double,
        "reltime" => FieldType::Reltime,
        "abstime" => FieldType::Abstime,
        "bool" => FieldType::Bool,
        "port" => FieldType::Port,
        "ipaddr" => FieldType::IpAddr,
        "ipnet" => FieldType::IpNet,
        "dyn" => FieldType::Dyn,
        other => panic!("unknown type {other} in fields.tsv"),
    }
}

fn param_type(name: &str) -> FieldType {
    match name {
        "PT_FLAGS32" | "PT_ENUMFLAGS32" => FieldType::Flags32,
        "PT_ERRNO" => FieldType::Errno,
        "PT_FD" => FieldType::Fd,
        "PT_INT64" => FieldType::Int64,
        "PT_UINT32" => FieldType::Uint32,
        "PT_UINT64" => FieldType::Uint64,
        "PT_BYTEBUF" => FieldType::Bytes,
        _ => FieldType::Text,
    }
}

impl Schema for Table {
    fn sources(&self) -> Vec<&str> {
        vec![SOURCE]
    }

    fn fields(&self, _: &str) -> Box<dyn Iterator<Item = (u16, &FieldDef)> + '_> {
        Box::new(self.fields.iter().enumerate().map(|(id, def)| (id as u16, def)))
    }

    fn field(&self, source: &str, name: &str) -> Option<(u16, &FieldDef)> {
        self.fields(source).find(|(_, def)| def.name == name)
    }

    fn bind(&self, _: &str, id: u16, arg: ArgText<'_>) -> Result<FieldRef, BindError> {
        let def = &self.fields[usize::from(id)];
        let wrong = |why: &str| Err(BindError::Argument(why.to_owned()));
        let mut ty = def.ty;
        let arg = match arg {
            ArgText::None if def.arg.required => return wrong("an argument is missing"),
            ArgText::None => FieldArg::None,
            ArgText::Bracketed(text) if def.arg.index && text.parse::<u64>().is_ok() => {
                FieldArg::Index(text.parse().unwrap())
            }
            ArgText::Bracketed(text) if def.arg.key => FieldArg::Key(text.into(), 0),
            ArgText::Bracketed(_) => return if def.plugin { wrong("no argument") } else { Err(BindError::Unknown) },
            ArgText::Dotted(name) => {
                let known = match def.name {
                    "evt.arg" | "evt.rawarg" => self.params.contains_key(name),
                    "evt.type.is" => self.events.iter().any(|(event, _)| event == name),
                    _ => true,
                };
                if !known {
                    return Err(BindError::Unknown);
                }
                if ty == FieldType::Dyn {
                    ty = self.params[name].0;
                }
                FieldArg::Key(name.into(), DOTTED)
            }
        };
        Ok(FieldRef { id, ty, arg })
    }

    fn display(&self, field: &FieldRef) -> Display {
        match (&field.arg, self.fields[usize::from(field.id)].name) {
            (FieldArg::Key(name, DOTTED), "evt.rawarg") => self.params[&**name].1,
            _ => self.fields[usize::from(field.id)].display,
        }
    }

    fn event_type_count(&self) -> usize {
        self.events.len()
    }

    fn event_types_named(&self, name: &str) -> Vec<u16> {
        let named = self.events.iter().enumerate().filter(|(_, (event, _))| event == name);
        named.map(|(id, _)| id as u16).collect()
    }

    fn syscall_types_named(&self, name: &str) -> Vec<u16> {
        let mut types = self.event_types_named(name);
        types.retain(|id| self.events[usize::from(*id)].1);
        types
    }

    fn async_event_types(&self) -> Vec<u16> {
        self.event_types_named("asyncevent")
    }

    fn all_event_types(&self) -> Vec<u16> {
        (0..self.events.len() as u16).collect()
    }
}

/// An event of a case.
pub(crate) struct Event<'c> {
    pub(crate) table: &'c Table,
    pub(crate) values: &'c Json,
}

impl Event<'_> {
    fn one(&self, name: &str, ty: FieldType) -> Option<Value<'_>> {
        value(self.values.get(name)?, ty)
    }

    fn ends(&self, client: &str, server: &str, ty: FieldType) -> Extracted<'_> {
        let ends: Vec<_> = [client, server].iter().filter_map(|end| self.one(end, ty)).collect();
        if ends.is_empty() { Extracted::Absent } else { Extracted::Many(ends.into()) }
    }
}

impl EventFields for Event<'_> {
    fn extract<'e>(&'e self, field: &FieldRef) -> Extracted<'e> {
        let def = &self.table.fields[usize::from(field.id)];
        match (def.multiplicity, def.name, &field.arg) {
            (Multiplicity::TwoEnds, "fd.ip" | "fd.net", _) => return self.ends("fd.cip", "fd.sip", field.ty),
            (Multiplicity::TwoEnds, ..) => return self.ends("fd.cport", "fd.sport", field.ty),
            (Multiplicity::Ancestors, name, FieldArg::None) => {
                let all: Vec<_> = (1..).map_while(|level| self.one(&format!("{name}[{level}]"), field.ty)).collect();
                return if all.is_empty() { Extracted::Absent } else { Extracted::Many(all.into()) };
            }
            _ => {}
        }
        let key = match &field.arg {
            FieldArg::None => def.name.to_owned(),
            FieldArg::Index(index) => format!("{}[{index}]", def.name),
            FieldArg::Key(name, DOTTED) => format!("{}.{name}", def.name),
            FieldArg::Key(key, _) => format!("{}[{key}]", def.name),
        };
        match self.values.get(&key) {
            None | Some(Json::Null) => Extracted::Absent,
            Some(Json::Array(list)) => Extracted::Many(list.iter().map(|one| value(one, field.ty).unwrap()).collect()),
            Some(one) => value(one, field.ty).map_or(Extracted::Absent, Extracted::One),
        }
    }
}

fn value(json: &Json, ty: FieldType) -> Option<Value<'_>> {
    Some(match json {
        Json::Null => return None,
        Json::String(text) => match ty {
            FieldType::IpAddr | FieldType::IpNet => Value::Ip(text.parse().unwrap()),
            FieldType::Bytes => Value::Bytes(text.as_bytes().into()),
            _ => Value::text(text.as_bytes()),
        },
        Json::Object(object) => {
            let hex = object["hex"].as_str().unwrap();
            let byte = |i: usize| u8::from_str_radix(&hex[i..i + 2], 16).unwrap();
            Value::Bytes((0..hex.len()).step_by(2).map(byte).collect::<Vec<_>>().into())
        }
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Number(number) if ty == FieldType::Double => Value::Double(number.as_f64().unwrap()),
        Json::Number(number) => match number.as_u64() {
            Some(number) => Value::U64(number),
            None => Value::I64(number.as_i64().unwrap()),
        },
        Json::Array(_) => panic!("a list inside a list"),
    })
}
