//! `timeline`: what happened, in the order of time, across captures and hosts.
//!
//! Frames → [`Entry`]s of several kinds → chosen by time, alert or process tree, put in order by corrected clocks →
//! lines of text or JSON. The kinds stand in one table, [`Kind`]; each says which table its entries come from.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::str::FromStr;

use casebook_formats::terminal::Safe;
use casebook_replay::cli::{Exit, Terminals};
use casebook_replay::moment::Moment;
use casebook_replay::summary::iso_time;
use clap::{Args, ValueEnum};
use serde_json::json;

use super::entries::{self, Entry};
use super::forest::{self, Forest};
use crate::frames::{Frames, Wanted};
use crate::load::{LoadArgs, say};
use crate::print::text::json_line;

/// Options of `timeline`.
#[derive(Args, Debug)]
pub struct TimelineArgs {
    #[command(flatten)]
    load: LoadArgs,

    /// Only around this: a time, an alert by the number of its event (#217), or the first alert of a rule
    ///
    /// Times are 2026-11-21T10:00:00Z, 10:00:00.5 (on the day of the first capture), seconds or nanoseconds since the
    /// epoch, or +12.5s after the first event. Rules are the built-in ones unless -r names others.
    #[arg(long, value_name = "TIME|#EVENT|RULE")]
    around: Option<String>,

    /// How far around it, before and after: 10s, 250ms, 5m
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = distance)]
    within: Distance,

    /// Only this process (every life of that number) and all that came of it; repeat for more
    #[arg(long, value_name = "PID")]
    pid: Vec<i64>,

    /// Only processes of a user, login, container, pod, namespace or Kubernetes user of this name, and what came of them
    #[arg(long, value_name = "NAME")]
    who: Vec<String>,

    /// Only entries of these kinds, separated by commas [default: all but exit and dns]
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    kinds: Vec<Kind>,

    /// Correct a clock: captures or hosts whose name contains NAME were this much behind (+1.5s) or ahead (-250ms)
    #[arg(long, value_name = "NAME=DURATION", value_parser = offset, allow_hyphen_values = true)]
    offset: Vec<Offset>,

    /// Stop after so many entries
    #[arg(short = 'n', long = "count", value_name = "COUNT")]
    count: Option<usize>,

    /// One JSON object an entry
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// Kinds of entries.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum)]
pub enum Kind {
    /// A rule was true
    Alert,
    /// A program was started (`execs`)
    Exec,
    /// A process ended (`processes`)
    Exit,
    /// First change of a file by a process: created, written, renamed, removed, mode (`files`)
    File,
    /// First use of a connection, and sockets that listen (`network`)
    Network,
    /// A name was asked for or answered (`dns`)
    Dns,
    /// First sign of a container (`containers`)
    Container,
    /// A request to the Kubernetes API (`k8s_audit`)
    Audit,
}

impl Kind {
    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Exec => "exec",
            Self::Exit => "exit",
            Self::File => "file",
            Self::Network => "network",
            Self::Dns => "dns",
            Self::Container => "container",
            Self::Audit => "audit",
        }
    }
}

/// Kinds that are shown unless some are asked for.
const USUAL: [Kind; 6] = [Kind::Alert, Kind::Exec, Kind::File, Kind::Network, Kind::Container, Kind::Audit];

/// Nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Distance(i64);

fn distance(text: &str) -> Result<Distance, String> {
    match Moment::from_str(&format!("+{text}")) {
        Ok(Moment::AfterStart(ns)) => i64::try_from(ns).map(Distance).map_err(|_| "too long".to_owned()),
        _ => Err("not a duration, as 10s, 250ms or 5m".to_owned()),
    }
}

/// A correction of clocks.
#[derive(Clone, Debug)]
struct Offset {
    name: String,
    ns: i64,
}

fn offset(text: &str) -> Result<Offset, String> {
    let (name, value) = text.rsplit_once('=').ok_or("write NAME=+1.5s")?;
    let (sign, digits) = match value.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, value.strip_prefix('+').unwrap_or(value)),
    };
    Ok(Offset { name: name.to_owned(), ns: sign * distance(digits)?.0 })
}

/// Runs `timeline`.
///
/// # Errors
///
/// The output could not be written.
pub fn run(args: &TimelineArgs, out: &mut dyn Write, err: &mut dyn Write, terminals: Terminals) -> io::Result<Exit> {
    let kinds: BTreeSet<Kind> = if args.kinds.is_empty() { USUAL.into() } else { args.kinds.iter().copied().collect() };
    let wanted = entries::wanted(&kinds).columns("processes", forest::COLUMNS).and(Wanted::tables(&["captures"]));
    let by_alert = args.around.as_ref().is_some_and(|around| Moment::from_str(around).is_err());
    let asks_rules = by_alert || args.kinds.contains(&Kind::Alert);
    let wanted = if by_alert { wanted.and(Wanted::tables(&["alerts"])) } else { wanted };
    let loaded = match args.load.load_asking(asks_rules, wanted, err, terminals) {
        Ok(loaded) => loaded,
        Err(exit) => return Ok(exit),
    };
    let frames = &loaded.frames;
    let mut all = entries::of(frames, &kinds);
    correct(&mut all, frames, &args.offset, err);
    let center = match args.around.as_deref().map(|around| center(around, frames, &all)).transpose() {
        Ok(center) => center,
        Err(message) => {
            say(err, &format!("--around: {message}"));
            return Ok(Exit::Usage);
        }
    };
    let lives = lives(args, frames);
    all.retain(|entry| {
        let near = center.is_none_or(|center| entry.time.abs_diff(center) <= args.within.0.unsigned_abs());
        near && lives.as_ref().is_none_or(|lives| entry.upid.is_some_and(|upid| lives.contains(&upid)))
    });
    all.sort_by(|a, b| (a.time, a.capture, a.order).cmp(&(b.time, b.capture, b.order)));
    let shown = args.count.map_or(all.len(), |count| count.min(all.len()));
    if all.is_empty() {
        say(err, "nothing happened of what was asked for");
    }
    print(args, &all[..shown], out)?;
    if shown < all.len() {
        say(err, &format!("{shown} of {} entries are shown", all.len()));
    }
    Ok(loaded.exit)
}

/// Puts the clocks right; says when a name fits no capture.
fn correct(entries: &mut [Entry<'_>], frames: &Frames, offsets: &[Offset], err: &mut dyn Write) {
    let captures = frames.view("captures");
    let (names, hosts) = (captures.texts("capture"), captures.texts("host"));
    for offset in offsets {
        let fits = |text: Option<&str>| text.is_some_and(|text| text.contains(&offset.name));
        let fitting: BTreeSet<&str> = names
            .iter()
            .zip(&hosts)
            .filter(|(name, host)| fits(**name) || fits(**host))
            .filter_map(|(name, _)| *name)
            .collect();
        if fitting.is_empty() {
            say(err, &format!("--offset {}: no capture and no host is called so", offset.name));
        }
        for entry in entries.iter_mut().filter(|entry| fitting.contains(entry.capture)) {
            entry.time = entry.time.saturating_add(offset.ns);
        }
    }
}

/// The moment that `--around` names, ns since the epoch.
fn center(around: &str, frames: &Frames, entries: &[Entry<'_>]) -> Result<i64, String> {
    if let Ok(moment) = Moment::from_str(around) {
        let first = frames.view("captures").ints("first").into_iter().flatten().min().unwrap_or_default();
        return i64::try_from(moment.at(u64::try_from(first).unwrap_or_default())).map_err(|_| "too late".to_owned());
    }
    let alerts = frames.view("alerts");
    let (times, rules, nums) = (alerts.ints("time"), alerts.texts("rule"), alerts.uints("num"));
    let num = around.strip_prefix('#').and_then(|digits| digits.parse::<u64>().ok());
    let found = (0..alerts.height()).find(|row| match num {
        Some(num) => nums[*row] == Some(num),
        None => rules[*row] == Some(around),
    });
    // The entry knows the corrected time.
    let corrected = found.and_then(|row| {
        let same = |entry: &&Entry<'_>| entry.kind == Kind::Alert && entry.num == nums[row];
        entries.iter().find(same).map(|entry| entry.time).or(times[row])
    });
    corrected.ok_or_else(|| match num {
        Some(num) => format!("event {num} raised no alert"),
        None => format!("'{around}' is no time, and no rule that was true is called so"),
    })
}

/// The lives that `--pid` and `--who` name, with what came of them; `None`: all.
fn lives(args: &TimelineArgs, frames: &Frames) -> Option<BTreeSet<u64>> {
    if args.pid.is_empty() && args.who.is_empty() {
        return None;
    }
    let forest = Forest::of(frames.view("processes"));
    let found = forest.processes.iter().enumerate().filter(|(_, process)| {
        process.pid.is_some_and(|pid| args.pid.contains(&pid)) || args.who.iter().any(|who| process.is_of(who))
    });
    let found: Vec<usize> = found.map(|(at, _)| at).collect();
    Some(forest.with_descendants(found).into_iter().map(|at| forest.processes[at].upid).collect())
}

fn print(args: &TimelineArgs, entries: &[Entry<'_>], out: &mut dyn Write) -> io::Result<()> {
    let time = |ns: i64| u64::try_from(ns).map(iso_time).unwrap_or_default();
    if args.json {
        for entry in entries {
            let object = json!({
                "time": time(entry.time),
                "capture": entry.capture,
                "kind": entry.kind.name(),
                "num": entry.num,
                "upid": entry.upid,
                "process": entry.process,
                "pid": entry.pid,
                "text": entry.text,
                "priority": entry.priority,
            });
            writeln!(out, "{}", json_line(&object))?;
        }
        return Ok(());
    }
    let captures: BTreeSet<&str> = entries.iter().map(|entry| entry.capture).collect();
    let short = |capture: &str| Safe(capture.rsplit('/').next().unwrap_or(capture).as_bytes()).to_string();
    let names = captures.iter().map(|capture| short(capture).chars().count()).max().unwrap_or(0).min(40);
    let mut day = String::new();
    for entry in entries {
        let moment = time(entry.time);
        let (date, clock) = moment.split_once('T').unwrap_or(("", &moment));
        if date != day {
            writeln!(out, "── {date}")?;
            date.clone_into(&mut day);
        }
        // Nanoseconds are for machines; six digits tell events apart.
        write!(out, "{} ", clock.get(..15).unwrap_or(clock))?;
        if captures.len() > 1 {
            write!(out, "{:<names$} ", short(entry.capture))?;
        }
        let process = match (entry.process, entry.pid) {
            (Some(name), Some(pid)) => format!("{name}[{pid}]"),
            (Some(name), None) => name.to_owned(),
            (None, Some(pid)) => format!("[{pid}]"),
            (None, None) => String::new(),
        };
        let priority = entry.priority.map(|priority| format!("{priority}: ")).unwrap_or_default();
        let line = format!("{:<9} {:<22} {priority}{}", entry.kind.name(), process, entry.text);
        writeln!(out, "{}", Safe(line.trim_end().as_bytes()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_and_offsets_are_read() {
        assert_eq!(distance("250ms").map(|distance| distance.0), Ok(250_000_000));
        assert!(distance("soon").is_err());
        assert_eq!(
            offset("web1=-1.5s").map(|offset| (offset.name, offset.ns)),
            Ok(("web1".to_owned(), -1_500_000_000))
        );
        assert_eq!(offset("web1=2s").map(|offset| offset.ns), Ok(2_000_000_000));
        assert!(offset("web1").is_err());
    }

    #[test]
    fn kinds_are_called_as_on_the_command_line() {
        for kind in Kind::value_variants() {
            assert_eq!(kind.to_possible_value().map(|value| value.get_name().to_owned()), Some(kind.name().to_owned()));
        }
    }
}
