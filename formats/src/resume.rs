//! A reader's memory at one place of a stream, so that another reader can go on from there.
//!
//! Between two blocks a [`crate::capture::CaptureReader`] remembers little: how far it has counted, its anomalies, and
//! the enter halves that wait for their exits. Who keeps a [`ReaderState`] with the file offset of a compressed frame
//! that begins at the same place can read from that frame on and is given the same items, with the same numbers, as if
//! it had read everything before.

use bincode::{Decode, Encode};

use crate::record::{self, Loss, RecordError};

/// Most bytes that a reader's memory takes: the bounds on waiting halves ([`crate::limits`]), and room.
pub const MAX_READER_STATE: usize = 96 << 20;

/// What a reader remembers between two blocks. Fields in the order in which they are stored.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ReaderState {
    /// Place in the uncompressed stream.
    pub offset: u64,
    /// Events delivered.
    pub events: u64,
    /// Time of the last event that has one, since the section began.
    pub last_ts: u64,
    /// Sections begun.
    pub sections: u64,
    /// A block that is no section header came.
    pub is_scap: bool,
    /// The ledger, counters that are not 0.
    pub losses: Vec<Loss>,
    /// Enter halves that wait, by thread.
    pub halves: Vec<WaitingHalf>,
    /// Threads that had one and have none now, ascending: their places count where places are bounded.
    pub idle: Vec<i64>,
}

/// An enter half that waits for its exit.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct WaitingHalf {
    /// Thread.
    pub tid: i64,
    /// Type as stored.
    pub raw: u16,
    /// Type after conversion.
    pub etype: u16,
    /// Its time.
    pub ts: u64,
    /// Its parameters; empty: not known.
    pub params: Vec<Vec<u8>>,
}

impl ReaderState {
    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        record::encode(self)
    }

    /// From bytes.
    ///
    /// # Errors
    ///
    /// When they are not what [`ReaderState::encode`] writes, or more than [`MAX_READER_STATE`].
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        record::decode_within::<Self, MAX_READER_STATE>(bytes)
    }
}
