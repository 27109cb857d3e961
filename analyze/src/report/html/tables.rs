//! Tables and cells of the page, from what `table` declares.

use std::fmt::{self, Display, Formatter};

use askama::Template;

use crate::report::model::{Listing, Severity};
use crate::report::table::{Cell, Set, Tabular, what_is_missing};
use crate::report::text::{Time, grouped, lasting, sized};

/// Rows that are shown before somebody asks for all.
const FIRST_ROWS: usize = 25;

/// A table of the page.
#[derive(Template)]
#[template(path = "report/table.html")]
pub(super) struct TableView {
    id: &'static str,
    /// Headings and CSS classes.
    columns: Vec<(&'static str, String)>,
    /// Some columns stay out of narrow windows.
    narrowed: bool,
    rows: Vec<Vec<CellView>>,
    missing: Option<String>,
    query: &'static str,
    empty: &'static str,
    tools: bool,
    first: usize,
}

impl askama::filters::HtmlSafe for TableView {}

struct CellView {
    class: String,
    key: Option<String>,
    html: String,
}

/// What a table is made of.
pub(super) struct Build<'r, T> {
    pub(super) id: &'static str,
    pub(super) rows: &'r [T],
    pub(super) missing: Option<String>,
    pub(super) query: &'static str,
    pub(super) empty: &'static str,
    pub(super) dated: bool,
    pub(super) tools: bool,
    pub(super) first: usize,
}

/// A listing as a table.
pub(super) fn listed<T: Tabular>(
    id: &'static str,
    listing: &Listing<T>,
    noun: (&'static str, &'static str),
    empty: &'static str,
    dated: bool,
) -> TableView {
    let tools = listing.rows.len() > 5;
    let missing = what_is_missing(listing, noun);
    table(Build { id, rows: &listing.rows, missing, query: listing.query, empty, dated, tools, first: FIRST_ROWS })
}

/// A table without the columns in which nothing stands.
pub(super) fn table<T: Tabular>(build: Build<'_, T>) -> TableView {
    let mut used = vec![false; T::COLUMNS.len()];
    for row in build.rows {
        for (used, column) in used.iter_mut().zip(T::COLUMNS) {
            *used = *used || !(column.cell)(row).is_nothing();
        }
    }
    let columns: Vec<_> = T::COLUMNS.iter().zip(&used).filter(|(_, used)| **used).map(|(column, _)| column).collect();
    let cell = |row: &T, at: usize| {
        let column = columns[at];
        let cell = (column.cell)(row);
        let zero = column.set == Set::Number && cell.is_nothing();
        // Most addresses break before the port at most; long ones anywhere.
        let long = column.set == Set::Address && cell.text().len() > 26;
        let more = if zero {
            " zero"
        } else if long {
            " long"
        } else {
            ""
        };
        let extra = if column.extra { " x" } else { "" };
        let class = format!("{}{more}{extra}", column.set.class());
        let mut html = Shown { cell: &cell, dated: build.dated }.to_string();
        if column.set == Set::Address
            && let Some((address, port)) = html.rsplit_once(':')
            && port.bytes().all(|byte| byte.is_ascii_digit())
        {
            html = format!("{address}<wbr>:{port}");
        }
        CellView { class, key: cell.key(), html }
    };
    TableView {
        id: build.id,
        narrowed: columns.iter().any(|column| column.extra),
        columns: columns
            .iter()
            .map(|column| (column.heading, format!("{}{}", column.set.class(), if column.extra { " x" } else { "" })))
            .collect(),
        rows: build.rows.iter().map(|row| (0..columns.len()).map(|at| cell(row, at)).collect()).collect(),
        missing: build.missing,
        query: build.query,
        empty: build.empty,
        tools: build.tools,
        first: build.first,
    }
}

/// A cell as HTML.
struct Shown<'c> {
    cell: &'c Cell,
    dated: bool,
}

impl Display for Shown<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self.cell {
            Cell::Text(text) => write!(out, "{}", text.html()),
            Cell::Number(number) => out.write_str(&grouped(*number)),
            Cell::Bytes(0) => out.write_str("0"),
            Cell::Bytes(bytes) => write!(out, "<span title=\"{} bytes\">{}</span>", grouped(*bytes), sized(*bytes)),
            Cell::Time(None) => Ok(()),
            Cell::Time(Some(time)) => out.write_str(&moment(*time, self.dated)),
            Cell::Lasting(span) => {
                let length = span.map(|(from, to)| lasting(to.0.saturating_sub(from.0)));
                out.write_str(&length.unwrap_or_default())
            }
            Cell::Severity(None) => Ok(()),
            Cell::Severity(Some(severity)) => write!(out, "{}", badge(*severity)),
            Cell::Stacked(head, below, remark) => {
                write!(
                    out,
                    "<span class=\"stack\"><b>{}</b> <span class=\"below\">{}</span>",
                    head.html(),
                    below.html()
                )?;
                if let Some(remark) = remark {
                    write!(out, "<span class=\"remark\">{}</span>", remark.html())?;
                }
                out.write_str("</span>")
            }
            Cell::Process(name, None) => write!(out, "{}", name.html()),
            Cell::Process(name, Some(upid)) => write!(out, "<a href=\"#p{upid}\">{}</a>", name.html()),
        }
    }
}

/// A severity in its colour.
fn badge(severity: Severity) -> String {
    format!("<span class=\"sev s{}\">{}</span>", severity.0, severity.word())
}

/// A time: the clock, with the day where there are several; everything on hovering.
pub(super) fn moment(time: Time, dated: bool) -> String {
    let day = if dated { format!("<span class=\"day\">{}</span> ", time.date()) } else { String::new() };
    format!("<time datetime=\"{}\" title=\"{} UTC\">{day}{}</time>", time.iso(), time.full(), time.clock())
}
