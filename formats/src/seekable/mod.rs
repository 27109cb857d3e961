//! `.scap.zst`, our capture file: a standard scap stream in seekable zstd, with an index, hashes and losses.
//!
//! Data frames are independent zstd frames, cut at block boundaries, whose concatenation is the scap stream; what
//! scap has no place for stands in skippable zstd frames, which every decompressor ignores ([`crate::record`]). The
//! layout is written down in `formats/FORMAT.md`.
//!
//! [`SeekableWriter`] takes a scap stream and writes such a file; [`SeekableFile`] opens one at any place and reads the
//! frames that a [`Selection`] needs; [`pieces`] takes a file apart, however damaged;
//! [`verify`] says what is wrong with it, [`rescue`] gets
//! out what is left, [`ends`] finds index and seal at once. Plain reading from start to end needs nothing of this:
//! [`crate::capture::CaptureReader`] reads the stream as it reads any other zstd file.

mod cut;
pub mod ends;
mod feed;
mod file;
pub mod filter;
#[cfg_attr(not(feature = "cli"), allow(dead_code))] // who watches an input are the tools
pub(crate) mod follow;
mod frames;
mod loose;
pub mod pieces;
mod press;
pub mod rescue;
mod select;
mod storage;
mod supply;
mod table;
pub mod verify;
mod write;
mod zstd_frame;

pub(crate) use feed::{Feed, Run};
pub use file::{LOST_EVENTS, SeekableFile};
pub use frames::Frame;
pub use loose::{FramePacker, LooseFrame};
pub use select::Selection;
pub use storage::Storage;
pub use write::{FRAME_BYTES, Options, SeekableWriter};

/// Bytes of a zstd frame before its first block, by the byte after its magic number.
#[cfg(feature = "cli")]
pub(crate) use zstd_frame::header_len as zstd_header_len;
