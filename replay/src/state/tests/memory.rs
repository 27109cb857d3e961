//! Nothing of the dead stays: the tables are as large after many processes as after a few.

use super::*;

/// Entries of every table that processes could leave something in.
fn sizes(state: &State) -> [usize; 7] {
    let children = state.threads.iter().map(|thread| thread.children.len()).sum();
    [
        state.threads.len(),
        state.threads.end() as usize,
        state.by_tid.len(),
        state.groups.len(),
        state.tables.len(),
        state.tables.end() as usize,
        children,
    ]
}

/// Short lives one after another: shells that fork a child and a thread, execute, open, copy and leave open, and exit
/// in either order. Process ids rise and come back, as the kernel's do.
fn live(bench: &mut Bench, processes: i64) {
    for n in 0..processes {
        let pid = 100 + n * 3 % 4_000_000;
        let ts = 1_000_000_000 + n as u64 * 50_000_000;
        let (child, thread) = (pid + 1, pid + 2);
        let name = format!("program{n}");
        bench.apply(&clone_parent(10, pid, 0).at(ts));
        bench.apply(&clone_child(pid, 10, 0).at(ts));
        bench.apply(&exec(pid, pid, &name).at(ts).raw("env", format!("N={n}\0").as_bytes()));
        bench.apply(&open(pid, 5, &format!("/tmp/{name}"), 1).at(ts));
        bench.apply(&event(PPME_SYSCALL_DUP_1_X, pid).at(ts).num("res", 300).num("oldfd", 5));
        bench.apply(&clone_half(pid, pid, 10, thread, THREAD).at(ts));
        bench.apply(&clone_half(thread, pid, 10, 0, THREAD).at(ts));
        bench.apply(&clone_half(pid, pid, 10, child, 0).at(ts));
        let order = if n % 2 == 0 { [pid, thread, child] } else { [child, thread, pid] };
        for tid in order {
            bench.apply(&exit(tid).at(ts + 1));
        }
    }
    bench.apply(&nothing(10));
}

#[test]
fn tables_do_not_grow_with_processes() {
    let mut bench = Bench::new();
    live(&mut bench, 100);
    let few = sizes(&bench.state);
    assert_eq!(few[0], 2, "init and the shell");
    live(&mut bench, 33_000);
    assert_eq!(sizes(&bench.state), few);
    assert!(bench.state.recent_exits.len() <= crate::state::limits::RECENT_EXITS);
    assert!(bench.state.places.len() < 10 && bench.state.containers.is_empty());
}

// A thread whose exit was lost is forgotten when its number is used again, by a clone or from the list of the dead.
#[test]
fn lost_exits_end_with_the_reuse_of_the_number() {
    let mut bench = Bench::new();
    for round in 0..50 {
        for pid in 100..200 {
            bench.apply(&clone_parent(10, pid, 0).at(1_000_000_000 + round * 10_000_000_000));
        }
    }
    assert_eq!(sizes(&bench.state)[..3], [102, 102, 102]);
    assert_eq!(bench.thread(10).children.len(), 100);
}

// Many threads with long texts of their own: new ones are cut when all together are too much, and whole again when the
// old ones are gone.
#[test]
fn texts_have_a_budget() {
    let mut bench = Bench::new();
    let long = |n: i64| [format!("N={n}").as_bytes(), &vec![b'x'; 60_000], b"\0"].concat();
    let pids = 1000..(1000 + 2 * (crate::state::limits::TEXT_BUDGET as i64 + (128 << 20)) / 60_000);
    for pid in pids.clone() {
        bench.apply(&clone_child(pid, 1, 0));
        bench.apply(&exec(pid, pid, "hog").raw("env", &long(pid)));
    }
    let held: usize = bench.state.threads.iter().map(|thread| thread.env.len()).sum();
    let bound = crate::state::limits::TEXT_BUDGET + crate::state::limits::TEXT_CHECK;
    assert!(held > bound / 2 && held <= bound + (2 << 20), "{held}");
    assert!(bench.ledger.get(Counter::StateLimit) > 0);
    for pid in pids {
        bench.apply(&exit(pid));
    }
    bench.apply(&nothing(10));
    bench.state.weigh(&mut Ledger::default());
    bench.apply(&exec(10, 10, "sh").raw("env", &long(10)));
    assert!(bench.thread(10).env.len() > 60_000);
}

/// The figure for a million processes; run it with `--ignored --nocapture` under `/usr/bin/time -v`.
#[test]
#[ignore = "takes half a minute; the figure is in replay/BENCH.md"]
fn a_million_processes() {
    let mut bench = Bench::new();
    live(&mut bench, 1_000_000);
    assert_eq!(sizes(&bench.state)[0], 2);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|line| line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()));
    println!("peak resident set: {peak:?} KiB");
    assert!(peak.is_none_or(|kib| kib < 512 << 10));
}
