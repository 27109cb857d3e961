//! What a capture shows of its own losses, and what may still be said after that.
//!
//! **The principle.** *A value is printed only while no event of the capture contradicts it or makes it doubtful.* A
//! capture that lost events must not be told from one that lost none by its wrong values; so each value is right, or
//! unknown, as far as the capture itself can tell. In detail:
//!
//! 1. **Facts told by an event** (name, program, session, user, directory, what a descriptor is) stay until an event
//!    changes them, or proves that a change was lost. Then the fact is what that event tells, or unknown; nothing else
//!    is touched. What an event can prove: `handlers/lost.rs`.
//! 2. **Values that rest on a complete history** (how many descriptors and threads there are, memory and faults as of
//!    an event seen earlier, when a process began if only one half of its clone is there) are right only while nothing
//!    is missing anywhere. One [`Losses`] for the whole capture: from the first certain sign on they are unknown, but
//!    for values that the very event at hand carries.
//! 3. **Losses that the capture tells** (drop markers, damaged blocks, what the recorder wrote into the frame records of
//!    `.scap.zst`) count as certain signs. They say that something is missing, not what: to doubt all that lived through
//!    the gap would leave nothing to say.
//! 4. **Doubtful facts** are those for which the capture holds what goes with a change, though not the change itself: a
//!    shell that opens and closes a file, but does not put it in the place of a stream (`handlers/streams.rs`), or gives its
//!    children groups of their own without having made one for itself (`handlers/lost/identity.rs`). That is no sign, as
//!    programs may do so; but in a capture with signs such a fact is unknown (of streams, whichever came first).
//!
//! What leaves no trace in the capture stays wrong, and no reader can do better: a lost `chdir` of a process that never
//! names its directory again, a lost `setsid` until the next exec tells the group, counts before the first certain sign.
//! `tests/tests/lossy.rs` measures how much that is and tells the two kinds apart; `replay/BENCH.md` lists it by cause.

use super::keep::keep;

/// What is known of the losses of a capture so far.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Losses {
    /// Certain signs so far, told ones included.
    signs: u64,
}

keep!(Losses { signs });

impl Losses {
    /// An event proved that another one is missing, or the capture says so.
    pub(crate) fn shown(&mut self) {
        self.signs = self.signs.saturating_add(1);
    }

    /// Something is certainly missing: what rests on a complete history is unknown.
    #[inline]
    pub fn any(&self) -> bool {
        self.signs > 0
    }
}
