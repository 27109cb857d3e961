//! The command line of `casebook-compare`: which corpus, what to compare, how to show it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use casebook_formats::command_line::{self, Ended};
use casebook_formats::terminal::Safe;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::agreement::{self, Agreement, Options, Report};
use crate::alerts::{self, AlertAgreement};
use crate::corpora::{CORPORA_VARIABLE, Corpora, RuleSet};
use crate::known::{Against, KnownDifferences};
use crate::lossy;
use crate::sysdig;
use crate::table::{Align, Table, percent, shown};

/// Every difference is explained.
const EXIT_AGREES: u8 = 0;
/// There are unexplained differences.
const EXIT_DIFFERS: u8 = 1;
/// Nothing could be compared.
const EXIT_TROUBLE: u8 = 2;

const AFTER_HELP: &str = "\
The corpus is the folder that CASEBOOK_CORPORA names, or --corpora.

Exit codes:
  0  everything agrees, or differs for a reason listed in tests/known-differences.md
  1  unexplained differences
  2  nothing could be compared: wrong use, no corpus, a golden that cannot be read";

/// Compares Casebook with what the real Falco and sysdig said about a corpus of captures.
#[derive(Parser)]
#[command(name = "casebook-compare", version, after_help = AFTER_HELP)]
struct Cli {
    /// Folder of the corpus, instead of the one that the environment names.
    #[arg(long, value_name = "DIR", global = true)]
    corpora: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Every field of every event against falco-goldens/fields.
    Fields(FieldArgs),
    /// Container fields against falco-goldens/containers (sysdig 0.29.3).
    Containers(FieldArgs),
    /// Alerts and summary against falco-goldens/alerts.
    Alerts(AlertArgs),
    /// Every capture against itself with every n-th event removed: what is still right, unknown, wrong.
    Lossy(LossyArgs),
    /// What Debian's sysdig reads of captures converted for it: the same lines, or what the goldens say.
    Sysdig(SysdigArgs),
}

#[derive(Args)]
struct SysdigArgs {
    /// Captures to convert and read (patterns); all without it.
    #[arg(long, value_name = "NAME", num_args = 1..)]
    capture: Vec<String>,
    /// Show the first N unexplained differences of each capture.
    #[arg(long, value_name = "N", default_value_t = 0)]
    show: usize,
    /// Print one JSON object a capture.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct LossyArgs {
    /// Every how many-th event goes.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(2..))]
    every: u64,
    /// Captures to measure (patterns); all without it.
    #[arg(long, value_name = "NAME", num_args = 1..)]
    capture: Vec<String>,
    /// Fields to compare (patterns); all without it.
    #[arg(long, value_name = "NAME", num_args = 1..)]
    field: Vec<String>,
    /// Put a drop marker in the place of every event that goes: the capture tells its losses.
    #[arg(long)]
    told: bool,
    /// Show the first N wrong values of each field.
    #[arg(long, value_name = "N", default_value_t = 0)]
    show: usize,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct FieldArgs {
    /// Captures to compare (patterns); all without it.
    #[arg(long, value_name = "NAME", num_args = 1..)]
    capture: Vec<String>,
    /// Fields to compare (patterns); all without it.
    #[arg(long, value_name = "NAME", num_args = 1..)]
    field: Vec<String>,
    /// Show the first N differences of each field.
    #[arg(long, value_name = "N", default_value_t = 0)]
    show: usize,
    /// Show differences that a class explains, too.
    #[arg(long)]
    explained: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct AlertArgs {
    /// Captures to compare (patterns); all without it.
    #[arg(long, value_name = "NAME", num_args = 1..)]
    capture: Vec<String>,
    /// Rule sets to compare.
    #[arg(long, value_name = "SET", num_args = 1..)]
    config: Vec<Config>,
    /// Show the first N differences of each capture and rule set.
    #[arg(long, value_name = "N", default_value_t = 0)]
    show: usize,
    /// Print one JSON object a capture and rule set.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Config {
    Stable,
    All,
    Probe,
    ProbeAll,
}

impl From<Config> for RuleSet {
    fn from(config: Config) -> Self {
        match config {
            Config::Stable => Self::Stable,
            Config::All => Self::All,
            Config::Probe => Self::Probe,
            Config::ProbeAll => Self::ProbeAll,
        }
    }
}

/// The command's clap table, for completions and man pages.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the command; `args` begins with the program's name.
pub fn run<I>(args: I, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode
where
    I: IntoIterator,
    I::Item: Into<OsString> + Clone,
{
    let cli = match command_line::parse::<Cli>(args, out, err) {
        Ok(cli) => cli,
        Err(Ended::Answered) => return ExitCode::from(EXIT_AGREES),
        // Nobody is left to be told when the sink is gone.
        Err(Ended::Refused | Ended::Unwritten(_)) => return ExitCode::from(EXIT_TROUBLE),
    };
    match compare(cli, out) {
        Ok(true) => ExitCode::from(EXIT_AGREES),
        Ok(false) => ExitCode::from(EXIT_DIFFERS),
        Err(message) => {
            let _ = writeln!(err, "casebook-compare: {message}");
            ExitCode::from(EXIT_TROUBLE)
        }
    }
}

fn compare(cli: Cli, out: &mut dyn Write) -> Result<bool, String> {
    let corpora = match cli.corpora {
        Some(root) => Corpora::open(&root).map_err(|error| format!("{}: {error}", root.display()))?,
        None => Corpora::from_environment()
            .map_err(|error| format!("${CORPORA_VARIABLE}: {error}"))?
            .ok_or_else(|| format!("no corpus: set {CORPORA_VARIABLE} or give --corpora"))?,
    };
    let known = KnownDifferences::of_this_project().map_err(|error| error.to_string())?;
    match cli.command {
        Command::Fields(args) => fields(&corpora, Against::Falco, &known, args, out),
        Command::Containers(args) => fields(&corpora, Against::Sysdig, &known, args, out),
        Command::Alerts(args) => {
            let sets: Vec<RuleSet> = args.config.iter().map(|config| (*config).into()).collect();
            let sets = if sets.is_empty() { &RuleSet::EVERY[..] } else { &sets };
            let results = alerts::compare(&corpora, &known, &args.capture, sets)?;
            if results.is_empty() {
                return Err("no capture with an alert golden matches".to_owned());
            }
            let text = if args.json { json_lines(&results)? } else { alert_table(&results, args.show) };
            emit(out, &text)?;
            Ok(results.iter().all(AlertAgreement::agrees))
        }
        Command::Sysdig(args) => {
            let version = sysdig::version().ok_or("no sysdig on the path; on Debian: apt-get install sysdig")?;
            let outcomes = sysdig::compare(&corpora, &sysdig::Options { captures: args.capture, samples: args.show })?;
            let text =
                if args.json { json_lines(&outcomes)? } else { format!("{version}\n\n{}", sysdig_tables(&outcomes)) };
            emit(out, &text)?;
            Ok(outcomes.iter().all(sysdig::Outcome::agrees))
        }
        Command::Lossy(args) => {
            let options = lossy::Options {
                every: args.every,
                captures: args.capture,
                fields: args.field,
                samples: args.show,
                told: args.told,
            };
            let report = lossy::corpus(&corpora, &options)?;
            let text = if args.json { json_lines(std::slice::from_ref(&report))? } else { lossy_tables(&report) };
            emit(out, &text)?;
            Ok(report.total().wrong() == 0 && report.errors.is_empty())
        }
    }
}

fn fields(
    corpora: &Corpora,
    against: Against,
    known: &KnownDifferences,
    args: FieldArgs,
    out: &mut dyn Write,
) -> Result<bool, String> {
    let options =
        Options { captures: args.capture, fields: args.field, samples: args.show, explained_samples: args.explained };
    let report = agreement::compare(corpora, against, known, &options)?;
    if report.captures.is_empty() {
        return Err("no capture with a golden matches".to_owned());
    }
    let text = if args.json { json_lines(std::slice::from_ref(&report))? } else { field_tables(&report) };
    emit(out, &text)?;
    Ok(report.complaints().is_empty())
}

fn json_lines<T: serde::Serialize>(objects: &[T]) -> Result<String, String> {
    let mut text = String::new();
    for object in objects {
        text.push_str(&serde_json::to_string(object).map_err(|error| error.to_string())?);
        text.push('\n');
    }
    Ok(text)
}

/// Writes; a reader that went away is no error.
fn emit(out: &mut dyn Write, text: &str) -> Result<(), String> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.to_string()),
        _ => Ok(()),
    }
}

fn counts(agreement: &Agreement) -> [String; 5] {
    let Agreement { values, equal, explained, unexplained } = *agreement;
    let numbers = [values, equal, explained, unexplained].map(|count| count.to_string());
    let [values_text, equal_text, explained_text, unexplained_text] = numbers;
    [values_text, equal_text, explained_text, unexplained_text, percent(equal + explained, values)]
}

const COUNTS: [(&str, Align); 5] = [
    ("values", Align::Right),
    ("equal", Align::Right),
    ("explained", Align::Right),
    ("unexplained", Align::Right),
    ("%", Align::Right),
];

/// Agreement per capture and per field (the worst first), classes, and samples where they were kept.
pub fn field_tables(report: &Report) -> String {
    let mut columns = vec![
        ("capture", Align::Left),
        ("events", Align::Right),
        ("ours", Align::Right),
        ("paired", Align::Right),
        ("same number", Align::Right),
    ];
    columns.extend(COUNTS);
    columns.push(("", Align::Left));
    let mut captures = Table::new(&columns);
    for capture in &report.captures {
        let events = [capture.golden_events, capture.our_events, capture.paired, capture.same_number];
        let row = [capture.capture.clone()].into_iter().chain(events.map(|count| count.to_string()));
        captures.row(row.chain(counts(&capture.values)).chain([shown(capture.error.as_deref().unwrap_or_default())]));
    }
    let mut columns = vec![("field", Align::Left)];
    columns.extend(COUNTS);
    let mut fields = Table::new(&columns);
    let mut worst: Vec<_> = report.fields.iter().collect();
    worst.sort_by_key(|(name, field)| (std::cmp::Reverse(field.unexplained), *name));
    for (name, field) in worst {
        fields.row([name.clone()].into_iter().chain(counts(field)));
    }
    fields.row(["all".to_owned()].into_iter().chain(counts(&report.total())));
    let mut text = format!("{captures}\n{fields}");
    let mut surplus: BTreeMap<&str, u64> = BTreeMap::new();
    for (kind, count) in report.captures.iter().flat_map(|capture| &capture.surplus) {
        *surplus.entry(kind).or_default() += count;
    }
    if !surplus.is_empty() {
        let list: Vec<String> = surplus.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        let _ = writeln!(text, "events that the goldens lack: {}", list.join(", "));
    }
    for (name, reason) in &report.unknown_fields {
        let _ = writeln!(text, "not in the catalogue: {name}: {reason}");
    }
    let mut classes = Table::new(&[("class of known differences", Align::Left), ("explains", Align::Right)]);
    report.classes.iter().for_each(|(id, count)| classes.row([id.clone(), count.to_string()]));
    if !classes.is_empty() {
        let _ = write!(text, "\n{classes}");
    }
    for (field, samples) in &report.samples {
        let _ = writeln!(text, "\n{field}");
        for sample in samples {
            let class = sample.class.as_deref().map(|class| format!(" [{class}]")).unwrap_or_default();
            let _ = writeln!(
                text,
                "  {} {} {}: golden \"{}\" ours \"{}\"{class}",
                sample.capture,
                sample.num,
                sample.kind,
                shown(&sample.golden),
                shown(&sample.ours)
            );
        }
    }
    text
}

/// Agreement per capture and rule set, and the first `show` differences of each.
pub fn alert_table(results: &[AlertAgreement], show: usize) -> String {
    let mut table = Table::new(&[
        ("capture", Align::Left),
        ("rules", Align::Left),
        ("golden", Align::Right),
        ("ours", Align::Right),
        ("equal", Align::Right),
        ("differ", Align::Right),
        ("missing", Align::Right),
        ("extra", Align::Right),
        ("explained", Align::Right),
        ("", Align::Left),
    ]);
    let mut sum = [0; 7];
    for result in results {
        let splits = [result.different, result.missing, result.extra];
        let [different, missing, extra] = splits.map(|split| split.unexplained);
        let explained = splits.iter().map(|split| split.explained).sum();
        let numbers = [result.golden, result.ours, result.equal, different, missing, extra, explained];
        sum.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number);
        let note = result.error.as_deref().or(result.summary.as_deref()).unwrap_or_default();
        let row = [result.capture.clone(), result.rules.clone()].into_iter();
        table.row(row.chain(numbers.map(|number| number.to_string())).chain([shown(note)]));
    }
    table.row(["all".to_owned(), String::new()].into_iter().chain(sum.map(|number| number.to_string())));
    let mut text = table.to_string();
    for result in results {
        for detail in result.details.iter().take(show) {
            let _ = writeln!(text, "\n{} {}", result.capture, result.rules);
            detail.lines().for_each(|line| {
                let _ = writeln!(text, "{}", Safe(line.as_bytes()));
            });
        }
    }
    text
}

/// How sysdig read each capture, how the fields of those agree that it could not read before, and why others differ.
pub fn sysdig_tables(outcomes: &[sysdig::Outcome]) -> String {
    let mut captures = Table::new(&[
        ("capture", Align::Left),
        ("before", Align::Left),
        ("lines", Align::Right),
        ("after", Align::Left),
        ("lines", Align::Right),
        ("", Align::Left),
    ]);
    let mut values: BTreeMap<&str, [u64; 3]> = BTreeMap::new();
    let mut classes: BTreeMap<&str, u64> = BTreeMap::new();
    for outcome in outcomes {
        let note = match &outcome.error {
            Some(error) => error.clone(),
            None if outcome.same_lines => "the same lines".to_owned(),
            None => {
                let unexplained: u64 = outcome.values.values().map(|counts| counts[2]).sum();
                let sysdig::Outcome { found, golden_events, surplus, .. } = outcome;
                format!("{found} of {golden_events} events, {surplus} surplus, {unexplained} values unexplained")
            }
        };
        let numbers = [outcome.original_lines, outcome.converted_lines].map(|lines| lines.to_string());
        let [before, after] = numbers;
        let ends = [outcome.original.clone(), outcome.converted.clone()];
        let [original, converted] = ends;
        captures.row([outcome.capture.clone(), original, before, converted, after, shown(&note)]);
        for (field, counts) in &outcome.values {
            let sum = values.entry(field).or_default();
            sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        for (class, count) in &outcome.classes {
            *classes.entry(class).or_default() += count;
        }
    }
    let mut fields = Table::new(&[
        ("field", Align::Left),
        ("equal", Align::Right),
        ("explained", Align::Right),
        ("unexplained", Align::Right),
    ]);
    for (field, counts) in values {
        fields.row([field.to_owned()].into_iter().chain(counts.map(|count| count.to_string())));
    }
    let mut reasons = Table::new(&[("class of known differences", Align::Left), ("explains", Align::Right)]);
    for (id, count) in &classes {
        reasons.row([(*id).to_owned(), count.to_string()]);
    }
    let mut text = format!("{captures}\n{fields}\n{reasons}");
    for outcome in outcomes.iter().filter(|outcome| !outcome.samples.is_empty()) {
        let _ = writeln!(text, "\n{}", outcome.capture);
        for sample in &outcome.samples {
            let _ = writeln!(text, "  {}", shown(sample));
        }
    }
    text
}

/// Fields with the most wrong values first, removed events that explain them, samples where they were kept.
pub fn lossy_tables(report: &lossy::Report) -> String {
    let mut fields = Table::new(&[
        ("field", Align::Left),
        ("values", Align::Right),
        ("equal", Align::Right),
        ("unknown", Align::Right),
        ("different", Align::Right),
        ("surplus", Align::Right),
        ("evident", Align::Right),
        ("wrong %", Align::Right),
    ]);
    let mut worst: Vec<_> = report.fields.iter().filter(|(_, outcome)| outcome.values > 0).collect();
    worst.sort_by_key(|(name, outcome)| (std::cmp::Reverse(outcome.wrong()), *name));
    let all = ("all".to_owned(), report.total());
    for (name, outcome) in worst.into_iter().chain([(&all.0, &all.1)]) {
        let lossy::Outcome { values, equal, unknown, different, surplus, evident } = *outcome;
        let numbers = [values, equal, unknown, different, surplus, evident].map(|count| count.to_string());
        fields.row([name.clone()].into_iter().chain(numbers).chain([percent(outcome.wrong(), values)]));
    }
    let mut causes = Table::new(&[("wrong after the loss of", Align::Left), ("values", Align::Right)]);
    let mut most: Vec<_> = report.causes.iter().collect();
    most.sort_by_key(|(cause, count)| (std::cmp::Reverse(**count), *cause));
    for (cause, count) in most {
        causes.row([cause.clone(), count.to_string()]);
    }
    let mut text = format!(
        "{} captures, {} events removed, {} compared\n\n{fields}\n{causes}",
        report.captures, report.removed, report.compared
    );
    for error in &report.errors {
        let _ = writeln!(text, "error: {}", shown(error));
    }
    for (field, samples) in &report.samples {
        if samples.is_empty() {
            continue;
        }
        let _ = writeln!(text, "\n{field}");
        for sample in samples {
            let lossy::Sample { capture, num, kind, whole, reduced, cause, evident } = sample;
            let cause = if *evident { format!("{cause}, evident") } else { cause.clone() };
            let _ = writeln!(
                text,
                "  {capture} {num} {kind} [{cause}]: whole \"{}\" reduced \"{}\"",
                shown(whole),
                shown(reduced)
            );
        }
    }
    text
}
