//! Parameters as text: `evt.args`, `evt.arg.NAME`, `evt.arg[n]`.
//!
//! A parameter has a raw text (`3`) and often a resolved one (`<f>/etc/passwd`). `evt.arg` shows the resolved text
//! where there is one, `evt.args` shows both.

mod flags;

use std::borrow::Cow;
use std::io::Write as _;

use casebook_formats::event::Event;
use casebook_formats::tables::{self, FlagTable, ParamDef, ParamType, PrintFormat, ppme};

use super::{address, names, params, path, print, user};
use crate::context::EventContext;
use crate::state::FdKind;
use crate::state::flags::AT_FDCWD;
pub(crate) use flags::flags;

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

/// A number from which the text of [`one`] follows, for flags: whose parameter it is, and its value.
pub(super) fn number_behind(event: &Event<'_>, index: usize) -> Option<u64> {
    if !is_named_number(event, index) {
        return None;
    }
    let value = unsigned(event.param(index)?).filter(|&value| value < 1 << 40)?;
    Some(u64::from(event.etype.0) << 48 | u64::from(index as u8) << 40 | value)
}

/// Whether the text of [`one`] follows from the parameter's own number: flags, whose names it is.
pub(super) fn is_named_number(event: &Event<'_>, index: usize) -> bool {
    let param = params::def(event).and_then(|def| def.params.get(index));
    param.is_some_and(|param| {
        matches!(
            param.ty,
            ParamType::Flags8
                | ParamType::Flags16
                | ParamType::Flags32
                | ParamType::Enumflags8
                | ParamType::Enumflags16
                | ParamType::Enumflags32
        )
    })
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
        // Only some commands of bpf return a descriptor; the state knows which.
        ParamType::Fd if context.event.etype == ppme::PPME_SYSCALL_BPF_2_X && context.fd.is_none() => {
            signed(value).filter(|&fd| fd < 0).map_or(none, |error| descriptor(context, error))
        }
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
        ParamType::Flags8 | ParamType::Flags16 | ParamType::Flags32 => flags::names(shown, flags),
        ParamType::Enumflags8 | ParamType::Enumflags16 | ParamType::Enumflags32 => {
            flags::names(shown, flags::enumeration)
        }
        ParamType::Mode => flags::names(shown, flags::mode),
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
    let text = memchr::memchr(0, value).map_or(value, |end| &value[..end]);
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
    let Some(record) = context.state.fd(thread, fd).filter(|record| record.kind != FdKind::Unknown) else {
        return Cow::Borrowed(b"");
    };
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
        // Writing to a vector does not fail. Numbers of descriptors are unsigned here, as in libs.
        let _ = write!(out, "{}:{kind}{:x}", fd as u64, i32::from(flags));
    }
    out
}

fn signal_set(value: &[u8]) -> Vec<u8> {
    let set = unsigned(value).unwrap_or(0);
    let names: Vec<&str> =
        (0..32u8).filter(|bit| set & (1 << bit) != 0).filter_map(|bit| names::signal(bit + 1)).collect();
    names.join(" ").into_bytes()
}

/// Name of a user or group as the thread's container knows it; 0 is root on the host, while in a container Falco has no
/// name for it here (though `user.name` says root).
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
    match name {
        Some(name) => address::sanitized(name),
        None if id == 0 && container.is_empty() => Cow::Borrowed(user::ROOT),
        None => Cow::Borrowed(UNKNOWN),
    }
}

#[cfg(test)]
mod tests {
    use casebook_formats::event::EventType;
    use casebook_formats::tables::ppme;

    use super::super::sample::{Sample, state};

    /// An event whose parameter `index` has this value, the ones before it unknown: its texts for `evt.args` and
    /// `evt.arg[index]`.
    fn printed(etype: EventType, index: usize, value: &[u8]) -> (String, String) {
        let sample = Sample::new(etype).unknown(index).with(value);
        let texts = sample.on(&mut state(), &["evt.args", &format!("evt.arg[{index}]")]);
        let all = texts[0].clone().unwrap_or_default();
        // The parameter wanted is the last one; those before it are unknown and hold no blank.
        let start = all.match_indices(' ').map(|(at, _)| at + 1).nth(index.wrapping_sub(1)).unwrap_or(0);
        (all[start..].to_owned(), texts[1].clone().unwrap_or_default())
    }

    #[test]
    fn every_encoding_prints_as_libs_prints_it() {
        let mut poll = 2u16.to_le_bytes().to_vec();
        for (fd, flags) in [(0i64, 1i16), (99, -1)] {
            poll.extend(fd.to_le_bytes());
            poll.extend(flags.to_le_bytes());
        }
        let i64s = |number: i64| number.to_le_bytes().to_vec();
        let u32s = |number: u32| number.to_le_bytes().to_vec();
        #[rustfmt::skip]
        let cases: Vec<(EventType, usize, Vec<u8>, &str, &str)> = vec![
            // FD: number and open descriptor, no record, error, AT_FDCWD.
            (ppme::PPME_SYSCALL_FCNTL_X, 1, i64s(0), "fd=0(<f>/dev/pts/0)", "<f>/dev/pts/0"),
            (ppme::PPME_SYSCALL_FCNTL_X, 1, i64s(77), "fd=77", "77"),
            (ppme::PPME_SYSCALL_FCNTL_X, 1, i64s(-9), "fd=-9(EBADF)", "EBADF"),
            (ppme::PPME_SYSCALL_OPENAT_2_X, 1, i64s(-100), "dirfd=-100(AT_FDCWD)", "AT_FDCWD"),
            (ppme::PPME_SYSCALL_READ_X, 0, i64s(-11), "res=-11(EAGAIN)", "EAGAIN"),
            (ppme::PPME_SYSCALL_READ_X, 0, i64s(80), "res=80", "80"),
            (ppme::PPME_SYSCALL_READ_X, 1, b"GET /\r\n\xff".to_vec(), "data=GET /...", "GET /..."),
            (ppme::PPME_SYSCALL_READ_X, 1, vec![], "data=NULL", "NULL"),
            (ppme::PPME_SYSCALL_READ_X, 3, vec![], "size=<NA>", "<NA>"),
            // UINT32 and UINT64 in decimal come out signed.
            (ppme::PPME_SYSCALL_READ_X, 3, u32s(u32::MAX), "size=-1", "-1"),
            (ppme::PPME_SYSCALL_MMAP_X, 5, vec![0xff; 8], "length=-1", "-1"),
            (ppme::PPME_SYSCALL_MMAP_X, 4, vec![0xff; 8], "addr=FFFFFFFFFFFFFFFF", "FFFFFFFFFFFFFFFF"),
            (ppme::PPME_SOCKET_ACCEPT4_6_X, 5, u32s(0x1040), "flags=1040", "1040"),
            (ppme::PPME_SOCKET_ACCEPT4_6_X, 2, vec![200], "queuepct=200", "200"),
            // Octal has C's leading zero, and zero has none.
            (ppme::PPME_SYSCALL_OPEN_X, 3, u32s(0o600), "mode=0600", "0600"),
            (ppme::PPME_SYSCALL_OPEN_X, 3, u32s(0), "mode=0", "0"),
            // FLAGS: in table order, read-write not repeated as its halves; zero has its own name.
            (ppme::PPME_SYSCALL_OPEN_X, 2, u32s(0x1003), "flags=4099(O_RDWR|O_CLOEXEC)", "O_RDWR|O_CLOEXEC"),
            (ppme::PPME_SYSCALL_OPEN_X, 2, u32s(0), "flags=0(O_NONE)", "O_NONE"),
            // ENUMFLAGS: every name of the value.
            (ppme::PPME_SOCKET_SOCKET_X, 1, u32s(1), "domain=1(AF_LOCAL|AF_UNIX)", "AF_LOCAL|AF_UNIX"),
            (ppme::PPME_SOCKET_SOCKET_X, 1, u32s(4711), "domain=4711", "4711"),
            (ppme::PPME_SYSCALL_CHMOD_X, 2, u32s(0o640), "mode=0640(S_IRGRP|S_IWUSR|S_IRUSR)", "S_IRGRP|S_IWUSR|S_IRUSR"),
            (ppme::PPME_SYSCALL_KILL_X, 1, i64s(50), "pid=50(sshd)", "sshd"),
            (ppme::PPME_SYSCALL_KILL_X, 1, i64s(51), "pid=51", "51"),
            (ppme::PPME_SYSCALL_KILL_X, 2, vec![9], "sig=9(SIGKILL)", "SIGKILL"),
            (ppme::PPME_SYSCALL_KILL_X, 2, vec![0], "sig=0", "0"),
            (ppme::PPME_SYSCALL_NANOSLEEP_X, 1, 36_500_000u64.to_le_bytes().to_vec(), "interval=36500000(0.0365s)", "0.0365s"),
            (ppme::PPME_SYSCALL_NANOSLEEP_X, 1, vec![0xff; 8], "interval=none", "none"),
            (ppme::PPME_SYSCALL_POLL_X, 1, poll, "fds=0:f1 99:?ffffffff", "0:f1 99:?ffffffff"),
            (ppme::PPME_SYSCALL_PPOLL_X, 3, u32s(0b101), "sigmask=SIGHUP SIGQUIT", "SIGHUP SIGQUIT"),
            (ppme::PPME_SYSCALL_SETUID_X, 1, u32s(1000), "uid=1000(alice)", "alice"),
            (ppme::PPME_SYSCALL_SETUID_X, 1, u32s(4), "uid=4(<NA>)", "<NA>"),
            (ppme::PPME_SYSCALL_SETUID_X, 1, u32s(0), "uid=0(root)", "root"),
            (ppme::PPME_SYSCALL_SETUID_X, 1, u32s(u32::MAX), "uid=-1(<NONE>)", "<NONE>"),
            (ppme::PPME_SYSCALL_SETGID_X, 1, u32s(1000), "gid=1000(staff)", "staff"),
            (ppme::PPME_SYSCALL_EXECVE_19_X, 24, 1_588_262_409_999_999_999u64.to_le_bytes().to_vec(),
                "exe_ino_ctime=2020-04-30 16:00:09.999999999 +0000", "2020-04-30 16:00:09.999999999 +0000"),
            (ppme::PPME_SYSCALL_EXECVE_19_X, 1, b"sh\0".to_vec(), "exe=sh", "sh"),
            (ppme::PPME_SYSCALL_EXECVE_19_X, 1, b"(NULL)\0".to_vec(), "exe=<NA>", "<NA>"),
            // FSPATH: relative to the working directory; FSRELPATH: to its descriptor.
            (ppme::PPME_SYSCALL_OPEN_X, 1, b"a/../b\0".to_vec(), "name=a/../b(/in/b)", "/in/b"),
            (ppme::PPME_SYSCALL_OPEN_X, 1, b"/etc/passwd\0".to_vec(), "name=/etc/passwd", "/etc/passwd"),
            (ppme::PPME_SYSCALL_OPEN_X, 1, b"\0".to_vec(), "name=", ""),
            (ppme::PPME_SOCKET_BIND_X, 1, vec![2, 0, 0, 0, 0, 80, 0], "addr=0.0.0.0:80", "0.0.0.0:80"),
            (ppme::PPME_SOCKET_CONNECT_X, 1, vec![], "tuple=NULL", "NULL"),
            // DYN: what the first byte says, in the format of the parameter.
            (ppme::PPME_SYSCALL_PTRACE_X, 2, vec![0, 0x10, 0, 0, 0, 0, 0, 0, 0], "data=10", "10"),
            (ppme::PPME_SYSCALL_PTRACE_X, 2, vec![1, 9], "data=9(SIGKILL)", "SIGKILL"),
            (ppme::PPME_SYSCALL_PTRACE_X, 2, vec![9, 9], "data=NULL", "NULL"),
            // Widths that do not fit the type are unknown, not a crash.
            (ppme::PPME_SYSCALL_READ_X, 3, vec![1, 2, 3], "size=<NA>", "<NA>"),
        ];
        for (etype, index, value, all, one) in cases {
            assert_eq!(printed(etype, index, &value), (all.to_owned(), one.to_owned()), "{etype:?}[{index}] {value:?}");
        }
    }

    #[test]
    fn relative_paths_start_at_their_descriptor() {
        // openat(3, "x/y"), 3 being /srv; and with a descriptor that nothing introduced.
        let openat =
            |dirfd: i64| Sample::new(ppme::PPME_SYSCALL_OPENAT_2_X).unknown(1).with(dirfd.to_le_bytes()).with(b"x/y\0");
        assert_eq!(openat(3).one_on(&mut state(), "evt.arg.name").as_deref(), Some("/srv/x/y"));
        assert_eq!(openat(-100).one_on(&mut state(), "evt.arg.name").as_deref(), Some("/in/x/y"));
        assert_eq!(openat(44).one_on(&mut state(), "evt.arg.name").as_deref(), Some("x/y"));
    }

    #[test]
    fn results_of_bpf_are_descriptors_for_some_commands_only() {
        let bpf = |result: i64, command: u32| {
            let event = Sample::new(ppme::PPME_SYSCALL_BPF_2_X).with(result.to_le_bytes()).with(command.to_le_bytes());
            event.one_on(&mut state(), "evt.args").unwrap_or_default()
        };
        assert_eq!(bpf(0, 1), "fd=0 cmd=1(BPF_MAP_LOOKUP_ELEM)", "0 is success here, not standard input");
        assert_eq!(bpf(-2, 1), "fd=-2(ENOENT) cmd=1(BPF_MAP_LOOKUP_ELEM)");
        assert_eq!(bpf(9, 0), "fd=9(<b>) cmd=0(BPF_MAP_CREATE)");
    }

    #[test]
    fn generic_events_show_no_parameters() {
        let generic = Sample::new(ppme::PPME_GENERIC_X).with(61u16.to_le_bytes()).with(0u16.to_le_bytes());
        assert_eq!(generic.alone("evt.args").as_deref(), Some(""));
    }
}
