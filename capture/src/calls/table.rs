//! The rows. Parameters stand in the order of the event table (`formats/tables/events.tsv`).

use super::Source::{
    Addr, Arg, By, Data, Dev, Field, FieldFlags, Flags, Ino, Int, Ret, Size, Str, Task, TupleIn, TupleOut, Unknown,
    Wide,
};
use super::values::{Call, number, open_flags, open_mode, text};
use super::{Class, Fetch, Get, RET, Row, Source, When};
use crate::flags;
use crate::record::Item;
use casebook_formats::tables::ParamType;

/// A call whose parameters say by themselves what to fetch.
const fn row(name: &'static str, params: &'static [Source]) -> Row {
    Row { name, class: Class::Plain, params, fetch: &[] }
}

/// A call that needs more.
const fn with(name: &'static str, params: &'static [Source], fetch: &'static [Fetch]) -> Row {
    Row { name, class: Class::Plain, params, fetch }
}

const fn get(get: Get, arg: u8) -> Fetch {
    Fetch { get, arg, when: When::Always, size: 0 }
}

const fn done(get: Get, arg: u8) -> Fetch {
    Fetch { get, arg, when: When::Done, size: 0 }
}

const fn bytes(arg: u8, size: u8) -> Fetch {
    Fetch { get: Get::Bytes, arg, when: When::Always, size }
}

/// A call with a class of its own; what the process became by execs and clones the encoder writes ([`crate::encode`]).
const fn process(name: &'static str, class: Class, params: &'static [Source], fetch: &'static [Fetch]) -> Row {
    Row { name, class, params, fetch }
}

const UNKNOWN_21: [Source; 21] = [Unknown; 21];
const UNKNOWN_30: [Source; 30] = [Unknown; 30];
const UNKNOWN_31: [Source; 31] = [Unknown; 31];

const VM_SIZE: Source = Task(|task| u64::from(task.vm_size));
const VM_RSS: Source = Task(|task| u64::from(task.vm_rss));
const VM_SWAP: Source = Task(|task| u64::from(task.vm_swap));

/// All calls with an event type of their own.
pub(super) static ROWS: &[Row] = &[
    // Processes.
    process("execve", Class::Exec, &UNKNOWN_31, &[get(Get::Str, 0)]),
    process("execveat", Class::Exec, &UNKNOWN_30, &[get(Get::Str, 1)]),
    process("clone", Class::Clone, &UNKNOWN_21, &[]),
    process("fork", Class::Clone, &UNKNOWN_21, &[]),
    process("vfork", Class::Clone, &UNKNOWN_21, &[]),
    process("clone3", Class::Clone, &UNKNOWN_21, &[bytes(0, 8)]),
    row("kill", &[Ret, Int(0), Arg(1)]),
    row("tkill", &[Ret, Int(0), Arg(1)]),
    row("tgkill", &[Ret, Int(0), Int(1), Arg(2)]),
    row("setsid", &[Ret]),
    row("setpgid", &[Ret, Int(0), Int(1)]),
    row("unshare", &[Ret, Flags(0, &flags::CLONE)]),
    row("setns", &[Ret, Int(0), Flags(1, &flags::CLONE)]),
    with("prctl", &[Ret, Arg(0), By(prctl_text), By(prctl_number)], &[get(Get::Task, 0)]),
    with("ptrace", &[Ret, By(ptrace_addr), By(ptrace_data), Flags(0, &flags::PTRACE), Int(1)], &[bytes(3, 8)]),
    row("seccomp", &[Ret, Arg(0), Arg(1)]),
    with("process_vm_readv", &[Ret, Int(0), Data], &[done(Get::Iov, 1)]),
    with("process_vm_writev", &[Ret, Int(0), Data], &[done(Get::Iov, 1)]),
    row("pidfd_open", &[Ret, Int(0), Flags(1, &flags::PIDFD_OPEN)]),
    row("pidfd_getfd", &[Ret, Int(0), Int(1), Arg(2)]),
    with(
        "getrlimit",
        &[Ret, By(|c, o| limit(c, o, 1, 0)), By(|c, o| limit(c, o, 1, 1)), By(resource_0)],
        &[bytes(1, 16)],
    ),
    with(
        "ugetrlimit",
        &[Ret, By(|c, o| limit(c, o, 1, 0)), By(|c, o| limit(c, o, 1, 1)), By(resource_0)],
        &[bytes(1, 16)],
    ),
    with(
        "setrlimit",
        &[Ret, By(|c, o| limit(c, o, 1, 0)), By(|c, o| limit(c, o, 1, 1)), By(resource_0)],
        &[bytes(1, 16)],
    ),
    row("prlimit64", &[Ret, Field(2, 0, 8), Field(2, 8, 8), Field(3, 0, 8), Field(3, 8, 8), Int(0), By(resource_1)]),
    with("nanosleep", &[Ret, By(|c, o| duration(c, o, 0))], &[bytes(0, 16)]),
    // Credentials.
    row("setuid", &[Ret, Arg(0)]),
    row("setgid", &[Ret, Arg(0)]),
    row("setreuid", &[Ret, Arg(0), Arg(1)]),
    row("setregid", &[Ret, Arg(0), Arg(1)]),
    row("setresuid", &[Ret, Arg(0), Arg(1), Arg(2)]),
    row("setresgid", &[Ret, Arg(0), Arg(1), Arg(2)]),
    row("setuid32", &[Ret, Arg(0)]),
    row("setgid32", &[Ret, Arg(0)]),
    row("setresuid32", &[Ret, Arg(0), Arg(1), Arg(2)]),
    row("setresgid32", &[Ret, Arg(0), Arg(1), Arg(2)]),
    row("getuid", &[Ret]),
    row("geteuid", &[Ret]),
    row("getgid", &[Ret]),
    row("getegid", &[Ret]),
    row("getuid32", &[Ret]),
    row("geteuid32", &[Ret]),
    row("getgid32", &[Ret]),
    row("getegid32", &[Ret]),
    row("getresuid", &[Ret, Field(0, 0, 4), Field(1, 0, 4), Field(2, 0, 4)]),
    row("getresgid", &[Ret, Field(0, 0, 4), Field(1, 0, 4), Field(2, 0, 4)]),
    row("getresuid32", &[Ret, Field(0, 0, 4), Field(1, 0, 4), Field(2, 0, 4)]),
    row("getresgid32", &[Ret, Field(0, 0, 4), Field(1, 0, 4), Field(2, 0, 4)]),
    row(
        "capset",
        &[Ret, Task(|task| task.cap_inheritable), Task(|task| task.cap_permitted), Task(|task| task.cap_effective)],
    ),
    // Opening and making files.
    row(
        "open",
        &[
            Ret,
            Str(0),
            By(|c, o| flags_of_open(c, o, c.arg(1))),
            By(|c, o| mode_of_open(o, c.arg(1), c.arg(2))),
            Dev,
            Ino,
        ],
    ),
    row("creat", &[Ret, Str(0), Arg(1), Dev, Ino, By(layer_of_creat)]),
    row(
        "openat",
        &[
            Ret,
            Int(0),
            Str(1),
            By(|c, o| flags_of_open(c, o, c.arg(2))),
            By(|c, o| mode_of_open(o, c.arg(2), c.arg(3))),
            Dev,
            Ino,
        ],
    ),
    with(
        "openat2",
        &[Ret, Int(0), Str(1), By(how_flags), By(how_mode), FieldFlags(2, 16, 8, &flags::OPENAT2), Dev, Ino],
        &[bytes(2, 24)],
    ),
    with(
        "open_by_handle_at",
        &[Ret, Int(0), By(|c, o| flags_of_open(c, o, c.arg(2))), By(opened_path), Dev, Ino],
        &[done(Get::Path, RET)],
    ),
    row("memfd_create", &[Ret, Str(0), Arg(1)]),
    row("mknod", &[Ret, Str(0), Arg(1), Arg(2)]),
    row("mknodat", &[Ret, Int(0), Str(1), Arg(2), Arg(3)]),
    row("mkdir", &[Ret, Str(0), Arg(1)]),
    row("mkdirat", &[Ret, Int(0), Str(1), Arg(2)]),
    row("rmdir", &[Ret, Str(0)]),
    row("unlink", &[Ret, Str(0)]),
    row("unlinkat", &[Ret, Int(0), Str(1), Arg(2)]),
    row("link", &[Ret, Str(0), Str(1)]),
    row("linkat", &[Ret, Int(0), Str(1), Int(2), Str(3), Arg(4)]),
    row("symlink", &[Ret, Str(0), Str(1)]),
    row("symlinkat", &[Ret, Str(0), Int(1), Str(2)]),
    row("rename", &[Ret, Str(0), Str(1)]),
    row("renameat", &[Ret, Int(0), Str(1), Int(2), Str(3)]),
    row("renameat2", &[Ret, Int(0), Str(1), Int(2), Str(3), Arg(4)]),
    row("chmod", &[Ret, Str(0), Arg(1)]),
    row("fchmod", &[Ret, Int(0), Arg(1)]),
    row("fchmodat", &[Ret, Int(0), Str(1), Arg(2)]),
    row("chown", &[Ret, Str(0), Arg(1), Arg(2)]),
    row("lchown", &[Ret, Str(0), Arg(1), Arg(2)]),
    row("fchown", &[Ret, Int(0), Arg(1), Arg(2)]),
    row("fchownat", &[Ret, Int(0), Str(1), Arg(2), Arg(3), Flags(4, &flags::FCHOWNAT)]),
    row("access", &[Ret, Str(0), Arg(1)]),
    row("stat", &[Ret, Str(0)]),
    row("lstat", &[Ret, Str(0)]),
    row("stat64", &[Ret, Str(0)]),
    row("lstat64", &[Ret, Str(0)]),
    row("fstat", &[Ret, Int(0)]),
    row("fstat64", &[Ret]),
    row("newfstatat", &[Ret, Int(0), Str(1), Arg(3)]),
    row("chdir", &[Ret, Str(0)]),
    row("fchdir", &[Ret, Int(0)]),
    row("chroot", &[Ret, Str(0)]),
    with("getcwd", &[Ret, By(current_directory)], &[done(Get::Str, 0)]),
    row("mount", &[Ret, Str(0), Str(1), Str(2), By(mount_flags)]),
    row("umount", &[Ret, Str(0)]),
    row("umount2", &[Ret, Str(0), Arg(1)]),
    with(
        "fsconfig",
        &[Ret, Int(0), Arg(1), Str(2), By(fsconfig_bytes), By(fsconfig_text), Int(4)],
        &[get(Get::Str, 3), bytes(3, 64)],
    ),
    row(
        "quotactl",
        &[
            Ret,
            Str(1),
            Unknown,
            Unknown,
            Unknown,
            Unknown,
            Unknown,
            Unknown,
            Unknown,
            Unknown,
            Unknown,
            Unknown,
            Unknown,
            Unknown,
            By(quota_command),
            By(quota_kind),
            Int(2),
            Unknown,
        ],
    ),
    row("flock", &[Ret, Int(0), Arg(1)]),
    row("getdents", &[Ret, Int(0)]),
    row("getdents64", &[Ret, Int(0)]),
    // Descriptors.
    row("close", &[Ret, Int(0)]),
    row("close_range", &[Ret, Arg(0), Arg(1), By(|c, o| number(o, ParamType::Flags32, c.arg(2) & 6))]),
    row("dup", &[Ret, Int(0)]),
    row("dup2", &[Ret, Int(0), Int(1)]),
    row("dup3", &[Ret, Int(0), Int(1), Flags(2, &flags::NEW_FD)]),
    row("fcntl", &[Ret, Int(0), Flags(1, &flags::FCNTL), Arg(2)]),
    row("fcntl64", &[Ret, Int(0), Flags(1, &flags::FCNTL), Arg(2)]),
    row("ioctl", &[Ret, Int(0), Arg(1), Arg(2)]),
    with("pipe", &[Ret, By(first_fd), By(second_fd), By(pipe_ino)], &[done(Get::Pair, 0)]),
    with("pipe2", &[Ret, By(first_fd), By(second_fd), By(pipe_ino), Flags(1, &flags::NEW_FD)], &[done(Get::Pair, 0)]),
    row("eventfd", &[Ret, Arg(0), By(no_flags_32)]),
    row("eventfd2", &[Ret, Flags(1, &flags::NEW_FD), Arg(0)]),
    with("signalfd", &[Ret, Int(0), Field(1, 0, 4), Unknown], &[bytes(1, 8)]),
    with("signalfd4", &[Ret, Flags(3, &flags::NEW_FD), Int(0), Field(1, 0, 4)], &[bytes(1, 8)]),
    row("timerfd_create", &[Ret, Arg(0), Unknown]),
    row("inotify_init", &[Ret, By(|_, o| o.push(0))]),
    row("inotify_init1", &[Ret, Flags(0, &flags::NEW_FD)]),
    row("epoll_create", &[Ret, Int(0)]),
    row("epoll_create1", &[Ret, Flags(0, &flags::EPOLL_CREATE1)]),
    row("userfaultfd", &[Ret, Flags(0, &flags::NEW_FD)]),
    row("bpf", &[Ret, Arg(0)]),
    with(
        "io_uring_setup",
        &[
            Ret,
            Arg(0),
            Field(1, 0, 4),
            Field(1, 4, 4),
            FieldFlags(1, 8, 4, &flags::IO_URING_SETUP),
            Field(1, 12, 4),
            Field(1, 16, 4),
            Field(1, 20, 4),
        ],
        &[bytes(1, 24)],
    ),
    row("io_uring_enter", &[Ret, Int(0), Arg(1), Arg(2), Arg(3), Field(4, 0, 4)]),
    row("io_uring_register", &[Ret, Int(0), Arg(1), Arg(2), Arg(3)]),
    // Data.
    with("read", &[Ret, Data, Int(0), Arg(2)], &[get(Get::DataRet, 1)]),
    with("write", &[Ret, Data, Int(0), Arg(2)], &[get(Get::DataArg, 1)]),
    with("pread64", &[Ret, Data, Int(0), Arg(2), Wide(3)], &[get(Get::DataRet, 1)]),
    with("pwrite64", &[Ret, Data, Int(0), Arg(2), Wide(3)], &[get(Get::DataArg, 1)]),
    with("readv", &[Ret, Size, Data, Int(0)], &[done(Get::Iov, 1)]),
    with("writev", &[Ret, Data, Int(0), Size], &[get(Get::Iov, 1)]),
    with("preadv", &[Ret, Size, Data, Int(0), Arg(3)], &[done(Get::Iov, 1)]),
    with("pwritev", &[Ret, Data, Int(0), Size, Arg(3)], &[get(Get::Iov, 1)]),
    row("lseek", &[Ret, Int(0), Arg(1), Arg(2)]),
    row("_llseek", &[Ret, Int(0), By(|c, o| number(o, ParamType::Uint64, c.arg(1) << 32 | c.arg(2))), Arg(4)]),
    row("sendfile", &[Ret, Field(2, 0, 8), Int(0), Int(1), Arg(3)]),
    row("sendfile64", &[Ret, Field(2, 0, 8), Int(0), Int(1), Arg(3)]),
    row("splice", &[Ret, Int(0), Int(2), Arg(4), Arg(5)]),
    row("copy_file_range", &[Ret, Int(2), Field(3, 0, 8), Int(0), Field(1, 0, 8), Arg(4)]),
    // Sockets.
    row("socket", &[Ret, Arg(0), Arg(1), Arg(2), By(socket_flags)]),
    with(
        "socketpair",
        &[Ret, By(first_fd), By(second_fd), By(pair_source), By(pair_peer), Arg(0), Arg(1), Arg(2)],
        &[done(Get::Pair, 3)],
    ),
    with("bind", &[Ret, Addr(1), Int(0)], &[get(Get::Addr, 1)]),
    with("connect", &[Ret, TupleOut(1), Int(0), Addr(1)], &[get(Get::Addr, 1), done(Get::Sock, 0)]),
    row("listen", &[Ret, Int(0), Int(1)]),
    with(
        "accept",
        &[Ret, TupleIn(1), By(queue_percent), By(queue_length), By(queue_limit)],
        &[done(Get::Sock, RET), done(Get::Listener, 0)],
    ),
    with(
        "accept4",
        &[Ret, TupleIn(1), By(queue_percent), By(queue_length), By(queue_limit), Int(3)],
        &[done(Get::Sock, RET), done(Get::Listener, 0)],
    ),
    row("shutdown", &[Ret, Int(0), Arg(1)]),
    row("getsockname", &[]),
    row("getpeername", &[]),
    with(
        "setsockopt",
        &[Ret, Int(0), Flags(1, &flags::SOCKOPT_LEVEL), By(option_name), By(option_value), Arg(4)],
        &[bytes(3, 16)],
    ),
    with(
        "getsockopt",
        &[Ret, Int(0), Flags(1, &flags::SOCKOPT_LEVEL), By(option_name), By(option_value), Field(4, 0, 4)],
        &[bytes(3, 16)],
    ),
    with("send", &[Ret, Data, Int(0), Arg(2), TupleOut(RET)], &[get(Get::DataArg, 1), get(Get::Sock, 0)]),
    with("recv", &[Ret, Data, Int(0), Arg(2), TupleIn(RET)], &[get(Get::DataRet, 1), get(Get::Sock, 0)]),
    with(
        "sendto",
        &[Ret, Data, Int(0), Arg(2), TupleOut(4)],
        &[get(Get::DataArg, 1), get(Get::Sock, 0), get(Get::Addr, 4)],
    ),
    with(
        "recvfrom",
        &[Ret, Data, TupleIn(4), Int(0), Arg(2)],
        &[get(Get::DataRet, 1), done(Get::Sock, 0), done(Get::AddrBack, 4)],
    ),
    with("sendmsg", &[Ret, Data, Int(0), Size, TupleOut(1)], &[get(Get::Msg, 1), get(Get::Sock, 0)]),
    with("recvmsg", &[Ret, Size, Data, TupleIn(1), By(control), Int(0)], &[done(Get::Msg, 1), done(Get::Sock, 0)]),
    process(
        "sendmmsg",
        Class::Messages,
        &[Ret, Int(0), Size, Data, TupleOut(1)],
        &[get(Get::Msgs, 1), get(Get::Sock, 0)],
    ),
    process(
        "recvmmsg",
        Class::Messages,
        &[Ret, Int(0), Size, Data, TupleIn(1), By(control)],
        &[done(Get::Msgs, 1), done(Get::Sock, 0)],
    ),
    // Waiting.
    with("poll", &[Ret, By(poll_list), Int(2)], &[get(Get::Poll, 0)]),
    with(
        "ppoll",
        &[Ret, By(poll_list), By(|c, o| duration(c, o, 2)), Field(3, 0, 4)],
        &[get(Get::Poll, 0), bytes(2, 16)],
    ),
    row("select", &[Ret]),
    row("epoll_wait", &[Ret, Int(2)]),
    row("futex", &[Ret, Arg(0), Arg(1), Arg(2)]),
    // Memory.
    row("brk", &[Ret, VM_SIZE, VM_RSS, VM_SWAP, Arg(0)]),
    row(
        "mmap",
        &[
            Ret,
            VM_SIZE,
            VM_RSS,
            VM_SWAP,
            By(|c, o| mmap(c, o, 0)),
            By(|c, o| mmap(c, o, 1)),
            By(|c, o| mmap(c, o, 2)),
            By(|c, o| mmap(c, o, 3)),
            By(|c, o| mmap(c, o, 4)),
            By(|c, o| mmap(c, o, 5)),
        ],
    ),
    row(
        "mmap2",
        &[
            Ret,
            VM_SIZE,
            VM_RSS,
            VM_SWAP,
            Arg(0),
            Arg(1),
            Flags(2, &flags::PROT),
            Flags(3, &flags::MMAP),
            Int(4),
            Arg(5),
        ],
    ),
    row("munmap", &[Ret, VM_SIZE, VM_RSS, VM_SWAP, Arg(0), Arg(1)]),
    row("mprotect", &[Ret, Arg(0), Arg(1), Flags(2, &flags::PROT)]),
    row("mlock", &[Ret, Arg(0), Arg(1)]),
    row("mlock2", &[Ret, Arg(0), Arg(1), Arg(2)]),
    row("munlock", &[Ret, Arg(0), Arg(1)]),
    row("mlockall", &[Ret, Arg(0)]),
    row("munlockall", &[Ret]),
    // Modules, semaphores, keys.
    with("init_module", &[Ret, Data, Arg(1), Str(2)], &[get(Get::DataArg, 0)]),
    row("finit_module", &[Ret, Int(0), Str(1), Arg(2)]),
    row("delete_module", &[Ret, Str(0), Flags(1, &flags::DELETE_MODULE)]),
    with(
        "semop",
        &[
            Ret,
            Arg(2),
            Field(1, 0, 2),
            Field(1, 2, 2),
            FieldFlags(1, 4, 2, &flags::SEMOP),
            By(|c, o| second_semop(c, o, 0)),
            By(|c, o| second_semop(c, o, 2)),
            By(|c, o| second_semop(c, o, 4)),
            Int(0),
        ],
        &[bytes(1, 12)],
    ),
    row("semctl", &[Ret, Int(0), Int(1), By(semctl_command), Int(3)]),
    row("semget", &[Ret, Int(0), Int(1), By(semget_flags)]),
    row(
        "keyctl",
        &[
            Ret,
            Arg(0),
            By(|c, o| key_argument(c, o, 1)),
            By(|c, o| key_argument(c, o, 2)),
            By(|c, o| key_argument(c, o, 3)),
            By(|c, o| key_argument(c, o, 4)),
        ],
    ),
];

fn flags_of_open(call: &Call<'_>, out: &mut Vec<u8>, native: u64) {
    number(out, ParamType::Flags32, open_flags(call, native));
}

fn mode_of_open(out: &mut Vec<u8>, native_flags: u64, mode: u64) {
    number(out, ParamType::Uint32, open_mode(native_flags, mode));
}

fn how_flags(call: &Call<'_>, out: &mut Vec<u8>) {
    if let Some(native) = call.field(2, 0, 8) {
        flags_of_open(call, out, native);
    }
}

fn how_mode(call: &Call<'_>, out: &mut Vec<u8>) {
    if let (Some(native), Some(mode)) = (call.field(2, 0, 8), call.field(2, 8, 8)) {
        mode_of_open(out, native, mode);
    }
}

/// creat tells only the layer: 1 upper, 2 lower.
fn layer_of_creat(call: &Call<'_>, out: &mut Vec<u8>) {
    if let Some(file) = call.file {
        let layer = match file.layer {
            2 => 1,
            1 => 2,
            _ => 0,
        };
        number(out, ParamType::Flags16, layer);
    }
}

fn opened_path(call: &Call<'_>, out: &mut Vec<u8>) {
    text(out, call.record.path(Item::Path).as_deref());
}

/// The kernel wrote the path into the caller's buffer, length and NUL included in the result.
fn current_directory(call: &Call<'_>, out: &mut Vec<u8>) {
    if call.ret() > 0 {
        text(out, call.text(0));
    }
}

/// The upper half once held a magic number that programs still pass.
fn mount_flags(call: &Call<'_>, out: &mut Vec<u8>) {
    const MAGIC: u64 = 0xc0ed_0000;
    let flags = call.arg(3) & 0xffff_ffff;
    let flags = if flags & 0xffff_0000 == MAGIC { flags & 0xffff } else { flags };
    number(out, ParamType::Flags32, flags);
}

const FSCONFIG_SET_STRING: u64 = 1;
const FSCONFIG_SET_BINARY: u64 = 2;
const FSCONFIG_SET_PATH: u64 = 3;
const FSCONFIG_SET_PATH_EMPTY: u64 = 4;

fn fsconfig_bytes(call: &Call<'_>, out: &mut Vec<u8>) {
    if call.arg(1) == FSCONFIG_SET_BINARY
        && let Some(content) = call.record.item_at(Item::Bytes, 3)
    {
        let len = usize::try_from(call.int(4)).unwrap_or(0);
        out.extend_from_slice(content.bytes.get(..len).unwrap_or(content.bytes));
    }
}

fn fsconfig_text(call: &Call<'_>, out: &mut Vec<u8>) {
    if matches!(call.arg(1), FSCONFIG_SET_STRING | FSCONFIG_SET_PATH | FSCONFIG_SET_PATH_EMPTY) {
        text(out, call.text(3));
    }
}

/// Kernel's command in the upper 24 bits, and its bit in the format's table.
const QUOTA_COMMANDS: [(u64, u64); 15] = [
    (0x80_0002, 1),
    (0x80_0003, 2),
    (0x80_0004, 4),
    (0x80_0005, 8),
    (0x80_0006, 16),
    (0x80_0007, 32),
    (0x80_0008, 64),
    (0x80_0001, 128),
    (0x5801, 256),
    (0x5802, 512),
    (0x5803, 1024),
    (0x5804, 2048),
    (0x5805, 4096),
    (0x5806, 8192),
    (0x5807, 16384),
];

fn quota_command(call: &Call<'_>, out: &mut Vec<u8>) {
    let command = (call.arg(0) & 0xffff_ffff) >> 8;
    let portable = QUOTA_COMMANDS.iter().find(|(native, _)| *native == command).map_or(0, |(_, bit)| *bit);
    number(out, ParamType::Flags16, portable);
}

fn quota_kind(call: &Call<'_>, out: &mut Vec<u8>) {
    out.push(match call.arg(0) & 0xff {
        0 => 1,
        1 => 2,
        _ => 0,
    });
}

fn no_flags_32(_: &Call<'_>, out: &mut Vec<u8>) {
    number(out, ParamType::Uint32, 0);
}

/// pipe has the pair at its first argument, socketpair at its fourth: only one of the places is there.
fn pair_field(call: &Call<'_>, offset: u8) -> Option<i64> {
    let number = call.field(0, offset, 4).or_else(|| call.field(3, offset, 4))?;
    Some(i64::from(number as u32 as i32))
}

fn first_fd(call: &Call<'_>, out: &mut Vec<u8>) {
    if let Some(fd) = pair_field(call, 0) {
        number(out, ParamType::Fd, fd as u64);
    }
}

fn second_fd(call: &Call<'_>, out: &mut Vec<u8>) {
    if let Some(fd) = pair_field(call, 4) {
        number(out, ParamType::Fd, fd as u64);
    }
}

fn pipe_ino(call: &Call<'_>, out: &mut Vec<u8>) {
    if let Some(file) = call.file {
        number(out, ParamType::Uint64, file.ino);
    }
}

fn pair_source(call: &Call<'_>, out: &mut Vec<u8>) {
    if let Some(sock) = call.sock() {
        number(out, ParamType::Uint64, sock.sk);
    }
}

fn pair_peer(call: &Call<'_>, out: &mut Vec<u8>) {
    if let Some(sock) = call.other_sock() {
        number(out, ParamType::Uint64, sock.sk);
    }
}

/// Flags for descriptors travel in the socket's type.
fn socket_flags(call: &Call<'_>, out: &mut Vec<u8>) {
    number(out, ParamType::Flags32, flags::NEW_FD.portable(call.arg(1) & 0xffff_ffff));
}

fn queue_length(call: &Call<'_>, out: &mut Vec<u8>) {
    if let Some(sock) = call.other_sock() {
        number(out, ParamType::Uint32, u64::from(sock.queue));
    }
}

fn queue_limit(call: &Call<'_>, out: &mut Vec<u8>) {
    if let Some(sock) = call.other_sock() {
        number(out, ParamType::Uint32, u64::from(sock.queue_max));
    }
}

fn queue_percent(call: &Call<'_>, out: &mut Vec<u8>) {
    if let Some(sock) = call.other_sock() {
        out.push((u64::from(sock.queue) * 100).checked_div(u64::from(sock.queue_max)).unwrap_or(0).min(100) as u8);
    }
}

fn control(call: &Call<'_>, out: &mut Vec<u8>) {
    if let Some(content) = call.record.item(Item::Control) {
        out.extend_from_slice(content.bytes);
    }
}

const SOL_SOCKET: u64 = 1;

fn option_name(call: &Call<'_>, out: &mut Vec<u8>) {
    let name = if call.arg(1) == SOL_SOCKET { flags::SOCKOPT.portable(call.arg(2)) } else { 0 };
    out.push(name as u8);
}

/// Variants of the value: 0 bytes, 1 error number, 2 number, 4 time.
fn option_value(call: &Call<'_>, out: &mut Vec<u8>) {
    const SO_ERROR: u64 = 4;
    const TIMES: [u64; 2] = [20, 21];
    let Some(content) = call.record.item_at(Item::Bytes, 3) else { return };
    // The last argument is a length for setsockopt and a pointer to one for getsockopt.
    let given = call.field(4, 0, 4).unwrap_or_else(|| call.arg(4) & 0xffff_ffff) as usize;
    let bytes = content.bytes.get(..given).unwrap_or(content.bytes);
    let at_socket = call.arg(1) == SOL_SOCKET;
    match (at_socket, call.arg(2), bytes.len()) {
        (true, SO_ERROR, 4..) => {
            out.push(1);
            let error = i64::from(i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
            number(out, ParamType::Errno, error.wrapping_neg() as u64);
        }
        (true, name, 16) if TIMES.contains(&name) => {
            out.push(4);
            let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|n| bytes[at + n]));
            number(
                out,
                ParamType::Reltime,
                word(0).wrapping_mul(1_000_000_000).wrapping_add(word(8).wrapping_mul(1000)),
            );
        }
        (true, _, 4) => {
            out.push(2);
            out.extend_from_slice(bytes);
        }
        _ => {
            out.push(0);
            out.extend_from_slice(bytes);
        }
    }
}

/// Number of descriptors, then each with its asked flags or, where the call returned some, the returned ones.
fn poll_list(call: &Call<'_>, out: &mut Vec<u8>) {
    let Some(content) = call.record.item_at(Item::Bytes, 0) else { return };
    let returned = call.ret() > 0;
    let entries: Vec<_> = content.bytes.chunks_exact(8).collect();
    out.extend_from_slice(&(entries.len() as u16).to_le_bytes());
    for entry in entries {
        let fd = i64::from(i32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]));
        let at = if returned { 6 } else { 4 };
        let events = u64::from(u16::from_le_bytes([entry[at], entry[at + 1]]));
        out.extend_from_slice(&fd.to_le_bytes());
        out.extend_from_slice(&(flags::POLL.portable(events) as u16).to_le_bytes());
    }
}

/// A `struct timespec` in ns. A null pointer means for ever: all ones.
fn duration(call: &Call<'_>, out: &mut Vec<u8>, arg: u8) {
    if call.arg(arg) == 0 {
        number(out, ParamType::Reltime, u64::MAX);
        return;
    }
    let word = if call.record.compat() { 4 } else { 8 };
    if let (Some(seconds), Some(ns)) = (call.field(arg, 0, word), call.field(arg, word, word)) {
        number(out, ParamType::Reltime, seconds.wrapping_mul(1_000_000_000).wrapping_add(ns));
    }
}

/// Current or highest value of a `struct rlimit`. All ones: no limit.
fn limit(call: &Call<'_>, out: &mut Vec<u8>, arg: u8, which: u8) {
    let word = if call.record.compat() { 4 } else { 8 };
    if let Some(value) = call.field(arg, which * word, word) {
        let none = word == 4 && value == 0xffff_ffff;
        number(out, ParamType::Int64, if none { u64::MAX } else { value });
    }
}

/// Resources beyond those that the format knows are one: unknown.
fn resource(out: &mut Vec<u8>, native: u64) {
    out.push(if native <= 15 { native as u8 } else { 255 });
}

fn resource_0(call: &Call<'_>, out: &mut Vec<u8>) {
    resource(out, call.arg(0) & 0xffff_ffff);
}

fn resource_1(call: &Call<'_>, out: &mut Vec<u8>) {
    resource(out, call.arg(1) & 0xffff_ffff);
}

const PR_SET_NAME: u64 = 15;

/// The only option whose text matters: the thread's new name, read from the thread after the call.
fn prctl_text(call: &Call<'_>, out: &mut Vec<u8>) {
    if call.arg(0) == PR_SET_NAME {
        text(out, call.task.as_ref().map(|task| task.comm.as_slice()));
    }
}

fn prctl_number(call: &Call<'_>, out: &mut Vec<u8>) {
    if call.arg(0) != PR_SET_NAME {
        number(out, ParamType::Int64, call.arg(1));
    }
}

/// First byte: 0 a number, 1 a signal.
fn ptrace_addr(call: &Call<'_>, out: &mut Vec<u8>) {
    out.push(0);
    number(out, ParamType::Uint64, call.arg(2));
}

fn ptrace_data(call: &Call<'_>, out: &mut Vec<u8>) {
    const PEEK: [u64; 3] = [1, 2, 3];
    // Requests that go on with a signal: CONT, SINGLESTEP, DETACH, SYSCALL.
    const SIGNAL: [u64; 4] = [7, 9, 17, 24];
    let request = call.arg(0);
    if SIGNAL.contains(&request) {
        out.extend_from_slice(&[1, call.arg(3) as u8]);
        return;
    }
    out.push(0);
    let data = if PEEK.contains(&request) { call.field(3, 0, 8) } else { None };
    number(out, ParamType::Uint64, data.unwrap_or_else(|| call.arg(3)));
}

/// The oldest 32-bit form takes a pointer to its arguments: they are unknown.
fn mmap(call: &Call<'_>, out: &mut Vec<u8>, arg: u8) {
    if call.record.compat() {
        return;
    }
    match arg {
        2 => number(out, ParamType::Flags32, flags::PROT.portable(call.arg(2))),
        3 => number(out, ParamType::Flags32, flags::MMAP.portable(call.arg(3))),
        4 => number(out, ParamType::Fd, call.int(4) as u64),
        other => number(out, ParamType::Uint64, call.arg(other)),
    }
}

fn second_semop(call: &Call<'_>, out: &mut Vec<u8>, offset: u8) {
    let there = call.arg(2) > 1;
    if let Some(value) = call.field(1, 6 + offset, 2).filter(|_| there) {
        let value = if offset == 4 { flags::SEMOP.portable(value) } else { value };
        number(out, ParamType::Uint16, value);
    }
}

/// `IPC_64` may be added to a command.
fn semctl_command(call: &Call<'_>, out: &mut Vec<u8>) {
    number(out, ParamType::Flags16, flags::SEMCTL.portable(call.arg(2) & 0xff));
}

/// The low nine bits are a mode.
fn semget_flags(call: &Call<'_>, out: &mut Vec<u8>) {
    number(out, ParamType::Flags32, flags::SEMGET.portable(call.arg(2)) | call.arg(2) & 0o777);
}

/// First byte: 0 a number.
fn key_argument(call: &Call<'_>, out: &mut Vec<u8>, arg: u8) {
    out.push(0);
    number(out, ParamType::Int64, call.arg(arg));
}
