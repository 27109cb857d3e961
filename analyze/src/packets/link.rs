//! From a link-layer frame to the ends of a flow.
//!
//! Ethernet with VLAN tags, Linux cooked captures (1 and 2), BSD loopback and raw IP; IPv4 and IPv6 with their
//! extension headers; TCP, UDP, SCTP ports. Every length comes from the wire and is checked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pcap_file::DataLink;

/// Extension headers and VLAN tags that are followed.
const MAX_HEADERS: usize = 8;

/// A packet of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Index of the file among those given.
    pub file: u32,
    /// Number in its file, from 1.
    pub number: u64,
    /// ns since the epoch.
    pub time: i64,
    /// Length on the wire, bytes.
    pub length: u32,
    /// Its ends.
    pub ends: Ends,
}

/// Ends of a packet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ends {
    /// Number of the protocol in IP: 6 TCP, 17 UDP, …
    pub protocol: u8,
    /// Source and its port.
    pub source: (IpAddr, Option<u16>),
    /// Destination and its port.
    pub destination: (IpAddr, Option<u16>),
}

impl Ends {
    /// Name of the protocol, as the table `network` has it.
    pub fn protocol_name(&self) -> String {
        match self.protocol {
            1 | 58 => "icmp".to_owned(),
            6 => "tcp".to_owned(),
            17 => "udp".to_owned(),
            132 => "sctp".to_owned(),
            other => format!("ip-{other}"),
        }
    }
}

/// The ends of a frame; `None` where there is no IP, or it is cut off before them.
pub(super) fn ends(link: DataLink, frame: &[u8]) -> Option<Ends> {
    match link {
        DataLink::ETHERNET => {
            let mut kind = word(frame, 12)?;
            let mut at = 14;
            for _ in 0..MAX_HEADERS {
                // 802.1Q, 802.1ad and the old QinQ.
                if !matches!(kind, 0x8100 | 0x88A8 | 0x9100) {
                    break;
                }
                kind = word(frame, at + 2)?;
                at += 4;
            }
            by_ethertype(kind, frame.get(at..)?)
        }
        DataLink::LINUX_SLL => by_ethertype(word(frame, 14)?, frame.get(16..)?),
        DataLink::LINUX_SLL2 => by_ethertype(word(frame, 0)?, frame.get(20..)?),
        DataLink::RAW | DataLink::IPV4 | DataLink::IPV6 => ip(frame),
        // Four bytes of address family, whose numbers differ by system: the version in the IP header is the same.
        DataLink::NULL | DataLink::LOOP => ip(frame.get(4..)?),
        _ => None,
    }
}

fn by_ethertype(kind: u16, rest: &[u8]) -> Option<Ends> {
    matches!(kind, 0x0800 | 0x86DD).then(|| ip(rest)).flatten()
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn ip(bytes: &[u8]) -> Option<Ends> {
    match bytes.first()? >> 4 {
        4 => {
            let header = usize::from(bytes[0] & 15) * 4;
            let protocol = *bytes.get(9)?;
            let address = |at: usize| -> Option<IpAddr> {
                let four: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
                Some(Ipv4Addr::from(four).into())
            };
            // Later fragments have no ports: what stands there is data.
            let offset = word(bytes, 6)? & 0x1FFF;
            Some(with_ports(protocol, address(12)?, address(16)?, bytes.get(header.max(20)..).filter(|_| offset == 0)))
        }
        6 => {
            let address = |at: usize| -> Option<IpAddr> {
                let sixteen: [u8; 16] = bytes.get(at..at + 16)?.try_into().ok()?;
                Some(IpAddr::from(Ipv6Addr::from(sixteen)).to_canonical())
            };
            let (source, destination) = (address(8)?, address(24)?);
            let (mut next, mut at, mut first) = (*bytes.get(6)?, 40, true);
            for _ in 0..MAX_HEADERS {
                match next {
                    // Hop-by-hop, routing, destination options: 8 bytes and more, counted in units of 8.
                    0 | 43 | 60 => {
                        let (following, units) = (*bytes.get(at)?, *bytes.get(at + 1)?);
                        next = following;
                        at += (usize::from(units) + 1) * 8;
                    }
                    44 => {
                        first &= word(bytes, at + 2)? >> 3 == 0;
                        next = *bytes.get(at)?;
                        at += 8;
                    }
                    _ => break,
                }
            }
            Some(with_ports(next, source, destination, bytes.get(at..).filter(|_| first)))
        }
        _ => None,
    }
}

fn with_ports(protocol: u8, source: IpAddr, destination: IpAddr, rest: Option<&[u8]>) -> Ends {
    let has_ports = matches!(protocol, 6 | 17 | 132);
    let port = |at| rest.filter(|_| has_ports).and_then(|rest| word(rest, at));
    Ends { protocol, source: (source, port(0)), destination: (destination, port(2)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// IPv4 header and ports, 10.0.0.1:1000 to 10.0.0.2:53, UDP.
    fn udp() -> Vec<u8> {
        let mut bytes = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        bytes.extend([0x03, 0xE8, 0, 53, 0, 8, 0, 0]);
        bytes
    }

    fn expected() -> Ends {
        let end = |last, port| (IpAddr::from([10, 0, 0, last]), Some(port));
        Ends { protocol: 17, source: end(1, 1000), destination: end(2, 53) }
    }

    #[test]
    fn all_link_layers_lead_to_the_same_ends() {
        let with = |head: &[u8]| [head, &udp()].concat();
        let ethernet = [[0u8; 12].as_slice(), &[8, 0]].concat();
        let tagged = [[0u8; 12].as_slice(), &[0x81, 0, 0, 7, 8, 0]].concat();
        let cooked = [[0u8; 14].as_slice(), &[8, 0]].concat();
        let cooked_2 = [[8u8, 0].as_slice(), &[0; 18]].concat();
        for (link, frame) in [
            (DataLink::ETHERNET, with(&ethernet)),
            (DataLink::ETHERNET, with(&tagged)),
            (DataLink::LINUX_SLL, with(&cooked)),
            (DataLink::LINUX_SLL2, with(&cooked_2)),
            (DataLink::RAW, with(&[])),
            (DataLink::NULL, with(&[2, 0, 0, 0])),
        ] {
            assert_eq!(ends(link, &frame), Some(expected()), "{link:?}");
        }
    }

    #[test]
    fn later_fragments_have_no_ports_and_nothing_cut_off_panics() {
        let mut fragment = udp();
        fragment[7] = 1;
        assert_eq!(ends(DataLink::RAW, &fragment).map(|ends| ends.source.1), Some(None));
        for length in 0..udp().len() {
            let _ = ends(DataLink::RAW, &udp()[..length]);
            let _ = ends(DataLink::ETHERNET, &udp()[..length]);
        }
        let mut six = vec![0x60, 0, 0, 0, 0, 0, 0, 1];
        six.extend([0; 32]);
        six.extend([0, 255]);
        assert_eq!(ends(DataLink::RAW, &six), None, "an extension header that is longer than the packet");
    }
}
