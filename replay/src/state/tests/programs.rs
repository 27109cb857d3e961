//! Programs, credentials, sessions, users and containers of processes.

use super::*;

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

// Users of a container are its own; the host's of the same number are others.
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
    let name = |container: &[u8]| bench.state.user(container, 33).map(|user| text(&user.name));
    assert_eq!((name(b""), name(b"c1"), name(b"c2")), (Some("www-data".into()), Some("nginx".into()), None));
}

// A thread's own name is kept apart from the name that rules go by, and an exec ends it.
#[test]
fn names_set_by_prctl() {
    let mut bench = Bench::new();
    bench.apply(&event(PPME_SYSCALL_PRCTL_X, 10).num("res", 0).num("option", 15).text("arg2_str", "kworker/0:1"));
    let renamed = bench.thread(10);
    assert_eq!((text(&renamed.comm), text(renamed.set_name.as_ref().unwrap())), ("bash".into(), "kworker/0:1".into()));
    bench.apply(&exec(10, 10, "ls"));
    assert!(bench.thread(10).set_name.is_none());
}

// Memory of the process, faults of the thread, the limit of descriptors of the process.
#[test]
fn counters_and_limits() {
    let mut bench = Bench::new();
    bench.apply(&clone_half(10, 10, 1, 11, THREAD));
    let version = bench.thread(10).version;
    let switch = event(PPME_SCHEDSWITCH_6_E, 11).num("pgft_maj", 1).num("pgft_min", 2);
    bench.apply(&switch.num("vm_size", 300).num("vm_rss", 200).num("vm_swap", 100));
    assert_eq!((bench.thread(11).usage.pf_major, bench.thread(11).usage.pf_minor), (1, 2));
    assert_eq!((bench.thread(10).usage.vm_size, bench.thread(10).usage.vm_swap), (300, 100));
    assert_eq!(bench.thread(10).version, version, "counters are no change of the process");
    let limit = event(PPME_SYSCALL_PRLIMIT_X, 11).num("res", 0).num("pid", 0).num("resource", 7);
    bench.apply(&limit.num("newcur", 4096));
    assert_eq!(bench.state.fd_limit(bench.thread(11)), 4096);
}

// A new user namespace gives every capability.
#[test]
fn capabilities() {
    let mut bench = Bench::new();
    bench.apply(&event(PPME_SYSCALL_CAPSET_X, 10).num("res", 0).num("cap_effective", 1).num("cap_permitted", 3));
    assert_eq!((bench.thread(10).cap_effective, bench.thread(10).cap_permitted), (1, 3));
    bench.apply(&event(PPME_SYSCALL_UNSHARE_X, 10).num("res", 0).num("flags", 1 << 20));
    assert!(bench.thread(10).cap_effective.count_ones() > 40);
}

// The root changes by name, relative to the working directory.
#[test]
fn chroot() {
    let mut bench = Bench::new();
    bench.apply(&event(PPME_SYSCALL_CHROOT_X, 10).num("res", 0).text("path", "jail/."));
    assert_eq!(text(&bench.thread(10).root), "/root/jail");
}

// A removed container is still known while its processes exit.
#[test]
fn container_removal() {
    let mut bench = Bench::new();
    let json = br#"{"container":{"id":"7951fb549ab9","name":"web","type":0}}"#;
    let event = |name| event(PPME_ASYNCEVENT_E, -1).num("plugin_id", 0).text("name", name).raw("data", json);
    bench.apply(&event("container"));
    let effects = bench.apply(&event("container_removed"));
    assert!(effects.is_about_container());
    assert_eq!(text(&bench.state.event_container(&effects).unwrap().name), "web");
    assert!(bench.state.container(b"7951fb549ab9").is_some());
}
