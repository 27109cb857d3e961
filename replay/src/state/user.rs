//! Users and groups: of the host, and of each container.

use std::rc::Rc;

use casebook_formats::ledger::{Counter, Ledger};

use super::keep::keep;
use super::limits::{MAX_USER_LISTS, MAX_USERS};
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

keep!(User { uid, gid, name, home, shell });

/// A group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Group id.
    pub gid: u32,
    /// Name.
    pub name: Text,
}

keep!(Group { gid, name });

/// One list: of the host, or of a container.
#[derive(Clone, Default)]
struct Names {
    users: Map<u32, User>,
    groups: Map<u32, Group>,
}

keep!(Names { users, groups });

impl Names {
    /// By number.
    fn sorted(&self) -> (Vec<&User>, Vec<&Group>) {
        let mut users: Vec<&User> = self.users.values().collect();
        let mut groups: Vec<&Group> = self.groups.values().collect();
        users.sort_unstable_by_key(|user| user.uid);
        groups.sort_unstable_by_key(|group| group.gid);
        (users, groups)
    }
}

/// Users and groups by container id (`""` is the host) and number.
#[derive(Clone, Default)]
pub(crate) struct Users {
    host: Names,
    containers: Map<Text, Names>,
}

keep!(Users { host, containers });

impl Users {
    /// The host's list does not stand in for a container's: the same number is another user there.
    pub(crate) fn user(&self, container_id: &[u8], uid: u32) -> Option<&User> {
        self.of(container_id)?.users.get(&uid)
    }

    /// As [`Users::user`].
    pub(crate) fn group(&self, container_id: &[u8], gid: u32) -> Option<&Group> {
        self.of(container_id)?.groups.get(&gid)
    }

    /// Users and groups of the host, by number.
    pub(crate) fn host(&self) -> (Vec<&User>, Vec<&Group>) {
        self.host.sorted()
    }

    /// The host's list, then those of containers by id.
    pub(crate) fn lists(&self) -> Vec<(&[u8], Vec<&User>, Vec<&Group>)> {
        let mut containers: Vec<(&Text, &Names)> = self.containers.iter().collect();
        containers.sort_unstable_by(|a, b| a.0.cmp(b.0));
        let containers = containers.into_iter().map(|(id, names)| (&id[..], names));
        std::iter::once((&[][..], &self.host))
            .chain(containers)
            .map(|(id, names)| {
                let (users, groups) = names.sorted();
                (id, users, groups)
            })
            .collect()
    }

    fn of(&self, container_id: &[u8]) -> Option<&Names> {
        if container_id.is_empty() { Some(&self.host) } else { self.containers.get(container_id) }
    }

    fn names(&mut self, container_id: &[u8], ledger: &mut Ledger) -> Option<&mut Names> {
        if container_id.is_empty() {
            return Some(&mut self.host);
        }
        if !self.containers.contains_key(container_id) {
            if self.containers.len() >= MAX_USER_LISTS {
                ledger.count(Counter::StateLimit);
                return None;
            }
            self.containers.insert(Rc::from(container_id), Names::default());
        }
        self.containers.get_mut(container_id)
    }

    pub(crate) fn add_user(&mut self, container_id: &[u8], user: User, ledger: &mut Ledger) {
        let Some(names) = self.names(container_id, ledger) else { return };
        if names.users.len() >= MAX_USERS && !names.users.contains_key(&user.uid) {
            ledger.count(Counter::StateLimit);
            return;
        }
        names.users.insert(user.uid, user);
    }

    pub(crate) fn add_group(&mut self, container_id: &[u8], group: Group, ledger: &mut Ledger) {
        let Some(names) = self.names(container_id, ledger) else { return };
        if names.groups.len() >= MAX_USERS && !names.groups.contains_key(&group.gid) {
            ledger.count(Counter::StateLimit);
            return;
        }
        names.groups.insert(group.gid, group);
    }

    pub(crate) fn remove_user(&mut self, container_id: &[u8], uid: u32, ledger: &mut Ledger) {
        if let Some(names) = self.names(container_id, ledger) {
            names.users.remove(&uid);
        }
    }

    pub(crate) fn remove_group(&mut self, container_id: &[u8], gid: u32, ledger: &mut Ledger) {
        if let Some(names) = self.names(container_id, ledger) {
            names.groups.remove(&gid);
        }
    }
}
