//! Descriptor list of one thread (`reference/scap-format.md` section 7).

use super::{Cursor, List, Prefix, TooLong, list, put_list, put_text};
use crate::limits::MAX_PATH;
use crate::snapshot::{FdEntry, FdInfo, FdList};

/// What follows the common head of an entry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Nothing,
    Name,
    FlagsNameDev,
    V4,
    V6,
    V4Server,
    V6Server,
    Unix,
}

/// Shape by `scap_fd_type` code; types beyond the table are skipped by the entry's length.
const SHAPES: [Shape; 22] = {
    let mut shapes = [Shape::Name; 22];
    shapes[0] = Shape::Nothing;
    shapes[3] = Shape::V4;
    shapes[4] = Shape::V6;
    shapes[5] = Shape::V4Server;
    shapes[6] = Shape::V6Server;
    shapes[8] = Shape::Unix;
    shapes[16] = Shape::FlagsNameDev;
    shapes
};

/// Whether the table has this `scap_fd_type`.
#[cfg(feature = "cli")]
pub(crate) fn is_known(fd_type: u8) -> bool {
    usize::from(fd_type) < SHAPES.len()
}

const fn prefix(version: u8) -> Prefix {
    if version == 1 { Prefix::None } else { Prefix::WithItself }
}

/// Decodes the body; `None` when not even the thread id is there.
pub(crate) fn decode(body: &[u8], version: u8, limit: usize) -> Option<(FdList, u64)> {
    let mut at = Cursor::new(body);
    let tid = at.i64()?;
    let List { entries, damaged } = list(&body[8..], prefix(version), limit, |at| entry(at, version));
    Some((FdList { tid, fds: entries }, damaged))
}

fn entry(at: &mut Cursor, version: u8) -> Option<FdEntry> {
    let (fd, inode, fd_type) = (at.i64()?, at.u64()?, at.u8()?);
    let Some(&shape) = SHAPES.get(fd_type as usize) else {
        // Without a length of its own, nothing after an entry of unknown shape can be found.
        return (version > 1).then_some(FdEntry { fd, ino: inode, fd_type, info: FdInfo::None });
    };
    let name = |at: &mut Cursor| at.text(if version > 1 { u16::MAX as usize } else { MAX_PATH - 1 });
    let info = match shape {
        Shape::Nothing => FdInfo::None,
        Shape::Name => FdInfo::Named { name: name(at)?, open_flags: 0, dev: 0 },
        Shape::FlagsNameDev => FdInfo::Named {
            open_flags: at.u32()?,
            name: name(at)?,
            dev: if version > 1 { at.u32().unwrap_or(0) } else { 0 },
        },
        Shape::V4 => FdInfo::V4 {
            sip: at.array::<4>()?.into(),
            dip: at.array::<4>()?.into(),
            sport: at.u16()?,
            dport: at.u16()?,
            l4: at.u8()?,
        },
        Shape::V6 => FdInfo::V6 {
            sip: at.array::<16>()?.into(),
            dip: at.array::<16>()?.into(),
            sport: at.u16()?,
            dport: at.u16()?,
            l4: at.u8()?,
        },
        Shape::V4Server => FdInfo::V4Server { ip: at.array::<4>()?.into(), port: at.u16()?, l4: at.u8()? },
        Shape::V6Server => FdInfo::V6Server { ip: at.array::<16>()?.into(), port: at.u16()?, l4: at.u8()? },
        Shape::Unix => FdInfo::Unix { source: at.u64()?, destination: at.u64()?, path: name(at)? },
    };
    Some(FdEntry { fd, ino: inode, fd_type, info })
}

/// Appends the body of a version 2 list. `None` in an entry whose type has a payload, or the reverse, is an error.
pub(crate) fn encode(out: &mut Vec<u8>, list: &FdList) -> Result<(), EncodeError> {
    out.extend_from_slice(&list.tid.to_le_bytes());
    for entry in &list.fds {
        let fits = SHAPES.get(entry.fd_type as usize).is_some_and(|&shape| {
            matches!(
                (shape, &entry.info),
                (Shape::Nothing, FdInfo::None)
                    | (Shape::Name | Shape::FlagsNameDev, FdInfo::Named { .. })
                    | (Shape::V4, FdInfo::V4 { .. })
                    | (Shape::V6, FdInfo::V6 { .. })
                    | (Shape::V4Server, FdInfo::V4Server { .. })
                    | (Shape::V6Server, FdInfo::V6Server { .. })
                    | (Shape::Unix, FdInfo::Unix { .. })
            )
        });
        if !fits {
            return Err(EncodeError::Mismatch { fd: entry.fd, fd_type: entry.fd_type });
        }
    }
    Ok(put_list(out, &list.fds, prefix(2), put_entry)?)
}

/// Why a descriptor list cannot be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EncodeError {
    #[error(transparent)]
    TooLong(#[from] TooLong),
    #[error("descriptor {fd}: its content does not fit type {fd_type}")]
    Mismatch { fd: i64, fd_type: u8 },
}

fn put_entry(out: &mut Vec<u8>, entry: &FdEntry) -> Result<(), TooLong> {
    out.extend_from_slice(&entry.fd.to_le_bytes());
    out.extend_from_slice(&entry.ino.to_le_bytes());
    out.push(entry.fd_type);
    match &entry.info {
        FdInfo::None => {}
        FdInfo::Named { name, open_flags, dev } => {
            let with_flags = SHAPES.get(entry.fd_type as usize) == Some(&Shape::FlagsNameDev);
            if with_flags {
                out.extend_from_slice(&open_flags.to_le_bytes());
            }
            put_text(out, "descriptor name", name, MAX_PATH - 1)?;
            if with_flags {
                out.extend_from_slice(&dev.to_le_bytes());
            }
        }
        FdInfo::V4 { sip, dip, sport, dport, l4 } => {
            put_tuple(out, &[&sip.octets(), &dip.octets()], &[*sport, *dport], *l4);
        }
        FdInfo::V6 { sip, dip, sport, dport, l4 } => {
            put_tuple(out, &[&sip.octets(), &dip.octets()], &[*sport, *dport], *l4);
        }
        FdInfo::V4Server { ip, port, l4 } => put_tuple(out, &[&ip.octets()], &[*port], *l4),
        FdInfo::V6Server { ip, port, l4 } => put_tuple(out, &[&ip.octets()], &[*port], *l4),
        FdInfo::Unix { source, destination, path } => {
            out.extend_from_slice(&source.to_le_bytes());
            out.extend_from_slice(&destination.to_le_bytes());
            put_text(out, "socket path", path, MAX_PATH - 1)?;
        }
    }
    Ok(())
}

/// Addresses in network order, then ports in host order, then the transport.
fn put_tuple(out: &mut Vec<u8>, addresses: &[&[u8]], ports: &[u16], l4: u8) {
    for address in addresses {
        out.extend_from_slice(address);
    }
    for port in ports {
        out.extend_from_slice(&port.to_le_bytes());
    }
    out.push(l4);
}
