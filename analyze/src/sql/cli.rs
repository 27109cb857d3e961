//! `casebook-analyze sql`.

use std::fs;
use std::io::{self, IsTerminal as _, Read as _, Write};
use std::path::{Path, PathBuf};

use casebook_replay::cli::{Exit, Terminals};
use clap::Args;

use super::saved::{self, QUERIES};
use super::{MAX_QUERY, Refused, Session, shell};
use crate::load::{LoadArgs, say};
use crate::packets;
use crate::print::form::{Form, delivered};

/// First words of a query: the last argument is one when it begins so and names no file.
const STARTS: &[&str] = &["select", "with", "show", "explain", "from", "values", "("];

/// Options of `sql`.
#[derive(Args, Debug)]
pub struct SqlArgs {
    #[command(flatten)]
    load: LoadArgs,

    /// The question, where it is not the last argument; without any question: the shell, or standard input as one
    #[arg(short = 'c', long, value_name = "SQL", conflicts_with_all = ["saved", "file"])]
    query: Option<String>,

    /// A saved query (`--saved list` lists them; analyze/QUERIES.md explains each)
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    saved: Option<String>,

    /// A file with the question
    #[arg(short = 'f', long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Packet file for the table `packets`: pcap or pcapng, also .gz and .zst; repeat for more
    #[arg(long, value_name = "FILE")]
    packets: Vec<PathBuf>,

    #[command(flatten)]
    form: Form,
}

/// What was asked.
enum Asked {
    Query(String),
    /// Nothing yet: it comes line by line.
    Shell,
}

/// Asks, and prints.
///
/// # Errors
///
/// When the output cannot be written.
pub fn run(args: &SqlArgs, out: &mut dyn Write, err: &mut dyn Write, terminals: Terminals) -> io::Result<Exit> {
    if args.saved.as_deref() == Some("list") {
        return shell::list(None, out).map(|()| Exit::Complete);
    }
    let mut load = args.load.clone();
    let asked = match asked(args, &mut load) {
        Ok(asked) => asked,
        Err(reason) => {
            say(err, &format!("error: {reason}"));
            return Ok(Exit::Usage);
        }
    };
    let packets = match packets::cli::files(&args.packets, err) {
        Ok(packets) => packets,
        Err(exit) => return Ok(exit),
    };
    let mut session = Session::new(load, packets, matches!(asked, Asked::Shell));
    let query = match asked {
        Asked::Query(query) => query,
        Asked::Shell => return shell::run(&mut session, out, err, terminals),
    };
    asked_once(&mut session, &query, &args.form, (out, err), terminals)
}

/// Asks one question, and writes the answer to `out`; talk goes to `err`.
pub(crate) fn asked_once(
    session: &mut Session,
    query: &str,
    form: &Form,
    (out, err): (&mut dyn Write, &mut dyn Write),
    terminals: Terminals,
) -> io::Result<Exit> {
    match session.ask(query, err, terminals) {
        Ok(answer) => delivered(&answer, form, session.exit, (out, err), terminals),
        Err(Refused::Query(reason)) => {
            say(err, &format!("error: {reason}"));
            Ok(Exit::Usage)
        }
        Err(Refused::Load(exit)) => Ok(exit),
    }
}

/// Finds the question among the arguments; the rest are captures.
fn asked(args: &SqlArgs, load: &mut LoadArgs) -> Result<Asked, String> {
    if let Some(name) = &args.saved {
        let query = saved::named(name).map_err(|near| match near {
            Some(near) => format!("there is no saved query '{name}'; did you mean {near}?"),
            None => format!("there is no saved query '{name}'; there are {}", names()),
        })?;
        // Without rules, what asks about alerts has no answer.
        load.default_rules |= query.needs_rules && load.rules.is_empty();
        return Ok(Asked::Query(query.sql.to_owned()));
    }
    if let Some(query) = &args.query {
        return Ok(Asked::Query(query.clone()));
    }
    if let Some(path) = &args.file {
        return read(path).map(Asked::Query);
    }
    if let Some(last) = load.captures.last().and_then(|last| last.to_str()).filter(|last| is_query(last)) {
        let query = last.to_owned();
        load.captures.pop();
        return Ok(Asked::Query(query));
    }
    if io::stdin().is_terminal() {
        return Ok(Asked::Shell);
    }
    if load.captures.iter().any(|path| path.as_os_str() == "-") {
        return Err("there is no question: standard input is a capture".to_owned());
    }
    // Lines on standard input are what somebody would have typed.
    Ok(Asked::Shell)
}

fn names() -> String {
    QUERIES.iter().map(|query| query.name).collect::<Vec<_>>().join(", ")
}

/// Whether an argument is a question rather than a file.
fn is_query(text: &str) -> bool {
    let lower = text.trim_start().to_ascii_lowercase();
    let begins = STARTS.iter().any(|start| {
        lower.strip_prefix(start).is_some_and(|rest| *start == "(" || rest.starts_with(char::is_whitespace))
    });
    begins && !Path::new(text).exists()
}

fn read(path: &Path) -> Result<String, String> {
    let told = |error: io::Error| format!("{}: {error}", path.display());
    let mut text = String::new();
    let file = fs::File::open(path).map_err(told)?;
    file.take(MAX_QUERY as u64 + 1).read_to_string(&mut text).map_err(told)?;
    Ok(text)
}
