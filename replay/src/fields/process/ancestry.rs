//! `proc.a*[n]`: facts about ancestors, one of them or all.

use std::borrow::Cow;

use casebook_rules::event::Extracted;
use casebook_rules::schema::FieldArg;
use casebook_rules::value::Value;

use super::super::{borrowed, cow, index, key, many, owned, when};
use super::lines::{joined, variable};
use super::nothing_told;
use crate::context::EventContext;
use crate::state::Thread;

/// How far `proc.aenv[NAME]` looks up the tree.
const ENV_LEVELS: usize = 20;

/// The ancestor at a level: 0 is the process itself, 1 its parent.
pub(super) fn ancestor<'e>(context: &'e EventContext<'_>, level: u64) -> Option<&'e Thread> {
    let thread = context.thread?;
    match usize::try_from(level).ok()?.checked_sub(1) {
        None => context.state.main_thread_of(thread),
        Some(above) => context.state.ancestors(thread).nth(above),
    }
}

/// A fact about the ancestor at the given level, or about all of them.
pub(super) fn ancestors<'e>(
    context: &'e EventContext<'_>,
    arg: &FieldArg,
    fact: impl Fn(&'e Thread) -> Value<'e>,
) -> Extracted<'e> {
    match index(arg) {
        Some(level) => when(ancestor(context, level), |thread| Extracted::One(fact(thread))),
        None => match context.thread {
            Some(thread) => many(context.state.ancestors(thread).map(fact)),
            None => Extracted::Absent,
        },
    }
}

pub(super) fn ancestor_args<'e>(context: &'e EventContext<'_>, arg: &FieldArg) -> Extracted<'e> {
    if let Some(level) = index(arg) {
        return when(ancestor(context, level), |thread| cow(joined(&thread.args)));
    }
    let Some(thread) = context.thread else { return Extracted::Absent };
    if context.state.ancestors(thread).any(nothing_told) {
        return Extracted::Absent; // A line with a piece missing would pass for the whole.
    }
    let all: Vec<Cow<'_, [u8]>> =
        context.state.ancestors(thread).map(|t| joined(&t.args)).filter(|args| !args.is_empty()).collect();
    owned(all.join(&b' '))
}

pub(super) fn ancestor_env<'e>(context: &'e EventContext<'_>, arg: &FieldArg) -> Extracted<'e> {
    let (Some(name), Some(thread)) = (key(arg), context.thread) else {
        return ancestors(context, arg, |t| Value::Text(joined(context.state.env(t))));
    };
    let mut above = context.state.ancestors(thread).take(ENV_LEVELS);
    let found = above.find_map(|t| Some(variable(context.state.env(t), name)).filter(|value| !value.is_empty()));
    borrowed(found.unwrap_or_default())
}

/// The oldest of the process and its ancestors whose comm ends like that of a shell.
pub(super) fn login_shell<'e>(context: &'e EventContext<'_>, thread: &'e Thread) -> Option<&'e Thread> {
    let main = context.state.main_thread_of(thread)?;
    std::iter::once(main).chain(context.state.ancestors(thread)).filter(|t| t.comm.ends_with(b"sh")).last()
}
