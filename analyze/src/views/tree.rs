//! `tree`: who started whom, with times, users, containers and alerts.
//!
//! Frames `processes` and `alerts` → [`Forest`] → lines of text, or one JSON object a process. By default those
//! processes are drawn that did something in the capture, with their ancestors.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use casebook_formats::terminal::Safe;
use casebook_replay::cli::{Exit, Terminals};
use casebook_replay::summary::iso_time;
use clap::Args;
use serde_json::json;

use super::forest::{self, Branch, Forest, Process};
use crate::frames::{View, Wanted};
use crate::load::{LoadArgs, say};
use crate::print::text::json_line;

/// Characters of a command line that are shown unless `--full` is given.
const SHOWN: usize = 160;

/// Options of `tree`.
#[derive(Args, Debug)]
#[allow(clippy::struct_excessive_bools)] // switches of a command line, each its own
pub struct TreeArgs {
    #[command(flatten)]
    load: LoadArgs,

    /// This process (every life of that number), its ancestors and all that came of it; repeat for more
    #[arg(long, value_name = "PID")]
    pid: Vec<i64>,

    /// Processes of a user, login, container, pod, namespace or Kubernetes user of this name, with what came of them
    #[arg(long, value_name = "NAME")]
    who: Vec<String>,

    /// Only processes with alerts, and their ancestors; asks the built-in rules unless -r names others
    #[arg(long)]
    alerts: bool,

    /// Also processes that did nothing in the capture
    #[arg(long, conflicts_with_all = ["pid", "who", "alerts"])]
    all: bool,

    /// Whole command lines
    #[arg(long, help_heading = "Output")]
    full: bool,

    /// One JSON object a process, parents before their children
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// Runs `tree`.
///
/// # Errors
///
/// The output could not be written.
pub fn run(args: &TreeArgs, out: &mut dyn Write, err: &mut dyn Write, terminals: Terminals) -> io::Result<Exit> {
    let wanted = Wanted::tables(&["captures"])
        .columns("processes", forest::COLUMNS)
        .columns("alerts", &["upid", "rule", "priority", "severity"]);
    let loaded = match args.load.load_asking(args.alerts, wanted, err, terminals) {
        Ok(loaded) => loaded,
        Err(exit) => return Ok(exit),
    };
    let forest = Forest::of(loaded.frames.view("processes"));
    let alerts = alerts_by_life(loaded.frames.view("alerts"));
    let chosen = chosen(args, &forest);
    if chosen.is_empty() {
        say(err, "no process is what was asked for; --all shows every process of the captures");
        return Ok(loaded.exit);
    }
    let branches = forest.drawn(&chosen);
    if args.json {
        for branch in &branches {
            print_json(&forest, branch, &alerts, out)?;
        }
    } else {
        print_text(args, &forest, &branches, &alerts, out)?;
        let left = forest.processes.len() - chosen.len();
        if left > 0 {
            say(err, &format!("{} of {} processes are shown", chosen.len(), forest.processes.len()));
        }
    }
    Ok(loaded.exit)
}

/// How often a rule was true on a process: severity, priority, rule → count.
type Alerts<'f> = BTreeMap<(i64, &'f str, &'f str), u64>;

/// Alerts of each life.
pub(super) fn alerts_by_life(table: View<'_>) -> BTreeMap<u64, Alerts<'_>> {
    let (upids, severities) = (table.uints("upid"), table.ints("severity"));
    let (rules, priorities) = (table.texts("rule"), table.texts("priority"));
    let mut lives: BTreeMap<u64, Alerts<'_>> = BTreeMap::new();
    for row in 0..table.height() {
        let Some(upid) = upids[row] else { continue };
        let key = (severities[row].unwrap_or(i64::MAX), priorities[row].unwrap_or(""), rules[row].unwrap_or(""));
        *lives.entry(upid).or_default().entry(key).or_default() += 1;
    }
    lives
}

fn chosen(args: &TreeArgs, forest: &Forest<'_>) -> BTreeSet<usize> {
    let those = |test: &dyn Fn(&Process<'_>) -> bool| -> Vec<usize> {
        forest.processes.iter().enumerate().filter(|(_, process)| test(process)).map(|(at, _)| at).collect()
    };
    if args.all {
        return (0..forest.processes.len()).collect();
    }
    let named = !args.pid.is_empty() || !args.who.is_empty();
    if !named {
        let wanted = |process: &Process<'_>| if args.alerts { process.alerts > 0 } else { process.is_active() };
        return forest.with_ancestors(those(&wanted));
    }
    let found = those(&|process| {
        process.pid.is_some_and(|pid| args.pid.contains(&pid)) || args.who.iter().any(|who| process.is_of(who))
    });
    let mut below = forest.with_descendants(found.iter().copied());
    if args.alerts {
        below.retain(|at| forest.processes[*at].alerts > 0);
        return forest.with_ancestors(below);
    }
    below.extend(forest.with_ancestors(found));
    below
}

fn print_text(
    args: &TreeArgs,
    forest: &Forest<'_>,
    branches: &[Branch],
    alerts: &BTreeMap<u64, Alerts<'_>>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let users = width(forest, branches, user, "USER".len());
    let containers =
        width(forest, branches, |process| process.container().unwrap_or_default().to_owned(), "CONTAINER".len());
    let mut capture = None;
    for (at, branch) in branches.iter().enumerate() {
        let process = &forest.processes[branch.process];
        if capture != Some(process.capture) {
            let gap = if capture.is_some() { "\n" } else { "" };
            writeln!(out, "{gap}{}", Safe(process.capture.as_bytes()))?;
            writeln!(
                out,
                "{:<12} {:>9} {:>7} {:<users$} {:<containers$} PROCESS",
                "START", "LASTED", "EXIT", "USER", "CONTAINER"
            )?;
            capture = Some(process.capture);
        }
        let (user, container) = (user(process), Safe(process.container().unwrap_or_default().as_bytes()).to_string());
        let line = format!(
            "{:<12} {:>9} {:>7} {user:<users$} {container:<containers$} {}{} {}",
            started(process),
            lasted(process),
            ended(process),
            stems(&branch.more, true),
            process.pid.map_or_else(|| "?".to_owned(), |pid| pid.to_string()),
            command(process, args.full),
        );
        writeln!(out, "{}", line.trim_end())?;
        for ((_, priority, rule), count) in alerts.get(&process.upid).into_iter().flatten() {
            let times = if *count > 1 { format!(" ({count} times)") } else { String::new() };
            let indent = 12 + 1 + 9 + 1 + 7 + 1 + users + 1 + containers + 1;
            let rule = Safe(rule.as_bytes());
            // A line down to its children, if there are any.
            let below = branches.get(at + 1).is_some_and(|next| next.more.len() > branch.more.len());
            let stem = if below { "│ " } else { "  " };
            writeln!(out, "{:indent$}{}{stem}! {priority}: {rule}{times}", "", stems(&branch.more, false))?;
        }
    }
    Ok(())
}

/// The widest entry of a column, within reason.
fn width(forest: &Forest<'_>, branches: &[Branch], entry: impl Fn(&Process<'_>) -> String, least: usize) -> usize {
    let longest = branches.iter().map(|branch| entry(&forest.processes[branch.process]).chars().count()).max();
    longest.unwrap_or(0).clamp(least, 32)
}

/// User, and the user of the Kubernetes API behind the process, how sure that is, and who else it may be.
fn user(process: &Process<'_>) -> String {
    let name = process.user.unwrap_or_default();
    let text = match process.k8s_user {
        Some(kubernetes) => {
            let confidence = process.k8s_user_confidence.unwrap_or("?");
            let others = process.k8s_user_others.map(|others| format!(" or {others}")).unwrap_or_default();
            format!("{name} (k8s: {kubernetes}{others}, {confidence})")
        }
        None => name.to_owned(),
    };
    Safe(text.as_bytes()).to_string()
}

/// Time of day; the date stands in no row.
fn started(process: &Process<'_>) -> String {
    match process.start.and_then(|ns| u64::try_from(ns).ok()) {
        Some(ns) => iso_time(ns).get(11..23).unwrap_or_default().to_owned(),
        None => "before".to_owned(),
    }
}

fn lasted(process: &Process<'_>) -> String {
    match (process.start, process.end) {
        (Some(start), Some(end)) => span(end.saturating_sub(start)),
        (None, Some(_)) => "?".to_owned(),
        (_, None) => String::new(),
    }
}

/// A duration in the unit that leaves few digits.
pub(super) fn span(ns: i64) -> String {
    let seconds = ns as f64 / 1e9;
    match ns {
        ..0 => "?".to_owned(),
        0..1_000_000 => format!("{} us", ns / 1000),
        1_000_000..1_000_000_000 => format!("{:.1} ms", seconds * 1e3),
        1_000_000_000..120_000_000_000 => format!("{seconds:.1} s"),
        120_000_000_000..7_200_000_000_000 => format!("{:.1} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}

fn ended(process: &Process<'_>) -> String {
    match (process.exit_signal, process.exit_code) {
        (Some(signal), _) if signal > 0 => format!("sig {signal}"),
        (_, Some(code)) => code.to_string(),
        _ if process.end.is_some() => "?".to_owned(),
        _ => String::new(),
    }
}

fn command(process: &Process<'_>, full: bool) -> String {
    let text = process.cmdline.filter(|text| !text.is_empty()).or(process.name).unwrap_or("<NA>");
    let safe = Safe(text.as_bytes()).to_string();
    if full || safe.chars().count() <= SHOWN {
        return safe;
    }
    let kept: String = safe.chars().take(SHOWN).collect();
    format!("{kept}… ({} characters more)", safe.chars().count() - SHOWN)
}

/// The lines that join a process with its parent; without `own` those beside a remark below it.
fn stems(more: &[bool], own: bool) -> String {
    let Some((last, above)) = more.split_last() else { return String::new() };
    let mut stems: String = above.iter().map(|more| if *more { "│  " } else { "   " }).collect();
    stems.push_str(match (own, last) {
        (true, true) => "├─ ",
        (true, false) => "└─ ",
        (false, true) => "│  ",
        (false, false) => "   ",
    });
    stems
}

fn print_json(
    forest: &Forest<'_>,
    branch: &Branch,
    alerts: &BTreeMap<u64, Alerts<'_>>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let process = &forest.processes[branch.process];
    let time = |ns: Option<i64>| ns.and_then(|ns| u64::try_from(ns).ok()).map(iso_time);
    let fired: Vec<_> = alerts
        .get(&process.upid)
        .into_iter()
        .flatten()
        .map(|((_, priority, rule), count)| json!({ "rule": rule, "priority": priority, "count": count }))
        .collect();
    let object = json!({
        "capture": process.capture,
        "upid": process.upid,
        "parent_upid": process.parent,
        "depth": branch.more.len(),
        "pid": process.pid,
        "ppid": process.ppid,
        "start": time(process.start),
        "end": time(process.end),
        "exit_code": process.exit_code,
        "exit_signal": process.exit_signal,
        "name": process.name,
        "cmdline": process.cmdline,
        "user_name": process.user,
        "login_name": process.login,
        "k8s_user_name": process.k8s_user,
        "k8s_user_via": process.k8s_user_via,
        "k8s_user_confidence": process.k8s_user_confidence,
        "k8s_user_others": process.k8s_user_others,
        "container_id": process.container_id,
        "container_name": process.container_name,
        "pod_name": process.pod,
        "pod_namespace": process.namespace,
        "from_snapshot": process.from_snapshot,
        "events": process.events,
        "alerts": fired,
    });
    writeln!(out, "{}", json_line(&object))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_units() {
        for (ns, text) in [
            (-1, "?"),
            (1_500, "1 us"),
            (2_500_000, "2.5 ms"),
            (61_000_000_000, "61.0 s"),
            (600_000_000_000, "10.0 min"),
            (9_000_000_000_000, "2.5 h"),
        ] {
            assert_eq!(span(ns), text);
        }
    }

    #[test]
    fn stems_join_siblings() {
        assert_eq!(stems(&[], true), "");
        assert_eq!(stems(&[true, false], true), "│  └─ ");
        assert_eq!(stems(&[false, true], false), "   │  ");
    }
}
