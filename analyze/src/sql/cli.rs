//! `casebook-analyze sql`.

use std::io::{self, Write};

use casebook_replay::cli::{Exit, Terminals};
use clap::Args;
use polars::prelude::IntoLazy as _;
use polars::sql::SQLContext;

use crate::frames::Wanted;
use crate::load::{LoadArgs, say};

/// Options of `sql`.
#[derive(Args, Debug)]
pub struct SqlArgs {
    #[command(flatten)]
    load: LoadArgs,

    /// The question; tables and columns stand in analyze/TABLES.md
    #[arg(short = 'c', long, value_name = "SQL")]
    query: String,
}

/// Asks, and prints.
///
/// # Errors
///
/// When the output cannot be written.
pub fn run(args: &SqlArgs, out: &mut dyn Write, err: &mut dyn Write, terminals: Terminals) -> io::Result<Exit> {
    let loaded = match args.load.load(Wanted::all(), err, terminals) {
        Ok(loaded) => loaded,
        Err(exit) => return Ok(exit),
    };
    let mut context = SQLContext::new();
    for (name, frame) in loaded.frames.tables() {
        context.register(name, frame.clone().lazy());
    }
    match context.execute(&args.query).and_then(|lazy| lazy.collect()) {
        Ok(frame) => writeln!(out, "{frame}")?,
        Err(error) => {
            say(err, &format!("error: {error}"));
            return Ok(Exit::Usage);
        }
    }
    Ok(loaded.exit)
}
