//! Socket addresses inside parameters, and as text.

use std::borrow::Cow;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::state::flags::{AF_INET, AF_INET6, AF_UNIX};

/// An address of 4 or 16 bytes in network order.
pub(crate) fn ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()),
        _ => None,
    }
}

/// The IPv4 address inside, when it is mapped into IPv6 or unspecified, as libs judges.
fn as_v4(ip: IpAddr) -> Option<IpAddr> {
    match ip {
        IpAddr::V6(v6) if v6.is_unspecified() => Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map(IpAddr::V4),
        IpAddr::V4(_) => Some(ip),
    }
}

fn port(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// Text up to the NUL, bytes that are not UTF-8 replaced.
pub(crate) fn sanitized(text: &[u8]) -> Cow<'_, [u8]> {
    let text = memchr::memchr(0, text).map_or(text, |end| &text[..end]);
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    match String::from_utf8_lossy(text) {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        Cow::Owned(replaced) => Cow::Owned(replaced.into_bytes()),
    }
}

/// A SOCKADDR parameter as text: path, or `address:port`.
pub(crate) fn sockaddr(value: &[u8]) -> Cow<'_, [u8]> {
    let Some((&family, rest)) = value.split_first() else { return Cow::Borrowed(b"") };
    match family {
        AF_UNIX => sanitized(rest),
        AF_INET | AF_INET6 => {
            let (len, invalid) = if family == AF_INET { (4, "INVALID IPv4") } else { (16, "INVALID IPv6") };
            let end = if rest.len() == len + 2 { ip(&rest[..len]).zip(port(rest, len)) } else { None };
            Cow::Owned(end.map_or_else(|| invalid.to_owned(), |(ip, port)| format!("{ip}:{port}")).into_bytes())
        }
        other => Cow::Owned(format!("family {other}").into_bytes()),
    }
}

/// A SOCKTUPLE parameter as text: `source->destination`, for unix sockets with kernel addresses and the path.
pub(crate) fn socktuple(value: &[u8]) -> Vec<u8> {
    let Some((&family, rest)) = value.split_first() else { return Vec::new() };
    match family {
        AF_INET => internet_tuple(rest, 4).unwrap_or_else(|| b"INVALID IPv4".to_vec()),
        AF_INET6 => internet_tuple(rest, 16).unwrap_or_else(|| b"INVALID IPv6".to_vec()),
        AF_UNIX => unix_tuple(rest).unwrap_or_default(),
        other => format!("family {other}").into_bytes(),
    }
}

fn internet_tuple(rest: &[u8], len: usize) -> Option<Vec<u8>> {
    if rest.len() != 2 * (len + 2) {
        return None;
    }
    let (mut source, source_port) = (ip(&rest[..len])?, port(rest, len)?);
    let (mut destination, destination_port) = (ip(&rest[len + 2..2 * len + 2])?, port(rest, 2 * len + 2)?);
    if let (Some(a), Some(b)) = (as_v4(source), as_v4(destination)) {
        (source, destination) = (a, b);
    }
    Some(format!("{source}:{source_port}->{destination}:{destination_port}").into_bytes())
}

fn unix_tuple(rest: &[u8]) -> Option<Vec<u8>> {
    let source = u64::from_le_bytes(rest.get(..8)?.try_into().ok()?);
    let destination = u64::from_le_bytes(rest.get(8..16)?.try_into().ok()?);
    let mut text = Vec::new();
    write!(text, "{source:x}->{destination:x} ").ok()?;
    text.extend_from_slice(&sanitized(&rest[16..]));
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_addresses() {
        assert_eq!(&*sockaddr(b"\x01/run/x\0"), b"/run/x");
        assert_eq!(&*sockaddr(&[2, 10, 0, 0, 1, 0x90, 0x1f]), b"10.0.0.1:8080");
        assert_eq!(&*sockaddr(&[2, 10, 0, 0]), b"INVALID IPv4");
        let mut v6 = vec![10];
        v6.extend(Ipv6Addr::LOCALHOST.octets());
        v6.extend(443u16.to_le_bytes());
        assert_eq!(&*sockaddr(&v6), b"::1:443");
        assert_eq!(&*sockaddr(&[16, 1]), b"family 16");
        assert_eq!(&*sockaddr(&[]), b"");
    }

    #[test]
    fn socket_tuples() {
        assert_eq!(socktuple(&[2, 127, 0, 0, 1, 1, 0, 10, 0, 0, 2, 80, 0]), b"127.0.0.1:1->10.0.0.2:80");
        assert_eq!(socktuple(&[2, 127]), b"INVALID IPv4");
        let mut mapped = vec![10];
        for (address, port) in [([10, 0, 0, 1], 1u16), ([10, 0, 0, 2], 2)] {
            mapped.extend(Ipv4Addr::from(address).to_ipv6_mapped().octets());
            mapped.extend(port.to_le_bytes());
        }
        assert_eq!(socktuple(&mapped), b"10.0.0.1:1->10.0.0.2:2", "both ends mapped: shown as IPv4");
        let mut unix = vec![1];
        unix.extend(0xffff_8880_u64.to_le_bytes());
        unix.extend(0xabc_u64.to_le_bytes());
        unix.extend(b"/run/docker.sock\0");
        assert_eq!(socktuple(&unix), b"ffff8880->abc /run/docker.sock");
        assert_eq!(socktuple(&unix[..9]), b"", "cut short: nothing to show");
    }
}
