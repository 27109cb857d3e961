//! What applying an event found out about the event itself.

use super::table::{TableId, ThreadId};

/// Findings of one event, good until the next event is applied.
#[derive(Clone, Copy, Debug, Default)]
pub struct Effects {
    /// Descriptor number the event is about (`fd.num`): used, created or closed, also when no record of it exists.
    /// Of calls that make several it is the last.
    pub fd: Option<i64>,
    /// Table and number of the descriptor's record; read it through [`super::State::event_fd`]. For calls that make
    /// several it is the first, as libs has it.
    pub(crate) record: Option<(TableId, i64)>,
    /// Thread of the event; read it through [`super::State::event_thread`].
    pub(crate) thread: Option<ThreadId>,
    /// This event gave the descriptor another name (`fd.name_changed`): a tuple learned late, and also every
    /// descriptor that comes to life with a name.
    pub fd_name_changed: bool,
    /// The event describes a container; read it through [`super::State::event_container`].
    pub(crate) describes_container: bool,
    /// Error that the event itself reveals in place of its return value: `SO_ERROR` read by `getsockopt`
    /// (negative errno, 0 for none).
    pub error: Option<i64>,
}

impl Effects {
    /// The event describes a container, whatever thread it came from.
    pub fn is_about_container(&self) -> bool {
        self.describes_container
    }
}
