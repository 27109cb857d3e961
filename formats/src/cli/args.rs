//! The clap tables: every option and its help.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::window::WindowArgs;
use super::{exit, time};
use crate::custody::Entry;

/// Inspects, checks, converts and rescues captures of system calls.
///
/// Reads .scap captures of any age, plain, gzip and zstd; `-` is standard input.
#[derive(Parser, Debug)]
#[command(name = "casebook", version, after_help = exit::help())]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Subcommands.
#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Show what a capture holds: host, time span, events, threads, users, losses, frames and seal
    #[command(after_help = exit::help())]
    Info(InfoArgs),
    /// Show the bytes of a capture with their meaning, block by block
    #[command(after_help = exit::help())]
    Dump(DumpArgs),
    /// Write a capture anew as .scap.zst, .scap or .scap.gz: the same stream byte for byte, or rewritten for an old reader
    #[command(after_help = exit::help())]
    Convert(ConvertArgs),
    /// Put rotated files of one host together, in the order of time
    ///
    /// Each file keeps its own header and snapshots: readers start anew at each. Files that do not meet, or hold the same
    /// time, are told, and counted in the frame records of a .scap.zst.
    #[command(after_help = exit::help())]
    Cat(CatArgs),
    /// Write a capture as several files, by size or by time; prints their names
    ///
    /// The parts are numbered after the name that -o gives, which has to be that of a file: `-o part.scap.zst` writes
    /// part-001.scap.zst and on.
    ///
    /// Every part begins with the snapshots of the section that it continues. They tell of the section's beginning:
    /// processes and descriptors that came since are unknown to later parts, unless their own events tell of them.
    /// `casebook-replay slice` makes a part that knows the state at its beginning.
    #[command(after_help = exit::help())]
    Split(SplitArgs),
    /// Write what is left of a damaged or cut capture into a new one, and say what is missing and where
    #[command(after_help = exit::help())]
    Salvage(SalvageArgs),
    /// Check that .scap.zst files are what was written: every frame, their chain, index, seal, seek table and signature
    #[command(after_help = exit::help())]
    Verify(VerifyArgs),
    /// Sign captures (or any files) as minisign does, or make a key for it
    ///
    /// The whole file is signed, byte for byte, and left as it is; the signature stands beside it in FILE.minisig.
    /// `casebook verify --key` and `minisign -V` check it.
    #[command(after_help = exit::help())]
    Seal(SealArgs),
    /// Make checkpoints beside a .scap.zst, from which casebook-replay can begin in its middle
    ///
    /// Done by the program casebook-replay, which has to be beside this one or on the path; all arguments are its own
    /// (`casebook index --help`).
    #[command(disable_help_flag = true)]
    Index(IndexArgs),
}

/// Arguments of `index`.
#[derive(Args, Debug)]
pub(super) struct IndexArgs {
    /// Handed on as they are
    #[arg(value_name = "ARGUMENT", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(super) arguments: Vec<OsString>,
}

/// Options of `info`.
#[derive(Args, Debug)]
pub(super) struct InfoArgs {
    /// Captures; `-` for standard input
    #[arg(value_name = "CAPTURE", required = true)]
    pub(super) captures: Vec<PathBuf>,

    /// One JSON object a line for each capture
    #[arg(long)]
    pub(super) json: bool,

    #[command(flatten)]
    pub(super) window: WindowArgs,
}

/// Options of `dump`.
#[derive(Args, Debug)]
pub(super) struct DumpArgs {
    /// The capture; `-` for standard input
    #[arg(value_name = "CAPTURE")]
    pub(super) capture: PathBuf,

    /// Show all bytes of long values and lists
    #[arg(long)]
    pub(super) raw: bool,

    /// Stop after so many blocks, or pieces
    #[arg(short = 'n', value_name = "BLOCKS")]
    pub(super) count: Option<u64>,

    /// Show the pieces of a .scap.zst instead of the capture in it: frames, records, custody, index, seal, seek table
    #[arg(long, conflicts_with_all = ["from", "to", "frames"])]
    pub(super) pieces: bool,

    #[command(flatten)]
    pub(super) window: WindowArgs,
}

/// Options of `verify`.
#[derive(Args, Debug)]
pub(super) struct VerifyArgs {
    /// Files; `-` for standard input
    #[arg(value_name = "FILE", required = true)]
    pub(super) files: Vec<PathBuf>,

    /// Public key of whoever has to have signed the files: a .pub file, or the key itself as minisign prints it
    #[arg(long, value_name = "KEY")]
    pub(super) key: Option<String>,

    /// Where the signature is, when not in FILE.minisig
    #[arg(long, value_name = "SIGNATURE", requires = "key")]
    pub(super) signature: Option<PathBuf>,

    /// One JSON object a line for each file
    #[arg(long)]
    pub(super) json: bool,
}

/// Options of `seal`.
#[derive(Args, Debug)]
pub(super) struct SealArgs {
    /// Files to sign
    #[arg(value_name = "FILE", required_unless_present = "new_key", conflicts_with = "new_key")]
    pub(super) files: Vec<PathBuf>,

    /// Secret key file, of `casebook seal --new-key` or `minisign -G`
    #[arg(short, long, value_name = "SECRET", required_unless_present = "new_key")]
    pub(super) key: Option<PathBuf>,

    /// Make a key pair instead: NAME.key, secret and encrypted with a password, and NAME.pub, to be given away
    #[arg(long, value_name = "NAME", conflicts_with = "key")]
    pub(super) new_key: Option<PathBuf>,

    /// With --new-key: do not encrypt the secret key (for machines that nobody sits at)
    #[arg(long, requires = "new_key", conflicts_with_all = ["password_file", "password_env"])]
    pub(super) no_password: bool,

    /// Take the password from the first line of this file; without this and the next option it is asked for
    #[arg(long, value_name = "FILE")]
    pub(super) password_file: Option<PathBuf>,

    /// Take the password from this environment variable
    #[arg(long, value_name = "VARIABLE", conflicts_with = "password_file")]
    pub(super) password_env: Option<String>,

    /// Text that is signed with the file, as minisign's trusted comment; the SHA-256 of the file follows it
    #[arg(short, long, value_name = "TEXT", conflicts_with = "new_key")]
    pub(super) comment: Option<String>,

    /// Time that is signed with the file, in UTC, as 2026-11-22T09:30:00Z; this machine's clock is never asked
    #[arg(long, value_name = "TIME", value_parser = time::parse_utc, conflicts_with = "new_key")]
    pub(super) at: Option<u64>,

    /// Replace a signature or a key pair that is there already
    #[arg(long)]
    pub(super) force: bool,
}

/// Options of `convert`.
#[derive(Args, Debug)]
pub(super) struct ConvertArgs {
    /// The capture; `-` for standard input
    #[arg(value_name = "CAPTURE")]
    pub(super) capture: PathBuf,

    /// Rewrite the capture for an old reader, instead of copying it byte for byte
    #[arg(long = "for", value_name = "READER")]
    pub(super) reader: Option<Reader>,

    #[command(flatten)]
    pub(super) target: Target,
}

/// Readers that do not understand every capture.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum Reader {
    /// Debian's sysdig 0.29.3 and others with libs of 2022: calls as enter and exit halves, types and lists of that time
    Sysdig,
}

/// Options of `cat`.
#[derive(Args, Debug)]
pub(super) struct CatArgs {
    /// The files, in any order; `-` for standard input
    #[arg(value_name = "CAPTURE", required = true)]
    pub(super) captures: Vec<PathBuf>,

    /// A longer time than this between two files is a gap (10s, 500ms, 5m)
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time::parse_span)]
    pub(super) max_gap: u64,

    /// Put files of different hosts together
    #[arg(long)]
    pub(super) any_host: bool,

    #[command(flatten)]
    pub(super) target: Target,
}

/// Options of `split`.
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("measure").required(true).multiple(true).args(["size", "every"]))]
pub(super) struct SplitArgs {
    /// The capture; `-` for standard input
    #[arg(value_name = "CAPTURE")]
    pub(super) capture: PathBuf,

    /// Largest part, in MiB of the unpacked stream
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    pub(super) size: Option<u64>,

    /// Length of a part in the capture's own time (90s, 5m, 1h)
    #[arg(long, value_name = "TIME", value_parser = time::parse_span)]
    pub(super) every: Option<u64>,

    /// One JSON object a line for each part, instead of its name
    #[arg(long)]
    pub(super) json: bool,

    #[command(flatten)]
    pub(super) target: Target,
}

/// Options of `salvage`.
#[derive(Args, Debug)]
pub(super) struct SalvageArgs {
    /// The capture; `-` for standard input
    #[arg(value_name = "CAPTURE")]
    pub(super) capture: PathBuf,

    #[command(flatten)]
    pub(super) target: Target,

    /// Report as one JSON object, on standard output, or on standard error where the capture goes to standard output
    #[arg(long)]
    pub(super) json: bool,
}

/// Where to write, and how.
#[derive(Args, Clone, Debug)]
pub(super) struct Target {
    /// File to write; `-` for standard output
    ///
    /// It grows as FILE.partial and gets its name when it is complete. A FILE.partial that a killed run left behind holds
    /// nothing that the inputs do not: run the command again, which begins it anew, or delete it.
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub(super) output: PathBuf,

    /// What to write; without it the name of the output decides (.zst, .gz, .scap), and .scap.zst on standard output
    #[arg(long, value_name = "KIND")]
    pub(super) to: Option<Form>,

    /// Replace an output that is there already
    #[arg(long)]
    pub(super) force: bool,

    /// Compression level of zstd
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(i32).range(1..=22))]
    pub(super) level: i32,

    /// Content of a data frame of .scap.zst, in KiB
    #[arg(long, value_name = "KIB", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..=262_144))]
    pub(super) frame_kib: u32,

    #[command(flatten)]
    pub(super) custody: CustodyArgs,
}

/// What nobody but the user knows of a step: written into the custody entry of a .scap.zst.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Custody (kept in .scap.zst)")]
pub(super) struct CustodyArgs {
    /// Who has this done: a name, a badge number
    #[arg(long, value_name = "WHO")]
    pub(super) by: Option<String>,

    /// When, in UTC, as 2026-11-22T09:30:00Z; without it the entry holds no time, and the same input gives the same file
    #[arg(long, value_name = "TIME", value_parser = time::parse_utc)]
    pub(super) at: Option<u64>,

    /// Free text: a case number, a reason
    #[arg(long, value_name = "TEXT")]
    pub(super) note: Option<String>,
}

impl CustodyArgs {
    /// The entry of a step of this tool; its parents come with [`crate::custody::derive`].
    pub(super) fn step(&self, operation: &str) -> Entry {
        let (by, at, note) = (self.by.clone(), self.at, self.note.clone());
        Entry { by, at, note, ..Entry::new(operation, TOOL) }
    }
}

/// Name and version of this tool, as custody entries have it.
const TOOL: &str = concat!("casebook ", env!("CARGO_PKG_VERSION"));

/// What can be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum Form {
    /// Seekable zstd with index, hashes and losses
    #[value(name = "scap.zst", alias = "zst")]
    Zst,
    /// Plain
    #[value(name = "scap")]
    Plain,
    /// In gzip, as Falco and sysdig write
    #[value(name = "scap.gz", alias = "gz")]
    Gz,
}
