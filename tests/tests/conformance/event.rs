//! Events of the conformance cases: field values by name instead of a capture.
//!
//! Names are bound through the real field catalogue, so a case also tests that the catalogue knows the field, its
//! argument and its type.

use std::collections::HashMap;
use std::net::IpAddr;

use casebook_replay::fields::Catalogue;
use casebook_rules::event::{EventFields, Extracted};
use casebook_rules::schema::{
    ArgText, BindError, Display, FieldArg, FieldDef, FieldRef, FieldType, Multiplicity, Schema,
};
use casebook_rules::value::Value;
use foldhash::fast::FixedState;
use serde_json::Value as Json;

/// The real catalogue without the walls between sources: some cases use fields of two of them at once.
#[derive(Clone, Copy, Default)]
pub(crate) struct EverySource(Catalogue);

const SOURCES: [&str; 2] = ["syscall", "k8s_audit"];

impl EverySource {
    /// Binds a field as written, argument and all.
    pub(crate) fn parse(self, text: &str) -> Result<FieldRef, BindError> {
        let [first, second] = SOURCES;
        self.0.parse(first, text).or_else(|_| self.0.parse(second, text))
    }

    fn source_of(self, id: u16) -> &'static str {
        let known = |source: &&&str| self.0.fields(source).any(|(other, _)| other == id);
        SOURCES.iter().find(known).unwrap_or(&SOURCES[0])
    }
}

impl Schema for EverySource {
    fn sources(&self) -> Vec<&str> {
        self.0.sources()
    }

    fn fields(&self, _: &str) -> Box<dyn Iterator<Item = (u16, &FieldDef)> + '_> {
        let mut all: Vec<_> = SOURCES.iter().flat_map(|source| self.0.fields(source)).collect();
        all.sort_by_key(|(id, _)| *id);
        all.dedup_by_key(|(id, _)| *id);
        Box::new(all.into_iter())
    }

    fn field(&self, _: &str, name: &str) -> Option<(u16, &FieldDef)> {
        SOURCES.iter().find_map(|source| self.0.field(source, name))
    }

    fn bind(&self, _: &str, id: u16, arg: ArgText<'_>) -> Result<FieldRef, BindError> {
        self.0.bind(self.source_of(id), id, arg)
    }

    fn display(&self, field: &FieldRef) -> Display {
        self.0.display(field)
    }

    fn event_type_count(&self) -> usize {
        self.0.event_type_count()
    }

    fn event_types_named(&self, name: &str) -> Vec<u16> {
        self.0.event_types_named(name)
    }

    fn syscall_types_named(&self, name: &str) -> Vec<u16> {
        self.0.syscall_types_named(name)
    }

    fn async_event_types(&self) -> Vec<u16> {
        self.0.async_event_types()
    }

    fn all_event_types(&self) -> Vec<u16> {
        self.0.all_event_types()
    }
}

/// An event of a case.
#[derive(Debug, Default)]
pub(crate) struct CaseEvent {
    values: HashMap<FieldRef, Extracted<'static>, FixedState>,
}

/// Fields that look at both ends of a connection, and the fields of the two ends.
const TWO_ENDS: [[&str; 3]; 4] = [
    ["fd.ip", "fd.cip", "fd.sip"],
    ["fd.port", "fd.cport", "fd.sport"],
    ["fd.net", "fd.cip", "fd.sip"],
    ["fd.proto", "fd.cport", "fd.sport"],
];

impl CaseEvent {
    /// Reads the `event` object of a case.
    pub(crate) fn read(event: &Json) -> Result<Self, String> {
        let schema = EverySource::default();
        let mut read = Self::default();
        let fields = event.as_object().ok_or("event is not an object")?;
        for (name, json) in fields {
            let field = schema.parse(name).map_err(|error| format!("{name}: {error}"))?;
            let value = extracted(json, field.ty).ok_or_else(|| format!("{name}: unexpected value {json}"))?;
            if value != Extracted::Absent {
                read.values.insert(field, value);
            }
        }
        read.derive(schema)?;
        Ok(read)
    }

    /// Fields whose value follows from others: ancestors without index, and both ends of a connection.
    fn derive(&mut self, schema: EverySource) -> Result<(), String> {
        let ancestors: Vec<(u16, FieldType)> = schema
            .fields("")
            .filter(|(_, def)| def.multiplicity == Multiplicity::Ancestors)
            .map(|(id, def)| (id, def.ty))
            .collect();
        for (id, ty) in ancestors {
            let at = |index| FieldRef { id, ty, arg: FieldArg::Index(index) };
            let line: Vec<_> = (1..).map_while(|index| self.one(&at(index))).collect();
            self.many(FieldRef { id, ty, arg: FieldArg::None }, line);
        }
        for [both, client, server] in TWO_ENDS {
            let [both, client, server] = [both, client, server].map(|name| schema.parse(name));
            let error = |error: BindError| error.to_string();
            let ends = [self.one(&client.map_err(error)?), self.one(&server.map_err(error)?)];
            self.many(both.map_err(error)?, ends.into_iter().flatten().collect());
        }
        Ok(())
    }

    fn one(&self, field: &FieldRef) -> Option<Value<'static>> {
        match self.values.get(field)? {
            Extracted::One(value) => Some(value.clone()),
            _ => None,
        }
    }

    fn many(&mut self, field: FieldRef, values: Vec<Value<'static>>) {
        if !values.is_empty() {
            self.values.insert(field, Extracted::Many(values.into_iter().collect()));
        }
    }
}

impl EventFields for CaseEvent {
    fn extract<'e>(&'e self, field: &FieldRef) -> Extracted<'e> {
        match self.values.get(field) {
            None | Some(Extracted::Absent) => Extracted::Absent,
            Some(Extracted::One(value)) => Extracted::One(value.clone()),
            Some(Extracted::Many(values)) => Extracted::Many(values.iter().cloned().collect()),
        }
    }
}

fn extracted(json: &Json, ty: FieldType) -> Option<Extracted<'static>> {
    Some(match json {
        Json::Null => Extracted::Absent,
        Json::Array(items) if items.is_empty() => Extracted::Absent,
        Json::Array(items) => Extracted::Many(items.iter().map(|item| value(item, ty)).collect::<Option<_>>()?),
        one => Extracted::One(value(one, ty)?),
    })
}

fn value(json: &Json, ty: FieldType) -> Option<Value<'static>> {
    let bytes = || match json {
        Json::String(text) => Some(text.clone().into_bytes()),
        Json::Object(object) => unhex(object.get("hex")?.as_str()?),
        _ => None,
    };
    Some(match ty {
        FieldType::Text => Value::owned(bytes()?),
        FieldType::Bytes => Value::Bytes(bytes()?.into()),
        FieldType::Bool => Value::Bool(json.as_bool()?),
        FieldType::Double => Value::Double(json.as_f64()?),
        FieldType::IpAddr | FieldType::IpNet => Value::Ip(json.as_str()?.parse::<IpAddr>().ok()?),
        _ => match (json.as_u64(), json.as_i64()) {
            (_, Some(number)) if signed(ty) => Value::I64(number),
            (Some(number), _) => Value::U64(number),
            // -1 of an unsigned field is its largest value, as in the kernel.
            (None, Some(number)) => Value::U64(match ty {
                FieldType::Uint32 | FieldType::Uid | FieldType::Gid => u64::from(number as u32),
                _ => number as u64,
            }),
            (None, None) => return None,
        },
    })
}

fn signed(ty: FieldType) -> bool {
    use FieldType::{Errno, Fd, Int8, Int16, Int32, Int64, Pid};
    matches!(ty, Int8 | Int16 | Int32 | Int64 | Fd | Pid | Errno)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
