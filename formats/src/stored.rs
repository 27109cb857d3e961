//! Event blocks as they stand in a stream, for those who put some of them into another capture.
//!
//! Nothing is decoded but the frame: what is copied is what was recorded, old forms and enter halves included. Which
//! blocks are wanted is known from an earlier reading ([`crate::event::RawEvent::offset`],
//! [`crate::event::RawEvent::enter`]).

use std::io::{self, Read};

use crate::blocks::frame::{Block, Blocks};
use crate::blocks::{EV_V2, EV_V2_LARGE, EVF_V2, EVF_V2_LARGE, EventLayout, Kind, round4};
use crate::ledger::Ledger;
use crate::limits::MAX_EVENT_BLOCK;
use crate::source::Source;

/// The event blocks of a capture, in order.
pub struct StoredEvents {
    blocks: Blocks,
    ledger: Ledger,
}

/// An event block.
#[derive(Clone, Copy, Debug)]
pub struct StoredEvent<'a> {
    /// Offset of the block in the uncompressed stream.
    pub offset: u64,
    layout: EventLayout,
    body: &'a [u8],
}

impl StoredEvents {
    /// The blocks of whatever `source` gives, packed or not.
    pub fn new(source: Box<dyn Read + Send>) -> io::Result<Self> {
        Ok(Self { blocks: Blocks::new(Source::new(source, None)?), ledger: Ledger::default() })
    }

    /// The next event block; `None` at the end. What is damaged is passed over, as every reader does.
    pub fn next_event(&mut self) -> io::Result<Option<StoredEvent<'_>>> {
        let (layout, body, offset) = loop {
            match self.blocks.next(&mut self.ledger)? {
                Some(Block { kind: Kind::Event(layout), body, offset }) => break (layout, body, offset),
                Some(_) => {}
                None => return Ok(None),
            }
        };
        Ok(Some(StoredEvent { offset, layout, body: self.blocks.bytes(body) }))
    }
}

impl StoredEvent<'_> {
    /// Its time, ns since the epoch; 0 and all ones are none.
    pub fn ts(&self) -> u64 {
        let ahead = if self.layout.flags { 6 } else { 2 };
        self.body.get(ahead..).and_then(|bytes| bytes.first_chunk()).map_or(0, |ts| u64::from_le_bytes(*ts))
    }

    /// Appends the block; with `state_only`, marked so that it feeds the state of a replay and is not shown.
    pub fn append(&self, state_only: bool, to: &mut Vec<u8>) {
        let (ahead, len_at) = if self.layout.flags { (6, 22) } else { (2, 18) };
        let (cpu, rest) = self.body.split_at(self.body.len().min(2));
        let mut flags = [0; 4];
        if self.layout.flags {
            flags.copy_from_slice(rest.get(..4).unwrap_or(&[0; 4]));
        }
        if state_only {
            flags[0] |= 1;
        }
        // The event's own length leaves the padding out.
        let len =
            self.body.get(len_at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |len| u32::from_le_bytes(*len));
        let event = self.body.get(ahead..).unwrap_or_default();
        let event = event.get(..len as usize).unwrap_or(event);
        let flagged = flags != [0; 4];
        let body = 2 + if flagged { 4 } else { 0 } + event.len();
        let whole = 12 + round4(body);
        let large = self.layout.large || whole > MAX_EVENT_BLOCK;
        let number: u32 = match (self.layout.counted, flagged, large) {
            (false, false, _) => 0x204,
            (false, true, _) => 0x208,
            (true, false, false) => EV_V2,
            (true, true, false) => EVF_V2,
            (true, false, true) => EV_V2_LARGE,
            (true, true, true) => EVF_V2_LARGE,
        };
        let start = to.len();
        to.extend_from_slice(&number.to_le_bytes());
        to.extend_from_slice(&(whole as u32).to_le_bytes());
        to.extend_from_slice(cpu);
        if flagged {
            to.extend_from_slice(&flags);
        }
        to.extend_from_slice(event);
        to.resize(start + whole - 4, 0);
        to.extend_from_slice(&(whole as u32).to_le_bytes());
    }
}
