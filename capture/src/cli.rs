//! The command line: `casebook-capture check`.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::check::{self, Finding, Verdict};
use crate::host::Host;

/// Recording would work here.
const EXIT_READY: u8 = 0;
/// Something that recording needs is missing, or could not be found out.
const EXIT_NOT_READY: u8 = 1;
/// Wrong use of the command, or its output could not be written.
const EXIT_USAGE: u8 = 2;

const NOT_BUILT: &str = "Recording itself is not built yet: this command only says what this machine offers. Casebook replays captures of Falco and sysdig.";

/// The recorder of Casebook. Recording itself is not built yet.
#[derive(Parser)]
#[command(name = "casebook-capture", version, after_help = EXIT_CODES)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  everything that recording needs is there
  1  something is missing, or could not be found out
  2  wrong use of the command, or output could not be written";

#[derive(Subcommand)]
enum Command {
    /// Says what this kernel offers for recording, and what is missing.
    #[command(after_help = EXIT_CODES)]
    Check {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
        /// Read `proc` and `sys` below this folder instead of `/`.
        #[arg(long, value_name = "DIR", default_value = "/")]
        root: PathBuf,
    },
}

/// Runs the command; `args` begins with the program's name.
pub fn run<I>(args: I, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode
where
    I: IntoIterator,
    I::Item: Into<OsString> + Clone,
{
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(refused) => {
            // Nobody is left to be told when the sink is gone.
            if refused.use_stderr() {
                let _ = write!(err, "{}", refused.render());
                return ExitCode::from(EXIT_USAGE);
            }
            let _ = write!(out, "{}", refused.render());
            return ExitCode::from(EXIT_READY);
        }
    };
    let Command::Check { json, root } = args.command;
    match check_host(&root, json, out) {
        Ok(code) => ExitCode::from(code),
        // The reader has heard enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::from(EXIT_USAGE),
        Err(error) => {
            let _ = writeln!(err, "casebook-capture: {error}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn check_host(root: &Path, json: bool, out: &mut dyn Write) -> std::io::Result<u8> {
    let findings = check::findings(&Host::read(root));
    let ready = check::overall(&findings) <= Verdict::Note;
    if json {
        writeln!(out, "{}", as_json(&findings, ready))?;
    } else {
        for finding in &findings {
            writeln!(out, "{:<8}{:<18}{}", finding.verdict.word(), finding.name, printable(&finding.found))?;
        }
        writeln!(out)?;
        writeln!(
            out,
            "{}",
            if ready { "This machine could be recorded." } else { "This machine could not be recorded." }
        )?;
        writeln!(out, "{NOT_BUILT}")?;
    }
    out.flush()?;
    Ok(if ready { EXIT_READY } else { EXIT_NOT_READY })
}

fn as_json(findings: &[Finding], ready: bool) -> serde_json::Value {
    let findings: Vec<_> = findings
        .iter()
        .map(|finding| {
            serde_json::json!({ "name": finding.name, "verdict": finding.verdict.word(), "found": finding.found })
        })
        .collect();
    serde_json::json!({ "ready": ready, "recording_built": false, "findings": findings })
}

/// A kernel's name for itself is text from outside: nothing in it may steer a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '.' } else { c }).collect()
}
