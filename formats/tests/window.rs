//! `casebook info` and `dump` of a part: the same from a seekable file and from a plain one.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used)] // a failed step fails the test

mod bytes;
mod tool;

use std::fs;
use std::path::Path;

use casebook_formats::cli::Exit;
use casebook_formats::seekable::SeekableFile;
use serde_json::Value;
use tool::{capture, casebook, path};

/// A plain capture and the same one in frames of 16 KiB; events are a millisecond apart.
fn both(folder: &Path) -> [String; 2] {
    let files = [path(folder, "a.scap"), path(folder, "a.scap.zst")];
    fs::write(&files[0], capture(6000)).unwrap();
    assert_eq!(casebook(&["convert", &files[0], "-o", &files[1], "--frame-kib", "16"]).exit, Exit::Complete);
    files
}

#[test]
fn a_span_of_time_is_the_same_whatever_the_wrapping() {
    let folder = tempfile::tempdir().unwrap();
    let files = both(folder.path());
    let first = SeekableFile::open(Path::new(&files[1])).unwrap().unwrap().frames()[0].earliest;
    let spans: [&[&str]; 4] =
        [&["--from", "+3", "--to", "+3.200"], &["--from", "+5.99"], &["--to", "+0.009"], &["--from", "+100"]];
    for (span, events) in spans.into_iter().zip([201, 10, 10, 0]) {
        let [plain, packed] = files.each_ref().map(|file| {
            let ran = casebook(&[&["info", "--json", file][..], span].concat());
            assert_eq!((ran.exit, ran.err.as_str()), (Exit::Complete, ""), "{span:?}");
            serde_json::from_str::<Value>(ran.text()).unwrap()
        });
        assert_eq!(plain["events"], events, "{span:?}");
        for key in ["events", "event_types", "threads", "earliest_ns", "latest_ns", "sections", "hosts", "stream_bytes"]
        {
            assert_eq!(plain[key], packed[key], "{span:?} {key}");
        }
        assert!(plain["part"].is_null());
        let (read, all) = (packed["part"]["frames_read"].as_u64().unwrap(), packed["part"]["frames"].as_u64().unwrap());
        assert!(read <= 3 && all > 20, "{span:?}: {read} of {all}");
        let [plain, packed] = files.each_ref().map(|file| {
            let ran = casebook(&[&["dump", file][..], span].concat());
            assert_eq!((ran.exit, ran.err.as_str()), (Exit::Complete, ""), "{span:?}");
            ran.out
        });
        assert!(plain == packed, "{span:?}");
        let blocks = plain.split(|&byte| byte == b'\n').filter(|line| line.is_empty()).count();
        assert_eq!(blocks as u64, events + 1, "{span:?}");
    }
    // The same moments by the clock.
    let ns = |after: u64| (first + after * 1_000_000).to_string();
    let named = casebook(&["dump", &files[1], "--from", &ns(3000), "--to", &ns(3200)]);
    assert_eq!(named.out, casebook(&[&["dump", &files[0]][..], spans[0]].concat()).out);
}

#[test]
fn frames_are_shown_by_number() {
    let folder = tempfile::tempdir().unwrap();
    let [plain, packed] = both(folder.path());
    let file = SeekableFile::open(Path::new(&packed)).unwrap().unwrap();
    let frame = &file.frames()[7];
    let ran = casebook(&["dump", "--frames", "7", &packed]);
    let shown = ran.text();
    assert!(shown.starts_with(&format!("{:08x}  ", frame.raw_offset)), "{}", &shown[..80]);
    assert_eq!(shown.matches("block: event").count() as u64, frame.events);
    let ran = casebook(&["info", "--json", "--frames", "7-8", &packed]);
    let facts: Value = serde_json::from_str(ran.text()).unwrap();
    assert_eq!(facts["events"], frame.events + file.frames()[8].events);
    assert_eq!(facts["latest_ns"], file.frames()[8].latest);
    assert!(casebook(&["info", "--frames", "7-8", &packed]).text().contains("2 of "));
    for (file, frames, words) in [(&plain, "0", "no frames to choose from"), (&packed, "900", "has no frame 900")] {
        for command in ["dump", "info"] {
            let ran = casebook(&[command, "--frames", frames, file]);
            assert_eq!(ran.exit, Exit::Unreadable);
            assert!(ran.err.contains(words) && ran.out.is_empty(), "{}", ran.err);
        }
    }
    for wrong in [["--frames", "8-7"], ["--from", "noon"], ["--to", "12"]] {
        assert_eq!(casebook(&["dump", wrong[0], wrong[1], &packed]).exit, Exit::Usage);
    }
}
