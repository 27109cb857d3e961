//! Pages of documentation that are made from tables: current, or the test fails. `BLESS=1` writes them.
#![allow(clippy::unwrap_used)] // a file that cannot be read is a failure of the test

use std::path::Path;

#[test]
fn the_page_of_fields_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("FIELDS.md");
    let page = casebook_replay::fields::page::reference();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == page, "{} is out of date: BLESS=1 cargo test -p casebook-replay --test pages", path.display());
}
