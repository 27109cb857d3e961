//! `fd.*`: the descriptor that the event is about.

mod ends;
mod kinds;

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
use crate::state::flags::AT_FDCWD;
use crate::state::{Fd, FdKind, Thread};
use ends::{client, ends, is_server, local, remote, server, server_port};
use kinds::{family, is_connection, is_internet, one_char, type_char_of_call};
pub(super) use kinds::{protocol_char, type_char};
pub(crate) use kinds::{protocol_name, type_name};

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
