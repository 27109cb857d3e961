//! Records as the kernel side's iterators write them, made here: the other direction of [`crate::record`].

use crate::record::{FileItem, HEAD, Item, Kind, SockItem, TaskItem};

/// Longest content of an item: what its length field can say.
const CONTENT_MAX: usize = u16::MAX as usize;

/// A record under construction.
pub(super) struct Made {
    bytes: Vec<u8>,
}

impl Made {
    /// Begins a record about a thread; `arg`: the first of its arguments, the number of a descriptor.
    pub(super) fn new(kind: Kind, process: u32, thread: u32, arg: u64) -> Self {
        let mut bytes = vec![0; HEAD];
        bytes[4..6].copy_from_slice(&kind.number().to_le_bytes());
        bytes[28..32].copy_from_slice(&process.to_le_bytes());
        bytes[32..36].copy_from_slice(&thread.to_le_bytes());
        bytes[48..56].copy_from_slice(&arg.to_le_bytes());
        Self { bytes }
    }

    /// Adds an item; what is longer than an item can be is cut.
    pub(super) fn item(&mut self, kind: Item, content: &[u8]) {
        let content = &content[..content.len().min(CONTENT_MAX)];
        self.bytes.extend_from_slice(&[kind as u8, 0]);
        self.bytes.extend_from_slice(&(content.len() as u16).to_le_bytes());
        self.bytes.extend_from_slice(content);
    }

    /// Adds a path: components leaf first, each with a NUL.
    pub(super) fn path(&mut self, kind: Item, path: &[u8]) {
        let mut components = Vec::with_capacity(path.len() + 1);
        for name in path.split(|&byte| byte == b'/').rev().filter(|name| !name.is_empty()) {
            components.extend_from_slice(name);
            components.push(0);
        }
        self.item(kind, &components);
    }

    pub(super) fn task(&mut self, task: &TaskItem) {
        let mut out = Vec::with_capacity(TaskItem::LEN);
        for wide in [
            task.start,
            task.pidns_start,
            task.cap_inheritable,
            task.cap_permitted,
            task.cap_effective,
            task.fdlimit,
            task.maj_flt,
            task.min_flt,
            task.cgroup_id,
        ] {
            out.extend_from_slice(&wide.to_le_bytes());
        }
        for word in [
            task.tid,
            task.tgid,
            task.ptid,
            task.sid,
            task.pgid,
            task.vpgid,
            task.vtid,
            task.vpid,
            task.uid,
            task.gid,
            task.euid,
            task.egid,
            task.fsuid,
            task.fsgid,
            task.loginuid,
            task.tty,
            task.vm_size,
            task.vm_rss,
            task.vm_swap,
            task.level,
            0,
            task.children_level,
        ] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        let mut comm = [0; 16];
        let len = task.comm.len().min(15);
        comm[..len].copy_from_slice(&task.comm[..len]);
        out.extend_from_slice(&comm);
        self.item(Item::Task, &out);
    }

    pub(super) fn file(&mut self, file: &FileItem) {
        let mut out = Vec::with_capacity(FileItem::LEN);
        for wide in [file.ino, file.ctime, file.mtime] {
            out.extend_from_slice(&wide.to_le_bytes());
        }
        for word in [file.dev, file.uid, file.gid, file.nlink, file.f_flags] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&file.mode.to_le_bytes());
        out.extend_from_slice(&[file.layer, file.bits]);
        out.extend_from_slice(&file.magic.to_le_bytes());
        out.resize(FileItem::LEN, 0);
        self.item(Item::File, &out);
    }

    pub(super) fn sock(&mut self, sock: &SockItem) {
        let mut out = Vec::with_capacity(SockItem::LEN);
        out.extend_from_slice(&sock.sk.to_le_bytes());
        out.extend_from_slice(&sock.peer.to_le_bytes());
        for half in [sock.family, sock.kind, sock.protocol] {
            out.extend_from_slice(&half.to_le_bytes());
        }
        out.extend_from_slice(&[sock.state, 0]);
        out.extend_from_slice(&sock.lport.to_le_bytes());
        out.extend_from_slice(&sock.rport.to_be_bytes());
        out.extend_from_slice(&sock.queue.to_le_bytes());
        out.extend_from_slice(&sock.queue_max.to_le_bytes());
        out.extend_from_slice(&sock.laddr);
        out.extend_from_slice(&sock.raddr);
        out.resize(SockItem::LEN, 0);
        self.item(Item::Sock, &out);
    }

    /// Puts the record behind others.
    pub(super) fn finish(mut self, out: &mut Vec<u8>) {
        let len = self.bytes.len() as u32;
        self.bytes[..4].copy_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&self.bytes);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failing test may panic

    use super::*;
    use crate::record::Record;

    #[test]
    fn what_is_made_is_read_back() {
        let task = TaskItem {
            start: 1,
            pidns_start: 2,
            cap_inheritable: 3,
            cap_permitted: 4,
            cap_effective: 5,
            fdlimit: 6,
            maj_flt: 7,
            min_flt: 8,
            cgroup_id: 9,
            tid: 10,
            tgid: 11,
            ptid: 12,
            sid: 13,
            pgid: 14,
            vpgid: 15,
            vtid: 16,
            vpid: 17,
            uid: 18,
            gid: 19,
            euid: 20,
            egid: 21,
            fsuid: 22,
            fsgid: 23,
            loginuid: 24,
            tty: 25,
            vm_size: 26,
            vm_rss: 27,
            vm_swap: 28,
            level: 29,
            children_level: 30,
            comm: b"fifteen letters".to_vec(),
        };
        let file = FileItem {
            ino: 1,
            ctime: 2,
            mtime: 3,
            dev: 4,
            uid: 5,
            gid: 6,
            nlink: 7,
            f_flags: 8,
            mode: 9,
            layer: 1,
            bits: 2,
            magic: 10,
        };
        let sock = SockItem {
            sk: 1,
            peer: 2,
            family: 3,
            kind: 4,
            protocol: 5,
            state: 6,
            lport: 0x1234,
            rport: 0x5678,
            queue: 7,
            queue_max: 8,
            laddr: [9; 16],
            raddr: [10; 16],
        };
        let mut made = Made::new(Kind::File, 11, 10, 42);
        made.task(&task);
        made.file(&file);
        made.sock(&sock);
        made.path(Item::Path, b"/usr//bin/true");
        made.path(Item::Root, b"/");
        made.item(Item::UnixSelf, &vec![b'x'; 70_000]);
        let mut out = Vec::new();
        made.finish(&mut out);
        let record = Record::parse(&out).unwrap();
        assert_eq!(
            (record.head.kind, record.head.tgid, record.head.tid, record.head.args[0]),
            (Kind::File, 11, 10, 42)
        );
        assert_eq!(record.task(), Some(task));
        assert_eq!(record.file(), Some(file));
        assert_eq!(record.item(Item::Sock).and_then(|item| SockItem::parse(item.bytes)), Some(sock));
        assert_eq!(record.path(Item::Path).unwrap(), b"/usr/bin/true");
        assert_eq!(record.path(Item::Root).unwrap(), b"/");
        assert_eq!(record.item(Item::UnixSelf).unwrap().bytes.len(), CONTENT_MAX);
    }
}
