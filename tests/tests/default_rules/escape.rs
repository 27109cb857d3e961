//! Cases for `10-container-escape.yaml`.

use casebook_fixtures::flags::{self, EPERM, O_RDWR};

use crate::scene::{Case, case};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case(
            "Cgroup release agent changed",
            |s| s.edit(s.inside, "/tmp/cgrp/release_agent"),
            |s| {
                // Init sets it when the machine boots, and looking at it changes nothing.
                s.edit(casebook_fixtures::Task(1), "/sys/fs/cgroup/systemd/release_agent");
                s.read(s.inside, "/sys/fs/cgroup/rdma/release_agent");
            },
        ),
        case(
            "Kernel helper path changed from a container",
            |s| s.edit(s.inside, "/proc/sys/kernel/core_pattern"),
            |s| {
                s.read(s.inside, "/proc/sys/kernel/core_pattern");
                s.edit(s.root, "/proc/sys/kernel/core_pattern");
            },
        ),
        case(
            "Kernel module load attempted in a container",
            |s| {
                let insmod = s.boxed("/usr/sbin/insmod", &["insmod", "rootkit.ko"]);
                s.t.init_module(insmod, "", EPERM);
            },
            |s| {
                let modprobe = s.host("/usr/sbin/modprobe", &["modprobe", "overlay"]);
                s.t.finit_module(modprobe, 3, 0);
            },
        ),
        case(
            "Namespace of another process entered from a container",
            |s| {
                let nsenter = s.boxed("/usr/bin/nsenter", &["nsenter", "-t", "1", "-m", "-p", "sh"]);
                let fd = s.t.open(nsenter, "/proc/1/ns/mnt", flags::READ);
                s.t.setns(nsenter, fd, flags::CLONE_NEWNS, 0);
            },
            |s| {
                // The runtime's own way into the container, and an attempt that the kernel refuses.
                let init = s.t.enter(s.shim, &s.container);
                s.t.setns(init, 9, flags::CLONE_NEWPID, 0);
                s.t.setns(s.inside, 9, flags::CLONE_NEWPID, EPERM);
            },
        ),
        case(
            "Namespace of the first process entered",
            |s| {
                let nsenter = s.host("/usr/bin/nsenter", &["nsenter", "-t", "1", "-m", "ls"]);
                let fd = s.t.open(nsenter, "/proc/1/ns/mnt", flags::READ);
                s.t.setns(nsenter, fd, flags::CLONE_NEWNS, 0);
            },
            |s| {
                let ip = s.host("/sbin/ip", &["ip", "netns", "exec", "t1", "ip", "link"]);
                let fd = s.t.open(ip, "/run/netns/t1", flags::READ);
                s.t.setns(ip, fd, flags::CLONE_NEWNS, 0);
            },
        ),
        case(
            "Raw disk or memory of the host opened in a container",
            |s| {
                let dd = s.boxed("/bin/dd", &["dd", "if=/dev/sda1", "bs=1M", "count=1"]);
                s.read(dd, "/dev/sda1");
            },
            |s| {
                s.read(s.inside, "/dev/urandom");
                let fsck = s.host("/sbin/fsck", &["fsck", "/dev/sda1"]);
                s.t.open(fsck, "/dev/sda1", O_RDWR);
            },
        ),
        case(
            "Disk examined with debugfs in a container",
            |s| {
                s.boxed("/sbin/debugfs", &["debugfs", "/dev/sda1"]);
            },
            |s| {
                s.host("/sbin/debugfs", &["debugfs", "/dev/sda1"]);
                s.boxed("/bin/df", &["df"]);
            },
        ),
        case(
            "File system mounted inside a container",
            |s| {
                let mount = s.boxed("/bin/mount", &["mount", "/dev/sda1", "/mnt"]);
                s.t.mount(mount, "/dev/sda1", "/mnt", "ext4", 0);
            },
            |s| {
                let init = s.t.enter(s.shim, &s.container);
                s.t.mount(init, "proc", "/proc", "proc", 0);
                let mount = s.host("/bin/mount", &["mount", "/dev/sdb1", "/mnt"]);
                s.t.mount(mount, "/dev/sdb1", "/mnt", "ext4", 0);
            },
        ),
        case(
            "Container runtime socket contacted from a container",
            |s| {
                let curl = s.boxed("/usr/bin/curl", &["curl", "--unix-socket", "/var/run/docker.sock", "x/info"]);
                s.t.connect_unix(curl, "/var/run/docker.sock");
            },
            |s| {
                s.t.connect_unix(s.app, "/run/mysqld/mysqld.sock");
                let docker = s.host("/usr/bin/docker", &["docker", "ps"]);
                s.t.connect_unix(docker, "/var/run/docker.sock");
            },
        ),
        case(
            "Host files opened from a container",
            |s| s.read(s.inside, "/host/etc/kubernetes/pki/ca.key"),
            |s| {
                s.read(s.inside, "/etc/hosts");
                s.read(s.root, "/host/notes");
            },
        ),
        case(
            "User namespace created in a container",
            |s| {
                let unshare = s.boxed("/usr/bin/unshare", &["unshare", "-Ur"]);
                s.t.unshare(unshare, flags::CLONE_NEWUSER | flags::CLONE_NEWNS, 0);
            },
            |s| {
                let unshare = s.boxed("/usr/bin/unshare", &["unshare", "-m"]);
                s.t.unshare(unshare, flags::CLONE_NEWNS, EPERM);
                s.t.unshare(s.alice, flags::CLONE_NEWUSER, 0);
            },
        ),
        case(
            "BPF program loaded by an unusual process",
            |s| {
                let loader = s.host("/opt/x/loader", &["loader"]);
                s.t.bpf(loader, "BPF_PROG_LOAD");
            },
            |s| {
                s.t.bpf(casebook_fixtures::Task(1), "BPF_PROG_LOAD");
                let reader = s.host("/opt/x/reader", &["reader"]);
                s.t.bpf(reader, "BPF_MAP_LOOKUP_ELEM");
            },
        ),
    ]
}
