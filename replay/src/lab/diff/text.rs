//! A diff for people and as JSON: rules that differ, noise and cost by rule, alerts gained, lost and changed.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::meaning::RuleChange;
use super::{AlertChange, Diff, Difference, Noise};
use crate::lab::explain::text::{Paint, short};

/// Longest line about a rule's change.
const MAX_LINE: usize = 300;

/// The report: of each kind of difference at most `most` alerts are listed.
pub fn report(changes: &[RuleChange], reordered: Option<&str>, diff: &Diff, most: usize, paint: Paint) -> String {
    let mut out = String::new();
    rules(changes, reordered, paint, &mut out);
    // Writing to a string cannot fail, here and below.
    let [gained, lost, other] = diff.totals();
    let events: u64 = diff.reports.iter().map(|report| report.events).sum();
    let captures = if diff.reports.len() == 1 { "capture" } else { "captures" };
    let _ = writeln!(
        out,
        "Alerts on {} {captures} ({events} events): {gained} gained, {lost} lost, {other} changed",
        diff.reports.len()
    );
    noise(diff, paint, &mut out);
    for difference in [Difference::Gained, Difference::Lost, Difference::Changed] {
        alerts(diff, difference, most, paint, &mut out);
    }
    if diff.not_kept > 0 {
        let _ = writeln!(out, "{} further differences were counted but not kept", diff.not_kept);
    }
    out
}

fn rules(changes: &[RuleChange], reordered: Option<&str>, paint: Paint, out: &mut String) {
    if changes.is_empty() {
        let _ = writeln!(out, "Rules: all mean the same");
    } else {
        let count = |what: &str| changes.iter().filter(|change| change.change == what).count();
        let _ = writeln!(
            out,
            "Rules: {} added, {} removed, {} changed in meaning",
            count("added"),
            count("removed"),
            count("changed")
        );
    }
    for change in changes {
        let sign = match change.change {
            "added" => paint.good("+"),
            "removed" => paint.bad("-"),
            _ => paint.mark("~"),
        };
        let place = change.place.as_ref().map(|place| short(&place.to_string(), usize::MAX)).unwrap_or_default();
        let _ = writeln!(out, "  {sign} {}  {}", short(&change.rule, 200), paint.dim(&place));
        for what in &change.what {
            let _ = writeln!(out, "      {}", short(what, MAX_LINE));
        }
    }
    if let Some(first) = reordered {
        let _ = writeln!(
            out,
            "  {} the order of the rules differs from {} on: of several true rules the first is reported",
            paint.mark("~"),
            short(first, 200)
        );
    }
    out.push('\n');
}

fn noise(diff: &Diff, paint: Paint, out: &mut String) {
    let shown: Vec<(&String, &Noise)> =
        diff.rules.iter().filter(|(_, noise)| noise.old + noise.new > 0 || noise.old_cost != noise.new_cost).collect();
    if shown.is_empty() {
        return;
    }
    let _ = writeln!(out, "     old     new  gained    lost changed    comparisons, old and new  rule");
    for (name, noise) in shown {
        let number = |n: u64| if n == 0 { ".".to_owned() } else { n.to_string() };
        let line = format!(
            "{:>8} {:>7} {:>7} {:>7} {:>7} {:>13} {:>13}  {}",
            number(noise.old),
            number(noise.new),
            number(noise.gained),
            number(noise.lost),
            number(noise.changed),
            number(noise.old_cost),
            number(noise.new_cost),
            short(name, 120)
        );
        let differs = noise.gained + noise.lost + noise.changed > 0;
        let _ = writeln!(out, "{}", if differs { paint.bold(&line) } else { line });
    }
}

fn alerts(diff: &Diff, difference: Difference, most: usize, paint: Paint, out: &mut String) {
    let mut of_kind = diff.alerts.iter().filter(|alert| alert.difference == difference).peekable();
    if of_kind.peek().is_none() {
        return;
    }
    let name = difference.name();
    let _ =
        writeln!(out, "\n{}{}:", name.get(..1).unwrap_or_default().to_uppercase(), name.get(1..).unwrap_or_default());
    for alert in of_kind.by_ref().take(most) {
        self::alert(alert, paint, out);
    }
    let more = of_kind.count();
    if more > 0 {
        let _ = writeln!(out, "  … and {more} more (--alerts {})", most + more);
    }
}

fn alert(alert: &AlertChange, paint: Paint, out: &mut String) {
    let _ = writeln!(
        out,
        "  {} {}",
        paint.dim(&format!("{} event {}", short(&alert.capture, usize::MAX), alert.event)),
        paint.bold(&short(&alert.rule, 200))
    );
    for (sign, text) in [("-", &alert.old), ("+", &alert.new)] {
        if let Some(text) = text {
            let line = format!("{sign} {}", short(text, 400));
            let _ = writeln!(out, "      {}", if sign == "-" { paint.bad(&line) } else { paint.good(&line) });
        }
    }
    if !alert.instead.is_empty() {
        let names: Vec<String> = alert.instead.iter().map(|name| short(name, 120)).collect();
        let side = if alert.difference == Difference::Gained { "old" } else { "new" };
        let _ = writeln!(out, "      the {side} rules report: {}", names.join(", "));
    }
}

/// The diff as JSON.
pub fn json(changes: &[RuleChange], reordered: Option<&str>, diff: &Diff) -> Value {
    let [gained, lost, other] = diff.totals();
    json!({
        "rules": changes,
        "reordered_from": reordered,
        "totals": { "gained": gained, "lost": lost, "changed": other },
        "noise": diff.rules,
        "alerts": diff.alerts,
        "not_kept": diff.not_kept,
        "captures": diff.reports.len(),
        "events": diff.reports.iter().map(|report| report.events).sum::<u64>(),
    })
}
