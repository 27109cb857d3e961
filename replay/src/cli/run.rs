//! `casebook-replay run`: options to a plan, the plan's reports to a summary and an exit code.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;

use casebook_rules::source::RuleFile;

use super::Terminals;
use super::args::{FormArg, RunArgs};
use super::exit::Exit;
use super::rules;
use super::talk::{Meter, Voice, say};
use crate::inputs::{self, Input};
use crate::output::{Sequencer, push_safe};
use crate::run::{self, Plan, Source};
use crate::summary::{Completeness, Summary};

/// Name of the embedded capture in headings and summaries.
const EXAMPLE_NAME: &str = "(built-in example)";

/// Runs the replay that `args` ask for.
pub(super) fn run(
    args: &RunArgs,
    out: &mut (dyn Write + Send),
    err: &mut (dyn Write + Send),
    terminals: Terminals,
) -> Exit {
    if args.captures.is_empty() && !args.example {
        say(err, "error: no capture given: name files or directories, `-` for standard input, or try --example");
        return Exit::Usage;
    }
    let rule_files = rules::files(args);
    let Some(detector) = rules::detector(args, &rule_files, err, terminals) else { return Exit::Rules };
    let captures = sources(args, err);
    let plan = Plan { rules: detector, form: args.output.into(), span: args.seconds, jobs: jobs(args) };
    let Some(path) = &args.output_file else {
        return replay(args, &plan, &captures, out, err, terminals);
    };
    if let Some(input) = same_file(path, &rule_files, &captures) {
        say(err, &format!("error: {}: the output would overwrite an input ({})", path.display(), input.display()));
        return Exit::Usage;
    }
    match File::create(path) {
        Ok(mut file) => replay(args, &plan, &captures, &mut file, err, Terminals { out: false, ..terminals }),
        Err(error) => {
            say(err, &format!("error: {}: {error}", path.display()));
            Exit::Output
        }
    }
}

/// The captures to replay, failures in their places.
fn sources(args: &RunArgs, err: &mut dyn Write) -> Vec<Source> {
    if args.example {
        return vec![Source::Memory { name: EXAMPLE_NAME.to_owned(), bytes: casebook_fixtures::EXAMPLE }];
    }
    let expansion = inputs::expand(&args.captures);
    if expansion.passed_over > 0 && !args.quiet {
        let files = if expansion.passed_over == 1 { "file does" } else { "files do" };
        say(err, &format!("note: {} {files} not look like a capture and stay out", expansion.passed_over));
    }
    let source = |input| match input {
        Input::Capture(path) => Source::File(path),
        Input::Missing { name, reason } => Source::Missing { name, reason },
    };
    expansion.inputs.into_iter().map(source).collect()
}

fn jobs(args: &RunArgs) -> usize {
    args.jobs.or_else(|| thread::available_parallelism().ok()).map_or(1, std::num::NonZero::get)
}

/// An input that `output` would overwrite.
fn same_file(output: &Path, rules: &[RuleFile], captures: &[Source]) -> Option<PathBuf> {
    let output = fs::canonicalize(output).ok()?;
    let captures = captures.iter().filter_map(|source| match source {
        Source::File(path) => Some(path.clone()),
        _ => None,
    });
    let rules = rules.iter().map(|file| PathBuf::from(file.embedded.as_ref().map_or(&file.name, |outer| &outer.name)));
    captures.chain(rules).find(|input| fs::canonicalize(input).is_ok_and(|input| input == output))
}

/// Bytes of all captures together, where that is known.
fn total_bytes(captures: &[Source]) -> Option<u64> {
    captures
        .iter()
        .map(|source| match source {
            Source::File(path) => fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|file| file.len()),
            Source::Memory { bytes, .. } => Some(bytes.len() as u64),
            Source::Missing { .. } => Some(0),
        })
        .sum()
}

fn replay(
    args: &RunArgs,
    plan: &Plan,
    captures: &[Source],
    out: &mut (dyn Write + Send),
    err: &mut (dyn Write + Send),
    terminals: Terminals,
) -> Exit {
    let mut meter = Meter::new(total_bytes(captures), terminals.err && !args.no_progress && !args.quiet);
    let headings =
        if captures.len() > 1 && !args.quiet { captures.iter().map(Source::name).collect() } else { Vec::new() };
    let mut voice = Voice::new(meter.around(err), headings);
    let mut data = meter.around(out);
    let output = Sequencer::new(&mut data, &mut voice, captures.len(), terminals.out);
    let reports = run::replay(plan, captures, &output, &|bytes, events| meter.advance(bytes, events));
    let written = output.into_result();
    meter.finish();
    let summary = Summary { rules: plan.rules.labels(), captures: reports };
    let written = written.and_then(|()| write_summary(&summary, args.output, out));
    if let Err(error) = written {
        let exit = Exit::of_output(&error);
        if exit == Exit::Output {
            say(err, &format!("error: the output cannot be written: {error}"));
        }
        return exit;
    }
    if captures.len() > 1 && !args.quiet {
        say(err, &tally(&summary));
    }
    exit(args, &summary)
}

/// How the captures of a list fared, in one line.
fn tally(summary: &Summary) -> String {
    let of = |wanted| summary.captures.iter().filter(|capture| capture.completeness == wanted).count();
    let alerting = summary.captures.iter().filter(|capture| capture.alerts() > 0).count();
    let mut parts = vec![format!("{} captures", summary.captures.len()), format!("{alerting} with alerts")];
    for (completeness, words) in
        [(Completeness::Incomplete, "cut off or damaged"), (Completeness::Unreadable, "unreadable")]
    {
        match of(completeness) {
            0 => {}
            n => parts.push(format!("{n} {words}")),
        }
    }
    parts.join(", ")
}

fn write_summary(summary: &Summary, form: FormArg, out: &mut dyn Write) -> io::Result<()> {
    let mut text = Vec::new();
    match form {
        FormArg::Text => summary.text(|line| {
            push_safe(&mut text, line.as_bytes());
            text.push(b'\n');
        }),
        FormArg::Json => {
            let mut json = Vec::new();
            summary.json(&mut json)?;
            push_safe(&mut text, &json);
            text.push(b'\n');
        }
    }
    out.write_all(&text)?;
    out.flush()
}

/// The exit code of a run whose output was written.
fn exit(args: &RunArgs, summary: &Summary) -> Exit {
    if summary.any(Completeness::Unreadable) {
        Exit::Unreadable
    } else if summary.any(Completeness::Incomplete) {
        Exit::Incomplete
    } else if args.fail_on_alert.is_some_and(|priority| summary.reached(priority as usize)) {
        Exit::Alerts
    } else {
        Exit::Complete
    }
}
