//! Threads: who is there, whose child, with whose descriptors.

use super::*;

// A fork's child has its parent's descriptors, directory and ids, whichever half comes first.
#[test]
fn fork_in_either_order() {
    for parent_first in [true, false] {
        let mut bench = Bench::new();
        let halves = [clone_parent(10, 20, 0), clone_child(20, 10, 0)];
        let order: [&Build; 2] = if parent_first { [&halves[0], &halves[1]] } else { [&halves[1], &halves[0]] };
        for half in order {
            bench.apply(half);
        }
        let child = bench.thread(20);
        assert_eq!((child.pid, child.ptid, child.sid), (20, 10, 10));
        assert_eq!(child.uid, Some(1000));
        assert_eq!(text(&child.exepath), "/bin/bash");
        assert_eq!(bench.cwd(20), "/root/");
        assert_eq!(bench.name(20, 0), "/dev/pts/0");
        assert_eq!(bench.state.threads().len(), 3);
        assert_eq!(bench.state.thread_count(child), 1);
    }
}

// One half is enough.
#[test]
fn fork_with_a_lost_half() {
    let mut bench = Bench::new();
    bench.apply(&clone_parent(10, 20, 0));
    bench.apply(&clone_child(21, 10, 0));
    assert_eq!(bench.name(20, 1), "/dev/pts/0");
    assert_eq!(bench.name(21, 1), "/dev/pts/0");
    // Both lost: the exec brings the process in with what it says, and nothing is made up.
    bench.apply(&exec(22, 22, "ls"));
    let orphan = bench.thread(22);
    assert_eq!((text(&orphan.comm).as_str(), orphan.ptid, orphan.placeholder), ("ls", 10, false));
    assert_eq!(orphan.uid, None);
    assert_eq!(bench.ledger.get(Counter::UnknownThreads), 1);
}

// The tables are apart after a fork: what the child closes stays open in the parent.
#[test]
fn descriptor_tables_part_at_a_fork() {
    let mut bench = Bench::new();
    bench.fork(20);
    bench.apply(&event(PPME_SYSCALL_CLOSE_X, 20).num("res", 0).num("fd", 0));
    assert!(bench.has_fd(20, 0), "visible to rules on the close itself");
    bench.apply(&nothing(20));
    assert!(!bench.has_fd(20, 0));
    assert!(bench.has_fd(10, 0));
}

// CLONE_FILES without CLONE_THREAD: one table for two processes, until an exec.
#[test]
fn shared_descriptor_tables() {
    let mut bench = Bench::new();
    bench.apply(&clone_parent(10, 20, crate::state::flags::CLONE_FILES));
    bench.apply(&open(20, 5, "shared", 1));
    assert_eq!(bench.name(10, 5), "/root/shared");
    bench.apply(&exec(20, 20, "ls"));
    bench.apply(&open(20, 6, "own", 1));
    assert!(bench.has_fd(20, 5));
    assert!(!bench.has_fd(10, 6));
}

// A thread has its leader's descriptors and directory, not copies of them.
#[test]
fn threads_share_with_their_leader() {
    let mut bench = Bench::new();
    bench.apply(&clone_half(10, 10, 1, 11, THREAD));
    bench.apply(&open(11, 7, "/tmp/x", 1));
    assert_eq!(bench.name(10, 7), "/tmp/x");
    bench.apply(&event(PPME_SYSCALL_CHDIR_X, 11).num("res", 0).text("path", "sub"));
    assert_eq!(bench.cwd(10), "/root/sub/");
    assert_eq!(bench.state.thread_count(bench.thread(10)), 2);
    assert_eq!(bench.state.other_thread_count(bench.thread(11)), 1);
    bench.apply(&exit(11));
    bench.apply(&nothing(10));
    assert!(bench.state.thread(11).is_none());
    assert_eq!(bench.state.thread_count(bench.thread(10)), 1);
}

// The parent dies first: init takes the child, and who its parent was is not forgotten.
#[test]
fn orphans_go_to_a_reaper() {
    let mut bench = Bench::new();
    bench.fork(20);
    bench.apply(&exit(10));
    assert_eq!(bench.thread(20).ptid, 10, "rules on the exit still see the tree as it was");
    bench.apply(&nothing(20));
    let child = bench.thread(20);
    assert_eq!(child.ptid, 1);
    let (pid, comm) = child.former_parent.clone().unwrap();
    assert_eq!((pid, text(&comm).as_str()), (10, "bash"));
    let names: Vec<_> = bench.state.ancestors(child).map(|thread| text(&thread.comm)).collect();
    assert_eq!(names, ["init"]);
}

// A subreaper on the way up takes orphans before init does; a reaper named by the kernel before both.
#[test]
fn subreapers() {
    let mut bench = Bench::new();
    bench.apply(&event(PPME_SYSCALL_PRCTL_X, 10).num("res", 0).num("option", 36).num("arg2_int", 1));
    bench.fork(20);
    bench.apply(&clone_half(20, 20, 10, 30, 0));
    bench.apply(&exit(20));
    bench.apply(&nothing(30));
    assert_eq!(bench.thread(30).ptid, 10);
    bench.apply(&exit(10).num("reaper_tid", 1));
    bench.apply(&nothing(30));
    assert_eq!(bench.thread(30).ptid, 1);
}

// The leader exits, its thread goes on: the process is still there, and gone with the thread.
#[test]
fn a_dead_leader_stays_for_its_threads() {
    let mut bench = Bench::new();
    bench.apply(&clone_half(10, 10, 1, 11, THREAD));
    bench.apply(&exit(10));
    bench.apply(&nothing(11));
    assert!(bench.thread(10).dead);
    assert_eq!(bench.name(11, 0), "/dev/pts/0");
    bench.apply(&exit(11));
    bench.apply(&nothing(1));
    assert!(bench.state.thread(10).is_none());
    assert!(bench.state.thread(11).is_none());
}

// The kernel gives a pid to somebody else and the exit in between was lost.
#[test]
fn pid_reuse() {
    let mut bench = Bench::new();
    bench.fork(20);
    bench.apply(&exec(20, 20, "old"));
    bench.apply(&clone_child(20, 1, 0).at(60_000_000_000));
    let reused = bench.thread(20);
    assert_eq!((text(&reused.comm).as_str(), reused.ptid), ("bash", 1));
    assert_eq!(bench.state.threads().iter().filter(|thread| thread.tid == 20).count(), 1);
}

// A child that is gone before its parent hears of it does not come back.
#[test]
fn clone_event_after_the_exit_of_the_child() {
    let mut bench = Bench::new();
    bench.apply(&clone_child(20, 10, 0));
    bench.apply(&exit(20));
    bench.apply(&clone_parent(10, 20, 0).at(1_000_001_000));
    assert!(bench.state.thread(20).is_none());
}

// Inside a pid namespace the parent's result is not a host tid: only the child's half counts.
#[test]
fn pid_namespaces() {
    let mut bench = Bench::new();
    let in_namespace = crate::state::flags::CHILD_IN_PIDNS;
    bench.apply(&clone_parent(10, 7, in_namespace));
    assert!(bench.state.thread(7).is_none());
    bench.apply(&clone_child(200, 10, in_namespace).num("vtid", 7).num("vpid", 7));
    let inner = bench.thread(200);
    assert_eq!((inner.vtid, inner.vpid, inner.ptid), (7, 7, 10));
    assert!(inner.in_pid_namespace());
    // A namespace in the namespace: same again, from a parent that is inside itself.
    bench.apply(&clone_half(200, 200, 10, 3, crate::state::flags::CLONE_NEWPID).num("vtid", 7).num("vpid", 7));
    assert!(bench.state.thread(3).is_none());
    bench.apply(&clone_child(300, 200, crate::state::flags::CLONE_NEWPID).num("vtid", 1).num("vpid", 1));
    assert_eq!(bench.thread(300).vpid, 1);
    // It is the namespace's init now and takes its orphans.
    bench.apply(&clone_child(301, 300, in_namespace).num("vtid", 2).num("vpid", 2));
    bench.apply(&clone_child(302, 301, in_namespace).num("vtid", 3).num("vpid", 3));
    bench.apply(&exit(301));
    bench.apply(&nothing(302));
    assert_eq!(bench.thread(302).ptid, 300);
}

// An event of a thread that nothing introduced: a placeholder with descriptors of its own, counted once.
#[test]
fn unknown_threads() {
    let mut bench = Bench::new();
    bench.apply(&open(99, 3, "/etc/passwd", 1));
    bench.apply(&open(99, 4, "relative", 1));
    let unknown = bench.thread(99);
    assert!(unknown.placeholder);
    assert_eq!(text(&unknown.comm), "<NA>");
    assert_eq!(bench.name(99, 3), "/etc/passwd");
    assert_eq!(bench.name(99, 4), "<UNKNOWN>relative", "its directory is not known");
    assert!(bench.state.main_thread_of(unknown).is_none());
    assert_eq!(bench.ledger.get(Counter::UnknownThreads), 1);
}

// A clone tells who its caller is, also where the child's host id is not known (a container runtime at work).
#[test]
fn unknown_caller_of_a_child_in_a_namespace() {
    let mut bench = Bench::new();
    bench.apply(&clone_half(99, 90, 1, 5, crate::state::flags::CHILD_IN_PIDNS));
    let caller = bench.thread(99);
    assert_eq!((caller.pid, caller.ptid, caller.placeholder), (90, 1, false));
    assert_eq!(text(&caller.comm), "bash");
}

// Concatenated captures: nothing of the first is left in the second.
#[test]
fn sections_start_anew() {
    let mut bench = Bench::new();
    let mut ledger = Ledger::default();
    bench.state.section(&mut ledger);
    assert!(bench.state.threads().is_empty());
    assert!(bench.state.interfaces().is_empty());
}

// A loop among parents, as only a damaged or hostile capture has it, ends.
#[test]
fn loops_among_parents_end() {
    let mut bench = Bench::new();
    let entries = vec![thread(50, 50, 51, "a"), thread(51, 51, 50, "b"), thread(52, 52, 52, "c")];
    bench.state.seed_threads(&entries, &mut bench.ledger);
    assert!(bench.state.ancestors(bench.thread(50)).count() <= 2);
    assert_eq!(bench.state.ancestors(bench.thread(52)).count(), 0);
    bench.state.session_leader(bench.thread(50));
    bench.apply(&exit(50));
    bench.apply(&exit(51));
    bench.apply(&nothing(52));
    assert!(bench.state.thread(50).is_none());
}

// Kernel iterators tell the initial state; their header packs process and thread id.
#[test]
fn iterators_seed_the_state() {
    let mut bench = Bench::new();
    let header = 0x46_0000_0046;
    let task = event(PPME_ITER_TASK_E, header).num("ppid", 10).num("pgid", 70).num("vpgid", 70).num("sid", 10);
    let task = task.text("comm", "nginx").raw("argv", b"nginx\0-g\0").text("exepath", "/usr/sbin/nginx");
    bench.apply(&task.text("cwd", "/srv").num("vtgid", 70).num("vpid", 70).num("euid", 33));
    let nginx = bench.thread(70);
    assert_eq!((text(&nginx.exe), &*nginx.args), ("nginx".into(), b"-g\0".as_slice()));
    assert_eq!((nginx.ptid, nginx.uid, nginx.vpid), (10, Some(33), 70));
    assert_eq!(bench.cwd(70), "/srv/");
    let file = event(PPME_ITER_TASK_FILE_REGULAR_E, header).num("fd", 4).text("path", "/var/log/nginx.log");
    bench.apply(&file);
    assert_eq!(bench.name(70, 4), "/var/log/nginx.log");
    let listener = event(PPME_ITER_TASK_FILE_SOCKET_INET_E, header).num("fd", 6).num("sk_type", 1).num("sk_proto", 6);
    let listener = listener.raw("local_ip", &[0; 4]).num("local_port", 80).raw("remote_ip", &[0; 4]);
    bench.apply(&listener.num("remote_port", 0));
    assert_eq!(bench.name(70, 6), "0.0.0.0:80");
}

// Lost parents and descriptors show in the ledger; drop markers are the reader's to count.
#[test]
fn losses_are_counted() {
    let mut bench = Bench::new();
    bench.apply(&event(PPME_DROP_E, -1).num("ratio", 2));
    bench.apply(&clone_child(21, 777, 0));
    bench.apply(&event(PPME_SYSCALL_READ_X, 10).num("res", 1).num("fd", 55));
    bench.apply(&event(PPME_SYSCALL_READ_X, 10).num("res", -9).num("fd", 55));
    let counts = [Counter::KernelDrops, Counter::UnknownParents, Counter::UnknownFds];
    assert_eq!(counts.map(|counter| bench.ledger.get(counter)), [0, 1, 1]);
}

// A leader that exited stays for its threads; when its number is used again it goes, and no slot is lost.
#[test]
fn a_leader_replaced_while_its_threads_live_is_gone() {
    let mut bench = Bench::new();
    let entries = vec![thread(50, 50, 1, "a"), thread(51, 50, 1, "a")];
    bench.state.seed_threads(&entries, &mut bench.ledger);
    let before = bench.state.threads.len();
    for _ in 0..100 {
        bench.state.seed_threads(&[thread(50, 50, 1, "b")], &mut bench.ledger);
    }
    assert_eq!(bench.state.threads.len(), before);
    assert_eq!(bench.state.groups[&50].tids.values().filter(|&&tid| tid == 50).count(), 1);
    assert_eq!(bench.state.groups[&50].alive, 2);
}

// An exec that changes the process id, as only a hostile capture has it, leaves nothing behind in the old process.
#[test]
fn processes_that_change_their_id_leave_no_group_behind() {
    let mut bench = Bench::new();
    let before = bench.state.groups.len();
    for pid in 1000..1100 {
        bench.state.seed_threads(&[thread(60, 60, 1, "a")], &mut bench.ledger);
        bench.apply(&event(PPME_SYSCALL_EXECVE_19_X, 60).num("res", 0).num("pid", pid));
        bench.apply(&exit(60));
    }
    bench.apply(&nothing(10));
    assert_eq!(bench.state.groups.len(), before);
    assert!(bench.state.thread(60).is_none());
}

// Removals told again and again are remembered once in a while only.
#[test]
fn containers_removed_again_and_again_cost_no_memory() {
    let mut bench = Bench::new();
    let told = |name: &str| {
        let json = b"{\"container\":{\"id\":\"7951fb549ab9\",\"type\":0}}\0";
        event(PPME_ASYNCEVENT_E, -1).text("name", name).raw("data", json)
    };
    for _ in 0..10 {
        bench.apply(&told("container_removed"));
    }
    assert!(bench.state.containers_gone.is_empty(), "nobody knows it");
    bench.apply(&told("container"));
    for _ in 0..crate::state::limits::MAX_CONTAINERS + 10 {
        bench.apply(&told("container_removed"));
    }
    assert!(bench.state.containers_gone.len() <= crate::state::limits::MAX_CONTAINERS);
}

// A process of very many threads: each leaves at the price of one, in whatever order.
#[test]
fn many_threads_come_and_go() {
    let mut bench = Bench::new();
    let tids = 1000..101_000;
    for tid in tids.clone() {
        bench.apply(&clone_half(10, 10, 1, tid, THREAD));
    }
    assert_eq!(bench.state.thread_count(bench.thread(10)), 100_001);
    for tid in tids {
        bench.apply(&exit(tid));
    }
    bench.apply(&nothing(10));
    assert_eq!(bench.state.groups[&10].tids.len(), 1);
    assert_eq!(bench.thread(1).children.len(), 1);
}

// Ticks of processor time are told once a second, and what counts is the difference; a thread that leaves its processor
// was on it since the switch before.
#[test]
fn time_on_processors() {
    let mut bench = Bench::new();
    let ticks = |user, system| event(PPME_PROCINFO_E, 10).num("cpu_usr", user).num("cpu_sys", system);
    bench.apply(&ticks(100, 10));
    assert_eq!(bench.state.ticks_spent(bench.thread(10)), None, "one count is no difference");
    bench.apply(&ticks(130, 15));
    assert_eq!(bench.state.ticks_spent(bench.thread(10)), Some((30, 5)));
    bench.apply(&nothing(10));
    assert_eq!(bench.state.ticks_spent(bench.thread(10)), None, "on the event that tells it only");
    for (tid, next, at, ran) in
        [(1, 10, 1_000, None), (10, 1, 1_500, Some((500, Some(500)))), (1, 10, 1_600, Some((100, Some(100))))]
    {
        bench.apply(&event(PPME_SCHEDSWITCH_6_E, tid).num("next", next).at(at));
        assert_eq!(bench.state.time_on_processor(bench.thread(tid)), ran);
    }
    bench.apply(&event(PPME_SCHEDSWITCH_6_E, 10).num("next", 1).at(2_000));
    assert_eq!(bench.state.time_on_processor(bench.thread(10)), Some((400, Some(900))));
    // A switch from 10, when 1 had the processor: what came between is lost, and the sum of both is too little.
    bench.apply(&event(PPME_SCHEDSWITCH_6_E, 10).num("next", 1).at(2_500));
    assert_eq!(bench.state.time_on_processor(bench.thread(10)), None);
    bench.apply(&event(PPME_SCHEDSWITCH_6_E, 1).num("next", 10).at(2_600));
    assert_eq!(bench.state.time_on_processor(bench.thread(1)), Some((100, None)));
}

// Orphans that exits hand from one process to the next: each of them no more often than the limit says.
#[test]
fn orphans_are_handed_on_only_so_often() {
    let rounds = i64::from(crate::state::limits::MAX_PARENTS) + 1;
    let mut bench = Bench::new();
    bench.fork(20);
    bench.apply(&clone_half(20, 20, 10, 30, 0));
    bench.apply(&clone_half(30, 30, 20, 0, 0));
    for parent in 0..rounds {
        let (old, new) = if parent % 2 == 0 { (20, 21) } else { (21, 20) };
        bench.fork(new);
        bench.apply(&exit(old).num("reaper_tid", new));
        bench.apply(&nothing(10));
        assert_eq!(bench.thread(30).ptid, if parent + 1 < rounds { new } else { 0 }, "{parent}");
    }
    bench.state.count_missing(&mut bench.ledger);
    assert_eq!(bench.ledger.get(Counter::StateLimit), 1);
}
