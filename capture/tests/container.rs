//! Real containers: runc in cgroups as the kubelet would make them, recorded with `--cgroup` and `--container`. All that
//! happens in them is there from their first program on, nothing of outside, and a container is described before it acts.
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
fn bundle(folder: &Path, cgroup: &str, name: &str, script: &str) -> bool {
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
        "io.kubernetes.cri.container-name": name,
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
            // Only empty cgroups can be removed, and only where they were made.
            let pod = top.join("kubepods/besteffort/pod1");
            for left in std::fs::read_dir(&pod).into_iter().flatten().flatten() {
                let _ = std::fs::remove_dir(left.path());
            }
            for folder in [pod.as_path(), &top.join("kubepods/besteffort"), &top.join("kubepods"), &top] {
                let _ = std::fs::remove_dir(folder);
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

/// Containers are one after the other: they share their ids.
static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Cgroups for a test's containers; `None` where there can be none, which is said.
fn prepared() -> Option<(PathBuf, Cgroup)> {
    let Some(unified) = unified() else {
        skip("no cgroup version 2");
        return None;
    };
    if !Path::new(BUSYBOX).is_file() || !Command::new("runc").arg("-v").output().is_ok_and(|said| said.status.success())
    {
        skip("runc or busybox is not installed");
        return None;
    }
    let top = Cgroup(format!("casebook-test-{}", std::process::id()));
    if std::fs::create_dir(unified.join(&top.0)).is_err() {
        skip("cgroups cannot be made here");
        return None;
    }
    Some((unified, top))
}

/// A recorder that is at work: it has described what is there.
fn recorder(file: &Path, options: &[&str]) -> Option<std::process::Child> {
    let mut recorder = Command::new(env!("CARGO_BIN_EXE_casebook-capture"));
    recorder.arg("record").arg("-w").arg(file).args(options).args(["-M", "120"]);
    let mut recorder = recorder.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = (0..200).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        std::fs::metadata(file).is_ok_and(|file| file.len() > 0) || recorder.try_wait().unwrap().is_some()
    });
    if recorder.try_wait().unwrap().is_some_and(|status| status.code() == Some(1)) {
        skip("eBPF is not permitted here");
        return None;
    }
    assert!(begun);
    Some(recorder)
}

/// Ends a recording that lost nothing.
fn end(recorder: std::process::Child) {
    let stopped = Command::new("kill").args(["-TERM", &recorder.id().to_string()]).status().unwrap();
    let said = recorder.wait_with_output().unwrap();
    assert!(stopped.success());
    assert_eq!(said.status.code(), Some(0), "{}", String::from_utf8_lossy(&said.stderr));
}

/// Runs a container to its end; what hinders that is said.
fn run(folder: &Path, id: &str) -> bool {
    let run = Command::new("runc").args(["run", "-b"]).arg(folder).arg(id).stdin(Stdio::null()).output().unwrap();
    if !run.status.success() {
        skip(&format!("runc runs nothing here: {}", String::from_utf8_lossy(&run.stderr).trim()));
    }
    run.status.success()
}

/// A machine that is busy while it lives.
struct Busy(Vec<std::process::Child>);

impl Busy {
    fn new() -> Self {
        let spin = || Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        Self((0..3).map(|_| spin()).collect())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Containers that each do one short thing and are gone, on a busy machine: what every single one began with is there.
/// `others`: containers with another name in between, of which nothing may be there.
fn first_programs(option: &str, script: &str, others: bool) {
    const CONTAINERS: usize = 20;
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let Some((_unified, top)) = prepared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.scap.zst");
    let id = |n: usize| format!("{}{n:04x}", &ID[..60]);
    let cgroup = |id: &str| format!("/{}/kubepods/besteffort/pod1/{id}", top.0);
    let Some(recorder) = recorder(&file, &["--container", option]) else { return };
    let busy = Busy::new();
    for n in 0..CONTAINERS {
        for (name, word, n) in [("web", "seen", n), ("db", "unseen", n + 100)] {
            if name == "db" && !others {
                continue;
            }
            let folder = folder.path().join(n.to_string());
            if !bundle(&folder, &cgroup(&id(n)), name, &format!(": {word} {n}; {script}")) || !run(&folder, &id(n)) {
                return end(recorder);
            }
        }
    }
    drop(busy);
    end(recorder);
    let mut reader = CaptureReader::open(&file).unwrap();
    let (mut began, mut last) = (Vec::new(), 0);
    // Threads, and what they were known by when they first did something.
    let mut known = std::collections::BTreeSet::new();
    while let Some(item) = reader.next_item().unwrap() {
        let Item::Event(event) = item else { continue };
        assert!(event.ts >= last, "in order");
        last = event.ts;
        let name = event.name();
        if event.tid > 0 {
            let tells = matches!(name, "clone" | "clone3" | "vfork" | "fork" | "execve" | "execveat");
            assert!(known.contains(&event.tid) || tells, "{name} of {} before anything tells who it is", event.tid);
            known.insert(event.tid);
        }
        if event.etype == PPME_SYSCALL_EXECVE_19_X && event.text(1).unwrap_or_default() == b"sh" {
            let args = String::from_utf8_lossy(event.param(2).unwrap()).replace('\0', " ");
            assert!(!args.contains("unseen"), "{args}");
            began.push(args);
        }
    }
    assert_eq!(began.len(), CONTAINERS, "{began:?}");
    for n in 0..CONTAINERS {
        assert!(began.iter().any(|args| args.contains(&format!("seen {n};"))), "{n} is not in {began:?}");
    }
}

#[test]
fn the_first_program_of_every_container_is_there_by_id() {
    first_programs(&ID[..12], "true", false);
}

/// What runc writes is there for as long as the container runs.
#[test]
fn the_first_program_of_every_container_is_there_by_name() {
    first_programs("web", "sleep 0.3", true);
}

/// One recording of one container, told by an option; `value`: absent for the folder of its cgroups.
fn recorded(option: &str, value: Option<&str>) {
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let Some((_unified, top)) = prepared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let cgroup = format!("/{}/kubepods/besteffort/pod1/{ID}", top.0);
    if !bundle(folder.path(), &cgroup, "web", "sleep 1; cat /bin/true; sleep 0") {
        return skip("runc makes no specification");
    }
    let file = folder.path().join("x.scap.zst");
    let folders = format!("/{}", top.0);
    let Some(recorder) = recorder(&file, &[option, value.unwrap_or(&folders)]) else { return };
    let ran = run(folder.path(), ID);
    end(recorder);
    if !ran {
        return;
    }

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
