//! Users and groups: of the host, and of each container.

use super::Text;

/// A user.
#[derive(Clone, Debug)]
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
#[derive(Clone, Debug)]
pub struct Group {
    /// Group id.
    pub gid: u32,
    /// Name.
    pub name: Text,
}
