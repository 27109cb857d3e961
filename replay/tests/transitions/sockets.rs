//! Sockets: what is learned when, and who is client and who server.

use casebook_fixtures::{Endpoint, Task, Trace, Value, flags};
use casebook_formats::tables::ppme;

use super::{desk, says};

const ENDS: &str = "fd.name fd.cip fd.cport fd.sip fd.sport fd.is_server fd.connected";

fn local(port: u16) -> Endpoint {
    Endpoint::new("10.0.0.5", port)
}

fn remote(port: u16) -> Endpoint {
    Endpoint::new("9.9.9.9", port)
}

fn receives(t: &mut Trace, task: Task, fd: i64, from: Endpoint, to: Endpoint) {
    let tuple = ("tuple", Value::Pair(from, to));
    t.emit(task.0, ppme::PPME_SOCKET_RECVFROM_X, &[("res", 4_i64.into()), ("fd", fd.into()), tuple]);
}

// dup2 of a socket over the standard streams, as a reverse shell does it: the shell reads from its controller.
#[test]
fn dup2_over_a_socket_and_with_one() {
    let (mut t, shell) = desk();
    let fd = t.socket(shell, flags::AF_INET, flags::SOCK_STREAM, 0);
    t.connect_fd(shell, fd, local(40_000), remote(443), 0);
    t.dup2(shell, fd, 0).dup2(shell, fd, 1);
    says(&t, "fd.num fd.name fd.type fd.l4proto", "1 | 10.0.0.5:40000->9.9.9.9:443 | ipv4 | tcp");
    t.execve(shell, "/bin/sh", &["sh"]);
    says(&t, "proc.stdin.type proc.stdout.name", "ipv4 | 10.0.0.5:40000->9.9.9.9:443");
    // And a file over the socket: the connection is gone from this number.
    let log = t.open(shell, "/tmp/log", flags::WRITE);
    t.dup2(shell, log, 1).write(shell, 1, b"x");
    says(&t, "fd.type fd.name fd.sip", "file | /tmp/log | <NA>");
}

// A connect in progress has its ends, and is not established; SO_ERROR tells how it went, data that it did.
#[test]
fn connect_in_progress() {
    let (mut t, shell) = desk();
    let fd = t.connect(shell, local(40_000), remote(443));
    says(&t, "evt.res fd.name fd.is_server", "EINPROGRESS | 10.0.0.5:40000->9.9.9.9:443 | false");
    let refused = t.socket(shell, flags::AF_INET, flags::SOCK_STREAM, 0);
    t.connect_fd(shell, refused, local(40_001), remote(443), -111);
    says(&t, "evt.failed fd.name fd.connected", "true |  | false");
    t.write(shell, fd, b"hello");
    says(&t, ENDS, "10.0.0.5:40000->9.9.9.9:443 | 10.0.0.5 | 40000 | 9.9.9.9 | 443 | false | true");
}

// The accepting end is the server, whichever end is named first by the tuple.
#[test]
fn server_and_client_side() {
    let (mut t, shell) = desk();
    t.listen(shell, Endpoint::new("0.0.0.0", 8080));
    says(&t, "fd.name fd.type fd.is_server fd.sport", "0.0.0.0:8080 | ipv4 | true | 8080");
    let fd = t.accept(shell, remote(50_000), local(8080));
    says(&t, ENDS, "9.9.9.9:50000->10.0.0.5:8080 | 9.9.9.9 | 50000 | 10.0.0.5 | 8080 | true | true");
    t.read(shell, fd, b"GET /");
    says(&t, "fd.lip fd.lport fd.rip fd.rport", "10.0.0.5 | 8080 | 9.9.9.9 | 50000");
}

// The accept queue is told with the accept: how full it is, in percent too.
#[test]
fn accept_queues() {
    let (mut t, shell) = desk();
    t.listen(shell, local(8080));
    let named = [
        ("fd", 9_i64.into()),
        ("tuple", Value::Pair(remote(50_000), local(8080))),
        ("queuepct", 75_i64.into()),
        ("queuelen", 96_i64.into()),
        ("queuemax", 128_i64.into()),
    ];
    t.emit(shell.0, ppme::PPME_SOCKET_ACCEPT4_6_X, &named);
    says(&t, "evt.arg.queuepct evt.arg.queuelen evt.arg.queuemax", "75 | 96 | 128");
}

// IPv4 addresses in IPv6 sockets are IPv4: so people write their rules.
#[test]
fn ipv4_mapped_addresses() {
    let (mut t, shell) = desk();
    let fd = t.socket(shell, flags::AF_INET6, flags::SOCK_STREAM, 0);
    t.connect_fd(shell, fd, Endpoint::new("::ffff:10.0.0.5", 40_000), Endpoint::new("::ffff:9.9.9.9", 80), 0);
    says(&t, "fd.type fd.name fd.sip", "ipv4 | 10.0.0.5:40000->9.9.9.9:80 | 9.9.9.9");
    let fd = t.socket(shell, flags::AF_INET6, flags::SOCK_STREAM, 0);
    t.connect_fd(shell, fd, Endpoint::new("fd00::5", 40_000), Endpoint::new("2001:db8::1", 80), 0);
    says(&t, "fd.type fd.name fd.sip", "ipv6 | fd00::5:40000->2001:db8::1:80 | 2001:db8::1");
}

// A datagram socket learns its ends from its packets, and follows them; who reads first serves.
#[test]
fn sockets_learned_late() {
    let (mut t, shell) = desk();
    let fd = t.send_datagram(shell, local(40_000), remote(53), b"?");
    says(&t, ENDS, "10.0.0.5:40000->9.9.9.9:53 | 10.0.0.5 | 40000 | 9.9.9.9 | 53 | false | true");
    receives(&mut t, shell, fd, Endpoint::new("8.8.8.8", 53), local(40_000));
    says(&t, "fd.sip fd.cip", "8.8.8.8 | 10.0.0.5");
    let server = t.socket(shell, flags::AF_INET, flags::SOCK_DGRAM, 0);
    receives(&mut t, shell, server, remote(5000), local(514));
    says(&t, "fd.name fd.is_server fd.l4proto", "9.9.9.9:5000->10.0.0.5:514 | true | udp");
}

// A datagram through a number that nobody saw open: an internet socket, as far as the packet tells.
#[test]
fn a_socket_that_nobody_saw_open() {
    let (mut t, shell) = desk();
    let tuple = ("tuple", Value::Pair(local(40_000), remote(53)));
    t.emit(shell.0, ppme::PPME_SOCKET_SENDTO_X, &[("res", 1_i64.into()), ("fd", 30_i64.into()), tuple]);
    says(&t, "fd.name fd.l4proto", "10.0.0.5:40000->9.9.9.9:53 | udp");
}

// Unix sockets have the path of the server; pairs are two ends without one.
#[test]
fn unix_sockets_and_their_peers() {
    let (mut t, shell) = desk();
    t.connect_unix(shell, "/run/docker.sock");
    says(&t, "fd.type fd.sockfamily fd.name", "unix | unix | ffff9d0000001000->ffff9d0000002000 /run/docker.sock");
    let named = [
        ("res", 0_i64.into()),
        ("fd1", 7_i64.into()),
        ("fd2", 8_i64.into()),
        ("source", 0x10_i64.into()),
        ("peer", 0x20_i64.into()),
    ];
    t.emit(shell.0, ppme::PPME_SOCKET_SOCKETPAIR_X, &named);
    for end in [7, 8] {
        let mut after = t.clone();
        after.write(shell, end, b"x");
        says(&after, "fd.type fd.sockfamily", "unix | unix");
    }
}

// SCM_RIGHTS: the numbers that came through a unix socket are known, what they are is not.
#[test]
fn descriptors_passed_through_a_socket() {
    let (mut t, shell) = desk();
    let stale = t.open(shell, "/stale", flags::READ);
    let fd = t.connect_unix(shell, "/run/agent.sock");
    let mut control = 24_u64.to_le_bytes().to_vec();
    for word in [1_i32, 1, stale as i32, 40] {
        control.extend(word.to_le_bytes());
    }
    let named = [("res", 1_i64.into()), ("fd", fd.into()), ("msgcontrol", Value::Bytes(&control))];
    t.emit(shell.0, ppme::PPME_SOCKET_RECVMSG_X, &named);
    for passed in [stale, 40] {
        let mut after = t.clone();
        after.read(shell, passed, b"x");
        says(&after, "fd.num fd.name", &format!("{passed} | "));
    }
}

// What a raw socket is for depends on its flags, in libs, and rules compare with that: Python sets close-on-exec.
#[test]
fn raw_sockets_with_and_without_flags() {
    let (mut t, shell) = desk();
    t.socket(shell, 2, 3, 1);
    says(&t, "fd.l4proto", "raw");
    t.socket(shell, 2, 3 | 0x8_0000, 1);
    says(&t, "fd.l4proto fd.type", "<NA> | ipv4");
}

// A datagram socket that talks to two servers is called after the packet at hand.
#[test]
fn datagrams_to_two_servers() {
    let (mut t, shell) = desk();
    let (own, first, second) =
        (Endpoint::new("10.0.0.1", 5353), Endpoint::new("10.0.0.53", 53), Endpoint::new("10.0.0.54", 53));
    let fd = t.send_datagram(shell, own, first, b"?");
    says(&t, "fd.sip fd.name", "10.0.0.53 | 10.0.0.1:5353->10.0.0.53:53");
    let tuple = Value::Pair(own, second);
    t.emit(shell.0, ppme::PPME_SOCKET_SENDTO_X, &[("res", 1_i64.into()), ("fd", fd.into()), ("tuple", tuple)]);
    says(&t, "fd.sip fd.name", "10.0.0.54 | 10.0.0.1:5353->10.0.0.54:53");
}
