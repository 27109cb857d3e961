//! Rule files as texts with places: what every message points into.
//!
//! First stage of loading. A [`FileSpan`] is a file number and a byte range; [`Sources`] turns it into a name, a line
//! and a column. A rule file can be embedded in another file (a Helm values file, a Kubernetes manifest): its spans
//! count bytes of the inner text, and [`Sources::locate`] leads to the place in the outer file, the one people edit.

use std::sync::Arc;

/// Largest rule file, in bytes. The largest public rule file has 95 kB; a list of a million hashes or addresses fits.
pub const MAX_FILE_SIZE: usize = 64 << 20;

/// Number of a file within one load.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FileId(pub u32);

/// Bytes `start..end` of a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FileSpan {
    /// Which file.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl FileSpan {
    /// Bytes `start..end` of `file`.
    pub fn new(file: FileId, start: usize, end: usize) -> Self {
        Self { file, start: start as u32, end: end.max(start) as u32 }
    }
}

/// Why a path leads to no rules.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Problem {
    /// It cannot be read, for this reason.
    Unreadable(String),
    /// It is a directory, values file or manifest without rule files.
    NoRuleFiles,
}

/// A rule file as given to [`crate::load::load`].
#[derive(Clone, Debug)]
pub struct RuleFile {
    /// Name for messages: a path, or `outer file: key` for an embedded one.
    pub name: String,
    /// Content, not yet known to be UTF-8.
    pub bytes: Vec<u8>,
    /// Why there is no content.
    pub problem: Option<Problem>,
    /// Where it comes from when it is part of another file.
    pub embedded: Option<Embedded>,
    /// The next file goes with it: rules are built when that has been read, too.
    pub goes_on: bool,
}

impl RuleFile {
    /// A file of its own.
    pub fn new(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), bytes: bytes.into(), problem: None, embedded: None, goes_on: false }
    }

    /// A file that could not be read; loading reports it where its turn comes.
    pub fn unreadable(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { problem: Some(Problem::Unreadable(reason.into())), ..Self::new(name, Vec::new()) }
    }

    /// A path without rule files, which loading warns about.
    pub fn nothing(name: impl Into<String>) -> Self {
        Self { problem: Some(Problem::NoRuleFiles), ..Self::new(name, Vec::new()) }
    }
}

/// The file around an embedded rule file.
#[derive(Clone, Debug)]
pub struct Embedded {
    /// Name of the outer file.
    pub name: String,
    /// Its text.
    pub text: Arc<str>,
    /// Which byte of the outer text a byte of the inner text is.
    pub map: TextMap,
}

/// Leads from bytes of a derived text to bytes of the text it was derived from.
#[derive(Clone, Default, Debug)]
pub struct TextMap {
    /// (first byte of the derived text, byte of the original); linear up to the next entry, sorted.
    segments: Vec<(u32, u32)>,
}

impl TextMap {
    /// From here on, derived byte `derived` is original byte `original`, and so on linearly. Calls come in order.
    pub fn push(&mut self, derived: usize, original: usize) {
        if let Some(&(from, to)) = self.segments.last() {
            if from as usize == derived {
                self.segments.pop();
            } else if original.checked_sub(to as usize) == derived.checked_sub(from as usize) {
                return;
            }
        }
        self.segments.push((derived as u32, original as u32));
    }

    /// The original byte of a derived one. Without segments the texts are the same.
    pub fn original(&self, derived: usize) -> usize {
        let after = self.segments.partition_point(|&(from, _)| from as usize <= derived);
        match after.checked_sub(1).and_then(|at| self.segments.get(at)) {
            Some(&(from, to)) => to as usize + (derived - from as usize),
            None => derived,
        }
    }

    /// The starts of the linear pieces of `start..end`, `start` itself included, with their original bytes.
    pub(crate) fn within(&self, start: usize, end: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        let first = self.segments.partition_point(|&(from, _)| from as usize <= start);
        let rest = self.segments.get(first..).unwrap_or_default();
        std::iter::once((start, self.original(start)))
            .chain(rest.iter().map(|&(from, to)| (from as usize, to as usize)).take_while(move |&(from, _)| from < end))
    }

    /// The original bytes of a derived range.
    pub fn original_range(&self, start: usize, end: usize) -> (usize, usize) {
        let first = self.original(start);
        let last = if end > start { self.original(end - 1) + 1 } else { first };
        (first, last.max(first))
    }
}

/// A line and a column, both from 1. Columns count characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column in characters.
    pub column: usize,
}

/// A text with the starts of its lines.
#[derive(Clone, Debug)]
struct Page {
    name: String,
    text: Arc<str>,
    lines: Vec<u32>,
}

impl Page {
    fn new(name: String, text: Arc<str>) -> Self {
        let lines =
            std::iter::once(0).chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at as u32 + 1)).collect();
        Self { name, text, lines }
    }

    fn position(&self, byte: usize) -> Position {
        let byte = floor_char_boundary(&self.text, byte);
        let line = self.lines.partition_point(|&start| start as usize <= byte);
        let start = self.lines.get(line.saturating_sub(1)).map_or(0, |&start| start as usize);
        Position { line, column: self.text.get(start..byte).map_or(0, |before| before.chars().count()) + 1 }
    }
}

/// The largest character boundary of `text` that is not after `byte`.
pub(crate) fn floor_char_boundary(text: &str, byte: usize) -> usize {
    let mut byte = byte.min(text.len());
    while !text.is_char_boundary(byte) {
        byte -= 1;
    }
    byte
}

/// The smallest character boundary of `text` that is not before `byte`.
pub(crate) fn ceil_char_boundary(text: &str, byte: usize) -> usize {
    let mut byte = byte.min(text.len());
    while !text.is_char_boundary(byte) {
        byte += 1;
    }
    byte
}

#[derive(Clone, Debug)]
struct Source {
    page: Page,
    outer: Option<(Page, TextMap)>,
}

/// A place as people see it: the file they edit, and bytes, lines and columns of that file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Located<'s> {
    /// Name of the file; the outer one for embedded rule files.
    pub name: &'s str,
    /// Text of that file.
    pub text: &'s str,
    /// First byte in it, on a character boundary.
    pub start: usize,
    /// One past the last byte, on a character boundary.
    pub end: usize,
    /// Line and column of the first byte.
    pub position: Position,
}

/// All files of one load, in the order in which they were given.
#[derive(Clone, Default, Debug)]
pub struct Sources {
    files: Vec<Source>,
}

impl Sources {
    /// Adds a file. Bytes that are not UTF-8 become replacement characters here; the reader refuses such a file.
    pub fn add(&mut self, file: &RuleFile) -> FileId {
        let text: Arc<str> = Arc::from(String::from_utf8_lossy(&file.bytes));
        self.files.push(Source {
            page: Page::new(file.name.clone(), text),
            outer: file
                .embedded
                .as_ref()
                .map(|outer| (Page::new(outer.name.clone(), Arc::clone(&outer.text)), outer.map.clone())),
        });
        FileId(self.files.len() as u32 - 1)
    }

    /// Name of a file as it was given.
    pub fn name(&self, file: FileId) -> &str {
        self.files.get(file.0 as usize).map_or("", |source| &source.page.name)
    }

    /// Text of a file as it was given.
    pub fn text(&self, file: FileId) -> &str {
        self.files.get(file.0 as usize).map_or("", |source| &source.page.text)
    }

    /// Files, in load order.
    pub fn ids(&self) -> impl Iterator<Item = FileId> + '_ {
        (0..self.files.len() as u32).map(FileId)
    }

    /// The place of a span in the file that people edit.
    pub fn locate(&self, span: FileSpan) -> Option<Located<'_>> {
        let source = self.files.get(span.file.0 as usize)?;
        let (start, end) = (span.start as usize, span.end as usize);
        let (page, start, end) = match &source.outer {
            None => (&source.page, start, end),
            Some((page, map)) => {
                let (start, end) = map.original_range(start, end);
                (page, start, end)
            }
        };
        let start = floor_char_boundary(&page.text, start);
        let end = ceil_char_boundary(&page.text, end.max(start));
        Some(Located { name: &page.name, text: &page.text, start, end, position: page.position(start) })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test ends at the first surprise
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_and_in_characters() {
        let mut sources = Sources::default();
        let file = sources.add(&RuleFile::new("r.yaml", "ab\n\u{e9}\u{e9}x\n"));
        let at = |byte| sources.locate(FileSpan::new(file, byte, byte + 1)).unwrap().position;
        assert_eq!(at(0), Position { line: 1, column: 1 });
        assert_eq!(at(3), Position { line: 2, column: 1 });
        assert_eq!(at(7), Position { line: 2, column: 3 });
        assert_eq!(at(4), Position { line: 2, column: 1 }, "inside a character");
        assert_eq!(at(99), Position { line: 3, column: 1 }, "past the end");
    }

    #[test]
    fn a_map_is_linear_between_its_entries() {
        let mut map = TextMap::default();
        map.push(0, 10);
        map.push(2, 12);
        map.push(5, 30);
        assert_eq!((map.original(1), map.original(4), map.original(6)), (11, 14, 31));
        assert_eq!(map.original_range(1, 6), (11, 31));
        assert_eq!(TextMap::default().original(7), 7);
    }
}
