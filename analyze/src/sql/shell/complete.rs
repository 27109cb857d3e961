//! Completion in the shell: commands, tables, columns, saved queries, words of SQL.

use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

use super::COMMANDS;
use crate::schema::{self, TABLES};
use crate::sql::saved::QUERIES;

/// Words of SQL that are worth completing.
const WORDS: &[&str] = &[
    "SELECT",
    "DISTINCT",
    "FROM",
    "WHERE",
    "GROUP BY",
    "HAVING",
    "ORDER BY",
    "LIMIT",
    "JOIN",
    "LEFT JOIN",
    "ON",
    "AND",
    "OR",
    "NOT",
    "IN",
    "LIKE",
    "BETWEEN",
    "IS NULL",
    "IS NOT NULL",
    "COUNT(",
    "SUM(",
    "MIN(",
    "MAX(",
    "AVG(",
    "CASE WHEN",
    "THEN",
    "ELSE",
    "END",
    "UNION ALL",
    "WITH",
    "AS",
    "DESC",
];

/// Knows the names of what can be asked.
pub(super) struct Names;

/// What may stand at the end of a line, and where it begins.
pub(super) fn candidates(line: &str) -> (usize, Vec<String>) {
    let start = line.rfind(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').map_or(0, |at| at + 1);
    let fitting = |prefix: &str, names: &mut dyn Iterator<Item = &'static str>| -> Vec<String> {
        let lower = prefix.to_ascii_lowercase();
        let mut found: Vec<String> =
            names.filter(|name| name.to_ascii_lowercase().starts_with(&lower)).map(str::to_owned).collect();
        found.sort();
        found.dedup();
        found
    };
    if let Some(command) = line.strip_prefix('.') {
        return match command.split_once(' ') {
            None => (0, fitting(line, &mut COMMANDS.iter().map(|(name, _)| *name))),
            Some(("saved", rest)) => {
                (line.len() - rest.len(), fitting(rest, &mut QUERIES.iter().map(|query| query.name)))
            }
            Some(("schema", rest)) => {
                (line.len() - rest.len(), fitting(rest, &mut TABLES.iter().map(|table| table.name)))
            }
            Some(_) => (line.len(), Vec::new()),
        };
    }
    let prefix = &line[start..];
    // After `table.` come its columns alone.
    if let Some(owner) = line[..start].strip_suffix('.') {
        let at = owner.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |at| at + 1);
        if let Some(table) = schema::table(&owner[at..]) {
            return (start, fitting(prefix, &mut table.all_columns().map(|column| column.name)));
        }
    }
    if prefix.is_empty() {
        return (start, Vec::new());
    }
    // Columns of the tables that the line names; of all where it names none yet.
    let named: Vec<&schema::Table> = TABLES.iter().filter(|table| has_word(line, table.name)).collect();
    let asked = if named.is_empty() { TABLES.iter().collect() } else { named };
    let columns = asked.into_iter().flat_map(schema::Table::all_columns).map(|column| column.name);
    let mut candidates = TABLES.iter().map(|table| table.name).chain(columns).chain(WORDS.iter().copied());
    (start, fitting(prefix, &mut candidates))
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|part| part == word)
}

impl Completer for Names {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(candidates(line.get(..pos).unwrap_or(line)))
    }
}

impl Hinter for Names {
    type Hint = String;
}

impl Highlighter for Names {}

impl Validator for Names {}

impl Helper for Names {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_complete_where_they_make_sense() {
        let found = |line: &str| candidates(line).1;
        assert_eq!(found(".sch"), [".schema"]);
        assert_eq!(found(".schema proc"), ["processes"]);
        assert_eq!(found(".saved top"), ["top-talkers"]);
        assert_eq!(found("select exit_"), ["exit_code", "exit_signal"]);
        assert_eq!(found("select * from pro"), ["proc_exepath", "proc_name", "processes", "protocol"]);
        assert_eq!(found("select dns.que"), ["query"]);
        assert_eq!(candidates("select a from dns where que"), (24, vec!["query".to_owned()]));
        assert!(found("sel").contains(&"SELECT".to_owned()));
    }
}
