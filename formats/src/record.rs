//! What `.scap.zst` says about itself: frame records, index and seal as bytes.
//!
//! The only module that knows bincode; the layout it gives stands byte by byte in `formats/FORMAT.md`, so that nobody
//! needs this code, or bincode, to read it. Every piece is a skippable zstd frame
//! `magic, length, "CSBK", kind, version, body, check`, where the check is the BLAKE3 of all payload bytes before it.
//! When pieces are written, and what they must agree with, is the business of [`crate::seekable`].

use bincode::config::{Configuration, Limit, LittleEndian, NoLimit, Varint};
use bincode::{Decode, Encode};

use crate::custody::Entry;
use crate::ledger::Ledger;
use crate::seekable::filter::{Filter, TypeSet};

/// A BLAKE3 hash.
pub type Digest = [u8; 32];

/// Magic number of our skippable frames (decompressors ignore all of 0x184D2A50 to 0x184D2A5F).
pub const MAGIC: u32 = 0x184D_2A5C;

/// First bytes of every payload.
pub const MARK: [u8; 4] = *b"CSBK";

/// Version of all layouts below. A reader skips pieces of later versions.
pub const VERSION: u8 = 1;

/// Version of the rules by which stored events become delivered ones. A change to the tables of events and conversions
/// that alters which events of a known type are delivered gives a new number; counts of other numbers are not used.
pub const NUMBERING: u8 = 1;

/// Most enter halves that a frame record lists.
pub const MAX_CARRIED: usize = 16 << 10;

/// Bytes of a skippable frame before its payload: magic number and length.
pub(crate) const HEAD: usize = 8;

/// Mark, kind and version.
const FRONT: usize = 6;

/// Largest body of a frame record or seal, and of one entry of the index, that is decoded.
const BODY_LIMIT: usize = 128 << 10;

/// Largest payload of any piece: the index of two million frames.
pub(crate) const MAX_PAYLOAD: usize = 512 << 20;

/// What a piece is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// Follows a data frame and describes it: [`FrameRecord`].
    Record = b'R',
    /// All records' essentials: a list of [`IndexEntry`].
    Index = b'I',
    /// One step of the file's history, in the chain after the records: [`Custody`].
    Custody = b'C',
    /// Totals: [`Seal`].
    Seal = b'S',
}

/// What a frame record says about the data frame before it. Fields in the order in which they are stored.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct FrameRecord {
    /// Number of the frame in its file, from 0.
    pub sequence: u64,
    /// Where its content begins in the uncompressed stream.
    pub raw_offset: u64,
    /// Length of its content, uncompressed.
    pub raw_len: u64,
    /// Length of the compressed frame.
    pub packed_len: u64,
    /// Event blocks in it, as stored (enter halves of old captures count).
    pub events: u64,
    /// Events that it delivers after conversion to the normal form: what `evt.num` counts.
    pub delivered: u64,
    /// Events that all frames before it deliver.
    pub delivered_before: u64,
    /// Which conversion counted them ([`NUMBERING`]).
    pub numbering: u8,
    /// Earliest time of an event, ns since the epoch; 0 when no event has a time.
    pub earliest: u64,
    /// Latest time of an event; 0 likewise.
    pub latest: u64,
    /// Holds damaged blocks or events of unknown type: what the sets below leave out may still be in it.
    pub irregular: bool,
    /// Holds snapshots (machine, processes, descriptors, users) or a section header.
    pub snapshots: bool,
    /// Event types as stored.
    pub types: TypeSet,
    /// Thread ids of the events.
    pub threads: Filter,
    /// Container ids of the events' threads, where the writer knew them.
    pub containers: Option<Filter>,
    /// Enter halves in earlier frames whose exits are in this one: how many bytes before this frame's content each
    /// one's block begins, in the uncompressed stream. `None`: more than [`MAX_CARRIED`].
    pub carried: Option<Vec<u64>>,
    /// What was lost in this interval: counters of the ledger by name, those that are not 0.
    pub losses: Vec<Loss>,
    /// BLAKE3 of the compressed frame.
    pub digest: Digest,
    /// Check of the record before this one; zeros in the first.
    pub previous: Digest,
}

/// A custody entry and its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Custody {
    /// What was done.
    pub entry: Entry,
    /// Check of the piece before this one in the chain: another custody entry, or the last frame record; zeros when
    /// there is neither.
    pub previous: Digest,
}

/// One counter of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Loss {
    /// Its name in the ledger.
    pub cause: String,
    /// How often.
    pub count: u64,
}

/// What the index keeps of a frame; its number is its place in the list.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct IndexEntry {
    /// Where the compressed frame begins in the file.
    pub offset: u64,
    /// Length of the compressed frame; its record follows it.
    pub packed_len: u64,
    /// Length of the frame record, the whole skippable frame.
    pub record_len: u64,
    /// Length of the content, uncompressed.
    pub raw_len: u64,
    /// Event blocks.
    pub events: u64,
    /// Events after conversion, as in the record.
    pub delivered: u64,
    /// As in the record.
    pub numbering: u8,
    /// Earliest time of an event; 0: none.
    pub earliest: u64,
    /// Latest time.
    pub latest: u64,
    /// As in the record.
    pub irregular: bool,
    /// As in the record.
    pub snapshots: bool,
    /// The record lists all enter halves that this frame's exits need.
    pub stands_alone: bool,
    /// As in the record.
    pub types: TypeSet,
    /// BLAKE3 of the compressed frame.
    pub digest: Digest,
    /// Check of the frame record.
    pub chain: Digest,
}

/// Totals of a finished file.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Seal {
    /// Data frames.
    pub frames: u64,
    /// Length of the uncompressed stream.
    pub raw_len: u64,
    /// Length of all compressed data frames.
    pub packed_len: u64,
    /// Event blocks.
    pub events: u64,
    /// Earliest time of an event; 0: none.
    pub earliest: u64,
    /// Latest time.
    pub latest: u64,
    /// All losses of the frame records.
    pub losses: Vec<Loss>,
    /// Check of the last piece of the chain, a custody entry or, without any, a frame record: it depends on every frame
    /// and entry before it; zeros when there are none.
    pub root: Digest,
    /// Check of the index.
    pub index: Digest,
    /// BLAKE3 of the seek table, the whole skippable frame.
    pub seek_table: Digest,
    /// Room for a signature, which today stands beside the file (`formats/FORMAT.md`, "Signatures").
    pub signature: Option<Signature>,
}

/// An Ed25519 signature; nobody writes one yet.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Signature {
    /// Ed25519 public key.
    pub key: [u8; 32],
    /// Ed25519 signature.
    pub signature: [u8; 64],
}

/// Why a payload is none of ours, or cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecordError {
    /// It belongs to somebody else.
    #[error("not written by Casebook")]
    Foreign,
    /// Its bytes are not those that were written.
    #[error("its check does not match its bytes")]
    Damaged,
    /// A version of the future.
    #[error("version {0} is newer than this program")]
    Version(u8),
    /// The check holds and the content makes no sense: the writer was wrong.
    #[error("its content does not follow the format")]
    Malformed,
}

/// A payload whose check holds.
#[derive(Clone, Copy, Debug)]
pub struct Sound<'a> {
    /// What it is; `None` for kinds of the future.
    pub kind: Option<Kind>,
    /// Its content.
    pub body: &'a [u8],
    /// Its check.
    pub check: Digest,
}

/// A value that is written and read without help: for those who keep records of their own kind beside a capture.
pub trait Scalar: Encode + Decode<()> {}
impl<T: Encode + Decode<()>> Scalar for T {}

type Reading<const LIMIT: usize> = Configuration<LittleEndian, Varint, Limit<LIMIT>>;
type Writing = Configuration<LittleEndian, Varint, NoLimit>;

const fn reading<const LIMIT: usize>() -> Reading<LIMIT> {
    bincode::config::standard().with_limit::<LIMIT>()
}

const fn writing() -> Writing {
    bincode::config::standard()
}

/// Body of a record, an entry or a seal. Encoding to memory knows no errors for these types; were it to, the piece
/// would come out short and its own reader refuse it.
pub fn encode<T: Encode>(value: &T) -> Vec<u8> {
    bincode::encode_to_vec(value, writing()).unwrap_or_default()
}

/// A body that is one value and nothing more.
pub fn decode<T: Decode<()>>(body: &[u8]) -> Result<T, RecordError> {
    decode_within::<T, BODY_LIMIT>(body)
}

/// Same, for values that may take up to `LIMIT` bytes in memory.
pub fn decode_within<T: Decode<()>, const LIMIT: usize>(body: &[u8]) -> Result<T, RecordError> {
    match decode_first::<T, LIMIT>(body) {
        Ok((value, [])) => Ok(value),
        _ => Err(RecordError::Malformed),
    }
}

/// The value at the start of some bytes, and what follows it.
pub fn decode_first<T: Decode<()>, const LIMIT: usize>(bytes: &[u8]) -> Result<(T, &[u8]), RecordError> {
    let (value, used) = bincode::decode_from_slice(bytes, reading::<LIMIT>()).map_err(|_| RecordError::Malformed)?;
    Ok((value, bytes.get(used..).ok_or(RecordError::Malformed)?))
}

/// Appends the bytes of a value, as [`encode`] gives them.
pub fn encode_onto<T: Encode>(value: &T, bytes: &mut Vec<u8>) {
    // Writing to memory does not fail; see `encode`.
    let _ = bincode::encode_into_std_write(value, bytes, writing());
}

/// Body of the index: the number of entries as a u64 of eight bytes, then the entries.
pub fn encode_index(entries: &[IndexEntry]) -> Vec<u8> {
    let mut body = (entries.len() as u64).to_le_bytes().to_vec();
    for entry in entries {
        body.extend_from_slice(&encode(entry));
    }
    body
}

/// The entries of an index. Memory follows the bytes that are there, not the number they claim.
pub fn decode_index(body: &[u8]) -> Result<Vec<IndexEntry>, RecordError> {
    let (count, mut rest) = body.split_first_chunk::<8>().ok_or(RecordError::Malformed)?;
    let mut entries = Vec::new();
    for _ in 0..u64::from_le_bytes(*count) {
        let (entry, after) = decode_first::<_, BODY_LIMIT>(rest)?;
        entries.push(entry);
        rest = after;
    }
    if rest.is_empty() { Ok(entries) } else { Err(RecordError::Malformed) }
}

/// A whole skippable frame around a body, and its check.
pub fn frame(kind: Kind, body: &[u8]) -> (Vec<u8>, Digest) {
    let len = FRONT + body.len() + 32;
    let mut out = Vec::with_capacity(HEAD + len);
    out.extend_from_slice(&MAGIC.to_le_bytes());
    out.extend_from_slice(&(len as u32).to_le_bytes());
    out.extend_from_slice(&MARK);
    out.extend_from_slice(&[kind as u8, VERSION]);
    out.extend_from_slice(body);
    let check = *blake3::hash(&out[HEAD..]).as_bytes();
    out.extend_from_slice(&check);
    (out, check)
}

/// Opens the payload of a skippable frame and tests its check.
pub fn open(payload: &[u8]) -> Result<Sound<'_>, RecordError> {
    let (front, rest) = payload.split_first_chunk::<FRONT>().ok_or(RecordError::Foreign)?;
    if !front.starts_with(&MARK) {
        return Err(RecordError::Foreign);
    }
    let (body, check) = rest.split_last_chunk::<32>().ok_or(RecordError::Damaged)?;
    if blake3::hash(&payload[..FRONT + body.len()]).as_bytes() != check {
        return Err(RecordError::Damaged);
    }
    if front[5] != VERSION {
        return Err(RecordError::Version(front[5]));
    }
    let kind = [Kind::Record, Kind::Index, Kind::Custody, Kind::Seal].into_iter().find(|kind| *kind as u8 == front[4]);
    Ok(Sound { kind, body, check: *check })
}

impl Ledger {
    /// Counters that are not 0, by name.
    pub fn losses(&self) -> Vec<Loss> {
        self.findings().map(|(def, count)| Loss { cause: def.name.to_owned(), count }).collect()
    }

    /// The ledger of these counts; `None` when one has a name that no counter has.
    pub fn from_losses(losses: &[Loss]) -> Option<Self> {
        let mut ledger = Self::default();
        for loss in losses {
            ledger.add(Self::counter_named(&loss.cause)?, loss.count);
        }
        Some(ledger)
    }
}

/// BLAKE3 of some bytes.
pub fn digest(bytes: &[u8]) -> Digest {
    *blake3::hash(bytes).as_bytes()
}

/// A digest in hexadecimal digits.
pub fn hex(digest: &[u8]) -> String {
    use std::fmt::Write as _;
    digest.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
