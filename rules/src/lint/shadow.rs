//! Rules that are never reported because an earlier rule is true whenever they are.

use crate::diagnostics::{Code, Diagnostic, ItemKind};
use crate::ruleset::Rule;

use super::solve::{conjuncts, follows};
use super::{Lint, Subject};

/// Steps of comparing conditions after which no further pair is looked at.
const MAX_WORK: usize = 20_000_000;

pub(super) fn check(lint: &Lint<'_>, out: &mut Vec<Diagnostic>) {
    let mut work = MAX_WORK;
    let active: Vec<&Subject<'_>> = lint.subjects.iter().filter(|subject| subject.rule.enabled).collect();
    for (n, later) in active.iter().enumerate() {
        if work == 0 {
            break;
        }
        let parts = conjuncts(&later.term);
        let hides = |earlier: &&&Subject<'_>, work: &mut usize| {
            earlier.rule.source == later.rule.source
                && follows(&parts, &earlier.term, work)
                && sees_all(earlier.rule, later.rule)
        };
        let Some(earlier) = active[..n].iter().find(|earlier| hides(earlier, &mut work)) else { continue };
        let message = format!("whenever it is true, the earlier rule `{}` is true as well", earlier.rule.name);
        out.push(
            Diagnostic::new(Code::ShadowedRule, message)
                .at(later.rule.span)
                .and_at(earlier.rule.span, "reported instead")
                .of(ItemKind::Rule, later.rule.name.clone())
                .hint("put the sharper rule first, or make the earlier one narrower".to_owned()),
        );
    }
}

/// Whether the earlier rule is evaluated on all event types on which the later one is.
fn sees_all(earlier: &Rule, later: &Rule) -> bool {
    match (&earlier.event_types, &later.event_types) {
        (Some(earlier), Some(later)) => later.iter().all(|etype| earlier.contains(etype)),
        _ => true,
    }
}
