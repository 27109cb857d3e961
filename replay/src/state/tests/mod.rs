//! The transitions one by one, on events made by hand: the builder and the bench; the tests are in the families' files.

#![allow(clippy::unwrap_used)] // a test may stop at the first surprise

mod descriptors;
mod losses;
mod memory;
mod programs;
mod sockets;
mod threads;

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
            ParamType::Uint16 | ParamType::Port | ParamType::Flags16 | ParamType::Enumflags16 => 2,
            ParamType::Uint32
            | ParamType::Int32
            | ParamType::Flags32
            | ParamType::Enumflags32
            | ParamType::Uid
            | ParamType::Fd32
            | ParamType::Pid32
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
        let raw =
            RawEvent { offset: 0, enter: None, etype: build.etype.0, nparams: ranges.len() as u32, payload: &data };
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
        let mut effects = Effects::default();
        self.state.apply(&event, &mut self.ledger, &mut effects);
        effects
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
        uid: 1000,
        gid: 1000,
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
