//! One event on its way through the state: who did it, on which descriptor, and what becomes of it.

use std::rc::Rc;
use std::sync::LazyLock;

use casebook_formats::event::{Event, EventType};
use casebook_formats::ledger::{Counter, Ledger};
use casebook_formats::tables::{self, Category, Direction, EventDef, EventFlags, EventOrigin, ParamType, ppme};

use super::handlers::{HANDLERS, Handler, QUIET, lost};
use super::table::{TableId, ThreadId};
use super::{Effects, Fd, FdKind, State, Thread};

/// An event being applied.
pub(crate) struct Step<'s, 'e> {
    pub(crate) event: &'s Event<'e>,
    /// Thread of the event.
    pub(crate) thread: Option<ThreadId>,
    /// Kind of the descriptor that the event uses, if its record is known.
    pub(crate) kind: FdKind,
    /// What is found out.
    pub(crate) fx: &'s mut Effects,
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

/// Who an event is about, as far as it matters before its handler.
#[derive(Default)]
struct Who {
    thread: Option<ThreadId>,
    /// Something rare has to be looked at ([`super::Thread::wary`]).
    is_wary: bool,
    /// More than its number is known.
    is_introduced: bool,
    /// Its own descriptors; threads of a process have its leader's.
    files: Option<TableId>,
}

impl Who {
    /// All that is asked of a thread before the handler comes, and what every event changes, in one look.
    #[inline]
    fn of(id: ThreadId, thread: &mut Thread, row: &Row, event: &Event<'_>, number: i64) -> Self {
        if row.has(OPENS_CALL) {
            thread.last_enter = event.etype.0;
        }
        // Whatever names the descriptor that the last open gave, but for a close, uses it.
        if number >= 0 && thread.fresh_fd == number && event.etype != ppme::PPME_SYSCALL_CLOSE_X {
            thread.fresh_fd = NO_FD;
        }
        Self { thread: Some(id), is_wary: thread.wary, is_introduced: !thread.placeholder, files: thread.files }
    }
}

/// Names no descriptor.
const NO_FD: i64 = -1;

/// What the state does with one event type.
struct Row {
    handler: Option<Handler>,
    subject: Subject,
    /// Parameter that holds the descriptor used.
    fd_param: Option<u8>,
    /// What else is so, as bits: most types have none or one of them.
    traits: u8,
}

/// Uses or makes a descriptor: `fd.num` has a value, -1 where there is none.
const ABOUT_FD: u8 = 1;
/// Works on sockets only. Sending and receiving are left out: what is new about their socket they tell themselves.
const NEEDS_SOCKET: u8 = 1 << 1;
const ENTER: u8 = 1 << 2;
/// The enter half of a call: its exit comes next. Not a context switch or a signal, which come in between.
const OPENS_CALL: u8 = 1 << 3;
/// May change what is known of processes, users and containers, other than by [`State::change`].
const LOUD: u8 = 1 << 4;
/// The thread itself did it: the exit half of a call, or its end.
const DEED: u8 = 1 << 5;
/// Has no handler and is about no descriptor.
const IDLE: u8 = 1 << 6;
/// As [`IDLE`], but for the calls that [`lost::may_be_told_by`] is about.
const IDLE_BY_CODE: u8 = 1 << 7;

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
        let uses_fd = def.flags.has(EventFlags::USES_FD);
        let is_call = def.origin == EventOrigin::Syscall;
        let is_enter = def.dir == Direction::Enter;
        let subject = subject_of(def);
        let is_apart = !uses_fd && !def.flags.has(EventFlags::CREATES_FD) && !is_enter && subject != Subject::Nobody;
        let is_quiet = handler.is_none() || QUIET.iter().any(|types| types.contains(&etype));
        let traits = [
            (ABOUT_FD, uses_fd || def.flags.has(EventFlags::CREATES_FD)),
            (NEEDS_SOCKET, def.category == Category::Net),
            (ENTER, is_enter),
            (OPENS_CALL, is_enter && is_call),
            (LOUD, !is_quiet),
            (DEED, (!is_enter && is_call) || etype == ppme::PPME_PROCEXIT_1_E),
            (IDLE, handler.is_none() && is_apart),
            (IDLE_BY_CODE, etype == ppme::PPME_GENERIC_X && is_apart),
        ];
        Self {
            handler,
            subject,
            fd_param: if uses_fd { fd_param_of(def) } else { None },
            traits: traits.iter().filter(|(_, holds)| *holds).fold(0, |bits, (bit, _)| bits | bit),
        }
    }

    /// The descriptor that an event of this type uses.
    #[inline]
    fn fd_of(&self, event: &Event<'_>) -> i64 {
        self.fd_param.and_then(|param| event.i64(usize::from(param))).unwrap_or(NO_FD)
    }

    #[inline]
    fn has(&self, bit: u8) -> bool {
        self.traits & bit != 0
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

/// Whether events of this type mostly leave the state as it is ([`State::pass_over`]).
pub(crate) fn is_idle(etype: EventType) -> bool {
    let Rows(rows) = Rows::default();
    rows.get(usize::from(etype.0)).is_some_and(|row| row.has(IDLE | IDLE_BY_CODE))
}

impl State {
    /// Passes over an event of a type that is idle ([`is_idle`]), which takes a fraction of [`State::apply`] and comes to the
    /// same. False, and nothing is done: there is more to it.
    #[inline]
    pub(crate) fn pass_over(&mut self, event: &Event<'_>) -> bool {
        if self.disturbed || self.weight.is_due() {
            return false;
        }
        let thread = self.threads.get(self.seen.guess(event.tid)).filter(|thread| thread.tid == event.tid);
        if thread.is_none_or(|thread| thread.wary)
            || (event.etype == ppme::PPME_GENERIC_X && lost::may_be_told_by(event))
        {
            return false;
        }
        self.steps += 1;
        true
    }

    /// Whether events of this type can change anything that is known.
    pub(crate) fn feeds(&self, etype: EventType) -> bool {
        let Rows(rows) = self.rows;
        rows.get(usize::from(etype.0)).is_some_and(|row| row.handler.is_some())
    }

    /// Finds thread and descriptor of an event and hands it to its handler.
    pub(crate) fn run(&mut self, event: &Event<'_>, ledger: &mut Ledger, fx: &mut Effects) {
        let Rows(rows) = self.rows;
        let Some(row) = rows.get(usize::from(event.etype.0)) else { return };
        let number = if row.has(ABOUT_FD) { row.fd_of(event) } else { NO_FD };
        let who = match self.guess(row, event, number) {
            Some(who) => who,
            None => self.search(row, event, number, ledger),
        };
        self.steps += 1;
        if self.weight.is_due() {
            self.weigh(ledger);
        }
        fx.thread = who.thread;
        let mut step = Step { event, thread: who.thread, kind: FdKind::Unknown, fx, ledger };
        if who.is_wary && row.has(DEED) {
            self.check_order(&mut step);
        }
        if row.has(ABOUT_FD) {
            step.fx.fd = Some(number);
            if number >= 0 {
                self.find_fd(&mut step, row, &who, number);
            }
        }
        self.people += u64::from(row.has(LOUD));
        if let Some(handler) = row.handler {
            handler(self, &mut step);
        }
        if who.is_wary {
            self.end_wait(who.thread, row);
        }
    }

    /// Who did it, if the thread is where it was last. Nothing but this is inlined into what every event goes through.
    #[inline]
    fn guess(&mut self, row: &Row, event: &Event<'_>, number: i64) -> Option<Who> {
        let index = self.seen.guess(event.tid);
        let thread = self.threads.get_mut(index).filter(|thread| thread.tid == event.tid)?;
        if row.subject == Subject::Nobody {
            return None;
        }
        Some(Who::of(ThreadId(index), thread, row, event, number))
    }

    /// Who did it, if that takes a search. One that nothing introduced gets a placeholder, where its type has a thread.
    #[inline(never)]
    fn search(&mut self, row: &Row, event: &Event<'_>, number: i64, ledger: &mut Ledger) -> Who {
        let thread = match row.subject {
            Subject::Nobody => None,
            Subject::Known => self.id_of(event.tid),
            Subject::Anybody => self.known_or_placeholder(event.tid, ledger),
        };
        match thread.and_then(|id| Some((id, self.threads.get_mut(id.0)?))) {
            Some((id, thread)) => Who::of(id, thread, row, event, number),
            None => Who::default(),
        }
    }

    /// Descriptors of a thread that has none of its own.
    #[inline(never)]
    fn files_of_leader(&self, thread: Option<ThreadId>) -> Option<TableId> {
        self.threads.get(thread?.0).and_then(|thread| self.files_of(thread))
    }

    /// Any exit ends the wait of an enter half: its own exit was lost if it has not taken it.
    #[cold]
    fn end_wait(&mut self, thread: Option<ThreadId>, row: &Row) {
        let Some(thread) = thread.and_then(|id| self.threads.get_mut(id.0)) else { return };
        if !row.has(ENTER) {
            thread.enter = None;
        }
        thread.wary = thread.is_bound() || thread.enter.is_some();
    }

    /// Finds the descriptor that an event uses.
    #[inline]
    fn find_fd(&mut self, step: &mut Step<'_, '_>, row: &Row, who: &Who, number: i64) {
        let files = if who.files.is_none() { self.files_of_leader(who.thread) } else { who.files };
        let record = files.and_then(|table| Some((table, self.tables.get(table.0)?.table.get(number)?.kind)));
        if let Some((table, kind)) = record {
            step.kind = kind;
            step.fx.record = Some((table, number));
            if row.has(NEEDS_SOCKET) && kind.is_no_socket() {
                self.mend_socket(step, table, number);
            }
        } else if who.is_introduced && (row.has(ENTER) || step.succeeded()) {
            step.ledger.count(Counter::UnknownFds);
        }
    }

    /// A call that works on sockets only, on something else: it would have failed. Where it did not, a close and what came
    /// after it were lost, and it is some socket.
    #[cold]
    fn mend_socket(&mut self, step: &mut Step<'_, '_>, table: TableId, number: i64) {
        if !step.succeeded() {
            return;
        }
        let mut fd = Fd::new(FdKind::Unknown, &self.texts.empty);
        fd.version = self.next_version();
        self.put_fd(table, number, Rc::new(fd), step.ledger);
        step.kind = FdKind::Unknown;
        step.ledger.count(Counter::UnknownFds);
    }
}
