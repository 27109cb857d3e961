//! What stands in which place of a file, collected piece by piece.
//!
//! A piece that cannot be used does not say what it was: the pieces around it do. Those of which that is not clear yet
//! wait in [`Survey::unknown`] until the next one tells.

use super::super::pieces::{Piece, What};
use super::{Noted, Report};
use crate::custody::MAX_ENTRIES;
use crate::record::{self, Custody, Digest, FrameRecord, HEAD, IndexEntry, Kind, RecordError, Seal};

/// Data and record that belong together by their place.
#[derive(Default)]
pub(super) struct Slot {
    pub offset: u64,
    pub body: Option<Body>,
    /// Place in the report's records.
    pub record: Option<usize>,
    /// A record stood here that cannot be used.
    pub broken: bool,
}

/// What stands where a data frame belongs.
pub(super) enum Body {
    Data(Digest),
    Stray,
}

/// A piece that cannot be used.
#[derive(Clone, Copy)]
pub(super) struct Unknown {
    pub offset: u64,
    end: u64,
    /// Bytes that are no frame at all; else a piece of ours.
    pub stray: bool,
}

/// One custody piece, in file order.
pub(super) enum Step {
    /// Place in the report's custody entries.
    Sound(u64, usize),
    Broken(u64),
}

/// Everything found in the pass.
#[derive(Default)]
pub(super) struct Survey {
    pub slots: Vec<Slot>,
    open: Option<Slot>,
    pub unknown: Vec<Unknown>,
    /// Strays after the last record: data frames, when some are missing, else custody entries.
    pub late: Vec<Unknown>,
    pub steps: Vec<Step>,
    pub index: Option<(Vec<IndexEntry>, Digest)>,
    pub broken_index: Option<u64>,
    pub broken_seal: Option<u64>,
    pub seek_table: Option<(u64, Vec<u8>)>,
    pub broken_table: Option<u64>,
    pub cut: Option<u64>,
    pub later: Option<u64>,
    /// Frames of somebody else, and bytes where nothing belongs.
    pub foreign: Vec<u64>,
    /// Lengths of all pieces before the seek table.
    pub layout: Vec<u64>,
    pub report: Report,
}

impl Survey {
    /// Takes the next piece: its bytes, and the hash of data.
    pub(super) fn take(&mut self, piece: &Piece, bytes: &[u8], digest: Digest) {
        self.report.len = piece.offset + piece.len;
        if piece.what != What::SeekTable {
            self.layout.push(piece.len);
        }
        match piece.what {
            What::Data => {
                self.close();
                self.unknown_are_frames();
                self.open = Some(Slot { offset: piece.offset, body: Some(Body::Data(digest)), ..Slot::default() });
            }
            What::Own(kind, check) => {
                self.report.is_ours = true;
                let body = bytes.get(HEAD..).and_then(|payload| record::open(payload).ok());
                self.own(piece, kind, check, body.map_or(&[], |sound| sound.body));
            }
            What::Unusable(RecordError::Version(_)) => self.later = Some(piece.offset),
            What::Unusable(_) => {
                self.report.is_ours = true;
                self.unusable(piece, false);
            }
            What::Stray => self.unusable(piece, true),
            What::Skippable if self.report.seal.is_some() => self.unusable(piece, true),
            What::Skippable => self.foreign.push(piece.offset),
            What::SeekTable => {
                self.close();
                self.unknown_before_table();
                self.seek_table = Some((piece.offset, bytes.to_vec()));
            }
            What::Cut => self.cut = Some(piece.offset),
        }
    }

    /// Ends the pass.
    pub(super) fn end(&mut self) {
        self.close();
        let mut unknown = std::mem::take(&mut self.unknown).into_iter();
        if self.report.seal.is_some() {
            self.broken_table = unknown.next().map(|piece| piece.offset).or(self.broken_table);
        } else if self.index.is_some() {
            self.broken_seal = unknown.next().map(|piece| piece.offset).or(self.broken_seal);
            self.broken_table = unknown.next().map(|piece| piece.offset).or(self.broken_table);
        } else if self.seek_table.is_none() {
            for piece in unknown {
                match (piece.stray, self.broken_index, self.broken_seal) {
                    // What runs to the end without a frame in it is not known to be one.
                    (true, None, None) => self.foreign.push(piece.offset),
                    (_, None, _) => self.broken_index = Some(piece.offset),
                    (_, Some(_), None) => self.broken_seal = Some(piece.offset),
                    _ => self.broken_table = Some(piece.offset),
                }
            }
        }
    }

    fn close(&mut self) {
        self.slots.extend(self.open.take());
    }

    fn own(&mut self, piece: &Piece, kind: Option<Kind>, check: Digest, body: &[u8]) {
        match kind {
            Some(Kind::Record) => match record::decode::<FrameRecord>(body) {
                Ok(record) => self.record(piece.offset, Noted::of(record, check)),
                Err(_) => self.unusable(piece, false),
            },
            Some(Kind::Custody) => {
                self.close();
                self.unknown_are_late();
                match record::decode::<Custody>(body) {
                    Ok(custody) if self.report.custody.len() < MAX_ENTRIES => {
                        self.steps.push(Step::Sound(piece.offset, self.report.custody.len()));
                        self.report.custody.push((custody, check));
                    }
                    _ => self.steps.push(Step::Broken(piece.offset)),
                }
            }
            Some(Kind::Index) => {
                self.close();
                self.unknown_are_late();
                match record::decode_index(body) {
                    Ok(entries) => self.index = Some((entries, check)),
                    Err(_) => self.broken_index = Some(piece.offset),
                }
            }
            Some(Kind::Seal) => {
                self.close();
                self.unknown_before_seal();
                match record::decode::<Seal>(body) {
                    Ok(seal) => self.report.seal = Some(seal),
                    Err(_) => self.broken_seal = Some(piece.offset),
                }
            }
            None => self.later = Some(piece.offset),
        }
    }

    /// A record belongs to what stands before it, also when that is no frame any more.
    fn record(&mut self, offset: u64, record: Noted) {
        let before = self.unknown.pop_if(|piece| piece.stray && self.open.is_none());
        self.unknown_are_frames();
        let stray = before.map(|piece| Slot { offset: piece.offset, body: Some(Body::Stray), ..Slot::default() });
        let slot = self.open.take().or(stray).unwrap_or_else(|| Slot { offset, ..Slot::default() });
        self.slots.push(Slot { record: Some(self.report.records.len()), ..slot });
        self.report.records.push(record);
    }

    /// What stands after a data frame is its record; of anything else the next piece tells what it was.
    fn unusable(&mut self, piece: &Piece, stray: bool) {
        let (offset, end) = (piece.offset, piece.offset + piece.len);
        if let Some(slot) = self.open.take() {
            self.slots.push(Slot { broken: true, ..slot });
        } else if let Some(before) =
            self.unknown.last_mut().filter(|before| before.stray && stray && before.end == offset)
        {
            before.end = end;
        } else {
            self.unknown.push(Unknown { offset, end, stray });
        }
    }

    /// More frames follow: what could not be used were frames or their records.
    fn unknown_are_frames(&mut self) {
        for piece in std::mem::take(&mut self.unknown) {
            let body = piece.stray.then_some(Body::Stray);
            self.slots.push(Slot { offset: piece.offset, body, record: None, broken: true });
        }
    }

    /// Custody or the index follows.
    fn unknown_are_late(&mut self) {
        for piece in std::mem::take(&mut self.unknown) {
            if piece.stray {
                self.late.push(piece);
            } else {
                self.steps.push(Step::Broken(piece.offset));
            }
        }
    }

    fn unknown_before_seal(&mut self) {
        if self.index.is_none() {
            self.broken_index = self.unknown.pop().map(|piece| piece.offset).or(self.broken_index);
            self.unknown_are_late();
        } else {
            self.foreign.extend(std::mem::take(&mut self.unknown).iter().map(|piece| piece.offset));
        }
    }

    fn unknown_before_table(&mut self) {
        if self.report.seal.is_none() && self.broken_seal.is_none() {
            self.broken_seal = self.unknown.pop().map(|piece| piece.offset);
            self.unknown_before_seal();
        } else {
            self.foreign.extend(std::mem::take(&mut self.unknown).iter().map(|piece| piece.offset));
        }
    }
}
