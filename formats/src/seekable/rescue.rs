//! What is left of a broken zstd file, as a byte stream: every intact frame whole, and the beginning of one that the end of
//! the file cuts off. Of damaged frames of a `.scap.zst` nothing: their bytes unpack to wrong ones before a checksum says
//! so. Of other zstd files, whose frames may be as long as the file, what unpacks before the decompressor gives up.
//!
//! Where bytes are missing the stream simply goes on with the next frame; the block layer above finds its way back as it
//! does after any damage. What is missing is noted as [`Gap`]s.

use std::collections::HashSet;
use std::io::{self, Cursor, Read};
use std::sync::{Arc, Mutex, PoisonError};

use super::pieces::{Piece, Pieces, What};
use crate::custody::{Entry, MAX_ENTRIES};
use crate::limits::MAX_BLOCK;
use crate::record::{self, Custody, Digest, FrameRecord, Kind, Seal};

/// Most bytes taken from one data frame: a block of the largest size, and room for those before it.
const MAX_CONTENT: u64 = (MAX_BLOCK as u64) + (64 << 20);

/// Bytes looked at to tell what kind of file it is, more than most frames have.
const PROBE: u64 = 64 << 20;

/// Pieces looked at for the same.
const PIECES_ENOUGH: usize = 64;

/// Gaps kept; a hostile file may have any number.
const MAX_GAPS: usize = 100_000;

/// Something that is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gap {
    /// Where in the file; `None`: at its end.
    pub offset: Option<u64>,
    /// Frames that are not in the stream because of it.
    pub frames: u64,
    /// Events that stood in them, as far as records tell.
    pub events: u64,
    /// Earliest and latest time of those events, ns since 1970; 0 when not known.
    pub times: (u64, u64),
    /// Bytes that are in the stream although they come from a damaged frame: values in them may be wrong.
    pub doubtful: u64,
    /// A sentence for people.
    pub text: String,
}

/// What was found on the way.
#[derive(Debug, Default)]
pub struct Found {
    /// Gaps, in file order, up to a bound.
    pub gaps: Vec<Gap>,
    /// Frames that no place of the file has intact.
    pub missing: u64,
    /// Custody entries whose checks hold.
    pub custody: Vec<Entry>,
    /// Root of the seal.
    pub root: Option<Digest>,
}

/// Shared, because the stream ends up inside other readers.
pub type Findings = Arc<Mutex<Found>>;

/// What kind of file an input is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Nature {
    /// A `.scap.zst`, by one of its first pieces.
    Ours,
    /// Another zstd file, of frames that can be taken one by one.
    Frames,
    /// Anything else.
    Other,
}

/// See the module's page.
pub struct Rescue<R> {
    pieces: Pieces<R>,
    is_ours: bool,
    content: Vec<u8>,
    at: usize,
    /// Place of the last data, and whether all of it could be unpacked.
    last: Option<(u64, u64, bool)>,
    /// BLAKE3 of the last data.
    digest: Digest,
    seen: HashSet<Digest, foldhash::fast::FixedState>,
    /// Number of the next frame.
    expected: u64,
    /// One more than the highest number seen.
    highest: u64,
    is_sealed: bool,
    /// The last data is cut off by the end of the file.
    cut: bool,
    findings: Findings,
}

/// Looks at the beginning of an input; what was read stands before the rest again.
pub fn probe(mut input: Box<dyn Read + Send>) -> io::Result<(Nature, Box<dyn Read + Send>)> {
    let mut head = Vec::new();
    input.by_ref().take(4).read_to_end(&mut head)?;
    let other = head == crate::blocks::SHB.to_le_bytes() || head.starts_with(&[0x1F, 0x8B]);
    let mut nature = Nature::Other;
    if !other {
        // A file whose first bytes are damaged may be ours all the same.
        input.by_ref().take(PROBE).read_to_end(&mut head)?;
        nature = judge(&head)?;
    }
    Ok((nature, Box::new(Cursor::new(head).chain(input))))
}

fn judge(head: &[u8]) -> io::Result<Nature> {
    let mut pieces = Pieces::new(head);
    let mut nature = Nature::Other;
    for _ in 0..PIECES_ENOUGH {
        let Some(piece) = pieces.next_piece()? else { break };
        match piece.what {
            What::Own(..) | What::Unusable(_) => return Ok(Nature::Ours),
            What::Data if piece.offset == 0 || is_zstd(head) => nature = Nature::Frames,
            _ => {}
        }
    }
    Ok(nature)
}

fn is_zstd(head: &[u8]) -> bool {
    head.starts_with(&[0x28, 0xB5, 0x2F, 0xFD])
}

impl<R: Read> Rescue<R> {
    /// The stream that is left of `input`, and what is found on the way.
    pub fn new(input: R, nature: Nature) -> (Self, Findings) {
        let findings = Findings::default();
        let rescue = Self {
            pieces: Pieces::new(input),
            is_ours: nature == Nature::Ours,
            content: Vec::new(),
            at: 0,
            last: None,
            digest: [0; 32],
            seen: HashSet::default(),
            expected: 0,
            highest: 0,
            is_sealed: nature != Nature::Ours,
            cut: false,
            findings: Arc::clone(&findings),
        };
        (rescue, findings)
    }

    fn note(&self, gap: Gap) {
        let mut found = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        found.missing = found.missing.saturating_add(gap.frames);
        if found.gaps.len() < MAX_GAPS {
            found.gaps.push(gap);
        }
    }

    /// Something worth knowing by which no frame is lost.
    fn remark(&self, offset: u64, text: &str) {
        self.note(Gap { offset: Some(offset), text: text.to_owned(), ..Gap::default() });
    }

    /// Takes the next piece; false at the end.
    fn advance(&mut self) -> io::Result<bool> {
        let Some(piece) = self.pieces.next_piece()? else {
            self.settle();
            if !self.is_sealed {
                let text = format!("the file ends without a seal, after {} frames", self.highest.max(self.expected));
                self.note(Gap { text, ..Gap::default() });
                self.is_sealed = true;
            }
            return Ok(false);
        };
        match piece.what {
            What::Stray if self.is_ours && self.last.is_some() => {
                // What stands after data is its record; frames lost with it are missed at the next one.
                self.remark(piece.offset, "a damaged frame record, or more");
                self.settle();
            }
            What::Data | What::Stray | What::Cut => {
                self.settle();
                self.unpack(&piece);
            }
            What::Own(Some(kind), _) => self.own(&piece, kind),
            What::Unusable(_) => self.remark(piece.offset, "a damaged frame record, custody entry, index or seal"),
            What::Own(None, _) | What::SeekTable | What::Skippable => {}
        }
        Ok(true)
    }

    fn own(&mut self, piece: &Piece, kind: Kind) {
        match kind {
            Kind::Record => match record::decode::<FrameRecord>(self.pieces.body()) {
                Ok(record) => self.compare(&record, piece.offset),
                Err(_) => self.remark(piece.offset, "a frame record that cannot be read"),
            },
            Kind::Custody => {
                let entry = record::decode::<Custody>(self.pieces.body()).ok().map(|custody| custody.entry);
                let mut found = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
                if found.custody.len() < MAX_ENTRIES {
                    found.custody.extend(entry);
                }
            }
            Kind::Seal => {
                self.settle();
                self.is_sealed = true;
                if let Ok(seal) = record::decode::<Seal>(self.pieces.body()) {
                    self.findings.lock().unwrap_or_else(PoisonError::into_inner).root = Some(seal.root);
                    self.jump(seal.frames, piece.offset);
                }
            }
            Kind::Index => {}
        }
    }

    /// Frames are missing before number `to`.
    fn jump(&mut self, to: u64, offset: u64) {
        if to > self.highest {
            let frames = to - self.highest;
            let which = match frames {
                1 => format!("frame {} is", self.highest),
                _ => format!("frames {} to {} are", self.highest, to - 1),
            };
            let text = format!("{which} missing here");
            self.note(Gap { offset: Some(offset), frames, text, ..Gap::default() });
        }
        self.highest = self.highest.max(to);
    }

    /// Data without a record after it: all that is known is whether it could be unpacked.
    fn settle(&mut self) {
        if let Some((offset, len, whole)) = self.last.take() {
            self.expected += 1;
            self.highest = self.highest.max(self.expected);
            if !whole {
                // What the end of the file cuts off is right as far as it goes.
                let doubtful = if self.cut { 0 } else { len };
                let doubt = if doubtful > 0 { ", which may be wrong in places" } else { "" };
                let text = format!("a damaged or cut frame: {len} bytes of its content recovered{doubt}");
                self.note(Gap { offset: Some(offset), frames: 1, doubtful, text, ..Gap::default() });
            }
        }
    }

    fn unpack(&mut self, piece: &Piece) {
        let bytes = self.pieces.bytes();
        self.digest = *blake3::hash(bytes).as_bytes();
        if self.is_ours && !self.seen.insert(self.digest) {
            self.remark(piece.offset, "a frame that is there once more; its repetition was left out");
            return;
        }
        self.content.clear();
        self.at = 0;
        self.cut = piece.what == What::Cut;
        let decoder = zstd::stream::read::Decoder::with_buffer(bytes);
        let whole = decoder.and_then(|decoder| decoder.single_frame().take(MAX_CONTENT).read_to_end(&mut self.content));
        let whole = whole.is_ok() && piece.what == What::Data;
        if self.is_ours && !whole && piece.what != What::Cut {
            self.content.clear();
        }
        self.last = Some((piece.offset, self.content.len() as u64, whole));
    }

    fn compare(&mut self, record: &FrameRecord, offset: u64) {
        let number = record.sequence;
        if number < self.highest && number != self.expected && self.last.is_some() {
            // Counted as missing where it should have been, and here it is.
            let mut found = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
            found.missing = found.missing.saturating_sub(1);
            drop(found);
            self.remark(offset, &format!("frame {number} stands here, not in its place"));
        }
        self.jump(number, offset);
        self.expected = number.saturating_add(1);
        self.highest = self.highest.max(self.expected);
        let lost = |offset, text| Gap {
            offset: Some(offset),
            frames: 1,
            events: record.events,
            times: (record.earliest, record.latest),
            doubtful: 0,
            text,
        };
        match self.last.take() {
            Some((_, _, true)) if self.digest == record.digest => {}
            Some((offset, _, true)) => self.remark(
                offset,
                &format!("what stands in the place of frame {number} is another one; it was taken as it is, unpacked without fault"),
            ),
            Some((offset, len, _)) => self.note(lost(
                offset,
                format!("frame {number} is damaged: {len} of {} bytes of its content recovered", record.raw_len),
            )),
            // A repetition that was left out is followed by its record.
            None if self.seen.contains(&record.digest) => {}
            None => self.note(lost(offset, format!("the data of frame {number} is missing, its record is there"))),
        }
    }
}

impl<R: Read> Read for Rescue<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.at == self.content.len() {
            if !self.advance()? {
                return Ok(0);
            }
        }
        let rest = &self.content[self.at..];
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        self.at += n;
        Ok(n)
    }
}
