//! `syscalls.tsv`: calls by their codes.

use std::fmt::Write as _;

use crate::events::Events;
use crate::rows::rows;

pub(crate) fn syscalls(out: &mut String, events: &Events) {
    let mut entries = Vec::new();
    for row in &rows("syscalls.tsv", 6) {
        let code = row.number(0) as usize;
        if code < entries.len() || code > entries.len() + 16 {
            row.fail(&format!("syscall code {code} after {}: codes ascend with few gaps", entries.len()));
        }
        // A code that was given up keeps its place, under the name that code 0 has.
        while entries.len() < code {
            let unused = r#"name: "unknown", x86_64: None, aarch64: None, enter: None, exit: None"#;
            entries.push(format!("SyscallDef {{ {unused} }},"));
        }
        let native = |column: usize| match row.columns[column].as_str() {
            "-" => "None".to_owned(),
            _ => format!("Some({})", row.number(column)),
        };
        let event = |column: usize| match row.columns[column].as_str() {
            "-" => "None".to_owned(),
            symbol => match events.by_symbol.get(symbol) {
                Some(id) => format!("Some(EventType({id}))"),
                None => row.fail(&format!("no event {symbol} in events.tsv")),
            },
        };
        entries.push(format!(
            "SyscallDef {{ name: {:?}, x86_64: {}, aarch64: {}, enter: {}, exit: {} }},",
            row.columns[1],
            native(2),
            native(3),
            event(4),
            event(5)
        ));
    }
    let _ =
        writeln!(out, "pub(super) static SYSCALLS: [SyscallDef; {}] = [\n{}\n];", entries.len(), entries.join("\n"));
}
