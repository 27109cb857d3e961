//! Captures as data frames: [`load::frames`](crate::load::frames) makes them, everything else in this crate asks them.
//!
//! ```text
//! captures → casebook-replay (state, fields, rules) → Collector → one Builder a table → chunks → Sink → Frames
//! ```
//!
//! **Use, in twenty lines.** A command flattens [`crate::load::LoadArgs`] into its `Args` and calls
//!
//! ```ignore
//! let loaded = match args.load.load(Wanted::tables(&["processes", "alerts"]), err, terminals) {
//!     Ok(loaded) => loaded,           // notes about captures have been said on `err`
//!     Err(exit) => return exit,       // and so has what is wrong
//! };
//! let processes = loaded.frames.view("processes");    // rows of all captures, in the order of the command line
//! let (names, starts) = (processes.texts("name"), processes.ints("start"));  // times are ns since the epoch
//! for row in 0..processes.height() {
//!     let (name, start): (Option<&str>, Option<i64>) = (names[row], starts[row]);
//! }
//! let frame: &DataFrame = loaded.frames.frame("events");   // polars, with categories for repeated texts
//! return loaded.exit;                                      // 0, 4 or 5, by how the captures were read
//! ```
//!
//! A table or column that was not wanted, or that the schema does not have, is an empty view, or all null; it is never
//! an error. [`Wanted::columns`] builds only some columns of a table, which matters for `events` alone. Rules are loaded
//! when the user asks for them (`-r`, `--default-rules`) or when the command calls `load_with_rules`. Who wants the
//! rows of `events` without holding them gives a [`Sink`] of its own to [`crate::load::stream`].
//!
//! Bounds: frames are made of chunks of [`CHUNK_ROWS`] rows; `processes` holds what lives; `files`, `network`, `dns` and
//! `containers` have a number of rows at which they stop, `events` a number of bytes (`--limit-memory`). What finds no
//! room is counted in the ledger (`tables_full`).

mod capture;
mod cells;
mod collect;
mod containers;
mod dns;
mod files;
mod filler;
mod lives;
mod network;
mod rows;
mod steady;
mod table;
mod view;
mod wanted;
mod words;

use std::collections::BTreeMap;

use polars::prelude::{
    Categorical32Type, CategoricalChunked, Column, DataFrame, DataType, IntoLazy as _, IntoSeries as _, LazyFrame,
    PlSmallStr, PolarsError, Scalar, col,
};

pub use filler::Filler;
pub use table::{CHUNK_ROWS, Sink};
pub use view::View;
pub use wanted::Wanted;
pub use words::{utf8, word_type};

pub(crate) use capture::{Capture, Reading, read};

use crate::schema::{self, Kind};

/// Bits of `upid` that number the life within its capture.
pub const LIFE_BITS: u32 = 40;

/// Why frames could not be made or asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data frame library refused.
    #[error("{0}")]
    Frame(#[from] PolarsError),
    /// A file could not be written or read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// Arrow or Parquet refused.
    #[error("{0}")]
    Arrow(String),
}

/// All tables of one or more captures.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    tables: BTreeMap<&'static str, DataFrame>,
}

impl Frames {
    /// A table; empty without columns when it was not wanted.
    pub fn frame(&self, table: &str) -> &DataFrame {
        static NONE: std::sync::LazyLock<DataFrame> = std::sync::LazyLock::new(DataFrame::empty);
        self.tables.get(table).unwrap_or(&NONE)
    }

    /// A table to be read row by row.
    pub fn view(&self, table: &str) -> View<'_> {
        View::new(self.frame(table))
    }

    /// The tables that are there, by name.
    pub fn tables(&self) -> impl Iterator<Item = (&'static str, &DataFrame)> {
        self.tables.iter().map(|(name, frame)| (*name, frame))
    }

    /// Puts a table in the place of what there was: for tables that something else makes (`packets`), or joins.
    pub fn insert(&mut self, table: &'static str, frame: DataFrame) {
        self.tables.insert(table, frame);
    }

    /// Appends rows of a table.
    pub(crate) fn append(&mut self, table: &'static str, frame: DataFrame) -> Result<(), Error> {
        match self.tables.get_mut(table) {
            Some(all) => {
                all.vstack_mut_owned(frame)?;
            }
            None => {
                self.tables.insert(table, frame);
            }
        }
        Ok(())
    }
}

/// An empty frame with all columns of a table.
pub fn empty(table: &schema::Table) -> Result<DataFrame, Error> {
    let words = words::Words::new();
    let columns =
        table.all_columns().map(|column| cells::Cells::new(column.name, column.kind).finish(column.name, &words));
    Ok(DataFrame::new(0, columns.collect())?)
}

/// A frame whose categories are text, converted where a query uses them.
pub(crate) fn as_text(frame: &DataFrame) -> LazyFrame {
    let words = frame.columns().iter().filter(|column| matches!(column.dtype(), DataType::Categorical(..)));
    let casts: Vec<_> = words.map(|column| col(column.name().clone()).cast(DataType::String)).collect();
    frame.clone().lazy().with_columns(casts)
}

/// A column of words that is the same in every row.
pub(crate) fn constant(name: &'static str, value: Option<&str>, height: usize) -> Result<Column, Error> {
    let words = CategoricalChunked::<Categorical32Type>::from_str_iter(
        PlSmallStr::from_static(name),
        word_type(),
        std::iter::once(value),
    )?;
    let one = words.into_series();
    let scalar = Scalar::new(one.dtype().clone(), one.get(0)?.into_static());
    Ok(Column::new_scalar(PlSmallStr::from_static(name), scalar, height))
}

/// Whether a column numbers process lives within the capture, until the capture's own number is put in front.
pub(crate) fn is_life(column: &str, kind: Kind) -> bool {
    kind == Kind::Uint && matches!(column, "upid" | "parent_upid")
}
