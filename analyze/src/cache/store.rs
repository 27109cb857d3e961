//! Frames into Arrow IPC streams, and back.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::PathBuf;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, Int64Type, TimestampNanosecondType, UInt64Type};
use arrow_array::{Array as _, ArrayRef, RecordBatch};
use arrow_ipc::CompressionType;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use polars::prelude::DataFrame;

use super::Entry;
use crate::frames::{Error, Filler, Sink, Wanted};
use crate::print::arrow::{Words, batch, schema};
use crate::schema::{Kind, Table};

/// A file whose digest is known when it is written.
struct Digesting {
    file: BufWriter<File>,
    hash: blake3::Hasher,
    bytes: u64,
}

impl Write for Digesting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Tables being written into a folder.
pub(crate) struct Keeper {
    folder: PathBuf,
    files: BTreeMap<&'static str, StreamWriter<Digesting>>,
}

impl Keeper {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, files: BTreeMap::new() }
    }

    /// Gives up: what was written goes.
    pub(crate) fn discard(self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }

    /// Closes the files; the folder and what it holds.
    pub(super) fn finish(self) -> Result<(PathBuf, BTreeMap<&'static str, Entry>), Error> {
        let mut entries = BTreeMap::new();
        for (name, mut writer) in self.files {
            writer.finish().map_err(refused)?;
            let mut file = writer.into_inner().map_err(refused)?;
            file.flush()?;
            entries.insert(name, Entry { bytes: file.bytes, digest: file.hash.finalize().to_hex().to_string() });
        }
        Ok((self.folder, entries))
    }
}

impl Sink for Keeper {
    fn chunk(&mut self, table: &'static Table, frame: DataFrame) -> Result<usize, Error> {
        if !self.files.contains_key(table.name) {
            let file = BufWriter::new(File::create(self.folder.join(format!("{}.arrow", table.name)))?);
            let file = Digesting { file, hash: blake3::Hasher::new(), bytes: 0 };
            let options =
                IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD)).map_err(refused)?;
            let schema = schema(&frame, Words::Dictionary);
            let writer = StreamWriter::try_new_with_options(file, &schema, options).map_err(refused)?;
            self.files.insert(table.name, writer);
        }
        if let Some(writer) = self.files.get_mut(table.name) {
            writer.write(&batch(&frame, Words::Dictionary)?).map_err(refused)?;
        }
        Ok(0)
    }
}

/// A table that is to be read back.
#[derive(Debug)]
pub(crate) struct Reader {
    path: PathBuf,
    table: &'static Table,
}

impl Reader {
    pub(super) fn new(path: PathBuf, table: &'static Table) -> Self {
        Self { path, table }
    }

    /// Hands the wanted columns over, chunk by chunk; false when what is held of them takes more than `room` bytes, which
    /// goes down with it.
    pub(crate) fn read(&self, wanted: &Wanted, room: &mut u64, sink: &mut dyn Sink) -> Result<bool, Error> {
        let open = || -> Result<_, Error> { Ok(BufReader::with_capacity(1 << 20, File::open(&self.path)?)) };
        let stored = StreamReader::try_new(open()?, None).map_err(refused)?.schema();
        let columns: Vec<_> = self
            .table
            .columns
            .iter()
            .filter(|column| wanted.has_column(self.table.name, column.name))
            .filter_map(|column| Some((stored.index_of(column.name).ok()?, column)))
            .collect();
        let projection = columns.iter().map(|(index, _)| *index).collect();
        let reader = StreamReader::try_new(open()?, Some(projection)).map_err(refused)?;
        let mut filler = Filler::new(columns.iter().map(|(_, column)| *column));
        for batch in reader {
            let batch: RecordBatch = batch.map_err(refused)?;
            for (at, (_, column)) in columns.iter().enumerate() {
                let array = batch.columns().get(at).ok_or_else(|| Error::Arrow("a column is missing".to_owned()))?;
                fill(&mut filler, at, column.kind, array)?;
            }
            let (rows, weight) = (batch.num_rows(), filler.take_weight());
            let held = sink.chunk(self.table, filler.frame(rows)?)? as u64;
            match room.checked_sub(weight / rows.max(1) as u64 * held) {
                Some(rest) => *room = rest,
                None => return Ok(false),
            }
        }
        Ok(true)
    }
}

/// The values of an array into a column.
fn fill(filler: &mut Filler, at: usize, kind: Kind, array: &ArrayRef) -> Result<(), Error> {
    let other = || Error::Arrow("a column is of another type".to_owned());
    match kind {
        Kind::Word => {
            let words = array.as_dictionary_opt::<Int32Type>().ok_or_else(other)?;
            let texts = words.values().as_string_opt::<i32>().ok_or_else(other)?;
            // Each text is looked up once a batch.
            let mut codes: HashMap<i32, Option<u32>> = HashMap::with_capacity(texts.len());
            for key in words.keys() {
                let code = key.and_then(|key| {
                    *codes.entry(key).or_insert_with(|| {
                        let place = usize::try_from(key).ok().filter(|place| *place < texts.len())?;
                        filler.code(texts.value(place))
                    })
                });
                filler.word(at, code);
            }
        }
        Kind::Text => array.as_string_opt::<i64>().ok_or_else(other)?.iter().for_each(|text| filler.text(at, text)),
        Kind::Int => {
            array.as_primitive_opt::<Int64Type>().ok_or_else(other)?.iter().for_each(|value| filler.int(at, value));
        }
        Kind::Uint => {
            array.as_primitive_opt::<UInt64Type>().ok_or_else(other)?.iter().for_each(|value| filler.uint(at, value));
        }
        Kind::Bool => array.as_boolean_opt().ok_or_else(other)?.iter().for_each(|value| filler.bool(at, value)),
        Kind::Time => {
            let times = array.as_primitive_opt::<TimestampNanosecondType>().ok_or_else(other)?;
            times.iter().for_each(|value| filler.time(at, value));
        }
    }
    Ok(())
}

#[allow(clippy::needless_pass_by_value)] // as `map_err` hands it over
fn refused(error: arrow_schema::ArrowError) -> Error {
    Error::Arrow(error.to_string())
}
