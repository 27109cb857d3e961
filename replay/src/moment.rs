//! Moments: how people say when, and what it means in the time of a capture.
//!
//! Text of an option → [`Moment`] → nanoseconds since the epoch, once the capture has begun. Times without a zone are
//! UTC, as all times that the tools print.

use std::str::FromStr;

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;

/// Whole numbers below this are seconds: the year 5138 is far enough.
const SECONDS_BELOW: u64 = 100_000_000_000;
/// Whole numbers from here on are nanoseconds: April 1970 is early enough.
const NANOSECONDS_FROM: u64 = 10_000_000_000_000_000;

/// Units of a distance, in nanoseconds; the longest names first, as they are matched by their endings.
const UNITS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", SECOND),
    ("m", 60 * SECOND),
    ("h", 3600 * SECOND),
    ("d", DAY),
];

/// A moment as somebody named it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    /// Nanoseconds since the epoch.
    Absolute(u64),
    /// Nanoseconds after the first event of the capture.
    AfterStart(u64),
    /// Nanoseconds after midnight of the day on which the capture begins, as the default line of events shows times.
    TimeOfDay(u64),
}

impl Moment {
    /// Nanoseconds since the epoch, in a capture whose first event is at `first_ts`.
    pub fn at(self, first_ts: u64) -> u64 {
        match self {
            Self::Absolute(ts) => ts,
            Self::AfterStart(distance) => first_ts.saturating_add(distance),
            Self::TimeOfDay(time) => (first_ts - first_ts % DAY).saturating_add(time),
        }
    }
}

/// A text that names no moment.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MomentError {
    /// Of no form that is understood.
    #[error(
        "'{0}' is no time: write 2026-11-21T10:00:00Z, 10:00:00.5 (on the day the capture begins), seconds or \
         nanoseconds since the epoch, or +12.5s after the start of the capture"
    )]
    Form(String),
    /// A number that could be milliseconds or microseconds.
    #[error("'{0}' is neither seconds nor nanoseconds since the epoch")]
    Scale(String),
    /// Before the epoch or beyond the year 2554.
    #[error("'{0}' lies outside of the time that captures can hold")]
    Range(String),
}

impl FromStr for Moment {
    type Err = MomentError;

    fn from_str(text: &str) -> Result<Self, MomentError> {
        let form = || MomentError::Form(text.to_owned());
        if let Some(distance) = text.strip_prefix('+') {
            let (number, unit) = UNITS
                .iter()
                .find_map(|&(name, unit)| distance.strip_suffix(name).map(|number| (number, unit)))
                .unwrap_or((distance, SECOND));
            return scaled(number, unit).map(Self::AfterStart).ok_or_else(form);
        }
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let number = text.parse().map_err(|_| MomentError::Range(text.to_owned()))?;
            return match number {
                0..SECONDS_BELOW => Ok(Self::Absolute(number * SECOND)),
                NANOSECONDS_FROM.. => Ok(Self::Absolute(number)),
                _ => Err(MomentError::Scale(text.to_owned())),
            };
        }
        if let Some(ns) = scaled(text, SECOND) {
            return Ok(Self::Absolute(ns));
        }
        if let Ok(timestamp) = text.parse::<Timestamp>() {
            return absolute(timestamp).ok_or_else(|| MomentError::Range(text.to_owned()));
        }
        // `T`, blank and `-` belong to dates; a bare time has none of them.
        if !text.contains(['T', 't', ' ', '-'])
            && let Ok(time) = text.parse::<Time>()
        {
            let seconds = i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second());
            let ns = seconds.unsigned_abs() * SECOND + u64::from(time.subsec_nanosecond().unsigned_abs());
            return Ok(Self::TimeOfDay(ns));
        }
        let utc: Option<Zoned> = text.parse::<DateTime>().ok().and_then(|civil| civil.to_zoned(TimeZone::UTC).ok());
        let timestamp = utc.ok_or_else(form)?.timestamp();
        absolute(timestamp).ok_or_else(|| MomentError::Range(text.to_owned()))
    }
}

fn absolute(timestamp: Timestamp) -> Option<Moment> {
    u64::try_from(timestamp.as_nanosecond()).ok().map(Moment::Absolute)
}

/// A decimal number of some unit, exactly, as a whole number; what is finer than a billionth of the unit is refused.
pub(crate) fn scaled(text: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let fraction: u64 = format!("{fraction:0<9}").parse().ok()?;
    let of_fraction = u64::try_from(u128::from(fraction) * u128::from(unit) / u128::from(SECOND)).ok()?;
    whole.checked_mul(unit)?.checked_add(of_fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21T10:00:00Z.
    const TEN: u64 = 1_795_255_200 * SECOND;

    #[test]
    fn the_same_moment_in_every_form() {
        for text in [
            "2026-11-21T10:00:00Z",
            "2026-11-21T10:00:00.000000000Z",
            "2026-11-21T12:00:00+02:00",
            "2026-11-21T10:00:00.000000000+0000",
            "2026-11-21T10:00:00",
            "2026-11-21 10:00:00",
            "1795255200",
            "1795255200.0",
            "1795255200000000000",
        ] {
            assert_eq!(text.parse(), Ok(Moment::Absolute(TEN)), "{text}");
        }
        assert_eq!("2026-11-21".parse(), Ok(Moment::Absolute(TEN - 10 * 3600 * SECOND)));
        assert_eq!("1795255200.000000001".parse(), Ok(Moment::Absolute(TEN + 1)));
    }

    #[test]
    fn distances_and_times_of_day_need_a_capture() {
        let start = TEN + 5;
        for (text, distance) in [
            ("+12.5s", 12_500_000_000),
            ("+12.5", 12_500_000_000),
            ("+0", 0),
            ("+250ms", 250_000_000),
            ("+1.5us", 1_500),
            ("+7ns", 7),
            ("+2m", 120 * SECOND),
            ("+1h", 3600 * SECOND),
            ("+1d", DAY),
        ] {
            let moment: Result<Moment, _> = text.parse();
            assert_eq!(moment.map(|moment| moment.at(start)), Ok(start + distance), "{text}");
        }
        for (text, at) in [("10:00:00.000000007", TEN + 7), ("00:00:00", TEN - 10 * 3600 * SECOND)] {
            let moment: Result<Moment, _> = text.parse();
            assert_eq!(moment.map(|moment| moment.at(start)), Ok(at), "{text}");
        }
        assert_eq!(Moment::AfterStart(u64::MAX).at(start), u64::MAX);
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "+", "+x", "+-1s", "-5", "now", "10", "1e9", "2026-13-01", "25:00:00", "+1.0000000001s"] {
            let moment: Result<Moment, _> = text.parse();
            // Ten seconds after the epoch is a time, if an odd one.
            assert_eq!(moment.is_ok(), text == "10", "{text}");
        }
        assert!(matches!("1795255200000".parse::<Moment>(), Err(MomentError::Scale(_))));
        assert!(matches!("99999999999999999999".parse::<Moment>(), Err(MomentError::Range(_))));
        assert!(matches!("1969-12-31T23:59:59Z".parse::<Moment>(), Err(MomentError::Range(_))));
    }
}
