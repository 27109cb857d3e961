//! What keeps the capture: one file, a row of them, a pipe, or the memory of the flight recorder.

use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use super::options::Options;
use super::{SECOND, usage};
use crate::cli::Failure;
use crate::files::{Files, Names, Row, Target, create};
use crate::flight::{Flight, Memory};
use crate::sink::{Keeper, Turns};
use crate::sys;

/// A file may begin with up to so much more than was asked for, ns: how often the flight recorder takes a snapshot.
const STRETCH: std::ops::RangeInclusive<u64> = SECOND..=10 * SECOND;

/// What keeps the capture, and how to speak of it.
pub(super) struct Keeping {
    pub(super) keeper: Box<dyn Keeper>,
    pub(super) turns: Turns,
    pub(super) shown: String,
    /// The file that was made already.
    pub(super) first: Option<PathBuf>,
}

/// Makes what keeps the capture; what cannot be written is refused before anything is recorded.
pub(super) fn keeping(options: &Options) -> Result<Keeping, Failure> {
    let shown = options.write.display().to_string();
    let of_file = |error: std::io::Error| usage(format!("{shown}: {error}"));
    let to_pipe = options.write == Path::new("-");
    let count = options.count.unwrap_or(0);
    if to_pipe && (options.ring.is_some() || options.megabytes.is_some() || options.rotate.is_some()) {
        return Err(usage("several files need a name (-w FILE)"));
    }
    if let Some(ring) = options.ring {
        let folder = options.write.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() || options.write.file_name().is_none() {
            return Err(usage(format!("{}: no such folder", folder.display())));
        }
        let bytes = usize::try_from(ring).map_err(usage)?;
        let before = options.before.map(|seconds| seconds.saturating_mul(SECOND));
        let flight = Flight { bytes, before, base: options.write.clone(), count, level: options.level };
        let every = before.map_or(*STRETCH.end(), |before| (before / 5).clamp(*STRETCH.start(), *STRETCH.end()));
        let turns = Turns { bytes: Some(ring / 8), every: Some(every) };
        return Ok(Keeping { keeper: Box::new(Memory::new(flight)?), turns, shown, first: None });
    }
    if options.megabytes.is_some() || options.rotate.is_some() {
        let (by_size, by_time) = (options.megabytes.is_some(), options.rotate.is_some());
        let mut row = Row::new(Names { base: options.write.clone(), by_size, by_time, count });
        let now = sys::boot_time() + sys::since_boot();
        let (name, file) = row.open(now).map_err(|error| usage(error.to_string()))?;
        let turns = Turns {
            bytes: options.megabytes.map(|megabytes| megabytes.saturating_mul(1_000_000)),
            every: options.rotate.map(|seconds| seconds.saturating_mul(SECOND)),
        };
        let keeper = Box::new(Files::row(file, row, options.level)?);
        return Ok(Keeping { keeper, turns, shown, first: Some(name) });
    }
    let (target, shown, first) = if to_pipe {
        let out = std::io::stdout();
        if out.is_terminal() {
            return Err(usage("a capture is no text: standard output is a terminal"));
        }
        // A descriptor of our own: the handle is locked by whoever called us, and another thread writes.
        let own = out.as_fd().try_clone_to_owned().map_err(usage)?;
        (Target::Pipe(File::from(own)), "standard output".to_owned(), None)
    } else {
        (Target::File(create(&options.write, false).map_err(of_file)?), shown, Some(options.write.clone()))
    };
    Ok(Keeping { keeper: Box::new(Files::one(target, options.level)?), turns: Turns::default(), shown, first })
}
