//! Coverage for people and as JSON.

use std::fmt::Write as _;

use casebook_rules::ruleset::RuleSet;
use serde_json::{Value, json};

use super::{Coverage, PieceKind, PieceSeen, Share};
use crate::lab::explain::text::{Paint, short};

/// Gaps that are listed.
const MAX_GAPS: usize = 60;
/// Elements of lists that are named in one line.
const MAX_ELEMENTS: usize = 12;

/// Kinds of pieces, as the summary calls them.
pub(super) const KINDS: &[(PieceKind, &str)] = &[
    (PieceKind::Comparison, "verdicts of comparisons"),
    (PieceKind::Macro, "verdicts of macro uses"),
    (PieceKind::Exception, "verdicts of exceptions"),
    (PieceKind::Element, "list elements"),
    (PieceKind::Entry, "exception values"),
];

/// A share as people read it.
pub(super) fn share(share: Share) -> String {
    format!("{:>5.1} %  {:>5} of {:<5}", share.percent(), share.seen, share.of)
}

/// The report.
pub fn report(coverage: &Coverage, name: &str, paint: Paint) -> String {
    let mut out = String::new();
    let events: u64 = coverage.reports.iter().map(|report| report.events).sum();
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(
        out,
        "Coverage of {}: {} {}, {events} events",
        short(name, usize::MAX),
        coverage.read(),
        if coverage.read() == 1 { "capture" } else { "captures" },
    );
    let _ = writeln!(out, "  {}  rules reported", share(coverage.fired()));
    for (kind, words) in KINDS {
        let found = coverage.share(*kind);
        if found.of > 0 {
            let _ = writeln!(out, "  {}  {words}", share(found));
        }
    }
    let _ = writeln!(out, "\n  asked    true  reported  verdicts  elements  rule");
    for rule in &coverage.rules {
        let percent =
            |share: Share| if share.of == 0 { "-".to_owned() } else { format!("{:.0} %", share.percent().floor()) };
        let line = format!(
            "{:>7} {:>7} {:>9} {:>9} {:>9}  {}",
            rule.asked,
            rule.matched,
            rule.reported,
            percent(rule.verdicts),
            percent(rule.elements),
            short(&rule.name, 120)
        );
        let _ = writeln!(out, "{}", if rule.reported > 0 { line } else { paint.bad(&line) });
    }
    gaps(coverage, paint, &mut out);
    out
}

/// What of a piece was not seen.
pub(super) fn missing(piece: &PieceSeen) -> &'static str {
    match (piece.kind, piece.seen.yes > 0, piece.seen.no > 0) {
        (PieceKind::Element | PieceKind::Entry, false, _) => "never the one that matched",
        (_, false, false) => "never reached",
        (_, false, true) => "never true",
        (_, true, false) => "never false",
        (_, true, true) => "",
    }
}

fn gaps(coverage: &Coverage, paint: Paint, out: &mut String) {
    let gaps: Vec<&PieceSeen> = coverage.pieces.iter().filter(|piece| !piece.covered()).collect();
    if gaps.is_empty() {
        return;
    }
    // Elements that stand close together are told in one line.
    let mut lines: Vec<(String, &'static str, Vec<String>)> = Vec::new();
    for piece in gaps {
        let words = missing(piece);
        let element = matches!(piece.kind, PieceKind::Element | PieceKind::Entry);
        let place =
            if element { format!("{}:{}", piece.place.file, piece.place.line) } else { piece.place.to_string() };
        match lines.last_mut() {
            Some((other, why, names)) if element && *other == place && *why == words => {
                names.push(short(&piece.text, 60));
            }
            _ => lines.push((place, words, vec![short(&piece.text, 100)])),
        }
    }
    let _ = writeln!(out, "\nNot exercised:");
    for (place, why, names) in lines.iter().take(MAX_GAPS) {
        let mut shown = names.iter().take(MAX_ELEMENTS).cloned().collect::<Vec<_>>().join(", ");
        if names.len() > MAX_ELEMENTS {
            let _ = write!(shown, ", … {} in all", names.len());
        }
        let _ = writeln!(out, "  {}  {why}: {shown}", paint.dim(&short(place, usize::MAX)));
    }
    if lines.len() > MAX_GAPS {
        let _ =
            writeln!(out, "… and {} more places (--output json lists all, --html shows them)", lines.len() - MAX_GAPS);
    }
}

/// The report as JSON.
pub fn json(coverage: &Coverage, name: &str, rules: &RuleSet) -> Value {
    let rule = |number: &u32| rules.rules().get(*number as usize).map_or("", |rule| &rule.name);
    let pieces: Vec<Value> = coverage
        .pieces
        .iter()
        .map(|piece| {
            json!({
                "kind": piece.kind,
                "text": piece.text,
                "place": piece.place,
                "yes": piece.seen.yes,
                "no": piece.seen.no,
                "covered": piece.covered(),
                "rules": piece.rules.iter().map(rule).collect::<Vec<_>>(),
            })
        })
        .collect();
    let totals: serde_json::Map<String, Value> = KINDS
        .iter()
        .map(|(kind, words)| ((*words).to_owned(), json!(coverage.share(*kind))))
        .chain([("rules reported".to_owned(), json!(coverage.fired()))])
        .collect();
    json!({
        "ruleset": name,
        "captures": coverage.read(),
        "events": coverage.reports.iter().map(|report| report.events).sum::<u64>(),
        "totals": totals,
        "rules": coverage.rules,
        "pieces": pieces,
    })
}
