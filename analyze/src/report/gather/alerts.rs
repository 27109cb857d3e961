//! Alerts: all of them as few numbers each, and a fair choice of them in full.

use std::collections::BTreeMap;

use super::super::model::{Alert, Listing, Severity, SeverityCount, Triggered};
use super::super::text::{Text, Time};
use super::{Names, time};
use crate::frames::View;
use crate::report::attack::is_technique;

/// Alerts that a report lists.
const LISTED: usize = 1_000;

/// One alert: what counts and charts need. Its texts stay in the table.
#[derive(Clone, Copy)]
pub(super) struct Fire {
    /// Row of the table.
    pub row: usize,
    pub time: Time,
    pub severity: Severity,
    /// Number of the rule, see [`Fires::rules`].
    pub rule: usize,
    pub upid: Option<u64>,
}

/// A rule that fired.
pub(super) struct FiredRule {
    pub name: Text,
    pub severity: Severity,
    pub tags: Vec<String>,
    pub count: u64,
    pub absent: u64,
    pub first: Time,
    pub last: Time,
}

/// All alerts.
pub(super) struct Fires {
    pub all: Vec<Fire>,
    /// Rules by number, in the order in which they first fired.
    pub rules: Vec<FiredRule>,
    /// Alerts by capture, by severity.
    pub by_capture: BTreeMap<String, [u64; 8]>,
    /// Alerts by capture and container, by severity.
    pub by_container: BTreeMap<(String, String), [u64; 8]>,
}

impl Fires {
    pub(super) fn read(view: View<'_>) -> Self {
        let (rules, severities) = (view.texts("rule"), view.ints("severity"));
        let (times, upids) = (view.ints("time"), view.uints("upid"));
        let (tags, absent) = (view.texts("tags"), view.texts("absent"));
        let (captures, containers) = (view.texts("capture"), view.texts("container_id"));
        let mut fires = Self {
            all: Vec::with_capacity(view.height()),
            rules: Vec::new(),
            by_capture: BTreeMap::new(),
            by_container: BTreeMap::new(),
        };
        let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
        for row in 0..view.height() {
            let (name, when) = (rules[row].unwrap_or_default(), time(times[row]).unwrap_or_default());
            let severity = Severity(severities[row].unwrap_or(7).clamp(0, 7) as u8);
            let number = *numbers.entry(name).or_insert_with(|| {
                fires.rules.push(FiredRule {
                    name: Text::new(name),
                    severity,
                    tags: tags[row].unwrap_or_default().split(',').map(|tag| tag.trim().to_owned()).collect(),
                    count: 0,
                    absent: 0,
                    first: when,
                    last: when,
                });
                fires.rules.len() - 1
            });
            let rule = &mut fires.rules[number];
            rule.count += 1;
            rule.absent += u64::from(absent[row].is_some_and(|fields| !fields.is_empty()));
            (rule.first, rule.last) = (rule.first.min(when), rule.last.max(when));
            let at = usize::from(severity.0);
            count(&mut fires.by_capture, captures[row].unwrap_or_default(), at);
            if let Some(id) = containers[row] {
                let key = (captures[row].unwrap_or_default().to_owned(), id.to_owned());
                fires.by_container.entry(key).or_default()[at] += 1;
            }
            fires.all.push(Fire { row, time: when, severity, rule: number, upid: upids[row] });
        }
        fires
    }

    /// Alerts of each severity, strongest first, those that occurred.
    pub(super) fn severities(&self) -> Vec<SeverityCount> {
        let mut counts = [0; 8];
        for fire in &self.all {
            counts[usize::from(fire.severity.0)] += 1;
        }
        occurred(&counts)
    }

    /// Rules that fired, strongest first, then by count.
    pub(super) fn triggered(&self) -> Vec<Triggered> {
        let mut triggered: Vec<Triggered> = self
            .rules
            .iter()
            .map(|rule| Triggered {
                rule: rule.name.clone(),
                severity: rule.severity,
                count: rule.count,
                absent: rule.absent,
                first: rule.first,
                last: rule.last,
                techniques: rule.tags.iter().filter(|tag| is_technique(tag)).map(|tag| Text::new(tag)).collect(),
            })
            .collect();
        triggered.sort_by(|a, b| (a.severity, b.count, &a.rule).cmp(&(b.severity, a.count, &b.rule)));
        triggered
    }

    /// Alerts in full, strongest first, then in the order of time: all of them, or of each rule the same number of first
    /// ones.
    pub(super) fn listed(&self, view: View<'_>, names: &Names) -> Listing<Alert> {
        let share = share(&self.rules.iter().map(|rule| rule.count).collect::<Vec<_>>(), LISTED as u64);
        let mut taken = vec![0; self.rules.len()];
        let mut in_order: Vec<&Fire> = self.all.iter().collect();
        in_order.sort_by_key(|fire| (fire.time, fire.row));
        in_order.retain(|fire| {
            taken[fire.rule] += 1;
            taken[fire.rule] <= share
        });
        in_order.truncate(LISTED);
        in_order.sort_by_key(|fire| (fire.severity, fire.time, fire.row));
        let (outputs, processes) = (view.texts("output"), view.texts("proc_name"));
        let (containers, captures) = (view.texts("container_id"), view.texts("capture"));
        let (pods, namespaces) = (view.texts("pod_name"), view.texts("pod_namespace"));
        let (absent, nums) = (view.texts("absent"), view.uints("num"));
        let text = |texts: &[Option<&str>], row: usize| Text::new(texts[row].unwrap_or_default());
        let rows: Vec<Alert> = in_order
            .iter()
            .map(|fire| Alert {
                time: fire.time,
                severity: fire.severity,
                rule: self.rules[fire.rule].name.clone(),
                output: Text::new(bare(outputs[fire.row].unwrap_or_default(), fire.severity)),
                process: text(&processes, fire.row),
                upid: fire.upid,
                container: names.container(captures[fire.row], containers[fire.row]),
                pod: super::joined("/", &[namespaces[fire.row], pods[fire.row]]),
                capture: names.capture(captures[fire.row]),
                num: nums[fire.row].unwrap_or(0),
                absent: text(&absent, fire.row),
            })
            .collect();
        let total = self.all.len() as u64;
        let chosen = (total > rows.len() as u64).then_some("of each rule the first ones");
        Listing { total, chosen, query: "SELECT * FROM alerts ORDER BY time", rows }
    }
}

/// An output without what Falco puts before it: `16:17:57.881730713: Critical `.
fn bare(output: &str, severity: Severity) -> &str {
    let clock = output.bytes().take_while(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.')).count();
    let rest = output[clock..].strip_prefix(' ').and_then(|rest| rest.strip_prefix(severity.word()));
    rest.map_or(output, str::trim_start)
}

fn count(counts: &mut BTreeMap<String, [u64; 8]>, key: &str, at: usize) {
    // Looked up first: a key is not copied for each of many alerts.
    if let Some(counts) = counts.get_mut(key) {
        counts[at] += 1;
    } else {
        counts.entry(key.to_owned()).or_default()[at] += 1;
    }
}

/// Counts of severities that occurred.
pub(super) fn occurred(counts: &[u64; 8]) -> Vec<SeverityCount> {
    let counts = counts.iter().enumerate().filter(|(_, count)| **count > 0);
    counts.map(|(at, &count)| SeverityCount { severity: Severity(at as u8), count }).collect()
}

/// The largest number of alerts that each rule may list so that all together list `limit` at most; at least 1.
fn share(counts: &[u64], limit: u64) -> u64 {
    let (mut low, mut high) = (1, limit.max(1));
    while low < high {
        let middle = (low + high).div_ceil(2);
        if counts.iter().map(|&count| count.min(middle)).sum::<u64>() <= limit {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::super::super::model::Severity;
    use super::{bare, share};

    #[test]
    fn outputs_lose_what_stands_beside_them() {
        assert_eq!(bare("16:17:57.881730713: Critical Shell (x=1: 2)", Severity(2)), "Shell (x=1: 2)");
        assert_eq!(bare("no prefix", Severity(2)), "no prefix");
        assert_eq!(bare("16:17:57.881730713: Debug x", Severity(2)), "16:17:57.881730713: Debug x");
    }

    #[test]
    fn every_rule_gets_the_same_share() {
        assert_eq!(share(&[5, 5], 1000), 1000);
        assert_eq!(share(&[300_000, 20, 34_000], 1000), 490);
        assert_eq!(share(&vec![2; 5000], 1000), 1);
        assert_eq!(share(&[], 1000), 1000);
    }
}
