//! Facts about threads in the texts of `/proc/PID`: `stat`, `status`, `limits`, `cgroup`, `fdinfo`.
//!
//! Names in them are anybody's: a thread may be called `) R 1 (`. Lines are found by their beginnings, numbers behind
//! the last parenthesis, and what is not there is 0.

use crate::record::TaskItem;

/// ns of a tick of the clock in `stat` (`USER_HZ`, 100 on every machine that is recorded).
pub(in crate::snapshot) const TICK: u64 = 10_000_000;

/// A number in digits.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// What follows a line's beginning.
fn line<'t>(text: &'t [u8], name: &str) -> Option<&'t [u8]> {
    let mut lines = text.split(|&byte| byte == b'\n');
    lines.find_map(|line| line.strip_prefix(name.as_bytes())).map(<[u8]>::trim_ascii)
}

fn words(text: &[u8]) -> Vec<&[u8]> {
    text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect()
}

/// A thread; `None` where the texts are not such.
pub(super) fn task(stat: &[u8], status: &[u8]) -> Option<TaskItem> {
    let open = stat.iter().position(|&byte| byte == b'(')?;
    let close = stat.iter().rposition(|&byte| byte == b')').filter(|close| *close > open)?;
    // Field 3, the state, is the first behind the name.
    let fields = words(&stat[close + 1..]);
    let field = |n: usize| fields.get(n - 3).and_then(|field| number(field)).unwrap_or(0);
    let numbers = |name: &str| -> Vec<u64> {
        line(status, name).map(|line| words(line).into_iter().filter_map(number).collect()).unwrap_or_default()
    };
    let first = |name: &str| numbers(name).first().copied().unwrap_or(0);
    let mask = |name: &str| {
        let text = line(status, name).and_then(|line| std::str::from_utf8(line).ok());
        text.and_then(|text| u64::from_str_radix(text, 16).ok()).unwrap_or(0)
    };
    let (uids, gids) = (numbers("Uid:"), numbers("Gid:"));
    let of = |ids: &[u64], n: usize| ids.get(n).copied().unwrap_or(0) as u32;
    // In the namespaces around the thread, the innermost last; old kernels do not tell.
    let inner = |name: &str, outer: u64| numbers(name).last().copied().unwrap_or(outer) as u32;
    let (thread, process) = (number(stat[..open].trim_ascii())?, first("Tgid:"));
    // Kernel's own number: `stat` packs a device's minor number around its major one.
    let tty = field(7);
    let (major, minor) = ((tty >> 8) & 0xfff, (tty & 0xff) | ((tty >> 12) & 0xf_ff00));
    Some(TaskItem {
        start: field(22).saturating_mul(TICK),
        cap_inheritable: mask("CapInh:"),
        cap_permitted: mask("CapPrm:"),
        cap_effective: mask("CapEff:"),
        maj_flt: field(12),
        min_flt: field(10),
        tid: thread as u32,
        tgid: process as u32,
        ptid: field(4) as u32,
        sid: field(6) as u32,
        pgid: field(5) as u32,
        vpgid: inner("NSpgid:", field(5)),
        vtid: inner("NSpid:", thread),
        vpid: inner("NStgid:", process),
        uid: of(&uids, 0),
        gid: of(&gids, 0),
        euid: of(&uids, 1),
        egid: of(&gids, 1),
        fsuid: of(&uids, 3),
        fsgid: of(&gids, 3),
        tty: (major << 20 | minor) as u32,
        vm_size: first("VmSize:") as u32,
        vm_rss: first("VmRSS:") as u32,
        vm_swap: first("VmSwap:") as u32,
        level: numbers("NSpid:").len().saturating_sub(1) as u32,
        comm: stat[open + 1..close].to_vec(),
        ..TaskItem::default()
    })
}

/// How many descriptors a process may have.
pub(super) fn descriptors_limit(limits: &[u8]) -> u64 {
    let soft = line(limits, "Max open files").and_then(|line| words(line).first().copied());
    soft.map_or(0, |soft| number(soft).unwrap_or(u64::MAX))
}

/// The path of version 2, or of a controller of version 1.
pub(super) fn cgroup<'t>(text: &'t [u8], controller: Option<&str>) -> Option<&'t [u8]> {
    text.split(|&byte| byte == b'\n').find_map(|line| {
        let mut parts = line.splitn(3, |&byte| byte == b':');
        let (number, names, path) = (parts.next()?, parts.next()?, parts.next()?);
        let found = match controller {
            None => number == b"0" && names.is_empty(),
            Some(name) => names.split(|&byte| byte == b',').any(|found| found == name.as_bytes()),
        };
        found.then_some(path)
    })
}

/// Flags that a file was opened with, of `fdinfo`: octal.
pub(super) fn open_flags(fdinfo: &[u8]) -> u32 {
    let text = line(fdinfo, "flags:").and_then(|line| std::str::from_utf8(line).ok());
    text.and_then(|text| u32::from_str_radix(text, 8).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failing test may panic

    use super::*;

    const STATUS: &[u8] = b"Name:\tx\nTgid:\t40\nUid:\t1000\t0\t0\t7\nGid:\t1000\t5\t0\t8\nNStgid:\t40\t2\nNSpid:\t41\t3\nNSpgid:\t40\t1\n\
        VmSize:\t  100 kB\nVmRSS:\t 60 kB\nVmSwap:\t 2 kB\nCapInh:\t0000000000000001\nCapPrm:\t00000000000000ff\nCapEff:\t0000000000000003\n";

    #[test]
    fn a_thread_may_be_called_anything() {
        let stat =
            b"41 () R 1 (x) S 30 40 39 34818 40 4194304 11 0 12 0 1 2 3 4 20 0 1 0 4242 1000 15 18446744073709551615";
        let task = task(stat, STATUS).unwrap();
        assert_eq!(task.comm, b") R 1 (x");
        assert_eq!((task.tid, task.tgid, task.ptid, task.pgid, task.sid), (41, 40, 30, 40, 39));
        assert_eq!((task.vtid, task.vpid, task.vpgid, task.level), (3, 2, 1, 1));
        assert_eq!((task.uid, task.euid, task.fsuid, task.gid, task.egid, task.fsgid), (1000, 0, 7, 1000, 5, 8));
        assert_eq!((task.min_flt, task.maj_flt, task.start), (11, 12, 42_420_000_000));
        assert_eq!((task.vm_size, task.vm_rss, task.vm_swap), (100, 60, 2));
        assert_eq!((task.cap_inheritable, task.cap_permitted, task.cap_effective), (1, 0xff, 3));
        // 136:2 is /dev/pts/2.
        assert_eq!(task.tty, 136 << 20 | 2);
    }

    #[test]
    fn texts_of_another_kind_are_no_threads() {
        for text in [&b""[..], b"12", b"12 (x", b")(", b"x (y) S 1"] {
            assert!(task(text, STATUS).is_none(), "{text:?}");
        }
        assert_eq!(task(b"5 (x) S", b"").unwrap().tid, 5);
        assert_eq!(descriptors_limit(b"Max open files   1024   4096   files\n"), 1024);
        assert_eq!(descriptors_limit(b"Max open files   unlimited  unlimited files\n"), u64::MAX);
        assert_eq!(open_flags(b"pos:\t0\nflags:\t0100002\nmnt_id:\t1\n"), 0o100_002);
    }

    #[test]
    fn cgroups_of_both_versions() {
        let text = b"5:cpu,memory:/docker/x\n1:name=systemd:/y\n0::/a:b\n";
        assert_eq!(cgroup(text, None), Some(&b"/a:b"[..]));
        assert_eq!(cgroup(text, Some("memory")), Some(&b"/docker/x"[..]));
        assert_eq!(cgroup(b"0::/\n", Some("memory")), None);
    }
}
