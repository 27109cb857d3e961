//! `casebook-replay` for tests that look at it as a user does: as a process in a folder of its own ([`run`]), or within
//! the test ([`within`]), which is faster and cannot be a pipe.

#![allow(dead_code)] // each test file uses its own part

use std::ffi::OsStr;
use std::fs;
use std::io::{Cursor, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use casebook_fixtures::{Container, EXAMPLE, Proc, Trace, Value, flags};
use casebook_formats::tables::ppme;
use casebook_replay::cli::{self, Exit, Terminals};
use serde_json::Value as Json;
use tempfile::TempDir;

/// What a process came to: exit code, data and talk.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Outcome {
    pub(crate) fn lines(&self) -> Vec<&str> {
        self.out.lines().collect()
    }

    /// Each line of the data as JSON.
    pub(crate) fn json(&self) -> Vec<Json> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// A folder with the built-in example as `example.scap`.
pub(crate) fn bench() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("example.scap"), EXAMPLE).unwrap();
    folder
}

/// The built-in example, unpacked.
pub(crate) fn example() -> Vec<u8> {
    let mut raw = Vec::new();
    match EXAMPLE {
        [0x1f, 0x8b, ..] => flate2::read::MultiGzDecoder::new(Cursor::new(EXAMPLE)).read_to_end(&mut raw).unwrap(),
        _ => zstd::stream::read::Decoder::new(EXAMPLE)
            .map_or(0, |mut decoder| decoder.read_to_end(&mut raw).unwrap_or(0)),
    };
    if raw.is_empty() { EXAMPLE.to_vec() } else { raw }
}

/// The tool, about to run in a folder; unless told otherwise, with nothing on standard input.
pub(crate) fn command(folder: &(impl AsRef<Path> + ?Sized)) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_casebook-replay"));
    command.current_dir(folder).stdin(Stdio::null());
    command
}

/// Runs the tool in a folder, with nothing on standard input.
pub(crate) fn run(folder: &(impl AsRef<Path> + ?Sized), args: &[impl AsRef<OsStr>]) -> Outcome {
    run_with(folder, args, Stdio::null())
}

/// Same, with this standard input.
pub(crate) fn run_with(folder: &(impl AsRef<Path> + ?Sized), args: &[impl AsRef<OsStr>], input: Stdio) -> Outcome {
    let output = command(folder).args(args).stdin(input).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Outcome { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// What the tool came to within the test.
pub(crate) struct Answer {
    pub(crate) exit: Exit,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Answer {
    /// The same where the name of a folder is left out wherever it stands.
    pub(crate) fn without(self, folder: &str) -> Self {
        Self { out: self.out.replace(folder, ""), err: self.err.replace(folder, ""), ..self }
    }
}

/// Runs the tool within the test; nobody watches its streams.
pub(crate) fn within(args: &[impl AsRef<str>]) -> Answer {
    let args = std::iter::once("casebook-replay".to_owned()).chain(args.iter().map(|arg| arg.as_ref().to_owned()));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = cli::run_on(args, &mut out, &mut err, Terminals::default());
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Answer { exit, out: text(out), err: text(err) }
}

/// A host on which shells in a pod read what they should not, and whose recorder loses events: some thousand events.
pub(crate) fn losing_host(name: &str, rounds: u64) -> Vec<u8> {
    let mut trace = Trace::new(name);
    let web = Container::docker(&"ab".repeat(32), "web", "nginx", "1").in_pod("shop", "web-0", "6a1d");
    let runtime = trace.process(Proc::new(300, "/usr/bin/runc"));
    trace.container(&web);
    let entered = trace.enter(runtime, &web);
    for n in 0..rounds {
        trace.wait_ms(137 * (n % 17));
        let child = trace.fork(entered);
        trace.execve(child, "/bin/bash", &["bash"]);
        trace.open(child, "/etc/shadow", flags::READ);
        trace.read(child, 77, b"lost");
        trace.exit(child, 0);
        if n % 5 == 0 {
            trace.emit(-1, ppme::PPME_DROP_E, &[("ratio", Value::Int(2))]);
        }
    }
    trace.finish().unwrap()
}
