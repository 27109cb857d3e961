//! The kernel side from above: loads it, attaches it, lets its iterators walk, tells it what becomes known.
//!
//! The object is `bpf/recorder.bpf.o`; where the kernel refuses programs with types, its twin with raw tracepoints.
//! What it is told before stands in [`maps`], what it counts in [`counts`]; its records are taken apart in
//! [`crate::record`].

mod counts;
mod maps;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;

use aya::maps::{Array, HashMap, MapData, PerCpuArray, ProgramArray, RingBuf};
use aya::programs::{BtfTracePoint, Iter, RawTracePoint};
use aya::{Btf, Ebpf, EbpfLoader};

pub(crate) use self::counts::{Count, Counts};
use self::counts::{CpuCounts, misses_of};
use self::maps::{PIDS, config, fill_filters, fill_tables, lent, take};
use crate::appear::Judged;
use crate::calls::{Calls, Class, guards_any};
use crate::filter::Filters;

static TYPED: &[u8] = aya::include_bytes_aligned!("../bpf/recorder.bpf.o");
static RAW: &[u8] = aya::include_bytes_aligned!("../bpf/recorder-raw.bpf.o");

/// Programs that calls are handed on to, with their classes.
const CLASSES: [(&str, Class); 4] = [
    ("call_fetch", Class::Fetch),
    ("call_clone", Class::Clone),
    ("call_exec", Class::Exec),
    ("call_messages", Class::Messages),
];

/// Programs and their tracepoints, in the order in which they are attached: the process filter's first, so that no
/// child is missed.
const TRACEPOINTS: [(&str, &str); 5] = [
    ("on_fork", "sched_process_fork"),
    ("on_exec", "sched_process_exec"),
    ("on_end", "sched_process_exit"),
    ("on_enter", "sys_enter"),
    ("on_exit", "sys_exit"),
];

/// Programs for the beginning and the end of operations of `io_uring`. The tracepoints have had several forms; of each
/// group the first that the kernel takes is attached.
const RINGS: [&[(&str, &str)]; 2] = [
    &[
        ("uring_complete_five", "io_uring_complete"),
        ("uring_complete_four", "io_uring_complete"),
        ("uring_complete_three", "io_uring_complete"),
    ],
    &[
        ("uring_submit", "io_uring_submit_req"),
        ("uring_submit_seven", "io_uring_submit_sqe"),
        ("uring_submit_two", "io_uring_submit_sqe"),
    ],
];

/// Why the kernel side could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    /// No type information.
    #[error(
        "the kernel's type information cannot be read (/sys/kernel/btf/vmlinux): {0}. `casebook-capture check` says more"
    )]
    Types(String),
    /// The kernel refused something.
    #[error("the kernel refused {what}: {why}. `casebook-capture check` says what is missing")]
    Refused {
        /// Which program or map.
        what: String,
        /// The kernel's reason.
        why: String,
    },
    /// The object is not what this program was built for.
    #[error("the eBPF object has no {0}: this is a mistake in casebook-capture")]
    Missing(&'static str),
}

/// How to record.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Bytes of a buffer that are kept.
    pub snaplen: u32,
    /// Bytes of the ring; a power of two.
    pub ring_bytes: u32,
    /// Portable codes of the calls to record.
    pub wanted: BTreeSet<u16>,
    pub filters: Filters,
}

/// The loaded kernel side. Dropping it detaches everything.
pub(crate) struct Probe {
    ebpf: Ebpf,
    counts: PerCpuArray<MapData, CpuCounts>,
    /// Keeps the programs of the classes alive.
    _classes: ProgramArray<MapData>,
    /// Programs without types had to be used.
    pub raw: bool,
    /// Programs that follow `io_uring`; none where the kernel has other tracepoints.
    rings: Vec<&'static str>,
    /// `struct live`.
    live: [u32; 2],
}

/// Set in the environment: take the programs without types.
const RAW_ONLY: &str = "CASEBOOK_RAW_TRACEPOINTS";
/// `FILTER_NEITHER`.
const NEITHER: u8 = 3;
/// Containers whose cgroups are remembered, and threads that are.
const CGROUPS: u32 = 4096;
const THREADS: u32 = 65536;

fn refused<E: std::fmt::Display + std::error::Error>(what: impl Into<String>) -> impl FnOnce(E) -> ProbeError {
    let what = what.into();
    move |error| {
        // The verifier's log, where there is one, is the last cause and long.
        let mut why = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !why.contains(&text) {
                why = format!("{why}: {text}");
            }
            source = cause.source();
        }
        ProbeError::Refused { what, why: shortened(&why) }
    }
}

/// The verifier's log can have thousands of lines; its beginning says what was refused, its end why.
fn shortened(why: &str) -> String {
    const BEGINNING: usize = 300;
    const END: usize = 1500;
    let count = why.chars().count();
    if count <= BEGINNING + END {
        return why.to_owned();
    }
    let beginning: String = why.chars().take(BEGINNING).collect();
    let end: String = why.chars().skip(count - END).collect();
    format!("{beginning} [...] {end}")
}

impl Probe {
    /// Loads and attaches; from here on records gather in the ring.
    pub(crate) fn start(calls: &Calls, settings: &Settings) -> Result<(Self, RingBuf<MapData>), ProbeError> {
        let btf = Btf::from_sys_fs().map_err(|error| ProbeError::Types(error.to_string()))?;
        // For tests: as on a kernel that refuses the others.
        if std::env::var_os(RAW_ONLY).is_some() {
            return Self::load(RAW, true, &btf, calls, settings);
        }
        match Self::load(TYPED, false, &btf, calls, settings) {
            Ok(started) => Ok(started),
            // The first refusal is the one to tell: without capabilities both fail alike.
            Err(first) => Self::load(RAW, true, &btf, calls, settings).map_err(|_| first),
        }
    }

    fn load(
        object: &[u8],
        raw: bool,
        btf: &Btf,
        calls: &Calls,
        settings: &Settings,
    ) -> Result<(Self, RingBuf<MapData>), ProbeError> {
        let config = config(settings);
        let mut ebpf = EbpfLoader::new()
            .btf(Some(btf))
            .override_global("config", config.as_slice(), true)
            .map_max_entries("events", settings.ring_bytes)
            .map_max_entries("pids", if settings.filters.pids.is_empty() { 1 } else { PIDS / 32 })
            .map_max_entries("met", if settings.filters.can_join() { THREADS } else { 1 })
            .map_max_entries("verdicts", if settings.filters.by_cgroup() { CGROUPS } else { 64 })
            .load(object)
            .map_err(refused("the maps of the recorder"))?;
        fill_tables(&mut ebpf, calls, settings)?;
        fill_filters(&mut ebpf, &settings.filters)?;
        let mut classes: ProgramArray<MapData> =
            take(&mut ebpf, "classes")?.try_into().map_err(refused("the map of classes"))?;
        for (name, class) in CLASSES {
            load_program(&mut ebpf, name, "sys_exit", raw, btf)?;
            let program = ebpf.program(name).ok_or(ProbeError::Missing(name))?;
            let fd = program.fd().map_err(refused(format!("the program {name}")))?;
            classes.set(class as u32, fd, 0).map_err(refused("the map of classes"))?;
        }
        // The costliest to attach, as every call of the machine then passes it: not where nothing is to be guarded.
        let guards = guards_any(&settings.wanted);
        let tracepoints = || TRACEPOINTS.iter().copied().filter(|(name, _)| guards || *name != "on_enter");
        for (name, tracepoint) in tracepoints() {
            load_program(&mut ebpf, name, tracepoint, raw, btf)?;
        }
        for (name, tracepoint) in tracepoints() {
            attach(&mut ebpf, name, tracepoint, raw)?;
        }
        let rings = follow_rings(&mut ebpf, raw, btf);
        let counts = take(&mut ebpf, "counts")?.try_into().map_err(refused("the map of counters"))?;
        let ring = take(&mut ebpf, "events")?.try_into().map_err(refused("the ring buffer"))?;
        Ok((Self { ebpf, counts, _classes: classes, raw, rings, live: [0; 2] }, ring))
    }

    /// Ends recording: what is in the ring stays there to be read.
    pub(crate) fn detach(&mut self) {
        for name in self.rings.iter().copied().chain(TRACEPOINTS.iter().rev().map(|(name, _)| *name)) {
            // Unloading closes the links; a program that is not loaded has none.
            match self.ebpf.program_mut(name) {
                Some(aya::programs::Program::BtfTracePoint(program)) => drop(program.unload()),
                Some(aya::programs::Program::RawTracePoint(program)) => drop(program.unload()),
                _ => {}
            }
        }
    }

    /// Sums of the kernel side's counters.
    pub(crate) fn counts(&self) -> Counts {
        self.counts.get(&0, 0).map(|values| Counts::of_cpus(values.iter())).unwrap_or_default()
    }

    /// Are operations of `io_uring` followed?
    pub(crate) fn follows_rings(&self) -> bool {
        !self.rings.is_empty()
    }

    /// How often the kernel skipped a program because it was at work on that CPU already.
    pub(crate) fn misses(&self) -> u64 {
        let programs = TRACEPOINTS.iter().map(|(name, _)| *name).chain(self.rings.iter().copied());
        programs.filter_map(|name| misses_of(self.ebpf.program(name)?.fd().ok()?.as_fd())).sum()
    }

    /// Tells the kernel side what is known of a container's cgroup now.
    pub(crate) fn judge_cgroup(&mut self, judged: &Judged) -> Result<(), ProbeError> {
        let mut cgroups: HashMap<&mut MapData, u64, u8> =
            lent(&mut self.ebpf, "cgroups")?.try_into().map_err(refused("the cgroup filter"))?;
        let mode = judged.mode.map_or(NEITHER, |mode| mode as u8);
        cgroups.insert(judged.cgroup.id, mode, 0).map_err(refused("the cgroup filter"))?;
        self.live[0] = self.live[0].wrapping_add(1);
        self.tell_live()
    }

    /// Makes it known that a snapshot tells of these threads: others that come into the recording tell of themselves.
    pub(crate) fn meet(&mut self, threads: &BTreeSet<u32>) -> Result<(), ProbeError> {
        let mut met: HashMap<&mut MapData, u32, u8> =
            lent(&mut self.ebpf, "met")?.try_into().map_err(refused("the table of threads"))?;
        for thread in threads {
            // Full: nobody more is told of.
            if met.insert(thread, 1, 0).is_err() {
                break;
            }
        }
        self.live[1] = 1;
        self.tell_live()
    }

    fn tell_live(&mut self) -> Result<(), ProbeError> {
        let live = self.live;
        let mut lives: Array<&mut MapData, [u32; 2]> =
            lent(&mut self.ebpf, "lives")?.try_into().map_err(refused("the map of changes"))?;
        lives.set(0, live, 0).map_err(refused("the map of changes"))
    }

    /// Lets an iterator walk and gives what it wrote: records one after the other.
    pub(crate) fn walk(&mut self, name: &'static str, kind: &str) -> Result<Vec<u8>, ProbeError> {
        let what = || format!("the iterator {name}");
        let program = self.ebpf.program_mut(name).ok_or(ProbeError::Missing(name))?;
        let program: &mut Iter = program.try_into().map_err(refused(what()))?;
        // Loaded at the first walk, and there for all later ones.
        if program.fd().is_err() {
            let btf = Btf::from_sys_fs().map_err(|error| ProbeError::Types(error.to_string()))?;
            program.load(kind, &btf).map_err(refused(what()))?;
        }
        let link = program.attach().map_err(refused(what()))?;
        let link = program.take_link(link).map_err(refused(what()))?;
        let file: File = link.into_file().map_err(refused(what()))?;
        let mut out = Vec::new();
        file.take(WALK_MAX).read_to_end(&mut out).map_err(refused(what()))?;
        Ok(out)
    }
}

/// Largest snapshot that is read: a few hundred thousand threads or descriptors.
const WALK_MAX: u64 = 1 << 30;

/// Attaches what follows `io_uring`, where the kernel has tracepoints of a known form: both ends or none.
fn follow_rings(ebpf: &mut Ebpf, raw: bool, btf: &Btf) -> Vec<&'static str> {
    let mut attached = Vec::new();
    for group in RINGS {
        let found = group.iter().find(|(name, tracepoint)| {
            load_program(ebpf, name, tracepoint, raw, btf).is_ok() && attach(ebpf, name, tracepoint, raw).is_ok()
        });
        match found {
            Some((name, _)) => attached.push(*name),
            None => return Vec::new(),
        }
    }
    attached
}

fn load_program(ebpf: &mut Ebpf, name: &'static str, tracepoint: &str, raw: bool, btf: &Btf) -> Result<(), ProbeError> {
    let program = ebpf.program_mut(name).ok_or(ProbeError::Missing(name))?;
    let what = format!("the program {name}");
    if raw {
        let program: &mut RawTracePoint = program.try_into().map_err(refused(what.clone()))?;
        program.load().map_err(refused(what))
    } else {
        let program: &mut BtfTracePoint = program.try_into().map_err(refused(what.clone()))?;
        program.load(tracepoint, btf).map_err(refused(what))
    }
}

fn attach(ebpf: &mut Ebpf, name: &'static str, tracepoint: &str, raw: bool) -> Result<(), ProbeError> {
    let program = ebpf.program_mut(name).ok_or(ProbeError::Missing(name))?;
    let what = format!("the tracepoint {tracepoint}");
    if raw {
        let program: &mut RawTracePoint = program.try_into().map_err(refused(what.clone()))?;
        program.attach(tracepoint).map(drop).map_err(refused(what))
    } else {
        let program: &mut BtfTracePoint = program.try_into().map_err(refused(what.clone()))?;
        program.attach().map(drop).map_err(refused(what))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failing test may panic

    use std::io::Write;

    use super::*;
    use crate::record::{Kind, Record};

    /// The programs that stand in where the kernel takes none with types: they load, attach and record too.
    #[test]
    fn raw_tracepoints_record_as_well() {
        let calls = Calls::new();
        let wanted = crate::select::select("default", &calls).unwrap().codes;
        let mut filters = Filters::default();
        filters.comm("casebook-raw").unwrap();
        let settings = Settings { snaplen: 80, ring_bytes: 1 << 20, wanted, filters };
        let btf = Btf::from_sys_fs();
        let started = btf
            .map_err(|error| error.to_string())
            .and_then(|btf| Probe::load(RAW, true, &btf, &calls, &settings).map_err(|error| error.to_string()));
        let (mut probe, mut ring) = match started {
            Ok(started) => started,
            Err(why) if why.contains("not permitted") || why.contains("/sys/kernel/btf") => {
                writeln!(std::io::stderr().lock(), "SKIPPED: eBPF is not permitted here: {why}").unwrap();
                return;
            }
            Err(why) => panic!("{why}"),
        };
        assert!(probe.raw);
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("casebook-raw");
        std::fs::copy("/bin/true", &program).unwrap();
        assert!(std::process::Command::new(&program).status().unwrap().success());
        probe.detach();
        let mut kinds = Vec::new();
        while let Some(bytes) = ring.next() {
            kinds.push(Record::parse(&bytes).unwrap().head.kind);
        }
        for kind in [Kind::Exec, Kind::Call, Kind::Exit] {
            assert!(kinds.contains(&kind), "{kind:?} in {kinds:?}");
        }
        assert_eq!(probe.counts().begun, kinds.len() as u64 + probe.counts().lost());
    }
}
