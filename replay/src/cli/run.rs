//! `casebook-replay run`: options to a plan, the plan's reports to a summary and an exit code.

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;

use super::Terminals;
use super::args::{FormArg, RunArgs};
use super::captures::{self, Hearing};
use super::exit::Exit;
use super::rules;
use super::talk::say;
use crate::deliver::Delivery;
use crate::deliver::split::Splitter;
use crate::output::{Sequencer, push_safe};
use crate::run::{self, Plan, Source};
use crate::summary::{Completeness, Summary};
use crate::window::Window;

/// Runs the replay that `args` ask for.
pub(super) fn run(
    args: &RunArgs,
    out: &mut (dyn Write + Send),
    err: &mut (dyn Write + Send),
    terminals: Terminals,
) -> Exit {
    if !captures::are_named(&args.captures, args.example, err) {
        return Exit::Usage;
    }
    let rule_files = rules::files(args);
    let Some(detector) = rules::detector(args, &rule_files, err, terminals) else { return Exit::Rules };
    let mut captures = captures::named(&args.captures, args.example, args.quiet, err);
    let mut jobs = captures::workers(args.jobs);
    jobs.turns.workers = args.turn_workers.map_or(jobs.turns.workers, NonZeroUsize::get);
    jobs.turns.events = args.turn_events.map_or(jobs.turns.events, NonZeroUsize::get);
    let window = Window { from: args.from, to: args.to };
    let board = args.metrics.board();
    let requests = match args.join.requests(&mut captures, args.quiet, err) {
        Ok(requests) => requests,
        Err(exit) => return exit,
    };
    let mut plan = Plan {
        rules: detector,
        form: args.output.into(),
        window,
        span: args.seconds,
        jobs,
        requests,
        deliver: args.deliver.is_wanted(),
        board,
    };
    let Some(path) = &args.output_file else {
        return replay(args, &mut plan, &captures, out, err, terminals);
    };
    let paths =
        rule_files.iter().map(|file| PathBuf::from(file.embedded.as_ref().map_or(&file.name, |outer| &outer.name)));
    match captures::create(path, &captures, paths, err) {
        Ok(mut file) => replay(args, &mut plan, &captures, &mut file, err, Terminals { out: false, ..terminals }),
        Err(exit) => exit,
    }
}

fn replay(
    args: &RunArgs,
    plan: &mut Plan,
    captures: &[Source],
    out: &mut (dyn Write + Send),
    err: &mut (dyn Write + Send),
    terminals: Terminals,
) -> Exit {
    let targets = match args.metrics.targets(captures, err) {
        Ok(targets) => targets,
        Err(exit) => return exit,
    };
    let delivery = match args.deliver.start(err) {
        Ok(delivery) => delivery,
        Err(exit) => {
            targets.give_up();
            return exit;
        }
    };
    let by_time = captures::by_time(args.order, captures, &plan.requests, err);
    let hearing = Hearing { quiet: args.quiet, no_progress: args.no_progress, terminals, by_time };
    let work =
        |output: &Sequencer<'_>, advance: &(dyn Fn(u64, u64) + Sync)| run::replay(plan, captures, output, advance);
    let performed = match &delivery {
        Some(delivery) => captures::perform(captures, hearing, &mut Splitter::new(out, delivery), err, work),
        None => captures::perform(captures, hearing, out, err, work),
    };
    // Also when the output broke: what was found has to arrive.
    let deliveries = delivery.map(Delivery::finish).unwrap_or_default();
    let reports = match performed {
        Ok(reports) => reports,
        Err(exit) => {
            targets.give_up();
            return exit;
        }
    };
    let measured = match plan.board.take() {
        Some(board) => targets.write(board, &plan.rules.facts(), args.quiet, err),
        None => Ok(()),
    };
    let summary = Summary { rules: plan.rules.labels(), captures: reports, deliveries };
    if let Err(error) = write_summary(&summary, args.output, out) {
        return captures::broken(&error, err);
    }
    if captures.len() > 1 && !args.quiet {
        say(err, &tally(&summary));
    }
    measured.err().unwrap_or_else(|| exit(args, &summary))
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
    match captures::exit(&summary.captures) {
        Exit::Complete if summary.undelivered() > 0 => Exit::Undelivered,
        Exit::Complete if args.fail_on_alert.is_some_and(|priority| summary.reached(priority as usize)) => Exit::Alerts,
        exit => exit,
    }
}
