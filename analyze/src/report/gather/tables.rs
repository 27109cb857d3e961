//! Network, files, containers, audit: rows of tables as rows of the report, the weightiest of them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use foldhash::fast::FixedState;

use super::super::model::{Audit, Connection, Container, File, Listing, Severity};
use super::super::text::Text;
use super::alerts::Fires;
use super::{Names, joined, text, time};
use crate::frames::View;

/// Rows of each of these tables.
const LISTED: usize = 500;

/// Alerts by process.
pub(super) fn by_process(fires: &Fires) -> HashMap<u64, u64, FixedState> {
    let mut alerts: HashMap<u64, u64, FixedState> = HashMap::default();
    for upid in fires.all.iter().filter_map(|fire| fire.upid) {
        *alerts.entry(upid).or_default() += 1;
    }
    alerts
}

/// The rows with the greatest weight, heaviest first, then in the order of the table.
fn heaviest<W: Ord>(rows: usize, weight: impl Fn(usize) -> W) -> Vec<usize> {
    let mut order: Vec<(Reverse<W>, usize)> = (0..rows).map(|row| (Reverse(weight(row)), row)).collect();
    order.sort_unstable();
    order.truncate(LISTED);
    order.into_iter().map(|(_, row)| row).collect()
}

fn listing<T>(total: usize, rows: Vec<T>, chosen: &'static str, query: &'static str) -> Listing<T> {
    let total = total as u64;
    let chosen = (total > rows.len() as u64).then_some(chosen);
    Listing { total, chosen, query, rows }
}

/// Whether an address lies outside private, local and multicast ranges.
fn is_public(address: Option<&str>) -> bool {
    match address.and_then(|address| address.parse::<IpAddr>().ok()) {
        None => false,
        Some(IpAddr::V4(v4)) => {
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_broadcast()
                || v4.is_unspecified()
                || shared)
        }
        Some(IpAddr::V6(v6)) => {
            if let Some(v4) = v6.to_ipv4_mapped() {
                return is_public(Some(&v4.to_string()));
            }
            let local = v6.segments()[0];
            !(v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || local & 0xfe00 == 0xfc00
                || local & 0xffc0 == 0xfe80)
        }
    }
}

/// `address:port`, brackets around IPv6.
fn end(address: Option<&str>, port: Option<u64>) -> Text {
    let Some(address) = address.filter(|address| !address.is_empty()) else { return Text::default() };
    match port {
        Some(port) if address.contains(':') => Text::new(&format!("[{address}]:{port}")),
        Some(port) => Text::new(&format!("{address}:{port}")),
        None => Text::new(address),
    }
}

/// Connections that are told in one row: the same but for the process's life and the client's port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Way<'f> {
    capture: Option<&'f str>,
    process: Option<&'f str>,
    container: Option<&'f str>,
    protocol: Option<&'f str>,
    role: Option<&'f str>,
    client: Option<&'f str>,
    server: Option<&'f str>,
    port: Option<u64>,
    path: Option<&'f str>,
    dns: Option<&'f str>,
}

/// What went over it.
#[derive(Default)]
struct Traffic {
    /// The client's port of the first row, and whether others have another.
    port: Option<u64>,
    several_ports: bool,
    connects: u64,
    failed: u64,
    sent: u64,
    received: u64,
    first: Option<i64>,
    last: Option<i64>,
    alerts: u64,
}

impl Way<'_> {
    fn is_public(&self) -> bool {
        is_public(if matches!(self.role, Some("server" | "listener")) { self.client } else { self.server })
    }
}

/// The earlier of two times, of which one may be unknown.
fn earlier(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    a.into_iter().chain(b).min()
}

/// Who talked to whom: what was in use, public addresses first, then processes with alerts, then by bytes.
pub(super) fn network(view: View<'_>, fires: &Fires, names: &Names) -> Listing<Connection> {
    let alerts = by_process(fires);
    let (upids, processes) = (view.uints("upid"), view.texts("proc_name"));
    let (captures, containers) = (view.texts("capture"), view.texts("container_id"));
    let (protocols, roles, paths) = (view.texts("protocol"), view.texts("role"), view.texts("path"));
    let (client_ips, client_ports) = (view.texts("client_ip"), view.uints("client_port"));
    let (server_ips, server_ports) = (view.texts("server_ip"), view.uints("server_port"));
    let (connects, failed) = (view.uints("connects"), view.uints("failed"));
    let (sent, received) = (view.uints("bytes_out"), view.uints("bytes_in"));
    let (firsts, lasts, dns) = (view.ints("first"), view.ints("last"), view.texts("dns_name"));
    let mut places: HashMap<Way<'_>, usize, FixedState> = HashMap::default();
    let mut ways: Vec<(Way<'_>, Traffic)> = Vec::new();
    let mut told: HashSet<(usize, u64), FixedState> = HashSet::default();
    for row in 0..view.height() {
        let way = Way {
            capture: captures[row],
            process: processes[row],
            container: containers[row],
            protocol: protocols[row],
            role: roles[row],
            client: client_ips[row],
            server: server_ips[row],
            port: server_ports[row],
            path: paths[row],
            dns: dns[row],
        };
        let place = *places.entry(way).or_insert(ways.len());
        if place == ways.len() {
            ways.push((way, Traffic { port: client_ports[row], ..Traffic::default() }));
        }
        let all = &mut ways[place].1;
        all.several_ports |= all.port != client_ports[row];
        add(&mut all.connects, connects[row]);
        add(&mut all.failed, failed[row]);
        add(&mut all.sent, sent[row]);
        add(&mut all.received, received[row]);
        all.first = earlier(all.first, firsts[row]);
        all.last = all.last.max(lasts[row]);
        // A process counts once, however many rows it has.
        let life = upids[row].filter(|upid| told.insert((place, *upid)));
        add(&mut all.alerts, life.and_then(|upid| alerts.get(&upid)).copied());
    }
    let weight = |at: usize| {
        let (way, all) = &ways[at];
        let inet = !matches!(way.protocol, Some("unix"));
        (all.first.is_some(), way.is_public(), all.alerts > 0, inet, all.sent.saturating_add(all.received))
    };
    let rows = heaviest(ways.len(), weight)
        .into_iter()
        .map(|at| {
            let (way, all) = &ways[at];
            Connection {
                process: text(way.process),
                container: names.container(way.capture, way.container),
                protocol: text(way.protocol),
                role: text(way.role),
                client: end(way.client, all.port.filter(|_| !all.several_ports)),
                server: match end(way.server, way.port) {
                    server if server.is_empty() => text(way.path),
                    server => server,
                },
                dns: text(way.dns),
                public: way.is_public(),
                connects: all.connects,
                failed: all.failed,
                bytes_out: all.sent,
                bytes_in: all.received,
                first: time(all.first),
                last: time(all.last),
                alerts: all.alerts,
            }
        })
        .collect();
    let chosen = "those in use, with public addresses, processes with alerts and the most bytes first";
    listing(ways.len(), rows, chosen, "SELECT * FROM network ORDER BY bytes_out + bytes_in DESC")
}

/// Adds a number of a column.
fn add(sum: &mut u64, number: Option<u64>) {
    *sum = sum.saturating_add(number.unwrap_or(0));
}

/// What processes of one name did to one path.
struct Use<'f> {
    capture: Option<&'f str>,
    process: Option<&'f str>,
    container: Option<&'f str>,
    path: Option<&'f str>,
    opens: u64,
    failed: u64,
    read: u64,
    written: u64,
    /// Counts of [`CHANGES`].
    changes: [u64; CHANGES.len()],
    first: Option<i64>,
    last: Option<i64>,
    alerts: u64,
}

/// Columns that count changes of a file, and the words for them.
const CHANGES: [(&str, &str); 5] = [
    ("created", "created"),
    ("writes", "written"),
    ("renames", "renamed"),
    ("unlinks", "removed"),
    ("chmods", "mode changed"),
];

impl Use<'_> {
    fn is_change(&self) -> bool {
        self.changes.iter().any(|count| *count > 0)
    }

    /// The kernel's own files are written all the time and say little.
    fn is_pseudo(&self) -> bool {
        self.path.is_some_and(|path| ["/proc/", "/sys/", "/dev/"].iter().any(|below| path.starts_with(below)))
    }

    fn did(&self) -> Text {
        let changes = CHANGES.iter().zip(self.changes).filter(|(_, count)| *count > 0);
        let mut words: Vec<&str> = changes.map(|((_, word), _)| *word).collect();
        if words.is_empty() {
            words.push(match (self.read, self.opens, self.failed) {
                (1.., ..) => "read",
                (_, 0, 1..) => "not opened",
                _ => "opened",
            });
        }
        Text::new(&words.join(", "))
    }
}

/// What was done to files: changes by processes with alerts first, then other changes, then reading.
pub(super) fn files(view: View<'_>, fires: &Fires, names: &Names) -> Listing<File> {
    let alerts = by_process(fires);
    let (upids, processes, paths) = (view.uints("upid"), view.texts("proc_name"), view.texts("path"));
    let (captures, containers) = (view.texts("capture"), view.texts("container_id"));
    let (opens, failed) = (view.uints("opens"), view.uints("failed_opens"));
    let (read, written) = (view.uints("bytes_read"), view.uints("bytes_written"));
    let (firsts, lasts) = (view.ints("first"), view.ints("last"));
    let changes = CHANGES.map(|(column, _)| view.uints(column));
    let mut places: HashMap<[Option<&str>; 4], usize, FixedState> = HashMap::default();
    let mut uses: Vec<Use<'_>> = Vec::new();
    let mut told: HashSet<(usize, u64), FixedState> = HashSet::default();
    for row in 0..view.height() {
        let key = [captures[row], processes[row], containers[row], paths[row]];
        let place = *places.entry(key).or_insert(uses.len());
        if place == uses.len() {
            let [capture, process, container, path] = key;
            let (first, last) = (None, None);
            let [opens, failed, read, written, alerts] = [0; 5];
            let changes = [0; CHANGES.len()];
            uses.push(Use {
                capture,
                process,
                container,
                path,
                opens,
                failed,
                read,
                written,
                changes,
                first,
                last,
                alerts,
            });
        }
        let all = &mut uses[place];
        add(&mut all.opens, opens[row]);
        add(&mut all.failed, failed[row]);
        add(&mut all.read, read[row]);
        add(&mut all.written, written[row]);
        for (sum, column) in all.changes.iter_mut().zip(&changes) {
            add(sum, column[row]);
        }
        all.first = earlier(all.first, firsts[row]);
        all.last = all.last.max(lasts[row]);
        // A process counts once, however many rows it has.
        let life = upids[row].filter(|upid| told.insert((place, *upid)));
        add(&mut all.alerts, life.and_then(|upid| alerts.get(&upid)).copied());
    }
    let weight = |at: usize| {
        let of = &uses[at];
        let (suspect, real_change) = (of.alerts > 0, of.is_change() && !of.is_pseudo());
        (suspect && real_change, real_change, suspect, of.is_change(), of.written, of.read)
    };
    let rows = heaviest(uses.len(), weight)
        .into_iter()
        .map(|at| {
            let of = &uses[at];
            File {
                path: text(of.path),
                process: text(of.process),
                container: names.container(of.capture, of.container),
                did: of.did(),
                opens: of.opens.saturating_add(of.failed),
                failed: of.failed,
                bytes_read: of.read,
                bytes_written: of.written,
                first: time(of.first),
                last: time(of.last),
                alerts: of.alerts,
            }
        })
        .collect();
    let chosen = "changes by processes with alerts first, then other changes, then what was read most";
    listing(uses.len(), rows, chosen, "SELECT * FROM files ORDER BY bytes_written DESC")
}

/// Containers: those with alerts first.
pub(super) fn containers(view: View<'_>, processes: View<'_>, fires: &Fires, names: &Names) -> Listing<Container> {
    let mut lives: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for (capture, id) in processes.texts("capture").into_iter().zip(processes.texts("container_id")) {
        *lives.entry((capture.unwrap_or_default(), id.unwrap_or_default())).or_default() += 1;
    }
    let (captures, ids, kinds) = (view.texts("capture"), view.texts("id"), view.texts("type"));
    let (container_names, images) = (view.texts("name"), view.texts("image"));
    let (repositories, tags, privileged) =
        (view.texts("image_repository"), view.texts("image_tag"), view.bools("privileged"));
    let (pods, namespaces) = (view.texts("pod_name"), view.texts("pod_namespace"));
    let none = [0u64; 8];
    let of = |row: usize| {
        let key = (captures[row].unwrap_or_default().to_owned(), ids[row].unwrap_or_default().to_owned());
        fires.by_container.get(&key).unwrap_or(&none)
    };
    let alerts = |row: usize| of(row).iter().sum::<u64>();
    let processes = |row: usize| {
        lives.get(&(captures[row].unwrap_or_default(), ids[row].unwrap_or_default())).copied().unwrap_or(0)
    };
    let rows = heaviest(view.height(), |row| (alerts(row), processes(row)))
        .into_iter()
        .map(|row| Container {
            id: text(ids[row]),
            name: text(container_names[row]),
            kind: text(kinds[row]),
            image: match images[row].filter(|image| !image.is_empty()) {
                Some(image) => Text::new(image),
                None => joined(":", &[repositories[row], tags[row]]),
            },
            privileged: Text::new(privileged[row].map_or("", |is| if is { "yes" } else { "no" })),
            pod: joined("/", &[namespaces[row], pods[row]]),
            processes: processes(row),
            alerts: alerts(row),
            severity: of(row).iter().position(|count| *count > 0).map(|at| Severity(at as u8)),
            capture: names.capture(captures[row]),
        })
        .collect();
    listing(view.height(), rows, "those with the most alerts first", "SELECT * FROM containers")
}

/// Requests to the cluster that change something or led to alerts first; `None` without an audit log.
pub(super) fn audit(view: View<'_>, alerts: View<'_>) -> Option<Listing<Audit>> {
    if view.height() == 0 {
        return None;
    }
    let mut fired: BTreeMap<(&str, u64), u64> = BTreeMap::new();
    for (capture, num) in alerts.texts("capture").into_iter().zip(alerts.uints("num")) {
        *fired.entry((capture.unwrap_or_default(), num.unwrap_or(0))).or_default() += 1;
    }
    let (captures, nums, times) = (view.texts("capture"), view.uints("num"), view.ints("time"));
    let (users, sources, verbs, stages) =
        (view.texts("user"), view.texts("source_ips"), view.texts("verb"), view.texts("stage"));
    let (resources, parts) = (view.texts("resource"), view.texts("subresource"));
    let (namespaces, names) = (view.texts("namespace"), view.texts("name"));
    let (codes, reasons, uris) = (view.texts("response_code"), view.texts("reason"), view.texts("uri"));
    let of = |row: usize| fired.get(&(captures[row].unwrap_or_default(), nums[row].unwrap_or(0))).copied().unwrap_or(0);
    let changes = |row: usize| !matches!(verbs[row], Some("get" | "list" | "watch") | None);
    let ended = |row: usize| !matches!(stages[row], Some("RequestReceived"));
    let mut order = heaviest(view.height(), |row| (of(row) > 0, changes(row), ended(row)));
    order.sort_by_key(|row| (times[*row], *row));
    let rows = order
        .into_iter()
        .map(|row| Audit {
            time: time(times[row]).unwrap_or_default(),
            user: text(users[row]),
            source: text(sources[row]),
            verb: text(verbs[row]),
            resource: match joined("/", &[resources[row], parts[row]]) {
                resource if resource.is_empty() => text(uris[row]),
                resource => resource,
            },
            object: joined("/", &[namespaces[row], names[row]]),
            response: joined(" ", &[codes[row], reasons[row]]),
            alerts: of(row),
        })
        .collect();
    let chosen = "requests with alerts, then those that change something";
    Some(listing(view.height(), rows, chosen, "SELECT * FROM k8s_audit ORDER BY time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses() {
        for public in ["8.8.8.8", "203.0.113.66", "2001:db8::1", "::ffff:8.8.8.8"] {
            assert!(is_public(Some(public)), "{public}");
        }
        for other in [
            "10.1.2.3",
            "192.168.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "100.64.3.2",
            "224.0.0.1",
            "::1",
            "fe80::1",
            "fd00::1",
            "::ffff:10.0.0.1",
            "",
            "no address",
        ] {
            assert!(!is_public(Some(other)), "{other}");
        }
    }

    #[test]
    fn ends_of_connections() {
        assert_eq!(end(Some("2001:db8::1"), Some(443)).raw(), "[2001:db8::1]:443");
        assert_eq!(end(Some("10.0.0.1"), Some(53)).raw(), "10.0.0.1:53");
        assert!(end(None, Some(53)).is_empty());
    }

    #[test]
    fn the_heaviest_rows_come_first_and_equal_ones_in_order() {
        assert_eq!(heaviest(4, |row| [1, 3, 1, 2][row]), [1, 3, 0, 2]);
    }
}
