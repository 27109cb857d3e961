//! The byte source: a file or a pipe, unpacked on the way.
//!
//! Compression is found out from the first bytes (gzip, zstd, skippable zstd frames; anything else is plain), never
//! from the name. A compressed stream that is cut or broken is an end, told apart from an error of the operating
//! system, so that everything before it is used.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use crate::ahead::Ahead;
use crate::even::Even;
use crate::ledger::Ledger;
use crate::limits::INPUT_BUFFER;
use crate::seekable::{Feed, Run};

/// Uncompressed bytes, and how much of the input they took.
pub(crate) struct Source {
    stream: Stream,
    input: Arc<Input>,
    total: Option<u64>,
    packing: &'static str,
    ended: bool,
}

/// Where the bytes come from.
enum Stream {
    /// A stream from start to end.
    Whole(Box<dyn Read + Send>),
    /// Chosen frames of a seekable file.
    Frames(Box<Feed>),
}

/// What the innermost reader tells: it sits inside a decoder, out of reach.
#[derive(Default)]
struct Input {
    bytes: AtomicU64,
    failed: AtomicBool,
}

/// What a read came to.
pub(crate) enum Chunk {
    /// So many bytes, never 0.
    Bytes(usize),
    /// The end.
    End,
    /// The compressed stream ends in its middle.
    Cut,
    /// The compressed stream is broken; nothing after this place can be unpacked.
    Broken,
}

/// Counts what passes, and remembers whether an error came from below the decoder.
struct Counted<R> {
    inner: R,
    input: Arc<Input>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let result = self.inner.read(buf);
        match &result {
            Ok(n) => {
                self.input.bytes.fetch_add(*n as u64, Ordering::Relaxed);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.input.failed.store(true, Ordering::Relaxed),
        }
        result
    }
}

/// Opens a file, or standard input for `-`; also gives the length where it is known.
pub(crate) fn open(path: &Path) -> io::Result<(Box<dyn Read + Send>, Option<u64>)> {
    if path.as_os_str() == "-" {
        return Ok((Box::new(io::stdin()), None));
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let total = metadata.is_file().then_some(metadata.len());
    Ok((Box::new(file), total))
}

impl Source {
    /// Opens a file; `-` is standard input.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let (inner, total) = open(path)?;
        Self::new(inner, total)
    }

    /// Same, watched on the way: what the file is can be asked for when it has been read.
    #[cfg(feature = "cli")]
    pub(crate) fn open_watched(path: &Path) -> io::Result<(Self, crate::origin::Watch)> {
        let (inner, total) = open(path)?;
        let (watched, watch) = crate::origin::watch(inner);
        Ok((Self::new(Box::new(watched), total)?, watch))
    }

    /// Opens a file at a place where something begins that can be unpacked on its own.
    pub(crate) fn open_at(path: &Path, offset: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let total = file.metadata()?.len();
        file.seek(SeekFrom::Start(offset))?;
        let source = Self::new(Box::new(file), Some(total))?;
        source.input.bytes.fetch_add(offset, Ordering::Relaxed);
        Ok(source)
    }

    /// Wraps any reader. Reads its first bytes to see how it is packed.
    pub(crate) fn new(inner: Box<dyn Read + Send>, total: Option<u64>) -> io::Result<Self> {
        let input = Arc::new(Input::default());
        let mut counted = Counted { inner, input: Arc::clone(&input) };
        let mut head = [0; 4];
        let mut len = 0;
        while len < head.len() {
            match counted.read(&mut head[len..]) {
                Ok(0) => break,
                Ok(n) => len += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let packed = Cursor::new(head).take(len as u64).chain(counted);
        let (stream, packing): (Box<dyn Read + Send>, _) = match head {
            [0x1F, 0x8B, ..] => {
                let packed = BufReader::with_capacity(INPUT_BUFFER, packed);
                (Box::new(Even::new(MultiGzDecoder::new(packed))), "gzip")
            }
            // A zstd frame, or a skippable one.
            [0x28, 0xB5, 0x2F, 0xFD] | [0x50..=0x5F, 0x2A, 0x4D, 0x18] => {
                let packed = BufReader::with_capacity(INPUT_BUFFER, packed);
                (Box::new(Even::new(zstd::stream::read::Decoder::with_buffer(packed)?)), "zstd")
            }
            _ => (Box::new(packed), "none"),
        };
        Ok(Self { stream: Stream::Whole(stream), input, total, packing, ended: false })
    }

    /// Unpacks on a thread of its own from here on, if there is something to unpack and the system gives a thread.
    pub(crate) fn unpack_ahead(&mut self) {
        if let Stream::Whole(stream) = &mut self.stream
            && self.packing != "none"
        {
            let packed = std::mem::replace(stream, Box::new(io::empty()));
            *stream = match Ahead::new(packed) {
                Ok(ahead) => Box::new(ahead),
                Err(packed) => packed,
            };
        }
    }

    /// Chosen frames of a seekable file of `total` bytes. Nothing comes before [`Source::next_run`].
    pub(crate) fn of_frames(feed: Feed, total: u64) -> Self {
        let input = Arc::new(Input::default());
        Self { stream: Stream::Frames(Box::new(feed)), input, total: Some(total), packing: "zstd", ended: true }
    }

    /// Goes on to the next run of frames, after `End`; `None` where there is none, as in any other stream.
    pub(crate) fn next_run(&mut self, ledger: &mut Ledger) -> io::Result<Option<Run>> {
        let Stream::Frames(feed) = &mut self.stream else { return Ok(None) };
        let run = feed.next_run(ledger)?;
        self.ended = run.is_none();
        Ok(run)
    }

    /// The frames, where the source is made of such.
    pub(crate) fn frames(&mut self) -> Option<&mut Feed> {
        match &mut self.stream {
            Stream::Frames(feed) => Some(feed),
            Stream::Whole(_) => None,
        }
    }

    /// Reads some bytes. After `End`, `Cut` or `Broken` only `End` comes.
    pub(crate) fn read(&mut self, buf: &mut [u8]) -> io::Result<Chunk> {
        while !self.ended {
            let stream = match &mut self.stream {
                Stream::Whole(stream) => stream,
                Stream::Frames(feed) => {
                    let len = feed.read(buf)?;
                    self.ended = len == 0;
                    return Ok(if len == 0 { Chunk::End } else { Chunk::Bytes(len) });
                }
            };
            match stream.read(buf) {
                Ok(0) => self.ended = true,
                Ok(n) => return Ok(Chunk::Bytes(n)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.ended = true;
                    if self.input.failed.load(Ordering::Relaxed) {
                        return Err(error);
                    }
                    let cut = error.kind() == io::ErrorKind::UnexpectedEof;
                    return Ok(if cut { Chunk::Cut } else { Chunk::Broken });
                }
            }
        }
        Ok(Chunk::End)
    }

    /// Bytes of the input taken so far, compressed as they are.
    pub(crate) fn bytes_read(&self) -> u64 {
        match &self.stream {
            Stream::Whole(_) => self.input.bytes.load(Ordering::Relaxed),
            Stream::Frames(feed) => feed.file_offset(),
        }
    }

    /// How the input is wrapped: `gzip`, `zstd` or `none`.
    pub(crate) fn packing(&self) -> &'static str {
        self.packing
    }

    /// Size of the input where it is known.
    pub(crate) fn bytes_total(&self) -> Option<u64> {
        self.total
    }
}
