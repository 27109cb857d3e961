//! The options by which the commands of the lab name rules, captures and loudness, and what they come to.

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use casebook_rules::default_rules::default_rules;
use casebook_rules::inputs;
use casebook_rules::load::{LoadOptions, LoadOutcome, load};
use casebook_rules::ruleset::RuleSet;
use casebook_rules::suggest;
use clap::Args;

use super::Terminals;
use super::captures::{Hearing, jobs};
use super::rules;
use super::talk::say;
use crate::fields::Catalogue;

/// Which rules.
#[derive(Args, Debug)]
pub(super) struct RuleArgs {
    /// Rule file, or directory of rule files; repeat for more [default: the built-in ruleset]
    #[arg(short = 'r', long = "rules", value_name = "FILE|DIR", help_heading = "Rules")]
    pub(super) rules: Vec<PathBuf>,

    /// Load the built-in ruleset first, and the files of -r on top of it
    #[arg(long, help_heading = "Rules")]
    pub(super) default_rules: bool,
}

/// How loud, and on how many cores.
#[derive(Args, Debug)]
pub(super) struct LabArgs {
    /// Captures to replay at the same time [default: one per CPU]
    #[arg(short = 'j', long = "jobs", value_name = "N")]
    pub(super) jobs: Option<NonZeroUsize>,

    /// No progress bar (there is none anyway unless standard error is a terminal)
    #[arg(long, help_heading = "Output")]
    pub(super) no_progress: bool,

    /// Say nothing on standard error but errors
    #[arg(short = 'q', long, help_heading = "Output")]
    pub(super) quiet: bool,
}

impl LabArgs {
    pub(super) fn hearing(&self, terminals: Terminals) -> Hearing {
        Hearing { quiet: self.quiet, no_progress: self.no_progress, terminals, by_time: false }
    }

    pub(super) fn jobs(&self) -> usize {
        jobs(self.jobs)
    }
}

/// Rules that loaded, with the files they came from.
pub(super) struct Loaded {
    pub(super) rules: RuleSet,
    pub(super) outcome: LoadOutcome,
}

impl RuleArgs {
    /// Loads the rules; `None` when they have errors, which have been told then.
    pub(super) fn load(&self, quiet: bool, err: &mut dyn Write, terminals: Terminals) -> Option<Loaded> {
        let mut files = if self.rules.is_empty() || self.default_rules { default_rules() } else { Vec::new() };
        files.extend(inputs::read(&self.rules));
        loaded(load(&files, &Catalogue::new(), &LoadOptions::default()), quiet, err, terminals)
    }
}

/// Tells what a load found and takes its rules; `None` when there were errors.
pub(super) fn loaded(
    mut outcome: LoadOutcome,
    quiet: bool,
    err: &mut dyn Write,
    terminals: Terminals,
) -> Option<Loaded> {
    rules::tell(quiet, &outcome, err, terminals);
    if outcome.has_errors() {
        return None;
    }
    Some(Loaded { rules: outcome.ruleset.take()?, outcome })
}

impl Loaded {
    /// The number of the rule of this name; `None` after saying that there is none. Case does not matter where the name
    /// is clear without it.
    pub(super) fn rule(&self, name: &str, err: &mut dyn Write) -> Option<usize> {
        let all = self.rules.rules();
        if let Some(exact) = all.iter().position(|rule| rule.name == name) {
            return Some(exact);
        }
        let mut alike = all.iter().enumerate().filter(|(_, rule)| rule.name.eq_ignore_ascii_case(name));
        if let (Some((only, _)), None) = (alike.next(), alike.next()) {
            return Some(only);
        }
        no_rule(name, all.iter().map(|rule| &*rule.name), err);
        None
    }
}

/// Says that none of the rules is called so.
pub(super) fn no_rule<'r>(name: &str, known: impl IntoIterator<Item = &'r str>, err: &mut dyn Write) {
    say(err, &format!("error: there is no rule '{name}'"));
    if let Some(near) = suggest::closest(name, known) {
        say(err, &format!("  help: did you mean '{near}'?"));
    }
}
