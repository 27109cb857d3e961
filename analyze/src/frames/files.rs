//! The table `files`: what each process did to each path.

use std::sync::LazyLock;

use casebook_formats::event::EventType;
use casebook_formats::tables::{self, Direction, EventFlags};
use casebook_replay::context::EventContext;
use casebook_replay::state::FdKind;
use casebook_rules::event::{EventFields as _, Extracted};
use casebook_rules::value::Value;

use super::Error;
use super::cells::{Cell, Field};
use super::rows::Rows;
use super::table::{Builder, Sink};
use super::words::Words;

/// Rows of one capture; what comes after them is counted in the ledger.
const MAX_ROWS: usize = 1 << 20;

/// Flags of an open: it is written; the call made the file.
const O_WRONLY: u64 = 1 << 1;
const O_F_CREATED: u64 = 1 << 14;

/// What a type of event does to a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Deed {
    Nothing,
    Open,
    Read,
    Write,
    /// Makes a directory, link or node.
    Make,
    Rename,
    Unlink,
    /// Changes mode or owner.
    Change,
}

/// Names of calls and their deeds; those that read or write a descriptor say so in the event table.
const DEEDS: &[(Deed, &[&str])] = &[
    (Deed::Open, &["open", "openat", "openat2", "creat", "open_by_handle_at"]),
    (Deed::Make, &["mkdir", "mkdirat", "link", "linkat", "symlink", "symlinkat", "mknod", "mknodat"]),
    (Deed::Rename, &["rename", "renameat", "renameat2"]),
    (Deed::Unlink, &["unlink", "unlinkat", "rmdir"]),
    (Deed::Change, &["chmod", "fchmod", "fchmodat", "chown", "fchown", "lchown", "fchownat"]),
];

/// The deed of each event type, by its number.
static BY_TYPE: LazyLock<Vec<Deed>> = LazyLock::new(|| {
    let deed = |(_, def): (EventType, &tables::EventDef)| {
        if def.dir != Direction::Exit {
            return Deed::Nothing;
        }
        if let Some((deed, _)) = DEEDS.iter().find(|(_, names)| names.contains(&def.name)) {
            return *deed;
        }
        match () {
            () if def.flags.has(EventFlags::READS_FROM_FD) => Deed::Read,
            () if def.flags.has(EventFlags::WRITES_TO_FD) => Deed::Write,
            () => Deed::Nothing,
        }
    };
    tables::events().map(deed).collect()
});

/// One row.
struct Use {
    proc_name: Option<u32>,
    container_id: Option<u32>,
    opens: u64,
    failed_opens: u64,
    created: u64,
    reads: u64,
    writes: u64,
    bytes_read: u64,
    bytes_written: u64,
    renames: u64,
    unlinks: u64,
    chmods: u64,
    mode: Option<u64>,
    first: u64,
    last: u64,
}

/// Fields that tell paths.
struct Paths {
    fd_name: Option<Field>,
    abspath: Option<Field>,
    name: Option<Field>,
    source: Option<Field>,
    target: Option<Field>,
    created: Option<Field>,
    flags: Option<Field>,
    raw_name: Option<Field>,
    mode: Option<Field>,
}

/// The table being counted.
pub(super) struct Files {
    table: Builder,
    paths: Paths,
    /// By process life (0: unknown) and path.
    uses: Rows<(u64, u32), Use>,
    buffer: Vec<u8>,
}

/// Who does it.
#[derive(Clone, Copy)]
pub(super) struct Doer {
    pub(super) upid: Option<u64>,
    pub(super) proc_name: Option<u32>,
    pub(super) container_id: Option<u32>,
}

impl Files {
    pub(super) fn new(table: Builder) -> Self {
        let field = Field::call;
        let paths = Paths {
            fd_name: field("fd.name"),
            abspath: field("evt.abspath"),
            name: field("fs.path.name"),
            source: field("fs.path.source"),
            target: field("fs.path.target"),
            created: field("evt.is_open_create"),
            flags: field("evt.rawarg.flags"),
            raw_name: field("evt.rawarg.name"),
            mode: field("evt.rawarg.mode"),
        };
        Self { table, paths, uses: Rows::new(MAX_ROWS), buffer: Vec::new() }
    }

    /// Uses for which there was no room.
    pub(super) fn refused(&self) -> u64 {
        self.uses.refused
    }

    /// Bytes of what is kept until the end.
    pub(super) fn weight(&self) -> u64 {
        (self.uses.len() * (size_of::<Use>() + 48)) as u64
    }

    /// Whether an event of this type can be about a path.
    pub(super) fn is_about(etype: EventType) -> bool {
        BY_TYPE.get(usize::from(etype.0)).is_some_and(|deed| *deed != Deed::Nothing)
    }

    /// One event.
    pub(super) fn event(
        &mut self,
        context: &EventContext<'_>,
        doer: impl FnOnce(&mut Words) -> Doer,
        words: &mut Words,
    ) {
        let deed = BY_TYPE.get(usize::from(context.event.etype.0)).copied().unwrap_or(Deed::Nothing);
        let res = context.event.i64(0);
        let succeeded = res.is_some_and(|res| res >= 0);
        match deed {
            Deed::Nothing => {}
            Deed::Read | Deed::Write => {
                let Some(fd) = context.fd.filter(|fd| succeeded && is_file(fd.kind) && !fd.name.is_empty()) else {
                    return;
                };
                let bytes = res.unwrap_or(0).max(0) as u64;
                let Some(path) = words.code(&fd.name) else { return };
                let Some(used) = self.used(path, context, doer, words) else { return };
                let (count, sum) = if deed == Deed::Read {
                    (&mut used.reads, &mut used.bytes_read)
                } else {
                    (&mut used.writes, &mut used.bytes_written)
                };
                *count += 1;
                *sum = sum.saturating_add(bytes);
            }
            Deed::Open => {
                let Some(path) = self.opened(context, words) else { return };
                let created = succeeded && self.created(context);
                let Some(used) = self.used(path, context, doer, words) else { return };
                if succeeded {
                    used.opens += 1;
                    used.created += u64::from(created);
                } else {
                    used.failed_opens += 1;
                }
            }
            Deed::Rename if succeeded => {
                let both = [self.paths.source.as_ref(), self.paths.target.as_ref()];
                let both = both.map(|field| path_of(field, context, &mut self.buffer, words));
                let who = doer(words);
                for path in both.into_iter().flatten() {
                    if let Some(used) = self.used(path, context, |_| who, words) {
                        used.renames += 1;
                    }
                }
            }
            Deed::Make | Deed::Unlink | Deed::Change if succeeded => {
                let Paths { name, source, target, .. } = &self.paths;
                let buffer = &mut self.buffer;
                // Of links, the source is the link that is made, the target what it leads to.
                let (first, second) = if deed == Deed::Make { (source, name) } else { (name, target) };
                let path = path_of(first.as_ref(), context, buffer, words)
                    .or_else(|| path_of(second.as_ref(), context, buffer, words));
                let Some(path) = path else { return };
                let mode = if deed == Deed::Change { number(self.paths.mode.as_ref(), context) } else { None };
                let Some(used) = self.used(path, context, doer, words) else { return };
                match deed {
                    Deed::Make => used.created += 1,
                    Deed::Unlink => used.unlinks += 1,
                    _ => {
                        used.chmods += 1;
                        used.mode = mode.or(used.mode);
                    }
                }
            }
            Deed::Rename | Deed::Make | Deed::Unlink | Deed::Change => {}
        }
    }

    /// Whether an open made the file. Recorders tell the bit of `O_DIRECTORY` as `O_TMPFILE` too, and rules take it for a
    /// creation; a temporary file is one that can be written.
    fn created(&self, context: &EventContext<'_>) -> bool {
        let flags = number(self.paths.flags.as_ref(), context);
        is_true(self.paths.created.as_ref(), context) && flags.is_none_or(|flags| flags & (O_F_CREATED | O_WRONLY) != 0)
    }

    /// Path of an open, also of one that failed.
    fn opened(&mut self, context: &EventContext<'_>, words: &mut Words) -> Option<u32> {
        let Paths { fd_name, abspath, raw_name, .. } = &self.paths;
        let buffer = &mut self.buffer;
        path_of(fd_name.as_ref(), context, buffer, words)
            .or_else(|| path_of(abspath.as_ref(), context, buffer, words))
            .or_else(|| path_of(raw_name.as_ref(), context, buffer, words))
    }

    /// The row of a path; none when there is no room for another one.
    fn used(
        &mut self,
        path: u32,
        context: &EventContext<'_>,
        doer: impl FnOnce(&mut Words) -> Doer,
        words: &mut Words,
    ) -> Option<&mut Use> {
        let who = doer(words);
        let key = (who.upid.unwrap_or(0), path);
        let ts = context.event.ts;
        let used = self.uses.at(key, || Use::new(who, ts))?;
        used.last = used.last.max(ts);
        used.first = used.first.min(ts);
        Some(used)
    }

    /// Writes the table.
    pub(super) fn finish(mut self, words: &mut Words, sink: &mut dyn Sink) -> Result<(), Error> {
        for ((upid, path), used) in self.uses.iter() {
            let made = |column: &str| match column {
                "upid" => Cell::from((*upid != 0).then_some(*upid)),
                "path" => Cell::Word(*path),
                "opens" => Cell::Uint(used.opens),
                "failed_opens" => Cell::Uint(used.failed_opens),
                "created" => Cell::Uint(used.created),
                "reads" => Cell::Uint(used.reads),
                "writes" => Cell::Uint(used.writes),
                "bytes_read" => Cell::Uint(used.bytes_read),
                "bytes_written" => Cell::Uint(used.bytes_written),
                "renames" => Cell::Uint(used.renames),
                "unlinks" => Cell::Uint(used.unlinks),
                "chmods" => Cell::Uint(used.chmods),
                "mode" => used.mode.into(),
                "proc_name" => used.proc_name.map_or(Cell::Null, Cell::Word),
                "container_id" => used.container_id.map_or(Cell::Null, Cell::Word),
                "first" => Cell::Time(used.first),
                "last" => Cell::Time(used.last),
                _ => Cell::Null,
            };
            self.table.made(words, made, sink)?;
        }
        self.table.finish(words, sink)
    }
}

impl Use {
    fn new(who: Doer, ts: u64) -> Self {
        Self {
            proc_name: who.proc_name,
            container_id: who.container_id,
            opens: 0,
            failed_opens: 0,
            created: 0,
            reads: 0,
            writes: 0,
            bytes_read: 0,
            bytes_written: 0,
            renames: 0,
            unlinks: 0,
            chmods: 0,
            mode: None,
            first: ts,
            last: ts,
        }
    }
}

fn is_file(kind: FdKind) -> bool {
    matches!(kind, FdKind::File | FdKind::Directory | FdKind::Memfd)
}

fn path_of(field: Option<&Field>, context: &EventContext<'_>, buffer: &mut Vec<u8>, words: &mut Words) -> Option<u32> {
    let known = field?.text(context, buffer) && !buffer.is_empty();
    if known { words.code(buffer) } else { None }
}

fn is_true(field: Option<&Field>, context: &EventContext<'_>) -> bool {
    field.is_some_and(|field| context.extract(field.field()) == Extracted::One(Value::Bool(true)))
}

fn number(field: Option<&Field>, context: &EventContext<'_>) -> Option<u64> {
    match context.extract(field?.field()) {
        Extracted::One(Value::U64(value)) => Some(value),
        Extracted::One(Value::I64(value)) => u64::try_from(value).ok(),
        _ => None,
    }
}
