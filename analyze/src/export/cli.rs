//! `export`: captures as data of other programs.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use casebook_replay::cli::{Exit, Terminals};
use casebook_replay::inputs::{Input, expand};
use casebook_replay::summary::iso_time;
use clap::{ArgGroup, Args};
use polars::prelude::{ChunkApply as _, DataFrame, IntoSeries as _};

use super::dataset::{self, Csv};
use super::mapping::{Mapping, records};
use super::perfetto::Trace;
use super::{ecs, ocsf, timesketch};
use crate::frames::{Error, Frames, LIFE_BITS, Wanted};
use crate::load::{LoadArgs, Loaded, say};
use crate::print::text::json_line;
use crate::schema::TABLES;

/// Options of `export`.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("form").required(true).args(["parquet", "csv", "ecs", "ocsf", "timesketch", "perfetto"]))]
pub struct ExportArgs {
    #[command(flatten)]
    load: LoadArgs,

    /// Parquet data set in this folder, by table, date and host
    #[arg(long, value_name = "DIR", help_heading = "Forms")]
    parquet: Option<PathBuf>,

    /// CSV files in this folder, one a table
    #[arg(long, value_name = "DIR", help_heading = "Forms")]
    csv: Option<PathBuf>,

    /// Elastic Common Schema, a JSON object a line
    #[arg(long, value_name = "FILE", help_heading = "Forms")]
    ecs: Option<PathBuf>,

    /// Open Cybersecurity Schema Framework, a JSON object a line
    #[arg(long, value_name = "FILE", help_heading = "Forms")]
    ocsf: Option<PathBuf>,

    /// Timesketch, a JSON object a line
    #[arg(long, value_name = "FILE", help_heading = "Forms")]
    timesketch: Option<PathBuf>,

    /// Chrome trace for ui.perfetto.dev: process lives, execs and alerts
    #[arg(long, value_name = "FILE", help_heading = "Forms")]
    perfetto: Option<PathBuf>,

    /// Also every single event (Parquet and CSV; they are many)
    #[arg(long)]
    events: bool,
}

/// Runs `export`. Files are named; `-` is standard output.
///
/// # Errors
///
/// The output could not be written.
pub fn run(args: &ExportArgs, out: &mut dyn Write, err: &mut dyn Write, terminals: Terminals) -> io::Result<Exit> {
    let done = match (&args.parquet, &args.csv) {
        (Some(folder), _) => parquet(args, folder, err, terminals),
        (_, Some(folder)) => csv(args, folder, err, terminals),
        _ => lines(args, out, err, terminals),
    };
    match done {
        Ok(exit) => Ok(exit),
        Err(Error::Io(error)) => Err(error),
        Err(error) => {
            say(err, &format!("error: {error}"));
            Ok(Exit::Output)
        }
    }
}

/// Captures one by one: memory holds the tables of one.
fn each(
    args: &ExportArgs,
    wanted: &Wanted,
    err: &mut dyn Write,
    terminals: Terminals,
    one: &mut dyn FnMut(&mut Frames) -> Result<(), Error>,
) -> Result<Exit, Error> {
    let mut worst = Exit::Complete;
    let inputs: Vec<PathBuf> = if args.load.example {
        vec![PathBuf::new()]
    } else {
        expand(&args.load.captures)
            .inputs
            .into_iter()
            .map(|input| match input {
                Input::Capture(path) => path,
                Input::Missing { name, .. } => PathBuf::from(name),
            })
            .collect()
    };
    for (ordinal, path) in inputs.into_iter().enumerate() {
        let load =
            if args.load.example { args.load.clone() } else { LoadArgs { captures: vec![path], ..args.load.clone() } };
        let Loaded { mut frames, exit, .. } = match load.load_with_rules(wanted.clone(), err, terminals) {
            Ok(loaded) => loaded,
            Err(exit) => return Ok(exit),
        };
        number(&mut frames, ordinal as u64)?;
        one(&mut frames)?;
        worst = match (worst, exit) {
            (Exit::Unreadable, _) | (_, Exit::Unreadable) => Exit::Unreadable,
            (Exit::Complete, exit) => exit,
            (worst, _) => worst,
        };
    }
    Ok(worst)
}

/// Puts the number of the capture in front of keys of lives: each was loaded as if it were the only one.
fn number(frames: &mut Frames, ordinal: u64) -> Result<(), Error> {
    if ordinal == 0 {
        return Ok(());
    }
    let tables: Vec<(&'static str, DataFrame)> = frames.tables().map(|(name, frame)| (name, frame.clone())).collect();
    for (table, mut frame) in tables {
        for column in ["upid", "parent_upid"] {
            let Ok(lives) = frame.column(column) else { continue };
            let numbered = lives.as_materialized_series().u64()?.apply_values(|life| life + (ordinal << LIFE_BITS));
            frame.with_column(numbered.into_series().into())?;
        }
        frames.insert(table, frame);
    }
    Ok(())
}

/// The tables of data sets.
fn tables(args: &ExportArgs) -> Vec<&'static str> {
    TABLES
        .iter()
        .map(|table| table.name)
        .filter(|name| (args.events || *name != "events") && *name != "packets")
        .collect()
}

fn parquet(args: &ExportArgs, folder: &Path, err: &mut dyn Write, terminals: Terminals) -> Result<Exit, Error> {
    let tables = tables(args);
    let mut files = 0;
    let exit = each(args, &Wanted::tables(&tables), err, terminals, &mut |frames| {
        let captures = frames.view("captures");
        let first = captures.ints("first").into_iter().flatten().next().and_then(|ns| u64::try_from(ns).ok());
        let day = iso_time(first.unwrap_or(0))[..10].to_owned();
        let name = captures.texts("capture").into_iter().flatten().next().unwrap_or("capture").to_owned();
        let stem = dataset::safe_name(name.rsplit('/').next().unwrap_or(&name));
        // Another capture of the same name is another file.
        let digest = captures.texts("digest").into_iter().flatten().next().unwrap_or("stream").to_owned();
        let name = format!("{stem}-{}", &digest[..digest.len().min(16)]);
        for table in &tables {
            files += dataset::parquet(folder, table, frames.frame(table), &day, &name)?;
        }
        Ok(())
    })?;
    say(err, &format!("{files} files in {}", folder.display()));
    Ok(exit)
}

fn csv(args: &ExportArgs, folder: &Path, err: &mut dyn Write, terminals: Terminals) -> Result<Exit, Error> {
    let tables = tables(args);
    let mut files = Csv::new(folder)?;
    let exit = each(args, &Wanted::tables(&tables), err, terminals, &mut |frames| {
        tables.iter().try_for_each(|table| files.add(table, frames.frame(table)))
    })?;
    let files = files.end()?;
    say(err, &format!("{files} files in {}", folder.display()));
    Ok(exit)
}

/// Forms that are one file of text.
fn lines(args: &ExportArgs, out: &mut dyn Write, err: &mut dyn Write, terminals: Terminals) -> Result<Exit, Error> {
    let path = [&args.ecs, &args.ocsf, &args.timesketch, &args.perfetto].into_iter().flatten().next();
    let path = path.map_or(Path::new("-"), PathBuf::as_path);
    if path == Path::new("-") {
        return written(args, out, err, terminals);
    }
    let mut file = BufWriter::new(File::create(path)?);
    let exit = written(args, &mut file, err, terminals)?;
    file.flush()?;
    Ok(exit)
}

fn written(args: &ExportArgs, out: &mut dyn Write, err: &mut dyn Write, terminals: Terminals) -> Result<Exit, Error> {
    let wanted = Wanted::tables(&[
        "captures",
        "alerts",
        "execs",
        "processes",
        "files",
        "network",
        "dns",
        "containers",
        "k8s_audit",
    ]);
    let mut count = 0;
    let exit = if args.perfetto.is_some() {
        let mut trace = Trace::new(out);
        let exit = each(args, &wanted, err, terminals, &mut |frames| {
            count += trace.add(frames)?;
            Ok(())
        })?;
        trace.end()?;
        exit
    } else if args.timesketch.is_some() {
        each(args, &wanted, err, terminals, &mut |frames| {
            count += timesketch::write(frames, out)?;
            Ok(())
        })?
    } else {
        let mappings: &[Mapping] = if args.ecs.is_some() { ecs::MAPPINGS } else { ocsf::MAPPINGS };
        each(args, &wanted, err, terminals, &mut |frames| {
            for mapping in mappings {
                records(mapping, frames.frame(mapping.table), &mut |record| {
                    count += 1;
                    writeln!(out, "{}", json_line(record))
                })?;
            }
            Ok(())
        })?
    };
    say(err, &format!("{count} records"));
    Ok(exit)
}
