//! One open descriptor.

use std::net::IpAddr;
use std::rc::Rc;

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
    /// Closed on exec. Of a record in a table only [`super::FdTable`] changes it, which remembers where there are such.
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
        Self::named(kind, Rc::clone(empty), Rc::clone(empty))
    }

    /// A record that knows its kind and its names.
    pub(crate) fn named(kind: FdKind, name: Text, name_raw: Text) -> Self {
        Self {
            version: 0,
            kind,
            name,
            name_raw,
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
