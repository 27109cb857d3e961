//! Containers that are named by `--container`: which of them are named, and by which cgroup the kernel side knows them.
//!
//! The kernel side sees by itself which cgroups are those of containers, and which ids they have. A name has to be looked up
//! in the runtime's files, which may come a moment after the cgroup, so it is asked for again for a while; what such a
//! container does meanwhile waits ([`crate::undecided`]). Every folder of the cgroup tree is watched (inotify), so that
//! most names are known before anything happens.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::containers::{describe, id_of};
use crate::filter::{Cgroup, Entry, Filters, Mode, may_be_id};
use crate::sys::Watcher;

/// How long a container's name is asked for.
const PATIENCE: Duration = Duration::from_secs(30);
/// Folders that are watched; containers beyond are not found.
const WATCHED_MAX: usize = 100_000;

/// Finds them.
pub(crate) struct Appear {
    wanted: Vec<Entry<String>>,
    /// There are names among them.
    by_name: bool,
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
    cgroup: Cgroup,
    since: Instant,
    /// Not before.
    next: Instant,
}

/// What is known of a container's cgroup now. No mode: no entry of the filter names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Judged {
    pub cgroup: Cgroup,
    pub mode: Option<Mode>,
}

impl Appear {
    /// Watches the tree of cgroups mounted at `mount`.
    pub(crate) fn new(filters: &Filters, mount: &Path, root: &Path) -> io::Result<Self> {
        let (wanted, by_name) = (filters.containers.clone(), filters.by_name());
        let (root, mount) = (root.to_owned(), mount.to_owned());
        let (watched, nameless) = (BTreeMap::new(), Vec::new());
        let mut appear = Self { wanted, by_name, root, watcher: Watcher::new()?, watched, nameless, mount };
        appear.watch(&appear.mount.clone());
        Ok(appear)
    }

    /// Cgroups of containers of which something became known since the last call; at the first call all that are there.
    pub(crate) fn look(&mut self) -> Vec<Judged> {
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
            match self.judge(&nameless) {
                Some(judged) => found.push(judged),
                None if nameless.since.elapsed() < PATIENCE && nameless.folder.exists() => {
                    // Soon at first, less and less often later.
                    nameless.next = now + nameless.since.elapsed() / 8;
                    still.push(nameless);
                }
                // Nobody knows a name: it has none.
                None => found.push(Judged { cgroup: nameless.cgroup, mode: None }),
            }
        }
        self.nameless = still;
        found
    }

    /// Is somebody waiting for a name?
    pub(crate) fn waits(&self) -> bool {
        !self.nameless.is_empty()
    }

    /// Something happened in this cgroup, and it hangs on a container in or above it: `number` is the lower half of its
    /// cgroup's. Perhaps it is gone again already, but not yet its runtime's files.
    pub(crate) fn consider(&mut self, path: &[u8], number: u32) {
        use std::os::unix::ffi::OsStrExt;
        let path = Path::new(std::ffi::OsStr::from_bytes(path));
        let folder = self.mount.join(path.strip_prefix("/").unwrap_or(path));
        let Some(folder) = folder.ancestors().find(|folder| own_id(folder).is_some()) else { return };
        if !self.nameless.iter().any(|nameless| nameless.folder == folder) {
            let id = std::fs::metadata(folder).map_or(u64::from(number), |found| found.ino());
            self.ask(folder, Cgroup { id });
        }
    }

    fn ask(&mut self, folder: &Path, cgroup: Cgroup) {
        let now = Instant::now();
        self.nameless.push(Nameless { folder: folder.to_owned(), cgroup, since: now, next: now });
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
            if own_id(&folder).is_some()
                && let Ok(found) = std::fs::metadata(&folder)
            {
                self.ask(&folder, Cgroup { id: found.ino() });
            }
            let below = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            folders.extend(
                below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()),
            );
        }
    }

    /// Which entry names it, if any? `None`: that is not known yet.
    fn judge(&self, nameless: &Nameless) -> Option<Judged> {
        let judged = |mode| Some(Judged { cgroup: nameless.cgroup, mode });
        let Some(id) = own_id(&nameless.folder) else { return judged(None) };
        let by_id = |wanted: &&Entry<String>| may_be_id(&wanted.value) && id.starts_with(&wanted.value);
        // The longest says most; the kernel side looks at them in the same order.
        if let Some(entry) = self.wanted.iter().filter(by_id).max_by_key(|entry| entry.value.len()) {
            return judged(Some(entry.mode));
        }
        if !self.by_name {
            return judged(None);
        }
        let name = describe(&self.root, &id)?;
        let named = self.wanted.iter().find(|wanted| name["name"] == wanted.value.as_str());
        judged(named.map(|entry| entry.mode))
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

    #[test]
    fn containers_are_found_by_id_at_once_and_by_name_when_it_is_known() {
        let root = tempfile::tempdir().unwrap();
        let mount = root.path().join("cgroup");
        let (old, new, other) = ("a".repeat(64), "b".repeat(64), "c".repeat(64));
        std::fs::create_dir_all(mount.join("docker").join(&old)).unwrap();
        let mut filters = Filters::default();
        for text in ["aaaaaa", "!web"] {
            filters.container(text);
        }
        let mut appear = Appear::new(&filters, &mount, root.path()).unwrap();
        let cgroup = |path: &Path| Cgroup { id: std::fs::metadata(path).unwrap().ino() };
        let judged = |cgroup, mode| Judged { cgroup, mode };
        assert_eq!(appear.look(), [judged(cgroup(&mount.join("docker").join(&old)), Some(Mode::Only))]);
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
        let mut found = appear.look();
        found.sort_by_key(|judged| judged.mode.is_none());
        let expected =
            [judged(cgroup(&below.join(&new)), Some(Mode::Except)), judged(cgroup(&below.join(&other)), None)];
        assert_eq!(found, expected);
        assert!(!appear.waits());
        // Its cgroup is gone before anybody looked; its files still tell.
        std::fs::remove_dir(below.join(&new)).unwrap();
        appear.consider(format!("/kubepods/pod1/{new}/init").as_bytes(), 77);
        assert_eq!(appear.look(), [judged(Cgroup { id: 77 }, Some(Mode::Except))]);
        appear.consider(b"/user.slice", 78);
        assert!(!appear.waits());
    }
}
