//! Captures as bytes and as events: reading scap in all its versions, the normal form, the ledger.
//!
//! First stage of every tool: bytes (file, pipe; plain, gzip, zstd) → blocks → raw events and snapshots →
//! normal-form events. It knows the tables of the format and no process: what an event *means* for the system is
//! the business of `casebook-replay`.

mod ahead;
mod blocks;
pub mod capture;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
pub mod command_line;
mod container;
mod convert;
pub mod custody;
mod even;
pub mod event;
mod halves;
pub mod ledger;
pub mod limits;
mod look;
#[cfg(feature = "cli")]
pub mod origin;
#[cfg(feature = "cli")]
pub mod progress;
pub mod record;
pub mod resume;
#[cfg(feature = "cli")]
pub mod rewrite;
pub mod seekable;
#[cfg(feature = "cli")]
pub mod signature;
pub mod snapshot;
mod source;
pub mod stored;
#[cfg(feature = "cli")]
mod sysdig;
pub mod tables;
#[cfg(feature = "cli")]
pub mod terminal;
pub mod unpack;
pub mod write;
