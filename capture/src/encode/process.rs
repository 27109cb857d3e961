//! What a process became: the parameters of exec and clone events.

use crate::calls::{Call, Known, device, number, text};
use crate::flags;
use crate::record::{FILE_READONLY, FileItem, Item, Record, TaskItem};
use casebook_formats::tables::ParamType::{self, Fd, Flags32, Gid, Pid, Uid, Uint32, Uint64};

use super::Params;

/// The child, or the caller itself, lives in a pid namespace of its own.
const CHILD_IN_PIDNS: u64 = 1 << 29;

const EXE_WRITABLE: u64 = 1;
const EXE_UPPER_LAYER: u64 = 2;
const EXE_FROM_MEMFD: u64 = 4;
const EXE_LOWER_LAYER: u64 = 8;

/// Program name and arguments; the name is the first of them.
fn program(params: &mut Params, record: &Record<'_>) {
    let all = record.item(Item::Args).map(|content| content.bytes);
    let (exe, args) = all.map(split_program).unwrap_or_default();
    params.push(|out| text(out, all.map(|_| exe)));
    params.push(|out| out.extend_from_slice(args));
}

/// First string, and the others.
pub(crate) fn split_program(all: &[u8]) -> (&[u8], &[u8]) {
    match all.iter().position(|&byte| byte == 0) {
        Some(end) => (&all[..end], &all[end + 1..]),
        None => (all, &[]),
    }
}

/// tid, pid, parent, working directory, limit of descriptors, faults, memory, name, cgroups: what exec and clone share.
fn thread(params: &mut Params, record: &Record<'_>, task: Option<&TaskItem>) {
    let mut push = |ty: ParamType, fact: fn(&TaskItem) -> u64| {
        params.push(|out| {
            if let Some(task) = task {
                number(out, ty, fact(task));
            }
        });
    };
    push(Pid, |task| u64::from(task.tid));
    push(Pid, |task| u64::from(task.tgid));
    push(Pid, |task| u64::from(task.ptid));
    params.push(|out| text(out, record.path(Item::Cwd).as_deref()));
    let mut push = |ty: ParamType, fact: fn(&TaskItem) -> u64| {
        params.push(|out| {
            if let Some(task) = task {
                number(out, ty, fact(task));
            }
        });
    };
    push(Uint64, |task| task.fdlimit);
    push(Uint64, |task| task.maj_flt);
    push(Uint64, |task| task.min_flt);
    push(Uint32, |task| u64::from(task.vm_size));
    push(Uint32, |task| u64::from(task.vm_rss));
    push(Uint32, |task| u64::from(task.vm_swap));
    params.push(|out| text(out, task.map(|task| task.comm.as_slice())));
    params.push(|out| cgroups(record, out));
}

/// `controller=path` for each controller whose path is known, each with a NUL.
pub(crate) fn cgroups(record: &Record<'_>, out: &mut Vec<u8>) {
    let mut push = |name: &str, path: &[u8]| {
        out.extend_from_slice(name.as_bytes());
        out.push(b'=');
        out.extend_from_slice(path);
        out.push(0);
    };
    match (record.path(Item::CgroupV1), record.path(Item::Cgroup)) {
        (Some(memory), unified) => {
            push("memory", &memory);
            // Beside controllers of version 1 stands a version 2 without any.
            if let Some(unified) = unified {
                push("unified", &unified);
            }
        }
        // All controllers hang in the one tree.
        (None, Some(path)) => {
            for name in ["cpuset", "cpu", "cpuacct", "io", "memory"] {
                push(name, &path);
            }
        }
        (None, None) => {}
    }
}

/// clone, clone3, fork, vfork; in parent and child.
pub(super) fn cloned(call: &Call<'_>, known: &Known, boot: u64, params: &mut Params) {
    let task = call.task.as_ref();
    params.push(|out| number(out, Pid, call.ret() as u64));
    program(params, call.record);
    thread(params, call.record, task);
    let native = match known.name {
        "clone" => Some(call.arg(0) & 0xffff_ffff),
        "clone3" => call.field(0, 0, 8),
        "vfork" => Some(0x4100),
        _ => Some(0),
    };
    let inside = task.is_some_and(|task| task.level > 0 || task.children_level > 0);
    params.push(|out| {
        if let Some(native) = native {
            number(out, Flags32, flags::CLONE.portable(native) | if inside { CHILD_IN_PIDNS } else { 0 });
        }
    });
    let mut push = |ty: ParamType, value: Option<u64>| {
        params.push(|out| {
            if let Some(value) = value {
                number(out, ty, value);
            }
        });
    };
    push(Uid, task.map(|task| u64::from(task.euid)));
    push(Gid, task.map(|task| u64::from(task.egid)));
    push(Pid, task.map(|task| u64::from(task.vtid)));
    push(Pid, task.map(|task| u64::from(task.vpid)));
    push(Uint64, task.map(|task| boot.wrapping_add(task.pidns_start)));
}

/// A program was started. `count`: parameters of the event's type.
pub(super) fn executed(record: &Record<'_>, count: usize, params: &mut Params) {
    let task = record.task();
    let file = record.file();
    params.push(|out| number(out, Fd, 0));
    described(record, task.as_ref(), params);
    let facts = |file: &FileItem| {
        let layer = match file.layer {
            2 => EXE_UPPER_LAYER,
            1 => EXE_LOWER_LAYER,
            _ => 0,
        };
        let writable = task.as_ref().is_some_and(|task| exe_writable(file, task));
        let memfd = record.item(Item::Exe).is_some_and(|exe| memfd(file, exe.bytes));
        layer | if writable { EXE_WRITABLE } else { 0 } | if memfd { EXE_FROM_MEMFD } else { 0 }
    };
    params.push(|out| {
        if let Some(file) = &file {
            number(out, Flags32, facts(file));
        }
    });
    capabilities(task.as_ref(), params);
    for fact in [|file: &FileItem| file.ino, |file: &FileItem| file.ctime, |file: &FileItem| file.mtime] {
        params.push(|out| {
            if let Some(file) = &file {
                number(out, Uint64, fact(file));
            }
        });
    }
    params.push(|out| owner(task.as_ref(), out));
    params.push(|out| text(out, record.path(Item::Exe).as_deref()));
    group(task.as_ref(), params);
    if count > 30 {
        params.push(|out| text(out, record.item(Item::Filename).filter(|name| !name.fault).map(|name| name.bytes)));
    }
}

/// An exec that failed: arguments and environment are those that were asked for, everything else is the caller. Which
/// file it would have been is not known.
pub(super) fn failed_exec(call: &Call<'_>, known: &Known, params: &mut Params) {
    let task = call.task.as_ref();
    params.push(|out| number(out, Fd, call.ret() as u64));
    described(call.record, task, params);
    params.push(|_| {});
    capabilities(task, params);
    for _ in 0..3 {
        params.push(|_| {});
    }
    params.push(|out| owner(task, out));
    params.push(|_| {});
    group(task, params);
    if known.def.params.len() > 30 {
        let name = call.record.item(Item::Filename).filter(|name| !name.fault);
        params.push(|out| text(out, name.map(|name| name.bytes)));
    }
}

/// Program, thread, environment, terminal, group, login user.
fn described(record: &Record<'_>, task: Option<&TaskItem>, params: &mut Params) {
    program(params, record);
    thread(params, record, task);
    params.push(|out| {
        if let Some(env) = record.item(Item::Env) {
            out.extend_from_slice(env.bytes);
        }
    });
    let mut push = |ty: ParamType, value: Option<u64>| {
        params.push(|out| {
            if let Some(value) = value {
                number(out, ty, value);
            }
        });
    };
    push(Uint32, task.map(|task| u64::from(device(task.tty))));
    push(Pid, task.map(|task| u64::from(task.vpgid)));
    push(Uid, task.map(|task| u64::from(task.loginuid)));
}

fn capabilities(task: Option<&TaskItem>, params: &mut Params) {
    for fact in [
        |task: &TaskItem| task.cap_inheritable,
        |task: &TaskItem| task.cap_permitted,
        |task: &TaskItem| task.cap_effective,
    ] {
        params.push(|out| {
            if let Some(task) = task {
                number(out, Uint64, fact(task));
            }
        });
    }
}

fn owner(task: Option<&TaskItem>, out: &mut Vec<u8>) {
    if let Some(task) = task {
        number(out, Uid, u64::from(task.euid));
    }
}

/// Process group and group id.
fn group(task: Option<&TaskItem>, params: &mut Params) {
    params.push(|out| {
        if let Some(task) = task {
            number(out, Pid, u64::from(task.pgid));
        }
    });
    params.push(|out| {
        if let Some(task) = task {
            number(out, Gid, u64::from(task.egid));
        }
    });
}

/// May the thread write to its own program? Owner, group and others as the file says, or by capability; supplementary
/// groups and access lists are not looked at.
pub(crate) fn exe_writable(file: &FileItem, task: &TaskItem) -> bool {
    const CAP_DAC_OVERRIDE: u64 = 1 << 1;
    if file.bits & FILE_READONLY != 0 {
        return false;
    }
    let write = if file.uid == task.fsuid {
        0o200
    } else if file.gid == task.fsgid {
        0o020
    } else {
        0o002
    };
    u32::from(file.mode) & write != 0 || task.cap_effective & CAP_DAC_OVERRIDE != 0
}

/// A file in memory only: nothing links to it, and its single name begins as the kernel names such files.
pub(crate) fn memfd(file: &FileItem, components: &[u8]) -> bool {
    file.nlink == 0 && components.starts_with(b"memfd:")
}
