//! `casebook verify`: is a file what was written? Prints its SHA-256 too, which courts and other tools ask for.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::args::VerifyArgs;
use super::exit::Exit;
use super::say;
use crate::progress::Progress;
use crate::record::hex;
use crate::seekable::verify::{Report, verify};
use crate::terminal::Safe;

/// Counts, hashes and shows what passes.
struct Watched<'r> {
    inner: Box<dyn Read>,
    sha256: &'r mut Sha256,
    progress: Progress,
    bytes: u64,
}

impl Read for Watched<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.sha256.update(&buf[..n]);
        self.bytes += n as u64;
        self.progress.show(self.bytes, 0);
        Ok(n)
    }
}

/// Runs the subcommand.
pub(super) fn run(args: &VerifyArgs, out: &mut (dyn Write + Send), err: &mut (dyn Write + Send)) -> Exit {
    let mut exit = Exit::Complete;
    for path in &args.files {
        let name = path.display().to_string();
        match check(path) {
            Ok((report, sha256)) => {
                let text = if args.json { as_json(&name, &report, &sha256) } else { as_text(&name, &report, &sha256) };
                if let Err(error) = out.write_all(text.as_bytes()) {
                    return Exit::of_output(&error);
                }
                exit = exit.worst(judge(&report));
            }
            Err(error) => {
                say(err, &format!("{name}: {error}"));
                exit = exit.worst(Exit::Unreadable);
            }
        }
    }
    match out.flush() {
        Ok(()) => exit,
        Err(error) => Exit::of_output(&error),
    }
}

fn check(path: &Path) -> io::Result<(Report, String)> {
    let (inner, total): (Box<dyn Read>, _) = if path.as_os_str() == "-" {
        (Box::new(io::stdin()), None)
    } else {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        (Box::new(file), metadata.is_file().then_some(metadata.len()))
    };
    let mut sha256 = Sha256::new();
    let progress = Progress::new(&path.display().to_string(), total, true);
    let report = verify(Watched { inner, sha256: &mut sha256, progress, bytes: 0 })?;
    Ok((report, hex(&sha256.finalize())))
}

fn judge(report: &Report) -> Exit {
    match report {
        Report { is_ours: false, .. } => Exit::Unreadable,
        Report { faults, .. } if faults.is_empty() => Exit::Complete,
        _ => Exit::Faults,
    }
}

fn as_text(name: &str, report: &Report, sha256: &str) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    let name = Safe(name.as_bytes());
    // Writing to a string cannot fail.
    let _ = if !report.is_ours {
        writeln!(text, "{name}: no .scap.zst with frame records: nothing in it to check against")
    } else if report.faults.is_empty() {
        writeln!(text, "{name}: sound: {} frames, sealed, unsigned", report.intact)
    } else {
        writeln!(text, "{name}: NOT SOUND: {} of {} frames intact", report.intact, report.expected)
    };
    for fault in report.faults.iter().filter(|_| report.is_ours) {
        let _ = writeln!(text, "  {:<9}  byte {:>12}  {}", fault.wrong.word(), fault.offset, fault.text);
    }
    if let Some(seal) = &report.seal {
        let _ = writeln!(text, "  root     {}", hex(&seal.root));
    }
    let _ = writeln!(text, "  sha256   {sha256}  ({} bytes)", report.len);
    text
}

fn as_json(name: &str, report: &Report, sha256: &str) -> String {
    let faults = report.faults.iter().filter(|_| report.is_ours).map(
        |fault| json!({"kind": fault.wrong.word(), "frame": fault.frame, "offset": fault.offset, "text": fault.text}),
    );
    let object = json!({
        "file": name,
        "format": if report.is_ours { "scap.zst" } else { "other" },
        "sound": judge(report) == Exit::Complete,
        "intact_frames": report.intact,
        "expected_frames": report.expected,
        "faults": faults.collect::<Vec<_>>(),
        "root": report.seal.as_ref().map(|seal| hex(&seal.root)),
        "sealed": report.seal.is_some(),
        "signed": false,
        "sha256": sha256,
        "bytes": report.len,
    });
    format!("{object}\n")
}
