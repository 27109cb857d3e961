//! What the user named on the command line, turned into a list of captures.
//!
//! First step of a run: arguments (files, directories, globs, `-`) → [`Input`]s in a fixed order, each a capture to
//! open or a reason why there is none. Nothing is judged here beyond "looks like a capture"; opening and reading is
//! the business of `casebook-formats`.
//!
//! - A file is taken as it is, whatever its name: the user said so.
//! - A directory is walked to all depths (directories behind symbolic links are not entered), and those files are
//!   taken that are named like captures ([`CAPTURE_ENDINGS`]) or, whatever their name, begin like one, and audit logs: named
//!   like one ([`LOG_ENDINGS`], also packed) and with the marks of audit events at the beginning of their content. They come in
//!   the order of their paths. What does not look like a capture is counted, so that the caller can say so.
//! - An argument that names nothing but contains `*`, `?` or `[` is a glob; its matches come in the order of their
//!   paths, and a matching directory is walked.
//! - Checkpoints beside captures are passed over in silence wherever they are not named themselves.
//! - `-` is standard input, once.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use casebook_formats::capture::{CaptureReader, Item};
use casebook_formats::unpack::Unpacked;

use crate::checkpoint::sidecar::ENDING as CHECKPOINTS;

/// Endings by which a file in a directory is taken for a capture (ASCII case does not matter).
pub const CAPTURE_ENDINGS: &[&str] = &[".scap", ".scap.gz", ".scap.zst", ".scap.zstd"];

/// Endings by which a file in a directory may be an audit log; its content has to look like one as well.
pub const LOG_ENDINGS: &[&str] = &[".json", ".jsonl", ".ndjson", ".log"];
/// What compression adds to them.
const PACKED: &[&str] = &[".gz", ".zst", ".zstd"];
/// Bytes of the content of such a file that are looked at.
const LOG_HEAD: u64 = 64 << 10;

/// First bytes of a section header block.
const SECTION_HEADER: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
/// First bytes of a gzip member.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// First bytes of a zstd frame.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Depth below a named directory at which the walk stops; deeper trees are somebody's mistake or a trap.
const MAX_DEPTH: usize = 64;

/// One capture to replay, or the reason why an argument gives none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// A file to open; `-` is standard input.
    Capture(PathBuf),
    /// An argument that leads nowhere, with one sentence that says why.
    Missing {
        /// The argument as given.
        name: String,
        /// Why it gives no capture.
        reason: String,
    },
}

/// The expanded argument list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Expansion {
    /// Captures and failures, in the order of the arguments.
    pub inputs: Vec<Input>,
    /// Files below named directories that do not look like captures.
    pub passed_over: u64,
}

/// Expands all arguments in order.
pub fn expand(arguments: &[PathBuf]) -> Expansion {
    let mut expansion = Expansion::default();
    let mut stdin_taken = false;
    for argument in arguments {
        if argument.as_os_str() == "-" {
            if stdin_taken {
                expansion.missing(argument, "standard input can be read only once");
            } else {
                expansion.inputs.push(Input::Capture(argument.clone()));
            }
            stdin_taken = true;
        } else {
            expansion.argument(argument);
        }
    }
    expansion
}

impl Expansion {
    fn argument(&mut self, argument: &Path) {
        match fs::metadata(argument) {
            Ok(metadata) if metadata.is_dir() => self.directory(argument),
            Ok(_) => self.inputs.push(Input::Capture(argument.to_path_buf())),
            Err(error) => match argument.to_str().filter(|text| text.contains(['*', '?', '['])) {
                Some(pattern) => self.glob(argument, pattern),
                None => self.missing(argument, &describe(&error)),
            },
        }
    }

    fn glob(&mut self, argument: &Path, pattern: &str) {
        let matches = match glob::glob(pattern) {
            Ok(matches) => matches,
            Err(error) => return self.missing(argument, &format!("not a valid pattern: {error}")),
        };
        let mut paths = Vec::new();
        for found in matches {
            match found {
                Ok(path) => paths.push(path),
                Err(error) => self.missing(error.path(), &describe(error.error())),
            }
        }
        if paths.is_empty() {
            return self.missing(argument, "no file matches this pattern");
        }
        paths.sort();
        for path in paths {
            if path.is_dir() {
                self.directory(&path);
            } else if !belongs_to_capture(&path) {
                self.inputs.push(Input::Capture(path));
            }
        }
    }

    fn directory(&mut self, directory: &Path) {
        let mut files = Vec::new();
        let mut failures = Vec::new();
        walk(directory, MAX_DEPTH, &mut files, &mut failures);
        files.sort();
        let before = self.inputs.len();
        for file in files.into_iter().filter(|file| !belongs_to_capture(file)) {
            if looks_like_capture(&file) {
                self.inputs.push(Input::Capture(file));
            } else {
                self.passed_over += 1;
            }
        }
        if self.inputs.len() == before && failures.is_empty() {
            self.missing(directory, "no captures in this directory");
        }
        for (path, reason) in failures {
            self.missing(&path, &reason);
        }
    }

    fn missing(&mut self, argument: &Path, reason: &str) {
        self.inputs.push(Input::Missing { name: argument.display().to_string(), reason: reason.to_owned() });
    }
}

/// Collects the regular files below `directory`; what cannot be listed is a failure of its own.
fn walk(directory: &Path, depth: usize, files: &mut Vec<PathBuf>, failures: &mut Vec<(PathBuf, String)>) {
    if depth == 0 {
        failures.push((directory.to_path_buf(), format!("more than {MAX_DEPTH} directories deep; name it directly")));
        return;
    }
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => return failures.push((directory.to_path_buf(), describe(&error))),
    };
    for entry in entries {
        let (path, kind) = match entry.and_then(|entry| Ok((entry.path(), entry.file_type()?))) {
            Ok(found) => found,
            Err(error) => {
                failures.push((directory.to_path_buf(), describe(&error)));
                continue;
            }
        };
        if kind.is_dir() {
            walk(&path, depth - 1, files, failures);
        } else if kind.is_file() || (kind.is_symlink() && path.is_file()) {
            files.push(path);
        }
    }
}

/// Whether a file found by pattern or in a directory is something that we keep beside a capture.
fn belongs_to_capture(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().strip_suffix(CHECKPOINTS.as_bytes()).is_some_and(|name| name.ends_with(b".zst"))
}

/// Whether a file found in a directory is to be replayed: by its name, else by its first bytes. Compressed files
/// with a foreign name are opened as far as their first block.
fn looks_like_capture(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    if CAPTURE_ENDINGS.iter().any(|ending| name.ends_with(ending)) {
        return true;
    }
    let plain = PACKED.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
    if LOG_ENDINGS.iter().any(|ending| plain.ends_with(ending)) {
        return looks_like_log(path);
    }
    let mut head = [0; 4];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut head));
    if read.is_err() {
        return false;
    }
    head == SECTION_HEADER
        || ((head == ZSTD || head.starts_with(&GZIP))
            && CaptureReader::open(path)
                .is_ok_and(|mut reader| matches!(reader.next_item(), Ok(Some(Item::Section(_))))))
}

/// Whether the content of a file begins as JSON, and soon names what every audit event has.
fn looks_like_log(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = Unpacked::open(path).and_then(|input| input.take(LOG_HEAD).read_to_end(&mut head));
    // A stream that breaks off may have begun well.
    let _ = read;
    let begins = head.iter().find(|byte| !byte.is_ascii_whitespace() && !matches!(byte, 0xEF | 0xBB | 0xBF));
    matches!(begins, Some(b'{' | b'['))
        && ["\"audit.k8s.io/", "\"auditID\""].iter().any(|mark| memchr::memmem::find(&head, mark.as_bytes()).is_some())
}

/// The system's error without the number that nobody looks up.
fn describe(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    // Files of a fresh temporary directory: what fails here is the test's own set-up.
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn names(expansion: &Expansion, root: &Path) -> Vec<String> {
        expansion
            .inputs
            .iter()
            .map(|input| match input {
                Input::Capture(path) => path.strip_prefix(root).unwrap_or(path).display().to_string(),
                Input::Missing { reason, .. } => format!("! {reason}"),
            })
            .collect()
    }

    fn tree() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("b/inner")).unwrap();
        fs::create_dir(root.path().join("empty")).unwrap();
        for (name, bytes) in [
            ("b/2.scap", &b""[..]),
            ("b/10.SCAP.GZ", b"x"),
            ("b/inner/deep.scap.zst", b"x"),
            ("b/plain-without-ending", &SECTION_HEADER),
            ("b/README.md", b"# notes"),
            ("b/short", b"\n"),
            ("b/inner/deep.scap.zst.checkpoints", b"x"),
            ("a.scap", b"x"),
            ("b/audit.jsonl", b"{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\"}"),
            ("b/package.json", b"{\"name\":\"x\"}"),
            ("b/kube-apiserver.log", b"I1122 no json \"auditID\""),
        ] {
            fs::write(root.path().join(name), bytes).unwrap();
        }
        root
    }

    #[test]
    fn directories_give_what_looks_like_a_capture_in_path_order() {
        let root = tree();
        let expansion = expand(&[root.path().to_path_buf()]);
        let expected =
            ["a.scap", "b/10.SCAP.GZ", "b/2.scap", "b/audit.jsonl", "b/inner/deep.scap.zst", "b/plain-without-ending"];
        assert_eq!(names(&expansion, root.path()), expected);
        assert_eq!(expansion.passed_over, 4);
    }

    #[test]
    fn arguments_keep_their_order_and_named_files_are_never_judged() {
        let root = tree();
        let argument = |name: &str| root.path().join(name);
        let expansion = expand(&[argument("b/README.md"), argument("a.scap"), PathBuf::from("-")]);
        assert_eq!(names(&expansion, root.path()), ["b/README.md", "a.scap", "-"]);
    }

    #[test]
    fn globs_match_files_and_walk_directories() {
        let root = tree();
        let expansion = expand(&[root.path().join("b/*.scap"), root.path().join("b/in*")]);
        assert_eq!(names(&expansion, root.path()), ["b/2.scap", "b/inner/deep.scap.zst"]);
    }

    #[test]
    fn a_file_whose_name_is_a_pattern_is_a_file() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("odd[1].scap"), b"x").unwrap();
        let expansion = expand(&[root.path().join("odd[1].scap")]);
        assert_eq!(names(&expansion, root.path()), ["odd[1].scap"]);
    }

    #[test]
    fn what_leads_nowhere_says_why_and_keeps_its_place() {
        let root = tree();
        let argument = |name: &str| root.path().join(name);
        let expansion = expand(&[
            argument("gone.scap"),
            argument("x*"),
            argument("empty"),
            argument("a.scap"),
            "-".into(),
            "-".into(),
        ]);
        assert_eq!(
            names(&expansion, root.path()),
            [
                "! No such file or directory",
                "! no file matches this pattern",
                "! no captures in this directory",
                "a.scap",
                "-",
                "! standard input can be read only once",
            ]
        );
    }
}
