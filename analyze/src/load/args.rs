//! The options by which every command names captures and rules.

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread;

use casebook_formats::terminal::{Safe, safe_lines};
use casebook_replay::cli::{ClockArgs, Exit, Terminals};
use casebook_replay::detect::Detector;
use casebook_replay::fields::Catalogue;
use casebook_replay::inputs::{self, Input};
use casebook_replay::run::Source;
use casebook_rules::default_rules::{default_rules, is_about_vocabulary};
use casebook_rules::load::{LoadOptions, load};
use casebook_rules::priority::Priority;
use casebook_rules::report;
use casebook_rules::ruleset::Matching;
use casebook_rules::source::RuleFile;
use clap::Args;

use super::digest::sha256_of;
use super::{Cached, Options, Outcome, frames};
use crate::cache::Cache;
use crate::frames::{Frames, Wanted};
use crate::report::asked::Asked;

/// Smallest capture whose tables are kept without being asked.
const LEAST_CACHED: u64 = 1 << 20;

/// Captures, rules and how to read them.
#[derive(Args, Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // switches of a command line, each its own
pub struct LoadArgs {
    /// Captures and Kubernetes audit logs: files, directories, glob patterns, `-` for standard input
    #[arg(value_name = "CAPTURE")]
    pub captures: Vec<PathBuf>,

    /// The example capture that is built into this program
    #[arg(long)]
    pub example: bool,

    /// Rule file, or directory of rule files, for the table `alerts`; repeat for more
    #[arg(short = 'r', long = "rules", value_name = "FILE|DIR", help_heading = "Rules")]
    pub rules: Vec<PathBuf>,

    /// The built-in ruleset for the table `alerts`, with the files of -r on top of it
    #[arg(long, help_heading = "Rules")]
    pub default_rules: bool,

    /// The clock of the API server
    #[command(flatten)]
    pub clocks: ClockArgs,

    /// Captures to replay at the same time [default: one per CPU]
    #[arg(short = 'j', long = "jobs", value_name = "N", help_heading = "Reading")]
    pub jobs: Option<NonZeroUsize>,

    /// Memory that rows of tables may take, with the unit K, M or G; rows beyond it are left out, `events` first
    ///
    /// How many rows are left out is said, stands in the ledger (`tables_full`), and gives exit code 5. A question in SQL
    /// takes its own memory on top: name columns instead of `*`. Captures share the limit by their sizes. `follow`,
    /// `spectrogram` and `stats` hold no rows.
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "2G", help_heading = "Reading")]
    pub limit_memory: u64,

    /// Folder for tables that the next question will need again [default: casebook/tables below `XDG_CACHE_HOME`]
    #[arg(long, value_name = "DIR", help_heading = "Reading")]
    pub cache: Option<PathBuf>,

    /// Keep no tables, and use none that were kept
    #[arg(long, conflicts_with = "cache", help_heading = "Reading")]
    pub no_cache: bool,

    /// No progress bar (there is none anyway unless standard error is a terminal)
    #[arg(long, help_heading = "Output")]
    pub no_progress: bool,

    /// Say nothing on standard error but errors
    #[arg(short = 'q', long, help_heading = "Output")]
    pub quiet: bool,
}

/// Frames, and how the tool is to end when nothing else goes wrong.
#[derive(Debug)]
pub struct Loaded {
    /// The tables.
    pub frames: Frames,
    /// How the captures were read: complete, unreadable or incomplete.
    pub exit: Exit,
    /// The rules that were asked; none when no rules were wanted.
    pub rules: Rules,
    /// How each capture was read, in their order.
    pub outcomes: Vec<Outcome>,
}

/// Rules as reports name them.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// The rules in load order.
    pub rules: Vec<RuleInfo>,
    /// Names of the files and SHA-256 of their content, in load order.
    pub files: Vec<(String, String)>,
    /// Files, active rules and warnings, as the report shows them.
    pub asked: Asked,
}

/// One rule.
#[derive(Clone, Debug)]
pub struct RuleInfo {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub desc: String,
    /// The source of its events.
    pub source: String,
    /// How urgent its alerts are.
    pub priority: Priority,
    /// Its tags, sorted.
    pub tags: Vec<String>,
}

impl LoadArgs {
    /// Reads all captures. Rules are asked when the user named some.
    ///
    /// # Errors
    ///
    /// How the tool has to end, after saying why.
    pub fn load(&self, wanted: Wanted, err: &mut dyn Write, terminals: Terminals) -> Result<Loaded, Exit> {
        let rules = self.default_rules || !self.rules.is_empty();
        self.load_as(wanted, rules, err, terminals)
    }

    /// The same; where the user named no rules, the built-in ones are asked.
    ///
    /// # Errors
    ///
    /// As [`LoadArgs::load`].
    pub fn load_with_rules(&self, wanted: Wanted, err: &mut dyn Write, terminals: Terminals) -> Result<Loaded, Exit> {
        self.load_as(wanted, true, err, terminals)
    }

    /// The same, as [`LoadArgs::load_with_rules`] where `asks_rules`, else as [`LoadArgs::load`].
    ///
    /// # Errors
    ///
    /// As [`LoadArgs::load`].
    pub fn load_asking(
        &self,
        asks_rules: bool,
        wanted: Wanted,
        err: &mut dyn Write,
        terminals: Terminals,
    ) -> Result<Loaded, Exit> {
        if asks_rules { self.load_with_rules(wanted, err, terminals) } else { self.load(wanted, err, terminals) }
    }

    fn load_as(
        &self,
        wanted: Wanted,
        with_rules: bool,
        err: &mut dyn Write,
        terminals: Terminals,
    ) -> Result<Loaded, Exit> {
        if self.captures.is_empty() && !self.example {
            say(err, "error: no capture is named");
            return Err(Exit::Usage);
        }
        let (detector, rules) = if with_rules {
            let (detector, rules) = self.detector(err, terminals).ok_or(Exit::Rules)?;
            (Some(detector), rules)
        } else {
            (None, Rules::default())
        };
        let mut sources = self.sources(err);
        Source::hold(&mut sources).map_err(|error| {
            say(err, &format!("error: {error}"));
            Exit::Unreadable
        })?;
        let options = Options {
            wanted,
            detector: detector.as_ref(),
            limit: self.limit_memory,
            jobs: self.jobs.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get),
            progress: terminals.err && !self.no_progress && !self.quiet,
            cache: self.cached(&rules),
            clocks: self.clocks.into(),
        };
        match frames(&sources, &options) {
            Ok((frames, outcomes)) => {
                let exit = self.tell(&outcomes, err);
                Ok(Loaded { frames, exit, rules, outcomes })
            }
            Err(error) => {
                say(err, &format!("error: {error}"));
                Err(Exit::Output)
            }
        }
    }

    /// How tables are kept. Small captures only where the user names a place for it.
    fn cached(&self, rules: &Rules) -> Option<Cached> {
        let rules: Vec<String> = rules.files.iter().map(|(name, digest)| format!("{name}={digest}")).collect();
        let rules = rules.join("\n");
        match &self.cache {
            _ if self.no_cache => None,
            Some(folder) => Some(Cached { cache: Cache::new(folder.clone()), least: 0, rules }),
            None => Some(Cached { cache: Cache::usual()?, least: LEAST_CACHED, rules }),
        }
    }

    /// The captures that the arguments name, failures in their places.
    pub fn sources(&self, err: &mut dyn Write) -> Vec<Source> {
        let name = "(built-in example)".to_owned();
        let example = self.example.then(|| Source::Memory { name, bytes: casebook_fixtures::EXAMPLE.into() });
        let expansion = inputs::expand(&self.captures);
        if expansion.passed_over > 0 && !self.quiet {
            let files = if expansion.passed_over == 1 { "file does" } else { "files do" };
            say(err, &format!("note: {} {files} not look like a capture and stay out", expansion.passed_over));
        }
        let source = |input| match input {
            Input::Capture(path) => Source::File(path),
            Input::Missing { name, reason } => Source::Missing { name, reason },
        };
        example.into_iter().chain(expansion.inputs.into_iter().map(source)).collect()
    }

    /// The rules that the options name, else the built-in ones; `None` after saying what is wrong with them.
    pub fn detector(&self, err: &mut dyn Write, terminals: Terminals) -> Option<(Detector, Rules)> {
        let mut files = if self.rules.is_empty() || self.default_rules { default_rules() } else { Vec::new() };
        files.extend(casebook_rules::inputs::read(&self.rules));
        let outcome = load(&files, &Catalogue::new(), &LoadOptions::default());
        let failed = outcome.has_errors();
        for diagnostic in outcome.distinct() {
            let wanted =
                if failed { diagnostic.is_error() } else { !self.quiet && !is_about_vocabulary(diagnostic, &outcome) };
            if wanted {
                let text = report::text(diagnostic, &outcome.sources, terminals.err);
                // In colour the renderer has made what it quotes safe.
                let text = if terminals.err { text } else { safe_lines(&text) };
                let _ = err.write_all(text.as_bytes());
            }
        }
        let asked = Asked::of(&files, &outcome);
        let rules = outcome.ruleset.filter(|_| !failed)?;
        let told = rules.rules().iter().map(|rule| RuleInfo {
            name: rule.name.clone(),
            desc: rule.desc.clone(),
            source: rule.source.clone(),
            priority: rule.priority,
            tags: rule.tags.iter().cloned().collect(),
        });
        let told = told.collect();
        let digest = |file: &RuleFile| (file.name.clone(), sha256_of(&file.bytes));
        let files = files.iter().map(digest).collect();
        Some((Detector::new(rules, Matching::First, None), Rules { rules: told, files, asked }))
    }

    /// Says how captures were read, and what exit code that gives.
    fn tell(&self, outcomes: &[Outcome], err: &mut dyn Write) -> Exit {
        let mut exit = Exit::Complete;
        for Outcome { name, unreadable, damage, left_out, notes } in outcomes {
            if let Some(error) = unreadable {
                say(err, &format!("error: {error}"));
                exit = Exit::Unreadable;
            } else if let Some(damage) = damage {
                say(err, &format!("warning: {name}: {damage}; what could be read is in the tables"));
            }
            if *left_out > 0 {
                let help = "name fewer columns, raise --limit-memory, or ask for a part of the capture";
                say(err, &format!("warning: {name}: the tables had no room for {left_out} rows; {help}"));
            }
            if (damage.is_some() || *left_out > 0) && exit == Exit::Complete {
                exit = Exit::Incomplete;
            }
            for note in notes.iter().filter(|_| !self.quiet) {
                say(err, &format!("note: {name}: {note}"));
            }
        }
        exit
    }
}

/// A number of bytes with a unit.
fn bytes(text: &str) -> Result<u64, String> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let shift = match unit.to_ascii_uppercase().trim_end_matches("IB").trim_end_matches('B') {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err("the units are K, M, G and T, of 1024".to_owned()),
    };
    let number: u64 = digits.parse().map_err(|_| "not a number of bytes, as 800M or 2G".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "too large".to_owned())
}

/// One line on standard error. A standard error that cannot be written is not worth a failure.
pub(crate) fn say(err: &mut dyn Write, line: &str) {
    let _ = writeln!(err, "{}", Safe(format!("casebook-analyze: {line}").as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_units() {
        assert_eq!(bytes("800M"), Ok(800 << 20));
        assert_eq!(bytes("2G"), Ok(crate::load::DEFAULT_LIMIT));
        assert_eq!(bytes("1kib"), Ok(1024));
        assert_eq!(bytes("17"), Ok(17));
        assert!(bytes("2 apples").is_err() && bytes("").is_err() && bytes("99999999999T").is_err());
    }
}
