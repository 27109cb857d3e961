//! The command line of `casebook`: captures as evidence. Arguments in, exit code out.
//!
//! Each subcommand is a module; what it does with bytes is library code ([`crate::capture`], [`crate::seekable`]), here
//! are options, tables and messages. Data goes to `out`, talk to `err`, and every text that a capture may have a say in
//! passes through [`crate::terminal`].

mod args;
mod cat;
mod convert;
mod custody;
mod dump;
mod exit;
mod index;
mod info;
mod output;
mod salvage;
mod seal;
mod split;
mod stream;
mod sysdig;
mod time;
mod verify;
mod window;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::CommandFactory;

use crate::command_line::{self, Ended};
use crate::terminal::Safe;
use args::{Cli, Command};
pub use exit::Exit;

/// The tool's clap table, for completions and man pages.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the tool: `args` begin with the program's name.
pub fn run(
    args: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    out: &mut (dyn Write + Send),
    err: &mut (dyn Write + Send),
) -> ExitCode {
    run_to(args, out, err).into()
}

/// Same, with the exit as a value of its own.
pub fn run_to(
    args: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    out: &mut (dyn Write + Send),
    err: &mut (dyn Write + Send),
) -> Exit {
    let cli = match command_line::parse::<Cli>(args, out, err) {
        Ok(cli) => cli,
        Err(Ended::Answered) => return Exit::Complete,
        Err(Ended::Refused) => return Exit::Usage,
        Err(Ended::Unwritten(error)) => return Exit::of_output(&error),
    };
    match cli.command {
        Command::Info(args) => info::run(&args, out, err),
        Command::Dump(args) => dump::run(&args, out, err),
        Command::Convert(args) => convert::run(&args, out, err),
        Command::Cat(args) => cat::run(&args, out, err),
        Command::Split(args) => split::run(&args, out, err),
        Command::Salvage(args) => salvage::run(&args, out, err),
        Command::Index(args) => index::run(&args, out, err),
        Command::Verify(args) => verify::run(&args, out, err),
        Command::Seal(args) => seal::run(&args, out, err),
    }
}

/// One line on standard error. A standard error that cannot be written is not worth a failure.
fn say(err: &mut dyn Write, line: &str) {
    let _ = writeln!(err, "casebook: {}", Safe(line.as_bytes()));
}
