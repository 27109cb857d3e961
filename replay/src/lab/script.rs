//! Event scripts: a small machine and what happens on it, in YAML, so that a test needs no binary file.
//!
//! A script (`synthetic:` in a case) names containers and processes and lists events; [`tell`] plays it on the trace
//! builder of `casebook-fixtures`, which writes what a recorder of today would have written. The stage (machine,
//! containers, processes) may stand in a file that several scripts share. [`stage`] reads who is there, [`verbs`] what
//! they can do, [`params`] the events of the event table for which there is no verb.
//!
//! A script is hostile input: events, and the bytes they come to, are bounded.

mod params;
mod stage;
mod verbs;
mod words;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use casebook_fixtures::{Container, Task, Trace};
use casebook_rules::diagnostics::did_you_mean;
use casebook_rules::source::{FileSpan, RuleFile, Sources};
use casebook_rules::yaml::{self, Node};

use super::tree::{Entries, Notes, several};

pub(super) use verbs::page;

/// Most events of a script, loops rolled out.
const MAX_EVENTS: usize = 20_000;
/// Most bytes of a script's capture.
const MAX_BYTES: usize = 64 << 20;
/// Loops in loops.
const MAX_LOOPS: usize = 4;
/// Largest file with a stage or a case.
pub(super) const MAX_FILE: u64 = 1 << 20;
/// Name of process 1, which every machine has.
const INIT: &str = "init";

/// A process of the story.
#[derive(Clone, Copy, Debug)]
struct Actor {
    task: Task,
    named: Named,
}

/// Where a process has its name from. Stronger names come later.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Named {
    /// From its program.
    Program,
    /// From the event that started it; the next one may take it over.
    Event,
    /// From the stage: its own, for good.
    Stage,
}

/// A script being told.
pub(super) struct Teller<'t> {
    trace: Trace,
    actors: BTreeMap<String, Actor>,
    containers: BTreeMap<String, Container>,
    /// Descriptors that got a name.
    descriptors: BTreeMap<String, i64>,
    /// Variables of the loops around the event at hand, the innermost last.
    bound: Vec<(String, String)>,
    events: usize,
    notes: &'t mut Notes,
}

/// Plays a script. Gives the capture, or nothing after noting what is wrong with it. `folder` is where relative paths
/// begin; files that were read go to `files`.
pub(super) fn tell(
    node: &Node,
    folder: &Path,
    files: &mut Vec<PathBuf>,
    sources: &mut Sources,
    notes: &mut Notes,
) -> Option<Vec<u8>> {
    let before = notes.mistakes.len();
    let mut entries = Entries::of(node, "a script", notes)?;
    let shared = entries.take("stage").and_then(|stage| shared_stage(stage, folder, files, sources, notes));
    let host = entries.take("host").and_then(|host| notes.words(host));
    let host = host.map(str::to_owned).or_else(|| shared.as_ref().and_then(|stage| stage::host(stage)));
    let mut teller = Teller {
        trace: Trace::new(host.as_deref().unwrap_or("node-1")),
        actors: BTreeMap::from([(INIT.to_owned(), Actor { task: Task(1), named: Named::Stage })]),
        containers: BTreeMap::new(),
        descriptors: BTreeMap::new(),
        bound: Vec::new(),
        events: 0,
        notes,
    };
    let mut stage = shared.as_ref().and_then(|shared| Entries::of(shared, "a stage", teller.notes));
    // The script's containers take the place of those of the stage, for the processes of both.
    for entries in stage.iter_mut().chain([&mut entries]) {
        teller.places(entries);
    }
    for entries in stage.iter_mut().chain([&mut entries]) {
        teller.processes(entries);
    }
    if let Some(mut stage) = stage {
        stage.take("host");
        stage.end("a stage", teller.notes);
    }
    teller.announce();
    if let Some(events) = entries.need("events", "a script", teller.notes) {
        teller.play(events);
    }
    entries.end("a script", teller.notes);
    let finished = teller.trace.finish();
    match finished {
        Ok(bytes) if notes.mistakes.len() == before => Some(bytes),
        Ok(_) => None,
        // The builder knows no places; a mistake that has one is the better message.
        Err(_) if notes.mistakes.len() > before => None,
        Err(error) => notes.wrong(node.span, error.to_string()),
    }
}

/// The document of a stage's file.
fn shared_stage(
    node: &Node,
    folder: &Path,
    files: &mut Vec<PathBuf>,
    sources: &mut Sources,
    notes: &mut Notes,
) -> Option<Arc<Node>> {
    let name = notes.words(node)?;
    let path = folder.join(name);
    let bytes = match super::case::read_bounded(&path) {
        Ok(bytes) => bytes,
        Err(error) => return notes.wrong(node.span, format!("{name}: {error}")),
    };
    let id = sources.add(&RuleFile::new(path.display().to_string(), bytes.clone()));
    files.push(path);
    match yaml::parse(id, &bytes) {
        Err(error) => {
            notes.note(*error);
            None
        }
        Ok(parsed) => match parsed.documents.into_iter().next() {
            Some(document) => Some(document),
            None => notes.wrong(node.span, format!("{name} is empty")),
        },
    }
}

impl Teller<'_> {
    /// Plays events, in their order.
    fn play(&mut self, node: &Node) {
        let Some(events) = node.sequence() else {
            self.notes.wrong::<()>(node.span, format!("events are a sequence, not {}", node.kind_name()));
            return;
        };
        for event in events {
            if self.events >= MAX_EVENTS || self.trace.size() > MAX_BYTES {
                let limit = format!("the script comes to more than {MAX_EVENTS} events or {} MiB", MAX_BYTES >> 20);
                self.notes.wrong::<()>(event.span, limit);
                return;
            }
            self.events += 1;
            if event.get("each").is_some() {
                self.repeat(event);
            } else {
                self.event(event);
            }
        }
    }

    /// Plays events once for each of some texts: `each: [a, b]`, `do: [...]`, with `$it` (or `$NAME` of `as`) for them.
    fn repeat(&mut self, node: &Node) -> Option<()> {
        let mut entries = Entries::of(node, "a loop", self.notes)?;
        let each = entries.need("each", "a loop", self.notes)?;
        let steps = entries.need("do", "a loop", self.notes);
        let name = match entries.take("as") {
            Some(name) => self.notes.words(name)?.to_owned(),
            None => "it".to_owned(),
        };
        entries.end("a loop", self.notes);
        if self.bound.len() >= MAX_LOOPS {
            return self.notes.wrong(node.span, format!("more than {MAX_LOOPS} loops in each other"));
        }
        let mistakes = self.notes.mistakes.len();
        for text in several(each) {
            let text = self.text(text)?;
            self.bound.push((name.clone(), text));
            self.play(steps?);
            self.bound.pop();
            if self.notes.mistakes.len() > mistakes {
                break; // the next round would say the same
            }
        }
        Some(())
    }

    /// A text with the variables of loops put in.
    fn text(&mut self, node: &Node) -> Option<String> {
        let text = self.notes.text(node)?;
        if self.bound.is_empty() || !text.contains('$') {
            return Some(text.to_owned());
        }
        let mut out = text.to_owned();
        for (name, value) in self.bound.iter().rev() {
            out = out.replace(&format!("${name}"), value);
        }
        if out.len() as u64 > MAX_FILE {
            return self.notes.wrong(node.span, "the text becomes too long");
        }
        Some(out)
    }

    /// The process of a name.
    fn actor(&mut self, node: &Node) -> Option<Task> {
        let name = self.text(node)?;
        if let Some(actor) = self.actors.get(&name) {
            return Some(actor.task);
        }
        let hint = did_you_mean(&name, self.actors.keys().map(String::as_str)).unwrap_or_else(|| {
            let names: Vec<&str> = self.actors.keys().map(String::as_str).collect();
            format!("processes so far: {}", names.join(", "))
        });
        self.notes.wrong_with(node.span, format!("there is no process `{name}` here"), Some(hint))
    }

    /// Gives a process its name: `given` by the script, or that of its program as long as nobody else was given it.
    fn introduce(&mut self, task: Task, given: Option<(&str, FileSpan)>, program: &str) -> Option<()> {
        let program = program.rsplit('/').next().unwrap_or(program);
        let name = given.map_or(program, |(name, _)| name);
        let named = if given.is_some() { Named::Event } else { Named::Program };
        match (self.actors.get(name).map(|actor| actor.named), given) {
            (Some(Named::Stage), Some((_, span))) => {
                return self.notes.wrong(span, format!("there is a process `{name}` already"));
            }
            (Some(other), _) if other > named => {}
            _ => {
                self.actors.insert(name.to_owned(), Actor { task, named });
            }
        }
        Some(())
    }
}
