//! Completions and man pages of all tools at once, for packagers: `casebook-pages KIND DIR`.
//!
//! Every tool but the recorder can do so for itself (`--generate`); the recorder leaves it to this place, so that what runs
//! as root on somebody's host carries no generator. `casebook-analyze` is not here, because this package does not see it.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use casebook_formats::command_line::{Ended, Kind, generate, parse};
use clap::{Command, Parser};

/// Writes shell completions or man pages of all Casebook tools into a folder and prints their names.
///
/// `casebook-analyze --generate KIND DIR` writes those of that tool.
#[derive(Parser)]
#[command(name = "casebook-pages", version)]
struct Cli {
    /// What to write
    #[arg(value_name = "KIND")]
    kind: Kind,
    /// Where to
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// The clap tables of all tools that this package sees.
pub fn commands() -> Vec<Command> {
    vec![
        casebook_formats::cli::command(),
        casebook_replay::cli::command(),
        casebook_capture::cli::command(),
        crate::cli::command(),
    ]
}

/// Runs the command; `args` begin with the program's name.
pub fn run(
    args: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> ExitCode {
    let cli = match parse::<Cli>(args, out, err) {
        Ok(cli) => cli,
        Err(Ended::Answered) => return ExitCode::SUCCESS,
        Err(Ended::Refused | Ended::Unwritten(_)) => return ExitCode::FAILURE,
    };
    let write =
        |command, out: &mut dyn Write| -> io::Result<()> { generate(command, cli.kind, Some(&cli.folder), out) };
    match commands().into_iter().try_for_each(|command| write(command, out)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A standard error that cannot be written is not worth a failure of its own.
            let _ = writeln!(err, "casebook-pages: {}: {error}", cli.folder.display());
            ExitCode::FAILURE
        }
    }
}
