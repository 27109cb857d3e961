//! The chain of custody: which tool made a file, by which operation, from which parents, on whose behalf.
//!
//! A `.scap.zst` ends with its custody entries, oldest first ([`crate::seekable::SeekableWriter::custody`]); the last one
//! tells how the file itself came to be. Who derives a file from others hands their entries on: [`derive()`] puts them
//! together, `origin` finds them while the parents are read. Plain and gzip captures have no place for any of this.
//!
//! An entry holds no clock, no user, no host and no path of the machine that runs the tool, unless somebody gives them:
//! the same input and the same options give the same file.

use bincode::{Decode, Encode};

use crate::record::Digest;

/// Parents in one entry. An operation on more of them takes several entries, so that each fits its piece.
pub const MAX_PARENTS: usize = 1000;

/// Longest text of an entry in bytes; longer ones are cut there.
pub const MAX_TEXT: usize = 4096;

/// Entries that readers keep of one file: a hostile file may hold any number.
pub const MAX_ENTRIES: usize = 1 << 16;

/// One step in the life of a capture. Fields in the order in which they are stored.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Entry {
    /// What was done, one word: `record`, `convert`, `salvage`, `cat`, `split`, `slice`, `redact`, …
    pub operation: String,
    /// Program and version that did it, such as `casebook 0.1.0`.
    pub tool: String,
    /// Who had it done, as given by an option or by the recorder.
    pub by: Option<String>,
    /// When, ns since 1970, as given likewise: never this machine's clock unasked.
    pub at: Option<u64>,
    /// Free text, as given: options that shaped the result, a case number.
    pub note: Option<String>,
    /// The files it was made from; none for a recording.
    pub parents: Vec<Parent>,
}

/// A file that another was made from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Parent {
    /// Its length in bytes.
    pub bytes: u64,
    /// SHA-256 of the whole file, as `sha256sum` and `casebook verify` print it.
    pub sha256: [u8; 32],
    /// Root hash of its seal, where it was a sealed `.scap.zst`.
    pub root: Option<Digest>,
}

/// What a parent brings along: itself, and its own custody entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The file.
    pub parent: Parent,
    /// Its entries, oldest first.
    pub entries: Vec<Entry>,
}

impl Entry {
    /// An entry with nothing but operation and tool.
    pub fn new(operation: &str, tool: &str) -> Self {
        let (by, at, note) = (None, None, None);
        Self { operation: operation.to_owned(), tool: tool.to_owned(), by, at, note, parents: Vec::new() }
    }

    /// The same with all texts within [`MAX_TEXT`].
    pub(crate) fn bounded(mut self) -> Self {
        cut(&mut self.operation);
        cut(&mut self.tool);
        for text in [&mut self.by, &mut self.note].into_iter().flatten() {
            cut(text);
        }
        self
    }
}

fn cut(text: &mut String) {
    if text.len() > MAX_TEXT {
        let end = (0..=MAX_TEXT).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(end);
    }
}

/// The entries of a file made from `origins` by `step` (whose own parents are replaced): first theirs, in the order of
/// the origins, each once; then the step, more than once where it has more parents than [`MAX_PARENTS`].
pub fn derive(origins: &[Origin], step: &Entry) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for entry in origins.iter().flat_map(|origin| &origin.entries) {
        // Entries are compared by their bytes: rotated files of one recorder share most of theirs.
        if seen.insert(crate::record::encode(entry)) {
            entries.push(entry.clone());
        }
    }
    let parents: Vec<Parent> = origins.iter().map(|origin| origin.parent.clone()).collect();
    if parents.is_empty() {
        entries.push(Entry { parents, ..step.clone() });
        return entries;
    }
    entries.extend(parents.chunks(MAX_PARENTS).map(|some| Entry { parents: some.to_vec(), ..step.clone() }));
    entries
}

#[cfg(test)]
mod tests {
    use super::{Entry, MAX_PARENTS, MAX_TEXT, Origin, Parent, derive};

    fn origin(byte: u8, entries: &[Entry]) -> Origin {
        Origin { parent: Parent { bytes: 1, sha256: [byte; 32], root: None }, entries: entries.to_vec() }
    }

    #[test]
    fn entries_of_all_parents_come_first_and_once() {
        let record = Entry::new("record", "casebook-capture 0.1.0");
        let convert = Entry::new("convert", "casebook 0.1.0");
        let origins = [origin(1, &[record.clone(), convert.clone()]), origin(2, std::slice::from_ref(&record))];
        let made = derive(&origins, &Entry::new("cat", "casebook 0.1.0"));
        assert_eq!(made.iter().map(|entry| entry.operation.as_str()).collect::<Vec<_>>(), ["record", "convert", "cat"]);
        assert_eq!(made[2].parents.iter().map(|parent| parent.sha256[0]).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn many_parents_take_several_entries() {
        let origins: Vec<Origin> = (0..=MAX_PARENTS).map(|n| origin(n as u8, &[])).collect();
        let made = derive(&origins, &Entry::new("cat", "casebook 0.1.0"));
        assert_eq!(made.iter().map(|entry| entry.parents.len()).collect::<Vec<_>>(), [MAX_PARENTS, 1]);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let entry = Entry { note: Some("é".repeat(MAX_TEXT)), ..Entry::new("convert", "t") }.bounded();
        assert_eq!(entry.note.map(|note| note.len()), Some(MAX_TEXT));
    }
}
