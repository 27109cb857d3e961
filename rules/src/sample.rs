//! A small schema and events for unit tests: one field of every kind.

use std::collections::BTreeMap;

use crate::event::{EventFields, Extracted};
use crate::schema::{
    ArgSpec, ArgText, BindError, Display, FieldArg, FieldDef, FieldRef, FieldType, Multiplicity, Schema,
};
use crate::value::Value;

/// The only source.
pub(crate) const SOURCE: &str = "syscall";

/// Names of the event types, by number.
const EVENTS: [&str; 6] = ["open", "openat", "close", "execve", "asyncevent", "open"];

/// Fields by number.
pub(crate) struct Sample(Vec<FieldDef>);

impl Sample {
    pub(crate) fn new() -> Self {
        let arg = |required, index, key, dotted| ArgSpec { required, index, key, dotted };
        let none = ArgSpec::NONE;
        let level = arg(false, true, false, false);
        let rows = [
            ("evt.num", FieldType::Uint64, none, Multiplicity::One),
            ("evt.type", FieldType::Text, none, Multiplicity::One),
            ("evt.dir", FieldType::Text, none, Multiplicity::One),
            ("evt.arg", FieldType::Text, arg(true, true, false, true), Multiplicity::One),
            ("evt.buffer", FieldType::Bytes, none, Multiplicity::One),
            ("evt.around", FieldType::Uint64, arg(true, true, false, false), Multiplicity::One),
            ("evt.is_io", FieldType::Bool, none, Multiplicity::One),
            ("proc.name", FieldType::Text, none, Multiplicity::One),
            ("proc.pname", FieldType::Text, none, Multiplicity::One),
            ("proc.pid", FieldType::Int64, none, Multiplicity::One),
            ("proc.aname", FieldType::Text, level, Multiplicity::Ancestors),
            ("proc.apid", FieldType::Int64, level, Multiplicity::Ancestors),
            ("proc.env", FieldType::Text, arg(false, false, true, false), Multiplicity::One),
            ("thread.cpu", FieldType::Double, none, Multiplicity::One),
            ("user.uid", FieldType::Uint32, none, Multiplicity::One),
            ("fd.name", FieldType::Text, none, Multiplicity::One),
            ("fd.dev", FieldType::Int32, none, Multiplicity::One),
            ("fd.types", FieldType::Text, level, Multiplicity::List),
            ("fd.sip", FieldType::IpAddr, none, Multiplicity::One),
            ("fd.snet", FieldType::IpNet, none, Multiplicity::One),
            ("fd.sport", FieldType::Port, none, Multiplicity::One),
            ("fd.ip", FieldType::IpAddr, none, Multiplicity::TwoEnds),
            ("fd.net", FieldType::IpNet, none, Multiplicity::TwoEnds),
            ("fd.port", FieldType::Port, none, Multiplicity::TwoEnds),
            ("ka.verb", FieldType::Text, none, Multiplicity::One),
        ];
        let def = |(name, ty, arg, multiplicity)| {
            let several = matches!(multiplicity, Multiplicity::Ancestors | Multiplicity::TwoEnds);
            FieldDef {
                name,
                ty,
                arg,
                multiplicity,
                display: if name == "fd.dev" { Display::Hex } else { Display::Plain },
                filter_only: multiplicity == Multiplicity::TwoEnds || ty == FieldType::IpNet,
                no_rhs: several || multiplicity == Multiplicity::List,
                no_transformer: several,
                deprecated: name == "evt.dir",
                plugin: name.starts_with("ka."),
            }
        };
        Self(rows.into_iter().map(def).collect())
    }
}

impl Schema for Sample {
    fn sources(&self) -> Vec<&str> {
        vec![SOURCE]
    }

    fn fields(&self, _: &str) -> Box<dyn Iterator<Item = (u16, &FieldDef)> + '_> {
        Box::new(self.0.iter().enumerate().map(|(id, def)| (id as u16, def)))
    }

    fn field(&self, source: &str, name: &str) -> Option<(u16, &FieldDef)> {
        self.fields(source).find(|(_, def)| def.name == name && source == SOURCE)
    }

    fn bind(&self, _: &str, id: u16, arg: ArgText<'_>) -> Result<FieldRef, BindError> {
        let def = self.0.get(usize::from(id)).ok_or(BindError::Unknown)?;
        let arg = match arg {
            ArgText::None if def.arg.required => return Err(BindError::Argument("an argument is missing".to_owned())),
            ArgText::None => FieldArg::None,
            ArgText::Bracketed(text) if def.arg.index => match text.parse() {
                Ok(index) => FieldArg::Index(index),
                Err(_) => return Err(BindError::Argument("the argument is no number".to_owned())),
            },
            ArgText::Bracketed(text) if def.arg.key => FieldArg::Key(text.into(), 0),
            ArgText::Dotted(text) if matches!(text, "flags" | "name") => FieldArg::Key(text.into(), 1),
            ArgText::Bracketed(_) | ArgText::Dotted(_) => return Err(BindError::Unknown),
        };
        Ok(FieldRef { id, ty: def.ty, arg })
    }

    fn display(&self, field: &FieldRef) -> Display {
        self.0.get(usize::from(field.id)).map_or(Display::Plain, |def| def.display)
    }

    fn event_type_count(&self) -> usize {
        EVENTS.len()
    }

    fn event_types_named(&self, name: &str) -> Vec<u16> {
        let named = EVENTS.iter().enumerate().filter(|(_, event)| **event == name);
        named.map(|(ty, _)| ty as u16).collect()
    }

    fn syscall_types_named(&self, name: &str) -> Vec<u16> {
        self.event_types_named(name)
    }

    fn async_event_types(&self) -> Vec<u16> {
        vec![4]
    }

    fn all_event_types(&self) -> Vec<u16> {
        (0..EVENTS.len() as u16).collect()
    }
}

/// Values by the name of the field, argument and all.
#[derive(Default)]
pub(crate) struct Event {
    schema: Option<Sample>,
    values: BTreeMap<&'static str, Extracted<'static>>,
    /// How often a field was asked for.
    pub(crate) asked: std::cell::Cell<u32>,
}

impl Event {
    pub(crate) fn new() -> Self {
        Self { schema: Some(Sample::new()), ..Self::default() }
    }

    pub(crate) fn with(mut self, name: &'static str, value: Value<'static>) -> Self {
        self.values.insert(name, Extracted::One(value));
        self
    }

    pub(crate) fn text(self, name: &'static str, text: &'static str) -> Self {
        self.with(name, Value::text(text.as_bytes()))
    }

    pub(crate) fn many<const N: usize>(mut self, name: &'static str, values: [Value<'static>; N]) -> Self {
        self.values.insert(name, Extracted::Many(values.into_iter().collect()));
        self
    }
}

impl EventFields for Event {
    fn extract<'e>(&'e self, field: &FieldRef) -> Extracted<'e> {
        self.asked.set(self.asked.get() + 1);
        let Some(def) = self.schema.as_ref().and_then(|schema| schema.0.get(usize::from(field.id))) else {
            return Extracted::Absent;
        };
        let key = match &field.arg {
            FieldArg::None => def.name.to_owned(),
            FieldArg::Index(index) => format!("{}[{index}]", def.name),
            FieldArg::Key(key, 1) => format!("{}.{key}", def.name),
            FieldArg::Key(key, _) => format!("{}[{key}]", def.name),
        };
        match self.values.iter().find(|(name, _)| **name == key) {
            Some((_, Extracted::One(value))) => Extracted::One(value.clone()),
            Some((_, Extracted::Many(values))) => Extracted::Many(values.iter().cloned().collect()),
            Some((_, Extracted::Absent)) | None => Extracted::Absent,
        }
    }
}
