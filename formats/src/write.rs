//! Writing captures: standard blocks of today, nothing private.
//!
//! For fixtures, conversions and the recorder. The writer keeps to what all readers since 2018 open: a 1.2 section
//! header without options, process list 9, descriptor list 2, counted event blocks, u32 lengths exactly for the
//! types that have them. What the format cannot hold is an error, never a cut value. It keeps no state: the caller
//! writes the section header first, then snapshots, then events.

use std::io::{self, Write};

pub use crate::blocks::TooLong;
use crate::blocks::{self, event, fds, interfaces, machine, round4, section, threads, users};
use crate::event::EventType;
use crate::limits::{MAX_BLOCK, MAX_EVENT_BLOCK};
use crate::snapshot::{FdList, Interface, MachineInfo, ThreadEntry, UserEntry};
use crate::tables;

/// Why something cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A text or value is longer than its place.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// A whole block is larger than readers accept.
    #[error("{what} of {len} bytes, readers accept blocks of {limit}")]
    BlockTooLarge {
        /// What the block holds.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
        /// Largest length readers accept.
        limit: usize,
    },
    /// The descriptor's content does not fit its type code.
    #[error("descriptor {fd}: its content does not fit type {fd_type}")]
    FdMismatch {
        /// Descriptor number.
        fd: i64,
        /// Its `scap_fd_type` code.
        fd_type: u8,
    },
    /// The event table has no such type.
    #[error("event type {0} is not in the table")]
    UnknownType(u16),
    /// More parameters than the event table has.
    #[error("{symbol} has {limit} parameters at most, {given} given")]
    TooManyParams {
        /// `PPME_*`.
        symbol: &'static str,
        /// Parameters given.
        given: usize,
        /// Parameters in the table.
        limit: usize,
    },
}

impl From<fds::EncodeError> for WriteError {
    fn from(error: fds::EncodeError) -> Self {
        match error {
            fds::EncodeError::TooLong(error) => Self::TooLong(error),
            fds::EncodeError::Mismatch { fd, fd_type } => Self::FdMismatch { fd, fd_type },
        }
    }
}

/// Bytes of a block before its body: type and length.
const START: usize = 8;

/// Writes one capture to a byte sink.
pub struct CaptureWriter<W: Write> {
    out: W,
    /// Block under construction, reused.
    block: Vec<u8>,
}

impl<W: Write> CaptureWriter<W> {
    /// A writer onto `out`; nothing is written yet. Give a buffered sink: every block is one write.
    pub fn new(out: W) -> Self {
        Self { out, block: Vec::new() }
    }

    /// Section header. Has to come first; later ones start further sections.
    pub fn section(&mut self) -> Result<(), WriteError> {
        self.start();
        section::encode(&mut self.block);
        self.finish(blocks::SHB, "section header")
    }

    /// Machine info; the host name has 127 bytes at most.
    pub fn machine(&mut self, info: &MachineInfo) -> Result<(), WriteError> {
        self.start();
        machine::encode(&mut self.block, info)?;
        self.finish(blocks::MI, "machine info")
    }

    /// Network interfaces.
    pub fn interfaces(&mut self, interfaces: &[Interface]) -> Result<(), WriteError> {
        self.start();
        interfaces::encode(&mut self.block, interfaces)?;
        self.finish(blocks::IL_V2, "interface list")
    }

    /// Users and groups; texts of 255 bytes at most.
    pub fn users(&mut self, users: &[UserEntry]) -> Result<(), WriteError> {
        self.start();
        users::encode(&mut self.block, users)?;
        self.finish(blocks::UL_V2, "user list")
    }

    /// All threads, in one block; paths of 1024 bytes, `args`, `env` and `cgroups` of 4096 bytes at most.
    pub fn threads(&mut self, threads: &[ThreadEntry]) -> Result<(), WriteError> {
        self.start();
        threads::encode(&mut self.block, threads)?;
        self.finish(blocks::PL_V9, "process list")
    }

    /// Descriptors of one thread; names of 1023 bytes at most.
    pub fn fds(&mut self, list: &FdList) -> Result<(), WriteError> {
        self.start();
        fds::encode(&mut self.block, list)?;
        self.finish(blocks::FDL_V2, "descriptor list")
    }

    /// One event: time in ns since the epoch, thread (-1 for none), cpu, and its parameters as encoded values in
    /// table order. Fewer parameters than the table has make an event of an older form.
    pub fn event(&mut self, ts: u64, tid: i64, cpu: u16, etype: EventType, params: &[&[u8]]) -> Result<(), WriteError> {
        self.flagged_event(ts, tid, cpu, etype, params, false)
    }

    /// One event that only feeds the state of a replay and is not shown; otherwise as [`CaptureWriter::event`].
    pub fn hidden_event(&mut self, ts: u64, cpu: u16, etype: EventType, params: &[&[u8]]) -> Result<(), WriteError> {
        self.flagged_event(ts, -1, cpu, etype, params, true)
    }

    fn flagged_event(
        &mut self,
        ts: u64,
        tid: i64,
        cpu: u16,
        etype: EventType,
        params: &[&[u8]],
        state_only: bool,
    ) -> Result<(), WriteError> {
        let def = tables::event(etype).ok_or(WriteError::UnknownType(etype.0))?;
        if params.len() > def.params.len() {
            let (given, limit) = (params.len(), def.params.len());
            return Err(WriteError::TooManyParams { symbol: def.symbol, given, limit });
        }
        let wide = event::width(etype.0) == 4;
        let limit = if wide { MAX_BLOCK } else { u16::MAX as usize };
        if let Some((value, param)) = params.iter().zip(def.params).find(|(value, _)| value.len() > limit) {
            return Err(TooLong { what: param.name, len: value.len(), limit }.into());
        }
        self.start();
        event::encode(&mut self.block, ts, tid, cpu, etype, params);
        if state_only {
            // The flags stand between the processor and the event.
            let flags = self.block.len().min(START + 2);
            self.block.splice(flags..flags, [1, 0, 0, 0]);
        }
        let large = wide || round4(self.block.len()) + 4 > MAX_EVENT_BLOCK;
        let number = match (state_only, large) {
            (false, false) => blocks::EV_V2,
            (false, true) => blocks::EV_V2_LARGE,
            (true, false) => blocks::EVF_V2,
            (true, true) => blocks::EVF_V2_LARGE,
        };
        self.finish(number, def.name)
    }

    /// The sink: a recorder that collects blocks in memory asks it where one begins.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// Flushes and gives the sink back.
    pub fn into_inner(mut self) -> Result<W, WriteError> {
        self.out.flush()?;
        Ok(self.out)
    }

    /// Room for block type and length; the body follows.
    fn start(&mut self) {
        self.block.clear();
        self.block.resize(START, 0);
    }

    fn finish(&mut self, number: u32, what: &'static str) -> Result<(), WriteError> {
        let len = round4(self.block.len()) + 4;
        if len > MAX_BLOCK {
            return Err(WriteError::BlockTooLarge { what, len, limit: MAX_BLOCK });
        }
        self.block.resize(len - 4, 0);
        self.block.extend_from_slice(&(len as u32).to_le_bytes());
        self.block[..4].copy_from_slice(&number.to_le_bytes());
        self.block[4..8].copy_from_slice(&(len as u32).to_le_bytes());
        Ok(self.out.write_all(&self.block)?)
    }
}
