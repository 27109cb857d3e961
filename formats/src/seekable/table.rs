//! The seek table of the standard zstd seekable format, so that other tools can seek in our files too.
//!
//! A skippable frame at the very end: one entry (compressed and uncompressed length, u32 each) for every frame of the
//! file before it, skippable ones with an uncompressed length of 0; then the number of entries (u32), a descriptor
//! byte (0: entries without checksums) and the footer's magic number.

use std::io;

use super::storage::{Storage, read_into};

/// Magic number of the skippable frame.
pub(crate) const MAGIC: u32 = 0x184D_2A5E;

/// Last four bytes of a seekable file.
pub(crate) const FOOTER_MAGIC: u32 = 0x8F92_EAB1;

/// Entries, descriptor, magic number.
pub(crate) const FOOTER: usize = 9;

/// Most entries that the reference implementation accepts.
const MAX_ENTRIES: usize = 0x800_0000;

/// One frame of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SeekEntry {
    /// Length in the file.
    pub packed_len: u32,
    /// Length of the content; 0 for skippable frames.
    pub raw_len: u32,
}

/// The whole skippable frame. Files of more frames than the format allows get none.
pub(crate) fn encode(entries: &[SeekEntry]) -> Vec<u8> {
    if entries.len() > MAX_ENTRIES {
        return Vec::new();
    }
    let len = entries.len() * 8 + FOOTER;
    let mut out = Vec::with_capacity(8 + len);
    out.extend_from_slice(&MAGIC.to_le_bytes());
    out.extend_from_slice(&(len as u32).to_le_bytes());
    for entry in entries {
        out.extend_from_slice(&entry.packed_len.to_le_bytes());
        out.extend_from_slice(&entry.raw_len.to_le_bytes());
    }
    out.extend_from_slice(&(entries.len() as u32).to_le_bytes());
    out.push(0);
    out.extend_from_slice(&FOOTER_MAGIC.to_le_bytes());
    out
}

/// Length of the whole skippable frame by its last [`FOOTER`] bytes; `None` when it is no seek table.
pub(crate) fn len_by_footer(footer: &[u8]) -> Option<u64> {
    let &[a, b, c, d, descriptor, ref magic @ ..] = footer.first_chunk::<FOOTER>()?;
    let width = if descriptor & 0x80 == 0 { 8 } else { 12 };
    let count = u64::from(u32::from_le_bytes([a, b, c, d]));
    (u32::from_le_bytes(*magic) == FOOTER_MAGIC).then(|| 8 + count * width + FOOTER as u64)
}

/// Whether a file ends as seek tables do.
pub(crate) fn ends_so(storage: &dyn Storage, size: u64) -> io::Result<bool> {
    let mut bytes = Vec::new();
    let Some(at) = size.checked_sub(FOOTER as u64) else { return Ok(false) };
    Ok(read_into(storage, &mut bytes, at, FOOTER as u64)? && len_by_footer(&bytes).is_some())
}

/// The entries of a payload (the skippable frame without magic number and length); `None` when it is none. Checksums
/// that others write are passed over.
pub(crate) fn decode(payload: &[u8]) -> Option<Vec<SeekEntry>> {
    let (entries, footer) = payload.split_last_chunk::<FOOTER>()?;
    let [a, b, c, d, descriptor, magic @ ..] = *footer;
    // Bits 2 to 6 of the descriptor are reserved.
    if u32::from_le_bytes(magic) != FOOTER_MAGIC || descriptor & 0x7C != 0 {
        return None;
    }
    let width = if descriptor & 0x80 == 0 { 8 } else { 12 };
    if entries.len() as u64 != u64::from(u32::from_le_bytes([a, b, c, d])) * width as u64 {
        return None;
    }
    let entry = |bytes: &[u8]| {
        let (packed, rest) = bytes.split_first_chunk()?;
        let raw = rest.first_chunk()?;
        Some(SeekEntry { packed_len: u32::from_le_bytes(*packed), raw_len: u32::from_le_bytes(*raw) })
    };
    entries.chunks_exact(width).map(entry).collect()
}
