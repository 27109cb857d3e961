//! Times and numbers as text. Times are UTC, whatever the machine that replays is set to.

use jiff::Timestamp;
use jiff::tz::TimeZone;

const NS: u64 = 1_000_000_000;

fn civil(ns: u64) -> Option<jiff::Zoned> {
    let whole = Timestamp::new(i64::try_from(ns / NS).ok()?, 0).ok()?;
    Some(whole.to_zoned(TimeZone::UTC))
}

/// `HH:MM:SS`, with nanoseconds on request.
pub(crate) fn time_of_day(ns: u64, with_fraction: bool) -> String {
    let seconds = ns / NS % 86_400;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if with_fraction {
        format!("{hours:02}:{minutes:02}:{seconds:02}.{:09}", ns % NS)
    } else {
        format!("{hours:02}:{minutes:02}:{seconds:02}")
    }
}

fn date(ns: u64) -> String {
    // Every number of ns since the epoch below 2^64 lies before the year 2555, which the calendar covers.
    civil(ns).map_or_else(String::new, |day| format!("{:04}-{:02}-{:02}", day.year(), day.month(), day.day()))
}

/// `YYYY-MM-DD HH:MM:SS`, with nanoseconds on request.
pub(crate) fn datetime(ns: u64, with_fraction: bool) -> String {
    format!("{} {}", date(ns), time_of_day(ns, with_fraction))
}

/// `YYYY-MM-DDTHH:MM:SS.nnnnnnnnn+0000`.
pub(crate) fn iso8601(ns: u64) -> String {
    format!("{}T{}+0000", date(ns), time_of_day(ns, true))
}

/// A duration with the largest unit that keeps it at 1 or above: `10.3ms`, `250ns`, `3s`.
pub(crate) fn duration(ns: u64) -> String {
    let (unit, scale) = match ns {
        0..1_000 => ("ns", 1),
        1_000..1_000_000 => ("us", 1_000),
        1_000_000..NS => ("ms", 1_000_000),
        _ => ("s", NS),
    };
    let text = format!("{}.{:02}", ns / scale, ns % scale * 100 / scale);
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A number in C's `%g`: six significant digits, no trailing zeros, an exponent outside 1e-4..1e6.
pub(crate) fn general(value: f64) -> String {
    let scientific = format!("{value:.5e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |digits: &str| {
        if digits.contains('.') {
            digits.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            digits.to_owned()
        }
    };
    if (-4..6).contains(&exponent) {
        let decimals = usize::try_from(5 - exponent).unwrap_or(0);
        trim(&format!("{value:.decimals$}"))
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", trim(mantissa), exponent.abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let ns = 1_588_262_409_999_999_999;
        assert_eq!(time_of_day(ns, true), "16:00:09.999999999");
        assert_eq!(time_of_day(ns, false), "16:00:09");
        assert_eq!(datetime(ns, true), "2020-04-30 16:00:09.999999999");
        assert_eq!(iso8601(ns), "2020-04-30T16:00:09.999999999+0000");
        assert_eq!(datetime(u64::MAX, false), "2554-07-21 23:34:33");
    }

    #[test]
    fn numbers_as_c_prints_them() {
        // Compared with printf("%lg").
        for (value, wanted) in [
            (0.0, "0"),
            (1.0, "1"),
            (0.25, "0.25"),
            (123_456.0, "123456"),
            (1_234_567.0, "1.23457e+06"),
            (0.000_1, "0.0001"),
            (0.000_01, "1e-05"),
            (0.036_5, "0.0365"),
            (18_446_744_073.709_55, "1.84467e+10"),
        ] {
            assert_eq!(general(value), wanted);
        }
    }

    #[test]
    fn durations() {
        assert_eq!(duration(0), "0ns");
        assert_eq!(duration(999), "999ns");
        assert_eq!(duration(10_300_000), "10.3ms");
        assert_eq!(duration(1_000_000_000), "1s");
        assert_eq!(duration(62_010_000_000), "62.01s");
    }
}
