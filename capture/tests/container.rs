//! A real container: runc in a cgroup as the kubelet would make it, recorded with `--cgroup`. All that happens in it is
//! there, nothing of outside, and the container is described before it acts.
//!
//! Needs root, runc, busybox and cgroup version 2; says plainly when one is missing.
#![allow(clippy::unwrap_used)] // a failing test may panic

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use casebook_formats::capture::{CaptureReader, Item};
use casebook_formats::tables::ppme::{PPME_CONTAINER_JSON_2_E, PPME_SYSCALL_EXECVE_19_X};

const ID: &str = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00";
const BUSYBOX: &str = "/bin/busybox";
const CGROUPS: usize = 14;

fn skip(what: &str) {
    writeln!(std::io::stderr().lock(), "SKIPPED: a real container: {what}").unwrap();
}

/// The mounted cgroup version 2.
fn unified() -> Option<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let line = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
    line.split(' ').nth(4).map(PathBuf::from)
}

/// A folder with one program, and a specification as the kubelet's runtime would write it.
fn bundle(folder: &Path, cgroup: &str, script: &str) -> bool {
    let bin = folder.join("rootfs/bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::fs::copy(BUSYBOX, bin.join("busybox")).unwrap();
    for name in ["sh", "cat", "true", "sleep"] {
        std::os::unix::fs::symlink("busybox", bin.join(name)).unwrap();
    }
    if !Command::new("runc").arg("spec").current_dir(folder).status().is_ok_and(|status| status.success()) {
        return false;
    }
    let path = folder.join("config.json");
    let mut spec: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    spec["process"]["args"] = serde_json::json!(["sh", "-c", script]);
    spec["process"]["terminal"] = serde_json::json!(false);
    spec["linux"]["cgroupsPath"] = serde_json::json!(cgroup);
    spec["annotations"] = serde_json::json!({
        "io.kubernetes.cri.container-type": "container",
        "io.kubernetes.cri.container-name": "web",
        "io.kubernetes.cri.image-name": "example.test/web:1.4.2",
        "io.kubernetes.cri.sandbox-name": "checkout-6d5f",
        "io.kubernetes.cri.sandbox-namespace": "prod",
    });
    std::fs::write(&path, spec.to_string()).unwrap();
    true
}

/// Cgroup folders of the test, in every hierarchy.
struct Cgroup(String);

impl Drop for Cgroup {
    fn drop(&mut self) {
        let roots = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path());
        for root in roots.chain([PathBuf::from("/sys/fs/cgroup")]) {
            let top = root.join(&self.0);
            for folder in ["kubepods/besteffort/pod1", "kubepods/besteffort", "kubepods", ""] {
                // Only empty cgroups can be removed, and only where they were made.
                let _ = std::fs::remove_dir(top.join(folder));
            }
        }
    }
}

#[test]
fn all_of_a_container_and_nothing_else() {
    recorded("--cgroup", None);
}

/// The container appears after the recorder was started.
#[test]
fn a_container_is_found_by_its_id_when_it_appears() {
    recorded("--container", Some(&ID[..12]));
}

/// One recording of one container, told by an option; `value`: absent for the folder of its cgroups.
fn recorded(option: &str, value: Option<&str>) {
    // Containers of one id, one after the other.
    static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let Some(unified) = unified() else { return skip("no cgroup version 2") };
    if !Path::new(BUSYBOX).is_file() || !Command::new("runc").arg("-v").output().is_ok_and(|said| said.status.success())
    {
        return skip("runc or busybox is not installed");
    }
    let folder = tempfile::tempdir().unwrap();
    let top = Cgroup(format!("casebook-test-{}", std::process::id()));
    if std::fs::create_dir(unified.join(&top.0)).is_err() {
        return skip("cgroups cannot be made here");
    }
    let cgroup = format!("/{}/kubepods/besteffort/pod1/{ID}", top.0);
    if !bundle(folder.path(), &cgroup, "sleep 1; cat /bin/true; sleep 0") {
        return skip("runc makes no specification");
    }
    let file = folder.path().join("x.scap.zst");
    let mut recorder = Command::new(env!("CARGO_BIN_EXE_casebook-capture"));
    recorder.arg("record").arg("-w").arg(&file).args([option, value.unwrap_or(&format!("/{}", top.0)), "-M", "60"]);
    let mut recorder = recorder.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // It is at work once it has described what is there.
    let begun = (0..200).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        std::fs::metadata(&file).is_ok_and(|file| file.len() > 0) || recorder.try_wait().unwrap().is_some()
    });
    if recorder.try_wait().unwrap().is_some_and(|status| status.code() == Some(1)) {
        return skip("eBPF is not permitted here");
    }
    if option == "--container" {
        // The folder appears, and the recorder gets the moment that it needs to notice; how long that is on a busy machine
        // is what `capture/README.md` says, and nothing that a test could hold it to.
        std::fs::create_dir_all(unified.join(cgroup.trim_start_matches('/'))).unwrap();
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
    let run =
        Command::new("runc").args(["run", "-b"]).arg(folder.path()).arg(ID).stdin(Stdio::null()).output().unwrap();
    let stopped = Command::new("kill").args(["-TERM", &recorder.id().to_string()]).status().unwrap();
    let said = recorder.wait_with_output().unwrap();
    assert!(begun && stopped.success());
    if !run.status.success() {
        return skip(&format!("runc runs nothing here: {}", String::from_utf8_lossy(&run.stderr).trim()));
    }
    assert_eq!(said.status.code(), Some(0), "{}", String::from_utf8_lossy(&said.stderr));

    let mut reader = CaptureReader::open(&file).unwrap();
    let (mut descriptions, mut programs, mut described_first) = (Vec::new(), Vec::new(), true);
    while let Some(item) = reader.next_item().unwrap() {
        let Item::Event(event) = item else { continue };
        if event.etype == PPME_CONTAINER_JSON_2_E {
            let text = event.text(0).unwrap().to_vec();
            descriptions.push(serde_json::from_slice::<serde_json::Value>(&text).unwrap()["container"].clone());
        }
        if event.etype == PPME_SYSCALL_EXECVE_19_X {
            described_first &= !descriptions.is_empty();
            let cgroups = String::from_utf8_lossy(event.param(CGROUPS).unwrap()).into_owned();
            assert!(cgroups.contains(ID), "nothing of outside: {cgroups}");
            programs.push(String::from_utf8_lossy(event.text(1).unwrap()).into_owned());
        }
    }
    assert!(described_first, "described before it acts");
    assert_eq!(programs.iter().filter(|program| *program == "sh").count(), 1, "{programs:?}");
    assert_eq!(programs.iter().filter(|program| *program == "cat").count(), 1, "{programs:?}");
    assert_eq!(descriptions.len(), 1, "once");
    let container = &descriptions[0];
    assert_eq!(container["id"], ID[..12]);
    assert_eq!(
        [&container["name"], &container["imagerepo"], &container["imagetag"]],
        ["web", "example.test/web", "1.4.2"]
    );
    assert_eq!(container["labels"]["io.kubernetes.pod.name"], "checkout-6d5f");
    assert_eq!(container["labels"]["io.kubernetes.pod.namespace"], "prod");
    assert_eq!(container["privileged"], false);
    assert!(container["Mounts"].as_array().is_some());
}
