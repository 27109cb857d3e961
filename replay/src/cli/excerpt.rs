//! `casebook-replay slice` and `minimize`: options to an excerpt, the excerpt into a file, and what there is to say of it.

use std::io::Write;

use casebook_rules::ruleset::Matching;
use clap::Args;

use super::Terminals;
use super::derived::{DerivedArgs, Input, entries, failed, step, store, wants_lines};
use super::exit::{self, Exit};
use super::ruleset::RuleArgs;
use super::talk::say;
use crate::detect::Detector;
use crate::excerpt::minimize::{self, Minimal, Wanted};
use crate::excerpt::proof::{Proof, compare};
use crate::excerpt::select::{Plan, Selection, plan, snapshot};
use crate::excerpt::write;
use crate::moment::Moment;
use crate::run::Source;
use crate::window::Window;

/// Fields that a summary of differences names.
const FIELDS_TOLD: usize = 12;

/// Options of `slice`.
#[derive(Args, Debug)]
pub(super) struct SliceArgs {
    #[command(flatten)]
    file: DerivedArgs,

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
    file: DerivedArgs,

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

/// Excerpts are captures, those of logs, too.
fn refuse_lines(args: &DerivedArgs, err: &mut dyn Write) -> Result<(), Exit> {
    if !wants_lines(&args.output) {
        return Ok(());
    }
    say(err, &format!("error: {}: the output is a capture: .scap.zst, .scap or .scap.gz", args.output.display()));
    Err(Exit::Usage)
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
    refuse_lines(&args.file, err)?;
    let input = Input::open(&args.file, err)?;
    let source = &input.source;
    let planned = plan(source, &selection).map_err(|error| failed(&args.file, &error, err))?;
    let start = snapshot(source, &planned).map_err(|error| failed(&args.file, &error, err))?;
    store(&args.file, &input, err, |out| {
        write(&start, source.capture_bytes()?, &planned.blocks, planned.gap(), out)?;
        Ok(((), entries(&input, &step("slice", note))?))
    })?;
    if !args.file.quiet {
        say(err, &told(&planned, start.threads.len()));
    }
    if args.no_proof {
        return Ok(());
    }
    let proof = compare(source, &planned.selected, &Source::File(args.file.output.clone()))
        .map_err(|error| failed(&args.file, &error, err))?;
    tell_proof(&proof, &planned, args.file.quiet, err);
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

/// Why fields of an excerpt may be others than those of the whole.
fn cause(proof: &Proof, plan: &Plan) -> String {
    match plan.loss {
        _ if !plan.has_history() => "a snapshot has no place for what they ask".to_owned(),
        Some(loss) if proof.first().is_some_and(|first| first >= loss.num) => {
            let num = loss.num;
            format!(
                "events are missing before event {num} of the whole, and what is known since then rests on more than is here"
            )
        }
        _ => "they rest on what others did, of which the slice has only a part".to_owned(),
    }
}

fn tell_proof(proof: &Proof, plan: &Plan, quiet: bool, err: &mut dyn Write) {
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
    let cause = cause(proof, plan);
    say(err, &format!("note: {differing} of {fields} fields differ somewhere: {cause}"));
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
    refuse_lines(&args.file, err)?;
    let input = Input::open(&args.file, err)?;
    let count = args.count.and_then(|count| usize::try_from(count).ok());
    let wanted = Wanted { rules: args.names.clone(), count };
    let minimal = minimize::minimize(&input.source, &detector, &names, &wanted, &mut |_, _| {})
        .map_err(|error| failed(&args.file, &error, err))?;
    let mut note = match args.names.as_slice() {
        [] => "alerts of all rules".to_owned(),
        names => format!("alerts of {}", names.join(", ")),
    };
    if let Some(count) = args.count {
        note = format!("{note}, the first {count}");
    }
    store(&args.file, &input, err, |out| {
        out.write_all(&minimal.bytes)?;
        Ok(((), entries(&input, &step("minimize", note))?))
    })?;
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

Conditions add up. A slice of times or numbers begins with a snapshot of processes, descriptors, users and interfaces at its
first event. A slice of processes begins with one at the start of the capture, and carries what they and those above
them did before and meanwhile, as far as it changes what is known, marked so that nobody shows it: so every field of its
events, and every alert, is what it is in the whole. Then all fields of all events are compared with those of the whole,
and what differs is said: in a slice of times, a snapshot has no place for some things, such as when a process of before
was cloned. Numbers and distances of events always differ. Where the whole is damaged or its recorder lost events, a drop
marker says so in the slice.

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
