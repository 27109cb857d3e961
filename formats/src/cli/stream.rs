//! A capture block by block, as it is stored: what `cat` and `split` take in.
//!
//! Damage is passed over and counted as every reader of ours does it; sound blocks come out byte for byte, in today's
//! framing. Blocks read while somebody looked for the first event are handed out again, so that pipes work like files.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::path::Path;

use super::exit::Exit;
use super::say;
use crate::blocks::event::{self, Fault};
use crate::blocks::frame::Blocks;
use crate::blocks::{self, Kind, machine, write_block};
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
    held: VecDeque<Piece<'static>>,
}

/// One block, in the window of the stream or on its own.
pub(super) struct Piece<'s> {
    pub kind: Kind,
    /// Number, length, body, length.
    stored: Cow<'s, [u8]>,
    /// Time of an event that has one.
    pub ts: Option<u64>,
}

/// Bytes before and after the body of a block.
const HEAD: usize = 8;
const TAIL: usize = 4;

impl Piece<'_> {
    pub(super) const fn is_event(&self) -> bool {
        matches!(self.kind, Kind::Event(_))
    }

    fn body(&self) -> &[u8] {
        self.stored.get(HEAD..self.stored.len().saturating_sub(TAIL)).unwrap_or_default()
    }

    /// Bytes that it takes in a stream.
    pub(super) fn len(&self) -> u64 {
        blocks::round4(self.body().len()) as u64 + (HEAD + TAIL) as u64
    }

    /// Writes it in the framing of today, which is what nearly every block is stored in.
    pub(super) fn write(&self, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
        let word =
            |at: usize| self.stored.get(at..).and_then(|rest| rest.first_chunk()).map(|word| u32::from_le_bytes(*word));
        let lengths = [word(4), word(self.stored.len().saturating_sub(TAIL))];
        if self.stored.len().is_multiple_of(4) && lengths == [Some(self.stored.len() as u32); 2] {
            return out.write_all(&self.stored);
        }
        write_block(out, word(0).unwrap_or_default(), self.body())
    }

    /// The same block, for as long as somebody wants it.
    pub(super) fn kept(self) -> Piece<'static> {
        Piece { kind: self.kind, stored: Cow::Owned(self.stored.into_owned()), ts: self.ts }
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
        let name = named(path);
        match Source::open(path) {
            Ok(source) => Self::new(name, source, err),
            Err(error) => Err(refuse(&name, &error, err)),
        }
    }

    /// Same, for somebody who wants to know in the end what the input was: that costs a hash of all its bytes.
    pub(super) fn open_watched(path: &Path, err: &mut dyn Write) -> Result<(Self, Watch), Exit> {
        let name = named(path);
        match Source::open_watched(path) {
            Ok((source, watch)) => Ok((Self::new(name, source, err)?, watch)),
            Err(error) => Err(refuse(&name, &error, err)),
        }
    }

    fn new(name: String, source: Source, err: &mut dyn Write) -> Result<Self, Exit> {
        let (mut blocks, mut ledger) = (Blocks::new(source), Ledger::default());
        match blocks.peek(look::ENOUGH, &mut ledger) {
            Ok(head) if head.starts_with(&blocks::SHB.to_le_bytes()) => {}
            Ok(head) => {
                let found = look::describe(head);
                let advice = "`casebook salvage` looks for what is left of one";
                return Err(refuse(&name, &format!("no scap capture: it begins with {found}; {advice}"), err));
            }
            Err(error) => return Err(refuse(&name, &error, err)),
        }
        Ok(Self { name, ledger, blocks, held: VecDeque::new() })
    }

    /// The next sound block.
    pub(super) fn next(&mut self) -> io::Result<Option<Piece<'_>>> {
        match self.held.pop_front() {
            Some(piece) => Ok(Some(piece)),
            None => self.read(),
        }
    }

    fn read(&mut self) -> io::Result<Option<Piece<'_>>> {
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
            let stored = self.blocks.bytes(block.body.start.saturating_sub(HEAD)..block.body.end + TAIL);
            return Ok(Some(Piece { kind: block.kind, stored: Cow::Borrowed(stored), ts }));
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
                beginning.machine = machine::decode(piece.body());
            }
            beginning.first = piece.ts;
            pieces.push_back(piece.kept());
        }
        pieces.append(&mut self.held);
        self.held = pieces;
        Ok(beginning)
    }

    /// Bytes of the input read so far, and all of them where that is known.
    pub(super) fn bytes(&self) -> (u64, Option<u64>) {
        (self.blocks.source().bytes_read(), self.blocks.source().bytes_total())
    }
}

/// What to call an input.
fn named(path: &Path) -> String {
    if path.as_os_str() == "-" { "standard input".to_owned() } else { path.display().to_string() }
}

fn refuse(name: &str, why: &dyn std::fmt::Display, err: &mut dyn Write) -> Exit {
    say(err, &format!("{name}: {why}"));
    Exit::Unreadable
}
