//! Slices of process trees: every field of every event is what it is in the whole, and so is every alert.
//!
//! Over the corpora, for the processes whose trees have the most events, and over the built-in example.

// What fails in the set-up of a test is a failure of the test.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use casebook_formats::capture::CaptureReader;
use casebook_replay::detect::Detector;
use casebook_replay::engine::Replay;
use casebook_replay::excerpt::minimize::alerts;
use casebook_replay::excerpt::proof::compare;
use casebook_replay::excerpt::select::{Selection, plan, snapshot};
use casebook_replay::excerpt::write;
use casebook_replay::run::Source;

/// Processes of a capture that are cut out.
const TREES: usize = 3;

/// The processes with the most events that have an ancestor in the capture, and one from its middle.
fn processes(source: &Source) -> Vec<i64> {
    let mut reader = reader(source);
    let mut events: BTreeMap<i64, u64> = BTreeMap::new();
    let end = Replay::new().run(&mut reader, |context| {
        if let Some(thread) = context.thread.filter(|thread| thread.pid > 1) {
            *events.entry(thread.pid).or_default() += 1;
        }
        ControlFlow::Continue(())
    });
    end.unwrap();
    let mut by_count: Vec<(i64, u64)> = events.into_iter().collect();
    by_count.sort_by_key(|(pid, count)| (std::cmp::Reverse(*count), *pid));
    let middle = by_count.get(by_count.len() / 2).map(|(pid, _)| *pid);
    let mut pids: Vec<i64> = by_count.into_iter().take(TREES - 1).map(|(pid, _)| pid).chain(middle).collect();
    pids.dedup();
    pids
}

fn reader(source: &Source) -> CaptureReader {
    match source {
        Source::File(path) => CaptureReader::open(path).unwrap(),
        Source::Memory { bytes, .. } => {
            CaptureReader::from_reader(Box::new(Cursor::new(Arc::clone(bytes))), "memory").unwrap()
        }
        Source::Missing { .. } | Source::Input { .. } => panic!("there is no such source here"),
    }
}

/// Cuts out a tree; what differs, in words.
fn differences(source: &Source, pid: i64, detector: &Detector) -> Vec<String> {
    let selection = Selection { pid: Some(pid), ..Selection::default() };
    let planned = plan(source, &selection).unwrap();
    let start = snapshot(source, &planned).unwrap();
    let mut slice = Vec::new();
    let bytes: Box<dyn std::io::Read + Send> = match source {
        Source::File(path) => Box::new(fs::File::open(path).unwrap()),
        Source::Memory { bytes, .. } => Box::new(Cursor::new(Arc::clone(bytes))),
        Source::Missing { .. } | Source::Input { .. } => panic!("there is no such source here"),
    };
    write(&start, bytes, &planned.blocks, planned.gap(), &mut slice).unwrap();
    let slice = Source::Memory { name: "slice".to_owned(), bytes: Arc::from(slice) };
    let proof = compare(source, &planned.selected, &slice).unwrap();
    assert_eq!(proof.events, planned.selected.len() as u64);
    let mut found: Vec<String> = proof
        .differing
        .iter()
        .map(|(field, (count, first))| {
            format!("pid {pid}: {field} on {count} of {} events, first {first}", proof.events)
        })
        .collect();
    if proof.unpaired > 0 {
        found.push(format!("pid {pid}: {} events without partner", proof.unpaired));
    }
    if alerts(source, detector, Some(&planned.selected)).unwrap() != alerts(&slice, detector, None).unwrap() {
        found.push(format!("pid {pid}: other alerts"));
    }
    found
}

fn all_differences(sources: &[Source]) -> Vec<String> {
    let detector = Detector::built_in().unwrap();
    let mut found = Vec::new();
    for source in sources {
        for pid in processes(source) {
            let name = source.name();
            let name = Path::new(&name).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            found.extend(differences(source, pid, &detector).into_iter().map(|line| format!("{name}: {line}")));
        }
    }
    found
}

#[test]
fn trees_of_the_example_are_as_in_the_whole() {
    let source = Source::Memory { name: "example".to_owned(), bytes: casebook_fixtures::EXAMPLE.into() };
    assert!(processes(&source).len() >= 2);
    let found = all_differences(&[source]);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn trees_of_the_corpora_are_as_in_the_whole() {
    let Some(corpora) = std::env::var_os("CASEBOOK_CORPORA").map(PathBuf::from) else {
        println!("skipped: CASEBOOK_CORPORA is not set");
        return;
    };
    let mut files = Vec::new();
    for folder in fs::read_dir(corpora.join("captures")).unwrap() {
        let folder = folder.unwrap().path();
        files.extend(fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    }
    files.retain(|path| path.extension().is_some_and(|ending| ending == "scap"));
    files.sort();
    assert!(!files.is_empty(), "no captures");
    let sources: Vec<Source> = files.into_iter().map(Source::File).collect();
    let found: Vec<String> = std::thread::scope(|scope| {
        let halves = sources.chunks(sources.len().div_ceil(2));
        let workers: Vec<_> = halves.map(|half| scope.spawn(|| all_differences(half))).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(found.is_empty(), "{} differences, such as {:#?}", found.len(), &found[..found.len().min(40)]);
}
