//! `files` and `net`: which files and connections processes used, the weightiest first.
//!
//! Rows of the tables `files` and `network` that the options choose → one question of [`QUESTIONS`], the same for each
//! way of grouping → the writers of `sql`. What a column means stands in `TABLES.md`.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;

use casebook_replay::cli::{Exit, Terminals};
use clap::{Args, ValueEnum};
use polars::prelude::{BooleanChunked, DataFrame, NewChunkedArray as _, PlSmallStr};

use super::forest::{self, Forest};
use crate::frames::{Frames, View, Wanted};
use crate::load::{LoadArgs, say};
use crate::print::Format;
use crate::sql::cli::{Form, delivered};
use crate::sql::{self, Refused};

/// Which processes, and how the answer is written: options of both views.
#[derive(Args, Debug)]
struct Common {
    /// Only this process (every life of that number) and all that came of it; repeat for more
    #[arg(long, value_name = "PID")]
    pid: Vec<i64>,

    /// Only processes of a user, login, container, pod, namespace or Kubernetes user of this name, and what came of them
    #[arg(long, value_name = "NAME")]
    who: Vec<String>,

    /// Only in containers whose id begins so, or that are called so; `host` for none; repeat for more
    #[arg(long, value_name = "ID|NAME")]
    container: Vec<String>,

    /// Only processes of this name; repeat for more
    #[arg(long, value_name = "NAME")]
    process: Vec<String>,

    /// Rows to show, 0 for all
    #[arg(short = 'n', long = "count", value_name = "COUNT", default_value_t = 50, help_heading = "Output")]
    count: usize,

    /// Form of the answer [default: by the ending of -o, else a table]
    #[arg(long, value_name = "FORM", help_heading = "Output")]
    format: Option<Format>,

    /// File for the answer instead of standard output
    #[arg(short = 'o', long, value_name = "FILE", help_heading = "Output")]
    output: Option<PathBuf>,

    /// Print to a terminal without a pager
    #[arg(long, help_heading = "Output")]
    no_pager: bool,
}

/// Options of `files`.
#[derive(Args, Debug)]
pub struct FilesArgs {
    #[command(flatten)]
    load: LoadArgs,

    /// A row a file, a process, or each of the files of each process
    #[arg(long, value_name = "WHAT", default_value = "file")]
    by: FilesBy,

    /// What comes first
    #[arg(long, value_name = "ORDER", default_value = "bytes")]
    sort: FilesSort,

    /// Only paths that contain this; repeat for more
    #[arg(long, value_name = "TEXT")]
    path: Vec<String>,

    /// Only what was created, written, renamed, removed, or changed in mode or owner
    #[arg(long)]
    changed: bool,

    #[command(flatten)]
    common: Common,
}

/// Options of `net`.
#[derive(Args, Debug)]
pub struct NetArgs {
    #[command(flatten)]
    load: LoadArgs,

    /// A row a peer (server, or client of a server here), a process, or each connection
    #[arg(long, value_name = "WHAT", default_value = "peer")]
    by: NetBy,

    /// What comes first
    #[arg(long, value_name = "ORDER", default_value = "bytes")]
    sort: NetSort,

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

/// What a row of `files` is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum FilesBy {
    /// A path (of a host and container)
    File,
    /// A process life
    Process,
    /// A path and process life
    Use,
}

/// Orders of `files`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum FilesSort {
    /// Bytes read and written
    Bytes,
    /// Bytes written
    Written,
    /// Opens
    Opens,
    /// Opens that failed
    Failed,
    /// Creations, renames, removals, changes of mode and owner
    Changes,
    /// Time of the first use
    First,
    /// Path, or name of the process
    Name,
}

/// What a row of `net` is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum NetBy {
    /// The other end: address, and port of the server
    Peer,
    /// A process life
    Process,
    /// A connection of a process
    Connection,
}

/// Orders of `net`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum NetSort {
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

/// One way of grouping: what is selected before the counts, and by which columns.
struct Question {
    what: &'static str,
    by: &'static str,
}

const FILES: &str = "SUM(u.bytes_read) AS read, SUM(u.bytes_written) AS written, SUM(u.opens) AS opens, \
    SUM(u.failed_opens) AS failed, SUM(u.created + u.renames + u.unlinks + u.chmods) AS changes, \
    MIN(u.first) AS first, MAX(u.last) AS last";
const NET: &str = "SUM(u.bytes_out) AS sent, SUM(u.bytes_in) AS received, SUM(u.connects) AS connects, \
    SUM(u.failed) AS failed, MIN(u.first) AS first, MAX(u.last) AS last";
/// Rows of `network` with the other end as the process sees it: a Unix socket has its path.
const PEERS: &str =
    "(SELECT *, COALESCE(CASE WHEN role = 'server' THEN client_ip ELSE server_ip END, path) AS peer FROM network)";

impl FilesBy {
    fn question(self) -> Question {
        let (what, by) = match self {
            Self::File => (
                "u.path, MIN(u.proc_name) AS process, COUNT(DISTINCT u.upid) AS lives, u.container_id, u.host",
                "u.host, u.container_id, u.path",
            ),
            Self::Process => (
                "u.proc_name AS process, p.pid, p.user_name, COUNT(*) AS files, u.container_id, u.host",
                "u.host, u.upid, u.proc_name, u.container_id, p.pid, p.user_name",
            ),
            Self::Use => (
                "u.path, u.proc_name AS process, p.pid, p.user_name, u.container_id, u.host",
                "u.host, u.upid, u.proc_name, u.container_id, p.pid, p.user_name, u.path",
            ),
        };
        Question { what, by }
    }
}

impl NetBy {
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

impl FilesSort {
    fn order(self, by: FilesBy) -> &'static str {
        match self {
            Self::Bytes => "read + written DESC, opens DESC",
            Self::Written => "written DESC, changes DESC",
            Self::Opens => "opens DESC",
            Self::Failed => "failed DESC",
            Self::Changes => "changes DESC, written DESC",
            Self::First => "first",
            Self::Name if by == FilesBy::Process => "process",
            Self::Name => "path",
        }
    }
}

impl NetSort {
    fn order(self, by: NetBy) -> &'static str {
        match self {
            Self::Bytes => "sent + received DESC, connects DESC",
            Self::Sent => "sent DESC",
            Self::Connects => "connects DESC",
            Self::Failed => "failed DESC",
            Self::First => "first",
            Self::Name if by == NetBy::Peer => "peer",
            Self::Name => "process",
        }
    }
}

/// Runs `files`.
///
/// # Errors
///
/// The output could not be written.
pub fn files(args: &FilesArgs, out: &mut dyn Write, err: &mut dyn Write, terminals: Terminals) -> io::Result<Exit> {
    let Question { what, by } = args.by.question();
    let query = format!(
        "SELECT {what}, {FILES} FROM files u JOIN processes p ON u.upid = p.upid GROUP BY {by} ORDER BY {}",
        args.sort.order(args.by)
    );
    let keep = |table: View<'_>| {
        let paths = table.texts("path");
        let changes = ["created", "writes", "renames", "unlinks", "chmods"].map(|name| table.uints(name));
        let row = move |row: usize| {
            let changed = !args.changed || changes.iter().any(|counts| counts[row].unwrap_or(0) > 0);
            changed
                && (args.path.is_empty()
                    || args.path.iter().any(|part| paths[row].is_some_and(|path| path.contains(part.as_str()))))
        };
        (0..table.height()).map(row).collect()
    };
    run("files", &args.load, &args.common, &query, &keep, (out, err), terminals)
}

/// Runs `net`.
///
/// # Errors
///
/// The output could not be written.
pub fn net(args: &NetArgs, out: &mut dyn Write, err: &mut dyn Write, terminals: Terminals) -> io::Result<Exit> {
    let Question { what, by } = args.by.question();
    let query = format!(
        "SELECT {what}, {NET} FROM {PEERS} u JOIN processes p ON u.upid = p.upid GROUP BY {by} ORDER BY {}",
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
    run("network", &args.load, &args.common, &query, &keep, (out, err), terminals)
}

/// Reads, chooses, asks, prints.
fn run(
    table: &'static str,
    load: &LoadArgs,
    common: &Common,
    query: &str,
    keep: &dyn Fn(View<'_>) -> Vec<bool>,
    (out, err): (&mut dyn Write, &mut dyn Write),
    terminals: Terminals,
) -> io::Result<Exit> {
    let wanted = Wanted::tables(&[table]).columns("processes", forest::COLUMNS);
    let loaded = match load.load(wanted, err, terminals) {
        Ok(loaded) => loaded,
        Err(exit) => return Ok(exit),
    };
    let (exit, mut frames) = (loaded.exit, loaded.frames);
    let mut kept = keep(frames.view(table));
    common.choose(&frames, table, &mut kept);
    let mask = BooleanChunked::from_slice(PlSmallStr::from_static("kept"), &kept);
    let answer =
        frames.frame(table).filter(&mask).map_err(|error| Refused::Query(error.to_string())).and_then(|rows| {
            frames.insert(table, rows);
            sql::answer(&frames, query)
        });
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            say(err, &format!("error: {error}"));
            return Ok(Exit::Output);
        }
    };
    if answer.height() == 0 {
        say(err, "nothing in the captures is what was asked for");
    }
    let shown = if common.count == 0 { answer.height() } else { common.count.min(answer.height()) };
    if shown < answer.height() && !load.quiet {
        say(err, &format!("note: {shown} of {} rows are shown; -n 0 shows all", answer.height()));
    }
    let form = Form { format: common.format, output: common.output.as_deref(), page: !common.no_pager };
    delivered(&worth_showing(&answer.head(Some(shown)), &form), &form, exit, (out, err), terminals)
}

/// For people, columns that say nothing here are left out: one host, no containers, no names.
fn worth_showing(answer: &DataFrame, form: &Form<'_>) -> DataFrame {
    if form.format.is_some_and(|format| format != Format::Table) || form.output.is_some() {
        return answer.clone();
    }
    let view = View::new(answer);
    let dull = |name: &str| match name {
        "host" => view.texts(name).iter().collect::<BTreeSet<_>>().len() < 2,
        "container_id" => view.texts(name).iter().all(|id| id.is_none_or(|id| id == "host")),
        "dns_name" => view.texts(name).iter().all(Option::is_none),
        _ => false,
    };
    let names: Vec<String> = answer.columns().iter().map(|column| column.name().to_string()).collect();
    names.iter().filter(|name| dull(name)).fold(answer.clone(), |frame, name| frame.drop(name).unwrap_or(frame))
}

impl Common {
    /// Strikes the rows of other processes and containers.
    fn choose(&self, frames: &Frames, table: &str, kept: &mut [bool]) {
        let uses = frames.view(table);
        let (upids, names) = (uses.uints("upid"), uses.texts("proc_name"));
        let forest = Forest::of(frames.view("processes"));
        let lives: Option<BTreeSet<u64>> = (!self.pid.is_empty() || !self.who.is_empty()).then(|| {
            let found = forest.processes.iter().enumerate().filter(|(_, process)| {
                process.pid.is_some_and(|pid| self.pid.contains(&pid)) || self.who.iter().any(|who| process.is_of(who))
            });
            let found: Vec<usize> = found.map(|(at, _)| at).collect();
            forest.with_descendants(found).into_iter().map(|at| forest.processes[at].upid).collect()
        });
        for (row, kept) in kept.iter_mut().enumerate() {
            let life = upids[row].and_then(|upid| forest.find(upid)).map(|at| &forest.processes[at]);
            let inside = self.container.is_empty()
                || life.is_some_and(|life| {
                    let (id, name) = (life.container_id.unwrap_or_default(), life.container_name.unwrap_or_default());
                    self.container.iter().any(|wanted| {
                        !wanted.is_empty()
                            && (name == wanted
                                || id.starts_with(wanted.as_str())
                                || (id.len() >= 12 && wanted.starts_with(id)))
                    })
                });
            let called = self.process.is_empty()
                || names[row].is_some_and(|name| self.process.iter().any(|wanted| wanted == name));
            let chosen = lives.as_ref().is_none_or(|lives| upids[row].is_some_and(|upid| lives.contains(&upid)));
            *kept &= inside && called && chosen;
        }
    }
}
