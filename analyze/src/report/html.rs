//! The page: one file that loads nothing, whatever opens it.
//!
//! Model → askama templates (`templates/report/`), compiled, which escape by default. Three things pass unescaped, all
//! made here: the style and the script (constants), and what implements `HtmlSafe` because it escaped itself.
//!
//! The Content Security Policy stands in the page: nothing may be loaded from anywhere, and of styles and scripts only
//! the two whose SHA-256 it names. Should a text ever slip through as markup, it would still do nothing.

mod tables;

use std::fmt::Write as _;
use std::sync::LazyLock;

use askama::Template;
use ct_codecs::{Base64, Encoder as _};
use sha2::{Digest as _, Sha256};

use super::chart;
use super::model::{Node, Report, Severity, Tactic};
use super::text::{Text, counted as with_noun, grouped, lasting};
use tables::{Build, TableView, listed, moment, table};

const STYLE: &str = include_str!("../../templates/report/page.css");
const SCRIPT: &str = include_str!("../../templates/report/page.js");
/// Captures whose digests the page lists.
const DIGESTS: usize = 200;
/// The container of what runs in none.
static NOWHERE: LazyLock<Text> = LazyLock::new(Text::default);

/// The page as HTML.
///
/// # Errors
///
/// Only what writing to memory could give, which is nothing.
pub fn page(report: &Report) -> Result<String, askama::Error> {
    let dated = report.is_dated();
    let (chart, chart_height) = chart::picture(&report.timeline);
    let captures_left_out = report.captures.rows.len().saturating_sub(DIGESTS) as u64 + report.captures.left_out();
    let page = Page {
        report,
        policy: policy(),
        style: STYLE,
        script: SCRIPT,
        sections: sections(report),
        scope: scope(report),
        fired: report.attack.iter().any(|tactic| tactic.count > 0),
        unseen: report.attack.iter().filter(|t| t.count == 0).map(|t| t.silent().len() as u64).sum(),
        severities: severity_bars(report),
        lossless: report.ledger.findings.iter().all(|finding| finding.severity.raw() == "info")
            && report.captures.rows.iter().all(|capture| capture.complete),
        triggered: table(Build {
            id: "triggered",
            missing: None,
            query: "",
            rows: &report.summary.triggered_rules,
            empty: "",
            dated,
            tools: false,
            first: 12,
        }),
        indicators: report.indicators.as_ref().map(|hits| {
            listed("indicators", hits, ("hit", "hits"), "None of the indicators occurs in the captures.", dated)
        }),
        captures: listed("captures", &report.captures, ("capture", "captures"), "No capture was read.", true),
        timeline_note: timeline_note(report),
        chart_width: chart::width(),
        chart_height,
        chart,
        chart_data: chart::data(&report.timeline),
        alerts: listed("alerts", &report.alerts, ("alert", "alerts"), "No rule fired.", dated),
        tree_note: tree_note(report),
        trees: report.trees.roots.iter().map(|root| node(root, &NOWHERE, dated)).collect::<Result<_, _>>()?,
        dated,
        network: listed(
            "network",
            &report.network,
            ("connection", "connections"),
            "The captures hold no traffic that names its ends.",
            dated,
        ),
        files: listed(
            "files",
            &report.files,
            ("file and process", "files and processes"),
            "The captures hold no use of files.",
            dated,
        ),
        containers: listed(
            "containers",
            &report.containers,
            ("container", "containers"),
            "Everything that was seen ran on the host, outside of containers.",
            dated,
        ),
        audit: report
            .audit
            .as_ref()
            .map(|audit| listed("audit", audit, ("request", "requests"), "The audit logs hold no requests.", dated)),
        rules_note: rules_note(report),
        rule_files: table(Build {
            id: "rules",
            missing: None,
            query: "",
            rows: &report.rules.files,
            empty: "No rules were given.",
            dated,
            tools: false,
            first: 40,
        }),
        digests: digests(report),
        digests_left_out: captures_left_out,
    };
    page.render()
}

/// The Content Security Policy, with the digests of the style and the script.
fn policy() -> String {
    let hash = |text: &str| {
        let digest = Base64::encode_to_string(Sha256::digest(text)).unwrap_or_default();
        format!("'sha256-{digest}'")
    };
    format!(
        "default-src 'none'; script-src {}; style-src {}; img-src data:; base-uri 'none'; form-action 'none'",
        hash(SCRIPT),
        hash(STYLE)
    )
}

#[derive(Template)]
#[template(path = "report/page.html")]
struct Page<'r> {
    report: &'r Report,
    policy: String,
    style: &'static str,
    script: &'static str,
    sections: Vec<(&'static str, &'static str, String)>,
    scope: String,
    /// Techniques that were looked for and not seen, of tactics without any that was.
    /// Some technique fired.
    fired: bool,
    unseen: u64,
    severities: Vec<SeverityBar>,
    lossless: bool,
    triggered: TableView,
    indicators: Option<TableView>,
    captures: TableView,
    timeline_note: String,
    chart_width: f64,
    chart_height: f64,
    chart: String,
    chart_data: String,
    alerts: TableView,
    tree_note: String,
    trees: Vec<String>,
    dated: bool,
    network: TableView,
    files: TableView,
    containers: TableView,
    audit: Option<TableView>,
    rules_note: String,
    rule_files: TableView,
    digests: Vec<(String, Text)>,
    digests_left_out: u64,
}

struct SeverityBar {
    severity: Severity,
    count: u64,
    percent: String,
}

/// Numbers in templates come as whatever they are in the model.
trait Count {
    fn count(&self) -> u64;
}

impl Count for u64 {
    fn count(&self) -> u64 {
        *self
    }
}

impl Count for usize {
    fn count(&self) -> u64 {
        *self as u64
    }
}

impl<T: Count> Count for &T {
    fn count(&self) -> u64 {
        (*self).count()
    }
}

fn number(count: impl Count) -> String {
    grouped(count.count())
}

fn counted(count: impl Count, one: &str, more: &str) -> String {
    with_noun(count.count(), one, more)
}

/// Text in which names of code stand between backticks, as HTML.
fn coded(text: &Text) -> String {
    let parts = text.raw().split('`').enumerate().map(|(at, part)| {
        let part = Text::new(part).html().to_string();
        if at % 2 == 1 { format!("<code>{part}</code>") } else { part }
    });
    parts.collect()
}

#[derive(Template)]
#[template(path = "report/node.html")]
struct NodeView<'r> {
    node: &'r Node,
    /// What its command line says beyond its name.
    arguments: Text,
    /// Its container, where that is not its parent's.
    container: &'r Text,
    /// Alerts of the process itself.
    own: u64,
    start: String,
    end: String,
    children: Vec<String>,
}

/// A process with all below it; the model bounds how deep that goes. `parent` is the container of its parent.
fn node(node_of: &Node, parent: &Text, dated: bool) -> Result<String, askama::Error> {
    let view = NodeView {
        node: node_of,
        arguments: arguments(node_of),
        container: if node_of.container == *parent { &NOWHERE } else { &node_of.container },
        own: node_of.alerts.iter().map(|alerts| alerts.count).sum(),
        start: node_of.start.map_or_else(|| "before".to_owned(), |time| moment(time, dated)),
        end: match (node_of.end, node_of.start) {
            (None, _) => "–".to_owned(),
            (Some(end), start) => {
                let lived = start.map(|start| format!("after {}", lasting(end.0.saturating_sub(start.0))));
                let exit = if node_of.exit.is_empty() { String::new() } else { format!(", {}", node_of.exit.html()) };
                format!("<span title=\"{} UTC\">{}{exit}</span>", end.full(), lived.unwrap_or_else(|| end.clock()))
            }
        },
        children: node_of
            .children
            .iter()
            .map(|child| node(child, &node_of.container, dated))
            .collect::<Result<_, _>>()?,
    };
    view.render()
}

/// A command line begins with the name mostly, which stands before it already.
fn arguments(node: &Node) -> Text {
    let (name, cmdline) = (node.name.raw(), node.cmdline.raw());
    match cmdline.strip_prefix(name) {
        Some("") => Text::default(),
        Some(rest) if rest.starts_with(' ') => Text::new(rest.trim_start()),
        _ => node.cmdline.clone(),
    }
}

fn sections(report: &Report) -> Vec<(&'static str, &'static str, String)> {
    let some = |n: u64| if n == 0 { String::new() } else { grouped(n) };
    let mut sections = vec![
        ("summary", "Summary", String::new()),
        ("ledger", "What is missing", some(report.ledger.findings.len() as u64)),
    ];
    if let Some(hits) = &report.indicators {
        sections.push(("indicators", "Indicators", some(hits.total)));
    }
    sections.extend([
        ("captures", "Captures", some(report.captures.total)),
        ("timeline", "Timeline", String::new()),
        ("attack", "ATT&CK", some(fired_techniques(report))),
        ("alerts", "Alerts", some(report.alerts.total)),
        ("processes", "Processes", some(report.trees.shown)),
        ("network", "Network", some(report.network.total)),
        ("files", "Files", some(report.files.total)),
        ("containers", "Containers", some(report.containers.total)),
    ]);
    if let Some(audit) = &report.audit {
        sections.push(("audit", "Kubernetes audit", some(audit.total)));
    }
    sections.extend([("rules", "Rules used", some(report.rules.active)), ("digests", "Digests", String::new())]);
    sections
}

fn fired_techniques(report: &Report) -> u64 {
    report.attack.iter().flat_map(|tactic| &tactic.techniques).filter(|technique| technique.count > 0).count() as u64
}

/// Where and when, in one line.
fn scope(report: &Report) -> String {
    let summary = &report.summary;
    let hosts = match summary.hosts.as_slice() {
        [] => "No host named".to_owned(),
        [host] => format!("Host {host}"),
        hosts if hosts.len() <= 3 => {
            format!("Hosts {}", hosts.iter().map(Text::to_string).collect::<Vec<_>>().join(", "))
        }
        hosts => with_noun(hosts.len() as u64, "host", "hosts"),
    };
    let Some((first, last)) = summary.first.zip(summary.last) else { return format!("{hosts}. No events.") };
    let end = if report.is_dated() { format!("{} {}", last.date(), last.clock()) } else { last.clock() };
    let length = lasting(last.0.saturating_sub(first.0));
    format!("{hosts} · {} {} to {end} UTC ({length})", first.date(), first.clock())
}

fn severity_bars(report: &Report) -> Vec<SeverityBar> {
    let counts = &report.summary.rule_counts_by_severity;
    let most = counts.iter().map(|count| count.count).max().unwrap_or(1).max(1);
    let bar = |count: &super::model::SeverityCount| SeverityBar {
        severity: count.severity,
        count: count.count,
        // Never so short that a single alert is not seen.
        percent: format!("{:.1}", (count.count as f64 / most as f64 * 100.0).max(1.5)),
    };
    counts.iter().map(bar).collect()
}

fn timeline_note(report: &Report) -> String {
    let timeline = &report.timeline;
    let mut note = String::from("Bars are as high as the logarithm of their count.");
    if !timeline.losses.is_empty() {
        note.push_str(" Hatched: events were lost there, so what is not shown may still have happened.");
    }
    if timeline.segments.len() > 1 {
        note.push_str(" Narrow striped gaps stand for time that no capture covers, however long.");
    }
    if !timeline.exact {
        note.push_str(" So many alerts are counted by slices of time; a bar can stand for several.");
    }
    note
}

fn tree_note(report: &Report) -> String {
    let trees = &report.trees;
    let mut note = format!(
        "{} had alerts. Each is shown with its ancestors and what it started",
        with_noun(trees.alerting, "process", "processes")
    );
    if trees.shown < trees.alerting {
        let left_out = trees.alerting - trees.shown;
        // Writing to a string cannot fail.
        let _ = write!(
            note,
            "; {} with weaker or fewer alerts {} left out (casebook-analyze sql CAPTURES \"SELECT * FROM processes WHERE alerts > 0\")",
            grouped(left_out),
            if left_out == 1 { "is" } else { "are" }
        );
    }
    note.push('.');
    note
}

fn rules_note(report: &Report) -> String {
    let rules = &report.rules;
    let mut note = format!(
        "{} were asked about every event; {} fired.",
        with_noun(rules.active, "rule", "rules"),
        grouped(report.summary.triggered_rules.len() as u64)
    );
    if rules.inactive > 0 {
        let _ = write!(note, " {} switched off.", with_noun(rules.inactive, "rule was", "rules were"));
    }
    note
}

fn digests(report: &Report) -> Vec<(String, Text)> {
    let captures = report.captures.rows.iter().take(DIGESTS).map(|capture| (&capture.sha256, &capture.name));
    let rules = report.rules.files.iter().map(|file| (&file.sha256, &file.name));
    let digest = |digest: &Text| if digest.is_empty() { "not known".to_owned() } else { digest.to_string() };
    captures.chain(rules).map(|(sha256, name)| (digest(sha256), name.clone())).collect()
}

impl Tactic {
    /// Whether a rule was loaded for a technique that did not fire.
    fn has_silent(&self) -> bool {
        !self.silent().is_empty()
    }

    /// Number and name of those.
    fn silent(&self) -> Vec<(&Text, &Text)> {
        let silent = self.techniques.iter().filter(|technique| technique.count == 0 && !technique.id.is_empty());
        silent.map(|technique| (&technique.id, &technique.name)).collect()
    }
}
