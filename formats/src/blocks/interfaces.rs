//! Interface list (`reference/scap-format.md` section 4), including the repair of wrongly sized v2 blocks.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Cursor, List, Prefix, TooLong, list, put_list, put_text, round4};
use crate::limits::MAX_PATH;
use crate::snapshot::Interface;

const fn prefix(version: u8) -> Prefix {
    if version == 1 { Prefix::None } else { Prefix::After }
}

/// Decodes the body.
pub(crate) fn decode(body: &[u8], version: u8, limit: usize) -> List<Interface> {
    list(body, prefix(version), limit, entry)
}

fn entry(at: &mut Cursor) -> Option<Interface> {
    let (code, name_len) = (at.u16()?, at.u16()? as usize);
    if name_len >= MAX_PATH {
        return None;
    }
    // Codes 3 and 4 are 1 and 2 without the link speed.
    let speed = |at: &mut Cursor| if code <= 2 { at.u64() } else { Some(0) };
    match code {
        1 | 3 => {
            let [addr, netmask, broadcast] = [at.array::<4>()?, at.array()?, at.array()?].map(Ipv4Addr::from);
            let link_speed = speed(at)?;
            Some(Interface::V4 { name: at.take(name_len)?.to_vec(), addr, netmask, broadcast, link_speed })
        }
        2 | 4 => {
            let [addr, netmask, broadcast] = [at.array::<16>()?, at.array()?, at.array()?].map(Ipv6Addr::from);
            let link_speed = speed(at)?;
            Some(Interface::V6 { name: at.take(name_len)?.to_vec(), addr, netmask, broadcast, link_speed })
        }
        _ => None,
    }
}

/// Appends the body of a version 2 block.
pub(crate) fn encode(out: &mut Vec<u8>, interfaces: &[Interface]) -> Result<(), TooLong> {
    put_list(out, interfaces, prefix(2), |out, interface| {
        let (code, name) = match interface {
            Interface::V4 { name, .. } => (1_u16, name),
            Interface::V6 { name, .. } => (2, name),
        };
        out.extend_from_slice(&code.to_le_bytes());
        // The count stands before the addresses, the name after them.
        let mut counted = Vec::new();
        put_text(&mut counted, "interface name", name, MAX_PATH - 1)?;
        out.extend_from_slice(&counted[..2]);
        match interface {
            Interface::V4 { addr, netmask, broadcast, link_speed, .. } => {
                for ip in [addr, netmask, broadcast] {
                    out.extend_from_slice(&ip.octets());
                }
                out.extend_from_slice(&link_speed.to_le_bytes());
            }
            Interface::V6 { addr, netmask, broadcast, link_speed, .. } => {
                for ip in [addr, netmask, broadcast] {
                    out.extend_from_slice(&ip.octets());
                }
                out.extend_from_slice(&link_speed.to_le_bytes());
            }
        }
        out.extend_from_slice(name);
        Ok(())
    })
}

/// True total length of a v2 block whose two length fields are four bytes per interface too small, a defect of libs
/// since 2018 when it rewrites v1 lists. `block` starts at the block header and may reach past the block.
pub(crate) fn repaired_length(block: &[u8]) -> Option<usize> {
    let claimed = u32::from_le_bytes(*block.get(4..)?.first_chunk()?);
    let (mut at, mut count) = (8, 0);
    loop {
        let len = u32::from_le_bytes(*block.get(at..)?.first_chunk()?) as usize;
        entry(&mut Cursor::new(block.get(at + 4..)?.get(..len)?))?;
        at += 4 + len;
        count += 1;
        let end = round4(at);
        if end + 4 > claimed as usize {
            let trailer = u32::from_le_bytes(*block.get(end..)?.first_chunk()?);
            if trailer == claimed && end + 4 - claimed as usize <= round4(4 * count) {
                return Some(end + 4);
            }
        }
    }
}
