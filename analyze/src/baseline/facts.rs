//! Facts of captures that a baseline compares.
//!
//! Frames → (sort, value) with an example of each: who did it, when. One function reads all tables; the sorts stand in
//! one table, [`Sort`].

use std::collections::BTreeMap;

use clap::ValueEnum;

use super::general::general_path;
use crate::frames::{Frames, Wanted};

/// Sorts of facts, the most telling first: new ones are listed in this order among equally rare ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, ValueEnum)]
pub enum Sort {
    /// Path of an executable that was started
    Binary,
    /// Parent and child: which program starts which
    Parent,
    /// Port that a program listens on
    Listener,
    /// Program and address (or name) that it connects to
    Destination,
    /// Program and path that it created, wrote, renamed or removed
    Write,
    /// User that a program ran as
    User,
    /// Image of a container, or its name
    Container,
    /// Verb, resource and user of a Kubernetes audit event
    Audit,
}

impl Sort {
    /// As it is printed and stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Parent => "parent",
            Self::Listener => "listener",
            Self::Destination => "destination",
            Self::Write => "write",
            Self::User => "user",
            Self::Container => "container",
            Self::Audit => "audit",
        }
    }

    /// The sort of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::value_variants().iter().copied().find(|sort| sort.name() == name)
    }
}

/// A fact of one capture.
pub type Fact = (Sort, String);

/// When a fact was first seen in a capture, and by whom.
#[derive(Clone, Debug, Default)]
pub struct Example {
    /// ns since the epoch.
    pub first: Option<i64>,
    /// Process life.
    pub upid: Option<u64>,
    /// What it looked like before it was generalised.
    pub detail: String,
    /// How often.
    pub count: u64,
}

/// The tables that facts are read from.
pub fn wanted() -> Wanted {
    Wanted::tables(&["captures", "execs", "network", "files", "containers", "k8s_audit"])
}

/// All facts by capture.
pub fn facts(frames: &Frames) -> BTreeMap<String, BTreeMap<Fact, Example>> {
    let mut all = All::default();
    // A capture without facts is one too: it counts where shares are computed.
    for capture in frames.view("captures").texts("capture").into_iter().flatten() {
        all.0.entry(capture.to_owned()).or_default();
    }
    execs(frames, &mut all);
    network(frames, &mut all);
    files(frames, &mut all);
    containers(frames, &mut all);
    audit(frames, &mut all);
    all.0
}

#[derive(Default)]
struct All(BTreeMap<String, BTreeMap<Fact, Example>>);

impl All {
    fn add(&mut self, capture: Option<&str>, fact: Fact, first: Option<i64>, upid: Option<u64>, detail: &str) {
        let facts = self.0.entry(capture.unwrap_or_default().to_owned()).or_default();
        let example = facts.entry(fact).or_default();
        example.count += 1;
        let earlier = match (example.first, first) {
            (Some(known), Some(first)) => first < known,
            (None, _) => true,
            (Some(_), None) => false,
        };
        if example.count == 1 || earlier {
            *example = Example { first, upid, detail: detail.to_owned(), count: example.count };
        }
    }
}

fn execs(frames: &Frames, all: &mut All) {
    let table = frames.view("execs");
    let (captures, times, upids) = (table.texts("capture"), table.ints("time"), table.uints("upid"));
    let (paths, names, parents) = (table.texts("exepath"), table.texts("name"), table.texts("parent_name"));
    let (users, cmdlines, results) = (table.texts("user_name"), table.texts("cmdline"), table.texts("result"));
    for row in 0..table.height() {
        // What failed did not run; it would make every step of a PATH search new.
        if results[row].is_some_and(|result| result != "SUCCESS") {
            continue;
        }
        let Some(name) = names[row] else { continue };
        let mut add = |sort, value: String| {
            all.add(captures[row], (sort, value), times[row], upids[row], cmdlines[row].unwrap_or(name));
        };
        add(Sort::Binary, general_path(paths[row].filter(|path| !path.is_empty()).unwrap_or(name)));
        if let Some(parent) = parents[row] {
            add(Sort::Parent, format!("{parent} → {name}"));
        }
        if let Some(user) = users[row] {
            add(Sort::User, format!("{user} runs {name}"));
        }
    }
}

fn network(frames: &Frames, all: &mut All) {
    let table = frames.view("network");
    let (captures, times, upids) = (table.texts("capture"), table.ints("first"), table.uints("upid"));
    let (names, protocols, roles) = (table.texts("proc_name"), table.texts("protocol"), table.texts("role"));
    let (servers, ports, dns) = (table.texts("server_ip"), table.uints("server_port"), table.texts("dns_name"));
    let paths = table.texts("path");
    for row in 0..table.height() {
        let (name, protocol) = (names[row].unwrap_or("?"), protocols[row].unwrap_or("?"));
        let port = ports[row].map(|port| port.to_string()).unwrap_or_default();
        let detail = format!("{protocol} {}:{port}", servers[row].unwrap_or_default());
        let fact = match (roles[row], servers[row]) {
            (Some("listener" | "server"), _) if paths[row].is_none() => {
                (Sort::Listener, format!("{name} {protocol}/{port}"))
            }
            (Some("client"), Some(server)) => {
                (Sort::Destination, format!("{name} → {} {protocol}/{port}", dns[row].unwrap_or(server)))
            }
            _ => continue,
        };
        all.add(captures[row], fact, times[row], upids[row], &detail);
    }
}

fn files(frames: &Frames, all: &mut All) {
    let table = frames.view("files");
    let (captures, times, upids) = (table.texts("capture"), table.ints("first"), table.uints("upid"));
    let (names, paths) = (table.texts("proc_name"), table.texts("path"));
    let counts: Vec<_> =
        ["created", "writes", "renames", "unlinks", "chmods"].iter().map(|column| table.uints(column)).collect();
    for row in 0..table.height() {
        let changed = counts.iter().any(|counts| counts[row].is_some_and(|count| count > 0));
        let Some(path) = paths[row].filter(|path| changed && path.starts_with('/')) else { continue };
        let fact = (Sort::Write, format!("{} → {}", names[row].unwrap_or("?"), general_path(path)));
        all.add(captures[row], fact, times[row], upids[row], path);
    }
}

fn containers(frames: &Frames, all: &mut All) {
    let table = frames.view("containers");
    let (captures, times) = (table.texts("capture"), table.ints("first"));
    let (images, names, ids) = (table.texts("image"), table.texts("name"), table.texts("id"));
    for row in 0..table.height() {
        let Some(value) = images[row].or(names[row]) else { continue };
        all.add(captures[row], (Sort::Container, value.to_owned()), times[row], None, ids[row].unwrap_or_default());
    }
}

fn audit(frames: &Frames, all: &mut All) {
    let table = frames.view("k8s_audit");
    let (captures, times) = (table.texts("capture"), table.ints("time"));
    let (users, verbs) = (table.texts("user"), table.texts("verb"));
    let (resources, subresources, names) = (table.texts("resource"), table.texts("subresource"), table.texts("name"));
    for row in 0..table.height() {
        let resource: Vec<&str> = [resources[row], subresources[row]].into_iter().flatten().collect();
        let value = format!("{} {} {}", users[row].unwrap_or("?"), verbs[row].unwrap_or("?"), resource.join("/"));
        all.add(captures[row], (Sort::Audit, value), times[row], None, names[row].unwrap_or_default());
    }
}
