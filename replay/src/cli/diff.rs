//! `casebook-replay diff`: what new rules say of captures that the old ones did not.

use std::io::Write;
use std::path::PathBuf;

use casebook_rules::default_rules::default_rules;
use casebook_rules::inputs;
use casebook_rules::load::{LoadOptions, load};
use clap::Args;

use super::Terminals;
use super::args::{FormArg, MatchingArg};
use super::captures;
use super::exit::{self, Exit};
use super::explain::{json_line, tell, written};
use super::ruleset::{LabArgs, Loaded, loaded};
use crate::fields::Catalogue;
use crate::lab::diff::{self, meaning, text};
use crate::lab::explain::text::Paint;

/// What `--old` and `--new` take for the built-in rules.
const BUILT_IN: &str = "default";

/// Options of `diff`.
#[derive(Args, Debug)]
pub(super) struct DiffArgs {
    /// Captures: files, directories, glob patterns, `-` for standard input. Without any, only the rules are compared
    #[arg(value_name = "CAPTURE")]
    captures: Vec<PathBuf>,

    /// The example capture that is built into this program
    #[arg(long, conflicts_with = "captures")]
    example: bool,

    /// The old rules: file or directory, `default` for the built-in ones; repeat for more
    #[arg(long, value_name = "FILE|DIR", required = true, help_heading = "Rules")]
    old: Vec<PathBuf>,

    /// The new rules; repeat for more
    #[arg(long, value_name = "FILE|DIR", required = true, help_heading = "Rules")]
    new: Vec<PathBuf>,

    /// Report the first rule that is true on an event, or all of them
    #[arg(long, value_name = "WHICH", default_value = "first", help_heading = "Rules")]
    rule_matching: MatchingArg,

    /// End with status 1 when alerts or the meaning of rules differ
    #[arg(long)]
    exit_code: bool,

    /// List at most this many alerts that were gained, lost and changed, each
    #[arg(long, value_name = "N", default_value_t = 20, help_heading = "Output")]
    alerts: usize,

    /// Tables for people, or one JSON object
    #[arg(long, value_name = "FORM", default_value = "text", help_heading = "Output")]
    output: FormArg,

    #[command(flatten)]
    lab: LabArgs,
}

/// Loads one side.
fn side(paths: &[PathBuf], quiet: bool, err: &mut dyn Write, terminals: Terminals) -> Option<Loaded> {
    let mut files = Vec::new();
    for path in paths {
        if path.as_os_str() == BUILT_IN {
            files.extend(default_rules());
        } else {
            files.extend(inputs::read(std::slice::from_ref(path)));
        }
    }
    loaded(load(&files, &Catalogue::new(), &LoadOptions::default()), quiet, err, terminals)
}

/// Compares.
pub(super) fn run(
    args: &DiffArgs,
    out: &mut (dyn Write + Send),
    err: &mut (dyn Write + Send),
    terminals: Terminals,
) -> Exit {
    let (Some(old), Some(new)) =
        (side(&args.old, args.lab.quiet, err, terminals), side(&args.new, args.lab.quiet, err, terminals))
    else {
        return Exit::Rules;
    };
    let changes = meaning::compare((&old.rules, &old.outcome.sources), (&new.rules, &new.outcome.sources));
    let reordered = meaning::reordered(&old.rules, &new.rules);
    let captures = captures::named(&args.captures, args.example, args.lab.quiet, err);
    let mut meter = args.lab.hearing(terminals).meter(&captures);
    let advance = |bytes, events| meter.advance(bytes, events);
    let diff = diff::run(&old.rules, &new.rules, args.rule_matching.into(), &captures, args.lab.jobs(), &advance);
    meter.finish();
    diff.reports.iter().for_each(|report| tell(report, err));
    let text = match args.output {
        FormArg::Text => text::report(&changes, reordered.as_deref(), &diff, args.alerts, Paint(terminals.out)),
        FormArg::Json => json_line(&text::json(&changes, reordered.as_deref(), &diff)),
    };
    let differs = diff.totals() != [0; 3] || !changes.is_empty();
    let exit = match captures::exit(&diff.reports) {
        Exit::Complete if args.exit_code && differs => Exit::Alerts,
        exit => exit,
    };
    written(&text, exit, out, err)
}

pub(super) fn after_help() -> String {
    format!(
        "\
Examples:
  casebook-replay diff --old falco_rules.yaml --new falco_rules.yaml --new incubating.yaml evidence/
      what the incubating rules would add on recorded captures
  casebook-replay diff --old main/rules --new branch/rules --exit-code captures/
      for a CI job: status 1 when alerts or meanings differ
  casebook-replay diff --old default --new default --new local.yaml
      which rules a local file changes in meaning, without captures

{}
Alerts are the same when event and rule are; then text and priority are compared. Rules are compared by what they come
to: the order of parts and of lists, macros' names, quotes and layout make no difference. Cost is the number of
comparisons that the evaluation came to.",
        exit::help(exit::DIFF_EXITS)
    )
}
