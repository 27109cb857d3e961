//! The alert: what a rule says about an event, as a line of text or of JSON.
//!
//! A function of the capture and the rules only: times are those of the event, in UTC, and the host name is given by
//! the caller. Which text and fields a rule's output gives on an event is the output format's business.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use crate::event::EventFields;
use crate::priority::Priority;
use crate::ruleset::{ExtraOutput, Rule};

/// What alerts show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(clippy::struct_excessive_bools)] // independent switches, as in the configuration
pub struct AlertOptions {
    /// JSON: `output`.
    pub include_output: bool,
    /// JSON: `tags`.
    pub include_tags: bool,
    /// JSON: `message`.
    pub include_message: bool,
    /// JSON: `output_fields`.
    pub include_output_fields: bool,
    /// Times in the text form as date and time instead of time of day.
    pub iso8601: bool,
}

impl Default for AlertOptions {
    fn default() -> Self {
        Self {
            include_output: true,
            include_tags: true,
            include_message: false,
            include_output_fields: true,
            iso8601: false,
        }
    }
}

/// A rule that was true on an event.
#[derive(Clone, PartialEq, Debug)]
pub struct Alert<'a> {
    /// Time of the event, nanoseconds since 1970.
    pub time_ns: u64,
    /// Name of the rule.
    pub rule: &'a str,
    /// Source of the event.
    pub source: &'a str,
    /// Priority of the rule.
    pub priority: Priority,
    /// Tags of the rule, sorted.
    pub tags: Vec<&'a str>,
    /// Host that the capture comes from.
    pub hostname: &'a str,
    /// The rule's output on this event, missing values as `<NA>`. Not escaped, not necessarily UTF-8.
    pub message: Vec<u8>,
    /// The fields that the output names, as JSON.
    pub fields: BTreeMap<String, Value>,
    /// More fields, by configuration; they replace fields of the same name.
    pub extra_fields: BTreeMap<String, Value>,
    /// Fields without a value on which the verdict rests, sorted: in JSON under `absent`, unless there are none. Falco
    /// does not say.
    pub absent: Vec<String>,
}

/// Keys in the order of the alphabet, as Falco prints them.
#[derive(Serialize)]
struct Record<'r> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    absent: &'r [String],
    hostname: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_fields: Option<BTreeMap<&'r str, &'r Value>>,
    priority: &'static str,
    rule: &'r str,
    source: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<&'r [&'r str]>,
    time: String,
}

impl<'a> Alert<'a> {
    /// The alert of a rule on an event.
    pub fn new<E: EventFields + ?Sized>(rule: &'a Rule, event: &E, time_ns: u64, hostname: &'a str) -> Self {
        let mut message = Vec::new();
        rule.output.render_text(event, &mut message);
        Self {
            time_ns,
            rule: &rule.name,
            source: &rule.source,
            priority: rule.priority,
            tags: rule.tags.iter().map(String::as_str).collect(),
            hostname,
            message,
            fields: rule.output.render_fields(event).into_iter().collect(),
            extra_fields: rule.extra_outputs.iter().map(|extra| (extra.name.clone(), extra.value(event))).collect(),
            absent: Vec::new(),
        }
    }
}

impl ExtraOutput {
    /// The value of the field on an event.
    fn value<E: EventFields + ?Sized>(&self, event: &E) -> Value {
        if self.raw {
            let mut fields = self.format.render_fields(event).into_iter();
            return fields.find(|(name, _)| *name == self.name).map_or(Value::Null, |(_, value)| value);
        }
        let mut text = Vec::new();
        self.format.render_text(event, &mut text);
        Value::from(String::from_utf8_lossy(&text))
    }
}

impl Alert<'_> {
    /// `TIME: PRIORITY OUTPUT`, not escaped.
    fn output(&self, message: &str, options: AlertOptions) -> String {
        let mut output = String::with_capacity(message.len() + 64);
        if options.iso8601 {
            output.push_str(&iso8601(self.time_ns, "+0000"));
        } else {
            push_time_of_day(&mut output, self.time_ns);
        }
        output.push_str(": ");
        output.push_str(self.priority.name());
        output.push(' ');
        output.push_str(message);
        output
    }

    /// The line of text, without a line break. Control characters, double quotes and backslashes are escaped as in
    /// JSON; bytes that are not UTF-8 become U+FFFD.
    pub fn text(&self, options: AlertOptions) -> String {
        let output = self.output(&lossy(&self.message), options);
        if has_to_be_escaped(&output) { escape(&output) } else { output }
    }

    /// The JSON object on one line, without a line break.
    pub fn json(&self, options: AlertOptions) -> String {
        let message = lossy(&self.message);
        let output = self.output(&message, options);
        let time = Value::from(self.time_ns);
        let record = Record {
            absent: &self.absent,
            hostname: self.hostname,
            message: options.include_message.then_some(&*message),
            output: options.include_output.then_some(&*output),
            output_fields: options.include_output_fields.then(|| self.output_fields(&time, options)),
            priority: self.priority.name(),
            rule: self.rule,
            source: self.source,
            tags: options.include_tags.then_some(&self.tags),
            time: iso8601(self.time_ns, "Z"),
        };
        // Texts, numbers and maps with text keys: there is nothing that could fail.
        serde_json::to_string(&record).unwrap_or_default()
    }

    fn output_fields<'r>(&'r self, time: &'r Value, options: AlertOptions) -> BTreeMap<&'r str, &'r Value> {
        let mut fields: BTreeMap<&str, &Value> = BTreeMap::new();
        fields.extend(self.fields.iter().map(|(name, value)| (&**name, value)));
        fields.insert(if options.iso8601 { "evt.time.iso8601" } else { "evt.time" }, time);
        fields.extend(self.extra_fields.iter().map(|(name, value)| (&**name, value)));
        fields
    }
}

/// Text with control characters, double quotes and backslashes escaped as inside a JSON string.
pub fn escape(text: &str) -> String {
    if !has_to_be_escaped(text) {
        return text.to_owned();
    }
    let quoted = Value::from(text).to_string();
    quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default().to_owned()
}

/// Whether [`escape`] changes anything. All bytes are looked at, which takes less time than looking for the first.
fn has_to_be_escaped(text: &str) -> bool {
    text.bytes().filter(|byte| *byte < b' ' || matches!(byte, b'"' | b'\\')).count() > 0
}

/// Text with U+FFFD for bytes that are not UTF-8. Texts that are need not be looked at twice.
fn lossy(text: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(text).map_or_else(|_| String::from_utf8_lossy(text), Cow::Borrowed)
}

/// `HH:MM:SS.nnnnnnnnn` of a time in nanoseconds since 1970, UTC.
pub fn time_of_day(time_ns: u64) -> String {
    let mut text = String::with_capacity(18);
    push_time_of_day(&mut text, time_ns);
    text
}

/// Appends it. Every alert has one: digits by hand take a tenth of what formatting takes.
fn push_time_of_day(text: &mut String, time_ns: u64) {
    let seconds = time_ns / NANOSECONDS % DAY;
    push_digits::<2>(text, seconds / 3600);
    text.push(':');
    push_digits::<2>(text, seconds / 60 % 60);
    text.push(':');
    push_digits::<2>(text, seconds % 60);
    text.push('.');
    push_digits::<9>(text, time_ns % NANOSECONDS);
}

/// Appends the last `N` digits of a number.
fn push_digits<const N: usize>(text: &mut String, number: u64) {
    let mut digits = [b'0'; N];
    let mut left = number;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (left % 10) as u8;
        left /= 10;
    }
    text.push_str(std::str::from_utf8(&digits).unwrap_or_default());
}

/// `YYYY-MM-DDTHH:MM:SS.nnnnnnnnn` and a suffix for the zone, of a time in nanoseconds since 1970, UTC.
pub fn iso8601(time_ns: u64, zone: &str) -> String {
    let (year, month, day) = civil(time_ns / NANOSECONDS / DAY);
    let mut text = format!("{year:04}-{month:02}-{day:02}T{}", time_of_day(time_ns));
    let _ = write!(text, "{zone}");
    text
}

const NANOSECONDS: u64 = 1_000_000_000;
const DAY: u64 = 86_400;

/// Year, month and day of a number of days since 1970-01-01, in the Gregorian calendar.
///
/// Counts in years that begin in March, so that the leap day is the last of its year; 400 years have 146,097 days.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // from 0000-03-01
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert() -> Alert<'static> {
        Alert {
            time_ns: 1_700_000_000_123_456_789,
            rule: "Read \"x\"",
            source: "syscall",
            priority: Priority::Informational,
            tags: vec!["T1003", "fs"],
            hostname: "node-1",
            message: b"read\t\"a\" \xff \x1b[31m".to_vec(),
            fields: BTreeMap::from([("fd.num".to_owned(), Value::Null)]),
            extra_fields: BTreeMap::new(),
            absent: Vec::new(),
        }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(iso8601(0, "Z"), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(iso8601(951_782_400 * NANOSECONDS, "Z"), "2000-02-29T00:00:00.000000000Z");
        assert_eq!(iso8601(4_107_542_399 * NANOSECONDS + 5, ""), "2100-02-28T23:59:59.000000005");
        assert_eq!(iso8601(4_107_542_400 * NANOSECONDS, ""), "2100-03-01T00:00:00.000000000");
        assert_eq!(iso8601(1_700_000_000_123_456_789, "+0000"), "2023-11-14T22:13:20.123456789+0000");
        assert_eq!(iso8601(u64::MAX, "Z"), "2554-07-21T23:34:33.709551615Z");
    }

    #[test]
    fn text_is_one_line_without_control_characters() {
        let text = alert().text(AlertOptions::default());
        assert_eq!(text, "22:13:20.123456789: Informational read\\t\\\"a\\\" \u{fffd} \\u001b[31m");
    }

    #[test]
    fn json_has_the_parts_that_are_asked_for() {
        let all = AlertOptions { include_message: true, iso8601: true, ..AlertOptions::default() };
        let json = alert().json(all);
        assert!(json.starts_with(r#"{"hostname":"node-1","message":"read\t\"a\" "#), "{json}");
        assert!(json.contains(r#""output_fields":{"evt.time.iso8601":1700000000123456789,"fd.num":null}"#), "{json}");
        let none = AlertOptions {
            include_output: false,
            include_tags: false,
            include_message: false,
            include_output_fields: false,
            iso8601: false,
        };
        assert_eq!(
            alert().json(none),
            r#"{"hostname":"node-1","priority":"Informational","rule":"Read \"x\"","source":"syscall","time":"2023-11-14T22:13:20.123456789Z"}"#
        );
        let guess = Alert { absent: vec!["container.image".to_owned(), "container.name".to_owned()], ..alert() };
        let json = guess.json(none);
        assert!(json.starts_with(r#"{"absent":["container.image","container.name"],"hostname":"#), "{json}");
        assert_eq!(guess.text(all), alert().text(all));
    }
}
