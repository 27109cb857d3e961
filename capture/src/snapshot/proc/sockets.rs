//! Sockets by inode: the tables in `/proc/PID/net`, of each network namespace once.
//!
//! A socket that stands in none of them (one that was made and not used yet) is told by the name of its protocol, which
//! the kernel gives as an extended attribute of the descriptor.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use super::super::made::Made;
use super::{below, link, status};
use crate::record::{Item, SockItem};

/// Longest table that is read.
const TABLE_MAX: u64 = 64 << 20;

const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const AF_NETLINK: u16 = 16;
const STREAM: u16 = 1;
const DATAGRAM: u16 = 2;
const RAW: u16 = 3;

/// Kinds of sockets: their table in `/proc/PID/net` where it is one of internet sockets, the protocol's name as the kernel
/// gives it, family, kind and protocol; 0: in the table the local port is the protocol.
const KINDS: [(Option<&str>, &str, u16, u16, u16); 11] = [
    (Some("tcp"), "TCP", AF_INET, STREAM, 6),
    (Some("tcp6"), "TCPv6", AF_INET6, STREAM, 6),
    (Some("udp"), "UDP", AF_INET, DATAGRAM, 17),
    (Some("udp6"), "UDPv6", AF_INET6, DATAGRAM, 17),
    (Some("raw"), "RAW", AF_INET, RAW, 0),
    (Some("raw6"), "RAWv6", AF_INET6, RAW, 0),
    (Some("icmp"), "PING", AF_INET, DATAGRAM, 1),
    (Some("icmp6"), "PINGv6", AF_INET6, DATAGRAM, 58),
    (None, "UNIX", AF_UNIX, DATAGRAM, 0),
    (None, "UNIX-STREAM", AF_UNIX, STREAM, 0),
    (None, "NETLINK", AF_NETLINK, RAW, 0),
];

/// A socket of a table.
#[derive(Clone, Default)]
struct Found {
    ends: SockItem,
    /// Of a unix socket; an abstract one begins with NUL.
    name: Vec<u8>,
}

/// Tables by network namespace.
#[derive(Default)]
pub(super) struct Sockets {
    by_namespace: BTreeMap<Vec<u8>, BTreeMap<u64, Found>>,
}

impl Sockets {
    /// Adds what is known of a socket to its record. `folder`: of its process; `at`: the descriptor.
    pub(super) fn put(&mut self, ino: u64, folder: &Path, at: &Path, made: &mut Made) {
        let namespace = link(&folder.join("ns/net")).unwrap_or_default();
        let table = self.by_namespace.entry(namespace).or_insert_with(|| read(folder));
        let found = table.get(&ino).cloned().unwrap_or_else(|| unused(at));
        made.sock(&found.ends);
        if !found.name.is_empty() {
            made.item(Item::UnixSelf, &found.name);
        }
    }
}

/// A socket that no table has.
fn unused(at: &Path) -> Found {
    let name = crate::sys::socket_protocol(at).unwrap_or_default();
    let known = KINDS.iter().find(|(_, known, ..)| *known == name);
    let ends = known.map(|&(_, _, family, kind, protocol)| SockItem { family, kind, protocol, ..SockItem::default() });
    Found { ends: ends.unwrap_or_default(), name: Vec::new() }
}

fn read(folder: &Path) -> BTreeMap<u64, Found> {
    let table = |name: &str| {
        let mut text = Vec::new();
        // Protocols that the kernel does not have have no table.
        let file = fs::File::open(below(folder, &format!("net/{name}")));
        let _ = file.and_then(|file| file.take(TABLE_MAX).read_to_end(&mut text));
        text
    };
    let mut all = BTreeMap::new();
    for (name, _, family, kind, protocol) in KINDS {
        let Some(text) = name.map(table) else { continue };
        all.extend(text.split(|&byte| byte == b'\n').filter_map(|line| internet(line, family, kind, protocol)));
    }
    all.extend(table("unix").split(|&byte| byte == b'\n').filter_map(unix));
    all.extend(table("netlink").split(|&byte| byte == b'\n').filter_map(netlink));
    all
}

fn columns(line: &[u8]) -> Vec<&[u8]> {
    line.split(|&byte| byte == b' ').filter(|column| !column.is_empty()).collect()
}

/// `sl local_address rem_address st queues tr:when retrnsmt uid timeout inode ...`
fn internet(line: &[u8], family: u16, kind: u16, protocol: u16) -> Option<(u64, Found)> {
    let columns = columns(line);
    let (laddr, lport) = end(columns.get(1)?)?;
    let (raddr, rport) = end(columns.get(2)?)?;
    let state = hexadecimal(columns.get(3)?)? as u8;
    let ino = status::number(columns.get(9)?).filter(|ino| *ino != 0)?;
    let protocol = if protocol == 0 { lport } else { protocol };
    let ends = SockItem { family, kind, protocol, state, lport, rport, laddr, raddr, ..SockItem::default() };
    Some((ino, Found { ends, name: Vec::new() }))
}

/// `0100007F:1F90`: an address in words of this machine's order, and a port.
fn end(text: &[u8]) -> Option<([u8; 16], u16)> {
    let colon = text.iter().position(|&byte| byte == b':')?;
    let (digits, port) = (&text[..colon], &text[colon + 1..]);
    let mut address = [0; 16];
    if !matches!(digits.len(), 8 | 32) {
        return None;
    }
    for (word, digits) in address.chunks_exact_mut(4).zip(digits.chunks_exact(8)) {
        word.copy_from_slice(&(hexadecimal(digits)? as u32).to_le_bytes());
    }
    Some((address, u16::try_from(hexadecimal(port)?).ok()?))
}

fn hexadecimal(digits: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// `Num RefCount Protocol Flags Type St Inode Path`; the path may hold blanks.
fn unix(line: &[u8]) -> Option<(u64, Found)> {
    let columns = columns(line);
    let kind = hexadecimal(columns.get(4)?)? as u16;
    let ino = status::number(columns.get(6)?).filter(|ino| *ino != 0)?;
    let digits = columns.get(6)?.len();
    let name = columns.get(7).map(|_| {
        // Behind the number and one blank.
        let start = columns[6].as_ptr() as usize - line.as_ptr() as usize + digits + 1;
        line.get(start..).unwrap_or_default().to_vec()
    });
    let mut name = name.unwrap_or_default();
    if let Some(first) = name.first_mut().filter(|first| **first == b'@') {
        *first = 0;
    }
    let ends = SockItem { family: AF_UNIX, kind, ..SockItem::default() };
    Some((ino, Found { ends, name }))
}

/// `sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode`
fn netlink(line: &[u8]) -> Option<(u64, Found)> {
    let columns = columns(line);
    let ino = status::number(columns.get(9)?).filter(|ino| *ino != 0)?;
    let protocol = status::number(columns.get(1)?)? as u16;
    let ends = SockItem { family: AF_NETLINK, kind: RAW, protocol, ..SockItem::default() };
    Some((ino, Found { ends, name: Vec::new() }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failing test may panic

    use super::*;

    #[test]
    fn lines_of_all_tables() {
        let line =
            b"   0: 0100007F:1F90 0200000A:01BB 01 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0";
        let (ino, found) = internet(line, AF_INET, STREAM, 6).unwrap();
        assert_eq!((ino, found.ends.lport, found.ends.rport), (4711, 8080, 443));
        assert_eq!((&found.ends.laddr[..4], &found.ends.raddr[..4]), (&[127, 0, 0, 1][..], &[10, 0, 0, 2][..]));
        let line =
            b"  1: 00000000000000000000000001000000:0016 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 99";
        let (ino, found) = internet(line, AF_INET6, STREAM, 6).unwrap();
        assert_eq!((ino, found.ends.lport, found.ends.laddr[15]), (99, 22, 1));
        let (ino, found) = unix(b"0000000000000000: 00000002 00000000 00010000 0001 01 55 /run/a b").unwrap();
        assert_eq!((ino, found.ends.kind, &*found.name), (55, 1, &b"/run/a b"[..]));
        let (_, found) = unix(b"0000000000000000: 00000002 00000000 00010000 0001 01 55 @abstract").unwrap();
        assert_eq!(found.name, b"\0abstract");
        let (_, found) = unix(b"0000000000000000: 00000003 00000000 00000000 0002 03 56").unwrap();
        assert!(found.name.is_empty());
        let line = b"0000000000000000 15  1234  00000002 0        0        0     2        0        77";
        assert_eq!(netlink(line).unwrap().0, 77);
    }

    #[test]
    fn headings_and_rubbish_give_nothing() {
        for line in [
            &b""[..],
            b"  sl  local_address rem_address   st tx_queue",
            b"0: X:Y Z:W 01 0 0 0 0 0 1",
            b"a b c d e f g h i j",
        ] {
            assert!(internet(line, AF_INET, STREAM, 6).is_none());
        }
        assert!(unix(b"Num       RefCount Protocol Flags    Type St Inode Path").is_none());
        assert!(netlink(b"sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode").is_none());
    }
}
