//! The command line: `casebook-analyze stats`.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use casebook_formats::command_line::{self, Ended};
use casebook_formats::ledger::{Ledger, Origin, Severity};
use casebook_formats::terminal::write_safe;
use casebook_replay::cli::Exit;
use casebook_replay::inputs::{Input, expand};
use casebook_replay::summary::{iso_time, severity_name};
use clap::{Args, Parser, Subcommand};
use serde_json::{Value as Json, json};

use crate::stats::{DEFAULT_FIELDS, FieldCounts, Question, Stats, of_capture};
use crate::views::follow::{self, FollowArgs};
use crate::views::spectrogram::{self, SpectrogramArgs};

/// Asks questions of captures.
#[derive(Parser)]
#[command(name = "casebook-analyze", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    every capture was read to its end
  2    the command line makes no sense; nothing was read
  4    a capture is missing, unreadable or no capture; all others were read
  5    a capture is cut off or damaged; all that can be read was counted (see the ledger)
  6    the output could not be written
  141  the reader of the output went away (as in `| head`)";

#[derive(Subcommand)]
enum Command {
    /// Count events by fields: by default event type, process, container and user.
    #[command(after_help = EXIT_CODES)]
    Stats(StatsArgs),
    /// Show the bytes that processes read and wrote, as far as the capture holds them.
    #[command(after_help = EXIT_CODES)]
    Follow(FollowArgs),
    /// Draw how long calls took over time, where the capture tells (both halves of a call).
    #[command(after_help = EXIT_CODES)]
    Spectrogram(SpectrogramArgs),
}

#[derive(Args)]
struct StatsArgs {
    /// Captures: files, directories, glob patterns, `-` for standard input.
    #[arg(value_name = "CAPTURE", required = true)]
    captures: Vec<PathBuf>,

    /// Field to count by, as in rules (`proc.exepath`, `evt.arg.flags`, `proc.aname[2]`); repeat for more.
    #[arg(long, value_name = "FIELD")]
    by: Vec<String>,

    /// Values to show of each field, the most frequent first; 0 shows all.
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,

    /// Print one JSON object a capture.
    #[arg(long)]
    json: bool,
}

/// Runs the command; `args` begins with the program's name, data goes to `out`, talk goes to `err`.
pub fn run<I>(args: I, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode
where
    I: IntoIterator,
    I::Item: Into<OsString> + Clone,
{
    let cli = match command_line::parse::<Cli>(args, out, err) {
        Ok(cli) => cli,
        Err(Ended::Answered) => return Exit::Complete.into(),
        Err(Ended::Refused) => return Exit::Usage.into(),
        Err(Ended::Unwritten(error)) if error.kind() == io::ErrorKind::BrokenPipe => return Exit::BrokenPipe.into(),
        Err(Ended::Unwritten(_)) => return Exit::Output.into(),
    };
    let terminal = std::io::stdout().is_terminal();
    let args = match cli.command {
        Command::Stats(args) => args,
        Command::Follow(args) => return ended(follow::run(&args, out, err, terminal), err),
        Command::Spectrogram(args) => return ended(spectrogram::run(&args, out, err, terminal), err),
    };
    let names: Vec<&str> =
        if args.by.is_empty() { DEFAULT_FIELDS.to_vec() } else { args.by.iter().map(String::as_str).collect() };
    let question = match Question::new(names) {
        Ok(question) => question,
        Err((name, error)) => {
            say(err, &format!("--by {name}: {error}; `casebook-replay fields` lists what there is"));
            return Exit::Usage.into();
        }
    };
    ended(stats(&args, &question, out, err), err)
}

/// The exit code of a command; says when the output could not be written.
fn ended(result: io::Result<Exit>, err: &mut dyn Write) -> ExitCode {
    match result {
        Ok(exit) => exit.into(),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::BrokenPipe.into(),
        Err(error) => {
            say(err, &format!("the output could not be written: {error}"));
            Exit::Output.into()
        }
    }
}

/// Counts every capture; the worst that happened decides the exit code.
fn stats(args: &StatsArgs, question: &Question, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<Exit> {
    let (mut unreadable, mut incomplete) = (false, false);
    for input in expand(&args.captures).inputs {
        let path = match input {
            Input::Capture(path) => path,
            Input::Missing { name, reason } => {
                say(err, &format!("{name}: {reason}"));
                unreadable = true;
                continue;
            }
        };
        match of_capture(&path, question) {
            Err(error) => {
                say(err, &error.to_string());
                unreadable = true;
            }
            Ok(stats) => {
                if let Some(error) = &stats.error {
                    say(err, &error.to_string());
                    unreadable = true;
                }
                incomplete |= file_lost_something(&stats.ledger);
                let name = path.to_string_lossy();
                if args.json {
                    print_json(&name, &stats, args.top, out)?;
                } else {
                    print_text(&name, &stats, args.top, out)?;
                }
            }
        }
    }
    out.flush()?;
    Ok(if unreadable {
        Exit::Unreadable
    } else if incomplete {
        Exit::Incomplete
    } else {
        Exit::Complete
    })
}

fn file_lost_something(ledger: &Ledger) -> bool {
    ledger.findings().any(|(counter, _)| counter.severity == Severity::DataLoss && counter.origin == Origin::File)
}

fn print_text(name: &str, stats: &Stats, top: usize, out: &mut dyn Write) -> io::Result<()> {
    write_safe(out, name.as_bytes())?;
    let position = &stats.position;
    if position.events == 0 {
        writeln!(out, ": no events")?;
    } else {
        let (first, last) = (iso_time(position.first_ts), iso_time(position.last_ts));
        writeln!(out, ": {} events from {first} to {last}", position.events)?;
    }
    for counts in &stats.fields {
        writeln!(out, "\n{:>10}  {}", "events", counts.field)?;
        let ranking = counts.ranking();
        let shown = if top == 0 { ranking.len() } else { top.min(ranking.len()) };
        for (value, count) in &ranking[..shown] {
            write!(out, "{count:>10}  ")?;
            write_safe(out, value)?;
            writeln!(out)?;
        }
        let rest: u64 = ranking[shown..].iter().map(|(_, count)| count).sum::<u64>() + counts.uncounted;
        if rest > 0 {
            writeln!(out, "{rest:>10}  (other values)")?;
        }
        if counts.absent > 0 {
            writeln!(out, "{:>10}  (absent)", counts.absent)?;
        }
    }
    writeln!(out, "\nLedger of anomalies:{}", if stats.ledger.findings().next().is_none() { " empty" } else { "" })?;
    for (counter, count) in stats.ledger.findings() {
        writeln!(out, "   {} ({}): {count}. {}", counter.name, severity_name(counter.severity), counter.advice)?;
    }
    writeln!(out)
}

fn print_json(name: &str, stats: &Stats, top: usize, out: &mut dyn Write) -> io::Result<()> {
    let counts = |counts: &FieldCounts| {
        let ranking = counts.ranking();
        let shown = if top == 0 { ranking.len() } else { top.min(ranking.len()) };
        let rest: u64 = ranking[shown..].iter().map(|(_, count)| count).sum::<u64>() + counts.uncounted;
        let values: Vec<Json> = ranking[..shown]
            .iter()
            .map(|(value, count)| json!({ "value": String::from_utf8_lossy(value), "events": count }))
            .collect();
        json!({ "field": counts.field, "values": values, "other": rest, "absent": counts.absent })
    };
    let position = &stats.position;
    let time = |ns| (position.events > 0).then(|| iso_time(ns));
    let ledger: Vec<Json> =
        stats.ledger.findings().map(|(counter, count)| json!({ "counter": counter.name, "count": count })).collect();
    let object = json!({
        "capture": name,
        "events": position.events,
        "first_event": time(position.first_ts),
        "last_event": time(position.last_ts),
        "counts": stats.fields.iter().map(counts).collect::<Vec<_>>(),
        "ledger": ledger,
    });
    writeln!(out, "{object}")
}

/// Says something about the run; a gone listener is no reason to stop counting.
fn say(err: &mut dyn Write, line: &str) {
    let _ = err.write_all(b"casebook-analyze: ").and_then(|()| write_safe(err, line.as_bytes()));
    let _ = writeln!(err);
}
