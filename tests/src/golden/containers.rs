//! Container goldens: container fields as sysdig 0.29.3 resolves them (`falco-goldens/containers/NAME.tsv.zst`).
//!
//! sysdig numbers enter and exit events apart, so events are matched by time, thread, half and type. Its tables have
//! a title line; the columns after those five are the fields to compare, whatever they are.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// Columns by which an event is known; the others are compared.
const KEYS: [&str; 5] = ["evt.num", "evt.rawtime", "thread.tid", "evt.dir", "evt.type"];

/// A container golden.
#[derive(Debug, Default)]
pub struct Containers {
    /// Fields to compare.
    pub fields: Vec<String>,
    /// Events in file order.
    pub rows: Vec<ContainerRow>,
}

/// One event of a container golden.
#[derive(Debug)]
pub struct ContainerRow {
    /// `evt.rawtime`, ns.
    pub time: u64,
    /// `thread.tid`.
    pub tid: i64,
    /// `evt.dir` is `>`.
    pub enter: bool,
    /// `evt.type`.
    pub kind: String,
    /// Texts of [`Containers::fields`].
    pub texts: Vec<String>,
}

/// Reads a golden whole: they are small.
pub fn read(path: &Path) -> io::Result<Containers> {
    let source = BufReader::new(zstd::Decoder::new(File::open(path)?)?);
    let mut lines = source.lines();
    let Some(title) = lines.next().transpose()? else { return Ok(Containers::default()) };
    let titles: Vec<&str> = title.split('\t').collect();
    let broken = |message: String| io::Error::new(io::ErrorKind::InvalidData, message);
    let mut keys = [0; KEYS.len()];
    for (slot, key) in keys.iter_mut().zip(KEYS) {
        *slot = titles.iter().position(|title| *title == key).ok_or_else(|| broken(format!("no column {key}")))?;
    }
    let compared: Vec<usize> = (0..titles.len()).filter(|column| !keys.contains(column)).collect();
    let mut containers =
        Containers { fields: compared.iter().map(|&column| titles[column].to_owned()).collect(), rows: Vec::new() };
    for line in lines {
        let line = line?;
        let cells: Vec<&str> = line.split('\t').collect();
        if cells.len() != titles.len() {
            return Err(broken(format!("{} cells instead of {}: {line}", cells.len(), titles.len())));
        }
        let number = |cell: &str| cell.parse::<i64>().map_err(|error| broken(format!("{error}: {cell}")));
        containers.rows.push(ContainerRow {
            time: number(cells[keys[1]])? as u64,
            tid: number(cells[keys[2]])?,
            enter: cells[keys[3]] == ">",
            kind: cells[keys[4]].to_owned(),
            texts: compared.iter().map(|&column| cells[column].to_owned()).collect(),
        });
    }
    Ok(containers)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failing test may panic

    use super::*;

    fn read_text(text: &str) -> io::Result<Containers> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), zstd::encode_all(text.as_bytes(), 1).unwrap()).unwrap();
        read(file.path())
    }

    #[test]
    fn rows_are_read_by_their_titles() {
        let golden =
            read_text("evt.num\tevt.rawtime\tthread.tid\tevt.dir\tevt.type\tcontainer.id\n5\t99\t-1\t>\topen\thost\n")
                .unwrap();
        assert_eq!(golden.fields, ["container.id"]);
        let [row] = &golden.rows[..] else { panic!("one row") };
        assert_eq!((row.time, row.tid, row.enter, row.kind.as_str()), (99, -1, true, "open"));
        assert_eq!(row.texts, ["host"]);
    }

    #[test]
    fn a_missing_key_column_is_an_error() {
        assert!(read_text("evt.num\tcontainer.id\n").is_err());
    }
}
