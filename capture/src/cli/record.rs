//! `casebook-capture record`: options to a recording, and what to say about it.

use std::ffi::OsString;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use casebook_formats::ledger::Counter;

use super::{EXIT_GOOD, EXIT_LOSSES, EXIT_NOT_READY, EXIT_OUTPUT, EXIT_USAGE, Failure, printable};
use crate::appear::Appear;
use crate::calls::Calls;
use crate::files::{Files, Names, Row, Target, create};
use crate::filter::{Entry, Filters, Mode, cgroup_mounts};
use crate::flight::{Flight, Memory};
use crate::probe::{Count, Settings};
use crate::session::{self, Moment, Outcome, Until, Watch};
use crate::sink::{Keeper, Sink, Turns};
use crate::snapshot::Listed;
use crate::trigger::Triggers;
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
  rules:FILE  what the rules in FILE look at, if they are switched on; FILE is what `casebook-replay run -r` takes (a rule
              file, a folder, Helm values, a manifest), or a plain list of names. Several are read one after the other
  rules       what the rules of Casebook look at, those that a replay uses where none are named
  NAME        one call, such as kill

Several files (-C, -G, -W): names are those that sysdig gives: FILE with a number behind it, from 0; with -G, FILE is a
format of strftime where it holds a `%`. Each file begins with a snapshot and can be replayed alone.

Flight recorder (--ring): nothing is written until something happens; then FILE-001 (numbered before its ending) gets what
memory holds of the time before, and what follows. It happens when SIGUSR1 arrives, when a trigger fires, and when the
recording ends. What happens while a file is being written extends it; later events get the next file.

Triggers (--trigger, any number):
  exec:FILE         a program was started; FILE is the file that runs, with symbolic links resolved
  open:FILE         a file was opened, by the name it really has
  write:FILE        the same, opened for writing
  connect:ADDRESS   an attempt to connect a socket: 10.0.0.0/8, 10.1.2.3:443, *:4444, [::1]:53, /run/docker.sock
  bind:ADDRESS      an attempt to bind one
  call:NAME         a call of this name succeeded, such as ptrace
  crash             a process ended by SIGSEGV, SIGABRT, SIGILL, SIGBUS, SIGFPE or SIGSYS
FILE may hold `*` and `?`; without a `/` it is the last part of the path. Filters apply to triggers too.

Ctrl-C and SIGTERM end the recording and the file; a second one gives up on a file that nobody takes.

Exit codes (how the command of --until-exit ended is printed and changes none of them):
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
    #[arg(short = 'M', value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    seconds: Option<u64>,
    /// Record the command after `--` and its descendants, and stop when it ends.
    #[arg(long, requires = "command")]
    until_exit: bool,
    /// Begin a new file when one has this many million bytes.
    #[arg(short = 'C', value_name = "MB", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    megabytes: Option<u64>,
    /// Begin a new file after so many seconds.
    #[arg(short = 'G', value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    rotate: Option<u64>,
    /// Keep so many files: the oldest is overwritten (with -C, -G or --ring).
    #[arg(short = 'W', value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    count: Option<u64>,
    /// Keep the last events in memory, so many bytes of them compressed (64MiB, 1GiB), and write when something happens.
    #[arg(long, value_name = "SIZE", value_parser = size, conflicts_with_all = ["megabytes", "rotate"])]
    ring: Option<u64>,
    /// Write this many seconds before what happened (default: all that memory holds).
    #[arg(long, value_name = "SECONDS", requires = "ring", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    before: Option<u64>,
    /// Write this many seconds after what happened.
    #[arg(long, value_name = "SECONDS", requires = "ring", default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=100_000_000))]
    after: u64,
    /// What has to happen, see below.
    #[arg(long, value_name = "KIND:WHAT", requires = "ring")]
    trigger: Vec<String>,
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
    /// Only this container, by name, id or the beginning of its id; also when it appears later.
    #[arg(long, value_name = "NAME|ID")]
    container: Vec<String>,
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
    /// Read the processes and descriptors that are there at the start from /proc, even where the kernel could list them.
    #[arg(long)]
    proc_snapshot: bool,
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

/// Bytes with a unit: `256MiB`, `64M`, `1GB`.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return Err("a number and a unit: KiB, MiB, GiB, KB, MB, GB".to_owned()),
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    bytes.filter(|bytes| (RING_MIN..=RING_MAX).contains(bytes)).ok_or_else(|| "from 1MiB to 1024GiB".to_owned())
}

const RING_MIN: u64 = 1_000_000;
const RING_MAX: u64 = 1 << 40;

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
    let sink = Sink::start(keeping.keeper, keeping.turns)?;
    let mut status = Status::new(!options.quiet && std::io::stderr().is_terminal(), options.quiet);
    status.notes(&notes, err);
    let until = Until { duration: options.seconds.map(|seconds| seconds.saturating_mul(SECOND)), command: waiting };
    let (outcome, sink) =
        session::run(&settings, until, watch, sink, &mut |moment| status.tell(moment, err)).map_err(|error| {
            // Nothing was recorded: no empty capture is left behind.
            discard(keeping.first.as_deref());
            Failure { code: EXIT_NOT_READY, text: Some(error.to_string()) }
        })?;
    let events = outcome.events;
    let progress = sink.finish();
    status.clear(err);
    status.notes(&progress.notes(), err);
    let written = progress.written.load(Ordering::Relaxed);
    let unwritten = progress.unwritten.load(Ordering::Relaxed);
    if let Some(Err(why)) = &outcome.command {
        discard(keeping.first.as_deref());
        let command = options.command.first().cloned().unwrap_or_default();
        return Err(usage(format!("{}: {why}", command.display())));
    }
    if let Some(why) = progress.why() {
        let text = format!("{}: {why}; {written} bytes were written, {unwritten} events were not", keeping.shown);
        return Err(Failure { code: EXIT_OUTPUT, text: Some(text) });
    }
    let lost = outcome.counts.lost() + outcome.losses.get(Counter::ProgramBusy) + unwritten;
    if !options.quiet {
        let files = progress.files.load(Ordering::Relaxed);
        let place = match files {
            1 => keeping.shown,
            _ => format!("{files} files, {}", keeping.shown),
        };
        summary(&outcome, events, written, &place, err)?;
    }
    Ok(if lost > 0 { EXIT_LOSSES } else { EXIT_GOOD })
}

/// Takes away the file of a recording that never began; devices and pipes stay.
fn discard(file: Option<&Path>) {
    if let Some(file) = file.filter(|file| file.is_file()) {
        let _ = std::fs::remove_file(file);
    }
}

const SECOND: u64 = 1_000_000_000;
/// A file may begin with up to so much more than was asked for, ns: how often the flight recorder takes a snapshot.
const STRETCH: std::ops::RangeInclusive<u64> = SECOND..=10 * SECOND;

/// What keeps the capture, and how to speak of it.
struct Keeping {
    keeper: Box<dyn Keeper>,
    turns: Turns,
    shown: String,
    /// The file that was made already.
    first: Option<PathBuf>,
}

/// Makes what keeps the capture; what cannot be written is refused before anything is recorded.
fn keeping(options: &Options) -> Result<Keeping, Failure> {
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

/// The line that is renewed while recording.
struct Status {
    shown: bool,
    quiet: bool,
    last: Option<(u64, u64, u64, u64)>,
}

impl Status {
    fn new(shown: bool, quiet: bool) -> Self {
        Self { shown, quiet, last: None }
    }

    fn tell(&mut self, now: &Moment, err: &mut dyn Write) {
        let (elapsed, events, written, cpu) = self.last.unwrap_or_default();
        self.clear(err);
        self.notes(&now.notes, err);
        let kept = now.written + now.held;
        self.last = Some((now.elapsed, now.events, kept, now.cpu));
        if !self.shown {
            return;
        }
        let seconds = (now.elapsed.saturating_sub(elapsed) as f64 / 1e9).max(1e-3);
        let rate = |new: u64, old: u64| new.saturating_sub(old) as f64 / seconds;
        let held = if now.held > 0 { format!("  {:.1} MB in memory", now.held as f64 / 1e6) } else { String::new() };
        // A terminal that is gone ends nothing.
        let _ = write!(
            err,
            "{} s  {} events  {:.0} events/s  {:.2} MB/s{held}  {} lost  {:.0} % CPU",
            now.elapsed / SECOND,
            now.events,
            rate(now.events, events),
            rate(kept, written) / 1e6,
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

    fn notes(&self, notes: &[String], err: &mut dyn Write) {
        for note in notes.iter().filter(|_| !self.quiet) {
            let _ = writeln!(err, "{}", printable(note));
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
    let (listed, closed) = &outcome.listed;
    match listed {
        Listed::Kernel => {}
        Listed::Proc => writeln!(err, "note: processes and descriptors at the start were read from /proc")?,
        Listed::Refused(why) => {
            writeln!(err, "note: processes and descriptors at the start were read from /proc: {}", printable(why))?;
        }
    }
    if *closed > 0 {
        writeln!(err, "note: descriptors of {closed} processes of other users may not be seen by this user")?;
    }
    if outcome.undescribed > 0 {
        writeln!(
            err,
            "note: {} containers have no name: no file of a runtime that this user may read describes them",
            outcome.undescribed
        )?;
    }
    if outcome.raw {
        writeln!(err, "note: the kernel took only programs without types (raw tracepoints)")?;
    }
    if !outcome.rings {
        writeln!(
            err,
            "note: this kernel's io_uring cannot be followed: what programs ask for through it is not recorded"
        )?;
    }
    if let Some(why) = &outcome.kept_capabilities {
        writeln!(err, "note: capabilities could not be given up: {why}")?;
    }
    if let Some(Ok(status)) = &outcome.command {
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
