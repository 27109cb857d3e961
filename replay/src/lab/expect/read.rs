//! Expectations as a case writes them, read and compiled, mistakes with their places.

use std::sync::Arc;

use casebook_rules::compile::{Condition, condition_from_text};
use casebook_rules::diagnostics::did_you_mean;
use casebook_rules::ruleset::RuleSet;
use casebook_rules::source::Sources;
use casebook_rules::yaml::Node;

use super::{Count, Expectation, Expectations, MAX_CONDITIONS, MAX_EXPECTATIONS, Pattern, What};
use crate::fields::Catalogue;
use crate::fields::catalogue::SYSCALL_SOURCE;
use crate::lab::tree::{Entries, Notes, place_in, several};

impl Expectations {
    /// Reads `expect`.
    pub(in crate::lab) fn read(&mut self, node: &Arc<Node>, rules: &RuleSet, sources: &Sources, notes: &mut Notes) {
        if node.is_null() {
            return;
        }
        let Some(items) = node.sequence() else {
            notes.wrong::<()>(node.span, "`expect` is a sequence of expectations");
            return;
        };
        if items.len() > MAX_EXPECTATIONS {
            notes.wrong::<()>(node.span, format!("more than {MAX_EXPECTATIONS} expectations"));
            return;
        }
        for item in items {
            if let Some(expectation) = self.item(item, rules, sources, notes) {
                self.items.push(expectation);
            }
        }
    }

    fn item(&mut self, node: &Node, rules: &RuleSet, sources: &Sources, notes: &mut Notes) -> Option<Expectation> {
        let mut entries = Entries::of(node, "an expectation", notes)?;
        let within = match entries.take("within") {
            Some(span) => Some(notes.span(span)?),
            None => None,
        };
        if let Some(steps) = entries.take("sequence") {
            let mut patterns = Vec::new();
            for step in several(steps) {
                let mut entries = Entries::of(step, "a step", notes)?;
                patterns.push(self.pattern(&mut entries, rules, sources, notes)?);
                entries.end("a step", notes);
            }
            entries.end("a sequence", notes);
            if patterns.len() < 2 {
                return notes.wrong(steps.span, "a sequence has two steps or more");
            }
            let names = patterns.iter().filter_map(|step| rules.rules().get(step.rule as usize));
            let names = names.map(|rule| rule.name.clone()).collect();
            let what = What::Sequence { steps: patterns, names, within };
            return Some(Expectation { what, place: node.span, count_place: None });
        }
        let pattern = self.pattern(&mut entries, rules, sources, notes)?;
        let (mut least, mut most, mut count_place) = (1, u64::MAX, None);
        let mut said: Vec<&str> = Vec::new();
        for key in ["exactly", "at_least", "at_most", "never"] {
            let Some(value) = entries.take(key) else { continue };
            said.push(key);
            count_place = node.entry(key).map(|(key, value)| (key.span, value.span));
            match key {
                "exactly" => {
                    least = notes.number(value)?;
                    most = least;
                }
                "at_least" => least = notes.number(value)?,
                "at_most" => {
                    most = notes.number(value)?;
                    least = if said.contains(&"at_least") { least } else { 0 };
                }
                _ if notes.yes(value)? => (least, most) = (0, 0),
                _ => return notes.wrong(value.span, "`never: true`, or leave it out"),
            }
        }
        entries.end("an expectation", notes);
        let clash = said.len() > 1 && said != ["at_least", "at_most"];
        if clash || least > most {
            return notes.wrong(node.span, format!("{} do not go together", said.join(" and ")));
        }
        let what = What::Count(Count { pattern, least, most, within });
        Some(Expectation { what, place: node.span, count_place })
    }

    fn pattern(
        &mut self,
        entries: &mut Entries<'_>,
        rules: &RuleSet,
        sources: &Sources,
        notes: &mut Notes,
    ) -> Option<Pattern> {
        let node = entries.need("rule", "an expectation", notes)?;
        let name = notes.words(node)?;
        let Some(rule) = rules.rules().iter().position(|rule| rule.name == name) else {
            let hint = did_you_mean(name, rules.rules().iter().map(|rule| rule.name.as_str()));
            return notes.wrong_with(node.span, format!("there is no rule `{name}`"), hint);
        };
        let source = rules.rules().get(rule).map_or(SYSCALL_SOURCE, |rule| &rule.source);
        let fields = match entries.take("fields") {
            Some(fields) => Some(self.condition(fields, source, sources, notes)?),
            None => None,
        };
        Some(Pattern { rule: rule as u32, fields })
    }

    /// `fields`: a mapping of fields to values (equal) or to `{operator: value}`, or the text of a condition.
    fn condition(&mut self, node: &Node, source: &str, sources: &Sources, notes: &mut Notes) -> Option<u32> {
        if self.conditions.len() >= MAX_CONDITIONS {
            return notes.wrong(node.span, format!("more than {MAX_CONDITIONS} expectations with `fields`"));
        }
        let condition = if node.scalar().is_some() {
            let text = notes.words(node)?;
            // Spans count from the scalar's first byte: blanks at its beginning stay.
            let text = node.scalar().map_or(text, |scalar| scalar.value.as_str());
            match condition_from_text(text, source, &Catalogue::new(), &mut self.leaves) {
                Ok(compiled) => compiled.condition,
                Err(errors) => {
                    for error in errors {
                        notes.wrong_with::<()>(place_in(node, error.span, sources), error.message, error.hint);
                    }
                    return None;
                }
            }
        } else {
            self.fields(node, source, notes)?
        };
        self.conditions.push(condition);
        Some(self.conditions.len() as u32 - 1)
    }

    /// The mapping form of `fields`.
    fn fields(&mut self, node: &Node, source: &str, notes: &mut Notes) -> Option<Condition> {
        let entries = node.mapping();
        let Some(entries) = entries.filter(|entries| !entries.is_empty()) else {
            return notes.wrong(node.span, "`fields` is a mapping of fields to values, or a condition");
        };
        let mut terms = Vec::new();
        for (key, value) in entries {
            let field = notes.words(key)?;
            let pairs: Vec<(String, &Arc<Node>)> = match value.mapping() {
                None => vec![("=".to_owned(), value)],
                Some(pairs) => pairs
                    .iter()
                    .map(|(operator, value)| notes.words(operator).map(|operator| (operator.to_owned(), value)))
                    .collect::<Option<_>>()?,
            };
            for (operator, value) in pairs {
                let term = match (operator.as_str(), value.sequence()) {
                    ("exists", _) if notes.yes(value)? => format!("{field} exists"),
                    ("exists", _) => format!("not {field} exists"),
                    (operator, Some(items)) => {
                        let items: Option<Vec<String>> =
                            items.iter().map(|item| notes.text(item).map(quoted)).collect();
                        // A sequence without an operator says that the value is one of them.
                        let operator = if operator == "=" { "in" } else { operator };
                        format!("{field} {operator} ({})", items?.join(", "))
                    }
                    (operator, None) => format!("{field} {operator} {}", quoted(notes.text(value)?)),
                };
                // Each term is checked on its own, so that a mistake in it has its place.
                let compiled = condition_from_text(&term, source, &Catalogue::new(), &mut self.leaves);
                if let Err(errors) = compiled {
                    for error in errors {
                        notes.wrong_with::<()>(key.span, error.message, error.hint);
                    }
                    return None;
                }
                terms.push(term);
            }
        }
        let joined = terms.join(" and ");
        condition_from_text(&joined, source, &Catalogue::new(), &mut self.leaves)
            .ok()
            .map(|compiled| compiled.condition)
    }
}

/// A constant of the rule language for any text; numbers stay numbers, which have an order.
fn quoted(text: &str) -> String {
    if !text.is_empty() && text.len() < 20 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.to_owned();
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_survive_quoting() {
        assert_eq!(quoted("a\"b\\c"), r#""a\"b\\c""#);
        assert_eq!(
            (quoted("12"), quoted("1.2"), quoted("")),
            ("12".to_owned(), "\"1.2\"".to_owned(), "\"\"".to_owned())
        );
    }
}
