//! The part of a capture that somebody asks about: `--from`, `--to`, `--frames`.
//!
//! Of a `.scap.zst` only the frames are read that can hold something of it; of anything else everything is, and what is
//! outside is passed over.

use std::ops::Range;
use std::path::Path;

use clap::Args;

use super::time::parse_utc;
use crate::capture::{CaptureReader, FormatError, Item};
use crate::seekable::{Frame, SeekableFile, Selection};

const SECOND: u64 = 1_000_000_000;

/// Options that ask for a part.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct WindowArgs {
    /// Only events at this time or later: 2026-11-22T09:30:00Z, nanoseconds since 1970, or +12.5 for seconds after the
    /// first event
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(super) from: Option<Moment>,

    /// Only events at this time or earlier
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(super) to: Option<Moment>,

    /// Only these data frames of a .scap.zst, numbered from 0: 7, or 7-12
    #[arg(long, value_name = "N[-M]", value_parser = frames)]
    pub(super) frames: Option<Frames>,
}

/// A time as somebody named it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// Nanoseconds since 1970.
    At(u64),
    /// Nanoseconds after the first event.
    AfterStart(u64),
}

/// First and last number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frames(u64, u64);

fn moment(text: &str) -> Result<Moment, String> {
    let Some(distance) = text.strip_prefix('+') else {
        return match text.parse() {
            Ok(ns) if ns >= SECOND => Ok(Moment::At(ns)),
            Ok(_) => Err("a number is taken for nanoseconds since 1970; this is within its first second".to_owned()),
            Err(_) => parse_utc(text).map(Moment::At).map_err(str::to_owned),
        };
    };
    let (whole, fraction) =
        distance.trim_end_matches('s').split_once('.').unwrap_or((distance.trim_end_matches('s'), "0"));
    let number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u64>().ok());
    match (number(whole).flatten(), number(&format!("{fraction:0<9}")).flatten()) {
        (Some(seconds), Some(nanos)) if fraction.len() <= 9 => {
            Ok(Moment::AfterStart(seconds.saturating_mul(SECOND).saturating_add(nanos)))
        }
        _ => Err("expected seconds after the first event as +12.5".to_owned()),
    }
}

fn frames(text: &str) -> Result<Frames, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) if first <= last => Ok(Frames(first, last)),
        _ => Err("expected the number of a frame, or two as 7-12".to_owned()),
    }
}

/// The times asked for, once the first event is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    from: Option<Moment>,
    to: Option<Moment>,
    first: Option<u64>,
}

impl Window {
    /// Whether an event at this time is inside. Events without a time are in no window but the open one.
    pub(super) fn holds(&mut self, ts: u64) -> bool {
        if self.is_open() {
            return true;
        }
        if ts == 0 || ts == u64::MAX {
            return false;
        }
        let first = *self.first.get_or_insert(ts);
        self.from.is_none_or(|from| ts >= from.at(first)) && self.to.is_none_or(|to| ts <= to.at(first))
    }

    /// No time is asked for.
    pub(super) fn is_open(&self) -> bool {
        self.from.is_none() && self.to.is_none()
    }

    fn selection(&self) -> Selection {
        let first = self.first.unwrap_or(0);
        let selection = self.from.map_or_else(Selection::all, |from| Selection::all().from(from.at(first)));
        match self.to {
            Some(to) => selection.to(to.at(first)),
            None => selection,
        }
    }
}

impl Moment {
    fn at(self, first: u64) -> u64 {
        match self {
            Self::At(ns) => ns,
            Self::AfterStart(distance) => first.saturating_add(distance),
        }
    }
}

/// A part of a seekable file.
pub(super) struct Part {
    pub(super) file: SeekableFile,
    /// Places of its frames.
    pub(super) frames: Vec<usize>,
    pub(super) window: Window,
}

/// Why a part cannot be read.
pub(super) enum NoPart {
    /// The file cannot be read.
    Unreadable(FormatError),
    /// It has no such frames.
    Frames(String),
}

impl WindowArgs {
    /// Nothing but the whole is asked for.
    pub(super) fn is_whole(&self) -> bool {
        self.from.is_none() && self.to.is_none() && self.frames.is_none()
    }

    pub(super) fn window(&self) -> Window {
        Window { from: self.from, to: self.to, first: None }
    }

    /// The part of a file, where it is one of ours and less than the whole is asked for.
    pub(super) fn part(&self, path: &Path) -> Result<Option<Part>, NoPart> {
        if self.is_whole() {
            return Ok(None);
        }
        let Some(file) = SeekableFile::open(path).map_err(NoPart::Unreadable)? else {
            return match self.frames {
                Some(_) => Err(NoPart::Frames("not a .scap.zst on disk: it has no frames to choose from".to_owned())),
                None => Ok(None),
            };
        };
        let mut window = self.window();
        if [self.from, self.to].iter().any(|moment| matches!(moment, Some(Moment::AfterStart(_)))) {
            window.first = first_time(&file).map_err(NoPart::Unreadable)?;
        }
        let chosen = file.choose(&window.selection()).map_err(NoPart::Unreadable)?;
        let frames = match self.frames {
            None => chosen,
            Some(Frames(first, last)) => {
                let range = numbered(file.frames(), first, last);
                if range.is_empty() {
                    let count = file.frames().len();
                    return Err(NoPart::Frames(format!("has no frame {first}: {count} frames, numbered from 0")));
                }
                // Frames that were asked for by number come whole, but for the times.
                range.filter(|at| window.is_open() || chosen.contains(at)).collect()
            }
        };
        Ok(Some(Part { file, frames, window }))
    }
}

/// Places of the frames with these numbers: places and numbers differ where frames are missing.
fn numbered(frames: &[Frame], first: u64, last: u64) -> Range<usize> {
    frames.partition_point(|frame| frame.number < first)..frames.partition_point(|frame| frame.number <= last)
}

/// Time of the first event that has one.
fn first_time(file: &SeekableFile) -> Result<Option<u64>, FormatError> {
    let mut reader: CaptureReader = file.select(&Selection::all(), 0)?;
    while let Some(item) = reader.next_item()? {
        if let Item::Event(event) = item
            && event.ts != 0
            && event.ts != u64::MAX
        {
            return Ok(Some(event.ts));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::{Frames, Moment, Window, frames, moment};

    #[test]
    fn parts_as_people_write_them() {
        assert_eq!(moment("+12.5"), Ok(Moment::AfterStart(12_500_000_000)));
        assert_eq!(moment("+3s"), Ok(Moment::AfterStart(3_000_000_000)));
        assert_eq!(moment("1970-01-01T00:00:02Z"), Ok(Moment::At(2_000_000_000)));
        assert_eq!(moment("1795339800000000001"), Ok(Moment::At(1_795_339_800_000_000_001)));
        for text in ["", "+", "+x", "12", "+1.0000000001", "yesterday", "+-1"] {
            assert!(moment(text).is_err(), "{text}");
        }
        assert_eq!((frames("7"), frames("7-12")), (Ok(Frames(7, 7)), Ok(Frames(7, 12))));
        for text in ["", "-", "7-", "12-7", "-7", "x"] {
            assert!(frames(text).is_err(), "{text}");
        }
    }

    #[test]
    fn both_ends_are_inside() {
        let mut window = Window { from: Some(Moment::AfterStart(10)), to: Some(Moment::At(130)), first: None };
        let inside: Vec<u64> =
            [100, 0, 109, 110, 130, 131, u64::MAX].into_iter().filter(|&ts| window.holds(ts)).collect();
        assert_eq!(inside, [110, 130]);
        let mut open = Window { from: None, to: None, first: None };
        assert!(open.holds(0));
    }
}
