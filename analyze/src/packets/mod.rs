//! Packets beside system calls: which process and container owned what went over the wire.
//!
//! ```text
//! pcap, pcapng → [`read`] → packets (tuple, time, length) ─┐
//! captures → frame `network` (tuples by process, times) ───┴→ [`owners`] → frame `packets`
//! ```
//!
//! A flow belongs to the process whose connection has the same two ends at the same time, give or take
//! [`TOLERANCE`]. What goes through address translation between process and packet file has other ends and stays
//! without an owner, and so does what the capture did not see; nothing is guessed.

pub mod cli;
mod link;
mod owners;
mod read;

pub use link::{Ends, Packet};
pub use owners::{TOLERANCE, frame};
pub use read::{MAX_PACKETS, Packets, ReadError, read};
