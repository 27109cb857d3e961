//! Which kind each value of a capture is: parameters by the event table, snapshots by their records.
//!
//! The treatment of a parameter follows from its type; every type is named in [`treatment`], so that a new one does not
//! compile until somebody has said what it can hold. Names refine where a type can hold several things. Numbers stay:
//! ids of processes and users, descriptors, sizes, modes, ports, inodes, times.

use std::net::{IpAddr, Ipv4Addr};

use casebook_formats::event::EventType;
use casebook_formats::rewrite::Rewriter;
use casebook_formats::snapshot::{FdInfo, FdList, Interface, MachineInfo, ThreadEntry, UserEntry};
use casebook_formats::tables::{self, EVENT_TYPES, EventDef, ParamDef, ParamType};
use casebook_rules::ruleset::RuleSet;

use super::key::Key;
use super::manifest::Masked;
use super::mask::{Kind, Masker};
use super::policy::Policy;

/// Fields of snapshots, as policies and manifests name them.
pub(super) const SNAPSHOT_FIELDS: &[&str] = &[
    "machine.hostname",
    "interface.name",
    "interface.address",
    "interface.broadcast",
    "user.name",
    "user.home",
    "user.shell",
    "group.name",
    "process.comm",
    "process.exe",
    "process.exepath",
    "process.args",
    "process.env",
    "process.cwd",
    "process.root",
    "process.cgroups",
    "descriptor.name",
    "descriptor.address",
    "descriptor.pointer",
];

/// What is done with a parameter that is masked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Treatment {
    /// A number that tells nothing.
    Plain,
    Text(Kind),
    Document(Kind),
    Socket {
        is_tuple: bool,
    },
    Ip,
    Pointer,
    Buffer,
    /// By the variant that its first byte names.
    Variant,
}

/// By type, and by name where that is not enough.
fn treatment(def: &EventDef, param: &ParamDef) -> Treatment {
    use ParamType as T;
    match param.ty {
        T::Charbuf | T::CharbufArray | T::CharbufPairArray => text(def, param),
        T::Fspath | T::Fsrelpath => Treatment::Text(Kind::Paths),
        T::Bytebuf => match param.name {
            "args" => Treatment::Text(Kind::Arguments),
            "env" => Treatment::Text(Kind::Environment),
            "cgroups" => Treatment::Text(Kind::Containers),
            "event_data" => Treatment::Document(Kind::Documents),
            // Descriptions of containers since they come from a plugin.
            "data" if def.symbol == "PPME_ASYNCEVENT_E" => Treatment::Document(Kind::Containers),
            _ => Treatment::Buffer,
        },
        T::Sockaddr => Treatment::Socket { is_tuple: false },
        T::Socktuple => Treatment::Socket { is_tuple: true },
        T::Ipv4Addr | T::Ipv6Addr | T::IpAddr => Treatment::Ip,
        T::Ipv4Net | T::Ipv6Net | T::IpNet => Treatment::Buffer,
        T::Dyn => Treatment::Variant,
        T::Uint64 if matches!(param.name, "source" | "peer" | "sk_pointer") => Treatment::Pointer,
        T::Int8
        | T::Int16
        | T::Int32
        | T::Int64
        | T::Uint8
        | T::Uint16
        | T::Uint32
        | T::Uint64
        | T::Errno
        | T::Fd
        | T::Fd32
        | T::Pid
        | T::Pid32
        | T::Fdlist
        | T::SyscallId
        | T::Sigtype
        | T::Sigset
        | T::Reltime
        | T::Abstime
        | T::Port
        | T::L4Proto
        | T::SockFamily
        | T::Bool
        | T::Flags8
        | T::Flags16
        | T::Flags32
        | T::Enumflags8
        | T::Enumflags16
        | T::Enumflags32
        | T::Mode
        | T::Uid
        | T::Gid
        | T::Double => Treatment::Plain,
    }
}

fn text(def: &EventDef, param: &ParamDef) -> Treatment {
    let of_users = ["useradded", "userdeleted", "groupadded", "groupdeleted"].contains(&def.name);
    match (def.name, param.name) {
        (_, "json") => Treatment::Document(Kind::Containers),
        ("container", _) | (_, "container_id" | "cgroups") => Treatment::Text(Kind::Containers),
        _ if of_users => Treatment::Text(Kind::Users),
        (_, "env") => Treatment::Text(Kind::Environment),
        (_, "args" | "argv") => Treatment::Text(Kind::Arguments),
        (_, "cwd" | "exe" | "path" | "oldpath" | "newpath" | "quotafilepath" | "special" | "dir" | "dev") => {
            Treatment::Text(Kind::Paths)
        }
        _ => Treatment::Text(Kind::Names),
    }
}

/// Redacts one capture.
pub struct Redactor<'p> {
    masker: Masker<'p>,
    /// By event type and parameter: treatment, and the field's name.
    params: Vec<Vec<(Treatment, String)>>,
}

impl<'p> Redactor<'p> {
    /// What is masked is said by `policy`; words of `rules` stay where it says so.
    pub fn new(key: &'p Key, policy: &'p Policy, rules: &RuleSet) -> Self {
        let (vocabulary, networks) = policy.words(rules);
        let of_type = |number| {
            let def = tables::event(EventType(number));
            let param = |def, param: &ParamDef| (treatment(def, param), format!("{}.{}", def.name, param.name));
            def.map_or_else(Vec::new, |def: &'static EventDef| def.params.iter().map(|one| param(def, one)).collect())
        };
        Self {
            masker: Masker::new(key, policy, vocabulary, networks),
            params: (0..EVENT_TYPES as u16).map(of_type).collect(),
        }
    }

    /// A text that goes along with the capture and is none of its values.
    pub fn text(&mut self, text: &str) -> String {
        let mut out = Vec::new();
        self.masker.text(text.as_bytes(), &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// What was masked so far.
    pub fn masked(self) -> Masked {
        let Masker { by_kind, by_field, texts, .. } = self.masker;
        Masked {
            by_kind,
            by_field,
            words_masked: texts.tally.masked,
            words_kept: texts.tally.kept,
            kept: texts.tally.by_word,
            kept_are_more: texts.tally.more,
        }
    }
}

/// One value of a parameter, by its treatment.
fn masked(
    masker: &mut Masker<'_>,
    treatment: Treatment,
    field: &str,
    param: &ParamDef,
    value: &[u8],
    out: &mut Vec<u8>,
) {
    let kind = match treatment {
        Treatment::Plain => return out.extend_from_slice(value),
        Treatment::Text(kind) | Treatment::Document(kind) => kind,
        Treatment::Socket { .. } | Treatment::Ip | Treatment::Pointer => Kind::Addresses,
        Treatment::Buffer => Kind::Buffers,
        Treatment::Variant => {
            // The byte that says what follows is no value itself.
            let Some((&variant, rest)) = value.split_first() else { return };
            out.push(variant);
            let known = param.variants.get(usize::from(variant)).map(|variant| variant.ty);
            let inner = match known {
                Some(ParamType::Charbuf | ParamType::Fspath) => Treatment::Text(Kind::Names),
                Some(ty) if ty.width() == Some(rest.len()) => Treatment::Plain,
                _ => Treatment::Buffer,
            };
            return masked(masker, inner, field, param, rest, out);
        }
    };
    masker.value(kind, field, value, out, |own, value, out| match treatment {
        Treatment::Text(_) => own.text(value, out),
        Treatment::Document(_) => own.document(value, out),
        Treatment::Socket { is_tuple } => own.socket(value, is_tuple, out),
        Treatment::Ip => own.ip(value, out),
        Treatment::Pointer => own.pointer(value, out),
        Treatment::Buffer | Treatment::Variant | Treatment::Plain => own.buffer(value, out),
    });
}

impl Rewriter for Redactor<'_> {
    fn machine(&mut self, machine: &mut MachineInfo) {
        self.masker.text_in(Kind::Hosts, "machine.hostname", &mut machine.hostname);
    }

    fn interface(&mut self, interface: &mut Interface) {
        let masker = &mut self.masker;
        match interface {
            Interface::V4 { name, addr, netmask, broadcast, .. } => {
                masker.text_in(Kind::Hosts, "interface.name", name);
                let is_last = u32::from(*broadcast) == u32::from(*addr) | !u32::from(*netmask);
                let IpAddr::V4(new) = masker.address_of("interface.address", IpAddr::V4(*addr)) else { return };
                *addr = new;
                // The last address of the network it is in, as before.
                *broadcast = if is_last {
                    Ipv4Addr::from(u32::from(new) | !u32::from(*netmask))
                } else if let IpAddr::V4(new) = masker.address_of("interface.broadcast", IpAddr::V4(*broadcast)) {
                    new
                } else {
                    Ipv4Addr::UNSPECIFIED
                };
            }
            Interface::V6 { name, addr, broadcast, .. } => {
                masker.text_in(Kind::Hosts, "interface.name", name);
                for (field, ip) in [("interface.address", addr), ("interface.broadcast", broadcast)] {
                    if let IpAddr::V6(new) = masker.address_of(field, IpAddr::V6(*ip)) {
                        *ip = new;
                    }
                }
            }
        }
    }

    fn user(&mut self, user: &mut UserEntry) {
        match user {
            UserEntry::User { name, home, shell, .. } => {
                self.masker.text_in(Kind::Users, "user.name", name);
                self.masker.text_in(Kind::Users, "user.home", home);
                self.masker.text_in(Kind::Users, "user.shell", shell);
            }
            UserEntry::Group { name, .. } => self.masker.text_in(Kind::Users, "group.name", name),
        }
    }

    fn thread(&mut self, thread: &mut ThreadEntry) {
        let ThreadEntry { comm, exe, exepath, args, env, cwd, root, cgroups, .. } = thread;
        for (kind, field, text) in [
            (Kind::Names, "process.comm", comm),
            (Kind::Paths, "process.exe", exe),
            (Kind::Paths, "process.exepath", exepath),
            (Kind::Arguments, "process.args", args),
            (Kind::Environment, "process.env", env),
            (Kind::Paths, "process.cwd", cwd),
            (Kind::Paths, "process.root", root),
            (Kind::Containers, "process.cgroups", cgroups),
        ] {
            self.masker.text_in(kind, field, text);
        }
    }

    fn fds(&mut self, fds: &mut FdList) {
        let masker = &mut self.masker;
        for entry in &mut fds.fds {
            match &mut entry.info {
                FdInfo::Named { name, .. } => masker.text_in(Kind::Paths, "descriptor.name", name),
                FdInfo::Unix { source, destination, path } => {
                    for pointer in [source, destination] {
                        *pointer = masker.pointer_of("descriptor.pointer", *pointer);
                    }
                    masker.text_in(Kind::Paths, "descriptor.name", path);
                }
                FdInfo::V4 { sip: a, dip: b, .. } => {
                    for ip in [a, b] {
                        if let IpAddr::V4(new) = masker.address_of("descriptor.address", IpAddr::V4(*ip)) {
                            *ip = new;
                        }
                    }
                }
                FdInfo::V6 { sip: a, dip: b, .. } => {
                    for ip in [a, b] {
                        if let IpAddr::V6(new) = masker.address_of("descriptor.address", IpAddr::V6(*ip)) {
                            *ip = new;
                        }
                    }
                }
                FdInfo::V4Server { ip, .. } => {
                    if let IpAddr::V4(new) = masker.address_of("descriptor.address", IpAddr::V4(*ip)) {
                        *ip = new;
                    }
                }
                FdInfo::V6Server { ip, .. } => {
                    if let IpAddr::V6(new) = masker.address_of("descriptor.address", IpAddr::V6(*ip)) {
                        *ip = new;
                    }
                }
                FdInfo::None => {}
            }
        }
    }

    fn value(&mut self, etype: EventType, def: &EventDef, index: usize, value: &[u8], out: &mut Vec<u8>) {
        let known = self.params.get(usize::from(etype.0)).and_then(|params| params.get(index));
        match (known, def.params.get(index)) {
            (Some((treatment, field)), Some(param)) => masked(&mut self.masker, *treatment, field, param, value, out),
            // No row, no name: nothing is known of it.
            _ => self.masker.value(Kind::Buffers, "unknown", value, out, Masker::buffer),
        }
    }
}
