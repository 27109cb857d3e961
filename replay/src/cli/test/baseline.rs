//! `test --baseline`: captures of ordinary work to a table of noise.

use std::io::{self, Write};

use casebook_formats::terminal::Safe;
use casebook_rules::priority::Priority;
use casebook_rules::ruleset::Matching;
use serde_json::json;

use super::TestArgs;
use crate::cli::Terminals;
use crate::cli::captures::{self, Hearing, broken, jobs, tell_ledger};
use crate::cli::exit::Exit;
use crate::cli::talk::say;
use crate::lab::baseline::{Baseline, measure};
use crate::summary::{CaptureReport, Completeness};

/// Measures the baseline.
pub(super) fn run(args: &TestArgs, out: &mut dyn Write, err: &mut dyn Write, terminals: Terminals) -> Exit {
    let Some(loaded) = args.rules.load(args.quiet, err, terminals) else { return Exit::Rules };
    let sources = captures::sources(&args.baseline, args.quiet, err);
    if sources.is_empty() {
        say(err, "error: --baseline: no capture there");
        return Exit::Usage;
    }
    let hearing = Hearing { quiet: args.quiet, no_progress: false, terminals, by_time: false };
    let mut meter = hearing.meter(&sources);
    let limit: Priority = args.baseline_limit.into();
    let advance = |bytes, events| meter.advance(bytes, events);
    let baseline = measure(&loaded.rules, &sources, Matching::First, limit, jobs(args.jobs), &advance);
    meter.finish();
    for report in baseline.reports.iter().filter(|report| report.completeness != Completeness::Complete) {
        let name = if report.error.is_some() { String::new() } else { format!("{}: ", report.name) };
        say(err, &format!("warning: {name}{}", report.error.as_deref().unwrap_or("not read to its end")));
    }
    if !args.quiet {
        tell_ledger(&CaptureReport::merged_ledger(&baseline.reports), err);
    }
    if let Err(error) = print(args, &baseline, limit, out) {
        return broken(&error, err);
    }
    match captures::exit(&baseline.reports) {
        Exit::Complete | Exit::Incomplete if baseline.failed() => Exit::Alerts,
        Exit::Incomplete => Exit::Unreadable,
        exit => exit,
    }
}

fn print(args: &TestArgs, baseline: &Baseline, limit: Priority, out: &mut dyn Write) -> io::Result<()> {
    let read = |report: &&CaptureReport| report.completeness != Completeness::Unreadable;
    let (captures, events) = (baseline.reports.iter().filter(read).count(), baseline.events());
    if args.json {
        let body = json!({
            "captures": captures,
            "events": events,
            "limit": limit.name(),
            "failed": baseline.failed(),
            "noise": baseline.noise,
        });
        writeln!(out, "{}", json!({ "baseline": body }))?;
        return out.flush();
    }
    let plural = if captures == 1 { "capture" } else { "captures" };
    writeln!(out, "baseline: {captures} {plural}, {events} events")?;
    if baseline.noise.is_empty() {
        writeln!(out, "  no rule fired")?;
    }
    let width = baseline.noise.iter().map(|noise| noise.rule.chars().count()).max().unwrap_or(0).max(4);
    for (at, noise) in baseline.noise.iter().enumerate() {
        if at == 0 {
            writeln!(
                out,
                "  {:<13} {:<width$} {:>7} {:>8} {:>10}",
                "priority", "rule", "alerts", "captures", "per 10^6"
            )?;
        }
        let per_million = noise.alerts.saturating_mul(1_000_000).checked_div(events).unwrap_or(0);
        let mark = if noise.too_strong { "  too noisy" } else { "" };
        let (priority, files) = (noise.priority, noise.captures.len());
        let rule = Safe(noise.rule.as_bytes()).to_string();
        writeln!(out, "  {priority:<13} {rule:<width$} {:>7} {files:>8} {per_million:>10}{mark}", noise.alerts)?;
        if noise.too_strong {
            for capture in &noise.captures {
                writeln!(out, "  {:<13} in {}", "", Safe(capture.as_bytes()))?;
            }
        }
    }
    let verdict = match (captures, baseline.failed()) {
        (0, _) => "unknown, as no capture could be read",
        (_, true) => "noisy",
        (_, false) => "quiet",
    };
    writeln!(out, "the baseline is {verdict}: rules from {} up must not fire", limit.name())?;
    out.flush()
}
