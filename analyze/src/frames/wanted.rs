//! Which tables and columns are to be built.

use std::collections::{BTreeMap, BTreeSet};

use polars::prelude::Expr;

use crate::schema::{COMMON, TABLES};

/// Tables and columns that somebody wants.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wanted {
    /// By table; `None`: all columns.
    tables: BTreeMap<String, Option<BTreeSet<String>>>,
    /// Rows of `events` on which this is not true need not be there: a condition on each row by itself, over columns that
    /// are wanted, categories as text.
    only: Option<Expr>,
}

impl Wanted {
    /// Everything.
    pub fn all() -> Self {
        Self::tables(&TABLES.iter().map(|table| table.name).collect::<Vec<_>>())
    }

    /// These tables with all columns.
    pub fn tables(names: &[&str]) -> Self {
        Self { tables: names.iter().map(|name| ((*name).to_owned(), None)).collect(), only: None }
    }

    /// A table, some columns of it only. Those of [`COMMON`] are always there.
    #[must_use]
    pub fn columns(mut self, table: &str, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|column| (*column).to_owned()).collect();
        self.tables.insert(table.to_owned(), Some(columns));
        self
    }

    /// The same, of `events` only rows on which a condition is true.
    #[must_use]
    pub(crate) fn only(mut self, condition: Option<Expr>) -> Self {
        self.only = condition;
        self
    }

    /// The condition on rows of `events`.
    pub(crate) fn condition(&self) -> Option<&Expr> {
        self.only.as_ref()
    }

    /// These, and those: all rows of `events`, unless both want the same ones.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        if self.only != other.only {
            self.only = None;
        }
        for (table, columns) in other.tables {
            let merged = match (self.tables.remove(&table), columns) {
                (Some(Some(mut ours)), Some(theirs)) => {
                    ours.extend(theirs);
                    Some(ours)
                }
                (None, theirs) => theirs,
                _ => None,
            };
            self.tables.insert(table, merged);
        }
        self
    }

    /// Whether all that others want is here.
    pub fn covers(&self, others: &Self) -> bool {
        let rows = self.only.is_none() || self.only == others.only;
        rows && others.tables.iter().all(|(table, columns)| match (self.tables.get(table), columns) {
            (Some(None), _) => true,
            (Some(Some(ours)), Some(theirs)) => theirs.is_subset(ours),
            _ => false,
        })
    }

    /// Whether a table is wanted.
    pub fn has_table(&self, table: &str) -> bool {
        self.tables.contains_key(table)
    }

    /// Whether a column is wanted.
    pub fn has_column(&self, table: &str, column: &str) -> bool {
        COMMON.iter().any(|common| common.name == column)
            || self.tables.get(table).is_some_and(|columns| columns.as_ref().is_none_or(|names| names.contains(column)))
    }

    /// What is worth building beside it when it is kept for the next question: all columns, and all tables but `events`,
    /// which take as long as all others together, unless they are wanted.
    #[must_use]
    pub fn for_keeping(&self) -> Self {
        let keep = |name: &&str| *name != "events" || self.has_table("events");
        let names: Vec<&str> = TABLES.iter().map(|table| table.name).filter(keep).collect();
        Self::tables(&names)
    }

    /// The wanted tables in the order of the schema.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        TABLES.iter().map(|table| table.name).filter(|name| self.has_table(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_columns_win_over_some() {
        let some = Wanted::default().columns("events", &["num"]);
        assert!(some.has_column("events", "num") && some.has_column("events", "capture"));
        assert!(!some.has_column("events", "args") && !some.has_table("files"));
        let more = some.clone().and(Wanted::default().columns("events", &["args"]));
        assert!(more.has_column("events", "args") && !more.has_column("events", "time"));
        assert!(some.and(Wanted::tables(&["events", "files"])).has_column("events", "time"));
    }
}
