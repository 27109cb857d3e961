//! Metrics of a capture that is replayed in parts: the same file as in one go, losses and their times included.
#![allow(clippy::unwrap_used)] // files of a temporary folder, and captures made here

mod program;

use std::fs::{self, File};
use std::io::Write;

use casebook_formats::seekable::{Options, SeekableWriter};
use casebook_replay::cli::Exit;
use program::{losing_host, within};

#[test]
fn parts_make_no_difference() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let capture_path = path("framed.scap.zst");
    let options = Options { frame_bytes: 8192, level: 1 };
    let mut writer = SeekableWriter::new(File::create(&capture_path).unwrap(), options).unwrap();
    writer.write_all(&losing_host("node-1", 200)).unwrap();
    writer.finish().unwrap();
    let run = |args: &[&str]| {
        let answer = within(args);
        assert_eq!(answer.exit, Exit::Complete, "{}", answer.err);
        answer.err
    };
    let said = run(&["index", &capture_path]);
    assert!(!said.contains("0 checkpoints"), "{said}");
    let measured = |jobs: &str, window: &[&str]| {
        let file = path("m.om");
        let args = ["-q", jobs, "--metrics", &file, "--metrics-step", "1", "--metrics-names", "all"];
        run(&[&args[..], window, &[&capture_path]].concat());
        fs::read_to_string(file).unwrap()
    };
    for window in [&[][..], &["--from", "+60s"], &["--from", "+20s", "--to", "+90s"]] {
        let whole = measured("-j1", window);
        assert!(whole.contains("counter=\"unknown_fds\"") && whole.contains("counter=\"kernel_drops\""), "{window:?}");
        for jobs in ["-j2", "-j3", "-j7"] {
            assert_eq!(measured(jobs, window), whole, "{jobs} {window:?}");
        }
    }
}
