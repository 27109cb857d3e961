//! The words of the table: where a parameter comes from, and what the kernel side fetches for it.
//!
//! Rows are written in them ([`super::table`]), the encoder reads values by [`Source`] ([`super::values`]), and the
//! kernel side knows the numbers of the rest (`bpf/maps.h`).

use super::values::Call;
use crate::flags::FlagMap;
use crate::record::TaskItem;

/// Where a parameter comes from.
#[derive(Clone, Copy)]
pub(crate) enum Source {
    /// The result.
    Ret,
    /// An argument, as it is.
    Arg(u8),
    /// An argument that is a C `int`: descriptors, process ids.
    Int(u8),
    /// An argument of 64 bits, which 32-bit calls pass in two.
    Wide(u8),
    /// Text that an argument points to.
    Str(u8),
    /// An argument through a table of flags.
    Flags(u8, &'static FlagMap),
    /// Bytes of a structure that an argument points to: argument, offset, width.
    Field(u8, u8, u8),
    /// The same through a table of flags.
    FieldFlags(u8, u8, u8, &'static FlagMap),
    /// The buffer's first bytes.
    Data,
    /// Length of a vector of buffers.
    Size,
    /// Socket address that an argument points to.
    Addr(u8),
    /// Ends of the socket, our side first; an address in this argument stands for the far end where the socket has none.
    TupleOut(u8),
    /// Ends of the socket, far side first.
    TupleIn(u8),
    /// Device of the file that was opened.
    Dev,
    /// Its inode.
    Ino,
    /// A fact about the thread after the call.
    Task(fn(&TaskItem) -> u64),
    /// Not recorded: stays empty, which means unknown.
    Unknown,
    /// Everything else.
    By(fn(&Call<'_>, &mut Vec<u8>)),
}

/// Programs of the kernel side; the numbers are those of `bpf/maps.h`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Class {
    Plain = 0,
    Fetch = 1,
    Clone = 2,
    Exec = 3,
    /// A record of each of several messages.
    Messages = 4,
    /// Numbers, and the bytes of one buffer: what programs do most.
    Data = 5,
}

impl Class {
    /// The class where something has to be fetched.
    pub(super) const fn max_fetch(self) -> Self {
        match self {
            Self::Plain | Self::Data => Self::Fetch,
            other => other,
        }
    }
}

/// What the kernel side can fetch; the numbers are those of `bpf/maps.h`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Get {
    Str = 1,
    DataRet = 2,
    DataArg = 3,
    Iov = 4,
    Msg = 5,
    Msgs = 6,
    Addr = 7,
    AddrBack = 8,
    Bytes = 9,
    File = 10,
    Sock = 11,
    Pair = 12,
    Poll = 13,
    Path = 14,
    Task = 15,
    Listener = 16,
}

/// When it is fetched; the numbers are those of `bpf/maps.h`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum When {
    Always = 0,
    /// The call succeeded, or is under way.
    Done = 1,
}

/// In place of an argument's number: the result.
pub(crate) const RET: u8 = 7;

/// One thing to fetch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fetch {
    pub get: Get,
    pub arg: u8,
    pub when: When,
    /// Bytes of a structure.
    pub size: u8,
}
