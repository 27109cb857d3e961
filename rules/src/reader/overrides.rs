//! `override`: which keys of an item are appended to or replaced, and the changes that this makes of a rule.

use std::collections::BTreeSet;

use super::{APPENDABLE, ItemReader, Outcome, REPLACEABLE, invalid};
use crate::diagnostics::{Code, Diagnostic, did_you_mean};
use crate::items::{Head, RuleChange, Step};
use crate::read_exceptions::exceptions;
use crate::read_values::{boolean, number, priority, required, tags};
use crate::source::FileSpan;
use crate::yaml::{Kind, Node};

/// What `override` says: keys to append, keys to replace.
#[derive(Default)]
pub(super) struct Overrides {
    pub(super) append: BTreeSet<String>,
    pub(super) replace: BTreeSet<String>,
}

impl Overrides {
    pub(super) fn any(&self) -> bool {
        !self.append.is_empty() || !self.replace.is_empty()
    }
}

impl ItemReader<'_> {
    /// Reads `override`, in which these keys can be appended to and those replaced.
    pub(super) fn overrides(&mut self, append: &[&'static str], replace: &[&'static str]) -> Outcome<Overrides> {
        let mut found = Overrides::default();
        let Some((key, node)) = self.node.entry("override") else { return Ok(found) };
        let entries = match &node.kind {
            Kind::Mapping(entries) => entries,
            Kind::Sequence(items) if !items.is_empty() => {
                let message = "override is a mapping from keys to `append` or `replace`, but this is a sequence";
                return Err(Box::new(Diagnostic::new(Code::Validate, message).at(node.span)));
            }
            _ => {
                let message =
                    format!("override is ignored: it maps keys to operations, but this is {}", node.kind_name());
                self.warnings.push(Diagnostic::new(Code::OverrideIgnored, message).at(key.span));
                return Ok(found);
            }
        };
        for (key, operation) in entries {
            let word = |node: &Node| match &node.kind {
                Kind::Scalar(text) => Ok(text.value.clone()),
                Kind::Null => Ok("null".to_owned()),
                _ => {
                    let message =
                        format!("override maps keys to `append` or `replace`, but this is {}", node.kind_name());
                    Err(Box::new(Diagnostic::new(Code::Validate, message).at(node.span)))
                }
            };
            let (name, word) = (word(key)?, word(operation)?);
            let unknown = |what: &str, allowed: &[&'static str]| {
                let message = format!("key `{name}` of a {} cannot be {what}", self.kind.name());
                Box::new(invalid(message, key.span).hint(did_you_mean(&name, allowed.iter().copied())))
            };
            match word.as_str() {
                "append" if !append.contains(&name.as_str()) => {
                    let mut error = unknown("appended to", append);
                    if replace.contains(&name.as_str()) {
                        error.hint = Some(format!("`{name}: replace` is possible"));
                    }
                    return Err(error);
                }
                "append" => found.append.insert(name),
                "replace" if !replace.contains(&name.as_str()) => return Err(unknown("replaced", replace)),
                "replace" => found.replace.insert(name),
                _ => {
                    let message = format!("`{word}` is no override operation: `append` or `replace` is expected");
                    let hint = did_you_mean(&word, ["append", "replace"]);
                    return Err(Box::new(invalid(message, operation.span).hint(hint)));
                }
            };
        }
        Ok(found)
    }

    /// A rule that changes one of the same name, key by key.
    pub(super) fn override_rule(&mut self, head: &Head, overrides: &Overrides) -> Outcome<()> {
        let source = self.change_source()?;
        let mut expected: BTreeSet<&str> =
            REPLACEABLE.iter().copied().filter(|key| self.node.get(key).is_some()).collect();
        for (operation, keys, table) in
            [("append", &overrides.append, APPENDABLE), ("replace", &overrides.replace, REPLACEABLE)]
        {
            if keys.is_empty() {
                continue;
            }
            let mut change = RuleChange::new(head.clone(), source.clone());
            for &key in table.iter().filter(|key| keys.contains(**key)) {
                if !expected.remove(key) {
                    let span = self.override_span(key);
                    let message = if self.node.get(key).is_some() {
                        format!("`{key}` can be appended or replaced, not both")
                    } else {
                        format!("override says `{key}: {operation}`, but the item has no `{key}`")
                    };
                    return Err(Box::new(invalid(message, span)));
                }
                self.change(&mut change, key, operation == "append")?;
            }
            let change = Box::new(change);
            self.steps.push(if operation == "append" { Step::AppendRule(change) } else { Step::ReplaceRule(change) });
        }
        if let Some(key) = expected.first() {
            let span = self.node.entry(key).map_or(self.node.span, |(key, _)| key.span);
            let message = format!("override says nothing about `{key}`");
            let hint = format!("add `{key}: replace` to override, or remove the key");
            return Err(Box::new(invalid(message, span).hint(hint)));
        }
        Ok(())
    }

    /// The entry of `override` for a key.
    fn override_span(&self, key: &str) -> FileSpan {
        let node = self.node.get("override");
        node.and_then(|node| node.entry(key)).map_or(self.node.span, |(key, _)| key.span)
    }

    fn change(&mut self, change: &mut RuleChange, key: &str, append: bool) -> Outcome<()> {
        let node = self.node;
        match key {
            "condition" => change.condition = Some(required(node, key)?),
            "exceptions" => change.exceptions = Some(exceptions(node, append, &mut self.warnings)?),
            "output" => change.output = Some(required(node, key)?),
            "desc" => change.desc = Some(required(node, key)?.value.clone()),
            "tags" => change.tags = Some(tags(node)?.unwrap_or_default()),
            "priority" => change.priority = Some(priority(&required(node, key)?)?),
            "enabled" => change.enabled = Some(boolean(&required(node, key)?)?),
            "warn_evttypes" => change.warn_evttypes = Some(boolean(&required(node, key)?)?),
            "skip-if-unknown-filter" => change.skip_if_unknown_filter = Some(boolean(&required(node, key)?)?),
            "capture" => change.capture = Some(boolean(&required(node, key)?)?),
            _ => change.capture_duration = Some(number(&required(node, key)?)?),
        }
        Ok(())
    }
}
