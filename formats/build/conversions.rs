//! `conversions.tsv`: how events of old forms become today's.

use std::fmt::Write as _;

use crate::events::Events;
use crate::rows::{Row, rows};

pub(crate) fn conversions(out: &mut String, events: &Events) {
    let rows = rows("conversions.tsv", 6);
    let mut starts = vec![0_usize];
    let mut previous = None;
    let _ = writeln!(out, "pub(super) static CONVERSIONS: [Conversion; {}] = [", rows.len());
    for (at, row) in rows.iter().enumerate() {
        let (id, nparams) = (row.number(0) as usize, row.number(2));
        if events.by_symbol.get(&row.columns[1]) != Some(&(id as u32)) {
            row.fail(&format!("event {id} is not called {}", row.columns[1]));
        }
        if previous.is_some_and(|previous| previous >= (id, nparams)) {
            row.fail("rows must ascend by id and parameter count");
        }
        previous = Some((id, nparams));
        while starts.len() <= id {
            starts.push(at);
        }
        let _ = writeln!(out, "Conversion {{ nparams: {nparams}, action: {} }},", action(row, nparams, events));
    }
    while starts.len() <= events.param_counts.len() {
        starts.push(rows.len());
    }
    let _ = writeln!(out, "];\npub(super) static CONVERSION_STARTS: [u16; {}] = {starts:?};", starts.len());
}

fn action(row: &Row, nparams: u32, events: &Events) -> String {
    let (kind, target) = (row.columns[3].as_str(), row.columns[4].as_str());
    match kind {
        "STORE" => return "Action::Store".to_owned(),
        "STORE_AND_PASS" => return "Action::StoreAndPass".to_owned(),
        "PASS" => return "Action::Pass".to_owned(),
        "ADD_PARAMS" | "CHANGE_TYPE" => {}
        _ => row.fail(&format!("unknown action \"{kind}\"")),
    }
    let Some(&target_id) = events.by_symbol.get(target) else { row.fail(&format!("no event {target} in events.tsv")) };
    let steps: Vec<String> =
        row.columns[5].split(';').filter(|step| *step != "-").map(|text| step(row, text, nparams)).collect();
    if kind == "ADD_PARAMS" && steps.iter().any(|step| step.starts_with("Step::Old") || step == "Step::Callback") {
        row.fail("added parameters cannot come from the event's own");
    }
    let total = steps.len() + if kind == "ADD_PARAMS" { nparams as usize } else { 0 };
    if total > events.param_counts[target_id as usize] {
        row.fail(&format!("makes {total} parameters, {target} has fewer"));
    }
    if kind == "ADD_PARAMS" {
        format!("Action::AddParams(&[{}])", steps.join(", "))
    } else {
        format!("Action::ChangeType(EventType({target_id}), &[{}])", steps.join(", "))
    }
}

fn step(row: &Row, text: &str, nparams: u32) -> String {
    let index = |text: &str| -> u32 { text.parse().unwrap_or_else(|_| row.fail(&format!("bad step \"{text}\""))) };
    match text.split_once(':') {
        None if text == "empty" => "Step::Empty".to_owned(),
        None if text == "default" => "Step::Default".to_owned(),
        None if text == "callback" => "Step::Callback".to_owned(),
        Some(("old", k)) if index(k) < nparams => format!("Step::Old({})", index(k)),
        Some(("enter", rest)) => match rest.split_once('?') {
            Some((k, "empty" | "default")) => format!("Step::Enter({})", index(k)),
            _ => row.fail(&format!("bad step \"{text}\"")),
        },
        _ => row.fail(&format!("bad step \"{text}\"")),
    }
}
