//! The table of diagnostics as a page of documentation: `rules/DIAGNOSTICS.md`, kept current by a test.

use std::fmt::Write;

use crate::diagnostics::Code;

/// The page, in Markdown.
pub fn diagnostics() -> String {
    let mut out = String::from(
        "# Diagnostics\n\n\
         Every message about rule files has a code. `LOAD_*` codes are Falco's own and come up where Falco gives them; \
         `CB_*` codes are Casebook's. An error keeps the rules from running, a warning is probably a mistake, a note is \
         worth knowing. `casebook-replay lint --explain CODE` prints an entry of this page; \
         `lint --allow CODE` silences one, `lint --deny CODE` makes one fail.\n\n\
         Made from the table in `src/diagnostics.rs`; `BLESS=1 cargo test -p casebook-rules --test pages` writes it anew. \
         The directory `tests/diagnostics/` has rule files that provoke each code, with what is shown for them.\n",
    );
    for (title, lint) in [("When rules are loaded", false), ("From `casebook-replay lint` only", true)] {
        let _ = writeln!(out, "\n## {title}\n\n| code | severity | meaning |\n| --- | --- | --- |");
        for code in Code::ALL.iter().filter(|code| code.is_lint() == lint) {
            let name = code.name();
            let anchor = name.to_lowercase();
            let _ = writeln!(out, "| [`{name}`](#{anchor}) | {} | {} |", code.severity().name(), cell(code.title()));
        }
        for code in Code::ALL.iter().filter(|code| code.is_lint() == lint) {
            let _ = writeln!(out, "\n### {}\n\n{}.\n{}", code.name(), capital(code.title()), code.explanation());
        }
    }
    out
}

/// Text for a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
