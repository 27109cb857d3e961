//! Files by table: a partitioned Parquet data set, or one CSV file a table.
//!
//! `DIR/table=processes/date=2026-11-21/host=web1/NAME-DIGEST.parquet`: partitions as Hive, Spark and others
//! know them. The name of a file follows from the capture alone, so that exporting it again replaces it, and exports of
//! other captures into the same folder stand beside it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use casebook_replay::summary::iso_time;
use polars::prelude::{DataFrame, IdxCa, IdxSize, PlSmallStr};

use crate::frames::{Error, View};
use crate::print::{self, Format};

/// What Hive and its relatives call a partition without a value.
const NONE: &str = "__HIVE_DEFAULT_PARTITION__";

/// The column whose day is a row's partition, by preference.
const TIMES: [&str; 4] = ["time", "start", "first", "end"];

/// Writes a table of one capture as Parquet; gives the number of files.
///
/// `day`: first day of the capture, for rows without a time. `name`: of the capture, with its digest.
pub(super) fn parquet(folder: &Path, table: &str, frame: &DataFrame, day: &str, name: &str) -> Result<u64, Error> {
    if frame.height() == 0 {
        return Ok(0);
    }
    let mut files = 0;
    for ((date, host), runs) in partitions(frame, day) {
        let place = folder.join(format!("table={table}")).join(format!("date={date}")).join(format!("host={host}"));
        fs::create_dir_all(&place)?;
        let part = rows_of(frame, &runs)?;
        replace(&place.join(format!("{name}.parquet")), |out| print::write(&part, Format::Parquet, None, out))?;
        files += 1;
    }
    Ok(files)
}

/// Consecutive rows: the first, and how many.
type Run = (usize, usize);

/// The day of a time in ns since 1970, counted from there.
fn day_of(ns: u64) -> u64 {
    ns / 86_400_000_000_000
}

/// Rows by day and host, in runs: tables are in the order of time, so that a day of a host is one run nearly always.
fn partitions(frame: &DataFrame, day: &str) -> BTreeMap<(String, String), Vec<Run>> {
    let mut parts: BTreeMap<(String, String), Vec<Run>> = BTreeMap::new();
    let mut first = 0;
    for slice in print::slices(frame) {
        let view = View::new(&slice);
        let times: Vec<Vec<Option<i64>>> = TIMES.iter().map(|name| view.ints(name)).collect();
        let rows: Vec<(Option<u64>, Option<&str>)> = view
            .texts("host")
            .into_iter()
            .enumerate()
            .map(|(row, host)| {
                (times.iter().find_map(|column| column[row]).and_then(|ns| u64::try_from(ns).ok()), host)
            })
            .collect();
        let mut row = 0;
        for run in rows.chunk_by(|(a, a_host), (b, b_host)| a.map(day_of) == b.map(day_of) && a_host == b_host) {
            let (time, host) = run[0];
            let date = time.map_or_else(|| day.to_owned(), |ns| iso_time(ns)[..10].to_owned());
            let host = host.map_or_else(|| NONE.to_owned(), safe_name);
            let runs = parts.entry((date, host)).or_default();
            match runs.last_mut() {
                Some((start, length)) if *start + *length == first + row => *length += run.len(),
                _ => runs.push((first + row, run.len())),
            }
            row += run.len();
        }
        first += slice.height();
    }
    parts
}

/// The rows of some runs. One run is a view of the frame; only rows that lie apart are copied, as a table of all events
/// takes most of the memory there is.
fn rows_of(frame: &DataFrame, runs: &[Run]) -> Result<DataFrame, Error> {
    if let [(start, length)] = runs {
        return Ok(frame.slice(*start as i64, *length));
    }
    let rows = runs.iter().flat_map(|(start, length)| *start..start + length).map(|row| row as IdxSize).collect();
    Ok(frame.take(&IdxCa::from_vec(PlSmallStr::EMPTY, rows))?)
}

/// A text as the name of a folder: what is not plainly a name becomes `%XX`.
pub(super) fn safe_name(text: &str) -> String {
    let mut name = String::new();
    for (at, byte) in text.bytes().enumerate().take(100) {
        let plain = byte.is_ascii_alphanumeric() || b"-_".contains(&byte) || (byte == b'.' && at > 0);
        if plain {
            name.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(name, "%{byte:02X}");
        }
    }
    if name.is_empty() { NONE.to_owned() } else { name }
}

/// Writes beside the file first, so that a failure leaves what was there.
fn replace(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> Result<(), Error>) -> Result<(), Error> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let written = (|| {
        let mut out = BufWriter::new(File::create(&partial)?);
        write(&mut out)?;
        out.flush()?;
        fs::rename(&partial, path)?;
        Ok(())
    })();
    if written.is_err() {
        // Nothing is there to be kept.
        let _ = fs::remove_file(&partial);
    }
    written
}

/// CSV files of all tables in one folder, open while captures come.
pub(super) struct Csv {
    folder: PathBuf,
    files: BTreeMap<&'static str, BufWriter<File>>,
}

impl Csv {
    pub(super) fn new(folder: &Path) -> Result<Self, Error> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned(), files: BTreeMap::new() })
    }

    /// Appends rows; the first capture brings the header.
    pub(super) fn add(&mut self, table: &'static str, frame: &DataFrame) -> Result<(), Error> {
        if frame.height() == 0 {
            return self.append(table, frame);
        }
        // A table of all events as text is many times the capture.
        print::slices(frame).try_for_each(|slice| self.append(table, &slice))
    }

    fn append(&mut self, table: &'static str, frame: &DataFrame) -> Result<(), Error> {
        let mut bytes = Vec::new();
        print::write(frame, Format::Csv, None, &mut bytes)?;
        if let Some(file) = self.files.get_mut(table) {
            // The header stands there already; it has no line end within.
            let rows = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
            return Ok(file.write_all(&bytes[rows..])?);
        }
        let mut file = BufWriter::new(File::create(self.folder.join(format!("{table}.csv")))?);
        file.write_all(&bytes)?;
        self.files.insert(table, file);
        Ok(())
    }

    /// Writes what is left; gives the number of files.
    pub(super) fn end(self) -> Result<u64, Error> {
        let files = self.files.len() as u64;
        for mut file in self.files.into_values() {
            file.flush()?;
        }
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // A test that cannot go on has failed.

    use super::*;

    #[test]
    fn names_of_folders_are_harmless() {
        assert_eq!(safe_name("web-1.example"), "web-1.example");
        assert_eq!(safe_name("../x"), "%2E.%2Fx");
        assert_eq!(safe_name(""), NONE);
    }

    #[test]
    fn rows_of_a_day_are_together_wherever_they_stand() {
        const DAY: i64 = 86_400_000_000_000;
        let times = [1, 2, DAY + 1, DAY + 2, 3];
        let hosts = ["a", "a", "a", "b", "a"];
        let frame = polars::df!("time" => times, "host" => hosts).unwrap();
        let parts = partitions(&frame, "2026-01-01");
        let of = |date: &str, host: &str| {
            let part = rows_of(&frame, &parts[&(date.to_owned(), host.to_owned())]).unwrap();
            View::new(&part).ints("time").into_iter().flatten().collect::<Vec<i64>>()
        };
        assert_eq!(of("1970-01-01", "a"), [1, 2, 3]);
        assert_eq!(of("1970-01-02", "a"), [DAY + 1]);
        assert_eq!(of("1970-01-02", "b"), [DAY + 2]);
        assert_eq!(parts.len(), 3);
    }
}
