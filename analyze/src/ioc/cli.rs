//! `ioc`: which indicators of a list occur in captures, where, when and by whom.

use std::io::{self, Write};
use std::path::PathBuf;

use casebook_formats::terminal::Safe;
use casebook_replay::cli::{Exit, Terminals};
use casebook_replay::summary::iso_time;
use clap::Args;
use serde_json::json;

use super::{Hit, Indicators, hits, wanted};
use crate::load::{LoadArgs, say};
use crate::print::text::json_line;

/// Options of `ioc`.
#[derive(Args, Debug)]
pub struct IocArgs {
    #[command(flatten)]
    load: LoadArgs,

    /// Indicators: one a line (addresses, networks, domains, URLs, paths, names, hashes), CSV with type and value, or a
    /// STIX 2.1 bundle; repeat for more
    #[arg(long, value_name = "FILE", required = true)]
    ioc: Vec<PathBuf>,

    /// End with exit code 1 when something was found
    #[arg(long)]
    fail_on_hit: bool,

    /// One JSON object a hit
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// Runs `ioc`.
///
/// # Errors
///
/// The output could not be written.
pub fn run(args: &IocArgs, out: &mut dyn Write, err: &mut dyn Write, terminals: Terminals) -> io::Result<Exit> {
    let indicators = match Indicators::read(&args.ioc) {
        Ok(indicators) => indicators,
        Err(error) => {
            say(err, &format!("error: --ioc {error}"));
            return Ok(Exit::Usage);
        }
    };
    tell(&indicators, err);
    let loaded = match args.load.load(wanted(), err, terminals) {
        Ok(loaded) => loaded,
        Err(exit) => return Ok(exit),
    };
    let found = hits(&loaded.frames, &indicators);
    for hit in &found.list {
        if args.json { print_json(hit, out)? } else { print_text(hit, out)? }
    }
    let (hits, distinct) = (found.list.len(), distinct(&found.list));
    say(err, &format!("{distinct} of {} indicators occur, in {hits} places", indicators.list.len()));
    if found.left_out > 0 {
        say(err, &format!("warning: {} further hits are not shown", found.left_out));
    }
    Ok(match loaded.exit {
        Exit::Complete if args.fail_on_hit && hits > 0 => Exit::Alerts,
        exit => exit,
    })
}

/// Says what of the lists could not be used.
pub(crate) fn tell(indicators: &Indicators, err: &mut dyn Write) {
    const SHOWN: usize = 5;
    for line in indicators.refused.iter().take(SHOWN) {
        say(err, &format!("note: {line}"));
    }
    let more = indicators.refused_count.saturating_sub(SHOWN as u64);
    if more > 0 {
        say(err, &format!("note: {more} more lines are no indicators"));
    }
}

fn distinct(hits: &[Hit]) -> usize {
    hits.iter().map(|hit| (hit.indicator.kind, &hit.indicator.value)).collect::<std::collections::BTreeSet<_>>().len()
}

fn print_text(hit: &Hit, out: &mut dyn Write) -> io::Result<()> {
    let time =
        hit.first.and_then(|ns| u64::try_from(ns).ok()).map_or_else(|| "before the capture".to_owned(), iso_time);
    let about = if hit.indicator.about.is_empty() { String::new() } else { format!(" ({})", hit.indicator.about) };
    let process = hit.process.as_ref().map(|name| format!(" by {name}")).unwrap_or_default();
    let rows = if hit.rows == 1 { String::new() } else { format!(", {} rows", hit.rows) };
    let line = format!(
        "{time} {} {}{about}: {}.{}{process}: {}{rows} [{}; {}]",
        hit.indicator.kind.name(),
        hit.indicator.value,
        hit.table,
        hit.column,
        hit.value,
        hit.capture,
        hit.indicator.source,
    );
    writeln!(out, "{}", Safe(line.as_bytes()))
}

fn print_json(hit: &Hit, out: &mut dyn Write) -> io::Result<()> {
    let object = json!({
        "kind": hit.indicator.kind.name(),
        "indicator": hit.indicator.value,
        "about": hit.indicator.about,
        "source": hit.indicator.source,
        "table": hit.table,
        "column": hit.column,
        "value": hit.value,
        "capture": hit.capture,
        "upid": hit.upid,
        "process": hit.process,
        "first": hit.first.and_then(|ns| u64::try_from(ns).ok()).map(iso_time),
        "rows": hit.rows,
    });
    writeln!(out, "{}", json_line(&object))
}
