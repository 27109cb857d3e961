//! `casebook-capture record`: options ([`options`]) to a recording, where it is kept ([`keeping`]), and what to say about
//! it ([`talk`]). The recording itself is [`crate::session`]'s.

mod keeping;
mod options;
mod talk;

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::Ordering;

use casebook_formats::ledger::Counter;

use self::keeping::{Keeping, keeping};
pub(super) use self::options::{HELP, Options};
use self::talk::{Status, summary};
use super::{EXIT_GOOD, EXIT_LOSSES, EXIT_NOT_READY, EXIT_OUTPUT, EXIT_USAGE, Failure};
use crate::appear::Appear;
use crate::calls::Calls;
use crate::filter::{Entry, Filters, Mode, cgroup_mounts};
use crate::probe::Settings;
use crate::session::{self, Outcome, Until, Watch};
use crate::sink::{Progress, Sink};
use crate::trigger::Triggers;
use crate::{select, sys};

fn usage(text: impl std::fmt::Display) -> Failure {
    Failure { code: EXIT_USAGE, text: Some(text.to_string()) }
}

pub(super) fn run(options: &Options, err: &mut dyn Write) -> Result<u8, Failure> {
    if !options.command.is_empty() && !options.until_exit {
        return Err(usage("a command after -- needs --until-exit"));
    }
    if options.count.is_some() && options.megabytes.is_none() && options.rotate.is_none() && options.ring.is_none() {
        return Err(usage("-W needs -C, -G or --ring"));
    }
    let select::Found { codes: mut wanted, notes } = select::select(&options.syscalls, &Calls::new()).map_err(usage)?;
    let triggers = Triggers::parse(&options.trigger).map_err(usage)?;
    wanted.extend(triggers.calls());
    let mut filters = filters(options)?;
    let keeping = keeping(options)?;
    sys::catch_signals(options.ring.is_some());
    let waiting = match options.command.split_first() {
        Some((program, args)) => Some(start(program, args).inspect_err(|_| discard(keeping.first.as_deref()))?),
        None => None,
    };
    if let Some(waiting) = &waiting {
        filters.pids.push(Entry { value: waiting.pid, mode: Mode::Only });
    }
    let settings = Settings { snaplen: options.snaplen, ring_bytes: options.buffer << 20, wanted, filters };
    let appear = appear(&settings.filters)?;
    let after = options.after.saturating_mul(SECOND);
    let watch = Watch { triggers, appear, after, proc_snapshot: options.proc_snapshot };
    let Keeping { keeper, turns, shown, first } = keeping;
    let sink = Sink::start(keeper, turns)?;
    let mut status = Status::new(!options.quiet && std::io::stderr().is_terminal(), options.quiet);
    status.notes(&notes, err);
    let until = Until { duration: options.seconds.map(|seconds| seconds.saturating_mul(SECOND)), command: waiting };
    let (outcome, sink) =
        session::run(&settings, until, watch, sink, &mut |moment| status.tell(moment, err)).map_err(|error| {
            // Nothing was recorded: no empty capture is left behind.
            discard(first.as_deref());
            Failure { code: EXIT_NOT_READY, text: Some(error.to_string()) }
        })?;
    let progress = sink.finish();
    status.clear(err);
    status.notes(&progress.notes(), err);
    if let Some(Err(why)) = &outcome.command {
        discard(first.as_deref());
        let command = options.command.first().cloned().unwrap_or_default();
        return Err(usage(format!("{}: {why}", command.display())));
    }
    ending(&outcome, &progress, shown, options.quiet, err)
}

/// Tells what became of a recording; `shown`: what its file is called.
fn ending(
    outcome: &Outcome,
    progress: &Progress,
    shown: String,
    quiet: bool,
    err: &mut dyn Write,
) -> Result<u8, Failure> {
    let written = progress.written.load(Ordering::Relaxed);
    let unwritten = progress.unwritten.load(Ordering::Relaxed);
    if let Some(why) = progress.why() {
        let text = format!("{shown}: {why}; {written} bytes were written, {unwritten} events were not");
        return Err(Failure { code: EXIT_OUTPUT, text: Some(text) });
    }
    if !quiet {
        let place = match progress.files.load(Ordering::Relaxed) {
            1 => shown,
            files => format!("{files} files, {shown}"),
        };
        summary(outcome, written, &place, err)?;
    }
    let lost = outcome.counts.lost() + outcome.losses.get(Counter::ProgramBusy) + unwritten;
    Ok(if lost > 0 { EXIT_LOSSES } else { EXIT_GOOD })
}

/// Takes away the file of a recording that never began; devices and pipes stay.
fn discard(file: Option<&Path>) {
    if let Some(file) = file.filter(|file| file.is_file()) {
        let _ = std::fs::remove_file(file);
    }
}

const SECOND: u64 = 1_000_000_000;
fn filters(options: &Options) -> Result<Filters, Failure> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let mut filters = Filters::default();
    for text in &options.pid {
        filters.pid(text, Path::new("/proc")).map_err(usage)?;
    }
    let passwd = read("/etc/passwd");
    for text in &options.uid {
        filters.uid(text, &passwd).map_err(usage)?;
    }
    for text in &options.comm {
        filters.comm(text).map_err(usage)?;
    }
    let mounts = cgroup_mounts(&read("/proc/self/mountinfo"));
    for text in &options.cgroup {
        filters.cgroup(text, &mounts).map_err(usage)?;
    }
    for text in &options.container {
        filters.container(text);
    }
    crate::filter::add_descendants(&mut filters, Path::new("/proc"));
    Ok(filters)
}

/// Who looks for the containers that the filter names.
fn appear(filters: &Filters) -> Result<Option<Appear>, Failure> {
    if filters.containers.is_empty() {
        return Ok(None);
    }
    let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mounts = cgroup_mounts(&mountinfo);
    let Some(mount) = mounts.first() else {
        return Err(usage("--container needs cgroup version 2, which is not mounted"));
    };
    Appear::new(filters, mount, Path::new("/")).map(Some).map_err(usage)
}

/// Finds the command as a shell would, so that the only exec recorded is its own, and starts it up to there.
fn start(program: &OsString, args: &[OsString]) -> Result<sys::Waiting, Failure> {
    let as_path = Path::new(program);
    let found = if as_path.components().count() > 1 {
        if as_path.is_file() && !executable(as_path) {
            return Err(usage(format!("{}: not executable", as_path.display())));
        }
        as_path.is_file().then(|| as_path.to_owned())
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).map(|folder| folder.join(program)).find(|candidate| executable(candidate))
    };
    let Some(found) = found else { return Err(usage(format!("{}: no such command", as_path.display()))) };
    let mut command = std::process::Command::new(&found);
    std::os::unix::process::CommandExt::arg0(&mut command, program);
    command.args(args);
    sys::start_waiting(command).map_err(|error| usage(format!("{}: {error}", found.display())))
}

fn executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}
