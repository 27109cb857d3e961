//! Tables as rows: columns between tabs, as many in each row as there have to be.
//!
//! A bad row ends the build with file, line and reason.

use std::fs;
use std::path::Path;

/// One line of a table, split into its columns.
pub(crate) struct Row {
    place: String,
    pub(crate) columns: Vec<String>,
}

impl Row {
    pub(crate) fn fail(&self, reason: &str) -> ! {
        panic!("{}: {reason}", self.place)
    }

    pub(crate) fn number(&self, column: usize) -> u32 {
        let text = &self.columns[column];
        text.parse().unwrap_or_else(|_| self.fail(&format!("column {}: \"{text}\" is no number", column + 1)))
    }

    pub(crate) fn variant(&self, names: &[(&'static str, &'static str)], text: &str, what: &str) -> &'static str {
        names
            .iter()
            .find(|(name, _)| *name == text)
            .map_or_else(|| self.fail(&format!("unknown {what} \"{text}\"")), |(_, variant)| *variant)
    }
}

pub(crate) fn rows(file: &str, width: usize) -> Vec<Row> {
    let path = Path::new("tables").join(file);
    println!("cargo:rerun-if-changed={}", path.display());
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut rows = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let columns: Vec<String> = line.split('\t').map(str::to_owned).collect();
        let row = Row { place: format!("formats/{}:{}", path.display(), number + 1), columns };
        if row.columns.len() != width {
            row.fail(&format!("{} columns, expected {width}", row.columns.len()));
        }
        rows.push(row);
    }
    rows
}
