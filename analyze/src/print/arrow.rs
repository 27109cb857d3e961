//! Frames as Arrow record batches, value by value: for Parquet, Arrow IPC and the cache.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{Int32Builder, LargeStringBuilder};
use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray,
    TimestampNanosecondArray, UInt64Array,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use foldhash::fast::FixedState;
use polars::prelude::{Column, DataFrame, DataType as FrameType};

use super::values::Values;
use crate::frames::Error;

/// What becomes of categories.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Words {
    /// Text, for readers of any kind.
    Text,
    /// Dictionaries, one a batch: smaller, and quick to read back.
    Dictionary,
}

/// The Arrow schema of a frame.
pub fn schema(frame: &DataFrame, words: Words) -> SchemaRef {
    let fields = frame.columns().iter().map(|column| {
        let data_type = match column.dtype() {
            FrameType::Categorical(..) if words == Words::Dictionary => {
                DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
            }
            FrameType::Int8 | FrameType::Int16 | FrameType::Int32 | FrameType::Int64 | FrameType::Duration(_) => {
                DataType::Int64
            }
            FrameType::UInt8 | FrameType::UInt16 | FrameType::UInt32 | FrameType::UInt64 => DataType::UInt64,
            FrameType::Float32 | FrameType::Float64 => DataType::Float64,
            FrameType::Boolean => DataType::Boolean,
            FrameType::Datetime(..) => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
            _ => DataType::LargeUtf8,
        };
        Field::new(column.name().as_str(), data_type, true)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The rows of a frame as one batch. Callers hand over slices of bounded size.
///
/// # Errors
///
/// When a value has no form in Arrow.
pub fn batch(frame: &DataFrame, words: Words) -> Result<RecordBatch, Error> {
    let columns = frame.columns().iter().map(|column| array(column, words)).collect::<Result<Vec<_>, _>>()?;
    // A frame without columns still has rows.
    let options = RecordBatchOptions::new().with_row_count(Some(frame.height()));
    RecordBatch::try_new_with_options(schema(frame, words), columns, &options)
        .map_err(|error| Error::Arrow(error.to_string()))
}

fn array(column: &Column, words: Words) -> Result<ArrayRef, Error> {
    Ok(match Values::of(column)? {
        Values::Text(texts) if words == Words::Dictionary && matches!(column.dtype(), FrameType::Categorical(..)) => {
            dictionary(&texts)?
        }
        Values::Text(texts) => large(texts.iter().map(|text| text.as_deref())),
        Values::Made(texts) => large(texts.iter().map(Option::as_deref)),
        Values::Int(values) | Values::Span(values) => Arc::new(Int64Array::from(values)),
        Values::Uint(values) => Arc::new(UInt64Array::from(values)),
        Values::Float(values) => Arc::new(Float64Array::from(values)),
        Values::Bool(values) => Arc::new(BooleanArray::from(values)),
        Values::Time(values) => Arc::new(TimestampNanosecondArray::from(values).with_timezone("UTC")),
    })
}

fn large<'t>(texts: impl Iterator<Item = Option<&'t str>>) -> ArrayRef {
    let mut builder = LargeStringBuilder::new();
    for text in texts {
        builder.append_option(text);
    }
    Arc::new(builder.finish())
}

/// A dictionary in the order in which its texts occur.
fn dictionary(texts: &[Option<&str>]) -> Result<ArrayRef, Error> {
    let mut codes: HashMap<&str, i32, FixedState> = HashMap::default();
    let mut distinct = Vec::new();
    let mut keys = Int32Builder::with_capacity(texts.len());
    for text in texts {
        keys.append_option(text.map(|text| {
            *codes.entry(text).or_insert_with(|| {
                distinct.push(text);
                distinct.len() as i32 - 1
            })
        }));
    }
    let array = DictionaryArray::try_new(keys.finish(), Arc::new(StringArray::from(distinct)));
    Ok(Arc::new(array.map_err(|error| Error::Arrow(error.to_string()))?))
}
