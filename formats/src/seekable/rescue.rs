//! What is left of a broken `.scap.zst`, as a byte stream: every intact frame whole, and the beginning of one that
//! the end of the file cuts off. Of damaged frames nothing: their bytes unpack to wrong ones before a checksum says so.
//!
//! Where bytes are missing the stream simply goes on with the next frame; the block layer above finds its way back as it
//! does after any damage. What is missing is noted as [`Gap`]s.

use std::collections::HashSet;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use super::pieces::{Piece, Pieces, What};
use crate::limits::MAX_BLOCK;
use crate::record::{self, Digest, FrameRecord, Kind};

/// Most bytes taken from one data frame: a block of the largest size, and room for those before it.
const MAX_CONTENT: u64 = (MAX_BLOCK as u64) + (64 << 20);

/// Pieces looked at to tell a file of ours.
const PIECES_ENOUGH: usize = 8;

/// Something that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Where in the file.
    pub offset: u64,
    /// A sentence for people.
    pub text: String,
}

/// Gaps noted so far; shared, because the stream ends up inside other readers.
pub type Gaps = Arc<Mutex<Vec<Gap>>>;

/// See the module's page.
pub struct Rescue<R> {
    pieces: Pieces<R>,
    content: Vec<u8>,
    at: usize,
    /// Place of the last data, and whether all of it could be unpacked.
    last: Option<(u64, u64, bool)>,
    /// BLAKE3 of the last data.
    digest: Digest,
    seen: HashSet<Digest, foldhash::fast::FixedState>,
    /// Number of the next frame.
    expected: u64,
    is_sealed: bool,
    gaps: Gaps,
}

/// Whether a zstd file is one of ours: one of its first pieces tells.
pub fn is_ours(input: impl Read) -> io::Result<bool> {
    let mut pieces = Pieces::new(input);
    for _ in 0..PIECES_ENOUGH {
        match pieces.next_piece()? {
            Some(Piece { what: What::Own(..) | What::Unusable(_), .. }) => return Ok(true),
            Some(_) => {}
            None => break,
        }
    }
    Ok(false)
}

impl<R: Read> Rescue<R> {
    /// The stream that is left of `input`, and where its gaps will stand.
    pub fn new(input: R) -> (Self, Gaps) {
        let gaps = Gaps::default();
        let rescue = Self {
            pieces: Pieces::new(input),
            content: Vec::new(),
            at: 0,
            last: None,
            digest: [0; 32],
            seen: HashSet::default(),
            expected: 0,
            is_sealed: false,
            gaps: Arc::clone(&gaps),
        };
        (rescue, gaps)
    }

    fn gap(&self, offset: u64, text: String) {
        self.gaps.lock().unwrap_or_else(PoisonError::into_inner).push(Gap { offset, text });
    }

    /// Takes the next piece; false at the end.
    fn advance(&mut self) -> io::Result<bool> {
        let Some(piece) = self.pieces.next_piece()? else {
            self.settle();
            if !self.is_sealed {
                self.gap(
                    u64::MAX,
                    format!("the file ends without a seal, after frame data up to number {}", self.expected),
                );
                self.is_sealed = true;
            }
            return Ok(false);
        };
        match piece.what {
            What::Data | What::Stray | What::Cut => {
                self.settle();
                self.unpack(&piece);
            }
            What::Own(Some(Kind::Record), _) => match record::decode::<FrameRecord>(self.pieces.body()) {
                Ok(record) => self.compare(&record, piece.offset),
                Err(_) => self.gap(piece.offset, "a frame record that cannot be read".to_owned()),
            },
            What::Own(Some(Kind::Seal), _) => self.is_sealed = true,
            What::Unusable(_) => self.gap(piece.offset, "a damaged frame record, index or seal".to_owned()),
            What::Own(..) | What::SeekTable | What::Skippable => {}
        }
        Ok(true)
    }

    /// Data without a record after it: all that is known is whether it could be unpacked.
    fn settle(&mut self) {
        if let Some((offset, len, whole)) = self.last.take() {
            self.expected += 1;
            if !whole {
                self.gap(offset, format!("a damaged or cut frame: {len} bytes of its content recovered"));
            }
        }
    }

    fn unpack(&mut self, piece: &Piece) {
        let bytes = self.pieces.bytes();
        self.digest = *blake3::hash(bytes).as_bytes();
        if !self.seen.insert(self.digest) {
            self.gap(piece.offset, "a frame that is there once more; its repetition was left out".to_owned());
            return;
        }
        self.content.clear();
        self.at = 0;
        let decoder = zstd::stream::read::Decoder::with_buffer(bytes);
        let whole = decoder.and_then(|decoder| decoder.single_frame().take(MAX_CONTENT).read_to_end(&mut self.content));
        let whole = whole.is_ok() && piece.what == What::Data;
        if !whole && piece.what != What::Cut {
            // Damaged bytes unpack to wrong ones before the checksum says so: they are no evidence of anything.
            self.content.clear();
        }
        self.last = Some((piece.offset, self.content.len() as u64, whole));
    }

    fn compare(&mut self, record: &FrameRecord, offset: u64) {
        let number = record.sequence;
        if number > self.expected {
            self.gap(offset, format!("frames {} to {} are missing or in another place", self.expected, number - 1));
        }
        self.expected = number.saturating_add(1);
        match self.last.take() {
            Some((_, _, true)) if self.digest == record.digest => {}
            Some((offset, _, true)) => self.gap(
                offset,
                format!("what stands in the place of frame {number} is another one; it was taken as it is, unpacked without fault"),
            ),
            Some((offset, len, _)) => self.gap(
                offset,
                format!(
                    "frame {number} is damaged: {len} of {} bytes of its content recovered; it held {} events from {} to {} ns",
                    record.raw_len, record.events, record.earliest, record.latest
                ),
            ),
            None => self.gap(offset, format!("the data of frame {number} is not before its record; it held {} events", record.events)),
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
