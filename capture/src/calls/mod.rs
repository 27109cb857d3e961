//! The table of calls: for each system call, where the parameters of its event come from.
//!
//! One row a call ([`table`]): its name, and one [`Source`] for each parameter of the call's exit event, in the event
//! table's order. From a row follow both halves of the recorder: what the kernel side fetches ([`Plan`]), and what the
//! encoder writes. Event types, numbers and widths come from the format's own tables.

mod rings;
mod table;
mod values;

use casebook_formats::event::EventType;
use casebook_formats::tables::{self, EventDef, ParamType};

use crate::flags::FlagMap;
use crate::record::TaskItem;

pub(crate) use rings::{OPERATION, operations};
pub(crate) use values::{Call, device, number, text};

/// Portable codes are below this, in the kernel side's tables too.
pub(crate) const CODES: usize = 512;
/// Things fetched for one call, at most.
const FETCHES: usize = 6;

/// Where a parameter comes from.
#[derive(Clone, Copy)]
pub(crate) enum Source {
    /// The result.
    Ret,
    /// An argument, as it is.
    Arg(u8),
    /// An argument that is a C `int`: descriptors, process ids.
    Int(u8),
    /// An argument of 64 bits, which 32-bit calls pass in two.
    Wide(u8),
    /// Text that an argument points to.
    Str(u8),
    /// An argument through a table of flags.
    Flags(u8, &'static FlagMap),
    /// Bytes of a structure that an argument points to: argument, offset, width.
    Field(u8, u8, u8),
    /// The same through a table of flags.
    FieldFlags(u8, u8, u8, &'static FlagMap),
    /// The buffer's first bytes.
    Data,
    /// Length of a vector of buffers.
    Size,
    /// Socket address that an argument points to.
    Addr(u8),
    /// Ends of the socket, our side first; an address in this argument stands for the far end where the socket has none.
    TupleOut(u8),
    /// Ends of the socket, far side first.
    TupleIn(u8),
    /// Device of the file that was opened.
    Dev,
    /// Its inode.
    Ino,
    /// A fact about the thread after the call.
    Task(fn(&TaskItem) -> u64),
    /// Not recorded: stays empty, which means unknown.
    Unknown,
    /// Everything else.
    By(fn(&Call<'_>, &mut Vec<u8>)),
}

/// Programs of the kernel side; the numbers are those of `bpf/maps.h`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Class {
    Plain = 0,
    Fetch = 1,
    Clone = 2,
    Exec = 3,
    /// A record of each of several messages.
    Messages = 4,
    /// Numbers, and the bytes of one buffer: what programs do most.
    Data = 5,
}

/// What the kernel side can fetch; the numbers are those of `bpf/maps.h`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Get {
    Str = 1,
    DataRet = 2,
    DataArg = 3,
    Iov = 4,
    Msg = 5,
    Msgs = 6,
    Addr = 7,
    AddrBack = 8,
    Bytes = 9,
    File = 10,
    Sock = 11,
    Pair = 12,
    Poll = 13,
    Path = 14,
    Task = 15,
    Listener = 16,
}

/// When it is fetched; the numbers are those of `bpf/maps.h`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum When {
    Always = 0,
    /// The call succeeded, or is under way.
    Done = 1,
}

/// In place of an argument's number: the result.
pub(crate) const RET: u8 = 7;

/// One thing to fetch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fetch {
    pub get: Get,
    pub arg: u8,
    pub when: When,
    /// Bytes of a structure.
    pub size: u8,
}

/// One row of the table.
pub(crate) struct Row {
    /// Name in the format's table of calls.
    pub name: &'static str,
    pub class: Class,
    pub params: &'static [Source],
    /// What is fetched beyond what `params` ask for by themselves.
    pub fetch: &'static [Fetch],
}

/// A call as the recorder uses it.
pub(crate) struct Known {
    pub name: &'static str,
    pub class: Class,
    pub etype: EventType,
    pub def: &'static EventDef,
    pub params: &'static [Source],
    pub fetch: Vec<Fetch>,
}

/// All calls of the table, indexed by portable code.
pub(crate) struct Calls {
    by_code: Vec<Option<Known>>,
}

impl Calls {
    /// Joins the table with the format's.
    pub(crate) fn new() -> Self {
        let mut by_code: Vec<Option<Known>> = std::iter::repeat_with(|| None).take(CODES).collect();
        for row in table::ROWS {
            for (code, call) in tables::syscalls().iter().enumerate().filter(|(_, call)| call.name == row.name) {
                let Some((etype, def)) = call.exit.and_then(|etype| Some((etype, tables::event(etype)?))) else {
                    continue;
                };
                let Some(slot) = by_code.get_mut(code) else { continue };
                let fetch = fetches(row);
                let class = match fetch[..] {
                    [] => row.class,
                    [Fetch { get: Get::DataRet | Get::DataArg, when: When::Always, .. }] => Class::Data,
                    _ => row.class.max_fetch(),
                };
                *slot = Some(Known { name: row.name, class, etype, def, params: row.params, fetch });
            }
        }
        Self { by_code }
    }

    /// Fetches the path of what these calls open, too.
    pub(crate) fn fetch_paths(&mut self, codes: &std::collections::BTreeSet<u16>) {
        let path = Fetch { get: Get::Path, arg: RET, when: When::Done, size: 0 };
        for &code in codes {
            if let Some(Some(known)) = self.by_code.get_mut(usize::from(code))
                && known.fetch.len() < FETCHES
                && !known.fetch.iter().any(|fetch| fetch.get == path.get && fetch.arg == path.arg)
            {
                known.fetch.push(path);
                known.class = known.class.max_fetch();
            }
        }
    }

    /// The row of a portable code.
    pub(crate) fn get(&self, code: u16) -> Option<&Known> {
        self.by_code.get(usize::from(code))?.as_ref()
    }

    /// What the kernel side has to know of a call: `struct plan` of `bpf/maps.h`. Calls without a row are recorded
    /// with their number.
    pub(crate) fn plan(&self, code: u16, want: bool) -> [u8; PLAN] {
        let mut plan = [0; PLAN];
        plan[0] = u8::from(want);
        if let Some(known) = self.get(code) {
            plan[1] = known.class as u8;
            plan[2] = known.fetch.len().min(FETCHES) as u8;
            plan[3] = u8::from(guarded(known.name));
            for (n, fetch) in known.fetch.iter().take(FETCHES).enumerate() {
                plan[4 + n * 4..8 + n * 4].copy_from_slice(&[fetch.get as u8, fetch.arg, fetch.when as u8, fetch.size]);
            }
        }
        plan
    }
}

/// Calls whose paths and addresses are read when they begin, too: between that and their return another thread may
/// change the memory. Of an exec only which call it was, which nothing tells after it.
const GUARDED: [&str; 12] = [
    "open",
    "openat",
    "openat2",
    "creat",
    "connect",
    "unlink",
    "unlinkat",
    "rename",
    "renameat",
    "renameat2",
    "execve",
    "execveat",
];

fn guarded(name: &str) -> bool {
    GUARDED.contains(&name)
}

/// Is any of these calls one whose paths or addresses are guarded? Only then has every call to pass a program when it
/// begins, too. Execs alone are not worth that: without it, one by descriptor is known by its path.
pub(crate) fn guards_any(wanted: &std::collections::BTreeSet<u16>) -> bool {
    let names = wanted.iter().filter_map(|&code| Some(tables::syscalls().get(usize::from(code))?.name));
    names.filter(|name| !name.starts_with("exec")).any(guarded)
}

/// Which native numbers may be those of guarded calls, as the kernel side has it.
pub(crate) fn guarded_numbers() -> NumberBits {
    number_bits(|code| tables::syscalls().get(usize::from(code)).is_some_and(|call| guarded(call.name)))
}

/// Which native numbers may be those of calls to record. Where calls that are in no table are wanted, any may.
pub(crate) fn wanted_numbers(wanted: &std::collections::BTreeSet<u16>) -> NumberBits {
    if wanted.contains(&0) { [u32::MAX; 16] } else { number_bits(|code| wanted.contains(&code)) }
}

/// Bit n for the native number n, whichever kind of number that is: what the kernel side looks at before anything else.
pub(crate) type NumberBits = [u32; 16];

fn number_bits(chosen: impl Fn(u16) -> bool) -> NumberBits {
    let mut bits = [0; 16];
    for (number, code) in natives() {
        // The 32-bit call that may be any socket call, by its argument.
        let number = match number {
            0..SOCKETCALL_MEMBERS => number % 512,
            SOCKETCALL_MEMBERS..X32_CALLS => SOCKETCALL,
            _ => number - X32_CALLS,
        };
        if chosen(code) {
            bits[(number / 32) as usize] |= 1 << (number % 32);
        }
    }
    bits
}

/// Number of the 32-bit socketcall, and where its members begin in the kernel side's table.
const SOCKETCALL: u32 = 102;
const SOCKETCALL_MEMBERS: u32 = 1024;
/// Where x32 calls with numbers of their own (from 512 on) begin there.
const X32_CALLS: u32 = 1056;

/// Bytes of a plan.
pub(crate) const PLAN: usize = 4 + FETCHES * 4;

impl Class {
    const fn max_fetch(self) -> Self {
        match self {
            Self::Plain | Self::Data => Self::Fetch,
            other => other,
        }
    }
}

/// What a row's parameters ask for by themselves, then what it names.
fn fetches(row: &Row) -> Vec<Fetch> {
    let mut all: Vec<Fetch> = Vec::new();
    let mut add = |fetch: Fetch| match all.iter_mut().find(|known| known.get == fetch.get && known.arg == fetch.arg) {
        Some(known) => known.size = known.size.max(fetch.size),
        None => all.push(fetch),
    };
    for source in row.params {
        match *source {
            Source::Str(arg) => add(Fetch { get: Get::Str, arg, when: When::Always, size: 0 }),
            Source::Field(arg, offset, width) | Source::FieldFlags(arg, offset, width, _) => {
                add(Fetch { get: Get::Bytes, arg, when: When::Always, size: offset + width });
            }
            Source::Dev | Source::Ino => add(Fetch { get: Get::File, arg: RET, when: When::Done, size: 0 }),
            Source::Task(_) => add(Fetch { get: Get::Task, arg: 0, when: When::Always, size: 0 }),
            _ => {}
        }
    }
    row.fetch.iter().for_each(|&fetch| add(fetch));
    all
}

/// Native numbers: 64-bit calls from 0, 32-bit calls from 512, members of the 32-bit socketcall from 1024, x32 calls with
/// numbers of their own from 1056 on, as `bpf/maps.h` has them; with their portable codes.
pub(crate) fn natives() -> Vec<(u32, u16)> {
    let code_of = |name: &str| tables::syscalls().iter().position(|call| call.name == name).map(|code| code as u16);
    let mut all: Vec<(u32, u16)> = Vec::new();
    for (code, call) in tables::syscalls().iter().enumerate() {
        if let Some(number) = call.x86_64.filter(|&number| number < 512) {
            all.push((u32::from(number), code as u16));
        }
    }
    for line in include_str!("../../tables/i386.tsv").lines().filter(|line| !line.starts_with('#')) {
        let Some((number, name)) = line.split_once('\t') else { continue };
        if let (Ok(number), Some(code)) = (number.parse::<u32>(), code_of(name)) {
            all.push((512 + number, code));
        }
    }
    for (number, name) in SOCKETCALLS.iter().enumerate() {
        if let Some(code) = code_of(name) {
            all.push((SOCKETCALL_MEMBERS + number as u32 + 1, code));
        }
    }
    for (number, name) in X32.iter().enumerate() {
        if let Some(code) = code_of(name) {
            all.push((X32_CALLS + number as u32, code));
        }
    }
    all
}

/// x32 calls that are others than the 64-bit calls, from 512 on (`asm/unistd_x32.h`): their structures hold pointers.
const X32: [&str; 36] = [
    "rt_sigaction",
    "rt_sigreturn",
    "ioctl",
    "readv",
    "writev",
    "recvfrom",
    "sendmsg",
    "recvmsg",
    "execve",
    "ptrace",
    "rt_sigpending",
    "rt_sigtimedwait",
    "rt_sigqueueinfo",
    "sigaltstack",
    "timer_create",
    "mq_notify",
    "kexec_load",
    "waitid",
    "set_robust_list",
    "get_robust_list",
    "vmsplice",
    "move_pages",
    "preadv",
    "pwritev",
    "rt_tgsigqueueinfo",
    "recvmmsg",
    "sendmmsg",
    "process_vm_readv",
    "process_vm_writev",
    "setsockopt",
    "getsockopt",
    "io_setup",
    "io_submit",
    "execveat",
    "preadv2",
    "pwritev2",
];

/// Members of the 32-bit socketcall, from 1 on (`linux/net.h`).
const SOCKETCALLS: [&str; 20] = [
    "socket",
    "bind",
    "connect",
    "listen",
    "accept",
    "getsockname",
    "getpeername",
    "socketpair",
    "send",
    "recv",
    "sendto",
    "recvfrom",
    "shutdown",
    "setsockopt",
    "getsockopt",
    "sendmsg",
    "recvmsg",
    "accept4",
    "recvmmsg",
    "sendmmsg",
];

/// Bytes of a number of this type; `None` for text and buffers.
pub(crate) fn width(ty: ParamType) -> Option<usize> {
    ty.width()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failing test may panic

    use super::*;

    #[test]
    fn every_row_fits_its_event() {
        let calls = Calls::new();
        for row in table::ROWS {
            let known = calls.by_code.iter().flatten().find(|known| known.name == row.name);
            let known = known.unwrap_or_else(|| panic!("{} is not in the format's table of calls", row.name));
            assert_eq!(known.params.len(), known.def.params.len(), "{}: parameters of {}", row.name, known.def.symbol);
            assert!(known.fetch.len() <= FETCHES, "{}: {} things to fetch", row.name, known.fetch.len());
        }
    }

    #[test]
    fn every_type_of_its_own_has_a_row() {
        let calls = Calls::new();
        let generic = tables::event_types_named("syscall").collect::<Vec<_>>();
        for (code, call) in tables::syscalls().iter().enumerate() {
            let own = call.exit.is_some_and(|exit| !generic.contains(&exit));
            // Numbers of other machines have no row.
            let here = natives().iter().any(|&(_, known)| usize::from(known) == code);
            assert!(!own || !here || calls.get(code as u16).is_some(), "{} has no row", call.name);
        }
    }

    #[test]
    fn names_of_32_bit_calls_are_known() {
        let lines = include_str!("../../tables/i386.tsv").lines().filter(|line| !line.starts_with('#')).count();
        let compat = natives().iter().filter(|(number, _)| (512..1024).contains(number)).count();
        assert_eq!(lines, compat);
        let members = SOCKETCALL_MEMBERS..X32_CALLS;
        assert_eq!(natives().iter().filter(|(number, _)| members.contains(number)).count(), SOCKETCALLS.len());
    }

    #[test]
    fn x32_calls_with_numbers_of_their_own_are_known() {
        let all = natives();
        assert_eq!(all.iter().filter(|(number, _)| *number >= X32_CALLS).count(), X32.len());
        let name = |number: u32| {
            let found = all.iter().find(|(native, _)| *native == number - 512 + X32_CALLS).unwrap();
            tables::syscalls()[usize::from(found.1)].name
        };
        // By the kernel's header: execve 520, sendmmsg 538, pwritev2 547.
        assert_eq!([name(512), name(520), name(538), name(547)], ["rt_sigaction", "execve", "sendmmsg", "pwritev2"]);
        let header = include_str!("../../bpf/maps.h");
        assert!(header.contains(&format!("#define NATIVE_X32 {X32_CALLS}\n#define NATIVES {}\n", X32_CALLS + 36)));
    }

    #[test]
    fn codes_of_exec_are_those_of_the_kernel_side() {
        let source = include_str!("../../bpf/recorder.bpf.c");
        let code = |name: &str| tables::syscalls().iter().position(|call| call.name == name).unwrap();
        let declared = format!("u32 execve = {}, execveat = {}, code,", code("execve"), code("execveat"));
        assert!(source.contains(&declared), "{declared}");
        assert_eq!(code("execveat"), usize::from(crate::encode::EXECVEAT));
        assert!(source.contains(&format!("#define CODE_CLONE {}\n", code("clone"))));
    }

    #[test]
    fn guarded_calls_are_in_the_table_and_their_numbers_known() {
        let calls = Calls::new();
        for name in GUARDED {
            let known = calls.by_code.iter().flatten().find(|known| known.name == name).unwrap();
            let texts = known.fetch.iter().filter(|fetch| matches!(fetch.get, Get::Str | Get::Addr)).count();
            assert!((1..=2).contains(&texts), "{name}: the kernel side has two slots");
        }
        let bits = guarded_numbers();
        let set = |number: usize| bits[number / 32] & 1 << (number % 32) != 0;
        // openat, connect, execveat of 64 bits; openat of 32.
        assert!(set(257) && set(42) && set(322) && set(295));
        assert!(!set(0) && !set(1), "reads and writes end at once");
    }

    #[test]
    fn the_beginning_of_calls_is_looked_at_only_for_guarded_ones() {
        let code = |name: &str| tables::syscalls().iter().position(|call| call.name == name).unwrap() as u16;
        let guards = |names: &[&str]| guards_any(&names.iter().map(|name| code(name)).collect());
        assert!(guards(&["read", "unlinkat"]) && guards(&["connect"]));
        assert!(!guards(&["execve", "execveat", "read", "close"]));
    }

    #[test]
    fn only_numbers_of_wanted_calls_get_past_the_first_look() {
        let code = |name: &str| tables::syscalls().iter().position(|call| call.name == name).unwrap() as u16;
        let bits = |names: &[&str]| wanted_numbers(&names.iter().map(|name| code(name)).collect());
        let set = |bits: NumberBits, number: usize| bits[number / 32] & 1 << (number % 32) != 0;
        // write: 1 of 64 bits, 4 of 32.
        let writes = bits(&["write"]);
        assert!(set(bits(&["writev"]), 516 % 512), "x32");
        assert!(set(writes, 1) && set(writes, 4));
        assert_eq!(writes.iter().map(|word| word.count_ones()).sum::<u32>(), 2);
        // connect: 42, 362 and the socketcall of 32 bits.
        let connects = bits(&["connect"]);
        assert!(set(connects, 42) && set(connects, 362) && set(connects, 102));
        assert_eq!(wanted_numbers(&[0].into()), [u32::MAX; 16], "numbers of no table can be any");
    }

    #[test]
    fn reads_and_writes_take_the_short_way() {
        let calls = Calls::new();
        let class = |name: &str| calls.by_code.iter().flatten().find(|known| known.name == name).unwrap().class;
        assert!(["read", "write", "pread64", "pwrite64"].iter().all(|name| class(name) == Class::Data));
        assert_eq!((class("readv"), class("sendto"), class("close")), (Class::Fetch, Class::Fetch, Class::Plain));
    }

    #[test]
    fn numbers_of_both_sides_agree() {
        let header = include_str!("../../bpf/maps.h");
        for text in [
            "FETCH_LISTENER = 16".to_owned(),
            "FETCH_TASK = 15".to_owned(),
            format!("#define CODES {CODES}"),
            format!("#define FETCHES {FETCHES}"),
            format!("#define ARG_RET {RET}"),
            format!("CLASS_EXEC = {}", Class::Exec as u8),
            format!("CLASS_MESSAGES = {}", Class::Messages as u8),
            format!("CLASS_DATA = {}", Class::Data as u8),
        ] {
            assert!(header.contains(&text), "{text}");
        }
    }
}
