//! One ordered stream of output from captures that are replayed at the same time.
//!
//! Alerts of a capture → [`CaptureOutput`] → [`Sequencer`] → the one output. The first unfinished capture streams
//! straight through; the ones behind it are held in memory until their turn, and all of them together hold at most
//! [`HELD_LIMIT`] bytes: a capture that would hold more waits for its turn. Workers take captures in order, so the
//! first unfinished one is always being worked on and the waiting ends. No temporary files: alerts quote evidence,
//! and evidence does not belong into `/tmp`. The bytes written do not depend on the number of workers.
//!
//! A capture can be replayed in parts ([`Sequencer::divide`]); its parts stand one after the other as captures do. A part
//! that finds out that the ones after it are of no use drops them ([`CaptureOutput::rest`]). How many parts there are need
//! not be known before: in turns ([`CaptureOutput::by_turns`]) they begin as they are asked for.
//!
//! Where captures and audit logs come together ([`Sequencer::by_time`]), the order is that of time instead: see
//! `merge`.
//!
//! What is said *about* a capture (heading, errors, losses) passes through here too, because its place is between
//! the captures' outputs; it goes to the [`Talk`] of the run and not into the data.

mod merge;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use casebook_formats::terminal::is_harmful;

use crate::deliver::split::SEPARATOR;
pub use merge::MERGE_LIMIT;
use merge::Merge;

/// Bytes that captures waiting for their turn may hold, all together.
pub const HELD_LIMIT: usize = 64 << 20;
/// Bytes after which a capture hands its lines on.
const CHUNK: usize = 64 << 10;

/// Where words about captures go: standard error, around a progress bar.
pub trait Talk: Send {
    /// The first line of capture `index` is about to be written; captures without output have no beginning.
    fn begin(&mut self, index: usize);

    /// The output of capture `index` is complete; `notes` are lines about it.
    fn end(&mut self, index: usize, notes: &[String]);
}

/// Keeps the outputs of several captures in the order of the captures.
pub struct Sequencer<'w> {
    shared: Mutex<Shared<'w>>,
    turn: Condvar,
    /// Every line goes out at once: somebody is watching.
    interactive: bool,
    by_time: bool,
}

struct Shared<'w> {
    target: &'w mut (dyn Write + Send),
    talk: &'w mut dyn Talk,
    /// The first unfinished capture, and its first unfinished part; what that one puts out is written through.
    current: (usize, usize),
    slots: Vec<Slot>,
    held: usize,
    /// What waits for its time; captures are not divided then.
    merge: Merge,
    failure: Option<io::Error>,
}

/// A capture.
struct Slot {
    parts: VecDeque<Part>,
    /// Parts before these that are written and forgotten.
    gone: usize,
    /// More parts begin as they are asked for.
    open: bool,
    /// Parts from this one on are dropped.
    useful: usize,
    notes: Vec<String>,
    begun: bool,
}

impl Slot {
    fn new(parts: usize) -> Self {
        let parts = (0..parts).map(|_| Part::default()).collect();
        Self { parts, gone: 0, open: false, useful: usize::MAX, notes: Vec::new(), begun: false }
    }

    fn part(&mut self, part: usize) -> Option<&mut Part> {
        let at = part.checked_sub(self.gone)?;
        while self.open && self.parts.len() <= at {
            let dropped = self.gone + self.parts.len() >= self.useful;
            self.parts.push_back(Part { dropped, ..Part::default() });
        }
        self.parts.get_mut(at)
    }
}

#[derive(Default)]
struct Part {
    held: Vec<u8>,
    done: bool,
    /// Whatever it puts out is nobody's.
    dropped: bool,
}

impl<'w> Sequencer<'w> {
    /// A sequencer for `count` captures, numbered from 0.
    pub fn new(target: &'w mut (dyn Write + Send), talk: &'w mut dyn Talk, count: usize, interactive: bool) -> Self {
        let slots = (0..count).map(|_| Slot::new(1)).collect();
        let shared = Shared { target, talk, current: (0, 0), slots, held: 0, merge: Merge::default(), failure: None };
        Self { shared: Mutex::new(shared), turn: Condvar::new(), interactive, by_time: false }
    }

    /// The output of one capture. Dropping it ends the capture.
    pub fn capture(&self, index: usize) -> CaptureOutput<'_, 'w> {
        self.part(index, 0)
    }

    /// Divides a capture that has not begun into parts; each of them has to be ended, in any order.
    pub fn divide(&self, index: usize, parts: usize) {
        if let Some(slot) = self.lock().slots.get_mut(index) {
            *slot = Slot::new(parts.max(1));
        }
    }

    /// The output of one part of a capture, from 0. Dropping it ends the part.
    pub fn part(&self, index: usize, part: usize) -> CaptureOutput<'_, 'w> {
        let (lines, notes, ends) = (Vec::new(), Vec::new(), Vec::new());
        CaptureOutput { sequencer: self, place: (index, part), lines, notes, ends, last_ts: 0 }
    }

    /// The first error of the output, if there was one; nothing was written after it.
    pub fn into_result(self) -> io::Result<()> {
        let mut shared = self.shared.into_inner().unwrap_or_else(PoisonError::into_inner);
        match shared.failure.take() {
            Some(error) => Err(error),
            None => shared.target.flush(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared<'w>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over `lines`; false when the output is broken, or they are nobody's, and there is no use in going on.
    fn push(&self, place: (usize, usize), lines: &mut Vec<u8>, ends: &mut Vec<(u64, usize)>) -> bool {
        if self.by_time {
            return self.push_timed(place.0, lines, ends);
        }
        let mut shared = self.lock();
        while shared.failure.is_none()
            && shared.current != place
            && shared.held + lines.len() > HELD_LIMIT
            && shared.part(place).is_some_and(|part| !part.dropped)
        {
            shared = self.turn.wait(shared).unwrap_or_else(PoisonError::into_inner);
        }
        let is_current = shared.current == place;
        let useful = match shared.part(place) {
            Some(part) if part.dropped => false,
            Some(_) if is_current => {
                shared.write(lines, self.interactive);
                true
            }
            Some(part) => {
                part.held.extend_from_slice(lines);
                shared.held += lines.len();
                true
            }
            None => false,
        };
        lines.clear();
        useful && shared.failure.is_none()
    }

    fn finish(&self, place: (usize, usize), notes: Vec<String>) {
        if self.by_time {
            return self.finish_timed(place.0, notes);
        }
        let mut shared = self.lock();
        if let Some(slot) = shared.slots.get_mut(place.0) {
            slot.notes.extend(notes);
        }
        if let Some(part) = shared.part(place) {
            part.done = true;
        }
        shared.advance(self.interactive);
        drop(shared);
        self.turn.notify_all();
    }

    /// Drops what the parts from `part` on have put out and will.
    fn drop_from(&self, index: usize, part: usize) {
        let mut shared = self.lock();
        let mut freed = 0;
        if let Some(slot) = shared.slots.get_mut(index) {
            slot.useful = slot.useful.min(part);
            for part in slot.parts.iter_mut().skip(part.saturating_sub(slot.gone)) {
                part.dropped = true;
                freed += std::mem::take(&mut part.held).len();
            }
        }
        shared.held -= freed;
        drop(shared);
        self.turn.notify_all();
    }
}

impl Shared<'_> {
    fn part(&mut self, (index, part): (usize, usize)) -> Option<&mut Part> {
        self.slots.get_mut(index)?.part(part)
    }

    /// Writes lines of the current capture.
    fn write(&mut self, bytes: &[u8], flush: bool) {
        if self.failure.is_some() || bytes.is_empty() {
            return;
        }
        let (index, _) = self.current;
        if let Some(slot) = self.slots.get_mut(index).filter(|slot| !slot.begun) {
            slot.begun = true;
            self.talk.begin(index);
        }
        let written = self.target.write_all(bytes).and_then(|()| if flush { self.target.flush() } else { Ok(()) });
        self.failure = written.err();
    }

    /// Whether a part is done and it is certain what comes next.
    fn is_passed(&mut self, (index, part): (usize, usize)) -> bool {
        let waits = |slot: &Slot| slot.open && part >= slot.useful;
        !self.slots.get(index).is_some_and(waits) && self.part((index, part)).is_some_and(|part| part.done)
    }

    /// Moves past finished parts and captures, and hands on what the next ones hold.
    fn advance(&mut self, interactive: bool) {
        while self.is_passed(self.current) {
            let (index, part) = self.current;
            self.current = (index, part + 1);
            if let Some(slot) = self.slots.get_mut(index).filter(|slot| slot.open) {
                slot.parts.pop_front();
                slot.gone += 1;
            }
            if self.part(self.current).is_none() {
                let notes = self.slots.get_mut(index).map(|slot| std::mem::take(&mut slot.notes)).unwrap_or_default();
                // Data before words about it, on a terminal as well.
                if self.failure.is_none() {
                    self.failure = self.target.flush().err();
                }
                self.talk.end(index, &notes);
                self.current = (index + 1, 0);
            }
            let Some(next) = self.part(self.current) else { break };
            let held = std::mem::take(&mut next.held);
            self.held -= held.len();
            self.write(&held, interactive);
        }
    }
}

/// The output of one capture, or of a part of it: whole lines in, in order.
pub struct CaptureOutput<'s, 'w> {
    sequencer: &'s Sequencer<'w>,
    /// Capture and part.
    place: (usize, usize),
    lines: Vec<u8>,
    notes: Vec<String>,
    /// By time: the time of each line and where it ends.
    ends: Vec<(u64, usize)>,
    last_ts: u64,
}

/// The parts of a capture after one of them.
#[derive(Clone, Copy)]
pub struct Rest<'s, 'w> {
    sequencer: &'s Sequencer<'w>,
    place: (usize, usize),
}

/// The turns of a capture.
#[derive(Clone, Copy)]
pub struct Turns<'s, 'w> {
    sequencer: &'s Sequencer<'w>,
    index: usize,
}

impl<'s, 'w> Turns<'s, 'w> {
    /// The output of one of them, from 0. Dropping it ends the turn.
    pub fn turn(&self, turn: usize) -> CaptureOutput<'s, 'w> {
        self.sequencer.part(self.index, turn)
    }
}

impl Rest<'_, '_> {
    /// Makes them put out nothing, neither what they have already nor what is to come. They still have to be ended.
    pub fn drop(self) {
        let (index, part) = self.place;
        self.sequencer.drop_from(index, part + 1);
    }
}

impl<'s, 'w> CaptureOutput<'s, 'w> {
    /// Writes one line, made safe for terminals, and its end. False when the output is broken: stop.
    pub fn line(&mut self, line: &[u8]) -> bool {
        push_safe(&mut self.lines, line);
        self.end_line()
    }

    /// Same for a line about something that happened at `ts`, nanoseconds since the epoch.
    pub fn line_at(&mut self, ts: u64, line: &[u8]) -> bool {
        self.last_ts = ts;
        self.line(line)
    }

    /// Same for a line that carries something, which is for whoever takes the output apart ([`crate::deliver::split`]).
    pub fn line_with(&mut self, ts: u64, line: &[u8], carried: &[u8]) -> bool {
        self.last_ts = ts;
        push_safe(&mut self.lines, line);
        self.lines.push(SEPARATOR);
        push_safe(&mut self.lines, carried);
        self.end_line()
    }

    /// Same for a line whose doubtful parts are safe already, so that what the user wanted in it stays: tabs, colours.
    pub fn safe_line(&mut self, line: &[u8]) -> bool {
        self.lines.extend_from_slice(line);
        self.end_line()
    }

    fn end_line(&mut self) -> bool {
        self.lines.push(b'\n');
        if self.sequencer.by_time {
            self.ends.push((self.last_ts, self.lines.len()));
        }
        if self.lines.len() >= CHUNK || self.sequencer.interactive {
            self.sequencer.push(self.place, &mut self.lines, &mut self.ends)
        } else {
            true
        }
    }

    /// The parts of this capture that come after this one.
    pub fn rest(&self) -> Rest<'s, 'w> {
        Rest { sequencer: self.sequencer, place: self.place }
    }

    /// From now on the capture is put out in turns, and this is the output of what comes behind the last of them; it has to
    /// be one that is not divided, and of which nothing was put out. Each turn that is begun has to be ended.
    pub fn by_turns(&mut self) -> Turns<'s, 'w> {
        let (index, _) = self.place;
        if let Some(slot) = self.sequencer.lock().slots.get_mut(index) {
            slot.open = true;
        }
        Turns { sequencer: self.sequencer, index }
    }

    /// The last turn of all has this number, and all that began are ended.
    pub fn end_turns(&mut self, last: usize) {
        let (index, _) = self.place;
        let own = last.saturating_add(1);
        if let Some(slot) = self.sequencer.lock().slots.get_mut(index) {
            let kept = own.saturating_sub(slot.gone);
            (slot.open, slot.useful) = (false, usize::MAX);
            slot.parts.resize_with(kept, || Part { done: true, ..Part::default() });
            slot.parts.push_back(Part::default());
        }
        self.place = (index, own);
    }

    /// Says something about the capture, once its output is complete.
    pub fn note(&mut self, note: String) {
        self.notes.push(note);
    }
}

impl Drop for CaptureOutput<'_, '_> {
    fn drop(&mut self) {
        self.sequencer.push(self.place, &mut self.lines, &mut self.ends);
        self.sequencer.finish(self.place, std::mem::take(&mut self.notes));
    }
}

/// Appends `line` to `out` with everything escaped that would act instead of showing ([`is_harmful`]). Bytes that are
/// not UTF-8 become U+FFFD.
///
/// Alert lines are escaped like JSON strings, and so are these characters, as `\u009b`. In JSON that is the same
/// text; a text alert differs from Falco's there, because Falco passes C1 controls and direction marks on.
pub fn push_safe(out: &mut Vec<u8>, line: &[u8]) {
    // Printable ASCII is nearly everything. Looking at all bytes takes less time than looking for the first other one.
    if line.iter().filter(|byte| !matches!(byte, b' '..=b'~')).count() == 0 {
        return out.extend_from_slice(line);
    }
    for character in String::from_utf8_lossy(line).chars() {
        if is_harmful(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
            }
        } else {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}
