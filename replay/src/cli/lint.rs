//! `casebook-replay lint`: rule files to findings, or to what their rules come to.
//!
//! Loading, checking and rendering are the business of `casebook_rules`; here it is decided what is shown and how the
//! tool ends.

use std::io::{self, Write};

use casebook_rules::default_rules::default_rules;
use casebook_rules::diagnostics::{Code, Diagnostic, Severity};
use casebook_rules::lint::{self, show};
use casebook_rules::load::{LoadOptions, LoadOutcome, load};
use casebook_rules::ruleset::{Rule, RuleSet};
use casebook_rules::select::Selector;
use casebook_rules::{inputs, report, sarif, suggest};
use serde_json::json;

use super::Terminals;
use super::args::{LintArgs, LintFormat, ShowArg};
use super::exit::Exit;
use super::talk::say;
use crate::fields::Catalogue;
use crate::output::push_safe;
use casebook_rules::default_rules::is_about_vocabulary;

/// Checks the rule files that `args` name.
pub(super) fn run(args: &LintArgs, out: &mut dyn Write, err: &mut dyn Write, terminals: Terminals) -> Exit {
    let written = match &args.explain {
        Some(code) => explain(code, out, err),
        None => check(args, out, err, terminals),
    };
    written.unwrap_or_else(|error| Exit::of_output(&error))
}

/// Finds a code by its name; says so when there is none.
fn code(name: &str, err: &mut dyn Write) -> Option<Code> {
    let found = Code::from_name(&name.to_ascii_uppercase());
    if found.is_none() {
        say(err, &format!("error: there is no diagnostic code {name}"));
        if let Some(near) = suggest::closest(name, Code::ALL.iter().map(|code| code.name())) {
            say(err, &format!("  help: did you mean {near}?"));
        }
    }
    found
}

fn explain(name: &str, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<Exit> {
    let Some(code) = code(name, err) else { return Ok(Exit::Usage) };
    writeln!(out, "{} ({}): {}\n\n{}", code.name(), code.severity().name(), code.title(), code.explanation())?;
    out.flush()?;
    Ok(Exit::Complete)
}

/// What `--deny` names.
#[derive(Default)]
struct Deny {
    warnings: bool,
    findings: bool,
    codes: Vec<Code>,
}

impl Deny {
    fn parse(args: &LintArgs, err: &mut dyn Write) -> Option<Self> {
        let mut deny = Self::default();
        for name in &args.deny {
            match name.as_str() {
                "warnings" => deny.warnings = true,
                "findings" => deny.findings = true,
                _ => deny.codes.push(code(name, err)?),
            }
        }
        Some(deny)
    }

    fn denies(&self, diagnostic: &Diagnostic) -> bool {
        let severity = diagnostic.code.severity();
        self.findings || (self.warnings && severity <= Severity::Warning) || self.codes.contains(&diagnostic.code)
    }
}

fn check(args: &LintArgs, out: &mut dyn Write, err: &mut dyn Write, terminals: Terminals) -> io::Result<Exit> {
    let Some(deny) = Deny::parse(args, err) else { return Ok(Exit::Usage) };
    let allowed: Option<Vec<Code>> = args.allow.iter().map(|name| code(name, err)).collect();
    let Some(allowed) = allowed else { return Ok(Exit::Usage) };
    let paths: Vec<_> = args.files.iter().chain(&args.rules).collect();
    let mut files = if paths.is_empty() || args.default_rules { default_rules() } else { Vec::new() };
    let built_in = if paths.is_empty() { 0 } else { files.len() };
    files.extend(inputs::read(&paths));
    let outcome = load(&files, &Catalogue::new(), &LoadOptions::default());
    let failed = outcome.has_errors();
    if let (Some(what), false, Some(set)) = (args.show, failed, &outcome.ruleset) {
        return show_rules(args, what, set, out, err);
    }
    let found = lint::lint(&outcome, &Catalogue::new());
    let shown: Vec<&Diagnostic> = outcome
        .distinct()
        .into_iter()
        .chain(&found)
        .filter(|diagnostic| diagnostic.is_error() || !allowed.contains(&diagnostic.code))
        .filter(|diagnostic| !is_about_vocabulary(diagnostic, &outcome))
        .filter(|diagnostic| concerns(diagnostic, built_in))
        .collect();
    match args.format {
        LintFormat::Text => text(&shown, &outcome, out, terminals)?,
        LintFormat::Json => {
            let diagnostics: Vec<_> = shown.iter().map(|found| report::json(found, &outcome.sources)).collect();
            let [errors, warnings, notes] = counts(&shown);
            let summary = json!({ "errors": errors, "warnings": warnings, "notes": notes });
            write_json(&json!({ "diagnostics": diagnostics, "summary": summary }), out)?;
        }
        LintFormat::Sarif => {
            let log = sarif::log(&shown, &outcome.sources, "casebook-replay", env!("CARGO_PKG_VERSION"));
            write_json(&log, out)?;
        }
    }
    out.flush()?;
    Ok(if failed {
        Exit::Rules
    } else if shown.iter().any(|diagnostic| deny.denies(diagnostic)) {
        Exit::Alerts
    } else {
        Exit::Complete
    })
}

/// Writes JSON for people and programs: names in it may hold direction marks and C1 controls, which JSON itself lets
/// pass.
fn write_json(value: &impl std::fmt::Display, out: &mut dyn Write) -> io::Result<()> {
    let mut bytes = Vec::new();
    for line in format!("{value:#}").lines() {
        push_safe(&mut bytes, line.as_bytes());
        bytes.push(b'\n');
    }
    out.write_all(&bytes)
}

/// Whether a diagnostic is about more than the first files, which are the built-in ones.
fn concerns(diagnostic: &Diagnostic, built_in: usize) -> bool {
    let mut labels = diagnostic.primary.iter().chain(&diagnostic.secondary).peekable();
    labels.peek().is_none() || labels.any(|label| label.span.file.0 as usize >= built_in)
}

/// Errors, warnings, notes.
fn counts(shown: &[&Diagnostic]) -> [usize; 3] {
    [Severity::Error, Severity::Warning, Severity::Note]
        .map(|severity| shown.iter().filter(|diagnostic| diagnostic.code.severity() == severity).count())
}

fn text(shown: &[&Diagnostic], outcome: &LoadOutcome, out: &mut dyn Write, terminals: Terminals) -> io::Result<()> {
    for diagnostic in shown {
        writeln!(out, "{}", report::text(diagnostic, &outcome.sources, terminals.out))?;
    }
    let [errors, warnings, notes] = counts(shown);
    let plural = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    let rules = outcome.ruleset.as_ref().map_or(0, |set| set.rules().len());
    writeln!(
        out,
        "{}: {}, {}, {}",
        if errors > 0 { "no rules loaded".to_owned() } else { plural(rules, "rule") },
        plural(errors, "error"),
        plural(warnings, "warning"),
        plural(notes, "note")
    )
}

/// Prints what the chosen rules come to.
fn show_rules(
    args: &LintArgs,
    what: ShowArg,
    set: &RuleSet,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Exit> {
    let selectors: Vec<Selector> = args.rule.iter().map(|name| Selector::Name(name.clone())).collect();
    for (selector, name) in selectors.iter().zip(&args.rule) {
        if !set.rules().iter().any(|rule| selector.selects(&rule.name, &rule.tags)) {
            say(err, &format!("error: there is no rule '{name}'"));
            if let Some(near) = suggest::closest(name, set.rules().iter().map(|rule| &*rule.name)) {
                say(err, &format!("  help: did you mean '{near}'?"));
            }
            return Ok(Exit::Usage);
        }
    }
    let wanted = |rule: &&Rule| {
        selectors.is_empty() || selectors.iter().any(|selector| selector.selects(&rule.name, &rule.tags))
    };
    for (n, rule) in set.rules().iter().filter(wanted).enumerate() {
        let gap = if n == 0 { "" } else { "\n" };
        let off = if rule.enabled { "" } else { ", disabled" };
        writeln!(
            out,
            "{gap}rule: {} ({}, {}{off})",
            report::printable(&rule.name),
            report::printable(&rule.source),
            rule.priority.name()
        )?;
        let body = match what {
            ShowArg::Resolved => show::resolved(rule),
            ShowArg::Compiled => show::compiled(rule, set),
            ShowArg::Evttypes => show::event_types(rule, &Catalogue::new()),
        };
        for line in body.lines() {
            writeln!(out, "  {}", report::printable(line))?;
        }
    }
    out.flush()?;
    Ok(Exit::Complete)
}
