//! The clap tables: every option, its help, the examples.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use casebook_rules::priority::Priority;
use casebook_rules::ruleset::Matching;
use clap::{Args, Parser, Subcommand, ValueEnum};

use super::coverage::CoverageArgs;
use super::deliver::DeliverArgs;
use super::diff::DiffArgs;
use super::events::EventsArgs;
use super::excerpt::{MinimizeArgs, SliceArgs};
use super::exit;
use super::explain::ExplainArgs;
use super::index::IndexArgs;
use super::join::JoinArgs;
use super::metrics::MetricsArgs;
use super::redact::RedactArgs;
use super::still::{FdsArgs, PsArgs};
use super::test::TestArgs;
use super::tune::TuneArgs;
use crate::detect::Form;
use crate::moment::{Moment, scaled};

/// Replays captures of system calls and Kubernetes audit logs through Falco rules.
///
/// Without a subcommand it runs `run`: reads .scap captures of any age (plain, gzip, zstd), rebuilds the processes,
/// files, sockets and containers of the recorded machine, evaluates rules on every event, and prints the alerts and
/// the summary that Falco prints, then a ledger of what the captures could not show.
#[derive(Parser, Debug)]
#[command(name = "casebook-replay", version, args_conflicts_with_subcommands = true, after_help = after_help())]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<Command>,

    #[command(flatten)]
    pub(super) run: RunArgs,
}

/// Subcommands.
#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Replay captures and print alerts (what happens without a subcommand)
    #[command(after_help = after_help())]
    Run(Box<RunArgs>),
    /// Check rule files without a capture: errors, warnings, and what is wrong with rules that load
    #[command(after_help = lint_help())]
    Lint(LintArgs),
    /// Print events, as `sysdig -r` does
    #[command(after_help = super::events::after_help())]
    Events(EventsArgs),
    /// Say why a rule was true on an event, or was not, and where it came near
    #[command(after_help = super::explain::after_help())]
    Explain(ExplainArgs),
    /// Say what of the rules cases or captures exercise, and which changes to the rules they would not notice
    #[command(after_help = super::coverage::after_help())]
    Coverage(CoverageArgs),
    /// Compare two rulesets: by meaning, and by the alerts they give on captures
    #[command(after_help = super::diff::after_help())]
    Diff(DiffArgs),
    /// Propose exceptions for a noisy rule that silence no attack
    #[command(after_help = super::tune::after_help())]
    Tune(TuneArgs),
    /// Print the process table at a moment of a capture
    #[command(after_help = super::still::ps_help())]
    Ps(PsArgs),
    /// Print the descriptor table of a process at a moment of a capture
    #[command(after_help = super::still::fds_help())]
    Fds(FdsArgs),
    /// Cut a part out of a capture: a time, a process and its descendants, a container, a range of events
    #[command(after_help = super::excerpt::slice_help())]
    Slice(SliceArgs),
    /// Find the smallest capture on which the same alerts fire
    #[command(after_help = super::excerpt::minimize_help())]
    Minimize(MinimizeArgs),
    /// Mask what a capture tells of whom it was recorded from, so that rules say the same of it
    #[command(after_help = super::redact::after_help())]
    Redact(RedactArgs),
    /// Make checkpoints beside a .scap.zst, from which reading can begin in its middle
    #[command(after_help = super::index::after_help())]
    Index(IndexArgs),
    /// List the fields that conditions and outputs can use
    Fields(FieldsArgs),
    /// Run rule tests: cases with captures or event scripts, and what rules have to say about them
    #[command(after_help = super::test::after_help())]
    Test(TestArgs),
}

/// Options of `run`.
// Switches of a command line are what they are: each is on its own.
#[allow(clippy::struct_excessive_bools)]
#[derive(Args, Debug)]
pub(super) struct RunArgs {
    /// Captures and Kubernetes audit logs: files, directories, glob patterns, `-` for standard input
    ///
    /// A directory is walked to all depths and gives the files that are named like captures (.scap, .scap.gz,
    /// .scap.zst) or begin like one, in the order of their paths. Every capture is replayed on its own, with fresh
    /// state; alerts come in the order of the captures, then one summary for all.
    ///
    /// Audit logs are JSON: an event a line, arrays, lists of kind `EventList`; plain, gzip or zstd. In a directory they
    /// are found by their names (.json, .jsonl, .ndjson, .log, also .gz and .zst) if their content begins with audit events.
    #[arg(value_name = "CAPTURE")]
    pub(super) captures: Vec<PathBuf>,

    /// Replay the example capture that is built into this program
    #[arg(long, conflicts_with = "captures")]
    pub(super) example: bool,

    /// Rule file, or directory of .yaml and .yml files in the order of their names; repeat for more
    ///
    /// Files are loaded in the order given, later ones can append to and override earlier ones, as in Falco. Without
    /// this option the ruleset that is built into this program is used.
    #[arg(short = 'r', long = "rules", value_name = "FILE|DIR", help_heading = "Rules")]
    pub(super) rules: Vec<PathBuf>,

    /// Load the built-in ruleset first, and the files of -r on top of it
    ///
    /// It defines the macros and lists that rules written for Falco rely on, such as `spawned_process`, `container`
    /// and `open_write`, so that a file with only your own rules loads.
    #[arg(long, help_heading = "Rules")]
    pub(super) default_rules: bool,

    /// Leave out rules that are weaker than this
    #[arg(
        long,
        value_name = "PRIORITY",
        default_value = "debug",
        ignore_case = true,
        hide_possible_values = false,
        help_heading = "Rules"
    )]
    pub(super) priority: PriorityArg,

    /// Run only rules that have one of these tags, also those that are disabled in their file; repeat for more
    #[arg(short = 't', long = "tag", value_name = "TAG", help_heading = "Rules")]
    pub(super) tags: Vec<String>,

    /// Leave out rules that have this tag; repeat for more
    ///
    /// Applied after -t, so `-t process -T container` runs what has the one and not the other.
    #[arg(short = 'T', long = "no-tag", value_name = "TAG", help_heading = "Rules")]
    pub(super) no_tags: Vec<String>,

    /// Leave out rules whose name contains this text; repeat for more
    ///
    /// With a `*` in it, it is a pattern for the whole name, as in Falco's `rules:` configuration. Case matters.
    #[arg(short = 'D', long = "disable", value_name = "TEXT|PATTERN", help_heading = "Rules")]
    pub(super) disable: Vec<String>,

    /// Give only events to the rules on which this condition is true
    ///
    /// A condition of the rule language without macros and lists, for example 'container.id != host and proc.name =
    /// bash'. State is kept from all events.
    #[arg(long, value_name = "CONDITION", help_heading = "Rules")]
    pub(super) filter: Option<String>,

    /// Report the first rule that is true on an event, or all of them
    #[arg(long, value_name = "WHICH", default_value = "first", help_heading = "Rules")]
    pub(super) rule_matching: MatchingArg,

    /// Stop each capture after this many seconds by its own clock, counted from its first event
    #[arg(short = 'M', long = "seconds", value_name = "SECONDS", value_parser = seconds)]
    pub(super) seconds: Option<u64>,

    /// Alerts only of events at this time or later
    ///
    /// State is kept from all events before. 2026-11-21T10:00:00Z (without a zone: UTC), 10:00:00.5 (on the day the
    /// capture begins), seconds or nanoseconds since the epoch, or +12.5s, +250ms, +2m after the first event. Where
    /// `casebook index` has made checkpoints, reading begins at the one before.
    #[arg(long, value_name = "TIME")]
    pub(super) from: Option<Moment>,

    /// Alerts only of events at this time or earlier
    ///
    /// Reading ends a second later: events of different CPUs can stand out of order.
    #[arg(long, value_name = "TIME")]
    pub(super) to: Option<Moment>,

    /// Form of alerts and summary
    ///
    /// json: one object a line, the last one is {"summary": ...}.
    #[arg(long, value_name = "FORM", default_value = "text", help_heading = "Output")]
    pub(super) output: FormArg,

    /// Write alerts and summary to this file instead of standard output
    #[arg(short = 'o', long = "output-file", value_name = "FILE", help_heading = "Output")]
    pub(super) output_file: Option<PathBuf>,

    /// End with status 1 when there were alerts of this priority or stronger (any, without one)
    #[arg(long, value_name = "PRIORITY", num_args = 0..=1, require_equals = true, default_missing_value = "debug", ignore_case = true, help_heading = "Output")]
    pub(super) fail_on_alert: Option<PriorityArg>,

    /// Order of the alerts of several inputs
    ///
    /// auto: by time when an audit log is among them, else by input. By time, all inputs are replayed at the same time
    /// (at most 256 of them).
    #[arg(long, value_name = "ORDER", default_value = "auto", help_heading = "Output")]
    pub(super) order: OrderArg,

    /// Workers [default: one per CPU]
    ///
    /// Captures are replayed at the same time, and of a capture with checkpoints (`casebook index`) its parts. Where there
    /// are more workers than these, packed captures are read, unpacked and decoded ahead of the rules. Where this option asks
    /// for workers, plain ones are, too, and with three of them or more for one capture (four if it is packed), and as many
    /// processors, its rules are asked by turns, up to four workers of them each keeping the state: less waiting for more
    /// processor time. The output is the same, byte for byte, whatever the number.
    #[arg(short = 'j', long = "jobs", value_name = "N")]
    pub(super) jobs: Option<NonZeroUsize>,

    /// Of the workers that `-j` asks for, so many take turns with one capture, whatever the processors: for tests and
    /// measurements
    #[arg(long, value_name = "N", hide = true, requires = "jobs")]
    pub(super) turn_workers: Option<NonZeroUsize>,

    /// Events of such a turn
    #[arg(long, value_name = "N", hide = true, requires = "jobs")]
    pub(super) turn_events: Option<NonZeroUsize>,

    #[command(flatten)]
    pub(super) join: JoinArgs,

    #[command(flatten)]
    pub(super) metrics: MetricsArgs,

    #[command(flatten)]
    pub(super) deliver: DeliverArgs,

    /// No progress bar (there is none anyway unless standard error is a terminal)
    #[arg(long, help_heading = "Output")]
    pub(super) no_progress: bool,

    /// Say nothing on standard error but errors: no headings, no warnings about rules, no progress
    #[arg(short = 'q', long, help_heading = "Output")]
    pub(super) quiet: bool,
}

/// Options of `fields`.
#[derive(Args, Debug)]
pub(super) struct FieldsArgs {
    /// Only fields whose name or meaning contains one of these texts
    #[arg(value_name = "TEXT")]
    pub(super) contains: Vec<String>,

    /// Only fields of this class, such as process, fd or container
    #[arg(long, value_name = "CLASS")]
    pub(super) class: Option<String>,

    /// Only fields of this source: `syscall` or `k8s_audit`
    #[arg(long, value_name = "SOURCE")]
    pub(super) source: Option<String>,

    /// Form of the list
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(super) format: FieldsFormat,

    /// Print the whole reference page (replay/FIELDS.md in the source)
    #[arg(long, conflicts_with_all = ["contains", "class", "source", "format"])]
    pub(super) docs: bool,
}

/// Form of the list of fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum FieldsFormat {
    /// A line for each.
    Text,
    /// An array of objects.
    Json,
    /// Tables.
    Markdown,
}

/// Options of `lint`.
#[derive(Args, Debug)]
pub(super) struct LintArgs {
    /// Rule files: files, directories, Helm values with customRules, Kubernetes config maps, JSON
    ///
    /// Loaded in the order given, as `run -r` does. Without any, the ruleset that is built into this program is checked.
    #[arg(value_name = "FILE|DIR")]
    pub(super) files: Vec<PathBuf>,

    /// The same as a plain FILE|DIR, for the habit from `run`
    #[arg(short = 'r', long = "rules", value_name = "FILE|DIR")]
    pub(super) rules: Vec<PathBuf>,

    /// Load the built-in ruleset first; what is found in it alone is not shown
    #[arg(long)]
    pub(super) default_rules: bool,

    /// Form of the findings
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(super) format: LintFormat,

    /// Print what rules come to, in place of findings
    #[arg(long, value_name = "WHAT", conflicts_with_all = ["format", "deny", "allow"])]
    pub(super) show: Option<ShowArg>,

    /// Rules for --show: a name, or a pattern with `*`; repeat for more [default: all]
    #[arg(long = "rule", value_name = "NAME|PATTERN", requires = "show")]
    pub(super) rule: Vec<String>,

    /// End with status 1 when there is a finding of this code; `warnings`: any warning, `findings`: anything at all
    #[arg(short = 'D', long, value_name = "CODE|warnings|findings", value_delimiter = ',')]
    pub(super) deny: Vec<String>,

    /// Leave out findings of this code; repeat for more. Errors cannot be left out
    #[arg(short = 'A', long, value_name = "CODE", value_delimiter = ',')]
    pub(super) allow: Vec<String>,

    /// Say what a code means and what to do about it
    #[arg(long, value_name = "CODE", exclusive = true)]
    pub(super) explain: Option<String>,
}

/// Form of findings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum LintFormat {
    /// Excerpts of the files with marks.
    Text,
    /// One object: diagnostics and counts.
    Json,
    /// SARIF 2.1.0, as code hosting sites take it.
    Sarif,
}

/// What `--show` prints of a rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum ShowArg {
    /// The condition with all macros, lists and exceptions put in.
    Resolved,
    /// The steps it is compiled to.
    Compiled,
    /// The event types it is evaluated on.
    Evttypes,
}

/// Priorities as options, strongest first: the discriminant is the priority's number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum)]
#[allow(missing_docs)] // the names are the language's own
pub(super) enum PriorityArg {
    Emergency,
    Alert,
    Critical,
    Error,
    Warning,
    Notice,
    #[value(alias = "info")]
    Informational,
    Debug,
}

/// Form of the output.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum FormArg {
    /// Lines for people.
    Text,
    /// JSON lines.
    Json,
}

/// Order of alerts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum OrderArg {
    /// By time when it matters.
    Auto,
    /// All alerts of an input, then those of the next.
    Input,
    /// By the time of the events.
    Time,
}

/// Rules reported per event.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum MatchingArg {
    /// The first in load order.
    First,
    /// Every one.
    All,
}

impl From<PriorityArg> for Priority {
    fn from(priority: PriorityArg) -> Self {
        match priority {
            PriorityArg::Emergency => Self::Emergency,
            PriorityArg::Alert => Self::Alert,
            PriorityArg::Critical => Self::Critical,
            PriorityArg::Error => Self::Error,
            PriorityArg::Warning => Self::Warning,
            PriorityArg::Notice => Self::Notice,
            PriorityArg::Informational => Self::Informational,
            PriorityArg::Debug => Self::Debug,
        }
    }
}

impl From<FormArg> for Form {
    fn from(form: FormArg) -> Self {
        match form {
            FormArg::Text => Self::Text,
            FormArg::Json => Self::Json,
        }
    }
}

impl From<MatchingArg> for Matching {
    fn from(matching: MatchingArg) -> Self {
        match matching {
            MatchingArg::First => Self::First,
            MatchingArg::All => Self::All,
        }
    }
}

/// Decimal seconds to nanoseconds, exactly.
fn seconds(text: &str) -> Result<u64, String> {
    let ns = scaled(text, 1_000_000_000).filter(|ns| *ns > 0);
    ns.ok_or_else(|| format!("'{text}' is not a number of seconds like 90 or 0.5"))
}

fn after_help() -> String {
    format!(
        "\
Examples:
  casebook-replay --example
      the built-in capture through the built-in rules: what alerts look like
  casebook-replay incident.scap.gz
      one capture through the built-in rules
  casebook-replay -r falco_rules.yaml -r local/ evidence/
      every capture below evidence/ through your own rules
  casebook-replay --default-rules -r local.yaml incident.scap
      your rules on top of the built-in ones
  casebook-replay --output json evidence/ | jq -c 'select(.rule)'
      alerts as JSON lines
  casebook-replay --filter 'container.id = 3ad7b26ded6d' --priority warning incident.scap
      one container, from Warning up
  casebook-replay -r k8s_audit_rules.yaml -r falco_rules.yaml node1.scap audit.jsonl
      a capture and the audit log of its cluster, alerts of both in the order of time, with the users behind pod execs
  casebook-replay --metrics alerts.om --deliver http://sidekick:2801 incident.scap
      series for Prometheus, and each alert to a webhook
  zstd -dc big.scap.zst | casebook-replay -M 60 -
      the first minute of a stream

{}
Standard output carries alerts and summary only; everything else goes to standard error. Times are UTC, times and
host name are those of the capture. See also: casebook-replay events, ps, fds, lint and fields, each with
--help, and casebook-replay run --help.",
        exit::help(exit::EXITS)
    )
}

fn lint_help() -> String {
    format!(
        "\
Examples:
  casebook-replay lint rules/
      what is wrong with the rule files of a directory
  casebook-replay lint --default-rules values.yaml
      rules embedded in Helm values, on top of the built-in ones
  casebook-replay lint --deny warnings --allow CB_NO_ATTACK_ID rules/
      for a CI job
  casebook-replay lint --format sarif rules/ > rules.sarif
      for a code hosting site
  casebook-replay lint --show resolved --rule 'Write below*' rules/
      a condition after macros, lists and exceptions
  casebook-replay lint --explain CB_NEVER_TRUE

{}
Findings go to standard output. All codes: rules/DIAGNOSTICS.md.",
        exit::help(exit::LINT_EXITS)
    )
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_tables_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn seconds_are_exact() {
        assert_eq!(seconds("1"), Ok(1_000_000_000));
        assert_eq!(seconds("0.5"), Ok(500_000_000));
        assert_eq!(seconds("2.000000001"), Ok(2_000_000_001));
        for bad in ["", ".", "-1", "+1", "1e3", "0", "0.0", "1.", "inf", "99999999999999999999", "1.0000000001"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
