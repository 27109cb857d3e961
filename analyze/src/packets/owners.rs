//! Who owned a packet: flows of packet files joined with connections of captures.

use std::collections::HashMap;
use std::net::IpAddr;

use foldhash::fast::FixedState;
use polars::prelude::{Column, DataFrame, DataType, IntoColumn as _, NamedFrom as _, Series, TimeUnit, TimeZone};

use super::link::Ends;
use super::read::Packets;
use crate::frames::{Error, Frames, View, word_type};

/// How far the clocks of packets and calls may be apart, and how long a connection lives on the wire after its last
/// call: 5 seconds, in ns.
pub const TOLERANCE: i64 = 5_000_000_000;

/// A connection of a process.
#[derive(Clone, Debug)]
struct Owner {
    first: i64,
    last: i64,
    row: usize,
}

/// The table `packets`: all packets with their owners, by the frame `network`.
///
/// # Errors
///
/// When the data frame library refuses.
pub fn frame(packets: &Packets, frames: &Frames) -> Result<DataFrame, Error> {
    let network = frames.view("network");
    let index = Index::new(network);
    let owners: Vec<Option<usize>> = packets.list.iter().map(|packet| index.owner(&packet.ends, packet.time)).collect();
    let (captures, hosts) = (network.texts("capture"), network.texts("host"));
    let (lives, names, containers) = (network.uints("upid"), network.texts("proc_name"), network.texts("container_id"));
    let of = |column: &[Option<&str>]| -> Vec<Option<String>> {
        owners.iter().map(|row| row.and_then(|row| column[row]).map(str::to_owned)).collect()
    };
    let list = &packets.list;
    let port = |port: Option<u16>| port.map(u64::from);
    let words = |name: &str, values: Vec<Option<String>>| -> Result<Column, Error> {
        Ok(Series::new(name.into(), values).cast(&word_type())?.into_column())
    };
    let numbers = |name: &str, values: Vec<Option<u64>>| Series::new(name.into(), values).into_column();
    let times: Vec<i64> = list.iter().map(|packet| packet.time).collect();
    let time =
        Series::new("time".into(), times).cast(&DataType::Datetime(TimeUnit::Nanoseconds, Some(TimeZone::UTC)))?;
    let columns = vec![
        words("capture", of(&captures))?,
        words("host", of(&hosts))?,
        words("file", list.iter().map(|packet| packets.files.get(packet.file as usize).cloned()).collect())?,
        numbers("number", list.iter().map(|packet| Some(packet.number)).collect()),
        time.into_column(),
        words("protocol", list.iter().map(|packet| Some(packet.ends.protocol_name())).collect())?,
        words("src_ip", list.iter().map(|packet| Some(packet.ends.source.0.to_string())).collect())?,
        numbers("src_port", list.iter().map(|packet| port(packet.ends.source.1)).collect()),
        words("dst_ip", list.iter().map(|packet| Some(packet.ends.destination.0.to_string())).collect())?,
        numbers("dst_port", list.iter().map(|packet| port(packet.ends.destination.1)).collect()),
        numbers("length", list.iter().map(|packet| Some(u64::from(packet.length))).collect()),
        numbers("upid", owners.iter().map(|row| row.and_then(|row| lives[row])).collect()),
        words("proc_name", of(&names))?,
        words("container_id", of(&containers))?,
    ];
    Ok(DataFrame::new(list.len(), columns)?)
}

/// Connections by their ends.
struct Index {
    /// Both ends, the smaller one first, whatever the direction.
    flows: HashMap<Key, Vec<Owner>, FixedState>,
}

/// Protocol and ends, the smaller end first.
type Key = (u8, (IpAddr, u16), (IpAddr, u16));

fn key(protocol: u8, one: (IpAddr, u16), two: (IpAddr, u16)) -> Key {
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
            let owner = Owner { first, last: lasts[row].unwrap_or(i64::MAX).max(first), row };
            flows.entry(key(protocol, client, server)).or_default().push(owner);
        }
        Self { flows }
    }

    /// The row of `network` that owns a packet: the connection of these ends that is nearest in time. Where both sides
    /// are in the captures, each packet still has one owner: the first of equally near ones.
    fn owner(&self, ends: &Ends, time: i64) -> Option<usize> {
        let (source, destination) = ((ends.source.0, ends.source.1?), (ends.destination.0, ends.destination.1?));
        let owners = self.flows.get(&key(ends.protocol, source, destination))?;
        let distance = |owner: &Owner| match time {
            time if time < owner.first => owner.first.saturating_sub(time),
            time if time > owner.last => time.saturating_sub(owner.last),
            _ => 0,
        };
        let nearest = owners.iter().min_by_key(|owner| (distance(owner), owner.row))?;
        (distance(nearest) <= TOLERANCE).then_some(nearest.row)
    }
}
