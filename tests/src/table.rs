//! Tables for people: aligned columns, text to the left and numbers to the right.

use std::fmt::Write as _;

use casebook_formats::terminal::Safe;

/// How a column is aligned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// A table under construction; [`std::fmt::Display`] prints it.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub fn new(columns: &[(&'static str, Align)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; cells beyond the columns are not shown.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().take(self.columns.len()).collect());
    }

    /// No rows yet.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut widths: Vec<usize> = self.columns.iter().map(|(title, _)| title.len()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let titles = self.columns.iter().map(|(title, _)| (*title).to_owned()).collect();
        for row in std::iter::once(&titles).chain(&self.rows) {
            let mut line = String::new();
            for ((cell, width), (_, align)) in row.iter().zip(&widths).zip(&self.columns) {
                match align {
                    Align::Left => write!(line, "{cell:<width$}  ")?,
                    Align::Right => write!(line, "{cell:>width$}  ")?,
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// `part` of `whole` in per cent, rounded down to three decimals so that 100.000 % means all of them.
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".to_owned();
    }
    let thousandths = u128::from(part) * 100_000 / u128::from(whole);
    format!("{}.{:03}", thousandths / 1000, thousandths % 1000)
}

/// Text of a capture made safe for a terminal, cut to a readable length.
pub fn shown(text: &str) -> String {
    const LONGEST: usize = 400;
    let mut cut = LONGEST.min(text.len());
    while !text.is_char_boundary(cut) {
        cut -= 1;
    }
    let more = if cut < text.len() { "…" } else { "" };
    format!("{}{more}", Safe(&text.as_bytes()[..cut]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&[("field", Align::Left), ("equal", Align::Right)]);
        table.row(["proc.name".to_owned(), "7".to_owned()]);
        table.row(["é".to_owned(), "1234567".to_owned()]);
        assert_eq!(table.to_string(), "field        equal\nproc.name        7\né          1234567\n");
    }

    #[test]
    fn a_hundred_per_cent_means_all() {
        assert_eq!(percent(999_999_999, 1_000_000_000), "99.999");
        assert_eq!(percent(3, 3), "100.000");
        assert_eq!(percent(0, 0), "-");
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(shown("a\u{1b}[31m"), "a\\x1b[31m");
        assert!(shown(&"é".repeat(300)).ends_with('…'));
    }
}
