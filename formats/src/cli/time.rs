//! Times of a capture as text: UTC, whatever the machine that reads it thinks.

/// `2026-11-22 00:17:11.123456789 UTC` for nanoseconds since 1970.
pub(super) fn utc(ns: u64) -> String {
    let (seconds, fraction) = (ns / 1_000_000_000, ns % 1_000_000_000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days are counted from 1 March of the year 0, so that leap days come last in a year and in 400 years.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year_of_era = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let (month, day) =
        (if shifted < 10 { shifted + 3 } else { shifted - 9 }, day_of_year - (153 * shifted + 2) / 5 + 1);
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{fraction:09} UTC")
}

/// A length of time in seconds with milliseconds, or in hours and minutes where it is long.
pub(super) fn span(ns: u64) -> String {
    let (seconds, millis) = (ns / 1_000_000_000, ns / 1_000_000 % 1000);
    if seconds < 600 {
        format!("{seconds}.{millis:03} s")
    } else {
        format!("{} h {:02} min {:02} s", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::{span, utc};

    #[test]
    fn days_are_those_of_the_calendar() {
        assert_eq!(utc(0), "1970-01-01 00:00:00.000000000 UTC");
        assert_eq!(utc(951_782_400_000_000_001), "2000-02-29 00:00:00.000000001 UTC");
        assert_eq!(utc(1_795_306_631_000_000_000), "2026-11-22 00:17:11.000000000 UTC");
        assert_eq!(utc(4_107_542_399_999_999_999), "2100-02-28 23:59:59.999999999 UTC");
        assert_eq!(utc(4_107_542_400_000_000_000), "2100-03-01 00:00:00.000000000 UTC");
    }

    #[test]
    fn spans() {
        assert_eq!(span(1_500_000_000), "1.500 s");
        assert_eq!(span(90_061_000_000_000), "25 h 01 min 01 s");
    }
}
