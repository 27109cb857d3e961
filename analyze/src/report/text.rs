//! Texts, times and numbers of a report: how they are bounded, and how they are shown.
//!
//! Everything that comes from a capture or a rule file is a [`Text`] from the moment it enters the model. A `Text` shows
//! itself harmlessly wherever it is printed (control characters, direction marks and invisible characters as escapes);
//! templates escape HTML on top of that by default, and [`Text::html`] marks the escapes, so that a reader can tell an
//! escape character from somebody who typed `\x1b`.

use std::fmt::{self, Display, Formatter, Write as _};

use askama::filters::{Escaper as _, Html, HtmlSafe};
use casebook_formats::terminal::{Safe, is_harmful};
use serde::{Serialize, Serializer};

/// Characters of one text that a report keeps. Names and command lines can have 64 KiB each; nobody reads that in a
/// table, and thousands of them would make a page that does not open.
pub const TEXT_LIMIT: usize = 1500;

/// A text from a capture or a rule file, at most [`TEXT_LIMIT`] characters of it.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Text {
    kept: Box<str>,
    /// Characters that were cut off.
    cut: u32,
}

impl Text {
    /// Keeps the beginning of `text`; the number of characters left out is shown behind it.
    pub fn new(text: &str) -> Self {
        match text.char_indices().nth(TEXT_LIMIT) {
            None => Self { kept: text.into(), cut: 0 },
            Some((at, _)) => Self { kept: text[..at].into(), cut: text[at..].chars().count() as u32 },
        }
    }

    /// Whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// What was kept, unescaped: for comparing and sorting, not for printing.
    pub fn raw(&self) -> &str {
        &self.kept
    }

    /// As HTML, escapes of harmful characters marked up.
    pub fn html(&self) -> Marked<'_> {
        Marked(self)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl Display for Text {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "{}", Safe(self.kept.as_bytes()))?;
        if self.cut > 0 { write!(out, "… (+{} characters)", grouped(u64::from(self.cut))) } else { Ok(()) }
    }
}

impl Serialize for Text {
    /// As it is (JSON has escapes of its own, see `json`), with the same note where it was cut.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.cut == 0 {
            return serializer.serialize_str(&self.kept);
        }
        serializer.collect_str(&format_args!("{}… (+{} characters)", self.kept, grouped(u64::from(self.cut))))
    }
}

/// See [`Text::html`].
#[derive(Clone, Copy, Debug)]
pub struct Marked<'a>(&'a Text);

impl HtmlSafe for Marked<'_> {}

impl Display for Marked<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Text { kept, cut } = self.0;
        let mut plain = 0;
        for (at, character) in kept.char_indices().filter(|(_, character)| is_harmful(*character)) {
            Html.write_escaped_str(&mut *out, &kept[plain..at])?;
            plain = at + character.len_utf8();
            // An escape is made of backslashes, letters, digits and braces: nothing that HTML minds.
            write!(out, "<i class=\"esc\">{}</i>", Safe(kept[at..plain].as_bytes()))?;
        }
        Html.write_escaped_str(&mut *out, &kept[plain..])?;
        if *cut > 0 {
            write!(out, "<i class=\"esc\">… (+{} characters)</i>", grouped(u64::from(*cut)))?;
        }
        Ok(())
    }
}

/// A moment: nanoseconds since the epoch, in UTC.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Time(pub u64);

impl Time {
    /// `2016-08-04 16:17:57.881730713`.
    pub fn full(self) -> String {
        self.iso().replace('T', " ").trim_end_matches('Z').to_owned()
    }

    /// `2016-08-04T16:17:57.881730713Z`.
    pub fn iso(self) -> String {
        casebook_replay::summary::iso_time(self.0)
    }

    /// `2016-08-04`.
    pub fn date(self) -> String {
        self.iso().split('T').next().unwrap_or_default().to_owned()
    }

    /// `16:17:57.881`, cut and not rounded: a time must not wander into the next second.
    pub fn clock(self) -> String {
        let iso = self.iso();
        iso.split('T').nth(1).and_then(|clock| clock.get(..12)).unwrap_or_default().to_owned()
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.iso())
    }
}

/// `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 alert`, `2,345 alerts`; irregular plurals are written out: `counted(2, "process", "processes")`.
pub fn counted(number: u64, one: &str, more: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { more })
}

/// `512 B`, `1.5 kB`, `20.0 MB`: powers of a thousand.
pub fn sized(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let (mut value, mut unit) = (bytes as f64 / 1e3, 0);
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1e3;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A length of time in two units at most: `850 µs`, `12.4 s`, `3 min 20 s`, `2 d 4 h`.
pub fn lasting(ns: u64) -> String {
    let seconds = ns / 1_000_000_000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{} µs", ns / 1_000),
        1_000_000..1_000_000_000 => format!("{} ms", ns / 1_000_000),
        1_000_000_000..60_000_000_000 => format!("{:.1} s", (ns / 100_000_000) as f64 / 10.0),
        _ if days > 0 => format!("{} d {hours} h", grouped(days)),
        _ if hours > 0 => format!("{hours} h {minutes} min"),
        _ => format!("{minutes} min {} s", seconds % 60),
    }
}

/// Text as Markdown that shows it and does nothing: every character that Markdown or HTML gives a meaning is escaped.
pub fn markdown(text: impl Display) -> String {
    let mut shown = String::new();
    // Writing to a string cannot fail.
    let _ = write!(shown, "{text}");
    let mut escaped = String::with_capacity(shown.len());
    for character in shown.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            // Trackers make links and mentions of these.
            '@' => escaped.push_str("&#64;"),
            ':' => escaped.push_str("&#58;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '(' | ')' | '#' | '+' | '-' | '!' | '|' | '~' | '$' => {
                escaped.push('\\');
                escaped.push(character);
            }
            '\n' | '\r' => escaped.push(' '),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_show_what_would_act() {
        let text = Text::new("<b>\u{202e}\x1b[31m&\"'");
        assert_eq!(text.to_string(), "<b>\\u{202e}\\x1b[31m&\"'");
        let html = text.html().to_string();
        assert_eq!(html, "&#60;b&#62;<i class=\"esc\">\\u{202e}</i><i class=\"esc\">\\x1b</i>[31m&#38;&#34;&#39;");
    }

    #[test]
    fn long_texts_say_how_much_is_missing() {
        let long = "ä".repeat(TEXT_LIMIT + 2000);
        let text = Text::new(&long);
        assert!(text.to_string().ends_with("ä… (+2,000 characters)"));
        assert_eq!(Text::new(&"x".repeat(TEXT_LIMIT)).to_string().len(), TEXT_LIMIT);
    }

    #[test]
    fn numbers_and_lengths_read_as_people_write_them() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(334_560), "334,560");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(counted(1, "process", "processes"), "1 process");
        assert_eq!(sized(999), "999 B");
        assert_eq!(sized(1_536), "1.5 kB");
        assert_eq!(sized(999_999), "1.0 MB");
        assert_eq!(lasting(12_449_000_000), "12.4 s");
        assert_eq!(lasting(200_000_000_000), "3 min 20 s");
        assert_eq!(lasting(187_200_000_000_000), "2 d 4 h");
        assert_eq!(Time(1_470_327_477_881_930_713).clock(), "16:17:57.881");
        assert_eq!(Time(1_470_327_477_881_930_713).full(), "2016-08-04 16:17:57.881930713");
    }

    #[test]
    fn markdown_cannot_leave_its_cell() {
        let escaped = markdown(Text::new("a|b\n[x](http://e) <img> @all `c`\u{202e}"));
        assert_eq!(escaped, "a\\|b\\\\n\\[x\\]\\(http&#58;//e\\) &lt;img&gt; &#64;all \\`c\\`\\\\u\\{202e\\}");
    }
}
