//! Values of parameters: one record and the source of one parameter give the bytes of the event.
//!
//! What a record does not hold stays empty: the format's way to say *unknown*. Nothing is made up.

use casebook_formats::tables::{ParamDef, ParamType};

use super::Source;
use crate::flags;
use crate::record::{FILE_CREATED, FileItem, GUARD_TEXT, Item, Record, SockItem, TaskItem};

const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// `-EINPROGRESS`: a connection under way.
pub(crate) const IN_PROGRESS: i64 = -115;

/// A call with what was fetched for it, taken apart once.
pub(crate) struct Call<'a> {
    pub record: &'a Record<'a>,
    pub task: Option<TaskItem>,
    pub file: Option<FileItem>,
    /// Arguments that were something else when the call began.
    pub changed: std::cell::Cell<u64>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(record: &'a Record<'a>) -> Self {
        Self { record, task: record.task(), file: record.file(), changed: std::cell::Cell::new(0) }
    }

    /// The result.
    pub(crate) fn ret(&self) -> i64 {
        self.record.head.ret
    }

    /// The call did what it was asked for, or is doing it.
    pub(crate) fn done(&self) -> bool {
        self.ret() >= 0 || self.ret() == IN_PROGRESS
    }

    /// An argument as it is.
    pub(crate) fn arg(&self, n: u8) -> u64 {
        self.record.head.args.get(usize::from(n)).copied().unwrap_or(0)
    }

    /// An argument that is a C `int`.
    pub(crate) fn int(&self, n: u8) -> i64 {
        i64::from(self.arg(n) as u32 as i32)
    }

    /// A number inside a structure that an argument points to.
    pub(crate) fn field(&self, arg: u8, offset: u8, width: u8) -> Option<u64> {
        let content = self.record.item_at(Item::Bytes, arg)?;
        let bytes = content.bytes.get(usize::from(offset)..)?.get(..usize::from(width))?;
        Some(bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }

    /// Text that an argument points to; `None` where it was null or could not be read. Where it was changed while the
    /// call was under way: what the call was given.
    pub(crate) fn text(&self, arg: u8) -> Option<&'a [u8]> {
        let after = self.record.item_at(Item::Str, arg).filter(|content| !content.fault).map(|content| content.bytes);
        let Some(before) = self.record.item_at(Item::EnterStr, arg).map(|content| content.bytes) else { return after };
        match after {
            // Of a long text only the beginning was kept.
            Some(after) if before.len() == GUARD_TEXT && after.starts_with(before) => Some(after),
            Some(after) if before == after => Some(after),
            Some(_) => {
                self.changed.set(self.changed.get() + 1);
                Some(before)
            }
            None => Some(before),
        }
    }

    /// Socket address that an argument points to, as the call was given it.
    fn given_address(&self, arg: u8) -> Option<&'a [u8]> {
        let after = self.record.item_at(Item::Addr, arg).map(|content| content.bytes);
        let Some(before) = self.record.item_at(Item::EnterAddr, arg).map(|content| content.bytes) else { return after };
        if after.is_some_and(|after| !after.starts_with(before)) {
            self.changed.set(self.changed.get() + 1);
        }
        Some(before)
    }

    /// The socket of the call.
    pub(crate) fn sock(&self) -> Option<SockItem> {
        SockItem::parse(self.record.item(Item::Sock)?.bytes)
    }

    /// The second socket of the call: the other of a pair, or the one that listens.
    pub(crate) fn other_sock(&self) -> Option<SockItem> {
        SockItem::parse(self.record.item(Item::SockPeer)?.bytes)
    }

    /// Writes the value of one parameter; nothing where it is unknown.
    pub(crate) fn value(&self, source: Source, param: &ParamDef, out: &mut Vec<u8>) {
        match source {
            Source::Ret => number(out, param.ty, self.ret() as u64),
            Source::Arg(n) => number(out, param.ty, self.arg(n)),
            Source::Int(n) => number(out, param.ty, self.int(n) as u64),
            Source::Wide(n) => number(out, param.ty, self.wide(n)),
            Source::Str(n) => text(out, self.text(n)),
            Source::Flags(n, map) => number(out, param.ty, map.portable(self.arg(n) & 0xffff_ffff)),
            Source::Field(arg, offset, width) => {
                if let Some(value) = self.field(arg, offset, width) {
                    number(out, param.ty, value);
                }
            }
            Source::FieldFlags(arg, offset, width, map) => {
                if let Some(value) = self.field(arg, offset, width) {
                    number(out, param.ty, map.portable(value));
                }
            }
            Source::Data => {
                if let Some(content) = self.record.item(Item::Data) {
                    out.extend_from_slice(content.bytes);
                }
            }
            Source::Size => {
                let size =
                    self.record.item(Item::Size).and_then(|size| Some(u64::from_le_bytes(*size.bytes.first_chunk()?)));
                if let Some(size) = size {
                    number(out, param.ty, size);
                }
            }
            Source::Addr(n) => {
                if let Some(given) = self.given_address(n) {
                    address(out, given);
                }
            }
            Source::TupleOut(n) => self.tuple(n, false, out),
            Source::TupleIn(n) => self.tuple(n, true, out),
            Source::Dev => {
                if let Some(file) = self.file {
                    number(out, param.ty, u64::from(device(file.dev)));
                }
            }
            Source::Ino => {
                if let Some(file) = self.file {
                    number(out, param.ty, file.ino);
                }
            }
            Source::Task(fact) => {
                if let Some(task) = &self.task {
                    number(out, param.ty, fact(task));
                }
            }
            Source::Unknown => {}
            Source::By(write) => write(self, out),
        }
    }

    /// 32-bit calls pass 64-bit numbers in two arguments, the low half first.
    fn wide(&self, n: u8) -> u64 {
        let low = self.arg(n);
        if self.record.compat() { low & 0xffff_ffff | self.arg(n + 1) << 32 } else { low }
    }

    /// Both ends of the socket. Where it is not connected, the far end is the address that the call gave or was given.
    fn tuple(&self, addr: u8, incoming: bool, out: &mut Vec<u8>) {
        if !self.done() {
            return;
        }
        let given = self.given_address(addr).unwrap_or_default();
        let Some(sock) = self.sock() else { return };
        match sock.family {
            AF_INET => inet::<4>(&sock, given, incoming, out),
            AF_INET6 => inet::<16>(&sock, given, incoming, out),
            AF_UNIX => self.unix(&sock, given, incoming, out),
            _ => {}
        }
    }

    /// Source and destination are kernel addresses; the path is that of whichever end has a name.
    fn unix(&self, sock: &SockItem, given: &[u8], incoming: bool, out: &mut Vec<u8>) {
        let name = |kind: Item| self.record.item(kind).map(|content| content.bytes).filter(|name| !name.is_empty());
        let (source, destination) = if incoming { (sock.peer, sock.sk) } else { (sock.sk, sock.peer) };
        out.push(AF_UNIX as u8);
        out.extend_from_slice(&source.to_le_bytes());
        out.extend_from_slice(&destination.to_le_bytes());
        let path = if incoming {
            name(Item::UnixSelf).or_else(|| name(Item::UnixPeer))
        } else {
            name(Item::UnixPeer).or_else(|| given.get(2..).filter(|path| !path.is_empty()))
        };
        unix_path(out, path.unwrap_or_default());
    }
}

/// Internet ends; `N` bytes of an address.
fn inet<const N: usize>(sock: &SockItem, given: &[u8], incoming: bool, out: &mut Vec<u8>) {
    let near = (&sock.laddr[..N], sock.lport);
    let mut far = (&sock.raddr[..N], sock.rport);
    let at = if N == 4 { 4 } else { 8 };
    if far.1 == 0
        && let (Some(port), Some(addr)) = (given.get(2..4), given.get(at..at + N))
        && u16::from(given[0]) == sock.family
    {
        far = (addr, u16::from_be_bytes([port[0], port[1]]));
    }
    let (source, destination) = if incoming { (far, near) } else { (near, far) };
    out.push(sock.family as u8);
    for (addr, port) in [source, destination] {
        out.extend_from_slice(addr);
        out.extend_from_slice(&port.to_le_bytes());
    }
}

/// A number in the width of its parameter; larger ones are cut, as the format cuts them.
pub(crate) fn number(out: &mut Vec<u8>, ty: ParamType, value: u64) {
    let width = ty.width().unwrap_or(8).min(8);
    out.extend_from_slice(&value.to_le_bytes()[..width]);
}

/// Text with its NUL; unknown text is empty.
pub(crate) fn text(out: &mut Vec<u8>, text: Option<&[u8]>) {
    if let Some(text) = text {
        out.extend_from_slice(text);
        out.push(0);
    }
}

/// A path of a unix socket ends at its NUL; an abstract name is shown with `@`, as `ss` shows it.
fn unix_path(out: &mut Vec<u8>, name: &[u8]) {
    match name.split_first() {
        Some((0, rest)) => {
            out.push(b'@');
            out.extend(rest.iter().take_while(|&&byte| byte != 0));
        }
        _ => out.extend(name.iter().take_while(|&&byte| byte != 0)),
    }
    out.push(0);
}

/// A `struct sockaddr` as the format has it.
pub(crate) fn address(out: &mut Vec<u8>, raw: &[u8]) {
    let Some(family) = raw.first_chunk::<2>().map(|bytes| u16::from_le_bytes(*bytes)) else { return };
    let port = raw.get(2..4).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
    match (family, port) {
        (AF_UNIX, _) => {
            out.push(AF_UNIX as u8);
            unix_path(out, &raw[2..]);
        }
        (AF_INET, Some(port)) if raw.len() >= 8 => {
            out.push(AF_INET as u8);
            out.extend_from_slice(&raw[4..8]);
            out.extend_from_slice(&port.to_le_bytes());
        }
        (AF_INET6, Some(port)) if raw.len() >= 24 => {
            out.push(AF_INET6 as u8);
            out.extend_from_slice(&raw[8..24]);
            out.extend_from_slice(&port.to_le_bytes());
        }
        _ => out.push(family as u8),
    }
}

/// Kernel's device number to the one that `stat` shows and captures hold.
pub(crate) fn device(dev: u32) -> u32 {
    let (major, minor) = (dev >> 20, dev & 0xf_ffff);
    minor & 0xff | major << 8 | (minor & !0xff) << 12
}

/// Flags of an open: portable, with what the file that was opened says.
pub(crate) fn open_flags(call: &Call<'_>, native: u64) -> u64 {
    let mut flags = flags::FILE.portable(native);
    if let Some(file) = call.file {
        flags |= u64::from(file.bits & FILE_CREATED != 0) << 14;
        flags |= match file.layer {
            2 => 1 << 15,
            1 => 1 << 16,
            _ => 0,
        };
    }
    flags
}

/// Mode of an open: a number only where the call creates something.
pub(crate) fn open_mode(native_flags: u64, mode: u64) -> u64 {
    const CREATES: u64 = 0o100 | 0o2000_0000;
    if native_flags & CREATES == 0 { 0 } else { mode & 0xffff_ffff }
}
