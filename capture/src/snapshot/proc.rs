//! Threads and descriptors out of `/proc`, as the records that the kernel side's iterators would have written: where the
//! kernel has no iterators, or refuses them.
//!
//! Slower than they are (a dozen files a process), and later than the moment asked for, which the merge with what
//! records tell makes good ([`super::Snapshot::complete`]). What `/proc` does not say stays empty: layers of overlays,
//! addresses and far ends of unix sockets; and starts of threads come in ticks of the clock.

mod sockets;
mod status;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::made::Made;
use crate::record::{FileItem, Item, Kind, TaskItem};
use sockets::Sockets;
pub(super) use status::TICK;

/// Longest text that is read of a file that describes one thread.
const TEXT_MAX: u64 = 64 << 10;
/// Bytes of records at which it ends: as the walk of the iterators does.
const WALK_MAX: usize = 1 << 30;

const PIPEFS_MAGIC: u32 = 0x5049_5045;
const ANON_INODE_MAGIC: u32 = 0x0904_1934;

/// What was found.
#[derive(Default)]
pub(super) struct Walked {
    /// Records of threads.
    pub tasks: Vec<u8>,
    /// Records of descriptors.
    pub files: Vec<u8>,
    /// Processes whose descriptors this user may not see.
    pub closed: u64,
}

/// Reads all of `proc`.
pub(super) fn walk(proc: &Path) -> Walked {
    let mut walked = Walked::default();
    let mut sockets = Sockets::default();
    let mut namespaces = Namespaces::new(proc);
    for tgid in numbers(proc) {
        let folder = proc.join(tgid.to_string());
        let Some(shared) = Shared::read(&folder, &mut namespaces) else { continue };
        for tid in numbers(&folder.join("task")) {
            let thread = folder.join("task").join(tid.to_string());
            if let Some(task) = shared.thread(&thread)
                && walked.tasks.len() < WALK_MAX
            {
                shared.put(&task, &thread, &mut walked.tasks);
            }
        }
        if walked.files.len() < WALK_MAX && !descriptors(&folder, tgid, &mut sockets, &mut walked.files) {
            walked.closed += 1;
        }
    }
    walked
}

/// Names in a folder that are numbers, in their order.
fn numbers(folder: &Path) -> Vec<u32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut numbers: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

/// A file's text, as far as it is read.
fn text(path: &Path) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    fs::File::open(path).ok()?.take(TEXT_MAX).read_to_end(&mut text).ok()?;
    Some(text)
}

fn link(path: &Path) -> Option<Vec<u8>> {
    fs::read_link(path).ok().map(|target| target.into_os_string().into_vec())
}

/// What the threads of a process have in common.
struct Shared {
    fdlimit: u64,
    pidns_start: u64,
    exe: Option<(Vec<u8>, FileItem)>,
    cwd: Option<Vec<u8>>,
    root: Option<Vec<u8>>,
}

impl Shared {
    fn read(folder: &Path, namespaces: &mut Namespaces) -> Option<Self> {
        let exe = link(&folder.join("exe")).map(|target| {
            let file = fs::metadata(folder.join("exe")).map(|found| file_item(&found, 0)).unwrap_or_default();
            (without_mark(target, &file), file)
        });
        Some(Self {
            fdlimit: status::descriptors_limit(&text(&folder.join("limits"))?),
            pidns_start: namespaces.start(folder),
            exe,
            cwd: link(&folder.join("cwd")),
            root: link(&folder.join("root")),
        })
    }

    fn thread(&self, thread: &Path) -> Option<TaskItem> {
        let stat = text(&thread.join("stat"))?;
        let status = text(&thread.join("status"))?;
        let mut task = status::task(&stat, &status)?;
        let loginuid = text(&thread.join("loginuid")).and_then(|text| status::number(text.trim_ascii()));
        task.loginuid = loginuid.map_or(u32::MAX, |uid| uid as u32);
        task.fdlimit = self.fdlimit;
        task.pidns_start = self.pidns_start;
        Some(task)
    }

    fn put(&self, task: &TaskItem, thread: &Path, out: &mut Vec<u8>) {
        let mut made = Made::new(Kind::Task, task.tgid, task.tid, 0);
        made.task(task);
        if let Some((path, file)) = &self.exe {
            made.path(Item::Exe, path);
            made.file(file);
        }
        for (kind, path) in [(Item::Cwd, &self.cwd), (Item::Root, &self.root)] {
            if let Some(path) = path {
                made.path(kind, path);
            }
        }
        let groups = text(&thread.join("cgroup")).unwrap_or_default();
        if let Some(path) = status::cgroup(&groups, None) {
            made.path(Item::Cgroup, path);
        }
        if let Some(path) = status::cgroup(&groups, Some("memory")) {
            made.path(Item::CgroupV1, path);
        }
        made.finish(out);
    }
}

/// When pid namespaces began: the start of their first process.
struct Namespaces {
    host: Option<Vec<u8>>,
    starts: BTreeMap<Vec<u8>, u64>,
}

impl Namespaces {
    fn new(proc: &Path) -> Self {
        let mut namespaces = Self { host: link(&proc.join("1/ns/pid")), starts: BTreeMap::new() };
        for tgid in numbers(proc) {
            let folder = proc.join(tgid.to_string());
            let Some(task) = Self::task(&folder).filter(|task| task.level > 0 && task.vpid == 1) else { continue };
            if let Some(name) = link(&folder.join("ns/pid")) {
                namespaces.starts.insert(name, task.start);
            }
        }
        if let (Some(host), Some(first)) = (&namespaces.host, Self::task(&proc.join("1"))) {
            namespaces.starts.insert(host.clone(), first.start);
        }
        namespaces
    }

    fn task(folder: &Path) -> Option<TaskItem> {
        status::task(&text(&folder.join("stat"))?, &text(&folder.join("status"))?)
    }

    fn start(&mut self, folder: &Path) -> u64 {
        let name = link(&folder.join("ns/pid")).or_else(|| self.host.clone());
        name.and_then(|name| self.starts.get(&name).copied()).unwrap_or(0)
    }
}

/// The descriptors of a process; `false` where they may not be seen.
fn descriptors(folder: &Path, tgid: u32, sockets: &mut Sockets, out: &mut Vec<u8>) -> bool {
    let table = folder.join("fd");
    if let Err(error) = fs::read_dir(&table) {
        return error.kind() != ErrorKind::PermissionDenied;
    }
    for fd in numbers(&table) {
        let at = table.join(fd.to_string());
        let target = match fs::read_link(&at) {
            Ok(target) => target.into_os_string().into_vec(),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return false,
            // Closed meanwhile.
            Err(_) => continue,
        };
        let Ok(found) = fs::metadata(&at) else { continue };
        let flags = text(&folder.join("fdinfo").join(fd.to_string())).map_or(0, |text| status::open_flags(&text));
        let mut file = file_item(&found, flags);
        let mut made = Made::new(Kind::File, tgid, tgid, u64::from(fd));
        if target.starts_with(b"socket:[") {
            made.file(&file);
            sockets.put(file.ino, folder, &at, &mut made);
        } else if let Some(name) = target.strip_prefix(b"anon_inode:") {
            file.magic = ANON_INODE_MAGIC;
            made.file(&file);
            made.path(Item::Path, name);
        } else {
            if target.starts_with(b"pipe:[") {
                file.magic = PIPEFS_MAGIC;
            }
            made.file(&file);
            made.path(Item::Path, &without_mark(target, &file));
        }
        made.finish(out);
    }
    true
}

/// What `stat` says of a file; devices as the kernel has them.
fn file_item(found: &fs::Metadata, f_flags: u32) -> FileItem {
    let ns = |seconds: i64, ns: i64| (seconds.max(0) as u64).wrapping_mul(1_000_000_000).wrapping_add(ns as u64);
    let dev = found.dev();
    FileItem {
        ino: found.ino(),
        ctime: ns(found.ctime(), found.ctime_nsec()),
        mtime: ns(found.mtime(), found.mtime_nsec()),
        dev: libc::major(dev) << 20 | libc::minor(dev),
        uid: found.uid(),
        gid: found.gid(),
        nlink: found.nlink() as u32,
        f_flags,
        mode: found.mode() as u16,
        layer: 0,
        bits: 0,
        magic: 0,
    }
}

/// `/proc` marks files that nothing links to any more; the kernel's own names have no such mark.
fn without_mark(target: Vec<u8>, file: &FileItem) -> Vec<u8> {
    match target.strip_suffix(b" (deleted)") {
        Some(name) if file.nlink == 0 => name.to_vec(),
        _ => target,
    }
}

/// A path below a process's folder, for tables of its network namespace.
fn below(folder: &Path, name: &str) -> PathBuf {
    folder.join(OsStr::from_bytes(name.as_bytes()))
}
