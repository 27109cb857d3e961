//! Options of `record`, and the text below them. What is done with them is said in [`super`].

use std::ffi::OsString;
use std::path::PathBuf;

/// What stands below the options.
pub(in crate::cli) const HELP: &str = "\
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

/// Options of `record`.
#[derive(clap::Args)]
pub(in crate::cli) struct Options {
    /// Write the capture to this file; `-`: to standard output.
    #[arg(short = 'w', long = "write", value_name = "FILE")]
    pub(super) write: PathBuf,
    /// Stop after so many seconds.
    #[arg(short = 'M', value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(super) seconds: Option<u64>,
    /// Record the command after `--` and its descendants, and stop when it ends.
    #[arg(long, requires = "command")]
    pub(super) until_exit: bool,
    /// Begin a new file when one has this many million bytes.
    #[arg(short = 'C', value_name = "MB", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(super) megabytes: Option<u64>,
    /// Begin a new file after so many seconds.
    #[arg(short = 'G', value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(super) rotate: Option<u64>,
    /// Keep so many files: the oldest is overwritten (with -C, -G or --ring).
    #[arg(short = 'W', value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(super) count: Option<u64>,
    /// Keep the last events in memory, so many bytes of them compressed (64MiB, 1GiB), and write when something happens.
    #[arg(long, value_name = "SIZE", value_parser = size, conflicts_with_all = ["megabytes", "rotate"])]
    pub(super) ring: Option<u64>,
    /// Write this many seconds before what happened (default: all that memory holds).
    #[arg(long, value_name = "SECONDS", requires = "ring", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(super) before: Option<u64>,
    /// Write this many seconds after what happened.
    #[arg(long, value_name = "SECONDS", requires = "ring", default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=100_000_000))]
    pub(super) after: u64,
    /// What has to happen, see below.
    #[arg(long, value_name = "KIND:WHAT", requires = "ring")]
    pub(super) trigger: Vec<String>,
    /// Bytes kept of what is read and written; 0 keeps none.
    #[arg(short = 's', long, value_name = "BYTES", default_value_t = 80, value_parser = clap::value_parser!(u32).range(0..=4096))]
    pub(super) snaplen: u32,
    /// Calls to record, see below.
    #[arg(long, value_name = "LIST", default_value = "default")]
    pub(super) syscalls: String,
    /// Only this process and its descendants.
    #[arg(long, value_name = "PID")]
    pub(super) pid: Vec<String>,
    /// Only this cgroup (version 2) and those below it.
    #[arg(long, value_name = "PATH")]
    pub(super) cgroup: Vec<String>,
    /// Only this container, by name, id or the beginning of its id; also when it appears later.
    #[arg(long, value_name = "NAME|ID")]
    pub(super) container: Vec<String>,
    /// Only threads of this name.
    #[arg(long, value_name = "NAME")]
    pub(super) comm: Vec<String>,
    /// Only this user.
    #[arg(long, value_name = "USER")]
    pub(super) uid: Vec<String>,
    /// Size of the buffer between kernel and recorder, in MiB: 1, 2, 4, ... 1024.
    #[arg(long, value_name = "MIB", default_value_t = 32, value_parser = buffer)]
    pub(super) buffer: u32,
    /// How hard to compress, 1 to 19.
    #[arg(long, value_name = "LEVEL", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=19))]
    pub(super) level: i32,
    /// Read the processes and descriptors that are there at the start from /proc, even where the kernel could list them.
    #[arg(long)]
    pub(super) proc_snapshot: bool,
    /// Say nothing but errors.
    #[arg(short, long)]
    pub(super) quiet: bool,
    /// The command to record.
    #[arg(last = true, value_name = "COMMAND")]
    pub(super) command: Vec<OsString>,
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
