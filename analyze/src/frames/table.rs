//! One table being built: rows in, frames of bounded size out.

use casebook_replay::context::EventContext;
use polars::prelude::DataFrame;

use super::cells::{Cell, Cells, Field, Stored};
use super::steady::Steady;
use super::words::Words;
use super::{Error, Wanted};
use crate::schema::{self, Table};

/// Rows of one frame. Small enough that what is being built is little, large enough that a column of it is worth one
/// call of polars.
pub const CHUNK_ROWS: usize = 1 << 16;

/// Who takes the frames of a table as they are done: memory, a cache, a Parquet file. They have the columns that were
/// wanted, without those of [`schema::COMMON`]; numbers of process lives count within the capture.
pub trait Sink: Send {
    /// The next rows of a table; gives how many of them stay in memory.
    ///
    /// # Errors
    ///
    /// When they could not be taken; the capture is read no further then.
    fn chunk(&mut self, table: &'static Table, frame: DataFrame) -> Result<usize, Error>;
}

/// One column of the table.
struct Slot {
    column: &'static schema::Column,
    field: Option<Field>,
    cells: Cells,
    /// Its bytes count towards the limit: it stays in memory.
    counted: bool,
    /// The same on all events of a thread until that changes.
    steady: bool,
}

/// A table being built.
pub(super) struct Builder {
    table: &'static Table,
    slots: Vec<Slot>,
    rows: usize,
    /// All rows so far.
    pub(super) total: u64,
    /// Bytes of the rows so far that are held, in columns that stay in memory.
    pub(super) weight: u64,
    /// The same without the rows that were not handed over yet.
    settled: u64,
    buffer: Vec<u8>,
    steady: Steady,
}

impl Builder {
    /// A table with the wanted columns; `None` when none is.
    pub(super) fn new(name: &str, wanted: &Wanted, counted: &Wanted) -> Option<Self> {
        let table = schema::table(name).filter(|table| wanted.has_table(table.name))?;
        let chosen = table.columns.iter().filter(|column| wanted.has_column(table.name, column.name));
        let slots = chosen
            .map(|column| Slot {
                column,
                field: Field::of(column.source),
                cells: Cells::new(column.name, column.kind),
                counted: counted.has_column(name, column.name),
                steady: matches!(column.source, schema::Source::Field(field) if Steady::is_steady(field)),
            })
            .collect();
        Some(Self {
            table,
            slots,
            rows: 0,
            total: 0,
            weight: 0,
            settled: 0,
            buffer: Vec::new(),
            steady: Steady::default(),
        })
    }

    /// A section begins: what was remembered of threads and users is of another machine.
    pub(super) fn section(&mut self) {
        self.steady.forget();
    }

    /// Appends a row: fields from the event, all else from `made`, by the name of the column.
    pub(super) fn event<'m>(
        &mut self,
        words: &mut Words,
        context: &EventContext<'_>,
        made: impl Fn(&str) -> Cell<'m>,
        sink: &mut dyn Sink,
    ) -> Result<(), Error> {
        let Self { slots, buffer, weight, steady, .. } = self;
        let key = steady.key(context);
        let known = key.and_then(|key| steady.codes(key));
        let mut known_codes = known.into_iter().flatten();
        let mut found = Vec::new();
        for Slot { column, field, cells, counted, steady } in slots {
            let cell = match field {
                Some(_) if *steady && known.is_some() => {
                    known_codes.next().copied().flatten().map_or(Cell::Null, Cell::Word)
                }
                Some(field) => {
                    let cell = field.cell(column.kind, context, buffer);
                    if *steady && key.is_some() {
                        let code = if let Cell::Bytes(bytes) = cell { words.code(bytes) } else { None };
                        found.push(code);
                        code.map_or(Cell::Null, Cell::Word)
                    } else {
                        cell
                    }
                }
                None => made(column.name),
            };
            *weight += cells.push(cell, words) as u64 * u64::from(*counted);
        }
        if let Some(key) = key.filter(|_| known.is_none() && !found.is_empty()) {
            steady.keep(key, found);
        }
        self.end_row(words, sink)
    }

    /// Appends a row that no event gives: stored values of the fields in their order, all else from `made`.
    pub(super) fn stored<'m>(
        &mut self,
        words: &mut Words,
        fields: &[Stored],
        made: impl Fn(&str) -> Cell<'m>,
        sink: &mut dyn Sink,
    ) -> Result<(), Error> {
        let mut fields = fields.iter();
        for Slot { column, field, cells, counted, .. } in &mut self.slots {
            let cell = match field {
                Some(_) => fields.next().map_or(Cell::Null, Stored::cell),
                None => made(column.name),
            };
            self.weight += cells.push(cell, words) as u64 * u64::from(*counted);
        }
        self.end_row(words, sink)
    }

    /// Appends a row of which every column comes from `made`, fields too.
    pub(super) fn made<'m>(
        &mut self,
        words: &mut Words,
        made: impl Fn(&str) -> Cell<'m>,
        sink: &mut dyn Sink,
    ) -> Result<(), Error> {
        for Slot { column, cells, counted, .. } in &mut self.slots {
            self.weight += cells.push(made(column.name), words) as u64 * u64::from(*counted);
        }
        self.end_row(words, sink)
    }

    /// The values of this table's fields on an event, to be kept for [`Builder::stored`].
    pub(super) fn read(&mut self, words: &mut Words, context: &EventContext<'_>) -> Box<[Stored]> {
        let Self { slots, buffer, .. } = self;
        let fields = slots.iter().filter_map(|slot| Some((slot.column.kind, slot.field.as_ref()?)));
        fields
            .map(|(kind, field)| match field.cell(kind, context, buffer) {
                Cell::Bytes(bytes) if kind == schema::Kind::Word => {
                    words.code(bytes).map_or(Stored::Null, Stored::Word)
                }
                Cell::Bytes(bytes) => Stored::Text(super::words::utf8(bytes).into()),
                Cell::Int(value) => Stored::Int(value),
                Cell::Uint(value) => Stored::Uint(value),
                Cell::Bool(value) => Stored::Bool(value),
                _ => Stored::Null,
            })
            .collect()
    }

    fn end_row(&mut self, words: &Words, sink: &mut dyn Sink) -> Result<(), Error> {
        self.rows += 1;
        self.total += 1;
        if self.rows >= CHUNK_ROWS { self.flush(words, sink) } else { Ok(()) }
    }

    fn flush(&mut self, words: &Words, sink: &mut dyn Sink) -> Result<(), Error> {
        let columns = self.slots.iter_mut().map(|slot| slot.cells.finish(slot.column.name, words)).collect();
        let frame = DataFrame::new(self.rows, columns)?;
        let rows = std::mem::take(&mut self.rows).max(1) as u64;
        let held = sink.chunk(self.table, frame)? as u64;
        self.settled += (self.weight - self.settled) / rows * held;
        self.weight = self.settled;
        Ok(())
    }

    /// Hands over what is left; an empty table gives one empty frame.
    pub(super) fn finish(&mut self, words: &Words, sink: &mut dyn Sink) -> Result<(), Error> {
        if self.rows > 0 || self.total == 0 { self.flush(words, sink) } else { Ok(()) }
    }
}
