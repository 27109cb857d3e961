//! Follows the frames of a `.scap.zst` while its bytes pass by on their way to the decompressor.
//!
//! So that a pipe, which is read only once, still gives records, seal and custody. Holds nothing but the piece of ours
//! under way; where the structure breaks it gives up, because searching is the business of [`super::pieces`].

use super::{table, zstd_frame};
use crate::record::{self, Digest, HEAD, Sound};

/// Longest payload of a piece of ours that is kept until it is whole; longer ones (an index) are passed over.
const MAX_KEPT: usize = 256 << 10;

/// Something that has passed.
pub(crate) enum Passing<'a> {
    /// A whole zstd frame: its BLAKE3.
    Data(Digest),
    /// A piece of ours whose check holds.
    Own(Sound<'a>),
    /// A seek table: the end of the file.
    SeekTable,
}

/// What the bytes being gathered are.
#[derive(Clone, Copy)]
enum State {
    /// Magic number, and the byte after it.
    Magic,
    FrameHeader,
    BlockHeader,
    Skippable,
    Payload,
    Lost,
}

/// See the module's page.
pub(crate) struct Follower {
    state: State,
    /// Bytes gathered, and how many are wanted.
    gathered: Vec<u8>,
    wanted: usize,
    /// Bytes to pass over before more are gathered.
    passing: u64,
    descriptor: u8,
    /// The block that passes is the last of its frame.
    last: bool,
    hasher: Option<blake3::Hasher>,
}

impl Default for Follower {
    fn default() -> Self {
        Self {
            state: State::Magic,
            gathered: Vec::new(),
            wanted: 5,
            passing: 0,
            descriptor: 0,
            last: false,
            hasher: None,
        }
    }
}

impl Follower {
    /// Takes the next bytes of the file in, in portions of any size.
    pub(crate) fn push(&mut self, mut bytes: &[u8], see: &mut dyn FnMut(Passing)) {
        while !bytes.is_empty() && !matches!(self.state, State::Lost) {
            if self.passing > 0 {
                let (some, rest) = bytes.split_at(bytes.len().min(usize::try_from(self.passing).unwrap_or(usize::MAX)));
                self.hash(some);
                self.passing -= some.len() as u64;
                bytes = rest;
                self.passed(see);
                continue;
            }
            let (some, rest) = bytes.split_at(bytes.len().min(self.wanted - self.gathered.len()));
            self.gathered.extend_from_slice(some);
            bytes = rest;
            if self.gathered.len() == self.wanted {
                self.step(see);
            }
        }
    }

    fn hash(&mut self, bytes: &[u8]) {
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
    }

    /// Ends a frame whose last block has passed.
    fn passed(&mut self, see: &mut dyn FnMut(Passing)) {
        if self.passing == 0 && self.last {
            self.last = false;
            if let Some(hasher) = self.hasher.take() {
                see(Passing::Data(*hasher.finalize().as_bytes()));
            }
            self.begin();
        }
    }

    fn begin(&mut self) {
        self.gather(State::Magic, 5);
    }

    fn gather(&mut self, state: State, wanted: usize) {
        self.gathered.clear();
        (self.state, self.wanted) = (state, wanted);
    }

    fn step(&mut self, see: &mut dyn FnMut(Passing)) {
        match self.state {
            State::Magic => self.magic(),
            State::FrameHeader => {
                let gathered = std::mem::take(&mut self.gathered);
                self.hash(&gathered);
                self.gather(State::BlockHeader, zstd_frame::BLOCK_HEADER);
            }
            State::BlockHeader => {
                let Some((len, last)) = self.gathered.first_chunk().and_then(|header| zstd_frame::block(*header))
                else {
                    self.state = State::Lost;
                    return;
                };
                let gathered = std::mem::take(&mut self.gathered);
                self.hash(&gathered);
                self.last = last;
                self.passing = (len + if last { zstd_frame::trailer_len(self.descriptor) } else { 0 }) as u64;
                self.gather(State::BlockHeader, zstd_frame::BLOCK_HEADER);
                self.passed(see);
            }
            State::Skippable => self.skippable(see),
            State::Payload => {
                if let Ok(sound) = record::open(&self.gathered) {
                    see(Passing::Own(sound));
                }
                self.begin();
            }
            State::Lost => {}
        }
    }

    fn magic(&mut self) {
        let (Some(&magic), Some(&descriptor)) = (self.gathered.first_chunk(), self.gathered.get(4)) else { return };
        match u32::from_le_bytes(magic) {
            0xFD2F_B528 => match zstd_frame::header_len(descriptor) {
                Some(len) => {
                    self.hasher = Some(blake3::Hasher::new());
                    self.descriptor = descriptor;
                    (self.state, self.wanted) = (State::FrameHeader, len);
                }
                None => self.state = State::Lost,
            },
            0x184D_2A50..=0x184D_2A5F => (self.state, self.wanted) = (State::Skippable, HEAD),
            _ => self.state = State::Lost,
        }
    }

    fn skippable(&mut self, see: &mut dyn FnMut(Passing)) {
        let number =
            |at: usize| self.gathered.get(at..).and_then(|bytes| bytes.first_chunk()).copied().map(u32::from_le_bytes);
        let (Some(magic), Some(len)) = (number(0), number(4)) else { return };
        if magic == table::MAGIC {
            see(Passing::SeekTable);
        }
        let len = len as usize;
        if magic == record::MAGIC && (1..=MAX_KEPT).contains(&len) {
            self.gather(State::Payload, len);
        } else {
            self.begin();
            self.passing = len as u64;
        }
    }
}
