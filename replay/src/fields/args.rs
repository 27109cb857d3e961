//! Parameters as text: `evt.args`, `evt.arg.NAME`, `evt.arg[n]`.
//!
//! A parameter has a raw text (`3`) and often a resolved one (`<f>/etc/passwd`). `evt.arg` shows the resolved text
//! where there is one, `evt.args` shows both.

use std::borrow::Cow;
use std::io::Write as _;

use casebook_formats::event::Event;
use casebook_formats::tables::{self, FlagTable, ParamDef, ParamType, PrintFormat, ppme};

use super::{address, names, params, path, print};
use crate::context::EventContext;
use crate::state::flags::AT_FDCWD;

/// Shown for a parameter that is not known.
const UNKNOWN: &[u8] = b"<NA>";

/// Encodings whose unknown values show as `NULL`, because they could be empty before emptiness meant *not known*.
fn unknown_text(ty: ParamType) -> &'static [u8] {
    match ty {
        ParamType::Bytebuf
        | ParamType::Socktuple
        | ParamType::Fdlist
        | ParamType::CharbufArray
        | ParamType::CharbufPairArray
        | ParamType::Dyn => b"NULL",
        _ => UNKNOWN,
    }
}

/// One value to print: a parameter, or what a DYN parameter holds.
#[derive(Clone, Copy)]
struct Shown<'e> {
    ty: ParamType,
    format: PrintFormat,
    table: Option<&'static FlagTable>,
    value: &'e [u8],
}

/// What to print for a parameter; `None` when it is not known or makes no sense.
fn shown<'e>(event: &'e Event<'_>, index: usize, param: &'static ParamDef) -> Option<Shown<'e>> {
    let value = event.param(index)?;
    let plain = Shown { ty: param.ty, format: param.format, table: param.table, value };
    if param.ty != ParamType::Dyn {
        return Some(plain);
    }
    let (&variant, value) = value.split_first()?;
    let variant = param.variants.get(usize::from(variant))?;
    // libs prints a variant in the format of the parameter, not of the variant.
    Some(Shown { ty: variant.ty, value, ..plain })
}

/// `name=raw(resolved)` of all parameters, joined by blanks; empty for generic events, whose parameters are internal.
pub(crate) fn all<'e>(context: &'e EventContext<'_>) -> Cow<'e, [u8]> {
    let event = context.event;
    let Some(def) = params::def(event).filter(|_| event.etype != ppme::PPME_GENERIC_X) else {
        return Cow::Borrowed(b"");
    };
    let mut out = Vec::with_capacity(128);
    for (index, param) in def.params.iter().enumerate().take(event.ranges.len()) {
        if index > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(param.name.as_bytes());
        out.push(b'=');
        out.extend_from_slice(&raw(context, index, param));
        let resolved = resolved(context, index, param);
        if !resolved.is_empty() {
            out.push(b'(');
            out.extend_from_slice(&resolved);
            out.push(b')');
        }
    }
    Cow::Owned(out)
}

/// One parameter: its resolved text, else its raw one; `None` when the event does not carry it.
pub(crate) fn one<'e>(context: &'e EventContext<'_>, index: usize) -> Option<Cow<'e, [u8]>> {
    let param = params::param(context.event, index)?;
    let resolved = resolved(context, index, param);
    Some(if resolved.is_empty() { raw(context, index, param) } else { resolved })
}

/// The raw text.
fn raw<'e>(context: &'e EventContext<'_>, index: usize, param: &'static ParamDef) -> Cow<'e, [u8]> {
    let event = context.event;
    let Some(shown) = shown(event, index, param) else {
        return Cow::Borrowed(unknown_text(param.ty));
    };
    let value = shown.value;
    let printed = match shown.ty {
        ParamType::Charbuf => return Cow::Borrowed(c_text(value)),
        ParamType::Fspath | ParamType::Fsrelpath => {
            return event.text(index).map_or(Cow::Borrowed(UNKNOWN), address::sanitized);
        }
        ParamType::Bytebuf => return Cow::Owned(dots(value)),
        ParamType::Sockaddr => return address::sockaddr(value),
        ParamType::Socktuple => return Cow::Owned(address::socktuple(value)),
        ParamType::Fdlist => return Cow::Owned(fd_list(context, value)),
        ParamType::Sigset => return Cow::Owned(signal_set(value)),
        ParamType::Reltime if value == [u8::MAX; 8] => return Cow::Borrowed(b"none"),
        ParamType::Abstime => unsigned(value).map(|ns| print::datetime(ns, true) + " +0000"),
        ParamType::Uid | ParamType::Gid | ParamType::Int8 | ParamType::Int16 | ParamType::Int32 | ParamType::Int64 => {
            signed(value).map(|number| number_text(number, value.len(), shown.format))
        }
        // Prints as signed, which is what libs does with these two widths.
        ParamType::Uint32 | ParamType::Uint64 | ParamType::Mode => {
            signed(value).map(|number| number_text(number, value.len(), shown.format))
        }
        ParamType::Uint8 | ParamType::Uint16 => {
            unsigned(value).map(|number| number_text(number as i64, value.len(), shown.format))
        }
        ParamType::Errno | ParamType::Fd | ParamType::Fd32 | ParamType::Pid | ParamType::Pid32 => {
            signed(value).map(|number| number.to_string())
        }
        ParamType::SyscallId
        | ParamType::Sigtype
        | ParamType::Reltime
        | ParamType::Port
        | ParamType::L4Proto
        | ParamType::SockFamily
        | ParamType::Flags8
        | ParamType::Flags16
        | ParamType::Flags32
        | ParamType::Enumflags8
        | ParamType::Enumflags16
        | ParamType::Enumflags32 => unsigned(value).map(|number| number.to_string()),
        ParamType::Bool => unsigned(value).map(|number| (number != 0).to_string()),
        ParamType::Ipv4Addr | ParamType::Ipv6Addr | ParamType::IpAddr => address::ip(value).map(|ip| ip.to_string()),
        // Used by no event, or pointers of the process that recorded.
        ParamType::Double
        | ParamType::Dyn
        | ParamType::CharbufArray
        | ParamType::CharbufPairArray
        | ParamType::Ipv4Net
        | ParamType::Ipv6Net
        | ParamType::IpNet => None,
    };
    printed.map_or(Cow::Borrowed(UNKNOWN), |printed| Cow::Owned(printed.into_bytes()))
}

/// The resolved text; empty where there is none.
fn resolved<'e>(context: &'e EventContext<'_>, index: usize, param: &'static ParamDef) -> Cow<'e, [u8]> {
    let none = Cow::Borrowed(&b""[..]);
    let Some(shown) = shown(context.event, index, param) else { return none };
    let value = shown.value;
    match shown.ty {
        ParamType::Fd | ParamType::Fd32 => signed(value).map_or(none, |fd| descriptor(context, fd)),
        ParamType::Pid | ParamType::Pid32 => match signed(value).and_then(|tid| context.state.thread(tid)) {
            Some(thread) => Cow::Borrowed(&thread.comm),
            None => none,
        },
        ParamType::Errno => match signed(value).filter(|&result| result < 0).and_then(names::errno) {
            Some(name) => Cow::Borrowed(name.as_bytes()),
            None => none,
        },
        ParamType::Fspath | ParamType::Fsrelpath => absolute_path(context, index, param).map_or(none, Cow::Owned),
        ParamType::SyscallId => match unsigned(value).and_then(|code| tables::syscall(code as u16)) {
            Some(call) => Cow::Borrowed(call.name.as_bytes()),
            None => none,
        },
        ParamType::Sigtype => match value.first().and_then(|&number| names::signal(number)) {
            Some(name) => Cow::Borrowed(name.as_bytes()),
            None => none,
        },
        ParamType::Reltime => match unsigned(value).filter(|&ns| ns != u64::MAX) {
            Some(ns) => Cow::Owned((print::general(ns as f64 / 1e9) + "s").into_bytes()),
            None => none,
        },
        ParamType::Flags8 | ParamType::Flags16 | ParamType::Flags32 => flag_names(shown, flags),
        ParamType::Enumflags8 | ParamType::Enumflags16 | ParamType::Enumflags32 => flag_names(shown, enumeration),
        ParamType::Mode => flag_names(shown, mode),
        ParamType::Uid => {
            identity(context, value, |container, uid| context.state.user(container, uid).map(|user| user.name.as_ref()))
        }
        ParamType::Gid => identity(context, value, |container, gid| {
            context.state.group(container, gid).map(|group| group.name.as_ref())
        }),
        _ => none,
    }
}

fn signed(value: &[u8]) -> Option<i64> {
    Some(match value.len() {
        1 => i64::from(value[0] as i8),
        2 => i64::from(i16::from_le_bytes(value.try_into().ok()?)),
        4 => i64::from(i32::from_le_bytes(value.try_into().ok()?)),
        8 => i64::from_le_bytes(value.try_into().ok()?),
        _ => return None,
    })
}

fn unsigned(value: &[u8]) -> Option<u64> {
    let number = signed(value)?;
    Some(if value.len() == 8 { number as u64 } else { number as u64 & ((1 << (8 * value.len())) - 1) })
}

/// A number in its print format. Negative numbers below 32 bits show their 32-bit form in hexadecimal and octal.
fn number_text(number: i64, width: usize, format: PrintFormat) -> String {
    let bits = if width == 8 { number as u64 } else { u64::from(number as u32) };
    match format {
        PrintFormat::Oct if bits == 0 => "0".to_owned(),
        PrintFormat::Oct => format!("0{bits:o}"),
        PrintFormat::Hex => format!("{bits:X}"),
        PrintFormat::PaddedDec => format!("{number:09}"),
        PrintFormat::Na | PrintFormat::Dec | PrintFormat::Id | PrintFormat::Dir => number.to_string(),
    }
}

/// Text up to its NUL; the old marker for a null pointer is unknown.
fn c_text(value: &[u8]) -> &[u8] {
    let text = value.split(|&byte| byte == 0).next().unwrap_or(value);
    if text == b"(NULL)" { UNKNOWN } else { text }
}

/// Bytes with everything unprintable as dots.
fn dots(value: &[u8]) -> Vec<u8> {
    value.iter().map(|&byte| if (b' '..=b'~').contains(&byte) { byte } else { b'.' }).collect()
}

/// `<type>name` of an open descriptor, `AT_FDCWD`, or the error that a negative number is.
fn descriptor<'e>(context: &'e EventContext<'_>, fd: i64) -> Cow<'e, [u8]> {
    let Some(thread) = context.thread else { return Cow::Borrowed(b"") };
    if fd == AT_FDCWD {
        return Cow::Borrowed(b"AT_FDCWD");
    }
    if fd < 0 {
        return Cow::Borrowed(names::errno(fd).unwrap_or_default().as_bytes());
    }
    let Some(record) = context.state.fd(thread, fd) else { return Cow::Borrowed(b"") };
    let mut out = vec![b'<', super::fd::type_char(record.kind)];
    out.extend(super::fd::protocol_char(record));
    out.push(b'>');
    out.extend_from_slice(&address::sanitized(&record.name));
    Cow::Owned(out)
}

/// A relative path made absolute; `None` for absolute and for unknown ones.
fn absolute_path(context: &EventContext<'_>, index: usize, param: &ParamDef) -> Option<Vec<u8>> {
    let given = context.event.text(index)?;
    if given.is_empty() || given.starts_with(b"/") {
        return None;
    }
    let base = base_directory(context, param)?;
    let joined = path::join(base, given);
    Some(address::sanitized(&joined).into_owned())
}

/// Directory that a path parameter is relative to: its directory descriptor's, else the working directory.
fn base_directory<'e>(context: &'e EventContext<'_>, param: &ParamDef) -> Option<&'e [u8]> {
    let thread = context.thread?;
    let cwd = || context.state.cwd(thread).unwrap_or_default();
    Some(match param.dirfd.and_then(|at| context.event.i64(usize::from(at))) {
        None | Some(AT_FDCWD) => cwd(),
        Some(dirfd) => context.state.fd(thread, dirfd).map_or(&b""[..], |record| record.name.as_ref()),
    })
}

/// `number:type flags` of each entry, joined by blanks; `?` for descriptors of which no open was seen.
fn fd_list(context: &EventContext<'_>, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (fd, flags) in params::fd_list(value) {
        let record = context.thread.and_then(|thread| context.state.fd(thread, fd));
        let kind = record.map_or('?', |record| char::from(super::fd::type_char(record.kind)));
        if !out.is_empty() {
            out.push(b' ');
        }
        // Writing to a vector does not fail.
        let _ = write!(out, "{fd}:{kind}{:x}", i32::from(flags));
    }
    out
}

fn signal_set(value: &[u8]) -> Vec<u8> {
    let set = unsigned(value).unwrap_or(0);
    let names: Vec<&str> =
        (0..32u8).filter(|bit| set & (1 << bit) != 0).filter_map(|bit| names::signal(bit + 1)).collect();
    names.join(" ").into_bytes()
}

/// Name of a user or group as the thread's container knows it.
fn identity<'e>(
    context: &'e EventContext<'_>,
    value: &[u8],
    name_of: impl Fn(&[u8], u32) -> Option<&'e [u8]>,
) -> Cow<'e, [u8]> {
    let Some(id) = unsigned(value) else { return Cow::Borrowed(b"") };
    if id as u32 == u32::MAX {
        return Cow::Borrowed(b"<NONE>");
    }
    let container = context.thread.map_or(&b""[..], |thread| thread.container_id.as_ref());
    let name = name_of(container, id as u32).filter(|name| !name.is_empty());
    name.map_or(Cow::Borrowed(UNKNOWN), address::sanitized)
}

/// Names of a flag value, joined by bars.
fn flag_names(shown: Shown<'_>, choose: fn(&FlagTable, u32) -> Vec<&'static str>) -> Cow<'static, [u8]> {
    let (Some(table), Some(value)) = (shown.table, unsigned(shown.value)) else { return Cow::Borrowed(b"") };
    let names = choose(table, value as u32);
    match names[..] {
        [] => Cow::Borrowed(b""),
        [name] => Cow::Borrowed(name.as_bytes()),
        _ => Cow::Owned(names.join("|").into_bytes()),
    }
}

/// Bit set: each entry whose bits are all set takes them away; an entry that is the whole value ends the walk. A
/// zero entry names only zero.
fn flags(table: &FlagTable, value: u32) -> Vec<&'static str> {
    let mut left = value;
    let mut names = Vec::new();
    for &(name, flag) in table.entries {
        let matches = if flag == 0 { value == 0 } else { left & flag == flag };
        if matches {
            names.push(name);
            left &= !flag;
            if flag == value {
                break;
            }
        }
    }
    names
}

/// Enumeration: every entry of exactly this value.
fn enumeration(table: &FlagTable, value: u32) -> Vec<&'static str> {
    table.entries.iter().filter(|(_, known)| *known == value).map(|(name, _)| *name).collect()
}

/// Permission bits: as [`flags`], but the entry that is the whole value is named after those before it.
fn mode(table: &FlagTable, value: u32) -> Vec<&'static str> {
    let mut left = value;
    let mut names = Vec::new();
    for &(name, bits) in table.entries {
        if bits == value {
            names.push(name);
            break;
        }
        if bits != 0 && left & bits == bits {
            names.push(name);
            left &= !bits;
        }
    }
    names
}
