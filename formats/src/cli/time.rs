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

/// Nanoseconds of a length of time as people write it: a whole number and `ms`, `s`, `m`, `h` or `d`.
pub(super) fn parse_span(text: &str) -> Result<u64, &'static str> {
    const FORM: &str = "expected a length of time as 500ms, 90s, 5m, 1h, 2d";
    /// Nanoseconds of each unit; `ms` before the units that it ends in.
    const UNITS: [(&str, u64); 5] = [
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
        ("d", 86_400_000_000_000),
    ];
    let (number, unit) = UNITS.iter().find_map(|(name, ns)| Some((text.strip_suffix(name)?, ns))).ok_or(FORM)?;
    let span = digits(number).and_then(|number| number.checked_mul(*unit)).ok_or(FORM)?;
    if span == 0 { Err("expected more than no time at all") } else { Ok(span) }
}

/// Nanoseconds since 1970 for `2026-11-22T09:30:00Z`; a space may stand for the `T`, ` UTC` for the `Z`, and a fraction of
/// up to nine digits may follow the seconds.
pub(super) fn parse_utc(text: &str) -> Result<u64, &'static str> {
    const FORM: &str = "expected a time as 2026-11-22T09:30:00Z, from 1970 to 2553";
    let bare = text.strip_suffix('Z').or_else(|| text.strip_suffix(" UTC")).ok_or(FORM)?;
    let (day, clock) = bare.split_once(['T', ' ']).ok_or(FORM)?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let numbers = |text: &str, separator| -> Option<[u64; 3]> {
        let mut parts = text.split(separator).map(digits);
        let three = [parts.next()??, parts.next()??, parts.next()??];
        parts.next().is_none().then_some(three)
    };
    let [year, month, day] = numbers(day, '-').ok_or(FORM)?;
    let [hour, minute, second] = numbers(clock, ':').ok_or(FORM)?;
    if !(1970..=2553).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return Err(FORM);
    }
    if hour > 23 || minute > 59 || second > 59 || fraction.len() > 9 {
        return Err(FORM);
    }
    let nanos = digits(&format!("{fraction:0<9}")).ok_or(FORM)?;
    // The calendar of `utc`, the other way round.
    let (shifted, year) = if month > 2 { (month - 3, year) } else { (month + 9, year - 1) };
    let day_of_year = (153 * shifted + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468;
    let ns = (((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000_000 + nanos;
    // A day that the month does not have comes back as another one.
    if utc(ns).starts_with(text.get(..10).unwrap_or(FORM)) { Ok(ns) } else { Err(FORM) }
}

fn digits(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) { None } else { text.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::{parse_span, parse_utc, span, utc};

    #[test]
    fn lengths_of_time_have_a_unit() {
        assert_eq!(parse_span("500ms"), Ok(500_000_000));
        assert_eq!(parse_span("90s"), Ok(90_000_000_000));
        assert_eq!(parse_span("5m"), Ok(300_000_000_000));
        for wrong in ["", "5", "s", "-1s", "1.5s", "0s", "99999999999999d", "1 s"] {
            assert!(parse_span(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_come_back() {
        for ns in
            [0, 951_782_400_000_000_001, 1_795_306_631_000_000_000, 4_107_542_399_999_999_999, 68_169_600_000_000_000]
        {
            assert_eq!(parse_utc(&utc(ns)), Ok(ns));
        }
        assert_eq!(parse_utc("2026-11-22T09:30:00Z"), Ok(1_795_339_800_000_000_000));
        assert_eq!(parse_utc("1970-01-01 00:00:00.5Z"), Ok(500_000_000));
        let wrong = ["", "Z", "2026-11-22", "2026-11-22T09:30:00", "2026-02-30T00:00:00Z", "2026-11-22T24:00:00Z"];
        for text in
            wrong.into_iter().chain(["2026-11-22T+9:30:00Z", "é", "99999-01-01T00:00:00Z", "1969-12-31T00:00:00Z"])
        {
            assert!(parse_utc(text).is_err(), "{text}");
        }
    }

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
