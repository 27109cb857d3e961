//! Unpacking on a thread of its own: for whoever has a processor to spare.
//!
//! Sits between a decoder and [`crate::source`]: the decoder moves to the thread, which fills pieces ahead of the reader,
//! [`PIECES`] at most. The same bytes come, and errors at the same place among them.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

/// Bytes of one piece.
const PIECE: usize = 256 << 10;
/// Pieces that wait for the reader.
const PIECES: usize = 4;

/// What the thread unpacks.
type Stream = Box<dyn Read + Send>;

/// A stream that is read ahead.
pub(crate) struct Ahead {
    pieces: Receiver<io::Result<Vec<u8>>>,
    /// Pieces that were read, to be filled again.
    done: Sender<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
}

impl Ahead {
    /// Moves a stream to a thread of its own; gives it back where the system refuses one.
    pub(crate) fn new(stream: Stream) -> Result<Self, Stream> {
        let (to_thread, from_here) = sync_channel::<Stream>(1);
        let (filled, pieces) = sync_channel(PIECES);
        let (done, to_fill) = channel();
        let work = move || {
            if let Ok(stream) = from_here.recv() {
                unpack(stream, &filled, &to_fill);
            }
        };
        if thread::Builder::new().name("unpack".to_owned()).spawn(work).is_err() {
            return Err(stream);
        }
        to_thread.send(stream).map_err(|refused| refused.0)?;
        Ok(Self { pieces, done, piece: Vec::new(), at: 0 })
    }
}

/// Fills pieces until the stream ends or fails, or nobody reads any more.
fn unpack(mut stream: Stream, filled: &SyncSender<io::Result<Vec<u8>>>, to_fill: &Receiver<Vec<u8>>) {
    loop {
        let mut piece = to_fill.try_recv().unwrap_or_default();
        piece.resize(PIECE, 0);
        let mut len = 0;
        let end = loop {
            match stream.read(&mut piece[len..]) {
                Ok(0) => break Some(Ok(())),
                Ok(n) => len += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Some(Err(error)),
            }
            if len == PIECE {
                break None;
            }
        };
        piece.truncate(len);
        if len > 0 && filled.send(Ok(piece)).is_err() {
            return;
        }
        match end {
            None => {}
            Some(Ok(())) => return,
            Some(Err(error)) => {
                // Nobody to tell is nobody to care.
                let _ = filled.send(Err(error));
                return;
            }
        }
    }
}

impl Read for Ahead {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() {
            let Ok(next) = self.pieces.recv() else { return Ok(0) };
            let read = std::mem::replace(&mut self.piece, next?);
            self.at = 0;
            // The thread may have ended by now.
            let _ = self.done.send(read);
        }
        let rest = self.piece.get(self.at..).unwrap_or_default();
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        self.at += len;
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    // What fails here is the test.
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Some bytes, then an error.
    struct Failing(usize);

    impl Read for Failing {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let len = self.0.min(buf.len()).min(1000);
            buf[..len].fill(7);
            self.0 -= len;
            Ok(len)
        }
    }

    #[test]
    fn the_same_bytes_come_and_errors_behind_them() {
        let bytes: Vec<u8> = (0..3 * PIECE + 17).map(|n| n as u8).collect();
        let mut read = Vec::new();
        Ahead::new(Box::new(io::Cursor::new(bytes.clone()))).ok().unwrap().read_to_end(&mut read).unwrap();
        assert_eq!(read, bytes);
        let mut read = Vec::new();
        let error = Ahead::new(Box::new(Failing(PIECE + 5))).ok().unwrap().read_to_end(&mut read).unwrap_err();
        assert_eq!((read.len(), error.kind()), (PIECE + 5, io::ErrorKind::UnexpectedEof));
    }

    #[test]
    fn a_reader_that_goes_away_ends_the_thread() {
        let mut ahead = Ahead::new(Box::new(io::repeat(1))).ok().unwrap();
        let mut buf = [0; 10];
        assert_eq!(ahead.read(&mut buf).unwrap(), 10);
        drop(ahead);
    }
}
