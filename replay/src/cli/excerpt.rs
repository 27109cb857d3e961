//! `casebook-replay slice` and `minimize`: options to an excerpt, the excerpt into a file, and what there is to say of it.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use casebook_formats::custody::{self, Entry};
use casebook_formats::origin;
use casebook_formats::seekable::{Options, SeekableWriter};
use casebook_rules::ruleset::Matching;
use clap::Args;

use super::Terminals;
use super::exit::{self, Exit};
use super::ruleset::RuleArgs;
use super::talk::say;
use crate::detect::Detector;
use crate::excerpt::minimize::{self, Minimal, Wanted};
use crate::excerpt::proof::{Proof, compare};
use crate::excerpt::select::{Plan, Selection, plan, snapshot};
use crate::excerpt::{ExcerptError, write};
use crate::moment::Moment;
use crate::run::Source;
use crate::window::Window;

/// Fields that a summary of differences names.
const FIELDS_TOLD: usize = 12;

/// What both have in common.
#[derive(Args, Debug)]
pub(super) struct FileArgs {
    /// The capture, a file
    #[arg(value_name = "CAPTURE")]
    capture: PathBuf,

    /// File to write: .scap.zst (says where it came from) or .scap
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// Replace an output that is there already
    #[arg(long)]
    force: bool,

    /// Say nothing on standard error but errors
    #[arg(short = 'q', long)]
    quiet: bool,
}

/// Options of `slice`.
#[derive(Args, Debug)]
pub(super) struct SliceArgs {
    #[command(flatten)]
    file: FileArgs,

    /// A process, its threads, and every process that came of it, by the id on the host
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(i64).range(1..), help_heading = "Selection")]
    pid: Option<i64>,

    /// A container, by its id or the beginning of it
    #[arg(long, value_name = "ID", value_parser = container, help_heading = "Selection")]
    container: Option<String>,

    /// Events at this time or later: 2026-11-21T10:00:00Z, 10:00:00.5, seconds since the epoch, or +12.5s
    #[arg(long, value_name = "TIME", help_heading = "Selection")]
    from: Option<Moment>,

    /// Events at this time or earlier
    #[arg(long, value_name = "TIME", help_heading = "Selection")]
    to: Option<Moment>,

    /// Events by number, first and last, as `evt.num` shows them: 100-250
    #[arg(long, value_name = "FIRST-LAST", value_parser = numbers, help_heading = "Selection")]
    events: Option<(u64, u64)>,

    /// Don't compare all fields of all events with the whole
    #[arg(long)]
    no_proof: bool,
}

/// Options of `minimize`.
#[derive(Args, Debug)]
pub(super) struct MinimizeArgs {
    #[command(flatten)]
    file: FileArgs,

    #[command(flatten)]
    rules: RuleArgs,

    /// Keep only alerts of this rule; repeat for more [default: all]
    #[arg(long = "rule", value_name = "NAME", help_heading = "Rules")]
    names: Vec<String>,

    /// Keep only so many of these alerts, the first
    #[arg(short = 'n', long = "count", value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

fn container(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("an id of no characters".to_owned()) } else { Ok(text.to_owned()) }
}

fn numbers(text: &str) -> Result<(u64, u64), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) if 1 <= first && first <= last => Ok((first, last)),
        _ => Err(format!("'{text}' is no range of numbers like 100-250")),
    }
}

/// A file that is complete or not there.
struct Target {
    partial: PathBuf,
    file: PathBuf,
}

impl Target {
    fn open(args: &FileArgs, err: &mut dyn Write) -> Result<(Self, BufWriter<File>), Exit> {
        let name = args.output.display();
        if !args.force && fs::symlink_metadata(&args.output).is_ok() {
            say(err, &format!("error: {name}: is there already; --force replaces it"));
            return Err(Exit::Output);
        }
        let mut partial = args.output.clone().into_os_string();
        partial.push(".partial");
        let target = Self { partial: partial.into(), file: args.output.clone() };
        match File::create(&target.partial) {
            Ok(file) => Ok((target, BufWriter::new(file))),
            Err(error) => {
                say(err, &format!("error: {name}: {error}"));
                Err(Exit::Output)
            }
        }
    }

    fn finish(&self, file: BufWriter<File>) -> io::Result<()> {
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&self.partial, &self.file)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // It is ours, and gone already where everything went well.
        let _ = fs::remove_file(&self.partial);
    }
}

/// Writes a capture through `fill`, packed as the name of the output says; a `.scap.zst` tells how it came to be.
fn store(
    args: &FileArgs,
    step: &Entry,
    err: &mut dyn Write,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), ExcerptError>,
) -> Result<(), Exit> {
    let (target, mut sink) = Target::open(args, err)?;
    let packed = args.output.as_os_str().as_encoded_bytes().ends_with(b".zst");
    let stored = (|| {
        if packed {
            let mut writer = SeekableWriter::new(sink, Options::default())?;
            fill(&mut writer)?;
            writer.custody(custody::derive(&[origin::of_file(&args.capture)?], step));
            sink = writer.finish()?.0;
        } else {
            fill(&mut sink)?;
        }
        Ok(target.finish(sink)?)
    })();
    stored.map_err(|error: ExcerptError| failed(&args.capture, &error, err))
}

fn failed(capture: &Path, error: &ExcerptError, err: &mut dyn Write) -> Exit {
    let (text, exit) = match error {
        ExcerptError::Capture(text) => (text.clone(), Exit::Unreadable),
        ExcerptError::Nothing(text) => (format!("{}: {text}", capture.display()), Exit::Usage),
        ExcerptError::Io(error) => (error.to_string(), Exit::Output),
        ExcerptError::Write(error) => (error.to_string(), Exit::Output),
    };
    say(err, &format!("error: {text}"));
    exit
}

/// The one capture that an argument names, as something that can be read several times.
fn source(args: &FileArgs, err: &mut dyn Write) -> Result<Source, Exit> {
    if !fs::metadata(&args.capture).is_ok_and(|file| file.is_file()) {
        let name = args.capture.display();
        say(err, &format!("error: {name}: no file; it has to be read more than once, so a pipe or folder does not do"));
        return Err(Exit::Unreadable);
    }
    let source = Source::File(args.capture.clone());
    let same = fs::canonicalize(&args.output).ok().zip(fs::canonicalize(&args.capture).ok());
    if same.is_some_and(|(output, capture)| output == capture) {
        say(err, "error: the output would overwrite the input");
        return Err(Exit::Usage);
    }
    Ok(source)
}

fn step(operation: &str, note: String) -> Entry {
    let mut step = Entry::new(operation, concat!("casebook-replay ", env!("CARGO_PKG_VERSION")));
    step.note = Some(note);
    step
}

/// Cuts a slice out of a capture.
pub(super) fn slice(args: &SliceArgs, err: &mut dyn Write) -> Exit {
    match cut(args, err) {
        Ok(()) => Exit::Complete,
        Err(exit) => exit,
    }
}

fn cut(args: &SliceArgs, err: &mut dyn Write) -> Result<(), Exit> {
    let selection = Selection {
        window: Window { from: args.from, to: args.to },
        numbers: args.events,
        pid: args.pid,
        container: args.container.clone(),
    };
    let note = describe(&selection);
    if note.is_empty() {
        say(err, "error: nothing selects: name --pid, --container, --from, --to or --events");
        return Err(Exit::Usage);
    }
    let source = source(&args.file, err)?;
    let planned = plan(&source, &selection).map_err(|error| failed(&args.file.capture, &error, err))?;
    let start = snapshot(&source, &planned).map_err(|error| failed(&args.file.capture, &error, err))?;
    store(&args.file, &step("slice", note), err, |out| write(&start, source.bytes()?, &planned.blocks, out))?;
    if !args.file.quiet {
        say(err, &told(&planned, start.threads.len()));
    }
    if args.no_proof {
        return Ok(());
    }
    let proof = File::open(&args.file.output)
        .map_err(ExcerptError::Io)
        .and_then(|file| compare(&source, &planned.selected, Box::new(file)))
        .map_err(|error| failed(&args.file.capture, &error, err))?;
    tell_proof(&proof, args.file.quiet, err);
    Ok(())
}

/// The options of a selection as a custody entry has them.
fn describe(selection: &Selection) -> String {
    let Selection { window: Window { from, to }, numbers, pid, container } = selection;
    let moment = |moment: &Moment| match moment {
        Moment::Absolute(ns) => format!("{ns} ns"),
        Moment::AfterStart(ns) => format!("start + {ns} ns"),
        Moment::TimeOfDay(ns) => format!("midnight + {ns} ns"),
    };
    let parts = [
        pid.map(|pid| format!("process {pid} and its descendants")),
        container.as_ref().map(|id| format!("container {id}")),
        from.as_ref().map(|at| format!("from {}", moment(at))),
        to.as_ref().map(|at| format!("to {}", moment(at))),
        numbers.map(|(first, last)| format!("events {first} to {last}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn told(plan: &Plan, threads: usize) -> String {
    let selected = plan.selected.len() as u64;
    let support = plan.blocks.iter().filter(|block| block.state_only).count();
    format!(
        "slice: {selected} of {} events ({}), {support} more that only feed the state, {threads} threads at the start",
        plan.events,
        share(selected, plan.events)
    )
}

fn share(part: u64, whole: u64) -> String {
    format!("{:.2} %", part as f64 * 100.0 / whole.max(1) as f64)
}

fn tell_proof(proof: &Proof, quiet: bool, err: &mut dyn Write) {
    if proof.is_equal() {
        if !quiet {
            say(err, &format!("proof: {} fields of {} events are as in the whole", proof.fields, proof.events));
        }
        return;
    }
    if proof.unpaired > 0 {
        say(err, &format!("warning: {} events are shown by one of the two only", proof.unpaired));
    }
    if proof.differing.is_empty() {
        return;
    }
    let (differing, fields) = (proof.differing.len(), proof.fields);
    say(
        err,
        &format!("note: {differing} of {fields} fields differ somewhere: a snapshot has no place for what they ask"),
    );
    for (name, (count, first)) in proof.differing.iter().take(FIELDS_TOLD) {
        say(err, &format!("  {name}: on {count} of {} events, first on event {first} of the whole", proof.events));
    }
    if differing > FIELDS_TOLD {
        say(err, &format!("  and {} more", differing - FIELDS_TOLD));
    }
}

/// Finds the smallest capture on which the same alerts fire.
pub(super) fn minimize(args: &MinimizeArgs, err: &mut (dyn Write + Send), terminals: Terminals) -> Exit {
    match least(args, err, terminals) {
        Ok(()) => Exit::Complete,
        Err(exit) => exit,
    }
}

fn least(args: &MinimizeArgs, err: &mut (dyn Write + Send), terminals: Terminals) -> Result<(), Exit> {
    let Some(loaded) = args.rules.load(args.file.quiet, err, terminals) else { return Err(Exit::Rules) };
    for name in &args.names {
        if loaded.rule(name, err).is_none() {
            return Err(Exit::Usage);
        }
    }
    // All that are true: which of them a run reports first is not the business of a rule's own test.
    let detector = Detector::new(loaded.rules, Matching::All, None);
    let names: Vec<String> = detector.labels().into_iter().map(|label| label.name).collect();
    let source = source(&args.file, err)?;
    let count = args.count.and_then(|count| usize::try_from(count).ok());
    let wanted = Wanted { rules: args.names.clone(), count };
    let minimal = minimize::minimize(&source, &detector, &names, &wanted, &mut |_, _| {})
        .map_err(|error| failed(&args.file.capture, &error, err))?;
    let mut note = match args.names.as_slice() {
        [] => "alerts of all rules".to_owned(),
        names => format!("alerts of {}", names.join(", ")),
    };
    if let Some(count) = args.count {
        note = format!("{note}, the first {count}");
    }
    store(&args.file, &step("minimize", note), err, |out| Ok(out.write_all(&minimal.bytes)?))?;
    if !args.file.quiet {
        tell_minimal(&minimal, err);
    }
    Ok(())
}

fn tell_minimal(minimal: &Minimal, err: &mut dyn Write) {
    let Minimal { bytes, events, of, alerts, attempts, is_bounded } = minimal;
    let alerts = if *alerts == 1 { "1 alert".to_owned() } else { format!("{alerts} alerts") };
    let len = bytes.len();
    say(err, &format!("minimize: {events} of {of} events ({}), {len} bytes; {alerts} as before", share(*events, *of)));
    if *is_bounded {
        say(err, &format!("note: stopped after {attempts} attempts; fewer events may do"));
    }
}

pub(super) fn slice_help() -> String {
    format!(
        "\
Examples:
  casebook-replay slice --pid 4242 incident.scap -o shell.scap.zst
      a shell and everything it started
  casebook-replay slice --container 3ad7b26ded6d --from 21:49:10 --to 21:49:20 incident.scap -o ten-seconds.scap.zst
      ten seconds of a container
  casebook-replay slice --events 1200-1300 incident.scap -o around.scap

Conditions add up. The slice begins with a snapshot of processes, descriptors, users and interfaces at its first event;
events of processes above the selected ones that change what is known come along, marked so that nobody shows them.
Then all fields of all its events are compared with those of the whole, and what differs is said: numbers and distances
of events always do, and a snapshot has no place for some things, such as when a process of before was cloned.

{}",
        exit::help(exit::EXCERPT_EXITS)
    )
}

pub(super) fn minimize_help() -> String {
    format!(
        "\
Examples:
  casebook-replay minimize -r local.yaml --rule 'Shell in a container' -n 1 incident.scap -o case.scap.zst
      the smallest capture on which the first alert of a rule fires: a test case
  casebook-replay minimize incident.scap -o small.scap.zst
      the same for all alerts of the built-in rules

Every attempt is a replay; the alerts have the same texts as before, but for numbers of events and distances between
them. The same capture, rules and options give the same file.

{}",
        exit::help(exit::EXCERPT_EXITS)
    )
}

#[cfg(test)]
mod tests {
    use super::numbers;

    #[test]
    fn ranges_of_numbers() {
        assert_eq!(numbers("5"), Ok((5, 5)));
        assert_eq!(numbers("5-17"), Ok((5, 17)));
        for bad in ["", "-", "5-", "-5", "0-3", "9-3", "a-b", "1-2-3"] {
            assert!(numbers(bad).is_err(), "{bad}");
        }
    }
}
