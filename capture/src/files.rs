//! The capture in files: one, or a row of them as sysdig's `-C`, `-G` and `-W` make it.
//!
//! Each file of a row begins with a snapshot of its own and is sealed when the next one begins. When the disk refuses,
//! what is written stays, cut at the last whole frame, and everything after it is counted as lost; a row goes on with
//! its next file as soon as that can be written, and tells there how much is missing.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use casebook_formats::custody::Entry;
use casebook_formats::ledger::{self, Counter, Ledger};
use casebook_formats::record::MAGIC;
use casebook_formats::seekable::{Options, SeekableWriter};

use crate::sink::{Keeper, Message, Progress};
use crate::sys;

/// Where to write.
pub(crate) enum Target {
    /// A file, new or emptied.
    File(File),
    /// A pipe: nothing in it can be taken back.
    Pipe(File),
}

/// Opens a file for a capture: captures hold what passes through programs, which is nobody else's business.
pub(crate) fn create(path: &Path, anew: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    if anew {
        options.create_new(true)
    } else {
        options.create(true).truncate(true)
    };
    let file = options.open(path)?;
    // A device or a named pipe is everybody's as before.
    if file.metadata()?.is_file() {
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

/// The step in the life of a capture that this program is.
pub(crate) fn custody(note: Option<String>) -> Entry {
    Entry { note, ..Entry::new("record", concat!("casebook-capture ", env!("CARGO_PKG_VERSION"))) }
}

/// Names of the files of a row, as sysdig gives them.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// The name that was given.
    pub base: PathBuf,
    /// `-C`: the name gets a number behind it.
    pub by_size: bool,
    /// `-G`: the name is a format of strftime, or gets a number where it is none.
    pub by_time: bool,
    /// `-W`: so many files, then the first is written anew. 0: no end.
    pub count: u64,
}

impl Names {
    /// Name of the file at this place of the row (from 0, below [`Names::count`]) that begins at `at`, seconds since the
    /// epoch.
    fn name(&self, place: u64, at: i64) -> io::Result<PathBuf> {
        use std::os::unix::ffi::{OsStrExt, OsStringExt};
        let base = self.base.as_os_str().as_bytes();
        let mut name = base.to_vec();
        if self.by_time {
            if base.contains(&b'%') {
                name = sys::local_time(base, at)?;
            } else {
                name.extend_from_slice(place.to_string().as_bytes());
            }
        }
        if self.by_size {
            let width = if self.count == 0 { 0 } else { self.count.ilog10() as usize + 1 };
            name.extend_from_slice(format!("{place:0width$}").as_bytes());
        }
        Ok(PathBuf::from(std::ffi::OsString::from_vec(name)))
    }
}

/// A row of files.
pub(crate) struct Row {
    names: Names,
    /// Place of the next file.
    next: u64,
    /// Names in use, by place.
    past: Vec<PathBuf>,
}

impl Row {
    /// A row that has no file yet.
    pub(crate) fn new(names: Names) -> Self {
        Self { names, next: 0, past: Vec::new() }
    }

    /// The file opened last came to nothing: its name is free again.
    fn give_back(&mut self) {
        if let Some(path) = self.past.pop() {
            // What cannot be removed is empty and in the way of nobody.
            let _ = std::fs::remove_file(path);
            self.next -= 1;
        }
    }

    /// Opens the next file, which begins at `at`, ns since the epoch; its name, and the file.
    pub(crate) fn open(&mut self, at: u64) -> io::Result<(PathBuf, File)> {
        let place = if self.names.count > 0 { self.next % self.names.count } else { self.next };
        let mut path = self.names.name(place, (at / 1_000_000_000) as i64)?;
        // A format that names two files alike within this row does not cost the one before.
        let alike = |path: &PathBuf, past: &[PathBuf]| past.last() == Some(path);
        if self.names.count != 1 && alike(&path, &self.past) {
            path.as_mut_os_string().push(format!("-{}", self.next));
        }
        let full = self.names.count > 0 && self.past.len() as u64 >= self.names.count;
        if full {
            let oldest = self.past.remove(0);
            if oldest != path && !self.past.contains(&oldest) {
                // Somebody else may have taken it away.
                let _ = std::fs::remove_file(oldest);
            }
        }
        let file = create(&path, false).map_err(|error| io::Error::new(error.kind(), of(&path, &error)))?;
        self.next += 1;
        if self.names.count == 0 {
            self.past.clear();
        }
        self.past.push(path.clone());
        Ok((path, file))
    }
}

fn of(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

/// Writes one file after the other, or just one.
pub(crate) struct Files {
    options: Options,
    writer: Option<SeekableWriter<Counted>>,
    /// Absent: one file.
    row: Option<Row>,
    /// The first beginning belongs to the file that is open.
    begun: bool,
    /// Something whole stands in the file.
    whole: bool,
    /// Events of the file since it was last known to be whole.
    open: u64,
    /// Events that no file has, since the last one that could be written.
    missing: u64,
    /// Losses that no file has been told.
    untold: Ledger,
}

impl Files {
    /// Into one file or pipe.
    pub(crate) fn one(target: Target, level: i32) -> io::Result<Self> {
        let options = Options { level, ..Options::default() };
        Self::with(options, Some(target), None)
    }

    /// Into a row of files, the first of which is open.
    pub(crate) fn row(first: File, row: Row, level: i32) -> io::Result<Self> {
        Self::with(Options { level, ..Options::default() }, Some(Target::File(first)), Some(row))
    }

    fn with(options: Options, target: Option<Target>, row: Option<Row>) -> io::Result<Self> {
        let writer = target.map(|target| SeekableWriter::new(Counted::new(target), options)).transpose()?;
        Ok(Self { options, writer, row, begun: false, whole: false, open: 0, missing: 0, untold: Ledger::default() })
    }

    /// Seals the file and opens the next one of the row.
    fn next(&mut self, at: u64, progress: &Progress) -> io::Result<()> {
        let Some(row) = &mut self.row else { return Ok(()) };
        let sealed = self.writer.take().map_or(Ok(()), |writer| sealed(writer, None));
        if sealed.is_ok() {
            self.open = 0;
        } else {
            self.missing += std::mem::take(&mut self.open);
        }
        let (_, file) = row.open(at)?;
        let mut writer = SeekableWriter::new(Counted::new(Target::File(file)), self.options)?;
        tell(&mut writer, &std::mem::take(&mut self.untold));
        if self.missing > 0 {
            writer.lost(Counter::UnwrittenEvents, self.missing);
        }
        self.writer = Some(writer);
        self.whole = false;
        progress.files.fetch_add(1, Ordering::Relaxed);
        sealed
    }

    /// A file is whole up to here: what was missing is told in it.
    fn settled(&mut self, progress: &Progress) {
        self.whole = true;
        self.open = 0;
        progress.unwritten.fetch_add(std::mem::take(&mut self.missing), Ordering::Relaxed);
        progress.stalled.store(false, Ordering::Release);
    }

    /// The file under way takes nothing more. An attempt that came to nothing costs no further old file of the row.
    fn broken(&mut self, error: &io::Error, progress: &Progress) {
        let had = self.writer.take().is_some();
        self.missing += std::mem::take(&mut self.open);
        if let Some(row) = &mut self.row {
            if had && !self.whole {
                row.give_back();
            }
            progress.stalled.store(true, Ordering::Release);
        } else {
            progress.fail(error.to_string());
        }
    }

    fn handle(&mut self, message: Message, progress: &Progress) -> io::Result<()> {
        match message {
            Message::Blocks(blocks, events) => {
                self.open += events;
                self.put(&blocks, progress)
            }
            Message::Losses(losses) => {
                match &mut self.writer {
                    Some(writer) => tell(writer, &losses),
                    None => self.untold.merge(&losses),
                }
                Ok(())
            }
            Message::Cut => self.cut(progress),
            Message::Begin(beginning) => {
                if std::mem::replace(&mut self.begun, true) {
                    self.next(beginning.at, progress)?;
                } else {
                    progress.files.fetch_add(1, Ordering::Relaxed);
                }
                self.put(&beginning.blocks, progress)?;
                self.cut(progress)
            }
            // Everything is kept anyway.
            Message::Dump(_) | Message::DumpEnd => Ok(()),
        }
    }

    fn put(&mut self, blocks: &[u8], progress: &Progress) -> io::Result<()> {
        let Some(writer) = &mut self.writer else {
            self.missing += std::mem::take(&mut self.open);
            return Ok(());
        };
        writer.write_all(blocks)?;
        if self.row.is_some() {
            // So that its length is known.
            writer.cut()?;
        }
        self.count(blocks.len(), progress);
        Ok(())
    }

    fn cut(&mut self, progress: &Progress) -> io::Result<()> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        writer.cut()?;
        self.count(0, progress);
        self.settled(progress);
        Ok(())
    }

    /// Tells how many bytes were written, for so many uncompressed ones.
    fn count(&self, raw: usize, progress: &Progress) {
        if let Some(writer) = &self.writer {
            let fresh = writer.get_ref().fresh.swap(0, Ordering::AcqRel);
            progress.written.fetch_add(fresh, Ordering::Relaxed);
            progress.packed(raw as u64, fresh);
        }
    }
}

impl Keeper for Files {
    fn take(&mut self, message: Message, progress: &Arc<Progress>) -> io::Result<()> {
        self.handle(message, progress).inspect_err(|error| self.broken(error, progress))
    }

    fn finish(mut self: Box<Self>, progress: &Arc<Progress>) -> io::Result<()> {
        let result = match self.writer.take() {
            Some(writer) => {
                let fresh = Arc::clone(&writer.get_ref().fresh);
                let result = sealed(writer, None);
                progress.written.fetch_add(fresh.swap(0, Ordering::AcqRel), Ordering::Relaxed);
                if result.is_ok() {
                    self.open = 0;
                }
                result
            }
            None => Ok(()),
        };
        progress.unwritten.fetch_add(self.open + self.missing, Ordering::Relaxed);
        result
    }
}

/// Tells a writer what was lost in the frame under way.
fn tell<W: Write>(writer: &mut SeekableWriter<W>, losses: &Ledger) {
    for &counter in ledger::ALL {
        if losses.get(counter) > 0 {
            writer.lost(counter, losses.get(counter));
        }
    }
}

/// Ends a file: how it came to be, index, seal.
pub(crate) fn sealed<W: Write>(mut writer: SeekableWriter<W>, note: Option<String>) -> io::Result<()> {
    writer.custody([custody(note)]);
    writer.finish().map(drop)
}

/// Counts bytes, and remembers where the last frame record ended.
pub(crate) struct Counted {
    target: Target,
    /// Length of the file.
    written: u64,
    /// Length up to which everything is whole.
    good: u64,
    /// Bytes that nobody has counted yet.
    pub fresh: Arc<AtomicU64>,
}

impl Counted {
    pub(crate) fn new(target: Target) -> Self {
        Self { target, written: 0, good: 0, fresh: Arc::default() }
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = match &mut self.target {
            Target::File(file) | Target::Pipe(file) => file.write_all(bytes),
        };
        if let Err(error) = result {
            if let Target::File(file) = &mut self.target {
                // Without the rest of a frame the file is cut, not damaged. Were this to fail too, `verify` would say so.
                let _ = file.set_len(self.good).and_then(|()| file.seek(SeekFrom::End(0)));
            }
            return Err(error);
        }
        self.written += bytes.len() as u64;
        self.fresh.fetch_add(bytes.len() as u64, Ordering::AcqRel);
        if bytes.starts_with(&MAGIC.to_le_bytes()) {
            self.good = self.written;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.target {
            Target::File(file) | Target::Pipe(file) => file.flush(),
        }
    }
}
