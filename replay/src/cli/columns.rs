//! Tables for people: aligned columns of text that is safe for terminals.

use casebook_formats::terminal::Safe;

/// Widest a column is made: one name of 64 KiB must not make every row as long.
const MAX_WIDTH: usize = 64;

/// A column.
pub(super) struct Column {
    /// Its heading.
    pub(super) name: &'static str,
    /// Numbers stand at the right.
    pub(super) right: bool,
}

/// Texts at the left.
pub(super) const fn left(name: &'static str) -> Column {
    Column { name, right: false }
}

/// Numbers at the right.
pub(super) const fn right(name: &'static str) -> Column {
    Column { name, right: true }
}

/// The table with its headings. Cells may hold anything; the last column is as long as it is, and so are cells
/// wider than [`MAX_WIDTH`]: what follows them stands farther right.
pub(super) fn table(columns: &[Column], rows: &[Vec<String>]) -> String {
    let safe: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| Safe(cell.as_bytes()).to_string()).collect()).collect();
    let width = |at: usize, column: &Column| {
        let cells = safe.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
        cells.chain([column.name.len()]).max().unwrap_or_default().min(MAX_WIDTH)
    };
    let widths: Vec<usize> = columns.iter().enumerate().map(|(at, column)| width(at, column)).collect();
    let mut text = String::new();
    let headings = columns.iter().map(|column| column.name.to_owned()).collect();
    for row in std::iter::once(&headings).chain(&safe) {
        let mut line = String::new();
        for ((column, width), cell) in columns.iter().zip(&widths).zip(row) {
            if !line.is_empty() {
                line.push(' ');
            }
            let gap = " ".repeat(width.saturating_sub(cell.chars().count()));
            if column.right {
                line.extend([gap.as_str(), cell]);
            } else {
                line.extend([cell, gap.as_str()]);
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_straight_and_nothing_acts() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = [row(["7", "ünï", "a b"]), row(["1234", "x\u{1b}[31m", "tail\n"]), row(["1", "", ""])];
        assert_eq!(
            table(&[right("PID"), left("USER"), left("COMMAND")], &rows),
            " PID USER      COMMAND\n   7 ünï       a b\n1234 x\\x1b[31m tail\\n\n   1\n"
        );
    }

    #[test]
    fn one_long_cell_does_not_make_every_row_long() {
        let row = |cell: &str| vec![cell.to_owned(), "x".to_owned()];
        let rows = [row(&"n".repeat(10_000)), row("m")];
        let text = table(&[left("NAME"), left("Y")], &rows);
        let lengths: Vec<usize> = text.lines().map(str::len).collect();
        assert_eq!(lengths, [MAX_WIDTH + 2, 10_002, MAX_WIDTH + 2]);
    }
}
