//! A corpus folder: which captures, goldens and rule files it holds.
//!
//! Any folder of this layout will do (`CASEBOOK_CORPORA`, or `--corpora`); no names or counts are assumed:
//!
//! ```text
//! captures/GROUP/NAME.scap                       captures, in any number of groups
//! falco-rules/*.yaml, probe-rules/*.yaml         rule files
//! falco-goldens/fields/NAME.jsonl.zst            every field of every event
//! falco-goldens/alerts/NAME.CONFIG.jsonl         alerts and summary of a rule set
//! falco-goldens/alerts/NAME.probe.txt            the same run in text form
//! falco-goldens/containers/NAME.tsv.zst          container fields as sysdig resolves them
//! ```

use std::path::{Path, PathBuf};
use std::{fs, io};

/// Environment variable that names the corpus folder.
pub const CORPORA_VARIABLE: &str = "CASEBOOK_CORPORA";

/// A corpus folder and its captures.
#[derive(Debug)]
pub struct Corpora {
    /// The folder.
    pub root: PathBuf,
    /// All captures, by name.
    pub captures: Vec<Capture>,
}

/// One capture of a corpus.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Capture {
    /// File name without extension; goldens carry the same name.
    pub name: String,
    /// The file.
    pub path: PathBuf,
}

/// A rule set for which goldens exist.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RuleSet {
    /// `falco_rules.yaml`.
    Stable,
    /// Stable, incubating and sandbox, in this order.
    All,
    /// The probe rules, first match.
    Probe,
    /// The probe rules, every match.
    ProbeAll,
}

impl RuleSet {
    /// Every rule set.
    pub const EVERY: [Self; 4] = [Self::Stable, Self::All, Self::Probe, Self::ProbeAll];

    /// Name in golden file names and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::All => "all",
            Self::Probe => "probe",
            Self::ProbeAll => "probe-all",
        }
    }

    /// Rule files below the corpus folder, in load order.
    pub fn files(self) -> &'static [&'static str] {
        match self {
            Self::Stable => &["falco-rules/falco_rules.yaml"],
            Self::All => &[
                "falco-rules/falco_rules.yaml",
                "falco-rules/falco-incubating_rules.yaml",
                "falco-rules/falco-sandbox_rules.yaml",
            ],
            Self::Probe | Self::ProbeAll => &["probe-rules/probe_rules.yaml"],
        }
    }

    /// Whether every rule that matches reports, or only the first.
    pub fn matches_all(self) -> bool {
        self == Self::ProbeAll
    }
}

impl Corpora {
    /// The folder named by [`CORPORA_VARIABLE`]; `None` when the variable is unset or empty.
    pub fn from_environment() -> io::Result<Option<Self>> {
        match std::env::var_os(CORPORA_VARIABLE) {
            Some(root) if !root.is_empty() => Self::open(Path::new(&root)).map(Some),
            _ => Ok(None),
        }
    }

    /// Lists the captures below `root`.
    pub fn open(root: &Path) -> io::Result<Self> {
        let mut captures = Vec::new();
        let folder = root.join("captures");
        for group in entries(&folder)? {
            if group.is_dir() {
                captures.extend(entries(&group)?.into_iter().filter_map(|path| capture(&path)));
            } else {
                captures.extend(capture(&group));
            }
        }
        captures.sort_by(|a, b| (&a.name, &a.path).cmp(&(&b.name, &b.path)));
        Ok(Self { root: root.to_path_buf(), captures })
    }

    /// The captures whose name matches one of `patterns` (`*` and `?`); all of them when there are no patterns.
    pub fn select(&self, patterns: &[String]) -> Vec<Capture> {
        let globs: Vec<_> = patterns.iter().map(|pattern| crate::glob::Glob::new(pattern)).collect();
        let chosen = |name: &str| globs.is_empty() || globs.iter().any(|glob| glob.matches(name));
        self.captures.iter().filter(|capture| chosen(&capture.name)).cloned().collect()
    }

    /// The field golden of a capture, where there is one.
    pub fn field_golden(&self, capture: &Capture) -> Option<PathBuf> {
        existing(self.root.join("falco-goldens/fields").join(format!("{}.jsonl.zst", capture.name)))
    }

    /// The alert golden of a capture and rule set, where there is one.
    pub fn alert_golden(&self, capture: &Capture, rules: RuleSet) -> Option<PathBuf> {
        existing(self.root.join("falco-goldens/alerts").join(format!("{}.{}.jsonl", capture.name, rules.name())))
    }

    /// The alert golden in text form, where there is one.
    pub fn text_golden(&self, capture: &Capture, rules: RuleSet) -> Option<PathBuf> {
        existing(self.root.join("falco-goldens/alerts").join(format!("{}.{}.txt", capture.name, rules.name())))
    }

    /// The container golden of a capture, where there is one.
    pub fn container_golden(&self, capture: &Capture) -> Option<PathBuf> {
        existing(self.root.join("falco-goldens/containers").join(format!("{}.tsv.zst", capture.name)))
    }

    /// The rule files of a rule set, in load order.
    pub fn rule_files(&self, rules: RuleSet) -> Vec<PathBuf> {
        rules.files().iter().map(|file| self.root.join(file)).collect()
    }
}

fn existing(path: PathBuf) -> Option<PathBuf> {
    path.is_file().then_some(path)
}

/// Paths in a folder, sorted; none when the folder is missing.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let listing = match fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths = listing.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// A capture file by its extension.
fn capture(path: &Path) -> Option<Capture> {
    let file = path.file_name()?.to_str()?;
    let name = [".scap", ".scap.gz", ".scap.zst"].iter().find_map(|extension| file.strip_suffix(extension))?;
    Some(Capture { name: name.to_owned(), path: path.to_path_buf() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failing test may panic

    use super::*;

    #[test]
    fn captures_are_found_in_groups_and_goldens_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let make = |path: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"").unwrap();
        };
        make("captures/b/two-5.10.scap");
        make("captures/a/one.scap.zst");
        make("captures/a/README.md");
        make("falco-goldens/alerts/two-5.10.probe-all.jsonl");
        let corpora = Corpora::open(folder.path()).unwrap();
        let names: Vec<_> = corpora.captures.iter().map(|capture| capture.name.as_str()).collect();
        assert_eq!(names, ["one", "two-5.10"]);
        let [chosen] = &corpora.select(&["two*".to_owned()])[..] else { panic!("one capture matches") };
        assert!(corpora.alert_golden(chosen, RuleSet::ProbeAll).is_some());
        assert!(corpora.alert_golden(chosen, RuleSet::Probe).is_none());
        assert!(corpora.field_golden(chosen).is_none());
    }

    #[test]
    fn a_folder_without_captures_is_empty_not_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Corpora::open(folder.path()).unwrap().captures.is_empty());
    }
}
