//! The structure of a zstd frame (RFC 8878, 3.1.1), as far as its length follows from it.

/// Longest content of a zstd block.
const ZSTD_BLOCK: usize = 128 << 10;

/// Bytes of a block header.
pub(super) const BLOCK_HEADER: usize = 3;

/// Bytes up to the first block, the magic number and the descriptor among them; `None` when the descriptor has a bit
/// that no frame has.
pub(crate) fn header_len(descriptor: u8) -> Option<usize> {
    if descriptor & 0x08 != 0 {
        return None;
    }
    let single = descriptor >> 5 & 1 == 1;
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let content_size = [usize::from(single), 2, 4, 8][usize::from(descriptor >> 6)];
    Some(5 + usize::from(!single) + dictionary + content_size)
}

/// Bytes after the last block.
pub(super) fn trailer_len(descriptor: u8) -> usize {
    if descriptor & 0x04 == 0 { 0 } else { 4 }
}

/// What a block header says: bytes that follow it, and whether the block is the last one; `None` when it is none.
pub(super) fn block(header: [u8; BLOCK_HEADER]) -> Option<(usize, bool)> {
    let [a, b, c] = header;
    let header = u32::from_le_bytes([a, b, c, 0]);
    let size = (header >> 3) as usize;
    let len = match header >> 1 & 3 {
        1 => 1,
        0 | 2 if size <= ZSTD_BLOCK => size,
        _ => return None,
    };
    Some((len, header & 1 == 1))
}
