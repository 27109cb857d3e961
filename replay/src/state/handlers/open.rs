//! open, openat, openat2, creat, `open_by_handle_at`, and the enter halves that some calls need.

use std::borrow::Cow;
use std::rc::Rc;

use casebook_formats::event::Event;
use casebook_formats::tables::ppme::{
    PPME_SOCKET_CONNECT_E, PPME_SYSCALL_CREAT_X, PPME_SYSCALL_EXECVEAT_E, PPME_SYSCALL_OPEN_BY_HANDLE_AT_X,
    PPME_SYSCALL_OPEN_X, PPME_SYSCALL_OPENAT_2_X, PPME_SYSCALL_OPENAT2_X,
};

use crate::state::enter::Enter;
use crate::state::flags::{AT_FDCWD, FD_LOWER_LAYER, FD_UPPER_LAYER, O_CLOEXEC, O_DIRECTORY, O_F_CREATED};
use crate::state::limits::MAX_PATH;
use crate::state::path::{as_directory, resolve};
use crate::state::step::Step;
use crate::state::table::ThreadId;
use crate::state::{Fd, FdKind, State, Text, Thread};

/// Stands for a directory that is not known, as libs prints it.
const UNKNOWN_DIRECTORY: &[u8] = b"<UNKNOWN>";

/// An enter half that its exit may need is kept with the thread.
pub(super) fn enter(state: &mut State, step: &mut Step<'_, '_>) {
    let event = step.event;
    let keep = match event.etype {
        PPME_SYSCALL_EXECVEAT_E | PPME_SOCKET_CONNECT_E => true,
        _ => event.param(0).is_some(),
    };
    let Some(thread) = step.thread.and_then(|id| state.threads.get_mut(id.0)).filter(|_| keep) else { return };
    let params = (0..event.ranges.len()).map(|at| Box::from(event.param(at).unwrap_or_default())).collect();
    thread.wary = true;
    thread.enter = Some(Box::new(Enter { etype: event.etype.0, params }));
}

/// What an open call says, the enter half preferred: the caller cannot change that any more.
#[derive(Default)]
struct Opened<'a> {
    /// Path as passed, if the enter half told it; otherwise the event does.
    name: Option<&'a [u8]>,
    flags: u32,
    dirfd: Option<i64>,
    dev: u32,
    ino: u64,
}

/// Positions of the parameters in one event type.
struct Layout {
    dirfd: Option<usize>,
    name: usize,
    flags: Option<usize>,
    dev: usize,
    ino: usize,
}

static OPEN: Layout = Layout { dirfd: None, name: 1, flags: Some(2), dev: 4, ino: 5 };
static OPENAT: Layout = Layout { dirfd: Some(1), name: 2, flags: Some(3), dev: 5, ino: 6 };
static OPENAT2: Layout = Layout { dirfd: Some(1), name: 2, flags: Some(3), dev: 6, ino: 7 };
static CREAT: Layout = Layout { dirfd: None, name: 1, flags: None, dev: 3, ino: 4 };
static BY_HANDLE: Layout = Layout { dirfd: None, name: 3, flags: Some(2), dev: 4, ino: 5 };

/// Layer bits that creat reports apart, as it has no flags.
const CREAT_FLAGS: usize = 5;

impl<'a> Opened<'a> {
    fn of(event: &Event<'_>, layout: &Layout) -> Self {
        let mut opened = Self {
            flags: layout.flags.and_then(|at| event.u64(at)).unwrap_or(0) as u32,
            dirfd: layout.dirfd.and_then(|at| event.i64(at)),
            ..Self::default()
        };
        if let Some(ino) = event.u64(layout.ino) {
            opened.ino = ino;
        }
        opened.dev = event.u64(layout.dev).unwrap_or(0) as u32;
        if layout.flags.is_none() {
            match event.u64(CREAT_FLAGS).unwrap_or(0) {
                bits if bits & 1 != 0 => opened.flags |= FD_UPPER_LAYER,
                bits if bits & 2 != 0 => opened.flags |= FD_LOWER_LAYER,
                _ => {}
            }
        }
        opened
    }

    /// The enter half has the same parameters without the return value in front.
    fn prefer(&mut self, enter: &'a Enter, layout: &Layout) {
        let Some(name) = enter.text(layout.name - 1) else { return };
        self.name = Some(name);
        if let Some(flags) = layout.flags.and_then(|at| enter.u32(at - 1)) {
            let found_out = self.flags & !(O_F_CREATED - 1);
            self.flags = flags | found_out;
        }
        if let Some(at) = layout.dirfd {
            self.dirfd = enter.i64(at - 1);
        }
    }
}

/// A file is open under a new number; a failed call changes nothing.
pub(super) fn opened(state: &mut State, step: &mut Step<'_, '_>) {
    let Some(id) = step.thread else { return };
    let event = step.event;
    let enter =
        if event.etype == PPME_SYSCALL_OPEN_BY_HANDLE_AT_X { None } else { state.take_enter(id, event.etype.0) };
    let Some(number) = step.res().filter(|&number| number >= 0) else { return };
    let layout = match event.etype {
        PPME_SYSCALL_OPEN_X => &OPEN,
        PPME_SYSCALL_OPENAT_2_X => &OPENAT,
        PPME_SYSCALL_OPENAT2_X => &OPENAT2,
        PPME_SYSCALL_CREAT_X => &CREAT,
        _ => &BY_HANDLE,
    };
    let mut call = Opened::of(event, layout);
    if let Some(enter) = enter.as_deref() {
        call.prefer(enter, layout);
    }
    let given = event.param(layout.name).filter(|_| call.name.is_none());
    let (name, name_raw) = match given.and_then(|given| state.paths.find(given)) {
        Some(path) => {
            state.weight.take_in(path.len());
            (Rc::clone(&path), path)
        }
        None => names_of(state, id, &call, layout, event),
    };
    let kind = if call.flags & O_DIRECTORY != 0 { FdKind::Directory } else { FdKind::File };
    let mut fd = Fd::named(kind, name, name_raw);
    fd.open_flags = call.flags;
    fd.dev = call.dev;
    fd.ino = call.ino;
    fd.upper_layer = call.flags & FD_UPPER_LAYER != 0;
    fd.lower_layer = call.flags & FD_LOWER_LAYER != 0;
    fd.cloexec = call.flags & O_CLOEXEC != 0;
    state.open_fd(step, number, fd);
}

/// The path that was opened, and the path as given; both are empty if it is not known.
fn names_of(state: &mut State, id: ThreadId, call: &Opened<'_>, layout: &Layout, event: &Event<'_>) -> (Text, Text) {
    let nothing = |state: &State| (Rc::clone(&state.texts.empty), Rc::clone(&state.texts.empty));
    let Some(thread) = state.threads.get(id.0) else { return nothing(state) };
    let Some(name) = call.name.or_else(|| event.text(layout.name)) else { return nothing(state) };
    let path = path_of(state, thread, name, call, event);
    let given = &name[..name.len().min(MAX_PATH)];
    let text = state.text(&path);
    if *path != *given {
        return (text, state.text(given));
    }
    // Mostly the same, and then one text for both. Absolute, it is the same wherever it is given.
    if given.starts_with(b"/") && *text == *given {
        state.paths.put(&text);
    }
    (Rc::clone(&text), text)
}

fn path_of<'n>(state: &State, thread: &Thread, name: &'n [u8], call: &Opened<'_>, event: &Event<'_>) -> Cow<'n, [u8]> {
    let relative_to = match event.etype {
        // The recorder follows the handle itself: always absolute.
        PPME_SYSCALL_OPEN_BY_HANDLE_AT_X => return resolve(b"", name),
        PPME_SYSCALL_OPENAT_2_X | PPME_SYSCALL_OPENAT2_X => call.dirfd,
        _ => Some(AT_FDCWD),
    };
    match directory_of(state, thread, name, relative_to) {
        Directory::NotNeeded => resolve(b"", name),
        Directory::At(directory) => resolve(&directory, name),
        Directory::Unknown => resolve(UNKNOWN_DIRECTORY, name),
    }
}

/// What a path is relative to.
pub(crate) enum Directory<'s> {
    /// Nothing: the path is absolute.
    NotNeeded,
    /// This directory, with a trailing slash.
    At(Cow<'s, [u8]>),
    /// Not known.
    Unknown,
}

/// Resolves the directory of a path given relative to a descriptor. The descriptor is not looked at when the path is
/// absolute: some programs pass any number then.
pub(crate) fn directory_of<'s>(state: &'s State, thread: &'s Thread, name: &[u8], dirfd: Option<i64>) -> Directory<'s> {
    if name.starts_with(b"/") {
        return Directory::NotNeeded;
    }
    match dirfd {
        Some(AT_FDCWD) => state.cwd(thread).map_or(Directory::Unknown, |cwd| Directory::At(Cow::Borrowed(cwd))),
        Some(number) => match state.fd(thread, number) {
            Some(fd) if fd.name.is_empty() || fd.name.ends_with(b"/") => Directory::At(Cow::Borrowed(&fd.name)),
            Some(fd) => Directory::At(Cow::Owned(as_directory(fd.name.to_vec()))),
            None => Directory::Unknown,
        },
        None => Directory::Unknown,
    }
}

impl State {
    /// Puts a new record into the table of the event's thread and makes it the event's descriptor.
    pub(crate) fn open_fd(&mut self, step: &mut Step<'_, '_>, number: i64, mut fd: Fd) {
        fd.version = self.next_version();
        fd.opened = self.steps;
        self.number_given(step, number);
        super::streams::opened(self, step.thread, number, &fd);
        self.share_fd(step, number, Rc::new(fd), true);
    }

    /// Same, for a record that exists already: a dup.
    pub(crate) fn share_fd(&mut self, step: &mut Step<'_, '_>, number: i64, fd: Rc<Fd>, is_new: bool) {
        let Some(table) = step.thread.and_then(|id| self.table_for(id)) else { return };
        let named = is_new && !fd.name.is_empty();
        step.fx.fd = Some(number);
        if self.put_fd(table, number, fd, step.ledger) {
            step.fx.record = Some((table, number));
            step.fx.fd_name_changed = named;
        }
    }
}
