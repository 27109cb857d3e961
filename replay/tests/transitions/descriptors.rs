//! Files and descriptors: what a number means after the calls before it.

use casebook_fixtures::{Fork, Task, Trace, flags};
use casebook_formats::tables::ppme;

use super::{acts, desk, says};

/// openat of a path relative to a descriptor.
fn open_at(t: &mut Trace, task: Task, dirfd: i64, path: &str, fd: i64) {
    let named = [("fd", fd.into()), ("dirfd", dirfd.into()), ("name", path.into()), ("flags", 1_i64.into())];
    t.emit(task.0, ppme::PPME_SYSCALL_OPENAT_2_X, &named);
}

// The directory of a descriptor counts, not the working directory, which moved meanwhile.
#[test]
fn relative_open_by_dirfd_after_chdir() {
    let (mut t, shell) = desk();
    let etc = t.open(shell, "/etc", 1 | flags::O_DIRECTORY);
    t.chdir(shell, "/var/log");
    open_at(&mut t, shell, etc, "cron.d/../shadow", 9);
    says(&t, "fd.name fd.nameraw fd.directory fd.filename", "/etc/shadow | cron.d/../shadow | /etc | shadow");
    open_at(&mut t, shell, flags::AT_FDCWD, "syslog", 10);
    says(&t, "fd.name", "/var/log/syslog");
    open_at(&mut t, shell, 77, "x", 11);
    says(&t, "fd.name", "<UNKNOWN>x");
}

// fchdir goes where the descriptor points, a relative chdir from there, and getcwd tells it all at once.
#[test]
fn working_directories() {
    let (mut t, shell) = desk();
    let srv = t.open(shell, "/srv/www", 1 | flags::O_DIRECTORY);
    t.emit(shell.0, ppme::PPME_SYSCALL_FCHDIR_X, &[("res", 0_i64.into()), ("fd", srv.into())]);
    t.chdir(shell, "../data/./old");
    says(&t, "proc.cwd", "/srv/data/old/");
    t.emit(shell.0, ppme::PPME_SYSCALL_GETCWD_X, &[("res", 5_i64.into()), ("path", "/tmp".into())]);
    says(&t, "proc.cwd", "/tmp/");
}

// The close between two opens of one number was lost: the number is what was opened last.
#[test]
fn fd_reuse_after_a_lost_close() {
    let (mut t, shell) = desk();
    open_at(&mut t, shell, flags::AT_FDCWD, "/old", 3);
    open_at(&mut t, shell, flags::AT_FDCWD, "/new", 3);
    t.read(shell, 3, b"x");
    says(&t, "fd.num fd.name", "3 | /new");
}

// A failed open leaves nothing behind, and the name that was asked for is still told.
#[test]
fn failed_open() {
    let (mut t, shell) = desk();
    t.open_failed(shell, "/nope", 1, flags::ENOENT);
    says(&t, "fd.num fd.name proc.fdopencount evt.failed", "-1 | /nope | 3 | true");
}

// On a close rules still see what is closed; afterwards the number means nothing.
#[test]
fn close_is_seen_with_its_name() {
    let (mut t, shell) = desk();
    let fd = t.open(shell, "/etc/passwd", flags::READ);
    t.close(shell, fd);
    says(&t, "fd.name", "/etc/passwd");
    t.read(shell, fd, b"x");
    says(&t, "fd.num fd.name fd.type", "3 |  | <NA>");
}

// dup makes a second name of one thing; dup2 takes the place of what was there.
#[test]
fn duplicates() {
    let (mut t, shell) = desk();
    let fd = t.open(shell, "/tmp/log", flags::WRITE);
    t.dup2(shell, fd, 1).close(shell, fd);
    t.write(shell, 1, b"x");
    says(&t, "fd.name proc.stdout.name proc.stdin.name", "/tmp/log | /tmp/log | /dev/pts/0");
}

// A fork copies the table: what the child closes stays open in the parent.
#[test]
fn tables_are_copied_by_a_fork() {
    let (mut t, shell) = desk();
    let fd = t.open(shell, "/tmp/both", flags::READ);
    let child = t.fork(shell);
    t.close(child, fd).read(child, fd, b"x");
    says(&t, "fd.name", "");
    t.read(shell, fd, b"x");
    says(&t, "fd.name", "/tmp/both");
}

// CLONE_FILES shares one table between two processes, until one of them executes something.
#[test]
fn tables_are_shared_until_an_exec() {
    let (mut t, shell) = desk();
    let child = t.fork_as(shell, &Fork::new().flags(flags::CLONE_FILES));
    let fd = t.open(child, "/tmp/shared", 1);
    t.read(shell, fd, b"x");
    says(&t, "fd.name", "/tmp/shared");
    t.execve(child, "/bin/true", &["true"]).close(child, fd).read(shell, fd, b"x");
    says(&t, "fd.name", "/tmp/shared");
}

// A thread opens: its process has it.
#[test]
fn threads_share_their_table() {
    let (mut t, shell) = desk();
    let thread = t.thread(shell);
    let fd = t.open(thread, "/tmp/threads", flags::READ);
    t.read(shell, fd, b"x");
    says(&t, "fd.name proc.fdopencount", "/tmp/threads | 4");
}

// An exec closes what is marked so: by the open, by fcntl, by close_range; a duplicate is not marked.
#[test]
fn close_on_exec() {
    let fcntl = |t: &mut Trace, task: Task, fd: i64, cmd: i64, arg: i64| {
        let named = [("res", 0_i64.into()), ("fd", fd.into()), ("cmd", cmd.into()), ("arg", arg.into())];
        t.emit(task.0, ppme::PPME_SYSCALL_FCNTL_X, &named);
    };
    let (mut t, shell) = desk();
    let marked = t.open(shell, "/marked", flags::READ);
    t.dup2(shell, marked, 20);
    let kept = t.open(shell, "/kept", 1);
    let later = t.open(shell, "/later", 1);
    fcntl(&mut t, shell, later, 3, 1);
    let range = t.open(shell, "/range", 1);
    let named = [("res", 0_i64.into()), ("first", range.into()), ("last", range.into()), ("flags", 4_i64.into())];
    t.emit(shell.0, ppme::PPME_SYSCALL_CLOSE_RANGE_X, &named);
    t.execve(shell, "/bin/cat", &["cat"]);
    for (fd, name) in [(marked, ""), (20, "/marked"), (kept, "/kept"), (later, ""), (range, "")] {
        let mut after = t.clone();
        after.read(shell, fd, b"x");
        says(&after, "fd.name", name);
    }
}

// Both ends of a pipe are pipes; the reader's end survives in the child that reads.
#[test]
fn pipes() {
    let (mut t, shell) = desk();
    let named = [("res", 0_i64.into()), ("fd1", 3_i64.into()), ("fd2", 4_i64.into()), ("ino", 77_i64.into())];
    t.emit(shell.0, ppme::PPME_SYSCALL_PIPE2_X, &named);
    let child = t.fork(shell);
    t.dup2(child, 3, 0).close(child, 3).close(child, 4).execve(child, "/usr/bin/wc", &["wc"]);
    t.read(child, 0, b"x");
    says(&t, "fd.type fd.ino proc.stdin.type", "pipe | 77 | pipe");
}

// Kinds that are nothing but themselves.
#[test]
fn special_descriptors() {
    let (mut t, shell) = desk();
    let memory = t.memfd(shell, "payload");
    t.write(shell, memory, b"\x7fELF");
    says(&t, "fd.type fd.name", "memfd | payload");
    let bpf = t.bpf(shell, "BPF_PROG_LOAD");
    acts(&mut t, shell);
    t.close(shell, bpf);
    says(&t, "fd.type", "bpf");
    let faults = t.userfaultfd(shell);
    t.close(shell, faults);
    says(&t, "fd.type", "userfaultfd");
}

// A descriptor fetched out of another process by its pidfd is what it is there.
#[test]
fn fetched_by_pidfd() {
    let (mut t, shell) = desk();
    let victim = t.fork(shell);
    let secret = t.open(victim, "/secret", flags::READ);
    t.emit(shell.0, ppme::PPME_SYSCALL_PIDFD_OPEN_X, &[("fd", 5_i64.into()), ("pid", victim.0.into())]);
    says(&t, "fd.type fd.name", "pidfd | /proc/5001");
    let named = [("fd", 6_i64.into()), ("pid_fd", 5_i64.into()), ("target_fd", secret.into())];
    t.emit(shell.0, ppme::PPME_SYSCALL_PIDFD_GETFD_X, &named);
    t.read(shell, 6, b"x");
    says(&t, "fd.name", "/secret");
}

// A thread that asks for descriptors of its own leaves those of its process alone, and the other way round.
#[test]
fn a_thread_with_descriptors_of_its_own() {
    let (mut t, shell) = desk();
    let log = t.open(shell, "/var/log/x", 1);
    let thread = t.thread(shell);
    t.unshare(thread, 1, 0);
    t.close(thread, log);
    acts(&mut t, thread);
    t.read(shell, log, b"x");
    says(&t, "fd.name", "/var/log/x");
    t.read(thread, log, b"x");
    says(&t, "fd.name", "");
}

// The same by close_range, which can do both at once.
#[test]
fn close_range_in_a_thread_with_descriptors_of_its_own() {
    let (mut t, shell) = desk();
    let log = t.open(shell, "/var/log/x", 1);
    let thread = t.thread(shell);
    let range = [("res", 0_i64.into()), ("first", 3_i64.into()), ("last", 100_i64.into()), ("flags", 2_i64.into())];
    t.emit(thread.0, ppme::PPME_SYSCALL_CLOSE_RANGE_X, &range);
    t.read(thread, log, b"x");
    says(&t, "fd.name", "");
    t.read(shell, log, b"x");
    says(&t, "fd.name", "/var/log/x");
}

// close_range closes what is in its range, and marks it where it is told to; libs follows neither.
#[test]
fn close_range_closes_or_marks() {
    let (mut t, shell) = desk();
    let (kept, closed) = (t.open(shell, "/kept", 1), t.open(shell, "/closed", 1));
    let range = |from: i64, flags: i64| {
        [("res", 0_i64.into()), ("first", from.into()), ("last", 100_i64.into()), ("flags", flags.into())]
    };
    t.emit(shell.0, ppme::PPME_SYSCALL_CLOSE_RANGE_X, &range(closed, 0));
    t.read(shell, kept, b"x");
    says(&t, "fd.name proc.fdopencount", "/kept | 4");
    t.emit(shell.0, ppme::PPME_SYSCALL_CLOSE_RANGE_X, &range(kept, 4));
    t.read(shell, kept, b"x");
    says(&t, "fd.name", "/kept");
    t.execve(shell, "/bin/id", &["id"]);
    says(&t, "proc.fdopencount", "3");
}

// A call that made no descriptor leaves none behind, under no number; libs files one under the number of the error.
#[test]
fn failed_calls_make_no_descriptors() {
    let (mut t, shell) = desk();
    let failed = |name: &'static str| [(name, (-24_i64).into())];
    t.emit(shell.0, ppme::PPME_SYSCALL_MEMFD_CREATE_X, &failed("fd"));
    says(&t, "proc.fdopencount fd.name", "3 | ");
    t.emit(shell.0, ppme::PPME_SYSCALL_PIDFD_OPEN_X, &failed("fd"));
    says(&t, "proc.fdopencount", "3");
}
