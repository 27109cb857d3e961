//! `proc.*` and `thread.*`: the thread of the event, its process, its ancestors, its session and group.
//!
//! Ids and numbers that the capture does not tell are absent; libs shows -1 or 0 for them.

mod ancestry;
mod lines;

use casebook_rules::event::Extracted;
use casebook_rules::schema::FieldArg;
use casebook_rules::value::Value;

use super::catalogue::ProcessField;
use super::{borrowed, cow, fd, fixed, index, key, names, owned, signed, truth, unsigned, when};
use crate::context::EventContext;
use crate::state::{Fd, State, Thread};
use ancestry::{ancestor_args, ancestor_env, ancestors, login_shell};
pub(crate) use lines::words;
use lines::{cgroup, command_line, joined, joined_after, variable};

pub(super) fn extract<'e>(context: &'e EventContext<'_>, field: ProcessField, arg: &FieldArg) -> Extracted<'e> {
    if field == ProcessField::ThreadTid {
        return signed(context.event.tid);
    }
    let Some(thread) = context.thread else { return Extracted::Absent };
    let state = context.state;
    let parent = || state.parent(thread);
    let memory = || state.memory(thread);
    let faults = || state.faults(thread);
    match field {
        ProcessField::ProcExe => borrowed(&thread.exe),
        ProcessField::ProcExepath => borrowed(&thread.exepath),
        ProcessField::ProcName => borrowed(&thread.comm),
        ProcessField::ProcPexe => when(parent(), |parent| borrowed(&parent.exe)),
        ProcessField::ProcPexepath => when(parent(), |parent| borrowed(&parent.exepath)),
        ProcessField::ProcPname => when(parent(), |parent| borrowed(&parent.comm)),
        ProcessField::ProcCmdline => cow(command_line(thread)),
        ProcessField::ProcPcmdline => when(parent(), |parent| cow(command_line(parent))),
        ProcessField::ProcExeline => owned(joined_after(&thread.exe, &thread.args)),
        ProcessField::ProcAexe => ancestors(context, arg, |t| Value::text(&t.exe)),
        ProcessField::ProcAexepath => ancestors(context, arg, |t| Value::text(&t.exepath)),
        ProcessField::ProcAname => ancestors(context, arg, |t| Value::text(&t.comm)),
        ProcessField::ProcAcmdline => ancestors(context, arg, |t| Value::Text(command_line(t))),
        ProcessField::ProcApid => ancestors(context, arg, |t| Value::I64(t.pid)),
        ProcessField::ProcAargs => ancestor_args(context, arg),
        ProcessField::ProcAenv => ancestor_env(context, arg),
        ProcessField::ProcArgs => match index(arg) {
            Some(n) => borrowed(usize::try_from(n).ok().and_then(|n| words(&thread.args).nth(n)).unwrap_or_default()),
            None => cow(joined(&thread.args)),
        },
        ProcessField::ProcCmdnargs | ProcessField::ProcCmdlenargs if nothing_told(thread) => Extracted::Absent,
        ProcessField::ProcCmdnargs => unsigned(words(&thread.args).count() as u64),
        ProcessField::ProcCmdlenargs => unsigned(words(&thread.args).map(|word| word.len() as u64).sum()),
        ProcessField::ProcEnv => match key(arg) {
            Some(name) => borrowed(variable(state.env(thread), name)),
            None => cow(joined(state.env(thread))),
        },
        ProcessField::ProcCwd => when(state.cwd(thread), borrowed),
        ProcessField::ProcLoginshellid => when(login_shell(context, thread), |shell| signed(shell.pid)),
        ProcessField::ProcTty => if_introduced(thread, || unsigned(u64::from(thread.tty))),
        ProcessField::ProcPid => id(thread.pid),
        ProcessField::ProcPpid => when(process_parent(state, thread), |parent| id(parent.pid)),
        ProcessField::ProcVpid => id(thread.vpid),
        ProcessField::ProcPvpid => when(parent(), |parent| id(parent.vpid)),
        ProcessField::ThreadVtid => id(thread.vtid),
        ProcessField::ProcSid => id(thread.sid),
        ProcessField::ProcVpgid => id(thread.vpgid),
        ProcessField::ProcPgid => id(thread.pgid),
        ProcessField::ProcSname => leader(thread.sid, || state.session_leader(thread), |t| &t.comm),
        ProcessField::ProcSidExe => leader(thread.sid, || state.session_leader(thread), |t| &t.exe),
        ProcessField::ProcSidExepath => leader(thread.sid, || state.session_leader(thread), |t| &t.exepath),
        ProcessField::ProcVpgidName => leader(thread.vpgid, || state.vpgid_leader(thread), |t| &t.comm),
        ProcessField::ProcVpgidExe => leader(thread.vpgid, || state.vpgid_leader(thread), |t| &t.exe),
        ProcessField::ProcVpgidExepath => leader(thread.vpgid, || state.vpgid_leader(thread), |t| &t.exepath),
        ProcessField::ProcPgidName => leader(thread.pgid, || state.pgid_leader(thread), |t| &t.comm),
        ProcessField::ProcPgidExe => leader(thread.pgid, || state.pgid_leader(thread), |t| &t.exe),
        ProcessField::ProcPgidExepath => leader(thread.pgid, || state.pgid_leader(thread), |t| &t.exepath),
        ProcessField::ProcIsSidLeader => same(thread.sid, thread.vpid),
        ProcessField::ProcIsVpgidLeader => same(thread.vpgid, thread.vpid),
        ProcessField::ProcIsPgidLeader => same(thread.pgid, thread.pid),
        ProcessField::ProcDuration => when(since(context, state.start_of(thread)), unsigned),
        // Since the parent process started, where `proc.ppid.ts` is the start of the thread that is the parent: as libs.
        ProcessField::ProcPpidDuration => {
            let process = parent().and_then(|parent| state.main_thread_of(parent));
            when(process.and_then(|process| since(context, state.start_of(process))), unsigned)
        }
        ProcessField::ProcPidTs => when(state.start_of(thread), unsigned),
        ProcessField::ProcPpidTs => when(parent().and_then(|parent| state.start_of(parent)), unsigned),
        ProcessField::ProcIsExeWritable => of_file(thread, thread.exe_writable),
        ProcessField::ProcIsExeUpperLayer => of_file(thread, thread.exe_upper_layer),
        ProcessField::ProcIsExeLowerLayer => of_file(thread, thread.exe_lower_layer),
        ProcessField::ProcIsExeFromMemfd => of_file(thread, thread.exe_from_memfd),
        ProcessField::ProcExeIno => when(Some(thread.exe_ino).filter(|&ino| ino != 0), |ino| signed(ino as i64)),
        ProcessField::ProcExeInoCtime => known(thread.exe_ino_ctime),
        ProcessField::ProcExeInoMtime => known(thread.exe_ino_mtime),
        ProcessField::ProcExeInoCtimeDurationProcStart if state.start_of(thread).is_none() => Extracted::Absent,
        ProcessField::ProcExeInoCtimeDurationProcStart => known(thread.exe_ino_ctime_to_clone),
        ProcessField::ProcExeInoCtimeDurationPidnsStart => known(thread.exe_ino_ctime_after_pidns),
        ProcessField::ProcPidnsInitStartTs => known(thread.pidns_init_start_ts),
        ProcessField::ThreadCapPermitted => capabilities(thread, thread.cap_permitted),
        ProcessField::ThreadCapInheritable => capabilities(thread, thread.cap_inheritable),
        ProcessField::ThreadCapEffective => capabilities(thread, thread.cap_effective),
        ProcessField::ProcFdopencount => complete(context, || unsigned(state.fd_count(thread) as u64)),
        ProcessField::ProcFdlimit => id(state.fd_limit(thread)),
        ProcessField::ProcFdusage => {
            complete(context, || when(fd_usage(state, thread), |usage| Extracted::One(Value::Double(usage))))
        }
        ProcessField::ProcVmsize => when(memory(), |usage| unsigned(usage.vm_size)),
        ProcessField::ProcVmrss => when(memory(), |usage| unsigned(usage.vm_rss)),
        ProcessField::ProcVmswap => when(memory(), |usage| unsigned(usage.vm_swap)),
        ProcessField::ThreadPfmajor => when(faults(), |usage| unsigned(usage.pf_major)),
        ProcessField::ThreadPfminor => when(faults(), |usage| unsigned(usage.pf_minor)),
        ProcessField::ThreadTid => signed(context.event.tid),
        ProcessField::ThreadIsmain => if_introduced(thread, || truth(thread.is_main())),
        ProcessField::ThreadNametid => owned([&thread.comm, context.event.tid.to_string().as_bytes()].concat()),
        ProcessField::ThreadCgroups => when(Some(joined(&thread.cgroups)).filter(|cgroups| !cgroups.is_empty()), cow),
        ProcessField::ThreadCgroup => when(key(arg).and_then(|name| cgroup(&thread.cgroups, name)), borrowed),
        ProcessField::ThreadCpu => percent(state.ticks_spent(thread), |(user, system)| user.saturating_add(system)),
        ProcessField::ThreadCpuUser => percent(state.ticks_spent(thread), |(user, _)| user),
        ProcessField::ThreadCpuSystem => percent(state.ticks_spent(thread), |(_, system)| system),
        ProcessField::ThreadExectime => when(state.time_on_processor(thread), |(last, _)| unsigned(last)),
        ProcessField::ThreadTotexectime => when(state.time_on_processor(thread).and_then(|(_, all)| all), unsigned),
        ProcessField::ProcNthreads => complete(context, || unsigned(state.thread_count(thread) as u64)),
        ProcessField::ProcNchilds => complete(context, || unsigned(state.other_thread_count(thread) as u64)),
        ProcessField::ThreadVmsize => when(memory(), |usage| of_leader(thread, usage.vm_size)),
        ProcessField::ThreadVmrss => when(memory(), |usage| of_leader(thread, usage.vm_rss)),
        ProcessField::ThreadVmsizeB => when(memory(), |usage| of_leader(thread, usage.vm_size.saturating_mul(1024))),
        ProcessField::ThreadVmrssB => when(memory(), |usage| of_leader(thread, usage.vm_rss.saturating_mul(1024))),
        ProcessField::ProcStdinType => when(state.fd(thread, 0), fd_type),
        ProcessField::ProcStdoutType => when(state.fd(thread, 1), fd_type),
        ProcessField::ProcStderrType => when(state.fd(thread, 2), fd_type),
        ProcessField::ProcStdinName => when(state.fd(thread, 0), |fd| borrowed(&fd.name)),
        ProcessField::ProcStdoutName => when(state.fd(thread, 1), |fd| borrowed(&fd.name)),
        ProcessField::ProcStderrName => when(state.fd(thread, 2), |fd| borrowed(&fd.name)),
    }
}

/// Whether a field says the same on all events of a thread until something becomes known of processes: all but counters,
/// times, what descriptors tell, and what rests on events that may be missing.
pub(super) fn outlasts(field: ProcessField) -> bool {
    use ProcessField as P;
    matches!(
        field,
        P::ProcExe
            | P::ProcExepath
            | P::ProcName
            | P::ProcPexe
            | P::ProcPexepath
            | P::ProcPname
            | P::ProcCmdline
            | P::ProcPcmdline
            | P::ProcExeline
            | P::ProcAexe
            | P::ProcAexepath
            | P::ProcAname
            | P::ProcAcmdline
            | P::ProcApid
            | P::ProcAargs
            | P::ProcAenv
            | P::ProcArgs
            | P::ProcCmdnargs
            | P::ProcCmdlenargs
            | P::ProcEnv
            | P::ProcCwd
            | P::ProcLoginshellid
            | P::ProcTty
            | P::ProcPid
            | P::ProcPpid
            | P::ProcVpid
            | P::ProcPvpid
            | P::ThreadVtid
            | P::ProcSid
            | P::ProcVpgid
            | P::ProcPgid
            | P::ProcSname
            | P::ProcSidExe
            | P::ProcSidExepath
            | P::ProcVpgidName
            | P::ProcVpgidExe
            | P::ProcVpgidExepath
            | P::ProcPgidName
            | P::ProcPgidExe
            | P::ProcPgidExepath
            | P::ProcIsSidLeader
            | P::ProcIsVpgidLeader
            | P::ProcIsPgidLeader
            | P::ProcIsExeWritable
            | P::ProcIsExeUpperLayer
            | P::ProcIsExeLowerLayer
            | P::ProcIsExeFromMemfd
            | P::ProcExeIno
            | P::ThreadCapPermitted
            | P::ThreadCapInheritable
            | P::ThreadCapEffective
            | P::ThreadIsmain
            | P::ThreadCgroups
            | P::ThreadCgroup
    )
}

/// An id, unless it is the mark for *not known*.
fn id<'e>(number: i64) -> Extracted<'e> {
    if number == -1 { Extracted::Absent } else { signed(number) }
}

/// A time or span, unless it is the mark for *not known*.
fn known<'e>(number: u64) -> Extracted<'e> {
    if number == 0 { Extracted::Absent } else { unsigned(number) }
}

/// Whether two ids are equal, when both are known.
fn same<'e>(a: i64, b: i64) -> Extracted<'e> {
    if a == -1 || b == -1 { Extracted::Absent } else { truth(a == b) }
}

/// Ticks of a hundredth of a second in the second between two events of this kind: percent of one processor, at most all
/// of it, as libs counts.
fn percent<'e>(spent: Option<(u64, u64)>, which: impl FnOnce((u64, u64)) -> u64) -> Extracted<'e> {
    when(spent.map(which), |ticks| Extracted::One(Value::Double(ticks.min(100) as f64)))
}

/// Memory of a process is reported on its leader only.
fn of_leader<'e>(thread: &Thread, amount: u64) -> Extracted<'e> {
    unsigned(if thread.is_main() { amount } else { 0 })
}

fn fd_type<'e>(record: &Fd) -> Extracted<'e> {
    fixed(fd::type_name(record.kind))
}

/// Nanoseconds from a known moment to the event.
fn since(context: &EventContext<'_>, start: Option<u64>) -> Option<u64> {
    start.map(|start| context.event.ts.wrapping_sub(start))
}

/// A value that rests on everything that happened to the process: unknown where the capture does not introduce it, and
/// where events are certainly missing.
fn complete<'e>(context: &EventContext<'_>, value: impl FnOnce() -> Extracted<'e>) -> Extracted<'e> {
    let introduced = context.thread.is_some_and(|thread| !thread.placeholder);
    if introduced && !context.state.has_losses() { value() } else { Extracted::Absent }
}

/// A value that a thread of which only the number is known cannot have.
fn if_introduced<'e>(thread: &Thread, value: impl FnOnce() -> Extracted<'e>) -> Extracted<'e> {
    if thread.placeholder { Extracted::Absent } else { value() }
}

/// A set of capabilities, which an exec computes anew.
fn capabilities<'e>(thread: &Thread, set: u64) -> Extracted<'e> {
    if thread.caps_lost { Extracted::Absent } else { if_introduced(thread, || owned(names::capabilities(set))) }
}

/// A fact about the leader of a session or group; empty where the id is known but nobody who could be it, as in libs.
fn leader<'e>(
    id: i64,
    find: impl FnOnce() -> Option<&'e Thread>,
    fact: impl FnOnce(&'e Thread) -> &'e [u8],
) -> Extracted<'e> {
    if id == -1 { Extracted::Absent } else { borrowed(find().map_or(b"", fact)) }
}

/// Parent of the process that the thread belongs to.
fn process_parent<'e>(state: &'e State, thread: &'e Thread) -> Option<&'e Thread> {
    state.main_thread_of(thread).and_then(|main| state.parent(main))
}

/// The exec that brought the program was lost, and no event has told its arguments since.
fn nothing_told(thread: &Thread) -> bool {
    thread.placeholder || thread.program_lost && thread.args.is_empty() && *thread.comm == *b"<NA>"
}

/// A fact about the executable, which is not known after a lost exec.
fn of_file<'e>(thread: &Thread, fact: bool) -> Extracted<'e> {
    if thread.program_lost || thread.placeholder { Extracted::Absent } else { truth(fact) }
}

/// Open descriptors in percent of the limit; 0 of none where the limit is 0, as in libs.
fn fd_usage(state: &State, thread: &Thread) -> Option<f64> {
    match state.fd_limit(thread) {
        0 => Some(0.0),
        limit @ 1.. => Some(state.fd_count(thread) as f64 * 100.0 / limit as f64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use casebook_formats::tables::ppme;

    use super::super::sample::{Sample, state};

    /// Texts of fields on a close by thread 100 (bash below sshd below init) and by thread 200 of the sample.
    fn on(tid: i64, fields: &[&str]) -> Vec<Option<String>> {
        let mut close = Sample::new(ppme::PPME_SYSCALL_CLOSE_X).with((-9i64).to_le_bytes()).with(99i64.to_le_bytes());
        close.tid = tid;
        close.on(&mut state(), fields)
    }

    #[test]
    fn the_process_and_its_ancestors() {
        let fields = [
            "proc.name",
            "proc.pname",
            "proc.aname[0]",
            "proc.aname[1]",
            "proc.aname[2]",
            "proc.exe",
            "proc.pexepath",
            "proc.aexe[2]",
            "proc.apid[1]",
            "proc.ppid",
            "proc.cmdline",
            "proc.exeline",
            "proc.pcmdline",
            "proc.args",
            "proc.args[1]",
            "proc.cmdnargs",
            "proc.cmdlenargs",
            "proc.cwd",
            "proc.aname",
        ];
        let wanted = [
            "bash",
            "sshd",
            "bash",
            "sshd",
            "init",
            "./bash",
            "/bin/sshd",
            "./init",
            "50",
            "50",
            "bash -c echo hi",
            "./bash -c echo hi",
            "sshd",
            "-c echo hi",
            "echo hi",
            "2",
            "9",
            "/in/",
            "(sshd,init)",
        ];
        assert_eq!(on(100, &fields).into_iter().flatten().collect::<Vec<_>>(), wanted);
        assert_eq!(on(100, &["proc.aname[3]"]), [None], "no further ancestor");
        assert_eq!(on(100, &["proc.args[7]"]), [Some(String::new())], "empty text, not absent");
        assert_eq!(on(100, &["proc.loginshellid"])[0].as_deref(), Some("100"), "bash ends in sh, sshd does not");
        assert_eq!(on(4711, &["proc.pname"]), [None], "a thread that nothing introduced");
        assert_eq!(on(4711, &["thread.tid"])[0].as_deref(), Some("4711"));
    }

    #[test]
    fn facts_of_the_thread() {
        let fields = [
            "proc.env[HOME]",
            "proc.env[NOPE]",
            "proc.aenv[PATH]",
            "thread.cgroup.cpu",
            "thread.cgroups",
            "proc.tty",
            "proc.vpid",
            "proc.sid",
            "proc.sname",
            "proc.is_vpgid_leader",
            "thread.cap_effective",
            "proc.fdlimit",
            "proc.fdopencount",
            "proc.fdusage",
            "proc.vmsize",
            "thread.pfminor",
            "thread.ismain",
            "proc.nthreads",
            "proc.stdin.name",
            "proc.stdin.type",
            "proc.exe_ino",
            "thread.nametid",
        ];
        let wanted = [
            "/root",
            "",
            "/bin",
            "/init",
            "cpu=/init memory=/",
            "34816",
            "100",
            "1",
            "init",
            "true",
            "CAP_CHOWN CAP_DAC_OVERRIDE",
            "1024",
            "3",
            "0.3",
            "100",
            "3",
            "true",
            "1",
            "/dev/pts/0",
            "file",
            "77",
            "bash100",
        ];
        assert_eq!(on(100, &fields).into_iter().flatten().collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn what_is_not_known_is_absent() {
        for field in [
            "proc.pgid",
            "proc.pgid.name",
            "proc.is_pgid_leader",
            "proc.exe_ino.ctime",
            "proc.duration",
            "proc.pid.ts",
            "proc.ppid.ts",
            "proc.stdout.type",
            "proc.pidns_init_start_ts",
            "thread.cgroup.pids",
        ] {
            assert_eq!(on(200, &[field]), [None], "{field}");
        }
    }
}
