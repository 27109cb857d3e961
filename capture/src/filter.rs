//! What belongs into a recording: processes, cgroups, names, users. Decided in the kernel, before anything is copied.
//!
//! Entries of one kind add up; kinds restrict each other. `!` in front leaves out. A process stands for its
//! descendants, a cgroup for those below it. The recorder itself never belongs.

use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// What an entry does; the numbers are those of `bpf/maps.h`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Mode {
    /// Only this.
    Only = 1,
    /// Everything but this.
    Except = 2,
}

impl Mode {
    /// The number that `bpf/maps.h` has for it.
    pub(crate) const fn bit(self) -> u32 {
        self as u32
    }
}

/// One entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Entry<T> {
    pub value: T,
    pub mode: Mode,
}

/// A cgroup's number: the inode of its folder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cgroup {
    pub id: u64,
}

/// Lengths of an id's beginning that names a container.
const ID_LENGTHS: std::ops::RangeInclusive<usize> = 6..=64;
/// From this length on a text of hexadecimal digits is an id and nothing else: runtimes show so many of it.
const ID_SHOWN: usize = 12;
/// Different lengths of ids that the kernel side has room for.
pub(crate) const LENGTHS: usize = 16;

/// All entries.
#[derive(Clone, Default, Debug)]
pub(crate) struct Filters {
    pub pids: Vec<Entry<u32>>,
    pub cgroups: Vec<Entry<Cgroup>>,
    pub comms: Vec<Entry<[u8; 16]>>,
    pub uids: Vec<Entry<u32>>,
    /// Names or ids of containers; their cgroups are added when they are found.
    pub containers: Vec<Entry<String>>,
}

/// Why an entry cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FilterError {
    /// Not a number.
    #[error("--{option} {text}: not a number")]
    Number {
        /// Which option.
        option: &'static str,
        /// What was given.
        text: String,
    },
    /// A user without an entry.
    #[error("--uid {0}: no such user in /etc/passwd")]
    User(String),
    /// No such process.
    #[error("--pid {0}: no such process")]
    Process(u32),
    /// A name longer than the kernel keeps.
    #[error("--comm {0}: the kernel keeps 15 bytes of a name, this is longer")]
    Comm(String),
    /// No such cgroup.
    #[error("--cgroup {0}: no such folder below a mounted cgroup version 2")]
    Cgroup(String),
}

impl Filters {
    /// Bits of the modes that occur.
    pub(crate) fn modes(modes: impl Iterator<Item = Mode>) -> u32 {
        modes.fold(0, |all, mode| all | mode.bit())
    }

    /// Is anything left out beyond the recorder itself?
    pub(crate) fn any(&self) -> bool {
        !(self.pids.is_empty() && self.comms.is_empty() && self.uids.is_empty()) || self.by_cgroup()
    }

    /// Does a cgroup decide, also one that is not known yet?
    pub(crate) fn by_cgroup(&self) -> bool {
        !(self.cgroups.is_empty() && self.containers.is_empty())
    }

    /// Ids of containers, or their beginnings: what the kernel side can tell by a cgroup's name.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &Entry<String>> {
        self.containers.iter().filter(|entry| may_be_id(&entry.value))
    }

    /// Are there names of containers, which only their runtimes know?
    pub(crate) fn by_name(&self) -> bool {
        self.containers.iter().any(|entry| !(may_be_id(&entry.value) && entry.value.len() >= ID_SHOWN))
    }

    /// Can threads come into the recording otherwise than by being born there?
    pub(crate) fn can_join(&self) -> bool {
        self.by_cgroup() || !self.uids.is_empty() || !self.comms.is_empty()
    }

    /// Bits of the modes of cgroups, also of those that are not known yet.
    pub(crate) fn cgroup_modes(&self) -> u32 {
        let known = self.cgroups.iter().map(|entry| entry.mode);
        Self::modes(known.chain(self.containers.iter().map(|entry| entry.mode)))
    }

    /// A container, by its name, or by its id or at least six characters of it.
    pub(crate) fn container(&mut self, text: &str) {
        let (mode, text) = negated(text);
        self.containers.push(Entry { value: text.to_owned(), mode });
    }

    /// A process and its descendants.
    pub(crate) fn pid(&mut self, text: &str, proc: &Path) -> Result<(), FilterError> {
        let (mode, text) = negated(text);
        let pid: u32 = text.parse().map_err(|_| FilterError::Number { option: "pid", text: text.to_owned() })?;
        if !proc.join(pid.to_string()).is_dir() {
            return Err(FilterError::Process(pid));
        }
        self.pids.push(Entry { value: pid, mode });
        Ok(())
    }

    /// A user, by number or by name.
    pub(crate) fn uid(&mut self, text: &str, passwd: &str) -> Result<(), FilterError> {
        let (mode, text) = negated(text);
        let named = || {
            let mut lines = passwd.lines().map(|line| line.split(':'));
            lines.find_map(|mut line| (line.next()? == text).then(|| line.nth(1)?.parse().ok())?)
        };
        let value = text.parse().ok().or_else(named).ok_or_else(|| FilterError::User(text.to_owned()))?;
        self.uids.push(Entry { value, mode });
        Ok(())
    }

    /// A thread's name.
    pub(crate) fn comm(&mut self, text: &str) -> Result<(), FilterError> {
        let (mode, text) = negated(text);
        let bytes = text.as_bytes();
        if bytes.len() > 15 {
            return Err(FilterError::Comm(text.to_owned()));
        }
        let mut value = [0; 16];
        value[..bytes.len()].copy_from_slice(bytes);
        self.comms.push(Entry { value, mode });
        Ok(())
    }

    /// A cgroup of version 2: a path as `/proc/PID/cgroup` shows it, or the folder itself.
    pub(crate) fn cgroup(&mut self, text: &str, mounts: &[PathBuf]) -> Result<(), FilterError> {
        let (mode, text) = negated(text);
        for mount in mounts {
            let below = Path::new(text).strip_prefix(mount).unwrap_or_else(|_| Path::new(text.trim_start_matches('/')));
            if below.components().any(|part| !matches!(part, Component::Normal(_))) {
                continue;
            }
            let folder = mount.join(below);
            if let Ok(found) = std::fs::metadata(&folder)
                && found.is_dir()
            {
                self.cgroups.push(Entry { value: Cgroup { id: found.ino() }, mode });
                return Ok(());
            }
        }
        Err(FilterError::Cgroup(text.to_owned()))
    }
}

/// Adds the processes that descend from those named: the kernel side follows children from its start on, and these
/// were there before. The nearest named ancestor decides.
pub(crate) fn add_descendants(filters: &mut Filters, proc: &Path) {
    if filters.pids.is_empty() {
        return;
    }
    let entries = std::fs::read_dir(proc).into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parents: std::collections::BTreeMap<u32, u32> =
        pids.filter_map(|pid| Some((pid, parent(proc, pid)?))).collect();
    let named = filters.pids.clone();
    for &pid in parents.keys() {
        let lineage = std::iter::successors(Some(pid), |pid| parents.get(pid).copied()).take(LINEAGE_MAX);
        let found = lineage.skip(1).find_map(|above| named.iter().find(|entry| entry.value == above));
        if let Some(above) = found
            && !named.iter().any(|entry| entry.value == pid)
        {
            filters.pids.push(Entry { value: pid, mode: above.mode });
        }
    }
}

/// Ancestors that are followed.
const LINEAGE_MAX: usize = 1024;

/// Fourth field of `/proc/PID/stat`; the second, in parentheses, may hold anything.
fn parent(proc: &Path, pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(proc.join(pid.to_string()).join("stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Can this be an id, or the beginning of one?
pub(crate) fn may_be_id(text: &str) -> bool {
    ID_LENGTHS.contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// `!` in front of an entry.
fn negated(text: &str) -> (Mode, &str) {
    match text.strip_prefix('!') {
        Some(rest) => (Mode::Except, rest),
        None => (Mode::Only, text),
    }
}

/// Where cgroup version 2 is mounted, from the text of `/proc/self/mountinfo`.
pub(crate) fn cgroup_mounts(mountinfo: &str) -> Vec<PathBuf> {
    let unified = |line: &&str| line.split_once(" - ").is_some_and(|(_, rest)| rest.starts_with("cgroup2 "));
    let mount = |line: &str| line.split(' ').nth(4).map(PathBuf::from);
    mountinfo.lines().filter(unified).filter_map(mount).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failing test may panic

    use super::*;

    #[test]
    fn entries_are_read_with_their_mode() {
        let mut filters = Filters::default();
        filters.comm("!sshd").unwrap();
        assert_eq!(filters.comms[0].mode, Mode::Except);
        assert!(filters.comms[0].value.starts_with(b"sshd\0"));
        filters.uid("root", "root:x:0:0::/root:/bin/sh\n").unwrap();
        filters.uid("1000", "").unwrap();
        assert_eq!(filters.uids.iter().map(|entry| entry.value).collect::<Vec<_>>(), [0, 1000]);
        assert_eq!(filters.uid("nobody", "root:x:0:0"), Err(FilterError::User("nobody".to_owned())));
        assert_eq!(filters.comm("sixteen-letters-"), Err(FilterError::Comm("sixteen-letters-".to_owned())));
        assert_eq!(filters.pid("x", Path::new("/proc")).unwrap_err().to_string(), "--pid x: not a number");
        assert_eq!(Filters::modes([Mode::Only, Mode::Except].into_iter()), 3);
        assert!(filters.any());
    }

    #[test]
    fn containers_are_named_by_ids_or_by_what_runtimes_call_them() {
        let filters = |texts: &[&str]| {
            let mut filters = Filters::default();
            for text in texts {
                filters.container(text);
            }
            filters
        };
        let some = filters(&["web", "!c0ffee", "c0ffee", "C0FFEE00C0FFEE00", "c0ffe", "0123456789ab"]);
        let ids: Vec<_> = some.ids().map(|entry| (entry.value.as_str(), entry.mode)).collect();
        assert_eq!(ids, [("c0ffee", Mode::Except), ("c0ffee", Mode::Only), ("0123456789ab", Mode::Only)]);
        assert!(some.by_name() && some.can_join());
        assert!(filters(&["c0ffee"]).by_name(), "short enough to be a name");
        assert!(!filters(&["c0ffee00c0ff", "!0123456789abcdef"]).by_name());
        assert!(!filters(&[]).by_name() && !filters(&[]).can_join());
    }

    #[test]
    fn cgroups_are_folders_below_a_mount_and_nowhere_else() {
        let root = tempfile::tempdir().unwrap();
        let mount = root.path().join("unified");
        std::fs::create_dir_all(mount.join("a/b")).unwrap();
        let mut filters = Filters::default();
        filters.cgroup("/a/b", std::slice::from_ref(&mount)).unwrap();
        filters.cgroup(mount.join("a").to_str().unwrap(), std::slice::from_ref(&mount)).unwrap();
        let number = |folder: &str| std::fs::metadata(mount.join(folder)).unwrap().ino();
        let numbers: Vec<_> = filters.cgroups.iter().map(|entry| entry.value.id).collect();
        assert_eq!(numbers, [number("a/b"), number("a")]);
        assert!(filters.cgroup("/../../etc", std::slice::from_ref(&mount)).is_err());
        assert!(filters.cgroup("/c", &[mount]).is_err());
        let lines =
            "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n32 31 0:29 / /x rw - cgroup cgroup rw\n";
        assert_eq!(cgroup_mounts(lines), [PathBuf::from("/sys/fs/cgroup/unified")]);
    }
}
