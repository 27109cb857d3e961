//! What happened, in sentences: plain statements that the tables below them prove.

use super::super::model::{Capture, Connection, File, Listing, Node, Report};
use super::super::text::{Text, counted, grouped, sized};
use super::alerts::Fires;

/// Sentences about a report whose lists are filled.
pub(super) fn sentences(report: &Report, fires: &Fires) -> Vec<Text> {
    let mut said = Vec::new();
    if fires.all.is_empty() {
        said.push(nothing_fired(report));
    } else {
        said.push(overview(report, fires));
        said.extend(strongest(report, fires));
        said.extend(mostly(report));
        said.extend(tree(&report.trees.roots));
    }
    said.extend(network(&report.network));
    said.extend(files(&report.files));
    said.extend(guesses(report));
    said.extend(quiet_captures(&report.captures.rows));
    said.iter().map(|sentence| Text::new(sentence)).collect()
}

fn nothing_fired(report: &Report) -> String {
    let (rules, events) = (counted(report.rules.active, "rule", "rules"), grouped(report.summary.events));
    format!("None of {rules} fired on {events} events.")
}

fn overview(report: &Report, fires: &Fires) -> String {
    let alerts = counted(fires.all.len() as u64, "alert", "alerts");
    let rules = counted(fires.rules.len() as u64, "rule", "rules");
    let containers: std::collections::BTreeSet<_> =
        fires.by_container.keys().filter(|(_, id)| id != "host" && !id.is_empty()).collect();
    let on_host = fires.by_container.keys().any(|(_, id)| id == "host");
    let mut places = Vec::new();
    if !containers.is_empty() {
        places.push(counted(containers.len() as u64, "container", "containers"));
    }
    if on_host {
        places.push(if report.summary.hosts.len() > 1 { "the hosts themselves" } else { "the host itself" }.to_owned());
    }
    let processes = match report.trees.alerting {
        0 => String::new(),
        n => format!(", on {}", counted(n, "process", "processes")),
    };
    let places = if places.is_empty() { String::new() } else { format!(" in {}", places.join(" and on ")) };
    let places = places.replacen(" in the host", " on the host", 1);
    format!("{alerts} of {rules}{processes}{places}.")
}

/// The strongest alerts: what, how often, when first and by whom.
fn strongest(report: &Report, fires: &Fires) -> Option<String> {
    let severity = fires.all.iter().map(|fire| fire.severity).min()?;
    let of_it: Vec<_> = report.summary.triggered_rules.iter().filter(|rule| rule.severity == severity).collect();
    let names: Vec<String> = of_it.iter().take(3).map(|rule| format!("“{}”", rule.rule.raw())).collect();
    let more = of_it.len().saturating_sub(names.len());
    let names = match more {
        0 => listed(&names),
        more => format!("{} and {}", names.join(", "), counted(more as u64, "more rule", "more rules")),
    };
    let first = fires.all.iter().filter(|fire| fire.severity == severity).map(|fire| fire.time).min()?;
    let by = report.alerts.rows.iter().find(|alert| alert.severity == severity && alert.time == first);
    let by = by.filter(|alert| !alert.process.is_empty()).map(|alert| {
        let place = if alert.container.is_empty() || alert.container.raw() == "host" {
            String::new()
        } else {
            format!(" in container {}", alert.container.raw())
        };
        format!(" by {}{place}", alert.process.raw())
    });
    let word = severity.word();
    let at = if report.is_dated() { format!("{} {}", first.date(), first.clock()) } else { first.clock() };
    Some(format!("The strongest are {word}: {names}, the first at {at} UTC{}.", by.unwrap_or_default()))
}

/// One rule that fired more often than all others together.
fn mostly(report: &Report) -> Option<String> {
    let (all, rules) = (report.summary.events_detected, &report.summary.triggered_rules);
    let most = rules.iter().max_by_key(|rule| rule.count)?;
    let dominates = rules.len() > 1 && all >= 20 && most.count * 2 > all;
    let share = (most.count as f64 * 100.0 / all as f64).floor();
    dominates.then(|| format!("“{}” ({}) makes up {share} % of them.", most.rule.raw(), most.severity.word()))
}

/// The process below which most alerts lie, where it is not the eldest of all.
fn tree(roots: &[Node]) -> Option<String> {
    let all: u64 = roots.iter().map(|root| root.alerts_below).sum();
    let mut at = roots.iter().max_by_key(|root| root.alerts_below)?;
    if all < 2 || at.alerts_below * 2 < all {
        return None;
    }
    // As far down as one child still holds nearly all of it.
    while at.alerts.is_empty() {
        let next = at.children.iter().max_by_key(|child| child.alerts_below)?;
        if next.alerts_below * 10 < at.alerts_below * 9 {
            break;
        }
        at = next;
    }
    let whose = if at.user.is_empty() { String::new() } else { format!(" of user {}", at.user.raw()) };
    let below = if at.children.is_empty() { "is behind" } else { "and what it started are behind" };
    Some(format!("{} (pid {}){whose} {below} {} of them.", at.name.raw(), at.pid, grouped(at.alerts_below)))
}

/// Traffic of processes with alerts to public addresses.
fn network(network: &Listing<Connection>) -> Option<String> {
    let suspect: Vec<&Connection> = network.rows.iter().filter(|row| row.public && row.alerts > 0).collect();
    let most = suspect.iter().max_by_key(|row| row.bytes_out.saturating_add(row.bytes_in))?;
    let other = if most.role.raw() == "server" { &most.client } else { &most.server };
    let connections = counted(suspect.len() as u64, "connection", "connections");
    Some(format!(
        "Processes with alerts had {connections} with public addresses; the most went over {} {} {} ({} sent, {} received).",
        most.process.raw(),
        if most.role.raw() == "server" { "from" } else { "to" },
        other.raw(),
        sized(most.bytes_out),
        sized(most.bytes_in)
    ))
}

/// Changes of files by processes with alerts.
fn files(files: &Listing<File>) -> Option<String> {
    let pseudo = |path: &str| ["/dev/", "/proc/", "/sys/"].iter().any(|below| path.starts_with(below));
    let is_change = |file: &&File| {
        file.alerts > 0
            && !matches!(file.did.raw(), "read" | "opened" | "not opened")
            && !pseudo(file.path.raw())
            && file.path.raw().starts_with('/')
    };
    let changed: Vec<&File> = files.rows.iter().filter(is_change).collect();
    let mut paths: Vec<&str> = changed.iter().map(|file| file.path.raw()).collect();
    paths.sort_unstable();
    paths.dedup();
    let number = paths.len() as u64;
    // What the system runs or believes comes first.
    paths.sort_by_key(|path| {
        !["/etc/", "/usr/", "/bin/", "/sbin/", "/root/", "/lib"].iter().any(|p| path.starts_with(p))
    });
    // Endless ones stand in the table.
    paths.retain(|path| path.chars().count() <= 60);
    let some: Vec<String> = paths.iter().take(3).map(|path| (*path).to_owned()).collect();
    let which = match number {
        0 => return None,
        _ if some.is_empty() => String::new(),
        1..=3 => format!(": {}", listed(&some)),
        _ => format!(", among them {}", listed(&some)),
    };
    Some(format!("Processes with alerts changed {}{which}.", counted(number, "file", "files")))
}

fn guesses(report: &Report) -> Option<String> {
    let n: u64 = report.summary.triggered_rules.iter().map(|rule| rule.absent).sum();
    let rest = if n == 1 { "alert rests" } else { "alerts rest" };
    (n > 0).then(|| {
        format!("{} {rest} on facts that the capture does not tell, such as the image of an unknown container; each may be a guess.", grouped(n))
    })
}

/// Captures without alerts, and those with the strongest, where there are several.
fn quiet_captures(captures: &[Capture]) -> Option<String> {
    let quiet = captures.iter().filter(|capture| capture.alerts == 0).count() as u64;
    let loudest = captures.iter().max_by_key(|capture| capture.alerts).filter(|capture| capture.alerts > 0)?;
    (captures.len() > 1).then(|| {
        let all = captures.len() as u64;
        let name = loudest.label.raw();
        let most = format!("{name} has the most alerts ({})", grouped(loudest.alerts));
        if quiet == 0 {
            format!("{most}.")
        } else {
            format!("{} of {} captures had none; {most}.", grouped(quiet), grouped(all))
        }
    })
}

/// `a`, `a and b`, `a, b and c`.
fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::model::{NodeAlerts, Severity};
    use super::super::super::text::Time;
    use super::*;

    #[test]
    fn lists_read_as_people_say_them() {
        let items = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(listed(&items), "a, b and c");
        assert_eq!(listed(&items[..2]), "a and b");
        assert_eq!(listed(&[]), "");
    }

    #[test]
    fn the_tree_is_named_where_its_alerts_begin() {
        let leaf = |alerts_below| Node { alerts_below, pid: 7, name: Text::new("sh"), ..Node::default() };
        let alerting = Node {
            alerts: vec![NodeAlerts { rule: Text::new("r"), severity: Severity(2), count: 3, first: Time(1) }],
            alerts_below: 9,
            children: vec![leaf(6)],
            name: Text::new("apache2"),
            user: Text::new("www-data"),
            pid: 12,
            ..Node::default()
        };
        let root = Node { alerts_below: 9, children: vec![leaf(0), alerting], ..Node::default() };
        let said = tree(&[root, leaf(1)]).expect("one tree has most of them");
        assert_eq!(said, "apache2 (pid 12) of user www-data and what it started are behind 9 of them.");
        assert_eq!(tree(&[leaf(1)]), None);
    }
}
