//! Who owned a packet: flows of packet files joined with connections of captures.

use std::collections::HashMap;
use std::net::IpAddr;

use foldhash::fast::FixedState;
use polars::prelude::DataFrame;

use super::link::Ends;
use super::read::Packets;
use crate::frames::{Error, Filler, Frames, View};
use crate::schema;

/// How far the clocks of packets and calls may be apart, and how long a connection lives on the wire after its last
/// call: 5 seconds, in ns.
pub const TOLERANCE: i64 = 5_000_000_000;

/// A connection of a process.
#[derive(Clone, Debug)]
struct Owner {
    first: i64,
    last: i64,
    row: usize,
    client: End,
    /// Which of the ends the process is, where the capture tells.
    own: Option<End>,
}

/// An address and a port.
type End = (IpAddr, u16);

/// The table `packets`: all packets with their owners, by the frame `network`.
///
/// # Errors
///
/// When the data frame library refuses.
pub fn frame(packets: &Packets, frames: &Frames) -> Result<DataFrame, Error> {
    let network = frames.view("network");
    let index = Index::new(network);
    let (captures, hosts) = (network.texts("capture"), network.texts("host"));
    let (lives, names, containers) = (network.uints("upid"), network.texts("proc_name"), network.texts("container_id"));
    let columns: Vec<&schema::Column> =
        schema::table("packets").into_iter().flat_map(schema::Table::all_columns).collect();
    let mut filler = Filler::new(columns.iter().copied());
    // Who sent first in flows that nobody owns.
    let mut clients: HashMap<Key, (IpAddr, Option<u16>), FixedState> = HashMap::default();
    for packet in &packets.list {
        let Ends { protocol, source, destination } = packet.ends;
        let owner = index.owner(&packet.ends, packet.time);
        let row = owner.map(|owner| owner.row);
        let key = key(protocol, whole(source), whole(destination));
        let client = match owner {
            Some(owner) => (owner.client.0, Some(owner.client.1)),
            None => *clients.entry(key).or_insert(source),
        };
        let server = if client == source { destination } else { source };
        let text = |column: &[Option<&str>]| row.and_then(|row| column[row]).map(str::to_owned);
        for (at, column) in columns.iter().enumerate() {
            let address = |end: (IpAddr, Option<u16>)| Some(end.0.to_string());
            let word = match column.name {
                "capture" => text(&captures),
                "host" => text(&hosts),
                "file" => packets.files.get(packet.file as usize).cloned(),
                "protocol" => Some(packet.ends.protocol_name()),
                "src_ip" => address(source),
                "dst_ip" => address(destination),
                "client_ip" => address(client),
                "server_ip" => address(server),
                "proc_name" => text(&names),
                "container_id" => text(&containers),
                _ => None,
            };
            let port = |end: (IpAddr, Option<u16>)| end.1.map(u64::from);
            match column.name {
                "number" => filler.uint(at, Some(packet.number)),
                "time" => filler.time(at, Some(packet.time)),
                "src_port" => filler.uint(at, port(source)),
                "dst_port" => filler.uint(at, port(destination)),
                "client_port" => filler.uint(at, port(client)),
                "server_port" => filler.uint(at, port(server)),
                "length" => filler.uint(at, Some(u64::from(packet.length))),
                "to_server" => filler.bool(at, Some(client == source)),
                "upid" => filler.uint(at, row.and_then(|row| lives[row])),
                _ => filler.text(at, word.as_deref()),
            }
        }
    }
    filler.frame(packets.list.len())
}

/// An end whose port is 0 where it has none.
fn whole((ip, port): (IpAddr, Option<u16>)) -> End {
    (ip, port.unwrap_or(0))
}

/// Connections by their ends.
struct Index {
    /// Both ends, the smaller one first, whatever the direction.
    flows: HashMap<Key, Vec<Owner>, FixedState>,
}

/// Protocol and ends, the smaller end first.
type Key = (u8, End, End);

fn key(protocol: u8, one: End, two: End) -> Key {
    (protocol, one.min(two), one.max(two))
}

impl Index {
    fn new(network: View<'_>) -> Self {
        let (protocols, roles) = (network.texts("protocol"), network.texts("role"));
        let (clients, client_ports) = (network.texts("client_ip"), network.uints("client_port"));
        let (servers, server_ports) = (network.texts("server_ip"), network.uints("server_port"));
        let (firsts, lasts) = (network.ints("first"), network.ints("last"));
        let mut flows: HashMap<Key, Vec<Owner>, FixedState> = HashMap::default();
        for row in 0..network.height() {
            let protocol = match protocols[row] {
                Some("tcp") => 6,
                Some("udp") => 17,
                _ => continue,
            };
            let end = |ip: Option<&str>, port: Option<u64>| -> Option<(IpAddr, u16)> {
                Some((ip?.parse::<IpAddr>().ok()?.to_canonical(), u16::try_from(port?).ok()?))
            };
            let (Some(client), Some(server)) =
                (end(clients[row], client_ports[row]), end(servers[row], server_ports[row]))
            else {
                continue;
            };
            if roles[row] == Some("listener") {
                continue;
            }
            let first = firsts[row].unwrap_or(i64::MIN);
            let last = lasts[row].unwrap_or(i64::MAX).max(first);
            let own = match roles[row] {
                Some("client") => Some(client),
                Some("server") => Some(server),
                _ => None,
            };
            let owner = Owner { first, last, row, client, own };
            flows.entry(key(protocol, client, server)).or_default().push(owner);
        }
        Self { flows }
    }

    /// The connection that owns a packet: of those with its ends that were there at its time, that of the process that
    /// sent it; of several, the nearest in time, then the first.
    fn owner(&self, ends: &Ends, time: i64) -> Option<&Owner> {
        let (source, destination) = ((ends.source.0, ends.source.1?), (ends.destination.0, ends.destination.1?));
        let owners = self.flows.get(&key(ends.protocol, source, destination))?;
        let distance = |owner: &Owner| match time {
            time if time < owner.first => owner.first.saturating_sub(time),
            time if time > owner.last => time.saturating_sub(owner.last),
            _ => 0,
        };
        let there = owners.iter().filter(|owner| distance(owner) <= TOLERANCE);
        there.min_by_key(|owner| (owner.own != Some(source), distance(owner), owner.row))
    }
}
