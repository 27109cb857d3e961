//! The tables that captures become: every column declared once, with type, unit, meaning and source.
//!
//! [`TABLES`] is read by whoever needs to know what there is: builders take the fields to extract from it, `TABLES.md`
//! and `.schema` their text, completion its names, caches their version ([`fingerprint`]). A column's source is a field
//! as rules write it, which the builder extracts by itself, or made by the code of its table.

mod tables;

use std::fmt::Write as _;

pub use tables::TABLES;

/// Counts changes to what columns mean that their declaration does not show: caches of another number are not used.
pub const VERSION: u32 = 3;

/// What a column holds. Everything may be null: not known, or not applicable.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// Text of which few rows have the same: valid UTF-8, other bytes as `\xNN`, control characters unchanged.
    Text,
    /// Text that many rows share: a category in frames, a dictionary in files, text in SQL.
    Word,
    /// 64 bits, signed.
    Int,
    /// 64 bits, unsigned.
    Uint,
    /// True or false.
    Bool,
    /// Moment in nanoseconds since the epoch, UTC.
    Time,
}

impl Kind {
    /// As documentation and `.schema` name it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Word => "category",
            Self::Int => "int64",
            Self::Uint => "uint64",
            Self::Bool => "bool",
            Self::Time => "datetime",
        }
    }
}

/// Where the values of a column come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// A field of system call events as rules and outputs write it.
    Field(&'static str),
    /// A field of Kubernetes audit events.
    Audit(&'static str),
    /// Made by the table's builder; says from what.
    Made(&'static str),
}

/// One column.
#[derive(Debug)]
pub struct Column {
    /// Its name, part of the interface.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Unit of numbers; empty where there is none.
    pub unit: &'static str,
    /// Where it comes from.
    pub source: Source,
    /// What it says.
    pub meaning: &'static str,
}

/// One table.
#[derive(Debug)]
pub struct Table {
    /// Its name, part of the interface.
    pub name: &'static str,
    /// What a row is.
    pub about: &'static str,
    /// Columns in order. All tables begin with those of [`COMMON`].
    pub columns: &'static [Column],
}

/// Columns with which every table begins; they are added when captures are put together.
pub const COMMON: &[Column] = &[
    Column {
        name: "capture",
        kind: Kind::Word,
        unit: "",
        source: Source::Made("command line"),
        meaning: "the capture as it was named",
    },
    Column {
        name: "host",
        kind: Kind::Word,
        unit: "",
        source: Source::Made("machine info"),
        meaning: "name of the recorded machine; null for audit logs",
    },
];

impl Table {
    /// All columns, the common ones first.
    pub fn all_columns(&self) -> impl Iterator<Item = &'static Column> + use<> {
        COMMON.iter().chain(self.columns)
    }

    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&'static Column> {
        self.all_columns().find(|column| column.name == name)
    }
}

/// The table of this name.
pub fn table(name: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.name == name)
}

/// A short text that changes with any table, column, type or source: what caches are good for.
pub fn fingerprint() -> String {
    let mut hash = blake3::Hasher::new();
    hash.update(format!("{VERSION}").as_bytes());
    for table in TABLES {
        hash.update(format!("\n{}", table.name).as_bytes());
        for Column { name, kind, source, .. } in table.columns {
            hash.update(format!("\t{name} {kind:?} {source:?}").as_bytes());
        }
    }
    hash.finalize().to_hex()[..16].to_owned()
}

/// `TABLES.md`.
pub fn markdown() -> String {
    let mut text = String::from(MARKDOWN_HEAD);
    for table in TABLES {
        // Writing to a string cannot fail.
        let _ =
            write!(text, "\n## `{}`\n\n{}\n\n| column | type | unit | source | meaning |\n", table.name, table.about);
        text.push_str("|---|---|---|---|---|\n");
        for Column { name, kind, unit, source, meaning } in table.all_columns() {
            let source = match source {
                Source::Field(field) | Source::Audit(field) => format!("`{field}`"),
                Source::Made(from) => (*from).to_owned(),
            };
            let _ =
                writeln!(text, "| `{name}` | {} | {unit} | {} | {meaning} |", kind.word(), source.replace('|', "\\|"));
        }
    }
    text
}

const MARKDOWN_HEAD: &str = "\
# Tables

What `casebook-analyze sql` and everything else in this crate asks. Generated from `analyze/src/schema/tables.rs`;
`BLESS=1 cargo test -p casebook-analyze --test tables` writes it anew.

Every value may be null: not known, or not applicable. `text` and `category` are UTF-8 (bytes that are none stand as
`\\xNN`) and the same thing in SQL and in files; in memory categories are codes of a dictionary. `datetime` is in
nanoseconds, UTC; a difference of two is a duration. Sources in backquotes are fields as rules write them (`casebook-replay fields` explains each).
Process lives are told apart by `upid`, as the kernel uses a pid again: join on it, not on `pid`. `\"end\"` and `\"user\"` are
words of SQL: as columns they stand in double quotes.
";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use casebook_replay::fields::Catalogue;
    use casebook_replay::fields::catalogue::{K8S_AUDIT_SOURCE, SYSCALL_SOURCE};

    use super::*;

    #[test]
    fn names_are_unique_and_fields_exist() {
        let mut tables = BTreeSet::new();
        for table in TABLES {
            assert!(tables.insert(table.name), "{}", table.name);
            let mut columns = BTreeSet::new();
            for column in table.all_columns() {
                assert!(columns.insert(column.name), "{}.{}", table.name, column.name);
                let (source, field) = match column.source {
                    Source::Field(field) => (SYSCALL_SOURCE, field),
                    Source::Audit(field) => (K8S_AUDIT_SOURCE, field),
                    Source::Made(from) => {
                        assert!(!from.is_empty());
                        continue;
                    }
                };
                assert!(Catalogue::new().parse(source, field).is_ok(), "{}.{}: {field}", table.name, column.name);
            }
        }
    }
}
