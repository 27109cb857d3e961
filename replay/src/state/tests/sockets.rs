//! Sockets: what is learned of their ends.

use super::*;

// In progress, refused, finished.
#[test]
fn connect_states() {
    let mut bench = Bench::new();
    bench.apply(&socket(10, 3, 2, 1));
    bench.apply(&connect(10, 3, -111, Some(tuple([127, 0, 0, 1], 1, [127, 0, 0, 1], 2))));
    let fd = |bench: &Bench| bench.state.fd(bench.thread(10), 3).unwrap().clone();
    assert!(!fd(&bench).connected && fd(&bench).name.is_empty());
    let effects = bench.apply(&connect(10, 3, -115, Some(tuple([127, 0, 0, 1], 1, [127, 0, 0, 1], 2))));
    assert!(effects.fd_name_changed);
    assert!(fd(&bench).connected && fd(&bench).connect_pending && fd(&bench).is_client);
    let mut error = vec![1];
    error.extend(0i64.to_le_bytes());
    let effects = bench.apply(
        &event(PPME_SOCKET_GETSOCKOPT_X, 10)
            .num("res", 0)
            .num("fd", 3)
            .num("level", 1)
            .num("optname", 4)
            .raw("val", &error),
    );
    assert_eq!(effects.error, Some(0));
    assert!(!fd(&bench).connect_pending);
    assert_eq!(text(&fd(&bench).name), "127.0.0.1:1->127.0.0.1:2");
}

// The server's side: bound, accepted.
#[test]
fn bind_and_accept() {
    let mut bench = Bench::new();
    bench.apply(&socket(10, 3, 2, 1));
    bench.apply(&event(PPME_SOCKET_BIND_X, 10).num("res", 0).num("fd", 3).raw("addr", &[2, 0, 0, 0, 0, 80, 0]));
    assert_eq!(bench.name(10, 3), "0.0.0.0:80");
    let accept = event(PPME_SOCKET_ACCEPT4_6_X, 10).num("fd", 4);
    bench.apply(&accept.raw("tuple", &tuple([10, 0, 0, 9], 5555, [10, 0, 0, 1], 80)));
    let fd = bench.state.fd(bench.thread(10), 4).unwrap();
    assert_eq!(text(&fd.name), "10.0.0.9:5555->10.0.0.1:80");
    assert!(fd.is_server && fd.connected);
    let listener = bench.state.fd(bench.thread(10), 3).unwrap();
    assert_eq!(listener.kind, FdKind::Ipv4Server);
}

// An unconnected datagram socket learns each peer from its packets; the sender's missing address is the machine's.
#[test]
fn datagram_peers() {
    let mut bench = Bench::new();
    bench.state.seed_interfaces(vec![Interface::V4 {
        name: b"eth0".to_vec(),
        addr: [10, 0, 2, 15].into(),
        netmask: [255, 255, 255, 0].into(),
        broadcast: [10, 0, 2, 255].into(),
        link_speed: 0,
    }]);
    bench.apply(&socket(10, 3, 2, 2));
    let send = |to, port| {
        event(PPME_SOCKET_SENDTO_X, 10).num("res", 4).num("fd", 3).raw("tuple", &tuple([0, 0, 0, 0], 999, to, port))
    };
    let effects = bench.apply(&send([8, 8, 8, 8], 53));
    assert_eq!(bench.name(10, 3), "10.0.2.15:999->8.8.8.8:53");
    assert!(effects.fd_name_changed);
    assert!(!bench.apply(&send([8, 8, 8, 8], 53)).fd_name_changed);
    let effects = bench.apply(&send([1, 1, 1, 1], 53));
    assert!(effects.fd_name_changed);
    assert_eq!(bench.name(10, 3), "10.0.2.15:999->1.1.1.1:53");
    // The answer is the same connection seen from the other side.
    let receive = event(PPME_SOCKET_RECVFROM_X, 10).num("res", 4).num("fd", 3);
    let effects = bench.apply(&receive.raw("tuple", &tuple([1, 1, 1, 1], 53, [10, 0, 2, 15], 999)));
    assert!(!effects.fd_name_changed);
}

// A socket whose socket() was lost is found by its first packet.
#[test]
fn sockets_learned_late() {
    let mut bench = Bench::new();
    let send = event(PPME_SOCKET_SENDTO_X, 10).num("res", 4).num("fd", 9);
    bench.apply(&send.raw("tuple", &tuple([10, 0, 0, 1], 999, [8, 8, 8, 8], 53)));
    assert_eq!(bench.name(10, 9), "10.0.0.1:999->8.8.8.8:53");
}

// Unix sockets carry both kernel addresses and the path.
#[test]
fn unix_sockets() {
    let mut bench = Bench::new();
    bench.apply(&socket(10, 3, 1, 1));
    let mut ends = vec![1];
    ends.extend(0xabcu64.to_le_bytes());
    ends.extend(0xdefu64.to_le_bytes());
    ends.extend(b"/var/run/docker.sock\0");
    bench.apply(&connect(10, 3, 0, Some(ends)));
    assert_eq!(bench.name(10, 3), "abc->def /var/run/docker.sock");
    let effects = bench.apply(
        &event(PPME_SOCKET_SOCKETPAIR_X, 10).num("res", 0).num("fd1", 5).num("fd2", 6).num("source", 1).num("peer", 2),
    );
    assert_eq!(effects.fd, Some(6));
    assert!(bench.has_fd(10, 5) && bench.has_fd(10, 6));
}

// Server ports on this machine tell which end of a listed connection is the server.
#[test]
fn ends_of_listed_connections() {
    let mut bench = Bench::new();
    let connection = FdInfo::V4 { sip: [10, 0, 0, 1].into(), dip: [10, 0, 0, 9].into(), sport: 80, dport: 5555, l4: 2 };
    let listener = FdInfo::V4Server { ip: [0, 0, 0, 0].into(), port: 80, l4: 2 };
    let fds = vec![
        FdEntry { fd: 7, ino: 1, fd_type: 3, info: connection },
        FdEntry { fd: 8, ino: 2, fd_type: 5, info: listener },
    ];
    bench.state.seed_fds(&FdList { tid: 10, fds }, &mut bench.ledger);
    bench.apply(&nothing(10));
    let fd = bench.state.fd(bench.thread(10), 7).unwrap();
    assert_eq!(text(&fd.name), "10.0.0.9:5555->10.0.0.1:80");
    assert!(fd.is_server && !fd.is_client);
}

// Kernel iterators list descriptors one by one: whose end is a server's is known when the list ends, not before; and in a
// list without end, or cut to pieces by other events, it is not asked after each of them.
#[test]
fn ends_of_listed_sockets_are_sorted_out_after_the_list() {
    const HEADER: i64 = (10 << 32) + 10;
    let socket = |fd: i64, port: i64, peer: i64| {
        let socket = event(PPME_ITER_TASK_FILE_SOCKET_INET_E, HEADER).num("fd", fd).num("sk_type", 1);
        let socket = socket.num("sk_proto", 6).num("local_port", port).num("remote_port", peer);
        let remote = if peer == 0 { [0; 4] } else { [10, 0, 0, 2] };
        socket.raw("local_ip", &[10, 0, 0, 1]).raw("remote_ip", &remote)
    };
    let mut bench = Bench::new();
    let role = |bench: &Bench, fd: i64| {
        let fd = bench.state.fd(bench.thread(10), fd).unwrap();
        (fd.is_server, fd.is_client)
    };
    bench.apply(&socket(5, 80, 4000));
    bench.apply(&socket(6, 80, 0));
    assert_eq!(role(&bench, 5), (false, false), "the list goes on");
    bench.apply(&nothing(10));
    assert_eq!((role(&bench, 5), role(&bench, 6)), ((true, false), (true, false)));
    let per_event = crate::state::limits::SETTLED_PER_EVENT as i64;
    for fd in 7..7 + 10 * per_event {
        bench.apply(&socket(fd, 80, 4000 + fd));
    }
    bench.apply(&nothing(10));
    assert_eq!(role(&bench, 7), (true, false));
    bench.apply(&socket(5000, 80, 5000));
    let waits = |_: &i32| {
        bench.apply(&nothing(10));
        role(&bench, 5000) == (false, false)
    };
    assert_eq!((0..100).take_while(waits).count(), 8, "all were looked at just now");
    assert_eq!(role(&bench, 5000), (true, false));
}
