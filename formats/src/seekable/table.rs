//! The seek table of the standard zstd seekable format, so that other tools can seek in our files too.
//!
//! A skippable frame at the very end: one entry (compressed and uncompressed length, u32 each) for every frame of the
//! file before it, skippable ones with an uncompressed length of 0; then the number of entries (u32), a descriptor
//! byte (0: entries without checksums) and the footer's magic number.

/// Magic number of the skippable frame.
pub(crate) const MAGIC: u32 = 0x184D_2A5E;

/// Last four bytes of a seekable file.
pub(crate) const FOOTER_MAGIC: u32 = 0x8F92_EAB1;

/// Entries, descriptor, magic number.
const FOOTER: usize = 9;

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
