//! Bytes that can be read at any place, from several threads: a file, or memory.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

/// Something with a length whose bytes can be read at any place.
pub trait Storage: Send + Sync {
    /// Reads some bytes from `offset` on; 0 only at the end.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Length in bytes.
    fn size(&self) -> io::Result<u64>;
}

impl Storage for File {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buf, offset)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

impl Storage for Vec<u8> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..)).unwrap_or_default();
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }
}

/// Reads `len` bytes at `offset` into `buf`, which grows only as they arrive; false when the storage ends before.
pub(crate) fn read_into(storage: &dyn Storage, buf: &mut Vec<u8>, offset: u64, len: u64) -> io::Result<bool> {
    buf.clear();
    let mut from = From { storage, at: offset };
    Ok(from.by_ref().take(len).read_to_end(buf)? as u64 == len)
}

/// A storage as a stream, from some place on.
pub(crate) struct From<'a> {
    pub storage: &'a dyn Storage,
    pub at: u64,
}

impl Read for From<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.storage.read_at(buf, self.at)?;
        self.at += len as u64;
        Ok(len)
    }
}
