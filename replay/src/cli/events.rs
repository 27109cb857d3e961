//! `casebook-replay events`: options to a [`Plan`] of [`crate::events`].

use std::io::Write;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;

use casebook_rules::compile::CompileError;
use casebook_rules::output::Format;
use clap::Args;

use super::Terminals;
use super::args::FormArg;
use super::captures::{self, Hearing};
use super::exit::{self, Exit};
use super::join::JoinArgs;
use super::rules;
use crate::audit::join::Requests;
use crate::detect::Filter;
use crate::events::{AUDIT_FORMAT, CONTAINER_FORMAT, DEFAULT_FORMAT, Formats, POD_FORMAT, Plan};
use crate::fields::Catalogue;
use crate::fields::catalogue::{K8S_AUDIT_SOURCE, SYSCALL_SOURCE};
use crate::moment::Moment;
use crate::run::Source;
use crate::summary::CaptureReport;
use crate::window::Window;

/// Options of `events`.
#[derive(Args, Debug)]
pub(super) struct EventsArgs {
    /// Captures and Kubernetes audit logs: files, directories, glob patterns, `-` for standard input
    #[arg(value_name = "CAPTURE")]
    captures: Vec<PathBuf>,

    /// The example capture that is built into this program
    #[arg(long, conflicts_with = "captures")]
    example: bool,

    /// What to print of an event: text with %field in it, as in the output of a rule
    ///
    /// An event that lacks one of the fields is left out, unless the format begins with `*`: then <NA> stands for it.
    /// `c` (as in -pc) and `k` (-pk) are sysdig's lines for containers and for pods. `casebook-replay fields` lists
    /// all fields. A format of fields that only audit events have (ka.verb) prints those, one of fields of system calls
    /// prints these; audit events have a line of their own where none is asked for.
    #[arg(short = 'p', long = "print", value_name = "FORMAT", default_value = DEFAULT_FORMAT)]
    format: String,

    /// Only events on which this condition is true
    ///
    /// A condition of the rule language without macros and lists.
    #[arg(long, value_name = "CONDITION")]
    filter: Option<String>,

    /// Only events at this time or later
    ///
    /// 2026-11-21T10:00:00Z (without a zone: UTC), 10:00:00.5 (on the day the capture begins), seconds or nanoseconds
    /// since the epoch, or +12.5s, +250ms, +2m after the first event.
    #[arg(long, value_name = "TIME")]
    from: Option<Moment>,

    /// Only events at this time or earlier
    ///
    /// Reading ends a second later: events of different CPUs can stand out of order.
    #[arg(long, value_name = "TIME")]
    to: Option<Moment>,

    #[command(flatten)]
    join: JoinArgs,

    /// Stop each capture after so many printed events
    #[arg(short = 'n', long = "count", value_name = "COUNT")]
    count: Option<NonZeroU64>,

    /// Lines of text, or JSON objects with the fields that -p names
    #[arg(long, value_name = "FORM", default_value = "text", help_heading = "Output")]
    output: FormArg,

    /// Write events to this file instead of standard output
    #[arg(short = 'o', long = "output-file", value_name = "FILE", help_heading = "Output")]
    output_file: Option<PathBuf>,

    /// Workers: captures read at the same time, or one of them ahead [default: one per CPU]
    #[arg(short = 'j', long = "jobs", value_name = "N")]
    jobs: Option<NonZeroUsize>,

    /// No progress bar (there is none anyway unless standard error is a terminal)
    #[arg(long, help_heading = "Output")]
    no_progress: bool,

    /// Say nothing on standard error but errors: no headings, no notes, no ledger, no progress
    #[arg(short = 'q', long, help_heading = "Output")]
    quiet: bool,
}

/// Prints the events that `args` ask for.
pub(super) fn run(
    args: &EventsArgs,
    out: &mut (dyn Write + Send),
    err: &mut (dyn Write + Send),
    terminals: Terminals,
) -> Exit {
    if !captures::are_named(&args.captures, args.example, err) {
        return Exit::Usage;
    }
    let mut captures = captures::named(&args.captures, args.example, args.quiet, err);
    let requests = match args.join.requests(&mut captures, args.quiet, err) {
        Ok(requests) => requests,
        Err(exit) => return exit,
    };
    let Some(plan) = plan(args, requests, err) else { return Exit::Rules };
    let Some(path) = &args.output_file else {
        return print(args, &plan, &captures, out, err, terminals);
    };
    match captures::create(path, &captures, [], err) {
        Ok(mut file) => print(args, &plan, &captures, &mut file, err, Terminals { out: false, ..terminals }),
        Err(exit) => exit,
    }
}

/// Compiles format and filter; `None` after saying what is wrong with them.
fn plan(args: &EventsArgs, requests: Arc<Requests>, err: &mut dyn Write) -> Option<Plan> {
    let text = match args.format.as_str() {
        "c" | "container" => CONTAINER_FORMAT,
        "k" | "kubernetes" => POD_FORMAT,
        own => own,
    };
    let formats = formats(args, text).map_err(|errors| rules::refuse("-p", text, &errors, err)).ok();
    let filter = args
        .filter
        .as_deref()
        .map(|text| Filter::parse_for_all(text).map_err(|errors| rules::refuse("--filter", text, &errors, err)))
        .transpose()
        .ok();
    Some(Plan {
        formats: formats?,
        form: args.output.into(),
        filter: filter?,
        window: Window { from: args.from, to: args.to },
        requests,
        count: args.count,
        remarks: !args.quiet,
    })
}

/// Compiles the format for each source. One that fits a single source prints nothing of the others.
fn formats(args: &EventsArgs, text: &str) -> Result<Formats, Vec<CompileError>> {
    let preset = args.format == DEFAULT_FORMAT || text != args.format;
    let documents = if preset { AUDIT_FORMAT } else { text };
    let documents = Format::parse(documents, K8S_AUDIT_SOURCE, &Catalogue::new()).ok();
    match Format::parse(text, SYSCALL_SOURCE, &Catalogue::new()) {
        Ok(calls) => Ok(Formats { calls: Some(calls), documents }),
        Err(_) if documents.is_some() => Ok(Formats { calls: None, documents }),
        Err(errors) => Err(errors),
    }
}

fn print(
    args: &EventsArgs,
    plan: &Plan,
    captures: &[Source],
    out: &mut (dyn Write + Send),
    err: &mut (dyn Write + Send),
    terminals: Terminals,
) -> Exit {
    let hearing = Hearing { quiet: args.quiet, no_progress: args.no_progress, terminals, by_time: false };
    let jobs = captures::workers(args.jobs);
    let performed =
        captures::perform(captures, hearing, out, err, |output, advance| plan.print(captures, jobs, output, advance));
    match performed {
        Ok(reports) => {
            if !args.quiet {
                captures::tell_ledger(&CaptureReport::merged_ledger(&reports), err);
            }
            captures::exit(&reports)
        }
        Err(exit) => exit,
    }
}

pub(super) fn after_help() -> String {
    format!(
        "\
Examples:
  casebook-replay events --example -n 20
      the first 20 events of the built-in capture, in the line that sysdig prints
  casebook-replay events incident.scap --filter 'proc.name = bash and evt.type = execve'
      what one program did
  casebook-replay events incident.scap -p '%evt.time %proc.pid %proc.cmdline %fd.name' --filter evt.is_io=true
      chosen fields of the events that have all of them
  casebook-replay events incident.scap -p '*%evt.time %user.name %fd.name' --from 21:49:10 --to 21:49:12.5
      two and a half seconds; <NA> where a value is missing
  casebook-replay events --output json -p '%evt.num %evt.rawtime %proc.name' evidence/ | jq -c .
      JSON objects, one a line
  casebook-replay events -pc incident.scap
      with names and ids of containers
  casebook-replay events -p '%evt.time %ka.user.name %ka.verb %ka.target.name' audit.jsonl
      fields of audit events
  casebook-replay events --audit audit.jsonl -p '%evt.time %k8s.user.name %proc.cmdline' node1.scap
      what the users of the Kubernetes API did in pods

{}
Events that only describe the state at the start of a capture, and enter halves of calls, are not printed: exit
halves carry all parameters. Times are UTC. The ledger of anomalies goes to standard error.",
        exit::help(exit::EVENTS_EXITS)
    )
}
