//! `casebook-replay tune`: exceptions for a rule from the alerts it gives on ordinary work, as YAML.

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

use casebook_rules::default_rules::default_rules;
use casebook_rules::inputs;
use clap::Args;
use serde_json::json;

use super::Terminals;
use super::args::FormArg;
use super::captures;
use super::exit::{self, Exit};
use super::explain::{json_line, tell, written};
use super::ruleset::{LabArgs, RuleArgs};
use super::talk::say;
use crate::lab::explain::Explainer;
use crate::lab::explain::text::short;
use crate::lab::tune::{self, Proposal, Task, Tuning};

/// Options of `tune`.
#[derive(Args, Debug)]
pub(super) struct TuneArgs {
    /// The rule, by its name
    #[arg(value_name = "RULE")]
    rule: String,

    /// Captures of ordinary work, on which the rule is noise
    #[arg(long, value_name = "CAPTURE", num_args = 1.., required = true)]
    benign: Vec<PathBuf>,

    /// Captures on which the rule must go on firing as it does; without any, nothing is proved
    #[arg(long, value_name = "CAPTURE", num_args = 1..)]
    must_fire: Vec<PathBuf>,

    #[command(flatten)]
    rules: RuleArgs,

    /// Give at most this many proposals
    #[arg(short = 'n', long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=20))]
    proposals: u8,

    /// YAML, or one JSON object
    #[arg(long, value_name = "FORM", default_value = "text", help_heading = "Output")]
    output: FormArg,

    #[command(flatten)]
    lab: LabArgs,
}

/// Tunes.
pub(super) fn run(
    args: &TuneArgs,
    out: &mut (dyn Write + Send),
    err: &mut (dyn Write + Send),
    terminals: Terminals,
) -> Exit {
    let Some(loaded) = args.rules.load(args.lab.quiet, err, terminals) else { return Exit::Rules };
    let Some(number) = loaded.rule(&args.rule, err) else { return Exit::Usage };
    let Some(explainer) = Explainer::new(&loaded.rules, &loaded.outcome.sources, number) else { return Exit::Usage };
    let mut files = if args.rules.rules.is_empty() || args.rules.default_rules { default_rules() } else { Vec::new() };
    files.extend(inputs::read(&args.rules.rules));
    let benign = captures::sources(&args.benign, args.lab.quiet, err);
    let attacks = captures::sources(&args.must_fire, args.lab.quiet, err);
    if benign.iter().chain(&attacks).any(|source| source.name() == "-") {
        say(err, "error: every capture is replayed several times: standard input will not do");
        return Exit::Usage;
    }
    let all: Vec<_> = benign.iter().chain(&attacks).cloned().collect();
    let mut meter = args.lab.hearing(terminals).meter(&all);
    let task = Task {
        files: &files,
        rules: &loaded.rules,
        explainer: &explainer,
        benign: &benign,
        attacks: &attacks,
        wanted: usize::from(args.proposals),
    };
    let tuning = tune::run(&task, args.lab.jobs(), &|bytes, events| meter.advance(bytes, events));
    meter.finish();
    tuning.reports.iter().for_each(|report| tell(report, err));
    let name = &explainer.rule().name;
    advise(args, &tuning, name, err);
    let text = match args.output {
        FormArg::Text => yaml(&tuning, name),
        FormArg::Json => json_line(&json!({
            "rule": name,
            "benign_hits": tuning.hits[0],
            "attack_hits": tuning.hits[1],
            "silent_attacks": tuning.silent,
            "refused": tuning.refused,
            "proposals": tuning.proposals,
        })),
    };
    let exit = match captures::exit(&tuning.reports) {
        Exit::Complete if tuning.proposals.is_empty() => Exit::Alerts,
        exit => exit,
    };
    written(&text, exit, out, err)
}

/// Says what the proposals rest on.
fn advise(args: &TuneArgs, tuning: &Tuning, rule: &str, err: &mut dyn Write) {
    let [benign, attack] = tuning.hits;
    if args.must_fire.is_empty() {
        say(err, "warning: no --must-fire: nothing proves that a proposal silences no attack");
    }
    for capture in &tuning.silent {
        say(err, &format!("warning: rule '{rule}' does not fire on {capture}: it proves nothing"));
    }
    if benign == 0 {
        say(err, &format!("note: rule '{rule}' is not true on any event of the benign captures"));
    } else if tuning.proposals.is_empty() {
        say(err, &format!("note: no exception of two fields tells the {benign} benign hits from the {attack} attacks"));
    }
}

/// The best proposal as a rule file, the others as comments below it.
fn yaml(tuning: &Tuning, rule: &str) -> String {
    let mut out = String::new();
    let [benign, attack] = tuning.hits;
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(out, "# Rule {}: true on {benign} benign and {attack} attack events.", short(rule, 200));
    for (number, proposal) in (1..).zip(&tuning.proposals) {
        let _ = writeln!(out, "#\n# {number}. {}", facts(proposal));
        if number == 1 {
            out.push_str(&proposal.yaml);
        } else {
            for line in proposal.yaml.lines() {
                let _ = writeln!(out, "#{line}");
            }
        }
    }
    if tuning.refused > 0 {
        let _ = writeln!(out, "#\n# {} further exceptions would have silenced an attack.", tuning.refused);
    }
    out
}

/// What a replay gave.
fn facts(proposal: &Proposal) -> String {
    let entries =
        if proposal.values.len() == 1 { "1 entry".to_owned() } else { format!("{} entries", proposal.values.len()) };
    let mut text = format!(
        "{} ({entries}): {} of {} benign alerts gone, all {} attack alerts stay.",
        proposal.fields.join(" and "),
        proposal.benign_gone,
        proposal.benign_gone + proposal.benign_left,
        proposal.attack_kept
    );
    for (rule, count) in &proposal.uncovered {
        let _ = write!(text, " Reported in its place now: {} ({count}).", short(rule, 120));
    }
    text
}

pub(super) fn after_help() -> String {
    format!(
        "\
Examples:
  casebook-replay tune 'Shell started by a web server' --benign monday.scap tuesday.scap --must-fire attacks/ > tuned.yaml
      exceptions from two days of work that leave every recorded attack reported
  casebook-replay run --default-rules -r tuned.yaml monday.scap
      the same day with the best of them

{}
The output is a rule file: load it after the file of the rule. The best proposal is in force, the others stand below it as
comments. Each was loaded and replayed: the numbers are what came of it.",
        exit::help(exit::TUNE_EXITS)
    )
}
