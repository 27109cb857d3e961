//! Snapshots as an old reader takes them: nothing in a list that makes it refuse the file.

use super::Told;
use crate::blocks::{self, Kind, fds, interfaces, machine, threads, users};
use crate::limits::{MAX_ARGS, MAX_LIST_ENTRIES, MAX_PATH, MAX_USER_TEXT};
use crate::snapshot::{FdEntry, FdInfo, FdList, ThreadEntry, UserEntry};

/// `scap_fd_type` of a named file.
const UNSUPPORTED: u8 = 10;

/// Largest `scap_fd_type` that it knows; a single larger one makes it refuse the whole file.
const LAST_FD_TYPE: u8 = 16;

/// Longest host name.
const MAX_HOSTNAME: usize = 127;

/// What becomes of a block.
pub(super) enum Block {
    /// It is as old as the reader, which takes it as it is.
    Copied,
    /// It is written anew under this number.
    Written(u32),
    /// Nothing of it can be read.
    LeftOut,
}

/// Writes the block's content anew into `out`, where the reader would stumble over it.
pub(super) fn rewrite(kind: Kind, body: &[u8], out: &mut Vec<u8>, told: &mut Told) -> Block {
    let start = out.len();
    let written = match kind {
        Kind::Machine => machine::decode(body).map(|mut info| {
            told.cut(&mut info.hostname, MAX_HOSTNAME);
            machine::encode(out, &info).map(|()| blocks::MI)
        }),
        Kind::Interfaces(2) => {
            let list = interfaces::decode(body, 2, MAX_LIST_ENTRIES);
            told.damaged(list.damaged);
            Some(interfaces::encode(out, &list.entries).map(|()| blocks::IL_V2))
        }
        Kind::Users(2) => {
            let mut list = users::decode(body, 2, MAX_LIST_ENTRIES);
            told.damaged(list.damaged);
            list.entries.iter_mut().for_each(|entry| shorten_user(entry, told));
            Some(users::encode(out, &list.entries).map(|()| blocks::UL_V2))
        }
        Kind::Threads(9) => {
            let mut list = threads::decode(body, 9, MAX_LIST_ENTRIES);
            told.damaged(list.damaged);
            list.entries.iter_mut().for_each(|entry| shorten_thread(entry, told));
            Some(threads::encode_old_tail(out, &list.entries).map(|()| blocks::PL_V9))
        }
        Kind::Fds(2) => fds::decode(body, 2, MAX_LIST_ENTRIES).map(|(mut list, damaged)| {
            told.damaged(damaged);
            list.fds.iter_mut().for_each(|entry| known_fd(entry, told));
            put_fds(out, &list)
        }),
        _ => return Block::Copied,
    };
    if let Some(Ok(number)) = written {
        return Block::Written(number);
    }
    // Everything has been cut to what fits; a list that does not fit all the same is left out, and told.
    out.truncate(start);
    told.damaged(1);
    Block::LeftOut
}

fn put_fds(out: &mut Vec<u8>, list: &FdList) -> Result<u32, blocks::TooLong> {
    match fds::encode(out, list) {
        Ok(()) => Ok(blocks::FDL_V2),
        Err(fds::EncodeError::TooLong(error)) => Err(error),
        Err(fds::EncodeError::Mismatch { .. }) => Err(blocks::TooLong { what: "descriptor", len: 0, limit: 0 }),
    }
}

fn shorten_user(entry: &mut UserEntry, told: &mut Told) {
    match entry {
        UserEntry::User { name, home, shell, .. } => {
            for text in [name, home, shell] {
                told.cut(text, MAX_USER_TEXT);
            }
        }
        UserEntry::Group { name, .. } => told.cut(name, MAX_USER_TEXT),
    }
}

fn shorten_thread(entry: &mut ThreadEntry, told: &mut Told) {
    for text in [&mut entry.comm, &mut entry.exe, &mut entry.exepath, &mut entry.cwd, &mut entry.root] {
        told.cut(text, MAX_PATH);
    }
    for list in [&mut entry.args, &mut entry.env, &mut entry.cgroups] {
        told.cut(list, MAX_ARGS);
    }
}

fn known_fd(entry: &mut FdEntry, told: &mut Told) {
    if let FdInfo::Named { name, .. } | FdInfo::Unix { path: name, .. } = &mut entry.info {
        told.cut(name, MAX_PATH - 1);
    }
    let named = matches!(entry.info, FdInfo::Named { .. });
    if entry.fd_type > LAST_FD_TYPE || entry.info == FdInfo::None {
        told.fd_types += 1;
        entry.fd_type = UNSUPPORTED;
        if !named {
            entry.info = FdInfo::Named { name: Vec::new(), open_flags: 0, dev: 0 };
        }
    }
}
