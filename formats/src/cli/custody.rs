//! Custody entries as lines and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::time;
use crate::custody::{Entry, Parent};
use crate::record::hex;
use crate::terminal::Safe;

/// Parents shown of one entry; JSON has all.
const PARENTS_SHOWN: usize = 8;

/// A line for each entry, and one for each of its parents; `head` stands before the first, room after it before others.
pub(super) fn lines<'e>(entries: impl Iterator<Item = &'e Entry>, head: &str) -> String {
    let mut text = String::new();
    let room = " ".repeat(head.chars().count());
    for (at, entry) in entries.enumerate() {
        // Writing to a string cannot fail. Entries come from files: hostile until shown otherwise.
        let (operation, tool) = (Safe(entry.operation.as_bytes()), Safe(entry.tool.as_bytes()));
        let _ = write!(text, "{}{}. {operation}, {tool}", if at == 0 { head } else { &room }, at + 1);
        if let Some(by) = &entry.by {
            let _ = write!(text, ", by {}", Safe(by.as_bytes()));
        }
        if let Some(at) = entry.at {
            let _ = write!(text, ", at {}", time::utc(at));
        }
        if let Some(note) = &entry.note {
            let _ = write!(text, ": {}", Safe(note.as_bytes()));
        }
        text.push('\n');
        for parent in entry.parents.iter().take(PARENTS_SHOWN) {
            let _ = writeln!(text, "{room}   from sha256 {} ({} bytes)", hex(&parent.sha256), parent.bytes);
        }
        if entry.parents.len() > PARENTS_SHOWN {
            let _ = writeln!(text, "{room}   and {} more (--json has all)", entry.parents.len() - PARENTS_SHOWN);
        }
    }
    text
}

/// One entry.
pub(super) fn as_json(entry: &Entry) -> Value {
    let parent = |parent: &Parent| json!({"sha256": hex(&parent.sha256), "bytes": parent.bytes, "root": parent.root.map(|root| hex(&root))});
    json!({
        "operation": entry.operation,
        "tool": entry.tool,
        "by": entry.by,
        "at_ns": entry.at,
        "note": entry.note,
        "parents": entry.parents.iter().map(parent).collect::<Vec<_>>(),
    })
}
