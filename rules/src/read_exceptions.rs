//! Reader, the part for `exceptions`: entries with a name, fields, comparison operators and values.
//!
//! Fields, operators and values are texts or nested sequences; what goes with what is the collector's business.

use std::sync::Arc;

use crate::diagnostics::{Code, Diagnostic};
use crate::items::{Entry, EntryKind, ExceptionItem};
use crate::read_values::{required, unknown_inner_keys};
use crate::reader::{Outcome, invalid};
use crate::source::FileSpan;
use crate::yaml::{Kind, Node};

/// Reads the `exceptions` of a rule. An entry that is appended needs no fields.
pub(crate) fn exceptions(node: &Node, append: bool, warnings: &mut Vec<Diagnostic>) -> Outcome<Vec<ExceptionItem>> {
    let Some(node) = node.get("exceptions") else { return Ok(Vec::new()) };
    if node.is_null() {
        return Ok(Vec::new());
    }
    let Some(entries) = node.sequence() else {
        let message = format!("the value of `exceptions` is a sequence, but this is {}", node.kind_name());
        return Err(Box::new(invalid(message, node.span)));
    };
    let mut found: Vec<ExceptionItem> = Vec::new();
    for entry in entries {
        let item = exception(entry, append, warnings)?;
        for earlier in found.iter().filter(|earlier| earlier.name.value == item.name.value) {
            warnings.push(
                Diagnostic::new(
                    Code::ExceptionNameNotUnique,
                    format!("exception `{}` is defined twice in this rule", item.name.value),
                )
                .at(item.name.span)
                .and_at(earlier.name.span, "first defined here"),
            );
        }
        found.push(item);
    }
    Ok(found)
}

fn exception(node: &Node, append: bool, warnings: &mut Vec<Diagnostic>) -> Outcome<ExceptionItem> {
    if node.mapping().is_none() {
        let message =
            format!("an exception is a mapping with name, fields, comps and values, but this is {}", node.kind_name());
        return Err(Box::new(invalid(message, node.span)));
    }
    let name = required(node, "name")?;
    warnings.extend(unknown_inner_keys(node, &["name", "fields", "comps", "values"]));
    let key = node.entry("name").map_or(name.span, |(key, _)| key.span);
    let span = if key.start <= name.span.start { FileSpan { start: key.start, ..name.span } } else { name.span };
    if node.get("fields").is_none() && !append {
        let message = format!("exception `{}` has no `fields`", name.value);
        return Err(Box::new(invalid(message, span)));
    }
    let fields = optional_entry(node, "fields", span)?;
    let comps = optional_entry(node, "comps", span)?;
    let mut values = Vec::new();
    match node.get("values") {
        Some(list) => {
            let Some(elements) = list.sequence() else {
                let message = format!("the value of `values` is a sequence, but this is {}", list.kind_name());
                return Err(Box::new(invalid(message, list.span)));
            };
            for element in elements {
                values.push(entry(element)?);
            }
        }
        None if append => warnings.push(
            Diagnostic::new(Code::AppendNoValues, format!("exception `{}` is appended without values", name.value))
                .at(span),
        ),
        None => {}
    }
    Ok(ExceptionItem { name, fields, comps, values, span })
}

fn optional_entry(node: &Node, key: &str, span: FileSpan) -> Outcome<Entry> {
    node.get(key).map_or(Ok(Entry { kind: EntryKind::Nothing, span }), |node| entry(node))
}

fn entry(node: &Node) -> Outcome<Entry> {
    let kind = match &node.kind {
        Kind::Null | Kind::Mapping(_) => EntryKind::Nothing,
        Kind::Scalar(text) if text.value.is_empty() => {
            return Err(Box::new(invalid("the value is empty", node.span)));
        }
        Kind::Scalar(text) => EntryKind::Text(Arc::clone(text)),
        // Documents are of bounded depth and size, so is this.
        Kind::Sequence(items) => EntryKind::List(items.iter().map(|item| entry(item)).collect::<Outcome<_>>()?),
    };
    Ok(Entry { kind, span: node.span })
}
