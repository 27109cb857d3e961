//! Loading: rule files in, a ruleset and diagnostics out.
//!
//! Files go into one growing collection, which is compiled after each of them (but for parts of one thing,
//! [`RuleFile::goes_on`]). Falco stops at the first error; here
//! everything is read and compiled that can be, so that one run shows all errors, with Falco's first one first. What
//! refers to something that has an error is not reported again.

use std::collections::HashSet;

use crate::build::{self, Built};
use crate::collector::{Broken, Collector, Surroundings};
use crate::diagnostics::{Code, Diagnostic, ItemKind};
use crate::priority::Priority;
use crate::reader::{self, ReadFile, ReadItem};
use crate::ruleset::RuleSet;
use crate::schema::Schema;
use crate::source::{FileId, Problem, RuleFile, Sources};
use crate::version::Version;

/// Most diagnostics of one load; a hostile file could have millions.
const MAX_DIAGNOSTICS: usize = 10_000;

/// Plugins of Falco whose fields this project has itself, with the newest version known.
const PLUGINS: &[(&str, Version)] = &[
    ("container", Version::new(0, 7, 1)),
    ("k8smeta", Version::new(0, 4, 1)),
    ("json", Version::new(0, 10, 0)),
    ("k8saudit", Version::new(0, 20, 0)),
    ("k8saudit-eks", Version::new(0, 20, 0)),
    ("k8saudit-gke", Version::new(0, 20, 0)),
    ("k8saudit-aks", Version::new(0, 20, 0)),
    ("k8saudit-ovh", Version::new(0, 20, 0)),
    ("cloudtrail", Version::new(0, 20, 0)),
];

/// Text and fields that the configuration adds to the outputs of rules.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct AppendOutput {
    /// Added to the output behind a blank.
    pub format: Option<String>,
    /// Fields added to JSON alerts.
    pub fields: Vec<ExtraField>,
    /// Only for rules of this source.
    pub source: Option<String>,
    /// Only for rules with all of these tags.
    pub tags: Vec<String>,
    /// Only for the rule of this name.
    pub rule: Option<String>,
}

/// A field that the configuration adds to JSON alerts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExtraField {
    /// Its key.
    pub name: String,
    /// Its value, an output.
    pub format: String,
    /// The value is that of the field called `name`, with its type; otherwise it is the text of the format.
    pub raw: bool,
}

/// How to load.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Weaker rules are loaded and checked but do not run.
    pub min_priority: Priority,
    /// Additions to outputs.
    pub append_output: Vec<AppendOutput>,
    /// The engine that `required_engine_version` asks about.
    pub engine_version: Version,
    /// Plugins that `required_plugin_versions` asks about.
    pub plugins: Vec<(String, Version)>,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            min_priority: Priority::Debug,
            append_output: Vec::new(),
            engine_version: Version::ENGINE,
            plugins: PLUGINS.iter().map(|&(name, version)| (name.to_owned(), version)).collect(),
        }
    }
}

/// What loading gives.
#[derive(Debug)]
pub struct LoadOutcome {
    /// The rules; absent when a file has an error. It is there when only plugins are missing: see
    /// [`LoadOutcome::has_errors`].
    pub ruleset: Option<RuleSet>,
    /// Errors and warnings in the order in which they were found, each as often as Falco reports it: those about items
    /// of earlier files again for every later file. [`LoadOutcome::distinct`] leaves repetitions out.
    pub diagnostics: Vec<Diagnostic>,
    /// The files.
    pub sources: Sources,
    /// The first file with an error.
    pub failed: Option<FileId>,
    /// Whether all required plugins are there.
    pub plugins_ok: bool,
    /// The items that the rules were built from, for [`crate::lint`].
    pub(crate) collector: Collector,
}

impl LoadOutcome {
    /// Whether anything keeps the rules from being run.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// The diagnostics, each once.
    pub fn distinct(&self) -> Vec<&Diagnostic> {
        let mut seen = HashSet::new();
        let mut distinct = self.diagnostics.iter().collect::<Vec<_>>();
        distinct.retain(|diagnostic| seen.insert(diagnostic.key()));
        distinct
    }
}

/// Loads rule files, in the order given.
pub fn load(files: &[RuleFile], schema: &dyn Schema, options: &LoadOptions) -> LoadOutcome {
    let mut sources = Sources::default();
    let ids: Vec<FileId> = files.iter().map(|file| sources.add(file)).collect();
    let mut loader = Loader::new(schema, options, &sources);
    for (&id, file) in ids.iter().zip(files) {
        loader.file(id, file);
    }
    let plugins_ok = loader.check_plugins();
    let Loader { out, built, failed, collector, .. } = loader;
    let ruleset = failed.is_none().then(|| RuleSet::new(built, options.min_priority, schema));
    LoadOutcome { ruleset, diagnostics: out, sources, failed, plugins_ok, collector }
}

/// Reads files one after the other into a collection.
pub(crate) struct Loader<'l> {
    schema: &'l dyn Schema,
    options: &'l LoadOptions,
    sources: &'l Sources,
    collector: Collector,
    broken: Broken,
    out: Vec<Diagnostic>,
    built: Built,
    failed: Option<FileId>,
}

impl<'l> Loader<'l> {
    pub(crate) fn new(schema: &'l dyn Schema, options: &'l LoadOptions, sources: &'l Sources) -> Self {
        Self {
            schema,
            options,
            sources,
            collector: Collector::default(),
            broken: Broken::default(),
            out: Vec::new(),
            built: Built::default(),
            failed: None,
        }
    }

    /// The collection, what is missing in it, and the diagnostics so far.
    pub(crate) fn collected(self) -> (Collector, Broken, Vec<Diagnostic>) {
        (self.collector, self.broken, self.out)
    }

    /// Takes a file's items into the collection.
    pub(crate) fn collect(&mut self, id: FileId, file: &RuleFile) {
        match &file.problem {
            Some(Problem::Unreadable(reason)) => {
                self.broken.everything = true;
                self.out.push(Diagnostic::new(Code::FileRead, format!("{}: {reason}", file.name)));
            }
            Some(Problem::NoRuleFiles) => {
                self.out.push(Diagnostic::new(Code::NoRules, format!("{}: no rule files here", file.name)));
            }
            None => match reader::read(id, &file.bytes) {
                ReadFile::Unreadable(error) => {
                    self.broken.everything = true;
                    self.out.push(*error);
                }
                ReadFile::Items(items, warnings) => {
                    self.out.extend(warnings);
                    for item in items {
                        self.item(item);
                    }
                }
            },
        }
    }

    fn file(&mut self, id: FileId, file: &RuleFile) {
        let first = self.out.len();
        self.collect(id, file);
        if !file.goes_on {
            self.built =
                build::build(&self.collector, self.schema, self.options, self.sources, &self.broken, &mut self.out);
        }
        for diagnostic in self.out.iter_mut().skip(first) {
            diagnostic.file = Some(id);
        }
        let mut later = self.out.split_off(first);
        if self.failed.is_some() {
            // Falco has stopped by now: what it would repeat for every file need not be repeated.
            let known: HashSet<_> = self.out.iter().map(Diagnostic::key).collect();
            later.retain(|diagnostic| !known.contains(&diagnostic.key()));
        }
        self.out.append(&mut later);
        self.out.truncate(MAX_DIAGNOSTICS);
        if self.failed.is_none() && self.out.iter().skip(first).any(Diagnostic::is_error) {
            self.failed = Some(id);
        }
    }

    fn item(&mut self, item: ReadItem) {
        let ReadItem { kind, name, steps, warnings, error } = item;
        self.out.extend(warnings);
        let around = Surroundings { schema: self.schema, engine: self.options.engine_version, broken: &self.broken };
        let mut trouble = None;
        for step in steps {
            if let Err(error) = self.collector.apply(step, &around, &mut self.out) {
                trouble = Some(error);
                break;
            }
        }
        let Some(mut error) = trouble.or(error) else { return };
        if let Some(kind) = kind {
            let name = name.unwrap_or_default();
            self.broken.add(kind, &name);
            error.item.get_or_insert(crate::diagnostics::ItemRef { kind, name });
        }
        self.out.push(*error);
    }

    /// Checks the required plugins. The first alternative that is there decides.
    fn check_plugins(&mut self) -> bool {
        let mut errors = Vec::new();
        for wanted in &self.collector.plugins {
            let decisive = wanted.iter().find_map(|requirement| {
                let found = self.options.plugins.iter().find(|(name, _)| *name == requirement.name.value)?;
                Some((requirement, found.1))
            });
            let Some(first) = wanted.first() else { continue };
            let name = &first.name.value;
            let error = match decisive {
                None => Diagnostic::new(
                    Code::PluginRequirement,
                    format!("plugin `{name}` is required, version {}, and not there", first.version.value),
                )
                .at(first.name.span),
                Some((requirement, have)) => {
                    let want = Version::parse(&requirement.version.value);
                    if want.is_some_and(|want| have.serves(want)) {
                        continue;
                    }
                    let message = format!(
                        "plugin `{}` is required in version {}, this is {have}",
                        requirement.name.value, requirement.version.value
                    );
                    Diagnostic::new(Code::PluginRequirement, message).at(requirement.version.span)
                }
            };
            errors.push(error.of(ItemKind::RequiredPluginVersions, ""));
        }
        let ok = errors.is_empty();
        // A missing plugin is usually the cause of the other errors, so it comes first.
        errors.append(&mut self.out);
        self.out = errors;
        ok
    }
}
