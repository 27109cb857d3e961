//! Events by the event table: `{by: app, prctl: {option: PR_SET_NAME, res: 0}}`.
//!
//! For what has no verb, and for parameters a verb does not offer. Values are written as they print: flags and requests
//! by their names, results as 0 or `ENOENT`, addresses as `ip:port`, tuples as `ip:port->ip:port`, processes by name.

use casebook_fixtures::{Task, Value};
use casebook_formats::event::EventType;
use casebook_formats::tables::{self, Direction, EventDef, EventFlags, EventOrigin, ParamDef, ParamType};
use casebook_rules::diagnostics::did_you_mean;
use casebook_rules::yaml::Node;

use super::verbs::parse_endpoint;
use super::{Teller, words};

/// The event type that today's recorders write for a name, or that of a `PPME_` symbol.
fn event_type(name: &str) -> Option<(EventType, &'static EventDef)> {
    if name.starts_with("PPME_") {
        return tables::events().find(|(_, def)| def.symbol == name);
    }
    let current = |def: &EventDef| !def.flags.has(EventFlags::OLD_VERSION) && !def.flags.has(EventFlags::UNUSED);
    tables::events()
        .filter(|(_, def)| def.name == name && current(def))
        .filter(|(_, def)| def.dir == Direction::Exit || def.origin != EventOrigin::Syscall)
        .last()
}

/// A value that outlives the text it was read from.
enum Owned {
    Unknown,
    Int(i64),
    Text(String),
    List(Vec<String>),
    Addr(casebook_fixtures::Endpoint),
    Pair(casebook_fixtures::Endpoint, casebook_fixtures::Endpoint),
    Unix(String),
    Variant(i64),
}

impl Owned {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Unknown => Value::Unknown,
            Self::Int(number) => Value::Int(*number),
            Self::Text(text) => Value::Text(text),
            Self::List(texts) => Value::List(texts.clone()),
            Self::Addr(end) => Value::Addr(*end),
            Self::Pair(source, destination) => Value::Pair(*source, *destination),
            Self::Unix(path) => Value::Unix(path),
            Self::Variant(number) => Value::Variant(0, Box::new(Value::Int(*number))),
        }
    }
}

impl Teller<'_> {
    /// Tells an event of the table.
    pub(super) fn table_event(&mut self, name: &str, key: &Node, value: &Node, task: Task) -> Option<()> {
        let Some((etype, def)) = event_type(name) else {
            let hint = did_you_mean(name, tables::events().map(|(_, def)| def.name));
            return self.notes.wrong_with(key.span, format!("the event table has no event `{name}`"), hint);
        };
        let mut values = Vec::new();
        for (key, value) in value.mapping().unwrap_or_default() {
            let name = self.notes.text(key)?;
            let Some(param) = def.params.iter().find(|param| param.name == name) else {
                let hint = did_you_mean(name, def.params.iter().map(|param| param.name)).unwrap_or_else(|| {
                    let names: Vec<&str> = def.params.iter().map(|param| param.name).collect();
                    format!("parameters: {}", names.join(", "))
                });
                return self.notes.wrong_with(
                    key.span,
                    format!("`{}` has no parameter `{name}`", def.name),
                    Some(hint),
                );
            };
            values.push((param.name, self.parameter(param, value)?));
        }
        let named: Vec<(&str, Value<'_>)> = values.iter().map(|(name, value)| (*name, value.value())).collect();
        self.trace.emit(task.0, etype, &named);
        Some(())
    }

    /// A value as its parameter needs it.
    fn parameter(&mut self, param: &ParamDef, node: &Node) -> Option<Owned> {
        use ParamType as P;
        if node.is_null() {
            return Some(Owned::Unknown);
        }
        if let Some(table) = param.table {
            return self.flags(node, table.name).map(|flags| Owned::Int(flags.into()));
        }
        if param.ty == P::Bytebuf && node.sequence().is_some() {
            return self.texts(node).map(Owned::List);
        }
        let text = self.text(node)?;
        let value = match param.ty {
            P::Charbuf | P::Fspath | P::Fsrelpath | P::Bytebuf => return Some(Owned::Text(text)),
            P::Fd | P::Fd32 => match text.as_str() {
                "AT_FDCWD" => Some(Owned::Int(casebook_fixtures::flags::AT_FDCWD)),
                other => words::result(other).or_else(|| self.descriptor(node)).map(Owned::Int),
            },
            P::Pid | P::Pid32 => match words::number(&text) {
                Some(number) => Some(Owned::Int(number)),
                None => self.actor(node).map(|task| Owned::Int(task.0)),
            },
            P::Sockaddr if text.starts_with('/') => Some(Owned::Unix(text.clone())),
            P::Sockaddr => parse_endpoint(&text).map(Owned::Addr),
            P::Socktuple if text.starts_with('/') => Some(Owned::Unix(text.clone())),
            P::Socktuple => text.split_once("->").and_then(|(source, destination)| {
                let (source, destination) = (parse_endpoint(source)?, parse_endpoint(destination)?);
                (source.ip.is_ipv4() == destination.ip.is_ipv4()).then_some(Owned::Pair(source, destination))
            }),
            P::Dyn => words::number(&text).map(Owned::Variant),
            _ if param.ty.width().is_some() => words::result(&text).map(Owned::Int),
            _ => None,
        };
        value.or_else(|| self.notes.wrong(node.span, format!("`{text}` does not fit the parameter `{}`", param.name)))
    }
}
