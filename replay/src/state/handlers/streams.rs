//! Standard streams where events are missing: what shells do around a redirection gives a lost `dup2` away.
//!
//! Nothing but the call itself tells that a number means something else now, and programs seldom do anything by which
//! the difference would show. But shells do not redirect a stream by that call alone:
//!
//! | what     | whole                                        | without the one call                    |
//! |----------|----------------------------------------------|-----------------------------------------|
//! | file     | opened, put in the place of a stream, closed | opened and closed, but never used       |
//! | pipe     | put in the place of a stream, closed         | the last number of it closed in a child |
//! | restored | saved, replaced, put back, the copy closed   | the copy closed, but not put back       |
//! | together | several streams of one child, then its exec  | some replaced, others not               |
//!
//! The last column proves nothing: a program may close what it never used, and redirect one stream of three. The streams
//! that the call may have been about become *doubtful*: unknown if the capture shows, before or after, that it lost
//! anything ([`crate::state::doubt`]), and otherwise what they were.

use crate::state::flags::{O_RDONLY, O_WRONLY};
use crate::state::limits::MAX_FDS_SEARCHED;
use crate::state::step::Step;
use crate::state::table::{TableId, ThreadId};
use crate::state::{Fd, FdKind, State};

/// Standard input, output and error.
const STREAMS: std::ops::Range<i64> = 0..3;
/// Names no descriptor.
const NONE: i64 = -1;

/// A file was opened: who redirects a stream to it names it next.
pub(super) fn opened(state: &mut State, id: Option<ThreadId>, number: i64, fd: &Fd) {
    // The copy is what the program is to have, so shells open it without close-on-exec.
    let fresh = if fd.kind == FdKind::File && !fd.cloexec && number >= STREAMS.end { number } else { NONE };
    if let Some(thread) = id.and_then(|id| state.threads.get_mut(id.0)) {
        thread.fresh_fd = fresh;
    }
}

/// A stream was given a second number, or a second number became a stream.
pub(super) fn copied(state: &mut State, id: Option<ThreadId>, from: i64, to: i64) {
    if !STREAMS.contains(&from) && !STREAMS.contains(&to) {
        return;
    }
    let Some(thread) = id.and_then(|id| state.threads.get_mut(id.0)) else { return };
    if let Some(saved) = stream(&mut thread.saved_streams, from)
        && to >= STREAMS.end
    {
        *saved = to;
    } else if let Some(saved) = stream(&mut thread.saved_streams, to)
        && *saved == from
    {
        *saved = NONE;
    }
}

fn stream(saved: &mut [i64; 3], number: i64) -> Option<&mut i64> {
    usize::try_from(number).ok().and_then(|at| saved.get_mut(at))
}

/// A descriptor is closed.
pub(super) fn closed(state: &mut State, step: &mut Step<'_, '_>, table: TableId, number: i64) {
    if STREAMS.contains(&number) {
        return;
    }
    let Some(thread) = step.thread.and_then(|id| state.threads.get_mut(id.0)) else { return };
    let unused = std::mem::replace(&mut thread.fresh_fd, NONE) == number;
    let forked = thread.program_inherited;
    let mut doubted = [false; 3];
    for (saved, doubted) in thread.saved_streams.iter_mut().zip(&mut doubted) {
        if *saved == number {
            (*saved, *doubted) = (NONE, true);
        }
    }
    let Some(entry) = state.tables.get(table.0) else { return };
    if (unused || forked)
        && let Some(fd) = entry.table.get(number)
    {
        let reads = fd.open_flags & O_RDONLY != 0;
        let writes = fd.open_flags & O_WRONLY != 0;
        if unused {
            doubted = [doubted[0] | reads, doubted[1] | writes, doubted[2] | writes];
        }
        let is_last = || !entry.table.iter().any(|(other, it)| other != number && is_same_pipe(it, fd));
        if forked && fd.kind == FdKind::Fifo && fd.ino != 0 && entry.table.len() <= MAX_FDS_SEARCHED && is_last() {
            doubted = [true; 3];
        }
    }
    if doubted.contains(&true) {
        doubt(state, table, doubted);
    }
}

fn is_same_pipe(a: &Fd, b: &Fd) -> bool {
    a.kind == b.kind && a.ino == b.ino
}

/// The child of a fork is about to become another program: if it has replaced some of its streams, it may have replaced
/// all of them.
pub(super) fn before_exec(state: &mut State, id: ThreadId) {
    let Some(thread) = state.threads.get(id.0).filter(|thread| thread.program_inherited) else { return };
    let Some(table) = state.files_of(thread) else { return };
    let Some(entry) = state.tables.get(table.0) else { return };
    let since = thread.image_step;
    let is_old = |number: i64| entry.table.get(number).is_some_and(|fd| fd.opened <= since);
    let old = [is_old(0), is_old(1), is_old(2)];
    if old.contains(&false) {
        doubt(state, table, old);
    }
}

fn doubt(state: &mut State, table: TableId, doubted: [bool; 3]) {
    for (number, _) in STREAMS.zip(doubted).filter(|(_, doubted)| *doubted) {
        let known = state.tables.get(table.0).and_then(|entry| entry.table.get(number));
        if known.is_some_and(|fd| !fd.doubtful)
            && let Some(fd) = state.change_fd(table, number)
        {
            fd.doubtful = true;
        }
    }
}
