//! Questions in SQL over the frames.
//!
//! A query is checked against empty tables before any capture is read, so that a mistyped name costs nothing; it also says
//! which tables and columns have to be built. Categories are text in SQL: every function and comparison takes them.

pub mod cli;
mod early;
mod plan;
pub mod saved;
pub mod shell;

use std::io::Write;

use casebook_replay::cli::{Exit, Terminals};
use casebook_rules::suggest;
use polars::prelude::{DataFrame, PolarsError};
use polars::sql::SQLContext;

use crate::frames::{self, Error, Frames, Wanted, as_text};
use crate::load::{LoadArgs, say};
use crate::packets::{self, Packets};
use crate::schema::{self, TABLES};

/// Longest query; they come from people and files.
pub const MAX_QUERY: usize = 1 << 16;
/// Deepest nesting of brackets: the parser goes down with them.
const MAX_DEPTH: usize = 64;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The query makes no sense; the text says what, and what may have been meant.
    #[error("{0}")]
    Query(String),
    /// The captures could not be read; it has been said why.
    #[error("the captures could not be read")]
    Load(Exit),
}

/// Captures that are asked, question after question.
pub struct Session {
    args: LoadArgs,
    packets: Option<Packets>,
    /// There will be other questions: what is read for this one should do for them.
    more: bool,
    have: Wanted,
    frames: Frames,
    /// How the captures were read so far.
    pub exit: Exit,
}

impl Session {
    /// For one question, or for more. Nothing is read before the first one.
    pub fn new(args: LoadArgs, packets: Option<Packets>, more: bool) -> Self {
        Self { args, packets, more, have: Wanted::default(), frames: Frames::default(), exit: Exit::Complete }
    }

    /// Whether rules are asked for `alerts`.
    pub fn has_rules(&self) -> bool {
        self.args.default_rules || !self.args.rules.is_empty()
    }

    /// Answers a query.
    ///
    /// # Errors
    ///
    /// When it makes no sense, or the captures cannot be read.
    pub fn ask(&mut self, query: &str, err: &mut dyn Write, terminals: Terminals) -> Result<DataFrame, Refused> {
        let mut wanted = check(query)?;
        if wanted.has_table("packets") {
            match &self.packets {
                Some(_) => wanted = wanted.and(Wanted::tables(&["network"])),
                None => say(err, "note: there are no packets: name packet files with --packets"),
            }
        }
        if self.more {
            wanted = wanted.only(None);
        }
        if !self.have.covers(&wanted) {
            if self.more {
                wanted = self.have.clone().and(wanted);
            }
            let loaded = self.args.load(wanted.clone(), err, terminals).map_err(Refused::Load)?;
            (self.frames, self.exit, self.have) = (loaded.frames, loaded.exit, wanted);
            if let Some(packets) = self.packets.as_ref().filter(|_| self.have.has_table("packets")) {
                let joined = packets::frame(packets, &self.frames)?;
                packets::cli::tell_unowned(&joined, err);
                self.frames.insert("packets", joined);
            }
        }
        answer(&self.frames, query)
    }
}

/// Answers a query over frames.
///
/// # Errors
///
/// When it makes no sense.
pub fn answer(frames: &Frames, query: &str) -> Result<DataFrame, Refused> {
    let mut context = SQLContext::new();
    for (name, frame) in frames.tables() {
        context.register(name, as_text(frame));
    }
    let answered = context.execute(query).and_then(|frame| plan::in_order(frame).collect());
    answered.map_err(|error| Refused::Query(explain(&error)))
}

/// Checks a query without captures, and finds out what it needs.
///
/// # Errors
///
/// When it makes no sense.
pub fn check(query: &str) -> Result<Wanted, Refused> {
    let refuse = |text: &str| Err(Refused::Query(text.to_owned()));
    if query.len() > MAX_QUERY {
        return refuse("the query is too long");
    }
    let words = words(query);
    if words.depth > MAX_DEPTH {
        return refuse("the query nests too deeply");
    }
    let mut context = SQLContext::new();
    for table in TABLES {
        let empty = frames::empty(table).map_err(|error| Refused::Query(error.to_string()))?;
        context.register(table.name, as_text(&empty));
    }
    let planned = context.execute(query).and_then(|mut lazy| {
        let condition = early::condition(&lazy.logical_plan);
        lazy.collect_schema().map(|_| condition)
    });
    let condition = planned.map_err(|error| Refused::Query(explain(&error)))?;
    let wanted = words.wanted();
    // The plan is one of `events` and nothing else.
    let alone = words.times("select") == 1 && words.times("events") == 1 && wanted.names().eq(["events"]);
    Ok(wanted.only(condition.filter(|_| alone)))
}

/// Words of a query that can be names, and whether it asks for all columns of something.
#[derive(Default)]
struct Words {
    names: Vec<String>,
    all: bool,
    depth: usize,
}

impl Words {
    /// How often a word occurs.
    fn times(&self, word: &str) -> usize {
        self.names.iter().filter(|name| name.eq_ignore_ascii_case(word)).count()
    }

    /// Tables and columns that the query may need: rather too many than one too few.
    fn wanted(&self) -> Wanted {
        let has = |name: &str| self.names.iter().any(|word| word.eq_ignore_ascii_case(name));
        let mut wanted = Wanted::default();
        for table in TABLES.iter().filter(|table| has(table.name)) {
            // Only the columns of `events` are worth the trouble.
            if self.all || table.name != "events" {
                wanted = wanted.and(Wanted::tables(&[table.name]));
            } else {
                let columns: Vec<&str> =
                    table.columns.iter().map(|column| column.name).filter(|name| has(name)).collect();
                wanted = wanted.and(Wanted::default().columns(table.name, &columns));
            }
        }
        wanted
    }
}

/// Takes a query apart as far as names go: texts and comments are left out.
fn words(query: &str) -> Words {
    let mut words = Words::default();
    let mut rest = query;
    let mut depth = 0_usize;
    let mut last = String::new();
    while let Some(character) = rest.chars().next() {
        let length = match character {
            '\'' => rest[1..].find('\'').map_or(rest.len(), |end| end + 2),
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '"' | '`' => {
                let end = rest[1..].find(character).map_or(rest.len(), |end| end + 2);
                words.names.push(rest[..end].trim_matches(character).to_owned());
                end
            }
            '(' => {
                depth += 1;
                words.depth = words.depth.max(depth);
                "(".clone_into(&mut last);
                1
            }
            ')' => {
                depth = depth.saturating_sub(1);
                ")".clone_into(&mut last);
                1
            }
            '*' => {
                // `count(*)` counts rows; after a value it multiplies; anything else asks for columns.
                let before = last.to_ascii_lowercase();
                let counts = before == "(" && words.names.last().is_some_and(|name| name.eq_ignore_ascii_case("count"));
                let selects = matches!(before.as_str(), "" | "select" | "," | "." | "distinct" | "all");
                words.all |= selects || (before == "(" && !counts);
                "*".clone_into(&mut last);
                1
            }
            c if c.is_alphanumeric() || c == '_' => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                let word = &rest[..end];
                // Both of these mean columns that the query does not name.
                words.all |= word.eq_ignore_ascii_case("natural") || word.eq_ignore_ascii_case("columns");
                words.names.push(word.to_owned());
                word.clone_into(&mut last);
                end
            }
            c if c.is_whitespace() => c.len_utf8(),
            c => {
                last = c.to_string();
                c.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    words
}

/// What is wrong with a query, and which name may have been meant.
fn explain(error: &PolarsError) -> String {
    let full = error.to_string();
    // What follows is the library's plan, or its list of all columns.
    let mut text =
        full.split("\n\nResolved plan").next().unwrap_or(&full).split("; valid columns").next().unwrap_or(&full);
    for prefix in ["SQL interface error: ", "sql parser error: ", "SQL syntax error: "] {
        text = text.strip_prefix(prefix).unwrap_or(text);
    }
    let quoted = |open: char| -> Option<&str> {
        let start = text.find(open)? + open.len_utf8();
        let length = text[start..].find(open)?;
        Some(&text[start..start + length])
    };
    let name = quoted('"').or_else(|| quoted('\'')).or_else(|| match error {
        PolarsError::ColumnNotFound(name) => name.split_whitespace().next(),
        _ => None,
    });
    let mut told = text.trim_end().trim_end_matches('.').to_owned();
    if matches!(error, PolarsError::ColumnNotFound(_)) && !told.contains("column") {
        told = format!("there is no column {told}");
    }
    let Some(name) = name else { return told };
    let about_table = told.contains("relation") || told.contains("table");
    let near = if about_table {
        suggest::closest(name, TABLES.iter().map(|table| table.name))
    } else {
        suggest::closest(name, TABLES.iter().flat_map(schema::Table::all_columns).map(|column| column.name))
    };
    match near {
        Some(near) if near != name => told + &format!("; did you mean {near}?"),
        _ if about_table => {
            let names: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
            told + &format!("; the tables are {}", names.join(", "))
        }
        _ => {
            let mut homes =
                TABLES.iter().filter(|table| table.column(name).is_some()).map(|table| table.name).peekable();
            match homes.peek() {
                Some(_) => told + &format!("; tables with that column: {}", homes.collect::<Vec<_>>().join(", ")),
                None => told,
            }
        }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Query(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_needs_the_columns_that_it_names() {
        let wanted =
            check("SELECT type, count(*) AS n FROM events WHERE args LIKE '%fd_name%' GROUP BY type").expect("a query");
        for (column, expected) in [("type", true), ("args", true), ("fd_name", false), ("num", false)] {
            assert_eq!(wanted.has_column("events", column), expected, "{column}");
        }
        assert!(!wanted.has_table("processes"));
        assert!(check("SELECT * FROM events").expect("a query").has_column("events", "args"));
        assert!(check("SELECT e.* FROM events e").expect("a query").has_column("events", "args"));
        assert!(!check("SELECT size * 2 FROM events").expect("a query").has_column("events", "args"));
        assert!(check("SELECT \"res\" FROM events -- args\n").expect("a query").has_column("events", "res"));
    }

    #[test]
    fn a_query_over_some_events_needs_no_others() {
        let condition = |query: &str| check(query).expect("a query").condition().map(ToString::to_string);
        for saved in ["suid-changes", "ptrace-use", "kernel-modules", "privilege-changes", "log-tampering"] {
            let sql = saved::named(saved).expect("a saved query").sql;
            assert!(condition(sql).is_some_and(|condition| condition.contains("type")), "{saved}");
        }
        assert!(
            condition("SELECT type, COUNT(*) AS n FROM events WHERE res < 0 GROUP BY type HAVING COUNT(*) > 1 LIMIT 3")
                .is_some()
        );
        for all in [
            "SELECT type FROM events",
            "SELECT type FROM events WHERE host = 'a'",
            "SELECT type FROM events WHERE upid = 1",
            "SELECT type FROM events WHERE res < 0 UNION ALL SELECT type FROM events",
            "SELECT a.num FROM events a JOIN events b ON a.num = b.num WHERE a.res < 0",
            "SELECT num FROM (SELECT num, res FROM events LIMIT 10) WHERE res < 0",
            "SELECT num FROM events WHERE num IN (SELECT num FROM execs)",
            "SELECT e.num FROM events e JOIN processes p ON e.upid = p.upid WHERE res < 0",
        ] {
            assert_eq!(condition(all), None, "{all}");
        }
    }

    #[test]
    fn wrong_names_are_told_with_near_ones() {
        let told = |query: &str| match check(query) {
            Err(Refused::Query(text)) => text,
            other => panic!("{query}: {other:?}"),
        };
        assert!(
            told("SELECT nmae FROM processes").contains("did you mean name?"),
            "{}",
            told("SELECT nmae FROM processes")
        );
        assert!(told("SELECT 1 FROM procesess").contains("did you mean processes?"));
        assert!(told("SELEC 1").to_lowercase().contains("expected"), "{}", told("SELEC 1"));
        assert!(told(&"(".repeat(1000)).contains("nests"));
    }
}
