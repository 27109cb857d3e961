//! Takes a `.scap.zst` apart into its frames, however damaged it is, without unpacking more than a few of them.
//!
//! One pass over a file or a pipe. Data frames are measured by their block headers, so that no record is needed to find
//! their end; where the structure is broken, the next sound frame is searched for. Memory is bounded by the largest
//! frame and grows only as bytes arrive.

use std::io::{self, Read};

use super::{table, zstd_frame};
use crate::limits::MAX_BLOCK;
use crate::record::{self, Digest, HEAD, Kind, MAX_PAYLOAD, RecordError};

/// Longest compressed frame, and longest stretch without a frame that is handed out in one piece.
pub(super) const MAX_FRAME: usize = MAX_BLOCK + (64 << 20);

/// Bytes of a zstd frame that say how long its header is.
pub(super) const FRAME_HEADER: u64 = 5;

/// Frames of one file that are unpacked to see whether they are frames.
const MAX_DOUBTS: u32 = 64;

/// Bytes read at a time.
const STEP: usize = 256 << 10;

/// A stretch of the file.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// Where it begins in the file.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u64,
    /// What it is.
    pub what: What,
}

/// What a piece is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// A zstd frame, whole by its structure; its content has not been looked at.
    Data,
    /// One of our skippable frames, whose check holds. `None`: a kind of the future.
    Own(Option<Kind>, Digest),
    /// One of our skippable frames that cannot be used.
    Unusable(RecordError),
    /// A seek table.
    SeekTable,
    /// Somebody else's skippable frame.
    Skippable,
    /// Bytes that are no frame.
    Stray,
    /// The beginning of a frame; the file ends in it.
    Cut,
}

/// The pieces of a file, in order, without gaps.
pub struct Pieces<R> {
    input: R,
    window: Vec<u8>,
    /// Where the current piece begins in the window.
    start: usize,
    /// Its length.
    current: usize,
    /// File offset of the window's first byte.
    base: u64,
    ended: bool,
    /// Frames that may still be unpacked to see whether they are frames: a hostile file must not have all of them so.
    doubts: u32,
}

/// The magic numbers a frame can begin with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Magic {
    Zstd,
    Own,
    SeekTable,
    Skippable,
}

/// What the structure of a frame says about its length.
enum Walk {
    Whole(usize),
    Cut,
    Broken,
}

fn magic(bytes: &[u8]) -> Option<Magic> {
    match u32::from_le_bytes(*bytes.first_chunk()?) {
        0xFD2F_B528 => Some(Magic::Zstd),
        record::MAGIC => Some(Magic::Own),
        table::MAGIC => Some(Magic::SeekTable),
        0x184D_2A50..=0x184D_2A5F => Some(Magic::Skippable),
        _ => None,
    }
}

/// Whether these bytes begin as a zstd frame does.
pub(super) fn is_data(bytes: &[u8]) -> bool {
    magic(bytes) == Some(Magic::Zstd)
}

impl<R: Read> Pieces<R> {
    /// Pieces of whatever `input` gives.
    pub fn new(input: R) -> Self {
        Self { input, window: Vec::new(), start: 0, current: 0, base: 0, ended: false, doubts: MAX_DOUBTS }
    }

    /// The input, for what it may have counted on the way.
    pub fn input(&self) -> &R {
        &self.input
    }

    /// Bytes of the piece that was given last.
    pub fn bytes(&self) -> &[u8] {
        self.window.get(self.start..self.start + self.current).unwrap_or_default()
    }

    /// Body of the piece of ours that was given last.
    pub fn body(&self) -> &[u8] {
        self.bytes().get(HEAD..).and_then(|payload| record::open(payload).ok()).map_or(&[], |sound| sound.body)
    }

    /// The next piece; `None` at the end.
    pub fn next_piece(&mut self) -> io::Result<Option<Piece>> {
        self.start += self.current;
        self.current = 0;
        if !self.fill(1)? {
            return Ok(None);
        }
        let (len, what) = self.judge()?;
        self.current = len;
        Ok(Some(Piece { offset: self.base + self.start as u64, len: len as u64, what }))
    }

    fn judge(&mut self) -> io::Result<(usize, What)> {
        self.fill(4)?;
        let cut = match magic(self.rest(0)) {
            Some(Magic::Zstd) => match self.walk(0)? {
                Walk::Whole(len) if self.follows(len)? || self.unpacks(len) => return Ok((len, What::Data)),
                Walk::Whole(_) | Walk::Broken => false,
                Walk::Cut => true,
            },
            Some(kind) => match self.skippable(0)? {
                Walk::Whole(len) => {
                    let what = self.payload(kind, len);
                    let usable =
                        !matches!(what, What::Unusable(RecordError::Damaged | RecordError::Foreign) | What::Skippable);
                    if usable || self.follows(len)? {
                        return Ok((len, what));
                    }
                    false
                }
                Walk::Cut => !(kind == Magic::SeekTable && self.ends_as_table()),
                Walk::Broken => false,
            },
            None => self.rest(0).len() < 4,
        };
        let (len, found) = self.search()?;
        Ok((len, if cut && !found { What::Cut } else { What::Stray }))
    }

    fn payload(&self, kind: Magic, len: usize) -> What {
        let payload = self.rest(HEAD).get(..len - HEAD).unwrap_or_default();
        match kind {
            Magic::Own => match record::open(payload) {
                Ok(sound) => What::Own(sound.kind, sound.check),
                Err(error) => What::Unusable(error),
            },
            Magic::SeekTable if table::decode(payload).is_some() => What::SeekTable,
            _ if payload.starts_with(&record::MARK) => What::Unusable(RecordError::Damaged),
            _ => What::Skippable,
        }
    }

    /// Whether the file ends as seek tables do.
    fn ends_as_table(&self) -> bool {
        self.ended && self.window.ends_with(&table::FOOTER_MAGIC.to_le_bytes())
    }

    fn rest(&self, at: usize) -> &[u8] {
        self.window.get(self.start + at..).unwrap_or_default()
    }

    /// Reads until `len` bytes from the current place on are there; false when the file ends before.
    fn fill(&mut self, len: usize) -> io::Result<bool> {
        let have = self.window.len() - self.start;
        if have >= len {
            return Ok(true);
        }
        if self.ended {
            return Ok(false);
        }
        if self.start > self.window.len() / 2 {
            self.window.drain(..self.start);
            self.base += self.start as u64;
            self.start = 0;
        }
        let want = (len - have).max(STEP);
        let got = self.input.by_ref().take(want as u64).read_to_end(&mut self.window)?;
        self.ended = got < want;
        Ok(have + got >= len)
    }

    /// Whether a frame, or the end of the file, stands at this place.
    fn follows(&mut self, at: usize) -> io::Result<bool> {
        self.fill(at + 4)?;
        let rest = self.rest(at);
        Ok(rest.is_empty() || magic(rest).is_some() || (rest.len() < 4 && self.ended))
    }

    /// Whether the frame at the current place is one by its content too. Only asked where nothing sound follows it: then
    /// either its own structure is damaged or what comes after it.
    fn unpacks(&mut self, len: usize) -> bool {
        let Some(left) = self.doubts.checked_sub(1) else { return false };
        self.doubts = left;
        let bytes = self.rest(0).get(..len).unwrap_or_default();
        let Ok(decoder) = zstd::stream::read::Decoder::with_buffer(bytes) else { return false };
        let unpacked = io::copy(&mut decoder.single_frame().take(MAX_FRAME as u64), &mut io::sink());
        unpacked.is_ok_and(|len| len < MAX_FRAME as u64)
    }

    fn skippable(&mut self, at: usize) -> io::Result<Walk> {
        if !self.fill(at + HEAD)? {
            return Ok(Walk::Cut);
        }
        let len = self.rest(at + 4).first_chunk().map_or(0, |len| u32::from_le_bytes(*len) as usize);
        if len > MAX_PAYLOAD {
            return Ok(Walk::Broken);
        }
        Ok(if self.fill(at + HEAD + len)? { Walk::Whole(HEAD + len) } else { Walk::Cut })
    }

    /// Length of a zstd frame by its header and block headers (RFC 8878, 3.1.1).
    fn walk(&mut self, at: usize) -> io::Result<Walk> {
        if !self.fill(at + FRAME_HEADER as usize)? {
            return Ok(Walk::Cut);
        }
        let descriptor = self.rest(at + 4).first().copied().unwrap_or_default();
        let Some(mut len) = zstd_frame::header_len(descriptor) else { return Ok(Walk::Broken) };
        loop {
            if !self.fill(at + len + zstd_frame::BLOCK_HEADER)? {
                return Ok(Walk::Cut);
            }
            let Some(&header) = self.rest(at + len).first_chunk() else { return Ok(Walk::Cut) };
            let Some((size, last)) = zstd_frame::block(header) else { return Ok(Walk::Broken) };
            len += zstd_frame::BLOCK_HEADER + size;
            if len > MAX_FRAME {
                return Ok(Walk::Broken);
            }
            if last {
                break;
            }
        }
        len += zstd_frame::trailer_len(descriptor);
        Ok(if self.fill(at + len)? { Walk::Whole(len) } else { Walk::Cut })
    }

    /// How far it is to the next sound frame, and whether there is one; else to the end, or as far as one piece goes.
    fn search(&mut self) -> io::Result<(usize, bool)> {
        let mut at = 1;
        loop {
            let more = self.fill(at + STEP)?;
            let rest = self.rest(at);
            // Fourth bytes of the magic numbers.
            let hit = rest
                .get(3..)
                .and_then(|tail| memchr::memchr2_iter(0x18, 0xFD, tail).find(|&hit| magic(&rest[hit..]).is_some()));
            if let Some(hit) = hit {
                at += hit;
                if self.is_sound(at)? {
                    return Ok((at, true));
                }
                at += 1;
            } else if more {
                at += rest.len().saturating_sub(3).max(1);
            } else {
                return Ok((self.window.len() - self.start, false));
            }
            if at > MAX_FRAME {
                return Ok((at, false));
            }
        }
    }

    fn is_sound(&mut self, at: usize) -> io::Result<bool> {
        match magic(self.rest(at)) {
            Some(Magic::Zstd) => match self.walk(at)? {
                Walk::Whole(len) => self.follows(at + len),
                Walk::Cut | Walk::Broken => Ok(false),
            },
            Some(kind @ (Magic::Own | Magic::SeekTable)) => {
                let Walk::Whole(len) = self.skippable(at)? else { return Ok(false) };
                let payload = self.rest(at + HEAD).get(..len - HEAD).unwrap_or_default();
                Ok(if kind == Magic::Own {
                    !matches!(record::open(payload), Err(RecordError::Foreign | RecordError::Damaged))
                } else {
                    table::decode(payload).is_some()
                })
            }
            _ => Ok(false),
        }
    }
}
