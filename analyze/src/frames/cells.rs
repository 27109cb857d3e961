//! Cells on their way into columns, and columns on their way into frames.

use casebook_replay::context::EventContext;
use casebook_replay::fields::Catalogue;
use casebook_replay::fields::catalogue::{K8S_AUDIT_SOURCE, SYSCALL_SOURCE};
use casebook_rules::event::{EventFields as _, Extracted};
use casebook_rules::render;
use casebook_rules::schema::{Display, FieldRef, Schema as _};
use casebook_rules::value::Value;
use polars::prelude::{
    BooleanChunked, Categorical32Type, CategoricalChunked, Column, Int64Chunked, IntoColumn as _, IntoSeries as _,
    NewChunkedArray as _, PlSmallStr, StringChunkedBuilder, TimeUnit, UInt32Chunked, UInt64Chunked,
};

use super::words::{Words, utf8};
use crate::schema::{self, Kind};

/// The value of one cell.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cell<'a> {
    /// Not known, or not applicable.
    Null,
    /// Text of a capture.
    Bytes(&'a [u8]),
    /// Text of ours.
    Text(&'a str),
    /// Code of a text.
    Word(u32),
    /// A number.
    Int(i64),
    /// A number.
    Uint(u64),
    /// True or false.
    Bool(bool),
    /// Nanoseconds since the epoch; 0 and all ones are unknown.
    Time(u64),
}

impl<'a, T: Into<Cell<'a>>> From<Option<T>> for Cell<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl From<u64> for Cell<'_> {
    fn from(value: u64) -> Self {
        Self::Uint(value)
    }
}

impl From<i64> for Cell<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<bool> for Cell<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl<'a> From<&'a str> for Cell<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value)
    }
}

/// A cell that outlives the event.
#[derive(Clone, Debug, Default)]
pub(super) enum Stored {
    #[default]
    Null,
    Word(u32),
    Text(Box<str>),
    Int(i64),
    Uint(u64),
    Bool(bool),
}

impl Stored {
    pub(super) fn cell(&self) -> Cell<'_> {
        match self {
            Self::Null => Cell::Null,
            Self::Word(code) => Cell::Word(*code),
            Self::Text(text) => Cell::Text(text),
            Self::Int(value) => Cell::Int(*value),
            Self::Uint(value) => Cell::Uint(*value),
            Self::Bool(value) => Cell::Bool(*value),
        }
    }
}

/// A field ready to be asked.
#[derive(Debug)]
pub(super) struct Field {
    field: FieldRef,
    display: Display,
}

impl Field {
    /// A field of a column; `None` for columns that are made, and for fields that do not exist (tests exclude that).
    pub(super) fn of(source: schema::Source) -> Option<Self> {
        match source {
            schema::Source::Field(name) => Self::named(SYSCALL_SOURCE, name),
            schema::Source::Audit(name) => Self::named(K8S_AUDIT_SOURCE, name),
            schema::Source::Made(_) => None,
        }
    }

    fn named(source: &str, name: &str) -> Option<Self> {
        let catalogue = Catalogue::new();
        let field = catalogue.parse(source, name).ok()?;
        let display = catalogue.display(&field);
        Some(Self { field, display })
    }

    /// A field of calls that code asks by itself.
    pub(super) fn call(name: &str) -> Option<Self> {
        Self::named(SYSCALL_SOURCE, name)
    }

    /// The bound field.
    pub(super) fn field(&self) -> &FieldRef {
        &self.field
    }

    /// Its text on an event, as outputs print it; false when it is absent.
    pub(super) fn text(&self, context: &EventContext<'_>, into: &mut Vec<u8>) -> bool {
        into.clear();
        render::extracted(&context.extract(&self.field), context.display(&self.field, self.display), into)
    }

    /// Its value on an event for a column of a kind.
    pub(super) fn cell<'b>(&self, kind: Kind, context: &EventContext<'_>, buffer: &'b mut Vec<u8>) -> Cell<'b> {
        match kind {
            Kind::Text | Kind::Word => {
                if self.text(context, buffer) {
                    Cell::Bytes(buffer)
                } else {
                    Cell::Null
                }
            }
            Kind::Int | Kind::Uint | Kind::Bool | Kind::Time => match context.extract(&self.field) {
                Extracted::One(Value::I64(value)) => Cell::Int(value),
                Extracted::One(Value::U64(value)) => Cell::Uint(value),
                Extracted::One(Value::Bool(value)) => Cell::Bool(value),
                _ => Cell::Null,
            },
        }
    }
}

/// One column being built.
pub(super) enum Cells {
    Text(StringChunkedBuilder),
    Word(Vec<Option<u32>>),
    Int(Vec<Option<i64>>),
    Uint(Vec<Option<u64>>),
    Bool(Vec<Option<bool>>),
    Time(Vec<Option<i64>>),
}

impl Cells {
    pub(super) fn new(name: &'static str, kind: Kind) -> Self {
        match kind {
            Kind::Text => Self::Text(StringChunkedBuilder::new(PlSmallStr::from_static(name), 0)),
            Kind::Word => Self::Word(Vec::new()),
            Kind::Int => Self::Int(Vec::new()),
            Kind::Uint => Self::Uint(Vec::new()),
            Kind::Bool => Self::Bool(Vec::new()),
            Kind::Time => Self::Time(Vec::new()),
        }
    }

    /// Appends a cell; what does not fit the column is null. Gives the bytes that it takes.
    pub(super) fn push(&mut self, cell: Cell<'_>, words: &mut Words) -> usize {
        match self {
            Self::Text(column) => match cell {
                Cell::Bytes(bytes) => column.append_value(utf8(bytes)),
                Cell::Text(text) => column.append_value(text),
                Cell::Word(code) => column.append_value(words.text(code)),
                _ => column.append_null(),
            },
            Self::Word(column) => column.push(match cell {
                Cell::Bytes(bytes) => words.code(bytes),
                Cell::Text(text) => words.code(text.as_bytes()),
                Cell::Word(code) => Some(code),
                _ => None,
            }),
            Self::Int(column) => column.push(match cell {
                Cell::Int(value) => Some(value),
                Cell::Uint(value) => i64::try_from(value).ok(),
                _ => None,
            }),
            Self::Uint(column) => column.push(match cell {
                Cell::Uint(value) => Some(value),
                Cell::Int(value) => u64::try_from(value).ok(),
                _ => None,
            }),
            Self::Bool(column) => column.push(if let Cell::Bool(value) = cell { Some(value) } else { None }),
            Self::Time(column) => column.push(match cell {
                Cell::Time(0 | u64::MAX) => None,
                Cell::Time(ns) => i64::try_from(ns).ok(),
                _ => None,
            }),
        }
        match (self, cell) {
            (Self::Text(_), Cell::Bytes(bytes)) => 16 + bytes.len(),
            (Self::Text(_), Cell::Text(text)) => 16 + text.len(),
            (Self::Text(_), _) => 16,
            (Self::Word(_), _) => 4,
            (Self::Bool(_), _) => 1,
            _ => 8,
        }
    }

    /// The column of what was appended; it begins anew.
    pub(super) fn finish(&mut self, name: &'static str, words: &Words) -> Column {
        let title = PlSmallStr::from_static(name);
        match self {
            Self::Text(column) => {
                let done = std::mem::replace(column, StringChunkedBuilder::new(title, 0));
                done.finish().into_series().into_column()
            }
            Self::Word(column) => {
                let codes = UInt32Chunked::from_iter_options(title, std::mem::take(column).into_iter());
                let words = CategoricalChunked::<Categorical32Type>::from_cats_and_dtype(codes, words.data_type());
                words.into_series().into_column()
            }
            Self::Int(column) => {
                Int64Chunked::from_iter_options(title, std::mem::take(column).into_iter()).into_series().into_column()
            }
            Self::Uint(column) => {
                UInt64Chunked::from_iter_options(title, std::mem::take(column).into_iter()).into_series().into_column()
            }
            Self::Bool(column) => {
                BooleanChunked::from_iter_options(title, std::mem::take(column).into_iter()).into_series().into_column()
            }
            Self::Time(column) => Int64Chunked::from_iter_options(title, std::mem::take(column).into_iter())
                .into_datetime(TimeUnit::Nanoseconds, None)
                .into_series()
                .into_column(),
        }
    }
}
