//! Bytes of a log as UTF-8, also where somebody's tools have made UTF-16 of it.
//!
//! [`Unpacked`] bytes → [`Narrow`] → the splitter. Only a byte order mark tells UTF-16; everything else passes as it is.

use std::io::{self, Read};

use casebook_formats::unpack::Unpacked;

/// Bytes decoded at a time.
const CHUNK: usize = 32 << 10;

/// How the bytes are to be read.
enum Form {
    /// Nothing is read yet.
    Unknown,
    /// As they are.
    Bytes,
    /// As units of two, the low byte first or last.
    Units { little: bool },
}

/// See the module.
pub(super) struct Narrow {
    input: Unpacked,
    form: Form,
    /// Bytes of a unit or pair of which the rest is not read yet.
    begun: Vec<u8>,
    /// What is decoded, and how much of it is read.
    ready: Vec<u8>,
    read: usize,
}

impl Narrow {
    pub(super) fn new(input: Unpacked) -> Self {
        Self { input, form: Form::Unknown, begun: Vec::new(), ready: Vec::new(), read: 0 }
    }

    /// What is packed in it.
    pub(super) fn input(&self) -> &Unpacked {
        &self.input
    }

    fn find_form(&mut self) -> io::Result<()> {
        let mut mark = Vec::new();
        (&mut self.input).take(2).read_to_end(&mut mark)?;
        self.form = match mark[..] {
            [0xFF, 0xFE] => Form::Units { little: true },
            [0xFE, 0xFF] => Form::Units { little: false },
            _ => {
                self.ready = mark;
                Form::Bytes
            }
        };
        Ok(())
    }

    /// Decodes some more; false at the end. What is no UTF-16 becomes U+FFFD.
    fn decode(&mut self, little: bool) -> io::Result<bool> {
        let before = self.begun.len();
        self.begun.resize(before + CHUNK, 0);
        let got = self.input.read(self.begun.get_mut(before..).unwrap_or_default());
        self.begun.truncate(before + *got.as_ref().unwrap_or(&0));
        let at_end = got? == 0;
        let unit = |pair: &[u8]| {
            let pair = [pair.first().copied().unwrap_or(0), pair.get(1).copied().unwrap_or(0)];
            if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) }
        };
        let mut units: Vec<u16> = self.begun.chunks_exact(2).map(unit).collect();
        if !at_end && units.last().is_some_and(|last| (0xD800..0xDC00).contains(last)) {
            units.pop();
        }
        self.begun.drain(..units.len() * 2);
        if at_end {
            self.begun.clear();
        }
        self.ready = String::from_utf16_lossy(&units).into_bytes();
        self.read = 0;
        Ok(!at_end || !self.ready.is_empty())
    }
}

impl Read for Narrow {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if let Form::Unknown = self.form {
            self.find_form()?;
        }
        while self.read == self.ready.len() {
            let Form::Units { little } = self.form else { return self.input.read(buf) };
            if !self.decode(little)? {
                return Ok(0);
            }
        }
        let rest = self.ready.get(self.read..).unwrap_or_default();
        let got = (&mut &rest[..]).read(buf)?;
        self.read += got;
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    // Texts in memory do not fail.
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn narrowed(bytes: Vec<u8>) -> Vec<u8> {
        let input = Unpacked::from_reader(Box::new(io::Cursor::new(bytes))).unwrap();
        let mut out = Vec::new();
        Narrow::new(input).read_to_end(&mut out).unwrap();
        out
    }

    #[test]
    fn both_orders_and_everything_else() {
        // Longer than a chunk, with pairs that fall on its border.
        let text = format!("{{{}\u{1F600}é", "\u{1F600}x".repeat(20_000));
        let units: Vec<u16> = text.encode_utf16().collect();
        let little = [vec![0xFF, 0xFE], units.iter().flat_map(|unit| unit.to_le_bytes()).collect()].concat();
        let big = [vec![0xFE, 0xFF], units.iter().flat_map(|unit| unit.to_be_bytes()).collect()].concat();
        assert_eq!(narrowed(little.clone()), text.as_bytes());
        assert_eq!(narrowed(big), text.as_bytes());
        assert_eq!(narrowed(text.clone().into_bytes()), text.as_bytes());
        assert_eq!(narrowed(little[..little.len() - 1].to_vec()), &text.as_bytes()[..text.len() - 2], "half a unit");
        for short in [&b""[..], b"{", b"\xFF"] {
            assert_eq!(narrowed(short.to_vec()), short);
        }
    }
}
