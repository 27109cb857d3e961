//! One thread of the process list, from the iterator's record and, for what lies in its memory, from `/proc`.

use std::io::Read;
use std::path::Path;

use casebook_formats::snapshot::ThreadEntry;

use super::Seen;
use crate::calls::device;
use crate::encode::{cgroups, exe_writable, memfd, split_program};
use crate::record::{Item, Record};

/// `CLONE_FILES` and `CLONE_THREAD` of the format's clone flags: what a thread that is not the main one was made with.
const THREAD_FLAGS: u32 = 1 | 8192;
/// Largest text list that readers accept.
const LIST_MAX: usize = 4096;
/// Largest path that readers accept.
const PATH_MAX: usize = 1023;

/// What a program was started with.
#[derive(Default)]
pub(super) struct Texts {
    command: Vec<u8>,
    env: Vec<u8>,
}

impl Texts {
    /// Of a process that runs. Of an ancestor of what is recorded (`whole` is false) no environment is kept. Lists that
    /// may not be read are counted in `forbidden`.
    pub(super) fn read(tgid: u32, whole: bool, proc: &Path, forbidden: &mut u64) -> Self {
        let folder = proc.join(tgid.to_string());
        let command = list(&folder.join("cmdline"), forbidden);
        let env = if whole { list(&folder.join("environ"), forbidden) } else { Vec::new() };
        Self { command, env }
    }

    /// As a record has them.
    pub(super) fn of(record: &Record<'_>) -> Self {
        let text =
            |kind: Item| record.item(kind).map(|content| cut(content.bytes.to_vec(), LIST_MAX)).unwrap_or_default();
        Self { command: text(Item::Args), env: text(Item::Env) }
    }

    /// Puts them into an entry.
    pub(super) fn put(&self, entry: &mut ThreadEntry) {
        let (exe, args) = split_program(&self.command);
        entry.exe = cut(exe.to_vec(), PATH_MAX);
        entry.args = args.to_vec();
        entry.env.clone_from(&self.env);
    }
}

/// The entry.
pub(super) fn entry(seen: &Seen<'_>, boot: u64, texts: &Texts) -> ThreadEntry {
    let task = &seen.task;
    let record = &seen.record;
    let file = record.file();
    let (exe, args) = split_program(&texts.command);
    let path = |kind: Item| record.path(kind).map(|path| cut(path, PATH_MAX)).unwrap_or_default();
    let mut groups = Vec::new();
    cgroups(record, &mut groups);
    ThreadEntry {
        tid: i64::from(task.tid),
        pid: i64::from(task.tgid),
        ptid: i64::from(task.ptid),
        sid: i64::from(task.sid),
        vpgid: i64::from(task.vpgid),
        pgid: i64::from(task.pgid),
        vtid: i64::from(task.vtid),
        vpid: i64::from(task.vpid),
        comm: task.comm.clone(),
        // Kernel threads have no command line.
        exe: if texts.command.is_empty() { task.comm.clone() } else { cut(exe.to_vec(), PATH_MAX) },
        exepath: path(Item::Exe),
        args: args.to_vec(),
        env: texts.env.clone(),
        cwd: path(Item::Cwd),
        root: path(Item::Root),
        cgroups: cut(groups, LIST_MAX),
        fdlimit: task.fdlimit as i64,
        flags: if task.tid == task.tgid { 0 } else { THREAD_FLAGS },
        uid: task.euid,
        gid: task.egid,
        loginuid: task.loginuid,
        vm_size: task.vm_size,
        vm_rss: task.vm_rss,
        vm_swap: task.vm_swap,
        pf_major: task.maj_flt,
        pf_minor: task.min_flt,
        pidns_init_start_ts: boot.wrapping_add(task.pidns_start),
        tty: device(task.tty),
        exe_writable: file.is_some_and(|file| exe_writable(&file, task)),
        exe_upper_layer: file.is_some_and(|file| file.layer == 2),
        exe_lower_layer: file.is_some_and(|file| file.layer == 1),
        exe_from_memfd: file.is_some_and(|file| record.item(Item::Exe).is_some_and(|exe| memfd(&file, exe.bytes))),
        cap_inheritable: task.cap_inheritable,
        cap_permitted: task.cap_permitted,
        cap_effective: task.cap_effective,
        exe_ino: file.map_or(0, |file| file.ino),
        exe_ino_ctime: file.map_or(0, |file| file.ctime),
        exe_ino_mtime: file.map_or(0, |file| file.mtime),
    }
}

/// A list of texts from `/proc`, as far as readers accept it; empty when it may not be read, or the process is gone.
fn list(path: &Path, forbidden: &mut u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(LIST_MAX as u64).read_to_end(&mut bytes));
    *forbidden += u64::from(read.is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied));
    bytes
}

fn cut(mut bytes: Vec<u8>, max: usize) -> Vec<u8> {
    bytes.truncate(max);
    bytes
}
