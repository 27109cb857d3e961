//! What the state makes of events that the capture lacks.

use super::*;

fn brk(tid: i64, addr: i64, vm_size: i64) -> Build {
    event(PPME_SYSCALL_BRK_4_X, tid).num("addr", addr).num("vm_size", vm_size).num("vm_rss", 1).num("vm_swap", 0)
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

// A child acts although the capture does not show it return from its clone: half of the clone is lost, and when it
// began is unknown, as that half may have been the first. From this certain sign on counts are unknown as well.
#[test]
fn lost_half_of_a_clone() {
    let mut bench = Bench::new();
    bench.apply(&clone_parent(10, 20, 0));
    assert!(bench.state.start_of(bench.thread(20)).is_some() && !bench.state.has_losses());
    bench.apply(&nothing(20));
    assert!(bench.state.start_of(bench.thread(20)).is_none() && bench.state.has_losses());
    assert_eq!(bench.ledger.get(Counter::LostClones), 1);
}

// The same of the parent's half: the parent is inside the call and can do nothing else before. A second call of it, or
// its violent death, is another matter.
#[test]
fn lost_half_of_the_parent() {
    let mut bench = Bench::new();
    bench.apply(&clone_child(20, 10, 0));
    bench.apply(&clone_child(21, 10, crate::state::flags::CLONE_PARENT));
    bench.apply(&nothing(20));
    assert!(!bench.state.has_losses(), "the parent's half is on its way");
    bench.apply(&nothing(10));
    assert!(bench.state.start_of(bench.thread(20)).is_none());
    assert_eq!(bench.ledger.get(Counter::LostClones), 1);
    let mut killed = Bench::new();
    killed.apply(&clone_child(20, 10, 0));
    killed.apply(&exit(10));
    assert!(!killed.state.has_losses());
}

// The halves of a clone into a pid namespace do not name each other, and are a pair all the same.
#[test]
fn halves_across_a_pid_namespace_are_a_pair() {
    let inside = crate::state::flags::CHILD_IN_PIDNS;
    for parent_first in [true, false] {
        let mut bench = Bench::new();
        let halves = [clone_parent(10, 7, inside), clone_child(200, 10, inside).num("vtid", 7).num("vpid", 7)];
        let order: [&Build; 2] = if parent_first { [&halves[0], &halves[1]] } else { [&halves[1], &halves[0]] };
        for half in order {
            bench.apply(half);
        }
        bench.apply(&nothing(10));
        bench.apply(&nothing(200));
        assert!(!bench.state.has_losses());
        bench.apply(&event(PPME_DROP_E, -1).num("ratio", 2));
        assert!(bench.state.start_of(bench.thread(200)).is_some(), "both halves are there, whatever else is lost");
    }
}

// A number that this program opened is given out again: it was closed. A number from the list or from the parent, where
// lists and parents may know too much, proves nothing.
#[test]
fn lost_close() {
    let mut bench = Bench::new();
    bench.apply(&open(10, 2, "/list/was/wrong", 1));
    assert!(!bench.state.has_losses());
    bench.apply(&open(10, 3, "/a", 1));
    bench.fork(20);
    bench.apply(&open(20, 3, "/b", 1));
    assert!(!bench.state.has_losses());
    bench.apply(&open(20, 3, "/c", 1));
    assert_eq!((bench.ledger.get(Counter::LostCloses), bench.name(20, 3).as_str()), (1, "/c"));
}

// Several threads: what stands later in the capture may have happened before.
#[test]
fn order_among_threads_proves_nothing() {
    let mut bench = Bench::new();
    bench.apply(&clone_half(10, 10, 1, 11, THREAD));
    bench.apply(&clone_half(11, 10, 1, 0, THREAD));
    bench.apply(&open(10, 3, "/a", 1));
    bench.apply(&open(11, 3, "/b", 1));
    assert!(!bench.state.has_losses());
}

// An exec tells another process group than the one that is known: the session may be another one, too.
#[test]
fn lost_setsid() {
    let mut bench = Bench::new();
    bench.fork(20);
    bench.apply(&exec(20, 20, "ls").num("vpgid", 10).num("pgid", 10));
    assert_eq!((bench.thread(20).sid, bench.state.has_losses()), (10, false));
    bench.apply(&exec(20, 20, "bash").num("vpgid", 20).num("pgid", 20));
    let thread = bench.thread(20);
    assert_eq!((thread.sid, thread.pgid, thread.vpgid), (-1, 20, 20));
    assert_eq!(bench.ledger.get(Counter::LostChanges), 1);
}

// The child says that init is its parent by now: its parent died unseen, and took nobody with it.
#[test]
fn lost_exit_told_by_a_child() {
    let mut bench = Bench::new();
    bench.fork(20);
    bench.apply(&clone_half(20, 20, 10, 30, 0));
    bench.apply(&clone_half(30, 30, 20, 0, 0));
    bench.apply(&clone_half(20, 20, 10, 31, 0));
    bench.apply(&clone_half(31, 31, 20, 0, 0));
    assert!(!bench.state.has_losses());
    bench.apply(&clone_half(30, 30, 1, 40, 0));
    assert!(bench.state.thread(20).is_none());
    assert_eq!((bench.thread(30).ptid, bench.thread(31).ptid), (1, 1));
    assert_eq!(bench.thread(30).former_parent.as_ref().map(|(pid, _)| *pid), Some(20));
    assert_eq!(bench.ledger.get(Counter::LostExits), 1);
}

// The kernel says who a thread is: a lost setuid shows at the next question.
#[test]
fn lost_setuid() {
    let mut bench = Bench::new();
    bench.apply(&event(PPME_SYSCALL_GETEUID_X, 10).num("euid", 1000));
    assert!(!bench.state.has_losses());
    bench.apply(&event(PPME_SYSCALL_GETEUID_X, 10).num("euid", 33));
    assert_eq!((bench.thread(10).uid, bench.ledger.get(Counter::LostChanges)), (Some(33), 1));
    bench.apply(&clone_half(10, 10, 1, 20, 0));
    assert_eq!(bench.thread(10).uid, Some(1000), "a clone tells it, too");
}

// What a call finds out about its descriptor: pipes have no position, terminals know what they are set to, and a closed
// number is no descriptor.
#[test]
fn descriptors_that_became_something_else() {
    let mut bench = Bench::new();
    let kind = |bench: &Bench, number: i64| bench.state.fd(bench.thread(10), number).map(|fd| fd.kind);
    bench.apply(&event(PPME_SYSCALL_PIPE2_X, 10).num("res", 0).num("fd1", 3).num("fd2", 4));
    bench.apply(&event(PPME_SYSCALL_LSEEK_X, 10).num("res", -29).num("fd", 3));
    assert_eq!(kind(&bench, 3), Some(FdKind::Fifo));
    bench.apply(&event(PPME_SYSCALL_LSEEK_X, 10).num("res", 0).num("fd", 3));
    assert_eq!(kind(&bench, 3), Some(FdKind::Unknown), "open, and unknown");
    bench.apply(&event(PPME_SYSCALL_IOCTL_3_X, 10).num("res", 0).num("fd", 0).num("request", 0x5401));
    assert_eq!(bench.name(10, 0), "/dev/pts/0");
    bench.apply(&event(PPME_SYSCALL_IOCTL_3_X, 10).num("res", -25).num("fd", 0).num("request", 0x5401));
    assert_eq!(bench.name(10, 0), "");
    bench.apply(&event(PPME_SYSCALL_FCNTL_X, 10).num("res", -9).num("fd", 4).num("cmd", 2));
    assert_eq!(kind(&bench, 4), None);
    bench.apply(&event(PPME_SYSCALL_FCNTL_X, 10).num("res", 1).num("fd", 1).num("cmd", 2));
    bench.apply(&exec(10, 10, "ls"));
    assert!(!bench.has_fd(10, 1), "F_GETFD told that it is closed on exec");
}

// Once events are certainly missing, memory is what the event at hand tells, and counts are unknown.
#[test]
fn what_rests_on_everything_is_unknown_after_a_loss() {
    let mut bench = Bench::new();
    bench.apply(&brk(10, 0x1000, 500));
    bench.apply(&nothing(10));
    assert_eq!(bench.state.memory(bench.thread(10)).map(|usage| usage.vm_size), Some(500));
    bench.apply(&event(PPME_DROP_E, -1).num("ratio", 2));
    assert!(bench.state.has_losses());
    bench.apply(&nothing(10));
    assert!(bench.state.memory(bench.thread(10)).is_none());
    bench.apply(&brk(10, 0x1000, 600));
    assert_eq!(bench.state.memory(bench.thread(10)).map(|usage| usage.vm_size), Some(600));
}

// A loader looks for its preload list, and a C library names its thread, once in the life of a program.
#[test]
fn lost_exec_told_by_the_loader() {
    let preload = event(PPME_SYSCALL_ACCESS_X, 20).num("res", -2).text("name", "/etc/ld.so.preload");
    let named = event(PPME_GENERIC_X, 20).num("ID", 169).num("nativeID", 218);
    for sign in [preload, named] {
        let mut bench = Bench::new();
        bench.fork(20);
        bench.apply(&exec(20, 20, "ls"));
        bench.apply(&sign);
        assert_eq!(text(&bench.thread(20).comm), "ls");
        let mut bench = Bench::new();
        bench.fork(20);
        bench.apply(&sign);
        assert_eq!(text(&bench.thread(20).comm), "<NA>");
    }
}

// Numbers that stand for places in a ring's table of files are chosen by programs: nothing follows for those below.
#[test]
fn a_place_in_a_rings_table_says_nothing_of_descriptors() {
    const PLACE: i64 = (1 << 30) + 2;
    let mut bench = Bench::new();
    bench.fork(20);
    bench.apply(&exec(20, 20, "b"));
    bench.state.losses.shown();
    bench.apply(&open(20, PLACE, "/etc/shadow", 1));
    assert_eq!((bench.name(20, PLACE).as_str(), bench.has_fd(20, 5)), ("/etc/shadow", false));
    assert_eq!(bench.ledger.get(Counter::LostOpens), 0);
    bench.apply(&open(20, 5, "/f", 1));
    assert!(bench.ledger.get(Counter::LostOpens) > 0, "as a descriptor does");
}

// A capture that lies may open the highest number again and again: each time no more numbers below become open and
// unknown than the limit says, and what lies beyond stays without a record.
#[test]
fn numbers_passed_over_have_a_limit() {
    const HIGH: i64 = crate::state::limits::MAX_FDS as i64 - 1;
    const ROUNDS: u64 = 300;
    let limit = crate::state::limits::MAX_FDS_PASSED_OVER as i64;
    let mut bench = Bench::new();
    bench.fork(20);
    bench.apply(&exec(20, 20, "b"));
    bench.state.losses.shown();
    let all = event(PPME_SYSCALL_CLOSE_RANGE_X, 20).num("res", 0).num("first", 0).num("last", 0xffff_ffff);
    bench.apply(&all);
    for _ in 0..ROUNDS {
        bench.apply(&open(20, HIGH, "/f", 1));
        assert_eq!(bench.state.fd_count(bench.thread(20)) as i64, limit + 1);
        assert!(bench.has_fd(20, limit - 1) && !bench.has_fd(20, limit), "the lowest ones");
        bench.apply(&all);
    }
    assert_eq!(bench.ledger.get(Counter::LostOpens), ROUNDS * limit as u64);
    assert!(bench.state.has_losses(), "so that nobody takes the count for the truth");
}
