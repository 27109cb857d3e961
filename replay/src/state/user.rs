//! Users and groups: of the host, and of each container.

use super::{Map, Text};

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Name.
    pub name: Text,
    /// Home directory.
    pub home: Text,
    /// Login shell.
    pub shell: Text,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Group id.
    pub gid: u32,
    /// Name.
    pub name: Text,
}

/// Users and groups by container id (`""` is the host) and number.
#[derive(Default)]
pub(crate) struct Users {
    users: Map<Text, Map<u32, User>>,
    groups: Map<Text, Map<u32, Group>>,
}

impl Users {
    pub(crate) fn user(&self, container_id: &[u8], uid: u32) -> Option<&User> {
        self.users.get(container_id)?.get(&uid)
    }

    pub(crate) fn group(&self, container_id: &[u8], gid: u32) -> Option<&Group> {
        self.groups.get(container_id)?.get(&gid)
    }
}
