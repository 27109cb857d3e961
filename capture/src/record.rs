//! What the kernel side hands over: records of a head and items, decoded without copying.
//!
//! Mirrors `bpf/record.h`, byte for byte; a test compares the sizes that both sides use. The bytes come from our own
//! program in the kernel, yet every length is checked: a mistake there must not become a crash here. Items that are structures stand in [`facts`].

mod facts;

pub(crate) use facts::{FILE_CREATED, FILE_READONLY, FileItem, SockItem, TaskItem};

/// Bytes of a head.
pub(crate) const HEAD: usize = 96;
/// Bytes before an item's content.
const ITEM: usize = 4;

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A system call returned.
    Call,
    /// A program was started.
    Exec,
    /// A thread ended.
    Exit,
    /// Snapshot: a thread.
    Task,
    /// Snapshot: a descriptor.
    File,
}

impl Kind {
    /// Its number in a record.
    pub(crate) const fn number(self) -> u16 {
        match self {
            Self::Call => 1,
            Self::Exec => 2,
            Self::Exit => 3,
            Self::Task => 4,
            Self::File => 5,
        }
    }
}

/// A 32-bit call on a 64-bit kernel.
pub(crate) const COMPAT: u16 = 1;
/// Of an exit: the last thread of its process.
pub(crate) const LAST: u16 = 2;

/// Of a container that may be one that the filter names; `cgroup` says of which.
const UNDECIDED: u16 = 16;
/// A thread that came into the recording tells who it is.
const JOINED: u16 = 32;
/// With `UNDECIDED`: belongs into the recording also if that container is not named.
const OTHERWISE: u16 = 64;

/// Longest text that is kept from the beginning of a call: `GUARD_TEXT` of `bpf/maps.h`, without NUL.
pub(crate) const GUARD_TEXT: usize = 511;

/// What every record begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub kind: Kind,
    /// Portable number of the call.
    pub code: u16,
    /// ns since boot.
    pub ts: u64,
    /// Number on its CPU; lost records have one too.
    pub seq: u64,
    pub cpu: u16,
    pub flags: u16,
    pub tgid: u32,
    pub tid: u32,
    /// With `UNDECIDED`: lower half of the number of the container's cgroup.
    pub cgroup: u32,
    pub ret: i64,
    pub args: [u64; 6],
}

/// Kinds of items; the numbers are those of `bpf/record.h`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Item {
    Str = 1,
    Data = 2,
    Bytes = 3,
    Addr = 4,
    File = 5,
    Sock = 6,
    UnixSelf = 7,
    UnixPeer = 8,
    Task = 9,
    Args = 10,
    Env = 11,
    Cwd = 12,
    Exe = 13,
    Cgroup = 14,
    CgroupV1 = 15,
    Filename = 16,
    Path = 17,
    Control = 18,
    Root = 19,
    SockPeer = 20,
    /// Text as it was when the call began.
    EnterStr = 21,
    /// Address as it was when the call began.
    EnterAddr = 22,
    Size = 23,
}

const PLACE: u8 = 0x07;
const CUT: u8 = 0x40;
const FAULT: u8 = 0x80;

/// One item's content.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content<'a> {
    pub bytes: &'a [u8],
    /// Memory could not be read, or not as far as it goes: what is there is there.
    pub fault: bool,
    /// There was more.
    pub cut: bool,
}

/// A whole record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    pub head: Head,
    items: &'a [u8],
}

impl<'a> Record<'a> {
    /// Takes a record apart; `None` where its lengths do not fit.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let head: &[u8; HEAD] = bytes.first_chunk()?;
        let len = u32_at(head, 0) as usize;
        let items = bytes.get(HEAD..len)?;
        let kind = match u16_at(head, 4) {
            1 => Kind::Call,
            2 => Kind::Exec,
            3 => Kind::Exit,
            4 => Kind::Task,
            5 => Kind::File,
            _ => return None,
        };
        let args = std::array::from_fn(|n| u64_at(head, 48 + n * 8));
        Some(Self {
            head: Head {
                kind,
                code: u16_at(head, 6),
                ts: u64_at(head, 8),
                seq: u64_at(head, 16),
                cpu: u16_at(head, 24),
                flags: u16_at(head, 26),
                tgid: u32_at(head, 28),
                tid: u32_at(head, 32),
                cgroup: u32_at(head, 36),
                ret: u64_at(head, 40) as i64,
                args,
            },
            items,
        })
    }

    /// Length of the record at the start of `bytes`, where that is a possible one.
    pub(crate) fn len_at(bytes: &[u8]) -> Option<usize> {
        let len = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
        (len >= HEAD).then_some(len)
    }

    /// All items in their order: kind, place, content.
    pub(crate) fn items(&self) -> impl Iterator<Item = (u8, u8, Content<'a>)> + use<'a> {
        let mut rest = self.items;
        std::iter::from_fn(move || {
            let (head, after) = rest.split_first_chunk::<ITEM>()?;
            let len = usize::from(u16::from_le_bytes([head[2], head[3]]));
            let bytes = after.get(..len)?;
            rest = &after[len..];
            let content = Content { bytes, fault: head[1] & FAULT != 0, cut: head[1] & CUT != 0 };
            Some((head[0], head[1] & PLACE, content))
        })
    }

    /// The first item of a kind.
    pub(crate) fn item(&self, kind: Item) -> Option<Content<'a>> {
        self.items().find(|&(found, _, _)| found == kind as u8).map(|(_, _, content)| content)
    }

    /// The item of a kind that belongs to an argument.
    pub(crate) fn item_at(&self, kind: Item, place: u8) -> Option<Content<'a>> {
        self.items().find(|&(found, at, _)| found == kind as u8 && at == place).map(|(_, _, content)| content)
    }

    /// Is this a 32-bit call?
    pub(crate) fn compat(&self) -> bool {
        self.head.flags & COMPAT != 0
    }

    /// Does it hang on a container of which only its runtime knows whether the filter names it?
    pub(crate) fn undecided(&self) -> bool {
        self.head.flags & UNDECIDED != 0
    }

    /// Such a record: does it belong into the recording also if the container is not named?
    pub(crate) fn otherwise(&self) -> bool {
        self.head.flags & OTHERWISE != 0
    }

    /// Is this no call but a thread that tells who it is?
    pub(crate) fn joined(&self) -> bool {
        self.head.flags & JOINED != 0
    }

    /// Facts about the thread.
    pub(crate) fn task(&self) -> Option<TaskItem> {
        TaskItem::parse(self.item(Item::Task)?.bytes)
    }

    /// Facts about the file.
    pub(crate) fn file(&self) -> Option<FileItem> {
        FileItem::parse(self.item(Item::File)?.bytes)
    }

    /// A path: the root's name is `/`. Components come leaf first, each with a NUL.
    pub(crate) fn path(&self, kind: Item) -> Option<Vec<u8>> {
        let content = self.item(kind)?;
        if content.fault {
            return None;
        }
        let mut path = joined(content.bytes);
        if content.cut {
            // The beginning is what is missing.
            path.splice(..0, *b"/...");
        }
        Some(path)
    }
}

/// Components, leaf first, as a path.
fn joined(components: &[u8]) -> Vec<u8> {
    let names = components.split(|&byte| byte == 0).filter(|name| !name.is_empty());
    let mut path = Vec::with_capacity(components.len() + 1);
    for name in names.rev() {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    if path.is_empty() {
        path.push(b'/');
    }
    path
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|n| bytes[at + n]))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|n| bytes[at + n]))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A record as the kernel side would write it.
    pub(crate) fn record(kind: u16, code: u16, ret: i64, args: [u64; 6], items: &[(u8, u8, &[u8])]) -> Vec<u8> {
        let mut out = vec![0; HEAD];
        out[4..6].copy_from_slice(&kind.to_le_bytes());
        out[6..8].copy_from_slice(&code.to_le_bytes());
        out[8..16].copy_from_slice(&1000u64.to_le_bytes());
        out[28..32].copy_from_slice(&7u32.to_le_bytes());
        out[32..36].copy_from_slice(&7u32.to_le_bytes());
        out[40..48].copy_from_slice(&ret.to_le_bytes());
        for (n, arg) in args.iter().enumerate() {
            out[48 + n * 8..56 + n * 8].copy_from_slice(&arg.to_le_bytes());
        }
        for (kind, place, bytes) in items {
            out.extend_from_slice(&[*kind, *place]);
            out.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
            out.extend_from_slice(bytes);
        }
        let len = out.len() as u32;
        out[..4].copy_from_slice(&len.to_le_bytes());
        out
    }

    #[test]
    fn lengths_that_do_not_fit_give_no_record_and_no_item() {
        let bytes = record(1, 5, 3, [0; 6], &[(1, 0, b"/etc")]);
        assert!(Record::parse(&bytes).is_some());
        for cut in 0..bytes.len() {
            assert!(Record::parse(&bytes[..cut]).is_none(), "{cut}");
        }
        let mut long = bytes.clone();
        long[HEAD + 2] = 200;
        assert_eq!(Record::parse(&long).map(|record| record.items().count()), Some(0));
        let mut unknown = bytes;
        unknown[4] = 99;
        assert!(Record::parse(&unknown).is_none());
    }

    #[test]
    fn paths_come_leaf_first() {
        assert_eq!(joined(b"passwd\0etc\0"), b"/etc/passwd");
        assert_eq!(joined(b""), b"/");
        assert_eq!(joined(b"memfd:x\0"), b"/memfd:x");
    }

    /// Both sides take their sizes from the same text.
    #[test]
    fn layouts_are_those_of_the_header() {
        let header = include_str!("../bpf/record.h");
        for (name, size) in [
            ("head", HEAD),
            ("item", ITEM),
            ("file_item", FileItem::LEN),
            ("sock_item", SockItem::LEN),
            ("task_item", TaskItem::LEN),
        ] {
            assert_eq!(size_in(header, name), size, "struct {name}");
        }
    }

    /// Size of a struct that is declared with one type a line; none needs padding inside but what alignment adds.
    fn size_in(header: &str, name: &str) -> usize {
        let start = header.find(&format!("struct {name} {{")).unwrap_or_else(|| panic!("no struct {name}"));
        let body: Vec<_> = header[start..].lines().skip(1).take_while(|line| *line != "};").collect();
        let (mut size, mut largest) = (0usize, 1);
        for line in body {
            let declaration = line.split(';').next().unwrap_or_default().trim();
            let Some((kind, names)) = declaration.split_once(' ') else { continue };
            let width = match kind {
                "u8" | "char" => 1,
                "u16" => 2,
                "u32" => 4,
                "u64" | "s64" => 8,
                other => panic!("unknown type {other}"),
            };
            largest = largest.max(width);
            for field in names.split(',') {
                let count = field.split_once('[').map_or(1, |(_, n)| n.trim_end_matches(']').parse().unwrap_or(0));
                size = size.next_multiple_of(width) + width * count;
            }
        }
        size.next_multiple_of(largest)
    }
}
