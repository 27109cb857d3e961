//! Excerpts of the corpora: a process tree cut out of a capture shows the same fields and alerts as in the whole, and the
//! smallest capture of a rule's alerts is below a hundredth of the events.
//!
//! Needs `CASEBOOK_CORPORA`.

// A failing test may stop at the first surprise.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use casebook_formats::capture::CaptureReader;
use casebook_replay::detect::Detector;
use casebook_replay::engine::Replay;
use casebook_replay::excerpt::minimize::{Wanted, alerts, minimize};
use casebook_replay::excerpt::proof::compare;
use casebook_replay::excerpt::select::{Selection, plan, snapshot};
use casebook_replay::excerpt::write;
use casebook_replay::fields::Catalogue;
use casebook_replay::run::Source;
use casebook_rules::inputs;
use casebook_rules::load::{LoadOptions, load};
use casebook_rules::ruleset::Matching;
use casebook_tests::corpora::{CORPORA_VARIABLE, Capture, Corpora, RuleSet};
use rayon::prelude::*;

/// Fields that may differ in a slice of a process tree, because the snapshot at its start has no place for what they ask.
/// By the beginnings of their names, with the reason.
const NO_PLACE: &[(&str, &str)] = &[
    ("fd.nameraw", "a descriptor list has the path as resolved only"),
    ("proc.ppid.", "a process list has no time of a clone"),
    ("proc.pid.ts", "a process list has no time of a clone"),
    ("proc.duration", "a process list has no time of a clone"),
    ("proc.exe_ino.ctime_duration", "a process list has no time of a clone"),
    ("proc.fdopencount", "a descriptor list has close-on-exec of files only"),
    ("proc.fdusage", "a descriptor list has close-on-exec of files only"),
    ("fd.types", "a descriptor list has close-on-exec of files only"),
    ("fd.dev", "a descriptor list has the device of files only"),
    ("fd.cproto", "a descriptor list has no connection that was never made"),
    ("fd.s", "a descriptor list has no role of an IPv6 socket"),
    ("evt.info", "names a process or descriptor of the kinds above"),
    ("evt.arg", "names a process or descriptor of the kinds above"),
    ("proc.nchilds", "children outside of the tree are not there"),
    ("proc.nthreads", "threads that never did anything are not there"),
    ("proc.vm", "memory of a process above the tree changes with its every context switch"),
    ("proc.pgid", "the leader of the group is outside of the tree"),
    ("proc.vpgid", "the leader of the group is outside of the tree"),
    ("proc.is_", "the leader of the group is outside of the tree"),
];

fn corpora() -> Option<Corpora> {
    let corpora = Corpora::from_environment().unwrap();
    if corpora.is_none() {
        writeln!(std::io::stderr(), "skipped: {CORPORA_VARIABLE} is not set").ok(); // past the capture of passing tests
    }
    corpora
}

fn probe_rules(corpora: &Corpora) -> Detector {
    let files = inputs::read(&corpora.rule_files(RuleSet::ProbeAll));
    let outcome = load(&files, &Catalogue::new(), &LoadOptions::default());
    Detector::new(outcome.ruleset.unwrap(), Matching::All, None)
}

/// The process of most events among those that the capture shows being made.
fn busiest(path: &Path) -> Option<i64> {
    let mut events: BTreeMap<i64, u64> = BTreeMap::new();
    let mut reader = CaptureReader::open(path).unwrap();
    Replay::new()
        .run(&mut reader, |context| {
            if let Some(thread) = context.thread.filter(|thread| thread.clone_ts != 0) {
                *events.entry(thread.pid).or_default() += 1;
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    events.into_iter().max_by_key(|&(pid, count)| (count, -pid)).map(|(pid, _)| pid)
}

/// Cuts the tree of the busiest process out of a capture and compares. Gives events compared and whether all was equal.
fn slice(capture: &Capture, folder: &Path) -> Option<(u64, bool)> {
    let pid = busiest(&capture.path)?;
    let source = Source::File(capture.path.clone());
    let selection = Selection { pid: Some(pid), ..Selection::default() };
    // Concatenated captures are refused.
    let planned = plan(&source, &selection).ok()?;
    let start = snapshot(&source, &planned).unwrap();
    let path = folder.join(format!("{}.scap", capture.name));
    let mut out = BufWriter::new(File::create(&path).unwrap());
    write(&start, Box::new(File::open(&capture.path).unwrap()), &planned.blocks, &mut out).unwrap();
    out.into_inner().unwrap();
    let proof = compare(&source, &planned.selected, Box::new(File::open(&path).unwrap())).unwrap();
    let here = || format!("{} process {pid}: {proof:?}", capture.name);
    assert_eq!((proof.events, proof.unpaired), (planned.selected.len() as u64, 0), "{}", here());
    for field in proof.differing.keys() {
        assert!(NO_PLACE.iter().any(|(known, _)| field.starts_with(known)), "{field}: {}", here());
    }
    let rules = Detector::built_in().unwrap();
    let of_whole = alerts(&source, &rules, Some(&planned.selected)).unwrap();
    let of_slice = alerts(&Source::File(path.clone()), &rules, None).unwrap();
    assert_eq!(of_slice, of_whole, "{}", capture.name);
    fs::remove_file(path).unwrap();
    Some((proof.events, proof.is_equal()))
}

#[test]
fn process_trees_show_what_they_show_in_the_whole() {
    let Some(corpora) = corpora() else { return };
    let folder = tempfile::tempdir().unwrap();
    let done: Vec<(u64, bool)> =
        corpora.select(&[]).par_iter().filter_map(|capture| slice(capture, folder.path())).collect();
    let equal = done.iter().filter(|(_, equal)| *equal).count();
    let events: u64 = done.iter().map(|(events, _)| events).sum();
    let line = format!("{} process trees, {events} events; {equal} trees equal in all fields", done.len());
    writeln!(std::io::stderr(), "{line}").ok(); // past the capture of passing tests
    assert!(done.len() > 20 && equal > 0, "{line}");
}

#[test]
fn the_smallest_capture_of_a_rule_is_below_a_hundredth() {
    let Some(corpora) = corpora() else { return };
    let rules = probe_rules(&corpora);
    let names: Vec<String> = rules.labels().into_iter().map(|label| label.name).collect();
    let mut captures = corpora.select(&[]);
    captures.sort_by_key(|capture| std::cmp::Reverse(fs::metadata(&capture.path).unwrap().len()));
    let largest = captures.first().unwrap();
    let source = Source::File(largest.path.clone());
    let folder = tempfile::tempdir().unwrap();
    let mut tried = BTreeSet::new();
    for name in ["probe_exec", "probe_sensitive", "probe_open_write"] {
        let wanted = Wanted { rules: vec![name.to_owned()], count: None };
        let start = Instant::now();
        let Ok(minimal) = minimize(&source, &rules, &names, &wanted, &mut |_, _| {}) else { continue };
        let seconds = start.elapsed().as_secs_f64();
        assert!(minimal.events * 100 < minimal.of, "{name}: {} of {}", minimal.events, minimal.of);
        assert!(!minimal.is_bounded, "{name}");
        let path = folder.path().join(format!("{name}.scap"));
        fs::write(&path, &minimal.bytes).unwrap();
        let of_rule = |source: &Source| -> Vec<String> {
            let all = alerts(source, &rules, None).unwrap();
            all.into_iter().filter(|alert| alert.starts_with(&format!("{name}: "))).collect()
        };
        let expected = of_rule(&source);
        assert_eq!(of_rule(&Source::File(path)), expected, "{name}");
        assert_eq!(expected.len(), minimal.alerts, "{name}");
        let (events, of) = (minimal.events, minimal.of);
        let line =
            format!("{}: {name}: {events} of {of} events, {} alerts, {seconds:.2} s", largest.name, minimal.alerts);
        writeln!(std::io::stderr(), "{line}").ok(); // past the capture of passing tests
        // The same capture and rules give the same bytes.
        let again = minimize(&source, &rules, &names, &wanted, &mut |_, _| {}).unwrap();
        assert_eq!(again.bytes, minimal.bytes, "{name}");
        tried.insert(name);
    }
    assert!(tried.len() >= 2, "{tried:?}");
}
