//! Explanations for people: a tree with a mark and the values at each comparison.
//!
//! Every text of a capture or a rule file is made harmless on the way; colours are put around them and only when asked
//! for.

use std::fmt::Write as _;

use casebook_formats::terminal::Safe;

use super::near::{Found, Miss};
use super::{Explanation, Fate, FieldNote, ListNote, PartNote};

/// Longest text of a comparison in the tree, in characters.
const MAX_TEXT: usize = 96;
/// Longest value in the tree, in characters.
const MAX_VALUE: usize = 120;
/// Widest column of comparisons; longer ones push their values to the right.
const COLUMN: usize = 64;
/// Deepest indentation that is drawn.
const MAX_DEPTH: usize = 40;
/// Near misses that are listed.
const MAX_MISSES: usize = 12;

/// Colours, or none.
#[derive(Clone, Copy, Debug)]
pub struct Paint(
    /// Whether there are any.
    pub bool,
);

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        if self.0 && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// For what a line is about.
    pub fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    /// For places and other asides.
    pub fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    /// For what is true, gained or covered.
    pub fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    /// For what is false, lost or not covered.
    pub fn bad(self, text: &str) -> String {
        self.with("31", text)
    }

    /// For what to look at.
    pub fn mark(self, text: &str) -> String {
        self.with("1;33", text)
    }
}

/// A text made harmless, and cut when it is longer than `most` characters.
pub fn short(text: &str, most: usize) -> String {
    let safe = Safe(text.as_bytes()).to_string();
    if safe.chars().count() <= most {
        return safe;
    }
    let mut cut: String = safe.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// An explanation as lines.
pub fn explanation(explanation: &Explanation, paint: Paint) -> String {
    let mut out = String::new();
    let place = explanation.rule.place.as_ref().map(ToString::to_string).unwrap_or_default();
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(
        out,
        "rule {}  {}",
        paint.bold(&short(&explanation.rule.name, usize::MAX)),
        paint.dim(&short(&place, usize::MAX))
    );
    let _ = writeln!(out, "{}", event_line(explanation));
    let _ = writeln!(out, "{}\n", verdict_line(explanation, paint));
    tree(&explanation.condition, paint, &mut out);
    out
}

/// The event in one line.
fn event_line(explanation: &Explanation) -> String {
    let event = &explanation.event;
    let mut line = format!("event {} at {}", event.num, event.time);
    if let Some(etype) = event.field("evt.type") {
        let _ = write!(line, ": {}", short(etype, 40));
    }
    if let Some(name) = event.field("proc.name") {
        let pid = event.field("proc.pid").map(|pid| format!(" (pid {})", short(pid, 20))).unwrap_or_default();
        let _ = write!(line, " by {}{pid}", short(name, 40));
    }
    if let Some(verb) = event.field("ka.verb") {
        let _ = write!(line, ": {}", short(verb, 40));
        if let Some(uri) = event.field("ka.uri") {
            let _ = write!(line, " {}", short(uri, 120));
        }
        if let Some(user) = event.field("ka.user.name") {
            let _ = write!(line, " by {}", short(user, 80));
        }
    }
    if let Some(container) = event.field("container.name").filter(|name| *name != "host") {
        let _ = write!(line, " in container {}", short(container, 60));
    }
    line
}

/// What became of the rule, in one line.
fn verdict_line(explanation: &Explanation, paint: Paint) -> String {
    let off = if explanation.active { "" } else { " (the rule is off: it does not run)" };
    let unasked = if explanation.asked { "" } else { " (and the rule is never asked about events of this type)" };
    match explanation.fate {
        Fate::Reported => paint.good("true, and reported"),
        Fate::Shadowed => {
            let earlier = explanation.earlier.first();
            let name = earlier.map(|rule| short(&rule.name, 200)).unwrap_or_default();
            let place = earlier.and_then(|rule| rule.place.as_ref()).map(|place| format!(" ({place})"));
            let place = short(&place.unwrap_or_default(), usize::MAX);
            let more = match explanation.earlier.len() {
                0 | 1 => String::new(),
                n => format!("; so are {} more before it", n - 1),
            };
            paint.bad(&format!("true, but not reported: rule {name}{place} stands earlier and is true here, too{more}"))
        }
        Fate::Off => paint.bad("the condition is true, but the rule is off: disabled, or weaker than the threshold"),
        Fate::NotAsked => paint.bad("the condition is true, but the rule is never asked about events of this type"),
        Fate::Aborted => paint.bad("no verdict: Falco aborts the evaluation at a comparison (see error)"),
        Fate::NotTrue => {
            let what = match explanation.distance {
                1 if count_decisive(&explanation.condition) > 1 => {
                    "it failed by one comparison, any of those marked ◀".to_owned()
                }
                1 => "it failed by one comparison, marked ◀".to_owned(),
                n => format!("{n} comparisons would have to turn out otherwise, marked ◀"),
            };
            format!("{}{off}{unasked}", paint.bad(&format!("not true: {what}")))
        }
    }
}

/// One line of the tree in the making.
struct Line {
    branch: String,
    verdict: bool,
    text: String,
    value: String,
    place: String,
    marked: bool,
    /// The evaluation does not come to it.
    unreached: bool,
}

/// Comparisons that alone would turn the verdict.
fn count_decisive(part: &PartNote) -> usize {
    usize::from(part.decisive) + part.parts.iter().map(count_decisive).sum::<usize>()
}

fn tree(root: &PartNote, paint: Paint, out: &mut String) {
    let mut lines = Vec::new();
    // Where one comparison is missing, all that would do are marked, and else the fewest that would.
    let one = root.decisive || count_decisive(root) > 0;
    collect(root, "", "", 0, one && !root.verdict, &mut lines);
    let width = lines
        .iter()
        .filter(|line| !line.value.is_empty())
        .map(|line| line.branch.chars().count() + line.text.chars().count())
        .filter(|width| *width <= COLUMN)
        .max()
        .unwrap_or(0);
    for line in lines {
        let mark = if line.verdict { paint.good("✓") } else { paint.bad("✗") };
        let taken = line.branch.chars().count() + line.text.chars().count();
        let text = match (line.marked, line.unreached) {
            (true, _) => paint.bold(&line.text),
            (false, true) => paint.dim(&line.text),
            (false, false) => line.text.clone(),
        };
        let _ = write!(out, "{}{mark} {text}", paint.dim(&line.branch));
        if !line.value.is_empty() {
            let _ = write!(out, "{}  {}", " ".repeat(width.saturating_sub(taken)), line.value);
        }
        if line.marked {
            let _ = write!(out, " {}", paint.mark("◀"));
        }
        if !line.place.is_empty() {
            let _ = write!(out, "  {}", paint.dim(&line.place));
        }
        out.push('\n');
    }
}

/// Adds the lines of a part. `one`: mark what alone would turn the verdict. `first` is drawn before it, `rest` before the parts in it.
fn collect(part: &PartNote, first: &str, rest: &str, depth: usize, one: bool, lines: &mut Vec<Line>) {
    let mut label = String::new();
    let mut inner = part;
    // Negation stands in the line of what it negates; so do the names of what begins here.
    let mut place = None;
    let mut named = part.exception.is_some();
    loop {
        if let Some(name) = &inner.exception {
            let _ = write!(label, "not exception {}", short(name, 60));
        } else if inner.kind == "not" {
            label.push_str("not ");
        }
        if let Some(name) = &inner.macro_name {
            let _ = write!(label, "macro {} ", short(name, 60));
            named = true;
            place = place.or(inner.place.as_ref());
        }
        match inner.parts.first() {
            Some(child) if inner.kind == "not" => inner = child,
            _ => break,
        }
    }
    if part.exception.is_some() && inner.kind != "comparison" {
        label.push(' ');
    }
    let value = match inner.kind {
        "comparison" => {
            if named {
                label = format!("{}: ", label.trim_end());
            }
            label.push_str(&comparison(inner));
            values(inner)
        }
        "and" => {
            label.push_str(if label.is_empty() || label == "not " { "all of" } else { "(all of)" });
            String::new()
        }
        _ => {
            label.push_str(if label.is_empty() || label == "not " { "any of" } else { "(any of)" });
            String::new()
        }
    };
    let leaf = inner.kind == "comparison";
    let shown = if leaf { inner.place.as_ref() } else { place };
    lines.push(Line {
        branch: first.to_owned(),
        verdict: part.verdict,
        text: label,
        value,
        place: shown.map(|place| short(&place.to_string(), usize::MAX)).unwrap_or_default(),
        marked: if one { inner.decisive } else { inner.to_turn },
        unreached: inner.reached == Some(false),
    });
    let last = inner.parts.len().saturating_sub(1);
    for (n, child) in inner.parts.iter().enumerate() {
        let (branch, below) = if n == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        if depth < MAX_DEPTH {
            collect(child, &format!("{rest}{branch}"), &format!("{rest}{below}"), depth + 1, one, lines);
        } else {
            collect(child, first, rest, depth + 1, one, lines);
        }
    }
}

/// The text of a comparison; of long lists only the beginning.
fn comparison(part: &PartNote) -> String {
    let text = part.text.as_deref().unwrap_or_default();
    match &part.list {
        Some(list) if text.chars().count() > MAX_TEXT => {
            let cut: String = text.chars().take(MAX_TEXT - 20).collect();
            let whole = cut.rfind(", ").map_or(&*cut, |at| &cut[..at]);
            short(&format!("{whole}, … {} in all)", list.elements), usize::MAX)
        }
        _ => short(text, MAX_TEXT),
    }
}

/// The values of a comparison's fields, and what its list says to them.
fn values(part: &PartNote) -> String {
    let mut text: Vec<String> = part.values.iter().map(field).collect();
    if let Some(list) = &part.list {
        text.extend(list_words(list, part));
    }
    if let Some(error) = &part.error {
        text.push(format!("error: {}", short(error, MAX_VALUE)));
    }
    text.join("; ")
}

fn field(note: &FieldNote) -> String {
    let name = short(&note.field, 60);
    match &note.value {
        Some(value) if value.is_empty() => format!("{name} is empty"),
        Some(value) => format!("{name} = {}", short(value, MAX_VALUE)),
        None => format!("{name} has no value"),
    }
}

fn list_words(list: &ListNote, part: &PartNote) -> Option<String> {
    let Some(first) = list.matching.first() else {
        let absent = part.values.iter().all(|field| field.value.is_none());
        return (list.elements > 1 && !absent).then(|| format!("none of {}", list.elements));
    };
    let mut text = format!("matches {}", short(&first.text, 60));
    for step in &first.through {
        let _ = write!(text, " of {} {}", step.way, short(&step.name, 60));
    }
    if list.matches > 1 {
        let _ = write!(text, " and {} more", list.matches - 1);
    }
    Some(text)
}

/// What a search for near misses of a rule, whose events are those of `source`, found in one capture.
pub fn found(found: &Found, rule: &str, source: &str, paint: Paint) -> String {
    let mut out = String::new();
    let first = |event: Option<&super::EventNote>| event.map(|event| format!(", first event {}", event.num));
    let _ = writeln!(
        out,
        "rule {}: {} {}{}",
        paint.bold(&short(rule, usize::MAX)),
        found.reported,
        if found.reported == 1 { "alert" } else { "alerts" },
        first(found.first_reported.as_ref()).unwrap_or_default()
    );
    if found.shadowed > 0 {
        let example = found.first_shadowed.as_ref();
        let by = example.and_then(|example| example.earlier.first()).map(|rule| short(&rule.name, 200));
        let _ = writeln!(
            out,
            "true but not reported on {} {}{}: rule {} stands earlier",
            found.shadowed,
            if found.shadowed == 1 { "event" } else { "events" },
            first(example.map(|example| &example.event)).unwrap_or_default(),
            by.unwrap_or_default()
        );
    }
    let nearest = found.misses.first().map_or(0, |miss| miss.distance);
    // Those that failed by one, and where there are none, those that failed by the least.
    let near: Vec<&Miss> = found.misses.iter().filter(|miss| miss.distance == nearest).collect();
    if near.is_empty() {
        let _ = match found.of_source {
            0 => writeln!(out, "it was asked about no event: none is of the source {}", short(source, 60)),
            _ => writeln!(out, "no event came near it"),
        };
        return out;
    }
    let comparisons = if nearest == 1 { "one comparison".to_owned() } else { format!("{nearest} comparisons") };
    let _ = writeln!(out, "\nmissed by {comparisons}:");
    for miss in near.iter().take(MAX_MISSES) {
        miss_lines(miss, paint, &mut out);
    }
    let more = near.len().saturating_sub(MAX_MISSES);
    if more > 0 {
        let _ = writeln!(out, "  … and in {more} other ways (--output json lists all)");
    }
    let farther = found.misses.len() - near.len() + found.left_out as usize;
    if farther > 0 {
        let ways = if farther == 1 { "way" } else { "ways" };
        let _ = writeln!(out, "{}", paint.dim(&format!("{farther} farther {ways} to miss are not listed")));
    }
    if let Some(miss) = near.first() {
        let _ = writeln!(out, "\nThe nearest:\n");
        out.push_str(&explanation(&miss.example, paint));
    }
    out
}

fn miss_lines(miss: &Miss, paint: Paint, out: &mut String) {
    let mut turns = Vec::new();
    to_turn(&miss.example.condition, &mut turns);
    let events = if miss.events == 1 { "event" } else { "events" };
    let kind = if miss.other_type { " (of another type)" } else { "" };
    let _ = writeln!(out, "  {} {events}{kind}, first event {}", miss.events, miss.example.event.num);
    for (part, negated) in turns {
        let not = if negated { "not " } else { "" };
        let place = part.place.as_ref().map(|place| short(&place.to_string(), usize::MAX)).unwrap_or_default();
        let _ = writeln!(out, "    {}  {}", paint.bold(&format!("{not}{}", comparison(part))), paint.dim(&place));
    }
    for (values, count) in &miss.values {
        let text: Vec<String> = values.iter().map(field).collect();
        if !text.is_empty() {
            let _ = writeln!(out, "      {count}× {}", text.join("; "));
        }
    }
}

/// The comparisons to turn, and whether each stands under a `not` of its own.
fn to_turn<'p>(part: &'p PartNote, turns: &mut Vec<(&'p PartNote, bool)>) {
    for child in &part.parts {
        if child.to_turn {
            turns.push((child, part.kind == "not"));
        }
        to_turn(child, turns);
    }
    if part.to_turn && turns.is_empty() && part.parts.is_empty() {
        turns.push((part, false));
    }
}
