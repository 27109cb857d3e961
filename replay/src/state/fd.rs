//! One open descriptor, and the table of a process.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::Text;
use super::keep::{keep, keep_choice};

/// What a descriptor refers to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)] // the names are those of `fd.type`
pub enum FdKind {
    Unknown,
    File,
    Directory,
    Ipv4,
    Ipv6,
    Ipv4Server,
    Ipv6Server,
    Fifo,
    Unix,
    Event,
    Unsupported,
    Signalfd,
    Eventpoll,
    Inotify,
    Timerfd,
    Netlink,
    Bpf,
    Userfaultfd,
    IoUring,
    Memfd,
    Pidfd,
}

keep_choice!(FdKind {
    Unknown,
    File,
    Directory,
    Ipv4,
    Ipv6,
    Ipv4Server,
    Ipv6Server,
    Fifo,
    Unix,
    Event,
    Unsupported,
    Signalfd,
    Eventpoll,
    Inotify,
    Timerfd,
    Netlink,
    Bpf,
    Userfaultfd,
    IoUring,
    Memfd,
    Pidfd,
});

impl FdKind {
    /// Certainly not a socket.
    pub(crate) fn is_no_socket(self) -> bool {
        !matches!(
            self,
            Self::Ipv4
                | Self::Ipv6
                | Self::Ipv4Server
                | Self::Ipv6Server
                | Self::Unix
                | Self::Netlink
                | Self::Unknown
                | Self::Unsupported
        )
    }
}

/// Ends of an internet socket. Client is the connecting end, server the accepting one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tuple {
    /// Client address; unspecified on listening sockets.
    pub client: (IpAddr, u16),
    /// Server address.
    pub server: (IpAddr, u16),
}

keep!(Tuple { client, server });

/// An open descriptor.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // facts of the kernel, independent of each other
pub struct Fd {
    /// Changes whenever anything below changes. Copies made by a fork or a dup keep it, as they are equal.
    pub version: u64,
    /// What it refers to.
    pub kind: FdKind,
    /// `fd.name`: absolute path, tuple text, label.
    pub name: Text,
    /// `fd.nameraw`: as passed to the call.
    pub name_raw: Text,
    /// Tuple of internet sockets, as far as an address was learned.
    pub tuple: Option<Tuple>,
    /// Transport of internet sockets: 0 unknown, 1 not a socket, 2 tcp, 3 udp, 4 icmp, 5 raw. libs shows it only
    /// when the role is known or it is raw (`fd.l4proto`).
    pub l4: u8,
    /// Role: this process is the server end.
    pub is_server: bool,
    /// Role: this process is the client end.
    pub is_client: bool,
    /// Portable open flags (`file_flags`).
    pub open_flags: u32,
    /// Device.
    pub dev: u32,
    /// Inode.
    pub ino: u64,
    /// On the upper layer of an overlay.
    pub upper_layer: bool,
    /// On the lower layer of an overlay.
    pub lower_layer: bool,
    /// Closed on exec.
    pub cloexec: bool,
    /// `fd.connected`: `connect` succeeded (or is in progress, or the peer was accepted, or data went through).
    pub connected: bool,
    /// The last `connect` is in progress: neither established nor refused yet.
    pub connect_pending: bool,
    /// Source and destination kernel addresses of unix sockets.
    pub unix_ends: (u64, u64),
    /// Process that a pidfd refers to; 0 for others.
    pub pid: i64,
    /// Unknown if anything is missing from the capture: what a shell did beside it is half of a redirection
    /// (`handlers/streams.rs`).
    pub(crate) doubtful: bool,
    /// Step of the state at which an event opened it; 0 for what was open before the capture.
    pub(crate) opened: u64,
}

keep!(Fd {
    version,
    kind,
    name,
    name_raw,
    tuple,
    l4,
    is_server,
    is_client,
    open_flags,
    dev,
    ino,
    upper_layer,
    lower_layer,
    cloexec,
    connected,
    connect_pending,
    unix_ends,
    pid,
    doubtful,
    opened,
});

impl Fd {
    /// A record that knows its kind only.
    pub fn new(kind: FdKind, empty: &Text) -> Self {
        Self {
            version: 0,
            kind,
            name: Arc::clone(empty),
            name_raw: Arc::clone(empty),
            tuple: None,
            l4: 0,
            is_server: false,
            is_client: false,
            open_flags: 0,
            dev: 0,
            ino: 0,
            upper_layer: false,
            lower_layer: false,
            cloexec: false,
            connected: false,
            connect_pending: false,
            unix_ends: (0, 0),
            pid: 0,
            doubtful: false,
            opened: 0,
        }
    }

    /// Neither client nor server.
    pub fn has_no_role(&self) -> bool {
        !self.is_server && !self.is_client
    }
}

/// Numbers below this live in a plain vector.
const DENSE: i64 = 256;

/// Descriptors of one process (shared by its threads, and by `CLONE_FILES` relatives). Records are shared between
/// copies of the table until one of them changes.
#[derive(Clone, Debug, Default)]
pub struct FdTable {
    dense: Vec<Option<Arc<Fd>>>,
    sparse: BTreeMap<i64, Arc<Fd>>,
    len: usize,
    /// All numbers of the vector below this one have a record; how far that goes is found out when somebody asks.
    full_below: i64,
    /// How many of the numbers above the vector were looked at for free ones, and those that are free among them.
    looked_at: i64,
    free: BTreeSet<i64>,
}

impl FdTable {
    /// Record of a number.
    #[inline]
    pub fn get(&self, number: i64) -> Option<&Fd> {
        if (0..DENSE).contains(&number) {
            self.dense.get(number as usize)?.as_deref()
        } else {
            self.sparse.get(&number).map(AsRef::as_ref)
        }
    }

    /// Open descriptors (`proc.fdopencount`).
    pub fn len(&self) -> usize {
        self.len
    }

    /// No descriptor is open.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All descriptors by number.
    pub fn iter(&self) -> impl Iterator<Item = (i64, &Fd)> {
        let dense = self.dense.iter().enumerate().filter_map(|(n, fd)| Some((n as i64, fd.as_deref()?)));
        let negative = self.sparse.range(..0).map(|(n, fd)| (*n, fd.as_ref()));
        let large = self.sparse.range(0..).map(|(n, fd)| (*n, fd.as_ref()));
        negative.chain(dense).chain(large)
    }

    /// All records by number, as they are shared.
    pub(crate) fn shares(&self) -> impl Iterator<Item = (i64, &Arc<Fd>)> {
        let Self { dense, sparse, len: _, full_below: _, looked_at: _, free: _ } = self;
        let dense = dense.iter().enumerate().filter_map(|(n, fd)| Some((n as i64, fd.as_ref()?)));
        dense.chain(sparse.iter().map(|(number, fd)| (*number, fd)))
    }

    /// Shared handle of a record, for a dup or for passing it on.
    pub(crate) fn share(&self, number: i64) -> Option<Arc<Fd>> {
        if (0..DENSE).contains(&number) {
            self.dense.get(number as usize)?.clone()
        } else {
            self.sparse.get(&number).cloned()
        }
    }

    /// Record of a number for changing it; copied first when other tables share it.
    pub(crate) fn get_mut(&mut self, number: i64) -> Option<&mut Fd> {
        let slot = if (0..DENSE).contains(&number) {
            self.dense.get_mut(number as usize)?.as_mut()?
        } else {
            self.sparse.get_mut(&number)?
        };
        Some(Arc::make_mut(slot))
    }

    /// Puts a record under a number; whatever was there is gone.
    pub(crate) fn insert(&mut self, number: i64, fd: Arc<Fd>) {
        let before = if (0..DENSE).contains(&number) {
            let index = number as usize;
            if self.dense.len() <= index {
                self.dense.resize(index + 1, None);
            }
            self.dense[index].replace(fd)
        } else {
            if self.was_looked_at(number) {
                self.free.remove(&number);
            }
            self.sparse.insert(number, fd)
        };
        if before.is_none() {
            self.len += 1;
        }
    }

    /// Takes a record out.
    pub(crate) fn remove(&mut self, number: i64) -> Option<Arc<Fd>> {
        let before = if (0..DENSE).contains(&number) {
            self.dense.get_mut(number as usize)?.take()
        } else {
            self.sparse.remove(&number)
        };
        if before.is_some() {
            self.len -= 1;
            self.full_below = self.full_below.min(number.max(0));
            if self.was_looked_at(number) {
                self.free.insert(number);
            }
        }
        before
    }

    fn was_looked_at(&self, number: i64) -> bool {
        (DENSE..DENSE + self.looked_at).contains(&number)
    }

    /// The lowest numbers below `end` without a record, `at_most` so many. What was found is remembered, so that asking
    /// often costs no more than once, whatever was opened and closed in between.
    pub(crate) fn lowest_free(&mut self, end: i64, at_most: usize) -> Vec<i64> {
        while self.full_below < DENSE.min(end) && self.get(self.full_below).is_some() {
            self.full_below += 1;
        }
        let dense = self.full_below..DENSE.min(end);
        let mut found: Vec<i64> = dense.filter(|&number| self.get(number).is_none()).take(at_most).collect();
        if end > DENSE {
            let before = found.len();
            found.extend(self.free.range(..end).take(at_most - before));
            while found.len() < at_most && DENSE + self.looked_at < end {
                let number = DENSE + self.looked_at;
                if !self.sparse.contains_key(&number) {
                    self.free.insert(number);
                    found.push(number);
                }
                self.looked_at += 1;
            }
        }
        found
    }

    /// Numbers from `first` (or 0) to `last`, both included, for which `test` holds, ascending. Nothing else is looked at.
    pub(crate) fn numbers_within(&self, first: i64, last: i64, test: impl Fn(&Fd) -> bool) -> Vec<i64> {
        let first = first.max(0);
        if first > last {
            return Vec::new();
        }
        let end = last.saturating_add(1).min(self.dense.len() as i64);
        let dense = (first..end).filter_map(|number| Some((number, self.get(number)?)));
        let sparse = self.sparse.range(first..=last).map(|(number, fd)| (*number, fd.as_ref()));
        dense.chain(sparse).filter(|(_, fd)| test(fd)).map(|(number, _)| number).collect()
    }

    /// Numbers for which `test` holds, ascending.
    pub(crate) fn numbers_where(&self, test: impl Fn(i64, &Fd) -> bool) -> Vec<i64> {
        self.iter().filter(|(number, fd)| test(*number, fd)).map(|(number, _)| number).collect()
    }
}
