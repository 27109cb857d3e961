//! The report for tickets: Markdown, as short as a ticket should be.
//!
//! The same model, fewer rows: what somebody reads in a tracker, with the sentences that say what is left out. Every
//! text is escaped so that no renderer makes links, images, mentions or HTML of it (`text::markdown`).

use std::fmt::Write as _;

use super::model::{Listing, Node, Report};
use super::table::{Tabular, what_is_missing};
use super::text::{Text, Time, counted, grouped, markdown as escaped};

/// Rows of each table.
const ROWS: usize = 20;
/// Lines of process trees.
const TREE_LINES: usize = 80;

/// The report as Markdown.
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    head(report, &mut out);
    ledger(report, &mut out);
    if let Some(hits) = &report.indicators {
        section(&mut out, "Indicators of compromise", hits, ("hit", "hits"));
    }
    section(&mut out, "Captures", &report.captures, ("capture", "captures"));
    attack(report, &mut out);
    section(&mut out, "Alerts", &report.alerts, ("alert", "alerts"));
    trees(report, &mut out);
    section(&mut out, "Network", &report.network, ("connection", "connections"));
    section(&mut out, "Files", &report.files, ("file and process", "files and processes"));
    section(&mut out, "Containers and pods", &report.containers, ("container", "containers"));
    if let Some(audit) = &report.audit {
        section(&mut out, "Kubernetes audit", audit, ("request", "requests"));
    }
    rules(report, &mut out);
    out
}

/// Writes a line; writing to a string cannot fail.
macro_rules! line {
    ($out:expr) => { $out.push('\n') };
    ($out:expr, $($text:tt)*) => {{
        let _ = writeln!($out, $($text)*);
    }};
}

fn head(report: &Report, out: &mut String) {
    line!(out, "# {}", escaped(&report.title));
    line!(out);
    if let Some(case) = &report.case {
        line!(out, "Case {}", escaped(case));
        line!(out);
    }
    let summary = &report.summary;
    line!(out, "**Events detected: {}**", grouped(summary.events_detected));
    line!(out);
    for sentence in &summary.sentences {
        line!(out, "{}", escaped(sentence));
        line!(out);
    }
    if summary.triggered_rules.is_empty() {
        return;
    }
    line!(out, "Rule counts by severity:");
    line!(out);
    for count in &summary.rule_counts_by_severity {
        line!(out, "- {}: {}", count.severity.word(), grouped(count.count));
    }
    line!(out);
    line!(out, "Triggered rules by rule name:");
    line!(out);
    table(out, &summary.triggered_rules, usize::MAX);
}

fn ledger(report: &Report, out: &mut String) {
    line!(out, "## What the captures could not show");
    line!(out);
    for sentence in &report.ledger.sentences {
        line!(out, "{}", escaped(sentence));
        line!(out);
    }
    for finding in &report.ledger.findings {
        let (counter, severity) = (escaped(&finding.counter), escaped(&finding.severity));
        line!(out, "- **{}** × {counter} ({severity}): {}", grouped(finding.count), escaped(&finding.meaning));
    }
    if !report.ledger.findings.is_empty() {
        line!(out);
    }
}

fn attack(report: &Report, out: &mut String) {
    let fired: Vec<_> = report.attack.iter().filter(|tactic| tactic.count > 0).collect();
    if fired.is_empty() {
        return;
    }
    line!(out, "## ATT&CK");
    line!(out);
    for tactic in fired {
        let techniques: Vec<String> = tactic
            .techniques
            .iter()
            .filter(|technique| technique.count > 0)
            .map(|technique| {
                let name = [technique.id.to_string(), technique.name.to_string()].join(" ");
                format!("{} ({})", escaped(name.trim()), grouped(technique.count))
            })
            .collect();
        line!(out, "- **{}**: {}", tactic.name, techniques.join(", "));
    }
    line!(out);
}

fn section<T: Tabular>(out: &mut String, title: &str, listing: &Listing<T>, noun: (&str, &str)) {
    if listing.rows.is_empty() {
        return;
    }
    line!(out, "## {title}");
    line!(out);
    table(out, &listing.rows, ROWS);
    if listing.total > ROWS.min(listing.rows.len()) as u64 {
        let shown = ROWS.min(listing.rows.len()) as u64;
        let chosen = what_is_missing(listing, noun).unwrap_or_default();
        let total = counted(listing.total, noun.0, noun.1);
        line!(out, "{} of {total} stand here. {}All of them:", grouped(shown), escaped(chosen));
        match listing.query {
            // Hits are no table.
            "" => line!(out, "`casebook-analyze ioc --ioc FILE CAPTURES`"),
            query => line!(out, "`casebook-analyze sql CAPTURES \"{query}\"`"),
        }
        line!(out);
    }
}

/// A table without the columns in which nothing stands.
fn table<T: Tabular>(out: &mut String, rows: &[T], limit: usize) {
    let rows = &rows[..rows.len().min(limit)];
    let columns: Vec<_> =
        T::COLUMNS.iter().filter(|column| rows.iter().any(|row| !(column.cell)(row).is_nothing())).collect();
    line!(out, "| {} |", columns.iter().map(|column| escaped(column.heading)).collect::<Vec<_>>().join(" | "));
    line!(out, "|{}", columns.iter().map(|_| " --- |").collect::<String>());
    for row in rows {
        let cells: Vec<String> = columns.iter().map(|column| escaped((column.cell)(row).text())).collect();
        line!(out, "| {} |", cells.join(" | "));
    }
    line!(out);
}

fn trees(report: &Report, out: &mut String) {
    if report.trees.roots.is_empty() {
        return;
    }
    line!(out, "## Processes around the alerts");
    line!(out);
    let mut lines = 0;
    for root in &report.trees.roots {
        branch(root, 0, &mut lines, out);
    }
    line!(out);
    if lines > TREE_LINES {
        line!(out, "{} more processes stand in the HTML and JSON form.", grouped((lines - TREE_LINES) as u64));
        line!(out);
    }
}

/// A process and those below it that have alerts, or alerts below them; the model bounds the depth.
fn branch(node: &Node, depth: usize, lines: &mut usize, out: &mut String) {
    *lines += 1;
    if *lines <= TREE_LINES {
        let start = node.start.map_or_else(|| "before the capture".to_owned(), Time::full);
        let container =
            if node.container.is_empty() { String::new() } else { format!(" in {}", escaped(&node.container)) };
        let command = if node.cmdline.is_empty() { escaped(&node.name) } else { escaped(&node.cmdline) };
        let (indent, pid, user) = ("  ".repeat(depth), node.pid, escaped(&node.user));
        line!(out, "{indent}- {command} (pid {pid}, {user}{container}, {})", escaped(start));
        for alerts in &node.alerts {
            let (severity, rule) = (alerts.severity.word(), escaped(&alerts.rule));
            line!(out, "{indent}  - **{severity}** {rule} × {}", grouped(alerts.count));
        }
    }
    for child in node.children.iter().filter(|child| child.alerts_below > 0) {
        branch(child, depth + 1, lines, out);
    }
}

fn rules(report: &Report, out: &mut String) {
    line!(out, "## Digests");
    line!(out);
    let digest = |out: &mut String, sha256: &Text, name: &Text| {
        let sha256 = if sha256.is_empty() { "not known".to_owned() } else { escaped(sha256) };
        line!(out, "- {sha256} {}", escaped(name));
    };
    for capture in report.captures.rows.iter().take(ROWS) {
        digest(out, &capture.sha256, &capture.name);
    }
    for file in &report.rules.files {
        digest(out, &file.sha256, &file.name);
    }
    line!(out);
    line!(out, "Times are UTC. Written by {} {}.", report.program.name, report.program.version);
}
