//! From the kernel to an alert: our own recordings, replayed. Counts agree with what the workload did, a real container is
//! itself and nothing else, rules fire, and Debian's sysdig opens the converted file.
//!
//! Needs permission to use eBPF; runc and busybox, python3, sysdig where a test says so. What is missing is said plainly.
//! Everything is recorded below a temporary folder and limited to the processes of the test.
#![allow(clippy::unwrap_used)] // a failing test may panic

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use casebook_replay::cli::{self, Terminals};
use casebook_tests::sysdig;

fn skip(test: &str, what: &str) {
    writeln!(std::io::stderr(), "SKIPPED: {test}: {what}").ok();
}

/// Records a command to its end; `false`, said plainly, where this machine cannot be recorded. The recorder gives up the
/// capabilities of its thread, so it gets one of its own.
fn record(test: &str, file: &Path, options: &[&str], command: &[&str]) -> bool {
    let file = file.display().to_string();
    let head = ["casebook-capture", "record", "-w", &file];
    let args: Vec<String> =
        head.iter().chain(options).chain(&["--until-exit", "--"]).chain(command).map(|arg| (*arg).to_owned()).collect();
    let run = std::thread::spawn(move || {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = casebook_capture::cli::run(args, &mut out, &mut err);
        (code, String::from_utf8_lossy(&err).into_owned())
    });
    let (code, said) = run.join().unwrap();
    if code == ExitCode::from(1) {
        skip(test, &format!("eBPF is not permitted here: {}", said.trim()));
        return false;
    }
    assert_eq!(code, ExitCode::SUCCESS, "{said}");
    assert!(said.contains("nothing was lost") && said.contains("exit status: 0"), "{said}");
    true
}

/// Lines that `casebook-replay` prints.
fn replayed(args: &[&str], file: &Path) -> Vec<String> {
    let file = file.display().to_string();
    let args: Vec<&str> = ["casebook-replay"].iter().chain(args).copied().chain([file.as_str()]).collect();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    cli::run_on(&args, &mut out, &mut err, Terminals::default());
    let out = String::from_utf8_lossy(&out).into_owned();
    assert!(!out.is_empty() || !String::from_utf8_lossy(&err).contains("rror"), "{}", String::from_utf8_lossy(&err));
    out.lines().map(str::to_owned).collect()
}

/// Lines of the events that a filter lets through.
fn events(format: &str, filter: &str, file: &Path) -> Vec<String> {
    replayed(&["events", "-p", format, "--filter", filter], file)
}

fn there(program: &str, arg: &str) -> bool {
    Command::new(program).arg(arg).output().is_ok_and(|output| output.status.success())
}

const WORKLOAD: &str = r#"
import os, socket, subprocess, sys
server = socket.socket(); server.bind(("127.0.0.1", 0)); server.listen(64)
for n in range(40): subprocess.run(["/bin/true", str(n)], check=True)
for n in range(120): os.close(os.open("counted-%d" % n, os.O_CREAT | os.O_WRONLY, 0o600))
for n in range(30):
    client = socket.socket(); client.connect(server.getsockname()); server.accept()[0].close(); client.close()
for n in range(7):
    client = socket.socket()
    try: client.connect(("127.0.0.1", 1))
    except OSError: pass
    client.close()
print(server.getsockname()[1], file=open("port", "w"))
"#;

#[test]
fn counts_of_a_workload_are_exact_and_sysdig_counts_the_same() {
    let test = "counts_of_a_workload_are_exact_and_sysdig_counts_the_same";
    if !there("python3", "-V") {
        return skip(test, "python3 is not installed");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.scap.zst");
    let script = format!("import os; os.chdir('{}')\n{WORKLOAD}", folder.path().display());
    if !record(test, &file, &[], &["python3", "-c", &script]) {
        return;
    }
    let port = std::fs::read_to_string(folder.path().join("port")).unwrap();
    let port = port.trim();
    let count = |filter: &str| events("*%evt.num", filter, &file).len();
    let folder_name = folder.path().display();
    assert_eq!(count("evt.type in (execve, execveat) and evt.rawres=0 and proc.exepath endswith /true"), 40);
    assert_eq!(count("evt.type=procexit and proc.name=true"), 40);
    assert_eq!(count(&format!("evt.type in (open, openat) and fd.name startswith {folder_name}/counted-")), 120);
    assert_eq!(count(&format!("evt.type=close and fd.name startswith {folder_name}/counted-")), 120);
    assert_eq!(count(&format!("evt.type=connect and evt.res=SUCCESS and fd.sport={port}")), 30);
    assert_eq!(count(&format!("evt.type in (accept, accept4) and fd.lport={port}")), 30);
    assert_eq!(count("evt.type=connect and evt.res=ECONNREFUSED"), 7);
    // Who did it: each exec knows its user, its parent and its arguments.
    let me = events("*%user.uid %group.gid %proc.pname %proc.args", "evt.type=execve and proc.name=true", &file);
    let ids = String::from_utf8(Command::new("id").arg("-u").output().unwrap().stdout).unwrap();
    for (n, line) in me.iter().enumerate() {
        assert!(line.starts_with(&format!("{} ", ids.trim())) && line.ends_with(&format!(" {n}")), "{line}");
        assert!(line.contains("python"), "{line}");
    }

    if sysdig::version().is_none() {
        return skip(test, "sysdig is not installed");
    }
    let old = folder.path().join("old.scap");
    let args = ["casebook", "convert", "--for", "sysdig", file.to_str().unwrap(), "-o", old.to_str().unwrap()];
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let converted = casebook_formats::cli::run(args, &mut out, &mut err);
    assert_eq!(converted, ExitCode::SUCCESS, "{}", String::from_utf8_lossy(&err));
    let sysdig = |filter: &str| {
        let output = Command::new("sysdig").arg("-r").arg(&old).args(["-p", "%evt.num", filter]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().count()
    };
    assert_eq!(sysdig("evt.type=execve and evt.dir=< and evt.res=SUCCESS and proc.name=true"), 40);
    assert_eq!(
        sysdig(&format!("evt.type in (open,openat) and evt.dir=< and fd.name contains {folder_name}/counted-")),
        120
    );
    assert_eq!(sysdig(&format!("evt.type=connect and evt.dir=< and evt.res=SUCCESS and fd.sport={port}")), 30);
}

const ID: &str = "facade01facade02facade03facade04facade05facade06facade07facade08";
const SHELL_IN_CONTAINER: &str = "
- rule: shell_in_container
  desc: a shell was started in a container
  condition: evt.type = execve and evt.dir = < and container.id != host and (proc.name = bash or proc.name = sh)
  output: shell (container=%container.name image=%container.image.repository pod=%k8s.pod.name)
  priority: WARNING
";

/// Cgroup folders of the test, in every hierarchy.
struct Cgroup(String);

impl Drop for Cgroup {
    fn drop(&mut self) {
        let roots = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path());
        for root in roots.chain([PathBuf::from("/sys/fs/cgroup")]) {
            for folder in ["kubepods/besteffort/pod1", "kubepods/besteffort", "kubepods", ""] {
                // Only empty cgroups can be removed, and only where they were made.
                let _ = std::fs::remove_dir(root.join(&self.0).join(folder));
            }
        }
    }
}

/// The bundle's specification in containerd's folder, in a namespace of the test's own.
struct Task(PathBuf);

impl Task {
    fn new(bundle: &Path) -> Option<Self> {
        let namespace = format!("casebook-own-{}", std::process::id());
        let namespace = Path::new("/run/containerd/io.containerd.runtime.v2.task").join(namespace);
        let task = namespace.join(ID);
        std::fs::create_dir_all(&task).ok()?;
        let made = Self(namespace);
        std::fs::copy(bundle.join("config.json"), task.join("config.json")).ok()?;
        Some(made)
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
        // Nobody else's folders go: only empty ones can.
        for folder in ["/run/containerd/io.containerd.runtime.v2.task", "/run/containerd"] {
            let _ = std::fs::remove_dir(folder);
        }
    }
}

/// The mounted cgroup version 2.
fn unified() -> Option<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let line = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
    line.split(' ').nth(4).map(PathBuf::from)
}

/// A folder with a few programs, and a specification as the kubelet's runtime would write it.
fn bundle(folder: &Path, cgroup: &str) -> bool {
    let bin = folder.join("rootfs/bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::fs::copy("/bin/busybox", bin.join("busybox")).unwrap();
    for name in ["sh", "cat", "sleep"] {
        std::os::unix::fs::symlink("busybox", bin.join(name)).unwrap();
    }
    if !Command::new("runc").arg("spec").current_dir(folder).status().is_ok_and(|status| status.success()) {
        return false;
    }
    let path = folder.join("config.json");
    let mut spec: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    spec["process"]["args"] = serde_json::json!(["sleep", "60"]);
    spec["process"]["terminal"] = serde_json::json!(false);
    spec["root"]["readonly"] = serde_json::json!(false);
    spec["linux"]["cgroupsPath"] = serde_json::json!(cgroup);
    spec["annotations"] = serde_json::json!({
        "io.kubernetes.cri.container-type": "container",
        "io.kubernetes.cri.container-name": "web",
        "io.kubernetes.cri.image-name": "example.test/web:1.4.2",
        "io.kubernetes.cri.sandbox-name": "checkout-6d5f",
        "io.kubernetes.cri.sandbox-namespace": "prod",
        "io.kubernetes.cri.sandbox-uid": "7c9a3b52-0d5e-4c44-9f0b-2f6f5d1a7e11",
    });
    std::fs::write(&path, spec.to_string()).unwrap();
    true
}

#[test]
fn a_shell_in_a_real_container_is_an_alert_with_its_pod_and_image() {
    let test = "a_shell_in_a_real_container_is_an_alert_with_its_pod_and_image";
    let Some(unified) = unified() else { return skip(test, "no cgroup version 2") };
    if !there("runc", "-v") || !Path::new("/bin/busybox").is_file() {
        return skip(test, "runc or busybox is not installed");
    }
    let folder = tempfile::tempdir().unwrap();
    let top = Cgroup(format!("casebook-own-{}", std::process::id()));
    if std::fs::create_dir(unified.join(&top.0)).is_err() {
        return skip(test, "cgroups cannot be made here");
    }
    if !bundle(folder.path(), &format!("/{}/kubepods/besteffort/pod1/{ID}", top.0)) {
        return skip(test, "runc makes no specification");
    }
    // The bundle lies where containerd puts it; what it says is read while the container starts.
    let Some(_task) = Task::new(folder.path()) else { return skip(test, "/run/containerd cannot be written to") };
    let bundle = folder.path().display();
    let runs = Command::new("sh")
        .args(["-c", &format!("runc run -d -b {bundle} {ID} </dev/null >/dev/null 2>&1 && runc delete -f {ID}")])
        .status();
    if !runs.is_ok_and(|status| status.success()) {
        return skip(test, "runc runs nothing here");
    }
    // Somebody enters the running container, while the host is busy with something else.
    let script = format!(
        "runc run -d -b {bundle} {ID} </dev/null >/dev/null 2>&1; /bin/true; \
         runc exec {ID} sh -c 'cat /bin/sh > /stolen; sleep 0'; cat /etc/hostname > /dev/null; runc delete -f {ID}"
    );
    let file = folder.path().join("x.scap.zst");
    if !record(test, &file, &["--cgroup", &format!("/{}", top.0)], &["sh", "-c", &script]) {
        return;
    }
    let format =
        "*%container.id|%container.name|%container.image.repository|%container.image.tag|%k8s.pod.name|%k8s.ns.name";
    // What the runtime does before the container's program starts is done by a thread that came from outside.
    let who = events(format, "proc.exepath = /bin/busybox", &file);
    assert!(who.len() > 8, "{}", who.len());
    let expected = format!("{}|web|example.test/web|1.4.2|checkout-6d5f|prod", &ID[..12]);
    assert!(who.iter().all(|line| *line == expected), "{:?}", who.iter().find(|line| **line != expected));
    assert!(
        !events("*%container.id", "evt.type != container", &file).contains(&"host".to_owned()),
        "nothing of outside"
    );
    // busybox runs its own programs by the name of `exe`.
    let programs = events("*%proc.args", "evt.type=execve and evt.rawres=0", &file);
    assert_eq!(programs, ["60", "-c cat /bin/sh > /stolen; sleep 0", "/bin/sh", "0"]);
    let opened = events("*%evt.res", "evt.type in (open, openat) and fd.name = /stolen", &file);
    assert_eq!(opened, ["SUCCESS"]);

    let rules = folder.path().join("rules.yaml");
    std::fs::write(&rules, SHELL_IN_CONTAINER).unwrap();
    let own = replayed(&["--output", "json", "-r", rules.to_str().unwrap()], &file);
    let alerts: Vec<serde_json::Value> = own.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let alerts: Vec<_> = alerts.iter().filter(|alert| alert["rule"] == "shell_in_container").collect();
    assert_eq!(alerts.len(), 1, "{own:?}");
    assert_eq!(alerts[0]["output_fields"]["container.name"], "web");
    assert_eq!(alerts[0]["output_fields"]["k8s.pod.name"], "checkout-6d5f");
    let default = replayed(&["--output", "json"], &file);
    assert!(
        default.iter().any(|line| line.contains("\"Shell without a terminal started in a container\"")),
        "the built-in rule: {default:?}"
    );
}
