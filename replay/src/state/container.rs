//! Containers: the id from cgroup paths, the rest from container events.

use super::Text;

/// What is known of a container beyond its id.
#[derive(Clone, Debug)]
pub struct Container {
    /// Changes whenever anything below changes.
    pub version: u64,
    /// `container.id`: first 12 characters.
    pub id: Text,
}
