//! Captures made of a capture: `slice`, `minimize` and `redact` share how they read their input, more than once even from a
//! pipe, and how they write their output, complete or not at all.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use casebook_formats::custody::{self, Entry, Origin};
use casebook_formats::ledger::{ALL, Counter, Ledger};
use casebook_formats::origin;
use casebook_formats::seekable::{LOST_EVENTS, Options, SeekableFile, SeekableWriter};
use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::exit::Exit;
use super::talk::say;
use crate::excerpt::{ExcerptError, Sink};
use crate::run::Source;

/// What these commands have in common.
#[derive(Args, Debug)]
pub(super) struct DerivedArgs {
    /// The capture or audit log: a file, packed or not, or `-` for standard input
    #[arg(value_name = "CAPTURE")]
    pub(super) capture: PathBuf,

    /// File to write: .scap.zst (says where it came from), .scap or .scap.gz
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: PathBuf,

    /// Replace an output that is there already
    #[arg(long)]
    pub(super) force: bool,

    /// Say nothing on standard error but errors
    #[arg(short = 'q', long)]
    pub(super) quiet: bool,
}

/// A file that goes away with whoever holds this.
pub(super) struct Passing(PathBuf);

impl Passing {
    /// `path` with an ending of its own: beside the output, as what it holds is as confidential as that.
    pub(super) fn beside(path: &Path, ending: &str) -> Self {
        Self(Self::named(path, ending))
    }

    fn named(path: &Path, ending: &str) -> PathBuf {
        let mut name = OsString::from(path);
        name.push(ending);
        name.into()
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Creates it, for nobody else to read: what was put down on the way.
    pub(super) fn create(&self) -> io::Result<File> {
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.0)
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        // It is ours, and gone already where it was moved to its place.
        let _ = fs::remove_file(&self.0);
    }
}

/// The one capture that an argument names, as something that can be read several times.
pub(super) struct Input {
    pub(super) source: Source,
    path: PathBuf,
    /// Standard input, put down.
    _spool: Option<Passing>,
}

impl Input {
    /// Finds it, after making sure that the output can be written and is not the input.
    pub(super) fn open(args: &DerivedArgs, err: &mut dyn Write) -> Result<Self, Exit> {
        let DerivedArgs { capture, output, force, .. } = args;
        if form(output).is_none() {
            say(
                err,
                &format!(
                    "error: {}: the name does not say what to write: .scap.zst, .scap or .scap.gz",
                    output.display()
                ),
            );
            return Err(Exit::Usage);
        }
        let same = fs::canonicalize(output).ok().zip(fs::canonicalize(capture).ok());
        if same.is_some_and(|(output, capture)| output == capture) {
            say(err, "error: the output would overwrite the input");
            return Err(Exit::Usage);
        }
        if !force && fs::symlink_metadata(output).is_ok() {
            say(err, &format!("error: {}: is there already; --force replaces it", output.display()));
            return Err(Exit::Output);
        }
        let regular = fs::metadata(capture).is_ok_and(|file| file.is_file());
        if regular {
            return Ok(Self { source: Source::File(capture.clone()), path: capture.clone(), _spool: None });
        }
        let is_stdin = capture.as_os_str() == "-";
        if !is_stdin {
            // A pipe such as the shell's <(…) does, a folder does not.
            let wrong = match fs::metadata(capture) {
                Err(error) => Some(error.to_string()),
                Ok(there) if there.is_dir() => Some("is a folder; one capture is needed".to_owned()),
                Ok(_) => None,
            };
            if let Some(wrong) = wrong {
                say(err, &format!("error: {}: {wrong}", capture.display()));
                return Err(Exit::Unreadable);
            }
        }
        let spool = Passing(spool_name(args));
        let mut file = spool.create().map_err(|error| {
            say(err, &format!("error: {}: {error}", spool.path().display()));
            Exit::Output
        })?;
        let copied = if is_stdin {
            io::copy(&mut io::stdin().lock(), &mut file)
        } else {
            File::open(capture).and_then(|mut pipe| io::copy(&mut pipe, &mut file))
        };
        if let Err(error) = copied {
            say(err, &format!("error: {}: {error}", capture.display()));
            return Err(Exit::Unreadable);
        }
        let path = spool.path().to_path_buf();
        Ok(Self { source: Source::File(path.clone()), path, _spool: Some(spool) })
    }

    /// What its recorder lost, where it says so beside its stream.
    fn losses(&self) -> Ledger {
        let file = SeekableFile::open(&self.path).ok().flatten();
        file.and_then(|file| file.recorded_losses().ok()).unwrap_or_default()
    }

    /// The file by length and digests, with its custody.
    pub(super) fn origin(&self) -> io::Result<Origin> {
        origin::of_file(&self.path)
    }
}

/// How a capture is packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Zst,
    Gz,
    Plain,
    /// Documents of plugin events, one a line.
    Lines,
}

fn form(output: &Path) -> Option<Form> {
    let name = output.file_name()?.to_string_lossy().to_ascii_lowercase();
    let endings = [
        (".zst", Form::Zst),
        (".zstd", Form::Zst),
        (".gz", Form::Gz),
        (".scap", Form::Plain),
        (".jsonl", Form::Lines),
        (".json", Form::Lines),
    ];
    endings.into_iter().find(|(ending, _)| name.ends_with(ending)).map(|(_, form)| form)
}

/// Whether lines of JSON are wanted, not a capture.
pub(super) fn wants_lines(output: &Path) -> bool {
    form(output) == Some(Form::Lines)
}

/// A `.scap.zst` with what the recorder of its input lost: events, from the frame on that begins with a gap; the rest, from
/// the first frame on.
struct Framed<W: Write> {
    writer: SeekableWriter<W>,
    losses: Ledger,
    /// The first frame is under way.
    begun: bool,
}

impl<W: Write> Framed<W> {
    fn new(writer: SeekableWriter<W>, losses: Ledger) -> Self {
        let mut framed = Self { writer, losses, begun: false };
        framed.tell(|counter| !LOST_EVENTS.contains(&counter));
        framed
    }

    fn tell(&mut self, which: impl Fn(Counter) -> bool) {
        for &counter in ALL.iter().filter(|counter| which(**counter) && self.losses.get(**counter) > 0) {
            self.writer.lost(counter, self.losses.get(counter));
        }
    }
}

impl<W: Write> Write for Framed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.begun = true;
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl<W: Write> Sink for Framed<W> {
    fn gap(&mut self) -> io::Result<()> {
        if self.begun {
            self.writer.cut()?;
        }
        self.tell(|counter| LOST_EVENTS.contains(&counter));
        Ok(())
    }
}

impl Sink for BufWriter<File> {}

impl Sink for GzEncoder<BufWriter<File>> {}

/// Writes a capture through `fill`, packed as the name of the output says; a `.scap.zst` tells how it came to be, by what
/// `fill` gives: the entries of its parents, and its own.
pub(super) fn store<T>(
    args: &DerivedArgs,
    input: &Input,
    err: &mut dyn Write,
    fill: impl FnOnce(&mut dyn Sink) -> Result<(T, Vec<Entry>), ExcerptError>,
) -> Result<T, Exit> {
    let partial = Passing::beside(&args.output, ".partial");
    let stored = (|| {
        let mut sink = BufWriter::with_capacity(1 << 18, File::create(partial.path())?);
        let made = match form(&args.output) {
            Some(Form::Zst) => {
                let mut framed = Framed::new(SeekableWriter::new(sink, Options::default())?, input.losses());
                let (made, entries) = fill(&mut framed)?;
                framed.writer.custody(entries);
                sink = framed.writer.finish()?.0;
                made
            }
            Some(Form::Gz) => {
                let mut encoder = GzEncoder::new(sink, Compression::default());
                let (made, _) = fill(&mut encoder)?;
                sink = encoder.finish()?;
                made
            }
            _ => fill(&mut sink)?.0,
        };
        sink.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(partial.path(), &args.output)?;
        Ok(made)
    })();
    stored.map_err(|error: ExcerptError| failed(args, &error, err))
}

/// The custody of a capture that `step` makes of the input.
pub(super) fn entries(input: &Input, step: &Entry) -> Result<Vec<Entry>, ExcerptError> {
    Ok(custody::derive(&[input.origin()?], step))
}

/// Tells why there is no output.
pub(super) fn failed(args: &DerivedArgs, error: &ExcerptError, err: &mut dyn Write) -> Exit {
    let capture = if args.capture.as_os_str() == "-" { STDIN.into() } else { args.capture.display().to_string() };
    let (text, exit) = match error {
        // Nobody has to know what a pipe was put down as.
        ExcerptError::Capture(text) => {
            (text.replace(&spool_name(args).display().to_string(), &capture), Exit::Unreadable)
        }
        ExcerptError::Nothing(text) => (format!("{capture}: {text}"), Exit::Usage),
        ExcerptError::Io(error) => (error.to_string(), Exit::Output),
        ExcerptError::Write(error) => (error.to_string(), Exit::Output),
    };
    say(err, &format!("error: {text}"));
    exit
}

/// A custody entry of this program.
pub(super) fn step(operation: &str, note: String) -> Entry {
    let mut step = Entry::new(operation, TOOL);
    step.note = Some(note);
    step
}

/// How standard input is called.
const STDIN: &str = "standard input";

fn spool_name(args: &DerivedArgs) -> PathBuf {
    Passing::named(&args.output, ".input.partial")
}

/// How this program calls itself in custody entries.
pub(super) const TOOL: &str = concat!("casebook-replay ", env!("CARGO_PKG_VERSION"));
