//! Judges a [`Host`]: what a recorder of the planned kind (CO-RE eBPF with a ring buffer) needs, and what is there.
//!
//! One finding for each requirement, in a fixed order; adding a requirement is adding a function to `REQUIREMENTS`.

use crate::host::{Cgroups, Host, Limit};

/// First kernel with `BPF_MAP_TYPE_RINGBUF`, and with `CAP_BPF` and `CAP_PERFMON`.
const RING_BUFFER_SINCE: (u32, u32) = (5, 8);
/// First kernel that charges eBPF memory to the cgroup instead of to `RLIMIT_MEMLOCK`.
const NO_MEMLOCK_SINCE: (u32, u32) = (5, 11);
/// Locked memory that an older kernel must allow for a ring buffer of 8 MiB and the maps beside it.
const MEMLOCK_NEEDED: u64 = 64 << 20;

/// Capability numbers of `linux/capability.h`.
const CAP_SYS_ADMIN: u32 = 21;
const CAP_SYS_RESOURCE: u32 = 24;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// How a requirement is met.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verdict {
    /// Met.
    Good,
    /// Met, or not required, with a consequence worth knowing.
    Note,
    /// Cannot be found out.
    Unknown,
    /// Not met: recording would fail.
    Missing,
}

impl Verdict {
    /// Word for text and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Note => "note",
            Self::Unknown => "unknown",
            Self::Missing => "missing",
        }
    }
}

/// One requirement and what was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Stable name.
    pub name: &'static str,
    /// Judgement.
    pub verdict: Verdict,
    /// What was found, in plain words.
    pub found: String,
}

/// A requirement: its stable name, and how a host meets it.
type Requirement = (&'static str, fn(&Host) -> (Verdict, String));

/// All requirements in print order.
const REQUIREMENTS: &[Requirement] = &[
    ("kernel", kernel),
    ("ring_buffer", ring_buffer),
    ("btf", btf),
    ("snapshot", snapshot),
    ("capabilities", capabilities),
    ("memlock", memlock),
    ("lockdown", lockdown),
    ("unprivileged_bpf", unprivileged_bpf),
    ("cgroups", cgroups),
];

/// Judges every requirement.
pub fn findings(host: &Host) -> Vec<Finding> {
    let judge = |(name, requirement): &Requirement| {
        let (verdict, found) = requirement(host);
        Finding { name, verdict, found }
    };
    REQUIREMENTS.iter().map(judge).collect()
}

/// The worst verdict: whether recording could work.
pub fn overall(findings: &[Finding]) -> Verdict {
    findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Unknown)
}

fn kernel(host: &Host) -> (Verdict, String) {
    match &host.release {
        Some(release) => (Verdict::Good, format!("release {release}")),
        None => (Verdict::Unknown, "the kernel release cannot be read (/proc/sys/kernel/osrelease)".to_owned()),
    }
}

fn ring_buffer(host: &Host) -> (Verdict, String) {
    let (major, minor) = RING_BUFFER_SINCE;
    match host.version() {
        None => (Verdict::Unknown, "kernel version unknown".to_owned()),
        Some(version) if version >= RING_BUFFER_SINCE => {
            (Verdict::Good, format!("eBPF ring buffer: in every kernel since {major}.{minor}"))
        }
        Some(_) => (Verdict::Missing, format!("eBPF ring buffer: needs kernel {major}.{minor} or newer")),
    }
}

fn btf(host: &Host) -> (Verdict, String) {
    match host.btf_bytes {
        Some(bytes) if bytes > 0 => (
            Verdict::Good,
            format!("type information of the kernel is there ({bytes} bytes in /sys/kernel/btf/vmlinux)"),
        ),
        _ => (
            Verdict::Missing,
            "no /sys/kernel/btf/vmlinux: programs cannot be fitted to this kernel (CONFIG_DEBUG_INFO_BTF)".to_owned(),
        ),
    }
}

fn snapshot(host: &Host) -> (Verdict, String) {
    match host.iterators {
        Some(true) => (
            Verdict::Good,
            "processes and descriptors at the start are listed by the kernel (iterators); from /proc should it refuse"
                .to_owned(),
        ),
        Some(false) => (
            Verdict::Note,
            "this kernel has no iterators: processes and descriptors at the start are read from /proc".to_owned(),
        ),
        None => (
            Verdict::Note,
            "processes and descriptors at the start: from /proc, unless the kernel lists them".to_owned(),
        ),
    }
}

fn capabilities(host: &Host) -> (Verdict, String) {
    let Some(mask) = host.capabilities else {
        return (Verdict::Unknown, "capabilities of this process cannot be read (/proc/self/status)".to_owned());
    };
    let has = |capability: u32| mask & (1 << capability) != 0;
    if has(CAP_SYS_ADMIN) {
        (Verdict::Good, "CAP_SYS_ADMIN, which includes CAP_BPF and CAP_PERFMON".to_owned())
    } else if has(CAP_BPF) && has(CAP_PERFMON) {
        (Verdict::Good, "CAP_BPF and CAP_PERFMON: enough, without CAP_SYS_ADMIN".to_owned())
    } else {
        let lacking = [(CAP_BPF, "CAP_BPF"), (CAP_PERFMON, "CAP_PERFMON")];
        let lacking: Vec<_> = lacking.iter().filter(|(number, _)| !has(*number)).map(|(_, name)| *name).collect();
        (Verdict::Missing, format!("this process lacks {} (or CAP_SYS_ADMIN): run as root", lacking.join(" and ")))
    }
}

fn memlock(host: &Host) -> (Verdict, String) {
    let (major, minor) = NO_MEMLOCK_SINCE;
    match (host.version(), host.memlock) {
        (Some(version), _) if version >= NO_MEMLOCK_SINCE => {
            (Verdict::Good, format!("no limit of locked memory applies to eBPF since kernel {major}.{minor}"))
        }
        (_, None) => (Verdict::Unknown, "limit of locked memory cannot be read (/proc/self/limits)".to_owned()),
        (_, Some(Limit::Unlimited)) => (Verdict::Good, "locked memory is not limited".to_owned()),
        (_, Some(Limit::Bytes(bytes))) if bytes >= MEMLOCK_NEEDED => {
            (Verdict::Good, format!("locked memory is limited to {bytes} bytes, which is enough"))
        }
        (Some(_), Some(Limit::Bytes(bytes)))
            if host.capabilities.is_some_and(|mask| mask & (1 << CAP_SYS_RESOURCE) != 0) =>
        {
            (
                Verdict::Good,
                format!("locked memory is limited to {bytes} bytes; CAP_SYS_RESOURCE lets the recorder raise it"),
            )
        }
        (Some(_), Some(Limit::Bytes(bytes))) => (
            Verdict::Missing,
            format!(
                "locked memory is limited to {bytes} bytes, {MEMLOCK_NEEDED} are needed on this kernel (ulimit -l)"
            ),
        ),
        (None, Some(Limit::Bytes(bytes))) => {
            (Verdict::Unknown, format!("locked memory is limited to {bytes} bytes; kernel version unknown"))
        }
    }
}

fn lockdown(host: &Host) -> (Verdict, String) {
    match host.lockdown.as_deref() {
        Some("confidentiality") => {
            (Verdict::Missing, "kernel lockdown 'confidentiality' forbids eBPF to read kernel memory".to_owned())
        }
        Some(mode) => (Verdict::Good, format!("kernel lockdown '{mode}' does not forbid recording")),
        None => (Verdict::Good, "no kernel lockdown".to_owned()),
    }
}

fn unprivileged_bpf(host: &Host) -> (Verdict, String) {
    match host.unprivileged_bpf_disabled {
        None => (Verdict::Unknown, "kernel.unprivileged_bpf_disabled cannot be read".to_owned()),
        Some(0) => (
            Verdict::Note,
            "eBPF is open to unprivileged users (kernel.unprivileged_bpf_disabled=0): recording does not need that"
                .to_owned(),
        ),
        Some(value) => {
            (Verdict::Good, format!("eBPF is closed to unprivileged users (kernel.unprivileged_bpf_disabled={value})"))
        }
    }
}

fn cgroups(host: &Host) -> (Verdict, String) {
    match host.cgroups {
        None => (Verdict::Unknown, "the mount table cannot be read (/proc/self/mountinfo)".to_owned()),
        Some(Cgroups::V2) => (Verdict::Good, "cgroup version 2".to_owned()),
        Some(Cgroups::Hybrid) => (
            Verdict::Note,
            "cgroup versions 1 and 2 side by side: containers are told by the version 1 paths".to_owned(),
        ),
        Some(Cgroups::V1) => {
            (Verdict::Note, "cgroup version 1 only: filtering by container will not work in the kernel".to_owned())
        }
        Some(Cgroups::None) => {
            (Verdict::Note, "no cgroup file system is mounted: containers cannot be told apart".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failing test may panic

    use super::*;

    fn good() -> Host {
        Host {
            release: Some("6.1.0-56-cloud-amd64".to_owned()),
            btf_bytes: Some(5_514_925),
            iterators: Some(true),
            capabilities: Some(1 << CAP_BPF | 1 << CAP_PERFMON),
            memlock: Some(Limit::Bytes(65536)),
            cgroups: Some(Cgroups::V2),
            unprivileged_bpf_disabled: Some(2),
            lockdown: None,
        }
    }

    fn verdict(host: &Host, name: &str) -> Verdict {
        findings(host).iter().find(|finding| finding.name == name).unwrap().verdict
    }

    #[test]
    fn a_modern_machine_with_two_capabilities_will_do() {
        assert_eq!(overall(&findings(&good())), Verdict::Good);
    }

    #[test]
    fn an_old_kernel_lacks_the_ring_buffer_and_limits_memory() {
        let host = Host { release: Some("5.4.0-216-generic".to_owned()), ..good() };
        assert_eq!(verdict(&host, "ring_buffer"), Verdict::Missing);
        assert_eq!(verdict(&host, "memlock"), Verdict::Missing);
        let raising = Host { capabilities: Some(1 << CAP_SYS_RESOURCE), ..host.clone() };
        assert_eq!(verdict(&raising, "memlock"), Verdict::Good);
        let host = Host { memlock: Some(Limit::Unlimited), ..host };
        assert_eq!(verdict(&host, "memlock"), Verdict::Good);
    }

    #[test]
    fn each_requirement_can_fail_alone() {
        let without = [
            ("btf", Host { btf_bytes: None, ..good() }),
            ("capabilities", Host { capabilities: Some(1 << CAP_BPF), ..good() }),
            ("lockdown", Host { lockdown: Some("confidentiality".to_owned()), ..good() }),
        ];
        for (name, host) in without {
            assert_eq!(verdict(&host, name), Verdict::Missing, "{name}");
            assert_eq!(overall(&findings(&host)), Verdict::Missing, "{name}");
        }
    }

    #[test]
    fn a_kernel_without_iterators_will_do() {
        let host = Host { iterators: Some(false), ..good() };
        assert_eq!((verdict(&host, "snapshot"), overall(&findings(&host))), (Verdict::Note, Verdict::Note));
    }

    #[test]
    fn nothing_known_is_said_so() {
        let findings = findings(&Host::default());
        assert!(findings.iter().filter(|finding| finding.verdict == Verdict::Unknown).count() >= 4);
    }
}
