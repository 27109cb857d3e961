//! The table `network`: which process talked to whom, and which ones listen.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::LazyLock;

use casebook_formats::event::EventType;
use casebook_formats::tables::{self, Direction, EventFlags};
use casebook_replay::context::EventContext;
use casebook_replay::state::{Fd, FdKind, State};
use foldhash::fast::FixedState;

use super::Error;
use super::cells::Cell;
use super::files::Doer;
use super::rows::Rows;
use super::table::{Builder, Sink};
use super::words::Words;

/// Rows of one capture; what comes after them is counted in the ledger.
const MAX_ROWS: usize = 1 << 19;
/// The call would have to wait: neither a connection nor a failure.
const EAGAIN: i64 = -11;
/// The connection is being made.
const EINPROGRESS: i64 = -115;

/// What a type of event says of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Deed {
    Nothing,
    Connect,
    Accept,
    Listen,
    Send,
    Receive,
    /// May tell how a connect ended.
    Ask,
}

static BY_TYPE: LazyLock<Vec<Deed>> = LazyLock::new(|| {
    let deed = |(_, def): (EventType, &tables::EventDef)| match def.name {
        _ if def.dir != Direction::Exit => Deed::Nothing,
        "connect" => Deed::Connect,
        "accept" | "accept4" => Deed::Accept,
        "listen" | "bind" => Deed::Listen,
        "getsockopt" => Deed::Ask,
        _ if def.flags.has(EventFlags::WRITES_TO_FD) => Deed::Send,
        _ if def.flags.has(EventFlags::READS_FROM_FD) => Deed::Receive,
        _ => Deed::Nothing,
    };
    tables::events().map(deed).collect()
});

/// Which end a process is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Role {
    Unknown,
    Client,
    Server,
    Listener,
}

/// What makes a row.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Key {
    upid: u64,
    protocol: &'static str,
    role: Role,
    ends: Option<((IpAddr, u16), (IpAddr, u16))>,
    path: Option<u32>,
}

/// One row.
#[derive(Default)]
struct Use {
    proc_name: Option<u32>,
    container_id: Option<u32>,
    connects: u64,
    failed: u64,
    bytes_out: u64,
    bytes_in: u64,
    first: u64,
    last: u64,
}

/// The table being counted.
pub(super) struct Network {
    table: Builder,
    uses: Rows<Key, Use>,
}

impl Network {
    pub(super) fn new(table: Builder) -> Self {
        Self { table, uses: Rows::new(MAX_ROWS) }
    }

    /// Uses for which there was no room.
    pub(super) fn refused(&self) -> u64 {
        self.uses.refused
    }

    /// Bytes of what is kept until the end.
    pub(super) fn weight(&self) -> u64 {
        (self.uses.len() * (size_of::<Use>() + 2 * size_of::<Key>() + 16)) as u64
    }

    /// Whether an event of this type can be about a connection.
    pub(super) fn is_about(etype: EventType) -> bool {
        BY_TYPE.get(usize::from(etype.0)).is_some_and(|deed| *deed != Deed::Nothing)
    }

    /// Sockets that are open when a section begins.
    pub(super) fn section(&mut self, state: &State, mut doer: impl FnMut(i64, &mut Words) -> Doer, words: &mut Words) {
        for thread in state.threads() {
            if !thread.is_main() || thread.placeholder {
                continue;
            }
            let Some(table) = state.fd_table(thread) else { continue };
            for (_, fd) in table.iter().filter(|(_, fd)| fd.tuple.is_some()) {
                let who = doer(thread.tid, words);
                let Some(key) = key_of(fd, who, words) else { continue };
                self.used(key, who, 0);
            }
        }
    }

    /// One event.
    pub(super) fn event(
        &mut self,
        context: &EventContext<'_>,
        doer: impl FnOnce(&mut Words) -> Doer,
        words: &mut Words,
    ) {
        let deed = BY_TYPE.get(usize::from(context.event.etype.0)).copied().unwrap_or(Deed::Nothing);
        let Some(fd) = context.fd.filter(|fd| deed != Deed::Nothing && is_socket(fd)) else { return };
        let Some(res) = context.event.i64(0) else { return };
        let wanted = match deed {
            Deed::Nothing => false,
            Deed::Connect => true,
            Deed::Accept => res != EAGAIN,
            Deed::Listen => res >= 0 && matches!(fd.kind, FdKind::Ipv4Server | FdKind::Ipv6Server),
            Deed::Send | Deed::Receive => res >= 0,
            Deed::Ask => context.effects.error.is_some_and(|error| error < 0),
        };
        if !wanted {
            return;
        }
        let who = doer(words);
        let Some(key) = key_of(fd, who, words) else { return };
        let Some(used) = self.used(key, who, context.event.ts) else { return };
        let bytes = res.max(0) as u64;
        match deed {
            Deed::Connect if res >= 0 || res == EINPROGRESS => used.connects += 1,
            Deed::Accept if res >= 0 => used.connects += 1,
            Deed::Connect | Deed::Accept => used.failed += 1,
            Deed::Ask => {
                used.connects = used.connects.saturating_sub(1);
                used.failed += 1;
            }
            Deed::Send => used.bytes_out = used.bytes_out.saturating_add(bytes),
            Deed::Receive => used.bytes_in = used.bytes_in.saturating_add(bytes),
            Deed::Listen | Deed::Nothing => {}
        }
    }

    /// The row of a key; none when there is no room for another one. `ts` 0: open, and nothing happened yet.
    fn used(&mut self, key: Key, who: Doer, ts: u64) -> Option<&mut Use> {
        let Doer { proc_name, container_id, .. } = who;
        let used = self.uses.at(key, || Use { proc_name, container_id, ..Use::default() })?;
        if ts != 0 && ts != u64::MAX {
            used.first = if used.first == 0 { ts } else { used.first.min(ts) };
            used.last = used.last.max(ts);
        }
        Some(used)
    }

    /// Writes the table. `named` gives the name that an address was answered for.
    pub(super) fn finish(
        mut self,
        named: &HashMap<IpAddr, u32, FixedState>,
        words: &mut Words,
        sink: &mut dyn Sink,
    ) -> Result<(), Error> {
        for (key, used) in self.uses.iter() {
            // An unspecified address says nothing: of a listener, the client is nobody yet.
            let client = key.ends.map(|(client, _)| client).filter(|_| key.role != Role::Listener);
            let server = key.ends.map(|(_, server)| server);
            let address = |end: Option<(IpAddr, u16)>| end.map(|(ip, _)| canonical(ip).to_string());
            let (client_ip, server_ip) = (address(client), address(server));
            let made = |column: &str| match column {
                "upid" => Cell::from((key.upid != 0).then_some(key.upid)),
                "proc_name" => used.proc_name.map_or(Cell::Null, Cell::Word),
                "container_id" => used.container_id.map_or(Cell::Null, Cell::Word),
                "protocol" => Cell::Text(key.protocol),
                "role" => match key.role {
                    Role::Unknown => Cell::Null,
                    Role::Client => Cell::Text("client"),
                    Role::Server => Cell::Text("server"),
                    Role::Listener => Cell::Text("listener"),
                },
                "client_ip" => client_ip.as_deref().into(),
                "client_port" => client.map(|(_, port)| u64::from(port)).into(),
                "server_ip" => server_ip.as_deref().into(),
                "server_port" => server.map(|(_, port)| u64::from(port)).into(),
                "path" => key.path.map_or(Cell::Null, Cell::Word),
                "connects" => Cell::Uint(used.connects),
                "failed" => Cell::Uint(used.failed),
                "bytes_out" => Cell::Uint(used.bytes_out),
                "bytes_in" => Cell::Uint(used.bytes_in),
                "first" => Cell::Time(used.first),
                "last" => Cell::Time(used.last),
                "dns_name" => {
                    let name = server.and_then(|(ip, _)| named.get(&canonical(ip)));
                    name.map_or(Cell::Null, |name| Cell::Word(*name))
                }
                _ => Cell::Null,
            };
            self.table.made(words, made, sink)?;
        }
        self.table.finish(words, sink)
    }
}

fn is_socket(fd: &Fd) -> bool {
    fd.tuple.is_some() || fd.kind == FdKind::Unix
}

fn key_of(fd: &Fd, who: Doer, words: &mut Words) -> Option<Key> {
    let upid = who.upid.unwrap_or(0);
    if fd.kind == FdKind::Unix {
        // `address->address path`: sockets without a path are pairs and say nothing.
        let at = fd.name.iter().position(|&byte| byte == b' ');
        let path = if fd.name.starts_with(b"/") || fd.name.starts_with(b"@") {
            &fd.name[..]
        } else {
            fd.name.get(at? + 1..).filter(|path| !path.is_empty())?
        };
        let role = match (fd.is_server, fd.is_client) {
            (true, _) => Role::Server,
            (_, true) => Role::Client,
            _ => Role::Unknown,
        };
        return Some(Key { upid, protocol: "unix", role, ends: None, path: Some(words.code(path)?) });
    }
    let tuple = fd.tuple?;
    let role = match fd.kind {
        FdKind::Ipv4Server | FdKind::Ipv6Server => Role::Listener,
        _ if fd.is_server => Role::Server,
        _ if fd.is_client => Role::Client,
        _ => Role::Unknown,
    };
    let protocol = match fd.l4 {
        2 => "tcp",
        3 => "udp",
        4 => "icmp",
        5 => "raw",
        _ => "ip",
    };
    Some(Key { upid, protocol, role, ends: Some((tuple.client, tuple.server)), path: None })
}

/// An IPv4 address that came as a mapped IPv6 one is that address.
pub(super) fn canonical(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) if v6 != Ipv6Addr::LOCALHOST => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4),
        _ => ip,
    }
}
