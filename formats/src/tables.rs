//! The tables of the format: event types, flags, syscalls, conversions. Facts only; every reader, writer, printer
//! and document derives from them.
//!
//! Sources: `formats/tables/*.tsv`, turned into static arrays by `formats/build/`. Adding an event type is adding a row.

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
    Int8,
    Int16,
    Int32,
    Int64,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Charbuf,
    Bytebuf,
    Errno,
    Sockaddr,
    Socktuple,
    Fd,
    Pid,
    Fdlist,
    Fspath,
    SyscallId,
    Sigtype,
    Reltime,
    Abstime,
    Port,
    L4Proto,
    SockFamily,
    Bool,
    Ipv4Addr,
    Dyn,
    Flags8,
    Flags16,
    Flags32,
    Uid,
    Gid,
    Double,
    Sigset,
    CharbufArray,
    CharbufPairArray,
    Ipv4Net,
    Ipv6Addr,
    Ipv6Net,
    IpAddr,
    IpNet,
    Mode,
    Fsrelpath,
    Enumflags8,
    Enumflags16,
    Enumflags32,
    Fd32,
    Pid32,
}

impl ParamType {
    /// Bytes of a value of this type when it is known; `None` for types of varying length.
    pub const fn width(self) -> Option<usize> {
        match self {
            Self::Int8
            | Self::Uint8
            | Self::Flags8
            | Self::Enumflags8
            | Self::Sigtype
            | Self::L4Proto
            | Self::SockFamily => Some(1),
            Self::Int16 | Self::Uint16 | Self::Flags16 | Self::Enumflags16 | Self::SyscallId | Self::Port => Some(2),
            Self::Int32
            | Self::Uint32
            | Self::Flags32
            | Self::Enumflags32
            | Self::Uid
            | Self::Gid
            | Self::Mode
            | Self::Bool
            | Self::Ipv4Addr
            | Self::Sigset
            | Self::Fd32
            | Self::Pid32 => Some(4),
            Self::Int64
            | Self::Uint64
            | Self::Reltime
            | Self::Abstime
            | Self::Errno
            | Self::Fd
            | Self::Pid
            | Self::Double => Some(8),
            Self::Ipv6Addr => Some(16),
            Self::Charbuf
            | Self::Bytebuf
            | Self::Sockaddr
            | Self::Socktuple
            | Self::Fdlist
            | Self::Fspath
            | Self::Fsrelpath
            | Self::Dyn
            | Self::CharbufArray
            | Self::CharbufPairArray
            | Self::Ipv4Net
            | Self::Ipv6Net
            | Self::IpAddr
            | Self::IpNet => None,
        }
    }
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

/// One encoding of a DYN parameter.
#[derive(Debug)]
pub struct DynVariant {
    /// Encoding of the bytes after the index byte.
    pub ty: ParamType,
    /// Print format.
    pub format: PrintFormat,
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
    /// Flag table of FLAGS, ENUMFLAGS and MODE parameters.
    pub table: Option<&'static FlagTable>,
    /// Encodings of a DYN parameter, indexed by the value's first byte; empty for all other types.
    pub variants: &'static [DynVariant],
    /// FSRELPATH only: index of the parameter that holds the directory descriptor.
    pub dirfd: Option<u8>,
}

/// Kind of event: low six bits of the category.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // EC_* names of the format
pub enum Category {
    Unknown,
    Other,
    File,
    Net,
    Ipc,
    Memory,
    Process,
    Sleep,
    System,
    Signal,
    User,
    Time,
    Processing,
    IoRead,
    IoWrite,
    IoOther,
    Wait,
    Scheduler,
    Internal,
}

/// Where an event comes from: high bits of the category.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // EC_* names of the format
pub enum EventOrigin {
    None,
    Syscall,
    Tracepoint,
    Plugin,
    Metaevent,
    Iter,
}

/// `EF_*` bits of an event type.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EventFlags(pub u32);

#[allow(missing_docs)] // EF_* names of the format
impl EventFlags {
    pub const NONE: Self = Self(0);
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

impl FlagTable {
    /// Value of a symbol.
    pub fn value(&self, symbol: &str) -> Option<u32> {
        self.entries.iter().find(|(name, _)| *name == symbol).map(|&(_, value)| value)
    }
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
    /// Enter event of the call (the generic one where the call has no type of its own); none for code 0 and a few more.
    pub enter: Option<EventType>,
    /// Exit event of the call.
    pub exit: Option<EventType>,
}

/// How an event of an older form becomes today's: the row for one (type, parameter count).
#[derive(Debug)]
pub struct Conversion {
    /// Parameter count the row is for.
    pub nparams: u8,
    /// What to do.
    pub action: Action,
}

/// What the conversion of one (type, parameter count) does.
#[derive(Debug)]
pub enum Action {
    /// Enter half of an old pair: kept under its thread id for the exit half, not delivered.
    Store,
    /// Kept and delivered.
    StoreAndPass,
    /// Delivered.
    Pass,
    /// Same type, one more parameter per step.
    AddParams(&'static [Step]),
    /// Another type whose parameters are the steps' results.
    ChangeType(EventType, &'static [Step]),
}

/// Where a converted parameter comes from.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// This parameter of the event itself.
    Old(u8),
    /// This parameter of the stored enter half.
    Enter(u8),
    /// Not known: length 0.
    Empty,
    /// Zero of the type's width.
    Default,
    /// Container JSON made from the four parameters of the oldest container event.
    Callback,
}

/// What Debian's sysdig 0.29.3 (libs of March 2022) takes of an event type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SysdigForm {
    /// It knows the type, with so many parameters.
    Known(u8),
    /// It knows the call by this older type.
    As(EventType),
    /// It knows the call at most by its portable code, without arguments.
    Call(u16),
    /// Nothing that could be written.
    None,
}

// Event and flag tables hold names such as `PPME_SYSCALL_OPEN_X`; each row is one line, however long.
#[rustfmt::skip]
mod generated {
    use super::{
        Action, Category, Conversion, Direction, DynVariant, EventDef, EventFlags, EventOrigin, FlagTable, ParamDef,
        ParamType, PrintFormat, Step, SyscallDef, SysdigForm,
    };
    use crate::event::EventType;
    include!(concat!(env!("OUT_DIR"), "/tables.rs"));
}

/// `PPME_*` constants, one per row of the event table, to match on.
pub mod ppme {
    pub use super::generated::symbols::*;
}

/// Number of event types in the table; types at or above it are unknown.
pub const EVENT_TYPES: usize = generated::EVENTS.len();

/// Row of an event type; `None` for types newer than the table.
#[inline]
pub fn event(etype: EventType) -> Option<&'static EventDef> {
    generated::EVENTS.get(etype.0 as usize)
}

/// Row of an event type that is known to exist, for tables made at compile time.
pub(crate) const fn event_at(id: usize) -> &'static EventDef {
    &generated::EVENTS[id]
}

/// All rows of the event table in order of their type numbers.
pub fn events() -> impl ExactSizeIterator<Item = (EventType, &'static EventDef)> {
    generated::EVENTS.iter().enumerate().map(|(id, def)| (EventType(id as u16), def))
}

/// All types that `evt.type` shows under this name: enter and exit halves, current and old versions. Calls without
/// an event type of their own are not here: they arrive as [`ppme::PPME_GENERIC_X`] with their syscall code.
pub fn event_types_named(name: &str) -> impl Iterator<Item = EventType> {
    events().filter(move |(_, def)| def.name == name && !def.flags.has(EventFlags::UNUSED)).map(|(etype, _)| etype)
}

/// Row of a portable syscall code (`PPM_SC`).
#[inline]
pub fn syscall(code: u16) -> Option<&'static SyscallDef> {
    generated::SYSCALLS.get(code as usize)
}

/// Row of the call that a generic event (types 0 and 1) stands for: by its portable code, or, where the recorder did
/// not know the call yet and wrote code 0, by the native number beside it. Captures do not say their architecture;
/// like libs we take the number for one of x86-64.
pub fn generic_syscall(code: u16, native: Option<u16>) -> Option<&'static SyscallDef> {
    match native {
        Some(native) if code == 0 => syscalls().iter().find(|row| row.x86_64 == Some(native)).or_else(|| syscall(0)),
        _ => syscall(code),
    }
}

/// All rows of the syscall table in order of their codes.
pub fn syscalls() -> &'static [SyscallDef] {
    &generated::SYSCALLS
}

/// Flag table by name, for example `file_flags`.
pub fn flag_table(name: &str) -> Option<&'static FlagTable> {
    generated::FLAG_TABLES.iter().find(|table| table.name == name)
}

/// All flag tables.
pub fn flag_tables() -> &'static [FlagTable] {
    &generated::FLAG_TABLES
}

/// Conversion rows of an event type, by ascending parameter count; none for types that need no conversion.
#[inline]
pub fn conversions(etype: EventType) -> &'static [Conversion] {
    let bounds = generated::CONVERSION_STARTS.get(etype.0 as usize..).and_then(|starts| starts.first_chunk());
    let Some(&[first, end]) = bounds else { return &[] };
    generated::CONVERSIONS.get(first as usize..end as usize).unwrap_or_default()
}

/// Conversion row for an event of this type with this many parameters.
#[inline]
pub fn conversion(etype: EventType, nparams: usize) -> Option<&'static Conversion> {
    conversions(etype).iter().find(|row| row.nparams as usize == nparams)
}

/// What sysdig 0.29.3 takes of an event type; nothing of types newer than the table.
#[inline]
pub fn sysdig(etype: EventType) -> SysdigForm {
    generated::SYSDIG.get(etype.0 as usize).copied().unwrap_or(SysdigForm::None)
}
