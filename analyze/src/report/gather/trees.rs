//! Process trees around alerts: which processes to show, and how they hang together.
//!
//! Chosen are the processes with the strongest and most alerts, some generations of ancestors of each, and some of what
//! they started, all within bounds: a captured fork bomb must not become a page that no browser opens. What is left out
//! is counted where it is missing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use foldhash::fast::FixedState;

use super::super::model::{Forest, Node, NodeAlerts, Severity};
use super::super::text::{Text, Time};
use super::alerts::Fires;
use super::{Names, text, time};
use crate::frames::View;

/// Processes with alerts that are shown.
const ALERTING: usize = 150;
/// Generations of ancestors of each.
const ANCESTORS: usize = 10;
/// Children without alerts of one process.
const CHILDREN: usize = 12;
/// Processes without alerts below those with alerts.
const BELOW: usize = 600;
/// Generations of them.
const BELOW_DEPTH: usize = 4;
/// Nesting of the trees; what lies deeper is shown at this depth.
const DEPTH: usize = 48;
/// Rules that are named at one process.
const RULES: usize = 12;
/// Steps up a line of ancestors: lines of parents in a hostile capture can be endless.
const STEPS: usize = 100_000;

/// Who descends from whom, by row of `processes`.
struct Lives {
    rows: HashMap<u64, usize, FixedState>,
    upids: Vec<Option<u64>>,
    parents: Vec<Option<u64>>,
    starts: Vec<Option<i64>>,
}

impl Lives {
    fn read(view: View<'_>) -> Self {
        let (upids, parents) = (view.uints("upid"), view.uints("parent_upid"));
        let rows = upids.iter().enumerate().filter_map(|(row, upid)| Some(((*upid)?, row))).collect();
        Self { rows, upids, parents, starts: view.ints("start") }
    }

    fn parent(&self, upid: u64) -> Option<u64> {
        let parent = self.parents[*self.rows.get(&upid)?]?;
        (parent != upid && self.rows.contains_key(&parent)).then_some(parent)
    }

    /// When a process started, then its number: the order of children.
    fn order(&self, upid: u64) -> (Option<i64>, u64) {
        (self.rows.get(&upid).and_then(|row| self.starts[*row]), upid)
    }
}

/// The alerts of one process.
type Own = BTreeMap<(Severity, usize), (u64, Time)>;

/// What is to be shown.
struct Plan<'a> {
    lives: Lives,
    own: HashMap<u64, Own, FixedState>,
    chosen: BTreeSet<u64>,
    /// Shown processes by their shown parent; roots below `None`.
    below: BTreeMap<Option<u64>, Vec<u64>>,
    /// Children that are not shown.
    left_out: BTreeMap<u64, u64>,
    /// Generations between a process and its shown parent.
    skipped: BTreeMap<u64, u64>,
    fires: &'a Fires,
}

/// The trees, and the processes that they show.
pub(super) fn forest(view: View<'_>, fires: &Fires, names: &Names) -> (Forest, BTreeSet<u64>) {
    let plan = Plan::new(Lives::read(view), fires);
    let columns = Columns::read(view, names);
    let roots = plan.below.get(&None).map_or(&[][..], Vec::as_slice);
    let roots: Vec<Node> = roots.iter().map(|&upid| plan.node(upid, 0, &columns, true)).collect();
    let alerting = plan.own.keys().filter(|upid| plan.lives.rows.contains_key(upid)).count() as u64;
    let forest = Forest { alerting, shown: plan.chosen.len() as u64, roots };
    let shown = plan.below.values().flatten().copied().collect();
    (forest, shown)
}

impl<'a> Plan<'a> {
    fn new(lives: Lives, fires: &'a Fires) -> Self {
        let mut own: HashMap<u64, Own, FixedState> = HashMap::default();
        for fire in &fires.all {
            let Some(upid) = fire.upid else { continue };
            let (count, first) =
                own.entry(upid).or_default().entry((fire.severity, fire.rule)).or_insert((0, fire.time));
            *count += 1;
            *first = (*first).min(fire.time);
        }
        let mut ranked: Vec<(Severity, u64, u64)> = own
            .iter()
            .filter(|(upid, _)| lives.rows.contains_key(upid))
            .filter_map(|(upid, alerts)| {
                let strongest = alerts.keys().next()?.0;
                Some((strongest, u64::MAX - alerts.values().map(|(count, _)| count).sum::<u64>(), *upid))
            })
            .collect();
        ranked.sort_unstable();
        let chosen: BTreeSet<u64> = ranked.iter().take(ALERTING).map(|(.., upid)| *upid).collect();
        let mut plan = Self {
            lives,
            own,
            chosen,
            below: BTreeMap::new(),
            left_out: BTreeMap::new(),
            skipped: BTreeMap::new(),
            fires,
        };
        let mut shown = plan.with_ancestors();
        plan.add_children(&mut shown);
        plan.hang(&shown);
        plan
    }

    /// The chosen processes and their ancestors.
    fn with_ancestors(&self) -> BTreeSet<u64> {
        let mut shown = self.chosen.clone();
        for &upid in &self.chosen {
            let mut at = upid;
            for _ in 0..ANCESTORS {
                let Some(parent) = self.lives.parent(at) else { break };
                shown.insert(parent);
                at = parent;
            }
        }
        shown
    }

    /// Adds what the chosen processes started, generation by generation.
    fn add_children(&mut self, shown: &mut BTreeSet<u64>) {
        let mut children: HashMap<u64, Vec<u64>, FixedState> = HashMap::default();
        for upid in self.lives.upids.iter().flatten() {
            if let Some(parent) = self.lives.parent(*upid) {
                children.entry(parent).or_default().push(*upid);
            }
        }
        let mut generation: Vec<u64> = self.chosen.iter().copied().collect();
        let mut budget = BELOW;
        for _ in 0..BELOW_DEPTH {
            let mut next = Vec::new();
            for upid in generation {
                let mut missing: Vec<u64> = children.get(&upid).cloned().unwrap_or_default();
                missing.retain(|child| !shown.contains(child));
                missing.sort_by_key(|child| self.lives.order(*child));
                let room = CHILDREN.min(budget).min(missing.len());
                budget -= room;
                let left_out = (missing.len() - room) as u64;
                if left_out > 0 {
                    self.left_out.insert(upid, left_out);
                }
                shown.extend(&missing[..room]);
                next.extend_from_slice(&missing[..room]);
            }
            generation = next;
        }
    }

    /// Hangs every shown process below its nearest shown ancestor.
    fn hang(&mut self, shown: &BTreeSet<u64>) {
        for &upid in shown {
            let (mut at, mut skipped, mut steps) = (self.lives.parent(upid), 0, 0);
            while let Some(parent) = at
                && !shown.contains(&parent)
            {
                (at, skipped, steps) = (self.lives.parent(parent), skipped + 1, steps + 1);
                if steps > STEPS || parent == upid {
                    at = None;
                }
            }
            if skipped > 0 && at.is_some() {
                self.skipped.insert(upid, skipped);
            }
            self.below.entry(at).or_default().push(upid);
        }
        self.break_cycles(shown);
        for children in self.below.values_mut() {
            children.sort_by_key(|child| self.lives.order(*child));
        }
    }

    /// Parents that descend from their children cannot be reached from a root: the first of such a ring becomes one.
    fn break_cycles(&mut self, shown: &BTreeSet<u64>) {
        loop {
            let mut reached: BTreeSet<u64> = BTreeSet::new();
            let mut ways: Vec<u64> = self.below.get(&None).cloned().unwrap_or_default();
            while let Some(upid) = ways.pop() {
                if reached.insert(upid) {
                    ways.extend(self.below.get(&Some(upid)).into_iter().flatten());
                }
            }
            let Some(&lost) = shown.iter().find(|upid| !reached.contains(upid)) else { return };
            for children in self.below.values_mut() {
                children.retain(|child| *child != lost);
            }
            self.below.entry(None).or_default().push(lost);
        }
    }

    /// A process with all shown ones below it.
    fn node(&self, upid: u64, depth: usize, columns: &Columns<'_>, is_root: bool) -> Node {
        let mut node = self.alone(upid, columns, is_root);
        node.generations_left_out = self.skipped.get(&upid).copied().unwrap_or(0);
        if let Some(below) = self.below.get(&Some(upid)) {
            node.children = if depth < DEPTH {
                below.iter().map(|&child| self.node(child, depth + 1, columns, false)).collect()
            } else {
                self.all_below(upid).into_iter().map(|child| self.alone(child, columns, false)).collect()
            };
        }
        node.alerts_below += node.children.iter().map(|child| child.alerts_below).sum::<u64>();
        node
    }

    /// Everything below a process, by start.
    fn all_below(&self, upid: u64) -> Vec<u64> {
        let mut all = Vec::new();
        let mut ways = vec![upid];
        while let Some(parent) = ways.pop() {
            let children = self.below.get(&Some(parent)).into_iter().flatten();
            all.extend(children.clone());
            ways.extend(children);
        }
        all.sort_by_key(|upid| self.lives.order(*upid));
        all
    }

    /// A process without what is below it.
    fn alone(&self, upid: u64, columns: &Columns<'_>, is_root: bool) -> Node {
        let Some(&row) = self.lives.rows.get(&upid) else { return Node::default() };
        let own = self.own.get(&upid).into_iter().flatten();
        let mut alerts: Vec<NodeAlerts> = own
            .map(|(&(severity, rule), &(count, first))| NodeAlerts {
                rule: self.fires.rules[rule].name.clone(),
                severity,
                count,
                first,
            })
            .collect();
        alerts.sort_by(|a, b| (a.severity, a.first, &a.rule).cmp(&(b.severity, b.first, &b.rule)));
        let alerts_below = alerts.iter().map(|alerts| alerts.count).sum();
        alerts.truncate(RULES);
        let left_out = self.left_out.get(&upid).copied().unwrap_or(0);
        Node { alerts, alerts_below, left_out, ..columns.node(upid, row, is_root) }
    }
}

/// What nodes show of `processes`.
struct Columns<'f> {
    pids: Vec<Option<i64>>,
    names: Vec<Option<&'f str>>,
    cmdlines: Vec<Option<&'f str>>,
    users: Vec<Option<&'f str>>,
    uids: Vec<Option<u64>>,
    k8s_users: Vec<Option<&'f str>>,
    k8s_vias: Vec<Option<&'f str>>,
    k8s_confidences: Vec<Option<&'f str>>,
    k8s_others: Vec<Option<&'f str>>,
    containers: Vec<Option<&'f str>>,
    captures: Vec<Option<&'f str>>,
    starts: Vec<Option<i64>>,
    ends: Vec<Option<i64>>,
    codes: Vec<Option<i64>>,
    signals: Vec<Option<i64>>,
    known: &'f Names,
}

impl<'f> Columns<'f> {
    fn read(view: View<'f>, known: &'f Names) -> Self {
        Self {
            pids: view.ints("pid"),
            names: view.texts("name"),
            cmdlines: view.texts("cmdline"),
            users: view.texts("user_name"),
            uids: view.uints("user_uid"),
            k8s_users: view.texts("k8s_user_name"),
            k8s_vias: view.texts("k8s_user_via"),
            k8s_confidences: view.texts("k8s_user_confidence"),
            k8s_others: view.texts("k8s_user_others"),
            containers: view.texts("container_id"),
            captures: view.texts("capture"),
            starts: view.ints("start"),
            ends: view.ints("end"),
            codes: view.ints("exit_code"),
            signals: view.ints("exit_signal"),
            known,
        }
    }

    fn node(&self, upid: u64, row: usize, is_root: bool) -> Node {
        let user = match (self.users[row].filter(|name| !name.is_empty()), self.uids[row]) {
            (Some(name), _) => Text::new(name),
            (None, Some(number)) => Text::new(&format!("uid {number}")),
            (None, None) => Text::default(),
        };
        let exit = match (self.signals[row].filter(|signal| *signal != 0), self.codes[row]) {
            (Some(signal), _) => Text::new(&format!("signal {signal}")),
            (None, Some(code)) => Text::new(&format!("exit {code}")),
            (None, None) => Text::default(),
        };
        let container = self.containers[row].filter(|id| *id != "host");
        Node {
            upid,
            pid: self.pids[row].unwrap_or(-1),
            name: text(self.names[row]),
            cmdline: text(self.cmdlines[row]),
            user,
            k8s_user: text(self.k8s_users[row]),
            k8s_user_via: text(self.k8s_vias[row]),
            k8s_user_confidence: text(self.k8s_confidences[row]),
            k8s_user_others: text(self.k8s_others[row]),
            container: container.map_or_else(Text::default, |id| self.known.container(self.captures[row], Some(id))),
            start: time(self.starts[row]),
            end: time(self.ends[row]),
            exit,
            capture: if is_root { self.known.capture(self.captures[row]) } else { Text::default() },
            ..Node::default()
        }
    }
}
