//! As whom a thread runs, and what its program file is.

use casebook_fixtures::{Exec, flags};
use casebook_formats::tables::ppme;

use super::{acts, desk, says};

// Ids change by the calls, stay through fork and exec, and -1 leaves them as they are.
#[test]
fn credentials_of_threads() {
    let (mut t, shell) = desk();
    let child = t.fork(shell);
    t.setresuid(child, 33, 0);
    t.emit(
        child.0,
        ppme::PPME_SYSCALL_SETRESGID_X,
        &[("res", 0_i64.into()), ("rgid", 33_i64.into()), ("egid", 33_i64.into()), ("sgid", 33_i64.into())],
    );
    says(&t, "user.uid user.name group.gid group.name user.homedir", "33 | www-data | 33 | www-data | /var/www");
    let keep = [("res", 0_i64.into()), ("ruid", 1000_i64.into()), ("euid", (-1_i64).into())];
    t.emit(child.0, ppme::PPME_SYSCALL_SETREUID_X, &keep);
    let grandchild = t.fork(child);
    acts(&mut t, grandchild);
    says(&t, "user.uid", "33");
    acts(&mut t, shell);
    says(&t, "user.uid user.name", "0 | root");
    t.setuid(child, 0, flags::EPERM);
    says(&t, "user.uid evt.failed", "33 | true");
}

// Capabilities come with an exec, are set by capset, and are all there inside a new user namespace.
#[test]
fn capability_sets() {
    let (mut t, shell) = desk();
    t.exec(shell, &Exec::new("/bin/ping").caps(1 << 13));
    says(&t, "thread.cap_effective thread.cap_permitted thread.cap_inheritable", "CAP_NET_RAW | CAP_NET_RAW | ");
    let named = [
        ("res", 0_i64.into()),
        ("cap_inheritable", 1_i64.into()),
        ("cap_permitted", 3_i64.into()),
        ("cap_effective", 2_i64.into()),
    ];
    t.emit(shell.0, ppme::PPME_SYSCALL_CAPSET_X, &named);
    let all = "CAP_DAC_OVERRIDE | CAP_CHOWN CAP_DAC_OVERRIDE | CAP_CHOWN";
    says(&t, "thread.cap_effective thread.cap_permitted thread.cap_inheritable", all);
    t.unshare(shell, flags::CLONE_NEWUSER, 0);
    let mut text = String::new();
    super::replay(&t, |context| text = super::texts(context, "thread.cap_effective"));
    assert_eq!(text.split(' ').count(), 41);
}

// What the kernel knows of the program file: on which layer it is, whether its user may write it, or a memfd.
#[test]
fn kinds_of_program_files() {
    for (bit, expected) in [
        (flags::EXE_WRITABLE, "true | false | false | false"),
        (flags::EXE_UPPER_LAYER, "false | true | false | false"),
        (flags::EXE_LOWER_LAYER, "false | false | true | false"),
        (flags::EXE_FROM_MEMFD, "false | false | false | true"),
    ] {
        let (mut t, shell) = desk();
        t.exec(shell, &Exec::new("/tmp/x").flags(bit));
        let child = t.fork(shell);
        acts(&mut t, child);
        let fields = "proc.is_exe_writable proc.is_exe_upper_layer proc.is_exe_lower_layer proc.is_exe_from_memfd";
        says(&t, fields, expected);
    }
}

// Inode and times of the program file, and how fresh it was when the process began.
#[test]
fn inode_times() {
    let (mut t, shell) = desk();
    let begin = t.now();
    let child = t.fork(shell);
    let changed = begin - 5_000_000_000;
    t.exec(child, &Exec::new("/tmp/dropped").changed(changed));
    let fields = "proc.exe_ino proc.exe_ino.ctime proc.exe_ino.mtime proc.exe_ino.ctime_duration_proc_start";
    says(&t, fields, &format!("4242 | {changed} | {changed} | 5000000000"));
}

// The audit login survives su and sudo; a terminal comes and goes with sessions.
#[test]
fn login_and_terminal() {
    let (mut t, shell) = desk();
    let child = t.fork(shell);
    t.setresuid(child, 0, 0).execve(child, "/bin/su", &["su"]);
    says(&t, "user.loginuid user.loginname proc.tty", "1000 | alice | 34816");
    t.exec(child, &Exec::new("/bin/sh").tty(0x8801));
    says(&t, "proc.tty", "34817");
    t.setsid(child);
    says(&t, "proc.tty proc.is_sid_leader", "0 | true");
    let daemon = t.process(casebook_fixtures::Proc::new(90, "/sbin/cron"));
    acts(&mut t, daemon);
    says(&t, "user.loginuid user.loginname proc.tty", "-1 | <NA> | 0");
}
