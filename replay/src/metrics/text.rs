//! Series as text: `OpenMetrics` with times, or the Prometheus text format without.
//!
//! A host's series have a sample at the end of each step in which it was recorded, and one of 0 before the first, so that
//! the first alert is an increase. Where nothing was recorded for longer than [`PAUSE`] there are no samples: a gap is
//! seen as a gap. What was counted there (losses) is in the next sample.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{self, Write};

use casebook_formats::ledger::Counter;

use super::series::{Key, Series};
use super::{NameSet, Options, RuleFacts};

/// Samples of a file; with more the step doubles.
pub const MAX_SAMPLES: u64 = 2_000_000;
/// Time without an event after which a host counts as not recorded, ns: an hour. Audit logs are silent for long.
pub const PAUSE: u64 = 3_600_000_000_000;

/// Counters of events that the kernel side or the recorder had to leave out.
const DROPS: [Counter; 4] = [Counter::KernelDrops, Counter::RingFull, Counter::ProgramBusy, Counter::UnwrittenEvents];

/// A family: its name, whether scrapers call it a counter, and what it is.
struct Family {
    name: &'static str,
    /// `None`: neither format would take the name for a counter's, because it does not end in `_total`.
    counter: bool,
    help: &'static str,
}

const EVENTS: Family = Family {
    name: "casebook_events_total",
    counter: true,
    help: "Events of captures and audit logs that rules were asked about.",
};
const DROPPED: Family = Family {
    name: "casebook_drops_total",
    counter: true,
    help: "Events that the kernel side or the recorder lost, and drop markers.",
};
const LEDGER: Family =
    Family { name: "casebook_ledger_total", counter: true, help: "Anomalies by counter of the ledger." };
const RECORDED: Family =
    Family { name: "casebook_recorded", counter: false, help: "1 while the host was recorded; no sample otherwise." };
const EXPORTER: Family =
    Family { name: "falco_events", counter: false, help: "Alerts, under the name that falco-exporter gives them." };
const SIDEKICK: Family = Family {
    name: "falcosecurity_falcosidekick_falco_events_total",
    counter: true,
    help: "Alerts, under the name that falcosidekick gives them.",
};
const SIDEKICK_INPUTS: Family = Family {
    name: "falcosecurity_falcosidekick_inputs_total",
    counter: true,
    help: "Alerts that falcosidekick would have been sent.",
};
const MATCHES: Family = Family {
    name: "falcosecurity_falco_rules_matches_total",
    counter: true,
    help: "Alerts by rule, under the name that Falco gives them.",
};
const SCAP_EVENTS: Family = Family {
    name: "falcosecurity_scap_n_evts_total",
    counter: true,
    help: "System calls and other events of captures that rules were asked about.",
};
const SCAP_DROPS: Family = Family {
    name: "falcosecurity_scap_n_drops_total",
    counter: true,
    help: "Events that the kernel side or the recorder lost, and drop markers.",
};

/// A counter with its labels and what was added in which step.
struct Counted {
    host: String,
    labels: String,
    line: BTreeMap<u64, u64>,
}

/// Writes `OpenMetrics` with times. Gives the step of the samples in nanoseconds.
///
/// # Errors
/// What the output says.
pub fn timed(series: &mut Series, options: &Options, rules: &[RuleFacts], out: &mut dyn Write) -> io::Result<u64> {
    // Hosts, labels and names stay the same when the step doubles.
    let mut spans = spans(series);
    while samples(series, options, rules, &spans) > MAX_SAMPLES {
        series.coarsen();
        spans = self::spans(series);
    }
    let step = series.step();
    for (family, counted) in families(series, options, rules) {
        head(&family, "unknown", out)?;
        for counted in counted {
            series_of(&family, &counted, spans.get(&counted.host).map_or(&[], Vec::as_slice), step, out)?;
        }
    }
    head(&RECORDED, "gauge", out)?;
    for (host, spans) in &spans {
        for at in spans.iter().flat_map(|(first, last)| first - 1..=*last) {
            writeln!(out, "{}{{{}}} 1 {}", RECORDED.name, labels(&[("hostname", host)]), seconds(at, step))?;
        }
    }
    out.write_all(b"# EOF\n")?;
    Ok(step)
}

/// Writes the totals without times, in the text format of Prometheus.
///
/// # Errors
/// What the output says.
pub fn totals(series: &Series, options: &Options, rules: &[RuleFacts], out: &mut dyn Write) -> io::Result<()> {
    for (family, counted) in families(series, options, rules) {
        head(&family, "untyped", out)?;
        for counted in counted {
            let total: u64 = counted.line.values().sum();
            writeln!(out, "{}{{{}}} {total}", family.name, counted.labels)?;
        }
    }
    Ok(())
}

fn head(family: &Family, other: &str, out: &mut dyn Write) -> io::Result<()> {
    // OpenMetrics calls a counter by its name without the ending, the text format with it.
    let kind = if family.counter { "counter" } else { other };
    let name = if other == "unknown" { family.name.trim_end_matches("_total") } else { family.name };
    writeln!(out, "# HELP {name} {}\n# TYPE {name} {kind}", family.help)
}

/// The samples of one counter while its host was recorded.
fn series_of(
    family: &Family,
    counted: &Counted,
    spans: &[(u64, u64)],
    step: u64,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut additions = counted.line.iter().peekable();
    let mut total = 0;
    let end = spans.last().map(|(_, last)| *last);
    for at in spans.iter().flat_map(|(first, last)| first - 1..=*last) {
        // What belongs after the end is in the last sample.
        while additions.peek().is_some_and(|(when, _)| **when <= at || Some(at) == end) {
            total += additions.next().map_or(0, |(_, n)| *n);
        }
        writeln!(out, "{}{{{}}} {total} {}", family.name, counted.labels, seconds(at, step))?;
    }
    Ok(())
}

/// When each host was recorded: first and last step of each stretch without a long pause, by the events that were counted.
fn spans(series: &Series) -> BTreeMap<String, Vec<(u64, u64)>> {
    let mut steps: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
    for (host, key, line) in series.lines() {
        if let Key::Events(_) = key {
            steps.entry(host).or_default().extend(line.keys().filter(|at| **at > 0));
        }
    }
    let pause = (PAUSE / series.step()).max(1);
    let mut spans = BTreeMap::new();
    for (host, steps) in steps {
        let mut stretches: Vec<(u64, u64)> = Vec::new();
        for at in steps {
            match stretches.last_mut() {
                Some((_, last)) if at - *last <= pause => *last = at,
                _ => stretches.push((at, at)),
            }
        }
        spans.insert(host.to_owned(), stretches);
    }
    spans
}

/// How many samples a file would have.
fn samples(series: &Series, options: &Options, rules: &[RuleFacts], spans: &BTreeMap<String, Vec<(u64, u64)>>) -> u64 {
    let steps = |host: &String| {
        let stretches = spans.get(host).map_or(&[][..], Vec::as_slice);
        stretches.iter().map(|(first, last)| last - first + 2).fold(0, u64::saturating_add)
    };
    let of_hosts = spans.keys().map(steps).fold(0, u64::saturating_add);
    families(series, options, rules)
        .iter()
        .flat_map(|(_, counted)| counted)
        .map(|counted| steps(&counted.host))
        .fold(of_hosts, u64::saturating_add)
}

/// All families that have counters, with them.
fn families(series: &Series, options: &Options, rules: &[RuleFacts]) -> Vec<(Family, Vec<Counted>)> {
    let mut all = vec![(EVENTS, events(series)), (DROPPED, drops(series, "hostname")), (LEDGER, ledger(series))];
    for names in &options.names {
        match names {
            NameSet::FalcoExporter => all.push((EXPORTER, alerts(series, rules, exporter_labels))),
            NameSet::Falcosidekick => {
                all.push((SIDEKICK, alerts(series, rules, sidekick_labels)));
                all.push((SIDEKICK_INPUTS, alerts(series, rules, accepted_labels)));
            }
            NameSet::Falco => {
                all.push((MATCHES, alerts(series, rules, falco_labels)));
                all.push((SCAP_EVENTS, by_host(series, "instance", |key| matches!(key, Key::Events("syscall")))));
                all.push((SCAP_DROPS, drops(series, "instance")));
            }
        }
    }
    all.retain(|(_, counted)| !counted.is_empty());
    all
}

fn events(series: &Series) -> Vec<Counted> {
    let of = |(host, key, line): (&str, &Key, &BTreeMap<u64, u64>)| {
        let Key::Events(source) = key else { return None };
        let labels = labels(&[("hostname", host), ("source", source)]);
        Some(Counted { host: host.to_owned(), labels, line: line.clone() })
    };
    series.lines().filter_map(of).collect()
}

fn ledger(series: &Series) -> Vec<Counted> {
    let of = |(host, key, line): (&str, &Key, &BTreeMap<u64, u64>)| {
        let Key::Lost(counter) = key else { return None };
        let def = counter.def();
        let (severity, origin) = (def.severity.word(), def.origin.word());
        let labels = labels(&[("hostname", host), ("counter", def.name), ("severity", severity), ("origin", origin)]);
        Some(Counted { host: host.to_owned(), labels, line: line.clone() })
    };
    series.lines().filter_map(of).collect()
}

/// Losses of recording, of every host: also those of hosts that lost nothing, whose 0 says so.
fn drops(series: &Series, host_label: &str) -> Vec<Counted> {
    by_host(series, host_label, |key| matches!(key, Key::Lost(counter) if DROPS.contains(counter)))
}

/// One counter a host, of all that `chosen` chooses.
fn by_host(series: &Series, host_label: &str, chosen: impl Fn(&Key) -> bool) -> Vec<Counted> {
    let mut hosts: BTreeMap<&str, BTreeMap<u64, u64>> = BTreeMap::new();
    for (host, key, line) in series.lines() {
        let sum = hosts.entry(host).or_default();
        for (at, n) in line.iter().filter(|_| chosen(key)) {
            *sum.entry(*at).or_default() += n;
        }
    }
    let of = |(host, line): (&str, _)| Counted { host: host.to_owned(), labels: labels(&[(host_label, host)]), line };
    hosts.into_iter().map(of).collect()
}

/// Alerts under the labels of a name set; what has equal labels is one counter.
fn alerts(
    series: &Series,
    rules: &[RuleFacts],
    labels: impl Fn(&str, &RuleFacts, &str, &str) -> String,
) -> Vec<Counted> {
    let mut counters: BTreeMap<String, (&str, BTreeMap<u64, u64>)> = BTreeMap::new();
    for (host, key, line) in series.lines() {
        let Key::Alerts { rule, namespace, pod } = key else { continue };
        let Some(rule) = rules.get(*rule as usize) else { continue };
        // Of hosts that have the same labels, the first one says when.
        let sum = counters.entry(labels(host, rule, namespace, pod)).or_insert_with(|| (host, BTreeMap::new()));
        for (at, n) in line {
            *sum.1.entry(*at).or_default() += n;
        }
    }
    let of = |(labels, (host, line)): (String, (&str, _))| Counted { host: host.to_owned(), labels, line };
    counters.into_iter().map(of).collect()
}

/// As falco-exporter's `Forward` fills them in: the priority as a number, tags between commas.
fn exporter_labels(host: &str, rule: &RuleFacts, namespace: &str, pod: &str) -> String {
    labels(&[
        ("hostname", host),
        ("k8s_ns_name", namespace),
        ("k8s_pod_name", pod),
        ("priority", &(rule.priority as u8).to_string()),
        ("rule", &rule.name),
        ("source", &rule.source),
        ("tags", &format!(",{},", rule.tags.join(","))),
    ])
}

/// As falcosidekick's handler: its own numbers of the priorities, 8 for the strongest, and their names in small letters.
fn sidekick_labels(host: &str, rule: &RuleFacts, namespace: &str, pod: &str) -> String {
    labels(&[
        ("hostname", if host.is_empty() { "unknown" } else { host }),
        ("k8s_ns_name", namespace),
        ("k8s_pod_name", pod),
        ("priority", &(8 - rule.priority as u8).to_string()),
        ("priority_raw", &rule.priority.name().to_ascii_lowercase()),
        ("rule", &rule.name),
        ("source", &rule.source),
    ])
}

/// As falcosidekick, which is told of alerts over HTTP; who scrapes it adds the instance.
fn accepted_labels(host: &str, _: &RuleFacts, _: &str, _: &str) -> String {
    labels(&[("instance", host), ("source", "requests"), ("status", "accepted")])
}

/// As Falco's endpoint; who scrapes it adds the instance.
fn falco_labels(host: &str, rule: &RuleFacts, _: &str, _: &str) -> String {
    let tags: BTreeSet<String> = rule.tags.iter().map(|tag| format!("tag_{}", label_name(tag))).collect();
    let priority = (rule.priority as u8).to_string();
    let mut all =
        vec![("instance", host), ("priority", &priority), ("rule_name", &rule.name), ("source", &rule.source)];
    all.extend(tags.iter().map(|tag| (tag.as_str(), "true")));
    labels(&all)
}

/// A text with everything replaced that the name of a label cannot have.
fn label_name(text: &str) -> String {
    text.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect()
}

/// Labels as both formats write them, between the braces.
fn labels(all: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in all {
        let comma = if text.is_empty() { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(text, "{comma}{name}=\"");
        for letter in value.chars() {
            match letter {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                // Carriage returns end a line for some readers, and nobody names a pod with others.
                letter if letter.is_control() => text.push('\u{fffd}'),
                letter => text.push(letter),
            }
        }
        text.push('"');
    }
    text
}

/// The end of a step in seconds since the epoch.
fn seconds(at: u64, step: u64) -> String {
    let ms = u128::from(at) * u128::from(step) / 1_000_000;
    match ms % 1000 {
        0 => (ms / 1000).to_string(),
        rest => format!("{}.{rest:03}", ms / 1000),
    }
}
