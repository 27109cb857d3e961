//! List blocks entry by entry, field by field (`reference/scap-format.md` sections 4 to 7).
//!
//! Layouts are those that the block readers decode; the process list's comes from their table. Where an entry does not
//! fit, its bytes are shown as damaged, and, where entries have a length, the next one follows.

use super::page::{Page, Shape, texts};
use crate::blocks::Prefix;
use crate::blocks::threads::{self, Form};

/// A body being shown.
pub(super) struct Walk<'p, 'b> {
    page: &'p mut Page,
    /// Stream offset of the body.
    offset: u64,
    body: &'b [u8],
    at: usize,
    /// End of the entry under way.
    end: usize,
}

/// What a descriptor's type is called, and what follows the common head of its entry.
const FD_TYPES: [(&str, Payload); 22] = {
    use Payload::{File, Name, Nothing, Server, Tuple, Unix};
    [
        ("unknown", Nothing),
        ("file, old form", Name),
        ("directory", Name),
        ("IPv4 connection", Tuple(Shape::V4, 4)),
        ("IPv6 connection", Tuple(Shape::V6, 16)),
        ("IPv4 server", Server(Shape::V4, 4)),
        ("IPv6 server", Server(Shape::V6, 16)),
        ("pipe", Name),
        ("unix socket", Unix),
        ("eventfd", Name),
        ("unsupported", Name),
        ("signalfd", Name),
        ("epoll", Name),
        ("inotify", Name),
        ("timerfd", Name),
        ("netlink", Name),
        ("file", File),
        ("bpf", Name),
        ("userfaultfd", Name),
        ("io_uring", Name),
        ("memfd", Name),
        ("pidfd", Name),
    ]
};

/// See [`FD_TYPES`].
#[derive(Clone, Copy)]
enum Payload {
    Nothing,
    Name,
    File,
    /// Addresses of this shape and width.
    Tuple(Shape, usize),
    Server(Shape, usize),
    Unix,
}

impl<'p, 'b> Walk<'p, 'b> {
    pub(super) fn new(page: &'p mut Page, offset: u64, body: &'b [u8]) -> Self {
        Self { page, offset, body, at: 0, end: body.len() }
    }

    pub(super) fn threads(mut self, version: u8) {
        let prefix = if version < 9 { Prefix::None } else { Prefix::WithItself };
        self.entries(prefix, |walk| {
            threads::head(version).try_for_each(|(name, form)| walk.form(name, form))?;
            if version >= 9 {
                // An older writer's entry ends where it ends.
                let _ = threads::tail(walk.end - walk.at).try_for_each(|(name, form)| walk.form(name, form));
            }
            Some(())
        });
    }

    pub(super) fn fds(mut self, version: u8) {
        if self.number("thread", 8, Shape::Signed).is_none() {
            self.rest("no thread id");
            return;
        }
        let prefix = if version == 1 { Prefix::None } else { Prefix::WithItself };
        self.entries(prefix, |walk| walk.fd(version));
    }

    pub(super) fn interfaces(mut self, version: u8) {
        let prefix = if version == 1 { Prefix::None } else { Prefix::After };
        self.entries(prefix, Self::interface);
    }

    pub(super) fn users(mut self, version: u8) {
        let prefix = if version == 1 { Prefix::None } else { Prefix::WithItself };
        self.entries(prefix, |walk| {
            if walk.number("0 user, else group", 1, Shape::Number)? == 0 {
                walk.number("uid", 4, Shape::Number)?;
                walk.number("gid", 4, Shape::Number)?;
                ["name", "home", "shell"].into_iter().try_for_each(|name| walk.text(name))
            } else {
                walk.number("gid", 4, Shape::Number)?;
                walk.text("name")
            }
        });
    }

    /// Entries until fewer than four bytes are left.
    fn entries(&mut self, prefix: Prefix, mut entry: impl FnMut(&mut Self) -> Option<()>) {
        let mut number = 0_u64;
        while self.body.len() - self.at >= 4 {
            self.end = self.body.len();
            if prefix != Prefix::None {
                let start = self.at;
                let Some(len) = self.number(&format!("entry {number}, length"), 4, Shape::Number) else { break };
                let own = if prefix == Prefix::WithItself { 0 } else { 4 };
                let end = start as u64 + own + len;
                if end > self.body.len() as u64 || end < self.at as u64 {
                    break;
                }
                self.end = end as usize;
            }
            let whole = entry(self).is_some();
            if self.at < self.end && prefix != Prefix::None {
                self.rest(if whole { "more than this version knows" } else { "does not fit the entry: damaged" });
            } else if !whole {
                break;
            }
            number += 1;
        }
        self.end = self.body.len();
        if self.at < self.end {
            let padding = self.body[self.at..].iter().all(|&byte| byte == 0) && self.end - self.at < 4;
            self.rest(if padding { "padding" } else { "cannot be read as entries: damaged" });
        }
    }

    /// The rest of the entry in one piece.
    fn rest(&mut self, meaning: &str) {
        let bytes = self.body.get(self.at..self.end).unwrap_or_default();
        self.page.field(self.offset + self.at as u64, bytes, meaning);
        self.at = self.end;
    }

    fn form(&mut self, name: &str, form: Form) -> Option<()> {
        match form {
            Form::Signed(len) => self.number(name, len, Shape::Signed).map(|_| ()),
            Form::Unsigned(len) => self.number(name, len, Shape::Number).map(|_| ()),
            Form::Text => self.text(name),
        }
    }

    fn take(&mut self, len: usize) -> Option<(u64, &'b [u8])> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.end)?;
        let bytes = self.body.get(self.at..end)?;
        let offset = self.offset + self.at as u64;
        self.at = end;
        Some((offset, bytes))
    }

    /// A field of fixed width; its value.
    fn number(&mut self, name: &str, len: usize, shape: Shape) -> Option<u64> {
        let (offset, bytes) = self.take(len)?;
        self.page.field(offset, bytes, &format!("{name}: {}", shape.show(bytes)));
        Some(super::page::number(bytes))
    }

    /// A text after its u16 length.
    fn text(&mut self, name: &str) -> Option<()> {
        let len = self.number(&format!("length of {name}"), 2, Shape::Number)?;
        self.bytes(name, len as usize)
    }

    fn bytes(&mut self, name: &str, len: usize) -> Option<()> {
        let (offset, bytes) = self.take(len)?;
        if len > 0 {
            self.page.field(offset, bytes, &format!("{name}: {}", texts(bytes)));
        }
        Some(())
    }

    fn fd(&mut self, version: u8) -> Option<()> {
        self.number("descriptor", 8, Shape::Signed)?;
        self.number("inode", 8, Shape::Number)?;
        let code = self.body.get(self.at).copied().map_or(usize::MAX, usize::from);
        let known = FD_TYPES.get(code);
        let (offset, bytes) = self.take(1)?;
        self.page.field(offset, bytes, &format!("type: {code}, {}", known.map_or("not in the table", |known| known.0)));
        match known.map(|known| known.1) {
            Some(Payload::Nothing) => {}
            Some(Payload::Name) => self.text("name")?,
            Some(Payload::File) => {
                self.number("open flags", 4, Shape::Hex)?;
                self.text("name")?;
                if version > 1 && self.end - self.at >= 4 {
                    self.number("device", 4, Shape::Hex)?;
                }
            }
            Some(Payload::Tuple(shape, len)) => {
                self.number("source", len, shape)?;
                self.number("destination", len, shape)?;
                self.number("source port", 2, Shape::Number)?;
                self.number("destination port", 2, Shape::Number)?;
                self.number("transport", 1, Shape::Number)?;
            }
            Some(Payload::Server(shape, len)) => {
                self.number("address", len, shape)?;
                self.number("port", 2, Shape::Number)?;
                self.number("transport", 1, Shape::Number)?;
            }
            Some(Payload::Unix) => {
                self.number("source", 8, Shape::Hex)?;
                self.number("destination", 8, Shape::Hex)?;
                self.text("path")?;
            }
            // Without a length of its own, nothing after an entry of unknown shape can be found.
            None if version == 1 => return None,
            None => {}
        }
        Some(())
    }

    fn interface(&mut self) -> Option<()> {
        let code = self.number("type, 1 and 3 IPv4, 2 and 4 IPv6", 2, Shape::Number)?;
        let name = self.number("length of name", 2, Shape::Number)?;
        let (shape, len) = match code {
            1 | 3 => (Shape::V4, 4),
            2 | 4 => (Shape::V6, 16),
            _ => return None,
        };
        for field in ["address", "netmask", "broadcast"] {
            self.number(field, len, shape)?;
        }
        if code <= 2 {
            self.number("link speed", 8, Shape::Number)?;
        }
        self.bytes("name", name as usize)
    }
}
