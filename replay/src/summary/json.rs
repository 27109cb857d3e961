//! The summary as one JSON object: the same facts as its text, with times and the ledger of each capture.

use std::io::{self, Write};

use casebook_formats::ledger::Ledger;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::{CaptureReport, Completeness, Summary, iso_time};

impl Summary {
    /// The summary as one JSON object `{"summary": {...}}`, without the end of the line.
    pub fn json(&self, out: impl Write) -> io::Result<()> {
        let ledger = self.ledger();
        let object = SummaryObject {
            summary: Body {
                events_detected: self.alerts(),
                rule_counts_by_severity: Severities(self.severities()),
                triggered_rules: self
                    .triggered_numbers()
                    .map(|(rule, label, count)| Triggered { rule: &label.name, count, absent: self.guesses(rule) })
                    .collect(),
                captures: self.captures.iter().map(Capture::of).collect(),
                ledger: entries(&ledger),
                deliveries: &self.deliveries,
            },
        };
        serde_json::to_writer(out, &object).map_err(io::Error::from)
    }
}

#[derive(Serialize)]
struct SummaryObject<'a> {
    summary: Body<'a>,
}

#[derive(Serialize)]
struct Body<'a> {
    events_detected: u64,
    rule_counts_by_severity: Severities,
    triggered_rules: Vec<Triggered<'a>>,
    captures: Vec<Capture<'a>>,
    ledger: Vec<Entry>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    deliveries: &'a [crate::deliver::Report],
}

#[derive(Serialize)]
struct Triggered<'a> {
    rule: &'a str,
    count: u64,
    /// Alerts that name fields under `absent`.
    #[serde(skip_serializing_if = "none")]
    absent: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // the signature is serde's
fn none(count: &u64) -> bool {
    *count == 0
}

/// An object whose keys keep the order of strength.
struct Severities(Vec<(&'static str, u64)>);

impl Serialize for Severities {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, count) in &self.0 {
            map.serialize_entry(name, count)?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct Capture<'a> {
    #[serde(rename = "capture")]
    name: &'a str,
    completeness: Completeness,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    events: u64,
    alerts: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_event: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_event: Option<String>,
    ledger: Vec<Entry>,
}

impl<'a> Capture<'a> {
    fn of(report: &'a CaptureReport) -> Self {
        let time = |ns| (report.events > 0).then(|| iso_time(ns));
        Self {
            name: &report.name,
            completeness: report.completeness,
            error: report.error.as_deref(),
            events: report.events,
            alerts: report.alerts(),
            first_event: time(report.first_ts),
            last_event: time(report.last_ts),
            ledger: entries(&report.ledger),
        }
    }
}

#[derive(Serialize)]
struct Entry {
    counter: &'static str,
    count: u64,
    severity: &'static str,
    origin: &'static str,
    advice: &'static str,
}

fn entries(ledger: &Ledger) -> Vec<Entry> {
    ledger
        .findings()
        .map(|(counter, count)| Entry {
            counter: counter.name,
            count,
            severity: counter.severity.word(),
            origin: counter.origin.word(),
            advice: counter.advice,
        })
        .collect()
}
