//! `fd.*`: the descriptor that the event is about.

use std::borrow::Cow;
use std::net::IpAddr;

use casebook_formats::event::Event;
use casebook_formats::tables::{EventFlags, ppme};
use casebook_rules::event::Extracted;
use casebook_rules::schema::FieldArg;
use casebook_rules::value::Value;

use super::catalogue::FdField;
use super::{args, borrowed, cow, event, fixed, index, many, owned, params, path, signed, truth, unsigned, when};
use crate::context::EventContext;
use crate::state::flags::{AT_FDCWD, L4_ICMP, L4_NA, L4_RAW, L4_TCP, L4_UDP};
use crate::state::{Fd, FdKind, Thread, Tuple};

/// What all fields of this class look at.
pub(super) struct Subject<'e> {
    thread: &'e Thread,
    /// Number; -1 where the call made none.
    pub(super) number: i64,
    pub(super) record: Option<&'e Fd>,
}

/// Whether events of this one's type are about a descriptor.
pub(super) fn is_about_one(event: &Event<'_>) -> bool {
    let about = [EventFlags::CREATES_FD, EventFlags::USES_FD, EventFlags::DESTROYS_FD];
    params::def(event).is_some_and(|def| about.into_iter().any(|flag| def.flags.has(flag)))
}

/// The descriptor of the event; `None` for events that are not about descriptors and for unknown threads.
pub(super) fn subject<'e>(context: &'e EventContext<'_>) -> Option<Subject<'e>> {
    if !is_about_one(context.event) {
        return None;
    }
    let thread = context.thread?;
    let number = context.effects.fd.unwrap_or(-1);
    Some(Subject { thread, number, record: context.fd.or_else(|| context.state.fd(thread, number)) })
}

pub(super) fn extract<'e>(context: &'e EventContext<'_>, field: FdField, arg: &FieldArg) -> Extracted<'e> {
    let Some(subject) = subject(context) else { return Extracted::Absent };
    let record = subject.record;
    match field {
        FdField::FdNum => signed(subject.number),
        FdField::FdUid => owned(format!("{}{}", subject.thread.tid, subject.number)),
        FdField::FdName => when(name(context, record), cow),
        FdField::FdNameraw => when(name_raw(context, record), cow),
        FdField::FdDirectory => when(directory(context, record), cow),
        FdField::FdFilename => {
            when(record.filter(|fd| fd.kind == FdKind::File), |fd| borrowed(path::filename(&fd.name)))
        }
        FdField::FdContainername => when(name(context, record), |name| owned(chained(subject.thread, &name))),
        FdField::FdContainerdirectory => when(directory(context, record), |name| owned(chained(subject.thread, &name))),
        FdField::FdType => when(record, |fd| fixed(type_name(fd.kind))),
        FdField::FdTypechar => match record {
            Some(fd) => borrowed(one_char(type_char(fd.kind))),
            None => fixed(type_char_of_call(context)),
        },
        FdField::FdTypes => types(context, &subject, arg),
        FdField::FdL4proto => when(record, |fd| fixed(protocol_name(fd))),
        FdField::FdSockfamily => when(record.and_then(family), fixed),
        FdField::FdIsServer => when(record, |fd| truth(is_server(context, fd))),
        FdField::FdConnected => when(record, |fd| truth(fd.connected)),
        FdField::FdNameChanged => when(record, |_| truth(context.effects.fd_name_changed)),
        FdField::FdDev => when(record.filter(|fd| has_node(context, fd)), |fd| signed(i64::from(fd.dev as i32))),
        FdField::FdDevMajor => {
            when(record.filter(|fd| has_node(context, fd)), |fd| signed(i64::from((fd.dev & 0xf_ff00) >> 8)))
        }
        FdField::FdDevMinor => when(record.filter(|fd| has_node(context, fd)), |fd| {
            signed(i64::from((fd.dev & 0xff) | ((fd.dev >> 12) & 0xf_ff00)))
        }),
        FdField::FdIno => when(record.filter(|fd| has_node(context, fd)), |fd| signed(fd.ino as i64)),
        FdField::FdIsUpperLayer => when(record, |fd| truth(fd.upper_layer)),
        FdField::FdIsLowerLayer => when(record, |fd| truth(fd.lower_layer)),
        FdField::FdCip | FdField::FdCnet => when(record.and_then(client), |(ip, _)| address(ip)),
        FdField::FdSip | FdField::FdSnet => when(record.and_then(server), |(ip, _)| address(ip)),
        FdField::FdLip | FdField::FdLnet => when(record.and_then(|fd| local(context, fd)), |(ip, _)| address(ip)),
        FdField::FdRip | FdField::FdRnet => when(record.and_then(|fd| remote(context, fd)), |(ip, _)| address(ip)),
        FdField::FdCport => when(record.and_then(client), |(_, port)| unsigned(u64::from(port))),
        FdField::FdSport => when(record.and_then(server_port), |port| unsigned(u64::from(port))),
        FdField::FdLport => when(record.and_then(|fd| local(context, fd)), |(_, port)| unsigned(u64::from(port))),
        FdField::FdRport => when(record.and_then(|fd| remote(context, fd)), |(_, port)| unsigned(u64::from(port))),
        // Ports as text; libs shows an empty one where there is a role but no port.
        FdField::FdCproto => when(record.filter(|fd| !fd.has_no_role()), |fd| port_text(client(fd))),
        FdField::FdSproto => match record.filter(|fd| is_internet(fd.kind)) {
            Some(fd) if is_connection(fd.kind) => when(server(fd), |end| port_text(Some(end))),
            Some(_) => fixed(""),
            None => Extracted::Absent,
        },
        FdField::FdLproto => when(record.and_then(|fd| local(context, fd)), |end| port_text(Some(end))),
        FdField::FdRproto => when(record.and_then(|fd| remote(context, fd)), |end| port_text(Some(end))),
        FdField::FdIp | FdField::FdNet => many(ends(record).map(|(ip, _)| Value::Ip(ip))),
        FdField::FdPort | FdField::FdProto => many(ends(record).map(|(_, port)| Value::U64(u64::from(port)))),
    }
}

/// Whether the capture tells the inode and its device. Of a descriptor that is known to be open and no more it does not; in
/// captures without losses the zeros stay that libs prints for them.
fn has_node(context: &EventContext<'_>, fd: &Fd) -> bool {
    fd.kind != FdKind::Unknown || fd.ino != 0 || !context.state.has_losses()
}

fn address<'e>(ip: IpAddr) -> Extracted<'e> {
    Extracted::One(Value::Ip(ip))
}

fn port_text<'e>(end: Option<(IpAddr, u16)>) -> Extracted<'e> {
    owned(end.map_or_else(String::new, |(_, port)| port.to_string()))
}

fn chained(thread: &Thread, name: &[u8]) -> Vec<u8> {
    [&thread.container_id, &b":"[..], name].concat()
}

/// `fd.name`: of the record, or of what the call was asked to make.
pub(super) fn name<'e>(context: &'e EventContext<'_>, record: Option<&'e Fd>) -> Option<Cow<'e, [u8]>> {
    match record {
        Some(fd) => Some(Cow::Borrowed(&fd.name)),
        None => name_from_call(context, false),
    }
}

fn name_raw<'e>(context: &'e EventContext<'_>, record: Option<&'e Fd>) -> Option<Cow<'e, [u8]>> {
    match record {
        Some(fd) => Some(path::squeeze(&fd.name_raw)),
        None => Some(match name_from_call(context, true)? {
            Cow::Borrowed(name) => path::squeeze(name),
            Cow::Owned(name) => Cow::Owned(path::squeeze(&name).into_owned()),
        }),
    }
}

fn directory<'e>(context: &'e EventContext<'_>, record: Option<&'e Fd>) -> Option<Cow<'e, [u8]>> {
    match record {
        Some(fd) if fd.kind == FdKind::File => Some(Cow::Borrowed(path::directory(&fd.name))),
        Some(fd) if fd.kind == FdKind::Directory => Some(Cow::Borrowed(&fd.name)),
        Some(_) => None,
        None => Some(match name_from_call(context, false)? {
            Cow::Borrowed(name) => Cow::Borrowed(path::directory(name)),
            Cow::Owned(name) => Cow::Owned(path::directory(&name).to_vec()),
        }),
    }
}

/// Name by the parameters of a call that left no record, mostly because it failed; empty for calls without one.
pub(super) fn name_from_call<'e>(context: &'e EventContext<'_>, raw: bool) -> Option<Cow<'e, [u8]>> {
    let event = context.event;
    if params::def(event)?.dir == casebook_formats::tables::Direction::Enter {
        return None;
    }
    match event.etype {
        ppme::PPME_SYSCALL_OPEN_X
        | ppme::PPME_SYSCALL_CREAT_X
        | ppme::PPME_SOCKET_ACCEPT_5_X
        | ppme::PPME_SOCKET_ACCEPT4_6_X => args::one(context, 1),
        ppme::PPME_SOCKET_CONNECT_X => match event.param(1) {
            Some(_) => args::one(context, 1),
            None => Some(Cow::Borrowed(b"")),
        },
        ppme::PPME_SYSCALL_OPENAT_2_X | ppme::PPME_SYSCALL_OPENAT2_X => {
            let given = event.text(2)?;
            if raw {
                return Some(Cow::Borrowed(given));
            }
            let base = if given.starts_with(b"/") { b"" } else { base_of(context, event.i64(1)?) };
            Some(path::resolve(base, given))
        }
        ppme::PPME_SYSCALL_OPEN_BY_HANDLE_AT_X => event.text(3).map(Cow::Borrowed),
        _ => Some(Cow::Borrowed(b"")),
    }
}

/// Directory that a descriptor argument means.
fn base_of<'e>(context: &'e EventContext<'_>, dirfd: i64) -> &'e [u8] {
    let Some(thread) = context.thread else { return event::UNKNOWN_DIRECTORY };
    if dirfd == AT_FDCWD {
        context.state.cwd(thread).unwrap_or(event::UNKNOWN_DIRECTORY)
    } else {
        context.state.fd(thread, dirfd).map_or(event::UNKNOWN_DIRECTORY, |fd| &fd.name)
    }
}

/// `fd.type`.
pub(crate) fn type_name(kind: FdKind) -> &'static str {
    match kind {
        FdKind::File => "file",
        FdKind::Directory => "directory",
        FdKind::Ipv4 | FdKind::Ipv4Server => "ipv4",
        FdKind::Ipv6 | FdKind::Ipv6Server => "ipv6",
        FdKind::Unix => "unix",
        FdKind::Fifo => "pipe",
        FdKind::Event => "event",
        FdKind::Signalfd => "signalfd",
        FdKind::Eventpoll => "eventpoll",
        FdKind::Inotify => "inotify",
        FdKind::Timerfd => "timerfd",
        FdKind::Netlink => "netlink",
        FdKind::Bpf => "bpf",
        FdKind::Userfaultfd => "userfaultfd",
        FdKind::IoUring => "io_uring",
        FdKind::Memfd => "memfd",
        FdKind::Pidfd => "pidfd",
        FdKind::Unknown | FdKind::Unsupported => "<NA>",
    }
}

/// `fd.typechar`.
pub(crate) fn type_char(kind: FdKind) -> u8 {
    match kind {
        FdKind::File => b'f',
        FdKind::Directory => b'd',
        FdKind::Ipv4 | FdKind::Ipv4Server => b'4',
        FdKind::Ipv6 | FdKind::Ipv6Server => b'6',
        FdKind::Fifo => b'p',
        FdKind::Unix | FdKind::Userfaultfd => b'u',
        FdKind::Event => b'e',
        FdKind::Signalfd => b's',
        FdKind::Eventpoll => b'l',
        FdKind::Inotify => b'i',
        FdKind::Timerfd => b't',
        FdKind::Netlink => b'n',
        FdKind::Bpf => b'b',
        FdKind::IoUring => b'r',
        FdKind::Memfd => b'm',
        FdKind::Pidfd => b'P',
        FdKind::Unsupported => b'X',
        FdKind::Unknown => b'o',
    }
}

/// A character as a text that nobody has to make.
fn one_char(char: u8) -> &'static [u8] {
    static ASCII: [u8; 128] = {
        let mut chars = [0; 128];
        let mut at = 0;
        while at < 128 {
            chars[at as usize] = at;
            at += 1;
        }
        chars
    };
    ASCII.get(usize::from(char)).map_or(&[], std::slice::from_ref)
}

/// `fd.typechar` of a call that left no record: what it would have made. libs answers `4` for any socket, and `o`
/// for `open` though not for `openat`; rules compare with both.
fn type_char_of_call(context: &EventContext<'_>) -> &'static str {
    match context.event.etype {
        ppme::PPME_SYSCALL_OPENAT_2_X | ppme::PPME_SYSCALL_OPENAT2_X | ppme::PPME_SYSCALL_CREAT_X => "f",
        ppme::PPME_SOCKET_SOCKET_X | ppme::PPME_SOCKET_ACCEPT_5_X | ppme::PPME_SOCKET_ACCEPT4_6_X => "4",
        ppme::PPME_SYSCALL_PIPE_X | ppme::PPME_SYSCALL_PIPE2_X => "p",
        ppme::PPME_SYSCALL_EVENTFD_X | ppme::PPME_SYSCALL_EVENTFD2_X => "e",
        ppme::PPME_SYSCALL_SIGNALFD_X | ppme::PPME_SYSCALL_SIGNALFD4_X => "s",
        ppme::PPME_SYSCALL_TIMERFD_CREATE_X => "t",
        ppme::PPME_SYSCALL_INOTIFY_INIT_X | ppme::PPME_SYSCALL_INOTIFY_INIT1_X => "i",
        _ => "o",
    }
}

/// `fd.types`: kinds of all open descriptors, each once, by number; with an argument the kind of that one.
fn types<'e>(context: &EventContext<'_>, subject: &Subject<'_>, arg: &FieldArg) -> Extracted<'e> {
    let kind = |name: &'static str| Value::text(name.as_bytes());
    if let Some(number) = index(arg) {
        let fd = i64::try_from(number).ok().and_then(|number| context.state.fd(subject.thread, number));
        return many(fd.map(|fd| kind(type_name(fd.kind))));
    }
    if context.state.has_losses() {
        return Extracted::Absent; // One unseen open or close, and the list is another one.
    }
    let Some(table) = context.state.fd_table(subject.thread) else { return Extracted::Absent };
    let mut seen: Vec<&'static str> = Vec::new();
    for (_, fd) in table.iter() {
        let name = type_name(fd.kind);
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    many(seen.into_iter().map(kind))
}

fn is_connection(kind: FdKind) -> bool {
    matches!(kind, FdKind::Ipv4 | FdKind::Ipv6)
}

fn is_internet(kind: FdKind) -> bool {
    is_connection(kind) || matches!(kind, FdKind::Ipv4Server | FdKind::Ipv6Server)
}

/// Transport as libs tells it: of connections only when the role is known or the socket is raw.
fn protocol(fd: &Fd) -> u8 {
    match fd.kind {
        FdKind::Ipv4 | FdKind::Ipv6 if fd.l4 != L4_RAW && fd.has_no_role() => L4_NA,
        kind if is_internet(kind) => fd.l4,
        _ => L4_NA,
    }
}

/// `fd.l4proto`.
pub(crate) fn protocol_name(fd: &Fd) -> &'static str {
    match protocol(fd) {
        L4_TCP => "tcp",
        L4_UDP => "udp",
        L4_ICMP => "icmp",
        L4_RAW => "raw",
        _ => "<NA>",
    }
}

/// Letter of the transport that follows the type of a socket in parameters (`<4t>`).
pub(super) fn protocol_char(fd: &Fd) -> Option<u8> {
    match protocol(fd) {
        L4_TCP => Some(b't'),
        L4_UDP => Some(b'u'),
        L4_ICMP => Some(b'i'),
        L4_RAW => Some(b'r'),
        _ => None,
    }
}

fn family(fd: &Fd) -> Option<&'static str> {
    match fd.kind {
        FdKind::Unix => Some("unix"),
        kind if is_internet(kind) => Some("ip"),
        _ => None,
    }
}

/// The tuple of a connection whose ends are known by role.
fn roles(fd: &Fd) -> Option<Tuple> {
    fd.tuple.filter(|_| is_connection(fd.kind) && !fd.has_no_role())
}

fn client(fd: &Fd) -> Option<(IpAddr, u16)> {
    roles(fd).map(|tuple| tuple.client)
}

/// Server end of a connection, or the address that a socket listens on.
fn server(fd: &Fd) -> Option<(IpAddr, u16)> {
    let tuple = fd.tuple.filter(|_| is_internet(fd.kind) && !fd.has_no_role())?;
    Some(tuple.server)
}

/// Port of the server end; that of a listening socket counts also when its role is not known.
fn server_port(fd: &Fd) -> Option<u16> {
    if is_connection(fd.kind) { server(fd).map(|(_, port)| port) } else { fd.tuple.map(|tuple| tuple.server.1) }
}

/// The end whose address is one of this machine's: the client when its address is, else the server.
fn local(context: &EventContext<'_>, fd: &Fd) -> Option<(IpAddr, u16)> {
    let tuple = roles(fd)?;
    Some(if is_local(context, tuple.client.0) { tuple.client } else { tuple.server })
}

fn remote(context: &EventContext<'_>, fd: &Fd) -> Option<(IpAddr, u16)> {
    let tuple = roles(fd)?;
    Some(if is_local(context, tuple.client.0) { tuple.server } else { tuple.client })
}

/// An address of this end: one of the machine's, or that of the thread's own container. Of a container that no event
/// described the address is unknown, and with it which end is which; Falco then calls none local, so that the server's
/// end is shown as the local one, and rules' outputs have come to look like that.
fn is_local(context: &EventContext<'_>, ip: IpAddr) -> bool {
    let Some(thread) = context.thread.filter(|thread| !thread.container_id.is_empty()) else {
        return context.state.is_local_address(ip);
    };
    match context.state.container_of(thread).filter(|container| container.has_metadata) {
        Some(container) => container.ip == Some(ip) || context.state.is_local_address(ip),
        None => false,
    }
}

/// Listening, or connected with the server end on this machine.
fn is_server(context: &EventContext<'_>, fd: &Fd) -> bool {
    match fd.kind {
        FdKind::Ipv4Server | FdKind::Ipv6Server => true,
        kind if is_connection(kind) => fd.tuple.is_some_and(|tuple| is_local(context, tuple.server.0)),
        _ => false,
    }
}

/// Both ends of a connection (client first), the one of a listening socket; none for anything else.
fn ends(record: Option<&Fd>) -> impl Iterator<Item = (IpAddr, u16)> {
    let tuple = record.filter(|fd| is_internet(fd.kind)).and_then(|fd| fd.tuple.map(|tuple| (fd.kind, tuple)));
    let client = tuple.filter(|(kind, _)| is_connection(*kind)).map(|(_, tuple)| tuple.client);
    client.into_iter().chain(tuple.map(|(_, tuple)| tuple.server))
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Sample, state};
    use super::*;

    /// A read of a descriptor by thread 100.
    fn read(fd: i64) -> Sample {
        Sample::new(ppme::PPME_SYSCALL_READ_X).with(1i64.to_le_bytes()).with(b"x").with(fd.to_le_bytes())
    }

    fn texts(sample: &Sample, fields: &[&str]) -> Vec<String> {
        sample.on(&mut state(), fields).into_iter().map(|text| text.unwrap_or_else(|| "-".to_owned())).collect()
    }

    #[test]
    fn files_and_directories() {
        let fields = [
            "fd.num",
            "fd.type",
            "fd.typechar",
            "fd.name",
            "fd.directory",
            "fd.filename",
            "fd.dev",
            "fd.dev.major",
            "fd.dev.minor",
            "fd.ino",
            "fd.uid",
            "fd.containername",
            "fd.l4proto",
            "fd.sockfamily",
            "fd.cip",
        ];
        let wanted = [
            "0",
            "file",
            "f",
            "/dev/pts/0",
            "/dev/pts",
            "0",
            "CA02",
            "202",
            "2",
            "9",
            "1000",
            ":/dev/pts/0",
            "<NA>",
            "-",
            "-",
        ];
        assert_eq!(texts(&read(0), &fields), wanted);
        assert_eq!(texts(&read(3), &["fd.directory", "fd.filename", "fd.typechar"]), ["/srv", "-", "d"]);
        assert_eq!(texts(&read(0), &["fd.types", "fd.types[4]"]), ["(file,directory,ipv4)", "(ipv4)"]);
    }

    #[test]
    fn connections_have_two_ends_and_two_sides() {
        let fields = [
            "fd.name",
            "fd.l4proto",
            "fd.sockfamily",
            "fd.cip",
            "fd.sip",
            "fd.cport",
            "fd.sport",
            "fd.lip",
            "fd.rip",
            "fd.lport",
            "fd.rport",
            "fd.cproto",
            "fd.sproto",
            "fd.is_server",
            "fd.typechar",
            "fd.directory",
        ];
        let wanted = [
            "10.0.0.1:40000->192.168.0.9:443",
            "tcp",
            "ip",
            "10.0.0.1",
            "192.168.0.9",
            "40000",
            "443",
            "10.0.0.1",
            "192.168.0.9",
            "40000",
            "443",
            "40000",
            "443",
            "false",
            "4",
            "-",
        ];
        assert_eq!(texts(&read(4), &fields), wanted);
        // Comparisons see both ends; as text such fields show nothing.
        assert_eq!(texts(&read(4), &["fd.ip", "fd.net", "fd.sip.name"]), ["-", "-", "-"]);
        let state = state();
        let of = |fd: i64| ends(state.thread(100).and_then(|thread| state.fd(thread, fd))).count();
        assert_eq!((of(4), of(0)), (2, 0));
    }

    #[test]
    fn calls_that_failed_show_what_they_asked_for() {
        let openat = |dirfd: i64| {
            Sample::new(ppme::PPME_SYSCALL_OPENAT_2_X)
                .with((-2i64).to_le_bytes())
                .with(dirfd.to_le_bytes())
                .with(b"a//b\0")
        };
        let fields = ["fd.num", "fd.name", "fd.nameraw", "fd.directory", "fd.filename", "fd.type", "fd.typechar"];
        assert_eq!(texts(&openat(3), &fields), ["-1", "/srv/a/b", "a/b", "/srv/a", "-", "-", "f"]);
        assert_eq!(texts(&openat(77), &["fd.name"]), ["<UNKNOWN>/a/b"], "a directory that the capture does not tell");
        let open = Sample::new(ppme::PPME_SYSCALL_OPEN_X).with((-2i64).to_le_bytes()).with(b"x\0");
        assert_eq!(texts(&open, &["fd.name", "fd.typechar"]), ["/in/x", "o"], "o for open: libs' answer");
        let accept = Sample::new(ppme::PPME_SOCKET_ACCEPT4_6_X).with((-11i64).to_le_bytes()).unknown(1);
        assert_eq!(texts(&accept, &["fd.name", "fd.typechar"]), ["NULL", "4"]);
    }

    #[test]
    fn events_of_no_descriptor_have_none() {
        let setuid = Sample::new(ppme::PPME_SYSCALL_SETUID_X).with(0i64.to_le_bytes()).with(0u32.to_le_bytes());
        assert_eq!(texts(&setuid, &["fd.num", "fd.name", "fd.connected"]), ["-", "-", "-"]);
        assert_eq!(texts(&read(99), &["fd.num", "fd.name", "fd.type"]), ["99", "", "-"], "never opened");
    }
}
