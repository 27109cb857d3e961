//! The capture that a command writes: a file that is complete or not there, or standard output.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;

use super::args::{Form, Target};
use crate::custody::Entry;
use crate::ledger::{ALL, Counter, Ledger};
use crate::record::Seal;
use crate::seekable::{Options, SeekableWriter};

/// An output under way.
pub(super) struct Output<'o> {
    sink: Sink<'o>,
    /// What is written first, and what it is called in the end.
    names: Option<(PathBuf, PathBuf)>,
}

type Raw<'o> = Box<dyn Write + 'o>;

enum Sink<'o> {
    Zst(Box<SeekableWriter<Raw<'o>>>),
    Plain(Raw<'o>),
    Gz(Box<GzEncoder<Raw<'o>>>),
}

/// Why there is no output.
pub(super) enum Refusal {
    /// The name does not say what to write.
    Form,
    /// The output is there already.
    Exists,
    /// The operating system refused.
    Io(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What a name says about the form.
pub(super) fn form(path: &Path) -> Option<Form> {
    let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
    if name == "-" {
        return Some(Form::Zst);
    }
    let endings = [(".zst", Form::Zst), (".zstd", Form::Zst), (".gz", Form::Gz), (".scap", Form::Plain)];
    endings.into_iter().find(|(ending, _)| name.ends_with(ending)).map(|(_, form)| form)
}

impl<'o> Output<'o> {
    /// Opens the output. A file is written beside its place, as NAME.partial, and moved there when it is complete, so
    /// that a file can be converted in place and half a file is never taken for a whole one.
    pub(super) fn open(target: &Target, out: &'o mut (dyn Write + Send)) -> Result<Self, Refusal> {
        let form = target.to.or_else(|| form(&target.output)).ok_or(Refusal::Form)?;
        if target.output.as_os_str() == "-" {
            return Self::onto(Box::new(BufWriter::new(out)), None, target, form);
        }
        Self::file(target, form)
    }

    /// Same, for a target that is a file.
    pub(super) fn file(target: &Target, form: Form) -> Result<Self, Refusal> {
        // A device or a named pipe is written to, never replaced: moving a file there would take /dev/null away.
        if fs::metadata(&target.output).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
            let file = OpenOptions::new().write(true).open(&target.output)?;
            return Self::onto(Box::new(BufWriter::new(file)), None, target, form);
        }
        if !target.force && fs::symlink_metadata(&target.output).is_ok() {
            return Err(Refusal::Exists);
        }
        let mut partial = OsString::from(&target.output);
        partial.push(".partial");
        let file: File = OpenOptions::new().write(true).create(true).truncate(true).open(&partial)?;
        let names = Some((partial.into(), target.output.clone()));
        Self::onto(Box::new(BufWriter::with_capacity(1 << 18, file)), names, target, form)
    }

    fn onto(raw: Raw<'o>, names: Option<(PathBuf, PathBuf)>, target: &Target, form: Form) -> Result<Self, Refusal> {
        let sink = match form {
            Form::Zst => {
                let options = Options { frame_bytes: target.frame_kib as usize * 1024, level: target.level };
                let threads = std::thread::available_parallelism().map_or(1, usize::from);
                Sink::Zst(Box::new(SeekableWriter::with_threads(raw, options, threads)?))
            }
            Form::Plain => Sink::Plain(raw),
            Form::Gz => Sink::Gz(Box::new(GzEncoder::new(raw, flate2::Compression::default()))),
        };
        Ok(Self { sink, names })
    }

    /// Writes down a loss, where the form has a place for it.
    pub(super) fn lost(&mut self, counter: Counter, count: u64) {
        if let Sink::Zst(writer) = &mut self.sink {
            writer.lost(counter, count);
        }
    }

    /// How the capture came to be; false when the form has no place for it.
    pub(super) fn custody(&mut self, entries: Vec<Entry>) -> bool {
        if let Sink::Zst(writer) = &mut self.sink {
            writer.custody(entries);
        }
        matches!(self.sink, Sink::Zst(_))
    }

    /// Completes the output.
    pub(super) fn finish(self) -> io::Result<Option<Seal>> {
        let (mut raw, seal) = match self.sink {
            Sink::Zst(writer) => writer.finish().map(|(raw, seal)| (raw, Some(seal)))?,
            Sink::Plain(raw) => (raw, None),
            Sink::Gz(encoder) => (encoder.finish()?, None),
        };
        raw.flush()?;
        drop(raw);
        if let Some((partial, name)) = &self.names {
            fs::rename(partial, name)?;
        }
        Ok(seal)
    }
}

/// Losses of an input that its output has been told of.
#[derive(Default)]
pub(super) struct Losses(Ledger);

impl Losses {
    /// Writes losses that are new into the frame under way.
    pub(super) fn tell(&mut self, ledger: &Ledger, output: &mut Output) {
        if *ledger == self.0 {
            return;
        }
        for &counter in ALL {
            let new = ledger.get(counter).saturating_sub(self.0.get(counter));
            if new > 0 {
                output.lost(counter, new);
            }
        }
        self.0.clone_from(ledger);
    }
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.sink {
            Sink::Zst(writer) => writer.write(bytes),
            Sink::Plain(raw) => raw.write(bytes),
            Sink::Gz(encoder) => encoder.write(bytes),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.sink {
            Sink::Zst(writer) => writer.write_all(bytes),
            Sink::Plain(raw) => raw.write_all(bytes),
            Sink::Gz(encoder) => encoder.write_all(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::Zst(writer) => writer.flush(),
            Sink::Plain(raw) => raw.flush(),
            Sink::Gz(encoder) => encoder.flush(),
        }
    }
}
