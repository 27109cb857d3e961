//! Section header block: byte order, version, comments (`reference/scap-format.md` section 1.2).

use super::{Cursor, round4};
use crate::capture::Section;
use crate::limits::MAX_COMMENTS;

const MAGIC: u32 = 0x1A2B_3C4D;

/// What the body of a section header says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// A section we can read.
    Native(Section),
    /// A section written on a machine of the other byte order.
    Foreign,
    /// Not a section header at all.
    Broken,
}

/// Whether a body begins with the magic of the other byte order.
pub(crate) fn is_foreign(body: &[u8]) -> bool {
    body.starts_with(&MAGIC.to_be_bytes())
}

/// Decodes the body.
pub(crate) fn decode(body: &[u8]) -> Header {
    let mut at = Cursor::new(body);
    match at.u32() {
        Some(MAGIC) => {}
        Some(_) if is_foreign(body) => return Header::Foreign,
        _ => return Header::Broken,
    }
    let (Some(major), Some(minor), Some(_section_length)) = (at.u16(), at.u16(), at.u64()) else {
        return Header::Broken;
    };
    let mut comments = Vec::new();
    while let Some((code, value)) = option(&mut at) {
        if code == 0 || comments.len() == MAX_COMMENTS {
            break;
        }
        if code == 1 {
            comments.push(value.to_vec());
        }
    }
    Header::Native(Section { major, minor, comments })
}

/// One pcapng option: u16 code, u16 length, value padded to four bytes.
pub(crate) fn option<'a>(at: &mut Cursor<'a>) -> Option<(u16, &'a [u8])> {
    let (code, len) = (at.u16()?, at.u16()? as usize);
    let padded = at.take(round4(len))?;
    Some((code, &padded[..len]))
}

/// Appends the body of a 1.2 header without options, the form that every reader since 2014 opens.
pub(crate) fn encode(out: &mut Vec<u8>) {
    out.extend_from_slice(&MAGIC.to_le_bytes());
    out.extend_from_slice(&1_u16.to_le_bytes());
    out.extend_from_slice(&2_u16.to_le_bytes());
    out.extend_from_slice(&(-1_i64).to_le_bytes());
}
