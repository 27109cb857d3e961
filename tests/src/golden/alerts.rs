//! Alert goldens: Falco's alerts as JSON lines, then its summary as text (`falco-goldens/alerts/NAME.CONFIG.jsonl`).
//!
//! The same reader reads what Casebook prints, so that both sides are judged by one understanding of the form. Ours
//! ends with a JSON object `{"summary": …}` when the alerts are JSON.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// One alert.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub struct Alert {
    /// Rule that fired.
    pub rule: String,
    /// Its text, with time and priority in front.
    pub output: String,
    /// Its priority, as printed.
    pub priority: String,
    /// Its event source.
    pub source: String,
    /// Its tags, sorted.
    pub tags: Vec<String>,
    /// ISO 8601 with nanoseconds.
    pub time: String,
    /// The fields of its output.
    pub output_fields: BTreeMap<String, Value>,
}

/// The counts at the end.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Summary {
    /// `Events detected`.
    pub events: u64,
    /// `Rule counts by severity`; as a set, whatever the order.
    pub severities: BTreeMap<String, u64>,
    /// `Triggered rules by rule name`; as a set.
    pub rules: BTreeMap<String, u64>,
}

/// Alerts and summary of a run.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Run {
    /// The alerts in order.
    pub alerts: Vec<Alert>,
    /// The alerts' text lines, where the run printed text.
    pub lines: Vec<String>,
    /// The summary, where the run printed one.
    pub summary: Option<Summary>,
}

/// Headings of the summary.
const EVENTS: &str = "Events detected:";
const SEVERITIES: &str = "Rule counts by severity:";
const RULES: &str = "Triggered rules by rule name:";

impl Run {
    /// Reads alerts in JSON or text form and the summary after them. Lines after an unknown heading (our ledger) are
    /// left alone.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut run = Self::default();
        let mut section = Section::Alerts;
        for (index, line) in text.lines().enumerate() {
            let error = |message: &dyn std::fmt::Display| format!("line {}: {message}: {line}", index + 1);
            if let Some(count) = line.strip_prefix(EVENTS) {
                let events = count.trim().parse().map_err(|e: std::num::ParseIntError| error(&e))?;
                run.summary = Some(Summary { events, ..Summary::default() });
                section = Section::Summary;
            } else if line == SEVERITIES {
                section = Section::Severities;
            } else if line == RULES {
                section = Section::Rules;
            } else if section == Section::Alerts {
                if line.starts_with("{\"summary\":") {
                    let ours: OurSummary = serde_json::from_str(line).map_err(|e| error(&e))?;
                    run.summary = Some(ours.summary.into());
                } else if line.starts_with('{') {
                    run.alerts.push(serde_json::from_str(line).map_err(|e| error(&e))?);
                } else if !line.is_empty() {
                    run.lines.push(line.to_owned());
                }
            } else if section == Section::Other {
                // Our ledger: Falco has none.
            } else if let (Some(entry), Some(summary)) = (line.strip_prefix("   "), run.summary.as_mut()) {
                let (name, count) = entry.rsplit_once(": ").ok_or_else(|| error(&"no count"))?;
                let count = count.parse().map_err(|e: std::num::ParseIntError| error(&e))?;
                match section {
                    Section::Severities => summary.severities.insert(name.to_owned(), count),
                    Section::Rules => summary.rules.insert(name.to_owned(), count),
                    _ => None,
                };
            } else if !line.is_empty() {
                section = Section::Other;
            }
        }
        Ok(run)
    }
}

/// The last line of our JSON output, as far as Falco has it too.
#[derive(Deserialize)]
struct OurSummary {
    summary: OurCounts,
}

#[derive(Deserialize)]
struct OurCounts {
    events_detected: u64,
    rule_counts_by_severity: BTreeMap<String, u64>,
    triggered_rules: Vec<Triggered>,
}

#[derive(Deserialize)]
struct Triggered {
    rule: String,
    count: u64,
}

impl From<OurCounts> for Summary {
    fn from(counts: OurCounts) -> Self {
        Self {
            events: counts.events_detected,
            severities: counts.rule_counts_by_severity,
            rules: counts.triggered_rules.into_iter().map(|entry| (entry.rule, entry.count)).collect(),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Alerts,
    Summary,
    Severities,
    Rules,
    Other,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failing test may panic

    use super::*;

    const ALERT: &str = r#"{"hostname":"vm","output":"22:15:07.017770963: Notice x","output_fields":{"evt.num":2},"priority":"Notice","rule":"r","source":"syscall","tags":["T1059"],"time":"2019-06-14T22:15:07.017770963Z"}"#;

    #[test]
    fn alerts_and_summary_are_read() {
        let text = format!(
            "{ALERT}\nEvents detected: 1\nRule counts by severity:\n   NOTICE: 1\nTriggered rules by rule name:\n   a: b: 1\nLedger of anomalies:\n   clock_steps (info): 3. Events out of order.\n"
        );
        let run = Run::parse(&text).unwrap();
        assert_eq!(run.alerts[0].rule, "r");
        let summary = run.summary.unwrap();
        assert_eq!(summary.events, 1);
        assert_eq!(summary.severities, BTreeMap::from([("NOTICE".to_owned(), 1)]));
        assert_eq!(summary.rules, BTreeMap::from([("a: b".to_owned(), 1)]));
    }

    #[test]
    fn our_json_summary_is_read_like_falcos_text() {
        let ours = r#"{"summary":{"events_detected":1,"rule_counts_by_severity":{"NOTICE":1},"triggered_rules":[{"rule":"r","count":1}],"ledger":[]}}"#;
        let falcos =
            "Events detected: 1\nRule counts by severity:\n   NOTICE: 1\nTriggered rules by rule name:\n   r: 1\n";
        assert_eq!(Run::parse(ours).unwrap().summary, Run::parse(falcos).unwrap().summary);
    }

    #[test]
    fn text_alerts_are_kept_as_lines() {
        let run = Run::parse("10:00:00.000000000: Warning x\nEvents detected: 0\n").unwrap();
        assert_eq!(run.lines, ["10:00:00.000000000: Warning x"]);
        assert!(run.alerts.is_empty());
    }

    #[test]
    fn a_broken_alert_names_its_line() {
        assert!(Run::parse("{\n").unwrap_err().starts_with("line 1: "));
    }
}
