//! From options to a detector: rule files, selection, filter, and what there is to say about them on standard error.
//!
//! Reading, loading and rendering diagnostics is the business of `casebook_rules`; this is the order of the steps.

use std::io::Write;

use casebook_rules::compile::CompileError;
use casebook_rules::default_rules::{default_rules, is_about_vocabulary};
use casebook_rules::diagnostics::Diagnostic;
use casebook_rules::inputs;
use casebook_rules::load::{LoadOptions, LoadOutcome, load};
use casebook_rules::report;
use casebook_rules::ruleset::RuleSet;
use casebook_rules::select::{Selector, Switch};
use casebook_rules::source::RuleFile;

use super::Terminals;
use super::args::RunArgs;
use super::talk::{say, say_lines};
use crate::detect::{Detector, Filter};
use crate::fields::Catalogue;

/// The rule files that the options ask for, in load order.
pub(super) fn files(args: &RunArgs) -> Vec<RuleFile> {
    let mut files = if args.rules.is_empty() || args.default_rules { default_rules() } else { Vec::new() };
    files.extend(inputs::read(&args.rules));
    files
}

/// Loads and selects; `None` when something is wrong, which has been said then.
pub(super) fn detector(
    args: &RunArgs,
    files: &[RuleFile],
    err: &mut dyn Write,
    terminals: Terminals,
) -> Option<Detector> {
    let options = LoadOptions { min_priority: args.priority.into(), ..LoadOptions::default() };
    let outcome = load(files, &Catalogue::new(), &options);
    tell(args.quiet, &outcome, err, terminals);
    if outcome.has_errors() {
        return None;
    }
    let mut rules = outcome.ruleset?;
    select(args, &mut rules, err);
    if rules.active_count() == 0 {
        say(err, "error: no rule is left to run: see -r, --priority, -t, -T and -D");
        return None;
    }
    let filter = match args.filter.as_deref().map(Filter::parse_for_all).transpose() {
        Ok(filter) => filter,
        Err(errors) => {
            refuse("--filter", args.filter.as_deref().unwrap_or_default(), &errors, err);
            return None;
        }
    };
    Some(Detector::new(rules, args.rule_matching.into(), filter))
}

/// Says what loading found: the errors, or else the warnings.
pub(super) fn tell(quiet: bool, outcome: &LoadOutcome, err: &mut dyn Write, terminals: Terminals) {
    let failed = outcome.has_errors();
    let wanted = |diagnostic: &&Diagnostic| {
        if failed { diagnostic.is_error() } else { !quiet && !is_about_vocabulary(diagnostic, outcome) }
    };
    for diagnostic in outcome.distinct().into_iter().filter(wanted) {
        let text = report::text(diagnostic, &outcome.sources, terminals.err);
        if terminals.err {
            // In colour: the renderer has made what it quotes safe.
            let _ = err.write_all(text.as_bytes());
        } else {
            say_lines(err, &text);
        }
    }
}

/// Carries out `-t`, then `-T`, then `-D`. What selects nothing is probably a typing error, and is told.
fn select(args: &RunArgs, rules: &mut RuleSet, err: &mut dyn Write) {
    let mut switch = |switch, selector: Selector, option: &str, text: &str| {
        if rules.select(switch, &selector) == 0 {
            say(err, &format!("warning: {option} {text}: there is no such rule"));
        }
    };
    if !args.tags.is_empty() {
        switch(Switch::Disable, Selector::Name("*".to_owned()), "-t", "*");
    }
    for tag in &args.tags {
        switch(Switch::Enable, Selector::Tag(tag.clone()), "-t", tag);
    }
    for tag in &args.no_tags {
        switch(Switch::Disable, Selector::Tag(tag.clone()), "-T", tag);
    }
    for text in &args.disable {
        let selector = if text.contains('*') { Selector::Name(text.clone()) } else { Selector::NamePart(text.clone()) };
        switch(Switch::Disable, selector, "-D", text);
    }
}

/// Says what is wrong with the text of an option, with a mark under the place.
pub(super) fn refuse(option: &str, text: &str, errors: &[CompileError], err: &mut dyn Write) {
    for error in errors {
        say(err, &format!("error: {option}: {}", error.message));
        if !text.contains('\n') {
            let before = text.get(..error.span.start as usize).unwrap_or_default().chars().count();
            let marked = text.get(error.span.start as usize..error.span.end as usize).unwrap_or_default();
            say(err, &format!("  {text}"));
            say(err, &format!("  {}{}", " ".repeat(before), "^".repeat(marked.chars().count().max(1))));
        }
        if let Some(hint) = &error.hint {
            say(err, &format!("  help: {hint}"));
        }
    }
}
