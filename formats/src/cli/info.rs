//! `casebook info`: what a capture holds, as a page for people or one JSON object.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::args::InfoArgs;
use super::exit::Exit;
use super::window::{NoPart, Window, WindowArgs};
use super::{say, time};
use crate::capture::{CaptureReader, FormatError, Item, Section};
use crate::ledger::{Counter, Ledger};
use crate::progress::Progress;
use crate::record::hex;
use crate::seekable::Frame;
use crate::seekable::verify::{Report, verify};
use crate::snapshot::{Interface, MachineInfo, UserEntry};
use crate::terminal::Safe;

/// Event types shown on the page; JSON has all.
const TYPES_SHOWN: usize = 20;

/// Machines and interfaces kept; a file of more sections than this is no capture that people look at.
const MAX_KEPT: usize = 1000;

/// Everything that is collected in one pass.
#[derive(Default)]
struct Facts {
    packing: &'static str,
    file_bytes: u64,
    stream_bytes: u64,
    sections: Vec<Section>,
    machines: Vec<MachineInfo>,
    interfaces: Vec<Interface>,
    users: u64,
    groups: u64,
    listed_threads: u64,
    listed_processes: BTreeSet<i64>,
    listed_fds: u64,
    events: u64,
    types: BTreeMap<&'static str, u64>,
    threads: BTreeSet<i64>,
    earliest: Option<u64>,
    latest: Option<u64>,
    ledger: Ledger,
    report: Option<Report>,
    /// Frames read, and frames that there are, where only a part was asked for.
    part: Option<(u64, u64)>,
}

/// Runs the subcommand.
pub(super) fn run(args: &InfoArgs, out: &mut (dyn Write + Send), err: &mut (dyn Write + Send)) -> Exit {
    let mut exit = Exit::Complete;
    for path in &args.captures {
        let facts = match collect(path, &args.window) {
            Ok(facts) => facts,
            Err(why) => {
                say(err, &why);
                exit = exit.worst(Exit::Unreadable);
                continue;
            }
        };
        let name = path.display().to_string();
        let text =
            if args.json { format!("{}\n", facts.as_json(&name)) } else { facts.page(&name).unwrap_or_default() };
        if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            return Exit::of_output(&error);
        }
        exit = exit.worst(facts.judge());
    }
    exit
}

fn collect(path: &Path, asked: &WindowArgs) -> Result<Facts, String> {
    let part = asked.part(path).map_err(|why| match why {
        NoPart::Unreadable(error) => error.to_string(),
        NoPart::Frames(why) => format!("{}: {why}", path.display()),
    })?;
    let mut facts = Facts::default();
    if let Some(part) = part {
        let reader = part.file.read_these(&part.frames).map_err(|error| error.to_string())?;
        facts.read(reader, part.window, path).map_err(|error| error.to_string())?;
        // What was left out has its size all the same.
        facts.file_bytes = part.file.size();
        facts.stream_bytes = part.file.frames().last().map_or(0, Frame::raw_end);
        facts.part = Some((part.frames.len() as u64, part.file.frames().len() as u64));
    } else {
        let reader = CaptureReader::open(path).map_err(|error| error.to_string())?;
        facts.read(reader, asked.window(), path).map_err(|error| error.to_string())?;
    }
    // Frames and seal are behind the decompressor; a pipe is read only once.
    if facts.packing == "zstd" && path.as_os_str() != "-" && asked.is_whole() {
        facts.report = File::open(path).and_then(verify).ok().filter(|report| report.is_ours);
    }
    Ok(facts)
}

impl Facts {
    /// Takes in what a reader gives, events of the window only.
    fn read(&mut self, mut reader: CaptureReader, mut window: Window, path: &Path) -> Result<(), FormatError> {
        let mut progress = Progress::new(&path.display().to_string(), reader.bytes_total(), true);
        while let Some(item) = reader.next_item()? {
            if !matches!(&item, Item::Event(event) if !window.holds(event.ts)) {
                self.take(item);
            }
            let events = self.events;
            progress.update(|| reader.bytes_read(), events);
        }
        self.packing = reader.packing();
        self.file_bytes = reader.bytes_read();
        self.stream_bytes = reader.stream_bytes();
        self.ledger = reader.ledger().clone();
        Ok(())
    }

    fn take(&mut self, item: Item) {
        match item {
            Item::Section(section) if self.sections.len() < MAX_KEPT => self.sections.push(section),
            Item::Machine(machine) if self.machines.len() < MAX_KEPT => self.machines.push(machine),
            Item::Interfaces(list) => {
                let room = MAX_KEPT - self.interfaces.len();
                self.interfaces.extend(list.into_iter().take(room));
            }
            Item::Users(list) => {
                let users = list.iter().filter(|entry| matches!(entry, UserEntry::User { .. })).count() as u64;
                self.users += users;
                self.groups += list.len() as u64 - users;
            }
            Item::Threads(list) => {
                self.listed_threads += list.len() as u64;
                self.listed_processes.extend(list.iter().map(|thread| thread.pid));
            }
            Item::Fds(list) => self.listed_fds += list.fds.len() as u64,
            Item::Event(event) => {
                self.events += 1;
                *self.types.entry(event.name()).or_default() += 1;
                if event.tid >= 0 {
                    self.threads.insert(event.tid);
                }
                // Synthetic events of old recorders carry 0 or all ones instead of a time.
                if event.ts != 0 && event.ts != u64::MAX {
                    self.earliest = Some(self.earliest.map_or(event.ts, |ts| ts.min(event.ts)));
                    self.latest = Some(self.latest.map_or(event.ts, |ts| ts.max(event.ts)));
                }
            }
            Item::Section(_) | Item::Machine(_) => {}
        }
    }

    fn judge(&self) -> Exit {
        let damage = [
            Counter::TruncatedInput,
            Counter::BrokenCompression,
            Counter::DamagedBlocks,
            Counter::DamagedEvents,
            Counter::DamagedSnapshotEntries,
        ];
        let faults = self.report.as_ref().is_some_and(|report| !report.faults.is_empty());
        let damaged = faults || damage.iter().any(|&counter| self.ledger.get(counter) > 0);
        if damaged { Exit::Incomplete } else { Exit::Complete }
    }

    /// Event types, most frequent first.
    fn ranking(&self) -> Vec<(&'static str, u64)> {
        let mut ranking: Vec<_> = self.types.iter().map(|(name, count)| (*name, *count)).collect();
        ranking.sort_by_key(|(name, count)| (u64::MAX - count, *name));
        ranking
    }

    fn page(&self, name: &str) -> Result<String, fmt::Error> {
        let mut page = String::new();
        let page = &mut page;
        writeln!(page, "{}", Safe(name.as_bytes()))?;
        self.page_file(page)?;
        self.page_host(page)?;
        self.page_events(page)?;
        self.page_frames(page)?;
        let findings: Vec<_> = self.ledger.findings().collect();
        if findings.is_empty() {
            writeln!(page, "  ledger       empty")?;
        }
        for (at, (def, count)) in findings.into_iter().enumerate() {
            let head = if at == 0 { "ledger" } else { "" };
            writeln!(page, "  {head:<11}  {}: {count}  ({})", def.name, def.advice)?;
        }
        Ok(std::mem::take(page))
    }

    fn page_file(&self, page: &mut String) -> fmt::Result {
        let versions: BTreeSet<String> =
            self.sections.iter().map(|section| format!("{}.{}", section.major, section.minor)).collect();
        let versions: Vec<String> = versions.into_iter().collect();
        if versions.is_empty() {
            writeln!(page, "  format       scap, no section header in this part")?;
        } else {
            writeln!(page, "  format       scap {}, sections: {}", versions.join(", "), self.sections.len())?;
        }
        let ratio = self.stream_bytes as f64 / self.file_bytes.max(1) as f64;
        let (file, stream) = (self.file_bytes, self.stream_bytes);
        match self.packing {
            "none" => writeln!(page, "  size         {file} bytes, not compressed"),
            packing => writeln!(page, "  size         {file} bytes, {packing}; {stream} unpacked, {ratio:.1} to 1"),
        }
    }

    fn page_host(&self, page: &mut String) -> fmt::Result {
        for machine in &self.machines {
            let boot =
                if machine.boot_ts > 0 { format!(", booted {}", time::utc(machine.boot_ts)) } else { String::new() };
            let (name, mib) = (Safe(&machine.hostname), machine.memory >> 20);
            writeln!(page, "  host         {name}, {} CPUs, {mib} MiB{boot}", machine.num_cpus)?;
        }
        for interface in &self.interfaces {
            match interface {
                Interface::V4 { name, addr, netmask, .. } => {
                    writeln!(page, "  interface    {} {addr}/{netmask}", Safe(name))?;
                }
                Interface::V6 { name, addr, .. } => writeln!(page, "  interface    {} {addr}", Safe(name))?,
            }
        }
        writeln!(
            page,
            "  at start     {} processes, {} threads, {} descriptors, {} users, {} groups",
            self.listed_processes.len(),
            self.listed_threads,
            self.listed_fds,
            self.users,
            self.groups
        )
    }

    fn page_events(&self, page: &mut String) -> fmt::Result {
        writeln!(page, "  events       {} on {} threads", self.events, self.threads.len())?;
        if let (Some(earliest), Some(latest)) = (self.earliest, self.latest) {
            writeln!(page, "  from         {}", time::utc(earliest))?;
            writeln!(page, "  to           {}  ({})", time::utc(latest), time::span(latest - earliest))?;
        }
        let ranking = self.ranking();
        for (name, count) in ranking.iter().take(TYPES_SHOWN) {
            let percent = *count as f64 * 100.0 / self.events.max(1) as f64;
            writeln!(page, "    {count:>12}  {percent:>5.1} %  {name}")?;
        }
        match ranking.len().saturating_sub(TYPES_SHOWN) {
            0 => Ok(()),
            more => writeln!(page, "                           and {more} more types (--json has all)"),
        }
    }

    fn page_frames(&self, page: &mut String) -> fmt::Result {
        if let Some((read, all)) = self.part {
            writeln!(page, "  frames       {read} of {all} read, those that can hold the part asked for")?;
        }
        let Some(report) = &self.report else { return Ok(()) };
        writeln!(page, "  frames       {} of {} intact", report.intact, report.expected)?;
        match &report.seal {
            Some(seal) => writeln!(page, "  seal         root {}, unsigned", hex(&seal.root))?,
            None => writeln!(page, "  seal         none")?,
        }
        for fault in &report.faults {
            writeln!(page, "  {:<11}  byte {}: {}", fault.wrong.word(), fault.offset, fault.text)?;
        }
        Ok(())
    }

    fn as_json(&self, name: &str) -> Value {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let interface = |interface: &Interface| match interface {
            Interface::V4 { name, addr, netmask, .. } => {
                json!({"name": text(name), "address": addr.to_string(), "netmask": netmask.to_string()})
            }
            Interface::V6 { name, addr, .. } => json!({"name": text(name), "address": addr.to_string()}),
        };
        let host = |machine: &MachineInfo| {
            json!({
                "hostname": text(&machine.hostname),
                "cpus": machine.num_cpus,
                "memory": machine.memory,
                "boot_ns": machine.boot_ts,
            })
        };
        let frames = self.report.as_ref().map(|report| {
            json!({
                "expected": report.expected,
                "intact": report.intact,
                "faults": report.faults.len(),
                "root": report.seal.as_ref().map(|seal| hex(&seal.root)),
            })
        });
        let versions = self.sections.iter().map(|section| format!("{}.{}", section.major, section.minor));
        json!({
            "file": name,
            "compression": self.packing,
            "file_bytes": self.file_bytes,
            "stream_bytes": self.stream_bytes,
            "sections": versions.collect::<Vec<_>>(),
            "hosts": self.machines.iter().map(host).collect::<Vec<_>>(),
            "interfaces": self.interfaces.iter().map(interface).collect::<Vec<_>>(),
            "users": self.users,
            "groups": self.groups,
            "processes_at_start": self.listed_processes.len(),
            "threads_at_start": self.listed_threads,
            "descriptors_at_start": self.listed_fds,
            "events": self.events,
            "event_types": self.types,
            "threads": self.threads.len(),
            "earliest_ns": self.earliest,
            "latest_ns": self.latest,
            "frames": frames,
            "part": self.part.map(|(read, all)| json!({"frames_read": read, "frames": all})),
            "ledger": self.ledger.findings().map(|(def, count)| (def.name, count)).collect::<BTreeMap<_, _>>(),
        })
    }
}
