//! Results on their way out: tables for people, CSV, JSON Lines, Parquet, Arrow IPC.
//!
//! Any frame → [`values`] → text, or → [`arrow`] → files. Every text may come from a capture: none of the formats lets it
//! move a cursor, run in a spreadsheet or end a line early.

pub mod arrow;
pub mod form;
mod pager;
pub mod table;
pub mod text;
pub mod values;

use std::io::Write;

use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions};
use clap::ValueEnum;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use polars::prelude::DataFrame;

use crate::frames::{CHUNK_ROWS, Error};
use arrow::Words;
use values::Values;

/// Form of a result.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    /// Columns in line, for people
    Table,
    /// Comma-separated values with a header
    Csv,
    /// JSON Lines: one object a row
    Jsonl,
    /// Parquet, compressed with zstd
    Parquet,
    /// Arrow IPC file (Feather), compressed with zstd
    Arrow,
}

impl Format {
    /// Bytes that no terminal should see.
    pub fn is_binary(self) -> bool {
        matches!(self, Self::Parquet | Self::Arrow)
    }

    /// By the ending of a file name.
    pub fn of_name(name: &str) -> Option<Self> {
        let (_, ending) = name.rsplit_once('.')?;
        Some(match ending.to_ascii_lowercase().as_str() {
            "csv" => Self::Csv,
            "jsonl" | "ndjson" => Self::Jsonl,
            "parquet" => Self::Parquet,
            "arrow" | "ipc" | "feather" => Self::Arrow,
            _ => return None,
        })
    }
}

/// Writes a frame. `width`: columns of the terminal, for tables.
///
/// # Errors
///
/// When the output cannot be written, or a value has no form in it.
pub fn write(frame: &DataFrame, format: Format, width: Option<usize>, out: &mut dyn Write) -> Result<(), Error> {
    match format {
        Format::Parquet => return parquet(frame, out),
        Format::Arrow => return ipc(frame, out),
        _ => {}
    }
    let names: Vec<&str> = frame.columns().iter().map(|column| column.name().as_str()).collect();
    if format == Format::Table {
        // Widths need all rows at once; who prints millions of rows to be looked at has the memory.
        let columns = columns(frame)?;
        return Ok(table::write(&names, &columns, frame.height(), width, out)?);
    }
    if format == Format::Csv {
        text::csv_header(&names, out)?;
    }
    for slice in slices(frame) {
        let columns = columns(&slice)?;
        if format == Format::Csv {
            text::csv_rows(&columns, slice.height(), out)?;
        } else {
            text::json_rows(&names, &columns, slice.height(), out)?;
        }
    }
    Ok(())
}

/// Writes a frame to standard output: on a terminal, as wide as it is, and through the pager when it is longer.
///
/// # Errors
///
/// As [`write()`].
pub fn show(frame: &DataFrame, format: Format, terminal: bool, page: bool, out: &mut dyn Write) -> Result<(), Error> {
    let size = if terminal { terminal_size::terminal_size() } else { None };
    let width = size.map(|(terminal_size::Width(columns), _)| usize::from(columns));
    let mut text = Vec::new();
    if size.is_none() && format != Format::Table {
        return write(frame, format, None, out);
    }
    write(frame, format, width, &mut text)?;
    let lines = size.map_or(usize::MAX, |(_, terminal_size::Height(rows))| usize::from(rows));
    let long = text.split(|byte| *byte == b'\n').count() > lines;
    if page && long && pager::page(&text, out)? {
        return Ok(());
    }
    Ok(out.write_all(&text)?)
}

fn columns(frame: &DataFrame) -> Result<Vec<Values<'_>>, Error> {
    frame.columns().iter().map(Values::of).collect()
}

/// A frame in pieces of bounded size.
pub fn slices(frame: &DataFrame) -> impl Iterator<Item = DataFrame> {
    let starts = (0..frame.height()).step_by(CHUNK_ROWS);
    starts.map(|start| frame.slice(start as i64, CHUNK_ROWS))
}

/// How Parquet files are written, by all commands.
pub fn parquet_properties() -> WriterProperties {
    // The default level is one that zstd has.
    WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build()
}

fn parquet(frame: &DataFrame, out: &mut dyn Write) -> Result<(), Error> {
    let refused = |error: parquet::errors::ParquetError| Error::Arrow(error.to_string());
    let schema = arrow::schema(frame, Words::Text);
    // The writer wants something that can be sent to threads; it hands the bytes of each row group on as they come.
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(parquet_properties())).map_err(refused)?;
    for slice in slices(frame) {
        writer.write(&arrow::batch(&slice, Words::Text)?).map_err(refused)?;
        let done = writer.inner_mut();
        out.write_all(done)?;
        done.clear();
    }
    let rest = writer.into_inner().map_err(refused)?;
    Ok(out.write_all(&rest)?)
}

fn ipc(frame: &DataFrame, out: &mut dyn Write) -> Result<(), Error> {
    let refused = |error: arrow_schema::ArrowError| Error::Arrow(error.to_string());
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD)).map_err(refused)?;
    let schema = arrow::schema(frame, Words::Text);
    let mut writer = FileWriter::try_new_with_options(out, &schema, options).map_err(refused)?;
    for slice in slices(frame) {
        writer.write(&arrow::batch(&slice, Words::Text)?).map_err(refused)?;
    }
    writer.finish().map_err(refused)
}
