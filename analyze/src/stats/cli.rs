//! `casebook-analyze stats`.

use std::io::{self, Write};
use std::path::PathBuf;

use casebook_formats::ledger::{Ledger, Origin, Severity};
use casebook_formats::terminal::write_safe;
use casebook_replay::cli::Exit;
use casebook_replay::inputs::{Input, expand};
use casebook_replay::summary::{iso_time, ledger_text};
use clap::Args;
use serde_json::{Value as Json, json};

use super::{DEFAULT_FIELDS, FieldCounts, Question, Stats, of_capture};
use crate::frames::utf8;
use crate::load::say;
use crate::print::text::json_line;

/// Options of `stats`.
#[derive(Args, Debug)]
pub struct StatsArgs {
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

/// Counts, and prints.
///
/// # Errors
///
/// When the output cannot be written.
pub fn run(args: &StatsArgs, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<Exit> {
    let names: Vec<&str> =
        if args.by.is_empty() { DEFAULT_FIELDS.to_vec() } else { args.by.iter().map(String::as_str).collect() };
    match Question::new(names) {
        Ok(question) => stats(args, &question, out, err),
        Err((name, error)) => {
            say(err, &format!("--by {name}: {error}; `casebook-replay fields` lists what there is"));
            Ok(Exit::Usage)
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
    let mut ledger = String::new();
    ledger_text(&stats.ledger, |line| ledger.extend([line, "\n"]));
    writeln!(out, "\n{ledger}")
}

fn print_json(name: &str, stats: &Stats, top: usize, out: &mut dyn Write) -> io::Result<()> {
    let counts = |counts: &FieldCounts| {
        let ranking = counts.ranking();
        let shown = if top == 0 { ranking.len() } else { top.min(ranking.len()) };
        let rest: u64 = ranking[shown..].iter().map(|(_, count)| count).sum::<u64>() + counts.uncounted;
        let values: Vec<Json> =
            ranking[..shown].iter().map(|(value, count)| json!({ "value": utf8(value), "events": count })).collect();
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
    writeln!(out, "{}", json_line(&object))
}
