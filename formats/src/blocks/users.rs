//! User and group list (`reference/scap-format.md` section 5).

use super::{Cursor, List, Prefix, TooLong, list, put_list, put_text};
use crate::limits::{MAX_PATH, MAX_USER_TEXT};
use crate::snapshot::UserEntry;

const fn prefix(version: u8) -> Prefix {
    if version == 1 { Prefix::None } else { Prefix::WithItself }
}

/// Decodes the body. libs writes homes and shells of up to 1024 bytes and refuses to read them back; we do not.
pub(crate) fn decode(body: &[u8], version: u8, limit: usize) -> List<UserEntry> {
    list(body, prefix(version), limit, entry)
}

fn entry(at: &mut Cursor) -> Option<UserEntry> {
    Some(if at.u8()? == 0 {
        let (uid, gid) = (at.u32()?, at.u32()?);
        let (name, home, shell) = (at.text(MAX_PATH)?, at.text(MAX_PATH)?, at.text(MAX_PATH)?);
        UserEntry::User { uid, gid, name, home, shell }
    } else {
        UserEntry::Group { gid: at.u32()?, name: at.text(MAX_PATH)? }
    })
}

/// Appends the body of a version 2 block.
pub(crate) fn encode(out: &mut Vec<u8>, users: &[UserEntry]) -> Result<(), TooLong> {
    put_list(out, users, prefix(2), |out, user| match user {
        UserEntry::User { uid, gid, name, home, shell } => {
            out.push(0);
            out.extend_from_slice(&uid.to_le_bytes());
            out.extend_from_slice(&gid.to_le_bytes());
            put_text(out, "user name", name, MAX_USER_TEXT)?;
            put_text(out, "home directory", home, MAX_USER_TEXT)?;
            put_text(out, "login shell", shell, MAX_USER_TEXT)
        }
        UserEntry::Group { gid, name } => {
            out.push(1);
            out.extend_from_slice(&gid.to_le_bytes());
            put_text(out, "group name", name, MAX_USER_TEXT)
        }
    })
}
