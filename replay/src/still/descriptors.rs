//! The descriptor table of a process in a [`super::Still`].

use std::net::IpAddr;

use casebook_formats::tables::flag_table;
use serde::Serialize;

use crate::fields::{args, fd};
use crate::state::{Fd, FdKind, State, Thread};

/// One open descriptor. What the capture does not know is `None`, in JSON `null`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Row {
    /// Number.
    pub fd: i64,
    /// `fd.type`.
    #[serde(rename = "type")]
    pub kind: Option<&'static str>,
    /// `fd.name`.
    pub name: Option<String>,
    /// Names of the open flags of files; of everything else close-on-exec only.
    pub flags: Vec<&'static str>,
    /// `fd.l4proto`.
    pub l4proto: Option<&'static str>,
    /// `client`, `server` or `listening`.
    pub role: Option<&'static str>,
    /// Sockets: whether a connection is there.
    pub connected: Option<bool>,
    /// Client end.
    pub client: Option<End>,
    /// Server end, or the address that a socket listens on.
    pub server: Option<End>,
    /// Inode.
    pub ino: Option<u64>,
    /// Device number.
    pub dev: Option<u32>,
    /// Process that a pidfd refers to.
    pub pid: Option<i64>,
}

/// One end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct End {
    /// Address.
    pub ip: IpAddr,
    /// Port.
    pub port: u16,
}

impl From<(IpAddr, u16)> for End {
    fn from((ip, port): (IpAddr, u16)) -> Self {
        Self { ip, port }
    }
}

/// Descriptors of the process that a thread belongs to, by number; `None` when its table is not known.
pub fn table(state: &State, thread: &Thread) -> Option<Vec<Row>> {
    state.fd_table(thread).map(|table| table.iter().map(|(number, fd)| row(number, state.as_known(fd))).collect())
}

fn row(number: i64, fd: &Fd) -> Row {
    let known = |name: &'static str| (name != "<NA>").then_some(name);
    let listening = matches!(fd.kind, FdKind::Ipv4Server | FdKind::Ipv6Server);
    let connection = matches!(fd.kind, FdKind::Ipv4 | FdKind::Ipv6);
    let role = match fd {
        _ if listening => Some("listening"),
        Fd { is_server: true, .. } => Some("server"),
        Fd { is_client: true, .. } => Some("client"),
        _ => None,
    };
    Row {
        fd: number,
        kind: known(fd::type_name(fd.kind)),
        name: (!fd.name.is_empty()).then(|| String::from_utf8_lossy(&fd.name).into_owned()),
        flags: flags(fd),
        l4proto: known(fd::protocol_name(fd)),
        role,
        connected: (connection || fd.kind == FdKind::Unix).then_some(fd.connected),
        client: fd.tuple.filter(|_| connection).map(|tuple| tuple.client.into()),
        server: fd.tuple.filter(|_| connection || listening).map(|tuple| tuple.server.into()),
        ino: (fd.ino != 0).then_some(fd.ino),
        dev: (fd.dev != 0).then_some(fd.dev),
        pid: (fd.kind == FdKind::Pidfd && fd.pid > 0).then_some(fd.pid),
    }
}

fn flags(fd: &Fd) -> Vec<&'static str> {
    let is_file = matches!(fd.kind, FdKind::File | FdKind::Directory);
    let table = flag_table("file_flags").filter(|_| is_file && fd.open_flags != 0);
    let mut names = table.map_or_else(Vec::new, |table| args::flags(table, fd.open_flags).to_vec());
    if fd.cloexec && !names.contains(&"O_CLOEXEC") {
        names.push("O_CLOEXEC");
    }
    names
}
