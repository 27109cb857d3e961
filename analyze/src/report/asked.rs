//! The rules that were asked, as a report names them: files with their digests, rules with their tags, warnings.

use casebook_formats::record::hex;
use casebook_rules::default_rules::is_about_vocabulary;
use casebook_rules::diagnostics::Diagnostic;
use casebook_rules::load::LoadOutcome;
use casebook_rules::priority::Priority;
use casebook_rules::source::RuleFile;
use sha2::{Digest as _, Sha256};

/// Warnings that are kept; a hostile rule file could have thousands.
const WARNINGS: usize = 200;

/// Rules, their files and what was said about them.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// In load order.
    pub rules: Vec<AskedRule>,
    /// In load order.
    pub files: Vec<AskedFile>,
    /// The first warnings.
    pub warnings: Vec<AskedWarning>,
    /// All of them.
    pub warnings_total: u64,
}

/// A rule.
#[derive(Clone, Debug)]
pub struct AskedRule {
    /// Its name.
    pub name: String,
    /// Its priority.
    pub priority: Priority,
    /// Its tags, sorted.
    pub tags: Vec<String>,
    /// Whether it was asked: it is not switched off, and as strong as asked for.
    pub active: bool,
    /// Number of its file.
    pub file: usize,
}

/// A rule file.
#[derive(Clone, Debug)]
pub struct AskedFile {
    /// Its name.
    pub name: String,
    /// SHA-256 of its text in hex; of an embedded one, of the part that is the rule file.
    pub sha256: String,
    /// Bytes.
    pub bytes: u64,
    /// Warnings about it.
    pub warnings: u64,
}

/// A warning of the load.
#[derive(Clone, Debug)]
pub struct AskedWarning {
    /// Its code.
    pub code: &'static str,
    /// File, line and column.
    pub place: String,
    /// What it says.
    pub message: String,
}

impl Asked {
    /// What loading `files` gave.
    pub fn of(files: &[RuleFile], outcome: &LoadOutcome) -> Self {
        let mut asked = Self { files: files.iter().map(AskedFile::of).collect(), ..Self::default() };
        for diagnostic in outcome.distinct() {
            if diagnostic.is_error() || is_about_vocabulary(diagnostic, outcome) {
                continue;
            }
            asked.warnings_total += 1;
            let file = diagnostic.primary.as_ref().map(|label| label.span.file).or(diagnostic.file);
            if let Some(file) = file.and_then(|file| asked.files.get_mut(file.0 as usize)) {
                file.warnings += 1;
            }
            if asked.warnings.len() < WARNINGS {
                let place = place(diagnostic, outcome);
                let (code, message) = (diagnostic.code.name(), diagnostic.message.clone());
                asked.warnings.push(AskedWarning { code, place, message });
            }
        }
        if let Some(rules) = &outcome.ruleset {
            let told = rules.rules().iter().enumerate().map(|(at, rule)| AskedRule {
                name: rule.name.clone(),
                priority: rule.priority,
                tags: rule.tags.iter().cloned().collect(),
                active: rules.is_active(at),
                file: rule.span.file.0 as usize,
            });
            asked.rules = told.collect();
        }
        asked
    }

    /// The rules that were asked.
    pub fn active(&self) -> impl Iterator<Item = &AskedRule> {
        self.rules.iter().filter(|rule| rule.active)
    }
}

impl AskedFile {
    fn of(file: &RuleFile) -> Self {
        let sha256 = hex(&Sha256::digest(&file.bytes));
        Self { name: file.name.clone(), sha256, bytes: file.bytes.len() as u64, warnings: 0 }
    }
}

/// Where a diagnostic points.
fn place(diagnostic: &Diagnostic, outcome: &LoadOutcome) -> String {
    if let Some(at) = diagnostic.primary.as_ref().and_then(|label| outcome.sources.locate(label.span)) {
        return format!("{}:{}:{}", at.name, at.position.line, at.position.column);
    }
    diagnostic.file.map(|file| outcome.sources.name(file).to_owned()).unwrap_or_default()
}
