//! `casebook seal` and `verify --key`, alone and against the public `minisign` program.

#![cfg(all(feature = "cli", unix))]
#![allow(clippy::unwrap_used)] // a failed step fails the test

mod tool;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use casebook_formats::cli::Exit;
use serde_json::Value;
use tool::{capture, casebook, path};

/// A folder with a capture in two forms, a key without password and one with.
fn desk() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| path(folder.path(), name);
    fs::write(at("a.scap"), capture(2000)).unwrap();
    fs::write(at("password"), "correct horse\n").unwrap();
    let run = |args: &[&str]| assert_eq!(casebook(args).exit, Exit::Complete, "{args:?}");
    run(&["convert", &at("a.scap"), "-o", &at("a.zst"), "--frame-kib", "16"]);
    run(&["seal", "--new-key", &at("open"), "--no-password"]);
    run(&["seal", "--new-key", &at("safe.key"), "--password-file", &at("password")]);
    folder
}

#[test]
fn seals_are_made_and_checked() {
    let folder = desk();
    let at = |name: &str| path(folder.path(), name);
    for key in ["open", "safe"] {
        let secret = fs::metadata(at(&format!("{key}.key"))).unwrap();
        assert_eq!(secret.permissions().mode() & 0o777, 0o600);
    }
    let before = fs::read(at("a.zst")).unwrap();
    let sealed = casebook(&["seal", "--key", &at("open.key"), "-c", "case 7", &at("a.zst"), &at("a.scap")]);
    assert_eq!((sealed.exit, sealed.text().lines().count()), (Exit::Complete, 2), "{sealed:?}");
    assert_eq!(fs::read(at("a.zst")).unwrap(), before, "evidence stays as it is");
    let checked = casebook(&["verify", "--json", "--key", &at("open.pub"), &at("a.zst")]);
    assert_eq!((checked.exit, &checked.json()["signed"]), (Exit::Complete, &Value::from(true)));
    let comment = checked.json()["signature"]["comment"].as_str().unwrap().to_owned();
    assert!(comment.starts_with("case 7\tsha256:") && comment.ends_with(checked.json()["sha256"].as_str().unwrap()));
    // The key itself instead of its file; a capture of another kind; a pipe is read like a file.
    let key = fs::read_to_string(at("open.pub")).unwrap().lines().nth(1).unwrap().to_owned();
    assert_eq!(casebook(&["verify", "--key", &key, &at("a.scap")]).exit, Exit::Complete);
    // A key that was not there when it was signed, a changed file, no signature, a signature of something else.
    let word = |args: &[&str]| {
        let ran = casebook(&[&["verify", "--json"][..], args].concat());
        assert_eq!(ran.exit, Exit::Faults, "{args:?}");
        ran.json()["faults"].as_array().unwrap().last().unwrap()["kind"].as_str().unwrap().to_owned()
    };
    assert_eq!(word(&["--key", &at("safe.pub"), &at("a.zst")]), "foreign-signature");
    assert_eq!(word(&["--key", &key, "--signature", &at("a.scap.minisig"), &at("a.zst")]), "bad-signature");
    assert_eq!(word(&["--key", &key, "--signature", &at("password"), &at("a.zst")]), "bad-signature");
    let mut changed = before.clone();
    changed[100] ^= 1;
    fs::write(at("a.zst"), changed).unwrap();
    assert_eq!(word(&["--key", &key, &at("a.zst")]), "bad-signature");
    fs::remove_file(at("a.zst.minisig")).unwrap();
    assert_eq!(word(&["--key", &key, &at("a.zst")]), "unsigned");
    // Damaged evidence can be signed as it is, and that is said.
    let sealed = casebook(&["seal", "--key", &at("open.key"), &at("a.zst")]);
    assert_eq!(sealed.exit, Exit::Incomplete);
    assert!(sealed.err.contains("not sound"), "{}", sealed.err);
}

#[test]
fn what_cannot_be_sealed_is_said() {
    let folder = desk();
    let at = |name: &str| path(folder.path(), name);
    let sealed = |args: &[&str]| casebook(&[&["seal"], args].concat());
    assert_eq!(
        sealed(&["--key", &at("safe.key"), "--password-file", &at("a.scap"), &at("a.zst")]).exit,
        Exit::Unreadable
    );
    fs::write(at("wrong"), "battery staple\n").unwrap();
    let ran = sealed(&["--key", &at("safe.key"), "--password-file", &at("wrong"), &at("a.zst")]);
    assert!(ran.exit == Exit::Unreadable && ran.err.contains("wrong password"), "{}", ran.err);
    assert_eq!(
        sealed(&["--key", &at("safe.key"), "--password-file", &at("password"), &at("a.zst")]).exit,
        Exit::Complete
    );
    // Nothing is replaced unasked.
    let again = ["--key", &at("open.key"), &at("a.zst")];
    assert_eq!(sealed(&again).exit, Exit::Output);
    assert_eq!(sealed(&[&again[..], &["--force"]].concat()).exit, Exit::Complete);
    assert_eq!(sealed(&["--new-key", &at("open"), "--no-password"]).exit, Exit::Output);
    for (key, file) in [("a.scap", "a.zst"), ("missing", "a.zst"), ("open.pub", "a.zst"), ("open.key", "missing")] {
        assert_eq!(sealed(&["--key", &at(key), &at(file)]).exit, Exit::Unreadable, "{key} {file}");
    }
    assert_eq!(sealed(&["--key", &at("open.key"), "-"]).exit, Exit::Usage);
    assert_eq!(sealed(&[]).exit, Exit::Usage);
    assert_eq!(casebook(&["verify", "--key", "RWnonsense", &at("a.zst")]).exit, Exit::Usage);
}

/// Runs the public program; `None` where it is not installed.
fn minisign(folder: &Path, args: &[&str], input: &str) -> Option<(bool, String)> {
    let mut command = Command::new("minisign");
    command.current_dir(folder).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        // Past the capture of passing tests.
        writeln!(std::io::stderr(), "skipped: no minisign program (.ci/install brings it)").ok();
        return None;
    };
    // It may end before it has read anything.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Some((output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned()))
}

#[test]
fn minisign_verifies_what_we_seal() {
    let folder = desk();
    let at = |name: &str| path(folder.path(), name);
    casebook(&["seal", "--key", &at("open.key"), "--comment", "case 7", &at("a.zst")]);
    let Some((good, said)) = minisign(folder.path(), &["-Vm", "a.zst", "-p", "open.pub"], "") else { return };
    assert!(good && said.contains("Trusted comment: case 7\tsha256:"), "{said}");
    let mut changed = fs::read(at("a.zst")).unwrap();
    changed[100] ^= 1;
    fs::write(at("a.zst"), changed).unwrap();
    assert_eq!(minisign(folder.path(), &["-Vm", "a.zst", "-p", "open.pub"], "").map(|ran| ran.0), Some(false));
}

#[test]
fn minisign_signs_with_our_keys_and_we_with_its() {
    let folder = desk();
    let at = |name: &str| path(folder.path(), name);
    let verified = |key: &str, file: &str| casebook(&["verify", "--key", &at(key), &at(file)]).exit;
    // Its signatures, by our keys, of both kinds.
    for (key, input) in [("open", ""), ("safe", "correct horse\n")] {
        for kind in ["-S", "-Sl"] {
            let secret = format!("{key}.key");
            let Some((good, said)) = minisign(folder.path(), &[kind, "-m", "a.scap", "-s", &secret], input) else {
                return;
            };
            assert!(good, "{said}");
            assert_eq!(verified(&format!("{key}.pub"), "a.scap"), Exit::Complete, "{key} {kind}");
        }
    }
    // Our signatures, by its key. One without password: its way to passwords takes 1 GiB.
    assert!(minisign(folder.path(), &["-GW", "-p", "its.pub", "-s", "its.key"], "").unwrap().0);
    assert_eq!(casebook(&["seal", "--key", &at("its.key"), &at("a.zst")]).exit, Exit::Complete);
    assert!(minisign(folder.path(), &["-Vm", "a.zst", "-p", "its.pub"], "").unwrap().0);
    assert_eq!(verified("its.pub", "a.zst"), Exit::Complete);
    assert_eq!(verified("open.pub", "a.zst"), Exit::Faults);
}
