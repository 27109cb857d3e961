//! `casebook-analyze sql`.

use std::fs;
use std::io::{self, IsTerminal as _, Read as _, Write};
use std::path::{Path, PathBuf};

use casebook_replay::cli::{Exit, Terminals};
use clap::Args;
use polars::prelude::DataFrame;

use super::saved::{self, QUERIES};
use super::{MAX_QUERY, Refused, Session, shell};
use crate::frames::Error;
use crate::load::{LoadArgs, say};
use crate::packets;
use crate::print::{self, Format};

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

    /// Form of the answer [default: by the ending of -o, else a table]
    #[arg(long, value_name = "FORM", help_heading = "Output")]
    format: Option<Format>,

    /// File for the answer instead of standard output
    #[arg(short = 'o', long, value_name = "FILE", help_heading = "Output")]
    output: Option<PathBuf>,

    /// Print to a terminal without a pager
    #[arg(long, help_heading = "Output")]
    no_pager: bool,
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
    let form = Form { format: args.format, output: args.output.as_deref(), page: !args.no_pager };
    asked_once(&mut session, &query, &form, (out, err), terminals)
}

/// How an answer is to be written.
pub(crate) struct Form<'a> {
    /// By default by the ending of the file, else a table.
    pub(crate) format: Option<Format>,
    /// Standard output where there is none.
    pub(crate) output: Option<&'a Path>,
    /// Long ones through the pager, on a terminal.
    pub(crate) page: bool,
}

/// Asks one question, and writes the answer to `out`; talk goes to `err`.
pub(crate) fn asked_once(
    session: &mut Session,
    query: &str,
    form: &Form<'_>,
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

/// Writes an answer; gives `exit` when that can be done.
pub(crate) fn delivered(
    answer: &DataFrame,
    form: &Form<'_>,
    exit: Exit,
    (out, err): (&mut dyn Write, &mut dyn Write),
    terminals: Terminals,
) -> io::Result<Exit> {
    match deliver(answer, form, out, terminals) {
        Ok(()) => Ok(exit),
        // A pipe may go away; a file that cannot be written is told by its name.
        Err(Error::Io(error)) if form.output.is_none() => Err(error),
        Err(error) => {
            let name = form.output.map(|path| format!("{}: ", path.display())).unwrap_or_default();
            say(err, &format!("error: {name}{error}"));
            Ok(Exit::Output)
        }
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

/// Writes an answer where it was asked for.
fn deliver(answer: &DataFrame, form: &Form<'_>, out: &mut dyn Write, terminals: Terminals) -> Result<(), Error> {
    let by_name = form.output.and_then(|path| Format::of_name(&path.to_string_lossy()));
    let format = form.format.or(by_name).unwrap_or(Format::Table);
    if let Some(path) = form.output {
        let mut file = io::BufWriter::new(fs::File::create(path)?);
        print::write(answer, format, None, &mut file)?;
        return Ok(file.flush()?);
    }
    if format.is_binary() && terminals.out {
        return Err(Error::Arrow("binary data is not written to a terminal: use -o FILE or a pipe".to_owned()));
    }
    print::show(answer, format, terminals.out, form.page, out)
}
