//! Files and descriptors in general.

use super::*;

// openat by descriptor after a chdir: the descriptor's directory counts, not the process's.
#[test]
fn relative_open_by_dirfd() {
    let mut bench = Bench::new();
    bench.apply(&open(10, 3, "/etc", 0x401));
    bench.apply(&event(PPME_SYSCALL_CHDIR_X, 10).num("res", 0).text("path", "/var//log/"));
    bench.apply(&open(10, 4, "cron.d/../shadow", 1).num("dirfd", 3));
    assert_eq!(bench.name(10, 4), "/etc/shadow");
    bench.apply(&open(10, 5, "syslog", 1));
    assert_eq!(bench.name(10, 5), "/var/log/syslog");
    bench.apply(&open(10, 6, "x", 1).num("dirfd", 44));
    assert_eq!(bench.name(10, 6), "<UNKNOWN>x");
    let directory = bench.state.fd(bench.thread(10), 3).unwrap();
    assert_eq!(directory.kind, FdKind::Directory);
    bench.apply(&event(PPME_SYSCALL_FCHDIR_X, 10).num("res", 0).num("fd", 3));
    assert_eq!(bench.cwd(10), "/etc/");
}

// The path in the enter half is the one that the kernel used; the exit half may show what was written over it.
#[test]
fn the_enter_half_of_an_open_is_trusted() {
    let mut bench = Bench::new();
    let enter = event(PPME_SYSCALL_OPENAT_2_E, 10).num("dirfd", -100).text("name", "/etc/shadow").num("flags", 1);
    bench.apply(&enter);
    bench.apply(&open(10, 3, "/tmp/harmless", 1 | 0x8000));
    assert_eq!(bench.name(10, 3), "/etc/shadow");
    let fd = bench.state.fd(bench.thread(10), 3).unwrap();
    assert!(fd.upper_layer, "what only the exit can know is kept");
}

// A failed open leaves nothing, and says -1.
#[test]
fn failed_open() {
    let mut bench = Bench::new();
    let effects = bench.apply(&open(10, -2, "/nope", 1));
    assert_eq!(effects.fd, Some(-1));
    assert!(bench.state.event_fd(&effects).is_none());
    assert_eq!(bench.state.fd_count(bench.thread(10)), 3);
}

// A close was lost and the number used again: the new one wins.
#[test]
fn fd_reuse_after_a_lost_close() {
    let mut bench = Bench::new();
    bench.apply(&open(10, 3, "/old", 1));
    let effects = bench.apply(&open(10, 3, "/new", 1));
    assert_eq!(bench.name(10, 3), "/new");
    assert!(effects.fd_name_changed);
}

// dup2 of a socket over standard output, as a reverse shell does it.
#[test]
fn dup2_over_an_open_descriptor() {
    let mut bench = Bench::new();
    bench.apply(&socket(10, 3, 2, 1));
    bench.apply(&connect(10, 3, 0, Some(tuple([10, 0, 0, 1], 4444, [10, 0, 0, 2], 443))));
    let effects = bench.apply(&event(PPME_SYSCALL_DUP2_X, 10).num("res", 1).num("oldfd", 3).num("newfd", 1));
    assert_eq!(effects.fd, Some(1));
    assert_eq!(bench.name(10, 1), "10.0.0.1:4444->10.0.0.2:443");
    assert_eq!(bench.state.event_fd(&effects).unwrap().kind, FdKind::Ipv4);
    // An unknown one over a known one: what was there is closed, and something unknown is open.
    let effects = bench.apply(&event(PPME_SYSCALL_DUP2_X, 10).num("res", 2).num("oldfd", 40).num("newfd", 2));
    assert_eq!(effects.fd, Some(2));
    let fd = bench.state.event_fd(&effects).unwrap();
    assert_eq!((fd.kind, fd.name.as_ref()), (FdKind::Unknown, &b""[..]));
}

// Descriptors received through a unix socket: their numbers are known, what they are is not.
#[test]
fn descriptors_passed_through_a_socket() {
    let mut bench = Bench::new();
    bench.apply(&socket(10, 3, 1, 1));
    bench.apply(&open(10, 4, "/stale", 1));
    let mut control = 20u64.to_le_bytes().to_vec();
    control.extend(1u32.to_le_bytes());
    control.extend(1u32.to_le_bytes());
    control.extend(4i32.to_le_bytes());
    bench.apply(&event(PPME_SOCKET_RECVMSG_X, 10).num("res", 1).num("fd", 3).raw("msgcontrol", &control));
    assert!(!bench.has_fd(10, 4));
}

// Values cut short or absurd: nothing to learn, and no panic.
#[test]
fn damaged_parameters() {
    let mut bench = Bench::new();
    for (etype, def) in tables::events() {
        if def.params.is_empty() {
            continue;
        }
        for fill in [&[][..], &[0xff], &[0, 0, 0], &[0xff; 8], &[1; 13], &[0x7f; 40]] {
            let mut build = event(etype, 10);
            build.values.iter_mut().for_each(|value| *value = fill.to_vec());
            bench.apply(&build);
            build.values.truncate(1);
            bench.apply(&build);
            build.tid = i64::MIN;
            bench.apply(&build);
        }
    }
}

// Closing a range, and marking one for the next exec.
#[test]
fn close_range() {
    let mut bench = Bench::new();
    for fd in [3, 4, 900] {
        bench.apply(&open(10, fd, "/x", 1));
    }
    let range = |first, last, flags| {
        let range = event(PPME_SYSCALL_CLOSE_RANGE_X, 10).num("res", 0);
        range.num("first", first).num("last", last).num("flags", flags)
    };
    bench.apply(&range(4, 0xffff_ffff, 0));
    assert_eq!(bench.state.fd_count(bench.thread(10)), 4, "gone at once, unlike after a close");
    bench.apply(&range(3, 3, 4));
    assert_eq!(bench.state.fd_count(bench.thread(10)), 4);
    bench.apply(&exec(10, 10, "ls"));
    assert_eq!(bench.state.fd_count(bench.thread(10)), 3);
}

// A bpf command that succeeds with 0 has not replaced standard input; one that loads a program makes a descriptor.
#[test]
fn results_of_bpf() {
    let mut bench = Bench::new();
    let effects = bench.apply(&event(PPME_SYSCALL_BPF_2_X, 10).num("fd", 0).num("cmd", 16));
    assert_eq!(effects.fd, Some(-1));
    assert_eq!(bench.name(10, 0), "/dev/pts/0");
    bench.apply(&event(PPME_SYSCALL_BPF_2_X, 10).num("fd", 7).num("cmd", 5));
    assert_eq!(bench.state.fd(bench.thread(10), 7).unwrap().kind, FdKind::Bpf);
}

// F_DUPFD_CLOEXEC gives a copy that does not survive an exec, while the original does.
#[test]
fn fcntl_duplicates() {
    let mut bench = Bench::new();
    let dup = event(PPME_SYSCALL_FCNTL_X, 10).num("res", 12).num("fd", 1).num("cmd", 26).num("arg", 10);
    let effects = bench.apply(&dup);
    assert_eq!(effects.fd, Some(12));
    assert!(!effects.fd_name_changed, "the name came along");
    assert_eq!(bench.name(10, 12), "/dev/pts/0");
    bench.apply(&exec(10, 10, "ls"));
    assert!(bench.has_fd(10, 1) && !bench.has_fd(10, 12));
}

// Both ends of a pipe have one inode; the event's descriptor is the second, as in libs.
#[test]
fn pipes() {
    let mut bench = Bench::new();
    let pipe = event(PPME_SYSCALL_PIPE2_X, 10).num("res", 0).num("fd1", 3).num("fd2", 4).num("ino", 77);
    let effects = bench.apply(&pipe);
    assert_eq!(effects.fd, Some(4));
    let table = bench.state.fd_table(bench.thread(10)).unwrap();
    assert_eq!((table.get(3).unwrap().ino, table.get(4).unwrap().kind), (77, FdKind::Fifo));
}

// A descriptor fetched out of another process by its pidfd is what it is there.
#[test]
fn descriptors_fetched_by_pidfd() {
    let mut bench = Bench::new();
    bench.fork(20);
    bench.apply(&open(20, 8, "/secret", 1));
    bench.apply(&event(PPME_SYSCALL_PIDFD_OPEN_X, 10).num("fd", 5).num("pid", 20));
    assert_eq!(bench.name(10, 5), "/proc/20");
    bench.apply(&event(PPME_SYSCALL_PIDFD_GETFD_X, 10).num("fd", 6).num("pid_fd", 5).num("target_fd", 8));
    assert_eq!(bench.name(10, 6), "/secret");
}

// A working directory as long as the format allows does not make every file's name as long.
#[test]
fn names_of_files_are_no_longer_than_the_kernel_allows() {
    let mut bench = Bench::new();
    let directory = format!("/{}", "d/".repeat(30_000));
    bench.apply(&event(PPME_SYSCALL_CHDIR_X, 10).num("res", 0).text("path", &directory));
    bench.apply(&open(10, 3, "relative", 1));
    assert!(bench.name(10, 3).len() <= crate::state::limits::MAX_PATH);
}

// One full table and many forks, each of which changes its copy: the bound is one for all tables together.
#[test]
fn forks_of_a_full_table_are_bounded() {
    use crate::state::limits::{MAX_FDS, MAX_FDS_TOGETHER};
    let mut bench = Bench::new();
    let fds = (0..MAX_FDS as i64 + 10).map(|fd| FdEntry { fd, ino: 1, fd_type: 7, info: FdInfo::None }).collect();
    bench.state.seed_fds(&FdList { tid: 10, fds }, &mut bench.ledger);
    assert!(bench.ledger.get(Counter::StateLimit) >= 10);
    let id = bench.state.id_of(10).unwrap();
    let mut copies = Vec::new();
    while let Some(copy) = bench.state.copy_of_table(id, &mut bench.ledger) {
        copies.push(copy);
        assert!(copies.len() <= MAX_FDS_TOGETHER / MAX_FDS);
    }
    for copy in copies {
        bench.state.release_table(copy);
    }
    assert!(bench.state.copy_of_table(id, &mut bench.ledger).is_some(), "released tables make room");
    let counted: usize = bench.state.tables.iter().map(|entry| entry.table.len()).sum();
    assert_eq!(bench.state.open_fds, counted);
}

// What a table remembers of its free numbers agrees with looking at all of them, whatever was put in and taken out.
#[test]
fn free_numbers_and_ranges_agree_with_a_search() {
    let mut table = crate::state::FdTable::default();
    let fd = |cloexec: bool| {
        let mut fd = crate::state::Fd::new(FdKind::File, &std::rc::Rc::from(&b""[..]));
        fd.cloexec = cloexec;
        std::rc::Rc::new(fd)
    };
    let mut dice = 1_u64;
    let mut throw = |sides: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((dice >> 33) % sides) as i64
    };
    for round in 0..4_000 {
        let number = throw(700) - 5;
        if throw(3) == 0 {
            table.remove(number);
        } else {
            table.insert(number, fd(throw(2) == 0));
        }
        if round % 7 == 0 {
            let (end, at_most) = (throw(800), throw(20) as usize);
            let expected: Vec<i64> = (0..end).filter(|&n| table.get(n).is_none()).take(at_most).collect();
            assert_eq!(table.lowest_free(end, at_most), expected, "below {end}");
            let (first, last) = (throw(800) - 10, throw(800) - 10);
            let expected = table.numbers_where(|n, _| n >= 0 && (first..=last).contains(&n));
            assert_eq!(table.numbers_within(first, last), expected, "{first} to {last}");
        }
    }
    assert_eq!(table.numbers_within(0, i64::MAX), table.numbers_where(|n, _| n >= 0));
}

// A capture that lies may mark a full table as closed on exec again and again: only what is not marked counts as changed, and
// is looked at (`fd_table::tests`).
#[test]
fn ranges_marked_again_change_nothing() {
    let mut bench = Bench::new();
    let fds =
        (0..crate::state::limits::MAX_FDS as i64).map(|fd| FdEntry { fd, ino: 1, fd_type: 7, info: FdInfo::None });
    bench.state.seed_fds(&FdList { tid: 10, fds: fds.collect() }, &mut bench.ledger);
    let marks = event(PPME_SYSCALL_CLOSE_RANGE_X, 10).num("res", 0).num("first", 3).num("last", 0xffff_ffff);
    let marks = marks.num("flags", 4);
    let fcntl = |fd, arg| event(PPME_SYSCALL_FCNTL_X, 10).num("res", 0).num("fd", fd).num("cmd", 3).num("arg", arg);
    let marked = |bench: &Bench| {
        let table = bench.state.fd_table(bench.thread(10)).unwrap();
        table.iter().filter(|(_, fd)| fd.cloexec).count()
    };
    bench.apply(&marks);
    let all = marked(&bench);
    assert_eq!(all, crate::state::limits::MAX_FDS - 3);
    bench.apply(&fcntl(70_000, 0));
    assert_eq!(marked(&bench), all - 1);
    let before = bench.state.changes;
    for _ in 0..1_000 {
        bench.apply(&marks);
    }
    assert_eq!((marked(&bench), bench.state.changes - before), (all, 1));
    bench.apply(&exec(10, 10, "ls"));
    assert_eq!(bench.state.fd_count(bench.thread(10)), 3);
}
