//! Exports: what other programs take in.
//!
//! ```text
//! captures, one after the other → frames ─┬→ [`dataset`]: Parquet by table, date and host; CSV by table
//!                                         ├→ `mapping` → records of ECS and OCSF, a line each
//!                                         ├→ `timesketch`: entries of the timeline, a line each
//!                                         └→ `perfetto`: process lives and alerts as a Chrome trace
//! ```
//!
//! Which column becomes which attribute stands in tables (`ecs.rs`, `ocsf.rs`), from which `analyze/EXPORTS.md` is made.

pub mod cli;
mod dataset;
mod ecs;
pub mod mapping;
mod ocsf;
mod perfetto;
mod timesketch;

use std::fmt::Write as _;

/// The text of `analyze/EXPORTS.md`: which column becomes which attribute.
pub fn documentation() -> String {
    let mut text = String::from(
        "# Exports\n\nMade from the tables in `analyze/src/export/`; `BLESS=1 cargo test -p casebook-analyze --test export` \
         writes it.\nColumns are those of [TABLES.md](TABLES.md). Attributes without a value are left out.\n",
    );
    for (title, mappings) in [("ECS 8.11", ecs::MAPPINGS), ("OCSF 1.3.0", ocsf::MAPPINGS)] {
        let _ = write!(text, "\n## {title}\n");
        for mapping in mappings {
            let _ = write!(text, "\n### `{}`: {}\n\n| attribute | from |\n|---|---|\n", mapping.table, mapping.about);
            for (path, value) in mapping.values {
                let _ = writeln!(text, "| `{path}` | {} |", value.told());
            }
        }
    }
    text
}
