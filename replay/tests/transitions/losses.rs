//! What remains when events are missing: right or unknown.

use std::fs::File;
use std::io::Write as _;
use std::process::Command;

use casebook_fixtures::{Fork, Halves, Proc, Task, Trace, flags};
use casebook_formats::ledger::Counter;
use casebook_formats::seekable::{Options, SeekableWriter};
use casebook_formats::tables::ppme;

use super::{acts, counts, desk, says};

/// A certain sign that something is missing: a child acts whose own half of the clone is not there.
fn loses(t: &mut Trace, shell: Task) {
    let child = t.fork_as(shell, &Fork::new().pid(990).halves(Halves::Parent));
    acts(t, child);
}

/// The exec of a small file: another one than the shell's.
fn asks_for_the_heap(t: &mut Trace, task: Task, vm_size: i64) {
    let named = [("res", 0_i64.into()), ("addr", 0_i64.into()), ("vm_size", vm_size.into()), ("vm_rss", 1_i64.into())];
    t.emit(task.0, ppme::PPME_SYSCALL_BRK_4_X, &named);
}

// The exec of a child is lost: what it had from its parent is over, what it runs now is unknown, until an exec tells.
#[test]
fn lost_exec() {
    let (mut t, shell) = desk();
    let child = t.fork(shell);
    asks_for_the_heap(&mut t, child, 3000);
    says(&t, "proc.name proc.exepath proc.cmdline proc.ppid", "<NA> |  | <NA> | 500");
    says(&t, "thread.cap_effective user.uid proc.cwd", "<NA> | 0 | /root/");
    assert_eq!(counts(&t, Counter::LostExecs), 1);
    t.execve(child, "/bin/id", &["id"]);
    says(&t, "proc.name proc.exepath", "id | /bin/id");
}

// A failed attempt tells of its caller: the file that it runs is another one than was known.
#[test]
fn lost_exec_told_by_a_failed_attempt() {
    let (mut t, shell) = desk();
    loses(&mut t, shell);
    let child = t.spawn(shell, "/usr/bin/setsid", &["setsid", "x"]);
    let attempt = [
        ("res", flags::ENOENT.into()),
        ("exe", "timeout".into()),
        ("tid", child.0.into()),
        ("pid", child.0.into()),
        ("ptid", shell.0.into()),
        ("comm", "env".into()),
        ("exe_ino", 77_i64.into()),
        ("exe_ino_ctime", 5_i64.into()),
        ("exe_ino_mtime", 5_i64.into()),
        ("trusted_exepath", "/usr/bin/env".into()),
        ("uid", 33_i64.into()),
    ];
    t.emit(child.0, ppme::PPME_SYSCALL_EXECVE_19_X, &attempt);
    says(&t, "proc.exepath proc.name proc.exe_ino user.uid", "/usr/bin/env | <NA> | 77 | 33");
}

// One half of a clone is lost: the child is right, only when it began may have been earlier.
#[test]
fn lost_half_of_a_clone() {
    let (mut t, shell) = desk();
    loses(&mut t, shell);
    says(&t, "proc.pid proc.ppid proc.name proc.duration proc.nthreads", "990 | 500 | bash | <NA> | <NA>");
    assert_eq!(counts(&t, Counter::LostClones), 1);
}

// The exit of a parent is lost: a child's exec tells who its parent is now.
#[test]
fn lost_exit() {
    let (mut t, shell) = desk();
    let middle = t.fork(shell);
    let child = t.fork(middle);
    let exec = [
        ("res", 0_i64.into()),
        ("exe", "id".into()),
        ("tid", child.0.into()),
        ("pid", child.0.into()),
        ("ptid", 1_i64.into()),
        ("comm", "id".into()),
    ];
    t.emit(child.0, ppme::PPME_SYSCALL_EXECVE_19_X, &exec);
    says(&t, "proc.ppid proc.pname", "1 | systemd");
    assert_eq!(counts(&t, Counter::LostExits), 1);
}

/// `cmd < /in/script > /out/log` in a child of the shell, with or without one of the calls, and what runs then.
fn redirects(lost: Option<&str>, losses: bool) -> Trace {
    let (mut t, shell) = desk();
    if losses {
        loses(&mut t, shell);
    }
    let child = t.fork(shell);
    let input = t.open(child, "/in/script", 1);
    if lost != Some("stdin") {
        t.dup2(child, input, 0);
    }
    t.close(child, input);
    let output = t.open(child, "/out/log", flags::WRITE);
    if lost != Some("stdout") {
        t.dup2(child, output, 1);
    }
    t.close(child, output).execve(child, "/bin/cat", &["cat"]);
    t
}

// A file was opened and closed without being used, where a shell would have put it in the place of a stream: in a capture
// that loses events that stream may be anything.
#[test]
fn lost_dup2_of_a_redirection() {
    let names = "proc.stdin.name proc.stdout.name";
    says(&redirects(None, true), names, "/in/script | /out/log");
    says(&redirects(Some("stdin"), true), names, " | /out/log");
    says(&redirects(Some("stdout"), true), names, "/in/script | ");
    says(&redirects(Some("stdin"), false), names, "/dev/pts/0 | /out/log");
}

// A shell saves a stream, redirects it, and puts it back; without the last call it is not what it was.
#[test]
fn lost_restoration_of_a_stream() {
    for (lost, losses, expected) in [(false, true, "/dev/pts/0"), (true, true, ""), (true, false, "/run/ctl")] {
        let (mut t, shell) = desk();
        if losses {
            loses(&mut t, shell);
        }
        let save = [("res", 10_i64.into()), ("fd", 1_i64.into()), ("cmd", 1_i64.into()), ("arg", 10_i64.into())];
        t.emit(shell.0, ppme::PPME_SYSCALL_FCNTL_X, &save);
        let file = t.open(shell, "/run/ctl", 2);
        t.dup2(shell, file, 1).close(shell, file);
        if !lost {
            t.dup2(shell, 10, 1);
        }
        t.close(shell, 10);
        acts(&mut t, shell);
        says(&t, "proc.stdout.name", expected);
    }
}

// A number that the kernel gives out again was closed; a socket call that succeeds is no call on a file.
#[test]
fn lost_close_and_lost_socket() {
    let (mut t, shell) = desk();
    let fd = t.open(shell, "/old", flags::READ);
    let named =
        [("fd", fd.into()), ("dirfd", flags::AT_FDCWD.into()), ("name", "/new".into()), ("flags", 1_i64.into())];
    t.emit(shell.0, ppme::PPME_SYSCALL_OPENAT_2_X, &named);
    says(&t, "fd.name proc.fdopencount", "/new | <NA>");
    assert_eq!(counts(&t, Counter::LostCloses), 1);
    t.emit(shell.0, ppme::PPME_SOCKET_LISTEN_X, &[("res", 0_i64.into()), ("fd", fd.into())]);
    says(&t, "fd.num fd.name", "3 | ");
}

// What the recorder lost stands in the frame records of a file, beside the stream: from such a frame on counts are unknown.
#[test]
fn losses_that_frame_records_tell() {
    let (mut t, shell) = desk();
    t.open(shell, "/1", flags::READ);
    let before = t.finish().unwrap();
    t.open(shell, "/2", flags::READ);
    let whole = t.finish().unwrap();
    for (counter, second) in [(Counter::CutArguments, "2 5 /2"), (Counter::RingFull, "2 <NA> /2")] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("story.scap.zst");
        let mut writer = SeekableWriter::new(File::create(&path).unwrap(), Options::default()).unwrap();
        writer.write_all(&before).unwrap();
        writer.cut().unwrap();
        writer.write_all(&whole[before.len()..]).unwrap();
        writer.lost(counter, 3);
        writer.finish().unwrap();
        let mut events = Command::new(env!("CARGO_BIN_EXE_casebook-replay"));
        events.args(["events", "-p", "*%evt.num %proc.fdopencount %fd.name"]).arg(&path);
        let shown = String::from_utf8(events.output().unwrap().stdout).unwrap();
        assert_eq!(shown, format!("1 4 /1\n{second}\n"));
    }
}

/// The shell gives its child a group of the child's own.
fn puts_into_a_group(t: &mut Trace, shell: Task, child: Task) {
    let named = [("res", 0_i64.into()), ("pid", child.0.into()), ("pgid", child.0.into())];
    t.emit(shell.0, ppme::PPME_SYSCALL_SETPGID_X, &named);
}

// A shell with job control leads a group itself. Where nothing says so, the call that made it may be lost.
#[test]
fn lost_setpgid_of_a_shell() {
    let job = |losses: bool| {
        let (mut t, _) = desk();
        let outer = t.process(Proc::new(600, "/usr/bin/script").argv(&["script"]));
        let shell = t.fork(outer);
        if losses {
            loses(&mut t, shell);
        }
        let child = t.fork(shell);
        puts_into_a_group(&mut t, shell, child);
        (t, shell, child)
    };
    let (mut t, shell, _) = job(false);
    acts(&mut t, shell);
    says(&t, "proc.vpgid proc.is_vpgid_leader", "600 | false");
    let (mut t, shell, child) = job(true);
    acts(&mut t, shell);
    says(&t, "proc.vpgid proc.is_vpgid_leader proc.sid", "<NA> | <NA> | 600");
    acts(&mut t, child);
    says(&t, "proc.is_vpgid_leader proc.is_pgid_leader", "true | true");
}

// The exec of a child tells a group that is called like its parent: it is the parent who made one.
#[test]
fn lost_setpgid_told_by_a_child() {
    let (mut t, shell) = desk();
    let timeout = t.spawn(shell, "/usr/bin/timeout", &["timeout", "9", "id"]);
    let child = t.fork(timeout);
    let exec = [
        ("res", 0_i64.into()),
        ("exe", "id".into()),
        ("tid", child.0.into()),
        ("pid", child.0.into()),
        ("ptid", timeout.0.into()),
        ("comm", "id".into()),
        ("vpgid", timeout.0.into()),
        ("pgid", timeout.0.into()),
    ];
    t.emit(child.0, ppme::PPME_SYSCALL_EXECVE_19_X, &exec);
    acts(&mut t, timeout);
    says(&t, "proc.is_vpgid_leader proc.is_pgid_leader proc.sid", "true | true | <NA>");
    assert_eq!(counts(&t, Counter::LostChanges), 1);
}

// Only the leader of a session may give it a terminal.
#[test]
fn lost_setsid_told_by_the_terminal() {
    let (mut t, shell) = desk();
    let child = t.fork(shell);
    let ioctl = [("res", 0_i64.into()), ("fd", 4_i64.into()), ("request", 0x540e_i64.into())];
    t.emit(child.0, ppme::PPME_SYSCALL_IOCTL_3_X, &ioctl);
    says(&t, "proc.is_sid_leader proc.is_vpgid_leader proc.is_pgid_leader", "true | true | true");
    assert_eq!(counts(&t, Counter::LostChanges), 1);
}

// Who asks for a limit is told what it is, if the call that set it is missing.
#[test]
fn lost_setrlimit_told_by_a_question() {
    let asks = |losses: bool| {
        let (mut t, shell) = desk();
        if losses {
            loses(&mut t, shell);
        }
        let named = [
            ("res", 0_i64.into()),
            ("newcur", (-1_i64).into()),
            ("oldcur", 4096_i64.into()),
            ("pid", 0_i64.into()),
            ("resource", 7_i64.into()),
        ];
        t.emit(shell.0, ppme::PPME_SYSCALL_PRLIMIT_X, &named);
        t
    };
    says(&asks(true), "proc.fdlimit", "4096");
    says(&asks(false), "proc.fdlimit", "1024");
}
