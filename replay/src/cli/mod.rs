//! The command line of `casebook-replay`: arguments in, exit code out. Everything it does is library code beside it.

mod args;
mod captures;
mod columns;
mod coverage;
mod deliver;
mod derived;
mod diff;
mod exit;
mod talk;

mod events;
mod excerpt;
mod explain;
mod fields;
mod index;
mod join;
mod lint;
mod metrics;
mod redact;
mod rules;
mod ruleset;
mod run;
mod still;
mod test;
mod tune;

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use casebook_formats::command_line::{self, Ended};
use clap::CommandFactory;

use args::{Cli, Command};
pub use exit::Exit;
pub use join::ClockArgs;

/// Which of the standard streams somebody is watching.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Terminals {
    /// Standard output: alerts go out one by one.
    pub out: bool,
    /// Standard error: a progress bar is drawn there, in colour where it helps.
    pub err: bool,
}

impl Terminals {
    /// As the process was started.
    pub fn detect() -> Self {
        Self { out: std::io::stdout().is_terminal(), err: std::io::stderr().is_terminal() }
    }
}

/// The tool's clap table, for completions and man pages.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the tool: `args` begin with the program's name, data goes to `out`, talk goes to `err`. No progress bar.
pub fn run(
    args: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    out: &mut (dyn Write + Send),
    err: &mut (dyn Write + Send),
) -> ExitCode {
    run_on(args, out, err, Terminals::default()).into()
}

/// Same, where `out` and `err` may be terminals.
pub fn run_on(
    args: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    out: &mut (dyn Write + Send),
    err: &mut (dyn Write + Send),
    terminals: Terminals,
) -> Exit {
    let cli = match command_line::parse::<Cli>(args, out, err) {
        Ok(cli) => cli,
        Err(Ended::Answered) => return Exit::Complete,
        Err(Ended::Refused) => return Exit::Usage,
        Err(Ended::Unwritten(error)) => return Exit::of_output(&error),
    };
    match cli.command {
        None => run::run(&cli.run, out, err, terminals),
        Some(Command::Run(args)) => run::run(&args, out, err, terminals),
        Some(Command::Lint(args)) => lint::run(&args, out, err, terminals),
        Some(Command::Events(args)) => events::run(&args, out, err, terminals),
        Some(Command::Coverage(args)) => coverage::run(&args, out, err, terminals),
        Some(Command::Diff(args)) => diff::run(&args, out, err, terminals),
        Some(Command::Tune(args)) => tune::run(&args, out, err, terminals),
        Some(Command::Explain(args)) => explain::run(&args, out, err, terminals),
        Some(Command::Ps(args)) => still::ps(&args, out, err, terminals),
        Some(Command::Fds(args)) => still::fds(&args, out, err, terminals),
        Some(Command::Test(args)) => test::run(&args, out, err, terminals),
        Some(Command::Slice(args)) => excerpt::slice(&args, err),
        Some(Command::Minimize(args)) => excerpt::minimize(&args, err, terminals),
        Some(Command::Redact(args)) => redact::run(&args, out, err, terminals),
        Some(Command::Index(args)) => index::run(&args, out, err, terminals),
        Some(Command::Fields(args)) => fields::run(&args, out, err),
    }
}
