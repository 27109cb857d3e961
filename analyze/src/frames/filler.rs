//! Columns filled from stored values, for tables that were built before, and for those made outside of a replay.

use polars::prelude::DataFrame;

use super::Error;
use super::cells::{Cell, Cells};
use super::words::Words;
use crate::schema::Column;

/// Columns of a table being filled, column by column. All must have as many values when the frame is taken.
pub struct Filler {
    columns: Vec<(&'static str, Cells)>,
    words: Words,
    weight: u64,
}

impl Filler {
    /// The columns, in the order in which they are numbered.
    pub fn new(columns: impl Iterator<Item = &'static Column>) -> Self {
        let columns = columns.map(|column| (column.name, Cells::new(column.name, column.kind))).collect();
        Self { columns, words: Words::new(), weight: 0 }
    }

    fn push(&mut self, at: usize, cell: Cell<'_>) {
        if let Some((_, cells)) = self.columns.get_mut(at) {
            self.weight += cells.push(cell, &mut self.words) as u64;
        }
    }

    /// Bytes that the values since the last call take.
    pub fn take_weight(&mut self) -> u64 {
        std::mem::take(&mut self.weight)
    }

    /// The code of a text for [`Filler::word`].
    pub fn code(&mut self, text: &str) -> Option<u32> {
        self.words.code(text.as_bytes())
    }

    /// A category by its code.
    pub fn word(&mut self, at: usize, code: Option<u32>) {
        self.push(at, code.map_or(Cell::Null, Cell::Word));
    }

    /// A text, or a category by its text.
    pub fn text(&mut self, at: usize, text: Option<&str>) {
        self.push(at, text.into());
    }

    /// A number.
    pub fn int(&mut self, at: usize, value: Option<i64>) {
        self.push(at, value.into());
    }

    /// A number.
    pub fn uint(&mut self, at: usize, value: Option<u64>) {
        self.push(at, value.into());
    }

    /// A truth value.
    pub fn bool(&mut self, at: usize, value: Option<bool>) {
        self.push(at, value.into());
    }

    /// A moment in ns since the epoch.
    pub fn time(&mut self, at: usize, value: Option<i64>) {
        self.push(at, value.and_then(|ns| u64::try_from(ns).ok()).map_or(Cell::Null, Cell::Time));
    }

    /// The frame of `height` rows; the columns begin anew.
    ///
    /// # Errors
    ///
    /// When a column has another number of values.
    pub fn frame(&mut self, height: usize) -> Result<DataFrame, Error> {
        let Self { columns, words, .. } = self;
        let columns = columns.iter_mut().map(|(name, cells)| cells.finish(name, words)).collect();
        Ok(DataFrame::new(height, columns)?)
    }
}
