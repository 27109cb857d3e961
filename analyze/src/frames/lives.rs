//! Process lives: which process an event belongs to, although the kernel uses a pid again.
//!
//! A life begins with the clone that was seen, with the snapshot, or with the first event of a process that neither told
//! of. It ends with the exit of its last thread, or when another process turns up under its pid. Facts are taken when it
//! begins, at its execs, at its exit and at the end of the capture; the last ones stand in the table. Memory follows the
//! processes that live: a life that is over becomes a row with the next event.

use std::collections::HashMap;

use casebook_formats::event::{Event, EventType, RawEvent};
use casebook_formats::tables::ppme;
use casebook_replay::context::EventContext;
use casebook_replay::state::{State, Thread};
use foldhash::fast::FixedState;

use super::Error;
use super::cells::{Cell, Stored};
use super::table::{Builder, Sink};
use super::words::Words;

/// Calls that make a process; they return in the parent with its number.
const CLONES: &[EventType] = &[
    ppme::PPME_SYSCALL_CLONE_20_X,
    ppme::PPME_SYSCALL_CLONE3_X,
    ppme::PPME_SYSCALL_FORK_20_X,
    ppme::PPME_SYSCALL_VFORK_20_X,
];
/// Calls that replace the program.
pub(super) const EXECS: &[EventType] = &[ppme::PPME_SYSCALL_EXECVE_19_X, ppme::PPME_SYSCALL_EXECVEAT_X];

// Parameters of procexit.
const STATUS: usize = 0;
const RET: usize = 1;
const SIG: usize = 2;

/// One life.
#[derive(Debug, Default)]
struct Life {
    number: u64,
    pid: i64,
    /// What tells it from another life of the same pid; 0 where its clone was not seen.
    clone_ts: u64,
    parent: Option<u64>,
    ppid: Option<i64>,
    end: u64,
    exit_code: Option<i64>,
    exit_signal: Option<i64>,
    from_snapshot: bool,
    events: u64,
    alerts: u64,
    facts: Box<[Stored]>,
}

/// All lives of one capture.
pub(super) struct Lives {
    table: Option<Builder>,
    /// By pid; those that ended with the last event still among them.
    current: HashMap<i64, Life, FixedState>,
    /// Pids of lives that ended with the last event.
    ended: Vec<i64>,
    begun: u64,
}

impl Lives {
    /// Lives, and the table of them where it is wanted.
    pub(super) fn new(table: Option<Builder>) -> Self {
        Self { table, current: HashMap::default(), ended: Vec::new(), begun: 0 }
    }

    /// Lives so far.
    pub(super) fn count(&self) -> u64 {
        self.begun
    }

    /// Bytes of what is kept until the end.
    pub(super) fn weight(&self) -> u64 {
        self.table.as_ref().map_or(0, |table| table.weight)
    }

    /// A section begins: other processes, and those of the snapshot first.
    pub(super) fn section(&mut self, state: &State, words: &mut Words, sink: &mut dyn Sink) -> Result<(), Error> {
        self.close(words, sink)?;
        let threads = state.threads();
        let processes: Vec<&Thread> =
            threads.into_iter().filter(|thread| thread.is_main() && !thread.placeholder).collect();
        for thread in &processes {
            self.find(state, thread, words);
        }
        for thread in processes {
            let parent = self.parent_of(state, thread);
            if let Some(life) = self.current.get_mut(&thread.pid) {
                life.parent = parent;
                life.from_snapshot = true;
            }
        }
        Ok(())
    }

    /// Before an event is looked at: what the one before ended becomes rows.
    pub(super) fn settle(&mut self, words: &mut Words, sink: &mut dyn Sink) -> Result<(), Error> {
        while let Some(pid) = self.ended.pop() {
            if let Some(life) = self.current.remove(&pid) {
                self.write(&life, words, sink)?;
            }
        }
        Ok(())
    }

    /// The life that an event belongs to, by number, and that of its parent. `shown`: it counts among its events.
    pub(super) fn event(
        &mut self,
        event: &Event<'_>,
        state: &State,
        thread: Option<&Thread>,
        shown: bool,
        words: &mut Words,
        sink: &mut dyn Sink,
    ) -> Result<(Option<u64>, Option<u64>), Error> {
        if CLONES.contains(&event.etype)
            && let Some(child) = event.i64(0).filter(|&child| child > 0).and_then(|child| state.thread(child))
            && child.is_main()
            && !child.placeholder
        {
            self.replace_former(state, child, words, sink)?;
            self.find(state, child, words);
        }
        let Some(thread) = thread.filter(|thread| !thread.placeholder && thread.pid >= 0) else {
            return Ok((None, None));
        };
        self.replace_former(state, thread, words, sink)?;
        self.find(state, thread, words);
        let executed = EXECS.contains(&event.etype) && event.i64(0) == Some(0);
        let exited = event.etype == ppme::PPME_PROCEXIT_1_E;
        let facts = if executed || exited { Some(self.facts(state, thread, words)) } else { None };
        let Some(life) = self.current.get_mut(&thread.pid) else { return Ok((None, None)) };
        life.events += u64::from(shown);
        if let Some(facts) = facts {
            life.facts = facts;
        }
        if exited {
            if thread.is_main() || life.exit_code.is_none() {
                (life.exit_code, life.exit_signal) = ending(event);
            }
            if state.thread_count(thread) == 0 {
                life.end = event.ts;
                self.ended.push(thread.pid);
            }
        }
        Ok((Some(life.number), life.parent))
    }

    /// An alert on an event of this process.
    pub(super) fn alert(&mut self, pid: i64) {
        if let Some(life) = self.current.get_mut(&pid) {
            life.alerts += 1;
        }
    }

    /// The life of a thread that was met before, by number.
    pub(super) fn number(&self, thread: &Thread) -> Option<u64> {
        self.current.get(&thread.pid).map(|life| life.number)
    }

    /// Another process has the pid of this thread now: that one's exit was lost.
    fn replace_former(
        &mut self,
        state: &State,
        thread: &Thread,
        words: &mut Words,
        sink: &mut dyn Sink,
    ) -> Result<(), Error> {
        let clone_ts = began(state, thread);
        let Some(life) = self.current.get_mut(&thread.pid) else { return Ok(()) };
        if life.clone_ts == clone_ts || clone_ts == 0 {
            return Ok(());
        }
        if life.clone_ts == 0 && !life.from_snapshot && life.end == 0 {
            // Met before its clone was known.
            life.clone_ts = clone_ts;
            return Ok(());
        }
        self.ended.retain(|&pid| pid != thread.pid);
        match self.current.remove(&thread.pid) {
            Some(life) => self.write(&life, words, sink),
            None => Ok(()),
        }
    }

    /// Finds the life of a thread, or begins it.
    fn find(&mut self, state: &State, thread: &Thread, words: &mut Words) {
        if self.current.contains_key(&thread.pid) {
            return;
        }
        let parent = self.parent_of(state, thread);
        let ppid = parent_process(state, thread).map_or(thread.ptid, |parent| parent.pid);
        self.begun += 1;
        let life = Life {
            number: self.begun,
            pid: thread.pid,
            clone_ts: began(state, thread),
            parent,
            ppid: (ppid > 0).then_some(ppid),
            facts: self.facts(state, thread, words),
            ..Life::default()
        };
        self.current.insert(thread.pid, life);
    }

    fn parent_of(&self, state: &State, thread: &Thread) -> Option<u64> {
        let parent = parent_process(state, thread)?;
        let life = self.current.get(&parent.pid)?;
        (parent.pid != thread.pid).then_some(life.number)
    }

    /// What the table's fields say of a process now.
    fn facts(&mut self, state: &State, thread: &Thread, words: &mut Words) -> Box<[Stored]> {
        let Some(table) = &mut self.table else { return Box::default() };
        let process = state.main_thread_of(thread).unwrap_or(thread);
        let effects = state.as_seen_by(process.tid);
        let event = silence(process.tid);
        table.read(words, &EventContext::new(&event, state, &effects))
    }

    /// The capture ends: facts of all that live are taken, and everything becomes rows.
    pub(super) fn finish(&mut self, state: &State, words: &mut Words, sink: &mut dyn Sink) -> Result<(), Error> {
        self.settle(words, sink)?;
        for thread in state.threads() {
            if thread.is_main() && !thread.placeholder && self.current.contains_key(&thread.pid) {
                let facts = self.facts(state, thread, words);
                if let Some(life) = self.current.get_mut(&thread.pid) {
                    life.facts = facts;
                }
            }
        }
        self.close(words, sink)?;
        match &mut self.table {
            Some(table) => table.finish(words, sink),
            None => Ok(()),
        }
    }

    fn close(&mut self, words: &mut Words, sink: &mut dyn Sink) -> Result<(), Error> {
        self.ended.clear();
        let mut lives: Vec<Life> = self.current.drain().map(|(_, life)| life).collect();
        lives.sort_unstable_by_key(|life| life.number);
        for life in &lives {
            self.write(life, words, sink)?;
        }
        Ok(())
    }

    fn write(&mut self, life: &Life, words: &mut Words, sink: &mut dyn Sink) -> Result<(), Error> {
        let Some(table) = &mut self.table else { return Ok(()) };
        let made = |column: &str| match column {
            "upid" => Cell::Uint(life.number),
            "parent_upid" => life.parent.into(),
            "pid" => Cell::Int(life.pid),
            "ppid" => life.ppid.into(),
            "start" => Cell::Time(life.clone_ts),
            "end" => Cell::Time(life.end),
            "exit_code" => life.exit_code.into(),
            "exit_signal" => life.exit_signal.into(),
            "from_snapshot" => Cell::Bool(life.from_snapshot),
            "events" => Cell::Uint(life.events),
            "alerts" => Cell::Uint(life.alerts),
            _ => Cell::Null,
        };
        table.stored(words, &life.facts, made, sink)
    }
}

/// When the process of a thread was cloned; 0 unknown.
fn began(state: &State, thread: &Thread) -> u64 {
    state.main_thread_of(thread).map_or(0, |leader| leader.clone_ts)
}

fn parent_process<'s>(state: &'s State, thread: &'s Thread) -> Option<&'s Thread> {
    let process = state.main_thread_of(thread).unwrap_or(thread);
    let parent = state.parent(process)?;
    let parent = state.main_thread_of(parent).unwrap_or(parent);
    (!parent.placeholder && parent.pid > 0).then_some(parent)
}

/// Exit code and signal: as the event tells them, else from the wait status.
fn ending(event: &Event<'_>) -> (Option<i64>, Option<i64>) {
    let status = event.i64(STATUS);
    let signal = event.i64(SIG).or(status.map(|status| status & 0x7f)).filter(|&signal| signal > 0);
    let code = event.i64(RET).or(status.map(|status| status >> 8 & 0xff));
    (if signal.is_some() { None } else { code }, signal)
}

/// An event that says nothing, for fields of a thread between events.
pub(super) fn silence(tid: i64) -> Event<'static> {
    let etype = ppme::PPME_PROCEXIT_1_E;
    let raw = RawEvent { offset: 0, enter: None, etype: etype.0, nparams: 0, payload: &[] };
    Event { num: 0, ts: 0, tid, cpu: 0, etype, state_only: true, enter_ts: None, data: &[], ranges: &[], raw }
}
