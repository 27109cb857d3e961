//! Runs the recorder for the tests, and says plainly where it cannot be run.
#![allow(dead_code, unreachable_pub)] // not every test file needs all of it; each has its own copy

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use casebook_formats::capture::{CaptureReader, Item};
use casebook_formats::seekable::verify;

pub fn recorder() -> Command {
    Command::new(env!("CARGO_BIN_EXE_casebook-capture"))
}

/// Seen also when the test passes: the harness keeps what goes through `println!`.
pub fn say(what: &str) {
    writeln!(std::io::stderr().lock(), "{what}").unwrap();
}

pub fn skip(what: &str) {
    say(&format!("SKIPPED: {what}"));
}

/// May this process record? Said once, plainly, where not.
pub fn permitted(test: &str) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let probe = record(&folder.path().join("probe.scap.zst"), &[], &["true"]);
    if probe.status.code() == Some(1) {
        skip(&format!("{test}: eBPF is not permitted here: {}", String::from_utf8_lossy(&probe.stderr).trim()));
        return false;
    }
    assert_eq!(probe.status.code(), Some(0), "{}", String::from_utf8_lossy(&probe.stderr));
    true
}

/// Records a command to its end.
pub fn record(file: &Path, options: &[&str], command: &[&str]) -> Output {
    let mut recorder = recorder();
    recorder.arg("record").arg("-w").arg(file).args(options).arg("--until-exit").arg("--").args(command);
    recorder.stdin(Stdio::null()).output().unwrap()
}

/// A program that runs beside a test and does not outlive it.
pub struct Beside(pub Option<std::process::Child>);

impl Beside {
    pub fn start(command: &mut Command) -> Self {
        Self(Some(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()))
    }

    pub fn child(&mut self) -> &mut std::process::Child {
        self.0.as_mut().unwrap()
    }

    pub fn id(&self) -> u32 {
        self.0.as_ref().unwrap().id()
    }

    /// Waits for its end.
    pub fn output(mut self) -> Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Asserts that a file is whole and sealed; its events by their record.
pub fn sound(file: &Path) -> u64 {
    let report = verify::verify(std::fs::File::open(file).unwrap()).unwrap();
    assert!(report.faults.is_empty() && report.seal.is_some(), "{}: {:?}", file.display(), report.faults);
    report.records.iter().map(|noted| noted.events).sum()
}

/// Losses of a kind that the frames of a file tell.
pub fn lost(file: &Path, cause: &str) -> u64 {
    let report = verify::verify(std::fs::File::open(file).unwrap()).unwrap();
    let losses = report.records.iter().flat_map(|noted| &noted.losses);
    losses.filter(|loss| loss.cause == cause).map(|loss| loss.count).sum()
}

/// What a reader that has only this file finds in it.
pub struct Alone {
    pub names: Vec<&'static str>,
    /// First and last time, ns.
    pub span: (u64, u64),
    /// Program files of successful execs.
    pub programs: Vec<String>,
    /// Threads that do something before the file tells who they are.
    pub strangers: Vec<(i64, &'static str)>,
}

/// Reads a file, which has to begin with a snapshot, as somebody who has nothing else.
pub fn alone(file: &Path) -> Alone {
    use std::collections::BTreeSet;
    let mut reader = CaptureReader::open(file).unwrap();
    let mut known: BTreeSet<i64> = BTreeSet::new();
    let (mut machine, mut users, mut threads) = (false, false, false);
    let mut found = Alone { names: Vec::new(), span: (u64::MAX, 0), programs: Vec::new(), strangers: Vec::new() };
    while let Some(item) = reader.next_item().unwrap() {
        match item {
            Item::Machine(_) => machine = true,
            Item::Users(_) => users = true,
            Item::Threads(list) => {
                threads = true;
                known.extend(list.iter().map(|thread| thread.tid));
            }
            Item::Event(event) => {
                assert!(machine && users && threads, "{}: a snapshot stands before the events", file.display());
                let name = event.name();
                found.names.push(name);
                found.span = (found.span.0.min(event.ts), found.span.1.max(event.ts));
                if name == "container" {
                    continue;
                }
                // A parent tells of its child by the result, a child of itself.
                if matches!(name, "clone" | "clone3" | "fork" | "vfork" | "execve" | "execveat") {
                    known.insert(event.tid);
                    known.extend(event.i64(0).filter(|&child| child > 0));
                    if name.starts_with("execve") && event.i64(0) == Some(0) {
                        found.programs.push(String::from_utf8_lossy(event.text(27).unwrap_or_default()).into_owned());
                    }
                }
                if !known.contains(&event.tid) {
                    found.strangers.push((event.tid, name));
                }
            }
            _ => {}
        }
    }
    assert_eq!(reader.ledger().findings().count(), 0, "the reader finds nothing to complain about");
    found
}
