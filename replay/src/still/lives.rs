//! Lives of a process id: when somebody had it, for those who ask at the wrong moment.

use std::ops::ControlFlow;

use crate::context::EventContext;
use crate::engine::Replay;
use crate::run::Source;
use crate::state::{Text, Thread};

/// Lives that are remembered: an id comes round again, but not often.
const MAX_LIVES: usize = 4096;

/// One owner of a process id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Life {
    /// First event that it was there, ns since the epoch; `None` when the capture began with it.
    pub from: Option<u64>,
    /// Event that ended it, or at which it was gone; `None` when it outlived the capture.
    pub to: Option<u64>,
    /// Its comm, as last seen.
    pub comm: Text,
}

impl Life {
    /// How far a moment is from this life, ns.
    pub fn distance(&self, ts: u64) -> u64 {
        match (self.from, self.to) {
            (Some(from), _) if ts < from => from - ts,
            (_, Some(to)) if ts > to => ts - to,
            _ => 0,
        }
    }
}

/// All lives of an id in a capture that can be read again, in order; `None` when it cannot.
pub fn of(source: &Source, pid: i64) -> Option<Vec<Life>> {
    let mut reader = source.reopen()?;
    let mut lives: Vec<Life> = Vec::new();
    // The thread that has the id now, told by when it was cloned.
    let mut owner: Option<u64> = None;
    let mut first = true;
    // What breaks off tells of lives until then.
    let _ = Replay::new().run(&mut reader, |context: &EventContext<'_>| {
        let ts = context.event.ts;
        let alive = |thread: &&Thread| !thread.dead && !thread.placeholder;
        let thread = context.state.thread(pid).filter(alive);
        let now = thread.map(|thread| thread.clone_ts);
        if now != owner {
            if let Some(life) = lives.last_mut().filter(|life| owner.is_some() && life.to.is_none()) {
                life.to = Some(ts);
            }
            if let Some(thread) = thread.filter(|_| lives.len() < MAX_LIVES) {
                // At the first event, who was not born there was there before.
                let born = !first || thread.clone_ts == ts;
                lives.push(Life { from: born.then_some(ts), to: None, comm: thread.comm.clone() });
            }
            owner = now;
        } else if let (Some(thread), Some(life)) = (thread, lives.last_mut())
            && life.comm != thread.comm
        {
            life.comm = thread.comm.clone();
        }
        first = false;
        ControlFlow::Continue(())
    });
    Some(lives)
}
