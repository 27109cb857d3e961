//! One descriptor of a process's table, from the iterator's record.

use std::net::{Ipv4Addr, Ipv6Addr};

use casebook_formats::snapshot::{FdEntry, FdInfo};

use crate::calls::device;
use crate::encode::memfd;
use crate::flags;
use crate::record::{FileItem, Item, Record, SockItem};

// Types of the format (`formats/src/blocks/fds.rs` has them all).
const DIRECTORY: u8 = 2;
const V4: u8 = 3;
const V6: u8 = 4;
const V4_SERVER: u8 = 5;
const V6_SERVER: u8 = 6;
const FIFO: u8 = 7;
const UNIX: u8 = 8;
const UNSUPPORTED: u8 = 10;
const NETLINK: u8 = 15;
const FILE: u8 = 16;
const MEMFD: u8 = 20;

const S_IFMT: u16 = 0o170_000;
const S_IFDIR: u16 = 0o040_000;
const S_IFIFO: u16 = 0o010_000;

const PIPEFS_MAGIC: u32 = 0x5049_5045;
const ANON_INODE_MAGIC: u32 = 0x0904_1934;

/// Names of things without a file, and their types.
const ANONYMOUS: [(&[u8], u8); 9] = [
    (b"[eventfd]", 9),
    (b"[signalfd]", 11),
    (b"[eventpoll]", 12),
    (b"inotify", 13),
    (b"[timerfd]", 14),
    (b"bpf-", 17),
    (b"[userfaultfd]", 18),
    (b"[io_uring]", 19),
    (b"[pidfd]", 21),
];

/// The entry; `None` where the record tells nothing about the file.
pub(super) fn entry(record: &Record<'_>) -> Option<FdEntry> {
    let file = record.file()?;
    let fd = record.head.args[0] as i64;
    let sock = record.item(Item::Sock).and_then(|item| SockItem::parse(item.bytes));
    let (fd_type, info) = match sock {
        Some(sock) => socket(record, &sock),
        None => named(record, &file),
    };
    Some(FdEntry { fd, ino: file.ino, fd_type, info })
}

fn named(record: &Record<'_>, file: &FileItem) -> (u8, FdInfo) {
    let components = record.item(Item::Path).map(|path| path.bytes).unwrap_or_default();
    let path = record.path(Item::Path).unwrap_or_default();
    let plain = |name: Vec<u8>| FdInfo::Named { name, open_flags: 0, dev: 0 };
    let kind = file.mode & S_IFMT;
    if file.magic == ANON_INODE_MAGIC {
        let name = components.split(|&byte| byte == 0).next().unwrap_or_default();
        let known = ANONYMOUS.iter().find(|(prefix, _)| name.starts_with(prefix));
        return (known.map_or(UNSUPPORTED, |(_, fd_type)| *fd_type), plain(name.to_vec()));
    }
    if memfd(file, components) {
        return (MEMFD, plain(path));
    }
    match kind {
        S_IFDIR => (DIRECTORY, plain(path)),
        S_IFIFO if file.magic == PIPEFS_MAGIC => (FIFO, plain(format!("pipe:[{}]", file.ino).into_bytes())),
        S_IFIFO => (FIFO, plain(path)),
        _ => {
            let open_flags = flags::FILE.portable(u64::from(file.f_flags)) as u32;
            (FILE, FdInfo::Named { name: path, open_flags, dev: device(file.dev) })
        }
    }
}

const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const AF_NETLINK: u16 = 16;

fn socket(record: &Record<'_>, ends: &SockItem) -> (u8, FdInfo) {
    let l4 = protocol(ends);
    let connected = ends.rport != 0;
    let four = |address: &[u8; 16]| Ipv4Addr::new(address[0], address[1], address[2], address[3]);
    let sixteen = |address: &[u8; 16]| Ipv6Addr::from(*address);
    let (sport, dport) = (ends.lport, ends.rport);
    match ends.family {
        AF_INET if connected => (V4, FdInfo::V4 { sip: four(&ends.laddr), dip: four(&ends.raddr), sport, dport, l4 }),
        AF_INET => (V4_SERVER, FdInfo::V4Server { ip: four(&ends.laddr), port: sport, l4 }),
        AF_INET6 if connected => {
            (V6, FdInfo::V6 { sip: sixteen(&ends.laddr), dip: sixteen(&ends.raddr), sport, dport, l4 })
        }
        AF_INET6 => (V6_SERVER, FdInfo::V6Server { ip: sixteen(&ends.laddr), port: sport, l4 }),
        AF_UNIX => {
            let name = |kind: Item| record.item(kind).map(|name| name.bytes).filter(|name| !name.is_empty());
            let path = name(Item::UnixSelf).or_else(|| name(Item::UnixPeer)).unwrap_or_default();
            (UNIX, FdInfo::Unix { source: ends.sk, destination: ends.peer, path: shown(path) })
        }
        family => {
            let fd_type = if family == AF_NETLINK { NETLINK } else { UNSUPPORTED };
            (fd_type, FdInfo::Named { name: Vec::new(), open_flags: 0, dev: 0 })
        }
    }
}

/// Codes of the format: 2 TCP, 3 UDP, 4 ICMP, 5 raw, 0 unknown.
fn protocol(sock: &SockItem) -> u8 {
    const SOCK_RAW: u16 = 3;
    match (sock.kind, sock.protocol) {
        (SOCK_RAW, _) => 5,
        (_, 6) => 2,
        (_, 17) => 3,
        (_, 1 | 58) => 4,
        _ => 0,
    }
}

/// An abstract name begins with NUL, which is shown as `@`.
fn shown(name: &[u8]) -> Vec<u8> {
    let (mark, rest): (&[u8], &[u8]) = match name.split_first() {
        Some((0, rest)) => (b"@", rest),
        _ => (b"", name),
    };
    mark.iter().chain(rest.iter().take_while(|&&byte| byte != 0)).copied().collect()
}
