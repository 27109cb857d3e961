//! `casebook-replay run` as a user meets it, on the built-in example capture: what it prints ([`alerts`]), which rules are
//! asked ([`rules`]), what goes in and how it ends ([`ends`]).

// What fails in the set-up of a test is a failure of the test.
#![allow(clippy::unwrap_used)]

mod alerts;
mod ends;
#[path = "../program/mod.rs"]
mod program;
mod rules;

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use program::{Outcome, bench, command, run};
use serde_json::Value as Json;
use tempfile::TempDir;

/// Every program start is one alert, every program end another.
const RULES: &str = "\
- macro: started
  condition: (evt.type in (execve, execveat))
- rule: Program started
  desc: every program start
  condition: started
  output: started %proc.name (tid=%thread.tid)
  priority: NOTICE
  tags: [process, start]
- rule: Program started again
  desc: hidden behind the rule before, unless all matches count
  condition: started
  output: again %proc.name
  priority: CRITICAL
  tags: [process]
- rule: Program ended
  desc: every end of a process
  condition: evt.type = procexit
  output: ended %proc.name
  priority: INFO
  tags: [process, end]
- rule: Sleeping
  desc: disabled in the file
  condition: evt.type = procexit
  output: sleeping %proc.name
  priority: DEBUG
  enabled: false
  tags: [sleeping]
";

impl Outcome {
    /// Alert lines in text form: everything before the summary.
    fn alerts(&self) -> Vec<&str> {
        self.out.lines().take_while(|line| !line.starts_with("Events detected: ")).collect()
    }

    fn summary(&self) -> Json {
        self.json().pop().unwrap()["summary"].clone()
    }
}

/// A folder with the rules above and the example capture.
struct Bench {
    root: TempDir,
}

impl Bench {
    fn new() -> Self {
        let root = bench();
        fs::write(root.path().join("rules.yaml"), RULES).unwrap();
        Self { root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    fn command(&self) -> Command {
        command(&self.root)
    }

    fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Outcome {
        let args: Vec<S> = args.into_iter().collect();
        run(&self.root, &args)
    }

    /// With the rules above and the given words.
    fn with_rules(&self, words: &str) -> Outcome {
        self.run(["-r", "rules.yaml"].into_iter().chain(words.split_whitespace()))
    }
}
