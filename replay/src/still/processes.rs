//! The process table of a [`super::Still`]: rows in the order of the tree.
//!
//! A row is a process, under the one that it descends from; with threads, also each thread under its process. Parents
//! that the capture does not know make roots of their children. Ids of captures can form any graph: every thread comes
//! exactly once, and no recursion follows it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::fields::process;
use crate::state::{State, Thread};
use crate::summary::iso_time;

/// One process or thread. What the capture does not know is `None`, in JSON `null`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Row {
    /// Process id.
    pub pid: Option<i64>,
    /// Thread id; that of the process on the row of the process.
    pub tid: i64,
    /// Process id of the parent.
    pub ppid: Option<i64>,
    /// Rows above it in the tree.
    pub depth: usize,
    /// User id.
    pub uid: Option<u32>,
    /// Name of the user.
    pub user: Option<String>,
    /// Terminal, as `ps` names it; `None` also for no terminal.
    pub tty: Option<String>,
    /// Time of the clone that made it, ISO 8601.
    pub start: Option<String>,
    /// Container id; `None` on the host.
    pub container: Option<String>,
    /// Container name.
    pub container_name: Option<String>,
    /// Kubernetes user who asked for it, or for an ancestor of it; in JSON only where one is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub k8s_user: Option<String>,
    /// How sure that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub k8s_user_confidence: Option<&'static str>,
    /// How it was asked for: `exec`, `attach`, `debug`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub k8s_user_via: Option<&'static str>,
    /// Users who may be it as well.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub k8s_user_others: Vec<String>,
    /// Kernel comm.
    pub comm: String,
    /// Path of the executable.
    pub exepath: Option<String>,
    /// `argv`, joined by blanks.
    pub cmdline: Option<String>,
    /// Working directory.
    pub cwd: Option<String>,
    /// Exited, and some of its threads live on.
    pub exited: bool,
    /// Events named the thread, and nothing introduced it.
    pub id_only: bool,
    /// Start, ns since the epoch; 0 unknown.
    #[serde(skip)]
    pub start_ts: u64,
}

/// The table: processes, or with `threads` also threads and those of which only the id is known.
pub fn table(state: &State, threads: bool) -> Vec<Row> {
    // By id, so that siblings come in order.
    let nodes: BTreeMap<i64, &Thread> = state
        .threads()
        .into_iter()
        .filter(|thread| threads || is_process(state, thread))
        .map(|thread| (thread.tid, thread))
        .collect();
    let mut children: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    let mut roots = Vec::new();
    for (&tid, thread) in &nodes {
        match above(state, thread).filter(|parent| *parent != tid && nodes.contains_key(parent)) {
            Some(parent) => children.entry(parent).or_default().push(tid),
            None => roots.push(tid),
        }
    }
    let mut rows = Vec::with_capacity(nodes.len());
    let mut left = nodes.clone();
    // After the roots whatever hangs in a circle, from its smallest id on.
    let mut next_root = roots.into_iter();
    while let Some(root) = next_root.next().or_else(|| left.keys().next().copied()) {
        let mut open = vec![(root, 0)];
        while let Some((tid, depth)) = open.pop() {
            let Some(thread) = left.remove(&tid) else { continue };
            rows.push(row(state, thread, depth));
            let below = children.get(&tid).map_or(&[][..], Vec::as_slice);
            open.extend(below.iter().rev().map(|&child| (child, depth + 1)));
        }
    }
    rows
}

/// Stands for its process: the leader, or a thread whose leader the capture does not know.
fn is_process(state: &State, thread: &Thread) -> bool {
    !thread.placeholder && (thread.is_main() || state.main_thread_of(thread).is_none())
}

/// The row above a thread: of a thread its process, of a process its parent.
fn above(state: &State, thread: &Thread) -> Option<i64> {
    let leader = state.main_thread_of(thread).filter(|leader| leader.tid != thread.tid);
    leader.map(|leader| leader.tid).or_else(|| {
        let parent = state.parent(thread)?;
        Some(state.main_thread_of(parent).unwrap_or(parent).tid)
    })
}

fn row(state: &State, thread: &Thread, depth: usize) -> Row {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let known = |bytes: &[u8]| (!bytes.is_empty()).then(|| text(bytes));
    let id = |id: i64| (id > 0).then_some(id);
    let parent =
        state.parent(thread).map_or(thread.ptid, |parent| if parent.pid > 0 { parent.pid } else { parent.tid });
    let container = state.container_of(thread);
    let binding = state.k8s_user(thread);
    let user = thread.uid.and_then(|uid| state.user(&thread.container_id, uid));
    Row {
        pid: id(thread.pid),
        tid: thread.tid,
        ppid: id(parent),
        depth,
        uid: thread.uid,
        user: user.and_then(|user| known(&user.name)),
        tty: tty_name(thread.tty),
        start: (thread.clone_ts != 0).then(|| iso_time(thread.clone_ts)),
        container: known(&thread.container_id),
        container_name: container.and_then(|container| known(&container.name)),
        k8s_user: binding.as_ref().map(|binding| binding.request.user.clone()),
        k8s_user_confidence: binding.as_ref().map(|binding| binding.confidence.word()),
        k8s_user_via: binding.as_ref().map(|binding| binding.request.via.word()),
        k8s_user_others: binding.map_or_else(Vec::new, |it| it.others.iter().map(|&user| user.to_owned()).collect()),
        comm: text(&thread.comm),
        exepath: known(&thread.exepath),
        cmdline: command_line(thread),
        cwd: state.cwd(thread).and_then(known),
        exited: thread.dead,
        id_only: thread.placeholder,
        start_ts: thread.clone_ts,
    }
}

/// `argv` joined by blanks; `None` of kernel threads, and of what only an id is known.
fn command_line(thread: &Thread) -> Option<String> {
    if thread.exe.is_empty() || thread.placeholder {
        return None;
    }
    let args = process::words(&thread.args);
    let line = std::iter::once(&thread.exe[..]).chain(args).collect::<Vec<_>>().join(&b' ');
    Some(String::from_utf8_lossy(&line).into_owned())
}

/// Name of a terminal by its device number: major in bits 8 to 19, minor in the others, as `/proc/PID/stat` has it.
fn tty_name(device: u32) -> Option<String> {
    let major = device >> 8 & 0xfff;
    let minor = device & 0xff | device >> 12 & 0xf_ff00;
    Some(match (major, minor) {
        (0, 0) => return None,
        (136..=143, _) => format!("pts/{}", (major - 136) * 256 + minor),
        (4, 0..=63) => format!("tty{minor}"),
        (4, _) => format!("ttyS{}", minor - 64),
        (5, 1) => "console".to_owned(),
        _ => format!("{major}:{minor}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_have_the_names_that_ps_shows() {
        for (device, name) in [
            (0x8800, Some("pts/0")),
            (0x8803, Some("pts/3")),
            (0x10_8801, Some("pts/257")),
            (0x401, Some("tty1")),
            (0x440, Some("ttyS0")),
            (0x501, Some("console")),
            (0xcc40, Some("204:64")),
            (0, None),
        ] {
            assert_eq!(tty_name(device).as_deref(), name, "{device:#x}");
        }
    }
}
