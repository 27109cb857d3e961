//! Parameters of events: by name, and as numbers and bytes. Their texts are made in [`super::args`].

use std::sync::LazyLock;

use casebook_formats::event::{Event, EventType};
use casebook_formats::tables::{self, Direction, EventDef, EventOrigin, ParamDef, ParamType, ppme};
use casebook_rules::value::Value;

/// Marks a parameter name that an event type does not have.
const NO_PARAM: u8 = u8::MAX;

/// All parameter names, and where each event type has them.
pub(crate) struct ParamNames {
    names: Vec<&'static str>,
    /// `positions[etype * names.len() + name]`.
    positions: Vec<u8>,
}

static NAMES: LazyLock<ParamNames> = LazyLock::new(|| {
    let mut names: Vec<&'static str> =
        tables::events().flat_map(|(_, def)| def.params.iter().map(|param| param.name)).collect();
    names.sort_unstable();
    names.dedup();
    let mut positions = vec![NO_PARAM; tables::EVENT_TYPES * names.len()];
    for (etype, def) in tables::events() {
        // Backwards, so that the first of two equal names stays.
        for (at, param) in def.params.iter().enumerate().rev() {
            if let Ok(name) = names.binary_search(&param.name) {
                positions[usize::from(etype.0) * names.len() + name] = at as u8;
            }
        }
    }
    ParamNames { names, positions }
});

impl ParamNames {
    /// The table, made on first use.
    pub(crate) fn get() -> &'static Self {
        &NAMES
    }

    /// Number of a name.
    pub(crate) fn number(&self, name: &str) -> Option<u32> {
        self.names.binary_search(&name).ok().map(|at| at as u32)
    }

    /// Position of the name with this number among the parameters of an event type.
    #[inline]
    pub(crate) fn position(&self, etype: EventType, number: u32) -> Option<usize> {
        let at = usize::from(etype.0) * self.names.len() + number as usize;
        self.positions.get(at).filter(|&&position| position != NO_PARAM).map(|&position| usize::from(position))
    }
}

/// The first parameter of this name in the order of the event table: its type is that of `evt.rawarg.NAME`.
pub(crate) fn first_named(name: &str) -> Option<&'static ParamDef> {
    tables::events().flat_map(|(_, def)| def.params).find(|param| param.name == name)
}

/// Row of an event's type. The reader only delivers types of the table.
#[inline]
pub(crate) fn def(event: &Event<'_>) -> Option<&'static EventDef> {
    tables::event(event.etype)
}

/// Definition of a parameter that the event carries.
pub(crate) fn param(event: &Event<'_>, index: usize) -> Option<&'static ParamDef> {
    if index < event.ranges.len() { def(event)?.params.get(index) } else { None }
}

/// Position of a parameter by name, when the event carries it.
pub(crate) fn position(event: &Event<'_>, name: &str) -> Option<usize> {
    let names = ParamNames::get();
    names.position(event.etype, names.number(name)?).filter(|&at| at < event.ranges.len())
}

/// Both halves of system calls, generic ones included.
pub(crate) fn is_syscall(etype: u16) -> bool {
    tables::event(EventType(etype)).is_some_and(|def| def.origin == EventOrigin::Syscall)
}

/// Result of the call: first parameter of exit events of system calls, 32 or 64 bits wide; `None` where the event
/// has none or it is not known.
pub(crate) fn result(event: &Event<'_>) -> Option<i64> {
    let def = def(event)?;
    // The first parameter of a generic event is its code; 16 bits, so it would not pass for a result either.
    if def.dir != Direction::Exit || def.origin != EventOrigin::Syscall || event.etype == ppme::PPME_GENERIC_X {
        return None;
    }
    match event.param(0)?.len() {
        4 | 8 => event.i64(0),
        _ => None,
    }
}

/// A parameter with its own type (`evt.rawarg.NAME`).
pub(crate) fn raw<'e>(event: &'e Event<'_>, index: usize) -> Option<Value<'e>> {
    let param = param(event, index)?;
    let bytes = event.param(index)?;
    Some(match param.ty {
        ParamType::Int8
        | ParamType::Int16
        | ParamType::Int32
        | ParamType::Int64
        | ParamType::Errno
        | ParamType::Fd
        | ParamType::Fd32
        | ParamType::Pid
        | ParamType::Pid32 => Value::I64(event.i64(index)?),
        ParamType::Charbuf | ParamType::Fspath | ParamType::Fsrelpath => {
            Value::text(event.text(index).unwrap_or(b"<NA>"))
        }
        ParamType::Bool => Value::Bool(event.u64(index)? != 0),
        ParamType::Double => Value::Double(f64::from_le_bytes(bytes.try_into().ok()?)),
        ParamType::Ipv4Addr | ParamType::Ipv6Addr | ParamType::IpAddr => Value::Ip(super::address::ip(bytes)?),
        ParamType::Bytebuf
        | ParamType::Sockaddr
        | ParamType::Socktuple
        | ParamType::Fdlist
        | ParamType::Dyn
        | ParamType::CharbufArray
        | ParamType::CharbufPairArray
        | ParamType::Ipv4Net
        | ParamType::Ipv6Net
        | ParamType::IpNet => Value::Bytes(bytes.into()),
        ParamType::Uint8
        | ParamType::Uint16
        | ParamType::Uint32
        | ParamType::Uint64
        | ParamType::SyscallId
        | ParamType::Sigtype
        | ParamType::Reltime
        | ParamType::Abstime
        | ParamType::Port
        | ParamType::L4Proto
        | ParamType::SockFamily
        | ParamType::Flags8
        | ParamType::Flags16
        | ParamType::Flags32
        | ParamType::Uid
        | ParamType::Gid
        | ParamType::Sigset
        | ParamType::Mode
        | ParamType::Enumflags8
        | ParamType::Enumflags16
        | ParamType::Enumflags32 => Value::U64(event.u64(index)?),
    })
}

/// Number of descriptor and poll flags of each entry of an FDLIST parameter, as far as whole entries are there.
pub(crate) fn fd_list(value: &[u8]) -> impl Iterator<Item = (i64, i16)> {
    let (head, rest) = value.split_at(value.len().min(2));
    let count = head.try_into().map_or(0, u16::from_le_bytes);
    rest.chunks_exact(10).take(usize::from(count)).map(|entry| {
        let (fd, flags) = entry.split_at(8);
        (fd.try_into().map_or(0, i64::from_le_bytes), flags.try_into().map_or(0, i16::from_le_bytes))
    })
}
