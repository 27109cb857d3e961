//! The frames agree with the field goldens of a corpus: for every capture the counts per event type, per process name and
//! per descriptor name.
//!
//! Needs `CASEBOOK_CORPORA`. Where Falco's value of a field differs from ours for a listed reason, `fields_agree` (package
//! `casebook-tests`) judges it; here an event may differ from its golden only if the frame says what our own field says.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use casebook_analyze::frames::{Wanted, utf8};
use casebook_analyze::load::{self, Options};
use casebook_replay::audit::join::Clocks;
use casebook_replay::context::EventContext;
use casebook_replay::engine::Replay;
use casebook_replay::fields::{Catalogue, text};
use casebook_replay::run::Source;
use serde::Deserialize;

/// The fields that are compared, and their columns.
const FIELDS: [(&str, &str); 3] = [("evt.type", "type"), ("proc.name", "proc_name"), ("fd.name", "fd_name")];

/// What the golden of one event says of them.
#[derive(Deserialize)]
struct Golden {
    #[serde(rename = "evt.num")]
    num: String,
    #[serde(rename = "evt.type")]
    kind: Option<String>,
    #[serde(rename = "proc.name")]
    proc_name: Option<String>,
    #[serde(rename = "fd.name")]
    fd_name: Option<String>,
}

type Values = [Option<String>; 3];

fn goldens(path: &Path) -> HashMap<u64, Values> {
    let lines = BufReader::new(zstd::Decoder::new(File::open(path).unwrap()).unwrap()).lines();
    lines
        .map(|line| {
            let Golden { num, kind, proc_name, fd_name } = serde_json::from_str(&line.unwrap()).unwrap();
            (num.parse().unwrap(), [kind, proc_name, fd_name])
        })
        .collect()
}

/// What the frames say, in the order of the capture.
fn framed(source: &Source) -> Vec<(u64, Values)> {
    let columns = ["num", "type", "proc_name", "fd_name"];
    let options = Options {
        wanted: Wanted::default().columns("events", &columns),
        detector: None,
        limit: load::DEFAULT_LIMIT,
        jobs: 1,
        progress: false,
        cache: None,
        clocks: Clocks::default(),
    };
    let (frames, _) = load::frames(std::slice::from_ref(source), &options).unwrap();
    let view = frames.view("events");
    let nums = view.uints("num");
    let texts: Vec<_> = FIELDS.iter().map(|(_, column)| view.texts(column)).collect();
    let values = |row: usize| [0, 1, 2].map(|field: usize| texts[field][row].map(str::to_owned));
    nums.into_iter().enumerate().map(|(row, num)| (num.unwrap(), values(row))).collect()
}

/// What our own fields say.
fn extracted(source: &Source) -> HashMap<u64, Values> {
    let catalogue = Catalogue::new();
    let fields = FIELDS.map(|(name, _)| catalogue.parse("syscall", name).unwrap());
    let mut all = HashMap::new();
    let mut look = |context: &EventContext<'_>| {
        let value = |field| text(&catalogue, context, field).map(|bytes| utf8(&bytes).into_owned());
        all.insert(context.event.num, [value(&fields[0]), value(&fields[1]), value(&fields[2])]);
        ControlFlow::Continue(())
    };
    // A capture that breaks off gives what came before.
    let _ = Replay::new().run(&mut source.open().unwrap(), &mut look);
    all
}

fn counts<'v>(values: impl Iterator<Item = &'v Values>, field: usize) -> BTreeMap<Option<&'v str>, u64> {
    let mut counts = BTreeMap::new();
    for value in values {
        *counts.entry(value[field].as_deref()).or_insert(0) += 1;
    }
    counts
}

/// What is wrong with one capture, and how many values are explained by a difference in fields.
fn compare(capture: &Path, golden: &Path) -> (String, u64, u64) {
    let source = Source::File(capture.to_owned());
    let (goldens, framed, ours) = (goldens(golden), framed(&source), extracted(&source));
    let mut wrong = String::new();
    let name = capture.file_name().unwrap().to_string_lossy();
    // Every event is there once, in its order, and no other.
    let nums: Vec<u64> = framed.iter().map(|(num, _)| *num).collect();
    let mut expected: Vec<u64> = goldens.keys().copied().collect();
    expected.sort_unstable();
    if nums != expected {
        let (missing, surplus) = (
            expected.iter().filter(|num| nums.binary_search(num).is_err()).count(),
            nums.iter().filter(|num| expected.binary_search(num).is_err()).count(),
        );
        writeln!(wrong, "{name}: {missing} events missing, {surplus} too many").unwrap();
    }
    let mut explained = 0;
    for (field, (field_name, _)) in FIELDS.iter().enumerate() {
        // Falco's values, but ours where Falco's field is another than ours for a reason of its own.
        let agreed: Vec<Values> = framed
            .iter()
            .filter_map(|(num, _)| {
                let (theirs, own) = (goldens.get(num)?, ours.get(num)?);
                let differs = theirs[field] != own[field];
                explained += u64::from(differs);
                Some(if differs { own.clone() } else { theirs.clone() })
            })
            .collect();
        let (expected, found) = (counts(agreed.iter(), field), counts(framed.iter().map(|(_, values)| values), field));
        for key in expected.keys().chain(found.keys()) {
            let (expected, found) = (expected.get(key), found.get(key));
            if expected != found {
                writeln!(wrong, "{name}: {field_name} {key:?}: {expected:?} expected, {found:?} found").unwrap();
            }
        }
    }
    (wrong, framed.len() as u64 * 3, explained)
}

fn pairs(root: &Path) -> Vec<(PathBuf, PathBuf)> {
    let mut pairs = Vec::new();
    for group in std::fs::read_dir(root.join("captures")).unwrap() {
        for capture in std::fs::read_dir(group.unwrap().path()).unwrap() {
            let capture = capture.unwrap().path();
            let Some(name) = capture.file_stem() else { continue };
            let golden = root.join("falco-goldens/fields").join(format!("{}.jsonl.zst", name.to_string_lossy()));
            if capture.extension().is_some_and(|ending| ending == "scap") && golden.exists() {
                pairs.push((capture, golden));
            }
        }
    }
    pairs.sort();
    pairs
}

#[test]
fn frames_agree_with_the_field_goldens() {
    let Some(root) = std::env::var_os("CASEBOOK_CORPORA").map(PathBuf::from) else {
        writeln!(std::io::stderr(), "skipped: CASEBOOK_CORPORA is not set").ok(); // past the capture of passing tests
        return;
    };
    let pairs = pairs(&root);
    assert!(!pairs.is_empty(), "no capture with a golden");
    let (mut wrong, mut values, mut explained) = (String::new(), 0, 0);
    for (capture, golden) in &pairs {
        let (complaint, compared, differing) = compare(capture, golden);
        wrong.push_str(&complaint);
        values += compared;
        explained += differing;
    }
    writeln!(
        std::io::stderr(),
        "{} captures, {values} values; {explained} are ours where Falco's field differs (see fields_agree)",
        pairs.len()
    )
    .ok();
    assert!(wrong.is_empty(), "{wrong}");
    // Listed differences are rare: were there many, this would compare us with ourselves.
    assert!(explained * 20 < values, "{explained} of {values} values differ");
}
