//! What the kernel knew: threads, descriptors, users, interfaces, containers, rebuilt event by event.
//!
//! Seeded by the snapshots of a section, kept by [`State::apply`]. Tables are indexed by number; texts are shared;
//! every thread, descriptor and container carries a version that changes with it, so that whoever caches a fact
//! about it (compiled predicates, command lines) knows when to look again.

pub mod container;
pub mod fd;
pub mod thread;
pub mod user;

use std::sync::Arc;

pub use container::Container;
pub use fd::{Fd, FdKind, FdTable};
pub use thread::Thread;
pub use user::{Group, User};

/// Shared byte string: names and paths of a capture are bytes, not UTF-8.
pub type Text = Arc<[u8]>;

/// System state at one moment of a capture.
#[derive(Default)]
pub struct State {}
