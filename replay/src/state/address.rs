//! Addresses and connections as events store them, and the text that `fd.name` shows of them.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::fd::{FdKind, Tuple};
use super::flags::{AF_INET, AF_INET6, AF_UNIX, L4_ICMP, L4_RAW, L4_TCP, L4_UDP};

/// Value of a SOCKADDR parameter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Address<'e> {
    /// Internet address; IPv4-mapped ones are IPv4 here.
    Inet(IpAddr, u16),
    /// Path of a unix socket.
    Unix(&'e [u8]),
    /// Another family.
    Other(u8),
}

/// Value of a SOCKTUPLE parameter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ends<'e> {
    /// Internet connection as the event has it: source, destination. IPv4 when both ends are IPv4 or mapped.
    Inet((IpAddr, u16), (IpAddr, u16)),
    /// Unix connection: kernel addresses of both ends, path.
    Unix(u64, u64, &'e [u8]),
}

fn port(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn pointer(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn ipv4(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    let octets: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(Ipv4Addr::from(octets))
}

fn ipv6(bytes: &[u8], at: usize) -> Option<Ipv6Addr> {
    let octets: [u8; 16] = bytes.get(at..at + 16)?.try_into().ok()?;
    Some(Ipv6Addr::from(octets))
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or(bytes)
}

/// IPv4 address inside a mapped IPv6 address. The unspecified address counts as mapped too, as in libs: a socket
/// bound to all addresses accepts both families.
pub(crate) fn mapped(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    if ip.is_unspecified() { Some(Ipv4Addr::UNSPECIFIED) } else { ip.to_ipv4_mapped() }
}

/// Both ends, as IPv4 when both are IPv4 inside IPv6.
pub(crate) fn unmapped(source: Ipv6Addr, destination: Ipv6Addr) -> (IpAddr, IpAddr) {
    match (mapped(source), mapped(destination)) {
        (Some(s), Some(d)) => (IpAddr::V4(s), IpAddr::V4(d)),
        _ => (IpAddr::V6(source), IpAddr::V6(destination)),
    }
}

impl<'e> Address<'e> {
    /// Decodes a SOCKADDR parameter; `None` when it is cut short.
    pub(crate) fn parse(bytes: &'e [u8]) -> Option<Self> {
        let (&family, rest) = bytes.split_first()?;
        Some(match family {
            AF_INET => Self::Inet(IpAddr::V4(ipv4(rest, 0)?), port(rest, 4)?),
            AF_INET6 => {
                let ip = ipv6(rest, 0)?;
                Self::Inet(mapped(ip).map_or(IpAddr::V6(ip), IpAddr::V4), port(rest, 16)?)
            }
            AF_UNIX => Self::Unix(until_nul(rest)),
            other => Self::Other(other),
        })
    }

    /// As `evt.arg.addr` shows it.
    pub(crate) fn text(self) -> Vec<u8> {
        match self {
            Self::Inet(ip, port) => end_text((ip, port)).into_bytes(),
            Self::Unix(path) => path.to_vec(),
            Self::Other(family) => format!("family {family}").into_bytes(),
        }
    }
}

impl<'e> Ends<'e> {
    /// Decodes a SOCKTUPLE parameter; `None` when it is cut short or of another family.
    pub(crate) fn parse(bytes: &'e [u8]) -> Option<Self> {
        let (&family, rest) = bytes.split_first()?;
        match family {
            AF_INET => {
                let source = (IpAddr::V4(ipv4(rest, 0)?), port(rest, 4)?);
                Some(Self::Inet(source, (IpAddr::V4(ipv4(rest, 6)?), port(rest, 10)?)))
            }
            AF_INET6 => {
                let (source, destination) = unmapped(ipv6(rest, 0)?, ipv6(rest, 18)?);
                Some(Self::Inet((source, port(rest, 16)?), (destination, port(rest, 34)?)))
            }
            AF_UNIX => Some(Self::Unix(pointer(rest, 0)?, pointer(rest, 8)?, until_nul(rest.get(16..)?))),
            _ => None,
        }
    }

    /// As `evt.arg.tuple` shows it.
    pub(crate) fn text(self) -> Vec<u8> {
        match self {
            Self::Inet(source, destination) => format!("{}->{}", end_text(source), end_text(destination)).into_bytes(),
            Self::Unix(source, destination, path) => unix_text(source, destination, path),
        }
    }
}

/// `address:port`, IPv6 without brackets.
fn end_text((ip, port): (IpAddr, u16)) -> String {
    let mut text = String::with_capacity(24);
    // Writing into a String cannot fail.
    let _ = write!(text, "{ip}:{port}");
    text
}

/// Connected unix socket: both kernel addresses and the path.
pub(crate) fn unix_text(source: u64, destination: u64, path: &[u8]) -> Vec<u8> {
    let mut text = format!("{source:x}->{destination:x} ").into_bytes();
    text.extend_from_slice(path);
    text
}

/// Listening or bound socket.
pub(crate) fn server_text(end: (IpAddr, u16)) -> Vec<u8> {
    end_text(end).into_bytes()
}

/// Connection of known ends; without ports where the transport has none.
pub(crate) fn tuple_text(tuple: &Tuple, l4: u8) -> Vec<u8> {
    match l4 {
        L4_TCP | L4_UDP => format!("{}->{}", end_text(tuple.client), end_text(tuple.server)),
        L4_ICMP | L4_RAW => format!("{}->{}", tuple.client.0, tuple.server.0),
        _ => "<unknown>".to_owned(),
    }
    .into_bytes()
}

/// Socket kind of an address family's connection.
pub(crate) fn kind_of(ip: IpAddr) -> FdKind {
    if ip.is_ipv4() { FdKind::Ipv4 } else { FdKind::Ipv6 }
}

/// Socket kind of an address family's listener.
pub(crate) fn server_kind_of(ip: IpAddr) -> FdKind {
    if ip.is_ipv4() { FdKind::Ipv4Server } else { FdKind::Ipv6Server }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may stop at the first surprise
    use super::*;

    #[test]
    fn decodes_tuples_and_prints_them() {
        let mut v4 = vec![AF_INET, 10, 0, 0, 1];
        v4.extend(4242u16.to_le_bytes());
        v4.extend([93, 184, 216, 34]);
        v4.extend(80u16.to_le_bytes());
        assert_eq!(Ends::parse(&v4).unwrap().text(), b"10.0.0.1:4242->93.184.216.34:80");
        assert_eq!(Ends::parse(&v4[..12]), None);

        // Both ends mapped: shown as IPv4.
        let mut v6 = vec![AF_INET6];
        v6.extend("::ffff:10.0.0.1".parse::<Ipv6Addr>().unwrap().octets());
        v6.extend(1u16.to_le_bytes());
        v6.extend("::ffff:10.0.0.2".parse::<Ipv6Addr>().unwrap().octets());
        v6.extend(2u16.to_le_bytes());
        assert_eq!(Ends::parse(&v6).unwrap().text(), b"10.0.0.1:1->10.0.0.2:2");

        let mut unix = vec![AF_UNIX];
        unix.extend(0xffff_8880_0000_0001u64.to_le_bytes());
        unix.extend(0xffff_8880_0000_0002u64.to_le_bytes());
        unix.extend(b"/run/x.sock\0");
        assert_eq!(Ends::parse(&unix).unwrap().text(), b"ffff888000000001->ffff888000000002 /run/x.sock");
    }

    #[test]
    fn decodes_addresses() {
        assert_eq!(Address::parse(&[AF_INET, 1, 2, 3, 4, 80, 0]).unwrap().text(), b"1.2.3.4:80");
        assert_eq!(Address::parse(b"\x01/run/a\0").unwrap(), Address::Unix(b"/run/a"));
        assert_eq!(Address::parse(&[AF_INET, 1, 2]), None);
        assert_eq!(Address::parse(&[]), None);
    }
}
