//! A column of any frame as plain values: what all writers print from.

use polars::prelude::{Column, DataType, TimeUnit};

use crate::frames::Error;

/// The values of one column, an entry a row.
#[derive(Debug)]
pub enum Values<'f> {
    /// Text and categories.
    Text(Vec<Option<&'f str>>),
    /// Text made for printing: of types that have no other form here, as lists.
    Made(Vec<Option<String>>),
    /// Signed numbers.
    Int(Vec<Option<i64>>),
    /// Unsigned numbers.
    Uint(Vec<Option<u64>>),
    /// Floating point.
    Float(Vec<Option<f64>>),
    /// True or false.
    Bool(Vec<Option<bool>>),
    /// Nanoseconds since the epoch.
    Time(Vec<Option<i64>>),
    /// Durations in nanoseconds.
    Span(Vec<Option<i64>>),
}

impl<'f> Values<'f> {
    /// Takes them from a column.
    ///
    /// # Errors
    ///
    /// When the data frame library refuses a conversion.
    pub fn of(column: &'f Column) -> Result<Self, Error> {
        let series = column.as_materialized_series();
        let numbers = |to: &DataType| series.cast(to);
        Ok(match series.dtype() {
            DataType::String => Self::Text(series.str()?.iter().collect()),
            DataType::Categorical(..) => Self::Text(series.cat32()?.iter_str().collect()),
            DataType::Int64 => Self::Int(series.i64()?.iter().collect()),
            DataType::Int8 | DataType::Int16 | DataType::Int32 => {
                Self::Int(numbers(&DataType::Int64)?.i64()?.iter().collect())
            }
            DataType::UInt64 => Self::Uint(series.u64()?.iter().collect()),
            DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => {
                Self::Uint(numbers(&DataType::UInt64)?.u64()?.iter().collect())
            }
            DataType::Float32 | DataType::Float64 => Self::Float(numbers(&DataType::Float64)?.f64()?.iter().collect()),
            DataType::Boolean => Self::Bool(series.bool()?.iter().collect()),
            DataType::Datetime(unit, _) => Self::Time(nanoseconds(column, *unit)?),
            DataType::Duration(unit) => Self::Span(nanoseconds(column, *unit)?),
            _ => {
                let texts = series.iter().map(|value| (!value.is_null()).then(|| value.to_string()));
                Self::Made(texts.collect())
            }
        })
    }

    /// Whether they are numbers, to be aligned on the right.
    pub fn is_number(&self) -> bool {
        matches!(self, Self::Int(_) | Self::Uint(_) | Self::Float(_) | Self::Span(_))
    }
}

fn nanoseconds(column: &Column, unit: TimeUnit) -> Result<Vec<Option<i64>>, Error> {
    let factor = match unit {
        TimeUnit::Nanoseconds => 1,
        TimeUnit::Microseconds => 1_000,
        TimeUnit::Milliseconds => 1_000_000,
    };
    let physical = column.as_materialized_series().to_physical_repr().into_owned();
    Ok(physical.i64()?.iter().map(|value| value.map(|value| value.saturating_mul(factor))).collect())
}
