//! Why an expected alert did not come: the event that came nearest, and the comparison that failed on it.
//!
//! Asked about expectations of a case that got too few alerts, and about those only: the captures of the case are
//! replayed once more for each. Where the rule was true on no event, [`super::explain`] knows the nearest; where it
//! fired on events that the expectation's `fields` do not match, the fields are told with their values.

use std::ops::ControlFlow;

use casebook_formats::ledger::Ledger;
use casebook_rules::ruleset::Matching;

use super::case::Case;
use super::expect::Failure;
use super::explain::near::{Found, Search};
use super::explain::{Explainer, Explanation, PartNote};
use super::suite::Suite;
use super::verdicts::{Watcher, watch};
use crate::context::EventContext;
use crate::run::Source;

/// Comparisons of an event that are told.
const MAX_COMPARISONS: usize = 4;
/// Alerts whose fields are told.
const MAX_ALERTS: usize = 3;

/// Lines that say why there were too few alerts; none when nothing is known.
pub(super) fn too_few(suite: &Suite, case: &Case, failure: &Failure) -> Vec<String> {
    if failure.alerts.is_empty() { nearest(suite, case, failure.rule) } else { fields(case, failure) }
}

/// The event on which a rule of the case came nearest, and what failed there.
fn nearest(suite: &Suite, case: &Case, rule: u32) -> Vec<String> {
    let (Some(book), Some(rules)) = (suite.rules.get(case.rules), suite.ruleset(case)) else { return Vec::new() };
    let Some(explainer) = Explainer::new(rules, &book.outcome.sources, rule as usize) else { return Vec::new() };
    let sources: Vec<Source> = case.captures.iter().map(super::case::CaseCapture::source).collect();
    let found: Vec<Found> = watch(&sources, 1, &|_, _| {}, |_| Search::new(&explainer))
        .into_iter()
        .map(|(_, search)| search.finish())
        .collect();
    if case.matching == Matching::First
        && let Some(hidden) = found.iter().find_map(|found| found.first_shadowed.as_ref())
    {
        let by = hidden.earlier.first().map_or("", |rule| rule.name.as_str());
        return vec![
            format!("nearest   {}", about(hidden)),
            format!(
                "  the rule is true there, but `{by}` stands earlier and is reported (rule_matching: all reports both)"
            ),
        ];
    }
    let best = found.iter().filter_map(|found| found.misses.first());
    let Some(best) = best.min_by_key(|miss| (miss.distance, miss.other_type)) else {
        return vec!["nearest   no event came near it".to_owned()];
    };
    let mut lines = vec![format!("nearest   {}", about(&best.example))];
    let mut failed = Vec::new();
    comparisons(&best.example.condition, &mut failed);
    let more = failed.len().saturating_sub(MAX_COMPARISONS);
    lines.extend(failed.into_iter().take(MAX_COMPARISONS));
    if more > 0 {
        lines.push(format!("  and {more} more"));
    }
    lines
}

/// `event 7 at …: openat by cat (cat /etc/shadow)`
fn about(explanation: &Explanation) -> String {
    let event = &explanation.event;
    let field = |name| event.field(name).unwrap_or("?");
    format!("event {}, {} by {} ({})", event.num, field("evt.type"), field("proc.name"), field("proc.cmdline"))
}

/// The comparisons of a condition that would have had to turn out otherwise.
fn comparisons(part: &PartNote, lines: &mut Vec<String>) {
    if part.to_turn {
        let values: Vec<String> = part
            .values
            .iter()
            .map(|value| match &value.value {
                Some(text) => format!("{} = {text}", value.field),
                None => format!("{} has no value", value.field),
            })
            .collect();
        let place = part.place.as_ref().map_or_else(String::new, |place| format!("  {place}"));
        let verdict = if part.verdict { "true" } else { "false" };
        let text = part.text.as_deref().unwrap_or_default();
        lines.push(format!("  {verdict}: {text}   ({}){place}", values.join(", ")));
    }
    for inner in &part.parts {
        comparisons(inner, lines);
    }
}

/// The values of the fields that an expectation asks for, on the first alerts of its rule that did not match.
fn fields(case: &Case, failure: &Failure) -> Vec<String> {
    let Some(asked) = failure.expectation.and_then(|at| case.expect.fields_of(at)) else { return Vec::new() };
    let mut lines = Vec::new();
    for fired in failure.alerts.iter().take(MAX_ALERTS) {
        let Some(capture) = case.captures.get(fired.capture as usize) else { continue };
        let look = |_| Values { event: fired.event, case, condition: asked, lines: Vec::new() };
        for (_, values) in watch(&[capture.source()], 1, &|_, _| {}, look) {
            lines.push(format!("event {} does not match:", fired.event));
            lines.extend(values.lines);
        }
    }
    lines
}

/// Waits for an event and tells the comparisons of a condition that fail on it.
struct Values<'c> {
    event: u64,
    case: &'c Case,
    condition: u32,
    lines: Vec<String>,
}

impl Watcher for Values<'_> {
    fn event(&mut self, context: &EventContext<'_>, _: &mut Ledger) -> ControlFlow<()> {
        if context.event.num < self.event {
            return ControlFlow::Continue(());
        }
        self.lines = self.case.expect.failing(self.condition, context);
        ControlFlow::Break(())
    }
}
