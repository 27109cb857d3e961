//! Who runs, and whose child.

use casebook_fixtures::{Exec, Fork, Halves, Proc, flags};
use casebook_formats::tables::ppme;

use super::{acts, desk, replay, says};

// Whichever half of a clone comes first, the child is its parent's, with what it inherits; one half is enough.
#[test]
fn child_event_first() {
    for halves in [Halves::ParentFirst, Halves::ChildFirst, Halves::Parent, Halves::Child] {
        let (mut t, shell) = desk();
        let child = t.fork_as(shell, &Fork::new().halves(halves));
        acts(&mut t, child);
        let fields = "proc.pid proc.ppid proc.pname proc.exepath proc.cwd proc.sid proc.tty proc.nthreads";
        // The child returns from its clone before it does anything else: without that, the capture has a gap.
        let nthreads = if halves == Halves::Parent { "<NA>" } else { "1" };
        says(&t, fields, &format!("5001 | 500 | bash | /bin/bash | /root/ | 500 | 34816 | {nthreads}"));
    }
}

// A clone of which neither half is there: the exec brings the process in, with its parent, and nothing is made up.
#[test]
fn lost_clone() {
    let (mut t, shell) = desk();
    let child = t.fork_as(shell, &Fork::new().halves(Halves::Neither));
    t.execve(child, "/usr/bin/id", &["id", "-u"]);
    let fields = "proc.name proc.cmdline proc.ppid proc.pname proc.cwd proc.sid";
    says(&t, fields, "id | id -u | 500 | bash |  | <NA>");
}

// The parent dies first: init takes the child, and the parent that the capture knew is remembered with it.
#[test]
fn parent_dies_first() {
    let (mut t, shell) = desk();
    let child = t.spawn(shell, "/usr/bin/sleep", &["sleep", "9"]);
    t.exit(shell, 0);
    says(&t, "proc.pid proc.is_vpgid_leader", "500 | true");
    acts(&mut t, child);
    says(&t, "proc.ppid proc.pname proc.aname[2] proc.apid[1]", "1 | systemd | <NA> | 1");
    let (after, _) = replay(&t, |_| ());
    let (pid, comm) = after.state().thread(child.0).unwrap().former_parent.clone().unwrap();
    assert_eq!((pid, &*comm), (500, b"bash".as_slice()));
}

// Orphans go to the nearest subreaper above, not past it to init.
#[test]
fn reparenting_to_a_subreaper() {
    let (mut t, shell) = desk();
    let prctl = [("res", 0_i64.into()), ("option", 36_i64.into()), ("arg2_int", 1_i64.into())];
    t.emit(shell.0, ppme::PPME_SYSCALL_PRCTL_X, &prctl);
    let middle = t.fork(shell);
    let child = t.fork(middle);
    let end = [("status", 0_i64.into()), ("ret", 0_i64.into()), ("reaper_tid", 500_i64.into())];
    t.emit(middle.0, ppme::PPME_PROCEXIT_1_E, &end);
    acts(&mut t, child);
    says(&t, "proc.ppid proc.pname", "500 | bash");
}

// A thread that executes becomes its process: the program is another one, the other threads are gone, the pid stays.
#[test]
fn thread_exec() {
    let (mut t, shell) = desk();
    let second = t.thread(shell);
    let third = t.thread(shell);
    acts(&mut t, third);
    says(
        &t,
        "thread.tid proc.pid thread.ismain proc.nthreads proc.nchilds",
        &format!("{} | 500 | false | 3 | 2", third.0),
    );
    // The kernel ends the others and gives the caller the leader's number before the call returns.
    t.exit(third, 0).exit(shell, 0);
    t.execve(shell, "/usr/bin/top", &["top", "-b"]);
    says(&t, "thread.tid proc.pid proc.cmdline thread.ismain proc.nthreads", "500 | 500 | top -b | true | 1");
    let (after, _) = replay(&t, |_| ());
    assert!(after.state().thread(second.0).is_none_or(|old| old.dead));
}

// A number is used again and the exit in between was lost: the new process is not the old one.
#[test]
fn pid_reuse() {
    let (mut t, shell) = desk();
    let old = t.fork_as(shell, &Fork::new().pid(700));
    t.execve(old, "/usr/bin/vi", &["vi", "secret"]).setsid(old);
    t.wait_ms(60_000);
    let new = t.fork_as(shell, &Fork::new().pid(700));
    acts(&mut t, new);
    says(&t, "proc.pid proc.cmdline proc.sid proc.nthreads", "700 | bash | 500 | 1");
}

// In nested pid namespaces a parent is told another number than the host's; the child's own half tells both.
#[test]
fn nested_pid_namespaces() {
    for halves in [Halves::ParentFirst, Halves::ChildFirst] {
        let (mut t, shell) = desk();
        let outer = t.fork_as(shell, &Fork::new().flags(flags::CLONE_NEWPID).vpid(1).halves(halves));
        let inner = t.fork_as(outer, &Fork::new().flags(flags::CLONE_NEWPID).vpid(1).halves(halves));
        let leaf = t.fork_as(inner, &Fork::new().vpid(2).halves(halves));
        acts(&mut t, leaf);
        let fields = "proc.pid proc.vpid proc.ppid proc.pvpid proc.apid[2] proc.apid[3] thread.vtid";
        says(&t, fields, "5003 | 2 | 5002 | 1 | 5001 | 500 | 2");
    }
}

// Who dies in a pid namespace leaves its children to the init of that namespace.
#[test]
fn orphans_of_a_pid_namespace() {
    let (mut t, shell) = desk();
    let init = t.fork_as(shell, &Fork::new().flags(flags::CLONE_NEWPID).vpid(1));
    let middle = t.fork_as(init, &Fork::new().vpid(2));
    let leaf = t.fork_as(middle, &Fork::new().vpid(3));
    t.emit(middle.0, ppme::PPME_PROCEXIT_1_E, &[("status", 0_i64.into())]);
    acts(&mut t, leaf);
    says(&t, "proc.ppid proc.pvpid", "5001 | 1");
}

// Sessions and groups inside a pid namespace have the namespace's numbers: whether somebody leads is asked with these.
#[test]
fn sessions_and_groups_in_a_pid_namespace() {
    let (mut t, shell) = desk();
    let init = t.fork_as(shell, &Fork::new().flags(flags::CLONE_NEWPID).vpid(1));
    let leader = t.fork_as(init, &Fork::new().vpid(7));
    t.setsid(leader);
    let fields = "proc.sid proc.vpid proc.is_sid_leader proc.vpgid proc.is_vpgid_leader proc.pgid proc.is_pgid_leader";
    says(&t, fields, "7 | 7 | true | 7 | true | 5002 | true");
    let member = t.fork_as(leader, &Fork::new().vpid(8));
    acts(&mut t, member);
    says(&t, fields, "7 | 8 | false | 7 | false | 5002 | false");
    says(&t, "proc.sname proc.vpgid.name proc.pgid.name", "bash | bash | bash");
    t.setpgid(member);
    says(&t, fields, "7 | 8 | false | 8 | true | 5003 | true");
}

// On the host the numbers of sessions and groups are those of their leaders.
#[test]
fn sessions_and_groups_on_the_host() {
    let (mut t, shell) = desk();
    let job = t.spawn(shell, "/usr/bin/make", &["make"]);
    t.setpgid(job);
    let worker = t.spawn(job, "/usr/bin/cc", &["cc", "a.c"]);
    says(
        &t,
        "proc.sname proc.pgid proc.pgid.name proc.vpgid.exe proc.is_vpgid_leader",
        "bash | 5001 | make | make | false",
    );
    t.setsid(worker);
    says(&t, "proc.sname proc.is_sid_leader proc.is_vpgid_leader proc.is_pgid_leader", "cc | true | true | true");
}

// A process ends: how long it ran, counted from the first half of its clone.
#[test]
fn durations() {
    let (mut t, shell) = desk();
    let begin = t.now();
    let child = t.fork(shell);
    t.wait_ms(1500);
    let end = t.now();
    t.exit(child, 0);
    says(&t, "proc.duration proc.pid.ts", &format!("{} | {begin}", end - begin));
    acts(&mut t, shell);
    says(&t, "proc.duration", "<NA>");
}

// A recorder of old writes enter and exit: how long the call took. Today's events cannot tell.
#[test]
fn latency_where_the_enter_half_was_seen() {
    let (mut t, shell) = desk();
    t.stored(shell.0, ppme::PPME_SYSCALL_READ_E, &[3_i64.into(), 10_i64.into()]);
    t.wait_ns(750_000);
    t.stored(shell.0, ppme::PPME_SYSCALL_READ_X, &[0_i64.into()]);
    says(&t, "evt.latency evt.latency.ns", "1000000 | 001000000");
    t.read(shell, 3, b"");
    says(&t, "evt.latency", "<NA>");
}

// A new program keeps pid, parent, directory, session and terminal, and replaces name, arguments, environment and file.
#[test]
fn exec_keeps_and_replaces() {
    let (mut t, shell) = desk();
    let child = t.fork(shell);
    t.exec(child, &Exec::new("/usr/bin/env").argv(&["env", "-i"]).env(&["A=1"]));
    let fields = "proc.pid proc.ppid proc.cwd proc.sid proc.name proc.args proc.exepath proc.env[A] proc.env[PATH]";
    says(&t, fields, "5001 | 500 | /root/ | 500 | env | -i | /usr/bin/env | 1 | ");
    t.execve_failed(child, "/usr/bin/none", flags::ENOENT);
    says(&t, "proc.name evt.res", "env | ENOENT");
}

// Half of a clone3 in a thread is read from memory that may be written over already: its ids say that it is a thread.
#[test]
fn flags_of_clone3_that_deny_a_thread() {
    let (mut t, shell) = desk();
    let server = t.process(Proc::new(900, "/usr/sbin/httpd").parent(shell).session(900));
    let half = |flags: u32| {
        vec![
            ("res", 0_i64.into()),
            ("exe", "httpd".into()),
            ("tid", 901_i64.into()),
            ("pid", 900_i64.into()),
            ("ptid", 500_i64.into()),
            ("comm", "httpd".into()),
            ("flags", flags.into()),
            ("vtid", 901_i64.into()),
            ("vpid", 900_i64.into()),
        ]
    };
    let log = t.create(server, "/var/log/httpd");
    t.emit(901, ppme::PPME_SYSCALL_CLONE3_X, &half(1 << 11));
    t.emit(901, ppme::PPME_SYSCALL_WRITE_X, &[("res", 1_i64.into()), ("fd", log.into())]);
    says(&t, "proc.exepath proc.sid fd.name proc.nthreads", "/usr/sbin/httpd | 900 | /var/log/httpd | 2");
}
