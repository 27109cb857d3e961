//! What changes on disk: for `test --watch`, which runs cases again when their files do.
//!
//! Looked at by asking, a few times a second, which costs nothing on the few hundred files of a suite and works on every
//! file system, also on those mounted from elsewhere.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Depth below a named folder at which the search stops.
const MAX_DEPTH: usize = 64;

/// Files with their length and time of change.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Snapshot {
    files: BTreeMap<PathBuf, (u64, Option<SystemTime>)>,
}

impl Snapshot {
    /// Everything below `roots` that is YAML, and `files` wherever they are.
    pub fn of(roots: &[PathBuf], files: &[PathBuf]) -> Self {
        let mut snapshot = Self::default();
        for root in roots {
            snapshot.below(root, 0);
        }
        for file in files {
            // A folder of rules: what is in it counts.
            snapshot.below(file, 0);
            snapshot.file(file);
        }
        snapshot
    }

    fn below(&mut self, path: &Path, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        let Ok(entries) = fs::read_dir(path) else { return self.file(path) };
        for entry in entries.flatten() {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => self.below(&path, depth + 1),
                Ok(kind) if kind.is_file() && path.extension().is_some_and(|end| end == "yaml" || end == "yml") => {
                    self.file(&path);
                }
                _ => {}
            }
        }
    }

    fn file(&mut self, path: &Path) {
        if let Ok(metadata) = fs::metadata(path) {
            self.files.insert(path.to_path_buf(), (metadata.len(), metadata.modified().ok()));
        }
    }

    /// The first file that is other in a later snapshot.
    pub fn changed<'s>(&'s self, later: &'s Self) -> Option<&'s Path> {
        let other = |a: &'s Self, b: &'s Self| a.files.iter().find(|(path, state)| b.files.get(*path) != Some(state));
        other(later, self).or_else(|| other(self, later)).map(|(path, _)| path.as_path())
    }
}
