//! `sysdig.tsv`: what an old reader takes of today's events.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::events::Events;
use crate::rows::rows;

/// What sysdig 0.29.3 takes of each event type, in the order of the event table.
pub(crate) fn sysdig(out: &mut String, events: &Events) {
    let calls: HashMap<String, String> =
        rows("syscalls.tsv", 6).iter().map(|row| (row.columns[1].clone(), row.columns[0].clone())).collect();
    let rows = rows("sysdig.tsv", 3);
    let _ = writeln!(out, "pub(super) static SYSDIG: [SysdigForm; {}] = [", events.names.len());
    for (id, row) in rows.iter().enumerate() {
        let (symbol, params, written_as) = (&row.columns[0], row.columns[1].as_str(), row.columns[2].as_str());
        if events.by_symbol.get(symbol) != Some(&(id as u32)) {
            row.fail(&format!("{symbol} is not event {id}: rows follow the event table"));
        }
        let known = |symbol: &str| {
            let target = *events.by_symbol.get(symbol)?;
            (rows.get(target as usize)?.columns[1] != "-").then_some(target)
        };
        let form = match (params, written_as) {
            ("-", "-") => "None".to_owned(),
            ("-", "syscall") => match calls.get(&events.names[id]) {
                Some(code) => format!("Call({code})"),
                None => row.fail("no call of this name in syscalls.tsv"),
            },
            ("-", target) => match known(target) {
                Some(target) => format!("As(EventType({target}))"),
                None => row.fail(&format!("it does not know {target} either")),
            },
            (_, "-") if row.number(1) as usize <= events.param_counts[id] => format!("Known({params})"),
            (_, "-") => row.fail("more parameters than today's form has"),
            _ => row.fail("a type that it knows is written as it is"),
        };
        let _ = writeln!(out, "SysdigForm::{form},");
    }
    assert_eq!(rows.len(), events.names.len(), "tables/sysdig.tsv: one row for each event type");
    out.push_str("];\n");
}
