//! The command line: the table of subcommands. Options and what is done with them stand in each command's own `cli`.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use casebook_formats::command_line::{self, Ended};
use casebook_replay::cli::{Exit, Terminals};
use clap::{Parser, Subcommand};

use crate::baseline::cli::BaselineArgs;
use crate::export::cli::ExportArgs;
use crate::ioc::cli::IocArgs;
use crate::load::say;
use crate::packets::cli::PacketsArgs;
use crate::report::cli::{self as report_cli, ReportArgs};
use crate::sql::cli::SqlArgs;
use crate::stats::cli::StatsArgs;
use crate::views::follow::{self, FollowArgs};
use crate::views::spectrogram::{self, SpectrogramArgs};
use crate::views::timeline::{self, TimelineArgs};
use crate::views::tree::{self, TreeArgs};
use crate::views::uses::files::{self, FilesArgs};
use crate::views::uses::net::{self, NetArgs};

/// Asks questions of captures.
#[derive(Parser)]
#[command(name = "casebook-analyze", version, after_help = exits())]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// How the tool ends: the codes of `casebook-replay`, with what they mean here.
const EXITS: &[(Exit, &str)] = &[
    (Exit::Complete, "every capture was read to its end"),
    (Exit::Alerts, "--fail-on-hit was given, and something was found"),
    (Exit::Usage, "the command line or the query makes no sense"),
    (Exit::Rules, "the rules have errors; nothing was read"),
    (Exit::Unreadable, "a capture is missing, unreadable or no capture; all others were read"),
    (Exit::Incomplete, "a capture is cut off or damaged, or tables had no room; the rest is there (see the ledger)"),
    (Exit::Output, "the output could not be written"),
    (Exit::BrokenPipe, "the reader of the output went away (as in `| head`)"),
];

/// What every command's help ends with.
fn exits() -> String {
    command_line::exit_codes(EXITS)
}

#[derive(Subcommand)]
enum Command {
    /// Ask captures in SQL, or in an interactive shell
    #[command(after_help = exits())]
    Sql(SqlArgs),
    /// Write a report that people read: one HTML file, or JSON, or Markdown
    #[command(after_help = [report_cli::AFTER_HELP, &exits()].join("\n"))]
    Report(ReportArgs),
    /// Count events by fields: by default event type, process, container and user
    #[command(after_help = exits())]
    Stats(StatsArgs),
    /// Show what is new against benign captures: programs, parents, ports, destinations, writes, users, containers
    #[command(after_help = exits())]
    Baseline(BaselineArgs),
    /// Write tables for other programs: Parquet, CSV, ECS, OCSF, Timesketch, Perfetto
    #[command(after_help = exits())]
    Export(ExportArgs),
    /// Look for indicators of compromise: addresses, domains, paths, names, hashes
    #[command(after_help = exits())]
    Ioc(IocArgs),
    /// Show the flows of packet files with the processes and containers that owned them
    #[command(after_help = exits())]
    Packets(PacketsArgs),
    /// Show which files processes opened, read and changed, the weightiest first
    #[command(after_help = exits())]
    Files(FilesArgs),
    /// Show whom processes talked to and where they listen, with bytes, times and names, the weightiest first
    #[command(after_help = exits())]
    Net(NetArgs),
    /// Show the bytes that processes read and wrote, as far as the capture holds them
    #[command(after_help = exits())]
    Follow(FollowArgs),
    /// Draw how long calls took over time, where the capture tells (both halves of a call)
    #[command(after_help = exits())]
    Spectrogram(SpectrogramArgs),
    /// Show what happened in the order of time, across captures
    #[command(after_help = exits())]
    Timeline(TimelineArgs),
    /// Show who started whom, with times, users, containers and alerts
    #[command(after_help = exits())]
    Tree(TreeArgs),
}

/// Runs the command; `args` begins with the program's name, data goes to `out`, talk goes to `err`.
pub fn run<I>(args: I, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode
where
    I: IntoIterator,
    I::Item: Into<OsString> + Clone,
{
    run_on(args, out, err, Terminals::default()).into()
}

/// Same, where `out` and `err` may be terminals.
pub fn run_on<I>(args: I, out: &mut dyn Write, err: &mut dyn Write, terminals: Terminals) -> Exit
where
    I: IntoIterator,
    I::Item: Into<OsString> + Clone,
{
    let cli = match command_line::parse::<Cli>(args, out, err) {
        Ok(cli) => cli,
        Err(Ended::Answered) => return Exit::Complete,
        Err(Ended::Refused) => return Exit::Usage,
        Err(Ended::Unwritten(error)) => return unwritten(&error, err),
    };
    let done = match &cli.command {
        Command::Sql(args) => crate::sql::cli::run(args, out, err, terminals),
        Command::Report(args) => report_cli::run(args, out, err, terminals),
        Command::Stats(args) => crate::stats::cli::run(args, out, err),
        Command::Baseline(args) => crate::baseline::cli::run(args, out, err, terminals),
        Command::Export(args) => crate::export::cli::run(args, out, err, terminals),
        Command::Ioc(args) => crate::ioc::cli::run(args, out, err, terminals),
        Command::Packets(args) => crate::packets::cli::run(args, out, err, terminals),
        Command::Files(args) => files::run(args, out, err, terminals),
        Command::Net(args) => net::run(args, out, err, terminals),
        Command::Follow(args) => follow::run(args, out, err, terminals.out),
        Command::Spectrogram(args) => spectrogram::run(args, out, err, terminals.out),
        Command::Timeline(args) => timeline::run(args, out, err, terminals),
        Command::Tree(args) => tree::run(args, out, err, terminals),
    };
    done.and_then(|exit| out.flush().map(|()| exit)).unwrap_or_else(|error| unwritten(&error, err))
}

/// The output cannot be written; a reader that went away is no news.
fn unwritten(error: &io::Error, err: &mut dyn Write) -> Exit {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Exit::BrokenPipe;
    }
    say(err, &format!("the output could not be written: {error}"));
    Exit::Output
}
