//! A capture block by block, as it is stored: what `cat` and `split` take in.
//!
//! Damage is passed over and counted as every reader of ours does it; sound blocks come out byte for byte, in today's
//! framing. Blocks read while somebody looked for the first event are handed out again, so that pipes work like files.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::path::Path;

use super::exit::Exit;
use super::say;
use crate::blocks::event::{self, Fault};
use crate::blocks::frame::Blocks;
use crate::blocks::{self, Kind, machine, write_block};
use crate::custody::Origin;
use crate::ledger::{Counter, Ledger};
use crate::look;
use crate::origin::Watch;
use crate::snapshot::MachineInfo;
use crate::source::Source;

/// A capture being read.
pub(super) struct Stream {
    /// As the user named it.
    pub name: String,
    /// What was wrong so far.
    pub ledger: Ledger,
    blocks: Blocks,
    watch: Watch,
    held: VecDeque<Piece>,
}

/// One block.
pub(super) struct Piece {
    pub kind: Kind,
    number: u32,
    body: Vec<u8>,
    /// Time of an event that has one.
    pub ts: Option<u64>,
}

impl Piece {
    pub(super) const fn is_event(&self) -> bool {
        matches!(self.kind, Kind::Event(_))
    }

    /// Bytes that it takes in a stream.
    pub(super) const fn len(&self) -> u64 {
        blocks::round4(self.body.len()) as u64 + 12
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        write_block(out, self.number, &self.body)
    }
}

/// What a capture says of itself before its first event.
#[derive(Default)]
pub(super) struct Beginning {
    pub machine: Option<MachineInfo>,
    /// Time of the first event that has one.
    pub first: Option<u64>,
}

impl Stream {
    /// Opens a capture, or says why it cannot be read.
    pub(super) fn open(path: &Path, err: &mut dyn Write) -> Result<Self, Exit> {
        let name = if path.as_os_str() == "-" { "standard input".to_owned() } else { path.display().to_string() };
        let mut refuse = |what: &dyn std::fmt::Display| {
            say(err, &format!("{name}: {what}"));
            Exit::Unreadable
        };
        let (source, watch) = Source::open_watched(path).map_err(|error| refuse(&error))?;
        let (mut blocks, mut ledger) = (Blocks::new(source), Ledger::default());
        match blocks.peek(look::ENOUGH, &mut ledger) {
            Ok(head) if head.starts_with(&blocks::SHB.to_le_bytes()) => {}
            Ok(head) => {
                let found = look::describe(head);
                let advice = "`casebook salvage` looks for what is left of one";
                return Err(refuse(&format!("no scap capture: it begins with {found}; {advice}")));
            }
            Err(error) => return Err(refuse(&error)),
        }
        Ok(Self { name, ledger, blocks, watch, held: VecDeque::new() })
    }

    /// The next sound block.
    pub(super) fn next(&mut self) -> io::Result<Option<Piece>> {
        match self.held.pop_front() {
            Some(piece) => Ok(Some(piece)),
            None => self.read(),
        }
    }

    fn read(&mut self) -> io::Result<Option<Piece>> {
        while let Some(block) = self.blocks.next(&mut self.ledger)? {
            let body = self.blocks.bytes(block.body.clone());
            let mut ts = None;
            if let Kind::Event(layout) = block.kind {
                match event::decode(body, layout) {
                    // Synthetic events of old recorders carry 0 or all ones instead of a time.
                    Ok(stored) => ts = Some(stored.ts).filter(|&ts| ts != 0 && ts != u64::MAX),
                    Err(Fault::UnknownType) => {}
                    Err(Fault::Damaged) => {
                        self.ledger.count(Counter::DamagedEvents);
                        continue;
                    }
                }
            }
            let number = self.blocks.bytes(block.body.start.saturating_sub(8)..block.body.start);
            let number = number.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
            return Ok(Some(Piece { kind: block.kind, number, body: body.to_vec(), ts }));
        }
        Ok(None)
    }

    /// Reads on to the first event with a time; what was read comes again.
    pub(super) fn beginning(&mut self) -> io::Result<Beginning> {
        let mut beginning = Beginning::default();
        let mut pieces = VecDeque::new();
        while beginning.first.is_none() {
            let Some(piece) = self.next()? else { break };
            if piece.kind == Kind::Machine && beginning.machine.is_none() {
                beginning.machine = machine::decode(&piece.body);
            }
            beginning.first = piece.ts;
            pieces.push_back(piece);
        }
        pieces.append(&mut self.held);
        self.held = pieces;
        Ok(beginning)
    }

    /// Bytes of the input read so far, and all of them where that is known.
    pub(super) fn bytes(&self) -> (u64, Option<u64>) {
        (self.blocks.source().bytes_read(), self.blocks.source().bytes_total())
    }

    /// What the input was, and what was wrong with it.
    pub(super) fn finish(self) -> io::Result<(Origin, Ledger)> {
        drop(self.blocks);
        Ok((self.watch.finish()?, self.ledger))
    }
}
