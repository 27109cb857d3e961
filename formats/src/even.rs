//! Reading a decoder in steps that do not depend on who reads it.
//!
//! Sits between a decoder and [`crate::source`]. A decoder that comes upon a broken place drops what it has unpacked in the
//! same call; how much that is depends on the size that it was asked for. So that one file gives the same bytes to every
//! reader (a window that is nearly full, a thread that unpacks ahead), it is always asked for the same: the rest of a step.

use std::io::{self, Read};

/// Bytes asked for at a time; at most so many are dropped before a broken place.
const STEP: usize = 32 << 10;

/// A decoder that is read in steps.
pub(crate) struct Even<R> {
    inner: R,
    /// Bytes of the step under way that were taken from the decoder.
    taken: usize,
    /// What was taken and did not fit where it was to go; empty as long as everything fits.
    kept: Vec<u8>,
    at: usize,
}

impl<R: Read> Even<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, taken: 0, kept: Vec::new(), at: 0 }
    }

    fn step(&mut self, n: usize) {
        self.taken = (self.taken + n) % STEP;
    }
}

impl<R: Read> Read for Even<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let rest = STEP - self.taken;
        if self.at == self.kept.len() {
            if let Some(buf) = buf.get_mut(..rest) {
                let n = self.inner.read(buf)?;
                self.step(n);
                return Ok(n);
            }
            self.kept.resize(rest, 0);
            self.at = rest;
            let n = self.inner.read(&mut self.kept)?;
            self.kept.truncate(n);
            self.at = 0;
            self.step(n);
        }
        let n = (&self.kept[self.at..]).read(buf)?;
        self.at += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    // What fails here is the test.
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Notes what it is asked for, gives less now and then, and breaks at the end.
    struct Noting(Vec<usize>, usize);

    impl Read for Noting {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.0.push(buf.len());
            let n = buf.len().min(if self.0.len().is_multiple_of(3) { 1000 } else { STEP }).min(self.1);
            if n == 0 {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let first = self.1;
            buf[..n].iter_mut().zip(0..).for_each(|(byte, at)| *byte = (first - at) as u8);
            self.1 -= n;
            Ok(n)
        }
    }

    #[test]
    fn what_is_asked_for_does_not_depend_on_who_asks() {
        let by = |sizes: &[usize]| {
            let mut even = Even::new(Noting(Vec::new(), 10 * STEP + 77));
            let (mut read, mut sizes) = (Vec::new(), sizes.iter().cycle());
            let error = loop {
                let mut buf = vec![0; *sizes.next().unwrap()];
                match even.read(&mut buf) {
                    Ok(n) => read.extend_from_slice(&buf[..n]),
                    Err(error) => break error.kind(),
                }
            };
            assert_eq!(error, io::ErrorKind::InvalidData);
            (read, even.inner.0)
        };
        let expected = by(&[STEP]);
        assert_eq!(expected.0.len(), 10 * STEP + 77);
        for sizes in [&[1][..], &[256 << 10], &[100_000, 7], &[STEP - 1, STEP + 1, 5]] {
            assert!(by(sizes) == expected, "{sizes:?}");
        }
    }
}
