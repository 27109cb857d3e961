//! Containers that are named by `--container`: their cgroups, those that are there and those that appear later.
//!
//! Runtimes make a container's cgroup, named after its id, before anything runs in it. Every folder of the cgroup tree is
//! watched (inotify), so that a new one is known at once. An id decides at once; a name has to be looked up in the
//! runtime's files, which may come a moment later, so it is asked for again for a while.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::containers::{describe, id_of};
use crate::filter::{Cgroup, Entry};
use crate::sys::Watcher;

/// How long a container's name is asked for.
const PATIENCE: Duration = Duration::from_secs(30);
/// Shortest beginning of an id that names a container.
const PREFIX_MIN: usize = 6;
/// Folders that are watched; containers beyond are not found.
const WATCHED_MAX: usize = 100_000;

/// Finds them.
pub(crate) struct Appear {
    wanted: Vec<Entry<String>>,
    /// The host's root folder.
    root: PathBuf,
    mount: PathBuf,
    watcher: Watcher,
    watched: BTreeMap<i32, PathBuf>,
    /// Cgroups of containers that are to be judged.
    nameless: Vec<Nameless>,
}

/// One whose name is perhaps not known yet.
struct Nameless {
    folder: PathBuf,
    since: Instant,
    /// Not before.
    next: Instant,
}

impl Appear {
    /// Watches the tree of cgroups mounted at `mount`.
    pub(crate) fn new(wanted: Vec<Entry<String>>, mount: &Path, root: &Path) -> io::Result<Self> {
        let (root, mount) = (root.to_owned(), mount.to_owned());
        let (watched, nameless) = (BTreeMap::new(), Vec::new());
        let mut appear = Self { wanted, root, watcher: Watcher::new()?, watched, nameless, mount };
        appear.watch(&appear.mount.clone());
        Ok(appear)
    }

    /// Cgroups that were found since the last call; at the first call all that are there.
    pub(crate) fn look(&mut self) -> Vec<Entry<Cgroup>> {
        for (watch, name) in self.watcher.events() {
            if let Some(folder) = self.watched.get(&watch) {
                let folder = folder.join(name);
                self.watch(&folder);
            }
        }
        let (mut found, mut still) = (Vec::new(), Vec::new());
        for mut nameless in std::mem::take(&mut self.nameless) {
            let now = Instant::now();
            if nameless.next > now {
                still.push(nameless);
                continue;
            }
            match self.judge(&nameless.folder) {
                Some(Ok(entry)) => found.push(entry),
                Some(Err(())) => {}
                None if nameless.since.elapsed() < PATIENCE && nameless.folder.exists() => {
                    // Soon at first, less and less often later.
                    nameless.next = now + nameless.since.elapsed() / 8;
                    still.push(nameless);
                }
                None => {}
            }
        }
        self.nameless = still;
        found
    }

    /// Is somebody waiting for a name?
    pub(crate) fn waits(&self) -> bool {
        !self.nameless.is_empty()
    }

    /// Watches a folder and all below it. What appears in one before it is watched is seen by the walk.
    fn watch(&mut self, folder: &Path) {
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            if self.watched.len() >= WATCHED_MAX {
                return;
            }
            let Ok(watch) = self.watcher.add(&folder) else { continue };
            if self.watched.insert(watch, folder.clone()).is_some() {
                continue;
            }
            if own_id(&folder).is_some() {
                let now = Instant::now();
                self.nameless.push(Nameless { folder: folder.clone(), since: now, next: now });
            }
            let below = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            folders.extend(
                below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()),
            );
        }
    }

    /// Is it wanted? `None`: that is not known yet.
    fn judge(&self, folder: &Path) -> Option<Result<Entry<Cgroup>, ()>> {
        let Some(id) = own_id(folder) else { return Some(Err(())) };
        let by_id = |wanted: &&Entry<String>| wanted.value.len() >= PREFIX_MIN && id.starts_with(&wanted.value);
        let mut entry = self.wanted.iter().find(by_id);
        if entry.is_none() {
            let name = describe(&self.root, &id)?;
            entry = self.wanted.iter().find(|wanted| name["name"] == wanted.value.as_str());
        }
        let cgroup = entry.and_then(|entry| {
            let level = folder.strip_prefix(&self.mount).ok()?.components().count() as u32;
            let id = std::fs::metadata(folder).ok()?.ino();
            Some(Entry { value: Cgroup { id, level }, mode: entry.mode })
        });
        Some(cgroup.ok_or(()))
    }
}

/// The container that this very folder is named after.
fn own_id(folder: &Path) -> Option<String> {
    use std::os::unix::ffi::OsStrExt;
    id_of(folder.file_name()?.as_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failing test may panic

    use super::*;
    use crate::filter::Mode;

    #[test]
    fn containers_are_found_by_id_at_once_and_by_name_when_it_is_known() {
        let root = tempfile::tempdir().unwrap();
        let mount = root.path().join("cgroup");
        let (old, new, other) = ("a".repeat(64), "b".repeat(64), "c".repeat(64));
        std::fs::create_dir_all(mount.join("docker").join(&old)).unwrap();
        let wanted = vec![
            Entry { value: "aaaaaa".to_owned(), mode: Mode::Only },
            Entry { value: "web".to_owned(), mode: Mode::Except },
        ];
        let mut appear = Appear::new(wanted, &mount, root.path()).unwrap();
        let inode = |path: &Path| std::fs::metadata(path).unwrap().ino();
        let first = appear.look();
        assert_eq!(
            first,
            [Entry { value: Cgroup { id: inode(&mount.join("docker").join(&old)), level: 2 }, mode: Mode::Only }]
        );
        assert!(appear.look().is_empty(), "once");
        let below = mount.join("kubepods/pod1");
        std::fs::create_dir_all(&below).unwrap();
        std::fs::create_dir(below.join(&new)).unwrap();
        std::fs::create_dir(below.join(&other)).unwrap();
        assert!(appear.look().is_empty() && appear.waits(), "its name is not known yet");
        for (id, name) in [(&new, "/web"), (&other, "/db")] {
            let files = root.path().join("var/lib/docker/containers").join(id);
            std::fs::create_dir_all(&files).unwrap();
            std::fs::write(files.join("config.v2.json"), format!(r#"{{"Name":"{name}"}}"#)).unwrap();
        }
        std::thread::sleep(Duration::from_millis(20));
        let id = inode(&below.join(&new));
        assert_eq!(appear.look(), [Entry { value: Cgroup { id, level: 3 }, mode: Mode::Except }]);
        assert!(!appear.waits());
    }
}
