//! Which frames can hold what is asked for.
//!
//! Frame records say what is *not* in a frame, and never deny what is. Left out is therefore only what certainly has
//! nothing to give; damaged places, and snapshots, are always read, as is everything that numbering or enter halves
//! depend on and no record tells.

use std::io;

use super::filter::{TypeSet, text_member};
use super::frames::{Frame, read_record};
use super::storage::Storage;
use crate::event::EventType;
use crate::tables::{self, Action};

/// What a reader is to give at least. Everything that is not restricted is asked for; restrictions of several kinds
/// hold together. Frames come whole: the caller still compares event by event.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    from: Option<u64>,
    to: Option<u64>,
    until: Option<u64>,
    types: Option<TypeSet>,
    threads: Option<Vec<u64>>,
    containers: Option<Vec<u64>>,
}

impl Selection {
    /// Everything.
    pub fn all() -> Self {
        Self::default()
    }

    /// Events at this time or later, ns since the epoch. Events that carry no time are not asked for.
    #[must_use]
    pub fn from(mut self, ts: u64) -> Self {
        self.from = Some(ts);
        self
    }

    /// Events at this time or earlier. Events that carry no time are not asked for.
    #[must_use]
    pub fn to(mut self, ts: u64) -> Self {
        self.to = Some(ts);
        self
    }

    /// All events in stream order up to the first one later than this time, that one included: what a replay needs that
    /// stops there.
    #[must_use]
    pub fn until(mut self, ts: u64) -> Self {
        self.until = Some(ts);
        self
    }

    /// Events of these types, in the normal form: the stored forms that become them are added.
    #[must_use]
    pub fn types(mut self, types: impl IntoIterator<Item = EventType>) -> Self {
        let wanted: Vec<EventType> = types.into_iter().collect();
        let mut stored = TypeSet::default();
        for (etype, _) in tables::events() {
            if becomes(etype).iter().any(|normal| wanted.contains(normal)) {
                stored.insert(etype);
            }
        }
        self.types = Some(stored);
        self
    }

    /// Events of these threads.
    #[must_use]
    pub fn threads(mut self, tids: impl IntoIterator<Item = i64>) -> Self {
        self.threads = Some(tids.into_iter().map(|tid| tid as u64).collect());
        self
    }

    /// Events of these containers, by id as shown, empty for the host. Frames whose writer did not know containers are
    /// read.
    #[must_use]
    pub fn containers<'a>(mut self, ids: impl IntoIterator<Item = &'a [u8]>) -> Self {
        self.containers = Some(ids.into_iter().map(text_member).collect());
        self
    }

    /// Places of the frames to be read, ascending.
    pub(crate) fn choose(&self, storage: &dyn Storage, frames: &[Frame]) -> io::Result<Vec<usize>> {
        let end = match self.until {
            // Times are complete in frames without damage only; reading on costs nothing to somebody who stops.
            Some(ts) => frames.iter().position(|frame| frame.latest > ts).map_or(frames.len(), |last| last + 1),
            None => frames.len(),
        };
        let frames = frames.get(..end).unwrap_or(frames);
        let mut chosen = Vec::new();
        // Up to here nothing can be left out.
        let mut whole = 0;
        let mut after_damage = false;
        for (at, frame) in frames.iter().enumerate() {
            let always = frame.snapshots || frame.irregular || after_damage;
            // The reader finds its way back in the frame after a damaged place.
            after_damage = frame.irregular;
            if always || self.may_hold(storage, frame)? {
                chosen.push(at);
                if !frame.stands_alone {
                    whole = at;
                }
            }
        }
        if frames.iter().any(|frame| !frame.counted) {
            whole = chosen.last().copied().unwrap_or(0);
        }
        chosen.retain(|&at| at >= whole);
        Ok((0..whole).chain(chosen).collect())
    }

    fn may_hold(&self, storage: &dyn Storage, frame: &Frame) -> io::Result<bool> {
        let timely = self.from.is_none_or(|from| frame.latest >= from && frame.latest > 0)
            && self.to.is_none_or(|to| frame.earliest <= to && frame.latest > 0);
        if !timely || self.types.as_ref().is_some_and(|types| !types.meets(&frame.types)) {
            return Ok(false);
        }
        if self.threads.is_none() && self.containers.is_none() {
            return Ok(true);
        }
        // Without its record, a frame may hold anything.
        let Some(record) = read_record(storage, frame)? else { return Ok(true) };
        let thread = self.threads.as_ref().is_none_or(|tids| tids.iter().any(|&tid| record.threads.may_contain(tid)));
        let container = match (&self.containers, &record.containers) {
            (Some(ids), Some(filter)) => ids.iter().any(|&id| filter.may_contain(id)),
            _ => true,
        };
        Ok(thread && container)
    }
}

/// The types that a stored event may be delivered as, whatever its number of parameters.
fn becomes(stored: EventType) -> Vec<EventType> {
    let mut reached = vec![stored];
    let mut at = 0;
    while let Some(&etype) = reached.get(at) {
        for row in tables::conversions(etype) {
            if let Action::ChangeType(target, _) = row.action
                && !reached.contains(&target)
            {
                reached.push(target);
            }
        }
        at += 1;
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::becomes;
    use crate::tables::ppme;

    #[test]
    fn old_forms_are_found_by_what_they_become() {
        assert!(becomes(ppme::PPME_SYSCALL_EXECVE_8_X).contains(&ppme::PPME_SYSCALL_EXECVE_19_X));
        assert!(becomes(ppme::PPME_PROCEXIT_E).contains(&ppme::PPME_PROCEXIT_1_E));
        assert_eq!(becomes(ppme::PPME_SYSCALL_CLOSE_X), [ppme::PPME_SYSCALL_CLOSE_X]);
    }
}
