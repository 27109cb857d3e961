//! The shell of `sql`: questions line by line, with history and completion.
//!
//! A line that begins with a dot is a command; anything else belongs to a query, which ends with a semicolon or an empty
//! line. On a terminal lines are edited by rustyline; from a pipe they are read as they are.

mod complete;

use std::fs;
use std::io::{self, BufRead as _, IsTerminal as _, Write};
use std::path::PathBuf;

use casebook_replay::cli::{Exit, Terminals};
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Config, Editor};

use super::saved::{self, QUERIES};
use super::{MAX_QUERY, Refused, Session};
use crate::frames::Error;
use crate::load::say;
use crate::print::{self, Format};
use crate::schema::{self, Source, TABLES};
use complete::Names;

/// Lines of history that are kept.
const HISTORY: usize = 1000;
/// The commands, and what they do.
pub(super) const COMMANDS: &[(&str, &str)] = &[
    (".tables", "the tables, and what a row of each is"),
    (".schema", ".schema TABLE: its columns with type, source and meaning"),
    (".saved", "the saved queries; .saved NAME asks one"),
    (".format", ".format table|csv|jsonl: form of the answers"),
    (".help", "this"),
    (".quit", "leave; so does the end of the input"),
];

/// What a line leads to.
enum Next {
    Line,
    Quit,
}

/// Reads and answers until the end of the input.
///
/// # Errors
///
/// When the output cannot be written.
pub(super) fn run(
    session: &mut Session,
    out: &mut dyn Write,
    err: &mut dyn Write,
    terminals: Terminals,
) -> io::Result<Exit> {
    let mut shell = Shell { session, format: Format::Table, query: String::new(), failed: false, terminals };
    if io::stdin().is_terminal() {
        shell.edited(out, err)?;
        return Ok(shell.session.exit);
    }
    let mut line = String::new();
    let mut input = io::stdin().lock();
    loop {
        line.clear();
        // A line without end is no query of anybody's.
        let read = io::Read::take(&mut input, MAX_QUERY as u64).read_line(&mut line)?;
        if read == 0 {
            break;
        }
        if let Next::Quit = shell.line(line.trim_end_matches(['\n', '\r']), out, err)? {
            break;
        }
    }
    shell.finish(out, err)?;
    Ok(if shell.failed { Exit::Usage } else { shell.session.exit })
}

struct Shell<'s> {
    session: &'s mut Session,
    format: Format,
    /// Lines of a query that has not ended.
    query: String,
    /// Some query made no sense.
    failed: bool,
    terminals: Terminals,
}

impl Shell<'_> {
    /// Lines from a person at a terminal.
    fn edited(&mut self, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<()> {
        let config = Config::builder().max_history_size(HISTORY).map(rustyline::config::Builder::build);
        let editor = config.and_then(Editor::<Names, FileHistory>::with_config);
        let mut editor = match editor {
            Ok(editor) => editor,
            Err(error) => {
                say(err, &format!("error: the terminal cannot be used: {error}"));
                return Ok(());
            }
        };
        editor.set_helper(Some(Names));
        let history = history_file();
        if let Some(path) = &history {
            // The first time there is none.
            let _ = editor.load_history(path);
        }
        writeln!(out, "Queries end with a semicolon. .tables, .schema TABLE, .saved and .help tell what there is.")?;
        // Lines of the query that has not ended: one entry of the history.
        let mut typed: Vec<String> = Vec::new();
        loop {
            let prompt = if self.query.is_empty() { "casebook> " } else { "     ...> " };
            match editor.readline(prompt) {
                Ok(line) => {
                    typed.extend(Some(line.trim().to_owned()).filter(|line| !line.is_empty()));
                    let next = self.line(&line, out, err)?;
                    if self.query.is_empty() && !typed.is_empty() {
                        // What cannot be remembered can still be answered.
                        let _ = editor.add_history_entry(std::mem::take(&mut typed).join(" "));
                    }
                    if let Next::Quit = next {
                        break;
                    }
                }
                // As in other shells: away with what was typed so far.
                Err(ReadlineError::Interrupted) => {
                    self.query.clear();
                    typed.clear();
                }
                Err(ReadlineError::Eof) => break,
                Err(error) => {
                    say(err, &format!("error: {error}"));
                    break;
                }
            }
            out.flush()?;
        }
        if let Some(path) = &history
            && let Some(folder) = path.parent()
        {
            let kept = fs::create_dir_all(folder).is_ok() && editor.save_history(path).is_ok();
            if !kept {
                say(err, "note: the history could not be kept");
            }
        }
        Ok(())
    }

    fn line(&mut self, line: &str, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<Next> {
        let text = line.trim();
        if self.query.is_empty() && text.starts_with('.') {
            return self.command(text, out, err);
        }
        if self.query.len() + line.len() > MAX_QUERY {
            say(err, "error: the query is too long");
            self.failed = true;
            self.query.clear();
            return Ok(Next::Line);
        }
        if !text.is_empty() {
            self.query.push_str(line);
            self.query.push('\n');
        }
        if text.ends_with(';') || (text.is_empty() && !self.query.is_empty()) {
            self.finish(out, err)?;
        }
        Ok(Next::Line)
    }

    /// Answers what was typed so far.
    fn finish(&mut self, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<()> {
        let query = std::mem::take(&mut self.query);
        let query = query.trim().trim_end_matches(';');
        if query.is_empty() { Ok(()) } else { self.ask(query, out, err) }
    }

    fn ask(&mut self, query: &str, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<()> {
        match self.session.ask(query, err, self.terminals) {
            Ok(answer) => match print::show(&answer, self.format, self.terminals.out, true, out) {
                Err(Error::Io(error)) => return Err(error),
                Err(error) => say(err, &format!("error: {error}")),
                Ok(()) => {}
            },
            Err(refused) => {
                self.failed = true;
                if let Refused::Query(reason) = refused {
                    say(err, &format!("error: {reason}"));
                }
            }
        }
        Ok(())
    }

    fn command(&mut self, text: &str, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<Next> {
        let (command, argument) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let argument = argument.trim().trim_end_matches(';');
        match (command, argument) {
            (".quit" | ".exit" | ".q", _) => return Ok(Next::Quit),
            (".help", _) => {
                for (name, meaning) in COMMANDS {
                    writeln!(out, "{name:<9} {meaning}")?;
                }
            }
            (".tables", _) => {
                for table in TABLES {
                    let first = table.about.split_once(". ").map_or(table.about, |(first, _)| first);
                    writeln!(out, "{:<11} {}", table.name, first.trim_end_matches('.'))?;
                }
            }
            (".schema", "") => {
                for table in TABLES {
                    let names: Vec<&str> = table.all_columns().map(|column| column.name).collect();
                    writeln!(out, "{}({})", table.name, names.join(", "))?;
                }
            }
            (".schema", name) => match schema::table(name) {
                Some(table) => describe(table, out)?,
                None => self.refuse(&format!("there is no table '{name}'"), err),
            },
            (".saved", "") => list(None, out)?,
            (".saved", name) => match saved::named(name) {
                Ok(query) => {
                    list(Some(query), out)?;
                    if query.needs_rules && !self.session.has_rules() {
                        say(err, "note: start the shell with --default-rules or -r to have alerts");
                    }
                    self.ask(query.sql, out, err)?;
                }
                Err(near) => {
                    let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
                    self.refuse(&format!("there is no saved query '{name}'{near}"), err);
                }
            },
            (".format", "table") => self.format = Format::Table,
            (".format", "csv") => self.format = Format::Csv,
            (".format", "jsonl") => self.format = Format::Jsonl,
            (".format", _) => self.refuse("the forms are table, csv and jsonl", err),
            _ => self.refuse(&format!("there is no command {command}; .help lists them"), err),
        }
        Ok(Next::Line)
    }

    fn refuse(&mut self, reason: &str, err: &mut dyn Write) {
        self.failed = true;
        say(err, &format!("error: {reason}"));
    }
}

/// The saved queries with their questions, or one with its text.
pub(super) fn list(one: Option<&saved::Saved>, out: &mut dyn Write) -> io::Result<()> {
    if let Some(query) = one {
        return writeln!(out, "-- {}\n{};\n", query.question, query.sql);
    }
    for query in QUERIES {
        writeln!(out, "{:<23} {}", query.name, query.question)?;
    }
    Ok(())
}

fn describe(table: &schema::Table, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", table.about)?;
    for column in table.all_columns() {
        let source = match column.source {
            Source::Field(field) | Source::Audit(field) => field,
            Source::Made(from) => from,
        };
        let unit = if column.unit.is_empty() { String::new() } else { format!(" ({})", column.unit) };
        writeln!(out, "{:<20} {:<9} {source:<26} {}{unit}", column.name, column.kind.word(), column.meaning)?;
    }
    Ok(())
}

/// Where the history is kept: `$XDG_STATE_HOME/casebook/sql-history`, else below `~/.local/state`.
fn history_file() -> Option<PathBuf> {
    let state = match std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute()) {
        Some(state) => state,
        None => PathBuf::from(std::env::var_os("HOME").filter(|home| !home.is_empty())?).join(".local/state"),
    };
    Some(state.join("casebook").join("sql-history"))
}
