//! Outputs: texts with `%field` in them, compiled once and rendered per alert.
//!
//! After a `%` stands the longest text that is a known field or call, so `%proc.nameX` is `%proc.name` and an `X`. A
//! number before it is a width. There is no escape: a `%` that begins no field is an error. A leading `*` makes absent
//! values print as `<NA>`; without it one absent value leaves the whole text without a result.

use serde_json::Value as Json;

use crate::ast::{Field, Operand, Span};
use crate::compile::{CompileError, CompileErrorKind, DEPRECATED_FIELDS};
use crate::condition;
use crate::event::{EventFields, Extracted};
use crate::operand::Source;
use crate::print;
use crate::render;
use crate::schema::{Display, FieldArg, FieldRef, FieldType, Multiplicity, Schema};
use crate::typing::{self, Typed};
use crate::value::Value;

/// Largest width: Falco has none, and would let a rule file ask for gigabytes.
pub const MAX_WIDTH: usize = 65_535;

/// Bytes after which Falco cuts the text of a list or of bytes.
const MAX_LONG_TEXT: usize = 1023;

/// Bytes looked at behind a `%`, of a name, and parentheses tried: what lies beyond is no field.
const MAX_TOKEN: usize = 4096;
const MAX_NAME: usize = 256;
const MAX_PARENTHESES: usize = 64;

/// A compiled output.
#[derive(Clone, Debug)]
pub struct Format {
    /// Absent values print as `<NA>` and nothing fails.
    lenient: bool,
    pieces: Vec<Piece>,
    fields: Vec<Named>,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(Box<str>),
    Value { width: usize, value: Printed },
}

/// A field named in the text, also inside calls: what JSON alerts list.
#[derive(Clone, Debug)]
struct Named {
    name: String,
    field: FieldRef,
    value: Printed,
}

#[derive(Clone, Debug)]
struct Printed {
    source: Source,
    list: bool,
    display: Display,
    /// It never prints: comparisons only, or a number made from a text field.
    never: bool,
}

/// What an output gives on an event.
#[derive(Clone, PartialEq, Debug)]
pub struct Rendered {
    /// False when a value is absent and the format does not start with `*`. Then the rest is not to be used.
    pub complete: bool,
    /// The text, not escaped: captures decide what it contains.
    pub text: Vec<u8>,
    /// Every field named, in the order of the text, each once; `null` when absent.
    pub fields: Vec<(String, Json)>,
}

impl Format {
    /// Compiles an output for a source.
    ///
    /// # Errors
    /// Every `%` that begins no field. Spans point into `text`.
    pub fn parse(text: &str, source: &str, schema: &dyn Schema) -> Result<Self, Vec<CompileError>> {
        let (lenient, start) = if text.starts_with('*') { (true, 1) } else { (false, 0) };
        let mut format = Self { lenient, pieces: Vec::new(), fields: Vec::new() };
        let mut errors = Vec::new();
        if text.is_empty() {
            errors.push(error(0, 0, CompileErrorKind::Syntax, "the output is empty".to_owned()));
        }
        let mut at = start;
        let mut literal = start;
        while let Some(percent) = text[at..].find('%').map(|offset| at + offset) {
            match token(text, percent, source, schema) {
                Ok((width, operand, typed, end)) => {
                    format.literal(&text[literal..percent]);
                    format.name_fields(&operand, source, schema);
                    format.pieces.push(Piece::Value { width, value: Printed::new(typed) });
                    (at, literal) = (end, end);
                }
                Err(error) => {
                    errors.push(error);
                    at = percent + 1;
                }
            }
        }
        format.literal(&text[literal..]);
        if errors.is_empty() { Ok(format) } else { Err(errors) }
    }

    /// The fields named, also inside calls, each once.
    pub(crate) fn named_fields(&self) -> impl Iterator<Item = (&str, &FieldRef)> {
        self.fields.iter().map(|named| (&*named.name, &named.field))
    }

    fn literal(&mut self, text: &str) {
        if !text.is_empty() {
            self.pieces.push(Piece::Text(text.into()));
        }
    }

    /// Notes the fields of an operand under the names they have in alerts.
    fn name_fields(&mut self, operand: &Operand, source: &str, schema: &dyn Schema) {
        let mut note = |field: &Field| {
            let name = print::field(field);
            if let Ok(typed) = typing::typed_field(schema, source, field)
                && let Source::Field(bound) = typed.source.clone()
                && self.fields.iter().all(|known| known.name != name)
            {
                self.fields.push(Named { name, field: bound, value: Printed::new(typed) });
            }
        };
        match operand {
            Operand::Field(field) => note(field),
            Operand::Call(call) => typing::call_fields(call, &mut note),
        }
    }

    /// The same format with absent values printed as `<NA>`: alerts always use this form.
    #[must_use]
    pub fn lenient(mut self) -> Self {
        self.lenient = true;
        self
    }

    /// The fields named, by their names in alerts, in the order of the text, each once.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &FieldRef)> {
        self.fields.iter().map(|named| (named.name.as_str(), &named.field))
    }

    /// Appends the text to `into`; false when a value is absent and the format does not start with `*`.
    pub fn render_text<E: EventFields + ?Sized>(&self, event: &E, into: &mut Vec<u8>) -> bool {
        self.render_text_with(event, into, |_, _| {})
    }

    /// Same, where `finish` may rewrite each value that was appended, from the given place to the end: the format is
    /// the user's, the values are the capture's.
    pub fn render_text_with<E: EventFields + ?Sized>(
        &self,
        event: &E,
        into: &mut Vec<u8>,
        mut finish: impl FnMut(&mut Vec<u8>, usize),
    ) -> bool {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => into.extend_from_slice(text.as_bytes()),
                Piece::Value { width, value } => {
                    let start = into.len();
                    if value.text(event, into) {
                        finish(into, start);
                    } else if self.lenient {
                        into.extend_from_slice(render::ABSENT.as_bytes());
                    } else {
                        return false;
                    }
                    if *width > 0 {
                        into.resize(start + width, b' ');
                    }
                }
            }
        }
        true
    }

    /// Text and fields of an event.
    pub fn render<E: EventFields + ?Sized>(&self, event: &E) -> Rendered {
        let mut text = Vec::new();
        let complete = self.render_text(event, &mut text);
        Rendered { complete, text, fields: if complete { self.render_fields(event) } else { Vec::new() } }
    }

    /// The fields named, as JSON values; `null` when absent.
    pub fn render_fields<E: EventFields + ?Sized>(&self, event: &E) -> Vec<(String, Json)> {
        self.fields.iter().map(|named| (named.name.clone(), named.value.json(event))).collect()
    }
}

impl Printed {
    fn new(mut typed: Typed) -> Self {
        // A number that a call makes of a text prints in the form of the field, and texts have none. Plugins give
        // every field one.
        // An ancestor field without index looks at all ancestors in a condition and prints the process itself.
        if let (Source::Field(field), Multiplicity::Ancestors) = (&mut typed.source, typed.multiplicity)
            && field.arg == FieldArg::None
        {
            field.arg = FieldArg::Index(0);
        }
        let number_of_text = typed.ty == FieldType::Uint64 && matches!(typed.source, Source::Apply { .. });
        Self {
            never: typed.filter_only || (number_of_text && !typed.plugin),
            source: typed.source,
            list: typed.list,
            display: typed.display,
        }
    }

    fn display<E: EventFields + ?Sized>(&self, event: &E) -> Display {
        match &self.source {
            Source::Field(field) => event.display(field, self.display),
            _ => self.display,
        }
    }

    fn text<E: EventFields + ?Sized>(&self, event: &E, into: &mut Vec<u8>) -> bool {
        if self.never {
            return false;
        }
        // The common case, a field with one value that has no limit, needs no list.
        if let (Source::Field(field), false) = (&self.source, self.list) {
            match event.extract(field) {
                Extracted::Absent => return false,
                Extracted::One(value @ (Value::Text(_) | Value::I64(_) | Value::U64(_))) => {
                    render::value(&value, self.display(event), into);
                    return true;
                }
                Extracted::One(_) | Extracted::Many(_) => {}
            }
        }
        // Where a condition would abort, an output has nothing to show.
        let Ok(Some(values)) = self.source.values(event) else { return false };
        let start = into.len();
        if self.list {
            render::list(&values, self.display, into);
            into.truncate(start + MAX_LONG_TEXT);
            return true;
        }
        let Some(value) = values.first() else { return false };
        render::value(value, self.display(event), into);
        if matches!(value, Value::Bytes(_)) {
            into.truncate(start + MAX_LONG_TEXT);
        }
        true
    }

    fn json<E: EventFields + ?Sized>(&self, event: &E) -> Json {
        if self.never {
            return Json::Null;
        }
        let Ok(Some(values)) = self.source.values(event) else { return Json::Null };
        if self.list {
            return Json::Array(values.iter().map(|value| render::json(value, self.display)).collect());
        }
        values.first().map_or(Json::Null, |value| render::json(value, self.display(event)))
    }
}

/// The field or call after the `%` at `percent`: width, tree, type, and where it ends.
fn token(
    text: &str,
    percent: usize,
    source: &str,
    schema: &dyn Schema,
) -> Result<(usize, Operand, Typed, usize), CompileError> {
    let rest = &text[percent + 1..];
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let start = percent + 1 + digits;
    let fail = |message: &str| error(percent, start.max(percent + 1), CompileErrorKind::Syntax, message.to_owned());
    let width = match &rest[..digits] {
        "" => 0,
        width => {
            width.parse().ok().filter(|width| *width <= MAX_WIDTH).ok_or_else(|| fail("this width is too large"))?
        }
    };
    let rest = &text[start..];
    if !rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Err(fail("no field follows this `%`, and a literal `%` cannot be written"));
    }
    let rest = &rest[..rest.floor_char_boundary(MAX_TOKEN)];
    let whole = attempt(rest, source, schema);
    let mut error = match whole {
        Ok((operand, typed, len)) => return Ok((width, operand, typed, start + len)),
        Err(error) => error,
    };
    for end in shorter(rest) {
        if let Ok((operand, typed, len)) = attempt(&rest[..end], source, schema) {
            return Ok((width, operand, typed, start + len));
        }
    }
    error.span.start += start as u32;
    error.span.end += start as u32;
    Err(error)
}

/// Shorter texts than the whole that may be a field or call, in the order in which they are to be tried: a field
/// without its brackets and with ever fewer letters, a call without its brackets.
fn shorter(text: &str) -> Vec<usize> {
    let name = text.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.')).count();
    if text[name..].starts_with('(') {
        return text.match_indices(')').map(|(at, _)| at + 1).take(MAX_PARENTHESES).collect();
    }
    (1..=name.min(MAX_NAME)).rev().collect()
}

/// The field or call at the beginning of a text, with its length.
fn attempt(text: &str, source: &str, schema: &dyn Schema) -> Result<(Operand, Typed, usize), CompileError> {
    let (operand, len) = condition::parse_operand(text)?;
    let typed = typing::typed(schema, source, &operand).map_err(|errors| {
        let fallback = || error(0, len, CompileErrorKind::UnknownField, "no field follows".to_owned());
        errors.into_iter().next().unwrap_or_else(fallback)
    })?;
    Ok((operand, typed, len))
}

fn error(start: usize, end: usize, kind: CompileErrorKind, message: String) -> CompileError {
    CompileError { span: Span::new(start, end), kind, message, hint: None }
}

/// The deprecated fields whose names occur in an output, as fields or as mere words (`LOAD_DEPRECATED_ITEM`).
pub fn deprecated_fields(text: &str) -> Vec<&'static str> {
    DEPRECATED_FIELDS.into_iter().filter(|name| text.contains(name)).collect()
}

#[cfg(test)]
mod tests;
