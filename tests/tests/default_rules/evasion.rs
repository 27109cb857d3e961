//! Cases for `40-defense-evasion.yaml`.

use casebook_fixtures::Exec;
use casebook_fixtures::flags::{EACCES, O_APPEND, O_CREAT, O_WRONLY};

use crate::scene::{Case, case};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case(
            "Program executed from memory",
            |s| {
                let parent = s.inside;
                s.t.memfd(parent, "");
                s.run(parent, &Exec::new("/proc/self/fd/3").argv(&["httpd"]).comm("3").resolved("memfd:").memfd());
            },
            |s| {
                let runc = s.host("/usr/bin/runc", &["runc", "init"]);
                s.t.exec(
                    runc,
                    &Exec::new("/proc/self/exe").comm("runc").resolved("memfd:runc_cloned:/proc/self/exe").memfd(),
                );
                s.t.memfd(s.app, "buffer");
            },
        ),
        case(
            "Program executed from shared memory",
            |s| {
                s.boxed("/dev/shm/.x", &["/dev/shm/.x"]);
                let shell = s.t.fork(s.inside);
                s.t.execve_failed(shell, "/dev/shm/.y", EACCES);
                s.t.execve(shell, "/bin/sh", &["sh", "/dev/shm/run.sh"]);
            },
            |s| {
                let db = s.boxed("/usr/bin/ls", &["ls", "/dev/shm"]);
                s.write(db, "/dev/shm/PostgreSQL.1");
                s.boxed("/bin/sh", &["sh", "/opt/run.sh"]);
            },
        ),
        case(
            "Program disguised as a kernel thread",
            |s| {
                s.run(s.root, &Exec::new("/var/lib/.k/kworker").argv(&["[kworker/0:1]"]));
            },
            |s| {
                s.host("/usr/bin/[", &["[", "-f", "/etc/hosts", "]"]);
                s.host("/usr/bin/sleep", &["sleep", "1"]);
            },
        ),
        case(
            "Dynamic loader preload file changed",
            |s| {
                s.write(s.root, "/etc/ld.so.preload");
                let mv = s.host("/bin/mv", &["mv", "/tmp/p", "/etc/ld.so.preload"]);
                s.t.rename(mv, "/tmp/p", "/etc/ld.so.preload");
            },
            |s| {
                s.read(s.app, "/etc/ld.so.preload");
                s.read(s.root, "/etc/ld.so.cache");
            },
        ),
        case(
            "Library preloaded from a temporary folder",
            |s| {
                s.run(s.root, &Exec::new("/usr/bin/sshd").env(&["LD_PRELOAD=/tmp/hook.so"]));
            },
            |s| {
                s.run(s.root, &Exec::new("/usr/bin/redis").env(&["LD_PRELOAD=/usr/lib/libjemalloc.so.2"]));
            },
        ),
        case(
            "Log cleared",
            |s| {
                s.write(s.root, "/var/log/auth.log");
                let rm = s.host("/bin/rm", &["rm", "/var/log/wtmp"]);
                s.t.unlinkat(rm, "/var/log/wtmp");
            },
            |s| {
                s.t.open(s.app, "/var/log/app.log", O_WRONLY | O_CREAT | O_APPEND);
                let rotate = s.t.spawn(s.cron, "/usr/sbin/logrotate", &["logrotate", "/etc/logrotate.conf"]);
                s.write(rotate, "/var/log/syslog");
                s.t.unlink(rotate, "/var/log/syslog.9.gz");
                s.t.unlink(s.app, "/var/lib/app/cache");
            },
        ),
        case(
            "Shell history removed",
            |s| {
                let rm = s.host("/bin/rm", &["rm", "-f", "/root/.bash_history"]);
                s.t.unlinkat(rm, "/root/.bash_history");
                s.write(s.alice, "/home/alice/.bash_history");
            },
            |s| {
                s.t.open(s.alice, "/home/alice/.bash_history", O_WRONLY | O_APPEND);
                let rm = s.user("/bin/rm", &["rm", "notes"]);
                s.t.unlinkat(rm, "/home/alice/notes");
            },
        ),
        case(
            "Security tool stopped",
            |s| {
                s.host("/usr/bin/systemctl", &["systemctl", "stop", "auditd"]);
                s.host("/usr/sbin/iptables", &["iptables", "-F"]);
                s.host("/usr/bin/pkill", &["pkill", "falco"]);
            },
            |s| {
                s.host("/usr/bin/systemctl", &["systemctl", "status", "auditd"]);
                s.host("/usr/bin/systemctl", &["systemctl", "stop", "nginx"]);
                s.host("/usr/sbin/iptables", &["iptables", "-L"]);
            },
        ),
        case(
            "Symbolic link over a sensitive file",
            |s| {
                let ln = s.boxed("/bin/ln", &["ln", "-s", "/etc/shadow", "/tmp/s"]);
                s.t.symlink(ln, "/etc/shadow", "/tmp/s");
            },
            |s| {
                let ln = s.boxed("/bin/ln", &["ln", "-s", "/opt/app-2", "/opt/app"]);
                s.t.symlink(ln, "/opt/app-2", "/opt/app");
            },
        ),
        case(
            "Hard link over a sensitive file",
            |s| {
                let ln = s.boxed("/bin/ln", &["ln", "/etc/shadow", "/tmp/s"]);
                s.t.link(ln, "/etc/shadow", "/tmp/s");
            },
            |s| {
                let passwd = s.host("/usr/bin/passwd", &["passwd", "alice"]);
                s.t.link(passwd, "/etc/shadow", "/etc/shadow.lock");
                let git = s.user("/usr/bin/git", &["git", "clone", "a", "b"]);
                s.t.link(git, "/home/alice/a/x", "/home/alice/b/x");
            },
        ),
        case(
            "File created below dev",
            |s| s.write(s.root, "/dev/.hidden"),
            |s| {
                s.write(s.root, "/dev/null");
                s.write(s.root, "/dev/shm/segment");
                s.edit(s.root, "/dev/ttyS0");
            },
        ),
    ]
}
