//! What the kernel says about itself: facts from `/proc` and `/sys`, unjudged.
//!
//! Every fact is optional: a file that is missing or unreadable gives *unknown*, never a default. All paths hang below
//! a root folder, so that tests (and the file tree of another machine) can be read the same way.

use std::fs;
use std::path::Path;

/// Longest file read: `/proc` and `/sys` state their facts in far less.
const LONGEST_FACT: u64 = 1 << 20;

/// The facts.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Host {
    /// `kernel.osrelease`, for example `6.1.0-56-cloud-amd64`.
    pub release: Option<String>,
    /// Size in bytes of the kernel's type information (`/sys/kernel/btf/vmlinux`).
    pub btf_bytes: Option<u64>,
    /// The kernel has iterators over tasks and their files: its type information names them.
    pub iterators: Option<bool>,
    /// Effective capabilities of this process, as a bit mask.
    pub capabilities: Option<u64>,
    /// Soft limit of locked memory.
    pub memlock: Option<Limit>,
    /// Mounted cgroup hierarchies; `None` when the mount table cannot be read.
    pub cgroups: Option<Cgroups>,
    /// `kernel.unprivileged_bpf_disabled`.
    pub unprivileged_bpf_disabled: Option<u64>,
    /// The mode of kernel lockdown that is in force (`none`, `integrity`, `confidentiality`).
    pub lockdown: Option<String>,
}

/// A resource limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit {
    /// No limit.
    Unlimited,
    /// In bytes.
    Bytes(u64),
}

/// Which cgroup hierarchies are mounted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cgroups {
    /// Version 2 only.
    V2,
    /// Version 1 controllers beside a version 2 hierarchy.
    Hybrid,
    /// Version 1 only.
    V1,
    /// None.
    None,
}

impl Host {
    /// Reads the facts below `root` (`/` for this machine).
    pub fn read(root: &Path) -> Self {
        let fact = |path: &str| read_fact(&root.join(path));
        Self {
            release: fact("proc/sys/kernel/osrelease").map(|text| text.trim().to_owned()),
            btf_bytes: fs::metadata(root.join("sys/kernel/btf/vmlinux")).ok().map(|file| file.len()),
            iterators: names_iterators(&root.join("sys/kernel/btf/vmlinux")),
            capabilities: fact("proc/self/status").and_then(|text| effective_capabilities(&text)),
            memlock: fact("proc/self/limits").and_then(|text| memlock(&text)),
            cgroups: fact("proc/self/mountinfo").map(|text| cgroups(&text)),
            unprivileged_bpf_disabled: fact("proc/sys/kernel/unprivileged_bpf_disabled")
                .and_then(|text| text.trim().parse().ok()),
            lockdown: fact("sys/kernel/security/lockdown").and_then(|text| lockdown(&text)),
        }
    }

    /// Major and minor version of the release, where it begins with them.
    pub fn version(&self) -> Option<(u32, u32)> {
        let mut numbers = self.release.as_deref()?.split(|c: char| !c.is_ascii_digit());
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }
}

fn read_fact(path: &Path) -> Option<String> {
    use std::io::Read as _;
    let mut text = String::new();
    fs::File::open(path).ok()?.take(LONGEST_FACT).read_to_string(&mut text).ok()?;
    Some(text)
}

/// Longest type information that is read; that of kernels of today has 5 to 10 MB.
const LONGEST_TYPES: u64 = 64 << 20;

/// Does the kernel's type information name the functions behind `iter/task` and `iter/task_file`?
fn names_iterators(btf: &Path) -> Option<bool> {
    use std::io::Read as _;
    let mut types = Vec::new();
    fs::File::open(btf).ok()?.take(LONGEST_TYPES).read_to_end(&mut types).ok()?;
    let mut names = types.split(|&byte| byte == 0);
    let (mut task, mut file) = (false, false);
    Some(names.any(|name| {
        task |= name == b"bpf_iter_task";
        file |= name == b"bpf_iter_task_file";
        task && file
    }))
}

/// `CapEff:` line of `/proc/PID/status`: hexadecimal.
fn effective_capabilities(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

/// `Max locked memory` line of `/proc/PID/limits`: soft limit first.
fn memlock(limits: &str) -> Option<Limit> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max locked memory"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(Limit::Unlimited),
        bytes => bytes.parse().ok().map(Limit::Bytes),
    }
}

/// File system types of `/proc/PID/mountinfo` stand after the lone hyphen of each line.
fn cgroups(mountinfo: &str) -> Cgroups {
    let types = || mountinfo.lines().filter_map(|line| line.split_once(" - ")?.1.split(' ').next());
    match (types().any(|kind| kind == "cgroup2"), types().any(|kind| kind == "cgroup")) {
        (true, true) => Cgroups::Hybrid,
        (true, false) => Cgroups::V2,
        (false, true) => Cgroups::V1,
        (false, false) => Cgroups::None,
    }
}

/// `none [integrity] confidentiality`: the mode in force stands in brackets.
fn lockdown(modes: &str) -> Option<String> {
    let (_, rest) = modes.split_once('[')?;
    Some(rest.split_once(']')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tree_is_all_unknown() {
        assert_eq!(Host::read(Path::new("/nonexistent")), Host::default());
    }

    #[test]
    fn versions_are_the_first_two_numbers() {
        let version = |release: &str| Host { release: Some(release.to_owned()), ..Host::default() }.version();
        assert_eq!(version("6.1.0-56-cloud-amd64"), Some((6, 1)));
        assert_eq!(version("5.10-rc1"), Some((5, 10)));
        assert_eq!(version("next"), None);
        assert_eq!(version(""), None);
    }

    #[test]
    fn lines_are_read_as_the_kernel_writes_them() {
        assert_eq!(effective_capabilities("CapPrm:\t0\nCapEff:\t000000c000000000\n"), Some(0xc0_0000_0000));
        let limits = |value: &str| memlock(&format!("Max processes 1 1 processes\nMax locked memory         {value}"));
        assert_eq!(limits("8388608              8388608              bytes"), Some(Limit::Bytes(8_388_608)));
        assert_eq!(limits("unlimited unlimited bytes"), Some(Limit::Unlimited));
        assert_eq!(lockdown("none [integrity] confidentiality\n").as_deref(), Some("integrity"));
        let v1 = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
        let v2 = "41 31 0:38 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw\n";
        assert_eq!(cgroups(v1), Cgroups::V1);
        assert_eq!(cgroups(v2), Cgroups::V2);
        assert_eq!(cgroups(&format!("{v1}{v2}")), Cgroups::Hybrid);
        assert_eq!(cgroups("1 1 0:1 / / rw - ext4 /dev/vda rw\n"), Cgroups::None);
    }
}
