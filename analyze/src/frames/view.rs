//! A frame read row by row, for code that is no query.

use polars::prelude::{Column, DataFrame, DataType};

/// Columns of a frame as plain vectors, one entry a row. A column that is not there is all null.
#[derive(Clone, Copy, Debug)]
pub struct View<'f> {
    frame: &'f DataFrame,
}

impl<'f> View<'f> {
    /// The view of a frame.
    pub fn new(frame: &'f DataFrame) -> Self {
        Self { frame }
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.frame.height()
    }

    fn column(self, name: &str) -> Option<&'f Column> {
        self.frame.column(name).ok()
    }

    fn nulls<T>(self) -> Vec<Option<T>> {
        std::iter::repeat_with(|| None).take(self.height()).collect()
    }

    /// Texts and categories.
    pub fn texts(&self, name: &str) -> Vec<Option<&'f str>> {
        let Some(column) = self.column(name) else { return self.nulls() };
        let series = column.as_materialized_series();
        match series.dtype() {
            DataType::String => series.str().map_or_else(|_| self.nulls(), |texts| texts.iter().collect()),
            DataType::Categorical(..) => {
                series.cat32().map_or_else(|_| self.nulls(), |words| words.iter_str().collect())
            }
            _ => self.nulls(),
        }
    }

    /// Signed numbers, and times in ns since the epoch.
    pub fn ints(&self, name: &str) -> Vec<Option<i64>> {
        let Some(column) = self.column(name) else { return self.nulls() };
        let series = column.as_materialized_series();
        let physical = series.to_physical_repr();
        physical.i64().map_or_else(
            |_| self.uints(name).into_iter().map(|value| value.and_then(|value| i64::try_from(value).ok())).collect(),
            |numbers| numbers.iter().collect(),
        )
    }

    /// Unsigned numbers.
    pub fn uints(&self, name: &str) -> Vec<Option<u64>> {
        let Some(column) = self.column(name) else { return self.nulls() };
        column.as_materialized_series().u64().map_or_else(|_| self.nulls(), |numbers| numbers.iter().collect())
    }

    /// Truth values.
    pub fn bools(&self, name: &str) -> Vec<Option<bool>> {
        let Some(column) = self.column(name) else { return self.nulls() };
        column.as_materialized_series().bool().map_or_else(|_| self.nulls(), |values| values.iter().collect())
    }
}
