//! Cases for `50-persistence.yaml`.

use casebook_fixtures::Task;
use casebook_fixtures::flags::APPEND;

use crate::scene::{Case, Scene, case};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case(
            "Cron job added or changed",
            |s| {
                s.write(s.root, "/etc/cron.d/x");
                s.host("/usr/bin/crontab", &["crontab", "/tmp/job"]);
            },
            |s| {
                s.read(s.cron, "/etc/cron.d/e2scrub_all");
                s.host("/usr/bin/crontab", &["crontab", "-l"]);
                let dpkg = dpkg(s);
                s.write(dpkg, "/etc/cron.daily/apt-compat.dpkg-new");
                s.t.rename(dpkg, "/etc/cron.daily/apt-compat.dpkg-new", "/etc/cron.daily/apt-compat");
            },
        ),
        case(
            "SSH key added to authorized keys",
            |s| {
                let tee = s.host("/usr/bin/tee", &["tee", "-a", "/root/.ssh/authorized_keys"]);
                s.t.open(tee, "/root/.ssh/authorized_keys", APPEND);
            },
            |s| {
                s.read(s.sshd, "/root/.ssh/authorized_keys");
                let ssh = s.user("/usr/bin/ssh", &["ssh", "web-2"]);
                s.write(ssh, "/home/alice/.ssh/known_hosts");
            },
        ),
        case(
            "Service unit added or changed",
            |s| s.write(s.root, "/etc/systemd/system/update.service"),
            |s| {
                let systemctl = s.host("/usr/bin/systemctl", &["systemctl", "edit", "nginx"]);
                s.write(systemctl, "/etc/systemd/system/nginx.service.d/override.conf");
                s.read(Task(1), "/etc/systemd/system/nginx.service");
                let dpkg = dpkg(s);
                s.write(dpkg, "/lib/systemd/system/nginx.service");
            },
        ),
        case(
            "Shell start-up file changed",
            |s| {
                s.t.open(s.root, "/root/.bashrc", APPEND);
                s.write(s.root, "/etc/profile.d/x.sh");
            },
            |s| {
                s.read(s.alice, "/home/alice/.bashrc");
                s.t.open(s.alice, "/home/alice/.bash_history", APPEND);
                let useradd = s.host("/usr/sbin/useradd", &["useradd", "-m", "bob"]);
                s.write(useradd, "/home/bob/.bashrc");
            },
        ),
        case(
            "Login or boot hook changed",
            |s| s.write(s.root, "/etc/update-motd.d/01-x"),
            |s| {
                s.read(s.root, "/etc/update-motd.d/00-header");
                let dpkg = dpkg(s);
                s.write(dpkg, "/etc/udev/rules.d/70-x.rules");
            },
        ),
        case(
            "Authentication configuration changed",
            |s| s.edit(s.root, "/etc/pam.d/sshd"),
            |s| {
                s.read(s.sshd, "/etc/pam.d/sshd");
                let dpkg = dpkg(s);
                s.write(dpkg, "/etc/pam.d/cron");
            },
        ),
        case(
            "Write below a folder of system programs",
            |s| {
                let cp = s.host("/bin/cp", &["cp", "/tmp/ls", "/usr/bin/ls"]);
                s.write(cp, "/usr/bin/ls");
            },
            |s| {
                s.read(s.root, "/usr/bin/ls");
                let dpkg = dpkg(s);
                s.write(dpkg, "/usr/bin/ls.dpkg-new");
            },
        ),
        case(
            "System program renamed or removed",
            |s| {
                let mv = s.host("/bin/mv", &["mv", "/tmp/ps", "/usr/bin/ps"]);
                s.t.rename(mv, "/tmp/ps", "/usr/bin/ps");
                s.t.mkdir(s.root, "/usr/sbin/.x");
                s.t.unlink(s.root, "/usr/bin/auditctl");
            },
            |s| {
                let dpkg = dpkg(s);
                s.t.rename(dpkg, "/usr/bin/ls.dpkg-new", "/usr/bin/ls");
                s.t.rename(s.alice, "/home/alice/a", "/home/alice/b");
                s.t.mkdir(s.alice, "/home/alice/bin");
            },
        ),
        case(
            "Write below a folder of libraries or boot files",
            |s| s.write(s.root, "/usr/lib/libx.so"),
            |s| {
                s.read(s.app, "/usr/lib/libc.so.6");
                let dpkg = dpkg(s);
                s.write(dpkg, "/usr/lib/libz.so.1.dpkg-new");
            },
        ),
        case(
            "Package source added",
            |s| s.write(s.root, "/etc/apt/sources.list.d/x.list"),
            |s| {
                let apt = s.host("/usr/bin/apt-get", &["apt-get", "update"]);
                s.read(apt, "/etc/apt/sources.list");
                s.write(apt, "/etc/apt/sources.list.d/debian.sources");
            },
        ),
        case(
            "Write below etc",
            |s| s.write(s.root, "/etc/hosts"),
            |s| {
                s.read(s.app, "/etc/hosts");
                let dpkg = dpkg(s);
                s.write(dpkg, "/etc/nginx/nginx.conf.dpkg-new");
                let ldconfig = s.host("/sbin/ldconfig", &["ldconfig"]);
                s.write(ldconfig, "/etc/ld.so.cache~");
            },
        ),
        case(
            "Write below root",
            |s| {
                s.write(s.root, "/root/linpeas.sh");
                s.write(s.app, "/payload");
            },
            |s| {
                s.t.open(s.root, "/root/.bash_history", APPEND);
                s.write(s.root, "/root/.cache/pip/x");
                s.write(s.app, "/var/lib/app/state");
            },
        ),
        case(
            "User management program run",
            |s| {
                s.host("/usr/sbin/useradd", &["useradd", "-o", "-u", "0", "backdoor"]);
            },
            |s| {
                let dpkg = dpkg(s);
                let script = s.t.spawn(dpkg, "/bin/sh", &["sh", "/var/lib/dpkg/info/nginx.postinst"]);
                s.t.spawn(script, "/usr/sbin/useradd", &["useradd", "--system", "nginx"]);
                s.host("/usr/bin/id", &["id", "alice"]);
            },
        ),
        case(
            "Kernel module loaded by an unusual program",
            |s| {
                let insmod = s.host("/sbin/insmod", &["insmod", "/tmp/diamorphine.ko"]);
                s.t.finit_module(insmod, 3, 0);
            },
            |s| {
                let modprobe = s.host("/sbin/modprobe", &["modprobe", "br_netfilter"]);
                s.t.finit_module(modprobe, 3, 0);
                let udev = s.host("/usr/lib/systemd/systemd-udevd", &["systemd-udevd"]);
                s.t.finit_module(udev, 4, 0);
            },
        ),
        case(
            "Known back door library opened by the SSH server",
            |s| s.read(s.sshd, "/lib/x86_64-linux-gnu/liblzma.so.5.6.1"),
            |s| {
                s.read(s.sshd, "/lib/x86_64-linux-gnu/liblzma.so.5.4.1");
                s.read(s.app, "/lib/x86_64-linux-gnu/liblzma.so.5.6.1");
            },
        ),
    ]
}

/// The package manager at work on the host.
fn dpkg(s: &mut Scene) -> Task {
    let apt = s.host("/usr/bin/apt-get", &["apt-get", "install", "-y", "nginx"]);
    s.t.spawn(apt, "/usr/bin/dpkg", &["dpkg", "--unpack", "nginx.deb"])
}
