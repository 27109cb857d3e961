//! Process lives as trees.
//!
//! Rows of the table `processes` → [`Forest`]: who started whom, in the order of the captures and of time. Views and
//! reports decide which lives they show; here is how they hang together.

use std::collections::{BTreeSet, HashMap};

use foldhash::fast::FixedState;

use crate::frames::{LIFE_BITS, View};

/// Columns of `processes` that [`Forest::of`] reads.
pub const COLUMNS: &[&str] = &[
    "upid",
    "parent_upid",
    "pid",
    "ppid",
    "start",
    "end",
    "exit_code",
    "exit_signal",
    "name",
    "cmdline",
    "user_name",
    "login_name",
    "container_id",
    "container_name",
    "pod_name",
    "pod_namespace",
    "from_snapshot",
    "events",
    "alerts",
    "k8s_user_name",
    "k8s_user_via",
    "k8s_user_confidence",
    "k8s_user_others",
];

/// A process life, as its row says.
#[derive(Clone, Debug, Default)]
pub struct Process<'f> {
    /// Capture it is from.
    pub capture: &'f str,
    /// Key.
    pub upid: u64,
    /// Key of the parent's life.
    pub parent: Option<u64>,
    /// Process id on the host.
    pub pid: Option<i64>,
    /// Process id of the parent.
    pub ppid: Option<i64>,
    /// Start, ns since the epoch.
    pub start: Option<i64>,
    /// End, ns since the epoch.
    pub end: Option<i64>,
    /// Exit code.
    pub exit_code: Option<i64>,
    /// Signal that ended it.
    pub exit_signal: Option<i64>,
    /// Name (comm).
    pub name: Option<&'f str>,
    /// Name and arguments.
    pub cmdline: Option<&'f str>,
    /// User.
    pub user: Option<&'f str>,
    /// Who logged in.
    pub login: Option<&'f str>,
    /// Container id, `host` outside.
    pub container_id: Option<&'f str>,
    /// Container name.
    pub container_name: Option<&'f str>,
    /// Pod.
    pub pod: Option<&'f str>,
    /// Namespace of the pod.
    pub namespace: Option<&'f str>,
    /// It ran when the capture began.
    pub from_snapshot: bool,
    /// Events of its threads.
    pub events: u64,
    /// Alerts on them.
    pub alerts: u64,
    /// User of the Kubernetes API behind it.
    pub k8s_user: Option<&'f str>,
    /// What that user asked for.
    pub k8s_user_via: Option<&'f str>,
    /// How sure that is.
    pub k8s_user_confidence: Option<&'f str>,
    /// Who else it may be, in brackets.
    pub k8s_user_others: Option<&'f str>,
}

impl Process<'_> {
    /// Whether user, login, container, pod, namespace or Kubernetes user is called so.
    pub fn is_of(&self, who: &str) -> bool {
        let names =
            [self.user, self.login, self.container_id, self.container_name, self.pod, self.namespace, self.k8s_user];
        names.contains(&Some(who))
    }

    /// Whether the capture shows it doing something, rather than only that it was there.
    pub fn is_active(&self) -> bool {
        self.events > 0 || self.alerts > 0 || !self.from_snapshot
    }

    /// Container by name, or by id when it has none; nothing on the host.
    pub fn container(&self) -> Option<&str> {
        let id = self.container_id.filter(|id| !id.is_empty() && *id != "host")?;
        Some(self.container_name.filter(|name| !name.is_empty()).unwrap_or(id))
    }
}

/// All process lives of some captures.
#[derive(Debug, Default)]
pub struct Forest<'f> {
    /// The lives, in the order of the table.
    pub processes: Vec<Process<'f>>,
    children: Vec<Vec<usize>>,
    parents: Vec<Option<usize>>,
    roots: Vec<usize>,
    by_upid: HashMap<u64, usize, FixedState>,
}

/// A life at its place in a drawn tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// Index into [`Forest::processes`].
    pub process: usize,
    /// For each level above it whether more siblings follow there; the last entry is its own.
    pub more: Vec<bool>,
}

/// Levels that are drawn; what is deeper is drawn at this depth.
const MAX_DEPTH: usize = 64;

impl<'f> Forest<'f> {
    /// Makes the trees of a `processes` table.
    pub fn of(table: View<'f>) -> Self {
        Self::grow(rows(table))
    }

    fn grow(processes: Vec<Process<'f>>) -> Self {
        let by_upid: HashMap<u64, usize, FixedState> =
            processes.iter().enumerate().map(|(at, process)| (process.upid, at)).collect();
        let mut parents: Vec<Option<usize>> = processes
            .iter()
            .enumerate()
            .map(|(at, process)| process.parent.and_then(|upid| by_upid.get(&upid).copied()).filter(|up| *up != at))
            .collect();
        cut_cycles(&mut parents);
        let mut children = vec![Vec::new(); processes.len()];
        let mut roots = Vec::new();
        for (at, parent) in parents.iter().enumerate() {
            match parent {
                Some(parent) => children[*parent].push(at),
                None => roots.push(at),
            }
        }
        let mut forest = Self { processes, children, parents, roots, by_upid };
        let mut children = std::mem::take(&mut forest.children);
        for siblings in &mut children {
            siblings.sort_by_key(|at| forest.order(*at));
        }
        forest.children = children;
        forest
    }

    /// Captures stay in their order (the upid begins with the number of the capture), lives are ordered by time.
    fn order(&self, at: usize) -> impl Ord + use<> {
        let process = &self.processes[at];
        (process.upid >> LIFE_BITS, process.start.unwrap_or(i64::MIN), process.pid, at)
    }

    /// Index of a life.
    pub fn find(&self, upid: u64) -> Option<usize> {
        self.by_upid.get(&upid).copied()
    }

    /// The parent of a life.
    pub fn parent(&self, process: usize) -> Option<usize> {
        self.parents.get(process).copied().flatten()
    }

    /// These lives and all their ancestors.
    pub fn with_ancestors(&self, lives: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
        let mut all = BTreeSet::new();
        for life in lives {
            let mut next = Some(life);
            while let Some(at) = next.filter(|at| all.insert(*at)) {
                next = self.parent(at);
            }
        }
        all
    }

    /// These lives and all that came of them.
    pub fn with_descendants(&self, lives: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
        let mut all = BTreeSet::new();
        let mut open: Vec<usize> = lives.into_iter().collect();
        while let Some(at) = open.pop() {
            if all.insert(at) {
                open.extend(&self.children[at]);
            }
        }
        all
    }

    /// The chosen lives in drawing order: parents before children, siblings by time. A chosen life whose parent is not
    /// chosen stands at the top.
    pub fn drawn(&self, chosen: &BTreeSet<usize>) -> Vec<Branch> {
        let kept = |list: &[usize]| list.iter().copied().filter(|at| chosen.contains(at)).collect::<Vec<_>>();
        let mut tops: Vec<usize> = kept(&self.roots);
        tops.extend(chosen.iter().filter(|at| self.parent(**at).is_some_and(|up| !chosen.contains(&up))));
        tops.sort_by_key(|at| self.order(*at));
        let mut branches = Vec::new();
        let mut open: Vec<Branch> =
            tops.into_iter().rev().map(|process| Branch { process, more: Vec::new() }).collect();
        while let Some(branch) = open.pop() {
            let below = kept(&self.children[branch.process]);
            for (at, child) in below.iter().enumerate().rev() {
                let mut more = branch.more.clone();
                if more.len() >= MAX_DEPTH {
                    more.pop();
                }
                more.push(at + 1 < below.len());
                open.push(Branch { process: *child, more });
            }
            branches.push(branch);
        }
        branches
    }
}

/// What a capture claims can be a circle; each circle is opened at its first member.
fn cut_cycles(parents: &mut [Option<usize>]) {
    const NEW: u8 = 0;
    const ON_PATH: u8 = 1;
    const DONE: u8 = 2;
    let mut marks = vec![NEW; parents.len()];
    for start in 0..parents.len() {
        let (mut path, mut next) = (Vec::new(), Some(start));
        while let Some(at) = next.filter(|at| marks[*at] == NEW) {
            marks[at] = ON_PATH;
            path.push(at);
            next = parents[at];
        }
        if let Some(at) = next.filter(|at| marks[*at] == ON_PATH) {
            parents[at] = None;
        }
        for at in path {
            marks[at] = DONE;
        }
    }
}

fn rows(table: View<'_>) -> Vec<Process<'_>> {
    let (captures, upids, parents) = (table.texts("capture"), table.uints("upid"), table.uints("parent_upid"));
    let (numbers, parent_numbers) = (table.ints("pid"), table.ints("ppid"));
    let (starts, ends) = (table.ints("start"), table.ints("end"));
    let (codes, signals) = (table.ints("exit_code"), table.ints("exit_signal"));
    let (names, cmdlines) = (table.texts("name"), table.texts("cmdline"));
    let (users, logins) = (table.texts("user_name"), table.texts("login_name"));
    let (ids, containers) = (table.texts("container_id"), table.texts("container_name"));
    let (pods, namespaces) = (table.texts("pod_name"), table.texts("pod_namespace"));
    let (snapshots, kubernetes) = (table.bools("from_snapshot"), table.texts("k8s_user_name"));
    let (vias, confidences) = (table.texts("k8s_user_via"), table.texts("k8s_user_confidence"));
    let others = table.texts("k8s_user_others");
    let (events, alerts) = (table.uints("events"), table.uints("alerts"));
    (0..table.height())
        .map(|row| Process {
            capture: captures[row].unwrap_or_default(),
            upid: upids[row].unwrap_or_default(),
            parent: parents[row],
            pid: numbers[row],
            ppid: parent_numbers[row],
            start: starts[row],
            end: ends[row],
            exit_code: codes[row],
            exit_signal: signals[row],
            name: names[row],
            cmdline: cmdlines[row],
            user: users[row],
            login: logins[row],
            container_id: ids[row],
            container_name: containers[row],
            pod: pods[row],
            namespace: namespaces[row],
            from_snapshot: snapshots[row].unwrap_or_default(),
            events: events[row].unwrap_or_default(),
            alerts: alerts[row].unwrap_or_default(),
            k8s_user: kubernetes[row],
            k8s_user_via: vias[row],
            k8s_user_confidence: confidences[row],
            k8s_user_others: others[row],
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A forest of (upid, parent, start).
    fn forest(lives: &[(u64, Option<u64>, i64)]) -> Forest<'static> {
        let processes: Vec<_> = lives
            .iter()
            .map(|(upid, parent, start)| Process {
                upid: *upid,
                parent: *parent,
                start: Some(*start),
                ..Process::default()
            })
            .collect();
        Forest::grow(processes)
    }

    #[test]
    fn siblings_stand_in_the_order_of_time() {
        let forest = forest(&[(1, None, 0), (2, Some(1), 30), (3, Some(1), 20), (4, Some(3), 25)]);
        let drawn = forest.drawn(&(0..4).collect());
        let order: Vec<_> =
            drawn.iter().map(|branch| (forest.processes[branch.process].upid, branch.more.clone())).collect();
        assert_eq!(order, [(1, vec![]), (3, vec![true]), (4, vec![true, false]), (2, vec![false])]);
    }

    #[test]
    fn circles_are_opened_and_nobody_is_lost() {
        let forest = forest(&[(1, Some(3), 0), (2, Some(1), 1), (3, Some(2), 2), (4, Some(4), 3)]);
        assert_eq!(forest.drawn(&(0..4).collect()).len(), 4);
        assert_eq!(forest.with_ancestors([2]).len(), 3);
    }

    #[test]
    fn lives_without_their_parent_stand_at_the_top() {
        let forest = forest(&[(1, None, 0), (2, Some(1), 1), (3, Some(2), 2)]);
        let drawn = forest.drawn(&[2].into());
        assert_eq!(drawn, [Branch { process: 2, more: vec![] }]);
        assert_eq!(forest.with_descendants([1]), [1, 2].into());
    }
}
