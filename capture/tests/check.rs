//! `casebook-capture check` end to end, over a file tree that stands in for a machine.
#![allow(clippy::unwrap_used)] // a failing test may panic

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use casebook_capture::cli;

/// A machine's tree with everything that recording needs.
fn machine() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "proc/sys/kernel/osrelease", "6.12.1\n");
    write(root.path(), "proc/sys/kernel/unprivileged_bpf_disabled", "2\n");
    write(root.path(), "proc/self/status", "Name:\tx\nCapEff:\t000001ffffffffff\n");
    write(root.path(), "proc/self/limits", "Max locked memory         65536 65536 bytes\n");
    write(root.path(), "proc/self/mountinfo", "41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    write(root.path(), "sys/kernel/btf/vmlinux", "\0bpf_iter_task\0bpf_iter_task_file\0");
    root
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn check(args: &[&str]) -> (ExitCode, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = cli::run(std::iter::once(&"casebook-capture").chain(args), &mut out, &mut err);
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

#[test]
fn a_complete_machine_is_ready() {
    let root = machine();
    let (code, out, err) = check(&["check", "--root", root.path().to_str().unwrap()]);
    assert_eq!(code, ExitCode::SUCCESS);
    assert!(out.contains("This machine can be recorded."), "{out}");
    assert!(out.lines().any(|line| line.starts_with("ok") && line.contains("snapshot")), "{out}");
    assert_eq!(err, "");
}

#[test]
fn a_machine_without_type_information_is_not_ready() {
    let root = machine();
    fs::remove_file(root.path().join("sys/kernel/btf/vmlinux")).unwrap();
    let (code, out, _) = check(&["check", "--json", "--root", root.path().to_str().unwrap()]);
    assert_eq!(code, ExitCode::from(1));
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["ready"], false);
    let btf = report["findings"].as_array().unwrap().iter().find(|finding| finding["name"] == "btf").unwrap();
    assert_eq!(btf["verdict"], "missing");
}

#[test]
fn escape_sequences_in_facts_do_not_reach_the_terminal() {
    let root = machine();
    write(root.path(), "proc/sys/kernel/osrelease", "6.12\u{1b}[31m\n");
    let (_, out, _) = check(&["check", "--root", root.path().to_str().unwrap()]);
    assert!(!out.contains('\u{1b}'), "{out:?}");
}

#[test]
fn wrong_use_is_exit_code_two() {
    let (code, out, err) = check(&["record"]);
    assert_eq!(code, ExitCode::from(2));
    assert_eq!(out, "");
    assert!(err.contains("record"), "{err}");
}

#[test]
fn help_names_the_exit_codes() {
    let (code, out, _) = check(&["check", "--help"]);
    assert_eq!(code, ExitCode::SUCCESS);
    assert!(out.contains("Exit codes"), "{out}");
}
