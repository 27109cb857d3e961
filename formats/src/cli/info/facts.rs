//! Everything that `info` collects while a capture is read.
//!
//! What every event is asked for is counted in [`super::tally`]; here is what snapshots and rare events tell.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::ops::ControlFlow;

use super::super::exit::Exit;
use super::super::window::Window;
use super::tally::Tally;
use crate::capture::{Item, Section, Take};
use crate::custody::Origin;
use crate::event::Event;
use crate::ledger::{Counter, Ledger};
use crate::origin::Passed;
use crate::snapshot::{Interface, MachineInfo, ThreadEntry, UserEntry};
use crate::tables;

/// Machines and interfaces kept; a file of more sections than this is no capture that people look at.
const MAX_KEPT: usize = 1000;

/// Programs and containers kept apart; a hostile capture may name any number.
const MAX_NAMES: usize = 100_000;

/// Digits of a container's id, in full and as it is shown.
const ID_LEN: usize = 64;
const ID_SHOWN: usize = 12;

/// Everything that is collected in one pass.
#[derive(Default)]
pub(super) struct Facts {
    pub packing: &'static str,
    pub file_bytes: u64,
    /// Frames read, and frames that there are, where only a part was asked for.
    pub part: Option<(u64, u64)>,
    pub stream_bytes: u64,
    pub sections: Vec<Section>,
    pub machines: Vec<MachineInfo>,
    pub interfaces: Vec<Interface>,
    pub users: u64,
    pub groups: u64,
    pub listed_threads: u64,
    pub listed_processes: BTreeSet<i64>,
    pub listed_fds: u64,
    pub tally: Tally,
    pub programs: BTreeMap<Vec<u8>, Program>,
    pub containers: BTreeMap<String, Container>,
    pub ledger: Ledger,
    pub origin: Option<Origin>,
    pub passed: Passed,
    tells: ByType,
}

/// How often a program was seen, by the kernel's name for it.
#[derive(Clone, Copy, Default)]
pub(super) struct Program {
    /// Processes in the list at the start.
    pub listed: u64,
    /// Successful execs.
    pub started: u64,
}

/// What the capture says about a container.
#[derive(Clone, Default)]
pub(super) struct Container {
    /// From a container event.
    pub name: Option<String>,
    pub image: Option<String>,
    /// Threads of the list at the start in its cgroups.
    pub listed: u64,
    /// Programs started in it.
    pub started: u64,
}

impl Facts {
    pub(super) fn take(&mut self, item: Item) {
        match item {
            Item::Section(section) => {
                self.tally.section();
                if self.sections.len() < MAX_KEPT {
                    self.sections.push(section);
                }
            }
            Item::Machine(machine) if self.machines.len() < MAX_KEPT => self.machines.push(machine),
            Item::Machine(_) => {}
            Item::Interfaces(list) => {
                let room = MAX_KEPT - self.interfaces.len();
                self.interfaces.extend(list.into_iter().take(room));
            }
            Item::Users(list) => {
                let users = list.iter().filter(|entry| matches!(entry, UserEntry::User { .. })).count() as u64;
                self.users += users;
                self.groups += list.len() as u64 - users;
            }
            Item::Threads(list) => list.iter().for_each(|thread| self.thread(thread)),
            Item::Fds(list) => self.listed_fds += list.fds.len() as u64,
            Item::Event(event) => self.event(&event),
        }
    }

    fn thread(&mut self, thread: &ThreadEntry) {
        self.listed_threads += 1;
        if self.listed_processes.insert(thread.pid)
            && let Some(program) = kept(&mut self.programs, &thread.comm)
        {
            program.listed += 1;
        }
        if let Some(id) = container_id(&thread.cgroups)
            && let Some(container) = kept(&mut self.containers, &id)
        {
            container.listed += 1;
        }
    }

    #[inline]
    fn event(&mut self, event: &Event) {
        self.tally.event(event);
        match self.tells.0.get(event.etype.0 as usize) {
            None | Some(Tells::Nothing) => {}
            Some(Tells::Exec) => self.exec(event),
            Some(Tells::Container) => self.container(event),
        }
    }

    /// A program may have been started; which and where, the event says, by the names of its parameters.
    #[inline(never)]
    fn exec(&mut self, event: &Event) {
        if event.i64(0) != Some(0) {
            return;
        }
        let params = tables::event(event.etype).map_or(&[][..], |def| def.params);
        let find = |name| params.iter().position(|param| param.name == name);
        if let Some(comm) = find("comm").and_then(|index| event.text(index))
            && let Some(program) = kept(&mut self.programs, &comm.to_vec())
        {
            program.started += 1;
        }
        let cgroups = find("cgroups").and_then(|index| event.param(index));
        if let Some(id) = cgroups.and_then(container_id)
            && let Some(container) = kept(&mut self.containers, &id)
        {
            container.started += 1;
        }
    }

    #[inline(never)]
    fn container(&mut self, event: &Event) {
        let Some(json) = event.text(0).and_then(|text| serde_json::from_slice::<serde_json::Value>(text).ok()) else {
            return;
        };
        let told = &json["container"];
        let text = |key: &str| told[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        if let Some(id) = text("id")
            && let Some(container) = kept(&mut self.containers, &id)
        {
            container.name = text("name").or(container.name.take());
            container.image = text("image").or(container.image.take());
        }
    }

    pub(super) fn judge(&self) -> Exit {
        let damage = [
            Counter::TruncatedInput,
            Counter::BrokenCompression,
            Counter::DamagedFrames,
            Counter::DamagedBlocks,
            Counter::DamagedEvents,
            Counter::DamagedSnapshotEntries,
        ];
        let is_ours = self.passed.records > 0;
        let broken = is_ours
            && (self.passed.intact < self.expected_frames() || !self.passed.ended || self.passed.seal.is_none());
        let damaged = broken || damage.iter().any(|&counter| self.ledger.get(counter) > 0);
        if damaged { Exit::Incomplete } else { Exit::Complete }
    }

    /// Data frames that the file should have, as far as it says.
    pub(super) fn expected_frames(&self) -> u64 {
        self.passed.seal.as_ref().map_or(self.passed.frames.max(self.passed.records), |seal| seal.frames)
    }

    /// Event types, most frequent first.
    pub(super) fn ranking(&self) -> Vec<(&'static str, u64)> {
        let mut ranking: Vec<_> = self.tally.types().into_iter().collect();
        ranking.sort_by_key(|(name, count)| (u64::MAX - count, *name));
        ranking
    }

    /// Programs, those started most often first.
    pub(super) fn program_ranking(&self) -> Vec<(&[u8], Program)> {
        let mut ranking: Vec<_> = self.programs.iter().map(|(name, program)| (name.as_slice(), *program)).collect();
        ranking.sort_by_key(|(name, program)| (u64::MAX - program.started, u64::MAX - program.listed, *name));
        ranking
    }
}

/// Takes in the events of a window.
pub(super) struct Taking<'f> {
    pub facts: &'f mut Facts,
    pub window: &'f mut Window,
}

impl Take for Taking<'_> {
    type Break = Infallible;

    #[inline]
    fn event(&mut self, event: &Event<'_>) -> ControlFlow<Infallible> {
        if self.window.holds(event.ts) {
            self.facts.event(event);
        }
        ControlFlow::Continue(())
    }
}

/// What else than that it is there an event tells `info`.
#[derive(Clone, Copy)]
enum Tells {
    Nothing,
    /// Which program was started.
    Exec,
    /// What a container is called.
    Container,
}

/// What the events of each type tell, by its number.
struct ByType(Vec<Tells>);

impl Default for ByType {
    fn default() -> Self {
        let tells = |name| match name {
            "execve" | "execveat" => Tells::Exec,
            "container" => Tells::Container,
            _ => Tells::Nothing,
        };
        Self(tables::events().map(|(_, def)| tells(def.name)).collect())
    }
}

/// The entry of a key, made where there is room.
fn kept<'m, K: Ord + Clone, V: Default>(map: &'m mut BTreeMap<K, V>, key: &K) -> Option<&'m mut V> {
    if map.len() >= MAX_NAMES && !map.contains_key(key) { None } else { Some(map.entry(key.clone()).or_default()) }
}

/// The container whose id stands in cgroup paths: 64 hexadecimal digits between other characters. Runtimes with ids of
/// another form are left to `casebook-replay`, which knows them.
fn container_id(cgroups: &[u8]) -> Option<String> {
    let mut runs = cgroups.split(|byte| !byte.is_ascii_hexdigit()).filter(|run| run.len() == ID_LEN);
    runs.next().map(|run| String::from_utf8_lossy(&run[..ID_SHOWN]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::container_id;

    #[test]
    fn ids_stand_in_cgroups() {
        let id = "3ad7b26ded6d8e7b23da7d48fe889434573036c27ae5a74837233de441c3601e";
        let shown = Some("3ad7b26ded6d".to_owned());
        assert_eq!(container_id(format!("cpuset=/docker/{id}\0cpu=/\0").as_bytes()), shown);
        assert_eq!(container_id(format!("memory=/system.slice/docker-{id}.scope\0").as_bytes()), shown);
        assert_eq!(container_id(format!("memory=/{id}ab\0").as_bytes()), None);
        assert_eq!(container_id(b"cpu=/user.slice\0"), None);
    }
}
