//! SHA-256 of inputs, as `sha256sum` prints it.

use std::fmt::Write as _;
use std::io::Read as _;

use casebook_replay::run::Source;
use sha2::{Digest as _, Sha256};

/// Bytes read at a time.
const CHUNK: usize = 1 << 18;

/// The digest of a file or of bytes in memory; `None` of what can be read only once, or not at all.
pub fn sha256(source: &Source) -> Option<String> {
    let mut hash = Sha256::new();
    match source {
        Source::File(path) if path.as_os_str() == "-" || !path.is_file() => return None,
        _ => {}
    }
    let mut bytes = source.bytes().ok()?;
    let mut chunk = vec![0; CHUNK];
    loop {
        match bytes.read(&mut chunk).ok()? {
            0 => break,
            n => hash.update(chunk.get(..n)?),
        }
    }
    Some(hex(&hash.finalize()))
}

/// The digest of bytes.
pub(super) fn sha256_of(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(digest: &[u8]) -> String {
    let mut text = String::with_capacity(2 * digest.len());
    for byte in digest {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
