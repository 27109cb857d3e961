//! Lists: items that occur twice.

use std::collections::HashMap;

use crate::diagnostics::{Code, Diagnostic, ItemKind};
use crate::text::Scalar;

use super::{Lint, MAX_FINDINGS};

pub(super) fn check(lint: &Lint<'_>, out: &mut Vec<Diagnostic>) {
    for list in lint.outcome.collector.lists.iter() {
        let mut seen: HashMap<&str, &Scalar> = HashMap::new();
        for item in &list.items {
            if out.len() >= MAX_FINDINGS {
                return;
            }
            if let Some(first) = seen.get(&*item.value) {
                out.push(
                    Diagnostic::new(Code::RepeatedItem, format!("`{}` occurs twice", item.value))
                        .at(item.span)
                        .and_at(first.span, "first here")
                        .of(ItemKind::List, list.head.name.value.clone()),
                );
            } else {
                seen.insert(&item.value, item);
            }
        }
    }
}
