//! The machine, its users and groups, and which cgroup a process is in: text files of `/proc` and `/etc`.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use casebook_formats::snapshot::{MachineInfo, UserEntry};

use crate::filter::{Filters, Mode, cgroup_mounts};

/// Longest text of a user that readers accept.
const TEXT_MAX: usize = 255;
/// Longest host name of the format.
const HOSTNAME_MAX: usize = 127;

/// Facts about the machine.
pub(super) fn machine(root: &Path, boot: u64) -> MachineInfo {
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    let memory = read("proc/meminfo");
    let memory =
        memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok());
    let mut hostname = read("proc/sys/kernel/hostname").trim_end().as_bytes().to_vec();
    hostname.truncate(HOSTNAME_MAX);
    MachineInfo {
        num_cpus: std::thread::available_parallelism().map_or(0, |cpus| cpus.get() as u32),
        memory: memory.unwrap_or(0u64).saturating_mul(1024),
        max_pid: read("proc/sys/kernel/pid_max").trim().parse().unwrap_or(0),
        hostname,
        boot_ts: boot,
    }
}

/// Users and groups of the host.
pub(super) fn users(root: &Path) -> Vec<UserEntry> {
    let read = |path: &str| fs::read(root.join(path)).unwrap_or_default();
    let (passwd, group) = (read("etc/passwd"), read("etc/group"));
    lines(&passwd).filter_map(user).chain(lines(&group).filter_map(a_group)).collect()
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty() && line[0] != b'#')
}

fn fields(line: &[u8]) -> Vec<&[u8]> {
    line.split(|&byte| byte == b':').collect()
}

fn number(field: &[u8]) -> Option<u32> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

fn short(field: &[u8]) -> Vec<u8> {
    field[..field.len().min(TEXT_MAX)].to_vec()
}

/// `name:password:uid:gid:comment:home:shell`
fn user(line: &[u8]) -> Option<UserEntry> {
    let fields = fields(line);
    Some(UserEntry::User {
        uid: number(fields.get(2)?)?,
        gid: number(fields.get(3)?)?,
        name: short(fields[0]),
        home: short(fields.get(5)?),
        shell: short(fields.get(6)?),
    })
}

/// `name:password:gid:members`
fn a_group(line: &[u8]) -> Option<UserEntry> {
    let fields = fields(line);
    Some(UserEntry::Group { gid: number(fields.get(2)?)?, name: short(fields[0]) })
}

/// What the cgroup filter says of a process: the nearest of its cgroups that the filter names.
pub(super) fn cgroup_mode(tgid: u32, filters: &Filters, proc: &Path) -> Option<Mode> {
    let text = fs::read_to_string(proc.join(tgid.to_string()).join("cgroup")).ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mounts = cgroup_mounts(&fs::read_to_string(proc.join("self/mountinfo")).ok()?);
    let folder = mounts.first()?.join(path.trim_start_matches('/'));
    folder.ancestors().find_map(|folder| {
        let id = fs::metadata(folder).ok()?.ino();
        filters.cgroups.iter().find(|entry| entry.value.id == id).map(|entry| entry.mode)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failing test may panic

    use super::*;

    #[test]
    fn users_and_groups_are_read_and_broken_lines_are_not() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/passwd"), "root:x:0:0:root:/root:/bin/bash\nbad\n#x:x:1:1:::\nx:x:no:1:::\n")
            .unwrap();
        fs::write(root.path().join("etc/group"), "wheel:x:10:root\n\n").unwrap();
        let users = users(root.path());
        assert_eq!(users.len(), 2);
        assert!(
            matches!(&users[0], UserEntry::User { uid: 0, name, shell, .. } if name == b"root" && shell == b"/bin/bash")
        );
        assert!(matches!(&users[1], UserEntry::Group { gid: 10, name } if name == b"wheel"));
    }
}
