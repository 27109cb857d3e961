//! The end of a finished `.scap.zst`: seek table, seal and index, found without reading what is before them.
//!
//! What stands there is checked against itself (checks of the pieces, hashes in the seal), not against the frames: that
//! is the business of [`super::verify`].

use std::io::{self, Read, Seek, SeekFrom};

use super::table;
use crate::record::{self, HEAD, IndexEntry, Kind, Seal};

/// Longest piece that is read here: the seek table of thirty million frames.
const MAX_PIECE: u64 = 256 << 20;

/// Bytes of the seek table's footer.
const FOOTER: u64 = 9;

/// Index and seal of a file.
#[derive(Clone, Debug)]
pub struct Ends {
    /// Frames by number.
    pub index: Vec<IndexEntry>,
    /// Totals.
    pub seal: Seal,
}

/// Why a file has no usable end.
#[derive(Debug, thiserror::Error)]
pub enum NoEnds {
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Plain, gzip, zstd of somebody else, or cut off.
    #[error("no sealed .scap.zst: it does not end with a seek table of ours")]
    Unsealed,
    /// The end is there and not what was written.
    #[error("the {0} is damaged; `casebook verify` says more")]
    Damaged(&'static str),
}

impl Ends {
    /// Reads the end of a file.
    pub fn read(file: &mut (impl Read + Seek)) -> Result<Self, NoEnds> {
        let len = file.seek(SeekFrom::End(0))?;
        let foot = piece(file, len.checked_sub(FOOTER), FOOTER)?.ok_or(NoEnds::Unsealed)?;
        let (count, magic) = match foot.as_slice() {
            [a, b, c, d, _, magic @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]), magic),
            _ => return Err(NoEnds::Unsealed),
        };
        if magic != table::FOOTER_MAGIC.to_le_bytes() {
            return Err(NoEnds::Unsealed);
        }
        let table_len = HEAD as u64 + u64::from(count) * 8 + FOOTER;
        let table_at = len.checked_sub(table_len).ok_or(NoEnds::Unsealed)?;
        let table_bytes = piece(file, Some(table_at), table_len)?.ok_or(NoEnds::Damaged("seek table"))?;
        let entries = table_bytes.get(HEAD..).and_then(table::decode).ok_or(NoEnds::Unsealed)?;
        let [.., index_entry, seal_entry] = entries.as_slice() else { return Err(NoEnds::Unsealed) };
        let (index_len, seal_len) = (u64::from(index_entry.packed_len), u64::from(seal_entry.packed_len));
        let seal_at = table_at.checked_sub(seal_len);
        let index_at = seal_at.and_then(|at| at.checked_sub(index_len));
        let seal_bytes = piece(file, seal_at, seal_len)?.ok_or(NoEnds::Unsealed)?;
        let sound = own(&seal_bytes, Kind::Seal).ok_or(NoEnds::Damaged("seal"))?;
        let seal: Seal = record::decode(sound.body).map_err(|_| NoEnds::Damaged("seal"))?;
        if blake3::hash(&table_bytes).as_bytes() != &seal.seek_table {
            return Err(NoEnds::Damaged("seek table"));
        }
        let index_bytes = piece(file, index_at, index_len)?.ok_or(NoEnds::Damaged("index"))?;
        let listed = own(&index_bytes, Kind::Index).filter(|index| index.check == seal.index);
        let index = listed.and_then(|index| record::decode_index(index.body).ok()).ok_or(NoEnds::Damaged("index"))?;
        // Custody entries come after the records in the chain, and then the root is the last one's check.
        let without_custody = entries.len() == 2 * index.len() + 2;
        let root = index.last().map_or([0; 32], |entry| entry.chain);
        if index.len() as u64 != seal.frames || (without_custody && root != seal.root) {
            return Err(NoEnds::Damaged("index"));
        }
        Ok(Self { index, seal })
    }

    /// Where each frame's content begins in the uncompressed stream, by number.
    pub fn raw_offsets(&self) -> impl Iterator<Item = u64> + '_ {
        self.index.iter().scan(0_u64, |at, entry| {
            let begin = *at;
            *at = at.saturating_add(entry.raw_len);
            Some(begin)
        })
    }
}

/// The content of a skippable frame of ours.
fn own(bytes: &[u8], kind: Kind) -> Option<record::Sound<'_>> {
    let (head, payload) = bytes.split_first_chunk::<HEAD>()?;
    let len = (payload.len() as u32).to_le_bytes();
    let is_own = head.starts_with(&record::MAGIC.to_le_bytes()) && head.ends_with(&len);
    record::open(payload).ok().filter(|sound| is_own && sound.kind == Some(kind))
}

/// Bytes of the file; `None` when they are not all in it, or too many.
fn piece(file: &mut (impl Read + Seek), at: Option<u64>, len: u64) -> io::Result<Option<Vec<u8>>> {
    let Some(at) = at.filter(|_| len <= MAX_PIECE) else { return Ok(None) };
    file.seek(SeekFrom::Start(at))?;
    let mut bytes = Vec::new();
    file.take(len).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 == len).then_some(bytes))
}
