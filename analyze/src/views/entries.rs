//! Entries of the timeline: what each table says as moments with a sentence.
//!
//! One function a kind; each reads one table of the frames.

use std::collections::{BTreeSet, HashMap};

use foldhash::fast::FixedState;

use super::timeline::Kind;
use crate::frames::{Frames, View, Wanted};

/// A moment of the timeline.
#[derive(Clone, Debug)]
pub struct Entry<'f> {
    /// ns since the epoch; corrected by `--offset`.
    pub time: i64,
    /// Capture it is from.
    pub capture: &'f str,
    /// Place among entries of the same time and capture: number of the event where there is one.
    pub order: u64,
    /// What kind.
    pub kind: Kind,
    /// Number of the event, where the entry is one event.
    pub num: Option<u64>,
    /// Process life.
    pub upid: Option<u64>,
    /// Name of the process.
    pub process: Option<&'f str>,
    /// Process id.
    pub pid: Option<i64>,
    /// Priority of an alert.
    pub priority: Option<&'f str>,
    /// What happened.
    pub text: String,
}

/// The tables that these kinds read.
pub fn wanted(kinds: &BTreeSet<Kind>) -> Wanted {
    let tables: Vec<&str> = kinds
        .iter()
        .filter_map(|kind| match kind {
            Kind::Alert => Some("alerts"),
            Kind::Exec => Some("execs"),
            // Of `processes` the forest's columns are read anyway.
            Kind::Exit => None,
            Kind::File => Some("files"),
            Kind::Network => Some("network"),
            Kind::Dns => Some("dns"),
            Kind::Container => Some("containers"),
            Kind::Audit => Some("k8s_audit"),
        })
        .collect();
    Wanted::tables(&tables)
}

/// All entries of these kinds, in no order.
pub fn of<'f>(frames: &'f Frames, kinds: &BTreeSet<Kind>) -> Vec<Entry<'f>> {
    let mut entries = Vec::new();
    for kind in kinds {
        let read = match kind {
            Kind::Alert => alerts,
            Kind::Exec => execs,
            Kind::Exit => exits,
            Kind::File => files,
            Kind::Network => network,
            Kind::Dns => dns,
            Kind::Container => containers,
            Kind::Audit => audit,
        };
        read(frames, &mut entries);
    }
    // Process ids stand in `processes` only.
    let processes = frames.view("processes");
    let pids: HashMap<u64, i64, FixedState> = processes
        .uints("upid")
        .into_iter()
        .zip(processes.ints("pid"))
        .filter_map(|(upid, pid)| Some((upid?, pid?)))
        .collect();
    for entry in &mut entries {
        entry.pid = entry.pid.or_else(|| pids.get(&entry.upid?).copied());
    }
    entries
}

/// What all tables with processes have: time, capture, life, name.
struct Base<'f> {
    times: Vec<Option<i64>>,
    captures: Vec<Option<&'f str>>,
    nums: Vec<Option<u64>>,
    upids: Vec<Option<u64>>,
    names: Vec<Option<&'f str>>,
    kind: Kind,
}

impl<'f> Base<'f> {
    fn new(table: View<'f>, kind: Kind, time: &str, name: &str) -> Self {
        Self {
            times: table.ints(time),
            captures: table.texts("capture"),
            nums: table.uints("num"),
            upids: table.uints("upid"),
            names: table.texts(name),
            kind,
        }
    }

    /// The entry of a row; none without a time.
    fn entry(&self, row: usize, text: String) -> Option<Entry<'f>> {
        Some(Entry {
            time: self.times[row]?,
            capture: self.captures[row].unwrap_or_default(),
            order: self.nums[row].unwrap_or(row as u64),
            kind: self.kind,
            num: self.nums[row],
            upid: self.upids[row],
            process: self.names[row],
            pid: None,
            priority: None,
            text,
        })
    }
}

fn alerts<'f>(frames: &'f Frames, entries: &mut Vec<Entry<'f>>) {
    let table = frames.view("alerts");
    let base = Base::new(table, Kind::Alert, "time", "proc_name");
    let (rules, priorities, outputs) = (table.texts("rule"), table.texts("priority"), table.texts("output"));
    for row in 0..table.height() {
        let (rule, priority) = (rules[row].unwrap_or_default(), priorities[row]);
        // Falco's line begins with time and priority, which stand in columns of their own here.
        let output = outputs[row].unwrap_or_default();
        let output =
            priority.and_then(|priority| output.split_once(&format!("{priority} "))).map_or(output, |(_, rest)| rest);
        let text = format!("{rule} – {output}");
        entries.extend(base.entry(row, text).map(|entry| Entry { priority, ..entry }));
    }
}

fn execs<'f>(frames: &'f Frames, entries: &mut Vec<Entry<'f>>) {
    let table = frames.view("execs");
    let base = Base::new(table, Kind::Exec, "time", "name");
    let (cmdlines, users) = (table.texts("cmdline"), table.texts("user_name"));
    let (parents, results) = (table.texts("parent_name"), table.texts("result"));
    let containers = table.texts("container_id");
    for row in 0..table.height() {
        let mut text = cmdlines[row].unwrap_or("<NA>").to_owned();
        if let Some(result) = results[row].filter(|result| *result != "SUCCESS") {
            text = format!("{text} failed: {result}");
        }
        let about =
            [("user", users[row]), ("parent", parents[row]), ("container", containers[row].filter(|id| *id != "host"))];
        let about: Vec<String> =
            about.iter().filter_map(|(name, value)| value.map(|value| format!("{name}={value}"))).collect();
        entries.extend(base.entry(row, format!("{text}  ({})", about.join(" "))));
    }
}

fn exits<'f>(frames: &'f Frames, entries: &mut Vec<Entry<'f>>) {
    let table = frames.view("processes");
    let base = Base::new(table, Kind::Exit, "end", "name");
    let (codes, signals) = (table.ints("exit_code"), table.ints("exit_signal"));
    for row in 0..table.height() {
        let text = match (signals[row].filter(|signal| *signal > 0), codes[row]) {
            (Some(signal), _) => format!("ended by signal {signal}"),
            (None, Some(code)) => format!("exit {code}"),
            (None, None) => "ended".to_owned(),
        };
        entries.extend(base.entry(row, text));
    }
}

fn files<'f>(frames: &'f Frames, entries: &mut Vec<Entry<'f>>) {
    let table = frames.view("files");
    let base = Base::new(table, Kind::File, "first", "proc_name");
    let paths = table.texts("path");
    let deeds = [
        ("created", "created"),
        ("writes", "wrote"),
        ("renames", "renamed"),
        ("chmods", "changed mode or owner of"),
        ("unlinks", "removed"),
    ];
    let counts: Vec<(&str, Vec<Option<u64>>)> =
        deeds.iter().map(|(column, verb)| (*verb, table.uints(column))).collect();
    let bytes = table.uints("bytes_written");
    for row in 0..table.height() {
        let verbs: Vec<&str> = counts
            .iter()
            .filter(|(_, counts)| counts[row].is_some_and(|count| count > 0))
            .map(|(verb, _)| *verb)
            .collect();
        if verbs.is_empty() {
            continue;
        }
        let size = bytes[row].filter(|bytes| *bytes > 0).map(|bytes| format!("  ({bytes} bytes)")).unwrap_or_default();
        let text = format!("{} {}{size}", verbs.join(", "), paths[row].unwrap_or("<NA>"));
        entries.extend(base.entry(row, text));
    }
}

fn network<'f>(frames: &'f Frames, entries: &mut Vec<Entry<'f>>) {
    let table = frames.view("network");
    let base = Base::new(table, Kind::Network, "first", "proc_name");
    let (protocols, roles) = (table.texts("protocol"), table.texts("role"));
    let (clients, client_ports) = (table.texts("client_ip"), table.uints("client_port"));
    let (servers, server_ports) = (table.texts("server_ip"), table.uints("server_port"));
    let (paths, names) = (table.texts("path"), table.texts("dns_name"));
    let (sent, received, failed) = (table.uints("bytes_out"), table.uints("bytes_in"), table.uints("failed"));
    let connects = table.uints("connects");
    let end = |ip: Option<&str>, port: Option<u64>| match (ip, port) {
        (Some(ip), Some(port)) if ip.contains(':') => format!("[{ip}]:{port}"),
        (Some(ip), Some(port)) => format!("{ip}:{port}"),
        (Some(ip), None) => ip.to_owned(),
        (None, Some(port)) => format!("port {port}"),
        (None, None) => "?".to_owned(),
    };
    for row in 0..table.height() {
        let protocol = protocols[row].unwrap_or("?");
        let server = end(servers[row], server_ports[row]);
        let what = match (roles[row], paths[row]) {
            (_, Some(path)) => format!("{protocol} {path}"),
            (Some("listener"), _) => format!("listened on {protocol} {server}"),
            (Some("server"), _) => {
                format!("accepted {protocol} from {} on {server}", end(clients[row], client_ports[row]))
            }
            _ => format!("to {protocol} {server}"),
        };
        let dns = names[row].map(|name| format!(" ({name})")).unwrap_or_default();
        let moved = match (sent[row].unwrap_or(0), received[row].unwrap_or(0)) {
            (0, 0) => String::new(),
            (sent, received) => format!("  ({sent} bytes sent, {received} received)"),
        };
        let only_failed = connects[row].unwrap_or(0) == 0 && failed[row].is_some_and(|failed| failed > 0);
        let failure = if only_failed { "  failed" } else { "" };
        entries.extend(base.entry(row, format!("{what}{dns}{moved}{failure}")));
    }
}

fn dns<'f>(frames: &'f Frames, entries: &mut Vec<Entry<'f>>) {
    let table = frames.view("dns");
    let base = Base::new(table, Kind::Dns, "time", "proc_name");
    let (queries, types, answers) = (table.texts("query"), table.texts("type"), table.texts("answer"));
    for row in 0..table.height() {
        let (query, kind) = (queries[row].unwrap_or("?"), types[row].unwrap_or("?"));
        let text = match answers[row] {
            Some(answer) => format!("{query} {kind} is {answer}"),
            None => format!("asked for {query} {kind}"),
        };
        entries.extend(base.entry(row, text));
    }
}

fn containers<'f>(frames: &'f Frames, entries: &mut Vec<Entry<'f>>) {
    let table = frames.view("containers");
    let base = Base::new(table, Kind::Container, "first", "none");
    let (ids, names, images) = (table.texts("id"), table.texts("name"), table.texts("image"));
    let (pods, namespaces, privileged) =
        (table.texts("pod_name"), table.texts("pod_namespace"), table.bools("privileged"));
    for row in 0..table.height() {
        let mut text = format!("{} {}", ids[row].unwrap_or("?"), names[row].unwrap_or_default());
        for (name, value) in [("image", images[row]), ("namespace", namespaces[row]), ("pod", pods[row])] {
            if let Some(value) = value {
                text = format!("{text} {name}={value}");
            }
        }
        if privileged[row] == Some(true) {
            text.push_str(" privileged");
        }
        entries.extend(base.entry(row, text));
    }
}

fn audit<'f>(frames: &'f Frames, entries: &mut Vec<Entry<'f>>) {
    let table = frames.view("k8s_audit");
    let base = Base::new(table, Kind::Audit, "time", "none");
    let (users, verbs) = (table.texts("user"), table.texts("verb"));
    let (resources, subresources) = (table.texts("resource"), table.texts("subresource"));
    let (namespaces, names, codes) = (table.texts("namespace"), table.texts("name"), table.texts("response_code"));
    let (uris, stages) = (table.texts("uri"), table.texts("stage"));
    for row in 0..table.height() {
        let parts: Vec<&str> = [resources[row], subresources[row]].into_iter().flatten().collect();
        let object: Vec<&str> = [namespaces[row], names[row]].into_iter().flatten().collect();
        let what = if parts.is_empty() {
            uris[row].unwrap_or_default().to_owned()
        } else {
            format!("{} {}", parts.join("/"), object.join("/"))
        };
        let code = codes[row].map(|code| format!(" → {code}")).unwrap_or_default();
        let stage = stages[row]
            .filter(|stage| *stage != "ResponseComplete")
            .map(|stage| format!("  ({stage})"))
            .unwrap_or_default();
        let text = format!("{} {} {what}{code}{stage}", users[row].unwrap_or("?"), verbs[row].unwrap_or("?"));
        entries.extend(base.entry(row, text));
    }
}
