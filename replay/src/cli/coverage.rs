//! `casebook-replay coverage`: what of the rules cases or captures exercise, and which changes to the rules they would
//! not notice.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use casebook_rules::load::LoadOutcome;
use casebook_rules::ruleset::RuleSet;
use clap::Args;
use serde_json::json;

use super::Terminals;
use super::args::FormArg;
use super::captures;
use super::exit::{self, Exit};
use super::explain::{json_line, tell, written};
use super::ruleset::{LabArgs, Loaded, RuleArgs, no_rule};
use super::talk::{say, say_lines};
use crate::lab::case::CaseCapture;
use crate::lab::coverage::html::{self, Section};
use crate::lab::coverage::{self, Coverage};
use crate::lab::explain::text::Paint;
use crate::lab::mutation::{self, Score, Trial};
use crate::lab::suite::Suite;
use crate::run::Source;

/// Survivors listed unless `--survivors` says otherwise.
const SURVIVORS: usize = 40;

/// How many survivors to list.
fn survivors(text: &str) -> Result<usize, String> {
    match text {
        "all" => Ok(usize::MAX),
        number => number.parse().map_err(|_| format!("'{number}' is neither a number nor `all`")),
    }
}

/// Options of `coverage`.
#[derive(Args, Debug)]
pub(super) struct CoverageArgs {
    /// Folders with cases (`case.yaml`), or captures: files, directories, `-`
    ///
    /// Cases are taken with the rules that they name; captures with the rules of -r or the built-in ones.
    #[arg(value_name = "CASES|CAPTURE", required_unless_present = "example")]
    paths: Vec<PathBuf>,

    /// The example capture that is built into this program
    #[arg(long, conflicts_with = "paths")]
    example: bool,

    #[command(flatten)]
    rules: RuleArgs,

    /// Only this rule, by its name; repeat for more [default: all]
    #[arg(long = "rule", value_name = "NAME", help_heading = "Rules")]
    names: Vec<String>,

    /// Also change the rules in every small way and count the changes that a case notices
    ///
    /// A change: a comparison dropped or negated, and/or swapped, an operator replaced by its neighbour, an element taken
    /// out of a list, an exception or an entry of one removed. A case notices it when its expectations are no longer
    /// met; a capture without expectations stands for a case that expects exactly the alerts there are.
    #[arg(short = 'm', long)]
    mutants: bool,

    /// End with status 1 when less than this share of the mutants is noticed, in percent
    #[arg(long, value_name = "PERCENT", requires = "mutants")]
    min_score: Option<f64>,

    /// List at most this many places of mutants that nobody notices, or `all`
    #[arg(long, value_name = "N|all", default_value_t = SURVIVORS, value_parser = survivors, requires = "mutants")]
    survivors: usize,

    /// Write one HTML file with the rules coloured by what was seen
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    html: Option<PathBuf>,

    /// Tables for people, or one JSON object a ruleset
    #[arg(long, value_name = "FORM", default_value = "text", help_heading = "Output")]
    output: FormArg,

    #[command(flatten)]
    lab: LabArgs,
}

/// A ruleset with what is tried on it.
struct Subject<'s> {
    name: String,
    rules: &'s RuleSet,
    outcome: &'s LoadOutcome,
    captures: Vec<Source>,
    trials: Vec<Trial<'s>>,
}

impl Subject<'_> {
    /// Number of the rule of this name.
    fn number(&self, name: &str) -> Option<u32> {
        let at = self.rules.rules().iter().position(|rule| rule.name == name)?;
        u32::try_from(at).ok()
    }
}

/// A ruleset with what was found.
struct Found<'s> {
    subject: Subject<'s>,
    coverage: Coverage,
    score: Option<Score>,
}

/// Whether a path leads to cases: a case file, or a folder with one somewhere below.
fn leads_to_cases(path: &Path) -> bool {
    if path.is_dir() {
        return !Suite::load(&[path.to_path_buf()]).files.is_empty();
    }
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| matches!(ending, "yaml" | "yml")) && fs::metadata(path).is_ok_and(|file| file.is_file())
}

/// Measures coverage.
pub(super) fn run(
    args: &CoverageArgs,
    out: &mut (dyn Write + Send),
    err: &mut (dyn Write + Send),
    terminals: Terminals,
) -> Exit {
    let (cases, others): (Vec<PathBuf>, Vec<PathBuf>) =
        args.paths.iter().cloned().partition(|path| leads_to_cases(path));
    if !cases.is_empty() && !others.is_empty() {
        say(
            err,
            &format!(
                "error: {} has cases, {} has none: name either cases or captures",
                cases[0].display(),
                others[0].display()
            ),
        );
        return Exit::Usage;
    }
    if cases.is_empty() {
        let Some(loaded) = args.rules.load(args.lab.quiet, err, terminals) else { return Exit::Rules };
        let captures = captures::named(&others, args.example, args.lab.quiet, err);
        let subject = of_captures(&loaded, &args.rules, &captures);
        return measure(args, vec![subject], out, err, terminals);
    }
    if !args.rules.rules.is_empty() || args.rules.default_rules {
        say(err, "error: -r and --default-rules are for captures: cases name their rules themselves");
        return Exit::Usage;
    }
    let suite = Suite::load(&cases);
    if !suite.mistakes.is_empty()
        || !suite.missing.is_empty()
        || suite.rules.iter().any(|book| book.outcome.has_errors())
    {
        for complaint in suite.complaints(terminals.err) {
            if terminals.err {
                // In colour: the renderer has made what it quotes safe.
                let _ = err.write_all(complaint.as_bytes());
            } else {
                say_lines(err, &complaint);
            }
        }
        suite.missing.iter().for_each(|missing| say(err, &format!("error: {missing}")));
        return Exit::Usage;
    }
    let mut subjects = Vec::new();
    for (number, book) in suite.rules.iter().enumerate() {
        let Some(rules) = &book.outcome.ruleset else { continue };
        let cases: Vec<_> = suite.cases.iter().filter(|case| case.rules == number && case.skip.is_none()).collect();
        if cases.is_empty() {
            continue;
        }
        subjects.push(Subject {
            name: book.name(),
            rules,
            outcome: &book.outcome,
            captures: cases.iter().flat_map(|case| case.captures.iter().map(CaseCapture::source)).collect(),
            trials: cases.into_iter().map(Trial::Case).collect(),
        });
    }
    measure(args, subjects, out, err, terminals)
}

fn of_captures<'s>(loaded: &'s Loaded, args: &RuleArgs, captures: &'s [Source]) -> Subject<'s> {
    let mut names: Vec<String> = args.rules.iter().map(|path| path.display().to_string()).collect();
    if names.is_empty() || args.default_rules {
        names.insert(0, "default".to_owned());
    }
    Subject {
        name: names.join(" + "),
        rules: &loaded.rules,
        outcome: &loaded.outcome,
        captures: captures.to_vec(),
        trials: captures.iter().map(Trial::Capture).collect(),
    }
}

fn measure(
    args: &CoverageArgs,
    subjects: Vec<Subject<'_>>,
    out: &mut (dyn Write + Send),
    err: &mut (dyn Write + Send),
    terminals: Terminals,
) -> Exit {
    if let Some(unknown) = args.names.iter().find(|name| subjects.iter().all(|subject| subject.number(name).is_none()))
    {
        let known: BTreeSet<&str> =
            subjects.iter().flat_map(|subject| subject.rules.rules()).map(|rule| &*rule.name).collect();
        no_rule(unknown, known, err);
        return Exit::Usage;
    }
    let mut all = Vec::new();
    for subject in subjects {
        let only: BTreeSet<u32> = args.names.iter().filter_map(|name| subject.number(name)).collect();
        let only = (!args.names.is_empty()).then_some(&only);
        if only.is_some_and(BTreeSet::is_empty) {
            continue; // cases of other rules
        }
        let jobs = args.lab.jobs();
        let mut meter = args.lab.hearing(terminals).meter(&subject.captures);
        let advance = |bytes, events| meter.advance(bytes, events);
        let sources = &subject.outcome.sources;
        let coverage = coverage::run(subject.rules, sources, only, &subject.captures, jobs, &advance);
        let mut score = args.mutants.then(|| mutation::run(subject.rules, sources, &subject.trials, jobs, &advance));
        if let (Some(score), Some(only)) = (&mut score, only) {
            score.retain(only);
        }
        meter.finish();
        coverage.reports.iter().for_each(|report| tell(report, err));
        all.push(Found { subject, coverage, score });
    }
    if let Some(path) = &args.html
        && let Err(error) = fs::write(path, page(&all))
    {
        say(err, &format!("error: {}: {error}", path.display()));
        return Exit::Output;
    }
    let paint = Paint(terminals.out);
    let mut text = String::new();
    for found in &all {
        let name = &found.subject.name;
        match args.output {
            FormArg::Text => {
                if !text.is_empty() {
                    text.push('\n');
                }
                text.push_str(&coverage::text::report(&found.coverage, name, paint));
                if let Some(score) = &found.score {
                    text.push('\n');
                    text.push_str(&mutation::text::report(score, name, args.survivors, paint));
                }
            }
            FormArg::Json => {
                let coverage = coverage::text::json(&found.coverage, name, found.subject.rules);
                let score = found.score.as_ref().map(|score| mutation::text::json(score, name));
                text.push_str(&json_line(&json!({ "coverage": coverage, "mutation": score })));
            }
        }
    }
    let below =
        |least: f64| all.iter().filter_map(|found| found.score.as_ref()).any(|score| score.total().percent() < least);
    let read = captures::exit(all.iter().flat_map(|found| &found.coverage.reports));
    let exit = if read == Exit::Complete && args.min_score.is_some_and(below) { Exit::Alerts } else { read };
    written(&text, exit, out, err)
}

fn page(all: &[Found<'_>]) -> String {
    let sections: Vec<Section<'_>> = all
        .iter()
        .map(|found| Section {
            name: found.subject.name.clone(),
            coverage: &found.coverage,
            sources: &found.subject.outcome.sources,
            score: found.score.as_ref(),
        })
        .collect();
    html::page(&sections)
}

pub(super) fn after_help() -> String {
    format!(
        "\
Examples:
  casebook-replay coverage --mutants fixtures/
      coverage and mutation score of the built-in rules over the cases of this project
  casebook-replay coverage -r falco_rules.yaml --html coverage.html evidence/
      your rules over recorded captures, as a page with the rules coloured
  casebook-replay coverage --mutants --rule 'Shell in a pod' cases/
      only what is about a rule that one is writing
  casebook-replay coverage --mutants --min-score 85 --survivors all cases/
      for a CI job
  casebook-replay coverage --mutants --output json cases/ | jq '.mutation.survivors[].place'

{}
A comparison counts as seen true or false only on events on which the evaluation came to it. Elements of lists count when
they were what matched.",
        exit::help(exit::COVERAGE_EXITS)
    )
}
