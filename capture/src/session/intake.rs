//! From the ring to the order of time: records are read, taken apart and encoded; the events wait in
//! [`Order`](crate::order::Order) until nothing older can come.
//!
//! A record whose container is not known yet is laid aside (`containers.rs`); who lets the events go is the loop
//! (`follow.rs`).

use aya::maps::{MapData, RingBuf};
use casebook_formats::ledger::Counter;

use super::{LOOK, Session};
use crate::record::{Item, Record};
use crate::undecided::Fate;

impl Session {
    /// Reads what is in the ring; returns the number of records.
    pub(super) fn look(&mut self, ring: &mut RingBuf<MapData>) -> usize {
        let mut found = 0;
        while found < LOOK
            && let Some(bytes) = ring.next()
        {
            found += 1;
            self.take(&bytes);
        }
        found
    }

    fn take(&mut self, bytes: &[u8]) {
        let Some(record) = Record::parse(bytes) else {
            self.losses.all.count(Counter::UnsoundRecords);
            return;
        };
        self.losses.arrived(record.head.cpu, record.head.seq);
        if record.undecided() {
            match self.undecided.take(&record, bytes) {
                Fate::Keep => {}
                Fate::Leave => return,
                Fate::Wait => return self.consider(&record),
            }
        }
        self.accept(&record, bytes);
    }

    /// A record that belongs into the recording.
    pub(super) fn accept(&mut self, record: &Record<'_>, bytes: &[u8]) {
        self.known.note(record, bytes, self.encoder.calls());
        if !record.joined()
            && let Some(reason) = self.watch.triggers.fires(record)
        {
            self.dump(record.head.ts, reason);
        }
        for kind in [Item::Cgroup, Item::CgroupV1] {
            if let Some(path) = record.path(kind) {
                self.contained(&path, record.head.ts);
            }
        }
        self.writer.get_mut().clear();
        match self.encoder.encode(record, &mut self.writer) {
            Ok(true) => {
                let event = self.writer.get_mut();
                self.order.push(record.head.ts, event);
            }
            Ok(false) => {}
            Err(_) => self.losses.all.count(Counter::UnsoundRecords),
        }
    }
}
