//! The command line: `casebook-capture record` and `casebook-capture check`.

mod check_host;
mod record;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// Everything went well.
const EXIT_GOOD: u8 = 0;
/// Something that recording needs is missing, or could not be found out.
const EXIT_NOT_READY: u8 = 1;
/// Wrong use of the command, or its output could not be written.
const EXIT_USAGE: u8 = 2;
/// Recorded, but not everything.
const EXIT_LOSSES: u8 = 3;
/// The capture could not be written to its end.
const EXIT_OUTPUT: u8 = 4;

/// Records system calls into a capture that Casebook, Falco and sysdig can replay.
#[derive(Parser)]
#[command(name = "casebook-capture", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

const CHECK_EXIT_CODES: &str = "\
Exit codes:
  0  everything that recording needs is there
  1  something is missing, or could not be found out
  2  wrong use of the command, or output could not be written";

#[derive(Subcommand)]
enum Command {
    /// Records until told to stop (Ctrl-C), or for a time, or as long as a command runs.
    #[command(after_help = record::HELP)]
    Record(Box<record::Options>),
    /// Says what this kernel offers for recording, and what is missing.
    #[command(after_help = CHECK_EXIT_CODES)]
    Check {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
        /// Read `proc` and `sys` below this folder instead of `/`.
        #[arg(long, value_name = "DIR", default_value = "/")]
        root: PathBuf,
    },
}

/// The command's clap table: completions and man pages are made of it by `casebook-pages` of the package
/// `casebook-tests`, so that the recorder carries no generator.
pub fn command() -> clap::Command {
    Args::command()
}

/// Runs the command; `args` begins with the program's name.
pub fn run<I>(args: I, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode
where
    I: IntoIterator,
    I::Item: Into<OsString> + Clone,
{
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(refused) => {
            // Nobody is left to be told when the sink is gone.
            if refused.use_stderr() {
                let _ = write!(err, "{}", refused.render());
                return ExitCode::from(EXIT_USAGE);
            }
            let _ = write!(out, "{}", refused.render());
            return ExitCode::from(EXIT_GOOD);
        }
    };
    let result = match args.command {
        Command::Check { json, root } => check_host::run(&root, json, out).map_err(Failure::from),
        Command::Record(options) => record::run(&options, err),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(Failure { code, text }) => {
            if let Some(text) = text {
                let _ = writeln!(err, "casebook-capture: {}", printable(&text));
            }
            ExitCode::from(code)
        }
    }
}

/// A failure: its exit code, and what to say.
struct Failure {
    code: u8,
    text: Option<String>,
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        // The reader has heard enough.
        let text = (error.kind() != std::io::ErrorKind::BrokenPipe).then(|| error.to_string());
        Self { code: EXIT_USAGE, text }
    }
}

/// Text from outside: nothing in it may steer a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '.' } else { c }).collect()
}
