//! Network, files, containers, audit: rows of tables as rows of the report, the weightiest of them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
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
        Some(IpAddr::V6(v6)) => match v6.to_ipv4_mapped() {
            Some(v4) => is_public(Some(&v4.to_string())),
            None => {
                let local = v6.segments()[0];
                !(v6.is_loopback()
                    || v6.is_unspecified()
                    || v6.is_multicast()
                    || local & 0xfe00 == 0xfc00
                    || local & 0xffc0 == 0xfe80)
            }
        },
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

/// Who talked to whom: public addresses first, then processes with alerts, then by bytes.
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
    let of = |row: usize| upids[row].and_then(|upid| alerts.get(&upid)).copied().unwrap_or(0);
    let public = |row: usize| match roles[row] {
        Some("server" | "listener") => is_public(client_ips[row]),
        _ => is_public(server_ips[row]),
    };
    let number = |column: &[Option<u64>], row: usize| column[row].unwrap_or(0);
    let weight = |row: usize| {
        let inet = !matches!(protocols[row], Some("unix"));
        (public(row), of(row) > 0, inet, number(&sent, row).saturating_add(number(&received, row)))
    };
    let rows = heaviest(view.height(), weight)
        .into_iter()
        .map(|row| Connection {
            process: text(processes[row]),
            container: names.container(captures[row], containers[row]),
            protocol: text(protocols[row]),
            role: text(roles[row]),
            client: end(client_ips[row], client_ports[row]),
            server: match end(server_ips[row], server_ports[row]) {
                server if server.is_empty() => text(paths[row]),
                server => server,
            },
            dns: text(dns[row]),
            public: public(row),
            connects: number(&connects, row),
            failed: number(&failed, row),
            bytes_out: number(&sent, row),
            bytes_in: number(&received, row),
            first: time(firsts[row]),
            last: time(lasts[row]),
            alerts: of(row),
        })
        .collect();
    let chosen = "public addresses, processes with alerts and the most bytes first";
    listing(view.height(), rows, chosen, "SELECT * FROM network ORDER BY bytes_out + bytes_in DESC")
}

/// What was done to files: changes by processes with alerts first, then other changes, then reading.
pub(super) fn files(view: View<'_>, fires: &Fires, names: &Names) -> Listing<File> {
    let alerts = by_process(fires);
    let (upids, processes, paths) = (view.uints("upid"), view.texts("proc_name"), view.texts("path"));
    let (captures, containers) = (view.texts("capture"), view.texts("container_id"));
    let (opens, failed, created) = (view.uints("opens"), view.uints("failed_opens"), view.uints("created"));
    let (reads, writes) = (view.uints("bytes_read"), view.uints("bytes_written"));
    let (renames, unlinks, chmods) = (view.uints("renames"), view.uints("unlinks"), view.uints("chmods"));
    let (write_calls, firsts, lasts) = (view.uints("writes"), view.ints("first"), view.ints("last"));
    let of = |row: usize| upids[row].and_then(|upid| alerts.get(&upid)).copied().unwrap_or(0);
    let number = |column: &[Option<u64>], row: usize| column[row].unwrap_or(0);
    let changes: [(&str, &[Option<u64>]); 5] = [
        ("created", &created),
        ("written", &write_calls),
        ("renamed", &renames),
        ("removed", &unlinks),
        ("mode changed", &chmods),
    ];
    let changed = |row: usize| changes.iter().any(|(_, column)| number(column, row) > 0);
    // The kernel's own files are written all the time and say little.
    let pseudo =
        |row: usize| paths[row].is_some_and(|path| ["/proc/", "/sys/", "/dev/"].iter().any(|p| path.starts_with(p)));
    let weight = |row: usize| {
        let (suspect, changed) = (of(row) > 0, changed(row));
        (
            suspect && changed && !pseudo(row),
            changed && !pseudo(row),
            suspect,
            changed,
            number(&writes, row),
            number(&reads, row),
        )
    };
    let did = |row: usize| {
        let mut words: Vec<&str> =
            changes.iter().filter(|(_, column)| number(column, row) > 0).map(|(word, _)| *word).collect();
        if words.is_empty() && number(&reads, row) > 0 {
            words.push("read");
        }
        if words.is_empty() {
            words.push(if number(&opens, row) == 0 && number(&failed, row) > 0 { "not opened" } else { "opened" });
        }
        Text::new(&words.join(", "))
    };
    let rows = heaviest(view.height(), weight)
        .into_iter()
        .map(|row| File {
            path: text(paths[row]),
            process: text(processes[row]),
            container: names.container(captures[row], containers[row]),
            did: did(row),
            opens: number(&opens, row) + number(&failed, row),
            failed: number(&failed, row),
            bytes_read: number(&reads, row),
            bytes_written: number(&writes, row),
            first: time(firsts[row]),
            last: time(lasts[row]),
            alerts: of(row),
        })
        .collect();
    let chosen = "changes by processes with alerts first, then other changes, then what was read most";
    listing(view.height(), rows, chosen, "SELECT * FROM files ORDER BY bytes_written DESC")
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
