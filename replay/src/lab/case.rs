//! A case: what a `case.yaml` says, read and checked.
//!
//! `case.yaml` → YAML with places ([`casebook_rules::yaml`]) → [`Case`]. A file holds one case, or several as documents
//! of one stream (an attack and its benign twin stand together best). Everything that cannot be as written is a mistake
//! with its place, before any capture is replayed: unknown keys, rules, fields, events, processes. Running a case is the
//! business of [`super::runner`].
//!
//! Case files are hostile input: size, nesting and what a script comes to are bounded, paths lead to ordinary files.

use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use casebook_rules::ruleset::Matching;
use casebook_rules::source::{FileSpan, Sources};
use casebook_rules::yaml::Node;

use super::expect::{Expectations, Unexpected};
use super::requests;
use super::script;
use super::suite::RuleBooks;
use super::tree::{Entries, Notes, several};
use crate::run::Source;

/// Name of the files that hold cases.
pub const CASE_FILE: &str = "case.yaml";
/// Most documents of a case file.
const MAX_DOCUMENTS: usize = 1000;
/// Most captures of a case.
const MAX_CAPTURES: usize = 64;

/// A capture of a case.
#[derive(Clone, Debug)]
pub enum CaseCapture {
    /// Made from the script in the case.
    Synthetic(Arc<[u8]>),
    /// An audit log made from the requests in the case.
    Audit(Arc<[u8]>),
    /// A file.
    File(PathBuf),
}

impl CaseCapture {
    /// The capture as everything that replays captures takes it.
    pub fn source(&self) -> Source {
        match self {
            Self::Synthetic(bytes) | Self::Audit(bytes) => {
                Source::Memory { name: self.name(), bytes: Arc::clone(bytes) }
            }
            Self::File(path) if fs::metadata(path).is_ok_and(|file| file.is_file()) => Source::File(path.clone()),
            Self::File(path) => Source::Missing { name: path.display().to_string(), reason: "no such file".to_owned() },
        }
    }

    /// How reports call it.
    pub fn name(&self) -> String {
        match self {
            Self::Synthetic(_) => "synthetic".to_owned(),
            Self::Audit(_) => "audit".to_owned(),
            Self::File(path) => path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
        }
    }
}

/// A case, ready to run.
#[derive(Debug)]
pub struct Case {
    /// Its folder below the one that was asked for, and its own name where the file holds several.
    pub name: String,
    /// The file it stands in.
    pub file: PathBuf,
    /// What it is for: one sentence.
    pub purpose: String,
    /// ATT&CK techniques it is about.
    pub techniques: Vec<String>,
    /// Where its capture comes from.
    pub source: String,
    /// Licence of the capture and the case.
    pub licence: String,
    /// Its captures; empty when it is to be skipped.
    pub captures: Vec<CaseCapture>,
    /// Number of its rules in [`super::suite::Suite::rules`].
    pub rules: usize,
    /// Whether the first rule that is true on an event is reported, or all.
    pub matching: Matching,
    /// What has to happen.
    pub expect: Expectations,
    /// Warnings it must come with, exactly: codes of loading its rules, counters of the ledger. Absent: any are shown.
    pub warnings: Option<Vec<String>>,
    /// Why it does not run here: something it requires is not there.
    pub skip: Option<String>,
    /// Where what blessing changes is written.
    pub(super) places: Places,
}

/// Places of a case in its file.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// The whole document.
    pub(super) document: FileSpan,
    /// The `expect` key and its value.
    pub(super) expect: Option<(FileSpan, FileSpan)>,
    /// The value of `warnings`.
    pub(super) warnings: Option<FileSpan>,
}

/// Everything needed to read cases.
pub(super) struct Reading<'r> {
    pub(super) sources: &'r mut Sources,
    pub(super) books: &'r mut RuleBooks,
    /// Every file that was read, for those who watch them.
    pub(super) files: &'r mut Vec<PathBuf>,
    pub(super) notes: &'r mut Notes,
}

/// Reads the cases of a file that is parsed already. `name` is that of its folder.
pub(super) fn read(file: &Path, name: &str, documents: &[Arc<Node>], reading: &mut Reading<'_>) -> Vec<Case> {
    let documents: Vec<&Arc<Node>> = documents.iter().filter(|document| !document.is_null()).collect();
    if let Some(extra) = documents.get(MAX_DOCUMENTS) {
        reading.notes.wrong::<()>(extra.span, format!("more than {MAX_DOCUMENTS} cases in one file"));
        return Vec::new();
    }
    let shared = documents.len() > 1;
    let mut cases: Vec<Case> = Vec::new();
    for document in documents {
        let Some(case) = reading.case(file, name, shared, document) else { continue };
        if cases.iter().any(|other| other.name == case.name) {
            reading.notes.wrong::<()>(document.span, format!("there are two cases `{}`", case.name));
        }
        cases.push(case);
    }
    cases
}

impl Reading<'_> {
    fn case(&mut self, file: &Path, folder_name: &str, shared: bool, document: &Arc<Node>) -> Option<Case> {
        let before = self.notes.mistakes.len();
        let folder = file.parent().unwrap_or(Path::new("")).to_path_buf();
        let mut entries = Entries::of(document, "a case", self.notes)?;
        let own_name = entries.take("name").and_then(|own| self.notes.words(own));
        if shared && own_name.is_none() {
            self.notes.wrong::<()>(entries.start(), "a case that shares its file with others needs `name`");
        }
        let purpose = entries.need("purpose", "a case", self.notes).and_then(|text| self.notes.words(text));
        let techniques = entries.take("technique").map(|list| self.techniques(list)).unwrap_or_default();
        let source = entries.take("source").and_then(|text| self.notes.words(text));
        let licence = entries.take("licence").and_then(|text| self.notes.words(text));
        let environment = entries.take("requires").map(|node| self.requires(node, &folder)).unwrap_or_default();
        let skip = environment.missing.clone();
        let captures = self.captures(&mut entries, &folder, &environment);
        let rules = entries.take("rules");
        let rules = self.rules(rules, &folder);
        let matching = match entries.take("rule_matching") {
            Some(node) => self.notes.one_of(node, &[("first", Matching::First), ("all", Matching::All)])?,
            None => Matching::First,
        };
        let unexpected = match entries.take("unexpected") {
            Some(node) => self.notes.one_of(node, Unexpected::WORDS)?,
            None => Unexpected::Fail,
        };
        let warnings = entries.take("warnings");
        let expect = entries.take("expect");
        let places = Places {
            document: document.span,
            expect: document.entry("expect").map(|(key, value)| (key.span, value.span)),
            warnings: warnings.map(|node| node.span),
        };
        let warnings = warnings.map(|node| {
            let items = several(node).iter();
            items.filter_map(|item| self.notes.words(item).map(str::to_owned)).collect()
        });
        entries.end("a case", self.notes);
        let rules = rules?;
        let mut expectations = Expectations::new(unexpected);
        if let (Some(node), Some(book)) = (expect, self.books.get(rules)) {
            expectations.read(node, book, self.sources, self.notes);
        }
        if self.notes.mistakes.len() > before {
            return None;
        }
        let name = match own_name {
            Some(own) if folder_name.is_empty() => own.to_owned(),
            Some(own) => format!("{folder_name}/{own}"),
            None => folder_name.to_owned(),
        };
        Some(Case {
            name,
            file: file.to_path_buf(),
            purpose: purpose?.split_whitespace().collect::<Vec<_>>().join(" "),
            techniques,
            source: source.unwrap_or("synthetic").to_owned(),
            licence: licence.unwrap_or("Apache-2.0").to_owned(),
            captures: captures?,
            rules,
            matching,
            expect: expectations,
            warnings,
            skip,
            places,
        })
    }

    /// ATT&CK ids.
    fn techniques(&mut self, node: &Arc<Node>) -> Vec<String> {
        let mut ids = Vec::new();
        for item in several(node) {
            let Some(id) = self.notes.words(item) else { continue };
            let digits = id.trim_start_matches(['T', 'A']);
            let shape = id.starts_with('T') && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            if !shape || digits.len() < 4 {
                self.notes.wrong::<()>(item.span, format!("`{id}` is no ATT&CK id like T1059.004"));
            }
            ids.push(id.to_owned());
        }
        ids
    }

    /// What has to be there for the case to run: variables of the environment, files, a version of this program.
    fn requires(&mut self, node: &Node, folder: &Path) -> Environment {
        let mut environment = Environment::default();
        let Some(mut entries) = Entries::of(node, "`requires`", self.notes) else { return environment };
        if let Some(names) = entries.take("env") {
            for name in several(names) {
                let Some(name) = self.notes.words(name) else { continue };
                match std::env::var(name) {
                    Ok(value) if !value.is_empty() => environment.variables.push((name.to_owned(), value)),
                    _ => environment.missing(format!("{name} is not set")),
                }
            }
        }
        if let Some(paths) = entries.take("file") {
            for node in several(paths) {
                let Some(path) = self.notes.words(node) else { continue };
                let file = folder.join(environment.expand(path));
                if !file.exists() {
                    environment.missing(format!("{path} is not there"));
                }
            }
        }
        if let Some(node) = entries.take("version")
            && let Some(wanted) = self.notes.words(node)
        {
            match (version(wanted), version(env!("CARGO_PKG_VERSION"))) {
                (Some(wanted), Some(have)) if wanted <= have => {}
                (Some(_), _) => environment.missing(format!("version {wanted} is needed")),
                (None, _) => {
                    self.notes.wrong::<()>(node.span, format!("`{wanted}` is no version like 0.1.0"));
                }
            }
        }
        entries.end("`requires`", self.notes);
        environment
    }

    /// `capture:` one file, `captures:` several, `synthetic:` a script, `audit:` requests to a cluster.
    fn captures(
        &mut self,
        entries: &mut Entries<'_>,
        folder: &Path,
        environment: &Environment,
    ) -> Option<Vec<CaseCapture>> {
        let (one, more) = (entries.take("capture"), entries.take("captures"));
        let script = entries.take("synthetic");
        let requests = entries.take("audit");
        let mut captures = Vec::new();
        let nodes: Vec<&Arc<Node>> = one.into_iter().chain(more.map(several).unwrap_or_default()).collect();
        if nodes.len() > MAX_CAPTURES {
            return self.notes.wrong(entries.start(), format!("more than {MAX_CAPTURES} captures in a case"));
        }
        for node in nodes {
            let written = self.notes.words(node)?;
            if written.starts_with('/') {
                let hint = "or `${NAME}/...` with a variable that `requires: {env: NAME}` names".to_owned();
                return self.notes.wrong_with(node.span, "the path of a capture is relative to the case", Some(hint));
            }
            let path = direct(&folder.join(environment.expand(written)));
            if environment.missing.is_some() {
                continue;
            }
            if !fs::metadata(&path).is_ok_and(|file| file.is_file()) {
                return self.notes.wrong(node.span, format!("{}: no such file", path.display()));
            }
            self.files.push(path.clone());
            captures.push(CaseCapture::File(path));
        }
        if let Some(script) = script {
            let bytes = script::tell(script, folder, self.files, self.sources, self.notes)?;
            captures.push(CaseCapture::Synthetic(bytes.into()));
        }
        if let Some(requests) = requests {
            captures.push(CaseCapture::Audit(requests::tell(requests, self.notes)?.into()));
        }
        if captures.is_empty() && environment.missing.is_none() {
            return self.notes.wrong(entries.start(), "a case needs `capture`, `captures`, `synthetic` or `audit`");
        }
        Some(captures)
    }

    /// The rules of a case: `default`, files, or both.
    fn rules(&mut self, node: Option<&Arc<Node>>, folder: &Path) -> Option<usize> {
        let mut paths = Vec::new();
        let mut with_default = node.is_none();
        for item in node.map(several).unwrap_or_default() {
            match self.notes.words(item)? {
                "default" if paths.is_empty() => with_default = true,
                "default" => return self.notes.wrong(item.span, "`default` comes first: files build on it"),
                path => {
                    let path = direct(&folder.join(path));
                    if !path.exists() {
                        return self.notes.wrong(item.span, format!("{}: no such file", path.display()));
                    }
                    self.files.push(path.clone());
                    paths.push(path);
                }
            }
        }
        let number = self.books.load(with_default, &paths);
        match (self.books.broken(number), node) {
            (false, _) => Some(number),
            (true, Some(node)) => self.notes.wrong(node.span, "these rules do not load: see the errors about them"),
            (true, None) => None,
        }
    }
}

/// `cases/a/../../rules/x.yaml` as `rules/x.yaml`: one file has one name, whichever case names it, so that cases of several
/// folders share their rules. A folder behind a symbolic link stays: what is above it is elsewhere.
fn direct(path: &Path) -> PathBuf {
    let mut direct = PathBuf::new();
    for part in path.components() {
        let goes_back = part == Component::ParentDir
            && matches!(direct.components().next_back(), Some(Component::Normal(_)))
            && fs::symlink_metadata(&direct).is_ok_and(|folder| folder.is_dir());
        if goes_back {
            direct.pop();
        } else {
            direct.push(part);
        }
    }
    if direct.as_os_str().is_empty() { PathBuf::from(".") } else { direct }
}

/// What a case requires, as far as it is there.
#[derive(Default)]
struct Environment {
    variables: Vec<(String, String)>,
    /// The first thing that is not there.
    missing: Option<String>,
}

impl Environment {
    fn missing(&mut self, what: String) {
        self.missing.get_or_insert(what);
    }

    /// A path with `${NAME}` put in, for variables that the case requires.
    fn expand(&self, path: &str) -> String {
        let put = |path: String, (name, value): &(String, String)| path.replace(&format!("${{{name}}}"), value);
        self.variables.iter().fold(path.to_owned(), put)
    }
}

/// Three numbers.
fn version(text: &str) -> Option<[u32; 3]> {
    let mut parts = text.split('.').map(|part| part.parse().ok());
    let version = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(version)
}

/// The bytes of an ordinary file that is not too large for a case or a stage.
pub(super) fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("this is no ordinary file"));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(script::MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > script::MAX_FILE {
        return Err(io::Error::other(format!("the file is larger than {} MiB", script::MAX_FILE >> 20)));
    }
    Ok(bytes)
}
