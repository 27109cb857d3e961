//! Counters over time: what was added to each, in which step.
//!
//! All additions commute, also those beyond a bound, so that the order in which captures and parts of them are counted
//! does not show.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher as _;

use casebook_formats::ledger::{Counter, Ledger};
use foldhash::quality::FixedState;

use super::OVERFLOW_POD;

/// Additions kept apart, over all series; beyond, the step doubles.
pub const MAX_CELLS: usize = 1 << 20;

/// What is counted, on a host.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Key {
    /// Events of a source that rules were asked about.
    Events(&'static str),
    /// A counter of the ledger.
    Lost(Counter),
    /// Alerts of a rule in a pod, both texts empty where there is none.
    Alerts {
        /// Number of the rule.
        rule: u32,
        /// Namespace of the pod.
        namespace: String,
        /// The pod.
        pod: String,
    },
}

/// Additions by step; the number of a step is that of its end: step 1 is over when one step's time has passed.
type Line = BTreeMap<u64, u64>;

/// The counters of some captures.
#[derive(Clone, Debug)]
pub struct Series {
    /// Nanoseconds of a step.
    step: u64,
    lines: BTreeMap<(String, Key), Line>,
    cells: usize,
    /// Series of alerts, by hash; see [`Series::alert`].
    ranks: BTreeSet<(u64, String, Key)>,
    limit: usize,
    /// Alerts counted without their pod.
    overflow: u64,
}

impl Series {
    /// Nothing counted yet; times in steps of so many nanoseconds, and at most `limit` series of alerts.
    pub fn new(step: u64, limit: usize) -> Self {
        let step = step.max(1);
        Self { step, lines: BTreeMap::new(), cells: 0, ranks: BTreeSet::new(), limit, overflow: 0 }
    }

    /// Adds to a counter.
    pub fn add(&mut self, host: &str, key: Key, ts: u64, n: u64) {
        if n > 0 {
            self.put(host.to_owned(), key, ts.div_ceil(self.step), n);
        }
    }

    fn put(&mut self, host: String, key: Key, at: u64, n: u64) {
        let mut is_new = false;
        let cell = self.lines.entry((host, key)).or_default().entry(at).or_insert_with(|| {
            is_new = true;
            0
        });
        *cell = cell.saturating_add(n);
        self.cells += usize::from(is_new);
        if self.cells > MAX_CELLS {
            self.coarsen();
        }
    }

    /// Doubles the step.
    pub fn coarsen(&mut self) {
        self.step = self.step.saturating_mul(2);
        self.cells = 0;
        for line in self.lines.values_mut() {
            let mut wide = Line::new();
            for (at, n) in std::mem::take(line) {
                let cell = wide.entry(at.div_ceil(2)).or_default();
                *cell = cell.saturating_add(n);
            }
            self.cells += wide.len();
            *line = wide;
        }
    }

    /// Counts an alert. Beyond the limit the series with the smallest hashes stay, and what the others hold or would get is
    /// counted without namespace and pod: whatever the order, the same ones.
    pub fn alert(&mut self, host: &str, rule: u32, namespace: String, pod: String, ts: u64) {
        let key = Key::Alerts { rule, namespace, pod };
        self.admit(host.to_owned(), key, [(ts.div_ceil(self.step), 1)].into());
    }

    fn admit(&mut self, host: String, key: Key, line: Line) {
        let hash = FixedState::default().hash_one((&host, &key));
        let rank = (hash, host, key);
        if is_overflow(&rank.2) || (self.ranks.len() >= self.limit && self.ranks.last().is_none_or(|last| rank > *last))
        {
            return self.spill(&rank.1, &rank.2, line);
        }
        if !self.ranks.contains(&rank) {
            self.ranks.insert(rank.clone());
            if self.ranks.len() > self.limit
                && let Some((_, host, key)) = self.ranks.pop_last()
            {
                let line = self.lines.remove(&(host.clone(), key.clone())).unwrap_or_default();
                self.cells -= line.len();
                self.spill(&host, &key, line);
            }
        }
        for (at, n) in line {
            self.put(rank.1.clone(), rank.2.clone(), at, n);
        }
    }

    /// Counts alerts without their pod.
    fn spill(&mut self, host: &str, key: &Key, line: Line) {
        let Key::Alerts { rule, .. } = key else { return };
        if !is_overflow(key) {
            self.overflow += line.values().sum::<u64>();
        }
        let key = Key::Alerts { rule: *rule, namespace: String::new(), pod: OVERFLOW_POD.to_owned() };
        for (at, n) in line {
            self.put(host.to_owned(), key.clone(), at, n);
        }
    }

    /// Adds all that another one has counted.
    pub fn merge(&mut self, mut other: Self) {
        while self.step < other.step {
            self.coarsen();
        }
        while other.step < self.step {
            other.coarsen();
        }
        self.overflow += other.overflow;
        for ((host, key), line) in other.lines {
            // The step may have doubled on the way.
            let factor = self.step / other.step;
            let line: Line = line.into_iter().fold(Line::new(), |mut wide, (at, n)| {
                *wide.entry(at.div_ceil(factor)).or_default() += n;
                wide
            });
            match key {
                Key::Alerts { .. } => self.admit(host, key, line),
                _ => line.into_iter().for_each(|(at, n)| self.put(host.clone(), key.clone(), at, n)),
            }
        }
    }

    /// Nanoseconds of a step.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Alerts counted without their pod, because there were too many series.
    pub fn overflow(&self) -> u64 {
        self.overflow
    }

    /// All counters with what was added to them in which step.
    pub fn lines(&self) -> impl Iterator<Item = (&str, &Key, &BTreeMap<u64, u64>)> {
        self.lines.iter().map(|((host, key), line)| (host.as_str(), key, line))
    }

    /// All that was lost, on all hosts.
    pub fn lost(&self) -> Ledger {
        let mut ledger = Ledger::default();
        for ((_, key), line) in &self.lines {
            if let Key::Lost(counter) = key {
                for n in line.values() {
                    ledger.add(*counter, *n);
                }
            }
        }
        ledger
    }
}

fn is_overflow(key: &Key) -> bool {
    matches!(key, Key::Alerts { pod, .. } if pod == OVERFLOW_POD)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn alerts(limit: usize, pods: impl Iterator<Item = u64>) -> Series {
        let mut series = Series::new(SECOND, limit);
        pods.for_each(|pod| series.alert("node", 7, "shop".to_owned(), format!("web-{}", pod % 100), pod * SECOND / 7));
        series
    }

    fn all(series: &Series) -> Vec<(String, Key, Line)> {
        series.lines().map(|(host, key, line)| (host.to_owned(), key.clone(), line.clone())).collect()
    }

    #[test]
    fn series_beyond_the_limit_are_counted_without_their_pod_whatever_the_order() {
        let whole = alerts(10, 0..1000);
        assert_eq!((whole.lines.len(), whole.overflow()), (11, 900));
        assert_eq!(whole.lines.values().flat_map(Line::values).sum::<u64>(), 1000);
        let backwards = alerts(10, (0..1000).rev());
        assert_eq!((all(&backwards), backwards.overflow()), (all(&whole), 900));
        for cut in [1, 300, 999] {
            let mut parts = alerts(10, 0..cut);
            parts.merge(alerts(10, cut..1000));
            assert_eq!((all(&parts), parts.overflow()), (all(&whole), 900), "{cut}");
        }
    }

    #[test]
    fn times_beyond_the_bound_double_the_step() {
        let mut series = Series::new(SECOND, 1);
        let n = MAX_CELLS as u64 * 3;
        (1..=n).for_each(|at| series.add("", Key::Events("syscall"), at * SECOND, 1));
        assert_eq!(series.step(), 4 * SECOND);
        let line = all(&series).remove(0).2;
        assert_eq!((line.len() as u64, line.values().sum::<u64>()), (n / 4, n));
        assert_eq!(line.first_key_value(), Some((&1, &4)));
    }

    #[test]
    fn coarse_and_fine_come_together() {
        let mut fine = Series::new(SECOND, 1);
        (1..=4).for_each(|at| fine.add("", Key::Events("syscall"), at * SECOND, 1));
        let mut coarse = fine.clone();
        coarse.coarsen();
        coarse.merge(fine);
        let line = all(&coarse).remove(0).2;
        assert_eq!(line, Line::from([(1, 4), (2, 4)]));
    }
}
