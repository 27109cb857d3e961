//! Output on two ways: what people read goes on, what is behind a NUL is delivered.
//!
//! Lines of the output cannot hold a NUL: it is escaped like all control characters. So a line may carry the JSON of its
//! alert behind one, through everything that orders, holds and merges lines.

use std::io::{self, Write};

use super::{Delivery, Parcel};

/// Between a line and what it carries.
pub const SEPARATOR: u8 = 0;

/// Takes the output apart.
pub struct Splitter<'a> {
    out: &'a mut (dyn Write + Send),
    delivery: &'a Delivery,
    /// The beginning of a line whose end has not come yet.
    rest: Vec<u8>,
}

impl<'a> Splitter<'a> {
    /// Lines go to `out`, alerts to `delivery`.
    pub fn new(out: &'a mut (dyn Write + Send), delivery: &'a Delivery) -> Self {
        Self { out, delivery, rest: Vec::new() }
    }

    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        let Some(at) = memchr::memchr(SEPARATOR, line) else { return self.out.write_all(line) };
        let (shown, json) = (&line[..at], line[at + 1..].strip_suffix(b"\n").unwrap_or(&line[at + 1..]));
        self.delivery.send(Parcel { json: json.to_vec(), line: shown.to_vec() });
        self.out.write_all(shown)?;
        self.out.write_all(b"\n")
    }
}

impl Write for Splitter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut begin = 0;
        for end in memchr::memchr_iter(b'\n', bytes) {
            let part = bytes.get(begin..=end).unwrap_or_default();
            begin = end + 1;
            if self.rest.is_empty() {
                self.line(part)?;
            } else {
                let mut line = std::mem::take(&mut self.rest);
                line.extend_from_slice(part);
                self.line(&line)?;
            }
        }
        self.rest.extend_from_slice(bytes.get(begin..).unwrap_or_default());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
