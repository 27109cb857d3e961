//! `casebook-replay index`: checkpoints beside captures, made or checked.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::Terminals;
use super::captures::{self, Hearing};
use super::exit::{self, Exit};
use super::talk::say;
use crate::checkpoint::make::{Made, MakeError, Spacing, make};
use crate::checkpoint::sidecar::{Sidecar, path_of};
use crate::run::Source;

/// Options of `index`.
#[derive(Args, Debug)]
pub(super) struct IndexArgs {
    /// Captures in .scap.zst (`casebook convert` makes them)
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// Distance between checkpoints, in MiB of the uncompressed stream; 0: at every frame
    ///
    /// Further apart where the state of the machine is large, so that the file stays small beside the capture.
    #[arg(long, value_name = "MIB", default_value_t = 4)]
    spacing: u32,

    /// Write nothing: make all checkpoints that a file has once more, and compare
    ///
    /// Checkpoints are no evidence but a shortcut. This tells whether they are what the capture says.
    #[arg(long, conflicts_with = "spacing")]
    check: bool,

    /// No progress bar (there is none anyway unless standard error is a terminal)
    #[arg(long)]
    no_progress: bool,

    /// Say nothing on standard error but errors
    #[arg(short = 'q', long)]
    quiet: bool,
}

/// Makes or checks the checkpoints of captures, one after the other.
pub(super) fn run(
    args: &IndexArgs,
    out: &mut (dyn Write + Send),
    err: &mut (dyn Write + Send),
    terminals: Terminals,
) -> Exit {
    let hearing = Hearing { quiet: args.quiet, no_progress: args.no_progress, terminals, by_time: false };
    let mut worst = Exit::Complete;
    for file in &args.files {
        let exit = if args.check { check(file, hearing, out, err) } else { index(args, file, hearing, out, err) };
        match exit {
            Exit::Complete => {}
            Exit::Output | Exit::BrokenPipe => return exit,
            exit => worst = exit,
        }
    }
    worst
}

/// The pass itself, under a progress bar.
fn pass<W: Write>(file: &Path, spacing: Spacing, out: W, hearing: Hearing) -> Result<(W, Made), MakeError> {
    let mut meter = hearing.meter(&[Source::File(file.to_owned())]);
    let mut told = (0, 0);
    let made = make(file, spacing, out, &mut |bytes, events| {
        meter.advance(bytes - told.0, events - told.1);
        told = (bytes, events);
    });
    meter.finish();
    made
}

fn index(args: &IndexArgs, file: &Path, hearing: Hearing, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    let spacing = match args.spacing {
        0 => Spacing::Every,
        mib => Spacing::Apart(u64::from(mib) << 20),
    };
    let target = path_of(file);
    // What is half done must not pass for the whole.
    let mut partial = target.clone().into_os_string();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let sink = match File::open(file).and_then(|_| File::create(&partial)) {
        Ok(sink) => BufWriter::new(sink),
        Err(error) if !file.exists() => return unreadable(file, &error, err),
        Err(error) => return unwritable(&partial, &error, err),
    };
    let made = pass(file, spacing, sink, hearing);
    let finished = made.map(|(sink, made)| {
        let written = sink.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| file.sync_all());
        written.and_then(|()| fs::rename(&partial, &target)).map(|()| made)
    });
    match finished {
        Ok(Ok(made)) => tell(file, &target, &made, out, err),
        Ok(Err(error)) => unwritable(&target, &error, err),
        Err(error) => {
            // It is ours, and of no use.
            let _ = fs::remove_file(&partial);
            unreadable(file, &error, err)
        }
    }
}

/// One line on a finished file.
fn tell(file: &Path, target: &Path, made: &Made, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    let Made { table, frames, missed, too_large } = made;
    let size = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
    let (own, capture) = (size(target), size(file).max(1));
    let count = match table.entries.len() {
        1 => "1 checkpoint".to_owned(),
        count => format!("{count} checkpoints"),
    };
    let frames = if *frames == 1 { "1 frame".to_owned() } else { format!("{frames} frames") };
    let share = own as f64 * 100.0 / capture as f64;
    let mut line = format!("{}: {count} in {frames}, {own} bytes ({share:.1} % of the capture)", target.display());
    if *missed > 0 {
        line = format!("{line}; none at {missed} boundaries inside damage or unknown blocks");
    }
    if *too_large > 0 {
        line = format!("{line}; none at {too_large} boundaries where the state is too large");
    }
    put(&line, out, err)
}

/// Compares what is there with what the capture says.
fn check(file: &Path, hearing: Hearing, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    let target = path_of(file);
    let there = match Sidecar::beside(file) {
        Ok(Some(there)) => there,
        Ok(None) => return unreadable(&target, &"there are no checkpoints", err),
        Err(error) => {
            say(err, &format!("error: {}: not usable: {error}", target.display()));
            return Exit::Alerts;
        }
    };
    let made = match pass(file, Spacing::Every, io::sink(), hearing) {
        Ok((_, made)) => made,
        Err(error) => return unreadable(file, &error, err),
    };
    let entries = &there.table().entries;
    for (number, entry) in entries.iter().enumerate() {
        let same = made.table.entries.iter().any(|own| {
            let told = |e: &crate::checkpoint::sidecar::Entry| (e.frame, e.raw_offset, e.first_ts, e.latest, e.digest);
            told(own) == told(entry)
        });
        let readable = there.enter(number, crate::engine::Replay::new());
        let wrong = match readable {
            _ if !same => "is not what the capture says".to_owned(),
            Err(error) => format!("cannot be used: {error}"),
            Ok(_) => continue,
        };
        say(err, &format!("error: {}: the checkpoint at frame {} {wrong}", target.display(), entry.frame));
        return Exit::Alerts;
    }
    put(&format!("{}: all {} checkpoints are what the capture says", target.display(), entries.len()), out, err)
}

fn put(line: &str, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    let mut text = Vec::new();
    crate::output::push_safe(&mut text, line.as_bytes());
    text.push(b'\n');
    match out.write_all(&text).and_then(|()| out.flush()) {
        Ok(()) => Exit::Complete,
        Err(error) => captures::broken(&error, err),
    }
}

fn unreadable(file: &Path, why: &dyn std::fmt::Display, err: &mut dyn Write) -> Exit {
    say(err, &format!("error: {}: {why}", file.display()));
    Exit::Unreadable
}

fn unwritable(file: &Path, error: &io::Error, err: &mut dyn Write) -> Exit {
    say(err, &format!("error: {}: {error}", file.display()));
    Exit::Output
}

pub(super) fn after_help() -> String {
    format!(
        "\
Examples:
  casebook convert incident.scap -o incident.scap.zst && casebook index incident.scap.zst
      makes incident.scap.zst.checkpoints
  casebook-replay events --from 21:49:10 incident.scap.zst
      begins to read shortly before that time
  casebook-replay run -j 8 incident.scap.zst
      eight workers on one capture, the same output
  casebook-replay index --check incident.scap.zst
      are they what the capture says?

The capture itself is never changed. Checkpoints name the capture by the hash that depends on all its bytes, the version
of the program and the layout of what they hold; where one of them is another, they are not used, and it is said.

{}",
        exit::help(exit::INDEX_EXITS)
    )
}
