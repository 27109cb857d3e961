//! A capture written anew with other values: the same blocks in the same order, each taken apart, shown, and put
//! together again.
//!
//! Events stay what they are stored as, old types and enter halves included, so that they are converted on reading as
//! before and keep their numbers; snapshots go out in today's blocks. Whoever gives other values is a [`Rewriter`]. It is
//! asked about every value that has content, and nothing reaches the output past it: comments of section headers, blocks
//! and event types that this version does not know, damaged pieces and parameters beyond the table are left out and
//! counted in [`Rewritten`].

use std::io::{Read, Write};

use crate::blocks::event::{self, Fault, Stored};
use crate::blocks::frame::{Block, Blocks};
use crate::blocks::{
    self, EV_V2, EV_V2_LARGE, EVF_V2, EVF_V2_LARGE, EventLayout, Kind, fds, interfaces, machine, section, threads,
    users, write_block,
};
use crate::event::EventType;
use crate::ledger::{Counter, Ledger};
use crate::limits::{MAX_BLOCK, MAX_EVENT_BLOCK, MAX_LIST_ENTRIES, MAX_PATH, MAX_USER_TEXT};
use crate::snapshot::{FdInfo, FdList, Interface, MachineInfo, ThreadEntry, UserEntry};
use crate::source::Source;
use crate::tables::{self, EventDef};
use crate::write::WriteError;

/// Who says what the output has in the place of what the input has.
pub trait Rewriter {
    /// The machine.
    fn machine(&mut self, machine: &mut MachineInfo);
    /// A network interface.
    fn interface(&mut self, interface: &mut Interface);
    /// A user or group.
    fn user(&mut self, user: &mut UserEntry);
    /// A thread of the process list.
    fn thread(&mut self, thread: &mut ThreadEntry);
    /// Descriptors of a thread.
    fn fds(&mut self, fds: &mut FdList);
    /// Puts into `out`, which is empty, what parameter `index` of an event of type `etype` has instead of `value`, which
    /// is not empty.
    fn value(&mut self, etype: EventType, def: &EventDef, index: usize, value: &[u8], out: &mut Vec<u8>);
}

/// What became of a capture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// Events written, enter halves included.
    pub events: u64,
    /// Events left out: of a type that is not in the table, or damaged.
    pub events_left_out: u64,
    /// Values left out: the event has more of them than the table.
    pub values_left_out: u64,
    /// Comments of section headers left out.
    pub comments_left_out: u64,
    /// Entries and lists of snapshots left out because they cannot be read.
    pub entries_left_out: u64,
    /// Texts that became longer than their place and were cut.
    pub cut: u64,
    /// What was odd about the input.
    pub ledger: Ledger,
}

/// Writes what `source` (a capture, packed or not) has into `out` (plain), with the values that `rewriter` gives.
///
/// # Errors
///
/// When the input cannot be read, the output not written, or a list became larger than a block can be.
pub fn rewrite(
    source: Box<dyn Read + Send>,
    rewriter: &mut dyn Rewriter,
    out: &mut dyn Write,
) -> Result<Rewritten, WriteError> {
    let mut blocks = Blocks::new(Source::new(source, None)?);
    let mut work = Work { rewriter, done: Rewritten::default(), body: Vec::new(), value: Vec::new(), ends: Vec::new() };
    let mut begun = false;
    let mut ledger = Ledger::default();
    while let Some(Block { kind, body, .. }) = blocks.next(&mut ledger)? {
        work.body.clear();
        if !begun && kind != Kind::Section {
            // Its head is lost.
            work.section(&[]);
            write_block(out, blocks::SHB, &work.body)?;
            work.body.clear();
        }
        begun = true;
        let bytes = blocks.bytes(body);
        if let Some(number) = work.block(kind, bytes)? {
            if work.body.len() + 16 > MAX_BLOCK {
                let len = work.body.len();
                return Err(WriteError::BlockTooLarge { what: "a list", len, limit: MAX_BLOCK });
            }
            write_block(out, number, &work.body)?;
        }
    }
    out.flush()?;
    let mut done = work.done;
    done.ledger.merge(&ledger);
    Ok(done)
}

struct Work<'r> {
    rewriter: &'r mut dyn Rewriter,
    done: Rewritten,
    /// The body under construction.
    body: Vec<u8>,
    /// Values of the event under construction, one after the other, and where each of them ends.
    value: Vec<u8>,
    ends: Vec<usize>,
}

fn cut(text: &mut Vec<u8>, limit: usize, done: &mut Rewritten) {
    if text.len() > limit {
        text.truncate(limit);
        done.cut += 1;
    }
}

impl Work<'_> {
    /// Puts the new body of a block into `self.body` and gives its number; `None` when it is left out.
    fn block(&mut self, kind: Kind, bytes: &[u8]) -> Result<Option<u32>, WriteError> {
        Ok(match kind {
            Kind::Section => {
                self.section(bytes);
                Some(blocks::SHB)
            }
            Kind::Event(layout) => self.event(bytes, layout),
            Kind::Machine => match machine::decode(bytes) {
                Some(mut info) => {
                    self.rewriter.machine(&mut info);
                    // The block holds 128 bytes with a NUL at the end.
                    cut(&mut info.hostname, 127, &mut self.done);
                    machine::encode(&mut self.body, &info)?;
                    Some(blocks::MI)
                }
                None => self.unreadable(),
            },
            Kind::Interfaces(version) => {
                let mut list = interfaces::decode(bytes, version, MAX_LIST_ENTRIES);
                self.done.entries_left_out += list.damaged;
                for entry in &mut list.entries {
                    self.rewriter.interface(entry);
                    let (Interface::V4 { name, .. } | Interface::V6 { name, .. }) = entry;
                    cut(name, MAX_PATH - 1, &mut self.done);
                }
                interfaces::encode(&mut self.body, &list.entries)?;
                Some(blocks::IL_V2)
            }
            Kind::Users(version) => {
                let mut list = users::decode(bytes, version, MAX_LIST_ENTRIES);
                self.done.entries_left_out += list.damaged;
                list.entries.iter_mut().for_each(|entry| self.user(entry));
                users::encode(&mut self.body, &list.entries)?;
                Some(blocks::UL_V2)
            }
            Kind::Threads(version) => {
                let mut list = threads::decode(bytes, version, MAX_LIST_ENTRIES);
                self.done.entries_left_out += list.damaged;
                for entry in &mut list.entries {
                    self.rewriter.thread(entry);
                    self.done.cut += threads::fit(entry);
                }
                threads::encode(&mut self.body, &list.entries)?;
                Some(blocks::PL_V9)
            }
            Kind::Fds(version) => match fds::decode(bytes, version, MAX_LIST_ENTRIES) {
                Some((mut list, damaged)) => {
                    self.done.entries_left_out += damaged;
                    self.fds(&mut list)?;
                    Some(blocks::FDL_V2)
                }
                None => self.unreadable(),
            },
        })
    }

    fn unreadable(&mut self) -> Option<u32> {
        self.done.entries_left_out += 1;
        None
    }

    fn section(&mut self, bytes: &[u8]) {
        if let section::Header::Native(header) = section::decode(bytes) {
            self.done.comments_left_out += header.comments.len() as u64;
        }
        section::encode(&mut self.body);
    }

    fn user(&mut self, entry: &mut UserEntry) {
        self.rewriter.user(entry);
        let texts = match entry {
            UserEntry::User { name, home, shell, .. } => vec![name, home, shell],
            UserEntry::Group { name, .. } => vec![name],
        };
        for text in texts {
            cut(text, MAX_USER_TEXT, &mut self.done);
        }
    }

    fn fds(&mut self, list: &mut FdList) -> Result<(), WriteError> {
        self.rewriter.fds(list);
        for entry in &mut list.fds {
            if let FdInfo::Named { name, .. } | FdInfo::Unix { path: name, .. } = &mut entry.info {
                cut(name, MAX_PATH - 1, &mut self.done);
            }
        }
        // Of kinds that the table does not know, nothing is known but the number.
        let before = list.fds.len();
        list.fds.retain(|entry| fds::is_known(entry.fd_type));
        self.done.entries_left_out += (before - list.fds.len()) as u64;
        Ok(fds::encode(&mut self.body, list)?)
    }

    fn event(&mut self, bytes: &[u8], layout: EventLayout) -> Option<u32> {
        let stored = match event::decode(bytes, layout) {
            Ok(stored) => stored,
            Err(fault) => {
                self.done.events_left_out += 1;
                self.done.ledger.count(match fault {
                    Fault::Damaged => Counter::DamagedEvents,
                    Fault::UnknownType => Counter::UnknownEventTypes,
                });
                return None;
            }
        };
        let etype = EventType(stored.etype);
        let def = tables::event(etype)?;
        if self.values(&stored, etype, def).is_none() {
            self.done.events_left_out += 1;
            self.done.ledger.count(Counter::DamagedEvents);
            return None;
        }
        let flagged = stored.dump_flags != 0;
        self.body.extend_from_slice(&stored.cpu.to_le_bytes());
        if flagged {
            self.body.extend_from_slice(&stored.dump_flags.to_le_bytes());
        }
        let mut start = 0;
        let mut values: Vec<&[u8]> = Vec::with_capacity(self.ends.len());
        for &end in &self.ends {
            values.push(self.value.get(start..end).unwrap_or_default());
            start = end;
        }
        event::encode_event(&mut self.body, stored.ts, stored.tid, etype, &values);
        self.done.events += 1;
        let large = layout.large || stored.width == 4 || blocks::round4(self.body.len()) + 12 > MAX_EVENT_BLOCK;
        Some(match (flagged, large) {
            (false, false) => EV_V2,
            (true, false) => EVF_V2,
            (false, true) => EV_V2_LARGE,
            (true, true) => EVF_V2_LARGE,
        })
    }

    /// Collects the new values of an event; `None` when its lengths go beyond its bytes.
    fn values(&mut self, stored: &Stored<'_>, etype: EventType, def: &EventDef) -> Option<()> {
        self.value.clear();
        self.ends.clear();
        let count = stored.nparams as usize;
        let known = count.min(def.params.len());
        self.done.values_left_out += (count - known) as u64;
        let limit = if stored.width == 4 { MAX_BLOCK / 2 } else { u16::MAX as usize };
        let mut at = count * stored.width;
        let mut new = Vec::new();
        for index in 0..known {
            let len = stored.length(index);
            let value = stored.payload.get(at..at + len)?;
            at += len;
            new.clear();
            if !value.is_empty() {
                self.rewriter.value(etype, def, index, value, &mut new);
            }
            cut(&mut new, limit, &mut self.done);
            self.value.extend_from_slice(&new);
            self.ends.push(self.value.len());
        }
        Some(())
    }
}
