//! Is this file what was written? Every frame, the chain of records, index, seal and seek table.
//!
//! One pass collects the hashes of all pieces ([`super::pieces`]), the rest is comparison: what stands in which place,
//! what is missing, what is there twice. Nothing is unpacked. A file that somebody wrote anew as a whole is consistent
//! in itself: against that only a root hash, a SHA-256 or a signature helps that was kept elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use super::pieces::{Piece, Pieces, What};
use super::table;
use crate::custody::MAX_ENTRIES;
use crate::record::{self, Custody, Digest, FrameRecord, HEAD, IndexEntry, Kind, RecordError, Seal};

/// What kind of thing is wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Wrong {
    /// Bytes were changed.
    Damaged,
    /// The file ends too early.
    Truncated,
    /// Something was taken out.
    Removed,
    /// Something stands in another's place.
    Swapped,
    /// Something is there more than once.
    Repeated,
    /// Something of another file, or of nobody.
    Foreign,
}

impl Wrong {
    /// One word, part of the JSON output.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Damaged => "damaged",
            Self::Truncated => "truncated",
            Self::Removed => "removed",
            Self::Swapped => "swapped",
            Self::Repeated => "repeated",
            Self::Foreign => "foreign",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Kind.
    pub wrong: Wrong,
    /// The data frame it concerns.
    pub frame: Option<u64>,
    /// Where in the file.
    pub offset: u64,
    /// A sentence for people.
    pub text: String,
}

/// What a file came to.
#[derive(Debug, Default)]
pub struct Report {
    /// Frame records or another piece of ours were found: a file of this format.
    pub is_ours: bool,
    /// Data frames whose bytes are those that were written.
    pub intact: u64,
    /// Data frames that the file should have, as far as it still says.
    pub expected: u64,
    /// Everything that is wrong, in file order.
    pub faults: Vec<Fault>,
    /// The seal, when its check holds.
    pub seal: Option<Seal>,
    /// The frame records that could be read, in file order, with their checks.
    pub records: Vec<(FrameRecord, Digest)>,
    /// The custody entries that could be read, oldest first, with their checks.
    pub custody: Vec<(Custody, Digest)>,
    /// Length of the file.
    pub len: u64,
}

/// Data and record that belong together by their place.
#[derive(Default)]
struct Slot {
    offset: u64,
    body: Option<Body>,
    record: Option<usize>,
    /// A record stood here that cannot be used.
    broken: bool,
}

enum Body {
    Data(Digest),
    Stray,
}

/// Everything found in the pass.
#[derive(Default)]
struct Survey {
    slots: Vec<Slot>,
    open: Option<Slot>,
    index: Option<(Vec<IndexEntry>, Digest)>,
    broken_index: Option<u64>,
    broken_seal: Option<u64>,
    seek_table: Option<(u64, Vec<u8>)>,
    broken_table: Option<u64>,
    cut: Option<u64>,
    later: Option<u64>,
    layout: Vec<u64>,
    report: Report,
}

/// Checks a file. Errors are those of reading it; what is wrong with its content stands in the report.
pub fn verify(input: impl Read) -> io::Result<Report> {
    let mut pieces = Pieces::new(input);
    let mut survey = Survey::default();
    while let Some(piece) = pieces.next_piece()? {
        survey.report.len = piece.offset + piece.len;
        survey.take(piece, &pieces);
    }
    Ok(survey.judge())
}

impl Survey {
    fn take<R: Read>(&mut self, piece: Piece, pieces: &Pieces<R>) {
        if piece.what != What::SeekTable {
            self.layout.push(piece.len);
        }
        match piece.what {
            What::Data => {
                self.close();
                self.open(piece.offset, Body::Data(*blake3::hash(pieces.bytes()).as_bytes()));
            }
            What::Own(kind, check) => {
                self.report.is_ours = true;
                self.own(piece.offset, kind, check, pieces.body());
            }
            What::Unusable(RecordError::Version(_)) => self.later = Some(piece.offset),
            What::Unusable(_) => {
                self.report.is_ours = true;
                self.broken(piece.offset);
            }
            What::SeekTable => {
                self.end_of_stray();
                self.seek_table = Some((piece.offset, pieces.bytes().to_vec()));
            }
            What::Skippable | What::Stray => self.stray(piece),
            What::Cut => self.cut = Some(piece.offset),
        }
    }

    fn open(&mut self, offset: u64, body: Body) {
        self.open = Some(Slot { offset, body: Some(body), ..Slot::default() });
    }

    fn close(&mut self) {
        self.slots.extend(self.open.take());
    }

    fn own(&mut self, offset: u64, kind: Option<Kind>, check: Digest, body: &[u8]) {
        match kind {
            Some(Kind::Record) => match record::decode::<FrameRecord>(body) {
                Ok(record) => {
                    let mut slot = self.open.take().unwrap_or_else(|| Slot { offset, ..Slot::default() });
                    slot.record = Some(self.report.records.len());
                    self.report.records.push((record, check));
                    self.slots.push(slot);
                }
                Err(_) => self.broken(offset),
            },
            Some(Kind::Index) => {
                self.close();
                match record::decode_index(body) {
                    Ok(entries) => self.index = Some((entries, check)),
                    Err(_) => self.broken_index = Some(offset),
                }
            }
            Some(Kind::Custody) => match record::decode::<Custody>(body) {
                Ok(custody) if self.report.custody.len() < MAX_ENTRIES => {
                    self.close();
                    self.report.custody.push((custody, check));
                }
                _ => self.later = Some(offset),
            },
            Some(Kind::Seal) => {
                self.end_of_stray();
                match record::decode::<Seal>(body) {
                    Ok(seal) => self.report.seal = Some(seal),
                    Err(_) => self.broken_seal = Some(offset),
                }
            }
            None => self.later = Some(offset),
        }
    }

    /// One of our pieces that cannot be used: which, its place tells.
    fn broken(&mut self, offset: u64) {
        match self.open.take() {
            Some(slot) => self.slots.push(Slot { broken: true, ..slot }),
            None if self.index.is_none() && self.broken_index.is_none() => self.broken_index = Some(offset),
            None => self.broken_seal = Some(offset),
        }
    }

    fn stray(&mut self, piece: Piece) {
        match &self.open {
            Some(Slot { body: Some(Body::Data(_)), .. }) => self.broken(piece.offset),
            Some(_) => {}
            None if self.report.seal.is_some() || self.broken_seal.is_some() => self.broken_table = Some(piece.offset),
            None if self.index.is_some() || self.broken_index.is_some() => self.broken_seal = Some(piece.offset),
            None => self.open(piece.offset, Body::Stray),
        }
    }

    /// A stray stretch before seal or seek table was the index.
    fn end_of_stray(&mut self) {
        match self.open.take() {
            Some(Slot { body: Some(Body::Stray), offset, .. }) if self.index.is_none() => {
                self.broken_index = Some(offset);
            }
            open => self.slots.extend(open),
        }
    }

    fn fault(&mut self, wrong: Wrong, frame: Option<u64>, offset: u64, text: impl Into<String>) {
        self.report.faults.push(Fault { wrong, frame, offset, text: text.into() });
    }

    fn judge(mut self) -> Report {
        if self.cut.is_none()
            && let Some(Slot { body: Some(Body::Stray), offset, .. }) = self.open
        {
            // What runs to the end without a frame in it is not known to be one.
            self.open = None;
            self.fault(Wrong::Foreign, None, offset, "bytes that are no frame, up to the end of the file");
        }
        self.close();
        self.expect();
        self.judge_slots();
        self.judge_order();
        self.judge_chain();
        self.judge_index();
        self.judge_seal();
        self.judge_end();
        if let Some(offset) = self.later {
            self.fault(Wrong::Foreign, None, offset, "a piece of a later version of the format; it was not checked");
        }
        if self.report.faults.is_empty() {
            self.judge_layout();
        }
        self.report.faults.sort_by_key(|fault| fault.offset);
        self.report
    }

    fn expect(&mut self) {
        let records = self.report.records.iter().map(|(record, _)| record.sequence.saturating_add(1)).max();
        let index = self.index.as_ref().map(|(entries, _)| entries.len() as u64);
        let seal = self.report.seal.as_ref().map(|seal| seal.frames);
        // Index and seal know; a record's number is trusted for as many frames as the file could hold.
        let most = self.report.len / 16;
        self.report.expected = seal.or(index).or(records).unwrap_or(0).min(most);
    }

    /// The frame that a hash belongs to.
    fn owners(&self) -> BTreeMap<Digest, u64> {
        let entries = self.index.iter().flat_map(|(entries, _)| entries);
        let index = (0..).zip(entries).map(|(number, entry)| (entry.digest, number));
        let records = self.report.records.iter().map(|(record, _)| (record.digest, record.sequence));
        index.chain(records).collect()
    }

    /// Number of the frame in each slot: as its record says, else as its hash says, else by its place.
    fn numbers(&self) -> Vec<u64> {
        let owners = self.owners();
        let mut next = 0;
        let number = |slot: &Slot| {
            let by_hash = match &slot.body {
                Some(Body::Data(digest)) => owners.get(digest).copied(),
                _ => None,
            };
            let by_record = slot.record.and_then(|at| self.report.records.get(at)).map(|(record, _)| record.sequence);
            let number = by_record.or(by_hash).unwrap_or(next);
            next = number.saturating_add(1);
            number
        };
        self.slots.iter().map(number).collect()
    }

    fn judge_slots(&mut self) {
        let (owners, numbers) = (self.owners(), self.numbers());
        let mut faults = Vec::new();
        let mut intact = BTreeSet::new();
        let last = self.slots.len().saturating_sub(1);
        let ends_open = self.index.is_none() && self.broken_index.is_none();
        for (at, (slot, &number)) in self.slots.iter().zip(&numbers).enumerate() {
            let mut say = |wrong, text: String| faults.push((wrong, number, slot.offset, text));
            let record = slot.record.and_then(|at| self.report.records.get(at)).map(|(record, _)| record);
            let known = record.map(|record| record.digest);
            match (&slot.body, known) {
                (None, _) => say(Wrong::Removed, format!("the data of frame {number} is missing, its record is there")),
                (Some(Body::Stray), _) => say(Wrong::Damaged, format!("the data of frame {number} is damaged")),
                (Some(Body::Data(digest)), Some(known)) if *digest == known => {
                    intact.insert(number);
                }
                (Some(Body::Data(digest)), Some(_)) => match owners.get(digest) {
                    Some(owner) => {
                        say(Wrong::Swapped, format!("the data of frame {owner} stands in the place of frame {number}"));
                    }
                    None => say(
                        Wrong::Damaged,
                        format!("the data of frame {number} is damaged: its BLAKE3 is not that of its record"),
                    ),
                },
                (Some(Body::Data(digest)), None) => {
                    let state = if owners.contains_key(digest) {
                        intact.insert(number);
                        "its data is intact, as the index shows"
                    } else if self.index.is_some() {
                        "its data is not that of the index"
                    } else {
                        "whether its data is intact cannot be said"
                    };
                    if slot.broken {
                        say(Wrong::Damaged, format!("the record of frame {number} is damaged; {state}"));
                    } else if at < last || !ends_open {
                        // The last frame of a file that ends too early is without one for that reason.
                        say(Wrong::Removed, format!("the record of frame {number} is missing; {state}"));
                    }
                }
            }
        }
        for (wrong, number, offset, text) in faults {
            self.fault(wrong, Some(number), offset, text);
        }
        self.report.intact = intact.len() as u64;
    }

    fn judge_order(&mut self) {
        let numbers = self.numbers();
        let mut once: Vec<(u64, u64)> = Vec::new();
        let mut seen = BTreeSet::new();
        let mut repeated = Vec::new();
        for (slot, &number) in self.slots.iter().zip(&numbers) {
            if seen.insert(number) {
                once.push((number, slot.offset));
            } else {
                repeated.push((number, slot.offset));
            }
        }
        for (number, offset) in repeated {
            self.fault(Wrong::Repeated, Some(number), offset, format!("frame {number} is there once more"));
        }
        for number in (0..self.report.expected).filter(|number| !seen.contains(number)) {
            let after = once.iter().filter(|(there, _)| *there > number).map(|(_, offset)| *offset).min();
            let offset = after.unwrap_or(self.report.len);
            self.fault(Wrong::Removed, Some(number), offset, format!("frame {number} is missing"));
        }
        let mut sorted: Vec<u64> = once.iter().map(|(number, _)| *number).collect();
        sorted.sort_unstable();
        for ((number, offset), belongs) in once.into_iter().zip(sorted) {
            if number != belongs {
                let text = format!("frame {number} stands where frame {belongs} belongs");
                self.fault(Wrong::Swapped, Some(number), offset, text);
            }
        }
    }

    fn judge_chain(&mut self) {
        let mut checks: BTreeMap<u64, Digest> = BTreeMap::new();
        for (record, check) in &self.report.records {
            checks.entry(record.sequence).or_insert(*check);
        }
        let mut faults = Vec::new();
        for slot in &self.slots {
            let Some((record, _)) = slot.record.and_then(|at| self.report.records.get(at)) else { continue };
            let before = match record.sequence {
                0 => Some([0; 32]),
                number => checks.get(&(number - 1)).copied(),
            };
            if before.is_some_and(|before| before != record.previous) {
                faults.push((record.sequence, slot.offset));
            }
        }
        for (number, offset) in faults {
            let text =
                format!("the record of frame {number} does not continue the one before it: it is of another file");
            self.fault(Wrong::Foreign, Some(number), offset, text);
        }
    }

    fn judge_index(&mut self) {
        if let Some(offset) = self.broken_index {
            self.fault(Wrong::Damaged, None, offset, "the index is damaged");
        }
        let Some((entries, check)) = &self.index else {
            let is_later = self.report.seal.is_some() || self.broken_seal.is_some() || self.seek_table.is_some();
            if is_later && self.broken_index.is_none() {
                self.fault(Wrong::Removed, None, self.report.len, "the index is missing");
            }
            return;
        };
        let mut texts = Vec::new();
        if self.report.seal.as_ref().is_some_and(|seal| seal.index != *check) {
            texts.push("the index is not the one that was sealed".to_owned());
        }
        for (record, chain) in &self.report.records {
            let entry = usize::try_from(record.sequence).ok().and_then(|number| entries.get(number));
            if entry.is_none_or(|entry| entry.chain != *chain || entry.digest != record.digest) {
                texts.push(format!("the index does not list the record of frame {} that is there", record.sequence));
            }
        }
        for text in texts {
            self.fault(Wrong::Foreign, None, self.report.len, text);
        }
    }

    fn judge_seal(&mut self) {
        if let Some(offset) = self.broken_seal {
            self.fault(Wrong::Damaged, None, offset, "the seal is damaged");
        }
        let Some(seal) = &self.report.seal else { return };
        let last = seal.frames.checked_sub(1);
        let root = match last {
            _ if !self.report.custody.is_empty() => self.report.custody.last().map(|(_, check)| *check),
            None => Some([0; 32]),
            Some(last) => {
                let mut records = self.report.records.iter().filter(|(record, _)| record.sequence == last);
                records.next().map(|(_, check)| *check)
            }
        };
        if root.is_some_and(|root| root != seal.root) {
            self.fault(Wrong::Foreign, last, self.report.len, "the last frame record is not the one that was sealed");
        }
    }

    fn judge_end(&mut self) {
        let sealed = self.report.seal.is_some() || self.broken_seal.is_some();
        let tabled = self.seek_table.is_some() || self.broken_table.is_some();
        if let Some(offset) = self.broken_table {
            self.fault(Wrong::Damaged, None, offset, "the seek table is damaged");
        }
        let wrong_table = match (&self.seek_table, &self.report.seal) {
            (Some((offset, bytes)), Some(seal)) if blake3::hash(bytes).as_bytes() != &seal.seek_table => Some(*offset),
            _ => None,
        };
        if let Some(offset) = wrong_table {
            self.fault(Wrong::Damaged, None, offset, "the seek table is damaged: it is not the one that was sealed");
        }
        if tabled && !sealed {
            self.fault(Wrong::Removed, None, self.report.len, "the seal is missing");
        }
        if tabled && self.cut.is_none() {
            return;
        }
        let frames = match self.slots.len() {
            1 => "1 frame".to_owned(),
            count => format!("{count} frames"),
        };
        let missing = if sealed {
            "its seek table".to_owned()
        } else if self.index.is_some() || self.broken_index.is_some() {
            "its seal".to_owned()
        } else {
            format!("its index and seal; {frames} came before")
        };
        let text = match self.cut {
            Some(offset) => format!("the file is cut off in the piece that begins at byte {offset}, before {missing}"),
            None => format!("the file ends before {missing}"),
        };
        self.fault(Wrong::Truncated, None, self.report.len, text);
    }

    /// Compares the seek table with the frames that are there: only of use when nothing else is wrong.
    fn judge_layout(&mut self) {
        let Some((offset, bytes)) = &self.seek_table else { return };
        let entries = bytes.get(HEAD..).and_then(table::decode).unwrap_or_default();
        let layout = entries.iter().map(|entry| u64::from(entry.packed_len));
        if !layout.eq(self.layout.iter().copied()) {
            self.fault(Wrong::Foreign, None, *offset, "the seek table does not list the frames that are there");
        }
    }
}
