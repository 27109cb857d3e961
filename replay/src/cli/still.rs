//! `casebook-replay ps` and `fds`: tables of a captured machine at one moment.
//!
//! The tables are made in [`crate::still`]; here they become columns or JSON lines, and questions without an answer
//! become errors that say what there is.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::Terminals;
use super::args::FormArg;
use super::captures::{self, Hearing};
use super::columns::{left, right, table};
use super::exit::{self, Exit};
use super::join::JoinArgs;
use super::talk::say;
use crate::fields::print::datetime;
use crate::moment::Moment;
use crate::output::push_safe;
use crate::run::Source;
use crate::still::{NoStill, Still, descriptors, lives, processes};
use crate::summary::{Completeness, iso_time};

/// Deepest indentation of the tree: captures may claim any depth.
const MAX_INDENT: usize = 40;
/// Longest name of a user in a column.
const MAX_USER: usize = 32;
/// Lives of a process id that an error names.
const LIVES_TOLD: usize = 3;
/// What stands for unknown in a column.
const UNKNOWN: &str = "?";

/// What `ps` and `fds` have in common.
#[derive(Args, Debug)]
pub(super) struct StillArgs {
    /// The capture; `-` for standard input
    #[arg(value_name = "CAPTURE", required_unless_present = "example")]
    capture: Option<PathBuf>,

    /// The example capture that is built into this program
    #[arg(long, conflicts_with = "capture")]
    example: bool,

    /// The moment: after all events up to and at this time [default: the end of the capture]
    ///
    /// 2026-11-21T10:00:00Z (without a zone: UTC), 10:00:00.5 (on the day the capture begins), seconds or nanoseconds
    /// since the epoch, or +12.5s, +250ms, +2m after the first event.
    #[arg(long, value_name = "TIME")]
    at: Option<Moment>,

    #[command(flatten)]
    join: JoinArgs,

    /// Columns of text, or JSON objects, one a line
    #[arg(long, value_name = "FORM", default_value = "text", help_heading = "Output")]
    output: FormArg,

    /// No progress bar (there is none anyway unless standard error is a terminal)
    #[arg(long, help_heading = "Output")]
    no_progress: bool,

    /// Say nothing on standard error but errors: no notes, no ledger, no progress
    #[arg(short = 'q', long, help_heading = "Output")]
    quiet: bool,
}

/// Options of `ps`.
#[derive(Args, Debug)]
pub(super) struct PsArgs {
    #[command(flatten)]
    still: StillArgs,

    /// Also threads, and threads of which only the id is known
    #[arg(long)]
    all: bool,
}

/// Options of `fds`.
#[derive(Args, Debug)]
pub(super) struct FdsArgs {
    #[command(flatten)]
    still: StillArgs,

    /// The process, by its id on the host; a thread's id means its process
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(i64).range(1..))]
    pid: i64,
}

/// Prints the process table.
pub(super) fn ps(
    args: &PsArgs,
    out: &mut (dyn Write + Send),
    err: &mut (dyn Write + Send),
    terminals: Terminals,
) -> Exit {
    let (_, mut still) = match take(&args.still, err, terminals) {
        Ok(taken) => taken,
        Err(exit) => return exit,
    };
    let state = still.state();
    let rows = processes::table(state, args.all);
    let unplaced = state.threads().into_iter().filter(|thread| thread.placeholder).count();
    if unplaced > 0 && !args.all && !args.still.quiet {
        let threads = if unplaced == 1 { "thread is" } else { "threads are" };
        say(err, &format!("note: {unplaced} {threads} known by the id only; --all shows such threads"));
    }
    let text = match args.still.output {
        FormArg::Text => process_columns(&rows, args.all),
        FormArg::Json => json_lines(&rows),
    };
    finish(&args.still, &still, &text, out, err)
}

/// Prints the descriptor table of a process.
pub(super) fn fds(
    args: &FdsArgs,
    out: &mut (dyn Write + Send),
    err: &mut (dyn Write + Send),
    terminals: Terminals,
) -> Exit {
    let (source, mut still) = match take(&args.still, err, terminals) {
        Ok(taken) => taken,
        Err(exit) => return exit,
    };
    let ts = still.ts;
    let state = still.state();
    let rows = state.thread(args.pid).and_then(|thread| descriptors::table(state, thread));
    let Some(rows) = rows else {
        let known = state.thread(args.pid).is_some();
        unknown_process(args.pid, known, ts, &source, err);
        return Exit::Usage;
    };
    let text = match args.still.output {
        FormArg::Text => descriptor_columns(&rows),
        FormArg::Json => json_lines(&rows),
    };
    finish(&args.still, &still, &text, out, err)
}

/// Replays the capture up to the moment; `Err` after saying why that is impossible.
fn take(args: &StillArgs, err: &mut (dyn Write + Send), terminals: Terminals) -> Result<(Source, Still), Exit> {
    let mut sources = match &args.capture {
        Some(path) if !args.example => captures::sources(std::slice::from_ref(path), args.quiet, err),
        _ => vec![captures::example()],
    };
    let Some(mut source) = sources.pop().filter(|_| sources.is_empty()) else {
        let count = sources.len() + 1;
        say(err, &format!("error: these are {count} captures, each with a time of its own: name one of them"));
        return Err(Exit::Usage);
    };
    let hearing = Hearing { quiet: args.quiet, no_progress: args.no_progress, terminals, by_time: false };
    let mut meter = hearing.meter(std::slice::from_ref(&source));
    let mut told = (0, 0);
    let requests = args.join.requests(std::slice::from_mut(&mut source), args.quiet, err)?;
    let taken = Still::take(&source, args.at, &requests, &mut |bytes, events| {
        meter.advance(bytes - told.0, events - told.1);
        told = (bytes, events);
    });
    meter.finish();
    match taken {
        Ok(still) => {
            for note in &still.notes {
                say(err, note);
            }
            let nothing = still.report.completeness == Completeness::Unreadable && still.report.events == 0;
            if nothing { Err(Exit::Unreadable) } else { Ok((source, still)) }
        }
        Err(why) => Err(no_still(&why, err)),
    }
}

/// Says why there is no table, and what there is.
fn no_still(why: &NoStill, err: &mut dyn Write) -> Exit {
    match why {
        NoStill::Unreadable(error) => {
            say(err, &format!("error: {error}"));
            return Exit::Unreadable;
        }
        NoStill::NoEvents => say(err, "error: --at: the capture holds no event; without --at its tables can be seen"),
        NoStill::Outside { asked, first, last, notes } => {
            for note in notes {
                say(err, note);
            }
            let begin = iso_time(*first);
            let span = match last {
                Some(last) => format!("lasts from {begin} to {} (+{})", iso_time(*last), seconds(last - first)),
                None => format!("begins at {begin}"),
            };
            say(err, &format!("error: --at: {} is outside of the capture, which {span}", iso_time(*asked)));
        }
    }
    Exit::Usage
}

/// `12.5s`, as `--at` takes it after a plus sign.
fn seconds(ns: u64) -> String {
    let text = format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000);
    format!("{}s", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Says that nobody has this id at the moment, and who had it when.
fn unknown_process(pid: i64, known: bool, ts: u64, source: &Source, err: &mut dyn Write) {
    let at = iso_time(ts);
    if known {
        return say(err, &format!("error: --pid: of {pid} only the id is known at {at}, and no descriptors"));
    }
    say(err, &format!("error: --pid: there is no process {pid} at {at}"));
    let mut near = lives::of(source, pid).unwrap_or_default();
    near.sort_by_key(|life| life.distance(ts));
    near.truncate(LIVES_TOLD);
    near.sort_by_key(|life| (life.from, life.to));
    for life in near {
        let from = life.from.map_or_else(|| "the start of the capture".to_owned(), iso_time);
        let to = life.to.map_or_else(|| "the end of the capture".to_owned(), iso_time);
        say(err, &format!("  help: {} had this id from {from} to {to}", String::from_utf8_lossy(&life.comm)));
    }
    say(err, "  help: `casebook-replay ps --all` lists the processes and threads of a moment");
}

/// Writes the table and tells the ledger.
fn finish(args: &StillArgs, still: &Still, text: &[u8], out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    if let Err(error) = out.write_all(text).and_then(|()| out.flush()) {
        return captures::broken(&error, err);
    }
    if !args.quiet {
        captures::tell_ledger(&still.report.ledger, err);
    }
    captures::exit([&still.report])
}

fn json_lines<R: Serialize>(rows: &[R]) -> Vec<u8> {
    let mut text = Vec::new();
    for row in rows {
        // Texts and numbers: there is nothing that could fail.
        push_safe(&mut text, &serde_json::to_vec(row).unwrap_or_default());
        text.push(b'\n');
    }
    text
}

fn process_columns(rows: &[processes::Row], threads: bool) -> Vec<u8> {
    let mut columns = vec![right("PID")];
    if threads {
        columns.push(right("TID"));
    }
    columns.extend([right("PPID"), left("USER"), left("TTY"), left("START"), left("CONTAINER")]);
    let joined = rows.iter().any(|row| row.k8s_user.is_some());
    if joined {
        columns.push(left("K8S USER"));
    }
    columns.push(left("COMMAND"));
    let number = |number: Option<i64>| number.map_or_else(|| UNKNOWN.to_owned(), |number| number.to_string());
    let line = |row: &processes::Row| {
        let mut cells = vec![number(row.pid)];
        if threads {
            cells.push(row.tid.to_string());
        }
        cells.extend([
            number(row.ppid),
            user(row),
            row.tty.clone().unwrap_or_else(|| if row.id_only { UNKNOWN } else { "-" }.to_owned()),
            if row.start_ts == 0 { UNKNOWN.to_owned() } else { datetime(row.start_ts, false) },
            row.container.clone().unwrap_or_else(|| if row.id_only { UNKNOWN } else { "-" }.to_owned()),
        ]);
        if joined {
            cells.push(k8s_user(row));
        }
        cells.push(command(row));
        cells
    };
    table(&columns, &rows.iter().map(line).collect::<Vec<_>>()).into_bytes()
}

/// Name or number; as `ps`, a name that is too long is cut and ends in a plus sign.
fn user(row: &processes::Row) -> String {
    match (&row.user, row.uid) {
        (Some(name), _) if name.chars().count() > MAX_USER => name.chars().take(MAX_USER - 1).chain(['+']).collect(),
        (Some(name), _) => name.clone(),
        (None, Some(uid)) => uid.to_string(),
        (None, None) => UNKNOWN.to_owned(),
    }
}

/// Name, way, confidence, and who else it may be.
fn k8s_user(row: &processes::Row) -> String {
    match (&row.k8s_user, row.k8s_user_via, row.k8s_user_confidence) {
        (Some(user), Some(via), Some(confidence)) => {
            let others = row.k8s_user_others.join(", ");
            let or = if others.is_empty() { "" } else { ": or " };
            format!("{user} ({via}, {confidence}{or}{others})")
        }
        _ => "-".to_owned(),
    }
}

/// The command line under its place in the tree; threads have their name in braces, what has no command line in
/// brackets.
fn command(row: &processes::Row) -> String {
    let indent = "  ".repeat(row.depth.min(MAX_INDENT));
    let end = if row.exited { " <defunct>" } else { "" };
    let what = match &row.cmdline {
        _ if row.id_only => UNKNOWN.to_owned(),
        _ if row.pid.is_some_and(|pid| pid != row.tid) => format!("{{{}}}", row.comm),
        // Whoever calls itself like a kernel thread has its executable shown.
        Some(line) if line.starts_with('[') => format!("{line} ({})", row.exepath.as_deref().unwrap_or(UNKNOWN)),
        Some(line) => line.clone(),
        None => format!("[{}]", row.comm),
    };
    format!("{indent}{what}{end}")
}

fn descriptor_columns(rows: &[descriptors::Row]) -> Vec<u8> {
    let columns = [right("FD"), left("TYPE"), left("FLAGS"), left("NAME")];
    let line = |row: &descriptors::Row| {
        let connected = (row.connected == Some(true)).then_some("connected");
        let of_socket = [row.l4proto, row.role, connected].into_iter().flatten();
        let flags = row.flags.iter().copied().chain(of_socket).collect::<Vec<_>>().join("|");
        vec![
            row.fd.to_string(),
            row.kind.unwrap_or(UNKNOWN).to_owned(),
            if flags.is_empty() { "-".to_owned() } else { flags },
            row.name.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    };
    table(&columns, &rows.iter().map(line).collect::<Vec<_>>()).into_bytes()
}

pub(super) fn ps_help() -> String {
    format!(
        "\
Examples:
  casebook-replay ps --example --at +30s
      the processes half a minute into the built-in capture
  casebook-replay ps incident.scap --at 21:49:10.5
      on the day the capture begins; times are UTC
  casebook-replay ps --audit audit.jsonl node1.scap
      with the Kubernetes user behind what `kubectl exec`, `attach` and `debug` started
  casebook-replay ps incident.scap --all --output json | jq -c 'select(.container)'
      threads in containers

Rows come in the order of the tree. ? is unknown, - is none; [name] has no command line, {{name}} is a thread. A
command line that imitates [name] is followed by the path of its executable.

{}",
        exit::help(exit::STILL_EXITS)
    )
}

pub(super) fn fds_help() -> String {
    format!(
        "\
Examples:
  casebook-replay fds --pid 4242 incident.scap
      what a process has open at the end of the capture
  casebook-replay fds --pid 4242 --at +12.5s incident.scap
      twelve and a half seconds after the first event
  casebook-replay fds --pid 4242 --output json incident.scap | jq -c 'select(.server.port == 443)'
      sockets by their other end

Only what the capture told is there: descriptors opened before it are known if the recorder listed them at the start.

{}",
        exit::help(exit::STILL_EXITS)
    )
}
