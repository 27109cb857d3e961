//! `casebook-replay test`: cases to verdicts.
//!
//! Finding, reading, running and judging cases is the business of [`crate::lab`]; here stand the options, the order of
//! the steps, and the exit code.

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

use casebook_formats::terminal::safe_lines;
use clap::Args;
use serde_json::json;

use super::Terminals;
use super::captures::{broken, jobs};
use super::exit::{self, Exit};
use super::talk::{say, say_lines};
use crate::lab::case::Case;
use crate::lab::results::Tally;
use crate::lab::runner::{self, Outcome, Verdict};
use crate::lab::suite::Suite;

/// Options of `test`.
// Switches of a command line are what they are: each is on its own.
#[allow(clippy::struct_excessive_bools)]
#[derive(Args, Debug)]
pub(super) struct TestArgs {
    /// Folders with cases (`case.yaml`, at any depth), or case files
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,

    /// Run only cases whose name, technique or purpose contains this text; repeat for more
    #[arg(long, value_name = "TEXT")]
    filter: Vec<String>,

    /// Cases to run at the same time [default: one per CPU]
    #[arg(short = 'j', long = "jobs", value_name = "N")]
    jobs: Option<NonZeroUsize>,

    /// Print one JSON object a case, then {"summary": ...}
    #[arg(long)]
    json: bool,

    /// Also list what fired in cases that pass
    #[arg(short = 'v', long)]
    verbose: bool,

    /// Print only cases that do not pass, and the summary
    #[arg(short = 'q', long)]
    quiet: bool,
}

/// Runs the tests that `args` ask for.
pub(super) fn run(args: &TestArgs, out: &mut dyn Write, err: &mut dyn Write, terminals: Terminals) -> Exit {
    let suite = match load(args, err, terminals) {
        Ok(suite) => suite,
        Err(exit) => return exit,
    };
    let order: Vec<usize> = (0..suite.cases.len()).collect();
    let begun = Instant::now();
    let outcomes = runner::run(&suite, jobs(args.jobs), &order, &|_| {});
    let took = begun.elapsed();
    let tally = Tally::of(&outcomes);
    if let Err(error) = print(args, &suite, &outcomes, tally, out) {
        return broken(&error, err);
    }
    if !args.quiet {
        say(err, &format!("run in {:.2} s", took.as_secs_f64()));
    }
    verdict(&outcomes)
}

/// Reads the cases; `Err` after saying what is wrong with them.
fn load(args: &TestArgs, err: &mut dyn Write, terminals: Terminals) -> Result<Suite, Exit> {
    let mut suite = Suite::load(&args.paths);
    for missing in &suite.missing {
        say(err, &format!("error: {missing}"));
    }
    for complaint in suite.complaints(terminals.err) {
        if terminals.err {
            let _ = err.write_all(complaint.as_bytes());
        } else {
            say_lines(err, &complaint);
        }
    }
    if !suite.missing.is_empty() {
        return Err(Exit::Usage);
    }
    if !suite.mistakes.is_empty() {
        return Err(Exit::Rules);
    }
    if !args.filter.is_empty() {
        suite.retain(|case| args.filter.iter().any(|text| named(case, text)));
        if suite.cases.is_empty() {
            say(err, "error: --filter leaves no case");
            return Err(Exit::Usage);
        }
    }
    Ok(suite)
}

/// Whether a text is part of what a case is called or about.
fn named(case: &Case, text: &str) -> bool {
    case.name.contains(text) || case.purpose.contains(text) || case.techniques.iter().any(|id| id.starts_with(text))
}

fn print(args: &TestArgs, suite: &Suite, outcomes: &[Outcome], tally: Tally, out: &mut dyn Write) -> io::Result<()> {
    for (case, outcome) in suite.cases.iter().zip(outcomes) {
        if args.json {
            writeln!(out, "{}", suite.json(case, outcome))?;
        } else if !args.quiet || matches!(outcome.verdict, Verdict::Failed | Verdict::Broken(_)) {
            let text = suite.text(case, outcome, args.verbose);
            out.write_all(safe_lines(&text).as_bytes())?;
            out.write_all(b"\n")?;
        }
    }
    if args.json {
        let Tally { passed, failed, skipped, broken } = tally;
        let summary = json!({ "passed": passed, "failed": failed, "skipped": skipped, "broken": broken });
        writeln!(out, "{}", json!({ "summary": summary }))?;
    } else {
        writeln!(out, "{}", tally.text())?;
    }
    out.flush()
}

/// The exit code by how cases ended.
fn verdict(outcomes: &[Outcome]) -> Exit {
    let any = |wanted: fn(&Verdict) -> bool| outcomes.iter().any(|outcome| wanted(&outcome.verdict));
    if any(|verdict| matches!(verdict, Verdict::Broken(_))) {
        Exit::Unreadable
    } else if any(|verdict| matches!(verdict, Verdict::Failed)) {
        Exit::Alerts
    } else {
        Exit::Complete
    }
}

/// The end of `test --help`.
pub(super) fn after_help() -> String {
    format!(
        "\
Examples:
  casebook-replay test fixtures/
      all cases below a folder
  casebook-replay test --filter T1611 fixtures/
      the cases about one technique

{}
A guide: fixtures/GUIDE.md.",
        exit::help(exit::TEST_EXITS)
    )
}
