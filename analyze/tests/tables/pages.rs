//! `TABLES.md` and `QUERIES.md` say what the code declares.

use std::path::Path;

use casebook_analyze::frames::Frames;
use casebook_analyze::schema::{self, TABLES};
use casebook_analyze::sql::saved::{self, QUERIES};
use casebook_analyze::{frames, sql};

fn is_current(name: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{name} is out of date: BLESS=1 cargo test -p casebook-analyze --test tables");
}

#[test]
fn the_page_of_tables_is_current() {
    is_current("TABLES.md", &schema::markdown());
}

#[test]
fn the_page_of_queries_is_current() {
    let mut empty = Frames::default();
    for table in TABLES {
        empty.insert(table.name, frames::empty(table).unwrap());
    }
    let columns = |query: &saved::Saved| {
        let answer = sql::answer(&empty, query.sql).unwrap();
        answer.columns().iter().map(|column| column.name().to_string()).collect()
    };
    assert!(QUERIES.len() >= 20);
    is_current("QUERIES.md", &saved::markdown(columns));
}
