//! `casebook-replay redact`: policy, key and rules to a capture that may leave the house, its manifest, and the proof.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use casebook_formats::capture::{CaptureReader, Item};
use casebook_formats::custody::{self, Entry};
use casebook_formats::origin;
use casebook_formats::rewrite::{Rewritten, rewrite};
use casebook_formats::tables::ppme;
use casebook_rules::ruleset::Matching;
use clap::Args;

use super::Terminals;
use super::captures::broken;
use super::derived::{DerivedArgs, Input, Passing, TOOL, failed, step, store, wants_lines};
use super::exit::{self, Exit};
use super::ruleset::{Loaded, RuleArgs};
use super::talk::say;
use crate::audit::event::PLUGIN;
use crate::detect::Detector;
use crate::excerpt::ExcerptError;
use crate::redact::Redactor;
use crate::redact::key::Key;
use crate::redact::manifest::{Manifest, Masked};
use crate::redact::policy::{self, Policy};
use crate::redact::proof::{self, Alert, Proof};
use crate::run::Source;

/// Changed alerts that standard error lists, each way.
const ALERTS_TOLD: usize = 10;
/// Longest policy that is read.
const MAX_POLICY: u64 = 16 << 20;

/// Options of `redact`.
#[derive(Args, Debug)]
pub(super) struct RedactArgs {
    #[command(flatten)]
    file: RedactFileArgs,

    /// What is masked, and what stays [default: everything but words that all systems and the rules share]
    #[arg(long, value_name = "FILE", help_heading = "Redaction")]
    policy: Option<PathBuf>,

    /// Print the built-in policy, to begin one's own with
    #[arg(long, exclusive = true, help_heading = "Redaction")]
    show_policy: bool,

    /// The key: captures that were redacted with the same one can be joined [default: a new one that nobody keeps]
    #[arg(long, value_name = "FILE", conflicts_with = "new_key", help_heading = "Redaction")]
    key: Option<PathBuf>,

    /// Make a key and write it to this file, which is not there yet
    #[arg(long, value_name = "FILE", help_heading = "Redaction")]
    new_key: Option<PathBuf>,

    /// Where to write what was masked, as JSON; `-` is standard output [default: OUTPUT.manifest.json]
    #[arg(long, value_name = "FILE", help_heading = "Redaction")]
    manifest: Option<PathBuf>,

    /// Don't compare the alerts of the rules before and after
    #[arg(long, help_heading = "Redaction")]
    no_proof: bool,

    #[command(flatten)]
    rules: RuleArgs,
}

/// The files; none are needed to show the policy.
#[derive(Args, Debug)]
struct RedactFileArgs {
    /// The capture or audit log: a file, packed or not, or `-` for standard input
    #[arg(value_name = "CAPTURE", required_unless_present = "show_policy")]
    capture: Option<PathBuf>,

    /// File to write: .scap.zst (says where it came from), .scap, .scap.gz; .jsonl for an audit log
    #[arg(short, long, value_name = "FILE", required_unless_present = "show_policy")]
    output: Option<PathBuf>,

    /// Replace outputs that are there already
    #[arg(long)]
    force: bool,

    /// Say nothing on standard error but errors
    #[arg(short = 'q', long)]
    quiet: bool,
}

/// Redacts.
pub(super) fn run(
    args: &RedactArgs,
    out: &mut (dyn Write + Send),
    err: &mut (dyn Write + Send),
    terminals: Terminals,
) -> Exit {
    if args.show_policy {
        return match out.write_all(policy::BUILT_IN.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => Exit::Complete,
            Err(error) => broken(&error, err),
        };
    }
    let (Some(capture), Some(output)) = (args.file.capture.clone(), args.file.output.clone()) else {
        return Exit::Usage; // the option parser has seen to it that they are there
    };
    let file = DerivedArgs { capture, output, force: args.file.force, quiet: args.file.quiet };
    match redact(args, &file, out, err, terminals) {
        Ok(exit) | Err(exit) => exit,
    }
}

/// What `redact` works with.
struct Work<'w> {
    key: &'w Key,
    policy: &'w Policy,
    loaded: &'w Loaded,
}

fn redact(
    args: &RedactArgs,
    file: &DerivedArgs,
    out: &mut (dyn Write + Send),
    err: &mut (dyn Write + Send),
    terminals: Terminals,
) -> Result<Exit, Exit> {
    let policy = read_policy(args.policy.as_deref(), err)?;
    let Some(loaded) = args.rules.load(file.quiet, err, terminals) else { return Err(Exit::Rules) };
    let manifest_file = args.manifest.clone().unwrap_or_else(|| {
        let mut name = file.output.clone().into_os_string();
        name.push(".manifest.json");
        name.into()
    });
    let to_stdout = manifest_file.as_os_str() == "-";
    if !to_stdout && !file.force && fs::symlink_metadata(&manifest_file).is_ok() {
        say(err, &format!("error: {}: is there already; --force replaces it", manifest_file.display()));
        return Err(Exit::Output);
    }
    let input = Input::open(file, err)?;
    if wants_lines(&file.output) && !input.source.is_log() {
        say(err, &format!("error: {}: a capture of system calls cannot be written as JSON", file.output.display()));
        return Err(Exit::Usage);
    }
    // What is no capture at all is refused before anything is written.
    if let Err(error) = input.source.open() {
        return Err(failed(file, &ExcerptError::Capture(error), err));
    }
    let key = key(args, file.quiet, err)?;
    let work = Work { key: &key, policy: &policy, loaded: &loaded };
    let (masked, rewritten) = written(&work, file, &input, err)?;

    let names: Vec<String> = loaded.rules.rules().iter().map(|rule| rule.name.clone()).collect();
    let fail = |error: &ExcerptError, err: &mut (dyn Write + Send)| failed(file, error, err);
    let proof = if args.no_proof {
        None
    } else {
        // All that are true: which one a run reports first may change when another one is lost.
        let detector = Detector::new(loaded.rules, Matching::All, None);
        let proof = proof::compare(&input.source, &Source::File(file.output.clone()), &detector);
        Some(proof.map_err(|error| fail(&error, err))?)
    };
    let original = input.origin().map_err(|error| fail(&error.into(), err))?.parent;
    let redacted = origin::of_file(&file.output).map_err(|error| fail(&error.into(), err))?.parent;
    let manifest = Manifest {
        tool: TOOL,
        key: &key.id(),
        policy: policy.digest(),
        original: &original,
        redacted: &redacted,
        masked: &masked,
        rewritten: &rewritten,
        proof: proof.as_ref(),
        rules: &names,
    };
    let text = manifest.text();
    if to_stdout {
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| broken(&error, err))?;
    } else if let Err(error) = fs::write(&manifest_file, text) {
        say(err, &format!("error: {}: {error}", manifest_file.display()));
        return Err(Exit::Output);
    }
    if !file.quiet {
        tell(&masked, &rewritten, &key, err);
    }
    Ok(match proof {
        Some(proof) => {
            tell_proof(&proof, &names, file.quiet, err);
            if proof.is_equal() { Exit::Complete } else { Exit::Alerts }
        }
        None => Exit::Complete,
    })
}

fn read_policy(path: Option<&Path>, err: &mut dyn Write) -> Result<Policy, Exit> {
    let Some(path) = path else { return Ok(Policy::built_in()) };
    let name = path.display().to_string();
    let bytes = match fs::metadata(path) {
        Ok(file) if file.len() > MAX_POLICY => Err(io::Error::other("too large for a policy")),
        Ok(_) => fs::read(path),
        Err(error) => Err(error),
    };
    let bytes = bytes.map_err(|error| {
        say(err, &format!("error: {name}: {error}"));
        Exit::Usage
    })?;
    Policy::read(&name, &bytes).map_err(|lines| {
        for line in lines {
            say(err, &format!("error: {line}"));
        }
        Exit::Usage
    })
}

fn key(args: &RedactArgs, quiet: bool, err: &mut dyn Write) -> Result<Key, Exit> {
    let told = |path: &Path, error: io::Error, exit: Exit, err: &mut dyn Write| {
        say(err, &format!("error: {}: {error}", path.display()));
        exit
    };
    if let Some(path) = &args.key {
        return Key::read(path).map_err(|error| told(path, error, Exit::Usage, err));
    }
    let key = Key::random().map_err(|error| told(Path::new("random numbers"), error, Exit::Output, err))?;
    match &args.new_key {
        Some(path) => key.write(path).map_err(|error| told(path, error, Exit::Output, err))?,
        None if !quiet => {
            say(
                err,
                "note: the key is forgotten afterwards; --new-key FILE keeps it, for captures that belong together",
            );
        }
        None => {}
    }
    Ok(key)
}

/// Writes the redacted capture, or log.
fn written(
    work: &Work<'_>,
    file: &DerivedArgs,
    input: &Input,
    err: &mut (dyn Write + Send),
) -> Result<(Masked, Rewritten), Exit> {
    store(file, input, err, |out| {
        // A redacted capture is the whole one: what the recorder lost is told of it from its start.
        out.gap()?;
        let mut redactor = Redactor::new(work.key, work.policy, &work.loaded.rules);
        let rewritten = if wants_lines(&file.output) {
            let between = Passing::beside(&file.output, ".scap.partial");
            let mut sink = BufWriter::new(between.create()?);
            let rewritten = rewrite(input.source.capture_bytes()?, &mut redactor, &mut sink)?;
            drop(sink);
            lines(between.path(), out)?;
            rewritten
        } else {
            rewrite(input.source.capture_bytes()?, &mut redactor, out)?
        };
        let note = format!("key {}, policy {}", work.key.id(), work.policy.digest());
        let mut origin = input.origin()?;
        // Who recorded it, and what was noted on the way, are words like any other.
        for Entry { by, note, .. } in &mut origin.entries {
            for text in [by, note].into_iter().flatten() {
                *text = redactor.text(text);
            }
        }
        Ok(((redactor.masked(), rewritten), custody::derive(&[origin], &step("redact", note))))
    })
}

/// The documents of plugin events of a capture, one a line.
fn lines(capture: &Path, out: &mut dyn Write) -> Result<(), ExcerptError> {
    let unreadable = |error: casebook_formats::capture::FormatError| ExcerptError::Capture(error.to_string());
    let file = Box::new(File::open(capture)?);
    let mut reader = CaptureReader::from_reader(file, "the redacted log").map_err(unreadable)?;
    while let Some(item) = reader.next_item().map_err(unreadable)? {
        if let Item::Event(event) = item
            && event.etype == ppme::PPME_PLUGINEVENT_E
            && event.u64(0) == Some(u64::from(PLUGIN))
        {
            out.write_all(event.param(1).unwrap_or_default())?;
            out.write_all(b"\n")?;
        }
    }
    Ok(())
}

fn tell(masked: &Masked, rewritten: &Rewritten, key: &Key, err: &mut dyn Write) {
    let all = |of: fn(&crate::redact::manifest::Masked) -> u64| of(masked);
    let values: u64 = masked.by_kind.values().map(|count| count.values).sum();
    let changed: u64 = masked.by_kind.values().map(|count| count.changed).sum();
    say(
        err,
        &format!(
            "redact: {} events; {changed} of {values} values changed, {} words masked, {} stayed; key {}",
            rewritten.events,
            all(|masked| masked.words_masked),
            all(|masked| masked.words_kept),
            key.id()
        ),
    );
    for (kind, count) in &masked.by_kind {
        say(err, &format!("  {:<12} {:>9} of {:>9} changed", kind.name(), count.changed, count.values));
    }
    let Rewritten { events_left_out, values_left_out, comments_left_out, entries_left_out, cut, .. } = rewritten;
    for (count, what) in [
        (events_left_out, "events of unknown types or damaged were left out"),
        (values_left_out, "values that the event table does not have were left out"),
        (comments_left_out, "comments of section headers were left out"),
        (entries_left_out, "snapshot entries that cannot be read were left out"),
        (cut, "texts became too long for their place and were cut"),
    ] {
        if *count > 0 {
            say(err, &format!("note: {count} {what}"));
        }
    }
}

fn tell_proof(proof: &Proof, names: &[String], quiet: bool, err: &mut dyn Write) {
    if proof.events.0 != proof.events.1 {
        let (before, after) = proof.events;
        say(err, &format!("warning: {before} events before, {after} after: their numbers do not compare"));
    }
    if proof.is_equal() {
        if !quiet {
            say(err, &format!("proof: the same rules are true on the same events ({} alerts)", proof.before));
        }
        return;
    }
    say(err, &format!("warning: alerts changed: {} lost, {} new", proof.lost.len(), proof.gained.len()));
    for (what, alerts) in [("lost", &proof.lost), ("new", &proof.gained)] {
        for Alert { event, rule } in alerts.iter().take(ALERTS_TOLD) {
            let name = names.get(*rule as usize).map_or("", String::as_str);
            say(err, &format!("  {what}: event {event}: {name}"));
        }
        if alerts.len() > ALERTS_TOLD {
            say(err, &format!("  {what}: and {} more (the manifest lists them)", alerts.len() - ALERTS_TOLD));
        }
    }
    say(
        err,
        "  help: `casebook-replay explain RULE --event N` on both captures names the comparison; keep.words in a policy lets a word through",
    );
}

pub(super) fn after_help() -> String {
    format!(
        "\
Examples:
  casebook-replay redact --new-key case-7.key incident.scap -o for-vendor.scap.zst
      mask what tells of whom it was recorded from, keep the key for more captures of the case
  casebook-replay redact --key case-7.key second.scap.gz -o second.redacted.scap.zst
      tokens of both captures join
  casebook-replay redact --policy house.yaml -r our-rules/ incident.scap -o out.scap
      one's own policy; what our rules compare with stays, and their alerts are compared
  casebook-replay redact audit.jsonl.gz -o audit.redacted.jsonl
      a Kubernetes audit log, as a log again
  casebook-replay redact --show-policy > house.yaml

Arguments, environment, buffers, paths, names, addresses, users, hosts and containers are masked, word by word, in events of
every type and in snapshots; the same word has the same token everywhere. Whoever has the key can find out whether a guess
is right, so it is as secret as what it masks. The manifest says what was masked, and which words stayed; read these.
All of it: replay/REDACT.md.

{}",
        exit::help(exit::REDACT_EXITS)
    )
}
