//! How an answer is to be written: the options of all commands that answer with one frame, and writing it so.
//!
//! Frames come from SQL ([`crate::sql`]) or from views; what a form looks like is said in [`super`].

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use casebook_replay::cli::{Exit, Terminals};
use clap::Args;
use polars::prelude::DataFrame;

use super::Format;
use crate::frames::Error;
use crate::load::say;

/// Options of the output.
#[derive(Args, Debug)]
pub struct Form {
    /// Form of the answer [default: by the ending of -o, else a table]
    #[arg(long, value_name = "FORM", help_heading = "Output")]
    pub(crate) format: Option<Format>,

    /// File for the answer instead of standard output
    #[arg(short = 'o', long, value_name = "FILE", help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,

    /// Print to a terminal without a pager
    #[arg(long, help_heading = "Output")]
    no_pager: bool,
}

/// Writes an answer; gives `exit` when that can be done.
pub(crate) fn delivered(
    answer: &DataFrame,
    form: &Form,
    exit: Exit,
    (out, err): (&mut dyn Write, &mut dyn Write),
    terminals: Terminals,
) -> io::Result<Exit> {
    match deliver(answer, form, out, terminals) {
        Ok(()) => Ok(exit),
        // A pipe may go away; a file that cannot be written is told by its name.
        Err(Error::Io(error)) if form.output.is_none() => Err(error),
        Err(error) => {
            let name = form.output.as_ref().map(|path| format!("{}: ", path.display())).unwrap_or_default();
            say(err, &format!("error: {name}{error}"));
            Ok(Exit::Output)
        }
    }
}

/// Writes an answer where it was asked for.
fn deliver(answer: &DataFrame, form: &Form, out: &mut dyn Write, terminals: Terminals) -> Result<(), Error> {
    let by_name = form.output.as_ref().and_then(|path| Format::of_name(&path.to_string_lossy()));
    let format = form.format.or(by_name).unwrap_or(Format::Table);
    if let Some(path) = &form.output {
        let mut file = io::BufWriter::new(fs::File::create(path)?);
        super::write(answer, format, None, &mut file)?;
        return Ok(file.flush()?);
    }
    if format.is_binary() && terminals.out {
        return Err(Error::Arrow("binary data is not written to a terminal: use -o FILE or a pipe".to_owned()));
    }
    super::show(answer, format, terminals.out, !form.no_pager, out)
}
