//! One event on its way through the state: who did it, on which descriptor, and what becomes of it.

use std::sync::{Arc, LazyLock};

use casebook_formats::event::{Event, EventType};
use casebook_formats::ledger::{Counter, Ledger};
use casebook_formats::tables::{self, Category, Direction, EventDef, EventFlags, EventOrigin, ParamType, ppme};

use super::handlers::{HANDLERS, Handler, QUIET};
use super::table::ThreadId;
use super::{Effects, Fd, FdKind, State};

/// An event being applied.
pub(crate) struct Step<'s, 'e> {
    pub(crate) event: &'s Event<'e>,
    /// Thread of the event.
    pub(crate) thread: Option<ThreadId>,
    /// What is found out.
    pub(crate) fx: Effects,
    pub(crate) ledger: &'s mut Ledger,
}

impl Step<'_, '_> {
    /// Return value: the first parameter; `None` not known.
    pub(crate) fn res(&self) -> Option<i64> {
        self.event.i64(0)
    }

    /// The call is known to have succeeded.
    pub(crate) fn succeeded(&self) -> bool {
        self.res().is_some_and(|res| res >= 0)
    }
}

/// Whose event it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Subject {
    /// Of no thread.
    Nobody,
    /// Of the thread, if it is known.
    Known,
    /// Of the thread; an unknown one gets a placeholder, so that its descriptors have a place.
    Anybody,
}

/// What the state does with one event type.
#[allow(clippy::struct_excessive_bools)] // columns of a table, each for itself
struct Row {
    handler: Option<Handler>,
    subject: Subject,
    /// Parameter that holds the descriptor used.
    fd_param: Option<u8>,
    /// Works on sockets only. Sending and receiving are left out: what is new about their socket they tell themselves.
    needs_socket: bool,
    /// Uses or makes a descriptor: `fd.num` has a value, -1 where there is none.
    about_fd: bool,
    enter: bool,
    /// The enter half of a call: its exit comes next. Not a context switch or a signal, which come in between.
    opens_call: bool,
    /// Cannot change what is known of processes, users and containers, but by [`State::change`].
    quiet: bool,
    /// The thread itself did it: the exit half of a call, or its end.
    is_deed: bool,
}

/// Rows by event type number.
#[derive(Clone, Copy)]
pub(crate) struct Rows(&'static [Row]);

impl Default for Rows {
    fn default() -> Self {
        static ROWS: LazyLock<Vec<Row>> =
            LazyLock::new(|| tables::events().map(|(etype, def)| Row::of(etype, def)).collect());
        Self(&ROWS)
    }
}

impl Row {
    fn of(etype: EventType, def: &EventDef) -> Self {
        let handler = HANDLERS.iter().find(|(types, _)| types.contains(&etype)).map(|(_, handler)| *handler);
        let about_fd = def.flags.has(EventFlags::USES_FD) || def.flags.has(EventFlags::CREATES_FD);
        Self {
            handler,
            subject: subject_of(def),
            fd_param: if def.flags.has(EventFlags::USES_FD) { fd_param_of(def) } else { None },
            needs_socket: def.category == Category::Net,
            about_fd,
            enter: def.dir == Direction::Enter,
            opens_call: def.dir == Direction::Enter && def.origin == EventOrigin::Syscall,
            quiet: handler.is_none() || QUIET.iter().any(|types| types.contains(&etype)),
            is_deed: (def.dir == Direction::Exit && def.origin == EventOrigin::Syscall)
                || etype == ppme::PPME_PROCEXIT_1_E,
        }
    }
}

/// As libs decides before it parses.
fn subject_of(def: &EventDef) -> Subject {
    match def.symbol {
        // Their header packs process and thread id together.
        _ if def.origin == EventOrigin::Iter => Subject::Nobody,
        // Markers and descriptions: of no thread, but recorders put tids into some of them.
        _ if def.flags.has(EventFlags::SKIPPARSERESET) || def.origin == EventOrigin::Metaevent => Subject::Known,
        "PPME_PLUGINEVENT_E" => Subject::Known,
        // They introduce threads themselves, or say nothing about one that we missed.
        "PPME_SYSCALL_CLONE_20_X"
        | "PPME_SYSCALL_CLONE3_X"
        | "PPME_SYSCALL_FORK_20_X"
        | "PPME_SYSCALL_VFORK_20_X"
        | "PPME_PROCEXIT_1_E"
        | "PPME_SCHEDSWITCH_6_E" => Subject::Known,
        _ => Subject::Anybody,
    }
}

/// The parameter called `fd`, else the first descriptor after the return value, else (in enter events) the first one.
fn fd_param_of(def: &EventDef) -> Option<u8> {
    let first = usize::from(def.dir == Direction::Exit);
    let by_name = def.params.iter().position(|param| param.name == "fd" && param.ty == ParamType::Fd);
    let by_type = || def.params.iter().skip(first).position(|param| param.ty == ParamType::Fd).map(|at| at + first);
    by_name.or_else(by_type).map(|at| at as u8)
}

/// Part of a list of what there is, read by a kernel iterator: more of the list follows.
pub(super) fn is_listing(etype: EventType) -> bool {
    tables::event(etype).is_some_and(|def| def.origin == EventOrigin::Iter)
}

impl State {
    /// Whether events of this type can change anything that is known.
    pub(crate) fn feeds(&self, etype: EventType) -> bool {
        let Rows(rows) = self.rows;
        rows.get(usize::from(etype.0)).is_some_and(|row| row.handler.is_some())
    }

    /// Finds thread and descriptor of an event and hands it to its handler.
    pub(crate) fn run(&mut self, event: &Event<'_>, ledger: &mut Ledger) -> Effects {
        let Rows(rows) = self.rows;
        let Some(row) = rows.get(usize::from(event.etype.0)) else { return Effects::default() };
        let thread = match row.subject {
            Subject::Nobody => None,
            Subject::Known => self.id_of(event.tid),
            Subject::Anybody => self.known_or_placeholder(event.tid, ledger),
        };
        self.steps += 1;
        if self.weight.is_due() {
            self.weigh(ledger);
        }
        let mut step = Step { event, thread, fx: Effects { thread, ..Effects::default() }, ledger };
        // What the rare cases need, in one look.
        let (mut is_bound, mut has_enter) = (false, false);
        if let Some(thread) = thread.and_then(|id| self.threads.get_mut(id.0)) {
            is_bound = row.is_deed && thread.is_bound();
            has_enter = thread.enter.is_some();
            if row.opens_call {
                thread.last_enter = event.etype.0;
            }
        }
        if is_bound {
            self.check_order(&mut step);
        }
        if row.about_fd {
            self.find_fd(&mut step, row);
        }
        if !row.quiet {
            self.people += 1;
        }
        if let Some(handler) = row.handler {
            handler(self, &mut step);
        }
        // Any exit ends the wait of an enter half: its own exit was lost if it has not taken it.
        if has_enter
            && !row.enter
            && let Some(thread) = thread.and_then(|id| self.threads.get_mut(id.0))
        {
            thread.enter = None;
        }
        step.fx
    }

    fn find_fd(&mut self, step: &mut Step<'_, '_>, row: &Row) {
        let number = row.fd_param.and_then(|param| step.event.i64(usize::from(param))).unwrap_or(-1);
        step.fx.fd = Some(number);
        if number < 0 {
            return;
        }
        let Some(thread) = step.thread.and_then(|id| self.threads.get(id.0)) else { return };
        let (placeholder, table) = (thread.placeholder, self.files_of(thread));
        if thread.fresh_fd == number
            && step.event.etype != ppme::PPME_SYSCALL_CLOSE_X
            && let Some(thread) = step.thread.and_then(|id| self.threads.get_mut(id.0))
        {
            thread.fresh_fd = -1;
        }
        let record = table.and_then(|table| Some((table, self.tables.get(table.0)?.table.get(number)?.kind)));
        if let Some((table, kind)) = record {
            if row.needs_socket && kind.is_no_socket() && step.succeeded() {
                // The call would have failed: a close and what came after it were lost. It is some socket.
                let mut fd = Fd::new(FdKind::Unknown, &self.texts.empty);
                fd.version = self.next_version();
                self.put_fd(table, number, Arc::new(fd), step.ledger);
                step.ledger.count(Counter::UnknownFds);
            }
            step.fx.record = Some((table, number));
        } else if !placeholder && (row.enter || step.succeeded()) {
            step.ledger.count(Counter::UnknownFds);
        }
    }
}
