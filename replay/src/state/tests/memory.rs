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
