//! `TABLES.md` says what the schema declares.
#![allow(clippy::unwrap_used)] // a failing test may panic

use std::path::Path;

#[test]
fn the_page_of_tables_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("TABLES.md");
    let expected = casebook_analyze::schema::markdown();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "TABLES.md is out of date: BLESS=1 cargo test -p casebook-analyze --test schema");
}
