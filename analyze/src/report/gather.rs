//! Tables to report: what of the frames goes into the model, bounded and in order.

mod alerts;
mod losses;
mod rules;
mod story;
mod tables;
mod trees;

use std::collections::BTreeMap;

use super::attack::{self, Tagged};
use super::model::{Capture, Hit, Listing, Program, Report, Severity, Summary};
use super::text::{Text, Time};
use super::timeline::{Band, Timeline};
use crate::frames::{View, Wanted};
use crate::ioc::{self, Indicators};
use crate::load::{Loaded, Outcome};
use alerts::{Fires, occurred};

/// Captures that are listed.
const CAPTURES: usize = 3_000;
/// Hits of indicators that are listed.
const HITS: usize = 500;
/// Hosts that are named.
const HOSTS: usize = 1_000;

/// The tables and columns that a report asks for.
pub fn wanted() -> Wanted {
    Wanted::tables(&["captures", "processes", "files", "network", "containers", "alerts", "k8s_audit", "ledger"])
        .columns("events", &["time", "type"])
}

/// What the user says about a report.
#[derive(Clone, Debug, Default)]
pub struct Heading {
    /// Headline; by default one that names the captures.
    pub title: Option<String>,
    /// The case.
    pub case: Option<String>,
}

/// The report of captures that were loaded with [`wanted`] tables (with `indicators`, with those of [`ioc::wanted`] too)
/// and with rules.
pub fn report(loaded: &Loaded, indicators: Option<&Indicators>, heading: &Heading) -> Report {
    let view = |table| loaded.frames.view(table);
    let names = Names::read(view("captures"), view("containers"));
    let fires = Fires::read(view("alerts"));
    let captures = captures(view("captures"), &loaded.outcomes, &fires, &names);
    let mut timeline = timeline(&captures, &fires, view("events"));
    timeline.put_losses(losses::bands(view("events"), view("captures")));
    let mut alerts = fires.listed(view("alerts"), &names);
    let (trees, shown) = trees::forest(view("processes"), &fires, &names);
    for alert in &mut alerts.rows {
        // Only what has a place in a tree can be gone to.
        alert.upid = alert.upid.filter(|upid| shown.contains(upid));
    }
    let mut report = Report {
        schema: super::model::SCHEMA,
        title: heading.title.as_deref().map_or_else(|| title(&captures), Text::new),
        case: heading.case.as_deref().map(Text::new),
        program: Program { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") },
        summary: summary(&captures, &fires),
        ledger: losses::ledger(view("ledger"), &captures),
        timeline,
        indicators: indicators.map(|indicators| indicator_hits(loaded, indicators)),
        attack: matrix(loaded, &fires),
        alerts,
        trees,
        network: tables::network(view("network"), &fires, &names),
        files: tables::files(view("files"), &fires, &names),
        containers: tables::containers(view("containers"), view("processes"), &fires, &names),
        audit: tables::audit(view("k8s_audit"), view("alerts")),
        rules: rules::rules(&loaded.rules.asked, &fires),
        captures: Listing::first(captures, CAPTURES, "the first ones", "SELECT * FROM captures"),
    };
    report.summary.sentences = story::sentences(&report, &fires);
    report
}

/// Names by which people know containers and captures.
pub(super) struct Names {
    /// Name of a container, by capture and id.
    containers: BTreeMap<(String, String), Text>,
    /// There are several captures, so rows have to name theirs.
    several: bool,
    /// Names of captures without the folder that they share.
    labels: BTreeMap<String, Text>,
}

impl Names {
    fn read(captures: View<'_>, containers: View<'_>) -> Self {
        let labels = labels(&captures.texts("capture"));
        let (of, ids, names) = (containers.texts("capture"), containers.texts("id"), containers.texts("name"));
        let mut known = BTreeMap::new();
        for row in 0..containers.height() {
            if let (Some(capture), Some(id), Some(name)) =
                (of[row], ids[row], names[row].filter(|name| !name.is_empty()))
            {
                known.insert((capture.to_owned(), id.to_owned()), Text::new(name));
            }
        }
        Self { containers: known, several: captures.height() > 1, labels }
    }

    /// A container: its name, else its id; `host` outside of any.
    fn container(&self, capture: Option<&str>, id: Option<&str>) -> Text {
        let Some(id) = id.filter(|id| !id.is_empty()) else { return Text::default() };
        let key = (capture.unwrap_or_default().to_owned(), id.to_owned());
        self.containers.get(&key).cloned().unwrap_or_else(|| Text::new(id))
    }

    /// The capture of a row, where there are several.
    fn capture(&self, capture: Option<&str>) -> Text {
        if self.several { self.label(capture) } else { Text::default() }
    }

    /// A capture without the folder that all captures share.
    fn label(&self, capture: Option<&str>) -> Text {
        capture.and_then(|name| self.labels.get(name).cloned()).unwrap_or_else(|| text(capture))
    }
}

/// Names of captures, each without the folders that all of them share.
fn labels(names: &[Option<&str>]) -> BTreeMap<String, Text> {
    let folder = |name: &str| name.rfind('/').map_or(0, |at| at + 1);
    let mut shared = names.iter().flatten().next().map_or("", |first| &first[..folder(first)]);
    for name in names.iter().flatten() {
        while !name.starts_with(shared) {
            shared = &shared[..folder(shared.trim_end_matches('/'))];
        }
    }
    names.iter().flatten().map(|name| ((*name).to_owned(), Text::new(&name[shared.len()..]))).collect()
}

fn text(text: Option<&str>) -> Text {
    text.map_or_else(Text::default, Text::new)
}

/// A time of a column.
fn time(ns: Option<i64>) -> Option<Time> {
    ns.and_then(|ns| u64::try_from(ns).ok()).map(Time)
}

/// The parts that are there.
fn joined(between: &str, parts: &[Option<&str>]) -> Text {
    let there: Vec<&str> = parts.iter().filter_map(|part| part.filter(|part| !part.is_empty())).collect();
    Text::new(&there.join(between))
}

fn captures(view: View<'_>, outcomes: &[Outcome], fires: &Fires, known: &Names) -> Vec<Capture> {
    let (names, hosts, digests) = (view.texts("capture"), view.texts("host"), view.texts("digest"));
    let (formats, firsts, lasts) = (view.texts("format"), view.ints("first"), view.ints("last"));
    let (events, processes, dropped) = (view.uints("events"), view.uints("processes"), view.uints("dropped"));
    let (complete, notes) = (view.bools("complete"), view.texts("note"));
    let mut captures: Vec<Capture> = (0..view.height())
        .map(|row| {
            let by_severity = fires.by_capture.get(names[row].unwrap_or_default()).map(occurred).unwrap_or_default();
            let whole = complete[row].unwrap_or(false);
            let note = notes[row].filter(|note| !note.is_empty());
            Capture {
                name: text(names[row]),
                label: known.label(names[row]),
                host: text(hosts[row]),
                sha256: text(digests[row]),
                format: text(formats[row]),
                first: time(firsts[row]),
                last: time(lasts[row]),
                events: events[row].unwrap_or(0),
                processes: processes[row].unwrap_or(0),
                alerts: by_severity.iter().map(|count| count.count).sum(),
                by_severity,
                dropped: dropped[row].unwrap_or(0),
                state: text(note.or(Some(if whole { "whole" } else { "not whole" }))),
                complete: whole,
            }
        })
        .collect();
    // What could not even be opened has no row in the table.
    for outcome in outcomes {
        if let Some(reason) = &outcome.unreadable
            && !names.contains(&Some(&*outcome.name))
        {
            captures.push(unread(&outcome.name, reason));
        }
    }
    captures
}

fn unread(name: &str, reason: &str) -> Capture {
    Capture {
        name: Text::new(name),
        label: Text::new(name),
        host: Text::default(),
        sha256: Text::default(),
        format: Text::default(),
        first: None,
        last: None,
        events: 0,
        processes: 0,
        alerts: 0,
        by_severity: Vec::new(),
        dropped: 0,
        // The reason repeats the name mostly.
        state: Text::new(reason.strip_prefix(name).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(reason)),
        complete: false,
    }
}

/// Where indicators occur, in the order in which they were first seen.
fn indicator_hits(loaded: &Loaded, indicators: &Indicators) -> Listing<Hit> {
    let found = ioc::hits(&loaded.frames, indicators);
    let total = found.list.len() as u64 + found.left_out;
    let mut rows: Vec<Hit> = found
        .list
        .iter()
        .map(|hit| Hit {
            indicator: Text::new(&hit.indicator.value),
            kind: Text::new(hit.indicator.kind.name()),
            about: Text::new(&hit.indicator.about),
            list: Text::new(&hit.indicator.source),
            found: Text::new(&format!("{}.{}", hit.table, hit.column)),
            value: Text::new(&hit.value),
            process: text(hit.process.as_deref()),
            first: time(hit.first),
            rows: hit.rows,
        })
        .collect();
    rows.sort_by_key(|hit| (hit.first.is_none(), hit.first));
    rows.truncate(HITS);
    let chosen = ((rows.len() as u64) < total).then_some("the earliest ones; `casebook-analyze ioc` tells all");
    Listing { total, chosen, query: "", rows }
}

/// A headline that says what the report is about.
fn title(captures: &[Capture]) -> Text {
    match captures {
        [only] => Text::new(&format!("Report on {}", only.label.raw())),
        several => Text::new(&format!("Report on {} captures", several.len())),
    }
}

fn summary(captures: &[Capture], fires: &Fires) -> Summary {
    let mut hosts: Vec<Text> =
        captures.iter().filter(|capture| !capture.host.is_empty()).map(|capture| capture.host.clone()).collect();
    hosts.sort();
    hosts.dedup();
    hosts.truncate(HOSTS);
    Summary {
        events_detected: fires.all.len() as u64,
        rule_counts_by_severity: fires.severities(),
        triggered_rules: fires.triggered(),
        events: captures.iter().map(|capture| capture.events).sum(),
        processes: captures.iter().map(|capture| capture.processes).sum(),
        hosts,
        first: captures.iter().filter_map(|capture| capture.first).min(),
        last: captures.iter().filter_map(|capture| capture.last).max(),
        captures: captures.len() as u64,
        sentences: Vec::new(),
    }
}

fn timeline(captures: &[Capture], fires: &Fires, events: View<'_>) -> Timeline {
    let covered: Vec<(u64, u64)> =
        captures.iter().filter_map(|capture| Some((capture.first?.0, capture.last?.0))).collect();
    let mut timeline = Timeline::over(&covered);
    let alerts: Vec<(Severity, Time)> = fires.all.iter().map(|fire| (fire.severity, fire.time)).collect();
    timeline.put_alerts(&alerts);
    timeline.put_events(events.ints("time").into_iter().filter_map(|ns| time(ns).map(|time| time.0)));
    let bands = captures
        .iter()
        .filter_map(|capture| Some(Band { from: capture.first?, to: capture.last?, what: capture.label.clone() }));
    timeline.put_captures(bands.collect());
    timeline
}

fn matrix(loaded: &Loaded, fires: &Fires) -> Vec<super::model::Tactic> {
    let counts: BTreeMap<&str, u64> = fires.rules.iter().map(|rule| (rule.name.raw(), rule.count)).collect();
    let tagged: Vec<Tagged<'_>> = loaded
        .rules
        .asked
        .active()
        .map(|rule| Tagged {
            rule: &rule.name,
            severity: Severity(rule.priority as u8),
            tags: rule.tags.iter().map(String::as_str).collect(),
            count: counts.get(Text::new(&rule.name).raw()).copied().unwrap_or(0),
        })
        .collect();
    attack::matrix(&tagged)
}

#[cfg(test)]
mod tests {
    use super::labels;

    #[test]
    fn captures_are_called_by_what_tells_them_apart() {
        let of = |names: &[&str]| {
            let names: Vec<Option<&str>> = names.iter().map(|name| Some(*name)).collect();
            let labels = labels(&names);
            names.iter().flatten().map(|name| labels[*name].raw().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(of(&["/e/web1/a.scap", "/e/web2/a.scap"]), ["web1/a.scap", "web2/a.scap"]);
        assert_eq!(of(&["/e/web1/a.scap", "/e/web1/b.scap"]), ["a.scap", "b.scap"]);
        assert_eq!(of(&["/e/a.scap"]), ["a.scap"]);
        assert_eq!(of(&["a/x.scap", "/b/x.scap", "-"]), ["a/x.scap", "/b/x.scap", "-"]);
        assert_eq!(of(&["ab/x.scap", "a/x.scap"]), ["ab/x.scap", "a/x.scap"]);
    }
}
