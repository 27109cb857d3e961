//! Every capture of the corpora read to its end, and every event compared with what libs delivered.
//!
//! Needs `CASEBOOK_CORPORA` (layout: `captures/*/NAME.scap`, `falco-goldens/fields/NAME.jsonl.zst`); says so and
//! passes when it is not set.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use casebook_formats::capture::{CaptureReader, Item};
use casebook_formats::event::Event;
use casebook_formats::ledger::{Counter, Ledger};
use casebook_formats::tables::{self, Direction};

/// What both sides say of an event.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    rawtime: String,
    tid: String,
    etype: String,
    cpu: String,
    dir: String,
}

fn corpora() -> Option<PathBuf> {
    let path = std::env::var_os("CASEBOOK_CORPORA").map(PathBuf::from);
    if path.is_none() {
        writeln!(std::io::stderr(), "skipped: CASEBOOK_CORPORA is not set").ok(); // past the capture of passing tests
    }
    path
}

fn captures(root: &Path) -> BTreeMap<String, PathBuf> {
    let folders = fs::read_dir(root.join("captures")).expect("captures folder");
    let files = folders.flat_map(|folder| fs::read_dir(folder.expect("folder").path()).expect("folder"));
    files
        .map(|file| file.expect("file").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "scap"))
        .map(|path| (path.file_stem().expect("name").to_string_lossy().into_owned(), path))
        .collect()
}

/// The text of one key of a flat JSON line; none of the keys asked for has escapes in its value.
fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let needle = format!("\"{key}\":\"");
    let start = line.find(&needle)? + needle.len();
    line[start..].split('"').next()
}

fn shown(event: &Event) -> Line {
    let def = tables::event(event.etype).expect("delivered types are in the table");
    Line {
        rawtime: event.ts.to_string(),
        tid: event.tid.to_string(),
        etype: event.name().to_owned(),
        cpu: event.cpu.to_string(),
        dir: if def.dir == Direction::Enter { ">" } else { "<" }.to_owned(),
    }
}

fn read(path: &Path) -> (BTreeMap<u64, Line>, Ledger) {
    let mut reader = CaptureReader::open(path).unwrap_or_else(|error| panic!("{error}"));
    let mut events = BTreeMap::new();
    while let Some(item) = reader.next_item().unwrap_or_else(|error| panic!("{error}")) {
        if let Item::Event(event) = item {
            assert!(events.insert(event.num, shown(&event)).is_none());
        }
    }
    (events, reader.ledger().clone())
}

#[test]
fn every_capture_is_read_to_its_end() {
    let Some(root) = corpora() else { return };
    for (name, path) in captures(&root) {
        let (events, ledger) = read(&path);
        assert!(!events.is_empty(), "{name}: no events");
        let damage = [
            Counter::DamagedBlocks,
            Counter::DamagedBytes,
            Counter::DamagedEvents,
            Counter::DamagedSnapshotEntries,
            Counter::TruncatedInput,
            Counter::BrokenCompression,
            Counter::UnknownEventTypes,
            Counter::UnknownConversions,
        ];
        for counter in damage {
            assert_eq!(ledger.get(counter), 0, "{name}: {counter:?}");
        }
        let findings: Vec<String> = ledger.findings().map(|(def, count)| format!("{}={count}", def.name)).collect();
        println!("{name}: {} events {}", events.len(), findings.join(" "));
    }
}

#[test]
fn events_agree_with_libs() {
    let Some(root) = corpora() else { return };
    let (mut compared, mut wrong, mut total, mut files) = (0_u64, Vec::new(), 0, 0);
    for (name, path) in captures(&root) {
        let golden = root.join("falco-goldens/fields").join(format!("{name}.jsonl.zst"));
        let Ok(file) = fs::File::open(&golden) else {
            println!("{name}: no golden");
            continue;
        };
        let (events, _) = read(&path);
        total += events.len();
        files += 1;
        let lines = BufReader::new(zstd::stream::read::Decoder::new(file).expect("zstd")).lines();
        for line in lines {
            let line = line.expect("utf-8");
            let get = |key: &str| value(&line, key).unwrap_or("<NA>").to_owned();
            let num: u64 = get("evt.num").parse().expect("evt.num");
            let golden = Line {
                rawtime: get("evt.rawtime"),
                tid: get("thread.tid"),
                etype: get("evt.type"),
                cpu: get("evt.cpu"),
                dir: get("evt.dir"),
            };
            compared += 1;
            if events.get(&num) != Some(&golden) {
                wrong.push(format!("{name} {num}: libs {golden:?}, we {:?}", events.get(&num)));
            }
        }
    }
    println!("{files} captures, {total} events, {compared} golden events compared, {} differ", wrong.len());
    assert!(compared > 0, "no goldens found");
    assert!(wrong.is_empty(), "{}", wrong.iter().take(20).cloned().collect::<Vec<_>>().join("\n"));
}
