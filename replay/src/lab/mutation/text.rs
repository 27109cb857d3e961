//! The mutation score for people and as JSON: the score by kind, then the survivors with their places and what test
//! would notice them.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Fate, Kind, Mutant, Score, Tally};
use crate::lab::explain::text::{Paint, short};

/// Elements of one list that are told in one place.
const MAX_ELEMENTS: usize = 12;
/// Rules that are named at a survivor.
const MAX_RULES: usize = 3;
/// Trials that are told to be useless.
const MAX_USELESS: usize = 20;

/// A share as people read it.
pub fn percent(tally: Tally) -> String {
    format!("{:.1} %", tally.percent())
}

/// The report: at most `most` survivors are listed.
pub fn report(score: &Score, name: &str, most: usize, paint: Paint) -> String {
    let mut out = String::new();
    let total = score.total();
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(
        out,
        "Mutation score of {}: {}  ({} of {} mutants noticed; {} {}, {} events)",
        short(name, usize::MAX),
        paint.bold(&percent(total)),
        total.noticed,
        total.mutants,
        score.trials.len(),
        if score.trials.len() == 1 { "trial" } else { "trials" },
        score.events
    );
    for (kind, tally) in score.kinds() {
        let _ = writeln!(out, "  {:>7}  {:>5} of {:<5}  {}", percent(tally), tally.noticed, tally.mutants, kind.does());
    }
    for (trial, why) in score.useless.iter().take(MAX_USELESS) {
        let _ = writeln!(out, "  {} {}: {}", paint.mark("left out"), short(trial, 200), short(why, 200));
    }
    if score.useless.len() > MAX_USELESS {
        let _ = writeln!(out, "  … and {} more trials left out", score.useless.len() - MAX_USELESS);
    }
    if score.left_out > 0 {
        let _ = writeln!(out, "  {} further changes were not tried: there are too many", score.left_out);
    }
    let groups = groups(score);
    if groups.is_empty() {
        return out;
    }
    let _ = writeln!(out, "\nSurvivors:");
    for group in groups.iter().take(most) {
        survivor(score, group, paint, &mut out);
    }
    if groups.len() > most {
        let _ = writeln!(out, "… and {} more places (--survivors {})", groups.len() - most, groups.len());
    }
    out
}

/// Survivors that are told together: the elements of one list with the same fate, everything else alone.
fn groups(score: &Score) -> Vec<Vec<&Mutant>> {
    let mut groups: Vec<Vec<&Mutant>> = Vec::new();
    for mutant in score.survivors() {
        let joins = |other: &Mutant| {
            mutant.kind == Kind::Element
                && other.kind == Kind::Element
                && other.fate == mutant.fate
                && other.way == mutant.way
                && other.rules == mutant.rules
                && other.place.as_ref().map(|place| &place.file) == mutant.place.as_ref().map(|place| &place.file)
        };
        match groups.iter_mut().rev().take(8).find(|group| group.first().is_some_and(|other| joins(other))) {
            Some(group) => group.push(mutant),
            None => groups.push(vec![mutant]),
        }
    }
    groups
}

fn survivor(score: &Score, group: &[&Mutant], paint: Paint, out: &mut String) {
    let Some(first) = group.first() else { return };
    let place = first.place.as_ref().map(|place| short(&place.to_string(), usize::MAX)).unwrap_or_default();
    let what = if group.len() == 1 {
        short(&first.what, 120)
    } else {
        let bare = |mutant: &&Mutant| short(mutant.what.split(" of list ").next().unwrap_or_default(), 60);
        let mut names: Vec<String> = group.iter().take(MAX_ELEMENTS).map(bare).collect();
        if group.len() > MAX_ELEMENTS {
            names.push(format!("… {} in all", group.len()));
        }
        let list = first.what.split_once(" of list ").map(|(_, list)| format!(" of list {}", short(list, 60)));
        format!("{}{}", names.join(", "), list.unwrap_or_default())
    };
    let _ = writeln!(out, "  {}  {}: {}", paint.dim(&place), first.kind.does(), paint.bold(&what));
    let mut rules: Vec<String> = first
        .rules
        .iter()
        .take(MAX_RULES)
        .filter_map(|rule| score.rules.get(*rule as usize))
        .map(|name| short(name, 80))
        .collect();
    if first.rules.len() > MAX_RULES {
        rules.push(format!("and {} more", first.rules.len() - MAX_RULES));
    }
    let _ = writeln!(out, "      in {}; {}", rules.join(", "), reason(score, first));
    if first.fate != Fate::Allowed {
        let _ = writeln!(out, "      to notice it: {}", first.kind.kill());
    }
}

/// Why a mutant survived, with the case that sees it.
fn reason(score: &Score, mutant: &Mutant) -> String {
    let case =
        mutant.case.and_then(|case| score.trials.get(case)).map(|case| format!(" (seen in {})", short(case, 120)));
    format!("{}{}", mutant.fate.reason(), case.unwrap_or_default())
}

/// The score as JSON.
pub fn json(score: &Score, name: &str) -> Value {
    let total = score.total();
    let kinds: serde_json::Map<String, Value> =
        score.kinds().into_iter().map(|(kind, tally)| (kind.name().to_owned(), tally_json(tally))).collect();
    let rule = |number: u32| score.rules.get(number as usize).cloned().unwrap_or_default();
    let rules: Vec<Value> = score
        .by_rule()
        .into_iter()
        .map(|(number, tally)| {
            let mut value = tally_json(tally);
            value["rule"] = json!(rule(number));
            value
        })
        .collect();
    let survivors: Vec<Value> = score
        .survivors()
        .map(|mutant| {
            json!({
                "kind": mutant.kind.name(),
                "what": mutant.what,
                "place": mutant.place,
                "through": mutant.way,
                "rules": mutant.rules.iter().map(|number| rule(*number)).collect::<Vec<_>>(),
                "fate": mutant.fate,
                "reason": reason(score, mutant),
                "to_notice_it": mutant.kind.kill(),
            })
        })
        .collect();
    let useless: Vec<Value> =
        score.useless.iter().map(|(trial, why)| json!({ "trial": trial, "reason": why })).collect();
    json!({
        "ruleset": name,
        "total": tally_json(total),
        "kinds": kinds,
        "rules": rules,
        "trials": score.trials.len(),
        "left_out_trials": useless,
        "left_out_changes": score.left_out,
        "events": score.events,
        "survivors": survivors,
    })
}

fn tally_json(tally: Tally) -> Value {
    json!({ "mutants": tally.mutants, "noticed": tally.noticed, "percent": tally.percent() })
}
