//! What a survey means: which frame stands in which place, what is missing, what is there twice, what the seal says.

use std::collections::{BTreeMap, BTreeSet};

use super::super::table;
use super::survey::{Body, Slot, Step, Survey};
use super::{Fault, Noted, Report, Wrong};
use crate::record::{Digest, HEAD};

impl Survey {
    /// All faults, in file order.
    pub(super) fn judge(mut self) -> Report {
        self.end();
        self.expect();
        self.place_late();
        for offset in std::mem::take(&mut self.foreign) {
            self.fault(
                Wrong::Foreign,
                None,
                offset,
                "bytes that Casebook did not write: somebody else's frame, or none",
            );
        }
        self.judge_slots();
        self.judge_order();
        self.judge_chain();
        self.judge_custody();
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

    /// Bytes after the last record that are no frame: frames, as far as some are missing, else custody entries.
    fn place_late(&mut self) {
        for piece in std::mem::take(&mut self.late) {
            if (self.slots.len() as u64) < self.report.expected {
                let body = Some(Body::Stray);
                self.slots.push(Slot { offset: piece.offset, body, record: None, broken: true });
            } else {
                self.steps.push(Step::Broken(piece.offset));
            }
        }
        self.steps.sort_by_key(|step| match step {
            Step::Sound(offset, _) | Step::Broken(offset) => *offset,
        });
    }

    /// The record that a slot has.
    fn record_of(&self, slot: &Slot) -> Option<&Noted> {
        slot.record.and_then(|at| self.report.records.get(at))
    }

    fn fault(&mut self, wrong: Wrong, frame: Option<u64>, offset: u64, text: impl Into<String>) {
        self.report.faults.push(Fault { wrong, frame, offset, text: text.into() });
    }

    fn expect(&mut self) {
        let records = self.report.records.iter().map(|record| record.sequence.saturating_add(1)).max();
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
        let records = self.report.records.iter().map(|record| (record.digest, record.sequence));
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
            let by_record = self.record_of(slot).map(|record| record.sequence);
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
            let known = self.record_of(slot).map(|record| record.digest);
            match (&slot.body, known) {
                (None, _) => say(Wrong::Removed, format!("the data of frame {number} is missing, its record is there")),
                (Some(Body::Stray), _) => say(Wrong::Damaged, format!("the data of frame {number} is damaged")),
                (Some(Body::Data(digest)), Some(known)) if *digest == known => {
                    intact.insert(number);
                }
                (Some(Body::Data(digest)), Some(_)) => match owners.get(digest) {
                    Some(owner) => {
                        intact.insert(*owner);
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
        for record in &self.report.records {
            checks.entry(record.sequence).or_insert(record.check);
        }
        let mut faults = Vec::new();
        for slot in &self.slots {
            let Some(record) = self.record_of(slot) else { continue };
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
        for record in &self.report.records {
            let entry = usize::try_from(record.sequence).ok().and_then(|number| entries.get(number));
            if entry.is_none_or(|entry| entry.chain != record.check || entry.digest != record.digest) {
                texts.push(format!("the index does not list the record of frame {} that is there", record.sequence));
            }
        }
        for text in texts {
            self.fault(Wrong::Foreign, None, self.report.len, text);
        }
    }

    /// Check of the last frame record; zeros without frames, `None` when it is not there.
    fn last_record(&self) -> Option<Digest> {
        match self.report.expected.checked_sub(1) {
            None => Some([0; 32]),
            Some(last) => self.report.records.iter().find(|record| record.sequence == last).map(|record| record.check),
        }
    }

    /// The chain goes on from the last record through the custody entries.
    fn judge_custody(&mut self) {
        let custody = &self.report.custody;
        let known: BTreeSet<Digest> = custody.iter().map(|(_, check)| *check).collect();
        let mut before = self.last_record();
        let (mut seen, mut faults) = (BTreeSet::new(), Vec::new());
        for step in &self.steps {
            let (offset, custody, check) = match step {
                Step::Broken(offset) => {
                    faults.push((Wrong::Damaged, *offset, "a custody entry is damaged"));
                    before = None;
                    continue;
                }
                Step::Sound(offset, at) => match custody.get(*at) {
                    Some((custody, check)) => (*offset, custody, *check),
                    None => continue,
                },
            };
            if !seen.insert(check) {
                faults.push((Wrong::Repeated, offset, "a custody entry is there once more"));
                continue;
            }
            if before.is_some_and(|before| before != custody.previous) {
                faults.push(if known.contains(&custody.previous) && !seen.contains(&custody.previous) {
                    (Wrong::Swapped, offset, "a custody entry stands before the one that it follows")
                } else {
                    (
                        Wrong::Removed,
                        offset,
                        "the custody entry before this one is missing, or this one is of another file",
                    )
                });
            }
            before = Some(check);
        }
        for (wrong, offset, text) in faults {
            self.fault(wrong, None, offset, text);
        }
    }

    fn judge_seal(&mut self) {
        if let Some(offset) = self.broken_seal {
            self.fault(Wrong::Damaged, None, offset, "the seal is damaged");
        }
        let Some(seal) = &self.report.seal else { return };
        let (root, len) = (seal.root, self.report.len);
        match self.steps.last() {
            Some(Step::Broken(_)) => {}
            Some(Step::Sound(offset, _)) => {
                let offset = *offset;
                // Entries in another order have been told already.
                if !self.report.custody.iter().any(|(_, check)| *check == root) {
                    self.fault(Wrong::Removed, None, len, "the last custody entry is missing");
                } else if self.report.custody.last().is_some_and(|(_, check)| *check != root)
                    && !self.report.faults.iter().any(|fault| matches!(fault.wrong, Wrong::Swapped | Wrong::Repeated))
                {
                    self.fault(Wrong::Foreign, None, offset, "a custody entry that was not sealed");
                }
            }
            None if self.last_record().is_some_and(|last| last != root) => {
                let number = self.report.expected.checked_sub(1);
                let listed = self.index.as_ref().and_then(|(entries, _)| entries.last()).map(|entry| entry.chain);
                if listed.is_some() && listed == self.last_record() {
                    self.fault(Wrong::Removed, None, len, "the custody entries are missing");
                } else {
                    self.fault(Wrong::Foreign, number, len, "the last frame record is not the one that was sealed");
                }
            }
            None => {}
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
