//! One pass over captures for views that need nothing but events.
//!
//! Paths, filter and window of a command line → every event that passes, with the state after it. Says on standard
//! error what could not be read, and what the captures lost; what the events mean is the view's business.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use casebook_formats::capture::{CaptureReader, FormatError};
use casebook_formats::ledger::{Ledger, Origin, Severity};
use casebook_formats::progress::Progress;
use casebook_formats::terminal::write_safe;
use casebook_replay::cli::Exit;
use casebook_replay::context::EventContext;
use casebook_replay::detect::Filter;
use casebook_replay::engine::{Position, Replay, Visitor};
use casebook_replay::inputs::{Input, expand};
use casebook_replay::moment::Moment;
use casebook_replay::window::{Opening, Place, Window};
use clap::Args;

/// Options of every view that walks over events.
#[derive(Args, Debug)]
pub struct WalkArgs {
    /// Captures: files, directories, glob patterns, `-` for standard input
    #[arg(value_name = "CAPTURE", required = true)]
    pub captures: Vec<PathBuf>,

    /// Only events on which this condition is true
    ///
    /// A condition of the rule language without macros and lists: `proc.name = sshd and fd.sport = 22`.
    #[arg(long, value_name = "CONDITION")]
    pub filter: Option<String>,

    /// Only events at this time or later
    ///
    /// 2026-11-21T10:00:00Z (without a zone: UTC), 10:00:00.5 (on the day the capture begins), seconds or nanoseconds
    /// since the epoch, or +12.5s, +250ms, +2m after the first event.
    #[arg(long, value_name = "TIME")]
    pub from: Option<Moment>,

    /// Only events at this time or earlier
    #[arg(long, value_name = "TIME")]
    pub to: Option<Moment>,

    /// No progress bar (there is none anyway unless standard error is a terminal)
    #[arg(long)]
    pub no_progress: bool,
}

/// What a view does with the events of a capture.
pub trait Look {
    /// A capture begins.
    fn begin(&mut self, name: &str) -> io::Result<()> {
        let _ = name;
        Ok(())
    }

    /// An event that passed filter and window.
    fn event(&mut self, context: &EventContext<'_>) -> io::Result<()>;

    /// The capture ends; nothing comes of it any more.
    fn end(&mut self, position: &Position) -> io::Result<()> {
        let _ = position;
        Ok(())
    }
}

/// Shows all events of the captures that pass, capture by capture, to `look`.
///
/// # Errors
///
/// Those of `look`: the output could not be written. Captures that cannot be read are told and count in the exit code.
pub fn walk(args: &WalkArgs, look: &mut dyn Look, err: &mut dyn Write) -> io::Result<Exit> {
    let filter = match args.filter.as_deref().map(Filter::parse).transpose() {
        Ok(filter) => filter,
        Err(errors) => {
            for error in errors {
                let hint = error.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
                say(err, &format!("--filter: {}{hint}", error.message))?;
            }
            return Ok(Exit::Usage);
        }
    };
    let window = Window { from: args.from, to: args.to };
    let (mut unreadable, mut incomplete) = (false, false);
    for input in expand(&args.captures).inputs {
        let path = match input {
            Input::Capture(path) => path,
            Input::Missing { name, reason } => {
                say(err, &format!("{name}: {reason}"))?;
                unreadable = true;
                continue;
            }
        };
        match one(&path, filter.as_ref(), window, !args.no_progress, look)? {
            Walked::Unopened(error) => {
                say(err, &error.to_string())?;
                unreadable = true;
            }
            Walked::To { error, ledger } => {
                if let Some(error) = error {
                    say(err, &error.to_string())?;
                    unreadable = true;
                }
                incomplete |= tell(&ledger, &path, err)?;
            }
        }
    }
    Ok(match (unreadable, incomplete) {
        (true, _) => Exit::Unreadable,
        (false, true) => Exit::Incomplete,
        (false, false) => Exit::Complete,
    })
}

/// How a walk over one capture went.
enum Walked {
    /// It is no capture, or cannot be read.
    Unopened(FormatError),
    /// As far as it goes.
    To { error: Option<FormatError>, ledger: Box<Ledger> },
}

fn one(
    path: &Path,
    filter: Option<&Filter>,
    window: Window,
    progress: bool,
    look: &mut dyn Look,
) -> io::Result<Walked> {
    let mut reader = match CaptureReader::open(path) {
        Ok(reader) => reader,
        Err(error) => return Ok(Walked::Unopened(error)),
    };
    let name = path.to_string_lossy();
    look.begin(&name)?;
    let size = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file).map(|file| file.len());
    let mut visit = Visit {
        gate: filter.map(Filter::gate),
        opening: window.open(),
        progress: Progress::new(&name, size, progress),
        ledger: Ledger::default(),
        result: Ok(()),
        look,
    };
    let mut replay = Replay::new();
    let end = replay.run_with(&mut reader, &mut visit);
    visit.progress.finish();
    visit.result?;
    visit.look.end(&replay.position())?;
    Ok(Walked::To { error: end.err(), ledger: Box::new(replay.ledger(&reader)) })
}

/// Hands the events that pass from the replay to the view.
struct Visit<'v> {
    gate: Option<casebook_replay::detect::Gate<'v>>,
    opening: Opening,
    progress: Progress,
    /// What evaluating the filter finds out; the captures' own ledger is told.
    ledger: Ledger,
    result: io::Result<()>,
    look: &'v mut dyn Look,
}

impl Visitor for Visit<'_> {
    fn event(&mut self, context: &EventContext<'_>) -> ControlFlow<()> {
        match self.opening.place(context.clock.first_ts, context.event.ts) {
            Place::Inside => {}
            Place::Outside => return ControlFlow::Continue(()),
            Place::Over => return ControlFlow::Break(()),
        }
        if self.gate.as_mut().is_some_and(|gate| !gate.passes(context, &mut self.ledger)) {
            return ControlFlow::Continue(());
        }
        self.result = self.look.event(context);
        if self.result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn progress(&mut self, bytes: u64, events: u64) {
        self.progress.show(bytes, events);
    }
}

/// Tells what the capture lost; true when the file itself did.
fn tell(ledger: &Ledger, path: &Path, err: &mut dyn Write) -> io::Result<bool> {
    let mut lost = false;
    for (counter, count) in ledger.findings().filter(|(counter, _)| counter.severity == Severity::DataLoss) {
        lost |= counter.origin == Origin::File;
        let (name, severity) = (path.to_string_lossy(), counter.severity.word());
        say(err, &format!("{name}: {} ({severity}): {count}. {}", counter.name, counter.advice))?;
    }
    Ok(lost)
}

/// Says something about the run.
pub(super) fn say(err: &mut dyn Write, line: &str) -> io::Result<()> {
    err.write_all(b"casebook-analyze: ")?;
    write_safe(err, line.as_bytes())?;
    writeln!(err)
}
