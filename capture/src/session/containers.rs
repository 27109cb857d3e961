//! Containers of a recording: what the filter says of those that appear, and the events that describe them.
//!
//! What a container is called, and what its runtime tells of it, is found out by [`crate::appear`] and
//! [`crate::containers`]; here it goes to the kernel side, to the records that waited for it, and into the capture.

use casebook_formats::ledger::Counter;
use casebook_formats::tables::ppme::PPME_CONTAINER_JSON_2_E;

use super::Session;
use crate::filter::{Entry, Mode};
use crate::probe::Probe;
use crate::record::{Item, Record};
use crate::sys;

impl Session {
    /// Lets the kernel side know what became known of containers, and what waited for it go its way.
    pub(super) fn find_containers(&mut self, probe: &mut Probe) {
        let Some(appear) = &mut self.watch.appear else { return };
        for judged in appear.look() {
            if (judged.mode.is_some() || self.filters.by_name())
                && let Err(error) = probe.judge_cgroup(&judged)
            {
                self.sink.progress.note(error.to_string());
            }
            if let Some(mode) = judged.mode {
                self.filters.cgroups.push(Entry { value: judged.cgroup, mode });
            }
            // The lower half of its number is what the records have.
            self.decide(judged.cgroup.id as u32, judged.mode);
        }
        for number in self.undecided.overdue(sys::since_boot()) {
            self.sink.progress.note(
                "a container's name did not become known; it is taken for none that --container names".to_owned(),
            );
            self.decide(number, None);
        }
    }

    /// It is known now what the filter says of a container.
    pub(super) fn decide(&mut self, number: u32, mode: Option<Mode>) {
        for record in self.undecided.decide(number, mode) {
            if let Some(parsed) = Record::parse(&record) {
                self.accept(&parsed, &record);
            }
        }
    }

    /// Whose container is that? Some records tell its cgroup's path.
    pub(super) fn consider(&mut self, record: &Record<'_>) {
        let Some(appear) = &mut self.watch.appear else { return };
        if let Some(path) = record.path(Item::Cgroup) {
            appear.consider(&path, record.head.cgroup);
        }
    }

    /// Something happened in this cgroup: if it is that of a container that was not seen before, its description goes
    /// ahead.
    pub(super) fn contained(&mut self, path: &[u8], ts: u64) {
        if let Some((description, since)) = self.containers.first_seen(path, ts) {
            self.introduce(&description, since);
        }
    }

    /// Puts a container's description before the first of its events that still waits.
    pub(super) fn introduce(&mut self, description: &str, since: u64) {
        let ts = since.saturating_sub(1).max(self.order.released());
        let event = self.container_event(description, ts);
        if !event.is_empty() {
            self.order.push(ts, &event);
        }
    }

    /// The event that describes a container; nothing where it does not fit the format.
    pub(super) fn container_event(&mut self, description: &str, ts: u64) -> Vec<u8> {
        let text = [description.as_bytes(), b"\0"].concat();
        self.writer.get_mut().clear();
        let written = self.writer.event(self.boot.wrapping_add(ts), -1, 0, PPME_CONTAINER_JSON_2_E, &[&text]);
        if written.is_err() {
            self.losses.all.count(Counter::UnsoundRecords);
            self.writer.get_mut().clear();
        }
        std::mem::take(self.writer.get_mut())
    }
}
