//! `net`: whom processes talked to, and where they listen.

use std::io::{self, Write};

use casebook_replay::cli::{Exit, Terminals};
use clap::{Args, ValueEnum};

use super::{Common, Question, answer};
use crate::frames::View;
use crate::load::LoadArgs;

/// Options of `net`.
#[derive(Args, Debug)]
pub struct NetArgs {
    #[command(flatten)]
    load: LoadArgs,

    /// A row a peer (server, or client of a server here), a process, or each connection
    #[arg(long, value_name = "WHAT", default_value = "peer")]
    by: By,

    /// What comes first
    #[arg(long, value_name = "ORDER", default_value = "bytes")]
    sort: Sort,

    /// Only with this address or name at the other end, or what begins so (`10.1.`); repeat for more
    #[arg(long, value_name = "ADDRESS|NAME")]
    peer: Vec<String>,

    /// Only with this port of the server; repeat for more
    #[arg(long, value_name = "PORT")]
    port: Vec<u64>,

    /// Only sockets that listen
    #[arg(long, conflicts_with = "unix")]
    listening: bool,

    /// Unix sockets too, which are left out otherwise
    #[arg(long)]
    unix: bool,

    #[command(flatten)]
    common: Common,
}

/// What a row of `net` is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum By {
    /// The other end: address, and port of the server
    Peer,
    /// A process life
    Process,
    /// A connection of a process
    Connection,
}

/// Orders of `net`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Sort {
    /// Bytes sent and received
    Bytes,
    /// Bytes sent
    Sent,
    /// Connections
    Connects,
    /// Connections that failed
    Failed,
    /// Time of the first use
    First,
    /// Address, or name of the process
    Name,
}

/// What is counted.
const COUNTS: &str = "SUM(u.bytes_out) AS sent, SUM(u.bytes_in) AS received, SUM(u.connects) AS connects, \
    SUM(u.failed) AS failed, MIN(u.first) AS first, MAX(u.last) AS last";
/// Rows of `network` with the other end as the process sees it: a Unix socket has its path.
const PEERS: &str =
    "(SELECT *, COALESCE(CASE WHEN role = 'server' THEN client_ip ELSE server_ip END, path) AS peer FROM network)";

impl By {
    fn question(self) -> Question {
        let (what, by) = match self {
            Self::Peer => (
                "u.role, u.protocol, u.peer, u.server_port, u.dns_name, MIN(u.proc_name) AS process, \
                 COUNT(DISTINCT u.upid) AS lives, u.container_id, u.host",
                "u.host, u.container_id, u.role, u.protocol, u.peer, u.server_port, u.dns_name",
            ),
            Self::Process => (
                "u.proc_name AS process, p.pid, p.user_name, COUNT(*) AS connections, u.container_id, u.host",
                "u.host, u.upid, u.proc_name, u.container_id, p.pid, p.user_name",
            ),
            Self::Connection => (
                "u.proc_name AS process, p.pid, u.role, u.protocol, u.client_ip, u.client_port, \
                 COALESCE(u.server_ip, u.path) AS server, u.server_port, u.dns_name, u.container_id, u.host",
                "u.host, u.upid, u.proc_name, p.pid, u.role, u.protocol, u.client_ip, u.client_port, u.server_ip, \
                 u.path, u.server_port, u.dns_name, u.container_id",
            ),
        };
        Question { what, by }
    }
}

impl Sort {
    fn order(self, by: By) -> &'static str {
        match self {
            Self::Bytes => "sent + received DESC, connects DESC",
            Self::Sent => "sent DESC",
            Self::Connects => "connects DESC",
            Self::Failed => "failed DESC",
            Self::First => "first",
            Self::Name if by == By::Peer => "peer",
            Self::Name => "process",
        }
    }
}

/// Runs `net`.
///
/// # Errors
///
/// The output could not be written.
pub fn run(args: &NetArgs, out: &mut dyn Write, err: &mut dyn Write, terminals: Terminals) -> io::Result<Exit> {
    let Question { what, by } = args.by.question();
    let query = format!(
        "SELECT {what}, {COUNTS} FROM {PEERS} u JOIN processes p ON u.upid = p.upid GROUP BY {by} ORDER BY {}",
        args.sort.order(args.by)
    );
    let keep = |table: View<'_>| {
        let (protocols, roles, ports) = (table.texts("protocol"), table.texts("role"), table.uints("server_port"));
        let ends = ["client_ip", "server_ip", "dns_name", "path"].map(|name| table.texts(name));
        let row = move |row: usize| {
            let listens = roles[row] == Some("listener");
            let kind = (args.unix || protocols[row] != Some("unix")) && (!args.listening || listens);
            let port = args.port.is_empty() || ports[row].is_some_and(|port| args.port.contains(&port));
            let is_peer =
                |peer: &String| ends.iter().any(|texts| texts[row].is_some_and(|text| text.starts_with(peer.as_str())));
            kind && port && (args.peer.is_empty() || args.peer.iter().any(is_peer))
        };
        (0..table.height()).map(row).collect()
    };
    answer("network", &args.load, &args.common, &query, &keep, (out, err), terminals)
}
