//! Cases for `20-privilege-escalation.yaml`.

use casebook_fixtures::flags::{EPERM, RWXR_XR_X, S_ISUID};
use casebook_fixtures::{Exec, Proc};

use crate::scene::{Case, PTS, case};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case(
            "Setuid or setgid bit set on a file",
            |s| {
                let chmod = s.host("/bin/chmod", &["chmod", "u+s", "/tmp/sh"]);
                s.t.chmod(chmod, "/tmp/sh", S_ISUID | RWXR_XR_X);
            },
            |s| {
                let chmod = s.host("/bin/chmod", &["chmod", "+x", "/tmp/run.sh"]);
                s.t.chmod(chmod, "/tmp/run.sh", RWXR_XR_X);
                let dpkg = s.host("/usr/bin/dpkg", &["dpkg", "-i", "sudo.deb"]);
                s.t.chmod(dpkg, "/usr/bin/sudo", S_ISUID | RWXR_XR_X);
            },
        ),
        case(
            "Root identity taken without sudo",
            |s| {
                let exploit = s.user("/home/alice/x", &["./x"]);
                s.t.setuid(exploit, 0, 0);
            },
            |s| {
                let sudo = s.user("/usr/bin/sudo", &["sudo", "id"]);
                s.t.setuid(sudo, 0, 0);
                let id = s.t.spawn(sudo, "/usr/local/bin/tool", &["tool"]);
                s.t.setresuid(id, 0, 0);
                s.t.setuid(s.cron, 0, 0);
            },
        ),
        case(
            "Change of identity refused",
            |s| {
                let probe = s.user("/home/alice/probe", &["./probe"]);
                s.t.setuid(probe, 0, EPERM);
            },
            |s| {
                let ping = s.user("/usr/bin/ping", &["ping", "10.0.0.1"]);
                s.t.setuid(ping, 0, EPERM);
                s.t.setuid(s.nginx, 33, 0);
            },
        ),
        case(
            "Sudo heap overflow attempted",
            |s| {
                s.user("/usr/bin/sudoedit", &["sudoedit", "-s", "AAAA\\"]);
            },
            |s| {
                s.user("/usr/bin/sudo", &["sudo", "-s"]);
                s.user("/usr/bin/sudoedit", &["sudoedit", "/etc/hosts"]);
            },
        ),
        case(
            "Polkit agent started without arguments",
            |s| {
                let child = s.t.fork(s.alice);
                let env = ["GCONV_PATH=.", "CHARSET=x", "SHELL=x"];
                s.t.exec(child, &Exec::new("/usr/bin/pkexec").argv(&["pkexec"]).env(&env));
            },
            |s| {
                s.user("/usr/bin/pkexec", &["pkexec", "gparted"]);
            },
        ),
        case(
            "Loader tunables set for a program",
            |s| {
                let child = s.t.fork(s.alice);
                let env = ["GLIBC_TUNABLES=glibc.malloc.mxfast=glibc.malloc.mxfast=A"];
                s.t.exec(child, &Exec::new("/usr/bin/su").argv(&["su", "--help"]).env(&env));
            },
            |s| {
                s.user("/usr/bin/su", &["su", "-"]);
            },
        ),
        case(
            "Memory of another process changed",
            |s| {
                let injector = s.host("/opt/x/inject", &["inject", "600"]);
                s.t.ptrace(injector, "PTRACE_POKETEXT", s.sshd, 0);
                s.t.write_memory(injector, s.sshd, b"\x90\x90");
            },
            |s| {
                let gdb = s.host("/usr/bin/gdb", &["gdb", "-p", "3000"]);
                s.t.ptrace(gdb, "PTRACE_POKETEXT", s.app, 0);
                let strace = s.host("/opt/x/inject", &["inject", "600"]);
                s.t.ptrace(strace, "PTRACE_PEEKTEXT", s.sshd, 0);
            },
        ),
        case(
            "Process traced by another",
            |s| {
                let strace = s.host("/usr/bin/strace", &["strace", "-p", "600"]);
                s.t.ptrace(strace, "PTRACE_ATTACH", s.sshd, 0);
            },
            |s| {
                // A debugger starts its own child, which asks to be traced.
                let child = s.host("/usr/bin/ls", &["ls"]);
                s.t.ptrace(child, "PTRACE_TRACEME", s.root, 0);
            },
        ),
        case(
            "Page faults handled by an unprivileged process",
            |s| {
                let exploit = s.user("/home/alice/x", &["./x"]);
                s.t.userfaultfd(exploit);
            },
            |s| {
                let qemu = s.host("/usr/bin/qemu-system-x86_64", &["qemu-system-x86_64"]);
                s.t.userfaultfd(qemu);
            },
        ),
        case(
            "Capabilities attached to a file",
            |s| {
                s.host("/sbin/setcap", &["setcap", "cap_setuid+ep", "/home/alice/python3"]);
            },
            |s| {
                s.host("/sbin/getcap", &["getcap", "-r", "/usr"]);
                let dpkg = s.host("/usr/bin/dpkg", &["dpkg", "--configure", "ping"]);
                let script = s.t.spawn(dpkg, "/bin/sh", &["sh", "/var/lib/dpkg/info/ping.postinst"]);
                s.t.spawn(script, "/sbin/setcap", &["setcap", "cap_net_raw+ep", "/bin/ping"]);
            },
        ),
        case(
            "Sudo configuration changed",
            |s| {
                let tee = s.host("/usr/bin/tee", &["tee", "/etc/sudoers.d/x"]);
                s.write(tee, "/etc/sudoers.d/x");
            },
            |s| {
                let visudo = s.host("/usr/sbin/visudo", &["visudo"]);
                s.write(visudo, "/etc/sudoers");
                let sudo = s.t.process(Proc::new(4300, "/usr/bin/sudo").login(1000, PTS));
                s.read(sudo, "/etc/sudoers.d/README");
            },
        ),
    ]
}
