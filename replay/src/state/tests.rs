//! The transitions one by one, on events made by hand.

#![allow(clippy::unwrap_used)] // a test may stop at the first surprise

use casebook_formats::event::{Event, EventType, ParamRange, RawEvent};
use casebook_formats::ledger::{Counter, Ledger};
use casebook_formats::snapshot::{FdEntry, FdInfo, FdList, Interface, ThreadEntry, UserEntry};
use casebook_formats::tables::{self, ParamType, ppme::*};

use super::{Effects, FdKind, State, Thread};

/// Builder of one event: parameters by name, all others unknown.
struct Build {
    tid: i64,
    ts: u64,
    etype: EventType,
    values: Vec<Vec<u8>>,
}

fn event(etype: EventType, tid: i64) -> Build {
    let params = tables::event(etype).unwrap().params.len();
    Build { tid, ts: 1_000_000_000, etype, values: vec![Vec::new(); params] }
}

impl Build {
    fn at(mut self, ts: u64) -> Self {
        self.ts = ts;
        self
    }

    #[track_caller]
    fn raw(mut self, name: &str, value: &[u8]) -> Self {
        let def = tables::event(self.etype).unwrap();
        let at = def.params.iter().position(|param| param.name == name).unwrap();
        self.values[at] = value.to_vec();
        self
    }

    /// A number, as wide as the table says.
    #[track_caller]
    fn num(self, name: &str, value: i64) -> Self {
        let def = tables::event(self.etype).unwrap();
        let param = def.params.iter().find(|param| param.name == name).unwrap();
        let width = match param.ty {
            ParamType::Uint8 | ParamType::Flags8 | ParamType::Enumflags8 | ParamType::Sigtype => 1,
            ParamType::Uint16 | ParamType::Flags16 | ParamType::Enumflags16 => 2,
            ParamType::Uint32
            | ParamType::Int32
            | ParamType::Flags32
            | ParamType::Enumflags32
            | ParamType::Uid
            | ParamType::Gid => 4,
            _ => 8,
        };
        self.raw(name, &value.to_le_bytes()[..width])
    }

    #[track_caller]
    fn text(self, name: &str, value: &str) -> Self {
        self.raw(name, format!("{value}\0").as_bytes())
    }
}

/// A state under test with its ledger and clock.
struct Bench {
    state: State,
    ledger: Ledger,
}

impl Bench {
    /// init and a shell of pid 10 in /root with a terminal as its standard descriptors.
    fn new() -> Self {
        let mut bench = Self { state: State::new(), ledger: Ledger::default() };
        let threads = vec![thread(1, 1, 0, "init"), thread(10, 10, 1, "bash")];
        bench.state.seed_threads(&threads, &mut bench.ledger);
        let tty = |fd| FdEntry {
            fd,
            ino: 3,
            fd_type: 16,
            info: FdInfo::Named { name: b"/dev/pts/0".to_vec(), open_flags: 3, dev: 1 },
        };
        bench.state.seed_fds(&FdList { tid: 10, fds: vec![tty(0), tty(1), tty(2)] }, &mut bench.ledger);
        bench
    }

    fn apply(&mut self, build: &Build) -> Effects {
        let mut data = Vec::new();
        let mut ranges = Vec::new();
        for value in &build.values {
            ranges.push(ParamRange { start: data.len() as u32, len: value.len() as u32 });
            data.extend_from_slice(value);
        }
        let raw = RawEvent { offset: 0, etype: build.etype.0, nparams: ranges.len() as u32, payload: &data };
        let event = Event {
            num: 1,
            ts: build.ts,
            tid: build.tid,
            cpu: 0,
            etype: build.etype,
            state_only: false,
            enter_ts: None,
            data: &data,
            ranges: &ranges,
            raw,
        };
        self.state.apply(&event, &mut self.ledger)
    }

    #[track_caller]
    fn thread(&self, tid: i64) -> &Thread {
        self.state.thread(tid).unwrap()
    }

    #[track_caller]
    fn name(&self, tid: i64, fd: i64) -> String {
        text(&self.state.fd(self.thread(tid), fd).unwrap().name)
    }

    fn has_fd(&self, tid: i64, fd: i64) -> bool {
        self.state.fd(self.thread(tid), fd).is_some()
    }

    #[track_caller]
    fn cwd(&self, tid: i64) -> String {
        text(self.state.cwd(self.thread(tid)).unwrap())
    }

    /// Both halves of a fork of 10 that makes `child`.
    fn fork(&mut self, child: i64) {
        self.apply(&clone_parent(10, child, 0));
        self.apply(&clone_child(child, 10, 0));
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn thread(tid: i64, pid: i64, ptid: i64, comm: &str) -> ThreadEntry {
    ThreadEntry {
        tid,
        pid,
        ptid,
        sid: pid,
        vpgid: pid,
        pgid: pid,
        vtid: tid,
        vpid: pid,
        comm: comm.into(),
        exe: comm.into(),
        exepath: format!("/bin/{comm}").into_bytes(),
        args: Vec::new(),
        env: b"A=1\0".to_vec(),
        cwd: b"/root".to_vec(),
        root: b"/".to_vec(),
        cgroups: b"cpu=/\0".to_vec(),
        fdlimit: 1024,
        flags: 0,
        uid: 0,
        gid: 0,
        loginuid: u32::MAX,
        vm_size: 0,
        vm_rss: 0,
        vm_swap: 0,
        pf_major: 0,
        pf_minor: 0,
        pidns_init_start_ts: 0,
        tty: 0,
        exe_writable: false,
        exe_upper_layer: false,
        exe_lower_layer: false,
        exe_from_memfd: false,
        cap_inheritable: 0,
        cap_permitted: 0,
        cap_effective: 0,
        exe_ino: 0,
        exe_ino_ctime: 0,
        exe_ino_mtime: 0,
    }
}

fn clone_half(tid: i64, pid: i64, ptid: i64, res: i64, flags: u32) -> Build {
    event(PPME_SYSCALL_CLONE_20_X, tid)
        .num("res", res)
        .text("exe", "bash")
        .text("comm", "bash")
        .num("tid", tid)
        .num("pid", pid)
        .num("ptid", ptid)
        .num("fdlimit", 1024)
        .num("flags", i64::from(flags))
        .num("uid", 1000)
        .num("gid", 1000)
        .num("vtid", tid)
        .num("vpid", pid)
}

fn clone_parent(tid: i64, child: i64, flags: u32) -> Build {
    clone_half(tid, tid, 1, child, flags)
}

fn clone_child(tid: i64, ptid: i64, flags: u32) -> Build {
    clone_half(tid, tid, ptid, 0, flags)
}

fn exec(tid: i64, pid: i64, comm: &str) -> Build {
    event(PPME_SYSCALL_EXECVE_19_X, tid)
        .num("res", 0)
        .text("exe", comm)
        .text("comm", comm)
        .raw("args", b"-l\0/tmp\0")
        .num("tid", tid)
        .num("pid", pid)
        .num("ptid", 10)
        .text("trusted_exepath", &format!("/usr/bin/{comm}"))
}

fn exit(tid: i64) -> Build {
    event(PPME_PROCEXIT_1_E, tid).num("status", 0)
}

fn open(tid: i64, fd: i64, path: &str, flags: i64) -> Build {
    event(PPME_SYSCALL_OPENAT_2_X, tid).num("fd", fd).num("dirfd", -100).text("name", path).num("flags", flags)
}

fn nothing(tid: i64) -> Build {
    event(PPME_SYSCALL_FUTEX_X, tid).num("res", 0)
}

const CLOEXEC: i64 = 0x1000;
const THREAD: u32 = super::flags::CLONE_THREAD;

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
    bench.apply(&clone_parent(10, 20, super::flags::CLONE_FILES));
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

// Exec from a second thread: the program lives on under the leader's id, the other threads are gone.
#[test]
fn exec_from_a_thread() {
    let mut bench = Bench::new();
    bench.apply(&clone_half(10, 10, 1, 11, THREAD));
    bench.apply(&clone_half(10, 10, 1, 12, THREAD));
    bench.apply(&exit(10));
    bench.apply(&exec(10, 10, "ls"));
    bench.apply(&nothing(10));
    let leader = bench.thread(10);
    assert_eq!((text(&leader.comm).as_str(), leader.dead), ("ls", false));
    assert!(bench.state.thread(11).is_none() && bench.state.thread(12).is_none());
    assert_eq!(bench.state.thread_count(leader), 1);
}

// Everything an exec tells is taken, everything it leaves out is kept.
#[test]
fn exec_replaces_the_program() {
    let mut bench = Bench::new();
    bench.fork(20);
    let old = bench.thread(20).clone();
    bench.apply(
        &exec(20, 20, "ls")
            .raw("env", b"B=2\0")
            .num("tty", 34816)
            .num("vpgid", 20)
            .num("loginuid", 1000)
            .num("flags", 9)
            .num("cap_effective", 5)
            .num("uid", 33),
    );
    let new = bench.thread(20);
    assert_eq!((text(&new.exe), text(&new.exepath)), ("ls".into(), "/usr/bin/ls".into()));
    assert_eq!(&*new.args, b"-l\0/tmp\0");
    assert_eq!(bench.state.env(new), b"B=2\0");
    assert_eq!((new.tty, new.vpgid, new.loginuid), (34816, 20, 1000));
    assert!(new.exe_writable && new.exe_lower_layer && !new.exe_upper_layer);
    assert_eq!((new.uid, new.gid), (Some(33), old.gid));
    assert_eq!(new.cwd, old.cwd);
    assert!(new.version != old.version);
}

// A failed exec changes nothing.
#[test]
fn failed_exec() {
    let mut bench = Bench::new();
    let old = bench.thread(10).version;
    bench.apply(&event(PPME_SYSCALL_EXECVE_19_X, 10).num("res", -2).text("exe", "ls").text("comm", "ls"));
    assert_eq!(text(&bench.thread(10).comm), "bash");
    assert_eq!(bench.thread(10).version, old);
}

// Before 2022 only the enter half says which file: relative names go by the directory of the process.
#[test]
fn exepath_from_the_enter_half() {
    let mut bench = Bench::new();
    bench.apply(&event(PPME_SYSCALL_EXECVE_19_E, 10).text("filename", "../opt/tool"));
    bench.apply(&exec(10, 10, "tool").raw("trusted_exepath", b""));
    assert_eq!(text(&bench.thread(10).exepath), "/opt/tool");
    // A lost enter half: the path of the program before is wrong, and libs keeps it; so do we, as it was known.
    bench.apply(&exec(10, 10, "other").raw("trusted_exepath", b""));
    assert_eq!(text(&bench.thread(10).exepath), "/opt/tool");
}

// Close-on-exec, set at open, by fcntl, and undone by fcntl.
#[test]
fn close_on_exec() {
    let mut bench = Bench::new();
    let fcntl = |fd, arg| event(PPME_SYSCALL_FCNTL_X, 10).num("res", 0).num("fd", fd).num("cmd", 3).num("arg", arg);
    bench.apply(&open(10, 3, "/a", 1 | CLOEXEC));
    bench.apply(&open(10, 4, "/b", 1));
    bench.apply(&open(10, 5, "/c", 1 | CLOEXEC));
    bench.apply(&open(10, 6, "/d", 1));
    bench.apply(&fcntl(5, 0));
    bench.apply(&fcntl(6, 1));
    bench.apply(&exec(10, 10, "ls"));
    let open: Vec<i64> = bench.state.fd_table(bench.thread(10)).unwrap().iter().map(|(number, _)| number).collect();
    assert_eq!(open, [0, 1, 2, 4, 5]);
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
    let in_namespace = super::flags::CHILD_IN_PIDNS;
    bench.apply(&clone_parent(10, 7, in_namespace));
    assert!(bench.state.thread(7).is_none());
    bench.apply(&clone_child(200, 10, in_namespace).num("vtid", 7).num("vpid", 7));
    let inner = bench.thread(200);
    assert_eq!((inner.vtid, inner.vpid, inner.ptid), (7, 7, 10));
    assert!(inner.in_pid_namespace());
    // A namespace in the namespace: same again, from a parent that is inside itself.
    bench.apply(&clone_half(200, 200, 10, 3, super::flags::CLONE_NEWPID).num("vtid", 7).num("vpid", 7));
    assert!(bench.state.thread(3).is_none());
    bench.apply(&clone_child(300, 200, super::flags::CLONE_NEWPID).num("vtid", 1).num("vpid", 1));
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
    // An unknown one over a known one: what was there is closed.
    bench.apply(&event(PPME_SYSCALL_DUP2_X, 10).num("res", 2).num("oldfd", 40).num("newfd", 2));
    bench.apply(&nothing(10));
    assert!(!bench.has_fd(10, 2));
}

fn socket(tid: i64, fd: i64, domain: i64, ty: i64) -> Build {
    event(PPME_SOCKET_SOCKET_X, tid).num("fd", fd).num("domain", domain).num("type", ty).num("proto", 0)
}

fn tuple(source: [u8; 4], sport: u16, destination: [u8; 4], dport: u16) -> Vec<u8> {
    let mut value = vec![2];
    value.extend(source);
    value.extend(sport.to_le_bytes());
    value.extend(destination);
    value.extend(dport.to_le_bytes());
    value
}

fn connect(tid: i64, fd: i64, res: i64, tuple: Option<Vec<u8>>) -> Build {
    event(PPME_SOCKET_CONNECT_X, tid).num("res", res).num("fd", fd).raw("tuple", &tuple.unwrap_or_default())
}

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

// -1 leaves an id as it is; the second id is the effective one.
#[test]
fn credentials() {
    let mut bench = Bench::new();
    bench.apply(&event(PPME_SYSCALL_SETUID_X, 10).num("res", 0).num("uid", 5));
    assert_eq!(bench.thread(10).uid, Some(5));
    bench.apply(&event(PPME_SYSCALL_SETREUID_X, 10).num("res", 0).num("ruid", 7).num("euid", -1));
    assert_eq!(bench.thread(10).uid, Some(5));
    bench.apply(&event(PPME_SYSCALL_SETRESGID_X, 10).num("res", 0).num("rgid", 1).num("egid", 2).num("sgid", 3));
    assert_eq!(bench.thread(10).gid, Some(2));
    bench.apply(&event(PPME_SYSCALL_SETUID_X, 10).num("res", -1).num("uid", 0));
    assert_eq!(bench.thread(10).uid, Some(5), "a failed call changes nothing");
}

// Sessions and process groups, also of a child.
#[test]
fn sessions_and_groups() {
    let mut bench = Bench::new();
    bench.fork(20);
    assert_eq!(bench.state.session_leader(bench.thread(20)).unwrap().tid, 10);
    bench.apply(&event(PPME_SYSCALL_SETPGID_X, 10).num("res", 0).num("pid", 20).num("pgid", 0));
    assert_eq!(bench.state.vpgid_leader(bench.thread(20)).unwrap().tid, 20);
    bench.apply(&event(PPME_SYSCALL_SETSID_X, 20).num("res", 20));
    assert_eq!(bench.thread(20).sid, 20);
    assert_eq!(bench.state.session_leader(bench.thread(20)).unwrap().tid, 20);
}

const HEX: &str = "7951fb549ab99e0722a949b6c121634e1f3a36b5bacbe5392991e3b12251e6b8";

// The id comes with the cgroup, the rest when the event comes; until then it is missing, and counted once.
#[test]
fn container_metadata_comes_late() {
    let mut bench = Bench::new();
    let inside = format!("cpu=/docker/{HEX}\0memory=/docker/{HEX}\0");
    bench.apply(&clone_child(20, 10, 0).raw("cgroups", inside.as_bytes()));
    bench.apply(&clone_child(21, 20, 0).raw("cgroups", inside.as_bytes()));
    assert_eq!(text(&bench.thread(21).container_id), "7951fb549ab9");
    let container = bench.state.container_of(bench.thread(20)).unwrap();
    assert!(!container.has_metadata);
    let version = container.version;
    let missing = |bench: &Bench| {
        let mut ledger = Ledger::default();
        bench.state.count_missing(&mut ledger);
        ledger.get(Counter::MissingContainerMetadata)
    };
    assert_eq!(missing(&bench), 1);
    let json = br#"{"container":{"id":"7951fb549ab9","name":"web","type":0,"image":"nginx:1.25"}}"#;
    let effects = bench.apply(&event(PPME_CONTAINER_JSON_2_E, -1).raw("json", json));
    assert_eq!(text(&bench.state.event_container(&effects).unwrap().name), "web");
    let container = bench.state.container_of(bench.thread(20)).unwrap();
    assert_eq!((text(&container.name), text(&container.image_repository)), ("web".into(), "nginx".into()));
    assert!(container.version != version);
    assert_eq!(missing(&bench), 0);
    // Out of the container again, as a runtime's parent process is.
    bench.apply(&exec(21, 21, "ls").raw("cgroups", b"cpu=/\0"));
    assert!(bench.thread(21).container_id.is_empty());
}

// Users of a container are its own; the host's stand in where they are not known.
#[test]
fn users_per_container() {
    let mut bench = Bench::new();
    let user = |name: &str| UserEntry::User {
        uid: 33,
        gid: 33,
        name: name.into(),
        home: b"/".to_vec(),
        shell: b"/bin/sh".to_vec(),
    };
    bench.state.seed_users(vec![user("www-data")], &mut bench.ledger);
    bench.apply(
        &event(PPME_USER_ADDED_E, -1).num("uid", 33).num("gid", 33).text("name", "nginx").text("container_id", "c1"),
    );
    let name = |container: &[u8]| text(&bench.state.user(container, 33).unwrap().name);
    assert_eq!((name(b""), name(b"c1"), name(b"c2")), ("www-data".into(), "nginx".into(), "www-data".into()));
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
