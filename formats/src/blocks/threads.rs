//! Process list, versions 1 to 9 (`reference/scap-format.md` section 6).
//!
//! [`HEAD`], [`INSERTED`] and [`TAIL`] are the layout: reader and writer both walk them, so a field is one row.

use super::{Cursor, List, Prefix, TooLong, list, put_list, put_text};
use crate::limits::{MAX_ARGS, MAX_PATH};
use crate::snapshot::ThreadEntry;

/// Longest tail (bytes after `root`) of captures older than libs 0.10; longer ones begin with [`INSERTED`].
const OLD_TAIL: usize = 29;

/// Fields of [`TAIL`] that make such a tail: up to the capabilities.
#[cfg(feature = "cli")]
const OLD_TAIL_FIELDS: usize = 5;

/// How to reach one field of an entry, to read it from and to write it to a file.
struct Access<T: 'static> {
    get: fn(&ThreadEntry) -> &T,
    get_mut: fn(&mut ThreadEntry) -> &mut T,
}

/// A field's encoding.
enum Codec {
    I64(Access<i64>),
    U64(Access<u64>),
    U32(Access<u32>),
    Bool(Access<bool>),
    /// u16 byte count and bytes, with the length that libs reads at most.
    Text(Access<Vec<u8>>, usize),
}

/// A row of the layout.
struct Field {
    /// First list version that has the field.
    since: u8,
    name: &'static str,
    codec: Codec,
}

macro_rules! field {
    ($since:literal $codec:ident $name:ident $(, $limit:expr)?) => {
        Field {
            since: $since,
            name: stringify!($name),
            codec: Codec::$codec(Access { get: |entry| &entry.$name, get_mut: |entry| &mut entry.$name } $(, $limit)?),
        }
    };
}

/// Fields up to `root`, in file order.
const HEAD: &[Field] = &[
    field!(1 I64 tid),
    field!(1 I64 pid),
    field!(1 I64 ptid),
    field!(6 I64 sid),
    field!(8 I64 vpgid),
    field!(1 Text comm, MAX_PATH),
    field!(1 Text exe, MAX_PATH),
    field!(7 Text exepath, MAX_PATH),
    field!(1 Text args, MAX_ARGS),
    field!(1 Text cwd, MAX_PATH),
    field!(1 I64 fdlimit),
    field!(1 U32 flags),
    field!(1 U32 uid),
    field!(1 U32 gid),
    field!(2 U32 vm_size),
    field!(2 U32 vm_rss),
    field!(2 U32 vm_swap),
    field!(2 U64 pf_major),
    field!(2 U64 pf_minor),
    field!(3 Text env, MAX_ARGS),
    field!(4 I64 vtid),
    field!(4 I64 vpid),
    field!(4 Text cgroups, MAX_ARGS),
    field!(5 Text root, MAX_PATH),
];

/// Fields that libs 0.10 put before the tail that was there already.
const INSERTED: &[Field] = &[field!(9 U64 pidns_init_start_ts), field!(9 U32 tty)];

/// Fields appended since version 9, present as far as the entry's length reaches.
const TAIL: &[Field] = &[
    field!(9 U32 loginuid),
    field!(9 Bool exe_writable),
    field!(9 U64 cap_inheritable),
    field!(9 U64 cap_permitted),
    field!(9 U64 cap_effective),
    field!(9 Bool exe_upper_layer),
    field!(9 U64 exe_ino),
    field!(9 U64 exe_ino_ctime),
    field!(9 U64 exe_ino_mtime),
    field!(9 Bool exe_from_memfd),
    field!(9 Bool exe_lower_layer),
    field!(9 I64 pgid),
];

impl Codec {
    /// Reads the field. Texts of entries without a length of their own are bounded by libs' limit, because there a
    /// wrong length would shift everything after it; where the entry's length says how far it goes, that is enough.
    fn read(&self, at: &mut Cursor, entry: &mut ThreadEntry, bounded: bool) -> Option<()> {
        match self {
            Self::I64(field) => *(field.get_mut)(entry) = at.i64()?,
            Self::U64(field) => *(field.get_mut)(entry) = at.u64()?,
            Self::U32(field) => *(field.get_mut)(entry) = at.u32()?,
            Self::Bool(field) => *(field.get_mut)(entry) = at.u8()? != 0,
            Self::Text(field, limit) => {
                *(field.get_mut)(entry) = at.text(if bounded { u16::MAX as usize } else { *limit })?;
            }
        }
        Some(())
    }

    fn write(&self, out: &mut Vec<u8>, entry: &ThreadEntry, name: &'static str) -> Result<(), TooLong> {
        match self {
            Self::I64(field) => out.extend_from_slice(&(field.get)(entry).to_le_bytes()),
            Self::U64(field) => out.extend_from_slice(&(field.get)(entry).to_le_bytes()),
            Self::U32(field) => out.extend_from_slice(&(field.get)(entry).to_le_bytes()),
            Self::Bool(field) => out.push(u8::from(*(field.get)(entry))),
            Self::Text(field, limit) => put_text(out, name, (field.get)(entry), *limit)?,
        }
        Ok(())
    }
}

/// How a field is stored, for who shows its bytes.
#[cfg_attr(not(feature = "cli"), allow(dead_code))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    Signed(usize),
    Unsigned(usize),
    Text,
}

#[cfg_attr(not(feature = "cli"), allow(dead_code))]
impl Field {
    fn form(&self) -> (&'static str, Form) {
        let form = match self.codec {
            Codec::I64(_) => Form::Signed(8),
            Codec::U64(_) => Form::Unsigned(8),
            Codec::U32(_) => Form::Unsigned(4),
            Codec::Bool(_) => Form::Unsigned(1),
            Codec::Text(..) => Form::Text,
        };
        (self.name, form)
    }
}

/// The fields that every entry of this version has, in file order.
#[cfg_attr(not(feature = "cli"), allow(dead_code))]
pub(crate) fn head(version: u8) -> impl Iterator<Item = (&'static str, Form)> {
    HEAD.iter().filter(move |field| field.since <= version).map(Field::form)
}

/// The fields that may follow them in version 9, when so many bytes of the entry are left.
#[cfg_attr(not(feature = "cli"), allow(dead_code))]
pub(crate) fn tail(left: usize) -> impl Iterator<Item = (&'static str, Form)> {
    let inserted = if left > OLD_TAIL { INSERTED } else { &[] };
    inserted.iter().chain(TAIL).map(Field::form)
}

const fn prefix(version: u8) -> Prefix {
    if version < 9 { Prefix::None } else { Prefix::WithItself }
}

/// Decodes the body of a process list of this version.
pub(crate) fn decode(body: &[u8], version: u8, limit: usize) -> List<ThreadEntry> {
    list(body, prefix(version), limit, |at| entry(at, version))
}

fn entry(at: &mut Cursor, version: u8) -> Option<ThreadEntry> {
    let mut entry = ThreadEntry::default();
    for field in HEAD.iter().filter(|field| field.since <= version) {
        field.codec.read(at, &mut entry, version >= 9)?;
    }
    if version >= 9 {
        let inserted = if at.left() > OLD_TAIL { INSERTED } else { &[] };
        for field in inserted.iter().chain(TAIL) {
            if field.codec.read(at, &mut entry, true).is_none() {
                break; // an older writer's entry ends here; what it lacks keeps its default
            }
        }
    }
    Some(entry)
}

/// Cuts texts to what [`encode`] takes; how many were longer.
#[cfg(feature = "cli")]
pub(crate) fn fit(entry: &mut ThreadEntry) -> u64 {
    let mut cut = 0;
    for field in HEAD {
        if let Codec::Text(access, limit) = &field.codec {
            let text = (access.get_mut)(entry);
            cut += u64::from(text.len() > *limit);
            text.truncate(*limit);
        }
    }
    cut
}

/// Appends the body of a version 9 list with all fields.
pub(crate) fn encode(out: &mut Vec<u8>, threads: &[ThreadEntry]) -> Result<(), TooLong> {
    put_list(out, threads, prefix(9), |out, entry| {
        HEAD.iter().chain(INSERTED).chain(TAIL).try_for_each(|field| field.codec.write(out, entry, field.name))
    })
}

/// Appends the body of a version 9 list as libs of early 2022 wrote it: readers of that time take a longer tail for
/// another login uid, those of today know it by its length of [`OLD_TAIL`] bytes.
#[cfg(feature = "cli")]
pub(crate) fn encode_old_tail(out: &mut Vec<u8>, threads: &[ThreadEntry]) -> Result<(), TooLong> {
    let tail = &TAIL[..OLD_TAIL_FIELDS];
    put_list(out, threads, prefix(9), |out, entry| {
        HEAD.iter().chain(tail).try_for_each(|field| field.codec.write(out, entry, field.name))
    })
}
