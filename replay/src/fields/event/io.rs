//! What a call moved through its descriptor, in which direction, and what its error is about.

use casebook_formats::event::{Event, EventType};
use casebook_formats::tables::{Category, EventFlags, ParamType, ppme};

use super::super::params;
use super::has;
use crate::context::EventContext;
use crate::state::{Fd, FdKind};

/// Bytes moved by an I/O event. libs prints memory of an earlier event where the capture holds none; here the field
/// is absent then.
pub(super) fn buffer<'e>(event: &'e Event<'_>) -> Option<&'e [u8]> {
    let at = params::position(event, "data")?;
    // `data` of ptrace is a number.
    params::param(event, at).filter(|param| param.ty == ParamType::Bytebuf)?;
    event.param(at)
}

pub(super) fn io_direction(event: &Event<'_>) -> Option<&'static str> {
    if has(event, EventFlags::WRITES_TO_FD) {
        Some("write")
    } else if has(event, EventFlags::READS_FROM_FD) {
        Some("read")
    } else {
        None
    }
}

pub(super) fn error_count(event: &Event<'_>) -> Option<u64> {
    params::result(event).map(|result| u64::from(result < 0))
}

/// What an error is about, as `evt.count.error.*` tell apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ErrorKind {
    File,
    Net,
    Memory,
    Other,
}

/// 1 or 0 when an error of this event would be of this kind.
pub(super) fn error_of(context: &EventContext<'_>, kind: ErrorKind) -> Option<u64> {
    let memory = params::def(context.event).is_some_and(|def| def.category == Category::Memory);
    let actual = match context.fd {
        Some(fd) if is_file(fd) || fd.kind == FdKind::Directory => ErrorKind::File,
        Some(fd) if is_internet(fd) || fd.kind == FdKind::Unix => ErrorKind::Net,
        Some(_) => ErrorKind::Other,
        None if is_open(context.event.etype) => ErrorKind::File,
        None if is_connection(context.event.etype) => ErrorKind::Net,
        None if memory => ErrorKind::Memory,
        None => ErrorKind::Other,
    };
    // Errors of memory calls also count where the call has a file descriptor.
    if actual == kind || (kind == ErrorKind::Memory && memory) { error_count(context.event) } else { None }
}

fn is_open(etype: EventType) -> bool {
    matches!(
        etype,
        ppme::PPME_SYSCALL_OPEN_X
            | ppme::PPME_SYSCALL_CREAT_X
            | ppme::PPME_SYSCALL_OPENAT_2_X
            | ppme::PPME_SYSCALL_OPENAT2_X
            | ppme::PPME_SYSCALL_OPEN_BY_HANDLE_AT_X
    )
}

fn is_connection(etype: EventType) -> bool {
    matches!(etype, ppme::PPME_SOCKET_ACCEPT_5_X | ppme::PPME_SOCKET_ACCEPT4_6_X | ppme::PPME_SOCKET_CONNECT_X)
}

pub(super) fn is_file(fd: &Fd) -> bool {
    fd.kind == FdKind::File
}

pub(super) fn is_internet(fd: &Fd) -> bool {
    matches!(fd.kind, FdKind::Ipv4 | FdKind::Ipv6 | FdKind::Ipv4Server | FdKind::Ipv6Server)
}

/// Bytes moved: the result of an I/O event on a known descriptor.
pub(super) fn io_length(context: &EventContext<'_>, wanted: Option<Category>, test: fn(&Fd) -> bool) -> Option<u64> {
    let category = params::def(context.event)?.category;
    let fits = match wanted {
        Some(wanted) => category == wanted,
        None => matches!(category, Category::IoRead | Category::IoWrite | Category::IoOther),
    };
    context.fd.filter(|fd| fits && test(fd))?;
    u64::try_from(params::result(context.event)?).ok()
}

#[cfg(test)]
mod tests {
    use super::super::super::sample::{Sample, state};
    use super::*;

    #[test]
    fn buffers_and_raw_arguments() {
        let read = |data: &[u8]| {
            Sample::new(ppme::PPME_SYSCALL_READ_X).with(3i64.to_le_bytes()).with(data).with(0i64.to_le_bytes())
        };
        assert_eq!(read(b"a\0b").alone("evt.buffer").as_deref(), Some("a.b"));
        assert_eq!(read(b"").alone("evt.buffer"), None, "libs shows old memory here");
        assert_eq!(read(b"abc").alone("evt.rawarg.res").as_deref(), Some("3"));
        assert_eq!(read(b"abc").alone("evt.rawarg.flags"), None, "no such parameter in this event");
        let open =
            Sample::new(ppme::PPME_SYSCALL_OPEN_X).with(3i64.to_le_bytes()).with(b"f\0").with(0x106u32.to_le_bytes());
        assert_eq!(open.alone("evt.rawarg.flags").as_deref(), Some("106"));
        assert_eq!(read(b"abc").one_on(&mut state(), "evt.buflen").as_deref(), Some("3"));
        assert_eq!(read(b"abc").one_on(&mut state(), "evt.buflen.net"), None, "a file");
        assert_eq!(read(b"abc").one_on(&mut state(), "evt.category").as_deref(), Some("file"));
        assert_eq!(read(b"abc").alone("evt.category").as_deref(), Some("unknown"), "descriptor not known");
        assert_eq!(read(b"abc").alone("evt.io_dir").as_deref(), Some("read"));
    }
}
