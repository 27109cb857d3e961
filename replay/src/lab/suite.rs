//! A suite: all cases below some paths, with the rules they use, each ruleset loaded once.
//!
//! Paths → `case.yaml` files in the order of their paths → [`Case`]s. What is wrong with them is collected; a suite with
//! mistakes is not run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use casebook_rules::default_rules::default_rules;
use casebook_rules::diagnostics::Diagnostic;
use casebook_rules::inputs;
use casebook_rules::load::{LoadOptions, LoadOutcome, load};
use casebook_rules::report;
use casebook_rules::ruleset::RuleSet;
use casebook_rules::source::{RuleFile, Sources};
use casebook_rules::yaml;

use super::case::{self, CASE_FILE, Case, Reading};
use super::tree::Notes;
use crate::fields::Catalogue;

/// Depth below a named folder at which the search stops.
const MAX_DEPTH: usize = 64;

/// Rules that cases use.
#[derive(Debug)]
pub struct RuleBook {
    /// What loading them gave. The ruleset is there unless there were errors.
    pub outcome: LoadOutcome,
    /// Whether the built-in rules are part of it, and the files on top of them: what tells it from others.
    key: (bool, Vec<PathBuf>),
}

/// The rules of all cases, each combination of files once.
#[derive(Default, Debug)]
pub(super) struct RuleBooks {
    books: Vec<RuleBook>,
    index: BTreeMap<(bool, Vec<PathBuf>), usize>,
}

impl RuleBooks {
    /// Loads rules; gives their number.
    pub(super) fn load(&mut self, with_default: bool, paths: &[PathBuf]) -> usize {
        let key = (with_default, paths.to_vec());
        if let Some(number) = self.index.get(&key) {
            return *number;
        }
        let mut files = if with_default { default_rules() } else { Vec::new() };
        files.extend(inputs::read(paths));
        let outcome = load(&files, &Catalogue::new(), &LoadOptions::default());
        self.books.push(RuleBook { outcome, key: key.clone() });
        self.index.insert(key, self.books.len() - 1);
        self.books.len() - 1
    }

    /// The rules of a number, when they have no errors.
    pub(super) fn get(&self, number: usize) -> Option<&RuleSet> {
        let book = self.books.get(number)?;
        if book.outcome.has_errors() { None } else { book.outcome.ruleset.as_ref() }
    }

    pub(super) fn broken(&self, number: usize) -> bool {
        self.get(number).is_none()
    }
}

/// All cases below some paths.
#[derive(Debug)]
pub struct Suite {
    /// The cases, in the order of their files' paths.
    pub cases: Vec<Case>,
    /// Their rules.
    pub rules: Vec<RuleBook>,
    /// Every file that was read: cases, stages, rules, captures.
    pub files: Vec<PathBuf>,
    /// What is wrong with the cases.
    pub mistakes: Vec<Diagnostic>,
    /// The texts that mistakes and places point into.
    pub sources: Sources,
    /// Arguments below which there is no case, and paths that cannot be read: why.
    pub missing: Vec<String>,
}

impl Suite {
    /// Finds and reads the cases below `paths`: folders, or case files themselves.
    pub fn load(paths: &[PathBuf]) -> Self {
        let (mut books, mut sources, mut notes) = (RuleBooks::default(), Sources::default(), Notes::default());
        let (mut cases, mut files, mut missing) = (Vec::new(), Vec::new(), Vec::new());
        let mut seen = BTreeSet::new();
        for root in paths {
            let mut found = Vec::new();
            if let Err(error) = find(root, 0, &mut found) {
                missing.push(format!("{}: {error}", root.display()));
                continue;
            }
            if found.is_empty() {
                missing.push(format!("{}: no {CASE_FILE} below it", root.display()));
            }
            for file in found {
                if !seen.insert(file.clone()) {
                    continue;
                }
                let bytes = match case::read_bounded(&file) {
                    Ok(bytes) => bytes,
                    Err(error) => {
                        missing.push(format!("{}: {error}", file.display()));
                        continue;
                    }
                };
                files.push(file.clone());
                let id = sources.add(&RuleFile::new(file.display().to_string(), bytes.clone()));
                match yaml::parse(id, &bytes) {
                    Err(error) => notes.note(*error),
                    Ok(parsed) => {
                        for warning in parsed.warnings {
                            // A key that counts only once is no warning here: the case does not say what it seems to.
                            notes.note(Diagnostic { code: casebook_rules::diagnostics::Code::TestCase, ..warning });
                        }
                        let name = name_below(root, &file);
                        let mut reading =
                            Reading { sources: &mut sources, books: &mut books, files: &mut files, notes: &mut notes };
                        cases.extend(case::read(&file, &name, &parsed.documents, &mut reading));
                    }
                }
            }
        }
        files.sort();
        files.dedup();
        Self { cases, rules: books.books, files, mistakes: notes.mistakes, sources, missing }
    }

    /// The rules of a case.
    pub fn ruleset(&self, case: &Case) -> Option<&RuleSet> {
        self.rules.get(case.rules)?.outcome.ruleset.as_ref()
    }

    /// Everything that is wrong, as text with places: rules that do not load, then cases.
    pub fn complaints(&self, colour: bool) -> Vec<String> {
        let mut texts = Vec::new();
        for book in self.rules.iter().filter(|book| book.outcome.has_errors()) {
            let errors = book.outcome.distinct().into_iter().filter(|diagnostic| diagnostic.is_error());
            texts.extend(errors.map(|error| report::text(error, &book.outcome.sources, colour)));
        }
        texts.extend(self.mistakes.iter().map(|mistake| report::text(mistake, &self.sources, colour)));
        texts
    }

    /// Keeps the cases that `keep` wants.
    pub fn retain(&mut self, keep: impl Fn(&Case) -> bool) {
        self.cases.retain(keep);
    }
}

impl RuleBook {
    /// How it is called: `default`, and its files.
    pub fn name(&self) -> String {
        let (with_default, paths) = &self.key;
        let files = paths.iter().map(|path| path.display().to_string());
        with_default.then(|| "default".to_owned()).into_iter().chain(files).collect::<Vec<_>>().join(" + ")
    }
}

/// The case files below a path, in the order of their paths. Folders behind symbolic links are not entered.
fn find(path: &Path, depth: usize, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let metadata = if depth == 0 { fs::metadata(path)? } else { fs::symlink_metadata(path)? };
    if metadata.is_file() {
        if depth == 0 || path.file_name().is_some_and(|name| name == CASE_FILE) {
            found.push(path.to_path_buf());
        }
        return Ok(());
    }
    if !metadata.is_dir() || depth > MAX_DEPTH {
        return Ok(());
    }
    let mut entries: Vec<PathBuf> =
        fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    entries.sort();
    // The folder's own case comes before those below it.
    entries.sort_by_key(|entry| entry.file_name().is_none_or(|name| name != CASE_FILE));
    for entry in entries {
        find(&entry, depth + 1, found)?;
    }
    Ok(())
}

/// The folder of a case file, below the path that was asked for, with `/` everywhere.
fn name_below(root: &Path, file: &Path) -> String {
    let folder = file.parent().unwrap_or(Path::new(""));
    let below = folder.strip_prefix(root).unwrap_or(folder);
    let below = if below.as_os_str().is_empty() {
        // The path names the case itself: its folder says more than nothing.
        folder.file_name().map(PathBuf::from).unwrap_or_default()
    } else {
        below.to_path_buf()
    };
    below.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect::<Vec<_>>().join("/")
}
