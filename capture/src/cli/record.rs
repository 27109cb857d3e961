//! `casebook-capture record`: options to a recording, and what to say about it.

use std::ffi::OsString;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use casebook_formats::ledger::Counter;

use super::{EXIT_GOOD, EXIT_LOSSES, EXIT_NOT_READY, EXIT_OUTPUT, EXIT_USAGE, Failure, printable};
use crate::calls::Calls;
use crate::filter::{Entry, Filters, Mode, cgroup_mounts};
use crate::probe::{Count, Settings};
use crate::session::{self, Moment, Outcome, Until};
use crate::sink::{Sink, Target};
use crate::{select, sys};

pub(super) const HELP: &str = "\
Filters are applied in the kernel; `!` in front of an entry leaves it out. Entries of one option add up, different
options restrict each other. The recorder itself is never recorded. A filtered capture holds only what passes the
filters, and the names of the ancestors of those processes.

Calls (--syscalls, separated by commas, `!` takes away):
  default     all calls with an event of their own, without those that programs make all the time (mmap, futex, stat, ...)
  all         every call
  state       what a replay rests on: processes, descriptors, credentials, directories; always part of the selection
  io          data through descriptors
  rules:FILE  every call that FILE names; FILE is a rule file or a plain list
  NAME        one call, such as kill

Exit codes:
  0  recorded, nothing was lost
  1  this machine cannot be recorded
  2  wrong use of the command
  3  recorded, and events were lost; the capture says how many and why
  4  the capture could not be written to its end; what was written can be replayed";

#[derive(clap::Args)]
pub(super) struct Options {
    /// Write the capture to this file; `-`: to standard output.
    #[arg(short = 'w', long = "write", value_name = "FILE")]
    write: PathBuf,
    /// Stop after so many seconds.
    #[arg(short = 'M', value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    seconds: Option<u64>,
    /// Record the command after `--` and its descendants, and stop when it ends.
    #[arg(long, requires = "command")]
    until_exit: bool,
    /// Bytes kept of what is read and written; 0 keeps none.
    #[arg(short = 's', long, value_name = "BYTES", default_value_t = 80, value_parser = clap::value_parser!(u32).range(0..=4096))]
    snaplen: u32,
    /// Calls to record, see below.
    #[arg(long, value_name = "LIST", default_value = "default")]
    syscalls: String,
    /// Only this process and its descendants.
    #[arg(long, value_name = "PID")]
    pid: Vec<String>,
    /// Only this cgroup (version 2) and those below it.
    #[arg(long, value_name = "PATH")]
    cgroup: Vec<String>,
    /// Only threads of this name.
    #[arg(long, value_name = "NAME")]
    comm: Vec<String>,
    /// Only this user.
    #[arg(long, value_name = "USER")]
    uid: Vec<String>,
    /// Size of the buffer between kernel and recorder, in MiB: 1, 2, 4, ... 1024.
    #[arg(long, value_name = "MIB", default_value_t = 32, value_parser = buffer)]
    buffer: u32,
    /// How hard to compress, 1 to 19.
    #[arg(long, value_name = "LEVEL", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=19))]
    level: i32,
    /// Say nothing but errors.
    #[arg(short, long)]
    quiet: bool,
    /// The command to record.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

fn buffer(text: &str) -> Result<u32, String> {
    match text.parse::<u32>() {
        Ok(mib) if mib.is_power_of_two() && mib <= 1024 => Ok(mib),
        _ => Err("a power of two up to 1024".to_owned()),
    }
}

fn usage(text: impl std::fmt::Display) -> Failure {
    Failure { code: EXIT_USAGE, text: Some(text.to_string()) }
}

pub(super) fn run(options: &Options, err: &mut dyn Write) -> Result<u8, Failure> {
    if !options.command.is_empty() && !options.until_exit {
        return Err(usage("a command after -- needs --until-exit"));
    }
    let wanted = select::select(&options.syscalls, &Calls::new()).map_err(usage)?;
    let mut filters = filters(options)?;
    let (target, shown) = target(&options.write)?;
    sys::catch_stop();
    let waiting = match options.command.split_first() {
        Some((program, args)) => Some(start(program, args)?),
        None => None,
    };
    if let Some(waiting) = &waiting {
        filters.pids.push(Entry { value: waiting.pid, mode: Mode::Only });
    }
    let settings = Settings { snaplen: options.snaplen, ring_bytes: options.buffer << 20, wanted, filters };
    let sink = Sink::start(target, options.level)?;
    let mut status = Status::new(!options.quiet && std::io::stderr().is_terminal());
    let until = Until { duration: options.seconds.map(|seconds| seconds * 1_000_000_000), command: waiting };
    let (outcome, sink) =
        session::run(&settings, until, sink, &mut |moment| status.tell(moment, err)).map_err(|error| {
            // Nothing was recorded: no empty capture is left behind.
            if options.write != Path::new("-") {
                let _ = std::fs::remove_file(&options.write);
            }
            Failure { code: EXIT_NOT_READY, text: Some(error.to_string()) }
        })?;
    let events = outcome.events;
    let progress = sink.finish();
    status.clear(err);
    let written = progress.written.load(std::sync::atomic::Ordering::Relaxed);
    if let Some(why) = progress.why() {
        let lost = progress.unwritten.load(std::sync::atomic::Ordering::Relaxed);
        let text = format!("{shown}: {why}; {written} bytes were written, {lost} events were not");
        return Err(Failure { code: EXIT_OUTPUT, text: Some(text) });
    }
    let lost = outcome.counts.lost() + outcome.losses.get(Counter::ProgramBusy);
    if !options.quiet {
        summary(&outcome, events, written, &shown, err)?;
    }
    Ok(if lost > 0 { EXIT_LOSSES } else { EXIT_GOOD })
}

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
    crate::filter::add_descendants(&mut filters, Path::new("/proc"));
    Ok(filters)
}

/// Where to write, and how to call it.
fn target(path: &Path) -> Result<(Target, String), Failure> {
    if path == Path::new("-") {
        let out = std::io::stdout();
        if out.is_terminal() {
            return Err(usage("a capture is no text: standard output is a terminal"));
        }
        // A descriptor of our own: the handle is locked by whoever called us, and another thread writes.
        let own = out.as_fd().try_clone_to_owned().map_err(usage)?;
        return Ok((Target::Pipe(File::from(own)), "standard output".to_owned()));
    }
    let shown = path.display().to_string();
    let file = File::create(path).map_err(|error| usage(format!("{shown}: {error}")))?;
    // Captures hold what passes through programs: nobody else's business.
    file.set_permissions(std::fs::Permissions::from_mode(0o600)).map_err(|error| usage(format!("{shown}: {error}")))?;
    Ok((Target::File(file), shown))
}

/// Finds the command as a shell would, so that the only exec recorded is its own, and starts it up to there.
fn start(program: &OsString, args: &[OsString]) -> Result<sys::Waiting, Failure> {
    let as_path = Path::new(program);
    let found = if as_path.components().count() > 1 {
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

/// The line that is renewed while recording.
struct Status {
    shown: bool,
    last: Option<(u64, u64, u64, u64)>,
}

impl Status {
    fn new(shown: bool) -> Self {
        Self { shown, last: None }
    }

    fn tell(&mut self, now: &Moment, err: &mut dyn Write) {
        let (elapsed, events, written, cpu) = self.last.unwrap_or_default();
        self.last = Some((now.elapsed, now.events, now.written, now.cpu));
        if !self.shown {
            return;
        }
        let seconds = now.elapsed.saturating_sub(elapsed) as f64 / 1e9;
        let rate = |new: u64, old: u64| new.saturating_sub(old) as f64 / seconds;
        // A terminal that is gone ends nothing.
        let _ = write!(
            err,
            "\r\x1b[K{} s  {} events  {:.0} events/s  {:.2} MB/s  {} lost  {:.0} % CPU",
            now.elapsed / 1_000_000_000,
            now.events,
            rate(now.events, events),
            rate(now.written, written) / 1e6,
            now.lost,
            rate(now.cpu, cpu) / 1e7,
        );
        let _ = err.flush();
    }

    fn clear(&self, err: &mut dyn Write) {
        if self.shown && self.last.is_some() {
            let _ = write!(err, "\r\x1b[K");
        }
    }
}

fn summary(outcome: &Outcome, events: u64, written: u64, shown: &str, err: &mut dyn Write) -> std::io::Result<()> {
    let seconds = outcome.took as f64 / 1e9;
    let (threads, fds) = outcome.snapshot;
    writeln!(
        err,
        "{events} events in {seconds:.1} s, {written} bytes in {}; at the start {threads} threads, {fds} descriptors",
        printable(shown)
    )?;
    writeln!(err, "CPU of the recorder: {:.2} s", outcome.cpu as f64 / 1e9)?;
    if outcome.forbidden > 0 {
        writeln!(
            err,
            "note: {} environments of other users' processes may not be read by this user",
            outcome.forbidden
        )?;
    }
    if outcome.raw {
        writeln!(err, "note: the kernel took only programs without types (raw tracepoints)")?;
    }
    if let Some(why) = &outcome.kept_capabilities {
        writeln!(err, "note: capabilities could not be given up: {why}")?;
    }
    if let Some(status) = outcome.command {
        writeln!(err, "the command ended with {status}")?;
    }
    let lost = outcome.counts.lost();
    if lost > 0 {
        let sent = outcome.counts.begun;
        writeln!(
            err,
            "LOST: {lost} of {sent} events did not reach the recorder ({} found the buffer full)",
            outcome.counts.get(Count::RingFull)
        )?;
    } else {
        writeln!(err, "nothing was lost")?;
    }
    for (counter, count) in outcome.losses.findings() {
        writeln!(err, "  {count:>10}  {}: {}", counter.name, counter.advice)?;
    }
    if outcome.unaccounted != 0 {
        writeln!(err, "MISTAKE: {} events are unaccounted for", outcome.unaccounted)?;
    }
    Ok(())
}
