//! What all commands do with captures: find them, replay them into the output with a progress bar, tell the ending.
//!
//! The commands differ in what they make of the events; inputs, headings, the order of data and talk, and the exit code
//! are the same for all of them.

use std::fs::{self, File};
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread;

use casebook_formats::ledger::Ledger;

use super::Terminals;
use super::args::OrderArg;
use super::exit::Exit;
use super::talk::{Meter, Voice, say};
use crate::audit::join::Requests;
use crate::inputs::{self, Input};
use crate::output::{MERGE_LIMIT, Sequencer};
use crate::run::{ByTurns, Jobs, Source};
use crate::summary::{CaptureReport, Completeness, ledger_text};

/// Name of the embedded capture in headings and summaries.
const EXAMPLE_NAME: &str = "(built-in example)";

/// The embedded capture.
pub(super) fn example() -> Source {
    Source::Memory { name: EXAMPLE_NAME.to_owned(), bytes: casebook_fixtures::EXAMPLE.into() }
}

/// The captures that arguments name, failures in their places.
pub(super) fn sources(arguments: &[PathBuf], quiet: bool, err: &mut dyn Write) -> Vec<Source> {
    let expansion = inputs::expand(arguments);
    if expansion.passed_over > 0 && !quiet {
        let files = if expansion.passed_over == 1 { "file does" } else { "files do" };
        say(err, &format!("note: {} {files} not look like a capture and stay out", expansion.passed_over));
    }
    let source = |input| match input {
        Input::Capture(path) => Source::File(path),
        Input::Missing { name, reason } => Source::Missing { name, reason },
    };
    expansion.inputs.into_iter().map(source).collect()
}

/// The captures that arguments name, or the embedded one where that is asked for.
pub(super) fn named(arguments: &[PathBuf], wants_example: bool, quiet: bool, err: &mut dyn Write) -> Vec<Source> {
    if wants_example { vec![example()] } else { sources(arguments, quiet, err) }
}

/// Whether there is any to read; says so where there is none.
pub(super) fn are_named(arguments: &[PathBuf], wants_example: bool, err: &mut dyn Write) -> bool {
    let named = wants_example || !arguments.is_empty();
    if !named {
        say(err, "error: no capture given: name files or directories, `-` for standard input, or try --example");
    }
    named
}

/// What `-j` means.
pub(super) fn jobs(wanted: Option<NonZeroUsize>) -> usize {
    wanted.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get)
}

/// The same for captures that are replayed: who asks for workers wants them used.
pub(super) fn workers(wanted: Option<NonZeroUsize>) -> Jobs {
    // Each worker that takes turns keeps the whole state: without a processor for it that takes time instead of saving it.
    let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let workers = if wanted.is_some() { processors.saturating_sub(1).clamp(1, ByTurns::WORKERS) } else { 1 };
    Jobs {
        workers: jobs(wanted),
        decode_plain_ahead: wanted.is_some(),
        turns: ByTurns { workers, events: ByTurns::EVENTS },
    }
}

/// Whether alerts come in the order of time, and a warning where that is not possible.
pub(super) fn by_time(order: OrderArg, captures: &[Source], requests: &Requests, err: &mut dyn Write) -> bool {
    let wanted = match order {
        OrderArg::Input => false,
        OrderArg::Time => true,
        OrderArg::Auto => requests.is_beside_events(),
    };
    if wanted && captures.len() > MERGE_LIMIT {
        let n = captures.len();
        say(err, &format!("warning: {n} inputs are too many for the order of time (limit {MERGE_LIMIT}): by input"));
        return false;
    }
    wanted && captures.len() > 1
}

/// Opens the file of `-o`; `Err` after saying why not.
pub(super) fn create(
    path: &Path,
    captures: &[Source],
    others: impl IntoIterator<Item = PathBuf>,
    err: &mut dyn Write,
) -> Result<File, Exit> {
    refuse_input(path, captures, others, err)?;
    File::create(path).map_err(|error| {
        say(err, &format!("error: {}: {error}", path.display()));
        Exit::Output
    })
}

/// Refuses an output that is an input; `Err` after saying so.
pub(super) fn refuse_input(
    path: &Path,
    captures: &[Source],
    others: impl IntoIterator<Item = PathBuf>,
    err: &mut dyn Write,
) -> Result<(), Exit> {
    let Some(input) = same_file(path, captures, others) else { return Ok(()) };
    say(err, &format!("error: {}: the output would overwrite an input ({})", path.display(), input.display()));
    Err(Exit::Usage)
}

/// An input that `output` would overwrite.
fn same_file(output: &Path, captures: &[Source], others: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
    let output = fs::canonicalize(output).ok()?;
    let captures = captures.iter().filter_map(|source| match source {
        Source::File(path) => Some(path.clone()),
        _ => None,
    });
    captures.chain(others).find(|input| fs::canonicalize(input).is_ok_and(|input| input == output))
}

/// Bytes of all captures together, where that is known.
pub(super) fn total_bytes(captures: &[Source]) -> Option<u64> {
    captures
        .iter()
        .map(|source| match source {
            Source::File(path) => fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|file| file.len()),
            Source::Memory { bytes, .. } => Some(bytes.len() as u64),
            Source::Input { head, whole } => whole.then_some(head.len() as u64),
            Source::Missing { .. } => Some(0),
        })
        .sum()
}

/// What there is to hear while captures are replayed.
#[derive(Clone, Copy)]
pub(super) struct Hearing {
    /// Errors only.
    pub(super) quiet: bool,
    /// No bar.
    pub(super) no_progress: bool,
    /// Where the streams go.
    pub(super) terminals: Terminals,
    /// What is said comes in the order of time; no headings then.
    pub(super) by_time: bool,
}

impl Hearing {
    /// A progress bar over captures, if one is wanted.
    pub(super) fn meter(self, captures: &[Source]) -> Meter {
        Meter::new(total_bytes(captures), self.terminals.err && !self.no_progress && !self.quiet)
    }
}

/// Has `work` replay captures into the output, under headings and a bar. Gives its reports; `Err` after saying why the
/// output is broken.
pub(super) fn perform(
    captures: &[Source],
    hearing: Hearing,
    out: &mut (dyn Write + Send),
    err: &mut (dyn Write + Send),
    work: impl FnOnce(&Sequencer<'_>, &(dyn Fn(u64, u64) + Sync)) -> Vec<CaptureReport>,
) -> Result<Vec<CaptureReport>, Exit> {
    let mut meter = hearing.meter(captures);
    let headed = captures.len() > 1 && !hearing.quiet && !hearing.by_time;
    let headings = if headed { captures.iter().map(Source::name).collect() } else { Vec::new() };
    let mut voice = Voice::new(meter.around(err), headings);
    let mut data = meter.around(out);
    let begin = if hearing.by_time { Sequencer::by_time } else { Sequencer::new };
    let output = begin(&mut data, &mut voice, captures.len(), hearing.terminals.out);
    let reports = work(&output, &|bytes, events| meter.advance(bytes, events));
    let written = output.into_result();
    meter.finish();
    written.map(|()| reports).map_err(|error| broken(&error, err))
}

/// Tells of an output that cannot be written; a reader that went away is no news.
pub(super) fn broken(error: &io::Error, err: &mut dyn Write) -> Exit {
    let exit = Exit::of_output(error);
    if exit == Exit::Output {
        say(err, &format!("error: the output cannot be written: {error}"));
    }
    exit
}

/// The ledger as talk, where the data has no place for it; nothing when it is empty.
pub(super) fn tell_ledger(ledger: &Ledger, err: &mut dyn Write) {
    if ledger.findings().next().is_some() {
        ledger_text(ledger, |line| say(err, line));
    }
}

/// The exit code by how captures were read.
pub(super) fn exit<'r>(reports: impl IntoIterator<Item = &'r CaptureReport>) -> Exit {
    reports.into_iter().fold(Exit::Complete, |exit, report| match (exit, report.completeness) {
        (_, Completeness::Unreadable) | (Exit::Unreadable, _) => Exit::Unreadable,
        (_, Completeness::Incomplete) => Exit::Incomplete,
        (exit, _) => exit,
    })
}
