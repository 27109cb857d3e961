//! `casebook-analyze report`.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use casebook_replay::cli::{Exit, Terminals};
use clap::Args;

use super::gather::{self, Heading};
use super::model::Report;
use super::{html, json, markdown};
use crate::ioc::{self, Indicators};
use crate::load::{LoadArgs, say};

/// Options of `report`.
#[derive(Args, Debug)]
pub struct ReportArgs {
    #[command(flatten)]
    load: LoadArgs,

    /// File to write [default: standard output]; a name that ends in .json or .md asks for that form
    #[arg(short = 'o', long, value_name = "FILE", help_heading = "Output")]
    output: Option<PathBuf>,

    /// The content for machines, as JSON (analyze/REPORT.md documents it)
    #[arg(long, conflicts_with = "md", help_heading = "Output")]
    json: bool,

    /// A short form for tickets, as Markdown
    #[arg(long, help_heading = "Output")]
    md: bool,

    /// Indicators to look for: one a line (addresses, networks, domains, URLs, paths, names, hashes), CSV with type and
    /// value, or a STIX 2.1 bundle; repeat for more
    #[arg(long, value_name = "FILE", help_heading = "Indicators")]
    ioc: Vec<PathBuf>,

    /// Headline [default: the name of the capture, or how many there are]
    #[arg(long, value_name = "TEXT", help_heading = "Output")]
    title: Option<String>,

    /// The case that the report belongs to, shown above the headline
    #[arg(long, value_name = "TEXT", help_heading = "Output")]
    case: Option<String>,
}

/// What stands below the options in the help.
pub const AFTER_HELP: &str = "\
The page is one file without any reference to the outside: it can be mailed, printed and archived.
Without -r, the built-in rules are asked. The same captures, rules and options give the same bytes.

Examples:
  casebook-analyze report incident.scap -o report.html
  casebook-analyze report -r rules/ --ioc feed.csv --case IR-17 evidence/ -o report.html
  casebook-analyze report --md incident.scap | xclip
";

/// The three forms of a report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Html,
    Json,
    Markdown,
}

impl ReportArgs {
    fn form(&self) -> Form {
        let ending = self.output.as_deref().and_then(Path::extension).and_then(|ending| ending.to_str());
        match (self.json, self.md, ending) {
            (true, ..) => Form::Json,
            (_, true, _) => Form::Markdown,
            (_, _, Some("json")) => Form::Json,
            (_, _, Some("md")) => Form::Markdown,
            _ => Form::Html,
        }
    }

    /// An input that the output would overwrite.
    fn overwritten(&self, output: &Path) -> Option<&Path> {
        let output = fs::canonicalize(output).ok()?;
        let inputs = self.load.captures.iter().chain(&self.load.rules).chain(&self.ioc);
        let same = |input: &&PathBuf| fs::canonicalize(input).is_ok_and(|input| input == output);
        inputs.into_iter().find(same).map(PathBuf::as_path)
    }
}

/// Reads the captures and writes the report.
///
/// # Errors
///
/// When standard output cannot be written.
pub fn run(args: &ReportArgs, out: &mut dyn Write, err: &mut dyn Write, terminals: Terminals) -> io::Result<Exit> {
    let form = args.form();
    if args.output.is_none() && terminals.out && form == Form::Html {
        say(err, "error: this would fill the terminal with HTML: name a file with -o, or ask for --md or --json");
        return Ok(Exit::Usage);
    }
    if let Some(output) = &args.output {
        if let Some(input) = args.overwritten(output) {
            let (output, input) = (output.display(), input.display());
            say(err, &format!("error: {output}: the output would overwrite an input ({input})"));
            return Ok(Exit::Usage);
        }
        // Told before the captures are read, which can take minutes.
        if output.is_dir() || output.parent().is_some_and(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
            say(err, &format!("error: {}: no file can be written there", output.display()));
            return Ok(Exit::Output);
        }
    }
    let indicators = if args.ioc.is_empty() {
        None
    } else {
        match Indicators::read(&args.ioc) {
            Ok(indicators) => Some(indicators),
            Err(error) => {
                say(err, &format!("error: --ioc {error}"));
                return Ok(Exit::Usage);
            }
        }
    };
    let wanted = match &indicators {
        None => gather::wanted(),
        Some(indicators) => {
            ioc::cli::tell(indicators, err);
            gather::wanted().and(ioc::wanted())
        }
    };
    let loaded = match args.load.load_with_rules(wanted, err, terminals) {
        Ok(loaded) => loaded,
        Err(exit) => return Ok(exit),
    };
    let heading = Heading { title: args.title.clone(), case: args.case.clone() };
    let report = gather::report(&loaded, indicators.as_ref(), &heading);
    let exit = loaded.exit;
    // The tables can be large; the report is not.
    drop(loaded);
    let text = match text(&report, form) {
        Ok(text) => text,
        Err(error) => {
            say(err, &format!("error: the report could not be made: {error}"));
            return Ok(Exit::Output);
        }
    };
    match &args.output {
        None => out.write_all(text.as_bytes())?,
        Some(path) => {
            if let Err(error) = fs::write(path, text) {
                say(err, &format!("error: {}: {error}", path.display()));
                return Ok(Exit::Output);
            }
        }
    }
    Ok(exit)
}

fn text(report: &Report, form: Form) -> Result<String, String> {
    match form {
        Form::Html => html::page(report).map_err(|error| error.to_string()),
        Form::Json => json::text(report).map_err(|error| error.to_string()),
        Form::Markdown => Ok(markdown::text(report)),
    }
}
