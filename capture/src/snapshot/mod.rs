//! What the machine looked like when recording began: the capture's list blocks.
//!
//! The kernel side is attached first and its records wait; then its iterators describe every thread and descriptor
//! ([`threads`], [`fds`]), or `/proc` does where it has none ([`proc`]). What began after the attachment stands in the events and is left out here, so that live
//! events win. Program arguments and environments come from `/proc`, users from `/etc` ([`host`]).

mod fds;
mod host;
mod made;
mod proc;
mod threads;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use casebook_formats::snapshot::{FdList, Interface, MachineInfo, ThreadEntry, UserEntry};
use casebook_formats::write::{CaptureWriter, WriteError};

use crate::filter::{Filters, Mode};
use crate::known::Known;
use crate::probe::Probe;
use crate::record::{Item, Kind, Record, TaskItem};

/// What a snapshot is to be of.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub filters: &'a Filters,
    /// Its moment, ns since boot: what began later stands in the events.
    pub at: u64,
    /// When the machine was booted, ns since the epoch.
    pub boot: u64,
    /// Processes of which it is known what they were started with.
    pub told: &'a BTreeSet<u32>,
    /// Read `/proc` even where the kernel would list threads and descriptors.
    pub from_proc: bool,
}

/// Where the lists of threads and descriptors come from.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) enum Listed {
    /// The kernel side's iterators.
    #[default]
    Kernel,
    /// `/proc`, because it was asked for.
    Proc,
    /// `/proc`, because the kernel refused its iterators for this reason.
    Refused(String),
}

/// Everything that stands before the first event.
pub(crate) struct Snapshot {
    machine: MachineInfo,
    interfaces: Vec<Interface>,
    users: Vec<UserEntry>,
    threads: Vec<ThreadEntry>,
    fds: Vec<FdList>,
    /// Entries that do not fit the format.
    pub left_out: u64,
    /// Command lines and environments that this user may not read.
    pub forbidden: u64,
    /// Threads that were seen.
    pub there: BTreeSet<u32>,
    /// Those of them that are described whole.
    pub described: BTreeSet<u32>,
    pub listed: Listed,
    /// Processes whose descriptors this user may not see.
    pub closed: u64,
    /// Threads that may be younger than its moment: `/proc` tells starts in ticks.
    young: BTreeSet<u32>,
}

use threads::Texts;

/// A thread as the iterator described it.
pub(crate) struct Seen<'a> {
    pub record: Record<'a>,
    pub task: TaskItem,
}

impl Snapshot {
    /// Reads everything.
    pub(crate) fn take(probe: &mut Probe, scope: &Scope<'_>) -> Self {
        let Walked { tasks: walked, files: walked_files, closed, listed } = walk(probe, scope.from_proc);
        let seen: Vec<Seen<'_>> =
            records(&walked).filter_map(|record| Some(Seen { task: record.task()?, record })).collect();
        let there = seen.iter().map(|seen| seen.task.tid).collect();
        let before = seen.iter().filter(|seen| seen.task.start < scope.at).collect::<Vec<_>>();
        let in_ticks = listed != Listed::Kernel;
        let young = before.iter().filter(|seen| in_ticks && seen.task.start + proc::TICK > scope.at);
        let young = young.map(|seen| seen.task.tid).collect();
        let proc = Path::new("/proc");
        let kept = kept(&before, scope.filters, proc);
        let (mut threads, mut forbidden) = (Vec::new(), 0);
        let mut texts: BTreeMap<u32, Texts> = BTreeMap::new();
        let (mut described, mut whole_threads) = (BTreeSet::new(), BTreeSet::new());
        for seen in &before {
            let tgid = seen.task.tgid;
            if let Some(&whole) = kept.get(&tgid) {
                let texts = texts.entry(tgid).or_insert_with(|| {
                    if scope.told.contains(&tgid) {
                        Texts::default()
                    } else {
                        Texts::read(tgid, whole, proc, &mut forbidden)
                    }
                });
                threads.push(threads::entry(seen, scope.boot, texts));
                if whole {
                    whole_threads.insert(seen.task.tid);
                }
                if seen.task.tid == tgid && whole {
                    described.insert(tgid);
                }
            }
        }
        let mut tables: BTreeMap<u32, Vec<_>> = described.into_iter().map(|tgid| (tgid, Vec::new())).collect();
        for record in records(&walked_files).filter(|record| record.head.kind == Kind::File) {
            // Threads share their process's table; the process's own entry is the main thread's.
            if record.head.tid == record.head.tgid
                && let Some(table) = tables.get_mut(&record.head.tgid)
            {
                table.extend(fds::entry(&record));
            }
        }
        let fds = tables.into_iter().map(|(tgid, fds)| FdList { tid: i64::from(tgid), fds }).collect();
        Self {
            machine: host::machine(Path::new("/"), scope.boot),
            interfaces: crate::sys::interfaces(),
            users: host::users(Path::new("/")),
            threads,
            fds,
            left_out: 0,
            forbidden,
            there,
            described: whole_threads,
            listed,
            closed,
            young,
        }
    }

    /// Adds what the records tell of its moment: what programs were started with, threads that ended since; and takes
    /// out descriptors that were made since.
    pub(crate) fn complete(&mut self, known: &Known, boot: u64) {
        // Of those about its moment the records know better.
        let late = |tid: i64| self.young.contains(&(tid as u32)) && known.is_born(tid as u32);
        self.threads.retain(|thread| !late(thread.tid));
        self.fds.retain(|list| !late(list.tid));
        for thread in &mut self.threads {
            // Nothing is known of ancestors of what is recorded.
            if let Some(record) = known.thread(thread.pid as u32) {
                Texts::of(&record).put(thread);
            }
        }
        let programs: BTreeMap<i64, Vec<u8>> =
            self.threads.iter().map(|thread| (thread.tid, thread.exepath.clone())).collect();
        for record in known.ended() {
            let Some(task) = record.task() else { continue };
            let (pid, tid) = (i64::from(task.tgid), i64::from(task.tid));
            if programs.contains_key(&tid) {
                continue;
            }
            let parent = if tid == pid { i64::from(task.ptid) } else { pid };
            let mut entry = threads::entry(&Seen { record, task }, boot, &Texts::of(&record));
            // A child that has not become anything else runs what its parent ran.
            if entry.exepath.is_empty() || record.item(Item::Exe).is_none() {
                entry.exepath = programs.get(&parent).cloned().unwrap_or_default();
            }
            self.threads.push(entry);
        }
        for list in &mut self.fds {
            let tgid = list.tid as u32;
            list.fds.retain(|entry| !known.is_new(tgid, entry.fd));
        }
    }

    /// Cgroup paths of its threads, each once.
    pub(crate) fn cgroups(&self) -> BTreeSet<Vec<u8>> {
        let entries = self.threads.iter().flat_map(|thread| thread.cgroups.split(|&byte| byte == 0));
        entries.filter_map(|entry| Some(entry.splitn(2, |&byte| byte == b'=').nth(1)?.to_vec())).collect()
    }

    /// Threads and descriptors in it.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        (self.threads.len(), self.fds.iter().map(|list| list.fds.len()).sum())
    }

    /// Writes the section header and all lists. What does not fit the format is left out and counted.
    pub(crate) fn write<W: std::io::Write>(&mut self, writer: &mut CaptureWriter<W>) -> Result<(), WriteError> {
        writer.section()?;
        writer.machine(&self.machine)?;
        writer.interfaces(&self.interfaces)?;
        writer.users(&self.users)?;
        writer.threads(&self.threads)?;
        for list in &mut self.fds {
            if writer.fds(list).is_ok() {
                continue;
            }
            // Find the entries that do not fit, so that one of them does not cost the whole table.
            let fits = |fd: &casebook_formats::snapshot::FdEntry| {
                let alone = FdList { tid: 0, fds: vec![fd.clone()] };
                CaptureWriter::new(std::io::sink()).fds(&alone).is_ok()
            };
            let before = list.fds.len();
            list.fds.retain(fits);
            self.left_out += (before - list.fds.len()) as u64;
            writer.fds(list)?;
        }
        Ok(())
    }
}

/// Records of threads and descriptors, and how they came about.
struct Walked {
    tasks: Vec<u8>,
    files: Vec<u8>,
    closed: u64,
    listed: Listed,
}

/// Asks the iterators, and `/proc` where they are refused or not wanted.
fn walk(probe: &mut Probe, from_proc: bool) -> Walked {
    let listed = if from_proc {
        Listed::Proc
    } else {
        // Both walks at once: what happens between them is what can be missed.
        match probe.walk("each_task", "task").and_then(|tasks| Ok((tasks, probe.walk("each_file", "task_file")?))) {
            Ok((tasks, files)) => return Walked { tasks, files, closed: 0, listed: Listed::Kernel },
            Err(error) => Listed::Refused(error.to_string()),
        }
    };
    let proc::Walked { tasks, files, closed } = proc::walk(Path::new("/proc"));
    Walked { tasks, files, closed, listed }
}

/// Records one after the other. A length that makes no sense ends them.
fn records(bytes: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let len = Record::len_at(rest)?;
        let (record, after) = rest.split_at_checked(len)?;
        rest = after;
        Record::parse(record)
    })
}

/// Processes that belong into the snapshot: those that the filters let through, whole (`true`), and their ancestors,
/// with their names only (`false`). Without filters everything.
fn kept(seen: &[&Seen<'_>], filters: &Filters, proc: &Path) -> BTreeMap<u32, bool> {
    let leaders: BTreeMap<u32, &Seen<'_>> =
        seen.iter().filter(|seen| seen.task.tid == seen.task.tgid).map(|seen| (seen.task.tid, *seen)).collect();
    let owner: BTreeMap<u32, u32> = seen.iter().map(|seen| (seen.task.tid, seen.task.tgid)).collect();
    let parent = |tgid: u32| leaders.get(&tgid).and_then(|seen| owner.get(&seen.task.ptid)).copied();
    let lineage =
        |tgid: u32| std::iter::successors(Some(tgid), |&tgid| parent(tgid).filter(|&up| up != tgid)).take(LINEAGE_MAX);
    let me = std::process::id();
    let mut kept: BTreeMap<u32, bool> = BTreeMap::new();
    for (&tgid, seen) in &leaders {
        let passes = tgid != me && belongs(&seen.task, filters, lineage(tgid), proc);
        if filters.any() && !passes {
            continue;
        }
        kept.insert(tgid, true);
        for ancestor in lineage(tgid).skip(1) {
            kept.entry(ancestor).or_insert(false);
        }
    }
    kept
}

/// Ancestors that are followed.
const LINEAGE_MAX: usize = 1024;

/// The kernel side's decision, for a thread that was there before it.
fn belongs(task: &TaskItem, filters: &Filters, mut lineage: impl Iterator<Item = u32>, proc: &Path) -> bool {
    let decide = |modes: u32, found: Option<Mode>| match found {
        Some(mode) => mode == Mode::Only,
        None => modes & Mode::Only.bit() == 0,
    };
    let pid = lineage.find_map(|tgid| filters.pids.iter().find(|entry| entry.value == tgid).map(|entry| entry.mode));
    let uid = filters.uids.iter().find(|entry| entry.value == task.uid).map(|entry| entry.mode);
    let comm = |value: &[u8; 16]| value.split(|&byte| byte == 0).next() == Some(task.comm.as_slice());
    let comm = filters.comms.iter().find(|entry| comm(&entry.value)).map(|entry| entry.mode);
    let cgroup = if filters.by_cgroup() { host::cgroup_mode(task.tgid, filters, proc) } else { None };
    decide(Filters::modes(filters.pids.iter().map(|entry| entry.mode)), pid)
        && decide(Filters::modes(filters.uids.iter().map(|entry| entry.mode)), uid)
        && decide(Filters::modes(filters.comms.iter().map(|entry| entry.mode)), comm)
        && decide(filters.cgroup_modes(), cgroup)
}

#[cfg(test)]
mod tests;
