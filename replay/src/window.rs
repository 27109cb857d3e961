//! The part of a capture's time that somebody asks about.
//!
//! Options `--from` and `--to` → [`Window`] → [`Opening`], which knows the capture's first event and says of each event
//! whether it is inside.

use crate::moment::Moment;

/// Events can stand out of order by as much without being a step of the clock: how far beyond the end of the window
/// events are still looked at.
const DISORDER: u64 = 1_000_000_000;

/// From one moment to another, both included; `None` is open.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Window {
    /// Only events at this moment or later.
    pub from: Option<Moment>,
    /// Only events at this moment or earlier.
    pub to: Option<Moment>,
}

/// Where an event stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// In the window.
    Inside,
    /// Before it, or shortly after its end.
    Outside,
    /// So long after its end that nothing of it will come any more.
    Over,
}

/// A window on one capture.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    window: Window,
    /// First and last time, once the capture has begun.
    times: Option<(u64, u64)>,
}

impl Window {
    /// The window on a capture that is about to begin.
    pub fn open(self) -> Opening {
        Opening { window: self, times: None }
    }

    /// First and last time in a capture that begins at `first_ts`.
    pub fn times(self, first_ts: u64) -> (u64, u64) {
        let at = |moment: Moment| moment.at(first_ts);
        (self.from.map_or(0, at), self.to.map_or(u64::MAX, at))
    }
}

impl Opening {
    /// Whether the window has neither beginning nor end.
    #[inline]
    pub fn is_whole(&self) -> bool {
        self.window.from.is_none() && self.window.to.is_none()
    }

    /// Where an event at `ts` stands, in a capture that begins at `first_ts`; 0 when that is not known yet.
    #[inline]
    pub fn place(&mut self, first_ts: u64, ts: u64) -> Place {
        let (first, last) = self.times.unwrap_or_else(|| {
            let times = self.window.times(first_ts);
            self.times = (first_ts != 0).then_some(times);
            times
        });
        if (first..=last).contains(&ts) {
            Place::Inside
        } else if ts > last.saturating_add(DISORDER) && ts != u64::MAX {
            Place::Over
        } else {
            Place::Outside
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_inside_and_disorder_is_waited_for() {
        let mut opening = Window { from: Some(Moment::AfterStart(10)), to: Some(Moment::AfterStart(20)) }.open();
        for (ts, place) in [
            (109, Place::Outside),
            (110, Place::Inside),
            (120, Place::Inside),
            (121, Place::Outside),
            (120 + DISORDER, Place::Outside),
            (121 + DISORDER, Place::Over),
            (u64::MAX, Place::Outside),
        ] {
            assert_eq!(opening.place(100, ts), place, "{ts}");
        }
        assert_eq!(Window::default().open().place(0, 0), Place::Inside);
    }
}
