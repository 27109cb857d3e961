//! What rules have to see: event types by rule, found without knowing a single field.
//!
//! For a program that must decide which events are worth keeping before anybody evaluates anything, the recorder. It goes
//! as far as [`crate::load`] does, through macros, lists, exceptions, appends and overrides of all files, and stops at
//! the trees of conditions: [`crate::evttypes`] reads them. Names of fields and types of constants are not checked.

use std::collections::BTreeSet;

use crate::collector::{DEFAULT_SOURCE, RuleDef};
use crate::diagnostics::{Code, Diagnostic, ItemKind, ItemRef};
use crate::evttypes::{self, EventTypeSet};
use crate::exceptions;
use crate::load::{LoadOptions, Loader};
use crate::resolver::{Resolution, Resolver};
use crate::schema::Schema;
use crate::source::{RuleFile, Sources};

/// A rule that is switched on, of the syscall source.
#[derive(Clone, Debug)]
pub struct Need {
    /// Its name.
    pub rule: String,
    /// The event types on which it can be true.
    pub event_types: EventTypeSet,
}

/// What rule files come to.
#[derive(Debug)]
pub struct Needs {
    /// Rules that are switched on, in load order.
    pub rules: Vec<Need>,
    /// Errors and warnings. With an error among them `rules` lacks what the error is about.
    pub diagnostics: Vec<Diagnostic>,
    /// The files.
    pub sources: Sources,
}

impl Needs {
    /// The first error, as one line: place and message.
    pub fn error(&self) -> Option<String> {
        let error = self.diagnostics.iter().find(|diagnostic| diagnostic.is_error())?;
        let place = error.primary.as_ref().and_then(|label| self.sources.locate(label.span));
        Some(match place {
            Some(at) => format!("{}:{}:{}: {}", at.name, at.position.line, at.position.column, error.message),
            None => error.message.clone(),
        })
    }
}

/// Finds the event types of rule files, in the order given. Of `schema` only the names of event types are asked, which
/// may be any numbers of the caller's, and the sources; those that it calls partial have fields that nobody looks up.
pub fn needs(files: &[RuleFile], schema: &dyn Schema) -> Needs {
    let mut sources = Sources::default();
    let ids: Vec<_> = files.iter().map(|file| sources.add(file)).collect();
    let options = LoadOptions::default();
    let mut loader = Loader::new(schema, &options, &sources);
    for (&id, file) in ids.iter().zip(files) {
        loader.collect(id, file);
    }
    let (collector, broken, mut out) = loader.collected();
    let is_broken = |kind: ItemKind, name: &str| broken.has(kind, name);
    let mut resolver = Resolver::new(&collector, &sources, &is_broken, &mut out);
    let mut rules = Vec::new();
    let wanted = |rule: &&RuleDef| rule.known_source && rule.enabled && rule.source == DEFAULT_SOURCE;
    for def in collector.rules.iter().filter(wanted) {
        let item = ItemRef { kind: ItemKind::Rule, name: def.head.name.value.clone() };
        let text = match exceptions::expand(&def.condition, &def.exceptions) {
            Ok((text, _)) => text,
            Err(error) => {
                out.push(error.of(item.kind, item.name));
                continue;
            }
        };
        match resolver.condition(text, item.clone(), &is_broken) {
            Resolution::Tree(expr, number) => match evttypes::event_types(&expr, schema) {
                Ok(event_types) => rules.push(Need { rule: item.name, event_types }),
                Err(errors) => out.extend(errors.into_iter().map(|error| {
                    resolver.diagnostic(Code::CompileCondition, error.message, error.span, number).hint(error.hint)
                })),
            },
            Resolution::Errors(errors, _) => out.extend(errors),
            Resolution::Broken => {}
        }
    }
    drop(resolver);
    let mut seen = BTreeSet::new();
    out.retain(|diagnostic| seen.insert(format!("{:?}", diagnostic.key())));
    Needs { rules, diagnostics: out, sources }
}
