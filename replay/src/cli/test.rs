//! `casebook-replay test`: cases to verdicts.
//!
//! Finding, reading, running and judging cases is the business of [`crate::lab`]; here stand the options, the order of
//! the steps, and the exit code.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use casebook_formats::terminal::safe_lines;
use clap::Args;
use serde_json::json;

use super::Terminals;
use super::args::PriorityArg;
use super::captures::{broken, jobs};
use super::exit::{self, Exit};
use super::ruleset::RuleArgs;
use super::talk::{say, say_lines};
use crate::lab::case::Case;
use crate::lab::changes::Snapshot;
use crate::lab::results::Tally;
use crate::lab::runner::{self, Outcome, Verdict};
use crate::lab::suite::Suite;
use crate::lab::{bless, junit, page, provenance, repeat};

mod baseline;

/// How often `--watch` looks for changes.
const LOOK_EVERY: Duration = Duration::from_millis(150);
/// Runs of `--verify-determinism` without a number.
const DEFAULT_RUNS: &str = "8";
/// Most runs of `--verify-determinism`.
const MAX_RUNS: usize = 10_000;

/// Options of `test`.
// Switches of a command line are what they are: each is on its own.
#[allow(clippy::struct_excessive_bools)]
#[derive(Args, Debug)]
pub(super) struct TestArgs {
    /// Folders with cases (`case.yaml`, at any depth), or case files
    #[arg(value_name = "PATH", required_unless_present_any = ["baseline", "docs"])]
    paths: Vec<PathBuf>,

    /// Run only cases whose name or purpose contains this text, or whose technique begins with it; repeat for more
    #[arg(long, value_name = "TEXT")]
    filter: Vec<String>,

    /// Cases to run at the same time [default: one per CPU]
    ///
    /// The output is the same, byte for byte, whatever the number.
    #[arg(short = 'j', long = "jobs", value_name = "N")]
    jobs: Option<NonZeroUsize>,

    /// Make cases that fail expect what happened: edits case.yaml, keeps comments and order
    #[arg(long, conflicts_with_all = ["watch", "verify_determinism"])]
    bless: bool,

    /// Run again whenever a case, a rule file or a capture changes
    #[arg(long, conflicts_with_all = ["json", "junit", "digest", "verify_determinism", "baseline"])]
    watch: bool,

    /// Run the cases N more times, with several numbers of threads and in shuffled order, and compare the results byte
    /// by byte
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = DEFAULT_RUNS)]
    verify_determinism: Option<usize>,

    /// Captures of ordinary work (files or folders), on which rules as strong as --baseline-limit must not fire; prints
    /// how noisy each rule is. Repeat for more
    #[arg(long, value_name = "DIR", help_heading = "Baseline")]
    baseline: Vec<PathBuf>,

    /// Rules of this priority or stronger must not fire on the baseline
    #[arg(long, value_name = "PRIORITY", default_value = "warning", ignore_case = true, help_heading = "Baseline")]
    baseline_limit: PriorityArg,

    #[command(flatten)]
    rules: RuleArgs,

    /// Print one JSON object a case, then {"summary": ...}
    #[arg(long, help_heading = "Output")]
    json: bool,

    /// Also write the results to this file, as `JUnit` XML; `-` is standard output, in place of the lines
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    junit: Option<PathBuf>,

    /// Also print the BLAKE3 digest of the results
    #[arg(long, help_heading = "Output")]
    digest: bool,

    /// Also list what fired in cases that pass
    #[arg(short = 'v', long, help_heading = "Output")]
    verbose: bool,

    /// Print only cases that do not pass, and the summary
    #[arg(short = 'q', long, help_heading = "Output")]
    quiet: bool,

    /// Print where the captures of the cases come from and their licences, as a page of Markdown; run nothing
    #[arg(long, conflicts_with_all = ["bless", "watch", "json", "junit", "digest", "verify_determinism", "baseline"], help_heading = "Output")]
    provenance: bool,

    /// Print the reference page of case files (fixtures/CASES.md in the source)
    #[arg(long, exclusive = true)]
    docs: bool,
}

/// Runs the tests that `args` ask for.
pub(super) fn run(args: &TestArgs, out: &mut dyn Write, err: &mut dyn Write, terminals: Terminals) -> Exit {
    if args.docs {
        return match out.write_all(page::cases().as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => Exit::Complete,
            Err(error) => broken(&error, err),
        };
    }
    if args.baseline.is_empty() && (!args.rules.rules.is_empty() || args.rules.default_rules) {
        say(err, "error: cases name their rules themselves; -r and --default-rules are for --baseline");
        return Exit::Usage;
    }
    if args.verify_determinism.is_some_and(|runs| runs == 0 || runs > MAX_RUNS) {
        say(err, &format!("error: --verify-determinism takes 1 to {MAX_RUNS} runs"));
        return Exit::Usage;
    }
    if args.watch {
        return watch(args, out, err, terminals);
    }
    if args.provenance {
        return match load(args, err, terminals) {
            Ok(suite) => match out.write_all(provenance::page(&suite).as_bytes()).and_then(|()| out.flush()) {
                Ok(()) => Exit::Complete,
                Err(error) => broken(&error, err),
            },
            Err(exit) => exit,
        };
    }
    let mut exit = Exit::Complete;
    if !args.paths.is_empty() {
        exit = match load(args, err, terminals) {
            Ok(suite) => cases(args, suite, out, err, terminals),
            Err(exit) => exit,
        };
    }
    if args.baseline.is_empty() || matches!(exit, Exit::Usage | Exit::Rules | Exit::Output | Exit::BrokenPipe) {
        return exit;
    }
    worse(exit, baseline::run(args, out, err, terminals))
}

/// The code to end with, of two.
fn worse(one: Exit, other: Exit) -> Exit {
    let order = [Exit::Usage, Exit::Rules, Exit::Output, Exit::BrokenPipe, Exit::Unreadable, Exit::Alerts];
    order.into_iter().find(|exit| [one, other].contains(exit)).unwrap_or(Exit::Complete)
}

/// Runs the cases of a suite, prints and writes what was asked for.
fn cases(args: &TestArgs, mut suite: Suite, out: &mut dyn Write, err: &mut dyn Write, terminals: Terminals) -> Exit {
    let mut outcomes = Vec::new();
    for blessed in [false, true] {
        let begun = Instant::now();
        let order: Vec<usize> = (0..suite.cases.len()).collect();
        outcomes = runner::run(&suite, jobs(args.jobs), &order, &|_| {});
        if !args.quiet {
            say(err, &format!("run in {:.2} s", begun.elapsed().as_secs_f64()));
        }
        if !args.bless || blessed || !outcomes.iter().any(|outcome| outcome.verdict == Verdict::Failed) {
            break;
        }
        match blessing(&suite, &outcomes, err) {
            Ok(false) => break,
            Ok(true) => match load(args, err, terminals) {
                Ok(again) => suite = again,
                Err(exit) => return exit,
            },
            Err(exit) => return exit,
        }
    }
    let instead = args.junit.as_ref().is_some_and(|path| path.as_os_str() == "-");
    let printed = if instead { junit::write(&suite, &outcomes, out) } else { print(args, &suite, &outcomes, out) };
    if let Err(error) = printed.and_then(|()| out.flush()) {
        return broken(&error, err);
    }
    if let Some(path) = args.junit.as_ref().filter(|_| !instead) {
        let written = File::create(path).and_then(|file| {
            let mut file = BufWriter::new(file);
            junit::write(&suite, &outcomes, &mut file)?;
            file.flush()
        });
        if let Err(error) = written {
            say(err, &format!("error: {}: {error}", path.display()));
            return Exit::Output;
        }
    }
    let verdict = verdict(&outcomes);
    match args.verify_determinism {
        None => verdict,
        Some(runs) => worse(verdict, determinism(args, &suite, &outcomes, runs, err)),
    }
}

/// Blesses; whether anything was changed.
fn blessing(suite: &Suite, outcomes: &[Outcome], err: &mut dyn Write) -> Result<bool, Exit> {
    match bless::bless(suite, outcomes) {
        Ok(blessing) => {
            for left in &blessing.left {
                say(err, &format!("warning: cannot be blessed: {left}"));
            }
            for file in &blessing.files {
                say(err, &format!("blessed {}", file.display()));
            }
            Ok(!blessing.files.is_empty())
        }
        Err(error) => {
            say(err, &format!("error: a case cannot be written: {error}"));
            Err(Exit::Output)
        }
    }
}

/// Runs everything again and compares.
fn determinism(args: &TestArgs, suite: &Suite, outcomes: &[Outcome], runs: usize, err: &mut dyn Write) -> Exit {
    let again = || {
        let mut suite = Suite::load(&args.paths);
        keep(args, &mut suite);
        suite
    };
    match repeat::verify(&repeat::lines(suite, outcomes), runs, again) {
        Ok(()) => {
            say(err, &format!("{} runs gave the same bytes", runs + 1));
            Exit::Complete
        }
        Err(difference) => {
            let repeat::Difference { run, threads, case } = difference;
            say(err, &format!("error: run {run}, with {threads} threads, differs from the first one in {case}"));
            Exit::Alerts
        }
    }
}

/// Runs, and again at each change, until the output goes away.
fn watch(args: &TestArgs, out: &mut dyn Write, err: &mut dyn Write, terminals: Terminals) -> Exit {
    loop {
        let files = match load(args, err, terminals) {
            Ok(suite) => {
                let files = suite.files.clone();
                let exit = cases(args, suite, out, err, terminals);
                if matches!(exit, Exit::Output | Exit::BrokenPipe) {
                    return exit;
                }
                files
            }
            // What is wrong has been said; the next change may mend it.
            Err(_) => Vec::new(),
        };
        let before = Snapshot::of(&args.paths, &files);
        say(err, "waiting for changes");
        loop {
            thread::sleep(LOOK_EVERY);
            let now = Snapshot::of(&args.paths, &files);
            if let Some(path) = before.changed(&now) {
                say(err, &format!("{} changed", path.display()));
                break;
            }
        }
    }
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
    if !suite.mistakes.is_empty() || suite.rules.iter().any(|book| book.outcome.has_errors()) {
        return Err(Exit::Rules);
    }
    if !suite.missing.is_empty() {
        return Err(Exit::Usage);
    }
    keep(args, &mut suite);
    if suite.cases.is_empty() {
        say(err, if args.filter.is_empty() { "error: there is no case" } else { "error: --filter leaves no case" });
        return Err(Exit::Usage);
    }
    Ok(suite)
}

/// Carries out `--filter`.
fn keep(args: &TestArgs, suite: &mut Suite) {
    if !args.filter.is_empty() {
        suite.retain(|case| args.filter.iter().any(|text| named(case, text)));
    }
}

/// Whether a text is part of what a case is called or about.
fn named(case: &Case, text: &str) -> bool {
    case.name.contains(text) || case.purpose.contains(text) || case.techniques.iter().any(|id| id.starts_with(text))
}

fn print(args: &TestArgs, suite: &Suite, outcomes: &[Outcome], out: &mut dyn Write) -> io::Result<()> {
    let tally = Tally::of(outcomes);
    for (case, outcome) in suite.cases.iter().zip(outcomes) {
        if args.json {
            writeln!(out, "{}", suite.json(case, outcome))?;
        } else if !args.quiet || matches!(outcome.verdict, Verdict::Failed | Verdict::Broken(_)) {
            let text = suite.text(case, outcome, args.verbose);
            out.write_all(safe_lines(&text).as_bytes())?;
            out.write_all(b"\n")?;
        }
    }
    let digest = args.digest.then(|| repeat::digest(&repeat::lines(suite, outcomes)));
    if args.json {
        let Tally { passed, failed, skipped, broken } = tally;
        let mut summary = json!({ "passed": passed, "failed": failed, "skipped": skipped, "broken": broken });
        if let Some(digest) = digest {
            summary["digest"] = digest.into();
        }
        writeln!(out, "{}", json!({ "summary": summary }))?;
    } else {
        writeln!(out, "{}", tally.text())?;
        if let Some(digest) = digest {
            writeln!(out, "digest: blake3:{digest}")?;
        }
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
  casebook-replay test --filter T1611 -v fixtures/
      the cases about one technique, and what fired in them
  casebook-replay test --watch my-rules/
      while writing a rule and its cases
  casebook-replay test --bless my-rules/
      expect what happened; look at the difference before you commit it
  casebook-replay test --junit results.xml --verify-determinism 8 fixtures/
      for a CI job
  casebook-replay test --baseline captures/benign/ -r my-rules/
      how noisy rules are on ordinary work

{}
Standard output carries the results, the same bytes every time; times go to standard error. How cases are written:
casebook-replay test --docs, and the guide fixtures/GUIDE.md.",
        exit::help(exit::TEST_EXITS)
    )
}
