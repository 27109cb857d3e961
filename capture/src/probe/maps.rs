//! What the kernel side is told before it is attached: settings, tables of calls, filters, each in the form that
//! `bpf/maps.h` has for it.

use std::collections::{BTreeMap, BTreeSet};

use aya::Ebpf;
use aya::maps::{Array, HashMap, Map, MapData};

use super::{ProbeError, Settings, refused};
use crate::calls::{CODES, Calls, OPERATION, PLAN, guarded_numbers, natives, operations, wanted_numbers};
use crate::filter::{Entry, Filters, LENGTHS};

/// `struct config`.
pub(super) fn config(settings: &Settings) -> Vec<u8> {
    let filters = &settings.filters;
    let words = [
        std::process::id(),
        settings.snaplen,
        Filters::modes(filters.pids.iter().map(|entry| entry.mode)),
        filters.cgroup_modes(),
        Filters::modes(filters.comms.iter().map(|entry| entry.mode)),
        Filters::modes(filters.uids.iter().map(|entry| entry.mode)),
        u32::from(filters.by_name()),
        u32::from(filters.can_join()),
    ];
    words
        .iter()
        .chain(&id_lengths(filters))
        .chain(&guarded_numbers())
        .chain(&wanted_numbers(&settings.wanted))
        .flat_map(|word| word.to_le_bytes())
        .collect()
}

/// Lengths of the ids that containers are named by, the longest first: it says most.
fn id_lengths(filters: &Filters) -> [u32; LENGTHS] {
    let lengths: BTreeSet<u32> = filters.ids().map(|entry| entry.value.len() as u32).collect();
    let mut all = [0; LENGTHS];
    all.iter_mut().zip(lengths.iter().rev()).for_each(|(slot, length)| *slot = *length);
    all
}

/// `struct id_start`.
fn id_start(text: &str) -> [u8; 68] {
    let mut key = [0; 68];
    key[..4].copy_from_slice(&(text.len() as u32).to_le_bytes());
    key[4..].iter_mut().zip(text.bytes()).for_each(|(to, byte)| *to = byte);
    key
}

pub(super) fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, ProbeError> {
    ebpf.take_map(name).ok_or(ProbeError::Missing(name))
}

/// A map that stays with the object: programs are loaded with its descriptor.
pub(super) fn lent<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Map, ProbeError> {
    ebpf.map_mut(name).ok_or(ProbeError::Missing(name))
}

pub(super) fn fill_tables(ebpf: &mut Ebpf, calls: &Calls, settings: &Settings) -> Result<(), ProbeError> {
    let mut numbers: Array<&mut MapData, u16> =
        lent(ebpf, "natives")?.try_into().map_err(refused("the map of numbers"))?;
    for (native, code) in natives() {
        numbers.set(native, code, 0).map_err(refused("the map of numbers"))?;
    }
    let mut rings: Array<&mut MapData, [u8; OPERATION]> =
        lent(ebpf, "operations")?.try_into().map_err(refused("the map of operations"))?;
    for (opcode, operation) in operations() {
        rings.set(opcode, operation, 0).map_err(refused("the map of operations"))?;
    }
    let mut plans: Array<&mut MapData, [u8; PLAN]> =
        lent(ebpf, "plans")?.try_into().map_err(refused("the map of plans"))?;
    for code in 0..CODES as u16 {
        let plan = calls.plan(code, settings.wanted.contains(&code));
        plans.set(u32::from(code), plan, 0).map_err(refused("the map of plans"))?;
    }
    Ok(())
}

/// Words of the process filter: two bits for each of 32 numbers. Of several entries for one process the last counts.
fn pid_words(entries: &[Entry<u32>]) -> BTreeMap<u32, u64> {
    let mut words = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.value < PIDS) {
        let (word, shift) = (words.entry(entry.value / 32).or_default(), entry.value % 32 * 2);
        *word = *word & !(3 << shift) | (entry.mode as u64) << shift;
    }
    words
}

/// Process ids are below this (`PID_MAX_LIMIT`).
pub(super) const PIDS: u32 = 1 << 22;

pub(super) fn fill_filters(ebpf: &mut Ebpf, filters: &Filters) -> Result<(), ProbeError> {
    let mut pids: Array<&mut MapData, u64> = lent(ebpf, "pids")?.try_into().map_err(refused("the process filter"))?;
    for (word, modes) in pid_words(&filters.pids) {
        pids.set(word, modes, 0).map_err(refused("the process filter"))?;
    }
    let mut cgroups: HashMap<&mut MapData, u64, u8> =
        lent(ebpf, "cgroups")?.try_into().map_err(refused("the cgroup filter"))?;
    for entry in &filters.cgroups {
        cgroups.insert(entry.value.id, entry.mode as u8, 0).map_err(refused("the cgroup filter"))?;
    }
    let mut ids: HashMap<&mut MapData, [u8; 68], u8> =
        lent(ebpf, "ids")?.try_into().map_err(refused("the container filter"))?;
    for entry in filters.ids() {
        ids.insert(id_start(&entry.value), entry.mode as u8, 0).map_err(refused("the container filter"))?;
    }
    let mut comms: HashMap<&mut MapData, [u8; 16], u8> =
        lent(ebpf, "comms")?.try_into().map_err(refused("the name filter"))?;
    for entry in &filters.comms {
        comms.insert(entry.value, entry.mode as u8, 0).map_err(refused("the name filter"))?;
    }
    let mut uids: HashMap<&mut MapData, u32, u8> =
        lent(ebpf, "uids")?.try_into().map_err(refused("the user filter"))?;
    for entry in &filters.uids {
        uids.insert(entry.value, entry.mode as u8, 0).map_err(refused("the user filter"))?;
    }
    Ok(())
}
