//! Who may record: a user with two capabilities, told what he does not see; nobody without them. And what the recorder
//! keeps of its rights once it has started.
//!
//! Needs root, to give rights away, and setpriv.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::recorder::{permitted, skip};

const PERFMON: u64 = 1 << 38;
const BPF: u64 = 1 << 39;
const DAC_READ_SEARCH: u64 = 1 << 2;
const SYS_PTRACE: u64 = 1 << 19;

/// The recorder as the user 1000 with some capabilities, from a copy that he may run.
fn as_user(capabilities: &str, folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=1000", "--regid=1000", "--clear-groups"]);
    for set in ["--inh-caps", "--ambient-caps", "--bounding-set"] {
        command.arg(format!("{set}=-all{capabilities}"));
    }
    command.arg(folder.join("recorder")).args(args).current_dir(folder).stdin(Stdio::null());
    command.output().unwrap()
}

/// The mask in what `grep CapEff /proc/PID/status` printed.
fn mask(output: &Output) -> u64 {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap_or_else(|| panic!("{text}"));
    u64::from_str_radix(line.trim(), 16).unwrap()
}

const MY_RECORDER: &str = "grep CapEff /proc/$PPID/status";

#[test]
fn two_capabilities_are_enough_and_one_is_not() {
    let test = "two_capabilities_are_enough_and_one_is_not";
    if !permitted(test) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("recorder");
    std::fs::copy(env!("CARGO_BIN_EXE_casebook-capture"), &copy).unwrap();
    let open = |path: &Path| {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    };
    open(folder.path());
    open(&copy);
    let version = as_user("", folder.path(), &["--version"]);
    if !version.status.success() {
        return skip(&format!(
            "{test}: rights cannot be given away here: {}",
            String::from_utf8_lossy(&version.stderr)
        ));
    }
    let record = ["record", "-w", "x.scap.zst", "--until-exit", "--", "sh", "-c", MY_RECORDER];
    let both = as_user(",+bpf,+perfmon", folder.path(), &record);
    let said = String::from_utf8_lossy(&both.stderr);
    if both.status.code() == Some(1) && said.contains("BPF_PROG_LOAD") {
        return skip(&format!("{test}: this kernel asks for more: {said}"));
    }
    assert_eq!(both.status.code(), Some(0), "{said}");
    assert_eq!(mask(&both), BPF | PERFMON);
    assert!(crate::events(&folder.path().join("x.scap.zst")).iter().any(|event| event.name == "execve"));
    // The whole machine, with processes of others: what he may not read is said.
    let all = as_user(",+bpf,+perfmon", folder.path(), &["record", "-w", "y.scap.zst", "-M", "1", "--proc-snapshot"]);
    let said = String::from_utf8_lossy(&all.stderr);
    assert!(matches!(all.status.code(), Some(0 | 3)), "{said}");
    assert!(said.contains("environments of other users' processes may not be read"), "{said}");
    assert!(said.contains("of other users may not be seen"), "{said}");
    for lacking in ["", ",+bpf", ",+perfmon"] {
        let output = as_user(lacking, folder.path(), &["record", "-w", "z.scap.zst", "-M", "1"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{lacking}: {said}");
        assert!(said.contains("casebook-capture check"), "{said}");
        assert!(!folder.path().join("z.scap.zst").exists(), "{lacking}");
        let check = as_user(lacking, folder.path(), &["check"]);
        assert_eq!(check.status.code(), Some(1), "{lacking}");
    }
}

#[test]
fn root_gives_up_what_it_does_not_need() {
    if !permitted("root_gives_up_what_it_does_not_need") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.scap.zst");
    let output = crate::recorder::record(&file, &[], &["sh", "-c", MY_RECORDER]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let kept = mask(&output);
    // Before 5.8 there were none finer than CAP_SYS_ADMIN; such kernels cannot be recorded.
    assert_eq!(kept & !(BPF | PERFMON | DAC_READ_SEARCH | SYS_PTRACE), 0, "{kept:x}");
}
