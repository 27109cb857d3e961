//! Rows as a table for people: columns in line, as wide as there is room, one record below the other where there is not.

use std::io::{self, Write};

use casebook_formats::terminal::Safe;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::text::time;
use super::values::Values;

/// Widest cell where no terminal limits it.
const MAX_CELL: usize = 400;
/// Narrowest that a column is made so that others fit beside it.
const MIN_COLUMN: usize = 8;
/// Blanks between columns.
const GAP: usize = 2;
/// What stands for null: an empty text looks otherwise.
const NULL: &str = "-";

/// Writes all rows, and below them how many they are. `width`: columns of the terminal, `None` for a file or pipe.
pub fn write(
    names: &[&str],
    columns: &[Values<'_>],
    rows: usize,
    width: Option<usize>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let names: Vec<String> = names.iter().map(|name| cut(&Safe(name.as_bytes()).to_string(), MAX_CELL)).collect();
    let natural: Vec<usize> = names
        .iter()
        .zip(columns)
        .map(|(name, column)| {
            let widest = (0..rows).map(|row| cell(column, row).width()).max().unwrap_or(0);
            widest.max(name.width()).clamp(1, MAX_CELL)
        })
        .collect();
    let widths = match width {
        Some(width) => fit(&natural, &names, width),
        None => Some(natural),
    };
    match widths {
        Some(widths) => lines(&names, columns, &widths, rows, out)?,
        None => records(&names, columns, rows, width.unwrap_or(MAX_CELL), out)?,
    }
    writeln!(out, "({rows} {})", if rows == 1 { "row" } else { "rows" })
}

/// Makes the widest columns narrower until all fit; `None` when they do not.
fn fit(natural: &[usize], names: &[String], width: usize) -> Option<Vec<usize>> {
    let room = width.checked_sub(GAP * natural.len().saturating_sub(1))?;
    // A column narrower than its name says little; than `MIN_COLUMN`, nothing.
    let least: Vec<usize> =
        natural.iter().zip(names).map(|(&natural, name)| natural.min(name.width().clamp(MIN_COLUMN, 16))).collect();
    if least.iter().sum::<usize>() > room {
        return None;
    }
    let (mut low, mut high) = (MIN_COLUMN, natural.iter().copied().max().unwrap_or(0).max(MIN_COLUMN));
    let at = |limit: usize| -> Vec<usize> {
        natural.iter().zip(&least).map(|(&natural, &least)| natural.min(limit.max(least))).collect()
    };
    // The largest limit on single columns with which all of them fit.
    while low < high {
        let middle = (low + high).div_ceil(2);
        if at(middle).iter().sum::<usize>() <= room { low = middle } else { high = middle - 1 }
    }
    let mut widths = at(low);
    let mut spare = room.saturating_sub(widths.iter().sum());
    for (width, natural) in widths.iter_mut().zip(natural) {
        let more = spare.min(natural.saturating_sub(*width));
        *width += more;
        spare -= more;
    }
    Some(widths)
}

fn lines(
    names: &[String],
    columns: &[Values<'_>],
    widths: &[usize],
    rows: usize,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut line = String::new();
    for ((name, column), width) in names.iter().zip(columns).zip(widths) {
        push(&mut line, name, *width, column.is_number());
    }
    writeln!(out, "{}", line.trim_end())?;
    let rule: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
    writeln!(out, "{}", rule.join("  "))?;
    for row in 0..rows {
        line.clear();
        for (column, width) in columns.iter().zip(widths) {
            push(&mut line, &cell(column, row), *width, column.is_number());
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// One record below the other, a line a column.
fn records(names: &[String], columns: &[Values<'_>], rows: usize, width: usize, out: &mut dyn Write) -> io::Result<()> {
    let name_width = names.iter().map(|name| name.width()).max().unwrap_or(0);
    for row in 0..rows {
        let title = format!("── row {} ", row + 1);
        writeln!(out, "{title}{}", "─".repeat(width.min(60).saturating_sub(title.width())))?;
        for (name, column) in names.iter().zip(columns) {
            let room = width.saturating_sub(name_width + GAP).max(MIN_COLUMN);
            let pad = name_width.saturating_sub(name.width()) + GAP;
            writeln!(out, "{name}{}{}", " ".repeat(pad), cut(&cell(column, row), room))?;
        }
    }
    Ok(())
}

fn push(line: &mut String, text: &str, width: usize, right: bool) {
    if !line.is_empty() {
        line.push_str(&" ".repeat(GAP));
    }
    let text = cut(text, width);
    let pad = " ".repeat(width.saturating_sub(text.width()));
    if right {
        line.push_str(&pad);
        line.push_str(&text);
    } else {
        line.push_str(&text);
        line.push_str(&pad);
    }
}

/// A value as people read it, harmless, at most [`MAX_CELL`] wide.
fn cell(column: &Values<'_>, row: usize) -> String {
    let number = |value: Option<String>| value.unwrap_or_else(|| NULL.to_owned());
    let text = |text: Option<&str>| match text {
        Some(text) => {
            // What is far beyond the limit need not be escaped first.
            let end = text.char_indices().nth(MAX_CELL + 1).map_or(text.len(), |(at, _)| at);
            cut(&Safe(&text.as_bytes()[..end]).to_string(), MAX_CELL)
        }
        None => NULL.to_owned(),
    };
    match column {
        Values::Text(texts) => text(texts[row]),
        Values::Made(texts) => text(texts[row].as_deref()),
        Values::Int(values) => number(values[row].map(|value| value.to_string())),
        Values::Uint(values) => number(values[row].map(|value| value.to_string())),
        Values::Float(values) => number(values[row].map(float)),
        Values::Bool(values) => number(values[row].map(|value| value.to_string())),
        Values::Time(values) => number(values[row].map(time)),
        Values::Span(values) => number(values[row].map(span)),
    }
}

/// Three decimals, none where they are zero.
fn float(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A duration with the unit that suits it.
pub fn span(ns: i64) -> String {
    let (sign, ns) = (if ns < 0 { "-" } else { "" }, ns.unsigned_abs());
    let (value, unit) = match ns {
        0..1_000 => return format!("{sign}{ns}ns"),
        1_000..1_000_000 => (ns as f64 / 1e3, "µs"),
        1_000_000..1_000_000_000 => (ns as f64 / 1e6, "ms"),
        1_000_000_000..60_000_000_000 => (ns as f64 / 1e9, "s"),
        _ => {
            let seconds = ns / 1_000_000_000;
            let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
            return match hours {
                0 => format!("{sign}{minutes}m{seconds:02}s"),
                _ => format!("{sign}{hours}h{minutes:02}m{seconds:02}s"),
            };
        }
    };
    format!("{sign}{}{unit}", float(value))
}

/// A text no wider than `width`, with an ellipsis where something is missing.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut room = width.saturating_sub(1);
    let kept: String = text
        .chars()
        .take_while(|character| {
            let fits = character.width().unwrap_or(0) <= room;
            room = room.saturating_sub(character.width().unwrap_or(0));
            fits
        })
        .collect();
    kept + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(width: Option<usize>) -> String {
        let columns = [
            Values::Text(vec![Some("bash"), None, Some("日本\x1b[2J")]),
            Values::Uint(vec![Some(7), Some(12), None]),
            Values::Text(vec![Some("a rather long command line with arguments"); 3]),
        ];
        let mut out = Vec::new();
        write(&["name", "n", "cmdline"], &columns, 3, width, &mut out).expect("memory");
        String::from_utf8(out).expect("utf-8")
    }

    #[test]
    fn columns_stand_in_line_and_nothing_is_cut_in_a_file() {
        assert_eq!(
            printed(None),
            "name          n  cmdline\n\
             ───────────  ──  ─────────────────────────────────────────\n\
             bash          7  a rather long command line with arguments\n\
             -            12  a rather long command line with arguments\n\
             日本\\x1b[2J   -  a rather long command line with arguments\n\
             (3 rows)\n"
        );
    }

    #[test]
    fn the_widest_column_gives_way_on_a_terminal() {
        let text = printed(Some(40));
        assert!(text.lines().all(|line| line.width() <= 40), "{text}");
        assert!(text.contains("bash          7  a rather long command …"), "{text}");
    }

    #[test]
    fn what_does_not_fit_at_all_becomes_records() {
        let text = printed(Some(18));
        assert!(text.starts_with("── row 1 "), "{text}");
        assert!(text.contains("cmdline  a rathe"), "{text}");
        assert!(text.lines().all(|line| line.width() <= 18), "{text}");
    }

    #[test]
    fn durations_have_units() {
        let told = [(17, "17ns"), (1_500, "1.5µs"), (250_000_000, "250ms"), (-2_000_000_000, "-2s")];
        for (ns, text) in told {
            assert_eq!(span(ns), text);
        }
        assert_eq!(span(3_725_000_000_000), "1h02m05s");
    }
}
