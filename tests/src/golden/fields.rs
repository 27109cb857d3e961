//! Field goldens: one JSON object an event, field name to text, in zstd (`falco-goldens/fields/NAME.jsonl.zst`).
//!
//! Read as a stream, twice: [`survey`] learns which fields occur at all and which events there are, so that every
//! event can then be compared over the same columns and a lost event is told from a reordered one; [`Rows`] delivers
//! the events' texts column by column. The files write their keys in one order, so a column is found by looking at
//! the next one first; a hash lookup is the exception.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use foldhash::fast::FixedState;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};

/// Text of an absent field.
pub const ABSENT: &str = "<NA>";

/// By what an event of a golden is known, apart from its number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EventKey {
    /// `evt.num`.
    pub num: u64,
    /// `evt.rawtime`, ns since the epoch.
    pub time: u64,
    /// `thread.tid`.
    pub tid: i64,
    /// Hash of `evt.type`, equal for equal names within a run.
    pub kind: u64,
}

impl EventKey {
    /// Whether both mean the same event, whatever their numbers.
    pub fn same_event(&self, other: &Self) -> bool {
        (self.time, self.tid, self.kind) == (other.time, other.tid, other.kind)
    }

    /// Whether both have the same number, time and thread, whatever their types.
    pub fn same_place(&self, other: &Self) -> bool {
        (self.num, self.time, self.tid) == (other.num, other.time, other.tid)
    }
}

/// Hash of an event type's name, for [`EventKey::kind`].
pub fn kind_of(name: &str) -> u64 {
    use std::hash::BuildHasher as _;
    FixedState::with_seed(0).hash_one(name)
}

/// What a golden file holds.
#[derive(Debug, Default)]
pub struct Survey {
    /// All keys that occur.
    pub keys: BTreeSet<String>,
    /// Its events in file order.
    pub events: Vec<EventKey>,
}

/// Reads a golden once for its keys and events.
pub fn survey(path: &Path) -> io::Result<Survey> {
    let mut survey = Survey::default();
    let mut seen: HashSet<String, FixedState> = HashSet::default();
    each_line(path, |line| {
        let mut key = EventKey { num: 0, time: 0, tid: -1, kind: 0 };
        each_pair(line, |name, value| {
            if !seen.contains(name) {
                seen.insert(name.to_owned());
            }
            match name {
                "evt.num" => key.num = value.parse().unwrap_or(0),
                "evt.rawtime" => key.time = value.parse().unwrap_or(0),
                "thread.tid" => key.tid = value.parse().unwrap_or(-1),
                "evt.type" => key.kind = kind_of(value),
                _ => {}
            }
        })?;
        survey.events.push(key);
        Ok(())
    })?;
    survey.keys = seen.into_iter().collect();
    Ok(survey)
}

/// Columns to compare, by position.
#[derive(Debug)]
pub struct Columns {
    names: Vec<String>,
    positions: HashMap<String, usize, FixedState>,
}

impl Columns {
    /// Columns of these names.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let names: Vec<String> = names.into_iter().collect();
        let positions = names.iter().enumerate().map(|(position, name)| (name.clone(), position)).collect();
        Self { names, positions }
    }

    /// Names in column order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Position of a name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.positions.get(name).copied()
    }
}

/// The texts of one event, by column.
#[derive(Debug, Default)]
pub struct Row {
    /// Start and end in `texts`; `None` where the field was absent.
    cells: Vec<Option<(u32, u32)>>,
    texts: String,
    /// After column `i` of the last row came column `follows[i]`; the first one stands at the end.
    follows: Vec<usize>,
}

impl Row {
    /// Text of a column, `None` where the field was absent.
    pub fn text(&self, column: usize) -> Option<&str> {
        let (start, end) = (*self.cells.get(column)?)?;
        self.texts.get(start as usize..end as usize)
    }

    /// Sets the texts from pairs of names and texts; names that are no columns are left out.
    pub fn set<'t>(&mut self, columns: &Columns, pairs: impl Iterator<Item = (&'t str, &'t str)>) {
        self.clear(columns);
        let mut last = columns.names().len();
        for (name, text) in pairs {
            self.cell(columns, &mut last, name, text);
        }
    }

    fn read(&mut self, columns: &Columns, line: &[u8]) -> io::Result<()> {
        self.clear(columns);
        let mut last = columns.names().len();
        each_pair(line, |name, text| self.cell(columns, &mut last, name, text))
    }

    fn clear(&mut self, columns: &Columns) {
        let count = columns.names().len();
        self.cells.clear();
        self.cells.resize(count, None);
        self.follows.resize(count + 1, 0);
        self.texts.clear();
    }

    /// Takes one text; `last` is the column of the text before it.
    fn cell(&mut self, columns: &Columns, last: &mut usize, name: &str, text: &str) {
        let guess = self.follows[*last];
        let column = match columns.names().get(guess) {
            Some(expected) if expected == name => guess,
            _ => match columns.position(name) {
                Some(position) => position,
                None => return,
            },
        };
        self.follows[*last] = column;
        *last = column;
        if text != ABSENT {
            let start = self.texts.len() as u32;
            self.texts.push_str(text);
            self.cells[column] = Some((start, self.texts.len() as u32));
        }
    }
}

/// The events of a golden, one by one.
pub struct Rows<'c> {
    columns: &'c Columns,
    source: BufReader<zstd::Decoder<'static, BufReader<File>>>,
    line: Vec<u8>,
    row: Row,
}

impl<'c> Rows<'c> {
    /// Opens a golden.
    pub fn open(path: &Path, columns: &'c Columns) -> io::Result<Self> {
        Ok(Self { columns, source: open(path)?, line: Vec::new(), row: Row::default() })
    }

    /// The next event, or `None` at the end.
    pub fn next_row(&mut self) -> io::Result<Option<&Row>> {
        if !read_line(&mut self.source, &mut self.line)? {
            return Ok(None);
        }
        self.row.read(self.columns, &self.line)?;
        Ok(Some(&self.row))
    }
}

fn open(path: &Path) -> io::Result<BufReader<zstd::Decoder<'static, BufReader<File>>>> {
    Ok(BufReader::with_capacity(1 << 17, zstd::Decoder::new(File::open(path)?)?))
}

/// The next line that is not blank; false at the end.
fn read_line(source: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    loop {
        line.clear();
        if source.read_until(b'\n', line)? == 0 {
            return Ok(false);
        }
        if !line.trim_ascii().is_empty() {
            return Ok(true);
        }
    }
}

fn each_line(path: &Path, mut visit: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut source = open(path)?;
    let mut line = Vec::new();
    while read_line(&mut source, &mut line)? {
        visit(&line)?;
    }
    Ok(())
}

/// Calls `visit` for each pair of a flat JSON object of texts.
fn each_pair(line: &[u8], visit: impl FnMut(&str, &str)) -> io::Result<()> {
    let mut json = serde_json::Deserializer::from_slice(line);
    json.deserialize_map(Pairs { visit }).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

struct Pairs<V> {
    visit: V,
}

impl<'de, V: FnMut(&str, &str)> Visitor<'de> for Pairs<V> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(Text)? {
            let value = map.next_value_seed(Text)?;
            (self.visit)(&name, &value);
        }
        Ok(())
    }
}

/// A JSON string, borrowed where it has no escapes.
struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a text")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failing test may panic

    use super::*;

    fn file(lines: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), zstd::encode_all(lines.as_bytes(), 1).unwrap()).unwrap();
        file
    }

    #[test]
    fn a_golden_is_read_by_columns_in_any_key_order() {
        let golden = file(
            "{\"evt.num\":\"2\",\"evt.rawtime\":\"77\",\"thread.tid\":\"-5\",\"evt.type\":\"read\",\"a\":\"x\\ty\"}\n\n\
             {\"a\":\"\",\"evt.num\":\"3\",\"b\":\"<NA>\"}\n",
        );
        let survey = survey(golden.path()).unwrap();
        assert_eq!(survey.events.len(), 2);
        assert_eq!(survey.events[0], EventKey { num: 2, time: 77, tid: -5, kind: kind_of("read") });
        let columns = Columns::new(survey.keys);
        let (a, b) = (columns.position("a").unwrap(), columns.position("b").unwrap());
        let mut rows = Rows::open(golden.path(), &columns).unwrap();
        let row = rows.next_row().unwrap().unwrap();
        assert_eq!((row.text(a), row.text(b)), (Some("x\ty"), None));
        let row = rows.next_row().unwrap().unwrap();
        assert_eq!((row.text(a), row.text(b)), (Some(""), None));
        assert!(rows.next_row().unwrap().is_none());
    }

    #[test]
    fn a_broken_golden_is_an_error() {
        let golden = file("{\"evt.num\":2}\n");
        assert!(survey(golden.path()).is_err());
    }
}
