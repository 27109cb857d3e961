//! The key of a redaction, and what is made of it: tokens that nobody can make or undo without it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Bytes of a key.
const LEN: usize = 32;
/// Longest key file that is looked at.
const MAX_FILE: u64 = 4096;
/// Where the system's random numbers come from.
const RANDOM: &str = "/dev/urandom";

/// A secret of 32 bytes. It is never printed; [`Key::id`] tells keys apart.
pub struct Key([u8; LEN]);

impl Key {
    /// A key of these bytes.
    pub fn of(bytes: [u8; LEN]) -> Self {
        Self(bytes)
    }

    /// A key that nobody has had before.
    ///
    /// # Errors
    ///
    /// When the system has no random numbers.
    pub fn random() -> io::Result<Self> {
        let mut bytes = [0; LEN];
        File::open(RANDOM)?.read_exact(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// Reads a key file: 64 hexadecimal digits, and blanks around them.
    ///
    /// # Errors
    ///
    /// When it cannot be read or is none.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut text = String::new();
        File::open(path)?.take(MAX_FILE).read_to_string(&mut text)?;
        let digits = text.trim().as_bytes();
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, "no key: 64 hexadecimal digits are expected");
        if digits.len() != 2 * LEN {
            return Err(wrong());
        }
        let mut bytes = [0; LEN];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.bytes().all(|b| b.is_ascii_hexdigit()));
            *byte = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or_else(wrong)?;
        }
        Ok(Self(bytes))
    }

    /// Writes it to a new file that only its owner reads.
    ///
    /// # Errors
    ///
    /// When the file is there already or cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let digits = blake3::Hash::from_bytes(self.0).to_hex();
        let written = writeln!(file, "{digits}").and_then(|()| file.sync_all());
        if written.is_err() {
            // Ours, and half a key is none.
            let _ = fs::remove_file(path);
        }
        written
    }

    /// What tells this key from others and says nothing else about it.
    pub fn id(&self) -> String {
        self.digest("key id", &[]).to_hex().as_str().chars().take(16).collect()
    }

    /// The digest of `value` for one purpose.
    pub(super) fn digest(&self, purpose: &str, value: &[u8]) -> blake3::Hash {
        self.hasher(purpose, value).finalize()
    }

    /// Any number of bytes made of `value` for one purpose.
    pub(super) fn stream(&self, purpose: &str, value: &[u8], out: &mut [u8]) {
        self.hasher(purpose, value).finalize_xof().fill(out);
    }

    fn hasher(&self, purpose: &str, value: &[u8]) -> blake3::Hasher {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        // Purposes have no NUL, so no two of them can be made to mean the same.
        hasher.update(purpose.as_bytes()).update(&[0]).update(value);
        hasher
    }
}

#[cfg(test)]
mod tests {
    // Temporary files of the test.
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_written_is_read_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let key = Key::random().unwrap();
        key.write(&path).unwrap();
        assert_eq!(Key::read(&path).unwrap().id(), key.id());
        assert_ne!(Key::random().unwrap().id(), key.id());
        assert!(key.write(&path).is_err(), "a key is never overwritten");
        for bad in ["", "00", &"0".repeat(63), &"g".repeat(64), &"+1".repeat(32)] {
            fs::write(&path, bad).unwrap();
            assert!(Key::read(&path).is_err(), "{bad}");
        }
    }
}
