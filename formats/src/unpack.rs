//! Unpacked bytes of any input that is no capture: audit logs, lists.
//!
//! The same byte source as that of captures (gzip, zstd and plain by the first bytes, pipes by `-`), as a reader.

use std::io::{self, Read};
use std::path::Path;

use crate::ledger::{Counter, Ledger};
use crate::source::{Chunk, Source};

/// An input, unpacked. A compressed stream that is cut or broken ends; [`Unpacked::ledger`] says so.
pub struct Unpacked {
    source: Source,
    ledger: Ledger,
}

impl Unpacked {
    /// Opens a file; `-` is standard input.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { source: Source::open(path)?, ledger: Ledger::default() })
    }

    /// Wraps any reader. Reads its first bytes to see how it is packed.
    ///
    /// # Errors
    /// What the reader says.
    pub fn from_reader(inner: Box<dyn Read + Send>) -> io::Result<Self> {
        Ok(Self { source: Source::new(inner, None)?, ledger: Ledger::default() })
    }

    /// Bytes of the input taken so far, compressed as they are.
    pub fn bytes_read(&self) -> u64 {
        self.source.bytes_read()
    }

    /// Size of the input where it is known, compressed as it is.
    pub fn bytes_total(&self) -> Option<u64> {
        self.source.bytes_total()
    }

    /// [`Counter::TruncatedInput`] or [`Counter::BrokenCompression`], once the input ended so.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

impl Read for Unpacked {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.source.read(buf)? {
            Chunk::Bytes(n) => return Ok(n),
            Chunk::End => {}
            Chunk::Cut => self.ledger.count(Counter::TruncatedInput),
            Chunk::Broken => self.ledger.count(Counter::BrokenCompression),
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    // A stream in memory: what fails here is the test's own set-up.
    #![allow(clippy::unwrap_used)]

    use std::io::Cursor;

    use super::*;

    fn all(bytes: Vec<u8>) -> (Vec<u8>, Ledger) {
        let mut unpacked = Unpacked::from_reader(Box::new(Cursor::new(bytes))).unwrap();
        let mut out = Vec::new();
        unpacked.read_to_end(&mut out).unwrap();
        (out, unpacked.ledger().clone())
    }

    #[test]
    fn every_packing_gives_the_same_bytes() {
        let text = b"{\"kind\":\"Event\"}\n".repeat(1000);
        let packed = zstd::encode_all(&text[..], 1).unwrap();
        for input in [text.clone(), packed.clone()] {
            let (out, ledger) = all(input);
            assert!(out == text && ledger == Ledger::default());
        }
        let (out, ledger) = all(packed[..packed.len() - 1].to_vec());
        assert!(text.starts_with(&out));
        assert_eq!(ledger.get(Counter::TruncatedInput), 1);
    }
}
