//! `casebook verify`: is a file what was written, and by whom? Prints its SHA-256 too, which courts and other tools ask for.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::args::VerifyArgs;
use super::custody;
use super::exit::Exit;
use super::say;
use crate::progress::Progress;
use crate::record::hex;
use crate::seekable::verify::{Fault, Report, State, Wrong, verify_watched};
use crate::signature::{self, PublicKey, Signature, Verdict};
use crate::source;
use crate::terminal::Safe;

/// Longest file whose signature of the old kind is checked: it is over the bytes, so all of them have to be held.
const MAX_LEGACY: u64 = 256 << 20;

/// Shows what passes.
struct Watched {
    inner: Box<dyn Read + Send>,
    progress: Progress,
    bytes: u64,
}

impl Read for Watched {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.bytes += n as u64;
        self.progress.show_bytes(self.bytes);
        Ok(n)
    }
}

/// What is known of one file.
pub(super) struct Checked {
    pub(super) report: Report,
    pub(super) sha256: [u8; 32],
    signed: Signed,
}

/// What is known of its signature.
enum Signed {
    No,
    /// A signature file is there; without a key nothing can be said.
    Unchecked(PathBuf),
    /// By this key, with this trusted comment.
    By(String, String),
    /// By nobody that was asked for; the report's faults say more.
    Wrong,
}

/// Runs the subcommand.
pub(super) fn run(args: &VerifyArgs, out: &mut (dyn Write + Send), err: &mut (dyn Write + Send)) -> Exit {
    let key = match args.key.as_deref().map(public_key).transpose() {
        Ok(key) => key,
        Err(error) => {
            say(err, &format!("--key: {error}"));
            return Exit::Usage;
        }
    };
    if args.signature.is_some() && args.files.len() > 1 {
        say(err, "--signature is for one file");
        return Exit::Usage;
    }
    let mut exit = Exit::Complete;
    for path in &args.files {
        let name = path.display().to_string();
        match check(path, args.signature.as_deref(), key.as_ref()) {
            Ok(checked) => {
                let text = if args.json { checked.as_json(&name) } else { checked.as_text(&name) };
                if let Err(error) = out.write_all(text.as_bytes()) {
                    return Exit::of_output(&error);
                }
                exit = exit.worst(checked.judge());
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

/// A public key as base64, or a file that holds one.
fn public_key(text: &str) -> io::Result<PublicKey> {
    PublicKey::parse(text).or_else(|_| PublicKey::parse(&small_file(Path::new(text))?).map_err(io::Error::other))
}

/// A key or signature file; nothing longer is read.
pub(super) fn small_file(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(signature::MAX_FILE).read_to_string(&mut text)?;
    Ok(text)
}

/// Where the signature of a file stands unless somebody says otherwise: beside it, as minisign has it.
pub(super) fn signature_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(minisign::SIG_SUFFIX);
    name.into()
}

/// Checks one file; with a key also its signature.
pub(super) fn check(path: &Path, signature: Option<&Path>, key: Option<&PublicKey>) -> io::Result<Checked> {
    let (inner, total) = source::open(path)?;
    let progress = Progress::new(&path.display().to_string(), total, true);
    let (mut sha256, mut blake2) = (Sha256::new(), signature::Hasher::new());
    let report = verify_watched(Watched { inner, progress, bytes: 0 }, |bytes| {
        rayon::join(
            || sha256.update(bytes),
            || {
                if key.is_some() {
                    blake2.update(bytes);
                }
            },
        );
    })?;
    let mut checked = Checked { report, sha256: sha256.finalize().into(), signed: Signed::No };
    let is_pipe = path.as_os_str() == "-";
    let beside = signature.map(Path::to_owned).or_else(|| (!is_pipe).then(|| signature_path(path)));
    let text = match &beside {
        Some(beside) => match small_file(beside) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && signature.is_none() => None,
            text => Some(text?),
        },
        None => None,
    };
    match (key, text, beside) {
        (None, Some(_), Some(beside)) => checked.signed = Signed::Unchecked(beside),
        (Some(key), Some(text), _) => {
            let verdict = Signature::parse(&text).map(|signature| {
                if signature.is_legacy() {
                    return legacy(path, key, &signature);
                }
                Ok(signature.check(key, blake2))
            });
            checked.signature(key, verdict.transpose()?);
        }
        (Some(key), None, _) => {
            checked.fault(Wrong::Unsigned, format!("no signature is there to check with key {}", key.id()));
        }
        (None, ..) => {}
    }
    Ok(checked)
}

fn legacy(path: &Path, key: &PublicKey, signature: &Signature) -> io::Result<Verdict> {
    if path.as_os_str() == "-" || fs::metadata(path)?.len() > MAX_LEGACY {
        return Err(io::Error::other(format!(
            "its signature is of the old kind, which is checked for files of up to {} MiB, and not on a pipe",
            MAX_LEGACY >> 20
        )));
    }
    Ok(signature.check_legacy(key, &fs::read(path)?))
}

impl Checked {
    fn fault(&mut self, wrong: Wrong, text: String) {
        self.signed = Signed::Wrong;
        self.report.faults.push(Fault { wrong, frame: None, offset: self.report.len, text });
    }

    fn signature(&mut self, key: &PublicKey, verdict: Option<Verdict>) {
        let id = key.id();
        match verdict {
            Some(Verdict::Good(comment)) => self.signed = Signed::By(id, comment),
            Some(Verdict::Foreign(other)) => {
                self.fault(Wrong::ForeignSignature, format!("signed by key {other}, not by key {id}"));
            }
            Some(Verdict::Bad) => self.fault(
                Wrong::BadSignature,
                format!("the signature names key {id} and does not fit: the file or the signature was changed"),
            ),
            None => self.fault(Wrong::BadSignature, "the signature file is none of minisign, or is damaged".to_owned()),
        }
    }

    /// Faults that count: of a file of another kind only its signature can be wrong.
    fn faults(&self) -> impl Iterator<Item = &Fault> {
        let of_signature = [Wrong::BadSignature, Wrong::ForeignSignature, Wrong::Unsigned];
        self.report.faults.iter().filter(move |fault| self.report.is_ours || of_signature.contains(&fault.wrong))
    }

    fn judge(&self) -> Exit {
        let is_signed = matches!(self.signed, Signed::By(..));
        match self.report.state() {
            _ if self.faults().next().is_none() && (self.report.is_ours || is_signed) => Exit::Complete,
            _ if self.faults().next().is_none() => Exit::Unreadable,
            State::Truncated => Exit::Incomplete,
            _ => Exit::Faults,
        }
    }

    fn headline(&self) -> String {
        let report = &self.report;
        let signed = match &self.signed {
            Signed::By(id, _) => format!("signed by key {id}"),
            Signed::Unchecked(_) => "signature not checked".to_owned(),
            Signed::No | Signed::Wrong => "unsigned".to_owned(),
        };
        let frames = |count: u64| if count == 1 { "1 frame".to_owned() } else { format!("{count} frames") };
        match (report.is_ours, self.judge()) {
            (false, Exit::Complete) => format!("no .scap.zst with frame records, and {signed}: unchanged since"),
            (false, Exit::Faults) => {
                "NOT SOUND: no .scap.zst with frame records, and without a good signature".to_owned()
            }
            (false, _)
                if report
                    .faults
                    .iter()
                    .any(|fault| fault.wrong == Wrong::Truncated && fault.text.contains("cut off")) =>
            {
                "cut off before its first frame record, if it is a .scap.zst: nothing in it to check against".to_owned()
            }
            (false, _) => "no .scap.zst with frame records: nothing in it to check against".to_owned(),
            (true, Exit::Complete) => format!("sound: {}, sealed, {signed}", frames(report.intact)),
            (true, Exit::Incomplete) => format!(
                "TRUNCATED, not broken: {} intact, the end is missing (as when a recorder was killed)",
                frames(report.intact)
            ),
            (true, _) => format!("NOT SOUND: {} of {} intact", report.intact, frames(report.expected)),
        }
    }

    fn as_text(&self, name: &str) -> String {
        use std::fmt::Write as _;
        let mut text = format!("{}: {}\n", Safe(name.as_bytes()), self.headline());
        // Writing to a string cannot fail.
        for fault in self.faults() {
            let _ = writeln!(text, "  {:<9}  byte {:>12}  {}", fault.wrong.word(), fault.offset, fault.text);
        }
        match &self.signed {
            Signed::By(_, comment) => {
                let _ = writeln!(text, "  comment  {}  (trusted: signed with the file)", Safe(comment.as_bytes()));
            }
            Signed::Unchecked(path) => {
                let path = path.display().to_string();
                let _ = writeln!(text, "  signature {} is there; --key checks it", Safe(path.as_bytes()));
            }
            Signed::No | Signed::Wrong => {}
        }
        let entries = self.report.custody.iter().map(|(custody, _)| &custody.entry);
        text.push_str(&custody::lines(entries, "  custody  "));
        if let Some(seal) = &self.report.seal {
            let _ = writeln!(text, "  root     {}", hex(&seal.root));
        }
        let _ = writeln!(text, "  sha256   {}  ({} bytes)", hex(&self.sha256), self.report.len);
        text
    }

    fn as_json(&self, name: &str) -> String {
        let report = &self.report;
        let faults = self.faults().map(
            |fault| json!({"kind": fault.wrong.word(), "frame": fault.frame, "offset": fault.offset, "text": fault.text}),
        );
        let state = match (report.is_ours, self.judge()) {
            (_, Exit::Complete) => "sound",
            (_, Exit::Incomplete) => "truncated",
            (_, Exit::Faults) => "broken",
            _ => "unknown",
        };
        let signature = match &self.signed {
            Signed::No => Value::Null,
            Signed::Unchecked(_) => json!({"checked": false}),
            Signed::By(key, comment) => json!({"checked": true, "good": true, "key": key, "comment": comment}),
            Signed::Wrong => json!({"checked": true, "good": false}),
        };
        let object = json!({
            "file": name,
            "format": if report.is_ours { "scap.zst" } else { "other" },
            "state": state,
            "sound": self.judge() == Exit::Complete,
            "intact_frames": report.intact,
            "expected_frames": report.expected,
            "faults": faults.collect::<Vec<_>>(),
            "root": report.seal.as_ref().map(|seal| hex(&seal.root)),
            "sealed": report.seal.is_some(),
            "signed": matches!(self.signed, Signed::By(..)),
            "signature": signature,
            "custody": report.custody.iter().map(|(custody, _)| custody::as_json(&custody.entry)).collect::<Vec<_>>(),
            "sha256": hex(&self.sha256),
            "bytes": report.len,
        });
        format!("{object}\n")
    }
}
