//! `.scap.zst`, our capture file: a standard scap stream in seekable zstd, with an index, hashes and losses.
//!
//! Data frames are independent zstd frames, cut at block boundaries, whose concatenation is the scap stream; what
//! scap has no place for stands in skippable zstd frames, which every decompressor ignores ([`crate::record`]). The
//! layout is written down in `formats/FORMAT.md`.
//!
//! [`SeekableWriter`] takes a scap stream and writes such a file; [`pieces`] takes a file apart, however damaged;
//! [`verify`] says what is wrong with it, [`rescue`] gets
//! out what is left, [`ends`] finds index and seal at once. Plain reading needs nothing of this: [`crate::capture::CaptureReader`] reads the
//! stream as it reads any other zstd file.

mod cut;
pub mod ends;
pub mod filter;
#[cfg_attr(not(feature = "cli"), allow(dead_code))] // who watches an input are the tools
pub(crate) mod follow;
pub mod pieces;
pub mod rescue;
mod table;
pub mod verify;
mod write;
mod zstd_frame;

pub use write::{FRAME_BYTES, Options, SeekableWriter};
