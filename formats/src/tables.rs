//! The tables of the format: event types, flags, syscalls, conversions. Facts only; every reader, writer, printer
//! and document derives from them.
//!
//! Sources: `formats/tables/*.tsv`, turned into static arrays by `build.rs`. Adding an event type is adding a row.

use crate::event::EventType;

/// Which half of a call an event is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// `>`: before the call; also meta events without an exit half.
    Enter,
    /// `<`: after the call.
    Exit,
}

/// `PT_*`: how a parameter's value is encoded (`reference/scap-format.md` section 9).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // the names are the format's own, the encodings stand in the format description
pub enum ParamType {
    Int8, Int16, Int32, Int64, Uint8, Uint16, Uint32, Uint64, Charbuf, Bytebuf, Errno, Sockaddr, Socktuple, Fd, Pid,
    Fdlist, Fspath, SyscallId, Sigtype, Reltime, Abstime, Port, L4Proto, SockFamily, Bool, Ipv4Addr, Dyn, Flags8,
    Flags16, Flags32, Uid, Gid, Double, Sigset, CharbufArray, CharbufPairArray, Ipv4Net, Ipv6Addr, Ipv6Net, IpAddr,
    IpNet, Mode, Fsrelpath, Enumflags8, Enumflags16, Enumflags32, Fd32, Pid32,
}

/// `PF_*`: how libs prints a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PrintFormat {
    /// As its type suggests.
    Na,
    /// Decimal.
    Dec,
    /// Hexadecimal.
    Hex,
    /// Decimal padded to ten digits.
    PaddedDec,
    /// An id.
    Id,
    /// Direction.
    Dir,
    /// Octal.
    Oct,
}

/// One parameter of an event type.
#[derive(Debug)]
pub struct ParamDef {
    /// Name as shown in `evt.args` and taken by `evt.arg.NAME`.
    pub name: &'static str,
    /// Encoding.
    pub ty: ParamType,
    /// Print format.
    pub format: PrintFormat,
    /// Flag table of FLAGS, ENUMFLAGS and MODE parameters; variant names of DYN ones.
    pub table: Option<&'static FlagTable>,
    /// FSRELPATH only: index of the parameter that holds the directory descriptor.
    pub dirfd: Option<u8>,
}

/// Kind of event: low six bits of the category.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // EC_* names of the format
pub enum Category {
    Unknown, Other, File, Net, Ipc, Memory, Process, Sleep, System, Signal, User, Time, Processing, IoRead, IoWrite,
    IoOther, Wait, Scheduler, Internal,
}

/// Where an event comes from: high bits of the category.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // EC_* names of the format
pub enum EventOrigin { None, Syscall, Tracepoint, Plugin, Metaevent, Iter }

/// `EF_*` bits of an event type.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EventFlags(pub u32);

#[allow(missing_docs)] // EF_* names of the format
impl EventFlags {
    pub const CREATES_FD: Self = Self(1);
    pub const DESTROYS_FD: Self = Self(1 << 1);
    pub const USES_FD: Self = Self(1 << 2);
    pub const READS_FROM_FD: Self = Self(1 << 3);
    pub const WRITES_TO_FD: Self = Self(1 << 4);
    pub const MODIFIES_STATE: Self = Self(1 << 5);
    pub const UNUSED: Self = Self(1 << 6);
    pub const WAITS: Self = Self(1 << 7);
    pub const SKIPPARSERESET: Self = Self(1 << 8);
    pub const OLD_VERSION: Self = Self(1 << 9);
    pub const LARGE_PAYLOAD: Self = Self(1 << 10);
    pub const CONVERTER_MANAGED: Self = Self(1 << 11);

    /// All bits of `other` are set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// One row of the event table.
#[derive(Debug)]
pub struct EventDef {
    /// `PPME_*`.
    pub symbol: &'static str,
    /// Name as shown by `evt.type` (`syscall` for the generic event).
    pub name: &'static str,
    /// Half of the call.
    pub dir: Direction,
    /// Kind.
    pub category: Category,
    /// Source kind.
    pub origin: EventOrigin,
    /// Flags.
    pub flags: EventFlags,
    /// Parameters of today's form.
    pub params: &'static [ParamDef],
}

/// A table of flag or enumeration values in print order.
#[derive(Debug)]
pub struct FlagTable {
    /// Name in the format's sources, for example `file_flags`.
    pub name: &'static str,
    /// Symbol and value, in print order.
    pub entries: &'static [(&'static str, u32)],
}

/// One row of the syscall table.
#[derive(Debug)]
pub struct SyscallDef {
    /// Name, for example `openat`.
    pub name: &'static str,
    /// Native number on x86-64.
    pub x86_64: Option<u16>,
    /// Native number on aarch64.
    pub aarch64: Option<u16>,
}

/// Row of an event type; `None` for types newer than the table.
pub fn event(etype: EventType) -> Option<&'static EventDef> {
    let _ = etype;
    todo!()
}
