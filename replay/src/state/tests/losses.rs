//! What the state makes of events that the capture lacks.

use super::*;

fn brk(tid: i64, addr: i64, vm_size: i64) -> Build {
    event(PPME_SYSCALL_BRK_4_X, tid).num("addr", addr).num("vm_size", vm_size)
}

// The child of a fork asks for the heap's beginning: a program started there, and its exec is missing. What the
// child had from its parent is over; what runs is unknown.
#[test]
fn lost_exec_of_a_child() {
    let mut bench = Bench::new();
    bench.fork(20);
    bench.apply(&open(20, 5, "/close/on/exec", CLOEXEC));
    bench.apply(&open(20, 6, "/kept", 1));
    bench.apply(&brk(20, 0x5000, 9000));
    assert_eq!(text(&bench.thread(20).comm), "bash", "a program that runs asks for more, not for the beginning");
    bench.apply(&brk(20, 0, 3000));
    let child = bench.thread(20);
    assert_eq!((text(&child.comm).as_str(), text(&child.exepath).as_str()), ("<NA>", ""));
    assert!(child.program_lost && child.env.is_empty());
    assert_eq!((child.uid, bench.cwd(20).as_str()), (Some(1000), "/root/"), "an exec leaves these");
    assert!(!bench.has_fd(20, 5));
    assert!(bench.has_fd(20, 6));
    assert_eq!(bench.ledger.get(Counter::LostExecs), 1);
    // Its own clone tells the name; the file is still unknown.
    bench.apply(&clone_half(20, 20, 10, 21, 0).text("exe", "python3").text("comm", "python3").raw("args", b"x.py\0"));
    let told = bench.thread(20);
    assert_eq!((text(&told.comm).as_str(), text(&told.args).as_str()), ("python3", "x.py\0"));
    assert!(told.program_lost && told.exepath.is_empty());
    assert_eq!(text(&bench.thread(21).comm), "python3");
    // The next exec says everything.
    bench.apply(&exec(20, 20, "ls"));
    assert!(!bench.thread(20).program_lost);
}

// After a seen exec the same question is what every program asks; only a process that shrank must have executed.
#[test]
fn lost_exec_after_an_exec() {
    let mut bench = Bench::new();
    bench.fork(20);
    bench.apply(&exec(20, 20, "ls"));
    bench.apply(&brk(20, 0, 4000));
    bench.apply(&brk(20, 0, 3900));
    assert_eq!((text(&bench.thread(20).comm).as_str(), bench.ledger.get(Counter::LostExecs)), ("ls", 0));
    bench.apply(&brk(20, 0, 2000));
    assert_eq!((text(&bench.thread(20).comm).as_str(), bench.ledger.get(Counter::LostExecs)), ("<NA>", 1));
}

// A clone whose caller has another name and another argv[0] proves an exec; another comm alone is a renamed thread,
// another argv[0] alone a program that writes its status there.
#[test]
fn lost_exec_told_by_a_clone() {
    for (exe, comm, after) in [("nginx: worker", "bash", "bash"), ("bash", "worker", "bash"), ("perl", "perl", "perl")]
    {
        let mut bench = Bench::new();
        bench.apply(&clone_half(10, 10, 1, 20, 0).text("exe", exe).text("comm", comm));
        assert_eq!(text(&bench.thread(10).comm), after, "{exe} {comm}");
        assert_eq!(bench.thread(10).program_lost, after == "perl");
    }
}

// A socket call that succeeds on a file: close and socket were lost. It is a socket of which nothing is known, until
// the call itself tells.
#[test]
fn a_number_that_became_a_socket() {
    let mut bench = Bench::new();
    bench.apply(&open(10, 5, "/etc/passwd", 1));
    bench.apply(&event(PPME_SOCKET_LISTEN_X, 10).num("res", -88).num("fd", 5));
    assert_eq!(bench.name(10, 5), "/etc/passwd", "ENOTSOCK proves the file");
    bench.apply(&event(PPME_SOCKET_LISTEN_X, 10).num("res", 0).num("fd", 5));
    assert_eq!((bench.name(10, 5).as_str(), bench.state.fd(bench.thread(10), 5).unwrap().kind), ("", FdKind::Unknown));
    bench.apply(&open(10, 6, "/etc/passwd", 1));
    bench.apply(&connect(10, 6, 0, Some(tuple([10, 0, 0, 1], 4000, [10, 0, 0, 2], 80))));
    assert_eq!(bench.state.fd(bench.thread(10), 6).unwrap().kind, FdKind::Ipv4);
}
