//! One open descriptor, and the table of a process.

use std::net::IpAddr;

use super::Text;

/// What a descriptor refers to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // the names are those of `fd.type`
pub enum FdKind {
    Unknown, File, Directory, Ipv4, Ipv6, Ipv4Server, Ipv6Server, Fifo, Unix, Event, Unsupported, Signalfd,
    Eventpoll, Inotify, Timerfd, Netlink, Bpf, Userfaultfd, IoUring, Memfd, Pidfd,
}

/// Ends of an internet socket. Client is the connecting end, server the accepting one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tuple {
    /// Client address; unspecified on listening sockets.
    pub client: (IpAddr, u16),
    /// Server address.
    pub server: (IpAddr, u16),
}

/// An open descriptor.
#[derive(Clone, Debug)]
pub struct Fd {
    /// Changes whenever anything below changes.
    pub version: u64,
    /// What it refers to.
    pub kind: FdKind,
    /// `fd.name`: absolute path, tuple text, label.
    pub name: Text,
    /// `fd.nameraw`: as passed to the call.
    pub name_raw: Text,
    /// Tuple of internet sockets.
    pub tuple: Option<Tuple>,
    /// IP protocol number of sockets as `fd.l4proto` means it: 0 unknown, 1 not a socket, 2 tcp, 3 udp, 4 icmp, 5 raw.
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
    /// `connect` succeeded (or the peer was accepted).
    pub connected: bool,
    /// `connect` is in progress.
    pub connect_pending: bool,
    /// Source and destination kernel addresses of unix sockets.
    pub unix_ends: (u64, u64),
}

/// Descriptors of one process (shared by its threads, and by CLONE_FILES relatives).
#[derive(Clone, Debug, Default)]
pub struct FdTable {}
