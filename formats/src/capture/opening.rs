//! How a reader comes to be: from a file, from any bytes, from chosen frames, or from what another one remembered.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::{CaptureReader, FormatError};
use crate::blocks;
use crate::blocks::frame::Blocks;
use crate::convert::Converter;
use crate::halves::Halves;
use crate::ledger::Ledger;
use crate::look;
use crate::resume::ReaderState;
use crate::source::Source;

impl CaptureReader {
    /// Opens a file; `-` is standard input. Compression is found out from the bytes, not from the name. An input
    /// that is no capture at all is an error here, before the first item.
    pub fn open(path: &Path) -> Result<Self, FormatError> {
        let name = if path.as_os_str() == "-" { "standard input".into() } else { path.display().to_string() };
        match Source::open(path) {
            Ok(source) => Self::start(source, name),
            Err(source) => Err(FormatError::Io { name, offset: 0, source }),
        }
    }

    /// Same, watched: the second of the two says in the end what the file was, for the custody of files derived from it.
    #[cfg(feature = "cli")]
    pub fn open_watched(path: &Path) -> Result<(Self, crate::origin::Watch), FormatError> {
        let name = if path.as_os_str() == "-" { "standard input".into() } else { path.display().to_string() };
        match Source::open_watched(path) {
            Ok((source, watch)) => Ok((Self::start(source, name)?, watch)),
            Err(source) => Err(FormatError::Io { name, offset: 0, source }),
        }
    }

    /// Reads from any byte source; `name` appears in errors.
    pub fn from_reader(source: Box<dyn Read + Send>, name: &str) -> Result<Self, FormatError> {
        match Source::new(source, None) {
            Ok(source) => Self::start(source, name.to_owned()),
            Err(source) => Err(FormatError::Io { name: name.to_owned(), offset: 0, source }),
        }
    }

    /// Reads chosen frames of a seekable file; `ledger` holds what its opening found.
    pub(crate) fn of_frames(source: Source, name: String, ledger: Ledger) -> Result<Self, FormatError> {
        let mut reader = Self::new(source, name);
        reader.ledger = ledger;
        if reader.next_run()? == Some(0) {
            return reader.begin();
        }
        // Not the beginning of a stream: what it is has been seen before.
        reader.is_scap = true;
        reader.sections = 1;
        Ok(reader)
    }

    fn start(source: Source, name: String) -> Result<Self, FormatError> {
        Self::new(source, name).begin()
    }

    fn new(source: Source, name: String) -> Self {
        Self {
            name,
            blocks: Blocks::new(source),
            converter: Converter::default(),
            ledger: Ledger::default(),
            events: 0,
            last_ts: 0,
            sections: 0,
            is_scap: false,
            pending_section: false,
            pause: u64::MAX,
            boundary: u64::MAX,
            upstream: None,
            gaps: Arc::default(),
        }
    }

    /// Looks at the first bytes of the stream.
    fn begin(mut self) -> Result<Self, FormatError> {
        let reader = &mut self;
        let head = reader.blocks.peek(look::ENOUGH, &mut reader.ledger);
        let (begins, found) = match head {
            Ok(head) => (head.starts_with(&blocks::SHB.to_le_bytes()), look::describe(head)),
            Err(error) => return Err(reader.io(error)),
        };
        if reader.bytes_read() == 0 {
            return Err(FormatError::Empty { name: self.name });
        }
        if !begins {
            // The head may be damaged or cut off; anything that holds a sound block is worth reading.
            let is_scap = reader.blocks.find_first(&mut reader.ledger);
            if !is_scap.map_err(|error| reader.io(error))? {
                return Err(FormatError::NotScap { name: self.name, offset: 0, found });
            }
            reader.pending_section = true;
        }
        Ok(self)
    }

    /// Goes on with a file from the compressed frame that begins at byte `packed_offset` of it, as a reader would that
    /// has read everything before and remembers `state`. Whether the two belong together is for the caller to know.
    ///
    /// # Errors
    ///
    /// When the system refuses, or the ledger of `state` has a counter that does not exist.
    pub fn resume(path: &Path, packed_offset: u64, state: &ReaderState) -> Result<Self, FormatError> {
        let name = path.display().to_string();
        let io = |source| FormatError::Io { name: name.clone(), offset: packed_offset, source };
        let source = Source::open_at(path, packed_offset).map_err(io)?;
        let ReaderState { offset, events, last_ts, sections, is_scap, losses, halves, idle } = state;
        let ledger = Ledger::from_losses(losses)
            .ok_or_else(|| io(std::io::Error::other("its checkpoint counts anomalies of an unknown kind")))?;
        Ok(Self {
            blocks: Blocks::resume(source, *offset),
            converter: Converter::resume(Halves::resume(halves, idle)),
            ledger,
            events: *events,
            last_ts: *last_ts,
            sections: *sections,
            is_scap: *is_scap,
            pending_section: false,
            pause: u64::MAX,
            boundary: u64::MAX,
            upstream: None,
            gaps: Arc::default(),
            name,
        })
    }

    /// What this reader remembers between the last item and the next one; [`CaptureReader::resume`] goes on from it.
    pub fn state(&self) -> ReaderState {
        let Self {
            name: _,
            blocks,
            converter,
            ledger,
            events,
            last_ts,
            sections,
            is_scap,
            pending_section: _,
            pause: _,
            boundary: _,
            // An input made from something else cannot be resumed.
            upstream: _,
            // Whoever opens the file again learns of them again.
            gaps: _,
        } = self;
        let (halves, idle) = converter.halves().state();
        ReaderState {
            offset: blocks.offset(),
            events: *events,
            last_ts: *last_ts,
            sections: *sections,
            is_scap: *is_scap,
            losses: ledger.losses(),
            halves,
            idle,
        }
    }
}
