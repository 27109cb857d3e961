//! `zstd -dc x.scap.zst` is the capture, byte for byte: for every capture of a corpus, by the zstd program itself where
//! there is one, and by the zstd library otherwise. Needs `CASEBOOK_CORPORA`.

#![allow(clippy::unwrap_used)] // a failing test may panic

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use casebook_formats::cli::{Exit, run_to};

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "scap") {
            found.push(path);
        }
    }
}

/// The bytes of a capture without its gzip wrapping.
fn unwrapped(path: &Path) -> Vec<u8> {
    let mut packed = Vec::new();
    File::open(path).unwrap().read_to_end(&mut packed).unwrap();
    if !packed.starts_with(&[0x1F, 0x8B]) {
        return packed;
    }
    let mut bytes = Vec::new();
    flate2::read::MultiGzDecoder::new(&packed[..]).read_to_end(&mut bytes).unwrap();
    bytes
}

fn has_zstd() -> bool {
    Command::new("zstd").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn unpacked(path: &Path, by_program: bool) -> Vec<u8> {
    if by_program {
        let output = Command::new("zstd").args(["-dc", "--"]).arg(path).output().unwrap();
        assert!(output.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
        return output.stdout;
    }
    zstd::stream::decode_all(File::open(path).unwrap()).unwrap()
}

#[test]
fn a_converted_capture_unpacks_to_the_original() {
    // Past the capture of passing tests: whoever reads the log should know what was not tested.
    let say = |line: &str| writeln!(std::io::stderr(), "{line}").unwrap();
    let Some(root) = std::env::var_os("CASEBOOK_CORPORA").filter(|root| !root.is_empty()) else {
        return say("skipped: CASEBOOK_CORPORA is not set");
    };
    let by_program = has_zstd();
    if !by_program {
        say("no zstd on the path: unpacked by the library instead");
    }
    let folder = tempfile::tempdir().unwrap();
    let packed = folder.path().join("x.scap.zst");
    let mut captures = Vec::new();
    files(&Path::new(&root).join("captures"), &mut captures);
    assert!(!captures.is_empty(), "no captures below {}", Path::new(&root).display());
    for capture in &captures {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        // Small frames, so that there are several of them in nearly every capture.
        let args = ["casebook", "convert", "--force", "--frame-kib", "64", "-o"].map(std::ffi::OsString::from);
        let args = args.into_iter().chain([packed.clone().into(), capture.clone().into()]);
        assert_eq!(run_to(args, &mut out, &mut err), Exit::Complete, "{}", String::from_utf8_lossy(&err));
        assert!(unpacked(&packed, by_program) == unwrapped(capture), "{} differs", capture.display());
    }
    say(&format!("{} captures unpack to their originals", captures.len()));
}

#[test]
fn a_named_pipe_is_written_to_and_stays_one() {
    use std::os::unix::fs::FileTypeExt as _;

    let folder = tempfile::tempdir().unwrap();
    let (pipe, capture) = (folder.path().join("pipe"), folder.path().join("x.scap"));
    let mut writer = casebook_formats::write::CaptureWriter::new(Vec::new());
    writer.section().unwrap();
    let bytes = writer.into_inner().unwrap();
    fs::write(&capture, &bytes).unwrap();
    if !Command::new("mkfifo").arg(&pipe).status().is_ok_and(|status| status.success()) {
        return writeln!(std::io::stderr(), "skipped: no mkfifo on the path").unwrap();
    }
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read(pipe).unwrap()
    });
    let args = ["casebook", "convert", "--force", "--to", "scap", "-o"].map(std::ffi::OsString::from);
    let args = args.into_iter().chain([pipe.clone().into(), capture.into()]);
    assert_eq!(run_to(args, &mut Vec::new(), &mut Vec::new()), Exit::Complete);
    assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
    assert_eq!(reader.join().unwrap(), bytes);
}
