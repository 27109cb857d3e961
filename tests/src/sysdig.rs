//! What Debian's sysdig 0.29.3 makes of captures that `casebook convert --for sysdig` wrote.
//!
//! For each capture of a corpus: convert it, let sysdig print the original and the result. Where both give the same lines,
//! nothing more has to be said. Where they cannot, because the original is of a kind that this sysdig misreads or crashes
//! on, the result is compared with what the real Falco says about the same events: types, processes, descriptors, paths.
//! Differences that stay have their reasons in `tests/sysdig-differences.md`, which is read as a table ([`crate::known`]).

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, ExitStatus};

use casebook_formats::cli;
use flate2::read::MultiGzDecoder;
use foldhash::fast::FixedState;
use rayon::prelude::*;
use serde::Serialize;

use crate::corpora::{Capture, Corpora};
use crate::golden::fields::{ABSENT, Columns, Row, Rows};
use crate::known::{Against, Difference, KnownDifferences};

/// The page of differences, compiled in.
pub const PAGE: &str = include_str!("../sysdig-differences.md");

/// Fields that are compared event by event: what happened, who did it, on what.
pub const FIELDS: &[&str] =
    &["evt.type", "proc.name", "proc.pid", "proc.exepath", "proc.cmdline", "proc.cwd", "fd.name"];

/// By which an event is found again: time, thread, half of the call.
const KEYS: [&str; 3] = ["evt.rawtime", "thread.tid", "evt.dir"];

/// Bytes that begin an event and part its fields in what we ask sysdig to print: texts of captures hold neither.
const BEGIN: char = '\u{1e}';
const PART: char = '\u{1f}';

/// What to compare.
#[derive(Clone, Default, Debug)]
pub struct Options {
    /// Capture names (patterns); all when empty.
    pub captures: Vec<String>,
    /// Unexplained differences to keep of each field.
    pub samples: usize,
}

/// How a capture was read.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Outcome {
    /// Capture name.
    pub capture: String,
    /// How sysdig ended on the original: `0`, `1`, `SIGSEGV`.
    pub original: String,
    /// How it ended on the result.
    pub converted: String,
    /// Lines that it prints of the original.
    pub original_lines: usize,
    /// Lines that it prints of the result.
    pub converted_lines: usize,
    /// Both are the same.
    pub same_lines: bool,
    /// Events of the golden, where it was asked.
    pub golden_events: u64,
    /// Of these, found in the result.
    pub found: u64,
    /// Exit halves of the result that the golden does not have.
    pub surplus: u64,
    /// Values compared, by field: equal, explained, unexplained.
    pub values: BTreeMap<String, [u64; 3]>,
    /// How often each class of differences was needed.
    pub classes: BTreeMap<String, u64>,
    /// Unexplained differences.
    pub samples: Vec<String>,
    /// Why it could not be compared.
    pub error: Option<String>,
}

impl Outcome {
    /// Nothing is left to be explained.
    pub fn agrees(&self) -> bool {
        let unexplained: u64 = self.values.values().map(|[_, _, unexplained]| unexplained).sum();
        self.error.is_none() && unexplained == 0 && self.found == self.golden_events && self.surplus == 0
    }
}

/// Version line of the sysdig on the path; `None` where there is none.
pub fn version() -> Option<String> {
    let output = Command::new("sysdig").arg("--version").output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Reads every chosen capture with sysdig, before and after conversion.
pub fn compare(corpora: &Corpora, options: &Options) -> Result<Vec<Outcome>, String> {
    let known = KnownDifferences::parse(PAGE).map_err(|error| error.to_string().replace("known", "sysdig"))?;
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let captures = corpora.select(&options.captures);
    let read = |capture: &Capture| {
        let mut outcome = Outcome { capture: capture.name.clone(), ..Outcome::default() };
        let result = folder.path().join(format!("{}.scap", capture.name));
        outcome.error = one(corpora, capture, &result, &known, options, &mut outcome).err();
        // A corpus of results would fill a small disk.
        let _ = std::fs::remove_file(&result);
        outcome
    };
    Ok(captures.par_iter().map(read).collect())
}

fn one(
    corpora: &Corpora,
    capture: &Capture,
    result: &Path,
    known: &KnownDifferences,
    options: &Options,
    outcome: &mut Outcome,
) -> Result<(), String> {
    convert(&capture.path, result)?;
    let (status, mut original) = sysdig(&capture.path, &[])?;
    outcome.original = ending(status);
    if let Some(plain) = without_options(&capture.path, result)? {
        // It refuses a section header with options, whatever follows: what it prints without them is the measure.
        original = sysdig(&plain, &[])?.1;
    }
    let (status, converted) = sysdig(result, &[])?;
    outcome.converted = ending(status);
    outcome.original_lines = original.lines().count();
    outcome.converted_lines = converted.lines().count();
    if !status.success() {
        return Err(format!("sysdig ended with {} on the result", outcome.converted));
    }
    // Of a capture on which it crashes, the lines before that place are no measure.
    outcome.same_lines = original == converted;
    if outcome.same_lines {
        return Ok(());
    }
    let golden =
        corpora.field_golden(capture).ok_or("other lines than of the original, and no golden to compare with")?;
    let ours = Lines::read(result)?;
    against_golden(&golden, ours, known, options, outcome)
}

fn convert(capture: &Path, result: &Path) -> Result<(), String> {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let args = ["casebook".as_ref(), "convert".as_ref(), "--for".as_ref(), "sysdig".as_ref(), "-o".as_ref()];
    let args = args.into_iter().chain([result.as_os_str(), capture.as_os_str()]);
    match cli::run_to(args, &mut out, &mut err) {
        cli::Exit::Complete => Ok(()),
        exit => Err(format!("convert ended with {exit:?}: {}", String::from_utf8_lossy(&err))),
    }
}

/// The same capture with a plain section header; `None` where it has one.
fn without_options(capture: &Path, result: &Path) -> Result<Option<std::path::PathBuf>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", capture.display());
    let mut stream = Vec::new();
    MultiGzDecoder::new(File::open(capture).map_err(failed)?)
        .read_to_end(&mut stream)
        .or_else(|_| {
            stream.clear();
            File::open(capture)?.read_to_end(&mut stream)
        })
        .map_err(failed)?;
    let len = stream.get(4..8).and_then(|bytes| bytes.first_chunk()).map_or(0, |len| u32::from_le_bytes(*len)) as usize;
    if len == PLAIN_SECTION.len() || len > stream.len() {
        return Ok(None);
    }
    let plain = result.with_extension("plain");
    let bytes = [&PLAIN_SECTION[..], &stream[len..]].concat();
    std::fs::write(&plain, bytes).map_err(|error| error.to_string())?;
    Ok(Some(plain))
}

/// A section header of version 1.2 without options.
const PLAIN_SECTION: [u8; 28] = [
    0x0A, 0x0D, 0x0D, 0x0A, 28, 0, 0, 0, 0x4D, 0x3C, 0x2B, 0x1A, 1, 0, 2, 0, 255, 255, 255, 255, 255, 255, 255, 255,
    28, 0, 0, 0,
];

/// Runs sysdig on a file; the time zone is the machine's for both sides.
fn sysdig(file: &Path, args: &[&str]) -> Result<(ExitStatus, String), String> {
    let output = Command::new("sysdig").arg("-r").arg(file).args(args).output();
    let output = output.map_err(|error| format!("sysdig: {error}"))?;
    Ok((output.status, String::from_utf8_lossy(&output.stdout).into_owned()))
}

fn ending(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => code.to_string(),
        (None, Some(11)) => "SIGSEGV".to_owned(),
        (None, signal) => format!("signal {}", signal.unwrap_or(0)),
    }
}

/// Events of a capture as sysdig prints them, to be taken out one by one.
struct Lines {
    by_key: HashMap<[String; 3], Vec<Vec<String>>, FixedState>,
}

impl Lines {
    fn read(file: &Path) -> Result<Self, String> {
        let fields: Vec<String> = KEYS.iter().chain(FIELDS).map(|name| format!("%{name}")).collect();
        let format = format!("*{BEGIN}{}", fields.join(&PART.to_string()));
        let (status, text) = sysdig(file, &["-p", &format])?;
        if !status.success() {
            return Err(format!("sysdig ended with {} on the result with -p", ending(status)));
        }
        let mut by_key: HashMap<_, Vec<Vec<String>>, _> = HashMap::default();
        for event in text.split(BEGIN).skip(1) {
            let mut parts = event.strip_suffix('\n').unwrap_or(event).split(PART).map(str::to_owned);
            let key = [(); 3].map(|()| parts.next().unwrap_or_default());
            by_key.entry(key).or_default().push(parts.collect());
        }
        // Taken from the end.
        for events in by_key.values_mut() {
            events.reverse();
        }
        Ok(Self { by_key })
    }

    fn take(&mut self, key: &[String; 3]) -> Option<Vec<String>> {
        self.by_key.get_mut(key)?.pop()
    }

    /// Exit halves that nobody took.
    fn left_exits(&self) -> u64 {
        self.by_key.iter().filter(|([_, _, half], _)| half == "<").map(|(_, events)| events.len() as u64).sum()
    }
}

fn against_golden(
    golden: &Path,
    mut ours: Lines,
    known: &KnownDifferences,
    options: &Options,
    outcome: &mut Outcome,
) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", golden.display());
    let asked = known.fields.iter().flat_map(|class| class.asks().map(str::to_owned).collect::<Vec<_>>());
    let mut names: Vec<String> = KEYS.iter().chain(FIELDS).map(|name| (*name).to_owned()).collect();
    for name in asked {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let columns = Columns::new(names);
    let mut rows = Rows::open(golden, &columns).map_err(failed)?;
    while let Some(row) = rows.next_row().map_err(failed)? {
        outcome.golden_events += 1;
        let text = |name: &str| columns.position(name).and_then(|column| row.text(column)).unwrap_or(ABSENT).to_owned();
        let Some(event) = ours.take(&KEYS.map(text)) else {
            if outcome.samples.len() < options.samples {
                outcome.samples.push(format!("missing: {}", describe(&columns, row)));
            }
            continue;
        };
        outcome.found += 1;
        for (field, ours) in FIELDS.iter().zip(&event) {
            let golden = text(field);
            let count = outcome.values.entry((*field).to_owned()).or_default();
            if golden == *ours {
                count[0] += 1;
                continue;
            }
            let beside = |name: &str| Some(text(name));
            let difference = Difference {
                against: Against::Sysdig,
                capture: &outcome.capture,
                field,
                golden: &golden,
                ours,
                beside: &beside,
            };
            if let Some(class) = known.fields.iter().find(|class| class.covers(&difference)) {
                count[1] += 1;
                *outcome.classes.entry(class.id.clone()).or_default() += 1;
            } else {
                count[2] += 1;
                if outcome.samples.len() < options.samples {
                    let event = describe(&columns, row);
                    outcome.samples.push(format!("{field}: golden \"{golden}\" sysdig \"{ours}\" ({event})"));
                }
            }
        }
    }
    outcome.surplus = ours.left_exits();
    Ok(())
}

fn describe(columns: &Columns, row: &Row) -> String {
    let text = |name: &str| columns.position(name).and_then(|column| row.text(column)).unwrap_or(ABSENT);
    format!("{} {} at {} in thread {}", text("proc.name"), text("evt.type"), text("evt.rawtime"), text("thread.tid"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failing test may panic

    use super::*;

    #[test]
    fn the_page_of_differences_is_readable_and_speaks_of_sysdig() {
        let known = KnownDifferences::parse(PAGE).unwrap();
        assert!(known.fields.iter().all(|class| class.against == Against::Sysdig && class.when.is_empty()));
        assert!(
            known
                .fields
                .iter()
                .flat_map(|class| &class.fields)
                .all(|field| FIELDS.iter().any(|name| field.matches(name)))
        );
    }
}
