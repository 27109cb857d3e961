//! What kinds of descriptors, and transports of sockets, are called.

use casebook_formats::tables::ppme;

use crate::context::EventContext;
use crate::state::flags::{L4_ICMP, L4_NA, L4_RAW, L4_TCP, L4_UDP};
use crate::state::{Fd, FdKind};

/// `fd.type`.
pub(crate) fn type_name(kind: FdKind) -> &'static str {
    match kind {
        FdKind::File => "file",
        FdKind::Directory => "directory",
        FdKind::Ipv4 | FdKind::Ipv4Server => "ipv4",
        FdKind::Ipv6 | FdKind::Ipv6Server => "ipv6",
        FdKind::Unix => "unix",
        FdKind::Fifo => "pipe",
        FdKind::Event => "event",
        FdKind::Signalfd => "signalfd",
        FdKind::Eventpoll => "eventpoll",
        FdKind::Inotify => "inotify",
        FdKind::Timerfd => "timerfd",
        FdKind::Netlink => "netlink",
        FdKind::Bpf => "bpf",
        FdKind::Userfaultfd => "userfaultfd",
        FdKind::IoUring => "io_uring",
        FdKind::Memfd => "memfd",
        FdKind::Pidfd => "pidfd",
        FdKind::Unknown | FdKind::Unsupported => "<NA>",
    }
}

/// `fd.typechar`.
pub(crate) fn type_char(kind: FdKind) -> u8 {
    match kind {
        FdKind::File => b'f',
        FdKind::Directory => b'd',
        FdKind::Ipv4 | FdKind::Ipv4Server => b'4',
        FdKind::Ipv6 | FdKind::Ipv6Server => b'6',
        FdKind::Fifo => b'p',
        FdKind::Unix | FdKind::Userfaultfd => b'u',
        FdKind::Event => b'e',
        FdKind::Signalfd => b's',
        FdKind::Eventpoll => b'l',
        FdKind::Inotify => b'i',
        FdKind::Timerfd => b't',
        FdKind::Netlink => b'n',
        FdKind::Bpf => b'b',
        FdKind::IoUring => b'r',
        FdKind::Memfd => b'm',
        FdKind::Pidfd => b'P',
        FdKind::Unsupported => b'X',
        FdKind::Unknown => b'o',
    }
}

/// A character as a text that nobody has to make.
pub(super) fn one_char(char: u8) -> &'static [u8] {
    static ASCII: [u8; 128] = {
        let mut chars = [0; 128];
        let mut at = 0;
        while at < 128 {
            chars[at as usize] = at;
            at += 1;
        }
        chars
    };
    ASCII.get(usize::from(char)).map_or(&[], std::slice::from_ref)
}

/// `fd.typechar` of a call that left no record: what it would have made. libs answers `4` for any socket, and `o`
/// for `open` though not for `openat`; rules compare with both.
pub(super) fn type_char_of_call(context: &EventContext<'_>) -> &'static str {
    match context.event.etype {
        ppme::PPME_SYSCALL_OPENAT_2_X | ppme::PPME_SYSCALL_OPENAT2_X | ppme::PPME_SYSCALL_CREAT_X => "f",
        ppme::PPME_SOCKET_SOCKET_X | ppme::PPME_SOCKET_ACCEPT_5_X | ppme::PPME_SOCKET_ACCEPT4_6_X => "4",
        ppme::PPME_SYSCALL_PIPE_X | ppme::PPME_SYSCALL_PIPE2_X => "p",
        ppme::PPME_SYSCALL_EVENTFD_X | ppme::PPME_SYSCALL_EVENTFD2_X => "e",
        ppme::PPME_SYSCALL_SIGNALFD_X | ppme::PPME_SYSCALL_SIGNALFD4_X => "s",
        ppme::PPME_SYSCALL_TIMERFD_CREATE_X => "t",
        ppme::PPME_SYSCALL_INOTIFY_INIT_X | ppme::PPME_SYSCALL_INOTIFY_INIT1_X => "i",
        _ => "o",
    }
}

pub(super) fn is_connection(kind: FdKind) -> bool {
    matches!(kind, FdKind::Ipv4 | FdKind::Ipv6)
}

pub(super) fn is_internet(kind: FdKind) -> bool {
    is_connection(kind) || matches!(kind, FdKind::Ipv4Server | FdKind::Ipv6Server)
}

/// Transport as libs tells it: of connections only when the role is known or the socket is raw.
fn protocol(fd: &Fd) -> u8 {
    match fd.kind {
        FdKind::Ipv4 | FdKind::Ipv6 if fd.l4 != L4_RAW && fd.has_no_role() => L4_NA,
        kind if is_internet(kind) => fd.l4,
        _ => L4_NA,
    }
}

/// `fd.l4proto`.
pub(crate) fn protocol_name(fd: &Fd) -> &'static str {
    match protocol(fd) {
        L4_TCP => "tcp",
        L4_UDP => "udp",
        L4_ICMP => "icmp",
        L4_RAW => "raw",
        _ => "<NA>",
    }
}

/// Letter of the transport that follows the type of a socket in parameters (`<4t>`).
pub(in crate::fields) fn protocol_char(fd: &Fd) -> Option<u8> {
    match protocol(fd) {
        L4_TCP => Some(b't'),
        L4_UDP => Some(b'u'),
        L4_ICMP => Some(b'i'),
        L4_RAW => Some(b'r'),
        _ => None,
    }
}

pub(super) fn family(fd: &Fd) -> Option<&'static str> {
    match fd.kind {
        FdKind::Unix => Some("unix"),
        kind if is_internet(kind) => Some("ip"),
        _ => None,
    }
}
