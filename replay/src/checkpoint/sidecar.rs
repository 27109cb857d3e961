//! The file of checkpoints beside a capture: `x.scap.zst.checkpoints`.
//!
//! ```text
//! "CSBKCKPT", version (1 byte)
//! checkpoints, each a zstd frame of its own
//! table: `Table`, encoded as everything in a checkpoint (bincode: little endian, varint)
//! length of the table (u64, little endian), BLAKE3 of the table, "CSBKCKPT"
//! ```
//!
//! It names the capture by the root of its chain of frame records (which depends on every byte of every frame), the
//! program by its version, and the layout of the checkpoints by a hash; where one of them is another, the file is not
//! used. Its bytes are input as those of a capture are: lengths are bounded, memory follows the bytes that are there.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use casebook_formats::capture::CaptureReader;
use casebook_formats::record::{self, Digest};
use casebook_formats::seekable::ends::{Ends, NoEnds};

use super::{Checkpoint, MAX_CHECKPOINT};
use crate::engine::Replay;
use crate::state::keep::{Keep, Keeper, Malformed, Member, Taker, keep};

/// First and last bytes of the file.
const MARK: [u8; 8] = *b"CSBKCKPT";
/// Version of the file's layout.
const VERSION: u8 = 1;
/// Mark and version.
const FRONT: u64 = 9;
/// Length and hash of the table, mark.
const FOOT: usize = 8 + 32 + 8;
/// Longest table: that of some hundred thousand checkpoints.
const MAX_TABLE: usize = 64 << 20;
/// Level of compression: states compress well, and indexing should not wait for it.
const LEVEL: i32 = 3;
/// What is added to the name of the capture.
pub(crate) const ENDING: &str = ".checkpoints";

/// What a file of checkpoints says about itself. Members in the order in which they are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Version of the program that made it.
    pub program: String,
    /// Hash of the layout of the checkpoints.
    pub layout: Digest,
    /// Root of the capture's chain of frame records.
    pub root: Digest,
    /// The checkpoints, by place.
    pub entries: Vec<Entry>,
}

keep!(Table { program, layout, root, entries });

/// One checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Number of the frame that begins at its place.
    pub frame: u64,
    /// Its place in the uncompressed stream.
    pub raw_offset: u64,
    /// Time of the capture's first event, ns since the epoch; 0: none came before it.
    pub first_ts: u64,
    /// Latest time of an event before it; 0: none.
    pub latest: u64,
    /// Where it begins in this file.
    pub at: u64,
    /// Its length in this file.
    pub packed_len: u64,
    /// Its length, unpacked.
    pub raw_len: u64,
    /// BLAKE3 of its bytes, unpacked.
    pub digest: Digest,
}

keep!(Entry { frame, raw_offset, first_ts, latest, at, packed_len, raw_len, digest });

/// Why checkpoints are not used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// They are of another capture.
    #[error("they are of another capture, or of what this one was before")]
    Foreign,
    /// The capture cannot tell whether they are its own.
    #[error("the capture is not what it was: {0}")]
    NoEnds(#[from] NoEnds),
    /// They are of another version.
    #[error("they were made by another version of the program ({0})")]
    Version(String),
    /// They are damaged.
    #[error("they are damaged ({0})")]
    Damaged(&'static str),
}

impl From<Malformed> for Unusable {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::Format => Self::Damaged("values that are none of their type"),
            Malformed::Contradiction(what) => Self::Damaged(what),
        }
    }
}

/// The checkpoints of a capture, known to be its own as far as names go.
#[derive(Debug)]
pub struct Sidecar {
    capture: PathBuf,
    path: PathBuf,
    table: Table,
    /// Where the frames of the entries begin in the capture.
    frames: Vec<u64>,
}

/// Name of the file beside a capture.
pub fn path_of(capture: &Path) -> PathBuf {
    let mut name = capture.as_os_str().to_owned();
    name.push(ENDING);
    PathBuf::from(name)
}

impl Table {
    /// An empty one for a capture with this root.
    pub(crate) fn of_today(root: Digest) -> Self {
        Self { program: env!("CARGO_PKG_VERSION").to_owned(), layout: Checkpoint::layout(), root, entries: Vec::new() }
    }

    /// Reads the table at the end of a file.
    fn read(file: &mut (impl Read + Seek)) -> Result<Self, Unusable> {
        let damaged = |what| Err(Unusable::Damaged(what));
        let len = file.seek(SeekFrom::End(0))?;
        let mut front = [0; FRONT as usize];
        let mut foot = [0; FOOT];
        let Some(foot_at) = len.checked_sub(FOOT as u64).filter(|at| *at >= FRONT) else {
            return damaged("they are cut off");
        };
        file.seek(SeekFrom::Start(0))?;
        file.read_exact(&mut front)?;
        file.seek(SeekFrom::Start(foot_at))?;
        file.read_exact(&mut foot)?;
        if !front.starts_with(&MARK) || !foot.ends_with(&MARK) {
            return damaged("begin or end is missing");
        }
        if front.last() != Some(&VERSION) {
            return Err(Unusable::Version(format!("layout {}", front[8])));
        }
        let (len, rest) = foot.split_first_chunk::<8>().ok_or(Unusable::Damaged("the end"))?;
        let len = u64::from_le_bytes(*len);
        let Some(at) = foot_at.checked_sub(len).filter(|at| *at >= FRONT && len <= MAX_TABLE as u64) else {
            return damaged("the length of the table");
        };
        file.seek(SeekFrom::Start(at))?;
        let mut bytes = Vec::new();
        file.take(len).read_to_end(&mut bytes)?;
        if !rest.starts_with(&record::digest(&bytes)) {
            return damaged("the table");
        }
        let mut taker = Taker::new(&bytes);
        // What the rest means depends on the version: it comes first.
        let program = String::take(&mut taker)?;
        let layout = Digest::take(&mut taker)?;
        if program != env!("CARGO_PKG_VERSION") || layout != Checkpoint::layout() {
            return Err(Unusable::Version(program));
        }
        let table = Self { program, layout, root: Keep::take(&mut taker)?, entries: Keep::take(&mut taker)? };
        taker.finish()?;
        Ok(table)
    }
}

impl Sidecar {
    /// The checkpoints beside a capture; `None` when there are none.
    ///
    /// # Errors
    ///
    /// When there are some that cannot be used.
    pub fn beside(capture: &Path) -> Result<Option<Self>, Unusable> {
        let path = path_of(capture);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let table = Table::read(&mut file)?;
        let ends = Ends::read(&mut File::open(capture)?)?;
        if ends.seal.root != table.root {
            return Err(Unusable::Foreign);
        }
        let places: Vec<(u64, u64)> = ends.raw_offsets().zip(ends.index.iter().map(|entry| entry.offset)).collect();
        let mut frames = Vec::new();
        for (entry, next) in table.entries.iter().zip(table.entries.iter().skip(1).map(Some).chain([None])) {
            let place = usize::try_from(entry.frame).ok().and_then(|frame| places.get(frame));
            match place {
                Some((raw, packed)) if *raw == entry.raw_offset && next.is_none_or(|next| entry.frame < next.frame) => {
                    frames.push(*packed);
                }
                _ => return Err(Unusable::Damaged("a place where no frame begins")),
            }
        }
        Ok(Some(Self { capture: capture.to_owned(), path, table, frames }))
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says about itself.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Where the frame of an entry begins in the capture.
    pub(crate) fn frame_at(&self, entry: usize) -> u64 {
        self.frames.get(entry).copied().unwrap_or_default()
    }

    /// Goes on from the checkpoint of an entry, with the span and the moment of `replay`.
    ///
    /// # Errors
    ///
    /// When the checkpoint is damaged, or the capture cannot be read there.
    pub fn enter(&self, entry: usize, replay: Replay) -> Result<(CaptureReader, Replay), Unusable> {
        let at = entry;
        let entry = self.table.entries.get(at).ok_or(Unusable::Damaged("an entry that is not there"))?;
        if entry.raw_len > MAX_CHECKPOINT as u64 {
            return Err(Unusable::Damaged("a checkpoint that is too long"));
        }
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(entry.at))?;
        let mut bytes = Vec::new();
        // Whatever it claims to be, it unpacks to no more than this.
        zstd::stream::read::Decoder::new(file.take(entry.packed_len))?
            .take(entry.raw_len + 1)
            .read_to_end(&mut bytes)
            .map_err(|_| Unusable::Damaged("a checkpoint that cannot be unpacked"))?;
        if Checkpoint::digest(&bytes) != entry.digest {
            return Err(Unusable::Damaged("a checkpoint that is not the one the table lists"));
        }
        let Checkpoint { reader, replay: from } = Checkpoint::from_bytes(&bytes)?;
        if reader.offset != entry.raw_offset {
            return Err(Unusable::Damaged("a checkpoint of another place"));
        }
        let reader = CaptureReader::resume(&self.capture, self.frame_at(at), &reader)
            .map_err(|_| Unusable::Damaged("a place where the capture cannot be read"))?;
        let reader = reader.with_gaps(crate::run::recorded_gaps(&self.capture));
        Ok((reader, replay.going_on(from)))
    }
}

/// Writes a file of checkpoints, one after the other.
pub(crate) struct Writer<W: Write> {
    out: W,
    at: u64,
    table: Table,
}

impl<W: Write> Writer<W> {
    /// Begins the file for a capture with this root.
    pub(crate) fn new(mut out: W, root: Digest) -> io::Result<Self> {
        out.write_all(&MARK)?;
        out.write_all(&[VERSION])?;
        Ok(Self { out, at: FRONT, table: Table::of_today(root) })
    }

    /// Adds a checkpoint: where it is, and its bytes.
    pub(crate) fn add(&mut self, frame: u64, raw_offset: u64, replay: &Replay, bytes: &[u8]) -> io::Result<()> {
        let packed = zstd::bulk::compress(bytes, LEVEL)?;
        self.out.write_all(&packed)?;
        self.table.entries.push(Entry {
            frame,
            raw_offset,
            first_ts: replay.position().first_ts,
            latest: replay.latest(),
            at: self.at,
            packed_len: packed.len() as u64,
            raw_len: bytes.len() as u64,
            digest: Checkpoint::digest(bytes),
        });
        self.at += packed.len() as u64;
        Ok(())
    }

    /// Writes the table and gives the sink and the table back.
    pub(crate) fn finish(mut self) -> io::Result<(W, Table)> {
        let mut keeper = Keeper::default();
        self.table.keep(&mut keeper);
        let table = keeper.finish();
        self.out.write_all(&table)?;
        self.out.write_all(&(table.len() as u64).to_le_bytes())?;
        self.out.write_all(&record::digest(&table))?;
        self.out.write_all(&MARK)?;
        self.out.flush()?;
        Ok((self.out, self.table))
    }
}

impl Member for Entry {}
