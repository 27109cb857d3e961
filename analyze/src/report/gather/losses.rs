//! What the captures could not show: the ledger in words, and losses whose time is known.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use casebook_formats::ledger::{COUNTERS, Counter, Ledger as Counters, Severity as Weight};
use casebook_formats::seekable::SeekableFile;

use super::super::model::{Capture, Finding, Ledger};
use super::super::text::{Text, Time, counted, grouped};
use super::super::timeline::Band;
use super::text;
use crate::frames::View;

/// The ledger over all captures: losses first, then errors, then what is only worth knowing.
pub(super) fn ledger(view: View<'_>, captures: &[Capture]) -> Ledger {
    let (counters, counts) = (view.texts("counter"), view.uints("count"));
    let names = view.texts("capture");
    let mut found: BTreeMap<&str, (u64, BTreeSet<&str>)> = BTreeMap::new();
    for row in 0..view.height() {
        let (count, of) = found.entry(counters[row].unwrap_or_default()).or_default();
        *count = count.saturating_add(counts[row].unwrap_or(0));
        of.insert(names[row].unwrap_or_default());
    }
    let mut findings: Vec<(Weight, Finding)> = Vec::new();
    for counter in COUNTERS {
        let Some((count, of)) = found.get(counter.name) else { continue };
        findings.push((
            counter.severity,
            Finding {
                counter: Text::new(counter.name),
                severity: Text::new(counter.severity.word()),
                origin: Text::new(counter.origin.word()),
                count: *count,
                captures: of.len() as u64,
                meaning: Text::new(counter.advice),
            },
        ));
    }
    findings.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    let sentences = sentences(captures, &findings);
    Ledger { sentences, findings: findings.into_iter().map(|(_, finding)| finding).collect() }
}

fn sentences(captures: &[Capture], findings: &[(Weight, Finding)]) -> Vec<Text> {
    let mut sentences = Vec::new();
    let unread: Vec<&Capture> = captures.iter().filter(|capture| !capture.complete).collect();
    let losses = findings.iter().filter(|(weight, _)| *weight == Weight::DataLoss).count() as u64;
    if unread.is_empty() && losses == 0 {
        sentences.push(
            "Every capture was read to its end, and nothing is known to be lost. Still, a capture shows only what its \
             recorder was asked to record, from its first event to its last."
                .to_owned(),
        );
        return sentences.iter().map(|sentence| Text::new(sentence)).collect();
    }
    sentences.push(
        "Evidence is missing. That a rule did not fire, or that something is not listed here, does not prove that it \
         did not happen."
            .to_owned(),
    );
    let (dropped, events) =
        captures.iter().fold((0u64, 0u64), |(d, e), capture| (d.saturating_add(capture.dropped), e + capture.events));
    // A marker says that something was lost there, and not how much.
    let marker = Counter::KernelDrops.def().name;
    let markers = findings.iter().filter(|(_, finding)| finding.counter.raw() == marker);
    let markers = markers.map(|(_, finding)| finding.count).sum::<u64>();
    let dropped = dropped.saturating_sub(markers);
    if dropped > 0 {
        let share = dropped as f64 * 100.0 / dropped.saturating_add(events).max(1) as f64;
        let share = if share < 0.1 { "less than 0.1".to_owned() } else { format!("{share:.1}") };
        let what = counted(dropped, "lost event", "lost events");
        sentences.push(format!("The recorder reports {what}, {share} % beside {} that were read.", grouped(events)));
    }
    if markers > 0 {
        let what = counted(markers, "marker", "markers");
        sentences.push(format!("{what} in the stream: events were lost there, and how many is not told."));
    }
    if let [only] = unread.as_slice()
        && captures.len() == 1
    {
        sentences.push(format!("The capture was not read whole: {}.", only.state.raw()));
    } else if !unread.is_empty() {
        let (n, all) = (grouped(unread.len() as u64), counted(captures.len() as u64, "capture", "captures"));
        sentences.push(format!("{n} of {all} could not be read whole; the table of captures says why."));
    }
    sentences.iter().map(|sentence| Text::new(sentence)).collect()
}

/// Losses with a time: drop markers among the events, and intervals that frame records of a `.scap.zst` tell.
pub(super) fn bands(events: View<'_>, captures: View<'_>) -> Vec<Band> {
    let mut bands = Vec::new();
    let types = events.texts("type");
    if types.contains(&Some("drop")) {
        let times = events.ints("time");
        let marked = types.iter().zip(&times).filter(|(name, _)| **name == Some("drop"));
        for at in marked.filter_map(|(_, time)| super::time(*time)) {
            bands.push(Band { from: at, to: at, what: Text::new("the kernel side dropped events (drop marker)") });
        }
    }
    let (names, formats) = (captures.texts("capture"), captures.texts("format"));
    for (name, _) in names.iter().zip(&formats).filter(|(_, format)| **format == Some("scap.zst")) {
        let intervals = name.map(Path::new).and_then(intervals_of).unwrap_or_default();
        for (from, to, losses) in intervals {
            let causes: Vec<String> =
                losses.findings().map(|(counter, count)| format!("{} {}", grouped(count), counter.name)).collect();
            bands.push(Band { from: Time(from), to: Time(to), what: text(Some(&causes.join(", "))) });
        }
    }
    bands
}

/// From when to when the frames of a file lost something, and what.
fn intervals_of(path: &Path) -> Option<Vec<(u64, u64, Counters)>> {
    SeekableFile::open(path).ok()??.loss_intervals().ok()
}
